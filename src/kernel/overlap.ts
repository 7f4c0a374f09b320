/**
 * Comparisons one after the other, of which two are under way: the model reads the next case's rules while the kernel answers to this one's packets, and compares
 * those while the kernel loads the next rules. The kernel is asked the same, in the same order, as without.
 */
import { finished, type Comparing, type Comparison, type Pause } from './compare.ts';

/** The comparisons' ends, in their order. */
export function* overlapped(comparings: Iterable<Comparing>): Generator<Comparison> {
  let before: Running | undefined;
  for (const comparing of comparings) {
    const running = new Running(comparing);
    running.goTo('load');
    before?.goTo('asked');
    running.goTo('answer');
    if (before !== undefined) yield before.end();
    // The rules are loaded now, and the first packets sent.
    running.goTo('answer');
    before = running;
  }
  if (before !== undefined) yield before.end();
}

class Running {
  readonly #comparing: Comparing;
  #end: Comparison | undefined;

  constructor(comparing: Comparing) {
    this.#comparing = comparing;
  }

  /** Goes on to the next such pause; to the end where there is none. */
  goTo(pause: Pause): void {
    while (this.#end === undefined) {
      const { done, value } = this.#comparing.next();
      if (done === true) this.#end = value;
      else if (value === pause) return;
    }
  }

  end(): Comparison {
    this.#end ??= finished(this.#comparing);
    return this.#end;
  }
}
