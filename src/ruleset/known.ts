/**
 * What has been read before, for whoever reads several rulesets: nearly all of two that are compared is often the same. What is equal in all, its lines'
 * numbers among them, becomes the same object. No rule or chain knows which file it is from.
 */
import type { Family } from '../address/address.ts';
import { PlainRules, type PlainRule } from './plain.ts';
import type { Chain, Rule, TableName } from './rule.ts';

/** Of one family. */
export class Known {
  readonly plain: PlainRules;
  /** By line: the last rule without counters that was read from one of this number. */
  readonly #rules: (Rule | undefined)[] = [];
  /** By table and name: the last chain that was read. */
  readonly #chains = new Map<TableName, Map<string, Chain>>();

  constructor(family: Family) {
    this.plain = new PlainRules(family);
  }

  rule(read: PlainRule, line: number): Rule {
    const known = this.#rules[line];
    if (known !== undefined && known.matches === read.matches && known.target === read.target) return known;
    const rule = ruleOf(read, line);
    this.#rules[line] = rule;
    return rule;
  }

  chain(table: TableName, chain: Chain): Chain {
    const chains = this.#chains.get(table) ?? new Map<string, Chain>();
    this.#chains.set(table, chains);
    const known = chains.get(chain.name);
    if (known !== undefined && isSameChain(known, chain)) return known;
    chains.set(chain.name, chain);
    return chain;
  }
}

/** Rules that are the same are the same objects, unless they have counters. */
const isSameChain = (one: Chain, other: Chain): boolean =>
  one.line === other.line &&
  one.policy === other.policy &&
  one.counters?.packets === other.counters?.packets &&
  one.counters?.bytes === other.counters?.bytes &&
  one.rules.length === other.rules.length &&
  one.rules.every((rule, index) => rule === other.rules[index]);

/** What a plain rule is in the line where it stands. */
export const ruleOf = ({ matches, target }: PlainRule, line: number): Rule =>
  target === undefined ? { line, matches } : { line, matches, target };

export class KnownRules {
  readonly #known: Readonly<Record<Family, Known>> = { 4: new Known(4), 6: new Known(6) };

  of(family: Family): Known {
    return this.#known[family];
  }
}
