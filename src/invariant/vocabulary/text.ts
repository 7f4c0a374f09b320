/** Reading a ruleset as text: its rules with their places. */
import type { Breach } from '../../claim/claim.ts';
import type { Rule, Ruleset, TableName } from '../../ruleset/rule.ts';

/** A rule, the chain that it is in, and its number there, from 1. */
export interface Placed {
  readonly table: TableName;
  readonly chain: string;
  readonly number: number;
  readonly rule: Rule;
}

/** The rules of one chain; none where there is no such chain. */
export const rulesIn = (ruleset: Ruleset, table: TableName, chain: string): readonly Placed[] =>
  (ruleset.tables.get(table)?.chains.get(chain)?.rules ?? []).map((rule, index) => ({
    table,
    chain,
    number: index + 1,
    rule,
  }));

/** The rules of every chain of a table. */
export const rulesOf = (ruleset: Ruleset, table: TableName): readonly Placed[] =>
  [...(ruleset.tables.get(table)?.chains.keys() ?? [])].flatMap((chain) => rulesIn(ruleset, table, chain));

/** A breach at a rule. */
export const breachAt = ({ table, chain, number, rule }: Placed, message: string): Breach => ({
  message,
  table,
  chain,
  rule: number,
  line: rule.line,
});

/** True when every packet meets the rule's target: a comment asks nothing. */
export const isUnconditional = ({ matches }: Rule): boolean => matches.every(({ kind }) => kind === 'comment');
