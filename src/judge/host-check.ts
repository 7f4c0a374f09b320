/**
 * Does the difference of two rulesets on the whole way through a host say what the model says, packet by packet? On one packet for each box of the common refinement: boxes whose packets all come
 * to the same ends under the old rules, and to the same under the new. Each packet must come to the ends that sets say, and be in the difference if and only if it fares otherwise. Of one packet for
 * each box of the regions, and of some that are in none, whole conversations are held as well.
 */
import { zeroAddress, type Address } from '../address/address.ts';
import type { Host } from '../host/host.ts';
import { sourceFor } from '../host/route.ts';
import type { Journey } from '../netfilter/journey.ts';
import { arrive, freshMachine, machineOf, type Machine } from '../netfilter/traverse.ts';
import type { Backend } from '../netfilter/skb.ts';
import { printArrival } from '../packet/notation.ts';
import { isIcmpError, type Arrival, type Entry } from '../packet/packet.ts';
import { anyPattern } from '../packet/pattern.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { partsOf, setOfBox, type Box } from '../space/box.ts';
import type { Node } from '../space/diagram.ts';
import { waysIn } from '../space/host-claim.ts';
import { HostDifferences, type WayRegion } from '../space/host-difference.ts';
import type { HostEnd } from '../space/host-path.ts';
import { HostWays } from '../space/host-ways.ts';
import { pointOfArrival, type Point } from '../space/point.ts';
import { linesOf, looksOf } from '../space/way-witness.ts';
import { arrivalInBox } from '../space/witness.ts';
import { classKey, faring } from './faring.ts';
import { Labels } from './labels.ts';

export interface HostCheck {
  /** Boxes of the refinement, those of them of which no packet could be put together, and those whose packets fare otherwise. */
  readonly boxes: number;
  readonly without: number;
  readonly differing: number;
  /** Regions of the difference. */
  readonly told: readonly WayRegion[];
  /** How many they are, and those whose witness the model has walked. */
  readonly regions: number;
  readonly replayed: number;
  /** First packets whose conversations have been held, and those of them whose conversations go otherwise. */
  readonly held: number;
  readonly otherwise: number;
  /** What disagrees, a sentence each. */
  readonly wrong: readonly string[];
}

export interface HostCheckOptions {
  readonly backend: Backend;
  /** The interfaces that the other rulesets name, and the old one does not. */
  readonly devices?: readonly string[];
  /** Other rulesets that are going to be asked about, where they name more than interfaces. */
  readonly others?: readonly Ruleset[];
  /** Most edges of diagrams that are kept. */
  readonly limit?: number;
  /** Of how many packets that are in no region conversations are held. */
  readonly conversations: number;
}

/** A packet of a box, and where it came to under the old rules. */
interface Sample {
  readonly arrival: Arrival;
  readonly at: Point['at'];
  readonly box: Box;
  readonly was: Ended;
}

/** What is compared of a journey: there are too many to keep them whole. */
interface Ended {
  readonly fate: Journey['fate']['kind'];
  /** Where copies came to, as Labels say it, and all that the journey shows. */
  readonly seen: string;
  readonly looks: string;
}

const ended = (journey: Journey, ruleset: Ruleset): Ended => ({
  fate: journey.fate.kind,
  seen: seenIn(journey),
  looks: looksOf(journey, ruleset),
});

/** First packets that enter by one way, and the old rules' ends of all of them. */
interface Way {
  readonly entry: Entry;
  readonly sent: Node;
  readonly ends: Node;
  /** Packets of which copies are made: their conversations sets do not follow. */
  readonly copied: Node;
  readonly sampled: Sampled;
}

interface Copied {
  readonly entry: Entry;
  readonly packets: Node;
}

interface Sampled {
  readonly samples: readonly Sample[];
  readonly without: number;
}

/** One ruleset of a host, and what is said of its differences from others. */
export class HostChecks {
  readonly #host: Host;
  readonly #old: Ruleset;
  readonly #options: HostCheckOptions;
  readonly #ways: HostWays;
  readonly #differences: HostDifferences;
  readonly #machine: Machine;
  readonly #labels: Labels;
  #known: readonly Way[] | undefined;

