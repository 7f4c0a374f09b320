/** What rules are called where old and new are compared: by table, chain and text, and not by where they stand. */
import { printRuleBody, printTarget } from '../ruleset/print.ts';
import type { Chain, Rule, Ruleset, TableName } from '../ruleset/rule.ts';

/** Where a rule stands. */
export interface Place {
  readonly path: string;
  readonly line: number;
  readonly table: TableName;
  readonly chain: string;
  /** From 1. */
  readonly rule: number;
}

const known = new WeakMap<Chain, readonly string[]>();

/**
 * The names of a chain's rules, in order: `filter FORWARD -s 10.0.0.1 -j ACCEPT`, and which of several. The same in two rulesets where table, chain and text
 * are. Made when they are first asked for: to print every rule of a large ruleset costs more than to compare two of them.
 */
export function ruleNames(table: TableName, chain: Chain): readonly string[] {
  const made = known.get(chain);
  if (made !== undefined) return made;
  const seen = new Map<string, number>();
  const names = chain.rules.map((rule) => {
    const body = printRuleBody(rule);
    const occurrence = seen.get(body) ?? 0;
    seen.set(body, occurrence + 1);
    return `${table} ${chain.name} ${body}${occurrence === 0 ? '' : ` #${occurrence + 1}`}`;
  });
  known.set(chain, names);
  return names;
}

/** Rules that test and do the same for having been read from equal texts (ruleset/plain.ts). */
export const isSameRule = (a: Rule, b: Rule): boolean => a === b || (a.matches === b.matches && a.target === b.target);

/** All rules are the same, and in the same order. False does not mean that they differ. */
export function areSameRules(a: readonly Rule[], b: readonly Rule[]): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) {
    const [one, other] = [a[index], b[index]];
    if (one === undefined || other === undefined || !isSameRule(one, other)) return false;
  }
  return true;
}

/** The rules of a ruleset by their names. */
export class RulePlaces {
  readonly #ruleset: Ruleset;
  readonly #chains = new Map<Chain, ReadonlyMap<string, number>>();

  constructor(ruleset: Ruleset) {
    this.#ruleset = ruleset;
  }

  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  get(name: string): Place | undefined {
    const [tableName = ''] = name.split(' ', 1);
    const table = this.#ruleset.tables.get(tableName as TableName);
    if (table === undefined) return undefined;
    const begin = tableName.length + 1;
    // A chain's name may have blanks in it.
    for (let end = name.indexOf(' ', begin); end >= 0; end = name.indexOf(' ', end + 1)) {
      const chain = table.chains.get(name.slice(begin, end));
      const index = chain && this.#indexOf(table.name, chain).get(name);
      const rule = index === undefined ? undefined : chain?.rules[index];
      if (chain === undefined || index === undefined || rule === undefined) continue;
      const { path } = this.#ruleset;
      return { path, line: rule.line, table: table.name, chain: chain.name, rule: index + 1 };
    }
    return undefined;
  }

  /** A rule's target as written. */
  targetOf(name: string): string {
    const place = this.get(name);
    const chain = place && this.#ruleset.tables.get(place.table)?.chains.get(place.chain);
    const target = place && chain?.rules[place.rule - 1]?.target;
    return target === undefined ? '' : printTarget(target);
  }

  #indexOf(table: TableName, chain: Chain): ReadonlyMap<string, number> {
    let names = this.#chains.get(chain);
    if (names === undefined) {
      names = new Map(ruleNames(table, chain).map((name, index) => [name, index]));
      this.#chains.set(chain, names);
    }
    return names;
  }
}
