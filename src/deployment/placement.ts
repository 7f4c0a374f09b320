/** Where things of a deployment are: which host serves a network, holds an instance, binds a floating IP. */
import type { Address } from '../address/address.ts';
import type { Deployment, DeploymentHost, FloatingIp, Instance, Network, Vif } from './deployment.ts';
import { hasRole } from './service.ts';

export const hostNamed = (deployment: Deployment, name: string): DeploymentHost | undefined =>
  deployment.hosts.find((host) => host.name === name);

export const networkLabelled = (deployment: Deployment, label: string): Network | undefined =>
  deployment.networks.find((network) => network.label === label);

/** The instances that run on a host, by database id: the order in which nova-compute meets them when it starts. */
export const instancesOn = (deployment: Deployment, host: DeploymentHost): Instance[] =>
  deployment.instances.filter((instance) => instance.host === host.name).sort((a, b) => a.id - b.id);

/** True when the nova-network of `host` has set up `network` there. */
export const serves = (host: DeploymentHost, network: Network): boolean =>
  network.isManaged &&
  hasRole(host, 'network') &&
  (network.multiHost ? network.dhcpServers.has(host.name) : network.host === host.name);

/**
 * True when `host` runs a nova-network that translates: it initialises its L3 driver unless every network there is is one that it leaves alone
 * (FlatManager, and Quantum since Folsom).
 */
export const translates = ({ networks }: Deployment, host: DeploymentHost): boolean =>
  hasRole(host, 'network') && (networks.length === 0 || networks.some((network) => network.isManaged));

/** True for the two managers that make their bridges (the others find them made) and that know floating IPs. */
export const makesBridge = ({ manager }: Network): boolean =>
  manager === 'FlatDHCPManager' || manager === 'VlanManager';

/** The networks whose bridge exists on a host: those that it is to serve, and those that its instances are on. */
export const networksOn = (deployment: Deployment, host: DeploymentHost): Network[] =>
  deployment.networks.filter(
    (network) =>
      network.host === host.name ||
      network.dhcpServers.has(host.name) ||
      deployment.instances.some(
        (instance) => instance.host === host.name && instance.vifs.some((vif) => vif.network === network.label),
      ),
  );

/** The hosts on which `networksOn` has `network`. */
export const hostsOf = (deployment: Deployment, network: Network): DeploymentHost[] =>
  deployment.hosts.filter((host) => networksOn(deployment, host).includes(network));

/** Whose address a fixed IP is. */
export function ownerOf(
  deployment: Deployment,
  address: Address,
): { readonly instance: Instance; readonly vif: Vif } | undefined {
  for (const instance of deployment.instances)
    for (const vif of instance.vifs) if (vif.fixedIps.includes(address)) return { instance, vif };
  return undefined;
}

/** The address of the host that instances of `network` on `host` lease from and, with multi_host, route through. */
export const dhcpServerFor = (network: Network, host: string): Address | undefined =>
  network.multiHost ? network.dhcpServers.get(host) : network.dhcpServer;

/** The gateway of the instances of `network` on `host`. */
export const gatewayFor = (network: Network, host: string): Address | undefined =>
  network.multiHost ? network.dhcpServers.get(host) : network.gateway;

/**
 * The host whose nova-network binds an associated floating IP: the one that serves the fixed IP's network, with multi_host
 * the instance's own (nova/network/manager.py _associate_floating_ip). Undefined where no nova-network does.
 */
export function hostOfFloatingIp(deployment: Deployment, floatingIp: FloatingIp): DeploymentHost | undefined {
  if (floatingIp.fixedIp === undefined) return undefined;
  const owner = ownerOf(deployment, floatingIp.fixedIp);
  const network = owner && networkLabelled(deployment, owner.vif.network);
  if (owner === undefined || network === undefined) return undefined;
  const host = hostNamed(deployment, network.multiHost ? owner.instance.host : (network.host ?? ''));
  return host !== undefined && makesBridge(network) && serves(host, network) ? host : undefined;
}

/** The members of a security group, by database id. */
export const membersOf = (deployment: Deployment, group: string): Instance[] =>
  deployment.instances.filter((instance) => instance.securityGroups.includes(group)).sort((a, b) => a.id - b.id);

/** The devices of a host that the outside world is behind: public_interface, and whatever else a floating IP is bound on. */
export const publicInterfaces = (deployment: Deployment, host: DeploymentHost): string[] => [
  ...new Set([
    host.publicInterface,
    ...deployment.floatingIps
      .filter((floatingIp) => hostOfFloatingIp(deployment, floatingIp) === host)
      .map((floatingIp) => floatingIp.interface),
  ]),
];

/** The bridge port towards the physical network: the VLAN's device where there is one. */
export const uplinkOf = (network: Network): string | undefined =>
  network.bridgeInterface === undefined
    ? undefined
    : network.vlan === undefined
      ? network.bridgeInterface
      : `vlan${network.vlan}`;
