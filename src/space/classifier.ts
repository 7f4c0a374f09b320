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
  /** What the table makes of a packet at its hook; several outcomes where a match is not modelled. */
  readonly classify: (skb: Skb) => readonly Outcome[];
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
  const frozen = new Frozen(diagrams, diagrams.substitute(diagrams.mapping(endOf, layout.floor), node));
  return {
    family: ruleset.family,
    space,
    frozen,
    classify: (skb) => ends[-1 - frozen.classify(pointOfSkb(layout, skb).values)] ?? [],
  };
}
