/**
 * A diagram that is only asked any more: one array of integers, walked by binary search, and in front of it a table of the single destinations that
 * rules name, which most packets of a host with many machines are for.
 */
import type { Diagrams, Node } from './diagram.ts';

/** Runs of edges at least this long are searched; shorter ones are gone through. */
const SHORT = 8;

/** A level with fewer values than this has its children listed by value. */
const MOST_LISTED = 8;

const LEVEL_BITS = 8;
const LEVELS = 1 << LEVEL_BITS;

/** Octets from which on packets go together, and how many. */
const LARGE = 1 << 19;
const BATCH = 64;

/** What is looked up at once: the value of these two levels together, the first times 256. */
const WIDTH_OF_SECOND = 256;

export class Frozen {
  /** The levels that it asks for, in order. A packet is this many values, one for each. */
  readonly levels: readonly number[];
  /**
   * For each node: its level's place in `levels` and its number of edges in one word, their `hi`s, their children; or, with 0 edges, a child for each value. A
   * child below 0 is a terminal, else a place in this array.
   */
  readonly #words: Int32Array;
  readonly #root: number;
  /** Open addressing, two words an entry: a destination and where it leads, -1 and 0 for none. Empty where nothing dispatches on destinations. */
  readonly #destinations: Int32Array;

  /** `destination`: the two levels of an IPv4 destination, for the table. */
  constructor(diagrams: Diagrams, root: Node, destination?: readonly [number, number]) {
    this.levels = diagrams.supportOf(root);
    const placeOfLevel = new Map(this.levels.map((level, index) => [level, index]));
    // The root first, children near their parents.
    const nodes = diagrams.reachable(root).filter((node) => node >= 0);
    nodes.reverse();
    const places = new Map<Node, number>();
    let size = 0;
    const isListed = (node: Node): boolean => diagrams.maxOf(diagrams.levelOf(node)) < MOST_LISTED;
    for (const node of nodes) {
      places.set(node, size);
      size += 1 + (isListed(node) ? diagrams.maxOf(diagrams.levelOf(node)) + 1 : 2 * diagrams.edgesOf(node).length);
    }
    const words = new Int32Array(size);
    const placeOf = (to: Node): number => (to < 0 ? to : (places.get(to) ?? 0));
    for (const node of nodes) {
      const place = places.get(node) ?? 0;
      const edges = diagrams.edgesOf(node);
      const level = placeOfLevel.get(diagrams.levelOf(node)) ?? 0;
      if (isListed(node)) {
        words[place] = level;
        let value = 0;
        for (const { hi, to } of edges) for (; value <= hi; value++) words[place + 1 + value] = placeOf(to);
      } else {
        words[place] = level + edges.length * LEVELS;
        for (const [index, { hi, to }] of edges.entries()) {
          words[place + 1 + index] = hi;
          words[place + 1 + edges.length + index] = placeOf(to);
        }
      }
    }
    this.#words = words;
    this.#root = root < 0 ? root : (places.get(root) ?? 0);
    const named = destination === undefined ? [] : namedDestinations(diagrams, root, destination);
    const isDispatching = destination?.every((level, index) => this.levels[index] === level) === true;
    this.#destinations = isDispatching
      ? tableOf(named.map(([value, to]) => [value, to < 0 ? to : (places.get(to) ?? 0)]))
      : new Int32Array(0);
  }

  get octets(): number {
    return this.#words.byteLength + this.#destinations.byteLength;
  }

  /** The terminal of the packet whose values, one for each of `levels`, begin at `offset`. */
  classify(values: Uint32Array, offset = 0): Node {
    let at = this.#rootOf(values, offset);
    while (at >= 0) at = this.#step(at, this.#words[at] ?? 0, values, offset);
    return at;
  }

