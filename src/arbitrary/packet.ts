/** Packets and arrivals, aimed at what a deployment, a ruleset or a host names. */
import fc from 'fast-check';
import type { Address, Family } from '../address/address.ts';
import { printArrival, printPacket } from '../packet/notation.ts';
import type { Arrival, Entry, Packet } from '../packet/packet.ts';
import {
  ACK,
  CONNTRACK_STATES,
  DCCP,
  ESP,
  FIN,
  GRE,
  hasChecksum,
  hasIdentifier,
  hasPorts,
  ICMP,
  icmpOf,
  isIcmpError,
  isPart,
  makePacket,
  PSH,
  RST,
  SCTP,
  SYN,
  TCP,
  UDP,
  UDPLITE,
  URG,
} from '../packet/packet.ts';
import type { AddressDraw } from './address.ts';
import { ADDRESS_DRAW, addressOf } from './address.ts';
import { at, INDEX, WORD } from './choice.ts';
import { readable } from './readable.ts';

export interface PacketAim {
  /** Only this family; otherwise three of four are IPv4. */
  readonly family?: Family;
  readonly addresses?: readonly Address[];
  readonly ports?: readonly number[];
  readonly protocols?: readonly number[];
  /** Where packets come in; `in eth0` and `local` by default. The first is the simplest. */
  readonly entries?: readonly Entry[];
  /** Leaves out what few packets are: fragments, wrong checksums, quoted packets, marks, link-layer addresses. */
  readonly plain?: boolean;
}

const PROTOCOLS = [TCP, TCP, UDP, ICMP, SCTP, DCCP, UDPLITE, GRE, ESP, 99];
const PORTS = [22, 80, 53, 40000, 67, 68, 8775, 0, 65535];
const FLAGS = [SYN, SYN | ACK, ACK, FIN | ACK, RST, RST | ACK, PSH | ACK, 0, FIN | PSH | URG];
const TYPES: Readonly<Record<Family, readonly number[]>> = {
  4: [8, 0, 3, 11, 12, 5, 13, 14],
  6: [128, 129, 1, 2, 3, 4, 135, 136],
};
const TTLS = [64, 1, 2, 0, 255];
const MACS = ['fa:16:3e:00:00:01', 'fa:16:3e:00:00:02', 'ff:ff:ff:ff:ff:ff'];
const ENTRIES: readonly Entry[] = [
  { kind: 'in', interface: 'eth0' },
  { kind: 'local' },
  { kind: 'in', host: 'host1', interface: 'vnet0' },
];

/** A record of naturals that says all about one packet but what it quotes. Zeros are the simplest packet. */
const PACKET_DRAW = fc.record({
  family: fc.nat(3),
  protocol: INDEX,
  saddr: ADDRESS_DRAW,
  daddr: ADDRESS_DRAW,
  sport: fc.tuple(fc.nat(3), INDEX),
  dport: fc.tuple(fc.nat(3), INDEX),
  flags: fc.tuple(fc.nat(7), INDEX),
  numbers: fc.tuple(fc.nat(3), WORD, WORD),
  icmp: fc.tuple(fc.nat(3), INDEX, fc.nat(255), fc.nat(65535)),
  ttl: fc.tuple(fc.nat(7), INDEX),
  payload: fc.nat(1400),
  odd: fc.nat(15),
  fragment: fc.tuple(fc.nat(8191), fc.boolean()),
  mark: WORD,
  macs: fc.tuple(fc.nat(3), INDEX, INDEX),
});
type PacketDraw = typeof PACKET_DRAW extends fc.Arbitrary<infer T> ? T : never;

