/** The hardened posture: the same ruleset with the policies of filter INPUT and FORWARD set to DROP, also where the text has no filter table at all. */
import { BUILT_IN_CHAINS, type Chain, type Ruleset, type Table } from '../ruleset/rule.ts';

const EMPTY_FILTER: Table = {
  name: 'filter',
  line: 0,
  chains: new Map(BUILT_IN_CHAINS.filter.map((name): [string, Chain] => [name, { name, policy: 'ACCEPT', rules: [] }])),
};

export function hardenedRuleset(ruleset: Ruleset): Ruleset {
  const filter = ruleset.tables.get('filter') ?? EMPTY_FILTER;
  const chains = new Map(
    [...filter.chains].map(([name, chain]): [string, Chain] => [
      name,
      name === 'INPUT' || name === 'FORWARD' ? { ...chain, policy: 'DROP' } : chain,
    ]),
  );
  const hardened: Table = { ...filter, chains };
  return { ...ruleset, tables: new Map([...ruleset.tables, ['filter', hardened]]) };
}
