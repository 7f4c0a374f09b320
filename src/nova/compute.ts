/** nova-compute's rules: a chain for each instance of its host (nova/virt/firewall.py IptablesFirewallDriver). */
import { familyOf, printAddress, printPrefix, type Family } from '../address/address.ts';
import type { Deployment, DeploymentHost, Instance, Network, SecurityGroupRule } from '../deployment/deployment.ts';
import { dhcpServerFor, groupsOf, makesBridge, networkLabelled } from '../deployment/placement.ts';
import { bridgeRules } from './bridge.ts';
import type { Memory } from './memory.ts';
import type { Profile } from './profile.ts';
import { securityGroupRules } from './security-group.ts';

const FAMILIES: readonly Family[] = [4, 6];

const written = (host: DeploymentHost): readonly Family[] => (host.flags.use_ipv6 ? FAMILIES : [4]);

/** The driver's own chain, as it is made. */
export function addFallback(memory: Memory, { bugs }: Profile): void {
  // D11: IPv6 was not yet known to be wanted.
  for (const family of bugs.has('D11') ? ([4] as const) : FAMILIES) {
    memory.filter[family].addChain('sg-fallback');
    memory.filter[family].addRule('sg-fallback', '-j DROP');
  }
}

/** setup_basic_filtering: a chain that an administrator's API fills, which a deployment file does not speak of. True when it was not there. */
export function addProvider(memory: Memory, host: DeploymentHost, profile: Profile): boolean {
  if (!profile.provider || memory.filter[4].wrapped.has('provider')) return false;
  for (const family of written(host)) memory.filter[family].addChain('provider');
  return true;
}

export const networksOf = (deployment: Deployment, instance: Instance): Network[] =>
  instance.vifs.flatMap((vif) => networkLabelled(deployment, vif.network) ?? []);

/**
 * Plugging an interface in, nova-compute makes sure of the bridge if it is nova that makes bridges, unless nova-network on the same host does
 * (nova/virt/libvirt/vif.py LibvirtBridgeDriver.plug: should_create_bridge), and does not ask whether the network has a gateway.
 */
export function plug(
  memory: Memory,
  deployment: Deployment,
  host: DeploymentHost,
  instance: Instance,
  profile: Profile,
): void {
  for (const network of networksOf(deployment, instance))
    if (!network.multiHost && makesBridge(network))
      for (const rule of bridgeRules(network, true, host.flags, profile)) memory.filter[4].addRule('FORWARD', rule);
}

/** add_filters_for_instance, both families. */
export function addInstance(
  memory: Memory,
  deployment: Deployment,
  host: DeploymentHost,
  instance: Instance,
  profile: Profile,
): void {
  const networks = networksOf(deployment, instance);
  if (profile.acceptsDhcpRequests && networks.some((network) => dhcpServerFor(network, host.name) !== undefined))
    for (const chain of ['INPUT', 'FORWARD']) addOnce(memory, chain, DHCP_REQUEST);
  for (const family of written(host)) {
    const filter = memory.filter[family];
    const chain = chainOf(instance);
    filter.addChain(chain);
    for (const { fixedIps } of instance.vifs)
      for (const address of fixedIps)
        if (familyOf(address) === family) filter.addRule('local', `-d ${printAddress(address)} -j $${chain}`);
    for (const rule of instanceRules(deployment, host, instance, family, profile)) filter.addRule(chain, rule);
  }
}

/** remove_filters_for_instance, both families. */
export function removeInstance(memory: Memory, instance: Pick<Instance, 'id'>): void {
  for (const family of FAMILIES) memory.filter[family].removeChain(chainOf(instance));
}

const chainOf = ({ id }: Pick<Instance, 'id'>): string => `inst-${id}`;

const DHCP_REQUEST = '-s 0.0.0.0/32 -d 255.255.255.255/32 -p udp -m udp --sport 68 --dport 67 -j ACCEPT';

/** With the first instance that has a DHCP server, and then never again (nova/virt/firewall.py dhcp_create). */
function addOnce(memory: Memory, chain: string, text: string): void {
  const filter = memory.filter[4];
  if (!filter.hasRule(chain, text)) filter.addRule(chain, text);
}

/** instance_rules: the order decides. */
function instanceRules(
  deployment: Deployment,
  host: DeploymentHost,
  instance: Instance,
  family: Family,
  profile: Profile,
): string[] {
  const networks = networksOf(deployment, instance);
  const groups = groupsOf(deployment, instance);
  return [
    '-m state --state INVALID -j DROP',
    '-m state --state ESTABLISHED,RELATED -j ACCEPT',
    ...(profile.provider && !profile.bugs.has('D10') ? ['-j $provider'] : []),
    ...(family === 4 ? networks.flatMap((network) => dhcpRules(network, host, profile)) : []),
    ...(host.flags.allow_same_net_traffic ? networks.flatMap((network) => sameNetworkRules(network, family)) : []),
    ...(family === 6 ? networks.flatMap(routerRules) : []),
    ...groups.flatMap(({ rules }) =>
      // D29: two rules for one group were one.
      (profile.bugs.has('D29') ? rules.filter((rule, at) => isFirstOfGroup(rules, rule, at)) : rules).flatMap((rule) =>
        securityGroupRules(deployment, rule, family, profile),
      ),
    ),
    ...(profile.provider && profile.bugs.has('D10') ? ['-j $provider'] : []),
    '-j $sg-fallback',
  ];
}

const isFirstOfGroup = (rules: readonly SecurityGroupRule[], { group }: SecurityGroupRule, at: number): boolean =>
  group === undefined || rules.findIndex((other) => other.group === group) === at;

export const hasRuleWithoutProtocol = (deployment: Deployment, instance: Instance): boolean =>
  groupsOf(deployment, instance).some(({ rules }) => rules.some(({ protocol }) => protocol === undefined));

/** _do_dhcp_rules. */
function dhcpRules(network: Network, host: DeploymentHost, profile: Profile): string[] {
  const server = dhcpServerFor(network, host.name);
  if (server === undefined && !profile.writesNone) return [];
  return [`-s ${server === undefined ? 'None' : printAddress(server)} -p udp --sport 67 --dport 68 -j ACCEPT`];
}

/** _do_project_network_rules. */
function sameNetworkRules(network: Network, family: Family): string[] {
  const cidr = family === 4 ? network.cidr : network.cidrV6;
  return cidr === undefined ? [] : [`-s ${printPrefix(cidr)} -j ACCEPT`];
}

/** _do_ra_rules: every icmpv6 message of the router, not only its advertisements. */
const routerRules = ({ gatewayV6 }: Network): string[] =>
  gatewayV6 === undefined ? [] : [`-s ${printAddress(gatewayV6)}/128 -p icmpv6 -j ACCEPT`];
