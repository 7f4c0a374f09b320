/**
 * A conversation with one host, in moves: what is sent depends on what became of what was sent before. The model plays it first; what it sent is what the
 * kernel gets.
 */
import { LIMITED_BROADCAST, familyOf, isMulticast, zeroAddress } from '../address/address.ts';
import { BROADCAST_MAC, isGroupMac } from '../address/mac.ts';
import { bridgeOfPort, interfaceOf, type Host } from '../host/host.ts';
import { neighbourMac, stationDmac } from '../host/link.ts';
import type { Journey } from '../netfilter/journey.ts';
import { arrive, flush, type Machine } from '../netfilter/traverse.ts';
import {
  FIN,
  SYN,
  TCP,
  hasChecksum,
  hasPorts,
  icmpOf,
  isIcmpError,
  makePacket,
  type Arrival,
  type Packet,
} from '../packet/packet.ts';
import { replyTo } from '../packet/reply.ts';
import { decodePacket, encodeFragments, encodePacket } from '../packet/wire.ts';
import { settle, substituted, type Substitution } from './substitution.ts';

/** What may be changed of a packet that is sent again. */
export type Change = Partial<Pick<Packet, 'flags' | 'seq' | 'ack' | 'payload' | 'badsum' | 'ttl' | 'dport' | 'sport'>>;

export type Move =
  | { readonly kind: 'packet'; readonly arrival: Arrival }
  /** A whole packet, cut up into fragments of `size` octets. */
  | { readonly kind: 'fragments'; readonly arrival: Arrival; readonly size: number }
  /** Whoever got the last packet answers it. */
  | { readonly kind: 'reply' }
  /** The last packet is sent again, changed or not. */
  | { readonly kind: 'again'; readonly change?: Change }
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

/**
 * Plays `moves` with a machine: each packet that was sent, with its journey. Moves that make no sense where they stand send nothing.
 */
export function play(machine: Machine, moves: readonly Move[], identification = 1): Played[] {
  const dialogue = new Dialogue(machine, identification);
  return moves.flatMap((move) => [...dialogue.make(move)]);
}

/** A dialogue under way. */
export class Dialogue {
  readonly machine: Machine;
  #id: number;
  #last: { readonly arrival: Arrival; readonly journey: Journey } | undefined;
  /** The last packet that reached somebody, as he got it. */
  #got: Packet | undefined;

  /**
   * `identification` is the IP identification of the packets, the next one after each flush: the kernel's reassembly goes by it and keeps what a flush of conntrack
   * does not empty, where the model goes by the addresses alone.
   */
  constructor(machine: Machine, identification = 1) {
    this.machine = machine;
    this.#id = identification & 0xffff;
  }

