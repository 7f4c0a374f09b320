/**
 * One packet: the header fields that a Linux host looks at on its way, plus the two things that travel with it and are
 * no header (its link-layer addresses and the skb's mark).
 *
 * The record is flat: a field that a protocol does not have is 0. Rewriting is `{ ...packet, daddr }`.
 */
import type { Address, Family } from '../address/address.ts';
import type { Mac } from '../address/mac.ts';

/** IP protocol numbers (IANA). */
export const ICMP = 1;
export const IGMP = 2;
export const TCP = 6;
export const UDP = 17;
export const DCCP = 33;
export const GRE = 47;
export const ESP = 50;
export const AH = 51;
export const ICMPV6 = 58;
export const SCTP = 132;
export const UDPLITE = 136;

/** TCP flags, as their bits stand in the header. */
export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;
export const URG = 32;
export const ECE = 64;
export const CWR = 128;

export interface Packet {
  readonly family: Family;
  readonly saddr: Address;
  readonly daddr: Address;
  readonly protocol: number;
  /**
   * Ports of tcp, udp, udplite, dccp and sctp. On a fragment with an offset (of any protocol) these are what stands in the first
   * four octets of its payload, where a careless reader would look for ports; such a fragment has no other transport field.
   */
  readonly sport: number;
  readonly dport: number;
  /** tcp: the flag bits, sequence and acknowledgement numbers. */
  readonly flags: number;
  readonly seq: number;
  readonly ack: number;
  /** icmp and icmpv6: type, code, and the identifier of those messages that have one. */
  readonly type: number;
  readonly code: number;
  readonly id: number;
  /** Time to live, or hop limit. */
  readonly ttl: number;
  /**
   * Octets behind the transport header; behind the quoted packet for an icmp error, behind those first four octets for a fragment
   * with an offset, behind the IP header for a protocol without fields here. All of them are zero.
   */
  readonly payload: number;
  /** The skb's mark. Not on any wire. */
  readonly mark: number;
  /** The transport checksum is wrong. Never on a part of a packet: the checksum is the whole packet's. */
  readonly badsum: boolean;
  /** Absent: a whole packet. `offset` in units of eight octets, as in the header; `more` is the MF flag. */
  readonly fragment?: Fragment;
  /** The packet that an icmp error is about. */
  readonly quoted?: Packet;
  /** Link-layer addresses, where the packet arrives or leaves in a frame. */
  readonly smac?: Mac;
  readonly dmac?: Mac;
}

export interface Fragment {
  readonly offset: number;
  readonly more: boolean;
}

/** Has source and destination port at the start of its transport header. */
export const hasPorts = (protocol: number): boolean =>
  protocol === TCP || protocol === UDP || protocol === UDPLITE || protocol === DCCP || protocol === SCTP;

export const isIcmp = (packet: Pick<Packet, 'protocol'>): boolean =>
  packet.protocol === ICMP || packet.protocol === ICMPV6;

/** The icmp protocol of a family: icmp for IPv4, icmpv6 for IPv6. */
export const icmpOf = (family: Family): number => (family === 4 ? ICMP : ICMPV6);

/** The icmp types that report an error and quote the packet it is about (RFC 792, RFC 4443 section 2.1). */
export const isIcmpError = (packet: Pick<Packet, 'protocol' | 'type'>): boolean =>
  packet.protocol === ICMP
    ? [3, 4, 5, 11, 12].includes(packet.type)
    : packet.protocol === ICMPV6 && packet.type >= 1 && packet.type <= 127;

/**
 * The icmp types whose messages have an identifier, which conntrack takes for a port: echo, timestamp, information and address mask
 * (net/netfilter/nf_conntrack_proto_icmp.c icmp_pkt_to_tuple() and valid_new; proto_icmpv6.c: echo only).
 */
export const hasIdentifier = (packet: Pick<Packet, 'protocol' | 'type'>): boolean =>
  packet.protocol === ICMP
    ? [0, 8, 13, 14, 15, 16, 17, 18].includes(packet.type)
    : packet.protocol === ICMPV6 && (packet.type === 128 || packet.type === 129);

/** A fragment that does not begin the packet: it has no transport header. */
export const isLaterFragment = (packet: Pick<Packet, 'fragment'>): boolean => (packet.fragment?.offset ?? 0) > 0;

