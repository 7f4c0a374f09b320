/**
 * Sets of packets as plain data. A `Pattern` is a box: for each field the values that it may have, independently of the other
 * fields. A `PacketSet` is a union of boxes; they may overlap unless a function says otherwise.
 *
 * Normal form. Only some protocols have ports, flags or an icmp type. A box that says something about such a field (its
 * values are not all values) holds only protocols that have it; in every other box the field stands at "all values" and says nothing
 * about packets without it. `patternOf` makes this form, every function here keeps it, and because of it boxes can be
 * intersected and subtracted field by field: "any protocol" less "tcp to port 80" is "any protocol but tcp" and "tcp to another port".
 *
 * A set speaks of addresses, protocol, ports, flags, icmp type and code, and of where a packet enters and in which connection
 * tracking state. All else about a packet (ttl, mark, payload, ...) is free. A later fragment is taken by its record: its first four
 * octets for ports, no flags, type and code 0.
 */
import type { Family } from '../address/address.ts';
import type { Ranges } from '../address/ranges.ts';
import {
  anyAddress,
  countRanges,
  intersectRanges,
  rangesContain,
  rangesOverlap,
  sameRanges,
  subtractRanges,
  unionRanges,
} from '../address/ranges.ts';
import type { Arrival, ConntrackState, Entry, Packet } from './packet.ts';
import { CONNTRACK_STATES, DCCP, icmpOf, SCTP, TCP, UDP, UDPLITE } from './packet.ts';

/** Finitely many names, or all but finitely many. `names` is sorted and without repetition. */
export interface NameSet {
  readonly not: boolean;
  readonly names: readonly string[];
}

/**
 * Where packets may enter. `in`: interfaces as `IFACE` or `HOST:IFACE`. `local`: hosts that make the packet, by name, the empty
 * name for `local` without one. A name without a host stands for itself, not for that interface of every host.
 */
export interface EntrySet {
  readonly in: NameSet;
  readonly local: NameSet;
}

export interface Pattern {
  readonly family: Family;
  readonly saddr: Ranges;
  readonly daddr: Ranges;
  readonly protocol: Ranges<number>;
  readonly sport: Ranges<number>;
  readonly dport: Ranges<number>;
  /** Values of the flag octet of tcp. */
  readonly flags: Ranges<number>;
  readonly type: Ranges<number>;
  readonly code: Ranges<number>;
  readonly entry: EntrySet;
  /** In the order of `CONNTRACK_STATES`; all five say nothing. */
  readonly states: readonly ConntrackState[];
}

export interface PacketSet {
  readonly boxes: readonly Pattern[];
}

export const ANY_OCTET: Ranges<number> = [{ from: 0, to: 255 }];
export const ANY_PORTS: Ranges<number> = [{ from: 0, to: 65535 }];
export const ANY_NAME: NameSet = { not: true, names: [] };
export const NO_NAME: NameSet = { not: false, names: [] };
export const ANY_ENTRY: EntrySet = { in: ANY_NAME, local: ANY_NAME };
export const NO_PACKET: PacketSet = { boxes: [] };

/** The protocols that have ports. */
export const PORT_PROTOCOLS: Ranges<number> = [TCP, UDP, DCCP, SCTP, UDPLITE].map((value) => ({
  from: value,
  to: value,
}));
const TCP_ONLY: Ranges<number> = [{ from: TCP, to: TCP }];
const ICMP_ONLY: Readonly<Record<Family, Ranges<number>>> = {
  4: [{ from: icmpOf(4), to: icmpOf(4) }],
  6: [{ from: icmpOf(6), to: icmpOf(6) }],
};

/** The fields that only some protocols have, with all their values and those protocols. */
const TRANSPORT = [
  { field: 'dport', all: ANY_PORTS, protocols: () => PORT_PROTOCOLS },
  { field: 'sport', all: ANY_PORTS, protocols: () => PORT_PROTOCOLS },
  { field: 'flags', all: ANY_OCTET, protocols: () => TCP_ONLY },
  { field: 'type', all: ANY_OCTET, protocols: (family: Family) => ICMP_ONLY[family] },
  { field: 'code', all: ANY_OCTET, protocols: (family: Family) => ICMP_ONLY[family] },
] as const;

