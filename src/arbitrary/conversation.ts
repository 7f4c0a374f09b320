/**
 * Conversations with a generated host: packets of every protocol that the model claims, from instances, from outside and from the host itself, aimed at the
 * host's landmarks; answers, retransmissions, segments out of order, icmp errors about what was sent, fragments, broken checksums.
 */
import fc from 'fast-check';
import { familyOf, isMulticast, zeroAddress, type Address, type Family } from '../address/address.ts';
import type { Change, Move } from '../kernel/dialogue.ts';
import {
  ACK,
  DCCP,
  FIN,
  GRE,
  PSH,
  RST,
  SCTP,
  SYN,
  TCP,
  UDP,
  UDPLITE,
  URG,
  hasPorts,
  icmpOf,
  makePacket,
  type Arrival,
  type Entry,
  type Packet,
} from '../packet/packet.ts';
import { isExtensionHeader } from '../packet/protocol.ts';
import { LANDMARKS, type Landmarks } from './host.ts';
import { PORTS, landmarkAddresses } from './ruleset.ts';

/** Where packets come in, and who sends there. */
interface Side {
  readonly entry: Entry;
  readonly sources: readonly Address[];
}

const sidesOf = (marks: Landmarks): readonly Side[] => [
  { entry: { kind: 'in', interface: 'vnet0' }, sources: [marks.instances[0]] },
  { entry: { kind: 'in', interface: 'vnet1' }, sources: [marks.instances[1]] },
  { entry: { kind: 'in', interface: 'eth0' }, sources: [marks.client, marks.outside] },
  { entry: { kind: 'in', interface: 'eth2' }, sources: [marks.thirdMachine] },
  { entry: { kind: 'local' }, sources: [marks.host, marks.bridge, marks.floating[0]] },
];

const FLAGS = [SYN, SYN | ACK, ACK, PSH | ACK, FIN | ACK, RST, RST | ACK, FIN, 0, SYN | FIN, FIN | PSH | URG];

/** The transport's fields, by protocol. */
function arbitraryTransport(family: Family): fc.Arbitrary<Partial<Packet> & { readonly protocol: number }> {
  const port = fc.oneof(
    { arbitrary: fc.constantFrom(...PORTS), weight: 8 },
    { arbitrary: fc.integer({ min: 0, max: 65535 }), weight: 1 },
  );
  const ports = { sport: port, dport: port };
  const payload = fc.constantFrom(0, 0, 0, 5, 100);
  const badsum = fc.integer({ min: 0, max: 19 }).map((value) => value === 19);
  const icmp = icmpOf(family);
  const octet = fc.nat({ max: 255 });
  const types = family === 4 ? [8, 8, 8, 0, 13, 17, 5, 10] : [128, 128, 128, 129, 133, 135];
  return fc.oneof(
    { arbitrary: fc.record({ protocol: fc.constant(UDP), ...ports, payload, badsum }), weight: 10 },
    {
      arbitrary: fc.record({
        protocol: fc.constant(TCP),
        ...ports,
        payload,
        badsum,
        flags: fc.oneof(
          { arbitrary: fc.constant(SYN), weight: 4 },
          { arbitrary: fc.constantFrom(...FLAGS), weight: 2 },
          { arbitrary: octet, weight: 1 },
        ),
      }),
      weight: 12,
    },
    {
      arbitrary: fc.record({
        protocol: fc.constant(icmp),
        type: fc.oneof({ arbitrary: fc.constantFrom(...types), weight: 4 }, { arbitrary: octet, weight: 1 }),
        code: fc.oneof({ arbitrary: fc.constant(0), weight: 4 }, { arbitrary: octet, weight: 1 }),
        badsum,
      }),
      weight: 6,
    },
    { arbitrary: fc.record({ protocol: fc.constantFrom(SCTP, UDPLITE, SCTP, UDPLITE, DCCP), ...ports }), weight: 2 },
    // GRE's header is payload here; without one the kernel cannot translate it.
    { arbitrary: fc.record({ protocol: fc.constantFrom(GRE, 253), payload: fc.constant(8) }), weight: 2 },
    // Any other protocol: the kernel knows some of them, and rules name them.
    { arbitrary: fc.record({ protocol: octet.map((value) => fieldless(value, family)), payload }), weight: 1 },
  );
}