/** A part of a packet: a first or a later fragment (an IPv6 fragment header around a whole packet makes no part). */
export const isPart = (packet: Pick<Packet, 'fragment'>): boolean =>
  packet.fragment !== undefined && (packet.fragment.offset > 0 || packet.fragment.more);

/**
 * Has a transport checksum that Linux keeps right where it translates a packet: tcp, udp, udplite, sctp, and the icmp of the packet's family. It leaves dccp's as it was
 * (seen on 6.18, which has no nat for dccp any more): what becomes of that one is not modelled.
 */
export const hasChecksum = (packet: Pick<Packet, 'family' | 'protocol'>): boolean =>
  (hasPorts(packet.protocol) && packet.protocol !== DCCP) || packet.protocol === icmpOf(packet.family);

/** Time to live where nothing else is said. */
export const DEFAULT_TTL = 64;

/** What a packet is made of when nothing else is said: cli.md's defaults. */
const DEFAULTS = {
  sport: 0,
  dport: 0,
  flags: 0,
  seq: 0,
  ack: 0,
  type: 0,
  code: 0,
  id: 0,
  ttl: DEFAULT_TTL,
  payload: 0,
  mark: 0,
  badsum: false,
};

/**
 * A packet with the notation's defaults for what `fields` leaves out: tcp is a SYN with seq 1000, icmp an echo request, with id 1
 * where the type has an identifier. A later fragment has no transport header, so nothing there by default.
 */
export function makePacket(fields: Partial<Packet> & Pick<Packet, 'family' | 'saddr' | 'daddr' | 'protocol'>): Packet {
  return { ...DEFAULTS, ...transportDefaults(fields), ...fields };
}

type TransportDefaults = Pick<Packet, 'flags' | 'seq' | 'type' | 'id'>;

const NO_TRANSPORT: TransportDefaults = { flags: 0, seq: 0, type: 0, id: 0 };
const TCP_DEFAULTS: TransportDefaults = { flags: SYN, seq: 1000, type: 0, id: 0 };

/** The defaults that depend on what else is said. */
export function transportDefaults(
  fields: Pick<Packet, 'family' | 'protocol'> & Partial<Pick<Packet, 'type' | 'fragment'>>,
): TransportDefaults {
  const { family, protocol, type = family === 4 ? 8 : 128 } = fields;
  if (isLaterFragment(fields)) return NO_TRANSPORT;
  if (protocol === TCP) return TCP_DEFAULTS;
  if (protocol !== icmpOf(family)) return NO_TRANSPORT;
  return { flags: 0, seq: 0, type, id: hasIdentifier({ protocol, type }) ? 1 : 0 };
}

/** Two packets with the same on the wire: all fields but the mark, and so of what they quote. */
export const isSameOnWire = (a: Packet, b: Packet): boolean =>
  a === b ||
  (a.family === b.family &&
    a.saddr === b.saddr &&
    a.daddr === b.daddr &&
    a.protocol === b.protocol &&
    a.sport === b.sport &&
    a.dport === b.dport &&
    a.flags === b.flags &&
    a.seq === b.seq &&
    a.ack === b.ack &&
    a.type === b.type &&
    a.code === b.code &&
    a.id === b.id &&
    a.ttl === b.ttl &&
    a.payload === b.payload &&
    a.badsum === b.badsum &&
    a.fragment?.offset === b.fragment?.offset &&
    a.fragment?.more === b.fragment?.more &&
    a.smac === b.smac &&
    a.dmac === b.dmac &&
    (a.quoted === b.quoted || (a.quoted !== undefined && b.quoted !== undefined && isSameOnWire(a.quoted, b.quoted))));

/** Where a packet comes into a host: on an interface (or a bridge's port), or made by a process of the host. */
export type Entry =
  | { readonly kind: 'in'; readonly host?: string; readonly interface: string }
  | { readonly kind: 'local'; readonly host?: string };

/** Connection tracking states as `-m conntrack --ctstate` names them. */
export type ConntrackState = 'NEW' | 'ESTABLISHED' | 'RELATED' | 'INVALID' | 'UNTRACKED';
export const CONNTRACK_STATES: readonly ConntrackState[] = ['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED'];

/**
 * A packet together with where it enters: what one line of the packet notation says. `state` asserts what conntrack makes of it
 * instead of letting the conversation so far decide.
 */
export interface Arrival {
  readonly packet: Packet;
  readonly entry: Entry;
  readonly state?: ConntrackState;
  /** The line of the conversation that an icmp error is about. */
  readonly quotes?: number;
}