const TRANSPORT_FIELDS = ['dport', 'sport', 'flags', 'type', 'code'] as const;

/** Every packet of a family. */
export const anyPattern = (family: Family): Pattern => ({
  family,
  saddr: anyAddress(family),
  daddr: anyAddress(family),
  protocol: ANY_OCTET,
  sport: ANY_PORTS,
  dport: ANY_PORTS,
  flags: ANY_OCTET,
  type: ANY_OCTET,
  code: ANY_OCTET,
  entry: ANY_ENTRY,
  states: CONNTRACK_STATES,
});

/** Every packet of both families. */
export const ANY_PACKET: PacketSet = { boxes: [anyPattern(4), anyPattern(6)] };

/**
 * The box with these fields and all values for the rest, in normal form: a field that says something leaves only the protocols that
 * have it. Undefined when no packet is left. Ranges are given normalized (`normalizeRanges`).
 */
export function patternOf(fields: Partial<Pattern> & Pick<Pattern, 'family'>): Pattern | undefined {
  const box = { ...anyPattern(fields.family), ...fields };
  let protocol = box.protocol;
  for (const { field, all, protocols } of TRANSPORT) {
    if (!sameRanges(box[field], all)) protocol = intersectRanges(protocol, protocols(box.family));
  }
  const states = CONNTRACK_STATES.filter((state) => box.states.includes(state));
  const pattern: Pattern = { ...box, protocol, states };
  return isEmptyPattern(pattern) ? undefined : pattern;
}

/** The set of just this box; empty when `patternOf` finds no packet in it. */
export function setOf(fields: Partial<Pattern> & Pick<Pattern, 'family'>): PacketSet {
  const pattern = patternOf(fields);
  return pattern === undefined ? NO_PACKET : { boxes: [pattern] };
}

/** The set that holds what an arrival says: this header, this entry, the asserted state if there is one. */
export function setOfArrival(arrival: Arrival): PacketSet {
  const { packet, entry, state } = arrival;
  const only = <T>(value: T) => [{ from: value, to: value }];
  const has = (field: (typeof TRANSPORT_FIELDS)[number]) =>
    TRANSPORT.some((row) => row.field === field && rangesContain(row.protocols(packet.family), packet.protocol));
  return setOf({
    family: packet.family,
    saddr: only(packet.saddr),
    daddr: only(packet.daddr),
    protocol: only(packet.protocol),
    ...(has('sport') && { sport: only(packet.sport), dport: only(packet.dport) }),
    ...(has('flags') && { flags: only(packet.flags) }),
    ...(has('type') && { type: only(packet.type), code: only(packet.code) }),
    entry: entrySetOf([entry]),
    ...(state !== undefined && { states: [state] }),
  });
}

const isEmptyNames = (set: NameSet): boolean => !set.not && set.names.length === 0;
const isEmptyEntry = (set: EntrySet): boolean => isEmptyNames(set.in) && isEmptyNames(set.local);

const isEmptyPattern = (box: Pattern): boolean =>
  box.saddr.length === 0 ||
  box.daddr.length === 0 ||
  box.protocol.length === 0 ||
  box.states.length === 0 ||
  isEmptyEntry(box.entry) ||
  TRANSPORT_FIELDS.some((field) => box[field].length === 0);

export const nameSetHas = (set: NameSet, name: string): boolean => set.names.includes(name) !== set.not;

const sortedNames = (names: Iterable<string>): readonly string[] => [...new Set(names)].sort();

/** These names, or all others. */
export const nameSet = (names: Iterable<string>, not = false): NameSet => ({ not, names: sortedNames(names) });

function intersectNames(a: NameSet, b: NameSet): NameSet {
  if (a.not && b.not) return { not: true, names: sortedNames([...a.names, ...b.names]) };
  const [finite, other] = a.not ? [b, a] : [a, b];
  return { not: false, names: finite.names.filter((name) => nameSetHas(other, name)) };
}

