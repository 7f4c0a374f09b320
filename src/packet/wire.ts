/**
 * Packets as octets, and back. Every octet of payload is zero.
 *
 * What a `Packet` does not say is constant: no IP options, TOS 0, DF clear, TCP window 65535 and no TCP options; SCTP carries one INIT
 * chunk that takes the payload as its parameters (a second chunk after INIT is invalid, net/netfilter/nf_conntrack_proto_sctp.c
 * do_basic_checks()); DCCP is a Request; UDP-Lite's checksum covers everything; GRE, ESP and the other protocols without fields are
 * payload alone. Checksums are right unless `badsum`; that of a first fragment is computed over the fragment alone, so it is right
 * for nobody who reassembles: `encodeFragments` cuts a whole packet up.
 *
 * Two things that a right checksum does not change in Linux 6.18, tried there: conntrack calls every UDP-Lite packet that arrives
 * INVALID (net/netfilter/nf_conntrack_proto_udp.c udplite_error() sums it up as if it were UDP), and neither looks at DCCP's, which
 * it no longer tracks as a protocol of its own, nor mends it where it translates. Decoding does not say whether that one is right.
 *
 * Decoding reads what Linux and others emit: IP and TCP options and IPv6 extension headers are skipped, icmp errors give the packet
 * that they quote, cut as it may be. The mark and the reason why a packet was sent are on no wire.
 */
import type { Address } from '../address/address.ts';
import { macOctets, printMac } from '../address/mac.ts';
import { crc32c, internetChecksum, onesSum } from './checksum.ts';
import { LONGEST_ERROR, transportHeaderLength } from './length.ts';
import type { Packet } from './packet.ts';
import {
  AH,
  DCCP,
  hasChecksum,
  hasIdentifier,
  hasPorts,
  ICMP,
  icmpOf,
  isIcmpError,
  isLaterFragment,
  isPart,
  SCTP,
  TCP,
  UDP,
  UDPLITE,
} from './packet.ts';
import { isExtensionHeader } from './protocol.ts';

export interface EncodeOptions {
  /** IP identification: of every IPv4 packet, and of IPv6 fragments. 0 by default. */
  readonly id?: number;
}

const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const FRAGMENT_HEADER = 8;
const FRAGMENT = 44;

const MORE_FRAGMENTS = 0x2000;

/** A packet from its IP header on. */
export function encodePacket(packet: Packet, { id = 0 }: EncodeOptions = {}): Uint8Array {
  const transport = encodeTransport(packet);
  return withIpHeader(packet, transport, packet.fragment, id);
}

/** A packet in its Ethernet frame, from the destination address to the end of the packet: not padded, no frame check sequence. */
export function encodeFrame(
  packet: Packet & Required<Pick<Packet, 'smac' | 'dmac'>>,
  options: EncodeOptions = {},
): Uint8Array {
  const type = packet.family === 4 ? [0x08, 0x00] : [0x86, 0xdd];
  return concat(
    Uint8Array.from([...macOctets(packet.dmac), ...macOctets(packet.smac), ...type]),
    encodePacket(packet, options),
  );
}

/** A whole packet cut into IP fragments that carry at most `size` octets of it each (rounded down to a multiple of 8, at least 8). */
export function encodeFragments(packet: Packet, size: number, { id = 0 }: EncodeOptions = {}): Uint8Array[] {
  const transport = encodeTransport(packet);
  const step = Math.max(8, size - (size % 8));
  const fragments: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < transport.length; at += step) {
    const fragment = { offset: at / 8, more: at + step < transport.length };
    fragments.push(withIpHeader(packet, transport.subarray(at, at + step), fragment, id));
  }
  return fragments;
}

function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const viewOf = (octets: Uint8Array): DataView => new DataView(octets.buffer, octets.byteOffset, octets.byteLength);

