/**
 * The tuple by which connection tracking knows a flow, one for each direction.
 * Source: include/net/netfilter/nf_conntrack_tuple.h, net/netfilter/nf_conntrack_core.c (nf_ct_get_tuple, nf_ct_invert_tuple) and the
 * protocols' own files.
 */
import type { Address } from '../address/address.ts';
import { ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE, isIcmp, type Packet } from '../packet/packet.ts';

/** For icmp `sport` is the identifier and `dport` is type * 256 + code, as the kernel overlays them. */
export interface Tuple {
  readonly protocol: number;
  readonly saddr: Address;
  readonly daddr: Address;
  readonly sport: number;
  readonly dport: number;
}

/** The protocols that conntrack tells apart by port. Everything else but icmp has one flow for a pair of addresses. */
export const tracksPorts = (protocol: number): boolean =>
  protocol === TCP || protocol === UDP || protocol === UDPLITE || protocol === SCTP;

export function tupleOf(packet: Packet): Tuple {
  const { protocol, saddr, daddr } = packet;
  if (isIcmp(packet)) return { protocol, saddr, daddr, sport: packet.id, dport: packet.type * 256 + packet.code };
  if (tracksPorts(protocol)) return { protocol, saddr, daddr, sport: packet.sport, dport: packet.dport };
  return { protocol, saddr, daddr, sport: 0, dport: 0 };
}

/** Queries and their answers (nf_conntrack_proto_icmp.c invmap; nf_conntrack_proto_icmpv6.c). */
const ICMP_INVERSE = new Map([
  [8, 0],
  [0, 8],
  [13, 14],
  [14, 13],
  [15, 16],
  [16, 15],
  [17, 18],
  [18, 17],
]);
const ICMPV6_INVERSE = new Map([
  [128, 129],
  [129, 128],
  [139, 140],
  [140, 139],
]);

/** The icmp types that may open a flow. */
const ICMP_OPENERS: ReadonlySet<number> = new Set([8, 13, 15, 17]);
const ICMPV6_OPENERS: ReadonlySet<number> = new Set([128, 139]);

export const icmpMayOpen = (packet: Packet): boolean =>
  (packet.protocol === ICMP ? ICMP_OPENERS : ICMPV6_OPENERS).has(packet.type);

/** The tuple of the other direction; undefined for an icmp type that has no answer, which conntrack then calls INVALID. */
export function invertTuple(tuple: Tuple): Tuple | undefined {
  const { protocol, saddr, daddr, sport, dport } = tuple;
  if (protocol === ICMP || protocol === ICMPV6) {
    const type = (protocol === ICMP ? ICMP_INVERSE : ICMPV6_INVERSE).get(dport >> 8);
    return type === undefined
      ? undefined
      : { protocol, saddr: daddr, daddr: saddr, sport, dport: type * 256 + (dport & 255) };
  }
  return { protocol, saddr: daddr, daddr: saddr, sport: dport, dport: sport };
}

export const tuplesEqual = (a: Tuple, b: Tuple): boolean =>
  a.daddr === b.daddr && a.saddr === b.saddr && a.protocol === b.protocol && a.sport === b.sport && a.dport === b.dport;

export const tupleKey = (tuple: Tuple): string =>
  `${tuple.protocol} ${tuple.saddr}:${tuple.sport}>${tuple.daddr}:${tuple.dport}`;

/** One flow, known by its two tuples: nf_conn. */
export type Direction = 'ORIGINAL' | 'REPLY';

export const otherDirection = (direction: Direction): Direction => (direction === 'ORIGINAL' ? 'REPLY' : 'ORIGINAL');
