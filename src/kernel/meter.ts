/**
 * How fast the kernel's helper is by itself: of what a campaign asks, some cases are asked once more, all at once and with nobody who makes cases, plays them in the model
 * or compares. Those are spread evenly over the campaign, so that they are of every kind, and of its beginning as well.
 */
import type { Kernel } from './client.ts';

/** A kernel of which much is asked before the first answer is read. */
export type BegunKernel = Pick<Kernel, 'world' | 'beginCase'>;

/** The same, which knows what it took to make worlds. */
export type MeteredKernel = Pick<Kernel, 'world' | 'beginCase' | 'millisecondsForWorlds'>;

/** Of so many cases one is asked again. */
const SAMPLED_EVERY = 20;

type Again = () => () => unknown;

/** Passes everything on to a kernel, and asks some of it again when it is told to. */
export class Meter implements BegunKernel {
  readonly #kernel: MeteredKernel;
  #cases = 0;
  readonly #sampled = { cases: 0, milliseconds: 0 };
  #sample: Again[] = [];

  constructor(kernel: MeteredKernel) {
    this.#kernel = kernel;
  }

  /** What the helper by itself would have taken for all that has been asked, with the worlds that it had to make for it. */
  get milliseconds(): number {
    const { cases, milliseconds } = this.#sampled;
    return this.#kernel.millisecondsForWorlds + (cases === 0 ? 0 : (milliseconds * this.#cases) / cases);
  }

  world(...given: Parameters<Kernel['world']>): ReturnType<Kernel['world']> {
    return this.#kernel.world(...given);
  }

  beginCase(...given: Parameters<Kernel['beginCase']>): ReturnType<Kernel['beginCase']> {
    const [, , , keep = false] = given;
    // What goes on with the connections before goes on with the case.
    if (!keep) this.#cases++;
    if (this.#cases % SAMPLED_EVERY === 1) {
      if (!keep) this.#sampled.cases++;
      this.#sample.push(() => this.#kernel.beginCase(...given));
    }
    return this.#kernel.beginCase(...given);
  }

  /** Asks the sample of what came since the last time. Not while a case is under way. */
  measure(): void {
    const start = performance.now();
    let last: (() => unknown) | undefined;
    for (const again of this.#sample) last = again();
    last?.();
    this.#sampled.milliseconds += performance.now() - start;
    this.#sample = [];
  }
}
