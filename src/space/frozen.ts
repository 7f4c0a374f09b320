/**
 * A diagram that is only asked any more: one array of integers, walked by binary search, and in front of it a table of the single destinations that
 * rules name, which most packets of a host with many machines are for.
 */
import type { Diagrams, Node } from './diagram.ts';

/** Runs of edges at least this long are searched; shorter ones are gone through. */
const SHORT = 8;

/** What is looked up at once: the value of these two levels together, the first times 256. */
const WIDTH_OF_SECOND = 256;

export class Frozen {
  /** The levels that it asks for, in order. A packet is this many values, one for each. */
  readonly levels: readonly number[];
  /** For each node: its level's place in `levels`, its number of edges, their `hi`s, their children. A child below 0 is a terminal, else a place in this array. */
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
    for (const node of nodes) {
      places.set(node, size);
      size += 2 + 2 * diagrams.edgesOf(node).length;
    }
    const words = new Int32Array(size);
    for (const node of nodes) {
      const place = places.get(node) ?? 0;
      const edges = diagrams.edgesOf(node);
      words[place] = placeOfLevel.get(diagrams.levelOf(node)) ?? 0;
      words[place + 1] = edges.length;
      for (const [index, { hi, to }] of edges.entries()) {
        words[place + 2 + index] = hi;
        words[place + 2 + edges.length + index] = to < 0 ? to : (places.get(to) ?? 0);
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
    const words = this.#words;
    let at = this.#root;
    if (this.#destinations.length > 0) {
      const table = this.#destinations;
      const wanted = ((values[offset] ?? 0) * WIDTH_OF_SECOND + (values[offset + 1] ?? 0)) | 0;
      const mask = table.length - 1;
      let slot = slotOf(wanted, mask);
      for (;;) {
        const to = table[slot + 1] ?? 0;
        if (to === NONE) break;
        if (table[slot] === wanted) {
          at = to;
          break;
        }
        slot = (slot + 2) & mask;
      }
    }
    while (at >= 0) {
      const value = values[offset + (words[at] ?? 0)] ?? 0;
      const count = words[at + 1] ?? 0;
      let low = at + 2;
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
      at = words[low + count] ?? -1;
    }
    return at;
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
