/**
 * A function of packets as they are, asked about packets as they were sent: where a header field has been rewritten, the function sees what it has become.
 *
 * A region is cut up by what the function says of its packets. Both are walked together: a table that tells ten thousand destinations apart costs no more than those that
 * the region has. And where it says the same of them all, which is usual, nothing is made.
 */
import { FALL, NO, YES, type Node } from './diagram.ts';
import type { Layout } from './layout.ts';
import { memberAt } from './value.ts';

/** What stands at a level: a number, what was sent at another level (and so much more), or any number of a range. */
export type LevelValue =
  | number
  | { readonly source: number; readonly plus: number }
  /** A number of its own for each packet, by what was sent (value.ts): the numbers, and what leads to their places. All that a function is asked with have one `by`. */
  | { readonly by: Node; readonly of: readonly number[] }
  /** Of a field of several levels the first one has this, with what the field is from and to in each of them. */
  | { readonly levels: readonly number[]; readonly from: readonly number[]; readonly to: readonly number[] };

/** Packets as they were sent. */
export const NOTHING_MOVED: ReadonlyMap<number, LevelValue> = new Map();

/** A piece of a region, and what becomes of its packets. */
export interface Piece {
  readonly region: Node;
  readonly to: Node;
}

/** What a function says of a region: the same of all its packets, or several things, each of a part of it. */
type Cut = Node | ReadonlyMap<Node, Node>;

/** More children than this of one choice are not looked at: it is then as if they differed. */
const MOST_CHOICES = 4096;

/** So many answers are kept for regions to come. */
const MOST_KEPT = 1 << 20;

export class Bindings {
  readonly #layout: Layout;
  /** What is said where a choice that the kernel is free to make matters. */
  readonly #open: Node;
  readonly #supports = new Map<Node, readonly number[]>();
  /** What functions say of regions that ask for nothing that is no longer as it was sent. */
  readonly #kept = new Map<number, Cut>();
  /** By region a set that holds all of it, and has less to look at. */
  readonly #outlines = new Map<Node, Node>();

