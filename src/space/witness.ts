/** One packet of a set, the most readable one, as the kernel would hold it at a hook. */
import type { Address } from '../address/address.ts';
import type { Host } from '../host/host.ts';
import { Conntrack, type Connection, type Tracked } from '../netfilter/conntrack.ts';
import type { Backend, Skb } from '../netfilter/skb.ts';
import { packetLength } from '../packet/length.ts';
import { CONNTRACK_STATES, type Arrival, type Entry, type Packet } from '../packet/packet.ts';
import { leastPacket } from '../packet/sample.ts';
import { entrySetOf, holdsPacket, nameSet, NO_NAME, type Pattern } from '../packet/pattern.ts';
import type { HookName } from '../ruleset/rule.ts';
import type { Ranges } from '../address/ranges.ts';
import { partsOf, type Box, type BoxField } from './box.ts';
import { YES, type Node } from './diagram.ts';
import { NOT_SEEN, type Layout } from './layout.ts';
import { patternsOf } from './packet-set.ts';
import { pointOfArrival, pointOfSkb } from './point.ts';

/** A host about which nothing is known: its own addresses, routes and sets play no part. */
export const NOWHERE: Host = {
  name: 'host',
  interfaces: [],
  bridges: [],
  routes: [],
  neighbours: [],
  sysctl: new Map(),
  sets: new Map(),
};

/** Of so many boxes the least packet is sought. */
const MOST_BOXES = 256;

export interface Witness {
  readonly skb: Skb;
  /** It is a packet of the set only if something holds that the model does not know. */
  readonly supposes: readonly string[];
}

/** Undefined where no packet of the set could be put together. */
export function witnessAt(
  layout: Layout,
  packets: Node,
  { hook, backend }: { readonly hook: HookName; readonly backend: Backend },
): Witness | undefined {
  const candidates: { readonly box: Box; readonly pattern: Pattern }[] = [];
  let boxes = 0;
  for (const { box } of partsOf(layout, packets)) {
    for (const pattern of patternsOf(layout, box).patterns)
      candidates.push({ box, pattern: { ...pattern, entry: entryAt(layout, box, hook) } });
    if (++boxes === MOST_BOXES) break;
  }
  const least = leastPacket({ boxes: candidates.map(({ pattern }) => pattern) });
  if (least === undefined) return undefined;
  const found = candidates.find(
    ({ pattern }) =>
      holdsPacket(pattern, least.packet) && (least.state === undefined || pattern.states.includes(least.state)),
  );
  if (found === undefined) return undefined;
  const { box } = found;
  const skb = completed(layout, box, least.packet, hook, backend);
  // What was put together is asked again: a packet that is no packet of the set is none to show.
  const point = pointOfSkb(layout, skb);
  const end = layout.diagrams.evaluate(packets, point.at, layout.floor);
  const isHeld = end === YES || (end >= 0 && layout.diagrams.terminalsOf(end).includes(YES));
  return isHeld ? { skb, supposes: [...box.unknowns.keys()] } : undefined;
}

/** The most readable packet of one box, as the kernel would hold it at a hook. Undefined where there is none, or none that is in the box. */
export function skbIn(
  layout: Layout,
  box: Box,
  { hook, backend }: { readonly hook: HookName; readonly backend: Backend },
): Skb | undefined {
  const boxes = patternsOf(layout, box).patterns.map((pattern) => ({ ...pattern, entry: entryAt(layout, box, hook) }));
  const least = leastPacket({ boxes });
  return least === undefined ? undefined : completed(layout, box, least.packet, hook, backend);
}

export interface ArrivalWitness {
  readonly arrival: Arrival;
  /** It is a packet of the set only if something holds that the model does not know. */
  readonly supposes: readonly string[];
}

/** The most readable packet of a set of those that are sent, as it enters there; undefined where none could be put together. */
export function arrivalIn(
  layout: Layout,
  packets: Node,
  { entry, state }: Pick<Arrival, 'entry' | 'state'>,
): ArrivalWitness | undefined {
  const candidates: { readonly box: Box; readonly pattern: Pattern }[] = [];
  let boxes = 0;
  for (const { box } of partsOf(layout, packets)) {
    for (const pattern of patternsOf(layout, box).patterns)
      candidates.push({ box, pattern: { ...pattern, entry: entrySetOf([entry]) } });
    if (++boxes === MOST_BOXES) break;
  }
  // The least of those that suppose nothing, if there are any.
  const certain = candidates.filter(({ box }) => box.unknowns.size === 0);
  const chosen = certain.length > 0 ? certain : candidates;
  const least = leastPacket({ boxes: chosen.map(({ pattern }) => pattern) }, { entries: [entry] });
  const found = least && chosen.find(({ pattern }) => holdsPacket(pattern, least.packet));
  if (least === undefined || found === undefined) return undefined;
  const arrival: Arrival = {
    packet: asSent(found.box, least.packet),
    entry,
    ...(state === undefined ? {} : { state }),
  };
  const end = layout.diagrams.evaluate(packets, pointOfArrival(layout, arrival).at, layout.floor);
  const isHeld = end === YES || (end >= 0 && layout.diagrams.terminalsOf(end).includes(YES));
  return isHeld ? { arrival, supposes: [...found.box.unknowns.keys()] } : undefined;
}

/** The most readable packet of one box of those that are sent, as it enters there. Undefined where there is none. */
export function arrivalInBox(layout: Layout, box: Box, entry: Entry): Arrival | undefined {
  const boxes = patternsOf(layout, box).patterns.map((pattern) => ({ ...pattern, entry: entrySetOf([entry]) }));
  const least = leastPacket({ boxes }, { entries: [entry] });
  return least === undefined ? undefined : { packet: asSent(box, least.packet), entry };
}

