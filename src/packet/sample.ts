/**
 * Packets out of a set: aimed samples, where mistakes are (at the edges of ranges and at values that the ruleset or the deployment
 * names), and the least packet, which is the one to show to a person. Both are functions of their arguments alone.
 */
import type { Address, Family } from '../address/address.ts';
import { familyOf, fromBigint, parseAddress, parsePrefix } from '../address/address.ts';
import type { Ranges } from '../address/ranges.ts';
import {
  countRanges,
  normalizeRanges,
  prefixRange,
  rangesContain,
  sameRanges,
  subtractRanges,
  valueAt,
} from '../address/ranges.ts';
import { anyAddress } from '../address/ranges.ts';
import type { Arrival, ConntrackState, Entry, Packet } from './packet.ts';
import { ACK, CONNTRACK_STATES, FIN, hasPorts, icmpOf, makePacket, PSH, RST, SYN, TCP, UDP } from './packet.ts';
import type { EntrySet, NameSet, PacketSet, Pattern } from './pattern.ts';
import { ANY_OCTET, ANY_PORTS, entryName, entrySetHas, nameSetHas } from './pattern.ts';
import { isExtensionHeader } from './protocol.ts';

/** A source of random numbers: each call gives an integer 0 .. 2^32-1. */
export type Random = () => number;

/** What is worth hitting: values that the ruleset, the deployment or the host names. Those that a set does not hold are ignored. */
export interface Aim {
  readonly addresses?: readonly Address[];
  readonly ports?: readonly number[];
  /** Where packets can come in. A set that leaves the entry open is entered here. */
  readonly entries?: readonly Entry[];
}

/** Draws from a set; undefined when it is empty. `samplerOf` prepares a set once for many draws. */
export const sampleArrival = (set: PacketSet, random: Random, aim: Aim = {}): Arrival | undefined =>
  samplerOf(set, aim)?.(random);

/**
 * A function that draws one arrival a call. Boxes are equally likely; in each field an edge of a range, a named value or any value.
 * The state is asserted only where the set says something about it.
 */
export function samplerOf(set: PacketSet, aim: Aim = {}): ((random: Random) => Arrival) | undefined {
  const boxes = set.boxes.flatMap((box) => {
    const sampler = boxSampler(box, aim);
    return sampler === undefined ? [] : [sampler];
  });
  return boxes.length === 0 ? undefined : (random) => pick(boxes, random)(random);
}

/** One of a list that is not empty. */
function pick<T>(list: readonly T[], random: Random): T {
  const chosen = list[random() % list.length];
  if (chosen === undefined) throw new RangeError('nothing to pick from');
  return chosen;
}

const USUAL_FLAGS = [SYN, SYN | ACK, ACK, PSH | ACK, FIN | ACK, RST, RST | ACK, 0];
const USUAL_TYPES: Readonly<Record<Family, readonly number[]>> = { 4: [8, 0, 3, 11, 13], 6: [128, 129, 1, 3, 135] };
const EXTENSION_HEADERS: Ranges<number> = normalizeRanges(
  Array.from({ length: 256 }, (_, value) => value)
    .filter(isExtensionHeader)
    .map((value) => ({ from: value, to: value })),
);

/** The protocols of a box that a packet can really have. */
const protocolsOf = (box: Pattern): Ranges<number> =>
  box.family === 6 ? subtractRanges(box.protocol, EXTENSION_HEADERS) : box.protocol;

