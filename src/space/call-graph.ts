/**
 * The chains of a table by number, what their rules say, and which of them lead to which. There may be as many chains as a host has machines, and each is asked for wherever it is called: by its
 * number then, not by its name.
 */
import type { Chain } from '../ruleset/rule.ts';
import { CHANGES_PACKETS, CONTINUES, NO_CHAIN, TRANSLATES, type RuleBodies } from './rule-bodies.ts';

/** How far a chain has been gone through. */
const IS_OPEN = 1;
const IS_DONE = 2;

const NO_CALL = -1;

/** Chains by number, those that are called before those that call. */
export interface CallOrder {
  readonly order: readonly number[];
  /** False where a chain is missing, or leads to itself. */
  readonly isWhole: boolean;
}

export class CallGraph {
  readonly #chains: readonly (Chain | undefined)[];
  /** What each rule says, chain by chain, and by chain where its rules begin. */
  readonly #bodies: Int32Array;
  readonly #firsts: Int32Array;
  /** What some rule of a chain does: bits. */
  readonly #bits: Uint8Array;
  /** Where a chain's calls begin among all, and where they end. */
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;
  readonly #calls: number[] = [];

  constructor(chains: ReadonlyMap<string, Chain>, bodies: RuleBodies) {
    this.#bodies = bodies.of(chains);
    const numbers = Array.from(chains.keys(), (name) => bodies.numbered(name));
    const byNumber = new Array<Chain | undefined>(bodies.chains).fill(undefined);
    this.#chains = byNumber;
    this.#firsts = new Int32Array(bodies.chains);
    this.#bits = new Uint8Array(bodies.chains);
    this.#starts = new Int32Array(bodies.chains);
    this.#ends = new Int32Array(bodies.chains);
    let at = 0;
    let index = 0;
    for (const chain of chains.values()) {
      const number = numbers[index++] ?? NO_CHAIN;
      byNumber[number] = chain;
      this.#firsts[number] = at;
      this.#starts[number] = this.#calls.length;
      let bits = 0;
      for (const end = at + chain.rules.length; at < end; at++) {
        const body = this.#bodies[at] ?? 0;
        bits |= bodies.bitsOf(body);
        const called = bodies.calledBy(body);
        if (called !== NO_CHAIN) this.#calls.push(called);
      }
      this.#bits[number] = bits;
      this.#ends[number] = this.#calls.length;
    }
  }

  /** All its chains have smaller numbers. */
  get size(): number {
    return this.#chains.length;
  }

  /** Undefined: the table has no such chain. */
  chainAt(number: number): Chain | undefined {
    return this.#chains[number];
  }

  /** What a chain's rule says, from 0. */
  bodyOf(number: number, index: number): number {
    return this.#bodies[(this.#firsts[number] ?? 0) + index] ?? 0;
  }

  /** A number that chains have in common whose rules say the same, and few others. */
  hashOf(number: number): number {
    const first = this.#firsts[number] ?? 0;
    const end = first + (this.#chains[number]?.rules.length ?? 0);
    let hash = end - first;
    for (let at = first; at < end; at++) hash = Math.imul(hash ^ (this.#bodies[at] ?? 0), 0x9e3779b1) ^ (hash >>> 15);
    return hash;
  }

  /** The rules of a chain say what those of another chain of this or another table do, in the same order. */
  saySame(number: number, other: number, graph: CallGraph = this): boolean {
    const [here, there] = [this.#firsts[number] ?? 0, graph.#firsts[other] ?? 0];
    const length = this.#chains[number]?.rules.length ?? 0;
    if (length !== (graph.#chains[other]?.rules.length ?? 0)) return false;
    for (let index = 0; index < length; index++)
      if (this.#bodies[here + index] !== graph.#bodies[there + index]) return false;
    return true;
  }

  /** The chains that its rules jump or go to, in order. */
  callsOf(number: number): readonly number[] {
    return this.#calls.slice(this.#starts[number], this.#ends[number]);
  }

  /** Some rule changes packets and lets them go on. */
  changesSome(number: number): boolean {
    return ((this.#bits[number] ?? 0) & CHANGES_PACKETS) !== 0;
  }

  /** Some rule does nothing to a packet of which outcomes tell, unless it is asked for. */
  continuesSome(number: number): boolean {
    return ((this.#bits[number] ?? 0) & CONTINUES) !== 0;
  }

  translatesSome(number: number): boolean {
    return ((this.#bits[number] ?? 0) & TRANSLATES) !== 0;
  }

  /** The chains that some lead to, but none that is passed over. No recursion: chains may be many. */
  callsFirst(starts: readonly number[], isPassedOver: (chain: number) => boolean = () => false): CallOrder {
    const order: number[] = [];
    const state = new Uint8Array(this.size);
    /** Chains that are gone through, and by chain the call at which that is. */
    const open: number[] = [];
    const next = new Int32Array(this.#starts);
    let isWhole = true;
    const enter = (chain: number): void => {
      if (state[chain] === IS_DONE) return;
      if (state[chain] === IS_OPEN || this.#chains[chain] === undefined) isWhole = false;
      else if (isPassedOver(chain)) state[chain] = IS_DONE;
      else {
        state[chain] = IS_OPEN;
        open.push(chain);
      }
    };
    for (const start of starts) {
      enter(start);
      for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
        const at = next[top] ?? 0;
        next[top] = at + 1;
        if (at < (this.#ends[top] ?? 0)) enter(this.#calls[at] ?? 0);
        else {
          open.pop();
          state[top] = IS_DONE;
          order.push(top);
        }
      }
    }
    return { order, isWhole };
  }

  /** These chains, and those from which a packet can come to one of them. */
  leadingTo(numbers: Iterable<number>): ReadonlySet<number> {
    // By chain its last caller, and behind each call the one of the same chain before it.
    const last = new Int32Array(this.size).fill(NO_CALL);
    const before = new Int32Array(this.#calls.length);
    const callers = new Int32Array(this.#calls.length);
    for (let number = 0; number < this.size; number++)
      for (let at = this.#starts[number] ?? 0; at < (this.#ends[number] ?? 0); at++) {
        const called = this.#calls[at] ?? 0;
        before[at] = last[called] ?? NO_CALL;
        last[called] = at;
        callers[at] = number;
      }
    const leading = new Set(numbers);
    // A set tells what is added to it while it is gone through.
    for (const led of leading)
      for (let at = last[led] ?? NO_CALL; at !== NO_CALL; at = before[at] ?? NO_CALL) leading.add(callers[at] ?? 0);
    return leading;
  }
}
