/**
 * What a host sends back: a REJECT's reset or icmp error, and the icmp errors of the IP layer itself.
 * Source: net/ipv4/netfilter/nf_reject_ipv4.c, net/ipv6/netfilter/nf_reject_ipv6.c, net/ipv4/icmp.c (__icmp_send); facts S15, S26.
 */
import { LIMITED_BROADCAST, isMulticast, zeroAddress } from '../address/address.ts';
import { localDevice, sourceFor } from '../host/route.ts';
import type { Host } from '../host/host.ts';
import { ACK, FIN, RST, SYN, TCP, icmpOf, isIcmpError, makePacket, type Packet } from '../packet/packet.ts';
import type { RejectWith } from '../ruleset/rule.ts';

/** Type and code of each icmp answer. */
const ANSWERS: Readonly<Record<Exclude<RejectWith, 'tcp-reset'>, readonly [number, number]>> = {
  'icmp-net-unreachable': [3, 0],
  'icmp-host-unreachable': [3, 1],
  'icmp-proto-unreachable': [3, 2],
  'icmp-port-unreachable': [3, 3],
  'icmp-net-prohibited': [3, 9],
  'icmp-host-prohibited': [3, 10],
  'icmp-admin-prohibited': [3, 13],
  'icmp6-no-route': [1, 0],
  'icmp6-adm-prohibited': [1, 1],
  'icmp6-addr-unreachable': [1, 3],
  'icmp6-port-unreachable': [1, 4],
  'icmp6-policy-fail': [1, 5],
  'icmp6-reject-route': [1, 6],
};

/** The packet that a REJECT answers with; undefined where the kernel stays silent. */
export function rejection(host: Host, packet: Packet, how: RejectWith, broadcast: boolean): Packet | undefined {
  if (how !== 'tcp-reset') {
    const [type, code] = ANSWERS[how];
    return icmpError(host, packet, type, code, broadcast);
  }
  const isLater = packet.fragment !== undefined && packet.fragment.offset > 0;
  if (packet.protocol !== TCP || packet.flags & RST || packet.badsum || isLater) return undefined;
  const length = packet.payload + (packet.flags & SYN ? 1 : 0) + (packet.flags & FIN ? 1 : 0);
  return makePacket({
    family: packet.family,
    saddr: packet.daddr,
    daddr: packet.saddr,
    protocol: TCP,
    sport: packet.dport,
    dport: packet.sport,
    ...(packet.flags & ACK
      ? { flags: RST, seq: packet.ack, ack: 0 }
      : { flags: RST | ACK, seq: 0, ack: (packet.seq + length) >>> 0 }),
  });
}

/**
 * An icmp error about `packet`. None about icmp errors, later fragments, broadcasts, or senders that are no single machine. Its source is the address that it was
 * sent to when that is the host's own, else the one that the host would use towards the sender.
 */
export function icmpError(
  host: Host,
  packet: Packet,
  type: number,
  code: number,
  broadcast: boolean,
): Packet | undefined {
  const { family, saddr, daddr } = packet;
  if (isIcmpError(packet) || broadcast || isMulticast(daddr) || daddr === LIMITED_BROADCAST) return undefined;
  if (packet.fragment !== undefined && packet.fragment.offset > 0) return undefined;
  if (saddr === zeroAddress(family) || isMulticast(saddr) || saddr === LIMITED_BROADCAST) return undefined;
  const own = localDevice(host, daddr) === undefined ? sourceFor(host, saddr) : daddr;
  return makePacket({
    family,
    saddr: own,
    daddr: saddr,
    protocol: icmpOf(family),
    type,
    code,
    id: 0,
    quoted: quotable(packet),
  });
}

/** What of a packet stands in a quotation: headers, no mark and no frame. */
export function quotable(packet: Packet): Packet {
  const { smac, dmac, ...headers } = packet;
  return { ...headers, mark: 0 };
}
