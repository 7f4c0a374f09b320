/**
 * What ip_tables checks of a whole table before it takes it: that no packet can go round in a loop, and that no rule can be reached from
 * a hook in which its match or target makes no sense (net/ipv4/netfilter/ip_tables.c: mark_source_chains, check_entry and
 * find_check_entry; the same for ip6_tables.c).
 */
import { quoteText } from '../diagnostic/quote.ts';
import type { DraftChain, DraftTable, Origin } from './draft.ts';
import { jumpToken } from './draft.ts';
import type { HookName, Rule } from './rule.ts';
import { BUILT_IN_CHAINS } from './rule.ts';
import type { Token } from './tokens.ts';

/** Something that the kernel refuses: at which line and word, and why. */
export interface Refusal {
  readonly line: number;
  readonly token: Token;
  readonly message: string;
}

interface Telling {
  readonly rule: Rule;
  readonly origin: Origin;
}

/** The hooks from which packets come to a chain, and its rules that say something. */
interface Reached {
  readonly hooks: HookName[];
  readonly telling: readonly Telling[];
  /** Nothing that it leads to loops, or depends on the hook: it need not be looked at from another one. */
  isSettled: boolean;
}

interface Visited {
  readonly chain: DraftChain;
  readonly reached: Reached;
  next: number;
  isSettled: boolean;
}

/** One refusal a place is enough. */
const placeOf = ({ line, token }: { readonly line: number; readonly token: Token }): string =>
  `${line}:${token.column}`;

/** The rules that a packet can come to and that jump or demand something. */
function telling(chain: DraftChain, { origins }: DraftTable): readonly Telling[] {
  const found: Telling[] = [];
  const rules = chain.rules.toArray();
  for (let index = 0, end = chain.reachable(); index < end; index++) {
    const rule = rules[index];
    const origin = rule && origins.of(rule);
    if (rule !== undefined && origin !== undefined) found.push({ rule, origin });
  }
  return found;
}

/** `a -> b -> c -> a`, without the middle of a long one. */
export const printChains = (names: readonly string[]): string =>
  (names.length > 9 ? [...names.slice(0, 4), '...', ...names.slice(-4)] : names).join(' -> ');

/** `start` is where the loop's first chain stands on the stack. */
function printLoop(stack: readonly { readonly chain: DraftChain }[], start: number): string {
  const names = stack.slice(start).map(({ chain }) => chain.name);
  return printChains([...names, names[0] ?? '']);
}

/** More jumps than this in a row are not followed by `isPlainlyGood`, and not taken by nf_tables (NFT_JUMP_STACK_SIZE). */
export const TOO_DEEP = 16;

/**
 * Neither of the two kernels can refuse the table: nothing that packets come to demands anything, and no way through its chains is long. Nearly every table is
 * so, and each chain is looked at once for all hooks; of any other table nothing is said.
 */
export function isPlainlyGood({ name, chains, origins }: DraftTable): boolean {
  /** The jumps of the longest way on from a chain. */
  const heights = new Map<DraftChain, number>();
  const heightOf = (chain: DraftChain, jumps: number): number => {
    const known = heights.get(chain);
    if (known !== undefined) return known;
    if (jumps >= TOO_DEEP) return Infinity;
    let height = 0;
    for (const rule of chain.rules.toArray()) {
      const origin = origins.of(rule);
      if (origin === undefined) continue;
      if (origin.demands.length > 0) height = Infinity;
      else if (origin.jump !== undefined) height = Math.max(height, 1 + heightOf(origin.jump.chain, jumps + 1));
      if (height === Infinity) break;
    }
    heights.set(chain, height);
    return height;
  };
  return BUILT_IN_CHAINS[name].every((hook) => {
    const start = chains.get(hook);
    return start === undefined || heightOf(start, 0) < TOO_DEEP;
  });
}

/** All that ip_tables refuses in `table`. Every chain and jump is looked at once for each hook, at most. */
export function refusals(table: DraftTable): Refusal[] {
  if (isPlainlyGood(table)) return [];
  const reached = new Map<DraftChain, Reached>();
  const found = new Map<string, Refusal>();
  for (const hook of BUILT_IN_CHAINS[table.name]) {
    const start = table.chains.get(hook);
    if (start !== undefined) visit(table, hook, start, reached, found);
  }
  for (const [chain, at] of reached) checkDemands(chain, at, found);
  return [...found.values()];
}

/** Depth first from one hook, with a stack of its own: a table can nest chains deeper than JavaScript can call. */
function visit(
  table: DraftTable,
  hook: HookName,
  start: DraftChain,
  reached: Map<DraftChain, Reached>,
  found: Map<string, Refusal>,
): void {
  const open = new Map<DraftChain, number>();
  const done = new Set<DraftChain>();
  const stack: Visited[] = [];
  const enter = (chain: DraftChain): void => {
    let own = reached.get(chain);
    if (own === undefined) {
      own = { hooks: [], telling: telling(chain, table), isSettled: false };
      reached.set(chain, own);
    }
    own.hooks.push(hook);
    open.set(chain, stack.length);
    const isSettled = own.telling.every(({ origin }) => origin.demands.length === 0);
    stack.push({ chain, reached: own, next: 0, isSettled });
  };
  enter(start);
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const told = top.reached.telling[top.next++];
    if (told === undefined) {
      open.delete(top.chain);
      done.add(top.chain);
      stack.pop();
      top.reached.isSettled = top.isSettled;
      const caller = stack.at(-1);
      if (caller !== undefined) caller.isSettled &&= top.isSettled;
      continue;
    }
    const { rule, origin } = told;
    if (origin.jump === undefined) continue;
    const { chain: to, token: given } = origin.jump;
    const start = open.get(to);
    if (start === undefined) {
      if (reached.get(to)?.isSettled === true) continue;
      if (done.has(to)) top.isSettled = false;
      else enter(to);
    } else {
      top.isSettled = false;
      const message = `this jump closes a loop that ${hook} reaches: ${printLoop(stack, start)}`;
      const refusal = { line: rule.line, token: jumpToken(table, rule, given), message };
      found.set(placeOf(refusal), refusal);
    }
  }
}

function checkDemands(chain: DraftChain, { hooks, telling: told }: Reached, found: Map<string, Refusal>): void {
  for (const { rule, origin } of told) {
    for (const { token, hooks: allowed } of origin.demands) {
      const wrong = hooks.find((hook) => !allowed.includes(hook));
      if (wrong === undefined) continue;
      const where = chain.name === wrong ? wrong : `${quoteText(chain.name)}, which ${wrong} reaches`;
      const message = `${token.text} cannot be used in ${where}: expected ${allowed.join(', ')}`;
      found.set(placeOf({ line: rule.line, token }), { line: rule.line, token, message });
    }
  }
}
