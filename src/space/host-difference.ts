/**
 * What changed for packets of one host between two rulesets: where every packet that can enter ends, through all tables, routing and bridges, under the one
 * and under the other; and where the first packet of a flow fares as before, what becomes of the rest of its conversation: of the packet when it comes again, of
 * the answer to it, of what its sender says then, and of the answer to that. Flows that were alive at the moment of the change keep what was decided about them
 * under the old rules, and meet the new ones from then on: their packets are told apart.
 */
import { isIcmpError, icmpOf, type Arrival, type ConntrackState, type Entry } from '../packet/packet.ts';
import { anyPattern, type PacketSet } from '../packet/pattern.ts';
import type { Turn } from '../packet/reply.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { AS_SENT } from './cell.ts';
import { Conversations, flowKey, flowsAfter } from './conversation-path.ts';
import { Course, endsWithin, openedBy, touchedBy, type Followed, type Start } from './course.ts';
import { describe } from './description.ts';
import { NO, YES, type Node } from './diagram.ts';
import { endChanges, type EndChange } from './end-difference.ts';
import { partingKey, partingOf } from './parting.ts';
import { saidAmong } from './plain-words.ts';
import { waysIn } from './host-claim.ts';
import { isReached, type HostEnd } from './host-path.ts';
import { isSomeChange, rulesChange, type RulesChange } from './rules-change.ts';
import type { HostWays } from './host-ways.ts';
import { single, stateNumber } from './layout.ts';
import { ChangeToMeet, Meetings } from './meetings.ts';
import { readBothWays } from './target-reading.ts';
import { CHANGE_CLASSES, isSlight } from './table-difference.ts';
import { whereIn } from './value.ts';
import { onlyFields } from './equality.ts';
import { sizeOf, type RegionSize } from './region-size.ts';
import { witnessOf, type Witnessed, type WayWitness } from './way-witness.ts';
import { arrivalIn } from './witness.ts';

/** Packets, or conversations that begin with them, that fare otherwise in one way. */
export interface WayRegion extends Witnessed {
  readonly boxes: readonly string[];
  readonly more: boolean;
  readonly size: RegionSize;
  /** Of first packets that somebody newly gets: who, and from whom. */
  readonly exposed: readonly Exposed[];
  readonly witness?: WayWitness;
}

export interface Exposed {
  /** Sets without their sources: `tcp 10.0.0.3:80`. */
  readonly endpoints: readonly string[];
  /** The interface, and the port of a bridge; absent for the host itself. */
  readonly by?: string;
  readonly sources: readonly string[];
}

/** Of one way into the host. */
interface Found extends Witnessed {
  readonly now: readonly HostEnd[];
}

/** So many flows are tried for an icmp error to be about. */
const MOST_OPENERS = 60;

export interface DifferenceOptions {
  /** Only these packets, and the conversations that they begin. */
  readonly within?: PacketSet;
  /** False: only where each packet itself ends. */
  readonly conversations?: boolean;
}

/** In the order in which a person wants to read them: new exposures first, the widest first. Throws SpaceLimitError. */
export const hostDifference = (
  ways: HostWays,
  old: Ruleset,
  now: Ruleset,
  options: DifferenceOptions = {},
): readonly WayRegion[] => new HostDifferences(ways, old).to(now, options);

/** What changed between one ruleset of a host and others: the ways of packets under the one are followed once. */
export class HostDifferences {
  readonly #ways: HostWays;
  readonly #old: Ruleset;
  readonly #conversations: Conversations;
  readonly #courses = new Map<string, Course>();

  constructor(ways: HostWays, old: Ruleset) {
    this.#ways = ways;
    this.#old = old;
    this.#conversations = new Conversations(ways);
  }

