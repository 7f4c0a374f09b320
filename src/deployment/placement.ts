/** Where things of a deployment are: which host serves a network, holds an instance, binds a floating IP. */
import type { Address } from '../address/address.ts';
import type { Deployment, DeploymentHost, FloatingIp, Instance, Network, SecurityGroup, Vif } from './deployment.ts';
import { firstBy, groupedBy, keptFor } from './kept.ts';
import { hasRole } from './service.ts';

const hostsByName = keptFor((hosts: readonly DeploymentHost[]) => firstBy(hosts, ({ name }) => name));
const networksByLabel = keptFor((networks: readonly Network[]) => firstBy(networks, ({ label }) => label));

export const hostNamed = ({ hosts }: Pick<Deployment, 'hosts'>, name: string): DeploymentHost | undefined =>
  hostsByName(hosts).get(name);

export const networkLabelled = ({ networks }: Pick<Deployment, 'networks'>, label: string): Network | undefined =>
  networksByLabel(networks).get(label);

const byId = keptFor((instances: readonly Instance[]) => [...instances].sort((a, b) => a.id - b.id));
const byHost = keptFor((instances: readonly Instance[]) => groupedBy(byId(instances), ({ host }) => host));

/** The instances that run on a host, by database id: the order in which nova-compute meets them when it starts. */
export const instancesOn = ({ instances }: Deployment, host: DeploymentHost): readonly Instance[] =>
  byHost(instances).get(host.name) ?? [];

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

const plugged = keptFor((instances: readonly Instance[]) => {
  const labels = new Map<string, Set<string>>();
  for (const { host, vifs } of instances) {
    const own = labels.get(host) ?? new Set();
    labels.set(host, own);
    for (const { network } of vifs) own.add(network);
  }
  return labels;
});

/** True when an instance on the host is on the network of this label. */
export const isPlugged = ({ instances }: Pick<Deployment, 'instances'>, host: string, label: string): boolean =>
  plugged(instances).get(host)?.has(label) === true;

/** The networks whose bridge exists on a host: those that it is to serve, and those that its instances are on. */
export const networksOn = (deployment: Deployment, host: DeploymentHost): Network[] =>
  deployment.networks.filter(
    (network) =>
      network.host === host.name ||
      network.dhcpServers.has(host.name) ||
      isPlugged(deployment, host.name, network.label),
  );

/** The hosts on which `networksOn` has `network`. */
export const hostsOf = (deployment: Deployment, network: Network): DeploymentHost[] =>
  deployment.hosts.filter((host) => networksOn(deployment, host).includes(network));

interface Owner {
  readonly instance: Instance;
  readonly vif: Vif;
}

const owners = keptFor(
  (instances: readonly Instance[]): ReadonlyMap<Address, Owner> =>
    new Map(
      instances
        .flatMap((instance) =>
          instance.vifs.flatMap((vif) => vif.fixedIps.map((address) => ({ address, instance, vif }))),
        )
        .toReversed()
        .map(({ address, instance, vif }) => [address, { instance, vif }]),
    ),
);

/** Whose address a fixed IP is. */
export const ownerOf = ({ instances }: Deployment, address: Address): Owner | undefined =>
  owners(instances).get(address);

/**
 * True when the nova-network of `host` takes down what it has set up for `network` once no instance there is on it: unless the host has the network's
 * VPN address (nova/network/manager.py VlanManager._teardown_network_on_host).
 */
export const tearsDown = (host: DeploymentHost, network: Network): boolean =>
  host.flags.teardown_unused_network_gateway &&
  network.manager === 'VlanManager' &&
  network.multiHost &&
  network.vpnPublicAddress !== host.flags.vpn_ip &&
  serves(host, network);

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

const floatsByHost = keptFor((deployment: Deployment) =>
  groupedBy(deployment.floatingIps, (floatingIp) => hostOfFloatingIp(deployment, floatingIp)),
);

/** The floating IPs that the nova-network of a host binds, in the order of the deployment. */
export const floatingIpsOn = (deployment: Deployment, host: DeploymentHost): readonly FloatingIp[] =>
  floatsByHost(deployment).get(host) ?? [];

const membersByGroup = keptFor((instances: readonly Instance[]) => {
  const members = byId(instances).flatMap((instance) =>
    [...new Set(instance.securityGroups)].map((group) => ({ group, instance })),
  );
  return groupedBy(members, ({ group }) => group);
});

/** The members of a security group, by database id. */
export const membersOf = ({ instances }: Deployment, group: string): readonly Instance[] =>
  (membersByGroup(instances).get(group) ?? []).map(({ instance }) => instance);

const groupNumbers = keptFor((groups: readonly SecurityGroup[]) => {
  const numbered = groups.map((group, number) => ({ group, number }));
  return firstBy(numbered, ({ group }) => group.name);
});

/** The security groups of an instance, in the order of the deployment. */
export const groupsOf = ({ securityGroups }: Deployment, instance: Instance): readonly SecurityGroup[] =>
  [...new Set(instance.securityGroups)]
    .flatMap((name) => groupNumbers(securityGroups).get(name) ?? [])
    .sort((a, b) => a.number - b.number)
    .map(({ group }) => group);

/** The devices of a host that the outside world is behind: public_interface, and whatever else a floating IP is bound on. */
export const publicInterfaces = (deployment: Deployment, host: DeploymentHost): string[] => [
  ...new Set([host.publicInterface, ...floatingIpsOn(deployment, host).map((floatingIp) => floatingIp.interface)]),
];

/** The bridge port towards the physical network: the VLAN's device where there is one. */
export const uplinkOf = (network: Network): string | undefined =>
  network.bridgeInterface === undefined
    ? undefined
    : network.vlan === undefined
      ? network.bridgeInterface
      : `vlan${network.vlan}`;
