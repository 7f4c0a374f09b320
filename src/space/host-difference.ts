/**
 * What changed for packets of one host between two rulesets: where every packet that can enter ends, through all tables, routing and bridges, under the one
 * and under the other. Exact, for packets that open flows or belong to one, which is asserted.
 */
import type { Journey } from '../netfilter/journey.ts';
import { arrive, machineOf } from '../netfilter/traverse.ts';
import type { Arrival, ConntrackState, Entry } from '../packet/packet.ts';
import { anyPattern, type PacketSet } from '../packet/pattern.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import type { Cell } from './cell.ts';
import { NO, YES, type Node } from './diagram.ts';
import { waysIn } from './host-claim.ts';
import type { HostEnd } from './host-path.ts';
import type { HostWays } from './host-ways.ts';
import { CHANGE_CLASSES, type ChangeClass } from './table-difference.ts';
import { valueKey, whereEqual, type Value } from './value.ts';
import { arrivalIn } from './witness.ts';

/** Packets that fare otherwise in one way. */
export interface WayRegion {
  readonly classes: readonly ChangeClass[];
  readonly entry: Entry;
  /** Asserted; absent: the packets as conntrack finds them. */
  readonly state?: ConntrackState;
  readonly packets: Node;
  readonly boxes: readonly string[];
  readonly more: boolean;
  readonly size: bigint;
  readonly witness?: WayWitness;
}

export interface WayWitness {
  readonly arrival: Arrival;
  readonly old: Journey;
  readonly now: Journey;
  /** The model, packet by packet, says that they differ; null where it depends on what is not modelled. */
  readonly confirmed: boolean | null;
  /** What Linux did, where it was asked. */
  readonly onLinux?: string;
}

/** The states that are asked for where a set names none: the first packet of a flow, and those of flows that were alive at the moment of the change. */
const STATES: readonly (ConntrackState | undefined)[] = [undefined, 'ESTABLISHED', 'RELATED'];

/** In the order in which a person wants to read them: new exposures first, the widest first. Throws SpaceLimitError. */
export function hostDifference(
  ways: HostWays,
  old: Ruleset,
  now: Ruleset,
  { within }: { readonly within?: PacketSet } = {},
): readonly WayRegion[] {
  const { diagrams, family } = ways.layout;
  const boxes = within?.boxes.filter((box) => box.family === family) ?? [anyPattern(family)];
  const asked = waysIn(ways, boxes).flatMap(({ state, ...way }) => {
    const states = state === undefined && within === undefined ? STATES : [state];
    return states.map((one) => ({ ...way, state: one }));
  });
  const changedFirst = new Map<string, Node>();
  const found = new Map<string, Omit<WayRegion, 'boxes' | 'more' | 'size' | 'witness'>>();
  for (const { entry, state, region } of asked) {
    const sent = diagrams.and(region, ways.alive);
    const sides = [old, now].map((side) => atomsOf(ways, ways.ends(side, entry, sent, state)));
    for (const changed of changedAtoms(ways, sides[0] ?? [], sides[1] ?? [])) {
      const { was, is } = changed;
      const classes = classesOf(ways, changed, state);
      if (classes.length === 0) continue;
      const first = changedFirst.get(entryKey(entry)) ?? NO;
      if (state === undefined) changedFirst.set(entryKey(entry), diagrams.or(first, changed.packets));
      // Later packets are only told of where the first fares as before.
      const packets = state === undefined ? changed.packets : diagrams.less(changed.packets, first);
      if (packets === NO) continue;
      const key = [entryKey(entry), state ?? '', classes.join(), summaryOf(was), summaryOf(is)].join('\n');
      const known = found.get(key)?.packets ?? NO;
      found.set(key, {
        classes,
        entry,
        packets: diagrams.or(known, packets),
        ...(state === undefined ? {} : { state }),
      });
    }
  }
  return [...found.values()].map((region) => shown(ways, old, now, region)).sort(isFirst);
}

const entryKey = (entry: Entry): string => (entry.kind === 'in' ? `in ${entry.interface}` : 'local');

function isFirst(a: WayRegion, b: WayRegion): number {
  const rank = ({ classes: [first = 'undecided'] }: WayRegion): number => CHANGE_CLASSES.indexOf(first);
  // What others can do before what the host does itself.
  const own = ({ entry }: WayRegion): number => (entry.kind === 'local' ? 1 : 0);
  return rank(a) - rank(b) || own(a) - own(b) || (a.size > b.size ? -1 : a.size < b.size ? 1 : 0);
}

/** Packets of which each comes to all of these ends, and to no other. */
interface Atom {
  readonly region: Node;
  readonly ends: readonly HostEnd[];
}