  /** As hostDifference. */
  to(now: Ruleset, { within, conversations = true }: DifferenceOptions = {}): readonly WayRegion[] {
    const [ways, old] = [this.#ways, this.#old];
    const { diagrams, family } = ways.layout;
    const change = rulesChange(ways.ground, ways.host, old, now);
    if (!isSomeChange(change)) return [];
    const courseOf = (start: Start): Course => this.#courseOf(start);
    const comparison = new Comparison(ways, this.#conversations, { old, now, change }, courseOf);
    const boxes = within?.boxes.filter((box) => box.family === family) ?? [anyPattern(family)];
    for (const { entry, state, region } of waysIn(ways, boxes)) {
      const sent = diagrams.and(region, ways.alive);
      if (state !== undefined || !conversations) {
        comparison.asserted({ entry, sent, ...(state === undefined ? {} : { state }) });
        continue;
      }
      const { different } = comparison.conversations(entry, sent);
      // An icmp error about a flow, which may be any: of its conversation sets know nothing.
      comparison.asserted({ entry, sent: diagrams.and(sent, icmpErrors(ways)), state: 'RELATED' }, different);
    }
    const witness = (found: Found): WayWitness | undefined =>
      witnessOf(ways, old, now, found, found.state === 'RELATED' ? comparison.openersTo(found.entry) : []);
    const rules = (found: Found): string | undefined => {
      const seen = witness(found);
      return seen && partingKey(partingOf(seen, old, now));
    };
    return together(ways, comparison.found, rules)
      .map((found) => shown(ways, found, witness(found)))
      .sort(isFirst);
  }

  #courseOf(start: Start): Course {
    const key = `${entryKey(start.entry)} ${start.state ?? ''} ${start.sent}`;
    const known = this.#courses.get(key) ?? new Course(this.#ways, this.#conversations, this.#old, start);
    this.#courses.set(key, known);
    return known;
  }
}

/** As one those that mean the same and that the same two rules decide, however many ends there are. */
function together(
  { layout: { diagrams } }: HostWays,
  all: readonly Found[],
  rulesOf: (found: Found) => string | undefined,
): readonly Found[] {
  const merged = new Map<string, Found>();
  for (const [index, found] of all.entries()) {
    const { entry, state, turns, alive, classes, packets } = found;
    const rules = rulesOf(found) ?? `${index}`;
    const key = [entryKey(entry), state ?? '', turns.join(), alive, classes.join(), rules].join('\n');
    const known = merged.get(key);
    merged.set(key, {
      ...found,
      packets: diagrams.or(known?.packets ?? NO, packets),
      now: [...(known?.now ?? []), ...found.now],
    });
  }
  return [...merged.values()];
}

function icmpErrors({ layout }: HostWays): Node {
  const protocol = icmpOf(layout.family);
  const types = Array.from({ length: 256 }, (_, type) => type).filter((type) => isIcmpError({ protocol, type }));
  const ranges = types.map((type) => ({ from: type * 256, to: type * 256 + 255 }));
  return layout.chooseValues('protocol', [protocol], layout.chooseNumbers('dport', ranges, YES, NO), NO);
}

/** The rules before and after, and what these make otherwise. */
interface Rules {
  readonly old: Ruleset;
  readonly now: Ruleset;
  readonly change: RulesChange;
}

class Comparison {
  readonly #ways: HostWays;
  readonly #now: Ruleset;
  readonly #conversations: Conversations;
  readonly #change: RulesChange;
  readonly #toMeet: ChangeToMeet;
  readonly #courseOf: (start: Start) => Course;
  readonly #found = new Map<string, Found>();
  readonly #firsts: (Sides & { readonly entry: Entry })[] = [];
  readonly #slight = new Map<string, Node>();
  readonly #concerned = new Map<ConntrackState, boolean>();

  constructor(
    ways: HostWays,
    conversations: Conversations,
    { old, now, change }: Rules,
    courseOf: (start: Start) => Course,
  ) {
    this.#ways = ways;
    this.#conversations = conversations;
    this.#now = now;
    this.#change = change;
    this.#toMeet = new ChangeToMeet(ways.ground, ways.host, old, change);
    this.#courseOf = courseOf;
  }

