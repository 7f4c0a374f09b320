/** The addresses that laws speak of: whose they are, which are a host's own, and which are nobody's here. */
import {
  LIMITED_BROADCAST,
  familyOf,
  lastAddress,
  parsePrefix,
  prefixOf,
  widthOf,
  type Address,
  type Family,
} from '../../address/address.ts';
import {
  anyAddress,
  intersectRanges,
  normalizeRanges,
  prefixRange,
  rangesContain,
  subtractRanges,
  unionRanges,
  type Ranges,
} from '../../address/ranges.ts';
import type { Deployment, DeploymentHost, Instance, Network as NovaNetwork, Vif } from '../../deployment/deployment.ts';
import { firstBy, groupedBy, keptFor } from '../../deployment/kept.ts';
import { hostNamed, hostOfFloatingIp, networkLabelled, serves, translates } from '../../deployment/placement.ts';
import { bridgeOf, type Host } from '../../host/host.ts';
import { routingTable } from '../../host/route.ts';
import type { Network } from '../../network/network.ts';
import { UDP } from '../../packet/packet.ts';
import { NO_PACKET, setOf, unionSets, type PacketSet } from '../../packet/pattern.ts';
import { only } from './admission.ts';

/** 169.254.169.254, where instances ask for their metadata. */
export const METADATA_ADDRESS = 0xa9fea9fe;
/** The port that they ask at. */
export const METADATA_PORT = 80;

/** A fixed address, and where it is. */
export interface FixedAddress {
  readonly address: Address;
  readonly instance: Instance;
  readonly vif: Vif;
  readonly network: NovaNetwork;
  readonly host: DeploymentHost;
}

const fixedOf = keptFor((deployment: Deployment, family: Family): readonly FixedAddress[] =>
  deployment.instances.flatMap((instance) =>
    instance.vifs.flatMap((vif) => {
      const network = networkLabelled(deployment, vif.network);
      const host = hostNamed(deployment, instance.host);
      if (network === undefined || host === undefined) return [];
      return vif.fixedIps
        .filter((address) => familyOf(address) === family)
        .map((address) => ({ address, instance, vif, network, host }));
    }),
  ),
);

/** Every fixed address of a family, in the order of the deployment. */
export const fixedAddresses = (deployment: Deployment, family: Family = 4): readonly FixedAddress[] =>
  fixedOf(deployment, family);

/** How the network (network.ts) calls the machine behind a vif: the first vif has the instance's name. */
export const stationName = ({ instance, vif }: Pick<FixedAddress, 'instance' | 'vif'>): string =>
  instance.vifs[0] === vif ? instance.name : `${instance.name}:${vif.port}`;

/**
 * Where a law speaks of pairs, of a sender and whom it sends to, so many senders or receivers of one kind on a host stand for all: claims would else grow with the square of the
 * cloud. What nova writes for one does not depend on the others, and no rule of its names a port. A report says where it came to that (`standIns`).
 */
export const MOST_ALIKE = 16;

/** What is said of a cloud where some stand for others: a sentence, or none. */
export function standIns(deployment: Deployment): readonly string[] {
  const instances = groupedBy(fixedAddresses(deployment), ({ host, network }) => `${host.name} ${network.label}`);
  const floats = groupedBy(associatedFloats(deployment), ({ host }) => host.name);
  const isLarge = [...instances.values(), ...floats.values()].some(({ length }) => length > MOST_ALIKE);
  return isLarge
    ? [
        `where a law is about pairs of instances or floating IPs, each is tried with ${MOST_ALIKE} others of a host, which stand for the rest`,
      ]
    : [];
}

interface Placed {
  readonly deployment: Deployment;
  readonly network: Network;
}

/** A floating IP that is associated, and the host whose nova-network binds it. */
export interface AssociatedFloat {
  readonly address: Address;
  readonly interface: string;
  readonly fixed: FixedAddress;
  readonly host: DeploymentHost;
}

/** In the order of the deployment, which is that of the rules. Those that no nova-network binds are left out. */
export const associatedFloats = keptFor((deployment: Deployment): readonly AssociatedFloat[] => {
  const fixed = new Map(fixedAddresses(deployment).map((known) => [known.address, known]));
  return deployment.floatingIps.flatMap((floatingIp) => {
    const owner = floatingIp.fixedIp === undefined ? undefined : fixed.get(floatingIp.fixedIp);
    const host = hostOfFloatingIp(deployment, floatingIp);
    if (owner === undefined || host === undefined) return [];
    return [{ address: floatingIp.address, interface: floatingIp.interface, fixed: owner, host }];
  });
});

const floatsByFixed = keptFor((deployment: Deployment) =>
  groupedBy(associatedFloats(deployment), ({ fixed }) => fixed.address),
);

