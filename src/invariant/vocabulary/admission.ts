/**
 * What an instance lets in: its groups' rules as nova translates them, and what its chain accepts besides. As sets of packets, to be held against any
 * ruleset; nothing here is about chains.
 *
 * Source: nova/virt/firewall.py IptablesFirewallDriver.instance_rules and what it calls; the article, "Chain and rules for each instance".
 */
import { familyOf, type Address, type Family, type Prefix } from '../../address/address.ts';
import { normalizeRanges, prefixRange, type Ranges } from '../../address/ranges.ts';
import type { Deployment, DeploymentHost, Instance, Network, SecurityGroupRule } from '../../deployment/deployment.ts';
import { dhcpServerFor, groupsOf, hostNamed, membersOf, networkLabelled } from '../../deployment/placement.ts';
import { keptFor } from '../../deployment/kept.ts';
import { isSince } from '../../deployment/release.ts';
import { ICMP, icmpOf, TCP, UDP } from '../../packet/packet.ts';
import { NO_PACKET, setOf, unionSets, type PacketSet, type Pattern } from '../../packet/pattern.ts';
import { parseProtocol } from '../../packet/protocol.ts';

/** Exactly these values, as ranges. */
export const only = <T extends Address>(...values: readonly T[]): Ranges<T> =>
  normalizeRanges(values.map((value) => ({ from: value, to: value })));

const union = (sets: readonly PacketSet[]): PacketSet => sets.reduce(unionSets, NO_PACKET);

/** The addresses of an instance, of one family. */
export const addressesOf = (instance: Instance, family: Family): readonly Address[] =>
  instance.vifs.flatMap((vif) => vif.fixedIps).filter((address) => familyOf(address) === family);

/** The networks that an instance is on. */
export const networksOfInstance = (deployment: Deployment, instance: Instance): readonly Network[] =>
  instance.vifs.flatMap((vif) => networkLabelled(deployment, vif.network) ?? []);

const cidrOf = (network: Network, family: Family): readonly Prefix[] => {
  const cidr = family === 4 ? network.cidr : network.cidrV6;
  return cidr === undefined ? [] : [cidr];
};

/** The subnets that an instance is on: all of its networks', whichever of its addresses is meant. */
export const subnetsOf = (deployment: Deployment, instance: Instance, family: Family): Ranges =>
  normalizeRanges(
    networksOfInstance(deployment, instance)
      .flatMap((network) => cidrOf(network, family))
      .map(prefixRange),
  );

/** The fixed addresses of a group's members on any host, of one family. */
export const memberAddresses = (deployment: Deployment, group: string, family: Family): readonly Address[] =>
  membersOf(deployment, group).flatMap((member) => addressesOf(member, family));

/** A rule for a group has no CIDR that could tell its family: nova takes it for IPv4, so no group ever opens IPv6. */
const ruleFamily = (rule: SecurityGroupRule): Family => (rule.cidr === undefined ? 4 : familyOf(rule.cidr.address));

/** What one rule of a group admits, to any address, in any state. Without a protocol: everything from its source. Kept: it is said of all members of the group. */
export const admittedBy = (deployment: Deployment, rule: SecurityGroupRule, family: Family): PacketSet =>
  admittedIn(deployment)(rule, family);

const admittedIn = keptFor((deployment: Deployment) =>
  keptFor((rule: SecurityGroupRule, family: Family) => madeOf(deployment, rule, family)),
);

function madeOf(deployment: Deployment, rule: SecurityGroupRule, family: Family): PacketSet {
  if (ruleFamily(rule) !== family) return NO_PACKET;
  const saddr =
    rule.group === undefined
      ? rule.cidr && [prefixRange(rule.cidr)]
      : only(...memberAddresses(deployment, rule.group, family));
  return setOf({ family, ...(saddr === undefined ? {} : { saddr }), ...transportOf(deployment, rule, family) });
}

/**
 * Protocol, ports, type and code. Lower-cased since ff06c7c885 (before, `TCP` was no `tcp`: all its ports were open). Of IPv6 the icmp type is forgotten,
 * in every release (D5): `icmp` has become `icmpv6` when nova asks whether it is `icmp`.
 */
function transportOf(deployment: Deployment, rule: SecurityGroupRule, family: Family): Partial<Pattern> {
  if (rule.protocol === undefined) return {};
  const name = isSince(deployment.release, 'folsom-2') ? rule.protocol.toLowerCase() : rule.protocol;
  const { fromPort, toPort } = rule;
  switch (name) {
    case 'tcp':
    case 'udp':
      return {
        protocol: only(name === 'tcp' ? TCP : UDP),
        dport: [{ from: fromPort ?? 1, to: toPort ?? 65535 }],
      };
    case 'icmp':
      if (family === 6) return { protocol: only(icmpOf(6)) };
      return {
        protocol: only(ICMP),
        ...(fromPort === undefined || fromPort === -1
          ? {}
          : { type: only(fromPort), ...(toPort === undefined || toPort === -1 ? {} : { code: only(toPort) }) }),
      };
    default: {
      const protocol = parseProtocol(name);
      return { protocol: protocol === undefined ? [] : only(protocol) };
    }
  }
}

/** What the groups of an instance admit. Without a rule: nothing. */
export const admitted = (deployment: Deployment, instance: Instance, family: Family): PacketSet =>
  union(
    groupsOf(deployment, instance)
      .flatMap((group) => group.rules)
      .map((rule) => admittedBy(deployment, rule, family)),
  );

/** What the instance's chain accepts of packets that are NEW: from its DHCP server, from its subnet where that is allowed, admitted by a group. */
export function accepted(deployment: Deployment, instance: Instance, family: Family): PacketSet {
  const host = hostNamed(deployment, instance.host);
  const networks = networksOfInstance(deployment, instance);
  return union([
    ...(family === 4 ? networks.map((network) => fromDhcpServer(network, instance.host)) : networks.map(fromRouter)),
    ...(host === undefined ? [] : [fromSubnet(deployment, instance, host, family)]),
    admitted(deployment, instance, family),
  ]);
}

/** _do_dhcp_rules: answers of the server that the network's instances on `host` lease from. */
export function fromDhcpServer(network: Network, host: string): PacketSet {
  const server = dhcpServerFor(network, host);
  if (server === undefined) return NO_PACKET;
  return setOf({ family: 4, saddr: only(server), protocol: only(UDP), sport: only(67), dport: only(68) });
}

/** _do_project_network_rules: all that comes from the instance's own subnets, while allow_same_net_traffic. */
export const fromSubnet = (
  deployment: Deployment,
  instance: Instance,
  host: DeploymentHost,
  family: Family,
): PacketSet =>
  host.flags.allow_same_net_traffic ? setOf({ family, saddr: subnetsOf(deployment, instance, family) }) : NO_PACKET;

/** _do_ra_rules: every icmpv6 message of the router, not only its advertisements (D6). */
function fromRouter({ gatewayV6 }: Network): PacketSet {
  if (gatewayV6 === undefined) return NO_PACKET;
  return setOf({ family: 6, saddr: only(gatewayV6), protocol: only(icmpOf(6)) });
}
