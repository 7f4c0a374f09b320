/**
 * What a host sends back: a REJECT's reset or icmp error, and the icmp errors of the IP layer itself.
 * Source: net/ipv4/netfilter/nf_reject_ipv4.c, net/ipv6/netfilter/nf_reject_ipv6.c, net/ipv4/icmp.c (__icmp_send); facts S15, S26.
 */
import { LIMITED_BROADCAST, isLinkLocal, isLoopback, isMulticast, zeroAddress } from '../address/address.ts';
import { isRoutersAnycast } from '../host/groups.ts';
import { addressKind, isAnycastTo, isOwnAddress, selectAddress, sourceFor } from '../host/route.ts';
import type { Host } from '../host/host.ts';
import {
  ACK,
  AH,
  DCCP,
  ESP,
  FIN,
  GRE,
  ICMP,
  ICMPV6,
  RST,
  SCTP,
  SYN,
  TCP,
  UDP,
  UDPLITE,
  icmpOf,
  isIcmpError,
  isLaterFragment,
  isPart,
  makePacket,
  type Packet,
} from '../packet/packet.ts';
import { transportHeaderLength } from '../packet/length.ts';
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

/** What is refused, and where. */
export interface Refused {
  readonly packet: Packet;
  /** The frame that brought it was for more than one machine. */
  readonly broadcast: boolean;
  /** It has other addresses by now than it was sent with. */
  readonly translated: boolean;
  readonly hook: HookName;
  /** IPv6: the device that it is at (skb->dev): that it came in by, of what is bridged the port that it was to leave by, of the host's own lo. */
  readonly device: string;
  /** IPv6: the device that it counts as having come in by (IP6CB(skb)->iif); absent for what is bridged and for the host's own. */
  readonly arrivedOn?: string;
  /** IPv6: the device of its link, on which a link-local sender is to be found (icmp6_iif). */
  readonly link?: string;
}

/** What is sent back, and the device that it has to leave by where a link-local address would not say. */
export interface Answer {
  readonly packet: Packet;
  readonly by?: string;
}

/** What a REJECT answers with; undefined where the kernel stays silent. */
export function rejection(host: Host, refused: Refused, how: RejectWith): Answer | undefined {
  const { packet, hook } = refused;
  // A packet that is bridged or forwarded has no broadcast route, whatever its address.
  if (hook !== 'FORWARD' && ['BROADCAST', 'MULTICAST'].includes(addressKind(host, packet.daddr))) return undefined;
  if (how !== 'tcp-reset') {
    if (!hasGoodChecksum(refused)) return undefined;
    const [type, code] = ANSWERS[how];
    return icmpError(host, refused, type, code);
  }
  if (packet.protocol !== TCP || packet.flags & RST || packet.badsum || isPart(packet)) return undefined;
  if (packet.family === 6 && [packet.saddr, packet.daddr].some((end) => end === 0n || isMulticast(end)))
    return undefined;
  const length = packet.payload + (packet.flags & SYN ? 1 : 0) + (packet.flags & FIN ? 1 : 0);
  const reset = makePacket({
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
  // nf_send_reset6 names no device: to a link-local sender it goes by the first that has a route.
  return { packet: reset };
}

/**
 * nf_reject_verify_csum and nf_ip_checksum: nothing is answered to a wrong checksum. A first fragment's is the whole packet's, which is wrong for what there is
 * unless it is icmp's, with neither a length in the sum nor anything but zeros in what is missing.
 */
function hasGoodChecksum({ packet, translated }: Refused): boolean {
  // reject6_csum_ok: nothing behind the IP header, or not the beginning of it.
  const isEmpty = transportHeaderLength(packet) + packet.payload === 0;
  if (packet.family === 6 && (isEmpty || isLaterFragment(packet))) return false;
  if ([GRE, AH, ESP, SCTP, UDPLITE].includes(packet.protocol)) return true;
  // Linux 6.18 knows dccp no more: it takes IPv4's for a plain sum of all octets, which a checksum with a pseudo header is not, and mends none that it translates.
  if (packet.protocol === DCCP) return packet.family === 6 && !isPart(packet) && !translated;
  if (packet.badsum || (isPart(packet) && [TCP, UDP, ICMPV6].includes(packet.protocol))) return false;
  // IPv6 sums up protocols that it does not know with a pseudo header, and nothing that they carry makes that right.
  return packet.family === 4 || [TCP, UDP, ICMPV6].includes(packet.protocol);
}

/**
 * To what no icmp error answers (icmp_pointers[].error, icmpv6 is_ineligible): errors, and for icmp also the router messages and the types that nobody has
 * given a meaning.
 */
const isUnanswerable = (packet: Packet): boolean =>
  isIcmpError(packet) ||
  (packet.protocol === ICMP &&
    packet.family === 4 &&
    ([1, 2, 6, 7, 9, 10].includes(packet.type) || packet.type > 18)) ||
  (packet.protocol === ICMPV6 && packet.family === 6 && packet.type < 128 && !isLaterFragment(packet));

/**
 * An icmp error about `packet`. None about icmp errors, later fragments of IPv4, broadcasts, or senders that are no single machine. Its source is the address that it was
 * sent to when that is the host's own, else the one that the host would use towards the sender.
 */
export function icmpError(host: Host, refused: Refused, type: number, code: number): Answer | undefined {
  const { packet, broadcast, hook, arrivedOn, link } = refused;
  const { family, saddr, daddr } = packet;
  if (isUnanswerable(packet) || broadcast) return undefined;
  // __icmp_send asks the route, which a bridged packet has not; icmp6_send asks the address.
  const asksForGroups = family === 6 || hook !== 'FORWARD';
  if (asksForGroups && (isMulticast(daddr) || daddr === LIMITED_BROADCAST)) return undefined;
  if (family === 4 && isLaterFragment(packet)) return undefined;
  if (saddr === zeroAddress(family) || isMulticast(saddr) || saddr === LIMITED_BROADCAST) return undefined;
  if (family === 6 && isAnycastTo(host, saddr)) return undefined;
  const by = family === 6 && isLinkLocal(saddr) ? link : undefined;
  // What is bridged or forwarded is not the host's own to answer for, even if it has the address.
  const answersFor = family === 4 ? hook !== 'FORWARD' && isOwnAddress(host, daddr) : answersFor6(host, refused);
  // icmp6_send: "select a more meaningful saddr from input if".
  const near = family === 6 && arrivedOn !== undefined ? selectAddress(host, arrivedOn, saddr) : undefined;
  const own = answersFor ? daddr : (near ?? sourceFor(host, saddr, by));
  const answer = makePacket({
    family,
    saddr: own,
    daddr: saddr,
    protocol: icmpOf(family),
    type,
    code,
    id: 0,
    quoted: quotable(packet),
  });
  return { packet: answer, ...(by === undefined ? {} : { by }) };
}

/** IPv6 asks for the address alone (ipv6_chk_addr, ipv6_chk_acast_addr_src): one that means something on one device only has to be of the device that the packet is at. */
function answersFor6(host: Host, { packet: { daddr }, device }: Refused): boolean {
  const at = isLoopback(daddr) || isLinkLocal(daddr) ? device : undefined;
  return isOwnAddress(host, daddr, at) || isRoutersAnycast(host, daddr, at);
}

/** What of a packet stands in a quotation: headers, no mark and no frame. */
export function quotable(packet: Packet): Packet {
  const { smac, dmac, ...headers } = packet;
  return { ...headers, mark: 0 };
}