/** The floating IPs of one fixed address, the one that counts first first. */
export const floatsOf = (deployment: Deployment, address: Address): readonly AssociatedFloat[] =>
  floatsByFixed(deployment).get(address) ?? [];

/** Of each fixed address that has floating IPs the one that counts first. */
export const firstFloats = keptFor((deployment: Deployment): readonly AssociatedFloat[] =>
  [...floatsByFixed(deployment).values()].flatMap(([first]) => first ?? []),
);

/** What is redirected to a project's VPN instance, on the host whose address that is (nova/network/linux_net.py ensure_vpn_forward). */
export const vpnDoors = keptFor((deployment: Deployment): PacketSet =>
  deployment.networks
    .flatMap(({ vpnPublicAddress: front, vpnPublicPort: port }) =>
      front === undefined || port === undefined
        ? []
        : [setOf({ family: 4, daddr: only(front), protocol: only(UDP), dport: only(port) })],
    )
    .reduce(unionSets, NO_PACKET),
);

const floatsByHost = keptFor((deployment: Deployment) => {
  const lists = [...groupedBy(associatedFloats(deployment), ({ host }) => host).values()];
  return { lists, places: new Map(lists.flatMap((list, of) => list.map((float, at) => [float, { of, at }]))) };
});

/** A few of so many items of a list from one on; after its last the list goes on at its beginning. */
const few = <T>(list: readonly T[], from: number, count: number): readonly T[] =>
  Array.from({ length: Math.min(MOST_ALIKE, count) }, (_, step) => list[(from + step) % list.length]).flatMap((item) =>
    item === undefined ? [] : [item],
  );

/** The floating IPs that follow one on its host. */
export function nextOnHost(deployment: Deployment, float: AssociatedFloat): readonly AssociatedFloat[] {
  const { lists, places } = floatsByHost(deployment);
  const { of, at } = places.get(float) ?? { of: 0, at: 0 };
  const list = lists[of] ?? [];
  return few(list, at + 1, list.length - 1);
}

/** Some on the hosts that follow its own. */
export function nextElsewhere(deployment: Deployment, float: AssociatedFloat): readonly AssociatedFloat[] {
  const { lists, places } = floatsByHost(deployment);
  const { of, at } = places.get(float) ?? { of: 0, at: 0 };
  const others = few(lists, of + 1, lists.length - 1).flatMap((list) => few(list, at, list.length));
  return others.slice(0, MOST_ALIKE);
}

/** The hosts that run a nova-network which translates. */
export const networkHosts = (deployment: Deployment): DeploymentHost[] =>
  deployment.hosts.filter((host) => translates(deployment, host));

/** Sources that a host's nova-network translates, and the destinations towards which it leaves them as they are. */
export interface Zone {
  readonly source: Ranges;
  readonly exempt: Ranges;
}

/** One of fixed_range; where that is none, one of each network that the host serves. */
export function zonesOf({ networks }: Deployment, host: DeploymentHost): Zone[] {
  const { fixed_range: range, metadata_host: server } = host.flags;
  const prefixes =
    range === undefined ? networks.filter((known) => serves(host, known)).map(({ cidr }) => cidr) : [range];
  return prefixes.map((prefix) => {
    const source = [prefixRange(prefix)];
    return { source, exempt: joined([source, dmzRanges(host), ipv4(only(server))]) };
  });
}

/** fixed_range of one host, or what stands for it. */
export const fixedRange = (deployment: Deployment, host: DeploymentHost): Ranges =>
  joined(zonesOf(deployment, host).map(({ source }) => source));

/** dmz_cidr of one host. */
export const dmzRanges = (host: DeploymentHost): Ranges => normalizeRanges(host.flags.dmz_cidr.map(prefixRange));

const joined = (lists: readonly Ranges[]): Ranges => lists.reduce((all, next) => unionRanges(all, next), []);

const everyZone = (deployment: Deployment): Zone[] =>
  networkHosts(deployment).flatMap((host) => zonesOf(deployment, host));

/** The sources that some host translates, each zone's once: mostly one. */
export const zoneSources = (deployment: Deployment): Ranges[] => {
  const sources = everyZone(deployment).map(({ source }) => source);
  const isSame = (a: Ranges, b: Ranges): boolean => a[0]?.from === b[0]?.from && a[0]?.to === b[0]?.to;
  return sources.filter((source, at) => sources.findIndex((other) => isSame(other, source)) === at);
};

/** fixed_range of every host that translates: mostly one. */
export const everyFixedRange = keptFor((deployment: Deployment): Ranges => joined(zoneSources(deployment)));

