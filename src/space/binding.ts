/**
 * A function of packets as they are, asked about packets as they were sent: where a header field has been rewritten, the function sees what it has become.
 *
 * The result is made for the packets of a region only, and both are walked together: a table that tells ten thousand destinations apart costs no more than those that
 * the region has.
 */
import { FALL, NO, YES, type Edge, type Node } from './diagram.ts';
import type { Layout } from './layout.ts';

/** What stands at a level: a number, what was sent at another level (and so much more), or any number of a range. */
export type LevelValue =
  | number
  | { readonly source: number; readonly plus: number }
  /** Of a field of several levels the first one has this, with what the field is from and to in each of them. */
  | { readonly levels: readonly number[]; readonly from: readonly number[]; readonly to: readonly number[] };

/** A piece of a region, and what becomes of its packets. */
export interface Piece {
  readonly region: Node;
  readonly to: Node;
}

/** More children than this of one choice are not looked at: it is then as if they differed. */
const MOST_CHOICES = 4096;

export class Bindings {
  readonly #layout: Layout;
  readonly #edges = new Map<Node, readonly Edge[]>();
  /** What is said where a choice that the kernel is free to make matters. */
  readonly #open: Node;
  readonly #supports = new Map<Node, readonly number[]>();
  readonly #splits = new Map<Node, ReadonlyMap<Node, Node>>();
  readonly #onlies = new Map<Node, Node | undefined>();

  constructor(layout: Layout, open: Node) {
    this.#layout = layout;
    this.#open = open;
  }

  /** The edges of a node. Kept, for the same regions are bound to many functions. */
  edgesOf(node: Node): readonly Edge[] {
    const known = this.#edges.get(node) ?? this.#layout.diagrams.edgesOf(node);
    this.#edges.set(node, known);
    return known;
  }

  /** The levels that a function asks for. */
  supportOf(f: Node): readonly number[] {
    const known = this.#supports.get(f);
    if (known !== undefined) return known;
    const support = this.#layout.diagrams.supportOf(f);
    this.#supports.set(f, support);
    return support;
  }

  /** The region cut up by what `f` says of its packets, as `at` has the levels that are no longer as they were sent. */
  pieces(region: Node, f: Node, at: ReadonlyMap<number, LevelValue>): readonly Piece[] {
    const bound = this.bind(region, f, at);
    if (bound.to !== undefined) return [{ region, to: bound.to }];
    const only = this.#only(bound.node);
    if (only !== undefined) return [{ region, to: only }];
    return [...this.split(bound.node)].flatMap(([to, piece]) => (to === FALL ? [] : [{ region: piece, to }]));
  }