function boxSampler(box: Pattern, aim: Aim): ((random: Random) => Arrival) | undefined {
  const { family } = box;
  const protocols = protocolsOf(box);
  if (protocols.length === 0) return undefined;
  const addresses = aim.addresses ?? [];
  const ports = aim.ports ?? [];
  const saddr = fieldSampler(box.saddr, anyAddress(family), addresses);
  const daddr = fieldSampler(box.daddr, anyAddress(family), addresses);
  const protocol = fieldSampler(protocols, ANY_OCTET, [TCP, TCP, UDP, icmpOf(family)]);
  const sport = fieldSampler(box.sport, ANY_PORTS, ports);
  const dport = fieldSampler(box.dport, ANY_PORTS, ports);
  const flags = fieldSampler(box.flags, ANY_OCTET, USUAL_FLAGS);
  const type = fieldSampler(box.type, ANY_OCTET, USUAL_TYPES[family]);
  const code = fieldSampler(box.code, ANY_OCTET, [0]);
  const entries = entriesOf(box.entry, aim.entries ?? []);
  return (random) => {
    const base = { family, saddr: saddr(random), daddr: daddr(random), protocol: protocol(random) };
    const packet = makePacket({
      ...base,
      ...(hasPorts(base.protocol) && { sport: sport(random), dport: dport(random) }),
      ...(base.protocol === TCP && { flags: flags(random) }),
      ...(base.protocol === icmpOf(family) && { type: type(random), code: code(random) }),
    });
    return { packet, entry: pick(entries, random), ...assertedState(box, (states) => pick(states, random)) };
  };
}

const assertedState = (
  box: Pattern,
  choose: (states: readonly ConntrackState[]) => ConntrackState,
): Pick<Arrival, 'state'> => (box.states.length === CONNTRACK_STATES.length ? {} : { state: choose(box.states) });

const sorted = new WeakMap<readonly Address[], Map<Family, readonly Address[]>>();

/** The values of one kind that are named, in order. Kept, for one list is asked about for many sets. */
function inOrder(values: readonly Address[], kind: Family): readonly Address[] {
  const known = sorted.get(values) ?? new Map<Family, readonly Address[]>();
  sorted.set(values, known);
  const own =
    known.get(kind) ??
    values.filter((value) => familyOf(value) === kind).sort((one, other) => (one < other ? -1 : one > other ? 1 : 0));
  known.set(kind, own);
  return own;
}

