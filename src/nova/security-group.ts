/** Rules of a security group as iptables rules (nova/virt/firewall.py IptablesFirewallDriver.instance_rules). */
import { familyOf, printAddress, printPrefix, type Family } from '../address/address.ts';
import type { Deployment, SecurityGroupRule } from '../deployment/deployment.ts';
import { membersOf } from '../deployment/placement.ts';
import type { Profile } from './profile.ts';

/** A rule whose source is a group has no CIDR to tell its family: nova takes it for IPv4. */
const ruleFamily = (rule: SecurityGroupRule): Family => (rule.cidr === undefined ? 4 : familyOf(rule.cidr.address));

/** What the chain of an instance in the group gets for `rule` in `family`: nothing, one line, or one for each member's address. */
export function securityGroupRules(
  deployment: Deployment,
  rule: SecurityGroupRule,
  family: Family,
  profile: Profile,
): string[] {
  if (ruleFamily(rule) !== family) return [];
  // D7: the API refused ::/0.
  if (family === 6 && rule.cidr?.length === 0 && profile.bugs.has('D7')) return [];
  const accept = ['-j ACCEPT', ...protocolOptions(rule, family, profile)].join(' ');
  if (rule.group === undefined) return rule.cidr === undefined ? [accept] : [`${accept} -s ${printPrefix(rule.cidr)}`];
  return membersOf(deployment, rule.group)
    .flatMap((member) => member.vifs)
    .flatMap((vif) => vif.fixedIps)
    .filter((address) => familyOf(address) === family)
    .map((address) => `${accept} -s ${printAddress(address)}`);
}

/**
 * The protocol is lower-cased (ff06c7c885; in Essex `TCP` is none that has ports), and icmp becomes icmpv6 before it is compared with `icmp`: so an
 * IPv6 rule for one icmp type admits them all, in every release.
 */
function protocolOptions(rule: SecurityGroupRule, family: Family, profile: Profile): string[] {
  // D3: what has no protocol was written as Python says it.
  if (rule.protocol === undefined) return profile.bugs.has('D3') ? ['-p None'] : [];
  const given = profile.foldsProtocol ? rule.protocol.toLowerCase() : rule.protocol;
  const protocol = given === 'icmp' && family === 6 ? 'icmpv6' : given;
  switch (protocol) {
    case 'tcp':
    case 'udp':
      return [`-p ${protocol}`, ...portOptions(rule)];
    case 'icmp':
      return [`-p ${protocol}`, ...icmpOptions(rule)];
    default:
      return [`-p ${protocol}`];
  }
}

/** _build_tcp_udp_rule. A rule without ports has them all: the API writes 1 and 65535. */
function portOptions({ fromPort = 1, toPort = 65535 }: SecurityGroupRule): string[] {
  return fromPort === toPort ? [`--dport ${fromPort}`] : [`-m multiport --dports ${fromPort}:${toPort}`];
}

/** _build_icmp_rule: type -1 is any, whatever the code; code -1 is any of the type. */
function icmpOptions({ fromPort: type = -1, toPort: code = -1 }: SecurityGroupRule): string[] {
  if (type === -1) return [];
  return [`-m icmp --icmp-type ${type}${code === -1 ? '' : `/${code}`}`];
}