const complementNames = (set: NameSet): NameSet => ({ not: !set.not, names: set.names });
const subtractNames = (a: NameSet, b: NameSet): NameSet => intersectNames(a, complementNames(b));
const unionNames = (a: NameSet, b: NameSet): NameSet =>
  complementNames(intersectNames(complementNames(a), complementNames(b)));
const sameNames = (a: NameSet, b: NameSet): boolean =>
  a.not === b.not && a.names.length === b.names.length && a.names.every((name, i) => name === b.names[i]);

const onEntry = (operation: (a: NameSet, b: NameSet) => NameSet) => (a: EntrySet, b: EntrySet) => ({
  in: operation(a.in, b.in),
  local: operation(a.local, b.local),
});
const intersectEntry = onEntry(intersectNames);
const subtractEntry = onEntry(subtractNames);
const unionEntry = onEntry(unionNames);

export const sameEntry = (a: EntrySet, b: EntrySet): boolean => sameNames(a.in, b.in) && sameNames(a.local, b.local);

/** How an `EntrySet` names an entry. */
export const entryName = (entry: Entry): string =>
  entry.kind === 'local'
    ? (entry.host ?? '')
    : entry.host === undefined
      ? entry.interface
      : `${entry.host}:${entry.interface}`;

/** Exactly these entries. */
export const entrySetOf = (entries: readonly Entry[]): EntrySet => ({
  in: nameSet(entries.filter(({ kind }) => kind === 'in').map(entryName)),
  local: nameSet(entries.filter(({ kind }) => kind === 'local').map(entryName)),
});

export const entrySetHas = (set: EntrySet, entry: Entry): boolean => nameSetHas(set[entry.kind], entryName(entry));

/** Does the box hold this header, wherever the packet enters and whatever its state? */
export function holdsPacket(box: Pattern, packet: Packet): boolean {
  if (box.family !== packet.family) return false;
  if (!rangesContain(box.protocol, packet.protocol)) return false;
  if (!rangesContain(box.daddr, packet.daddr) || !rangesContain(box.saddr, packet.saddr)) return false;
  // A field that the protocol does not have stands at all values (normal form), so it can be tested like any other.
  return (
    rangesContain(box.dport, packet.dport) &&
    rangesContain(box.sport, packet.sport) &&
    rangesContain(box.flags, packet.flags) &&
    rangesContain(box.type, packet.type) &&
    rangesContain(box.code, packet.code)
  );
}

/** Does the box hold this packet, entering there in that state? An arrival that asserts no state is held if some state is. */
export const patternHolds = (box: Pattern, { packet, entry, state }: Arrival): boolean =>
  holdsPacket(box, packet) && entrySetHas(box.entry, entry) && (state === undefined || box.states.includes(state));

/** `patternHolds` of one of the boxes. The laws of set algebra hold for arrivals that assert a state. */
export const setHolds = (set: PacketSet, arrival: Arrival): boolean =>
  set.boxes.some((box) => patternHolds(box, arrival));

export const isEmptySet = (set: PacketSet): boolean => set.boxes.length === 0;

const sharesStates = (a: Pattern, b: Pattern): boolean =>
  a.states === b.states || a.states.some((state) => b.states.includes(state));

function patternsOverlap(a: Pattern, b: Pattern): boolean {
  return (
    a.family === b.family &&
    rangesOverlap(a.daddr, b.daddr) &&
    rangesOverlap(a.saddr, b.saddr) &&
    rangesOverlap(a.protocol, b.protocol) &&
    rangesOverlap(a.dport, b.dport) &&
    rangesOverlap(a.sport, b.sport) &&
    rangesOverlap(a.flags, b.flags) &&
    rangesOverlap(a.type, b.type) &&
    rangesOverlap(a.code, b.code) &&
    sharesStates(a, b) &&
    !isEmptyEntry(intersectEntry(a.entry, b.entry))
  );
}

