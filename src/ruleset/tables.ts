/** The tables that every kernel has, whether a text names them or not. */
import type { Family } from '../address/address.ts';
import { BUILT_IN_CHAINS, type Chain, type Ruleset, type Table, type TableName } from './rule.ts';

/** Those that a restore brings into being; security is there only where a text names it. */
export const TABLES: readonly TableName[] = ['raw', 'mangle', 'nat', 'filter'];

/** A table without rules, policies ACCEPT: what the kernel has where nothing is said. */
export const emptyTable = (name: TableName): Table => ({
  name,
  line: 0,
  chains: new Map(
    BUILT_IN_CHAINS[name].map((chain): [string, Chain] => [chain, { name: chain, policy: 'ACCEPT', rules: [] }]),
  ),
});

/** The ruleset with an empty table for each that its text does not name. */
export const withAllTables = (ruleset: Ruleset): Ruleset => ({
  ...ruleset,
  tables: new Map([
    ...ruleset.tables,
    ...TABLES.filter((name) => !ruleset.tables.has(name)).map((name): [TableName, Table] => [name, emptyTable(name)]),
  ]),
});

/** What filters nothing. */
export const emptyRuleset = (family: Family): Ruleset => ({
  path: '',
  family,
  tables: new Map(),
  text: '',
  remarks: [],
  endsOpen: false,
});