function addressOctets(address: Address): Uint8Array {
  const octets = new Uint8Array(typeof address === 'number' ? 4 : 16);
  const view = viewOf(octets);
  if (typeof address === 'number') view.setUint32(0, address);
  else {
    view.setBigUint64(0, address >> 64n);
    view.setBigUint64(8, BigInt.asUintN(64, address));
  }
  return octets;
}

function withIpHeader(packet: Packet, body: Uint8Array, fragment: Packet['fragment'], id: number): Uint8Array {
  const offset = fragment?.offset ?? 0;
  const more = fragment?.more === true;
  if (packet.family === 4) {
    const header = new Uint8Array(IPV4_HEADER);
    const view = viewOf(header);
    view.setUint8(0, 0x45);
    view.setUint16(2, IPV4_HEADER + body.length);
    view.setUint16(4, id);
    view.setUint16(6, offset | (more ? MORE_FRAGMENTS : 0));
    view.setUint8(8, packet.ttl);
    view.setUint8(9, packet.protocol);
    header.set(addressOctets(packet.saddr), 12);
    header.set(addressOctets(packet.daddr), 16);
    view.setUint16(10, internetChecksum(header));
    return concat(header, body);
  }
  const extension = new Uint8Array(fragment === undefined ? 0 : FRAGMENT_HEADER);
  if (fragment !== undefined) {
    extension[0] = packet.protocol;
    viewOf(extension).setUint16(2, (offset << 3) | (more ? 1 : 0));
    viewOf(extension).setUint32(4, id);
  }
  const header = new Uint8Array(IPV6_HEADER);
  const view = viewOf(header);
  view.setUint8(0, 0x60);
  view.setUint16(4, extension.length + body.length);
  view.setUint8(6, fragment === undefined ? packet.protocol : FRAGMENT);
  view.setUint8(7, packet.ttl);
  header.set(addressOctets(packet.saddr), 8);
  header.set(addressOctets(packet.daddr), 24);
  return concat(header, extension, body);
}

/** The transport header and what is behind it, checksum included. */
function encodeTransport(packet: Packet): Uint8Array {
  const length = transportHeaderLength(packet);
  const quoted = packet.quoted === undefined ? new Uint8Array(0) : quotedOctets(packet, packet.quoted);
  const octets = concat(new Uint8Array(length), quoted, new Uint8Array(packet.payload));
  const view = viewOf(octets);
  if (isLaterFragment(packet) || hasPorts(packet.protocol)) {
    view.setUint16(0, packet.sport);
    view.setUint16(2, packet.dport);
  }
  if (isLaterFragment(packet)) return octets;
  const at = writeHeader(packet, view, octets.length);
  if (at !== undefined) writeChecksum(packet, octets, at);
  return octets;
}

/** Fills in what follows the ports, all but the checksum; gives the place of the checksum, undefined for no checksum. */
function writeHeader(packet: Packet, view: DataView, length: number): number | undefined {
  switch (packet.protocol) {
    case TCP:
      view.setUint32(4, packet.seq);
      view.setUint32(8, packet.ack);
      view.setUint8(12, 5 << 4);
      view.setUint8(13, packet.flags);
      view.setUint16(14, 65535);
      return 16;
    case UDP:
      view.setUint16(4, length);
      return 6;
    case UDPLITE:
      // Coverage 0 is the whole packet (RFC 3828 section 3.1).
      return 6;
    case DCCP:
      view.setUint8(4, 5);
      // Type Request with 48-bit sequence numbers (RFC 4340 section 5.1).
      view.setUint8(8, 1);
      view.setUint32(12, 1);
      return 6;
    case SCTP:
      // One INIT chunk: tag, window, one stream each way, first TSN.
      view.setUint8(12, 1);
      view.setUint16(14, length - 12);
      view.setUint32(16, 1);
      view.setUint32(20, 65535);
      view.setUint16(24, 1);
      view.setUint16(26, 1);
      view.setUint32(28, 1);
      return 8;
    default:
      return packet.protocol === icmpOf(packet.family) ? writeIcmp(packet, view) : undefined;
  }
}

