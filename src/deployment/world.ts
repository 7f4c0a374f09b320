/**
 * From a deployment to the network that it describes: hosts with their bridges, addresses, routes and neighbours, the wires
 * between them, and the machines at the ends (deployment.md, "How it is completed into hosts and wires").
 */
import {
  anyPrefix,
  familyOf,
  isLinkLocal,
  isLoopback,
  prefixContains,
  prefixOf,
  printPrefix,
  type Address,
  type Family,
} from '../address/address.ts';
import type { Mac } from '../address/mac.ts';
import type { Bridge, BridgePort, Host, Interface, InterfaceAddress, Neighbour, Route, Segment } from '../host/host.ts';
import { assumedMac } from '../host/link.ts';
import { deviceMac, linkLocalAddress } from '../host/mac.ts';
import type { Attachment, Link, Network, Station } from '../network/network.ts';
import type { Deployment, DeploymentHost, Instance, Network as NovaNetwork, Vif } from './deployment.ts';
import { tapMac } from './mac.ts';
import {
  dhcpServerFor,
  gatewayFor,
  floatingIpsOn,
  networksOn,
  ownerOf,
  publicInterfaces,
  translates,
  uplinkOf,
} from './placement.ts';

/** A device of a host's IP layer, and where a wire is plugged in: itself, or the uplink port of a bridge. */
interface Device {
  readonly host: DeploymentHost;
  readonly name: string;
  readonly mac: Mac;
  readonly addresses: readonly InterfaceAddress[];
  /** Absent: no wire leads anywhere (lo, a bridge without bridge_interface). */
  readonly plug?: string;
  readonly networks: readonly NovaNetwork[];
}

/** The network that a deployment describes. */
export function networkOf(deployment: Deployment): Network {
  const devices = deployment.hosts.flatMap((host) => devicesOf(deployment, host));
  const wires = wiresOf(deployment, devices);
  const machines = metadataMachines(deployment, devices, wires);
  return {
    hosts: deployment.hosts.map((host) => hostOf(deployment, host, devices, wires, machines)),
    links: wires.map(({ name, outside, devices: ends }) => ({
      name,
      outside,
      attachments: ends.map(attachmentOf),
    })),
    stations: [...deployment.instances.flatMap(stationsOf), ...machines],
  };
}

const attachmentOf = (device: Device): Attachment => ({
  host: device.host.name,
  interface: device.plug ?? device.name,
});

/**
 * The devices of one host. An interface that is a bridge's port gives its addresses to the bridge, as nova does when it puts it
 * there (nova/network/linux_net.py ensure_bridge).
 */
function devicesOf(deployment: Deployment, host: DeploymentHost): Device[] {
  const networks = networksOn(deployment, host);
  const bridges = [...new Set(networks.map((network) => network.bridge))];
  const ports = new Map(
    networks.flatMap((network) => (uplinkOf(network) ? [[uplinkOf(network), network.bridge]] : [])),
  );
  const deviceOf = (name: string): string => ports.get(name) ?? name;
  const listed = (device: string): InterfaceAddress[] =>
    host.interfaces.filter(({ name }) => deviceOf(name) === device).flatMap(({ addresses }) => addresses);
  const floating = (device: string): InterfaceAddress[] =>
    floatingIpsOn(deployment, host)
      .filter((floatingIp) => deviceOf(floatingIp.interface) === device)
      .map(({ address }) => ({ address, length: 32 }));
  const device = (name: string, mac: Mac, own: readonly InterfaceAddress[], plug?: string): Device => ({
    host,
    name,
    mac,
    addresses: distinct([...own, ...listed(name), ...floating(name), ...linkLocal(mac)]),
    ...(plug === undefined ? {} : { plug }),
    networks: networks.filter((network) => network.bridge === name),
  });

  const loopback: Device = {
    host,
    name: 'lo',
    mac: '00:00:00:00:00:00',
    addresses: distinct([
      { address: 0x7f000001, length: 8, scope: 'host' },
      ...listed('lo'),
      ...floating('lo'),
      // nova/network/linux_net.py ensure_metadata_ip: `ip addr add 169.254.169.254/32 scope link dev lo`.
      ...(translates(deployment, host) ? [{ address: METADATA_ADDRESS, length: 32, scope: 'link' as const }] : []),
      { address: 1n, length: 128, scope: 'host' },
    ]),
    networks: [],
  };
  const plain = host.interfaces
    .map(({ name }) => name)
    .filter((name) => name !== 'lo' && !ports.has(name) && !bridges.includes(name));
  return [
    loopback,
    ...plain.map((name) => device(name, deviceMac(host.name, name), [], name)),
    ...bridges.map((bridge) => {
      const here = networks.filter((network) => network.bridge === bridge);
      const uplink = here.map(uplinkOf).find((name) => name !== undefined);
      // A bridge takes the MAC of its first port, and nova keeps it there when instances come and go.
      return device(
        bridge,
        deviceMac(host.name, uplink ?? bridge),
        here.flatMap((network) => bridgeAddresses(host, network)),
        uplink,
      );
    }),
  ];
}