/** A packet that is copied comes to several ends; all others come to one. */
function atomsOf({ layout: { diagrams } }: HostWays, ends: readonly HostEnd[]): readonly Atom[] {
  let copied: Atom[] = [];
  const single: Atom[] = [];
  for (const end of ends) {
    const { region } = end.cell;
    if (end.cell.copied !== true) {
      single.push({ region, ends: [end] });
      continue;
    }
    let rest = region;
    copied = copied.flatMap((atom) => {
      const common = diagrams.and(atom.region, rest);
      if (common === NO) return [atom];
      rest = diagrams.less(rest, common);
      const alone = diagrams.less(atom.region, common);
      return [{ region: common, ends: [...atom.ends, end] }, ...(alone === NO ? [] : [{ ...atom, region: alone }])];
    });
    if (rest !== NO) copied.push({ region: rest, ends: [end] });
  }
  return [...single, ...copied.map((atom) => ({ ...atom, ends: endsThatCount(atom.ends) }))];
}

/** Of copies those that reach somebody; where none does, that they are lost, however many they were. */
function endsThatCount(ends: readonly HostEnd[]): readonly HostEnd[] {
  const counting = ends.filter((end) => isReached(end) || end.kind === 'undecided');
  if (counting.length > 0) return counting;
  return ends.filter(({ kind }, index) => ends.findIndex((other) => other.kind === kind) === index);
}

/** Equal atoms as one, by what they come to. */
function byKey({ layout: { diagrams } }: HostWays, atoms: readonly Atom[]): ReadonlyMap<string, Atom> {
  const grouped = new Map<string, Atom[]>();
  for (const atom of atoms) {
    const key = atom.ends.map(endKey).sort().join('\n');
    const own = grouped.get(key);
    if (own === undefined) grouped.set(key, [atom]);
    else own.push(atom);
  }
  return new Map(
    [...grouped].map(([key, own]) => [
      key,
      { region: diagrams.orAll(own.map(({ region }) => region)), ends: own[0]?.ends ?? [] },
    ]),
  );
}

interface Changed {
  readonly was: Atom;
  readonly is: Atom;
  readonly packets: Node;
  /** They reach the same machine and port as before. */
  readonly sameEndpoint: boolean;
}

function changedAtoms(ways: HostWays, old: readonly Atom[], now: readonly Atom[]): readonly Changed[] {
  const { diagrams } = ways.layout;
  const [before, after] = [byKey(ways, old), byKey(ways, now)];
  const apart = (own: ReadonlyMap<string, Atom>, others: ReadonlyMap<string, Atom>): readonly Atom[] =>
    [...own].flatMap(([key, atom]) => {
      const region = diagrams.less(atom.region, others.get(key)?.region ?? NO);
      return region === NO ? [] : [{ ...atom, region }];
    });
  const [left, right] = [apart(before, after), apart(after, before)];
  return left.flatMap((was) =>
    right.flatMap((is) => {
      const common = diagrams.and(was.region, is.region);
      if (common === NO) return [];
      const packets = diagrams.less(common, alike(ways, was, is));
      const same = diagrams.and(packets, sameEnd(ways, was, is, ['daddr', 'dport']));
      const parts = [
        { was, is, packets: same, sameEndpoint: true },
        { was, is, packets: diagrams.less(packets, same), sameEndpoint: false },
      ];
      return parts.filter((part) => part.packets !== NO);
    }),
  );
}

/** The packets that look the same at one end after all, though they came to it in different ways. */
function alike(ways: HostWays, was: Atom, is: Atom): Node {
  const [one] = was.ends;
  const [other] = is.ends;
  if (one === undefined || other === undefined) return NO;
  if (placeKey(one) !== placeKey(other) || one.cell.mark !== other.cell.mark) return NO;
  return sameEnd(ways, was, is, ['saddr', 'daddr', 'sport', 'dport', 'ttl']);
}

/** The packets that come to one end on either side, of the same kind, and have the same there in these fields. */
function sameEnd(
  { layout }: HostWays,
  { ends: was }: Atom,
  { ends: is }: Atom,
  fields: readonly (keyof Cell['header'])[],
): Node {
  const [one, ...others] = was;
  const [other, ...more] = is;
  if (one === undefined || other === undefined || others.length > 0 || more.length > 0) return NO;
  if (one.kind !== other.kind || !isReached(one)) return NO;
  return fields
    .map((field) => equal(layout, one.cell.header[field], other.cell.header[field]))
    .reduce((all, next) => layout.diagrams.and(all, next), YES);
}

function equal(layout: HostWays['layout'], a: Value, b: Value): Node {
  if (a.kind === 'any' && b.kind === 'any') return a.from === b.from && a.to === b.to ? YES : NO;
  return whereEqual(layout, a, b) ?? NO;
}

