/** How long a packet is on the wire, from its IP header on. */
import { DCCP, ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE, type Packet } from './packet.ts';

/**
 * Octets of the transport header that this project's packets have; SCTP packets carry one INIT chunk, DCCP packets are a Request.
 * Of a later fragment the four octets that stand where ports would.
 */
export function transportHeaderLength(packet: Pick<Packet, 'protocol' | 'fragment'>): number {
  if (packet.fragment !== undefined && packet.fragment.offset > 0) return 4;
  switch (packet.protocol) {
    case TCP:
      return 20;
    case UDP:
    case UDPLITE:
    case ICMP:
    case ICMPV6:
      return 8;
    case SCTP:
      return 12 + 20;
    case DCCP:
      return 16 + 4;
    default:
      return 0;
  }
}

/** Of IPv6 with the fragment header, where there is one: `length_mt6` counts the payload length, extension headers included. */
const headerLength = ({ family, fragment }: Pick<Packet, 'family' | 'fragment'>): number =>
  family === 4 ? 20 : fragment === undefined ? 40 : 48;

/** An icmp error keeps the whole datagram within 576 octets, 1280 for IPv6 (RFC 1812 4.3.2.3, RFC 4443 2.4c; Linux the same). */
export const LONGEST_ERROR = { 4: 576, 6: 1280 } as const;

/** Octets of the whole packet, IP header included: `-m length` for IPv4 and IPv6 (xt_length). */
export function packetLength(packet: Packet): number {
  const start = headerLength(packet) + transportHeaderLength(packet);
  if (packet.quoted === undefined) return start + packet.payload;
  return Math.min(start + packetLength(packet.quoted), LONGEST_ERROR[packet.family]) + packet.payload;
}