/** A protocol of which only the number is known: the value itself, or 253 where that is a protocol with fields or none that an IPv6 packet has. */
const fieldless = (value: number, family: Family): number =>
  hasPorts(value) || value === icmpOf(family) || (family === 6 && isExtensionHeader(value)) ? 253 : value;

/** A packet that a machine of one side sends to somebody. */
function arbitraryArrival(family: Family): fc.Arbitrary<Arrival> {
  const marks = LANDMARKS[family];
  const all = landmarkAddresses(marks);
  const likely: readonly Address[] = [
    marks.metadata,
    marks.host,
    ...marks.floating,
    ...marks.instances,
    marks.client,
    marks.outside,
    marks.bridge,
    marks.thirdMachine,
    marks.stranger,
  ];
  return fc
    .record({
      side: fc.constantFrom(...sidesOf(marks)),
      source: fc.nat({ max: 30 }),
      daddr: fc.oneof(
        { arbitrary: fc.constantFrom(...likely), weight: 12 },
        { arbitrary: fc.constantFrom(...all), weight: 1 },
      ),
      transport: arbitraryTransport(family),
      ttl: fc.oneof({ arbitrary: fc.constant(64), weight: 12 }, { arbitrary: fc.constantFrom(1, 2), weight: 1 }),
      wrongMac: fc.integer({ min: 0, max: 40 }).map((value) => value === 40),
    })
    .map(({ side, source, daddr, transport, ttl, wrongMac }): Arrival => {
      // Mostly the side's own machines; now and then an address that does not belong there.
      const saddr =
        (source < 28 ? side.sources[source % side.sources.length] : all[source % all.length]) ?? marks.client;
      // What a host's own process cannot do: the kernel computes no checksum for it that it would break.
      const local = side.entry.kind === 'local';
      // Sent to everybody, a packet leaves by the device of its source; a process that takes a source of others has none.
      const isOdd = marks.odd.slice(1).includes(saddr) || marks.odd.includes(daddr);
      // A bridge lets an IPv6 group as source pass, which nobody may be; answers to it the kernel floods in ways of its own.
      const isGroup =
        family === 6 && isMulticast(saddr) && side.entry.kind === 'in' && side.entry.interface.startsWith('vnet');
      const own = (local && isOdd) || isGroup ? marks.host : saddr;
      const sane = { ...transport, ...(local ? { badsum: false } : {}) };
      const mac = wrongMac && !local ? { dmac: '02:00:00:00:00:77' } : {};
      return {
        // No process sends from a group or to nobody: the kernel puts loopback there when the socket is told.
        packet: makePacket({
          family,
          saddr: own,
          daddr: local && unsendable(daddr) ? marks.host : daddr,
          ttl: local ? 64 : ttl,
          ...sane,
          ...mac,
          ...checksumless(sane),
        }),
        entry: side.entry,
      };
    });
}

/** Nobody; and in IPv6 everybody, whom a process has to say the device for. */
const unsendable = (address: Address): boolean =>
  address === zeroAddress(familyOf(address)) || (familyOf(address) === 6 && isMulticast(address));

/** Protocols without a checksum that anyone checks cannot have a wrong one. */
const checksumless = ({ protocol }: { readonly protocol: number }): Partial<Packet> =>
  [TCP, UDP, 1, 58].includes(protocol) ? {} : { badsum: false };

