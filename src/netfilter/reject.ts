/**
 * What a host sends back: a REJECT's reset or icmp error, and the icmp errors of the IP layer itself.
 * Source: net/ipv4/netfilter/nf_reject_ipv4.c, net/ipv6/netfilter/nf_reject_ipv6.c, net/ipv4/icmp.c (__icmp_send); facts S15, S26.
 */
import { LIMITED_BROADCAST, isMulticast, zeroAddress } from '../address/address.ts';
import { addressKind, localDevice, sourceFor } from '../host/route.ts';
import type { Host } from '../host/host.ts';
import {
  ACK,
  FIN,
  ICMP,
  ICMPV6,
  RST,
  SYN,
  TCP,
  UDP,
  icmpOf,
  isIcmpError,
  isPart,
  makePacket,
  type Packet,
} from '../packet/packet.ts';
import type { HookName, RejectWith } from '../ruleset/rule.ts';

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

/** What a rule rejects, and where. */
export interface Rejected {
  readonly packet: Packet;
  /** The frame that brought it was for more than one machine. */
  readonly broadcast: boolean;
  readonly hook: HookName;
}

/** The packet that a REJECT answers with; undefined where the kernel stays silent. */
export function rejection(host: Host, { packet, broadcast, hook }: Rejected, how: RejectWith): Packet | undefined {
  // A packet that is bridged or forwarded has no broadcast route, whatever its address.
  if (hook !== 'FORWARD' && ['BROADCAST', 'MULTICAST'].includes(addressKind(host, packet.daddr))) return undefined;
  if (how !== 'tcp-reset') {
    if (!hasGoodChecksum(packet)) return undefined;
    const [type, code] = ANSWERS[how];
    return icmpError(host, packet, type, code, broadcast, hook !== 'FORWARD');
  }
  if (packet.protocol !== TCP || packet.flags & RST || packet.badsum || isPart(packet)) return undefined;
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
 * nf_reject_verify_csum and nf_ip_checksum: nothing is answered to a wrong checksum. A first fragment's is the whole packet's, which is wrong for what there is
 * unless it is icmp's, with neither a length in the sum nor anything but zeros in what is missing.
 */
const hasGoodChecksum = (packet: Packet): boolean =>
  !packet.badsum && !(isPart(packet) && [TCP, UDP, ICMPV6].includes(packet.protocol));

/**
 * To what no icmp error answers (icmp_pointers[].error, icmpv6 is_ineligible): errors, and for icmp also the router messages and the types that nobody has
 * given a meaning.
 */
const isUnanswerable = (packet: Packet): boolean =>
  isIcmpError(packet) ||
  (packet.protocol === ICMP &&
    packet.family === 4 &&
    ([1, 2, 6, 7, 9, 10].includes(packet.type) || packet.type > 18)) ||
  (packet.protocol === ICMPV6 && packet.family === 6 && packet.type < 128);

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
  mayBeLocal = true,
): Packet | undefined {
  const { family, saddr, daddr } = packet;
  if (isUnanswerable(packet) || broadcast || isMulticast(daddr) || daddr === LIMITED_BROADCAST) return undefined;
  if (packet.fragment !== undefined && packet.fragment.offset > 0) return undefined;
  if (saddr === zeroAddress(family) || isMulticast(saddr) || saddr === LIMITED_BROADCAST) return undefined;
  const own = mayBeLocal && localDevice(host, daddr) !== undefined ? daddr : sourceFor(host, saddr);
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
