/** Are two rulesets the same to every packet on a host? Decided exactly, table by table: equal functions are one node. */
import { STAGES, tablesAt } from '../netfilter/hooks.ts';
import { tracksConnections } from '../netfilter/compile.ts';
import type { Backend } from '../netfilter/skb.ts';
import type { Host } from '../host/host.ts';
import type { HookName, Ruleset, TableName } from '../ruleset/rule.ts';
import { NO, YES, type Node } from './diagram.ts';
import { Ground } from './ground.ts';
import { possible } from './table-difference.ts';

/**
 * True: no table at any hook makes anything else of any packet that could meet it, so no packet fares otherwise. False says only that some table does. Throws
 * SpaceLimitError.
 */
export function areSameRules(host: Host, one: Ruleset, other: Ruleset, backend: Backend): boolean {
  const { family } = one;
  if (tracksConnections(one) !== tracksConnections(other)) return false;
  // Without the table nothing is ever translated, and no mapping decided.
  if (one.tables.has('nat') !== other.tables.has('nat')) return false;
  const ground = new Ground({
    family,
    backend,
    network: { hosts: [host], links: [], stations: [] },
    rulesets: [one, other],
  });
  const { diagrams } = ground.layout;
  const differ = diagrams.pairing((a, b) => (a === b ? NO : YES), NO);
  const at = (ruleset: Ruleset, name: TableName, hook: HookName): Node => {
    const table = ruleset.tables.get(name);
    return table === undefined ? ground.accepted : ground.table(host, table, hook);
  };
  return (Object.keys(STAGES) as HookName[]).every((hook) =>
    tablesAt(hook).every((name) => {
      const [before, after] = [at(one, name, hook), at(other, name, hook)];
      if (before === after) return true;
      return diagrams.and(diagrams.pair(differ, before, after), possible(ground.layout, hook, name)) === NO;
    }),
  );
}