  constructor(layout: Layout, open: Node) {
    this.#layout = layout;
    this.#open = open;
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
    if (region === NO) return [];
    if (f < 0) return [{ region, to: f }];
    if (this.#kept.size > MOST_KEPT) this.#kept.clear();
    const cutting = new Cutting(this.#layout, this, at, this.#open, this.#kept);
    const outline = this.#outlines.get(region);
    const only = outline === undefined ? undefined : cutting.only(outline, f);
    if (only !== undefined) return [{ region, to: only }];
    const cut = cutting.all(region, f);
    if (typeof cut === 'number') return [{ region, to: cut }];
    const pieces = [...cut].flatMap(([to, piece]) => (to === FALL ? [] : [{ region: piece, to }]));
    if (outline !== undefined) for (const piece of pieces) this.outline(piece.region, outline);
    return pieces;
  }

  /** The packets of all these regions. */
  union(regions: readonly Node[]): Node {
    const { diagrams } = this.#layout;
    const all = diagrams.orAll(regions);
    if (regions.some((region) => this.#outlines.has(region)))
      this.outline(all, diagrams.orAll([...new Set(regions.map((region) => this.outlineOf(region)))]));
    return all;
  }

  /** What `f` says of all packets of a region; undefined where it says several things. */
  only(region: Node, f: Node): Node | undefined {
    return this.#layout.diagrams.only(this.outlineOf(region), f) ?? this.#layout.diagrams.only(region, f);
  }

  /** The packets of a region that are of a set as well. */
  within(region: Node, set: Node): Node {
    const { diagrams } = this.#layout;
    return diagrams.meet(this.outlineOf(region), set) ? diagrams.and(region, set) : NO;
  }

  /**
   * Says that a set holds all packets of a region, and has less to look at: what is said of all its packets is said of those of the region, and of what they are cut into.
   */
  outline(region: Node, all: Node): void {
    if (region >= 0 && region !== all) this.#outlines.set(region, all);
  }

  /** The region itself where nothing was said. */
  outlineOf(region: Node): Node {
    return this.#outlines.get(region) ?? region;
  }
}

/** Told of runs of a level's values: the last of them, and the point there. True: go on. */
type Visit = (hi: number, there: Point) => boolean;

/** It does not matter which of several values a packet has. */
const ANY_MEMBER: Node = NO;

/** What is cut, at one point of it: some packets, the function, and what leads to the numbers of the packets' own values. */
interface Point {
  readonly region: Node;
  readonly f: Node;
  readonly by: Node;
}

/** No packet of the region has such a value. */
const NOWHERE: Point = { region: NO, f: FALL, by: ANY_MEMBER };

/** Where the function begins with something that has to be looked at. */
interface ReducedPoint extends Point {
  /** It asks for nothing that has been moved. */
  readonly isPlain: boolean;
}

/** One function's cutting of one region. */
class Cutting {
  readonly #layout: Layout;
  readonly #bindings: Bindings;
  readonly #at: ReadonlyMap<number, LevelValue>;
  readonly #open: Node;
  readonly #kept: Map<number, Cut>;
  /** By what leads to packets' own values. */
  readonly #known = new Map<Node, Map<number, Cut>>();
  readonly #onlyKnown = new Map<Node, Map<number, Node | undefined>>();
  /** The levels at which packets have values of their own. */
  readonly #own: ReadonlySet<number>;
  readonly #by: Node;

  constructor(
    layout: Layout,
    bindings: Bindings,
    at: ReadonlyMap<number, LevelValue>,
    open: Node,
    kept: Map<number, Cut>,
  ) {
    this.#layout = layout;
    this.#bindings = bindings;
    this.#at = at;
    this.#open = open;
    this.#kept = kept;
    const own = new Set<number>();
    let by = ANY_MEMBER;
    for (const [level, value] of at)
      if (typeof value === 'object' && 'by' in value) {
        own.add(level);
        by = value.by;
      }
    this.#own = own;
    this.#by = by;
  }

  /** Past all that needs no look at the packet, where its own values are known or not asked for. */
  #skip(f: Node, by: Node): Node {
    const { diagrams } = this.#layout;
    let node = f;
    while (node >= 0) {
      const level = diagrams.levelOf(node);
      const value = this.#at.get(level);
      if (value === undefined) return node;
      if (typeof value === 'number') node = diagrams.restrict(node, level, value);
      else if ('source' in value) return node;
      else if ('by' in value) {
        if (by >= 0) return node;
        const own = value.of[memberAt(by)];
        if (own === undefined) return this.#open;
        node = diagrams.restrict(node, level, own);
      } else {
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

  /** Of a region with some packets. */
  all(region: Node, f: Node): Cut {
    return this.#cut({ region, f, by: this.#by });
  }

  /** What the function says of all packets of the region, which has some; undefined where it says several things. Nothing is made for the answer. */
  only(region: Node, f: Node): Node | undefined {
    return this.#only(this.#reduced({ region, f, by: this.#by }));
  }

  /** As deep as the diagrams are. */
  #cut(given: Point): Cut {
    const point = this.#reduced(given);
    const only = this.#only(point);
    if (only !== undefined) return only;
    const known = point.isPlain ? this.#kept : mapAt(this.#known, point.by);
    const key = keyOf(point);
    const answer = known.get(key) ?? this.#apart(point);
    known.set(key, answer);
    return answer;
  }

  #only(point: ReducedPoint): Node | undefined {
    const { region, f, by, isPlain } = point;
    if (f < 0) return f;
    if (isPlain) return this.#layout.diagrams.only(region, f);
    const known = mapAt(this.#onlyKnown, by);
    const key = keyOf(point);
    if (known.has(key)) return known.get(key);
    let all: Node | undefined;
    let last: Point | undefined;
    const isAlike = this.#runs(point, (_hi, there) => {
      if (there === last || there.region === NO) return true;
      last = there;
      const only = this.#only(this.#reduced(there));
      if (only === undefined || (all !== undefined && all !== only)) return false;
      all = only;
      return true;
    });
    const answer = isAlike ? all : undefined;
    known.set(key, answer);
    return answer;
  }

  /** The function past all that needs no look at the packet, and what it asks for from there on. */
  #reduced({ region, f, by: before }: Point): ReducedPoint {
    const node = this.#skip(f, before);
    const asked =
      node < 0 || this.#at.size === 0 ? [] : this.#bindings.supportOf(node).filter((level) => this.#at.has(level));
    const isPlain = asked.length === 0;
    const isOwn = before < 0 || asked.some((level) => this.#own.has(level));
    return { region, f: node, by: isPlain || !isOwn ? ANY_MEMBER : before, isPlain };
  }

  /** The cases of the first level put together. */
  #apart(point: ReducedPoint): Cut {
    // Of each edge its last value and where it leads to, in turn.
    const parts = new Map<Node, number[]>();
    let from = 0;
    const add = (to: Node, hi: number, region: Node): void => {
      const own = parts.get(to) ?? [];
      if (own.length === 0) parts.set(to, own);
      const last = own.at(-2) ?? -1;
      if (last < from - 1) own.push(from - 1, NO);
      own.push(hi, region);
    };
    let last: Point | undefined;
    let cut: Cut = FALL;
    this.#runs(point, (hi, there) => {
      if (there.region !== NO) {
        if (there !== last) cut = this.#cut(there);
        last = there;
        if (typeof cut === 'number') add(cut, hi, there.region);
        else for (const [to, part] of cut) add(to, hi, part);
      }
      from = hi + 1;
      return true;
    });
    const { level } = this.#askedAt(point);
    const max = this.#layout.diagrams.maxOf(level);
    const made = new Map<Node, Node>();
    for (const [to, edges] of parts) {
      if (edges.at(-2) !== max) edges.push(max, NO);
      const part = this.#assemble(level, edges);
      // What a field above has been asked for already may leave nothing.
      if (part !== NO) made.set(to, part);
    }
    const [one] = made.keys();
    return made.size === 1 && one !== undefined ? one : made;
  }

