/**
 * Comparisons one after the other, of which several are under way: while the kernel is busy with one case the model reads the next one's rules, plays its packets, and
 * compares what the kernel has answered to those before. The kernel is asked the same, in the same order, as without.
 */
import type { Comparing, Pause } from './compare.ts';

/** Comparisons that have asked all that they ask, and wait for their turn to read what was answered. */
const AHEAD = 4;

/** The comparisons' ends, in their order. */
export function* overlapped<T>(comparings: Iterable<Comparing<T>>): Generator<T> {
  const begun: Running<T>[] = [];
  for (const comparing of comparings) {
    const running = new Running(comparing);
    running.goTo('load');
    const before = begun.at(-1);
    // Who asks more when he has read an answer is not overtaken, and those in front of him are compared while he waits.
    if (before?.mayAskMore === true) {
      while (begun.length > 1) yield* endOf(begun);
      before.goTo('asked');
    }
    running.goOn();
    begun.push(running);
    while (begun.length > AHEAD) yield* endOf(begun);
  }
  while (begun.length > 0) yield* endOf(begun);
}

/** Several comparisons as one, none of which comes in another's way: all of them ask before the first is compared. */
export function* together<T>(comparings: readonly Comparing<T>[]): Comparing<readonly T[]> {
  const all = comparings.map((comparing) => new Running(comparing));
  for (const running of all) running.goOn();
  yield all.some(({ mayAskMore }) => mayAskMore) ? 'answer' : 'asked';
  return all.map((running) => running.end());
}

function* endOf<T>(begun: Running<T>[]): Generator<T> {
  const first = begun.shift();
  if (first !== undefined) yield first.end();
}

class Running<T> {
  readonly #comparing: Comparing<T>;
  #pause: Pause | undefined;
  #end: (() => T) | undefined;

  constructor(comparing: Comparing<T>) {
    this.#comparing = comparing;
  }

  get mayAskMore(): boolean {
    return this.#end === undefined && this.#pause !== 'asked';
  }

  /** To the next pause. What is thrown is thrown again where the end is asked for: those in front end first. */
  goOn(): void {
    if (this.#end !== undefined) return;
    try {
      const { done, value } = this.#comparing.next();
      if (done === true) this.#end = () => value;
      else this.#pause = value;
    } catch (error) {
      this.#end = () => {
        throw error;
      };
    }
  }

  /** Goes on to such a pause; to the end where there is none. */
  goTo(pause: Pause): void {
    do this.goOn();
    while (this.#pause !== pause && this.#end === undefined);
  }

  end(): T {
    while (this.#end === undefined) this.goOn();
    return this.#end();
  }
}