type States = readonly ConntrackState[];
const intersectStates = (a: States, b: States): States =>
  a.every((state) => b.includes(state)) ? a : a.filter((state) => b.includes(state));

/** What is in both boxes; undefined when nothing is. */
export function intersectPatterns(a: Pattern, b: Pattern): Pattern | undefined {
  if (!patternsOverlap(a, b)) return undefined;
  return {
    family: a.family,
    saddr: intersectRanges(a.saddr, b.saddr),
    daddr: intersectRanges(a.daddr, b.daddr),
    protocol: intersectRanges(a.protocol, b.protocol),
    sport: intersectRanges(a.sport, b.sport),
    dport: intersectRanges(a.dport, b.dport),
    flags: intersectRanges(a.flags, b.flags),
    type: intersectRanges(a.type, b.type),
    code: intersectRanges(a.code, b.code),
    entry: a.entry === b.entry ? a.entry : intersectEntry(a.entry, b.entry),
    states: intersectStates(a.states, b.states),
  };
}

/** What is in `a` and not in `b`, as disjoint boxes. */
export function subtractPattern(a: Pattern, b: Pattern): readonly Pattern[] {
  if (!patternsOverlap(a, b)) return [a];
  const rest: Pattern[] = [];
  // Field by field: what differs there is outside `b` whatever the later fields are; what agrees goes on to the next field.
  let common = a;
  const protocol = subtractRanges(a.protocol, b.protocol);
  if (protocol.length > 0) rest.push({ ...common, protocol });
  common = { ...common, protocol: intersectRanges(a.protocol, b.protocol) };
  for (const field of ['daddr', 'saddr'] as const) {
    const outside = subtractRanges(a[field], b[field]);
    if (outside.length > 0) rest.push({ ...common, [field]: outside });
    common = { ...common, [field]: intersectRanges(a[field], b[field]) };
  }
  // Only protocols of both boxes are left, so a transport field that `b` speaks of is one that they have.
  for (const field of TRANSPORT_FIELDS) {
    const outside = subtractRanges(a[field], b[field]);
    if (outside.length > 0) rest.push({ ...common, [field]: outside });
    common = { ...common, [field]: intersectRanges(a[field], b[field]) };
  }
  const states = a.states.filter((state) => !b.states.includes(state));
  if (states.length > 0) rest.push({ ...common, states });
  common = { ...common, states: intersectStates(a.states, b.states) };
  const entry = subtractEntry(a.entry, b.entry);
  if (!isEmptyEntry(entry)) rest.push({ ...common, entry });
  return rest;
}

/** True when every packet of `inner` is in `outer`. */
export const patternCovers = (outer: Pattern, inner: Pattern): boolean => subtractPattern(inner, outer).length === 0;

/** Both together; boxes of `b` that one box of `a` covers are left out. */
export const unionSets = (a: PacketSet, b: PacketSet): PacketSet => ({
  boxes: [...a.boxes, ...b.boxes.filter((box) => !a.boxes.some((outer) => patternCovers(outer, box)))],
});

export const intersectSets = (a: PacketSet, b: PacketSet): PacketSet => ({
  boxes: a.boxes.flatMap((left) =>
    b.boxes.flatMap((right) => {
      const common = intersectPatterns(left, right);
      return common === undefined ? [] : [common];
    }),
  ),
});

/** What is in `a` and not in `b`. Disjoint boxes where those of `a` are disjoint. */
export function subtractSets(a: PacketSet, b: PacketSet): PacketSet {
  let boxes = a.boxes;
  for (const hole of b.boxes) {
    if (boxes.length === 0) break;
    boxes = boxes.flatMap((box) => subtractPattern(box, hole));
  }
  return { boxes };
}

/** What is in the box and not in the set, as disjoint boxes. */
export const complementWithin = (box: Pattern, set: PacketSet): PacketSet => subtractSets({ boxes: [box] }, set);

/** True when every packet of `inner` is in `outer`; stops at the first box that is not. */
export const setCovers = (outer: PacketSet, inner: PacketSet): boolean =>
  inner.boxes.every((box) => isEmptySet(complementWithin(box, outer)));

