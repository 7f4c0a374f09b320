/** The hardened posture: the same ruleset with the policies of filter INPUT and FORWARD set to DROP. */
import type { Chain, Ruleset, Table } from '../ruleset/rule.ts';

export function hardenedRuleset(ruleset: Ruleset): Ruleset {
  const filter = ruleset.tables.get('filter');
  if (filter === undefined) return ruleset;
  const chains = new Map(
    [...filter.chains].map(([name, chain]): [string, Chain] => [
      name,
      name === 'INPUT' || name === 'FORWARD' ? { ...chain, policy: 'DROP' } : chain,
    ]),
  );
  const hardened: Table = { ...filter, chains };
  return { ...ruleset, tables: new Map([...ruleset.tables, ['filter', hardened]]) };
}
