/**
 * Interval decision diagrams: functions of many bounded integers (the fields of a packet), each one kept once.
 *
 * A node tests one level (a field, or a part of one). Its edges cut the level's values into runs, in order: an edge goes from after the previous
 * edge's `hi` to its own, and neighbours never lead to the same child. Levels that do not matter are left out, and equal nodes are one node. So two
 * functions are equal if and only if they are the same number: equality costs nothing, and difference costs what differs.
 *
 * A `Node` is 0 or more for an inner node, below 0 for a terminal. The first terminals are truth values and the two that chains need;
 * `outcome.ts` numbers the others. Nothing is ever freed: drop the whole `Diagrams`.
 *
 * Measured against binary diagrams, rectangles, ternary strings, atoms and z3 before it was taken.
 */
export type Node = number;

export const terminal = (value: number): Node => -1 - value;
/** The value of a terminal. */
export const valueOf = (node: Node): number => -1 - node;

export const NO: Node = terminal(0);
export const YES: Node = terminal(1);
/** Of a chain: no rule has decided, go on. */
export const FALL: Node = terminal(2);
/** Of a chain: go on after the rule that called it. */
export const RETURN: Node = terminal(3);
/** Of a table's chain: the packet goes on to the next table. */
export const ACCEPT: Node = terminal(4);
export const FIRST_FREE_TERMINAL = 5;

/** A diagram became larger than it may. */
export class SpaceLimitError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SpaceLimitError';
  }
}

/** A terminal's level: below every field. */
const BOTTOM = 0x7fffffff;
/** Bits beside a node's level: it leads to the terminal. */
const TO_FALL = 1;
const TO_RETURN = 2;
const TO_ACCEPT = 4;
const OPEN_ENDS = 3;
/** Slots of the unique table at first, and results that the cache holds at most: as powers of two. */
const SMALLEST_TABLE = 12;
const LARGEST_CACHE = 1 << 20;
/** Operations call themselves as deep as diagrams are, and each call costs the machine's stack. */
const MOST_DEPTH = 1000;
/** The most edges that are kept unless something else is said. */
export const MOST_EDGES = 60_000_000;
/** So many operations are done for each edge that may be kept: some minutes' worth, where few edges come of much work. */
const STEPS_FOR_EDGE = 10;
/** So many diagrams are put together at once; of more, so many at a time. */
const AT_ONCE = 32;
/** Of larger ones two at a time: what only the one has is then passed over. */
const MOST_EDGES_AT_ONCE = 8 * AT_ONCE;
/** What is remembered of each time: how, how many they were, which, and what came of them. */
const LIST_WORDS = AT_ONCE + 2;
/** Times that are remembered at first, and at most: as powers of two. */
const FEWEST_LISTS = 1 << 6;
const MOST_LISTS = 1 << 12;
/** What a shortcut gives where it has none. No node is so small. */
const OPEN = -0x80000000;

const AND = 1;
const OR = 2;
const LESS = 3;
const OVER = 4;
const GUARD = 5;
const THEN = 6;
const RETURNING = 7;
const ONLY = 8;
const FIRST_FREE_OPERATION = 16;

/** What many are put together by at once, and what of them leads to nothing. */
type Joining = typeof OR | typeof OVER;
const NOTHING: Readonly<Record<Joining, Node>> = { [OR]: NO, [OVER]: FALL };
/** Of a list that is remembered: how it is put together, and how long it is. */
const listHead = (operation: Joining, from: number, end: number): number => AT_ONCE * 2 * operation + end - from;

export type PairOperation = number & { readonly __pair: true };
export type Substitution = number & { readonly __substitution: true };

interface Pairing {
  readonly combine: (a: number, b: number) => Node;
  readonly same: Node | undefined;
}

/** A value that a level is given, or where its values are taken from. */
export type Move = number | ((value: number) => number);

interface Rewriting {
  /** By level. */
  readonly moves: readonly (Move | undefined)[];
  /** Nodes at or below this level are handed to `map`. */
  readonly floor: number;
  readonly map: ((node: Node) => Node) | undefined;
}

/** One edge for a level: values up to `hi`, from after the previous one's. */
export interface Edge {
  readonly hi: number;
  readonly to: Node;
}