  /** The first level that the packets or the function turn on, whether it is the function's, and how much more than the packets have it then asks for. */
  #askedAt({ region, f, by }: Point): { readonly level: number; readonly isAsked: boolean; readonly plus: number } {
    const { diagrams } = this.#layout;
    const asked = diagrams.levelOf(f);
    const value = this.#at.get(asked);
    const isOwn = typeof value === 'object' && 'by' in value;
    const { source, plus } =
      typeof value === 'object' && 'source' in value ? value : { source: isOwn ? Infinity : asked, plus: 0 };
    const level = Math.min(diagrams.levelOf(region), source, diagrams.levelOf(by));
    return { level, isAsked: source === level, plus };
  }

  /** The runs of a level's values. What does not ask for the level is the same in all of them, and where every other value leads to the same, it is the same point. */
  #runs(point: ReducedPoint, visit: Visit): boolean {
    const { region, f, by } = point;
    const { level, isAsked, plus } = this.#askedAt(point);
    const { diagrams } = this.#layout;
    const max = diagrams.maxOf(level);
    const [isOfRegion, isOfBy] = [diagrams.levelOf(region) === level, diagrams.levelOf(by) === level];
    let mine = isOfRegion ? diagrams.firstEdgeOf(region) : 0;
    let theirs = isAsked ? diagrams.firstEdgeOf(f) : 0;
    let whose = isOfBy ? diagrams.firstEdgeOf(by) : 0;
    const end = isAsked ? diagrams.endEdgeOf(f) : 0;
    const endOfBy = isOfBy ? diagrams.endEdgeOf(by) : 0;
    let there: Point = NOWHERE;
    for (let next = 0; next <= max;) {
      const to = isOfRegion ? diagrams.toOf(mine) : region;
      const until = isOfRegion ? diagrams.hiOf(mine) : max;
      if (to === NO) {
        // Whatever is said of packets that the region has not.
        if (!visit(until, NOWHERE)) return false;
        next = until + 1;
        mine++;
        if (isAsked && next <= max) theirs = diagrams.edgeFrom(theirs, end, next + plus);
        if (isOfBy && next <= max) whose = diagrams.edgeFrom(whose, endOfBy, next);
        continue;
      }
      const hi = !isAsked || theirs === end - 1 ? max : Math.min(max, diagrams.hiOf(theirs) - plus);
      if (hi < next) {
        theirs++;
        continue;
      }
      const hiOfBy = isOfBy ? diagrams.hiOf(whose) : max;
      const last = Math.min(until, hi, hiOfBy);
      const of = isAsked ? diagrams.toOf(theirs) : f;
      const own = isOfBy ? diagrams.toOf(whose) : by;
      if (to !== there.region || of !== there.f || own !== there.by) there = { region: to, f: of, by: own };
      if (!visit(last, there)) return false;
      if (until === last) mine++;
      if (isAsked && hi === last) theirs++;
      if (isOfBy && hiOfBy === last) whose++;
      next = last + 1;
    }
    return true;
  }

  /** A set, of cases of a level: a node, if its children only ask for what stands below it; else put together. */
  #assemble(level: number, edges: readonly number[]): Node {
    const { diagrams } = this.#layout;
    let isBelow = true;
    for (let at = 1; isBelow && at < edges.length; at += 2) isBelow = diagrams.levelOf(edges[at] ?? NO) > level;
    if (isBelow) return diagrams.nodeOf(level, edges);
    const cases: Node[] = [];
    let from = 0;
    for (let at = 0; at < edges.length; at += 2) {
      const [hi, to] = [edges[at] ?? 0, edges[at + 1] ?? NO];
      cases.push(diagrams.and(diagrams.choose(level, [{ from, to: hi }], YES, NO), to));
      from = hi + 1;
    }
    return diagrams.orAll(cases);
  }
}

const keyOf = ({ region, f }: Point): number => (region + 8) * 0x4000000 + f;

function mapAt<T>(maps: Map<Node, Map<number, T>>, key: Node): Map<number, T> {
  const known = maps.get(key) ?? new Map<number, T>();
  maps.set(key, known);
  return known;
}
