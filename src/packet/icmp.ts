/** Types and codes of icmp and icmpv6 by the names that `iptables -p icmp -h` and `ip6tables -p icmpv6 -h` list. */
import type { Family } from '../address/address.ts';

/** Without a code the name covers all codes of the type. */
export interface NamedIcmp {
  readonly name: string;
  readonly type: number;
  readonly code?: number;
}

/** iptables 1.8.9, extensions/libxt_icmp.h, icmp_codes; aliases stand after the name they stand for. */
export const ICMP_NAMES: readonly NamedIcmp[] = [
  { name: 'echo-reply', type: 0 },
  { name: 'pong', type: 0 },
  { name: 'destination-unreachable', type: 3 },
  { name: 'network-unreachable', type: 3, code: 0 },
  { name: 'host-unreachable', type: 3, code: 1 },
  { name: 'protocol-unreachable', type: 3, code: 2 },
  { name: 'port-unreachable', type: 3, code: 3 },
  { name: 'fragmentation-needed', type: 3, code: 4 },
  { name: 'source-route-failed', type: 3, code: 5 },
  { name: 'network-unknown', type: 3, code: 6 },
  { name: 'host-unknown', type: 3, code: 7 },
  { name: 'network-prohibited', type: 3, code: 9 },
  { name: 'host-prohibited', type: 3, code: 10 },
  { name: 'TOS-network-unreachable', type: 3, code: 11 },
  { name: 'TOS-host-unreachable', type: 3, code: 12 },
  { name: 'communication-prohibited', type: 3, code: 13 },
  { name: 'host-precedence-violation', type: 3, code: 14 },
  { name: 'precedence-cutoff', type: 3, code: 15 },
  { name: 'source-quench', type: 4 },
  { name: 'redirect', type: 5 },
  { name: 'network-redirect', type: 5, code: 0 },
  { name: 'host-redirect', type: 5, code: 1 },
  { name: 'TOS-network-redirect', type: 5, code: 2 },
  { name: 'TOS-host-redirect', type: 5, code: 3 },
  { name: 'echo-request', type: 8 },
  { name: 'ping', type: 8 },
  { name: 'router-advertisement', type: 9 },
  { name: 'router-solicitation', type: 10 },
  { name: 'time-exceeded', type: 11 },
  { name: 'ttl-exceeded', type: 11 },
  { name: 'ttl-zero-during-transit', type: 11, code: 0 },
  { name: 'ttl-zero-during-reassembly', type: 11, code: 1 },
  { name: 'parameter-problem', type: 12 },
  { name: 'ip-header-bad', type: 12, code: 0 },
  { name: 'required-option-missing', type: 12, code: 1 },
  { name: 'timestamp-request', type: 13 },
  { name: 'timestamp-reply', type: 14 },
  { name: 'address-mask-request', type: 17 },
  { name: 'address-mask-reply', type: 18 },
];

/** iptables 1.8.9, extensions/libxt_icmp.h, icmpv6_codes. */
export const ICMPV6_NAMES: readonly NamedIcmp[] = [
  { name: 'destination-unreachable', type: 1 },
  { name: 'no-route', type: 1, code: 0 },
  { name: 'communication-prohibited', type: 1, code: 1 },
  { name: 'beyond-scope', type: 1, code: 2 },
  { name: 'address-unreachable', type: 1, code: 3 },
  { name: 'port-unreachable', type: 1, code: 4 },
  { name: 'failed-policy', type: 1, code: 5 },
  { name: 'reject-route', type: 1, code: 6 },
  { name: 'packet-too-big', type: 2 },
  { name: 'time-exceeded', type: 3 },
  { name: 'ttl-exceeded', type: 3 },
  { name: 'ttl-zero-during-transit', type: 3, code: 0 },
  { name: 'ttl-zero-during-reassembly', type: 3, code: 1 },
  { name: 'parameter-problem', type: 4 },
  { name: 'bad-header', type: 4, code: 0 },
  { name: 'unknown-header-type', type: 4, code: 1 },
  { name: 'unknown-option', type: 4, code: 2 },
  { name: 'echo-request', type: 128 },
  { name: 'ping', type: 128 },
  { name: 'echo-reply', type: 129 },
  { name: 'pong', type: 129 },
  { name: 'router-solicitation', type: 133 },
  { name: 'router-advertisement', type: 134 },
  { name: 'neighbour-solicitation', type: 135 },
  { name: 'neighbor-solicitation', type: 135 },
  { name: 'neighbour-advertisement', type: 136 },
  { name: 'neighbor-advertisement', type: 136 },
  { name: 'redirect', type: 137 },
];

export const icmpNames = (family: Family): readonly NamedIcmp[] => (family === 4 ? ICMP_NAMES : ICMPV6_NAMES);

/** What a name stands for, in any case of letters; undefined for no name of the family. */
export const icmpNamed = (family: Family, name: string): NamedIcmp | undefined =>
  icmpNames(family).find((candidate) => candidate.name.toLowerCase() === name.toLowerCase());
