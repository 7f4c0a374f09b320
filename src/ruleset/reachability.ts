/**
 * What the kernel checks of a whole table before it takes it: that no packet can go round in a loop, and that no rule can be reached from
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

interface Edge {
  readonly to: DraftChain;
  readonly line: number;
  readonly token: Token;
}

/** One refusal a place is enough. */
const placeOf = ({ line, token }: { readonly line: number; readonly token: Token }): string =>
  `${line}:${token.column}`;

/** The rules that a packet can come to and that jump or demand something. */
function* telling(chain: DraftChain, { origins }: DraftTable): Generator<{ rule: Rule; origin: Origin }> {
  let rest = chain.reachable();
  for (const rule of chain.rules) {
    if (rest-- === 0) return;
    const origin = origins.of(rule);
    if (origin !== undefined) yield { rule, origin };
  }
}

function edgesOf(chain: DraftChain, table: DraftTable): Edge[] {
  const edges: Edge[] = [];
  for (const { rule, origin } of telling(chain, table))
    if (origin.jump !== undefined)
      edges.push({ to: origin.jump.chain, line: rule.line, token: jumpToken(rule, origin.jump.token) });
  return edges;
}

/** `a -> b -> c -> a`, without the middle of a long one. `start` is where the loop's first chain stands on the stack. */
function printLoop(stack: readonly { readonly chain: DraftChain }[], start: number): string {
  const names = (from: number, to: number): string[] => stack.slice(from, to).map(({ chain }) => chain.name);
  const shown =
    stack.length - start > 8
      ? [...names(start, start + 4), '...', ...names(stack.length - 3, stack.length)]
      : names(start, stack.length);
  return [...shown, stack[start]?.chain.name ?? ''].join(' -> ');
}

/** All that the kernel would refuse in `table`. Every chain and jump is looked at once for each hook. */
export function refusals(table: DraftTable): Refusal[] {
  const edges = new Map<DraftChain, Edge[]>();
  const hooks = new Map<DraftChain, HookName[]>();
  const found = new Map<string, Refusal>();
  for (const hook of BUILT_IN_CHAINS[table.name]) {
    const start = table.chains.get(hook);
    if (start !== undefined) visit(table, hook, start, edges, hooks, found);
  }
  for (const [chain, names] of hooks) checkDemands(chain, names, table, found);
  return [...found.values()];
}

/** Depth first from one hook, with a stack of its own: a table can nest chains deeper than JavaScript can call. */
function visit(
  table: DraftTable,
  hook: HookName,
  start: DraftChain,
  edges: Map<DraftChain, Edge[]>,
  hooks: Map<DraftChain, HookName[]>,
  found: Map<string, Refusal>,
): void {
  const open = new Map<DraftChain, number>();
  const done = new Set<DraftChain>();
  const stack: { readonly chain: DraftChain; readonly edges: readonly Edge[]; next: number }[] = [];
  const enter = (chain: DraftChain): void => {
    let own = edges.get(chain);
    if (own === undefined) {
      own = edgesOf(chain, table);
      edges.set(chain, own);
    }
    const reached = hooks.get(chain);
    if (reached === undefined) hooks.set(chain, [hook]);
    else reached.push(hook);
    open.set(chain, stack.length);
    stack.push({ chain, edges: own, next: 0 });
  };
  enter(start);
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const edge = top.edges[top.next++];
    if (edge === undefined) {
      open.delete(top.chain);
      done.add(top.chain);
      stack.pop();
      continue;
    }
    const start = open.get(edge.to);
    if (start !== undefined) {
      const message = `this jump closes a loop that ${hook} reaches: ${printLoop(stack, start)}`;
      found.set(placeOf(edge), { line: edge.line, token: edge.token, message });
    } else if (!done.has(edge.to)) enter(edge.to);
  }
}

function checkDemands(
  chain: DraftChain,
  hooks: readonly HookName[],
  table: DraftTable,
  found: Map<string, Refusal>,
): void {
  for (const { rule, origin } of telling(chain, table)) {
    const { jump, demands } = origin;
    if (jump !== undefined && (BUILT_IN_CHAINS[table.name] as readonly string[]).includes(jump.chain.name)) {
      const message = `${jump.chain.name} is a built-in chain: no rule can jump to it`;
      const token = jumpToken(rule, jump.token);
      found.set(placeOf({ line: rule.line, token }), { line: rule.line, token, message });
    }
    for (const { token, hooks: allowed } of demands) {
      const wrong = hooks.find((hook) => !allowed.includes(hook));
      if (wrong === undefined) continue;
      const where = chain.name === wrong ? wrong : `${quoteText(chain.name)}, which ${wrong} reaches`;
      const message = `${token.text} cannot be used in ${where}: expected ${allowed.join(', ')}`;
      found.set(placeOf({ line: rule.line, token }), { line: rule.line, token, message });
    }
  }
}
