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
import { describe } from './description.ts';
import { NO, YES, type Node } from './diagram.ts';
import { endChanges, type EndChange } from './end-difference.ts';
import { partingKey, partingOf } from './parting.ts';
import { saidAmong } from './plain-words.ts';
import { waysIn } from './host-claim.ts';
import { isReached, type HostEnd } from './host-path.ts';
import { isSomeChange, rulesChange } from './same-rules.ts';
import type { HostWays } from './host-ways.ts';
import { CHANGE_CLASSES, type ChangeClass } from './table-difference.ts';
import { whereIn } from './value.ts';
import { onlyFields, valuesOf } from './equality.ts';
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

export interface RegionSize {
  /** Of the first packets: how many addresses they come from, and go to. */
  readonly sources: bigint;
  readonly destinations: bigint;
  readonly packets: bigint;
}

/** Of one way into the host. */
interface Found extends Witnessed {
  readonly now: readonly HostEnd[];
}

/** So many flows are tried for an icmp error to be about. */
const MOST_OPENERS = 60;

/** Where a packet is written of, or marked, it still fares as before. */
const isSlight = (one: ChangeClass): boolean => one === 'logged' || one === 'marked';

export interface DifferenceOptions {
  /** Only these packets, and the conversations that they begin. */
  readonly within?: PacketSet;
  /** False: only where each packet itself ends. */
  readonly conversations?: boolean;
}

