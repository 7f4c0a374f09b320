/**
 * Targets that are not modelled, read every way: one may end the walk, let the packet go on to the next rule, or accept it. Which of these it does is an unknown of its own, so the same target at the
 * same place does the same on both sides of a difference. What it may do to the packet besides is not read.
 */
import { NO, type Node } from './diagram.ts';
import type { Layout } from './layout.ts';

const [ENDS, GOES_ON, ACCEPTS] = [0, 1, 2] as const;

export interface Readings {
  readonly ends: Node;
  readonly goesOn: Node;
  readonly accepts: Node;
}

export class TargetReadings {
  readonly #layout: Layout;
  readonly #levels = new Set<number>();
  #met = 0;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  /** How often a target was met: what was made in between depends on its place. */
  get met(): number {
    return this.#met;
  }

  /** What becomes of a packet that meets the target of this name. */
  node(name: string, { ends, goesOn, accepts }: Readings): Node {
    this.#met++;
    const level = this.#layout.unknown(name, ACCEPTS);
    this.#levels.add(level);
    return this.#layout.diagrams.node(level, [
      { hi: ENDS, to: ends },
      { hi: GOES_ON, to: goesOn },
      { hi: ACCEPTS, to: accepts },
    ]);
  }

  /** The packets of a set if each target ends the walk. */
  asIfEnded(set: Node): Node {
    const { diagrams } = this.#layout;
    return this.#asked(set).reduce((node, level) => diagrams.restrict(node, level, ENDS), set);
  }

  /** The packets that are of a set in some reading of the targets. */
  inSome(set: Node): Node {
    const { diagrams } = this.#layout;
    return this.#asked(set).reduce(
      (node, level) =>
        diagrams.orAll([ENDS, GOES_ON, ACCEPTS].map((reading) => diagrams.restrict(node, level, reading))),
      set,
    );
  }

  #asked(set: Node): readonly number[] {
    if (set === NO || this.#levels.size === 0) return [];
    return this.#layout.diagrams.supportOf(set).filter((level) => this.#levels.has(level));
  }
}

/** Packets that fare otherwise in one way, told apart from others of the kind by more than that. */
interface Changed {
  readonly classes: readonly string[];
  readonly packets: Node;
}

/**
 * What is so if each target that is not modelled ends the walk, as it was; and what is so only if one does not, with `asUndecided` made of it. Packets that are only marked or logged otherwise then are told
 * of as such.
 */
export function readBothWays<T extends Changed>(
  { diagrams }: Layout,
  readings: TargetReadings,
  changes: readonly T[],
  isSlight: (change: T) => boolean,
  asUndecided: (change: T) => T,
): readonly T[] {
  const certain = changes.map((change): T => ({ ...change, packets: readings.asIfEnded(change.packets) }));
  let told = diagrams.orAll(certain.flatMap((change) => (isSlight(change) ? [] : [change.packets])));
  const doubtful = changes.map((change, index): T => {
    const packets = readings.inSome(change.packets);
    if (isSlight(change)) return { ...change, packets: diagrams.less(packets, certain[index]?.packets ?? NO) };
    const own = diagrams.less(packets, told);
    told = diagrams.or(told, own);
    return asUndecided({ ...change, packets: own });
  });
  return [...certain, ...doubtful].filter(({ packets }) => packets !== NO);
}