function packetOf(draw: PacketDraw, aim: PacketAim, quotedDraw?: PacketDraw): Packet {
  const family = aim.family ?? (draw.family === 3 ? 6 : 4);
  const named = aim.addresses ?? [];
  const address = (addressDraw: AddressDraw) => addressOf(addressDraw, family, named);
  const listed = at(aim.protocols ?? PROTOCOLS, draw.protocol);
  const protocol = listed === ICMP || listed === icmpOf(6) ? icmpOf(family) : listed;
  // The simplest destination is the second named address: a packet from an address to itself is on no wire.
  const [kind, index, ...words] = draw.daddr;
  const base = { family, saddr: address(draw.saddr), daddr: address([kind, index + 1, ...words]), protocol };
  const odd = aim.plain === true ? 0 : draw.odd;
  const fragment = odd === 1 || odd === 2 ? fragmentOf(draw.fragment, odd) : undefined;
  const part = isPart(fragment === undefined ? {} : { fragment });
  const transport = fragment !== undefined && fragment.offset > 0 ? laterFields(draw, aim) : fields(draw, aim, base);
  const packet = makePacket({
    ...base,
    ...transport,
    ttl: draw.ttl[0] < 6 ? 64 : draw.ttl[0] === 6 ? at(TTLS, draw.ttl[1]) : draw.ttl[1] & 255,
    payload: draw.payload,
    ...(fragment !== undefined && { fragment }),
    ...(odd === 3 && hasChecksum(base) && !part && { badsum: true }),
    ...(odd === 4 && { mark: draw.mark }),
    ...(draw.macs[0] === 3 && aim.plain !== true && { smac: at(MACS, draw.macs[1]), dmac: at(MACS, draw.macs[2]) }),
  });
  if (quotedDraw === undefined || odd % 2 === 1 || aim.plain === true || !isIcmpError(packet)) return packet;
  if (packet.protocol !== icmpOf(family) || (packet.fragment?.offset ?? 0) > 0) return packet;
  const { smac: _smac, dmac: _dmac, ...quoted } = packetOf(quotedDraw, { ...aim, family });
  return { ...packet, payload: 0, quoted: { ...quoted, mark: 0, badsum: false } };
}

/** An IPv4 packet is never "fragment 0, no more": that is a whole packet. */
const fragmentOf = ([offset, more]: PacketDraw['fragment'], odd: number) =>
  odd === 1 ? { offset: 0, more: true } : { offset: 1 + (offset % 8191), more };

const portOf = ([kind, index]: readonly [number, number], aim: PacketAim): number =>
  kind < 3 ? at(aim.ports !== undefined && aim.ports.length > 0 ? aim.ports : PORTS, index) : index;

const laterFields = (draw: PacketDraw, aim: PacketAim): Partial<Packet> => ({
  sport: portOf(draw.sport, aim),
  dport: portOf(draw.dport, aim),
});

function fields(draw: PacketDraw, aim: PacketAim, base: Pick<Packet, 'family' | 'protocol'>): Partial<Packet> {
  const { family, protocol } = base;
  if (protocol === icmpOf(family)) {
    const [kind, index, code, id] = draw.icmp;
    const type = kind < 3 ? at(TYPES[family], index) : index & 255;
    return { type, code: kind === 0 ? 0 : code, ...(hasIdentifier({ protocol, type }) && { id }) };
  }
  if (!hasPorts(protocol)) return {};
  const ports = laterFields(draw, aim);
  if (protocol !== TCP) return ports;
  const [kind, seq, ack] = draw.numbers;
  return {
    ...ports,
    flags: draw.flags[0] < 7 ? at(FLAGS, draw.flags[1]) : draw.flags[1] & 255,
    ...(kind === 3 && { seq, ack }),
  };
}

/**
 * Well-formed packets: each has the fields of its protocol and no others. Three of four addresses and ports are named ones; some are
 * fragments, have a wrong checksum, a mark, link-layer addresses, or quote another packet. Prints in the packet notation.
 */
export const packetArb = (aim: PacketAim = {}): fc.Arbitrary<Packet> =>
  fc.tuple(PACKET_DRAW, PACKET_DRAW).map(([draw, quoted]) => readable(packetOf(draw, aim, quoted), printPacket));

/** A packet and where it enters; one of eight asserts a state. */
export const arrivalArb = (aim: PacketAim = {}): fc.Arbitrary<Arrival> =>
  fc.tuple(packetArb(aim), INDEX, fc.nat(7), INDEX).map(([packet, entry, asserted, state]) =>
    readable<Arrival>(
      {
        packet,
        entry: at(aim.entries !== undefined && aim.entries.length > 0 ? aim.entries : ENTRIES, entry),
        ...(asserted === 7 && { state: at(CONNTRACK_STATES, state) }),
      },
      printArrival,
    ),
  );