/** In the order in which a person wants to read them: new exposures first, the widest first. Throws SpaceLimitError. */
export function hostDifference(
  ways: HostWays,
  old: Ruleset,
  now: Ruleset,
  { within, conversations = true }: DifferenceOptions = {},
): readonly WayRegion[] {
  const { diagrams, family } = ways.layout;
  const comparison = new Comparison(ways, old, now);
  const boxes = within?.boxes.filter((box) => box.family === family) ?? [anyPattern(family)];
  for (const { entry, state, region } of waysIn(ways, boxes)) {
    const sent = diagrams.and(region, ways.alive);
    if (state !== undefined || !conversations) {
      comparison.asserted(entry, state, sent);
      continue;
    }
    const { different } = comparison.conversations(entry, sent);
    // An icmp error about a flow, which may be any: of its conversation sets know nothing.
    comparison.asserted(entry, 'RELATED', diagrams.less(diagrams.and(sent, icmpErrors(ways)), different));
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

class Comparison {
  readonly #ways: HostWays;
  readonly #old: Ruleset;
  readonly #now: Ruleset;
  readonly #conversations: Conversations;
  readonly #found = new Map<string, Found>();
  readonly #firsts: (Sides & { readonly entry: Entry })[] = [];
  readonly #slight = new Map<string, Node>();
  /** Asked for only where sets do not follow packets. */
  #someChange: boolean | undefined;

  constructor(ways: HostWays, old: Ruleset, now: Ruleset) {
    this.#ways = ways;
    this.#old = old;
    this.#now = now;
    this.#conversations = new Conversations(ways);
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

  #changes(old: readonly HostEnd[], now: readonly HostEnd[]): readonly EndChange[] {
    return endChanges(this.#ways.layout, old, now, () => this.#areSameRules);
  }

  /** To every packet on this host. */
  get #areSameRules(): boolean {
    const { ground, host } = this.#ways;
    this.#someChange ??= isSomeChange(rulesChange(ground, host, this.#old, this.#now));
    return !this.#someChange;
  }

  /** Packets of which somebody says in which state they are. */
  asserted(entry: Entry, state: ConntrackState | undefined, sent: Node): void {
    const [old, now] = [this.#old, this.#now].map((side) => this.#ways.ends(side, entry, sent, state));
    // Of flows that exist it is their state that matters.
    const isLater = state === 'ESTABLISHED' || state === 'RELATED';
    for (const change of this.#changes(old ?? [], now ?? []))
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
    const [old, now] = [this.#old, this.#now].map((side) => this.#ways.ends(side, entry, sent));
    const first = { old: old ?? [], now: now ?? [] };
    this.#firsts.push({ entry, ...first });
    const changes = this.#changes(first.old, first.now);
    for (const change of changes) this.#tell(change, { entry, turns: ['packet'], alive: false });
    const different = this.#different(changes);
    const opened = diagrams.orAll(
      [...first.old, ...first.now].flatMap(({ cell }) => (cell.tracked?.kind === 'flow' ? [cell.region] : [])),
    );
    const told = this.#afterwards(entry, first, diagrams.less(opened, different));
    this.#whileAlive(entry, first, different, diagrams.less(opened, told));
    return { different };
  }

  /** Conversations of flows that begin alike, under the old rules and under the new. The packets are given back whose conversations do not go on alike. */
  #afterwards(entry: Entry, first: Sides, begun: Node): Node {
    let alike = begun;
    const { diagrams } = this.#ways.layout;
    const goOn = (from: Sides, turns: readonly Turn[]): Sides => {
      const turn = turns.at(-1) ?? 'packet';
      const next = { entry, turn, within: alike };
      const sides = {
        old: this.#conversations.next(this.#old, { ...next, ends: from.old }),
        now: this.#conversations.next(this.#now, { ...next, ends: from.now }),
      };
      const changes = this.#changesOf(sides, turn);
      for (const change of changes) this.#tell(change, { entry, turns, alive: false });
      alike = diagrams.less(alike, this.#different(changes));
      return sides;
    };
    goOn(first, ['packet', 'packet']);
    goOn(goOn(goOn(first, ANSWERED), GOING_ON), ANSWERED_AGAIN);
    return diagrams.less(begun, alike);
  }

  /** Conversations that began under the old rules, whose next packet meets the new ones. */
  #whileAlive(entry: Entry, first: Sides, different: Node, notTold: Node): void {
    const { diagrams } = this.#ways.layout;
    const otherFlows = diagrams.less(flowsOtherwise(this.#ways, first), different);
    let untold = notTold;
    const compare = (ends: readonly HostEnd[], turns: readonly Turn[], within: Node): readonly HostEnd[] => {
      const next = { entry, ends, turn: turns.at(-1) ?? 'packet', within: diagrams.and(within, untold) };
      const old = this.#conversations.next(this.#old, next);
      if (old.length === 0) return [];
      const now = this.#conversations.next(this.#now, next);
      const changes = this.#changesOf({ old, now }, next.turn);
      for (const change of changes) this.#tell(change, { entry, turns, alive: true });
      untold = diagrams.less(untold, this.#different(changes));
      return old;
    };
    const all = diagrams.or(otherFlows, different);
    compare(first.old, ['packet', 'packet'], otherFlows);
    compare(compare(compare(first.old, ANSWERED, all), GOING_ON, all), ANSWERED_AGAIN, all);
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
    size: sizeOf(ways, packets),
    exposed: found.classes.includes('widened') && found.turns.length === 1 ? exposedBy(ways, found, opening) : [],
    ...(witness === undefined ? {} : { witness }),
  };
}

/** Who is newly reached, as packets look when they are there. */
function exposedBy(ways: HostWays, { packets, now }: Found, opening: Node): readonly Exposed[] {
  const { layout } = ways;
  const { diagrams } = layout;
  const whole = diagrams.less(packets, opening) === NO ? opening : YES;
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
        endpoints: said(there, at(whole)).map((text) => text.replace('any > ', '')),
        sources: said(sources(own), sources(whole)).map((text) => text.replace(' > any', '')),
        ...(by === undefined ? {} : { by }),
      },
    ];
  });
}

function sizeOf({ layout }: HostWays, packets: Node): RegionSize {
  const { diagrams, family } = layout;
  const all = diagrams.count(YES) >> (family === 4 ? 32n : 128n);
  const addresses = (field: 'saddr' | 'daddr'): bigint => diagrams.count(valuesOf(layout, packets, field)) / all;
  return { sources: addresses('saddr'), destinations: addresses('daddr'), packets: diagrams.count(packets) };
}