/** What the kernel chooses from is the same on both sides, wherever the rule stands. */
const fieldKey = (value: Value): string => (value.kind === 'any' ? `${value.from}-${value.to}` : valueKey(value));

const translatedKey = ({ header: { saddr, daddr, sport, dport } }: Cell): string =>
  [saddr, daddr, sport, dport].map(fieldKey).join(' ');

const placeKey = (end: HostEnd): string =>
  end.kind === 'exit'
    ? `exit ${end.oif} ${end.port ?? ''} ${end.dmac}`
    : end.kind === 'undecided'
      ? `${end.kind} ${end.reason ?? ''}`
      : end.kind;

/** Where a packet ends and what it looks like there; what is lost looks like nothing. */
function endKey(end: HostEnd): string {
  if (end.kind !== 'delivered' && end.kind !== 'exit') return placeKey(end);
  return `${placeKey(end)} ${translatedKey(end.cell)} ${fieldKey(end.cell.header.ttl)} ${end.cell.mark}`;
}

const summaryOf = ({ ends }: Atom): string => ends.map(endKey).sort().join(', ');

const isReached = ({ kind }: HostEnd): boolean => kind === 'delivered' || kind === 'exit';

function classesOf(
  ways: HostWays,
  { was: { ends: was }, is: { ends: is }, packets, sameEndpoint }: Changed,
  state: ConntrackState | undefined,
): readonly ChangeClass[] {
  if ([...was, ...is].some(({ kind }) => kind === 'undecided')) return ['undecided'];
  const [before, after] = [was.filter(isReached), is.filter(isReached)];
  if (before.length === 0 && after.length === 0)
    return was.map(({ kind }) => kind).join() === is.map(({ kind }) => kind).join() ? [] : ['refusal'];
  // Of flows that exist it is their state that matters.
  if (state === 'ESTABLISHED' || state === 'RELATED') return ['stateful'];
  const keys = (of: (end: HostEnd) => string, ends: readonly HostEnd[]): readonly string[] => ends.map(of).sort();
  if (!sameEndpoint) {
    const [old, now] = [keys(endpointOf, before), keys(endpointOf, after)];
    const classes: ChangeClass[] = [
      ...(now.some((one) => !old.includes(one)) ? (['widened'] as const) : []),
      ...(old.some((one) => !now.includes(one)) ? (['narrowed'] as const) : []),
    ];
    if (classes.length > 0) return classes;
  }
  const { diagrams } = ways.layout;
  const sameSource = sameEnd(ways, { region: packets, ends: was }, { region: packets, ends: is }, ['saddr', 'sport']);
  const looked = (end: HostEnd): string => translatedKey(end.cell);
  const isSame =
    diagrams.less(packets, sameSource) === NO || keys(looked, before).join('\n') === keys(looked, after).join('\n');
  const classes: ChangeClass[] = [
    ...(isSame ? [] : (['retranslated'] as const)),
    ...(keys(placeKey, before).join() === keys(placeKey, after).join() ? [] : (['rerouted'] as const)),
  ];
  return classes.length > 0 ? classes : ['marked'];
}

/** Who is reached: a process here, or the machine that has the address, at that port. */
const endpointOf = ({ kind, cell: { header } }: HostEnd): string =>
  `${kind === 'delivered' ? 'here' : 'there'} ${fieldKey(header.daddr)} ${fieldKey(header.dport)}`;

function shown(
  ways: HostWays,
  old: Ruleset,
  now: Ruleset,
  region: Omit<WayRegion, 'boxes' | 'more' | 'size' | 'witness'>,
): WayRegion {
  const { entry, state, packets, classes } = region;
  const { boxes, more } = ways.describe(packets, ways.alive);
  const found = arrivalIn(ways.layout, packets, { entry, ...(state === undefined ? {} : { state }) });
  const whole = { ...region, boxes, more, size: ways.layout.diagrams.count(packets) };
  if (found === undefined) return whole;
  const [was, is] = [old, now].map((side) => arrive(machineOf(ways.host, [side], ways.ground.backend), found.arrival));
  if (was === undefined || is === undefined) return whole;
  const isKnown =
    !classes.includes('undecided') &&
    found.supposes.length === 0 &&
    [was, is].every(({ fate }) => fate.kind !== 'undecided');
  const confirmed = isKnown ? seenOf(was) !== seenOf(is) : null;
  return { ...whole, witness: { arrival: found.arrival, old: was, now: is, confirmed } };
}

/** All that a journey shows of where it came to. */
export function seenOf({ fate, exits, deliveries }: Journey): string {
  const text = (value: unknown): string =>
    JSON.stringify(value, (_key, part: unknown) => (typeof part === 'bigint' ? `${part}n` : part));
  return [fate.kind, ...exits.map((exit) => text(exit)), ...deliveries.map((packet) => text(packet))].join('\n');
}
