/** Names of IP protocols, as people write them in rules and in the packet notation. */
import type { Family } from '../address/address.ts';
import { AH, DCCP, ESP, GRE, ICMP, ICMPV6, IGMP, SCTP, TCP, UDP, UDPLITE } from './packet.ts';

/** The name that is printed, then others that are read: those of /etc/protocols and of iptables (xtables.c, xtables_chain_protos). */
const NAMES: readonly (readonly [number, ...string[]])[] = [
  [TCP, 'tcp'],
  [UDP, 'udp'],
  [ICMP, 'icmp'],
  [ICMPV6, 'icmpv6', 'icmp6', 'ipv6-icmp'],
  [SCTP, 'sctp'],
  [DCCP, 'dccp'],
  [UDPLITE, 'udplite'],
  [GRE, 'gre'],
  [ESP, 'esp'],
  [AH, 'ah'],
  [IGMP, 'igmp'],
  [4, 'ipencap'],
  [41, 'ipv6'],
  [88, 'eigrp'],
  [89, 'ospf'],
  [94, 'ipip'],
  [103, 'pim'],
  [108, 'ipcomp'],
  [112, 'vrrp'],
  [115, 'l2tp'],
];

const BY_NAME = new Map(NAMES.flatMap(([number, ...names]) => names.map((name) => [name, number] as const)));
const BY_NUMBER = new Map(NAMES.map(([number, name = '']) => [number, name] as const));

/** Every name that `parseProtocol` reads. */
export const PROTOCOL_NAMES: readonly string[] = [...BY_NAME.keys()];

/** Reads a name or a number 0..255; undefined for anything else. */
export function parseProtocol(text: string): number | undefined {
  const named = BY_NAME.get(text.toLowerCase());
  if (named !== undefined) return named;
  return /^\d{1,3}$/.test(text) && Number(text) <= 255 ? Number(text) : undefined;
}

/**
 * The protocol's name, or its number. The icmp of the other family is printed as its number: `icmp` is about IPv4 and `icmpv6`
 * about IPv6, and protocol 58 in an IPv4 packet is neither (no host reads a type and code there).
 */
export function printProtocol(protocol: number, family: Family): string {
  if (protocol === (family === 4 ? ICMPV6 : ICMP)) return `${protocol}`;
  return BY_NUMBER.get(protocol) ?? `${protocol}`;
}

/**
 * Next-header values of IPv6 that announce an extension header, so that no packet has them as its protocol: hop-by-hop options, routing, fragment, authentication,
 * destination options (RFC 8200 section 4; net/ipv6/exthdrs_core.c ipv6_ext_hdr() and ipv6_skip_exthdr(), by which conntrack and `-p` find what is behind
 * AH: one that nothing follows is INVALID). The kernel counts "no next header" as well; it ends a chain and is left as a protocol here.
 */
export const isExtensionHeader = (protocol: number): boolean =>
  protocol === 0 || protocol === 43 || protocol === 44 || protocol === AH || protocol === 60;