export class Diagrams {
  /** The greatest value of each level. */
  readonly #max: number[];
  /** The most edges that are kept before a SpaceLimitError: 8 octets each; a node costs about three times as much. */
  readonly #limit: number;
  /**
   * Pairs of words. A node, whose number is its pair's, is its level, with what it leads to, and how many edges it has; those stand behind it, each of them `hi`, without
   * its sign, and where it goes. What is looked at together lies together.
   */
  #pair = new Int32Array(2 << 12);
  #pairs = 0;
  #nodes = 0;
  /**
   * The unique table, open addressing, two words a slot: node + 1, and its hash, so that few other nodes are looked at. A node's place are the upper bits of its hash:
   * in a larger table all stand in the same order, and it is filled from one end to the other.
   */
  #table = new Int32Array(2 << SMALLEST_TABLE);
  /** How far a hash is shifted to the right for its place. */
  #shift = 32 - SMALLEST_TABLE;
  /** Edges of the nodes that are being built. */
  #stack = new Int32Array(2 << 12);
  #top = 0;
  #depth = 0;
  #steps = 0;
  /** By node the last walk that has come to it. */
  #visits = new Int32Array(0);
  #visit = 0;
  /** Four words a result: operation, operands, result. A later one takes an earlier one's place. */
  #cache = new Int32Array(4 << 12);
  /** Diagrams that are being put together at once: a stack of lists, and where each stands. */
  #many = new Int32Array(4 * AT_ONCE);
  /** Where their edges end, in order, and whose they are: of each level of the lists that are being gone through. */
  #ends = new Float64Array(2 * MOST_EDGES_AT_ONCE);
  #endsTop = 0;
  /** What came of such lists, as the cache holds it of pairs. */
  #lists = new Int32Array(FEWEST_LISTS * LIST_WORDS);
  #operations = FIRST_FREE_OPERATION;
  readonly #pairings = new Map<number, Pairing>();
  readonly #rewritings = new Map<number, Rewriting>();
  readonly #restrictions = new Map<string, Substitution>();

  constructor(max: readonly number[], limit = MOST_EDGES) {
    this.#max = [...max];
    this.#limit = limit;
  }

  get levels(): number {
    return this.#max.length;
  }

  get nodeCount(): number {
    return this.#nodes;
  }

  get edgeCount(): number {
    return this.#pairs - this.#nodes;
  }

  maxOf(level: number): number {
    return this.#max[level] ?? 0;
  }

  /** A new level below all others; its number. */
  addLevel(max: number): number {
    this.#max.push(max);
    return this.#max.length - 1;
  }

