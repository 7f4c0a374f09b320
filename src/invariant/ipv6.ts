/** What nova promises of IPv6: the same chains, by ip6tables. */
import type { Law } from './law.ts';
import { claimsOr, notApplicable } from './vocabulary/claims.ts';
import {
  admittedExactly,
  establishedAdmitted,
  invalidDropped,
  sameForProcesses,
  strangersDropped,
} from './vocabulary/visit.ts';

const parity: Law = {
  id: 'ipv6/parity',
  kind: 'packets',
  severity: 'error',
  statement:
    'The instance-chain laws hold in ip6tables; a router’s icmpv6 is accepted as well, and a rule for one icmp type admits them all. With use_ipv6 false IPv6 is unfiltered.',
  source:
    'nova/virt/firewall.py IptablesFirewallDriver: instance_rules for both families; nova/network/linux_net.py IptablesManager.apply: ip6tables only with use_ipv6',
  requires: 'use_ipv6, and instances with an IPv6 address on a host with nova-compute',
  brokenBy: 'The jump to the fallback removed from an instance’s chain in ip6tables.',
  knownFailures: [],
  claims: (context) =>
    context.deployment.hosts.some(({ flags }) => flags.use_ipv6)
      ? claimsOr('no instance on a host with nova-compute has an IPv6 address', [
          ...strangersDropped(context, 6),
          ...admittedExactly(context, 6),
          ...establishedAdmitted(context, 6),
          ...invalidDropped(context, 6),
          ...sameForProcesses(context, 6),
        ])
      : notApplicable('use_ipv6 is false: nova writes no ip6tables rules, and IPv6 is unfiltered'),
};

export const IPV6_LAWS: readonly Law[] = [parity];