function arbitraryMove(family: Family): fc.Arbitrary<Move> {
  const arrival = arbitraryArrival(family);
  const errors =
    family === 4
      ? [
          [3, 3],
          [3, 1],
          [3, 4],
          [11, 0],
          [5, 1],
          [12, 0],
        ]
      : [
          [1, 4],
          [1, 0],
          [2, 0],
          [3, 0],
        ];
  const error = fc.constantFrom(...errors).map(([type = 3, code = 0]) => ({ type, code }));
  const marks = LANDMARKS[family];
  return fc.oneof(
    { arbitrary: arrival.map((one): Move => ({ kind: 'packet', arrival: one })), weight: 8 },
    { arbitrary: fc.constant<Move>({ kind: 'reply' }), weight: 6 },
    {
      arbitrary: fc
        .constantFrom<Change | undefined>(
          undefined,
          undefined,
          { payload: 20 },
          { dport: 53 },
          { ttl: 1 },
          { flags: RST },
          { sport: 5000 },
        )
        .map((change): Move => (change === undefined ? { kind: 'again' } : { kind: 'again', change })),
      weight: 2,
    },
    {
      arbitrary: fc
        .record({
          flags: fc.constantFrom(ACK, ACK, PSH | ACK, FIN | ACK, RST | ACK, SYN),
          payload: fc.constantFrom(0, 10),
        })
        .map((fields): Move => ({ kind: 'follow', ...fields })),
      weight: 4,
    },
    {
      arbitrary: fc
        .tuple(error, fc.constantFrom<Address | undefined>(undefined, undefined, marks.outside))
        .map(([kind, by]): Move => ({ kind: 'error', ...kind, ...(by === undefined ? {} : { by }) })),
      weight: 2,
    },
    {
      arbitrary: arrival.map((one): Move => ({
        kind: 'fragments',
        // A first fragment holds the whole transport header: the notation cannot say less.
        size: 32,
        arrival: { ...one, packet: { ...one.packet, badsum: false, payload: one.packet.payload + 32 } },
      })),
      weight: 1,
    },
    { arbitrary: fc.constant<Move>({ kind: 'flush' }), weight: 1 },
  );
}

/** Numbers about which the segments of a dialogue that begins with 1000 and 5000 differ. */
const NUMBERS = [0, 1000, 1001, 1002, 1011, 5000, 5001, 5002, 5011, 5021, 70_000, 0x80000000];

const SEGMENTS = [ACK, PSH | ACK, FIN | ACK, RST, RST | ACK, SYN, SYN | ACK, FIN | PSH | ACK];

/** What the two ends of a tcp connection send: in order, again, out of order, out of the blue. */
function arbitraryTcpMove(): fc.Arbitrary<Move> {
  const flags = fc.constantFrom(...SEGMENTS);
  const number = fc.option(fc.constantFrom(...NUMBERS), { nil: undefined });
  return fc.oneof(
    { arbitrary: fc.constant<Move>({ kind: 'reply' }), weight: 4 },
    {
      arbitrary: fc
        .record({ flags, payload: fc.constantFrom(0, 0, 10) })
        .map((fields): Move => ({ kind: 'follow', ...fields })),
      weight: 6,
    },
    {
      arbitrary: fc.record({ flags, seq: number, ack: number }).map(({ flags: changed, seq, ack }): Move => ({
        kind: 'again',
        change: { flags: changed, ...(seq === undefined ? {} : { seq }), ...(ack === undefined ? {} : { ack }) },
      })),
      weight: 4,
    },
  );
}

/** A tcp connection: mostly it comes about before it is disturbed. */
const arbitraryConnection = (family: Family, maxMoves: number): fc.Arbitrary<readonly Move[]> =>
  fc
    .record({
      arrival: arbitraryArrival(family),
      ports: fc.tuple(fc.constantFrom(...PORTS), fc.constantFrom(...PORTS)),
      opening: fc.integer({ min: 0, max: 3 }).map((value) => Math.min(value, 2)),
      moves: fc.array(arbitraryTcpMove(), { maxLength: Math.max(0, maxMoves - 3), size: 'max' }),
    })
    .map(({ arrival, ports: [sport, dport], opening, moves }) => {
      const { family: version, saddr, daddr } = arrival.packet;
      const packet = makePacket({ family: version, saddr, daddr, protocol: TCP, sport, dport });
      const handshake: readonly Move[] = [{ kind: 'reply' }, { kind: 'reply' }];
      return [{ kind: 'packet', arrival: { ...arrival, packet } }, ...handshake.slice(0, opening), ...moves];
    });

/** It begins with a packet: there is nothing to answer before. */
export const arbitraryConversation = (family: Family = 4, maxMoves = 16): fc.Arbitrary<readonly Move[]> =>
  fc.oneof(
    {
      arbitrary: fc
        .tuple(arbitraryArrival(family), fc.array(arbitraryMove(family), { maxLength: maxMoves - 1, size: 'max' }))
        .map(([arrival, moves]): readonly Move[] => [{ kind: 'packet', arrival }, ...moves]),
      weight: 5,
    },
    { arbitrary: arbitraryConnection(family, maxMoves), weight: 1 },
  );