  constructor(host: Host, old: Ruleset, options: HostCheckOptions) {
    const { backend, devices = [], others = [], limit } = options;
    this.#host = host;
    this.#old = old;
    this.#options = options;
    this.#ways = new HostWays(host, {
      family: old.family,
      backend,
      rulesets: [old, ...others],
      more: { devices },
      logs: true,
      eachReading: true,
      ...(limit === undefined ? {} : { limit }),
    });
    this.#differences = new HostDifferences(this.#ways, old);
    this.#machine = machineOf(host, [old], backend);
    this.#labels = new Labels(this.#ways.layout);
  }

  /** Throws SpaceLimitError. */
  of(rules: Ruleset): HostCheck {
    const regions = this.#differences.to(rules);
    const wrong = this.#unconfirmed(regions);
    const machine = machineOf(this.#host, [rules], this.#options.backend);
    let [boxes, without, differing] = [0, 0, 0];
    const alike: Arrival[] = [];
    const copied: Copied[] = [];
    for (const way of this.#firsts()) {
      const { entry, ends } = way;
      const nowEnds = this.#ways.ends(rules, entry, way.sent);
      const is = this.#labels.of(nowEnds);
      copied.push({ entry, packets: this.#ways.layout.diagrams.or(way.copied, this.#copiedIn(nowEnds)) });
      const sampled = is === ends ? way.sampled : this.#refined(way, is);
      boxes += sampled.samples.length + sampled.without;
      without += sampled.without;
      const firsts = regions.filter((region) => isFirst(region) && sameWay(region.entry, entry));
      for (const { arrival, at, was } of sampled.samples) {
        const now = ended(arrive(freshMachine(machine), arrival), rules);
        for (const [label, { seen }] of [[ends, was] as const, [is, now] as const]) {
          const said = this.#labels.saidAt(label, at);
          if (said !== undefined && said !== seen)
            wrong.push(`${printArrival(arrival)}: sets say ${said}, the model ${seen}`);
        }
        const differs = was.looks !== now.looks;
        if (differs) differing++;
        const held = firsts.filter(({ packets }) => this.#labels.holds(packets, at));
        // Of what is not modelled the model does not say how it ends.
        const isDoubtful = [was, now].some(({ fate }) => fate === 'undecided');
        if (isDoubtful || held.some(({ classes }) => classes.includes('undecided'))) continue;
        const isIn = held.length > 0;
        if (differs !== isIn)
          wrong.push(
            `${printArrival(arrival)}: ${was.fate}, then ${now.fate}, and the difference ${isIn ? 'has' : 'does not have'} it`,
          );
        if (!isIn) alike.push(arrival);
      }
    }
    const held = [...this.#inRegions(regions), ...spread(alike, this.#options.conversations)];
    const otherwise = held.filter((arrival) => this.#goesOtherwise(arrival, rules, { regions, copied }, wrong)).length;
    const replayed = regions.filter(({ witness }) => witness !== undefined && witness.confirmed !== null).length;
    return {
      told: regions,
      boxes,
      without,
      differing,
      regions: regions.length,
      replayed,
      held: held.length,
      otherwise,
      wrong,
    };
  }

  #unconfirmed(regions: readonly WayRegion[]): string[] {
    return regions.flatMap(({ witness, classes }) => {
      if (witness === undefined) return [`${classes.join()}: no witness was found`];
      return witness.confirmed === false ? [`${linesOf(witness).join('; ')} fares as before, in the model`] : [];
    });
  }

  #firsts(): readonly Way[] {
    const { diagrams, family } = this.#ways.layout;
    this.#known ??= waysIn(this.#ways, [anyPattern(family)]).map(({ entry, region }) => {
      const sent = diagrams.and(region, this.#ways.alive);
      const oldEnds = this.#ways.ends(this.#old, entry, sent);
      const ends = this.#labels.of(oldEnds);
      return { entry, sent, ends, copied: this.#copiedIn(oldEnds), sampled: this.#samplesOf(ends, entry) };
    });
    return this.#known;
  }

  /** A packet of each box of the refinement: of boxes of the old ends those that have one that fares as before keep it. */
  #refined({ entry, ends, sampled }: Way, is: Node): Sampled {
    const { layout, ground } = this.#ways;
    const { diagrams } = layout;
    const changed = diagrams.pair(ground.differ, ends, is);
    const kept = sampled.samples.filter(({ at }) => !this.#labels.holds(changed, at));
    const cut = diagrams.orAll(
      sampled.samples.flatMap(({ box, at }) =>
        this.#labels.holds(changed, at) ? [diagrams.less(setOfBox(layout, box), changed)] : [],
      ),
    );
    const others = [
      this.#samplesOf(diagrams.guard(changed, this.#labels.pairs(ends, is)), entry),
      this.#samplesOf(diagrams.guard(cut, ends), entry),
    ];
    return {
      samples: [...kept, ...others.flatMap((one) => one.samples)],
      without: others.reduce((sum, one) => sum + one.without, sampled.without),
    };
  }

  #copiedIn(ends: readonly HostEnd[]): Node {
    return this.#ways.layout.diagrams.orAll(ends.flatMap(({ cell }) => (cell.copied === true ? [cell.region] : [])));
  }

  /** A packet of each box of a function of packets that are sent. */
  #samplesOf(labelled: Node, entry: Entry): Sampled {
    const { layout } = this.#ways;
    const samples: Sample[] = [];
    let without = 0;
    for (const { box, to } of partsOf(layout, labelled)) {
      if (!this.#labels.isLabel(to)) continue;
      const arrival = arrivalInBox(layout, box, entry);
      const at = arrival === undefined ? undefined : pointOfArrival(layout, arrival).at;
      if (arrival === undefined || at === undefined || !this.#labels.leadsTo(labelled, at, to)) without++;
      else samples.push({ arrival, at, box, was: ended(arrive(freshMachine(this.#machine), arrival), this.#old) });
    }
    return { samples, without };
  }

  /** A packet of each box of which the same regions hold the conversations. */
  #inRegions(regions: readonly WayRegion[]): readonly Arrival[] {
    const { layout } = this.#ways;
    const conversing = regions.filter(({ state }) => state === undefined);
    return this.#firsts().flatMap(({ entry }) => {
      const own = conversing.filter((region) => sameWay(region.entry, entry));
      const labelled = this.#labels.ofSets(own.map(({ packets }) => packets));
      return [...partsOf(layout, labelled)].flatMap(({ box, to }) => {
        const arrival = this.#labels.isLabel(to) ? arrivalInBox(layout, box, entry) : undefined;
        return arrival === undefined ? [] : [arrival];
      });
    });
  }

  /** Holds the conversations that begin with a packet, and asks whether the difference tells of them; what sets do not follow is left out. */
  #goesOtherwise(
    arrival: Arrival,
    now: Ruleset,
    { regions, copied }: { readonly regions: readonly WayRegion[]; readonly copied: readonly Copied[] },
    wrong: string[],
  ): boolean {
    const { packet, entry } = arrival;
    // Of conversations behind an error about a flow sets say nothing.
    if (isIcmpError(packet)) return false;
    const { at } = pointOfArrival(this.#ways.layout, arrival);
    if (copied.some((one) => sameWay(one.entry, entry) && this.#labels.holds(one.packets, at))) return false;
    const { told, doubtful, journeys } = faring(
      { host: this.#host, old: this.#old, now, backend: this.#options.backend },
      arrival,
    );
    const held = regions.filter(
      (region) => region.state === undefined && sameWay(region.entry, entry) && this.#labels.holds(region.packets, at),
    );
    // Who talks to itself is both ends of one flow, which sets take for one of them.
    const sender = senderOf(this.#host, arrival);
    if (sender === packet.daddr || journeys.some((one) => comesTo(one, sender))) return false;
    if (doubtful || held.some(({ classes }) => classes.includes('undecided'))) return false;
    const [said, seen] = [classKey(held), classKey(told)];
    if (said !== seen)
      wrong.push(
        `${printArrival(arrival)}: the difference tells of ${said === '' ? 'nothing' : said}, the model of ${seen === '' ? 'nothing' : seen}`,
      );
    return told.length > 0;
  }
}

const isFirst = ({ state, turns }: WayRegion): boolean => state === undefined && turns.length === 1;

const sameWay = (a: Entry, b: Entry): boolean =>
  a.kind === 'in' ? b.kind === 'in' && a.interface === b.interface : b.kind === 'local';

/** An unbound socket has the address that the host prefers towards the destination. */
const senderOf = (host: Host, { entry, packet: { family, saddr, daddr } }: Arrival): Address =>
  entry.kind === 'local' && saddr === zeroAddress(family) ? sourceFor(host, daddr) : saddr;

const comesTo = ({ exits, deliveries }: Journey, address: Address): boolean =>
  [...exits.map(({ packet }) => packet), ...deliveries].some(({ daddr }) => daddr === address);

/** Where copies of a packet came to, as Labels say it. */
function seenIn({ fate, exits, deliveries }: Journey): string {
  const reached = [
    ...exits.map(({ oif, port }) => `exit ${oif} ${port ?? ''}`),
    ...(deliveries.length > 0 ? ['delivered'] : []),
  ];
  return reached.length > 0 ? [...new Set(reached)].sort().join(', ') : fate.kind;
}

/** So many of a list, from all over it. */
const spread = <T>(list: readonly T[], most: number): readonly T[] => {
  const step = Math.max(1, Math.ceil(list.length / Math.max(1, most)));
  return most === 0 ? [] : list.filter((_, index) => index % step === 0);
};