  /** Makes a move, packet by packet: what is asked for next is sent when it is asked for. */
  *make(move: Move): Generator<Played> {
    const last = this.#last;
    switch (move.kind) {
      case 'packet':
        yield this.#send(move.arrival);
        break;
      case 'fragments':
        for (const { arrival, octets } of fragmentsOf(move, this.machine.host, this.#id))
          yield this.#send(arrival, octets);
        break;
      case 'flush':
        flush(this.machine);
        this.#id = (this.#id + 1) & 0xffff;
        yield { sent: { kind: 'flush' } };
        break;
      case 'again':
        if (last !== undefined && !isCut(last.arrival.packet))
          yield this.#send(changed(last.arrival, move.change ?? {}));
        break;
      case 'follow':
        if (last?.arrival.packet.protocol === TCP && !isCut(last.arrival.packet)) {
          yield this.#send({ ...last.arrival, packet: nextSegment(last.arrival.packet, this.#got, move) });
        }
        break;
      case 'reply':
      case 'error': {
        const answer = last === undefined ? undefined : answerTo(last.journey, move);
        if (answer !== undefined) yield this.#send(answer);
        break;
      }
    }
  }

  /** What the kernel chose at random stands from now on where the model chose something else. */
  settle(substitutions: readonly Substitution[]): void {
    settle(this.machine.memories, substitutions);
    const name = (packet: Packet): Packet => substituted(packet, substitutions);
    if (this.#got !== undefined) this.#got = name(this.#got);
    if (this.#last === undefined) return;
    const { arrival, journey } = this.#last;
    const exits = journey.exits.map((exit) => ({ ...exit, packet: name(exit.packet) }));
    this.#last = { arrival, journey: { ...journey, exits, deliveries: journey.deliveries.map(name) } };
  }

  #send(arrival: Arrival, octets?: Uint8Array): Played {
    const { entry } = arrival;
    const { machine } = this;
    const packet = entry.kind === 'in' ? framed(machine.host, arrival.packet, entry.interface) : arrival.packet;
    const whole = { ...arrival, packet };
    const journey = arrive(machine, whole);
    this.#last = { arrival: whole, journey };
    this.#got = journey.exits[0]?.packet ?? journey.deliveries[0] ?? this.#got;
    return {
      sent: { kind: 'packet', arrival: whole, octets: octets ?? encodePacket(packet, { id: this.#id }) },
      journey,
    };
  }
}

const isCut = (packet: Packet): boolean => packet.fragment !== undefined;

function* fragmentsOf(
  { arrival, size }: Extract<Move, { kind: 'fragments' }>,
  host: Host,
  id: number,
): Generator<{ readonly arrival: Arrival; readonly octets: Uint8Array }> {
  const { entry } = arrival;
  // Fragments arrive; what a host's own processes send whole is cut up only behind everything.
  if (entry.kind !== 'in') return;
  const whole = framed(host, arrival.packet, entry.interface);
  const { smac, dmac } = whole;
  if (smac === undefined || dmac === undefined) return;
  for (const octets of encodeFragments(whole, size, { id })) {
    const read = decodePacket(octets);
    if (!('reason' in read)) yield { arrival: { ...arrival, packet: { ...read, smac, dmac } }, octets };
  }
}

/** A change of a field that the packet's protocol does not have changes nothing; what a process sends has the checksum and TTL that the kernel gives it. */
function changed(arrival: Arrival, { flags, seq, ack, sport, dport, payload, badsum, ttl }: Change): Arrival {
  const { packet, entry } = arrival;
  const change: Partial<Packet> = {
    ...(payload === undefined ? {} : { payload }),
    ...(flags === undefined || packet.protocol !== TCP ? {} : { flags }),
    ...(seq === undefined || packet.protocol !== TCP ? {} : { seq }),
    ...(ack === undefined || packet.protocol !== TCP ? {} : { ack }),
    ...(sport === undefined || !hasPorts(packet.protocol) ? {} : { sport }),
    ...(dport === undefined || !hasPorts(packet.protocol) ? {} : { dport }),
    ...(badsum === undefined || entry.kind === 'local' || !hasChecksum(packet) ? {} : { badsum }),
    ...(ttl === undefined || entry.kind === 'local' ? {} : { ttl }),
  };
  return { ...arrival, packet: { ...packet, ...change } };
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

/** Whoever answers has an address of his own. */
const isNobody = (address: Packet['saddr']): boolean =>
  address === zeroAddress(familyOf(address)) || isMulticast(address) || address === LIMITED_BROADCAST;

/** Where the packet of a journey came to, and what is sent back from there. */
function answerTo(journey: Journey, move: Extract<Move, { kind: 'reply' | 'error' }>): Arrival | undefined {
  const make = (packet: Packet): Packet | undefined =>
    move.kind === 'reply' ? replyTo(packet) : errorAbout(packet, move);
  const [exit] = journey.exits;
  if (exit !== undefined) {
    const packet = make(exit.packet);
    if (packet === undefined || isNobody(packet.saddr)) return undefined;
    const { smac, dmac } = exit.frame;
    const frame = isGroupMac(dmac) || isGroupMac(smac) ? {} : { smac: dmac, dmac: smac };
    return { packet: { ...packet, ...frame }, entry: { kind: 'in', interface: exit.port ?? exit.oif } };
  }
  const [delivery] = journey.deliveries;
  const packet = delivery === undefined ? undefined : make(delivery);
  if (packet === undefined || isNobody(packet.saddr)) return undefined;
  return { packet, entry: { kind: 'local' } };
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
