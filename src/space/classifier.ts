/** Concrete packets by the million: one table of a ruleset as a frozen diagram. */
import type { Family } from '../address/address.ts';
import type { Host } from '../host/host.ts';
import type { Backend, Skb } from '../netfilter/skb.ts';
import type { HookName, Ruleset, TableName } from '../ruleset/rule.ts';
import type { Node } from './diagram.ts';
import { Frozen } from './frozen.ts';
import type { Outcome } from './outcome.ts';
import { pointOfSkb } from './point.ts';
import { Space } from './space.ts';

export interface ClassifierOptions {
  readonly backend?: Backend;
  readonly host?: Host;
  readonly table?: TableName;
  readonly hook?: HookName;
  /** The outcome names the rule that decided. */
  readonly deciding?: boolean;
}

export interface Classifier {
  readonly family: Family;
  readonly space: Space;
  readonly frozen: Frozen;
  /** What the table can make of a packet. */
  readonly ends: readonly (readonly Outcome[])[];
  /** What the table makes of a packet at its hook; several outcomes where a match is not modelled. */
  readonly classify: (skb: Skb) => readonly Outcome[];
  /** Packets as `classifyAll` takes them: of each the values of `frozen.levels`. */
  readonly pack: (skbs: readonly Skb[]) => Uint32Array;
  /** For each packet the place of its outcomes in `ends`. By the million: nothing is made for a packet. */
  readonly classifyAll: (packed: Uint32Array) => Int32Array;
}

/** Compiles one table at one hook (filter FORWARD unless said otherwise). Throws SpaceLimitError. */
export function compile(ruleset: Ruleset, options: ClassifierOptions = {}): Classifier {
  const { backend = 'nft', host, table = 'filter', hook = 'FORWARD', deciding = false } = options;
  const space = new Space([ruleset], {
    family: ruleset.family,
    backend,
    parts: true,
    ...(host === undefined ? {} : { host }),
  });
  const { layout, outcomes } = space;
  const { diagrams } = layout;
  const next = outcomes.node({ kind: 'accepted' });
  const node = space.table(ruleset, table, hook, { deciding, logs: false }, { next });
  // What is not known stands at the bottom: each of its functions becomes one terminal of the frozen form.
  const ends: (readonly Outcome[])[] = [];
  const places = new Map<Node, Node>();
  const endOf = (end: Node): Node => {
    const known = places.get(end);
    if (known !== undefined) return known;
    const made = -1 - ends.length;
    ends.push(diagrams.terminalsOf(end).flatMap((one) => outcomes.of(one) ?? []));
    places.set(end, made);
    return made;
  };
  const [high = 0, low = 0, ...more] = layout.wordLevels('daddr');
  const root = diagrams.substitute(diagrams.mapping(endOf, layout.floor), node);
  const frozen = new Frozen(diagrams, root, more.length === 0 ? [high, low] : undefined);
  const packInto = (skb: Skb, packed: Uint32Array, offset: number): void => {
    const { values } = pointOfSkb(layout, skb);
    for (const [index, level] of frozen.levels.entries()) packed[offset + index] = values[level] ?? 0;
  };
  // A packet has a place even where nothing is asked of it.
  const width = Math.max(1, frozen.levels.length);
  const one = new Uint32Array(width);
  return {
    family: ruleset.family,
    space,
    frozen,
    ends,
    classify: (skb) => {
      packInto(skb, one, 0);
      return ends[-1 - frozen.classify(one)] ?? [];
    },
    pack: (skbs) => {
      const packed = new Uint32Array(skbs.length * width);
      for (const [index, skb] of skbs.entries()) packInto(skb, packed, index * width);
      return packed;
    },
    classifyAll: (packed) => {
      const found = new Int32Array(packed.length / width);
      frozen.classifyAll(packed, width, found);
      for (let index = 0; index < found.length; index++) found[index] = -1 - (found[index] ?? 0);
      return found;
    },
  };
}
