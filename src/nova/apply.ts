/** IptablesManager.apply: a process's tables into the kernel of its host. */
import type { Family } from '../address/address.ts';
import type { DeploymentHost } from '../deployment/deployment.ts';
import { emptyTable, restored, type KernelTables } from './kernel.ts';
import type { Memory } from './memory.ts';
import { mergeTable } from './merge.ts';
import type { Profile } from './profile.ts';

/**
 * What the kernel holds after each restore, in order: one for each table, or one for all of them. A restore that is refused ends it, and changes
 * nothing (nova tries five times, and gives up).
 */
export function* applied(
  kernel: KernelTables,
  memory: Memory,
  host: DeploymentHost,
  family: Family,
  profile: Profile,
): Generator<KernelTables> {
  const merged = new Map(kernel);
  for (const [name, table] of memory.tablesOf(family)) {
    // F6: what is not loaded has no place in the text, and rules outside of a table are refused.
    if (profile.bugs.has('F6') && !kernel.has(name)) return;
    // Asked to save a table that is not there, iptables-save loads its module.
    const saved = kernel.get(name) ?? emptyTable(name);
    const after = restored(mergeTable(saved, table, profile, host.flags), name, family);
    if (after === undefined) return;
    merged.set(name, after);
    if (profile.restores === 'each table') yield new Map(merged);
  }
  if (profile.restores === 'all tables') yield merged;
}
