/** nova-compute's rules: a chain for each instance of its host (nova/virt/firewall.py IptablesFirewallDriver, folsom-2). */
import { familyOf, printAddress, printPrefix, type Family } from '../address/address.ts';
import type { Deployment, DeploymentHost, Instance, Network } from '../deployment/deployment.ts';
import { dhcpServerFor, instancesOn, networkLabelled } from '../deployment/placement.ts';
import { bridgeRules } from './bridge.ts';
import type { Memory } from './memory.ts';
import { securityGroupRules } from './security-group.ts';

const FAMILIES: readonly Family[] = [4, 6];

/** Everything that nova-compute of `host` asks for. */
export function addComputeRules(memory: Memory, deployment: Deployment, host: DeploymentHost): void {
  for (const family of FAMILIES) {
    memory.filter[family].addChain('sg-fallback');
    memory.filter[family].addRule('sg-fallback', '-j DROP');
  }
  const instances = instancesOn(deployment, host);
  // Filled by an administrator's API that a deployment file does not speak of, and made when the first instance needs it (setup_basic_filtering).
  if (instances.length > 0) {
    memory.filter[4].addChain('provider');
    if (host.flags.use_ipv6) memory.filter[6].addChain('provider');
  }
  for (const instance of instances) {
    for (const network of networksOf(deployment, instance)) plug(memory, network);
    for (const family of FAMILIES)
      if (family === 4 || host.flags.use_ipv6) addInstanceChain(memory, deployment, host, instance, family);
  }
}

const networksOf = (deployment: Deployment, instance: Instance): Network[] =>
  instance.vifs.flatMap((vif) => networkLabelled(deployment, vif.network) ?? []);

/**
 * Plugging an interface in, nova-compute makes sure of the bridge unless nova-network on the same host does
 * (nova/virt/libvirt/vif.py LibvirtBridgeDriver.plug), and does not ask whether the network has a gateway.
 */
function plug(memory: Memory, network: Network): void {
  if (!network.multiHost) for (const rule of bridgeRules(network, true)) memory.filter[4].addRule('FORWARD', rule);
}

/** add_filters_for_instance. */
function addInstanceChain(
  memory: Memory,
  deployment: Deployment,
  host: DeploymentHost,
  instance: Instance,
  family: Family,
): void {
  const filter = memory.filter[family];
  const chain = `inst-${instance.id}`;
  filter.addChain(chain);
  for (const { fixedIps } of instance.vifs)
    for (const address of fixedIps)
      if (familyOf(address) === family) filter.addRule('local', `-d ${printAddress(address)} -j $${chain}`);
  for (const rule of instanceRules(deployment, host, instance, family)) filter.addRule(chain, rule);
}

/** instance_rules: the order decides. */
function instanceRules(deployment: Deployment, host: DeploymentHost, instance: Instance, family: Family): string[] {
  const networks = networksOf(deployment, instance);
  const groups = deployment.securityGroups.filter((group) => instance.securityGroups.includes(group.name));
  return [
    '-m state --state INVALID -j DROP',
    '-m state --state ESTABLISHED,RELATED -j ACCEPT',
    '-j $provider',
    ...(family === 4 ? networks.flatMap((network) => dhcpRules(network, host)) : []),
    ...(host.flags.allow_same_net_traffic ? networks.flatMap((network) => sameNetworkRules(network, family)) : []),
    ...(family === 6 ? networks.flatMap(routerRules) : []),
    ...groups.flatMap((group) => group.rules.flatMap((rule) => securityGroupRules(deployment, rule, family))),
    '-j $sg-fallback',
  ];
}

/** _do_dhcp_rules. */
function dhcpRules(network: Network, host: DeploymentHost): string[] {
  const server = dhcpServerFor(network, host.name);
  return server === undefined ? [] : [`-s ${printAddress(server)} -p udp --sport 67 --dport 68 -j ACCEPT`];
}

/** _do_project_network_rules. */
function sameNetworkRules(network: Network, family: Family): string[] {
  const cidr = family === 4 ? network.cidr : network.cidrV6;
  return cidr === undefined ? [] : [`-s ${printPrefix(cidr)} -j ACCEPT`];
}

/** _do_ra_rules: every icmpv6 message of the router, not only its advertisements. */
const routerRules = ({ gatewayV6 }: Network): string[] =>
  gatewayV6 === undefined ? [] : [`-s ${printAddress(gatewayV6)}/128 -p icmpv6 -j ACCEPT`];
