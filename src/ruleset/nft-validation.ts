/**
 * What nf_tables checks of a whole table (net/netfilter/nf_tables_api.c: nft_table_validate, nft_chain_validate; observed on 6.18 with iptables 1.8.9): that no packet can be led
 * through more than 15 jumps or gotos, and so in no loop, and that no rule can be reached from a hook in which its match or target makes no sense. Every rule counts, also
 * one behind a rule that ends its chain for every packet. It takes a good table as a whole; a bad one it goes through again rule by rule, and refuses the first that makes it bad.
 */
import { quoteText } from '../diagnostic/quote.ts';
import { jumpToken, type DraftChain, type DraftTable, type Origin } from './draft.ts';
import { isPlainlyGood, printChains, TOO_DEEP, type Refusal } from './reachability.ts';
import { BUILT_IN_CHAINS, type HookName, type Rule } from './rule.ts';
import type { Token } from './tokens.ts';

interface Telling {
  readonly rule: Rule;
  readonly origin: Origin;
}

/** The rules of each chain that jump or demand something. */
type Tellings = ReadonlyMap<DraftChain, readonly Telling[]>;

/** A rule that may not be where it is, or a way that leads too far. */
type Fault =
  | {
      readonly kind: 'demand';
      readonly hook: HookName;
      readonly chain: DraftChain;
      readonly rule: Rule;
      readonly token: Token;
      readonly hooks: readonly HookName[];
    }
  | { readonly kind: 'depth'; readonly hook: HookName; readonly way: readonly DraftChain[] };

/** The rule of `table` that nf_tables refuses. */
export function nftRefusals(table: DraftTable): readonly Refusal[] {
  if (isPlainlyGood(table)) return [];
  const tellings: Tellings = new Map([...table.chains.values()].map((chain) => [chain, tellingsOf(chain, table)]));
  if (faultUpTo(table, tellings, Infinity) === undefined) return [];
  // More rules are never better: the first line is found by bisection.
  const lines = [...tellings.values()].flatMap((told) => told.map(({ rule }) => rule.line)).sort((a, b) => a - b);
  let [good, bad] = [-1, lines.length - 1];
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (faultUpTo(table, tellings, lines[middle] ?? 0) === undefined) good = middle;
    else bad = middle;
  }
  const line = lines[bad] ?? 0;
  const fault = faultUpTo(table, tellings, line);
  const last = [...tellings.values()].flat().find(({ rule }) => rule.line === line);
  if (fault === undefined || last === undefined) return [];
  const { rule, origin } = last;
  const token =
    fault.kind === 'demand' && fault.rule.line === line ? fault.token : jumpToken(table, rule, origin.jump?.token);
  return [{ line, token, message: printFault(fault, line) }];
}

function tellingsOf(chain: DraftChain, { origins }: DraftTable): readonly Telling[] {
  return chain.rules.toArray().flatMap((rule) => {
    const origin = origins.of(rule);
    return origin === undefined ? [] : [{ rule, origin }];
  });
}

/** What is wrong with the table as far as it has been read up to a line. */
function faultUpTo(table: DraftTable, tellings: Tellings, line: number): Fault | undefined {
  for (const hook of BUILT_IN_CHAINS[table.name]) {
    const start = table.chains.get(hook);
    const fault = start && faultFrom(hook, start, tellings, line);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** Jump by jump: the chains that so many jumps lead to, each with one from which it is reached. A loop leads any number of jumps far. */
function faultFrom(hook: HookName, start: DraftChain, tellings: Tellings, line: number): Fault | undefined {
  const levels: ReadonlyMap<DraftChain, DraftChain>[] = [];
  const checked = new Set<DraftChain>();
  let level: ReadonlyMap<DraftChain, DraftChain> = new Map([[start, start]]);
  while (level.size > 0) {
    levels.push(level);
    if (levels.length > TOO_DEEP) return { kind: 'depth', hook, way: wayThrough(levels) };
    const next = new Map<DraftChain, DraftChain>();
    for (const chain of level.keys()) {
      for (const { rule, origin } of tellings.get(chain) ?? []) {
        if (rule.line > line) continue;
        const { jump, demands } = origin;
        if (jump !== undefined && !next.has(jump.chain)) next.set(jump.chain, chain);
        if (checked.has(chain)) continue;
        for (const { token, hooks, asksModule } of demands)
          // A module is asked when its rule is made, and is told of a hook in built-in chains only (nft_match_init).
          if (!hooks.includes(hook) && (asksModule !== true || chain === start))
            return { kind: 'demand', hook, chain, rule, token, hooks };
      }
      checked.add(chain);
    }
    level = next;
  }
  return undefined;
}

/** A way that goes through all levels. */
function wayThrough(levels: readonly ReadonlyMap<DraftChain, DraftChain>[]): readonly DraftChain[] {
  const way: DraftChain[] = [];
  let [chain] = levels.at(-1)?.keys() ?? [];
  for (const level of [...levels].reverse()) {
    if (chain === undefined) break;
    way.unshift(chain);
    chain = level.get(chain);
  }
  return way;
}

function printFault(fault: Fault, line: number): string {
  const { hook } = fault;
  if (fault.kind === 'depth') {
    const names = fault.way.map(({ name }) => name);
    const again = names.findIndex((name, at) => names.indexOf(name) < at);
    if (again < 0) return `nft follows no more than 15 jumps from a built-in chain, legacy does: ${printChains(names)}`;
    const loop = names.slice(names.indexOf(names[again] ?? ''), again + 1);
    return `this jump closes a loop that ${hook} reaches: ${printChains(loop)}`;
  }
  const { chain, rule, token, hooks } = fault;
  const expected = `expected ${hooks.join(', ')}`;
  if (rule.line !== line)
    return `this jump leads ${hook} to ${quoteText(chain.name)}, where ${token.text} (line ${rule.line}) cannot be used: ${expected}`;
  const where = chain.name === hook ? hook : `${quoteText(chain.name)}, which ${hook} reaches`;
  return `${token.text} cannot be used in ${where}: ${expected}`;
}
