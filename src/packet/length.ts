/** How long a packet is on the wire, from its IP header on. */
import { ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE, type Packet } from './packet.ts';

/** Octets of the transport header that this project's packets have; SCTP packets carry one INIT chunk. */
export function transportHeaderLength(packet: Pick<Packet, 'protocol' | 'fragment'>): number {
  if (packet.fragment !== undefined && packet.fragment.offset > 0) return 0;
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
    default:
      return 0;
  }
}

const headerLength = (packet: Pick<Packet, 'family'>): number => (packet.family === 4 ? 20 : 40);

/** An icmp error keeps the whole datagram within 576 octets, 1280 for IPv6 (RFC 1812 4.3.2.3, RFC 4443 2.4c; Linux the same). */
const LONGEST_ERROR = { 4: 576, 6: 1280 } as const;

/** Octets of the whole packet, IP header included: `-m length` for IPv4 and IPv6 (xt_length). */
export function packetLength(packet: Packet): number {
  const start = headerLength(packet) + transportHeaderLength(packet);
  if (packet.quoted === undefined) return start + packet.payload;
  return Math.min(start + packetLength(packet.quoted), LONGEST_ERROR[packet.family]) + packet.payload;
}