  get found(): readonly Found[] {
    return [...this.#found.values()];
  }

  /** Packets that open flows whose answers come in by that way. */
  openersTo(entry: Entry): readonly Arrival[] {
    const { layout } = this.#ways;
    return this.#firsts
      .flatMap(({ entry: from, old, now }) =>
        [...old, ...now].flatMap((end): readonly Arrival[] => {
          const comesBack =
            end.kind === 'exit'
              ? entry.kind === 'in' && entry.interface === (end.port ?? end.oif)
              : end.kind === 'delivered' && entry.kind === 'local';
          if (!comesBack || end.cell.copied === true || end.cell.tracked?.kind !== 'flow') return [];
          const found = arrivalIn(layout, end.cell.region, { entry: from });
          return found === undefined || found.supposes.length > 0 ? [] : [found.arrival];
        }),
      )
      .slice(0, MOST_OPENERS);
  }

  /** The packets of those that need not fare as they did; undefined: of all of them that cannot be told. */
  #touched(followed: Followed): Node {
    return touchedBy(this.#ways, this.#toMeet, followed) ?? YES;
  }

  #within(ends: readonly HostEnd[], within: Node): readonly HostEnd[] {
    return endsWithin(this.#ways, ends, within);
  }

  /** Packets of which somebody says in which state they are; without those of `told`. */
  asserted(start: Start, told: Node = NO): void {
    const { entry, state } = start;
    if (!this.#concerns(state)) return;
    const { diagrams } = this.#ways.layout;
    const { first } = this.#courseOf(start);
    const touched = diagrams.less(diagrams.and(start.sent, this.#touched(first)), told);
    const now = this.#ways.ends(this.#now, entry, touched, state);
    // Of flows that exist it is their state that matters.
    const isLater = state === 'ESTABLISHED' || state === 'RELATED';
    for (const change of this.#changes(this.#within(first.ends, touched), now))
      this.#tell(isLater ? asStateful(change) : change, {
        entry,
        turns: ['packet'],
        alive: false,
        ...(state === undefined ? {} : { state }),
      });
  }

  /** Packets as conntrack finds them, and what follows them. Those that fare otherwise themselves are given back. */
  conversations(entry: Entry, sent: Node): { readonly different: Node } {
    const { diagrams } = this.#ways.layout;
    const course = this.#courseOf({ entry, sent });
    const { first } = course;
    const touched = diagrams.and(sent, this.#touched(first));
    const now = this.#ways.ends(this.#now, entry, touched);
    this.#firsts.push({ entry, old: first.ends, now });
    const changes = this.#changes(this.#within(first.ends, touched), now);
    for (const change of changes) this.#tell(change, { entry, turns: ['packet'], alive: false });
    const different = this.#different(changes);
    const opened = diagrams.or(openedBy(this.#ways, first.ends), openedBy(this.#ways, now));
    const begun: Begun = { entry, course, old: first, touched, now };
    const told = this.#afterwards(begun, diagrams.less(opened, different));
    this.#whileAlive(begun, different, diagrams.less(opened, told));
    return { different };
  }

  /** Conversations of flows that begin alike, under the old rules and under the new. The packets are given back whose conversations do not go on alike. */
  #afterwards(first: Begun, begun: Node): Node {
    const { entry, course } = first;
    const { diagrams } = this.#ways.layout;
    let alike = begun;
    const goOn = (from: Begun, turns: readonly Turn[]): Begun => {
      const turn = turns.at(-1) ?? 'packet';
      const within = this.#inAnyReading(alike);
      const met = diagrams.and(within, this.#inAnyReading(from.touched));
      const whole = this.#mayMeet(turn) ? course.whole(turns) : undefined;
      const touched =
        whole === undefined ? met : diagrams.or(met, diagrams.and(within, this.#inAnyReading(this.#touched(whole))));
      const isWhole = whole !== undefined && course.isOpenedBy(touched);
      const old = isWhole ? whole : course.after(from.old, turns, whole === undefined ? met : within);
      // Those that have met no change so far have come as far as under the old rules.
      const ends = [...from.now, ...this.#within(from.old.ends, diagrams.not(from.touched))];
      const now = this.#conversations.next(this.#now, { entry, turn, within: touched, ends });
      const changes = this.#changesOf({ old: this.#within(old.ends, touched), now }, turn);
      for (const change of changes) this.#tell(change, { entry, turns, alive: false });
      alike = diagrams.less(alike, this.#different(changes));
      return { entry, course, old, touched, now };
    };
    goOn(first, ['packet', 'packet']);
    goOn(goOn(goOn(first, ANSWERED), GOING_ON), ANSWERED_AGAIN);
    return diagrams.less(begun, alike);
  }

  /** Conversations that began under the old rules, whose next packet meets the new ones. */
  #whileAlive({ entry, course, old: first, touched, now }: Begun, different: Node, notTold: Node): void {
    const { diagrams } = this.#ways.layout;
    const flows = flowsOtherwise(this.#ways, { old: this.#within(first.ends, touched), now });
    const otherFlows = diagrams.less(flows, different);
    let untold = notTold;
    const compare = (before: Followed, turns: readonly Turn[], within: Node): Followed => {
      const turn = turns.at(-1) ?? 'packet';
      const asked = this.#inAnyReading(diagrams.and(within, untold));
      if (asked === NO || !this.#mayMeet(turn)) return NOTHING;
      const old = course.after(before, turns, asked);
      const met = diagrams.and(asked, this.#inAnyReading(this.#touched(old)));
      const next = { entry, turn, within: met, ends: before.ends };
      const changes = this.#changesOf(
        { old: this.#within(old.ends, met), now: this.#conversations.next(this.#now, next) },
        turn,
      );
      for (const change of changes) this.#tell(change, { entry, turns, alive: true });
      untold = diagrams.less(untold, this.#different(changes));
      return old;
    };
    const all = diagrams.or(otherFlows, different);
    compare(first, ['packet', 'packet'], otherFlows);
    compare(compare(compare(first, ANSWERED, all), GOING_ON, all), ANSWERED_AGAIN, all);
  }

  /** Do the rules make anything otherwise of packets in a state? Not of which conntrack has seen none before. */
  #concerns(state: ConntrackState | undefined): boolean {
    const { ground, host, layout } = this.#ways;
    if (state === undefined || this.#change.kind === 'all' || !ground.host(host, this.#now).conntrack) return true;
    const known = this.#concerned.get(state);
    if (known !== undefined) return known;
    const { diagrams } = layout;
    const inState = layout.chooseNumbers('ct', single(stateNumber(state)), YES, NO);
    const isSo = this.#change.tables.some(
      ({ table, packets }) => table === 'raw' || diagrams.and(packets, inState) !== NO,
    );
    this.#concerned.set(state, isSo);
    return isSo;
  }

  /** A packet that comes again unanswered may open a flow; what comes after an answer counts where it is of the flow that there is. */
  #mayMeet(turn: Turn): boolean {
    return turn === 'packet' || this.#concerns('ESTABLISHED');
  }

  #inAnyReading(region: Node): Node {
    return this.#conversations.inAnyReading(region);
  }

  #changes(old: readonly HostEnd[], now: readonly HostEnd[]): readonly EndChange[] {
    const { layout, ground } = this.#ways;
    const changes = endChanges(layout, old, now);
    if (ground.readings === undefined) return changes;
    return readBothWays(
      layout,
      ground.readings,
      changes,
      ({ classes }) => classes.every(isSlight),
      (change): EndChange => ({ ...change, classes: ['undecided'] }),
    );
  }

  /** What changed for packets of flows: what opens a flow of its own is a first packet. */
  #changesOf({ old, now }: Sides, turn: Turn): readonly EndChange[] {
    const { diagrams } = this.#ways.layout;
    const known = diagrams.orAll(
      [...old, ...now].flatMap(({ cell }) => (cell.tracked?.state === 'ESTABLISHED' ? [cell.region] : [])),
    );
    return this.#changes(old, now).flatMap((change) => {
      const packets = turn === 'packet' ? change.packets : diagrams.and(change.packets, known);
      return packets === NO ? [] : [asStateful({ ...change, packets })];
    });
  }

  /** Packets that do not fare as before. */
  #different(changes: readonly EndChange[]): Node {
    return this.#ways.layout.diagrams.orAll(
      changes.filter(({ classes }) => !classes.every(isSlight)).map(({ packets }) => packets),
    );
  }

  /** A packet that is marked or logged otherwise is told of once, whatever follows it. */
  #tell({ classes, packets: all, ends, now }: EndChange, where: Omit<Found, 'classes' | 'packets' | 'now'>): void {
    const { entry, state, turns, alive } = where;
    let packets = all;
    if (classes.every(isSlight)) {
      const { diagrams } = this.#ways.layout;
      const slight = `${entryKey(entry)} ${classes.join()}`;
      const told = this.#slight.get(slight) ?? NO;
      packets = diagrams.less(all, told);
      this.#slight.set(slight, diagrams.or(told, all));
    }
    if (packets === NO) return;
    const key = [entryKey(entry), state ?? '', turns.join(), alive, classes.join(), ends].join('\n');
    const known = this.#found.get(key)?.packets ?? NO;
    this.#found.set(key, { ...where, classes, now, packets: this.#ways.layout.diagrams.or(known, packets) });
  }
}

const NOTHING: Followed = { ends: [], meetings: new Meetings() };

/** How far conversations have come that enter by one way. */
interface Begun {
  readonly entry: Entry;
  readonly course: Course;
  /** Their last packets under the old rules; of all of them, or of those that are asked for. */
  readonly old: Followed;
  /** Conversations that have met a change. */
  readonly touched: Node;
  /** Of these the last packets under the new rules. */
  readonly now: readonly HostEnd[];
}

interface Sides {
  readonly old: readonly HostEnd[];
  readonly now: readonly HostEnd[];
}

const ANSWERED: readonly Turn[] = ['packet', 'reply'];
const GOING_ON: readonly Turn[] = [...ANSWERED, 'later'];
const ANSWERED_AGAIN: readonly Turn[] = [...GOING_ON, 'reply'];

/** Packets of flows that exist: it is their flow that fares otherwise. */
const asStateful = (change: EndChange): EndChange => {
  const slight = change.classes.filter(isSlight);
  const isUnknown = change.classes.includes('undecided');
  return isUnknown || slight.length === change.classes.length
    ? change
    : { ...change, classes: ['stateful', ...slight] };
};

/** The packets that reach somebody on either side, and leave other flows behind. */
function flowsOtherwise({ layout: { diagrams } }: HostWays, { old, now }: Sides): Node {
  const byFlows = (ends: readonly HostEnd[]): ReadonlyMap<string, Node> => {
    const regions = new Map<string, Node[]>();
    for (const end of ends) {
      if (!isReached(end)) continue;
      const key = flowsAfter(end.cell).map(flowKey).join('\n');
      regions.set(key, [...(regions.get(key) ?? []), end.cell.region]);
    }
    return new Map([...regions].map(([key, own]) => [key, diagrams.orAll(own)]));
  };
  const after = byFlows(now);
  return diagrams.orAll([...byFlows(old)].map(([key, region]) => diagrams.less(region, after.get(key) ?? NO)));
}

const entryKey = (entry: Entry): string => (entry.kind === 'in' ? `in ${entry.interface}` : 'local');

function isFirst(a: WayRegion, b: WayRegion): number {
  const rank = ({ classes: [first = 'undecided'] }: WayRegion): number => CHANGE_CLASSES.indexOf(first);
  const flag = (value: boolean): number => (value ? 1 : 0);
  const wide = (one: bigint, other: bigint): number => (one > other ? -1 : one < other ? 1 : 0);
  return (
    flag(a.alive) - flag(b.alive) ||
    rank(a) - rank(b) ||
    // What others can do before what the host does itself.
    flag(a.entry.kind === 'local') - flag(b.entry.kind === 'local') ||
    wide(a.size.sources, b.size.sources) ||
    wide(a.size.packets, b.size.packets)
  );
}

function shown(ways: HostWays, found: Found, witness: WayWitness | undefined): WayRegion {
  const { diagrams } = ways.layout;
  const { entry, state, packets } = found;
  // That they open a flow goes without saying, if all do, and that the host knows a way for them.
  const routed = ways.routed(entry);
  const opening = diagrams.and(routed, ways.opening(entry));
  const { boxes, more } = ways.describeAmong(packets, state === undefined ? [opening, routed] : [routed]);
  return {
    ...found,
    boxes,
    more,
    size: sizeOf(ways.layout, packets),
    exposed:
      found.classes.includes('widened') && found.turns.length === 1 ? exposedBy(ways, found, [opening, routed]) : [],
    ...(witness === undefined ? {} : { witness }),
  };
}

/** Exactly, unless that takes more boxes. */
const shorter = (exact: readonly string[], short: readonly string[]): readonly string[] =>
  exact.length <= short.length ? exact : short;

const withoutSource = (text: string): string => text.replace(/(any|0\.0\.0\.0\/0|::\/0) > /, '');
const withoutDestination = (text: string): string =>
  text.replace(/ > (any|0\.0\.0\.0\/0|::\/0)$/, '').replace(/ (0\.0\.0\.0\/0|::\/0)$/, '');

/** Who is newly reached, as packets look when they are there; what is so of all of the first of these that the packets are among goes without saying. */
function exposedBy(ways: HostWays, { packets, now }: Found, among: readonly Node[]): readonly Exposed[] {
  const { layout } = ways;
  const { diagrams } = layout;
  const whole = among.find((one) => diagrams.less(packets, one) === NO) ?? YES;
  const said = (set: Node, among: Node): readonly string[] =>
    describe(layout, saidAmong(layout, set, among), YES).boxes;
  const sources = (set: Node): Node => onlyFields(layout, set, ['saddr']);
  return now.filter(isReached).flatMap((end): readonly Exposed[] => {
    const { header, region } = end.cell;
    const own = diagrams.and(region, packets);
    if (own === NO) return [];
    const kept = (['daddr', 'dport'] as const).filter((field) => header[field] === AS_SENT[field]);
    const at = (set: Node): Node => onlyFields(layout, set, ['protocol', ...kept]);
    const there = (['daddr', 'dport'] as const).reduce((node, field) => {
      const value = header[field];
      return value.kind !== 'is'
        ? node
        : diagrams.and(node, whereIn(layout, AS_SENT[field], [{ from: value.value, to: value.value }]));
    }, at(own));
    const by = end.kind === 'exit' ? [end.oif, ...(end.port === undefined ? [] : [end.port])].join(' ') : undefined;
    return [
      {
        endpoints: shorter(describe(layout, there, YES).boxes, said(there, at(whole))).map(withoutSource),
        sources: said(sources(own), sources(whole)).map(withoutDestination),
        ...(by === undefined ? {} : { by }),
      },
    ];
  });
}