/** 169.254.169.254. */
const METADATA_ADDRESS = 0xa9fea9fe;

const linkLocal = (mac: Mac): InterfaceAddress[] => [{ address: linkLocalAddress(mac), length: 64, scope: 'link' }];

function distinct(addresses: readonly InterfaceAddress[]): InterfaceAddress[] {
  const seen = new Set<Address>();
  return addresses.filter(({ address }) => !seen.has(address) && seen.add(address));
}

/**
 * What nova-network puts on a network's bridge: the address that dnsmasq listens on, first (linux_net.py initialize_gateway_device),
 * and the gateway. With use_ipv6 the gateway_v6 where it is an address of cidr_v6, else cidr_v6 itself: nova really runs
 * `ip -f inet6 addr change CIDR_V6 dev BRIDGE`.
 */
function bridgeAddresses(host: DeploymentHost, network: NovaNetwork): InterfaceAddress[] {
  if (network.host !== host.name && !network.dhcpServers.has(host.name)) return [];
  const found: InterfaceAddress[] = [];
  for (const address of [dhcpServerFor(network, host.name), gatewayFor(network, host.name)])
    if (address !== undefined) found.push({ address, length: network.cidr.length });
  const { cidrV6, gatewayV6 } = network;
  if (cidrV6 !== undefined && host.flags.use_ipv6) {
    const inside = gatewayV6 !== undefined && prefixContains(cidrV6, gatewayV6);
    found.push({ address: inside ? gatewayV6 : cidrV6.address, length: cidrV6.length });
  }
  return found;
}

interface Wire extends Omit<Link, 'attachments'> {
  readonly devices: readonly Device[];
}

/**
 * The wires: one joins the bridge_interfaces of a network's hosts; interfaces of one subnet hang together; and so do public
 * interfaces of one name that have no address of their own. Outside is behind each public interface and each default route.
 */
function wiresOf(deployment: Deployment, devices: readonly Device[]): Wire[] {
  const groups: { readonly devices: Device[]; readonly keys: Set<string> }[] = [];
  for (const device of devices) {
    if (device.plug === undefined) continue;
    const keys = new Set(wireKeys(device));
    const members = [device];
    for (let at = groups.length - 1; at >= 0; at--) {
      const group = groups[at];
      if (group === undefined || ![...keys].some((key) => group.keys.has(key))) continue;
      members.unshift(...group.devices);
      for (const key of group.keys) keys.add(key);
      groups.splice(at, 1);
    }
    groups.push({ devices: members, keys });
  }
  const indexOf = ({ devices: [first] }: { readonly devices: readonly Device[] }): number =>
    first === undefined ? -1 : devices.indexOf(first);
  groups.sort((a, b) => indexOf(a) - indexOf(b));
  const names = new Set<string>();
  return groups.map(({ devices: members }): Wire => {
    const outside = members.some((device) => isPublic(deployment, device));
    const label = members.flatMap(({ networks }) => networks.map((network) => network.label))[0];
    const wanted = label ?? (outside ? 'outside' : (members[0]?.plug ?? 'wire'));
    let name = wanted;
    for (let number = 2; names.has(name); number++) name = `${wanted}-${number}`;
    names.add(name);
    return { name, outside, devices: members };
  });
}

