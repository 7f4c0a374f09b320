/** One packet as the values of a layout's levels. */
import type { Address } from '../address/address.ts';
import type { Tuple } from '../netfilter/tuple.ts';
import type { Skb } from '../netfilter/skb.ts';
import { packetLength } from '../packet/length.ts';
import { hasPorts, isIcmp, type Arrival, type Packet } from '../packet/packet.ts';
import { entryName } from '../packet/pattern.ts';
import {
  NOT_SEEN,
  stateNumber,
  wordsOf,
  type AddressField,
  type Field,
  type Layout,
  type MarkField,
} from './layout.ts';
import { entryKey } from './packet-set.ts';

export class Point {
  readonly #layout: Layout;
  /** By level. */
  readonly values: Uint32Array;

  constructor(layout: Layout) {
    this.#layout = layout;
    this.values = new Uint32Array(layout.floor);
  }

  at = (level: number): number => this.values[level] ?? 0;

  number(field: Field, value: number): void {
    this.values[this.#layout.level(field)] = value;
  }

  address(field: AddressField, value: Address): void {
    const first = this.#layout.level(field);
    for (const [index, word] of wordsOf(value).entries()) this.values[first + index] = word;
  }

  mark(field: MarkField, value: number): void {
    for (let bit = 0; bit < 32; bit++) this.values[this.#layout.bitLevel(field, bit)] = (value >>> bit) & 1;
  }
}

const PACKET_TYPES = ['unicast', 'broadcast', 'multicast'] as const;

/** `dport` and `sport` as the layout has them. */
export function portsOf(packet: Packet): { readonly sport: number; readonly dport: number } {
  const isLater = packet.fragment !== undefined && packet.fragment.offset > 0;
  if (!isLater && isIcmp(packet)) return { sport: packet.id, dport: packet.type * 256 + packet.code };
  return isLater || hasPorts(packet.protocol) ? { sport: packet.sport, dport: packet.dport } : { sport: 0, dport: 0 };
}

function fillPacket(point: Point, { macs }: Layout['alphabets'], packet: Packet): void {
  const { sport, dport } = portsOf(packet);
  const offset = packet.fragment?.offset ?? 0;
  point.address('daddr', packet.daddr);
  point.address('saddr', packet.saddr);
  point.number('protocol', packet.protocol);
  point.number('sport', sport);
  point.number('dport', dport);
  point.number('flags', packet.flags);
  point.number('part', offset === 0 ? 0 : offset === 1 ? 1 : 2);
  point.number('length', Math.min(65535, packetLength(packet)));
  point.number('ttl', packet.ttl);
  point.number('smac', macs.numberOf(packet.smac ?? ''));
  point.number('dmac', macs.numberOf(packet.dmac ?? ''));
  point.mark('mark', packet.mark);
}

/** A packet where it enters: what sets of packets are about. */
export function pointOfArrival(layout: Layout, { packet, entry, state }: Arrival): Point {
  const point = new Point(layout);
  fillPacket(point, layout.alphabets, packet);
  point.number('entry', layout.alphabets.entries.numberOf(entryKey(entry.kind, entryName(entry))));
  point.number('ct', state === undefined ? NOT_SEEN : stateNumber(state));
  return point;
}

const flag = (value: boolean): number => (value ? 1 : 0);

/** A packet at a hook: what matches ask. */
export function pointOfSkb(layout: Layout, skb: Skb): Point {
  const { devices } = layout.alphabets;
  const point = new Point(layout);
  fillPacket(point, layout.alphabets, skb.packet);
  point.number('iif', devices.numberOf(skb.iif ?? ''));
  point.number('oif', devices.numberOf(skb.oif ?? ''));
  point.number('physin', devices.numberOf(skb.physin ?? ''));
  point.number('physout', devices.numberOf(skb.physout ?? ''));
  point.number('packetType', PACKET_TYPES.indexOf(skb.packetType));
  point.number('framed', flag(skb.framed));
  const { tracked } = skb;
  point.number('ct', tracked === undefined ? NOT_SEEN : stateNumber(tracked.state));
  if (tracked?.kind !== 'flow') return point;
  const { connection, direction } = tracked;
  point.number('reply', flag(direction === 'REPLY'));
  point.number('sourceNat', flag(connection.sourceNat));
  point.number('destinationNat', flag(connection.destinationNat));
  point.number('sourceDone', flag(connection.sourceNatDone));
  point.number('destinationDone', flag(connection.destinationNatDone));
  point.number('seenReply', flag(connection.seenReply));
  point.number('assured', flag(connection.assured));
  point.number('confirmed', flag(connection.confirmed));
  point.mark('ctmark', connection.mark);
  point.number('origProtocol', connection.original.protocol);
  fillTuple(point, connection.original, ['origSaddr', 'origDaddr', 'origSport', 'origDport']);
  fillTuple(point, connection.reply, ['replySaddr', 'replyDaddr', 'replySport', 'replyDport']);
  return point;
}

function fillTuple(
  point: Point,
  { saddr, daddr, sport, dport }: Tuple,
  [s, d, sp, dp]: readonly [AddressField, AddressField, Field, Field],
): void {
  point.address(s, saddr);
  point.address(d, daddr);
  point.number(sp, sport);
  point.number(dp, dport);
}