function writeIcmp(packet: Packet, view: DataView): number {
  view.setUint8(0, packet.type);
  view.setUint8(1, packet.code);
  if (hasIdentifier(packet)) {
    view.setUint16(4, packet.id);
    view.setUint16(6, 1);
  }
  // "Fragmentation needed" and "packet too big" tell the MTU of the next hop, which no host believes to be 0.
  if (packet.family === 4 ? packet.type === 3 && packet.code === 4 : packet.type === 2) view.setUint32(4, 1280);
  return 2;
}

/** The quoted packet, as much of it as Linux sends: `packetLength` says why. */
function quotedOctets(error: Packet, quoted: Packet): Uint8Array {
  const headers = (error.family === 4 ? IPV4_HEADER : IPV6_HEADER) + 8;
  return encodePacket(quoted).subarray(0, LONGEST_ERROR[error.family] - headers);
}

function writeChecksum(packet: Packet, octets: Uint8Array, at: number): void {
  const view = viewOf(octets);
  if (packet.protocol === SCTP) {
    view.setUint32(at, (crc32c(octets) ^ (packet.badsum ? 0x100 : 0)) >>> 0, true);
    return;
  }
  let sum = internetChecksum(octets, pseudoHeaderSum(packet, octets.length));
  // UDP keeps 0 for "no checksum" (RFC 768), UDP-Lite for nothing at all; ones' complement has another zero.
  if ((packet.protocol === UDP || packet.protocol === UDPLITE) && sum === 0) sum = 0xffff;
  if (packet.badsum) {
    // Another value, and neither the one that says "no checksum" nor the one of a checksum that is still to be computed.
    const unfinished = pseudoHeaderSum(packet, octets.length);
    const wrong = [0x0100, 0x0300, 0x0500].map((bits) => sum ^ bits);
    sum = wrong.find((value) => value !== 0 && value !== 0xffff && value !== unfinished) ?? sum ^ 0x0700;
  }
  view.setUint16(at, sum);
}

/** The part of the checksum that is about the IP header; icmp of IPv4 has none (RFC 792). */
function pseudoHeaderSum(packet: Packet, length: number): number {
  if (packet.protocol === ICMP && packet.family === 4) return 0;
  const start = packet.protocol + (length >>> 16) + (length & 0xffff);
  return onesSum(concat(addressOctets(packet.saddr), addressOctets(packet.daddr)), start);
}

