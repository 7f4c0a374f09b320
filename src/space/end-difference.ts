/**
 * The ends of one packet under two rulesets, of all packets at once: where they differ, and what that means to whoever sent it and whoever got it. How the two
 * came to be is no matter here.
 */
import type { Cell } from './cell.ts';
import { NO, YES, type Node } from './diagram.ts';
import { isReached, type HostEnd } from './host-path.ts';
import type { Layout } from './layout.ts';
import { isSlight, type ChangeClass } from './table-difference.ts';
import { valueKey, whereEqual, type Value } from './value.ts';

/** Packets that end otherwise than they did, for one reason. */
export interface EndChange {
  /** What it means, the main thing first; `stateful` is for whoever asks about more than first packets to say. */
  readonly classes: readonly ChangeClass[];
  readonly packets: Node;
  /** How they ended and how they end, as one text. */
  readonly ends: string;
  /** Where they come to now. */
  readonly now: readonly HostEnd[];
}

/**
 * What changed between the ends that packets come to under the one ruleset and under the other, of packets that meet some change. No packet is in two. Of those that sets follow on neither side
 * to their end nothing is known.
 */
export function endChanges(layout: Layout, old: readonly HostEnd[], now: readonly HostEnd[]): readonly EndChange[] {
  const { diagrams } = layout;
  const [before, after] = [atomsOf(layout, old), atomsOf(layout, now)];
  const found: EndChange[] = changedAtoms(layout, before, after).flatMap((changed) => {
    const own = classesOf(layout, changed);
    const isKnown = own.every(isSlight) || ![...changed.was.ends, ...changed.is.ends].some(isSupposed);
    const classes: readonly ChangeClass[] = isKnown ? own : ['undecided'];
    const ends = `${summaryOf(changed.was)} -> ${summaryOf(changed.is)}`;
    return classes.length === 0 ? [] : [{ classes, packets: changed.packets, ends, now: changed.is.ends }];
  });
  const logged = loggedOtherwise(layout, before, after);
  let rest = logged;
  const split = found.flatMap((change): EndChange[] => {
    const both = diagrams.and(change.packets, logged);
    if (both === NO) return [change];
    rest = diagrams.less(rest, both);
    const alone = diagrams.less(change.packets, both);
    return [
      ...(alone === NO ? [] : [{ ...change, packets: alone }]),
      { ...change, classes: [...change.classes, 'logged'], packets: both },
    ];
  });
  return rest === NO ? split : [...split, { classes: ['logged'], packets: rest, ends: '', now: [] }];
}

/** The packets that other entries are written of in the log. */
function loggedOtherwise({ diagrams }: Layout, old: readonly Atom[], now: readonly Atom[]): Node {
  const byLogs = (atoms: readonly Atom[]): ReadonlyMap<string, Node> => {
    const regions = new Map<string, Node[]>();
    for (const { region, ends } of atoms) {
      const key = ends
        .map(({ cell: { logged = [] } }) => logged.join('\n'))
        .filter((entries) => entries !== '')
        .sort()
        .join('\n\n');
      regions.set(key, [...(regions.get(key) ?? []), region]);
    }
    return new Map([...regions].map(([key, own]) => [key, diagrams.orAll(own)]));
  };
  const [before, after] = [byLogs(old), byLogs(now)];
  if (before.size <= 1 && after.size <= 1 && [...before.keys()].join() === [...after.keys()].join()) return NO;
  return diagrams.orAll(
    [...before].flatMap(([key, region]) =>
      [...after].flatMap(([other, own]) => (other === key ? [] : [diagrams.and(region, own)])),
    ),
  );
}

/** Packets of which each comes to all of these ends, and to no other. */
interface Atom {
  readonly region: Node;
  readonly ends: readonly HostEnd[];
}