/** The first place in an ordered list where a value, or what comes after it, stands. */
function placeOf(list: readonly Address[], isBefore: (value: Address) => boolean): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const value = list[middle];
    if (value !== undefined && isBefore(value)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Draws one of the values that are named and in the ranges; undefined where there is none. */
function namedIn<T extends Address>(
  ranges: Ranges<T>,
  interesting: readonly Address[],
): ((random: Random) => T) | undefined {
  const list = inOrder(interesting, familyOf(ranges[0]?.from ?? 0));
  const runs: { readonly first: number; readonly before: number }[] = [];
  let count = 0;
  for (const { from, to } of ranges) {
    const first = placeOf(list, (value) => value < from);
    const end = placeOf(list, (value) => value <= to);
    if (end > first) runs.push({ first, before: count });
    count += end - first;
  }
  const at = (index: number): Address | undefined => {
    const run =
      runs[
        placeOf(
          runs.map(({ before }) => before),
          (before) => before <= index,
        ) - 1
      ];
    return run && list[run.first + index - run.before];
  };
  if (count === 0) return undefined;
  return (random) => {
    const value = at(random() % count);
    if (value === undefined) throw new RangeError('nothing is named there');
    return value as T;
  };
}

/** Of eight draws from a field: where something is named, three named ones; one of any value; edges otherwise. */
function fieldSampler<T extends Address>(
  ranges: Ranges<T>,
  all: Ranges<T>,
  interesting: readonly Address[],
): (random: Random) => T {
  const named = namedIn(ranges, interesting);
  const size = countRanges(ranges);
  // The edges of a field that is left open are no edges of anything, so they are drawn less often.
  const namedUpTo = named === undefined ? 0 : sameRanges<Address>(ranges, all) ? 5 : 3;
  const uniformUpTo = namedUpTo + (sameRanges<Address>(ranges, all) ? 2 : 1);
  return (random) => {
    const die = random() % 8;
    if (named !== undefined && die < namedUpTo) return named(random);
    if (die < uniformUpTo) return valueAt(ranges, uniform(size, random)) ?? edge(ranges, random);
    return edge(ranges, random);
  };
}

/** The first or last value of one of the ranges, or the one just inside. */
function edge<T extends Address>(ranges: Ranges<T>, random: Random): T {
  const { from, to } = pick(ranges, random);
  const inside = BigInt(to) > BigInt(from) ? 1n : 0n;
  const values = [BigInt(from), BigInt(to), BigInt(from) + inside, BigInt(to) - inside];
  const value = pick(values, random);
  return (typeof from === 'number' ? Number(value) : value) as T;
}

/** 0 .. size-1. The remainder favours small values by less than 2^-32. */
function uniform(size: bigint, random: Random): bigint {
  let value = 0n;
  for (let words = (size.toString(2).length + 63) >> 5; words > 0; words--) value = (value << 32n) | BigInt(random());
  return value % size;
}

/** Entries of the set: those that it names, or those of the candidates that it holds, or one that it does not exclude. */
function entriesOf(set: EntrySet, candidates: readonly Entry[]): readonly Entry[] {
  const held = candidates.filter((entry) => entrySetHas(set, entry));
  if (held.length > 0) return held;
  const named: Entry[] = [
    ...(set.in.not ? [] : set.in.names.map(interfaceEntry)),
    ...(set.local.not ? [] : set.local.names.map(localEntry)),
  ];
  if (named.length > 0) return named;
  return set.in.not ? [interfaceEntry(freshName(set.in, 'eth'))] : [localEntry(freshLocal(set.local))];
}

function interfaceEntry(name: string): Entry {
  const colon = name.indexOf(':');
  return colon < 0
    ? { kind: 'in', interface: name }
    : { kind: 'in', host: name.slice(0, colon), interface: name.slice(colon + 1) };
}

const localEntry = (name: string): Entry => (name === '' ? { kind: 'local' } : { kind: 'local', host: name });
const freshLocal = (set: NameSet): string => (nameSetHas(set, '') ? '' : freshName(set, 'host'));

/** The first of `eth0`, `eth1`, ... that a cofinite set holds: one of any n+1 names is not among n. */
function freshName(set: NameSet, stem: string): string {
  let index = 0;
  while (!nameSetHas(set, `${stem}${index}`)) index++;
  return `${stem}${index}`;
}

/**
 * The least packet of a set in an order that a person finds natural; undefined when the set is empty.
 *
 * tcp before udp before icmp before the rest; entering from outside before made locally; ordinary addresses (203.0.113.7 for a
 * source that may be anyone, else the lowest that is neither reserved, loopback, link-local, multicast nor a network's or
 * broadcast address in a /24) before odd ones; the lowest destination port but 0; the lowest source port from 1024 up; a SYN, an
 * echo request; NEW where a state has to be asserted.
 */
export function leastPacket(set: PacketSet, aim: Pick<Aim, 'entries'> = {}): Arrival | undefined {
  let least: Ranked | undefined;
  for (const box of set.boxes) {
    const candidate = leastOf(box, aim.entries ?? []);
    if (candidate !== undefined && (least === undefined || isBefore(candidate.rank, least.rank))) least = candidate;
  }
  return least?.arrival;
}

interface Ranked {
  readonly arrival: Arrival;
  readonly rank: readonly (Address | string)[];
}

/** Ranks have the same kinds of values at the same places. */
function isBefore(a: Ranked['rank'], b: Ranked['rank']): boolean {
  for (const [index, value] of a.entries()) {
    const other = b[index];
    if (other !== undefined && value !== other) return value < other;
  }
  return false;
}

function leastOf(box: Pattern, candidates: readonly Entry[]): Ranked | undefined {
  const { family } = box;
  const usual = [TCP, UDP, icmpOf(family)];
  const protocols = protocolsOf(box);
  const protocol = usual.find((value) => rangesContain(protocols, value)) ?? protocols[0]?.from;
  if (protocol === undefined) return undefined;
  // Not from an address to itself, where that can be helped: no such packet is on any wire.
  const elsewhere = countRanges(box.saddr) === 1n ? subtractRanges(box.daddr, box.saddr) : box.daddr;
  const daddr = leastAddress(elsewhere.length > 0 ? elsewhere : box.daddr, family, WORLD[family].destination);
  const others = subtractRanges(box.saddr, [{ from: daddr.address, to: daddr.address }]);
  const saddr = leastAddress(others.length > 0 ? others : box.saddr, family, WORLD[family].source);
  const dport = firstFrom(box.dport, [1]);
  const sport = firstFrom(box.sport, [1024, 1]);
  const flags = firstOf(box.flags, USUAL_FLAGS);
  const type = firstOf(box.type, USUAL_TYPES[family]);
  const code = firstFrom(box.code, []);
  const entry = leastEntry(entriesOf(box.entry, candidates));
  const packet: Packet = makePacket({
    family,
    saddr: saddr.address,
    daddr: daddr.address,
    protocol,
    ...(hasPorts(protocol) && { sport, dport }),
    ...(protocol === TCP && { flags }),
    ...(protocol === icmpOf(family) && { type, code }),
  });
  const place = usual.indexOf(protocol);
  return {
    arrival: { packet, entry, ...assertedState(box, ([first]) => first ?? 'NEW') },
    rank: [
      family,
      place < 0 ? usual.length : place,
      entry.kind,
      ...daddr.rank,
      packet.dport,
      ...saddr.rank,
      packet.sport,
      USUAL_FLAGS.indexOf(packet.flags) >>> 0,
      packet.flags,
      USUAL_TYPES[family].indexOf(packet.type) >>> 0,
      packet.type,
      packet.code,
      CONNTRACK_STATES.indexOf(box.states[0] ?? 'NEW'),
      entryName(entry),
    ],
  };
}

/** `in` sorts before `local`, and names by their letters. */
function leastEntry(entries: readonly Entry[]): Entry {
  const rank = (entry: Entry) => `${entry.kind} ${entryName(entry)}`;
  return entries.reduce((least, entry) => (rank(entry) < rank(least) ? entry : least));
}

/** The lowest value at or above the first bound that has one; the lowest of all where none has. */
function firstFrom(ranges: Ranges<number>, bounds: readonly number[]): number {
  for (const bound of bounds) {
    for (const { from, to } of ranges) if (to >= bound) return Math.max(from, bound);
  }
  return ranges[0]?.from ?? 0;
}

const firstOf = (ranges: Ranges<number>, usual: readonly number[]): number =>
  usual.find((value) => rangesContain(ranges, value)) ?? ranges[0]?.from ?? 0;

function known(text: string): Address {
  const address = parseAddress(text);
  if (address === undefined) throw new RangeError(`${text} is no address`);
  return address;
}

const ranges = (...texts: string[]): Ranges =>
  normalizeRanges(
    texts.flatMap((text) => {
      const prefix = parsePrefix(text);
      return prefix === undefined ? [] : [prefixRange(prefix)];
    }),
  );

/** Somebody in the world: addresses for documentation (RFC 5737, RFC 3849). */
const WORLD: Readonly<Record<Family, { readonly source: Address; readonly destination: Address }>> = {
  4: { source: known('203.0.113.7'), destination: known('198.51.100.7') },
  6: { source: known('2001:db8:1::7'), destination: known('2001:db8:2::7') },
};

/** Addresses that no ordinary packet comes from or goes to. */
const ODD: Readonly<Record<Family, Ranges>> = {
  4: ranges('0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3'),
  6: ranges('::/8', 'fe80::/10', 'ff00::/8'),
};

interface RankedAddress {
  readonly address: Address;
  readonly rank: readonly Address[];
}

function leastAddress(wanted: Ranges, family: Family, world: Address): RankedAddress {
  if (rangesContain(wanted, world)) return { address: world, rank: [0, world] };
  const ordinary = subtractRanges(wanted, ODD[family]);
  for (const { from, to } of ordinary) {
    const last = Number(BigInt(from) & 0xffn);
    const step = last === 0 ? 1n : last === 255 ? 2n : 0n;
    if (BigInt(from) + step <= BigInt(to)) {
      const address = fromBigint(family, BigInt(from) + step);
      return { address, rank: [1, address] };
    }
  }
  const address = ordinary[0]?.from ?? wanted[0]?.from ?? world;
  return { address, rank: [ordinary.length > 0 ? 2 : 3, address] };
}
