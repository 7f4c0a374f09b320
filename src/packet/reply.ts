/** The answer that whoever gets a packet would send: what `reply` stands for in a conversation. */
import { ACK, FIN, ICMP, RST, SYN, TCP, hasPorts, isIcmp, isIcmpError, makePacket, type Packet } from './packet.ts';

/** What a packet is to a conversation: its first one (or that one again), the answer of whoever got the last one, or what its sender says when answered. */
export type Turn = 'packet' | 'reply' | 'later';

/** The sequence number that a listener starts with. */
const LISTENER_SEQ = 5000;

const ANSWERED_ICMP = new Map([
  [8, 0],
  [13, 14],
  [15, 16],
  [17, 18],
]);
const ANSWERED_ICMPV6 = new Map([
  [128, 129],
  [139, 140],
]);

/** Undefined where nobody answers: resets, icmp answers and errors, later fragments. */
export function replyTo(packet: Packet): Packet | undefined {
  if (packet.fragment !== undefined && packet.fragment.offset > 0) return undefined;
  const turned = { family: packet.family, saddr: packet.daddr, daddr: packet.saddr, protocol: packet.protocol };
  if (packet.protocol === TCP) {
    if (packet.flags & RST) return undefined;
    const length = packet.payload + (packet.flags & SYN ? 1 : 0) + (packet.flags & FIN ? 1 : 0);
    return makePacket({
      ...turned,
      sport: packet.dport,
      dport: packet.sport,
      flags: packet.flags & SYN && !(packet.flags & ACK) ? SYN | ACK : ACK,
      seq: packet.flags & ACK ? packet.ack : LISTENER_SEQ,
      ack: (packet.seq + length) >>> 0,
    });
  }
  if (isIcmp(packet)) {
    const type = (packet.protocol === ICMP ? ANSWERED_ICMP : ANSWERED_ICMPV6).get(packet.type);
    if (isIcmpError(packet) || type === undefined) return undefined;
    return makePacket({ ...turned, type, code: packet.code, id: packet.id });
  }
  if (hasPorts(packet.protocol)) return makePacket({ ...turned, sport: packet.dport, dport: packet.sport });
  return makePacket(turned);
}

/** What the sender of a packet says once it has been answered: the same, but for a tcp connection, which goes on where the answer left it. */
export function laterThan(packet: Packet, reply: Packet): Packet {
  const next = packet.protocol === TCP ? replyTo(reply) : undefined;
  return next === undefined ? packet : { ...packet, flags: next.flags, seq: next.seq, ack: next.ack };
}