/** Two devices with a key in common are on one wire. */
function wireKeys(device: Device): string[] {
  const networks = device.networks.map((network) => `network ${network.label}`);
  const subnets = device.host.interfaces
    .filter(({ name }) => name === device.plug || name === device.name)
    .flatMap(({ addresses }) => addresses)
    .filter(({ address }) => !isLinkLocal(address) && !isLoopback(address))
    .map(({ address, length }) => `subnet ${printPrefix(prefixOf(address, length))}`);
  const keys = [...networks, ...subnets];
  return keys.length > 0 ? keys : [`interface ${device.plug ?? device.name}`];
}

const isPublic = (deployment: Deployment, device: Device): boolean => {
  const { host } = device;
  const is = (name: string): boolean => name === device.name || name === device.plug;
  return publicInterfaces(deployment, host).some(is) || (host.gateway !== undefined && onSubnet(device, host.gateway));
};

const onSubnet = (device: Device, address: Address): boolean =>
  device.addresses.some((own) => prefixContains(prefixOf(own.address, own.length), address));

function hostOf(
  deployment: Deployment,
  host: DeploymentHost,
  devices: readonly Device[],
  wires: readonly Wire[],
  machines: readonly Station[],
): Host {
  const own = devices.filter((device) => device.host === host);
  return {
    name: host.name,
    interfaces: own.map(({ name, mac, addresses }): Interface => ({ name, mac, addresses })),
    bridges: own.filter(({ networks }) => networks.length > 0).map((device) => bridgeOf(deployment, device)),
    routes: routesOf(host, own),
    neighbours: own.flatMap((device) => neighboursOf(deployment, device, wires, machines)),
    sysctl: host.sysctl,
    sets: new Map(),
  };
}

function bridgeOf(deployment: Deployment, device: Device): Bridge {
  const { host, name, plug, networks } = device;
  const uplinks: BridgePort[] =
    plug === undefined ? [] : [{ name: plug, mac: deviceMac(host.name, plug), hairpin: false, uplink: true }];
  const taps = vifsOn(deployment, networks)
    .filter(({ instance }) => instance.host === host.name)
    .map(({ vif }): BridgePort => ({ name: vif.port, mac: tapMac(vif.mac), hairpin: host.hairpin, uplink: false }));
  return { name, ports: [...uplinks, ...taps], segments: networks.flatMap((network) => segmentsOf(host, network)) };
}

/** What the instances of a network on this host take for their subnet, and where they send everything else. */
function segmentsOf(host: DeploymentHost, network: NovaNetwork): Segment[] {
  const gateway = gatewayFor(network, host.name);
  const segments: Segment[] = [{ prefix: network.cidr, ...(gateway === undefined ? {} : { gateway }) }];
  const { cidrV6, gatewayV6 } = network;
  if (cidrV6 !== undefined)
    segments.push({ prefix: cidrV6, ...(gatewayV6 === undefined ? {} : { gateway: gatewayV6 }) });
  return segments;
}

const vifsOn = (
  deployment: Deployment,
  networks: readonly NovaNetwork[],
): { readonly instance: Instance; readonly vif: Vif }[] =>
  deployment.instances.flatMap((instance) =>
    instance.vifs
      .filter((vif) => networks.some((network) => network.label === vif.network))
      .map((vif) => ({ instance, vif })),
  );

