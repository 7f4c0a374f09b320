/**
 * A conversation with one host, in moves: what is sent depends on what became of what was sent before. The model plays it first; what it sent is what the
 * kernel gets.
 */
import { BROADCAST_MAC, isGroupMac } from '../address/mac.ts';
import { bridgeOfPort, interfaceOf, type Host } from '../host/host.ts';
import { neighbourMac, stationDmac } from '../host/link.ts';
import type { Journey } from '../netfilter/journey.ts';
import { arrive, flush, type Machine } from '../netfilter/traverse.ts';
import { FIN, SYN, TCP, icmpOf, isIcmpError, makePacket, type Arrival, type Packet } from '../packet/packet.ts';
import { replyTo } from '../packet/reply.ts';
import { decodePacket, encodeFragments, encodePacket } from '../packet/wire.ts';

export type Move =
  | { readonly kind: 'packet'; readonly arrival: Arrival }
  /** A whole packet, cut up into fragments of `size` octets. */
  | { readonly kind: 'fragments'; readonly arrival: Arrival; readonly size: number }
  /** Whoever got the last packet answers it. */
  | { readonly kind: 'reply' }
  /** The last packet is sent again, changed or not. */
  | {
      readonly kind: 'again';
      readonly change?: Partial<Pick<Packet, 'flags' | 'payload' | 'badsum' | 'ttl' | 'dport' | 'sport'>>;
    }
  /** The sender of the last tcp packet goes on, one segment further. */
  | { readonly kind: 'follow'; readonly flags: number; readonly payload: number }
  /** An icmp error about the last packet that got somewhere, from there or from `by`. */
  | { readonly kind: 'error'; readonly type: number; readonly code: number; readonly by?: Packet['saddr'] }
  | { readonly kind: 'flush' };

/** One packet as it was sent, with its octets from the IP header on; or a flush. */
export type Sent =
  { readonly kind: 'packet'; readonly arrival: Arrival; readonly octets: Uint8Array } | { readonly kind: 'flush' };

/** A move that was made, and what became of it in the model. */
export interface Played {
  readonly sent: Sent;
  readonly journey?: Journey;
}

/** The same for all parts of a datagram, another for another flow's: reassembly goes by it. */
const IP_ID = 0x1234;

/** The packet in the frame that a machine at `name` would send it in. */
export function framed(host: Host, packet: Packet, name: string): Packet {
  const bridge = bridgeOfPort(host, name);
  const device = bridge?.name ?? name;
  const towards = neighbourMac(host, device, packet.daddr);
  const dmac =
    packet.dmac ??
    (bridge !== undefined
      ? stationDmac(host, bridge, packet)
      : isGroupMac(towards)
        ? towards
        : (interfaceOf(host, name)?.mac ?? BROADCAST_MAC));
  const smac = packet.smac ?? neighbourMac(host, device, packet.saddr);
  return { ...packet, smac: isGroupMac(smac) ? '02:00:00:00:0a:0a' : smac, dmac };
}