/** The destinations towards which a fixed source is kept, by some host: fixed_range, dmz_cidr, metadata_host. */
export const everyExemption = keptFor((deployment: Deployment): Ranges =>
  joined([
    ...everyZone(deployment).map(({ exempt }) => exempt),
    ...networkHosts(deployment).map((host) => joined([dmzRanges(host), ipv4(only(host.flags.metadata_host))])),
  ]),
);

/** The destinations towards which every one of these hosts keeps these sources (absent: any that it translates). */
export const commonExemption = (deployment: Deployment, sources: Ranges = anyAddress(4)): Ranges =>
  everyZone(deployment)
    .filter(({ source }) => intersectRanges(source, sources).length > 0)
    .reduce((all, { exempt }) => intersectRanges(all, exempt), anyAddress(4));

const ipv4 = (ranges: Ranges): Ranges => ranges.filter(({ from }) => typeof from === 'number');

/** The associated floating IPs of all hosts, as ranges. */
export const everyFloat = keptFor((deployment: Deployment): Ranges =>
  only(...associatedFloats(deployment).map(({ address }) => address)),
);

/** The fixed addresses that have a floating IP. */
export const floatedAddresses = keptFor((deployment: Deployment): Ranges =>
  only(...associatedFloats(deployment).map(({ fixed }) => fixed.address)),
);

const hostsByName = keptFor((network: Network) => firstBy(network.hosts, ({ name }) => name));

export const hostIn = (network: Network, name: string): Host | undefined => hostsByName(network).get(name);

const ownOf = keptFor((network: Network, host: string, family: Family): readonly Address[] =>
  (hostIn(network, host)?.interfaces ?? [])
    .flatMap((device) => device.addresses)
    .filter(({ scope }) => scope !== 'host')
    .map(({ address }) => address)
    .filter((address) => familyOf(address) === family),
);

/** The addresses on a host's interfaces, loopback's own prefix left out. */
export const ownAddresses = (network: Network, host: string, family: Family = 4): readonly Address[] =>
  ownOf(network, host, family);

const ownRangesOf = keptFor((network: Network, host: string, family: Family): Ranges =>
  only(...ownAddresses(network, host, family)),
);

/** The same as ranges. */
export const ownRanges = (network: Network, host: string, family: Family = 4): Ranges =>
  ownRangesOf(network, host, family);

/** Those that are no floating IPs. */
export const plainAddresses = keptFor(({ deployment, network }: Placed, host: string): Ranges =>
  subtractRanges(ownRanges(network, host), everyFloat(deployment)),
);

/** Directed broadcasts of a host's subnets. */
const broadcastsOf = (network: Network, host: string): readonly Address[] =>
  (hostIn(network, host)?.interfaces ?? [])
    .flatMap((device) => (device.name === 'lo' ? [] : device.addresses))
    .filter(({ address, length }) => familyOf(address) === 4 && length < 31)
    .map(({ address, length }) => lastAddress(prefixOf(address, length)));

const prefixes = (...texts: readonly string[]): Ranges =>
  normalizeRanges(
    texts.flatMap((text) => {
      const prefix = parsePrefix(text);
      return prefix === undefined ? [] : [prefixRange(prefix)];
    }),
  );

/** What no machine has and no router forwards: "this network", loopback, multicast, broadcast; IPv6: also link-local. */
const NOBODYS: Readonly<Record<Family, Ranges>> = {
  4: unionRanges(prefixes('0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/4'), only(LIMITED_BROADCAST)),
  6: prefixes('::/128', '::1/128', 'fe80::/10', 'ff00::/8'),
};

/** Addresses that a machine can have. */
export const unicast = (family: Family = 4): Ranges => subtractRanges(anyAddress(family), NOBODYS[family]);

/** What comes to a host's own processes when it arrives there: its addresses, loopback, its broadcasts. */
export const localTo = keptFor((network: Network, host: string): Ranges =>
  joined([ownRanges(network, host), prefixes('127.0.0.0/8'), only(...broadcastsOf(network, host))]),
);

const ownedIn = keptFor((network: Network, family: Family): Ranges =>
  normalizeRanges([
    ...network.hosts.flatMap((host) => ownRanges(network, host.name, family)),
    ...only(...network.stations.flatMap(({ addresses }) => addresses).filter((own) => familyOf(own) === family)),
    ...(family === 4 ? network.hosts.flatMap((host) => only(...broadcastsOf(network, host.name))) : []),
  ]),
);

/** Addresses that have an owner in this network, broadcasts of its subnets included. */
export const somebodys = (network: Network, family: Family = 4): Ranges => ownedIn(network, family);

