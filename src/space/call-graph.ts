/**
 * The chains of a table by number, and which of them lead to which. There may be as many chains as a host has machines, and each is asked for wherever it is called: by its
 * number then, not by its name.
 */
import type { Action } from '../netfilter/compile.ts';
import type { Chain, Target } from '../ruleset/rule.ts';

/** Actions that change a packet and let it go on. */
export const CHANGES: ReadonlySet<Action['kind']> = new Set(['mark', 'connmark', 'ttl', 'untrack']);

/** What stands in a chain, as far as its surroundings need to know: bits. */
const CHANGES_SOME = 1;
const CONTINUES_SOME = 2;
const TRANSLATES_SOME = 4;

/** No chain has this number. */
export const NO_CHAIN = -1;

/** How far a chain has been gone through. */
const IS_OPEN = 1;
const IS_DONE = 2;

/** Chains by number, those that are called before those that call. */
export interface CallOrder {
  readonly order: readonly number[];
  /** False where a chain is missing, or leads to itself. */
  readonly isWhole: boolean;
}

export class CallGraph {
  /** A name has the same number in every table of a space: so a chain is found again in another ruleset. */
  readonly #numbers: Map<string, number>;
  readonly #chains: readonly (Chain | undefined)[];
  readonly #bits: Uint8Array;
  /** Where a chain's calls begin among all, and where they end. */
  readonly #starts: Int32Array;
  readonly #ends: Int32Array;
  readonly #calls: number[] = [];

  /** `numbers` is added to. */
  constructor(
    chains: ReadonlyMap<string, Chain>,
    numbers: Map<string, number>,
    actionOf: (target: Target | undefined) => Action,
  ) {
    this.#numbers = numbers;
    for (const name of chains.keys()) this.#numbered(name);
    const byNumber = new Array<Chain | undefined>(numbers.size).fill(undefined);
    this.#chains = byNumber;
    this.#bits = new Uint8Array(numbers.size);
    this.#starts = new Int32Array(numbers.size);
    this.#ends = new Int32Array(numbers.size);
    for (const [name, chain] of chains) {
      const number = this.#numbered(name);
      byNumber[number] = chain;
      this.#starts[number] = this.#calls.length;
      let bits = 0;
      for (const { target } of chain.rules) {
        const action = actionOf(target);
        if (action.kind === 'jump' || action.kind === 'goto') this.#calls.push(this.#numbered(action.chain));
        else if (action.kind === 'continue') bits |= CONTINUES_SOME;
        else if (action.kind === 'nat') bits |= TRANSLATES_SOME;
        else if (CHANGES.has(action.kind)) bits |= CHANGES_SOME;
      }
      this.#bits[number] = bits;
      this.#ends[number] = this.#calls.length;
    }
  }

  #numbered(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    this.#numbers.set(name, this.#numbers.size);
    return this.#numbers.size - 1;
  }

  /** All numbers of chains are below. */
  get size(): number {
    return this.#numbers.size;
  }

  /** NO_CHAIN for a name that nobody has given or called. */
  numberOf(name: string): number {
    return this.#numbers.get(name) ?? NO_CHAIN;
  }

  /** Undefined: the table has no such chain. */
  chainAt(number: number): Chain | undefined {
    return this.#chains[number];
  }

  /** The chains that its rules jump or go to, in order. */
  callsOf(number: number): readonly number[] {
    return this.#calls.slice(this.#starts[number], this.#ends[number]);
  }

  /** Some rule changes packets and lets them go on. */
  changesSome(number: number): boolean {
    return ((this.#bits[number] ?? 0) & CHANGES_SOME) !== 0;
  }

  /** Some rule does nothing to a packet of which outcomes tell, unless it is asked for. */
  continuesSome(number: number): boolean {
    return ((this.#bits[number] ?? 0) & CONTINUES_SOME) !== 0;
  }

  translatesSome(number: number): boolean {
    return ((this.#bits[number] ?? 0) & TRANSLATES_SOME) !== 0;
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
}