/** Routes as the file gives them, then a default of each family that it gives none of: by the gateway, else on-link. */
function routesOf(host: DeploymentHost, own: readonly Device[]): Route[] {
  const deviceOf = (name: string): string => own.find(({ plug }) => plug === name)?.name ?? name;
  const routes = host.routes.map((route): Route => ({ ...route, dev: deviceOf(route.dev) }));
  const outward = deviceOf(host.publicInterface);
  for (const family of [4, 6] satisfies Family[]) {
    const { gateway } = host;
    if (gateway !== undefined && familyOf(gateway) === family) {
      const dev = own.find((device) => onSubnet(device, gateway))?.name ?? outward;
      routes.push({ to: anyPrefix(family), via: gateway, dev });
    } else if (!routes.some(({ to }) => to.length === 0 && familyOf(to.address) === family)) {
      routes.push({ to: anyPrefix(family), dev: outward });
    }
  }
  return routes;
}

/** Everybody whom the host can meet on a device: instances by their ports or behind the uplink, other hosts, machines outside. */
function neighboursOf(
  deployment: Deployment,
  device: Device,
  wires: readonly Wire[],
  machines: readonly Station[],
): Neighbour[] {
  const { host, name, plug, networks } = device;
  const isBridge = networks.length > 0;
  const found: Neighbour[] = [];
  for (const { instance, vif } of vifsOn(deployment, networks)) {
    const port = instance.host === host.name ? vif.port : plug;
    if (port === undefined) continue;
    for (const address of vif.fixedIps) found.push({ address, mac: vif.mac, dev: name, port });
  }
  const wire = wires.find((candidate) => candidate.devices.includes(device));
  if (wire === undefined) return found;
  const onWire = (address: Address, mac: Mac): Neighbour => ({
    address,
    mac,
    dev: name,
    ...(isBridge && plug !== undefined ? { port: plug } : {}),
  });
  for (const other of wire.devices)
    if (other.host !== host) for (const { address } of other.addresses) found.push(onWire(address, other.mac));
  for (const machine of machines)
    if ('link' in machine.at && machine.at.link === wire.name)
      for (const address of machine.addresses) found.push(onWire(address, machine.mac));
  return found;
}

const stationsOf = (instance: Instance): Station[] =>
  instance.vifs.map((vif, at) => ({
    name: at === 0 ? instance.name : `${instance.name}:${vif.port}`,
    kind: 'instance',
    addresses: vif.fixedIps,
    mac: vif.mac,
    at: { host: instance.host, interface: vif.port },
  }));

/** Each metadata_host that is neither a host nor an instance of the file: a machine outside, on the wire that leads to it. */
function metadataMachines(deployment: Deployment, devices: readonly Device[], wires: readonly Wire[]): Station[] {
  const found = new Map<Address, Station>();
  for (const host of deployment.hosts) {
    const address = host.flags.metadata_host;
    const known =
      found.has(address) ||
      devices.some((device) => device.addresses.some((own) => own.address === address)) ||
      ownerOf(deployment, address) !== undefined;
    if (known || isLoopback(address) || !translates(deployment, host)) continue;
    const own = devices.filter((device) => device.host === host);
    const via = routesOf(host, own)
      .filter((route) => prefixContains(route.to, address))
      .sort((a, b) => b.to.length - a.to.length)[0];
    const dev = own.find((device) => device.name !== 'lo' && onSubnet(device, address))?.name ?? via?.dev;
    const wire = wires.find((candidate) =>
      candidate.devices.some((device) => device.host === host && device.name === dev),
    );
    if (wire === undefined) continue;
    const name = found.size === 0 ? 'metadata_host' : `metadata_host-${found.size + 1}`;
    found.set(address, {
      name,
      kind: 'outside',
      addresses: [address],
      mac: assumedMac(address),
      at: { link: wire.name },
    });
  }
  return [...found.values()];
}