  /** `to` where all of the region fares alike. */
  bind(
    region: Node,
    f: Node,
    at: ReadonlyMap<number, LevelValue>,
  ): { readonly to: Node } | { readonly to: undefined; readonly node: Node } {
    const binding = new Binding(this.#layout, this, at, this.#open);
    const start = binding.skip(f);
    return start < 0 ? { to: start } : { to: undefined, node: binding.bind(region, start) };
  }

  /** What a function of a region says of all its packets, if that is one thing; FALL where it has none. */
  #only(node: Node): Node | undefined {
    if (node < 0) return node;
    if (this.#onlies.has(node)) return this.#onlies.get(node);
    let found: Node | undefined = FALL;
    for (const { to } of this.edgesOf(node)) {
      const own = this.#only(to);
      if (own === FALL || own === found) continue;
      found = found === FALL ? own : undefined;
      if (found === undefined) break;
    }
    this.#onlies.set(node, found);
    return found;
  }

  /** A function cut up by its terminals. */
  split(node: Node): ReadonlyMap<Node, Node> {
    if (node < 0) return new Map([[node, YES]]);
    const known = this.#splits.get(node);
    if (known !== undefined) return known;
    const { diagrams } = this.#layout;
    const level = diagrams.levelOf(node);
    const edges = new Map<Node, Edge[]>();
    let from = 0;
    for (const { hi, to } of this.edgesOf(node)) {
      for (const [end, region] of this.split(to)) {
        const own = edges.get(end) ?? [];
        edges.set(end, own);
        if (from > 0 && (own.at(-1)?.hi ?? -1) < from - 1) own.push({ hi: from - 1, to: NO });
        own.push({ hi, to: region });
      }
      from = hi + 1;
    }
    const max = diagrams.maxOf(level);
    const regions = new Map<Node, Node>();
    for (const [end, own] of edges) {
      if (own.at(-1)?.hi !== max) own.push({ hi: max, to: NO });
      regions.set(end, diagrams.node(level, own));
    }
    this.#splits.set(node, regions);
    return regions;
  }
}

/** The first edge, from one on, for a value or what is beyond it; the last for what is beyond all. */
function edgeFrom(edges: readonly Edge[], from: number, value: number): number {
  let low = from;
  let high = edges.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((edges[middle]?.hi ?? value) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** One function's binding. */
class Binding {
  readonly #layout: Layout;
  readonly #bindings: Bindings;
  readonly #at: ReadonlyMap<number, LevelValue>;
  readonly #open: Node;
  readonly #known = new Map<number, Node>();

  constructor(layout: Layout, bindings: Bindings, at: ReadonlyMap<number, LevelValue>, open: Node) {
    this.#layout = layout;
    this.#bindings = bindings;
    this.#at = at;
    this.#open = open;
  }

  /** Past all that needs no look at the packet. */
  skip(f: Node): Node {
    const { diagrams } = this.#layout;
    let node = f;
    while (node >= 0) {
      const level = diagrams.levelOf(node);
      const value = this.#at.get(level);
      if (value === undefined) return node;
      if (typeof value === 'number') node = diagrams.restrict(node, level, value);
      else if ('source' in value) return node;
      else {
        const under = this.#under(node, value, 0, true, true, new Set());
        const [only] = under;
        node = under.size === 1 && only !== undefined ? only : this.#open;
      }
    }
    return node;
  }

  /** Where the values of a choice lead to. */
  #under(
    node: Node,
    { levels, from, to }: Extract<LevelValue, { levels: readonly number[] }>,
    index: number,
    isFirst: boolean,
    isLast: boolean,
    found: Set<Node>,
  ): Set<Node> {
    const { diagrams } = this.#layout;
    const level = levels[index];
    if (level === undefined || node < 0 || diagrams.levelOf(node) > (levels.at(-1) ?? 0)) return found.add(node);
    const low = isFirst ? (from[index] ?? 0) : 0;
    const high = isLast ? (to[index] ?? 0) : diagrams.maxOf(level);
    const edges = diagrams.levelOf(node) === level ? diagrams.edgesOf(node) : [{ hi: diagrams.maxOf(level), to: node }];
    const rest = { levels, from, to };
    let start = 0;
    for (const { hi, to: child } of edges) {
      const first = Math.max(start, low);
      const last = Math.min(hi, high);
      start = hi + 1;
      if (first > last || found.size > MOST_CHOICES) continue;
      // The ends of the range bound what follows; between them it is free.
      if (first === low && isFirst) this.#under(child, rest, index + 1, true, isLast && first === high, found);
      if (last === high && isLast && !(isFirst && low === high))
        this.#under(child, rest, index + 1, false, true, found);
      const [inner, outer] = [isFirst && first === low ? first + 1 : first, isLast && last === high ? last - 1 : last];
      if (inner <= outer) this.#under(child, rest, index + 1, false, false, found);
    }
    return found;
  }

  bind(region: Node, f: Node): Node {
    if (region === NO) return FALL;
    const node = this.skip(f);
    const { diagrams } = this.#layout;
    if (node < 0 || !this.#bindings.supportOf(node).some((level) => this.#at.has(level)))
      return diagrams.guard(region, node);
    const key = (region + 8) * 0x4000000 + node;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const level = diagrams.levelOf(node);
    const value = this.#at.get(level);
    const { source, plus } = typeof value === 'object' && 'source' in value ? value : { source: level, plus: 0 };
    const above = diagrams.levelOf(region);
    const result =
      above < source
        ? this.#assemble(
            above,
            this.#bindings.edgesOf(region).map(({ hi, to }) => ({ hi, to: this.bind(to, node) })),
          )
        : this.#both(region, node, source, plus);
    this.#known.set(key, result);
    return result;
  }

  /** Both ask for the same level, or the region does not. */
  #both(region: Node, f: Node, source: number, plus: number): Node {
    const { diagrams } = this.#layout;
    const max = diagrams.maxOf(source);
    const own = diagrams.levelOf(region) === source ? this.#bindings.edgesOf(region) : [{ hi: max, to: region }];
    const edges: Edge[] = [];
    const theirs = this.#bindings.edgesOf(f);
    let i = 0;
    let j = 0;
    let next = 0;
    while (next <= max) {
      const mine = own[i];
      const their = theirs[j];
      if (mine === undefined || their === undefined) break;
      if (mine.to === NO) {
        // Whatever is said of packets that the region has not.
        edges.push({ hi: mine.hi, to: FALL });
        next = mine.hi + 1;
        i++;
        j = edgeFrom(theirs, j, next + plus);
        continue;
      }
      const hi = j === theirs.length - 1 ? max : Math.min(max, their.hi - plus);
      if (hi < next) {
        j++;
        continue;
      }
      const end = Math.min(mine.hi, hi);
      edges.push({ hi: end, to: this.bind(mine.to, their.to) });
      if (mine.hi === end) i++;
      if (hi === end) j++;
      next = end + 1;
    }
    return this.#assemble(source, edges);
  }

  /** A node, if its children only ask for what stands below it; else put together from its cases. */
  #assemble(level: number, edges: readonly Edge[]): Node {
    const { diagrams } = this.#layout;
    if (edges.every(({ to }) => diagrams.levelOf(to) > level)) return diagrams.node(level, edges);
    let from = 0;
    const cases = edges.map(({ hi, to }) => {
      const set = diagrams.choose(level, [{ from, to: hi }], YES, NO);
      from = hi + 1;
      return diagrams.guard(set, to);
    });
    return diagrams.overAll(cases);
  }
}