  /**
   * The terminals of many packets, of which each has `width` values. Where the array is larger than the processor keeps close by, it waits for memory at each
   * node; so many packets go a node at a time together, and the first words of the nodes that they have come to are read one after the other.
   */
  classifyAll(values: Uint32Array, width: number, found: Int32Array): void {
    if (this.octets < LARGE) {
      for (let index = 0; index < found.length; index++) found[index] = this.classify(values, index * width);
      return;
    }
    const words = this.#words;
    const open = new Int32Array(BATCH);
    const heads = new Int32Array(BATCH);
    for (let start = 0; start < found.length; start += BATCH) {
      const end = Math.min(start + BATCH, found.length);
      let count = 0;
      for (let index = start; index < end; index++) {
        const at = this.#rootOf(values, index * width);
        found[index] = at;
        if (at >= 0) open[count++] = index;
      }
      while (count > 0) {
        for (let one = 0; one < count; one++) heads[one] = words[found[open[one] ?? 0] ?? 0] ?? 0;
        let left = 0;
        for (let one = 0; one < count; one++) {
          const index = open[one] ?? 0;
          const at = this.#step(found[index] ?? 0, heads[one] ?? 0, values, index * width);
          found[index] = at;
          if (at >= 0) open[left++] = index;
        }
        count = left;
      }
    }
  }

  /** Where a packet begins. */
  #rootOf(values: Uint32Array, offset: number): number {
    const table = this.#destinations;
    if (table.length === 0) return this.#root;
    const wanted = ((values[offset] ?? 0) * WIDTH_OF_SECOND + (values[offset + 1] ?? 0)) | 0;
    const mask = table.length - 1;
    let slot = slotOf(wanted, mask);
    for (;;) {
      const to = table[slot + 1] ?? 0;
      if (to === NONE) return this.#root;
      if (table[slot] === wanted) return to;
      slot = (slot + 2) & mask;
    }
  }

  /** From a node, with its first word, to the next. */
  #step(at: number, head: number, values: Uint32Array, offset: number): number {
    const words = this.#words;
    const value = values[offset + (head & (LEVELS - 1))] ?? 0;
    const count = head >>> LEVEL_BITS;
    let low = at + 1;
    if (count === 0) return words[low + value] ?? -1;
    if (count <= SHORT) {
      // `>>> 0`: values above 2^31 stand in the array as negative numbers.
      while ((words[low] ?? 0) >>> 0 < value) low++;
    } else {
      let high = low + count - 1;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if ((words[middle] ?? 0) >>> 0 < value) low = middle + 1;
        else high = middle;
      }
    }
    return words[low + count] ?? -1;
  }
}

/** An entry of the table that is free. No place is so small, and no terminal. */
const NONE = -0x80000000;

const slotOf = (value: number, mask: number): number => {
  const hash = Math.imul(value, 0x9e3779b1);
  return (2 * (hash ^ (hash >>> 15))) & mask;
};

function tableOf(entries: readonly (readonly [number, number])[]): Int32Array {
  if (entries.length === 0) return new Int32Array(0);
  let size = 4;
  while (size < 4 * entries.length) size *= 2;
  const table = new Int32Array(size);
  for (let slot = 1; slot < size; slot += 2) table[slot] = NONE;
  for (const [value, to] of entries) {
    let slot = slotOf(value, size - 1);
    while (table[slot + 1] !== NONE) slot = (slot + 2) & (size - 1);
    table[slot] = value;
    table[slot + 1] = to;
  }
  return table;
}

/** The destinations that have an edge of their own, and where it leads. */
function namedDestinations(
  diagrams: Diagrams,
  root: Node,
  [first, second]: readonly [number, number],
): readonly (readonly [number, Node])[] {
  const found: (readonly [number, Node])[] = [];
  const single = function* (node: Node): Generator<readonly [number, Node]> {
    let next = 0;
    for (const { hi, to } of diagrams.edgesOf(node)) {
      if (hi === next) yield [hi, to];
      next = hi + 1;
    }
  };
  if (diagrams.levelOf(root) !== first) return found;
  for (const [high, below] of single(root)) {
    if (diagrams.levelOf(below) !== second) continue;
    for (const [low, to] of single(below)) found.push([(high * WIDTH_OF_SECOND + low) | 0, to]);
  }
  return found;
}