  levelOf(node: Node): number {
    return node < 0 ? BOTTOM : (this.#pair[2 * node] ?? 0) >> OPEN_ENDS;
  }

  /** Which of the terminals that stand for something else, FALL, RETURN and ACCEPT, a node leads to. */
  #openEndsOf(node: Node): number {
    if (node >= 0) return (this.#pair[2 * node] ?? 0) & (TO_FALL | TO_RETURN | TO_ACCEPT);
    return node === FALL ? TO_FALL : node === RETURN ? TO_RETURN : node === ACCEPT ? TO_ACCEPT : 0;
  }

  /** The edges of an inner node. */
  edgesOf(node: Node): readonly Edge[] {
    const end = this.endEdgeOf(node);
    const edges: Edge[] = [];
    for (let at = this.firstEdgeOf(node); at < end; at++) edges.push({ hi: this.hiOf(at), to: this.toOf(at) });
    return edges;
  }

  /** The edges of an inner node have numbers that follow on one another: that of the first. */
  firstEdgeOf(node: Node): number {
    return node + 1;
  }

  /** Behind its last edge. */
  endEdgeOf(node: Node): number {
    return node + 1 + (this.#pair[2 * node + 1] ?? 0);
  }

  /** The edge of a set's first level that all of it goes by, if that is one value alone. */
  onlyEdge(set: Node): Edge | undefined {
    const end = this.endEdgeOf(set);
    let found: Edge | undefined;
    let next = 0;
    for (let at = this.firstEdgeOf(set); at < end; at++) {
      const [hi, to] = [this.hiOf(at), this.toOf(at)];
      if (to !== NO) {
        if (found !== undefined || hi !== next) return undefined;
        found = { hi, to };
      }
      next = hi + 1;
    }
    return found;
  }

  /** The last value of an edge, by its number. */
  hiOf(edge: number): number {
    return (this.#pair[2 * edge] ?? 0) >>> 0;
  }

  /** Where an edge leads to. */
  toOf(edge: number): Node {
    return this.#pair[2 * edge + 1] ?? NO;
  }

  // --- building --------------------------------------------------------------------------------------------------------------------

  /** The node with these edges, which cover the level's values in order. */
  node(level: number, edges: Iterable<Edge>): Node {
    const mark = this.#top;
    for (const { hi, to } of edges) this.#push(mark, hi, to);
    return this.#finish(level, mark);
  }

  /** The same, of edges that are written one behind the other: of each its last value and where it leads to. */
  nodeOf(level: number, edges: readonly number[]): Node {
    const mark = this.#top;
    for (let at = 0; at < edges.length; at += 2) this.#push(mark, edges[at] ?? 0, edges[at + 1] ?? NO);
    return this.#finish(level, mark);
  }

  /** `inside` where the level's value is in one of the ranges (sorted, disjoint), `outside` elsewhere. */
  choose(
    level: number,
    ranges: readonly { readonly from: number; readonly to: number }[],
    inside: Node,
    outside: Node,
  ): Node {
    if (inside === outside) return inside;
    const max = this.maxOf(level);
    const mark = this.#top;
    let next = 0;
    for (const { from, to } of ranges) {
      if (from > next) this.#push(mark, from - 1, outside);
      this.#push(mark, to, inside);
      next = to + 1;
    }
    if (next <= max) this.#push(mark, max, outside);
    return this.#finish(level, mark);
  }

  #push(mark: number, hi: number, to: Node): void {
    let top = this.#top;
    if (top > mark && this.#stack[2 * top - 1] === to) top--;
    else if (2 * top === this.#stack.length) this.#stack = grown(this.#stack);
    this.#stack[2 * top] = hi;
    this.#stack[2 * top + 1] = to;
    this.#top = top + 1;
  }

  #finish(level: number, mark: number): Node {
    const count = this.#top - mark;
    this.#top = mark;
    const stack = this.#stack;
    if (count === 1) return stack[2 * mark + 1] ?? NO;
    let hash = Math.imul(level + 1, 0x9e3779b1);
    for (let i = 2 * mark; i < 2 * (mark + count); i += 2) {
      hash = Math.imul(hash ^ (stack[i] ?? 0), 0x85ebca6b);
      hash = Math.imul(hash ^ (stack[i + 1] ?? 0) ^ (hash >>> 15), 0xc2b2ae35);
    }
    hash ^= hash >>> 16;
    const table = this.#table;
    const mask = table.length - 1;
    let slot = 2 * (hash >>> this.#shift);
    for (;;) {
      const entry = table[slot] ?? 0;
      if (entry === 0) return this.#insert(level, mark, count, hash, slot);
      if (table[slot + 1] === hash && this.#isSame(entry - 1, level, mark, count)) return entry - 1;
      slot = (slot + 2) & mask;
    }
  }

  #isSame(node: Node, level: number, mark: number, count: number): boolean {
    const first = this.firstEdgeOf(node);
    if (this.levelOf(node) !== level || this.endEdgeOf(node) - first !== count) return false;
    for (let i = 0; i < 2 * count; i++) if (this.#pair[2 * first + i] !== this.#stack[2 * mark + i]) return false;
    return true;
  }

  #insert(level: number, mark: number, count: number, hash: number, slot: number): Node {
    if (this.edgeCount + count > this.#limit)
      this.#stop(`the sets of packets need more than ${this.#limit} edges: these rules overlap in too many ways`);
    const node = this.#pairs;
    this.#pairs += count + 1;
    this.#nodes++;
    while (2 * this.#pairs > this.#pair.length) this.#pair = grown(this.#pair);
    const [pair, stack] = [this.#pair, this.#stack];
    let openEnds = 0;
    for (let from = 2 * mark, to = 2 * node + 2; from < 2 * (mark + count); from += 2, to += 2) {
      const child = stack[from + 1] ?? 0;
      openEnds |= this.#openEndsOf(child);
      pair[to] = stack[from] ?? 0;
      pair[to + 1] = child;
    }
    pair[2 * node] = (level << OPEN_ENDS) | openEnds;
    pair[2 * node + 1] = count;
    this.#table[slot] = node + 1;
    this.#table[slot + 1] = hash;
    if (this.#nodes * 3 > this.#table.length) this.#enlargeTable();
    return node;
  }

  /** Whoever catches it may go on with what there is. */
  #stop(message: string): never {
    this.#depth = 0;
    this.#top = 0;
    this.#endsTop = 0;
    throw new SpaceLimitError(message);
  }

  /** One call more within the others. */
  #enter(): void {
    if (++this.#depth > MOST_DEPTH)
      this.#stop(
        `the fate of packets depends on more than ${MOST_DEPTH} things at once, such as matches that are not modelled`,
      );
    if (++this.#steps > STEPS_FOR_EDGE * this.#limit)
      this.#stop(
        `the sets of packets need more than ${STEPS_FOR_EDGE * this.#limit} operations: these rules overlap in too many ways`,
      );
  }

  #enlargeTable(): void {
    const old = this.#table;
    const table = new Int32Array(old.length * 2);
    const mask = table.length - 1;
    this.#shift--;
    for (let from = 0; from < old.length; from += 2) {
      const entry = old[from] ?? 0;
      if (entry === 0) continue;
      const hash = old[from + 1] ?? 0;
      let slot = 2 * (hash >>> this.#shift);
      while (table[slot] !== 0) slot = (slot + 2) & mask;
      table[slot] = entry;
      table[slot + 1] = hash;
    }
    this.#table = table;
    // The cache of results grows with what there is to remember, as far as the processor keeps it close by.
    const size = 4 * Math.min(table.length / 4, LARGEST_CACHE);
    if (size > this.#cache.length) this.#enlargeCache(size);
    const lists = Math.min(table.length / 32, MOST_LISTS) * LIST_WORDS;
    if (lists > this.#lists.length) this.#lists = new Int32Array(lists);
  }

  #enlargeCache(size: number): void {
    const old = this.#cache;
    this.#cache = new Int32Array(size);
    for (let slot = 0; slot < old.length; slot += 4) {
      const operation = old[slot] ?? 0;
      if (operation !== 0) this.#remember(operation, old[slot + 1] ?? 0, old[slot + 2] ?? 0, old[slot + 3] ?? 0);
    }
  }

  // --- operations ------------------------------------------------------------------------------------------------------------------

  and(f: Node, g: Node): Node {
    return this.#apply(AND, f, g);
  }

  or(f: Node, g: Node): Node {
    return this.#apply(OR, f, g);
  }

  /** What is in `f` and not in `g`. */
  less(f: Node, g: Node): Node {
    return this.#apply(LESS, f, g);
  }

  not(f: Node): Node {
    return this.#apply(LESS, YES, f);
  }

  /** `f` where it decides, `g` where `f` is FALL. */
  over(f: Node, g: Node): Node {
    return this.#apply(OVER, f, g);
  }

  /** `f` within the set, FALL outside of it. */
  guard(set: Node, f: Node): Node {
    return this.#apply(GUARD, set, f);
  }

  /** `inside` within the set, `outside` elsewhere. */
  ifThenElse(set: Node, inside: Node, outside: Node): Node {
    if (inside === outside) return inside;
    if (set === YES) return inside;
    if (set === NO) return outside;
    return this.over(this.guard(set, inside), outside);
  }

  /** `f`, with `next` in the place of ACCEPT. */
  then(f: Node, next: Node): Node {
    return this.#apply(THEN, f, next);
  }

  /** `f`, with `next` in the place of RETURN. */
  returning(f: Node, next: Node): Node {
    return this.#apply(RETURNING, f, next);
  }

  /** `over` of many, the first first. */
  overAll(nodes: readonly Node[]): Node {
    return this.#all(OVER, nodes);
  }

  orAll(nodes: readonly Node[]): Node {
    return this.#all(OR, nodes);
  }

  #all(operation: Joining, nodes: readonly Node[]): Node {
    if (nodes.length <= AT_ONCE) return this.#allAtOnce(operation, nodes, 0);
    const row: Node[] = [];
    for (let from = 0; from < nodes.length; from += AT_ONCE) row.push(this.#allAtOnce(operation, nodes, from));
    while (row.length > 1) {
      let count = 0;
      for (let i = 0; i < row.length; i += 2) {
        const [left = NO, right] = [row[i], row[i + 1]];
        row[count++] = right === undefined ? left : this.#apply(operation, left, right);
      }
      row.length = count;
    }
    return row[0] ?? NOTHING[operation];
  }

  /** As many of them as are put together at once. */
  #allAtOnce(operation: Joining, nodes: readonly Node[], from: number): Node {
    let end = 0;
    for (let at = from; at < nodes.length && at < from + AT_ONCE; at++)
      end = this.#listed(operation, 0, end, nodes[at] ?? NO);
    return this.#joined(operation, 0, end);
  }

  /** Adds a diagram to a list that lies on the stack from `from` to before `end`, unless the others leave nothing to it; where the list then ends. */
  #listed(operation: Joining, from: number, end: number, node: Node): number {
    const many = this.#many;
    if (node === NOTHING[operation]) return end;
    for (let at = from; at < end; at++) if (many[at] === node) return end;
    if (end > from && this.#leavesNothing(operation, many[end - 1] ?? NO)) return end;
    many[end] = node;
    return end + 1;
  }

  #leavesNothing(operation: Joining, node: Node): boolean {
    return operation === OR ? node === YES : (this.#openEndsOf(node) & TO_FALL) === 0;
  }

  /**
   * `over` or `or` of a list on the stack. Put together two by two, diagrams of many rules are made again and again, ever larger; here each of their levels is gone through
   * once, and nothing is made but what is asked for.
   */
  #joined(operation: Joining, from: number, end: number): Node {
    const count = end - from;
    if (count === 0) return NOTHING[operation];
    const [first = NO, second = NO] = [this.#many[from], this.#many[from + 1]];
    if (count === 1) return first;
    if (count === 2) return this.#apply(operation, first, second);
    const slot = this.#listSlot(operation, from, end);
    if (this.#isListAt(slot, operation, from, end)) return this.#lists[slot + LIST_WORDS - 1] ?? NO;
    let edges = 0;
    for (let at = from; at < end; at++) edges += this.#edgesAt(this.#many[at] ?? NO);
    if (edges > MOST_EDGES_AT_ONCE) {
      const middle = (from + end) >>> 1;
      // The latter first: the former's work lies where the latter stand.
      const latter = this.#joined(operation, middle, end);
      return this.#apply(operation, this.#joined(operation, from, middle), latter);
    }
    this.#enter();
    const result = this.#swept(operation, from, end);
    this.#depth--;
    this.#rememberList(operation, from, end, result);
    return result;
  }

  /** The first level of a list, from its least value to its greatest: where an edge ends, its diagram goes on to the next. */
  #swept(operation: Joining, from: number, end: number): Node {
    const count = end - from;
    if (this.#endsTop + MOST_EDGES_AT_ONCE > this.#ends.length) {
      const larger = new Float64Array(this.#ends.length * 2);
      larger.set(this.#ends);
      this.#ends = larger;
    }
    // Behind the list the edge at which each of its diagrams is, or -1; behind those the list of their children.
    const children = end + count;
    if (children + count > this.#many.length) this.#many = grown(this.#many);
    const many = this.#many;
    const nothing = NOTHING[operation];
    let level = BOTTOM;
    for (let at = from; at < end; at++) level = Math.min(level, this.levelOf(many[at] ?? NO));
    const firstEnd = this.#endsTop;
    /** A bit for each that leads to something here. */
    let open = 0;
    for (let index = 0; index < count; index++) {
      const node = many[from + index] ?? NO;
      const isAt = this.levelOf(node) === level;
      const edge = isAt ? this.firstEdgeOf(node) : -1;
      many[end + index] = edge;
      if (!isAt || this.toOf(edge) !== nothing) open |= 1 << index;
      if (!isAt) continue;
      const last = this.endEdgeOf(node) - 1;
      for (let at = edge; at < last; at++) this.#addEnd(firstEnd, this.hiOf(at) * AT_ONCE + index);
    }
    const lastEnd = this.#endsTop;
    const max = this.maxOf(level);
    const mark = this.#top;
    for (let next = firstEnd; ;) {
      const hi = next < lastEnd ? Math.floor((this.#ends[next] ?? 0) / AT_ONCE) : max;
      const child = this.#joined(operation, children, this.#childrenOf(operation, from, end, open));
      this.#push(mark, hi, child);
      if (next === lastEnd) break;
      for (; next < lastEnd; next++) {
        const index = (this.#ends[next] ?? 0) - AT_ONCE * hi;
        if (index >= AT_ONCE) break;
        const edge = (this.#many[end + index] ?? 0) + 1;
        this.#many[end + index] = edge;
        if (this.toOf(edge) === nothing) open &= ~(1 << index);
        else open |= 1 << index;
      }
    }
    this.#endsTop = firstEnd;
    return this.#finish(level, mark);
  }

  /** Lists, behind the edges of a list, the children at which those edges are; where that list ends. */
  #childrenOf(operation: Joining, from: number, end: number, open: number): number {
    const many = this.#many;
    const children = 2 * end - from;
    let top = children;
    for (let bits = open; bits !== 0; bits &= bits - 1) {
      const index = 31 - Math.clz32(bits & -bits);
      const edge = many[end + index] ?? -1;
      top = this.#listed(operation, children, top, edge < 0 ? (many[from + index] ?? NO) : this.toOf(edge));
    }
    return top;
  }

  #edgesAt(node: Node): number {
    return node < 0 ? 0 : this.endEdgeOf(node) - this.firstEdgeOf(node);
  }

  /** Puts where an edge ends in its order among the others. */
  #addEnd(first: number, value: number): void {
    const ends = this.#ends;
    let at = this.#endsTop++;
    for (; at > first && (ends[at - 1] ?? 0) > value; at--) ends[at] = ends[at - 1] ?? 0;
    ends[at] = value;
  }

  /** Where among the lists one is remembered. */
  #listSlot(operation: Joining, from: number, end: number): number {
    let hash: number = operation;
    for (let at = from; at < end; at++) hash = Math.imul(hash ^ (this.#many[at] ?? 0), 0x9e3779b1) ^ (hash >>> 15);
    hash ^= hash >>> 16;
    return (hash & (this.#lists.length / LIST_WORDS - 1)) * LIST_WORDS;
  }

  #isListAt(slot: number, operation: Joining, from: number, end: number): boolean {
    if (this.#lists[slot] !== listHead(operation, from, end)) return false;
    for (let at = from; at < end; at++) if (this.#lists[slot + 1 + at - from] !== this.#many[at]) return false;
    return true;
  }

  #rememberList(operation: Joining, from: number, end: number, result: Node): void {
    const slot = this.#listSlot(operation, from, end);
    this.#lists[slot] = listHead(operation, from, end);
    for (let at = from; at < end; at++) this.#lists[slot + 1 + at - from] = this.#many[at] ?? 0;
    this.#lists[slot + LIST_WORDS - 1] = result;
  }

  /**
   * Declares an operation on pairs of terminals, to be applied by `pair`. `same`: its result where both diagrams are one, where that does not depend on
   * the terminal.
   */
  pairing(combine: (a: number, b: number) => Node, same?: Node): PairOperation {
    const operation = this.#operations++;
    this.#pairings.set(operation, { combine, same });
    return operation as PairOperation;
  }

  pair(operation: PairOperation, f: Node, g: Node): Node {
    return this.#apply(operation, f, g);
  }

  /** Whether `pair` gives anything but NO somewhere; nothing is made for the answer. */
  somewhere(operation: PairOperation, f: Node, g: Node): boolean {
    const seen = this.#shortcut(operation, f, g);
    if (seen !== OPEN) return seen !== NO;
    // Kept beside the results of `pair`, and apart from them.
    const asked = -(operation as number);
    const slot = this.#slot(asked, f, g);
    if (this.#isCached(slot, asked, f, g)) return this.#cache[slot + 3] !== NO;
    this.#enter();
    const [levelF, levelG] = [this.levelOf(f), this.levelOf(g)];
    const [isAtF, isAtG] = [levelF <= levelG, levelG <= levelF];
    let i = this.firstEdgeOf(f);
    let j = this.firstEdgeOf(g);
    const endF = isAtF ? this.endEdgeOf(f) : i;
    const endG = isAtG ? this.endEdgeOf(g) : j;
    let found = false;
    while (!found && (i < endF || j < endG)) {
      found = this.somewhere(operation, isAtF ? this.toOf(i) : f, isAtG ? this.toOf(j) : g);
      const hiF = isAtF ? this.hiOf(i) : Infinity;
      const hiG = isAtG ? this.hiOf(j) : Infinity;
      if (hiF <= hiG) i++;
      if (hiG <= hiF) j++;
    }
    this.#depth--;
    this.#remember(asked, f, g, found ? YES : NO);
    return found;
  }

  /** Whether two sets have something in common; nothing is made for the answer. */
  meet(f: Node, g: Node): boolean {
    return this.somewhere(AND as PairOperation, f, g);
  }

  /** The one terminal that `f` leads all of a set to, which is not empty; undefined where it leads it to several. Nothing is made for the answer. */
  only(set: Node, f: Node): Node | undefined {
    const found = this.#only(set, f);
    return found === OPEN ? undefined : found;
  }

  #only(set: Node, f: Node): Node {
    if (f < 0) return f;
    // Where all is asked for, an inner node leads to several.
    if (set < 0) return OPEN;
    const slot = this.#slot(ONLY, set, f);
    if (this.#isCached(slot, ONLY, set, f)) return this.#cache[slot + 3] ?? OPEN;
    this.#enter();
    const [levelOfSet, levelOfF] = [this.levelOf(set), this.levelOf(f)];
    const [isOfSet, isOfF] = [levelOfSet <= levelOfF, levelOfF <= levelOfSet];
    let i = this.firstEdgeOf(set);
    let j = this.firstEdgeOf(f);
    const endOfSet = isOfSet ? this.endEdgeOf(set) : i + 1;
    const endOfF = isOfF ? this.endEdgeOf(f) : j + 1;
    let found: Node | undefined;
    // Where every other value leads to the same, that is looked up once.
    let [lastOfSet, lastOfF]: Node[] = [NO, NO];
    while (found !== OPEN && i < endOfSet && j < endOfF) {
      const ofSet = isOfSet ? this.toOf(i) : set;
      const hiOfSet = isOfSet ? this.hiOf(i) : Infinity;
      if (ofSet === NO) {
        i++;
        if (isOfF && i < endOfSet) j = this.edgeFrom(j, endOfF, hiOfSet + 1);
        continue;
      }
      const ofF = isOfF ? this.toOf(j) : f;
      if (ofSet !== lastOfSet || ofF !== lastOfF) {
        const here = this.#only(ofSet, ofF);
        found = found === undefined || found === here ? here : OPEN;
        [lastOfSet, lastOfF] = [ofSet, ofF];
      }
      const hiOfF = isOfF ? this.hiOf(j) : Infinity;
      if (hiOfSet <= hiOfF) i++;
      if (hiOfF <= hiOfSet) j++;
    }
    this.#depth--;
    this.#remember(ONLY, set, f, found ?? OPEN);
    return found ?? OPEN;
  }

  #rewriting(rewriting: Rewriting): Substitution {
    const operation = this.#operations++;
    this.#rewritings.set(operation, rewriting);
    return operation as Substitution;
  }

  /** Declares: the level has this value. */
  restriction(level: number, value: number): Substitution {
    const key = `${level}=${value}`;
    const known = this.#restrictions.get(key);
    if (known !== undefined) return known;
    const made = this.substitution(new Map([[level, value]]));
    this.#restrictions.set(key, made);
    return made;
  }

  /**
   * Declares: each of these levels has the value given, or the one that is made of the one that it had (such a level has few values); and each
   * terminal is what `map` makes of it.
   */
  substitution(moves: ReadonlyMap<number, Move>, map?: (node: Node) => Node): Substitution {
    const byLevel: (Move | undefined)[] = [];
    for (const [level, move] of moves) byLevel[level] = move;
    return this.#rewriting({ moves: byLevel, floor: BOTTOM, map });
  }

  /** Declares a function of terminals; with `floor`, of what stands at or below that level. */
  mapping(map: (node: Node) => Node, floor = BOTTOM): Substitution {
    return this.#rewriting({ moves: [], floor, map });
  }

  substitute(substitution: Substitution, f: Node): Node {
    const rewriting = this.#rewritings.get(substitution);
    return rewriting === undefined ? f : this.#rewrite(substitution, rewriting, f);
  }

  /** `f` where the level has this value. */
  restrict(f: Node, level: number, value: number): Node {
    // What lies above the level keeps its form only if the level is met at all.
    if (this.levelOf(f) > level) return f;
    if (this.levelOf(f) === level) return this.#childAt(f, value);
    return this.substitute(this.restriction(level, value), f);
  }

  #childAt(node: Node, value: number): Node {
    return this.toOf(this.edgeFrom(this.firstEdgeOf(node), this.endEdgeOf(node), value));
  }

  /** Of these edges, by their numbers, the one for a value; the last for what is beyond all. */
  edgeFrom(first: number, end: number, value: number): number {
    let low = first;
    let high = end - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.hiOf(middle) < value) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #rewrite(operation: Substitution, rewriting: Rewriting, f: Node): Node {
    const level = this.levelOf(f);
    const { moves, floor, map } = rewriting;
    if (level >= floor) return map === undefined ? f : this.#mapped(operation, map, f);
    if (map === undefined && level >= moves.length) return f;
    const move = moves[level];
    if (typeof move === 'number') return this.#rewrite(operation, rewriting, this.#childAt(f, move));
    const slot = this.#slot(operation, f, 0);
    if (this.#isCached(slot, operation, f, 0)) return this.#cache[slot + 3] ?? NO;
    this.#enter();
    const mark = this.#top;
    if (move === undefined) {
      const end = this.endEdgeOf(f);
      for (let i = this.firstEdgeOf(f); i < end; i++) {
        const child = this.#rewrite(operation, rewriting, this.toOf(i));
        this.#push(mark, this.hiOf(i), child);
      }
    } else {
      const max = this.maxOf(level);
      for (let value = 0; value <= max; value++) {
        const child = this.#rewrite(operation, rewriting, this.#childAt(f, move(value)));
        this.#push(mark, value, child);
      }
    }
    const result = this.#finish(level, mark);
    this.#depth--;
    this.#remember(operation, f, 0, result);
    return result;
  }

  /** Many edges lead to one terminal, and what a function makes of it may cost. */
  #mapped(operation: Substitution, map: (node: Node) => Node, f: Node): Node {
    const slot = this.#slot(operation, f, 0);
    if (this.#isCached(slot, operation, f, 0)) return this.#cache[slot + 3] ?? NO;
    const result = map(f);
    this.#remember(operation, f, 0, result);
    return result;
  }

  /** Where in the cache a result is kept. */
  #slot(operation: number, f: Node, g: Node): number {
    let hash = Math.imul(f, 0x9e3779b1) ^ Math.imul(g, 0x85ebca6b) ^ Math.imul(operation, 0xc2b2ae35);
    hash ^= hash >>> 15;
    return (4 * hash) & (this.#cache.length - 1);
  }

  #isCached(slot: number, operation: number, f: Node, g: Node): boolean {
    const cache = this.#cache;
    return cache[slot] === operation && cache[slot + 1] === f && cache[slot + 2] === g;
  }

  /** The cache may have grown since the result was looked for, so its slot is sought again. */
  #remember(operation: number, f: Node, g: Node, result: Node): void {
    const slot = this.#slot(operation, f, g);
    const cache = this.#cache;
    cache[slot] = operation;
    cache[slot + 1] = f;
    cache[slot + 2] = g;
    cache[slot + 3] = result;
  }

  /** The result where it can be seen at once, else OPEN. */
  #shortcut(operation: number, f: Node, g: Node): Node {
    switch (operation) {
      case AND:
        if (f === NO || g === NO) return NO;
        if (f === YES || f === g) return g;
        return g === YES ? f : OPEN;
      case OR:
        if (f === YES || g === YES) return YES;
        if (f === NO || f === g) return g;
        return g === NO ? f : OPEN;
      case LESS:
        if (f === NO || g === YES || f === g) return NO;
        return g === NO ? f : OPEN;
      case OVER:
        if (f === FALL) return g;
        if (f === g || g === FALL) return f;
        return (this.#openEndsOf(f) & TO_FALL) === 0 ? f : OPEN;
      case GUARD:
        if (f === YES) return g;
        return f === NO || g === FALL ? FALL : OPEN;
      case THEN:
        if (f === ACCEPT) return g;
        return g === ACCEPT || (this.#openEndsOf(f) & TO_ACCEPT) === 0 ? f : OPEN;
      case RETURNING:
        if (f === RETURN) return g;
        return (this.#openEndsOf(f) & TO_RETURN) === 0 ? f : OPEN;
      default: {
        const pairing = this.#pairings.get(operation);
        if (pairing === undefined) return OPEN;
        if (f === g && pairing.same !== undefined) return pairing.same;
        return f < 0 && g < 0 ? pairing.combine(valueOf(f), valueOf(g)) : OPEN;
      }
    }
  }

  #apply(operation: number, left: Node, right: Node): Node {
    const seen = this.#shortcut(operation, left, right);
    if (seen !== OPEN) return seen;
    const swap = operation <= OR && left > right;
    const f = swap ? right : left;
    const g = swap ? left : right;
    const slot = this.#slot(operation, f, g);
    if (this.#isCached(slot, operation, f, g)) return this.#cache[slot + 3] ?? NO;
    this.#enter();
    const levelF = this.levelOf(f);
    const levelG = this.levelOf(g);
    const mark = this.#top;
    let i = this.firstEdgeOf(f);
    let j = this.firstEdgeOf(g);
    if (levelF < levelG) {
      for (const end = this.endEdgeOf(f); i < end; i++) {
        const child = this.#apply(operation, this.toOf(i), g);
        this.#push(mark, this.hiOf(i), child);
      }
    } else if (levelG < levelF) {
      for (const end = this.endEdgeOf(g); j < end; j++) {
        const child = this.#apply(operation, f, this.toOf(j));
        this.#push(mark, this.hiOf(j), child);
      }
    } else {
      const end = this.endEdgeOf(f);
      const endG = this.endEdgeOf(g);
      while (i < end) {
        const hiF = this.hiOf(i);
        const hiG = this.hiOf(j);
        // Of a large diagram what a small one has not is passed over.
        const ofF = hiF > hiG ? outside(operation, this.toOf(i)) : OPEN;
        if (ofF !== OPEN) {
          this.#push(mark, hiF, ofF);
          j = this.edgeFrom(j, endG, hiF + 1);
          i++;
          continue;
        }
        const ofG = hiG > hiF && operation <= OR ? outside(operation, this.toOf(j)) : OPEN;
        if (ofG !== OPEN) {
          this.#push(mark, hiG, ofG);
          j++;
          i = j === endG ? end : this.edgeFrom(i, end, hiG + 1);
          continue;
        }
        const child = this.#apply(operation, this.toOf(i), this.toOf(j));
        this.#push(mark, hiF < hiG ? hiF : hiG, child);
        if (hiF <= hiG) i++;
        if (hiG <= hiF) j++;
      }
    }
    const result = this.#finish(Math.min(levelF, levelG), mark);
    this.#depth--;
    this.#remember(operation, f, g, result);
    return result;
  }

  // --- looking ---------------------------------------------------------------------------------------------------------------------

  /** The terminal, or the node at or below `floor`, that these values lead to. */
  evaluate(node: Node, valueAt: (level: number) => number, floor = BOTTOM): Node {
    let at = node;
    while (at >= 0 && this.levelOf(at) < floor) at = this.#childAt(at, valueAt(this.levelOf(at)));
    return at;
  }

  /** Inner nodes and terminals that can be reached from `node`, children before parents. */
  reachable(node: Node): readonly Node[] {
    const order: Node[] = [];
    const seen = new Set([node]);
    // A list in place of calls: a diagram may be deeper than the machine's stack.
    const open: { readonly node: Node; edge: number; readonly end: number }[] = [];
    const enter = (at: Node): void => {
      const edge = at < 0 ? 0 : this.firstEdgeOf(at);
      open.push({ node: at, edge, end: at < 0 ? 0 : this.endEdgeOf(at) });
    };
    enter(node);
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      if (top.edge === top.end) {
        open.pop();
        order.push(top.node);
        continue;
      }
      const to = this.toOf(top.edge++);
      if (seen.has(to)) continue;
      seen.add(to);
      enter(to);
    }
    return order;
  }

  /** The terminals of a diagram. */
  terminalsOf(node: Node): readonly Node[] {
    return this.reachable(node).filter((at) => at < 0);
  }

  /** The set of what leads to each terminal but NO. By halves and their halves: a diagram with many terminals is not gone through for each of them. */
  setsOf(node: Node): ReadonlyMap<Node, Node> {
    const sets = new Map<Node, Node>();
    const divide = (part: Node, ends: readonly Node[]): void => {
      const [only] = ends;
      if (only === undefined) return;
      if (ends.length === 1) {
        const set = this.mapping((end) => (end === only ? YES : NO));
        sets.set(only, this.substitute(set, part));
        return;
      }
      const middle = ends.length >>> 1;
      for (const half of [ends.slice(0, middle), ends.slice(middle)]) {
        const kept = new Set(half);
        const less = this.mapping((end) => (kept.has(end) ? end : NO));
        divide(this.substitute(less, part), half);
      }
    };
    divide(
      node,
      this.terminalsOf(node)
        .filter((end) => end !== NO)
        .sort((a, b) => b - a),
    );
    return sets;
  }

  /** The levels that matter to a diagram, in order. */
  supportOf(node: Node): readonly number[] {
    if (node < 0) return [];
    if (this.#visits.length < this.#pairs) this.#visits = new Int32Array(this.#pair.length >> 1);
    const visit = ++this.#visit;
    const levels = new Set<number>();
    const open = [node];
    this.#visits[node] = visit;
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      levels.add(this.levelOf(at));
      const end = this.endEdgeOf(at);
      for (let edge = this.firstEdgeOf(at); edge < end; edge++) {
        const to = this.toOf(edge);
        if (to < 0 || this.#visits[to] === visit) continue;
        this.#visits[to] = visit;
        open.push(to);
      }
    }
    return [...levels].sort((a, b) => a - b);
  }

  /** How many points of all levels a set holds. */
  count(set: Node): bigint {
    const below: bigint[] = [1n];
    for (let level = this.#max.length - 1; level >= 0; level--)
      below.unshift((below[0] ?? 1n) * (BigInt(this.maxOf(level)) + 1n));
    const levelOf = (node: Node): number => Math.min(this.levelOf(node), this.#max.length);
    const counts = new Map<Node, bigint>();
    const whole = (node: Node, from: number): bigint =>
      ((counts.get(node) ?? 0n) * (below[from] ?? 1n)) / (below[levelOf(node)] ?? 1n);
    for (const node of this.reachable(set)) {
      if (node < 0) {
        counts.set(node, node === YES ? 1n : 0n);
        continue;
      }
      const next = this.levelOf(node) + 1;
      let total = 0n;
      let from = 0;
      for (const { hi, to } of this.edgesOf(node)) {
        total += BigInt(hi - from + 1) * whole(to, next);
        from = hi + 1;
      }
      counts.set(node, total);
    }
    return whole(set, 0);
  }
}

/** What an operation gives where its first operand is this, whatever the second is; else OPEN. */
function outside(operation: number, f: Node): Node {
  switch (operation) {
    case AND:
    case LESS:
      return f === NO ? NO : OPEN;
    case OR:
      return f === YES ? YES : OPEN;
    case GUARD:
      return f === NO ? FALL : OPEN;
    default:
      return OPEN;
  }
}

function grown(words: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(words.length * 2);
  larger.set(words);
  return larger;
}
