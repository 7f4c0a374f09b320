/** A diagram that is only asked any more: one array of integers, walked by binary search. */
import type { Diagrams, Node } from './diagram.ts';

/** Runs of edges at least this long are searched; shorter ones are gone through. */
const SHORT = 8;

export class Frozen {
  /** For each node: its level, its number of edges, their `hi`s, their children. A child below 0 is a terminal, else a place in this array. */
  readonly #words: Int32Array;
  readonly #root: number;
  /** The levels that it asks for. */
  readonly levels: readonly number[];

  constructor(diagrams: Diagrams, root: Node) {
    const order = diagrams.reachable(root).filter((node) => node >= 0);
    // The root first, children near their parents.
    const nodes = [...order].reverse();
    const places = new Map<Node, number>();
    let size = 0;
    for (const node of nodes) {
      places.set(node, size);
      size += 2 + 2 * diagrams.edgesOf(node).length;
    }
    this.#words = new Int32Array(size);
    for (const node of nodes) {
      const place = places.get(node) ?? 0;
      const edges = diagrams.edgesOf(node);
      this.#words[place] = diagrams.levelOf(node);
      this.#words[place + 1] = edges.length;
      for (const [index, { hi, to }] of edges.entries()) {
        this.#words[place + 2 + index] = hi;
        this.#words[place + 2 + edges.length + index] = to < 0 ? to : (places.get(to) ?? 0);
      }
    }
    this.#root = root < 0 ? root : (places.get(root) ?? 0);
    this.levels = diagrams.supportOf(root);
  }

  get octets(): number {
    return this.#words.byteLength;
  }

  /** The terminal of the packet whose levels' values begin at `offset`. */
  classify(values: Uint32Array, offset = 0): Node {
    const words = this.#words;
    let at = this.#root;
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