/** As long and as long-lived as the box has it. */
function asSent(box: Box, least: Packet): Packet {
  const plain: Packet = { ...least, ttl: pick(box, 'ttl', [64]) };
  const length = pick(box, 'length', [packetLength(plain)]);
  return { ...plain, payload: Math.max(0, length - packetLength(plain)) };
}

const numbersOf = (box: Box, field: BoxField): Ranges<number> | undefined =>
  box.fields.get(field) as Ranges<number> | undefined;

/** The first of these that the field may have, else its least value. */
function pick(box: Box, field: BoxField, preferred: readonly number[]): number {
  const ranges = numbersOf(box, field);
  const [first] = preferred;
  if (ranges === undefined) return first ?? 0;
  return preferred.find((value) => ranges.some(({ from, to }) => from <= value && value <= to)) ?? ranges[0]?.from ?? 0;
}

function entryAt(layout: Layout, box: Box, hook: HookName): Pattern['entry'] {
  if (hook === 'OUTPUT') return { in: NO_NAME, local: nameSet(['']) };
  const name = deviceOf(layout, box, 'iif', 'eth0');
  return name === undefined ? { in: NO_NAME, local: nameSet(['']) } : { in: nameSet([name]), local: NO_NAME };
}

/** The name of a device; `usual` where any will do. */
function deviceOf(
  layout: Layout,
  box: Box,
  field: 'iif' | 'oif' | 'physin' | 'physout',
  usual: string,
): string | undefined {
  const { devices } = layout.alphabets;
  const name = devices.nameOf(pick(box, field, [devices.numberOf(usual)]));
  if (name === '') return undefined;
  // "Any other" is called by the usual name where that is one of those.
  return devices.numberOf(usual) === devices.numberOf(name) && usual !== '' ? usual : name;
}

function completed(layout: Layout, box: Box, least: Packet, hook: HookName, backend: Backend): Skb {
  const { macs } = layout.alphabets;
  const mark = box.marks.get('mark')?.value ?? 0;
  const ttl = pick(box, 'ttl', [64]);
  const plain: Packet = { ...least, mark, ttl };
  const length = pick(box, 'length', [packetLength(plain)]);
  const smac = box.fields.has('smac') ? macs.nameOf(pick(box, 'smac', [])) : undefined;
  const packet: Packet = {
    ...plain,
    payload: Math.max(0, length - packetLength(plain)),
    ...(smac === undefined || smac === '' || !macs.isExact(macs.numberOf(smac)) ? {} : { smac }),
  };
  const state = pick(box, 'ct', [0, 1, 2, 3, 4, NOT_SEEN]);
  const iif = deviceOf(layout, box, 'iif', hook === 'OUTPUT' || hook === 'POSTROUTING' ? '' : 'eth0');
  return {
    host: NOWHERE,
    backend,
    packet,
    tracked: trackedAs(box, packet, state),
    hook,
    iif,
    oif: deviceOf(layout, box, 'oif', hook === 'PREROUTING' || hook === 'INPUT' ? '' : 'eth1'),
    physin: deviceOf(layout, box, 'physin', ''),
    physout: deviceOf(layout, box, 'physout', ''),
    framed: pick(box, 'framed', [1]) === 1,
    packetType: (['unicast', 'broadcast', 'multicast'] as const)[pick(box, 'packetType', [0])] ?? 'unicast',
    hotdrop: false,
  };
}

function trackedAs(box: Box, packet: Packet, number: number): Tracked | undefined {
  const state = CONNTRACK_STATES[number];
  if (state === undefined) return undefined;
  if (state === 'INVALID' || state === 'UNTRACKED') return { kind: 'none', state };
  const made = new Conntrack().asserted(packet, state, { tcpLoose: true, tcpBeLiberal: false });
  if (made.kind === 'none') return made;
  const flag = (field: BoxField, usual: boolean): boolean => pick(box, field, [usual ? 1 : 0]) === 1;
  const { original, reply } = made.connection;
  const tuple = (
    usual: Connection['original'],
    [saddr, daddr, sport, dport]: readonly [BoxField, BoxField, BoxField, BoxField],
  ): Connection['original'] => ({
    protocol: pick(box, 'origProtocol', [usual.protocol]),
    saddr: addressIn(box, saddr, usual.saddr),
    daddr: addressIn(box, daddr, usual.daddr),
    sport: pick(box, sport, [usual.sport]),
    dport: pick(box, dport, [usual.dport]),
  });
  const connection: Connection = {
    ...made.connection,
    original: tuple(original, ['origSaddr', 'origDaddr', 'origSport', 'origDport']),
    reply: tuple(reply, ['replySaddr', 'replyDaddr', 'replySport', 'replyDport']),
    sourceNat: flag('sourceNat', false),
    destinationNat: flag('destinationNat', false),
    seenReply: flag('seenReply', made.connection.seenReply),
    assured: flag('assured', false),
    confirmed: flag('confirmed', made.connection.confirmed),
    mark: box.marks.get('ctmark')?.value ?? 0,
  };
  return { kind: 'flow', connection, direction: flag('reply', false) ? 'REPLY' : 'ORIGINAL', state };
}

function addressIn(box: Box, field: BoxField, usual: Address): Address {
  const ranges = box.fields.get(field);
  if (ranges === undefined || ranges.some(({ from, to }) => from <= usual && usual <= to)) return usual;
  return ranges[0]?.from ?? usual;
}