/** A packet that is copied comes to several ends; all others come to one. */
function atomsOf({ diagrams }: Layout, ends: readonly HostEnd[]): readonly Atom[] {
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
function byKey({ diagrams }: Layout, atoms: readonly Atom[]): ReadonlyMap<string, Atom> {
  const grouped = new Map<string, Atom[]>();
  for (const atom of atoms) {
    const key = atom.ends.map(endKey).sort().join('\n');
    const own = grouped.get(key);
    if (own === undefined) grouped.set(key, [atom]);
    else own.push(atom);
  }
  return new Map(
    [...grouped].map(([key, own]) => {
      const region = diagrams.orAll(own.map((atom) => atom.region));
      // Of all of them: what their ends look like is the same.
      const ends = own[0]?.ends.map((end): HostEnd => ({ ...end, cell: { ...end.cell, region } })) ?? [];
      return [key, { region, ends }];
    }),
  );
}

/** The conversation need not have come so far. */
const isSupposed = ({ cell: { talk } }: HostEnd): boolean => talk?.supposed === true;

const isUnfollowed = (end: HostEnd): boolean => end.kind === 'undecided' && end.unfollowed === true;

interface Changed {
  readonly was: Atom;
  readonly is: Atom;
  readonly packets: Node;
  /** They reach the same machine and port as before. */
  readonly sameEndpoint: boolean;
}

function changedAtoms(layout: Layout, old: readonly Atom[], now: readonly Atom[]): readonly Changed[] {
  const { diagrams } = layout;
  const [before, after] = [byKey(layout, old), byKey(layout, now)];
  const apart = (own: ReadonlyMap<string, Atom>, others: ReadonlyMap<string, Atom>): readonly Atom[] =>
    [...own].flatMap(([key, atom]) => {
      const same = atom.ends.some(isUnfollowed) ? NO : (others.get(key)?.region ?? NO);
      const region = diagrams.less(atom.region, same);
      return region === NO ? [] : [{ ...atom, region }];
    });
  const [left, right] = [apart(before, after), apart(after, before)];
  return left.flatMap((was) =>
    right.flatMap((is) => {
      const common = diagrams.and(was.region, is.region);
      if (common === NO) return [];
      const packets = diagrams.less(common, alike(layout, was, is));
      const same = diagrams.and(packets, sameEnd(layout, was, is, ['daddr', 'dport']));
      const parts = [
        { was, is, packets: same, sameEndpoint: true },
        { was, is, packets: diagrams.less(packets, same), sameEndpoint: false },
      ];
      return parts.filter((part) => part.packets !== NO);
    }),
  );
}

/** The packets that look the same at one end after all, though they came to it in different ways. */
function alike(layout: Layout, was: Atom, is: Atom): Node {
  const [one] = was.ends;
  const [other] = is.ends;
  if (one === undefined || other === undefined) return NO;
  if (placeKey(one) !== placeKey(other) || one.cell.mark !== other.cell.mark) return NO;
  return sameEnd(layout, was, is, ['saddr', 'daddr', 'sport', 'dport', 'ttl']);
}

/** The packets that come to one end on either side, of the same kind, and have the same there in these fields. */
function sameEnd(
  layout: Layout,
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

function equal(layout: Layout, a: Value, b: Value): Node {
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
      : end.kind === 'rejected'
        ? `${end.kind} with ${end.with ?? ''}`
        : end.kind;

/** Where a packet ends and what it looks like there, or where nothing more is known of it; what is lost looks like nothing. */
function endKey(end: HostEnd): string {
  const place = isSupposed(end) ? `${placeKey(end)}, supposed` : placeKey(end);
  if (end.kind === 'dropped' || end.kind === 'rejected') return place;
  return `${place} ${translatedKey(end.cell)} ${fieldKey(end.cell.header.ttl)} ${end.cell.mark}`;
}

const summaryOf = ({ ends }: Atom): string => ends.map(endKey).sort().join(', ');

function classesOf(
  layout: Layout,
  { was: { ends: was }, is: { ends: is }, packets, sameEndpoint }: Changed,
): readonly ChangeClass[] {
  if ([...was, ...is].some(({ kind }) => kind === 'undecided')) return ['undecided'];
  const [before, after] = [was.filter(isReached), is.filter(isReached)];
  const keys = (of: (end: HostEnd) => string, ends: readonly HostEnd[]): readonly string[] => ends.map(of).sort();
  if (before.length === 0 && after.length === 0)
    return keys(placeKey, was).join() === keys(placeKey, is).join() ? [] : ['refusal'];
  if (!sameEndpoint) {
    const [old, now] = [keys(endpointOf, before), keys(endpointOf, after)];
    const classes: ChangeClass[] = [
      ...(now.some((one) => !old.includes(one)) ? (['widened'] as const) : []),
      ...(old.some((one) => !now.includes(one)) ? (['narrowed'] as const) : []),
    ];
    if (classes.length > 0) return classes;
  }
  const { diagrams } = layout;
  const sameSource = sameEnd(layout, { region: packets, ends: was }, { region: packets, ends: is }, ['saddr', 'sport']);
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