export const setsOverlap = (a: PacketSet, b: PacketSet): boolean =>
  a.boxes.some((left) => b.boxes.some((right) => patternsOverlap(left, right)));

/** True when both hold the same packets, however they are cut into boxes. */
export const sameSet = (a: PacketSet, b: PacketSet): boolean => setCovers(a, b) && setCovers(b, a);

/** The same set as disjoint boxes. */
export function disjointSet(set: PacketSet): PacketSet {
  const boxes: Pattern[] = [];
  for (const box of set.boxes) boxes.push(...complementWithin(box, { boxes }).boxes);
  return { boxes };
}

/**
 * How many headers (addresses, protocol, and the fields that the protocol has) the set holds, each once, in whatever states and
 * by whatever entries.
 */
export function countPackets(set: PacketSet): bigint {
  const headers = set.boxes.map((box) => ({ ...box, entry: ANY_ENTRY, states: CONNTRACK_STATES }));
  return disjointSet({ boxes: headers }).boxes.reduce((count, box) => count + countHeaders(box), 0n);
}

function countHeaders(box: Pattern): bigint {
  const ports = countRanges(box.sport) * countRanges(box.dport);
  const icmp = ICMP_ONLY[box.family];
  const withPorts = intersectRanges(box.protocol, PORT_PROTOCOLS);
  const without = subtractRanges(subtractRanges(box.protocol, PORT_PROTOCOLS), icmp);
  const transports =
    countRanges(intersectRanges(withPorts, TCP_ONLY)) * ports * countRanges(box.flags) +
    countRanges(subtractRanges(withPorts, TCP_ONLY)) * ports +
    countRanges(intersectRanges(box.protocol, icmp)) * countRanges(box.type) * countRanges(box.code) +
    countRanges(without);
  return countRanges(box.saddr) * countRanges(box.daddr) * transports;
}

const MERGED_FIELDS = [...TRANSPORT_FIELDS, 'daddr', 'saddr', 'protocol', 'states', 'entry'] as const;
type MergedField = (typeof MERGED_FIELDS)[number];

const rangesKey = (ranges: Ranges): string => ranges.map(({ from, to }) => `${from}-${to}`).join();
/** The count stands there because a name may be empty. */
const namesKey = ({ not, names }: NameSet): string => `${not} ${names.length} ${names.join()}`;
const fieldKey = (box: Pattern, field: MergedField): string =>
  field === 'states'
    ? box.states.join()
    : field === 'entry'
      ? `${namesKey(box.entry.in)};${namesKey(box.entry.local)}`
      : rangesKey(box[field]);

function mergeField(a: Pattern, b: Pattern, field: MergedField): Pattern {
  switch (field) {
    case 'states':
      return { ...a, states: CONNTRACK_STATES.filter((state) => a.states.includes(state) || b.states.includes(state)) };
    case 'entry':
      return { ...a, entry: unionEntry(a.entry, b.entry) };
    case 'protocol':
      return { ...a, protocol: unionRanges(a.protocol, b.protocol) };
    case 'saddr':
    case 'daddr':
      return { ...a, [field]: unionRanges(a[field], b[field]) };
    default:
      return { ...a, [field]: unionRanges(a[field], b[field]) };
  }
}

/** The same set in fewer boxes: those that differ in one field only become one, until there are no more such. */
export function simplifySet(set: PacketSet): PacketSet {
  let boxes: readonly Pattern[] = set.boxes;
  for (;;) {
    const before = boxes.length;
    for (const field of MERGED_FIELDS) {
      const others = MERGED_FIELDS.filter((other) => other !== field);
      const merged = new Map<string, Pattern>();
      for (const box of boxes) {
        const key = `${box.family};${others.map((other) => fieldKey(box, other)).join(';')}`;
        const same = merged.get(key);
        merged.set(key, same === undefined ? box : mergeField(same, box, field));
      }
      boxes = [...merged.values()];
    }
    if (boxes.length === before) return { boxes };
  }
}