/** Why octets are no packet that this project knows. */
export interface NotDecoded {
  readonly reason: string;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

/** Reads an Ethernet frame that carries an IP packet; padding behind the packet is left out. */
export function decodeFrame(octets: Uint8Array): Packet | NotDecoded {
  if (octets.length < 14) return { reason: `${octets.length} octets are no Ethernet frame` };
  const type = viewOf(octets).getUint16(12);
  if (type !== 0x0800 && type !== 0x86dd)
    return { reason: `not IP: ethertype 0x${type.toString(16).padStart(4, '0')}` };
  const packet = decodePacket(octets.subarray(14));
  if ('reason' in packet) return packet;
  return { ...packet, smac: printMac([...octets.subarray(6, 12)]), dmac: printMac([...octets.subarray(0, 6)]) };
}

/**
 * Reads a packet from its IP header on. One that ends too early (a capture that was cut) is read as far as its transport header
 * goes, and its checksum is taken for right; so is one that Linux has left to the network card (the sum of the pseudo header alone,
 * as in captures of packets that the host itself made).
 */
export const decodePacket = (octets: Uint8Array): Packet | NotDecoded => decodeIp(octets, 0);

interface IpHeader {
  readonly family: Packet['family'];
  readonly saddr: Address;
  readonly daddr: Address;
  readonly protocol: number;
  readonly ttl: number;
  readonly fragment?: Packet['fragment'];
  /** Where the transport header begins, and where the packet would end if all of it were there. */
  readonly start: number;
  readonly end: number;
}

/** Errors that quote errors are never sent: a few levels are enough for anything that is read. */
const DEEPEST_QUOTE = 4;

function decodeIp(octets: Uint8Array, depth: number): Packet | NotDecoded {
  const version = (octets[0] ?? 0) >> 4;
  if (version !== 4 && version !== 6) return { reason: octets.length === 0 ? 'no octets' : `IP version ${version}` };
  const ip = version === 4 ? readIpv4(octets, depth) : readIpv6(octets);
  if ('reason' in ip) return ip;
  const body = octets.subarray(ip.start, ip.end);
  const { family, saddr, daddr, protocol, ttl, fragment } = ip;
  const packet: Packet = {
    ...EMPTY,
    family,
    saddr,
    daddr,
    protocol,
    ttl,
    ...(fragment !== undefined && { fragment }),
  };
  return decodeTransport(packet, body, ip.end - ip.start, depth);
}

const EMPTY = {
  sport: 0,
  dport: 0,
  flags: 0,
  seq: 0,
  ack: 0,
  type: 0,
  code: 0,
  id: 0,
  payload: 0,
  mark: 0,
  badsum: false,
};

function readIpv4(octets: Uint8Array, depth: number): IpHeader | NotDecoded {
  const header = ((octets[0] ?? 0) & 15) * 4;
  if (header < IPV4_HEADER || octets.length < header) return { reason: 'the IPv4 header is cut short' };
  const view = viewOf(octets);
  // A quoted header may have been changed on its way without a new checksum.
  if (depth === 0 && onesSum(octets.subarray(0, header)) !== 0xffff)
    return { reason: 'the IPv4 header checksum is wrong' };
  const end = view.getUint16(2);
  if (end < header) return { reason: 'the IPv4 total length is shorter than the header' };
  const bits = view.getUint16(6);
  const fragment = { offset: bits & 0x1fff, more: (bits & MORE_FRAGMENTS) !== 0 };
  return {
    family: 4,
    saddr: view.getUint32(12),
    daddr: view.getUint32(16),
    protocol: view.getUint8(9),
    ttl: view.getUint8(8),
    ...((fragment.offset > 0 || fragment.more) && { fragment }),
    start: header,
    end,
  };
}

function readIpv6(octets: Uint8Array): IpHeader | NotDecoded {
  if (octets.length < IPV6_HEADER) return { reason: 'the IPv6 header is cut short' };
  const view = viewOf(octets);
  const end = IPV6_HEADER + view.getUint16(4);
  let protocol = view.getUint8(6);
  let start = IPV6_HEADER;
  let fragment: Packet['fragment'];
  // Every extension header is at least eight octets, so this comes to an end.
  while (isExtensionHeader(protocol) && !(fragment !== undefined && fragment.offset > 0)) {
    if (octets.length < start + 8) return { reason: 'the IPv6 extension headers are cut short' };
    const next = view.getUint8(start);
    if (protocol === FRAGMENT) {
      const bits = view.getUint16(start + 2);
      fragment = { offset: bits >> 3, more: (bits & 1) !== 0 };
      start += FRAGMENT_HEADER;
    } else if (protocol === AH) start += (view.getUint8(start + 1) + 2) * 4;
    else start += (view.getUint8(start + 1) + 1) * 8;
    protocol = next;
  }
  if (end < start) return { reason: 'the IPv6 payload length is shorter than the extension headers' };
  const high = (at: number) => (view.getBigUint64(at) << 64n) | view.getBigUint64(at + 8);
  return {
    family: 6,
    saddr: high(8),
    daddr: high(24),
    protocol,
    ttl: view.getUint8(7),
    ...(fragment !== undefined && { fragment }),
    start,
    end,
  };
}

/** `length`: of the transport header and all behind it, as the IP header says; `body` may be shorter. */
function decodeTransport(base: Packet, body: Uint8Array, length: number, depth: number): Packet | NotDecoded {
  const packet: Writable<Packet> = { ...base };
  const view = viewOf(body);
  const needed = neededOctets(packet);
  if (body.length < needed) return { reason: `the header of protocol ${packet.protocol} is cut short` };
  if (isLaterFragment(packet) || hasPorts(packet.protocol)) {
    packet.sport = view.getUint16(0);
    packet.dport = view.getUint16(2);
  }
  let header = transportHeaderLength(packet);
  if (!isLaterFragment(packet)) {
    if (packet.protocol === TCP) header = readTcp(packet, view);
    else if (packet.protocol === DCCP) header = Math.max(12, view.getUint8(4) * 4);
    else if (packet.protocol === icmpOf(packet.family)) {
      packet.type = view.getUint8(0);
      packet.code = view.getUint8(1);
      if (hasIdentifier(packet)) packet.id = view.getUint16(4);
      if (isIcmpError(packet)) header += takeQuoted(packet, body.subarray(header), depth);
    }
    if (depth === 0 && body.length === length && hasChecksum(packet) && !isPart(packet)) {
      packet.badsum = isChecksumWrong(packet, body);
    }
  }
  packet.payload = Math.max(0, length - header);
  return packet;
}

/** How much of a header has to be there: the eight octets that an icmp error quotes at least (RFC 792), or all that is less. */
function neededOctets(packet: Packet): number {
  if (isLaterFragment(packet)) return 4;
  return Math.min(8, transportHeaderLength(packet));
}

/** Reads what is there of a TCP header; gives its length with options. */
function readTcp(packet: Writable<Packet>, view: DataView): number {
  packet.seq = view.getUint32(4);
  if (view.byteLength < 14) return 20;
  packet.ack = view.getUint32(8);
  packet.flags = view.getUint8(13);
  return Math.max(20, (view.getUint8(12) >> 4) * 4);
}

/** Reads the quoted packet if it is one; gives how many octets belong to it. */
function takeQuoted(packet: Writable<Packet>, octets: Uint8Array, depth: number): number {
  if (depth === DEEPEST_QUOTE || octets.length === 0) return 0;
  const quoted = decodeIp(octets, depth + 1);
  if ('reason' in quoted || quoted.family !== packet.family) return 0;
  packet.quoted = quoted;
  const view = viewOf(octets);
  const whole = quoted.family === 4 ? view.getUint16(2) : IPV6_HEADER + view.getUint16(4);
  return Math.min(whole, octets.length);
}

function isChecksumWrong(packet: Packet, body: Uint8Array): boolean {
  const view = viewOf(body);
  if (packet.protocol === SCTP) {
    if (body.length < 12) return true;
    // A copy even of a Buffer, whose `slice` is none.
    const zeroed = new Uint8Array(body);
    viewOf(zeroed).setUint32(8, 0);
    return crc32c(zeroed) !== view.getUint32(8, true);
  }
  const at = packet.protocol === TCP ? 16 : hasPorts(packet.protocol) ? 6 : 2;
  if (body.length < at + 2) return true;
  const written = view.getUint16(at);
  const pseudo = pseudoHeaderSum(packet, body.length);
  // No checksum (RFC 768), which IPv6 forbids (RFC 8200 section 8.1).
  if (packet.protocol === UDP && written === 0) return packet.family === 6;
  if (packet.protocol !== icmpOf(packet.family) && written === pseudo) return false;
  return onesSum(coveredOctets(packet, body), pseudo) !== 0xffff;
}

/** UDP-Lite may cover less than the packet; 0 is all of it, and less than its header is an error that no sum repairs. */
function coveredOctets(packet: Packet, body: Uint8Array): Uint8Array {
  const coverage = packet.protocol === UDPLITE ? viewOf(body).getUint16(4) : 0;
  return coverage === 0 ? body : body.subarray(0, coverage);
}
