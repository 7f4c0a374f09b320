/**
 * How tcp and udp matches are read where iptables-nft loads them: which it writes in nft's own instructions and how, and what those take for the transport header of a
 * fragment that has none (S24; iptables 1.8.9, Linux 6.18).
 */
import type { PortRange } from '../address/ports.ts';
import type { Packet } from '../packet/packet.ts';
import type { Match, Negatable, TcpFlags } from '../ruleset/rule.ts';

/**
 * Whether iptables-nft writes a tcp or udp match in nft's own instructions; one that asks nothing, or for a tcp option, it leaves to legacy's module
 * (iptables 1.8.9, nft.c add_nft_tcp and add_nft_udp).
 */
export function isTranslated(match: Extract<Match, { kind: 'tcp' | 'udp' }>): boolean {
  if (match.kind === 'tcp' && match.option !== undefined) return false;
  const flags = match.kind === 'tcp' ? match.flags : undefined;
  return (
    [match.sport, match.dport].some((port) => port !== undefined && (port.not || !isEveryPort(port.value))) ||
    (flags !== undefined && (flags.not || flags.value.mask !== 0 || flags.value.compare !== 0))
  );
}

const isEveryPort = ({ from, to }: PortRange): boolean => from === 0 && to === 65535;

/** The tests that iptables-nft writes of a match: none of every port and none of no flags, negated or not. */
export const translatedPort = (port: Negatable<PortRange> | undefined): Negatable<PortRange> | undefined =>
  port === undefined || isEveryPort(port.value) ? undefined : port;
export const translatedFlags = (flags: Negatable<TcpFlags> | undefined): Negatable<TcpFlags> | undefined =>
  flags === undefined || flags.value.mask === 0 ? undefined : flags;

/**
 * Two single ports that are negated alike are compared with one instruction for both (add_nft_tcpudp), so that `! --sport 1000 ! --dport 22` matches whatever is not both;
 * port 0 is not treated so.
 */
export const areComparedAsOne = (...ports: readonly (Negatable<PortRange> | undefined)[]): boolean =>
  ports.every((port) => port?.not === true && port.value.from > 0 && port.value.from === port.value.to);

/** The first four octets of an IPv6 header as ports: version 6 and traffic class 0, then the end of the flow label, which the model's packets do not use. */
export const IPV6_HEADER_PORTS = { sport: 0x6000, dport: 0 };

/** Where in an IPv6 source address its sixth octet is, the fourteenth of the header: where tcp has its flags. */
export const IPV6_HEADER_FLAGS = 80n;

/**
 * A later fragment as nft reads it. IPv4: its payload is taken for the header; behind the ports the model's payload is zero. IPv6: the IPv6 header itself, because
 * ipv6_find_hdr leaves the offset at 0 where the header is not in the fragment (nft_set_pktinfo_ipv6, nft_payload_fast_eval).
 */
export const misread = (packet: Packet): Packet =>
  packet.family === 4
    ? { ...packet, flags: 0 }
    : { ...packet, ...IPV6_HEADER_PORTS, flags: Number((BigInt(packet.saddr) >> IPV6_HEADER_FLAGS) & 0xffn) };