/** The CIDRs of nova's networks. */
export const everySubnet = (deployment: Deployment, family: Family = 4): Ranges =>
  normalizeRanges(
    deployment.networks.flatMap(({ cidr, cidrV6 }) =>
      family === 4 ? [prefixRange(cidr)] : cidrV6 === undefined ? [] : [prefixRange(cidrV6)],
    ),
  );

/** Where the wire of a device of the IP layer is plugged in: itself, or its bridge's uplink. */
export function plugOf(network: Network, host: string, device: string): string | undefined {
  const found = hostIn(network, host);
  if (found === undefined) return undefined;
  const bridge = bridgeOf(found, device);
  return bridge === undefined ? device : bridge.ports.find((port) => port.uplink)?.name;
}

/** True when the world is behind an interface, or a bridge's port, of a host. */
export const isOutward = (network: Network, host: string, attachment: string | undefined): boolean =>
  network.links.some(
    ({ outside, attachments }) => outside && attachments.some((at) => at.host === host && at.interface === attachment),
  );

/** Part of the world: what a host sends out by one device, to machines that nobody has described. */
export interface WorldBehind {
  readonly device: string;
  readonly addresses: Ranges;
}

/**
 * Outside clients and servers: unicast addresses that are nobody's in this network and in none of nova's subnets, by the device by which the host's
 * routes lead to them. A route by way of a machine that is described leads not there but to that machine.
 */
export const worldBehind = (context: Placed, host: string, family: Family = 4): readonly WorldBehind[] =>
  worldsOf(context, host, family);

const worldsOf = keptFor(({ deployment, network }: Placed, host: string, family: Family): readonly WorldBehind[] => {
  const found = hostIn(network, host);
  if (found === undefined) return [];
  const owned = somebodys(network, family);
  let left = subtractRanges(subtractRanges(unicast(family), everySubnet(deployment, family)), owned);
  const behind = new Map<string, Ranges>();
  for (const { to, via, dev } of routingTable(found)) {
    if (familyOf(to.address) !== family) continue;
    const [part, rest] = split(left, [prefixRange(to)]);
    left = rest;
    const known = via !== undefined && rangesContain(owned, via);
    if (known || part.length === 0 || !isOutward(network, host, plugOf(network, host, dev))) continue;
    behind.set(dev, unionRanges(behind.get(dev) ?? [], part));
  }
  return [...behind].map(([device, addresses]) => ({ device, addresses }));
});

const split = (ranges: Ranges, by: Ranges): [Ranges, Ranges] => [
  intersectRanges(ranges, by),
  subtractRanges(ranges, by),
];

/** All of it, whatever the device. */
export const worldAround = keptFor((context: Placed, host: string): Ranges =>
  joined(worldBehind(context, host).map(({ addresses }) => addresses)),
);

/** The first and last address of each range, and those just outside: where a wrong mask shows. */
export const edgesOf = (ranges: Ranges): readonly Address[] =>
  ranges.flatMap(({ from, to }) => {
    const width = widthOf(familyOf(from));
    const last = (1n << BigInt(width)) - 1n;
    return [BigInt(from) - 1n, BigInt(from), BigInt(to), BigInt(to) + 1n]
      .filter((value) => value >= 0n && value <= last)
      .map((value) => (width === 32 ? Number(value) : value));
  });

/** The addresses just outside each range: what a mask that is too short takes in. */
export const besides = (...lists: readonly Ranges[]): Ranges =>
  only(
    ...lists.flatMap((ranges) =>
      edgesOf(ranges).filter((address) => !ranges.some(({ from, to }) => from <= address && address <= to)),
    ),
  );

/** Everything that a deployment names, and its neighbours: what is worth trying wherever a set holds it. */
export function namedAddresses(deployment: Deployment, network: Network, family: Family = 4): readonly Address[] {
  const ranges = [
    ...fixedAddresses(deployment, family).map(({ address }) => only(address)),
    ...network.hosts.flatMap((host) => ownAddresses(network, host.name, family).map((address) => only(address))),
    ...deployment.floatingIps.filter(({ address }) => familyOf(address) === family).map(({ address }) => only(address)),
    ...deployment.networks.map((known) => everySubnet({ ...deployment, networks: [known] }, family)),
    ...(family === 4
      ? networkHosts(deployment).flatMap((host) => [fixedRange(deployment, host), dmzRanges(host)])
      : []),
  ];
  return [...new Set(ranges.flatMap(edgesOf))];
}

/** Ports that nova's rules name, with their neighbours. */
export const namedPorts = (deployment: Deployment): readonly number[] => {
  const ports = [53, 67, 68, METADATA_PORT, ...deployment.hosts.map(({ flags }) => flags.metadata_port)];
  return [...new Set(ports.flatMap((port) => [port - 1, port, port + 1]))].filter((port) => port >= 0 && port <= 65535);
};
