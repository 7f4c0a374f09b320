/** What two rulesets make otherwise of packets on a host. Decided exactly, table by table: equal functions are one node. */
import { STAGES, tablesAt } from '../netfilter/hooks.ts';
import { tracksConnections } from '../netfilter/compile.ts';
import type { Host } from '../host/host.ts';
import type { HookName, Ruleset, TableName } from '../ruleset/rule.ts';
import { NO, YES, type Node } from './diagram.ts';
import type { Ground } from './ground.ts';
import type { Layout } from './layout.ts';
import { possible } from './table-difference.ts';

/** The packets of which a table makes something else: some of them could meet it, where connections are tracked. */
export interface TableChange {
  readonly table: TableName;
  readonly hook: HookName;
  readonly packets: Node;
}

/** What one version of a host's rules makes other than another, of packets that could meet it. */
export type RulesChange =
  | { readonly kind: 'tables'; readonly tables: readonly TableChange[] }
  /** Only one of them tracks connections or translates: nothing need be as it was. */
  | { readonly kind: 'all' };

/** Throws SpaceLimitError. */
export function rulesChange(ground: Ground, host: Host, one: Ruleset, other: Ruleset): RulesChange {
  if (tracksConnections(one) !== tracksConnections(other)) return { kind: 'all' };
  // Without the table nothing is ever translated, and no mapping decided.
  if (one.tables.has('nat') !== other.tables.has('nat')) return { kind: 'all' };
  const { diagrams } = ground.layout;
  const at = (ruleset: Ruleset, name: TableName, hook: HookName): Node => {
    const table = ruleset.tables.get(name);
    return table === undefined ? ground.accepted : ground.table(host, table, hook);
  };
  const tables = (Object.keys(STAGES) as HookName[]).flatMap((hook) =>
    tablesAt(hook).flatMap((table): readonly TableChange[] => {
      const [before, after] = [at(one, table, hook), at(other, table, hook)];
      if (before === after) return [];
      const packets = diagrams.pair(ground.differ, before, after);
      return diagrams.and(packets, couldMeet(ground.layout, hook, table)) === NO ? [] : [{ table, hook, packets }];
    }),
  );
  return { kind: 'tables', tables };
}

/** False: no table at any hook makes anything else of any packet that could meet it, so no packet fares otherwise. True says only that some table does. */
export const isSomeChange = (change: RulesChange): boolean => change.kind === 'all' || change.tables.length > 0;

/** What a host sends to itself has been seen by conntrack when it comes back in. */
const couldMeet = (layout: Layout, hook: HookName, table: TableName): Node =>
  hook === 'PREROUTING' && table === 'raw' ? YES : possible(layout, hook, table);