/** Plays `moves` with a machine: each packet that was sent, with its journey. Moves that make no sense where they stand send nothing. */
export function play(machine: Machine, moves: readonly Move[]): Played[] {
  const played: Played[] = [];
  let last: { readonly arrival: Arrival; readonly journey: Journey } | undefined;
  /** The last tcp packet that reached somebody, as he got it. */
  let got: Packet | undefined;
  const send = (arrival: Arrival, octets?: Uint8Array): void => {
    const { entry } = arrival;
    const packet = entry.kind === 'in' ? framed(machine.host, arrival.packet, entry.interface) : arrival.packet;
    const whole = { ...arrival, packet };
    const journey = arrive(machine, whole);
    played.push({
      sent: { kind: 'packet', arrival: whole, octets: octets ?? encodePacket(packet, { id: IP_ID }) },
      journey,
    });
    last = { arrival: whole, journey };
    const reached = journey.exits[0]?.packet ?? journey.deliveries[0];
    if (reached !== undefined) got = reached;
  };
  for (const move of moves) {
    switch (move.kind) {
      case 'packet':
        send(move.arrival);
        break;
      case 'fragments':
        sendFragments(move, machine.host, send);
        break;
      case 'flush':
        flush(machine);
        played.push({ sent: { kind: 'flush' } });
        break;
      case 'again':
        if (last !== undefined && !isCut(last.arrival.packet)) {
          send({ ...last.arrival, packet: { ...last.arrival.packet, ...move.change } });
        }
        break;
      case 'follow':
        if (last?.arrival.packet.protocol === TCP && !isCut(last.arrival.packet)) {
          send({ ...last.arrival, packet: nextSegment(last.arrival.packet, got, move) });
        }
        break;
      case 'reply':
      case 'error': {
        const answer = last === undefined ? undefined : answerTo(last.journey, move);
        if (answer !== undefined) send(answer);
        break;
      }
    }
  }
  return played;
}

const isCut = (packet: Packet): boolean => packet.fragment !== undefined;

function sendFragments(
  { arrival, size }: Extract<Move, { kind: 'fragments' }>,
  host: Host,
  send: (arrival: Arrival, octets: Uint8Array) => void,
): void {
  const { entry } = arrival;
  // Fragments arrive; what a host's own processes send whole is cut up only behind everything.
  if (entry.kind !== 'in') return;
  const whole = framed(host, arrival.packet, entry.interface);
  for (const octets of encodeFragments(whole, size, { id: IP_ID })) {
    const read = decodePacket(octets);
    if ('reason' in read || whole.smac === undefined || whole.dmac === undefined) continue;
    send({ ...arrival, packet: { ...read, mark: 0, smac: whole.smac, dmac: whole.dmac } }, octets);
  }
}

function nextSegment(
  before: Packet,
  got: Packet | undefined,
  { flags, payload }: { flags: number; payload: number },
): Packet {
  const sent = before.payload + (before.flags & SYN ? 1 : 0) + (before.flags & FIN ? 1 : 0);
  // What the other side has sent last, where it was an answer to this side.
  const ack =
    got?.protocol === TCP && got.sport === before.dport && got.seq !== before.seq ? (got.seq + 1) >>> 0 : before.ack;
  return { ...before, flags, payload, seq: (before.seq + sent) >>> 0, ack };
}

/** Where the packet of a journey came to, and what is sent back from there. */
function answerTo(journey: Journey, move: Extract<Move, { kind: 'reply' | 'error' }>): Arrival | undefined {
  const make = (packet: Packet): Packet | undefined =>
    move.kind === 'reply' ? replyTo(packet) : errorAbout(packet, move);
  const [exit] = journey.exits;
  if (exit !== undefined) {
    const packet = make(exit.packet);
    if (packet === undefined) return undefined;
    const { smac, dmac } = exit.frame;
    const frame = isGroupMac(dmac) || isGroupMac(smac) ? {} : { smac: dmac, dmac: smac };
    return { packet: { ...packet, ...frame }, entry: { kind: 'in', interface: exit.port ?? exit.oif } };
  }
  const [delivery] = journey.deliveries;
  const packet = delivery === undefined ? undefined : make(delivery);
  return packet === undefined ? undefined : { packet, entry: { kind: 'local' } };
}

function errorAbout(packet: Packet, { type, code, by }: Extract<Move, { kind: 'error' }>): Packet | undefined {
  if (isIcmpError(packet)) return undefined;
  const { smac: _smac, dmac: _dmac, ...quoted } = packet;
  return makePacket({
    family: packet.family,
    saddr: by ?? packet.daddr,
    daddr: packet.saddr,
    protocol: icmpOf(packet.family),
    type,
    code,
    id: 0,
    quoted: { ...quoted, mark: 0, badsum: false },
  });
}
