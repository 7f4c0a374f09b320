/** The hardened posture: the same ruleset with the policies of filter INPUT and FORWARD set to DROP, also where the text has no filter table at all. */
import type { Chain, Ruleset, Table } from '../ruleset/rule.ts';
import { emptyTable } from '../ruleset/tables.ts';

export function hardenedRuleset(ruleset: Ruleset): Ruleset {
  const filter = ruleset.tables.get('filter') ?? emptyTable('filter');
  const chains = new Map(
    [...filter.chains].map(([name, chain]): [string, Chain] => [
      name,
      name === 'INPUT' || name === 'FORWARD' ? { ...chain, policy: 'DROP' } : chain,
    ]),
  );
  const hardened: Table = { ...filter, chains };
  return { ...ruleset, tables: new Map([...ruleset.tables, ['filter', hardened]]) };
}
