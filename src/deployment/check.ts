/** What a deployment must be so that it describes a network: no address, name or port twice, nothing outside its place. */
import {
  familyOf,
  isLoopback,
  lastAddress,
  prefixContains,
  prefixCovers,
  prefixesOverlap,
  printAddress,
  printPrefix,
  type Address,
  type Prefix,
} from '../address/address.ts';
import type { FieldPath } from '../diagnostic/yaml.ts';
import { parseRuleset } from '../ruleset/parse.ts';
import type { Deployment, DeploymentHost, Network } from './deployment.ts';
import { keptFor } from './kept.ts';
import {
  dhcpServerFor,
  hostNamed,
  hostOfFloatingIp,
  networkLabelled,
  networksOn,
  ownerOf,
  translates,
  uplinkOf,
} from './placement.ts';
import { isSince } from './release.ts';
import type { DeploymentFile } from './schema.ts';
import { hasRole } from './service.ts';

/** Where complaints go. */
export interface Complaints {
  readonly error: (field: FieldPath, message: string) => void;
  readonly warning: (field: FieldPath, message: string) => void;
}

/** XT_EXTENSION_MAXNAMELEN less its NUL: the longest chain name that iptables takes. */
const LONGEST_CHAIN_NAME = 28;

/** Reports everything in a completed deployment that cannot be. `file` is what it was completed from: item by item the same. */
export function checkDeployment(deployment: Deployment, file: DeploymentFile, complaints: Complaints): void {
  checkNames(deployment, complaints);
  checkHosts(deployment, complaints);
  checkNetworks(deployment, complaints);
  checkAddresses(deployment, file, complaints);
  checkInstances(deployment, complaints);
  checkFloatingIps(deployment, file, complaints);
}

/** Complains about every name after the first of its kind. */
function once<T>(complaints: Complaints, what: (value: T) => string): (value: T, field: FieldPath) => void {
  const seen = new Set<T>();
  return (value, field) => {
    if (seen.has(value)) complaints.error(field, `${what(value)} twice`);
    seen.add(value);
  };
}

function checkNames(deployment: Deployment, complaints: Complaints): void {
  const host = once<string>(complaints, (name) => `host ${name} stands here`);
  deployment.hosts.forEach(({ name }, index) => {
    host(name, ['hosts', index, 'name']);
  });
  const network = once<string>(complaints, (label) => `network ${label} stands here`);
  deployment.networks.forEach(({ label }, index) => {
    network(label, ['networks', index, 'label']);
  });
  const id = once<number>(complaints, (number) => `instance id ${number} stands here`);
  const name = once<string>(complaints, (text) => `instance name ${text} stands here`);
  deployment.instances.forEach((instance, index) => {
    id(instance.id, ['instances', index, 'id']);
    name(instance.name, ['instances', index, 'name']);
  });
}

function checkHosts(deployment: Deployment, complaints: Complaints): void {
  deployment.hosts.forEach((host, index) => {
    const field = ['hosts', index];
    const service = once<string>(complaints, (name) => `service ${name} stands here`);
    host.services.forEach((name, at) => {
      service(name, [...field, 'services', at]);
    });
    const device = once<string>(complaints, (name) => `interface ${name} stands here`);
    host.interfaces.forEach(({ name }, at) => {
      device(name, [...field, 'interfaces', at, 'name']);
    });
    for (const [family, text] of host.rules) {
      const key = family === 4 ? 'rules' : 'rules_v6';
      for (const { line, column, message } of parseRuleset(text, { path: key, family }).diagnostics)
        complaints.error([...field, key], `line ${line}, column ${column} of it: ${message}`);
    }
    const known = devicesOf(deployment, host);
    if (!known.has(host.publicInterface))
      complaints.error([...field, 'public_interface'], `${host.publicInterface} is no interface of ${host.name}`);
    const { metadata_host: server } = host.flags;
    if (familyOf(server) === 6) {
      const refused = `which iptables-restore refuses: it does not start with ${printAddress(server)}`;
      if (hasRole(host, 'metadata') && deployment.release !== 'rocky')
        complaints.error(
          [...field, 'flags', 'metadata_host'],
          `nova-api of ${deployment.release} writes an IPv6 metadata_host into IPv4's table, ${refused}`,
        );
      else if (translates(deployment, host))
        complaints.error(
          [...field, 'flags', 'metadata_host'],
          `nova-network of ${host.name} writes an IPv6 metadata_host into IPv4's nat table, ${refused}`,
        );
      else if (hasRole(host, 'metadata') && !host.flags.use_ipv6)
        complaints.warning(
          [...field, 'flags', 'metadata_host'],
          'without use_ipv6 nova writes nothing into ip6tables: the rule for it has no effect',
        );
    }
    const over = networksOn(deployment, host).find((network) => uplinkOf(network) === host.publicInterface);
    const isAsked = host.snatInterface !== undefined && isSince(deployment.release, 'folsom');
    if (over !== undefined && isAsked && translates(deployment, host))
      complaints.warning(
        [...field, 'public_interface'],
        `packets leave by ${over.bridge}, whose port ${host.publicInterface} is: the SNAT rules of ${deployment.release} ask for ${host.publicInterface}, and match nothing`,
      );
    host.routes.forEach(({ dev }, at) => {
      if (!known.has(dev)) complaints.error([...field, 'routes', at, 'dev'], `${dev} is no interface of ${host.name}`);
    });
    if (!host.interfaces.some(({ addresses }) => addresses.some(({ address }) => address === host.myIp)))
      complaints.warning([...field, 'my_ip'], `${printAddress(host.myIp)} is on no interface of ${host.name}`);
  });
}

const devices = keptFor(
  (deployment: Deployment) =>
    new Map(
      deployment.hosts.map((host) => [
        host,
        new Set([
          'lo',
          ...host.interfaces.map(({ name }) => name),
          ...networksOn(deployment, host).flatMap((network) => [network.bridge, uplinkOf(network) ?? network.bridge]),
        ]),
      ]),
    ),
);

/** The names of the IP layer's devices: interfaces, bridges, VLANs, lo. */
const devicesOf = (deployment: Deployment, host: DeploymentHost): ReadonlySet<string> =>
  devices(deployment).get(host) ?? new Set();

function checkNetworks(deployment: Deployment, complaints: Complaints): void {
  const indexOf = (network: Network): number => deployment.networks.indexOf(network);
  deployment.networks.forEach((network, index) => {
    const field = ['networks', index];
    const { cidr, cidrV6, gateway, gatewayV6, dhcpServer } = network;
    if (cidr.length > 30) complaints.error([...field, 'cidr'], `${printPrefix(cidr)} has no room for an instance`);
    if (network.bridge === network.bridgeInterface)
      complaints.error([...field, 'bridge'], `${network.bridge} cannot be a port of itself`);
    const inside = (key: string, address: Address | undefined): void => {
      if (address !== undefined && !prefixContains(cidr, address))
        complaints.error([...field, key], `${printAddress(address)} is outside ${printPrefix(cidr)}`);
    };
    inside('gateway', gateway);
    if (dhcpServer !== gateway) inside('dhcp_server', dhcpServer);
    for (const [host, address] of network.dhcpServers) {
      if (!prefixContains(cidr, address))
        complaints.error([...field, 'dhcp_servers', host], `${printAddress(address)} is outside ${printPrefix(cidr)}`);
    }
    if (gatewayV6 !== undefined && cidrV6 === undefined)
      complaints.error([...field, 'gateway_v6'], 'a gateway_v6 without cidr_v6');
    const server = network.host === undefined ? undefined : hostNamed(deployment, network.host);
    if (server !== undefined && !hasRole(server, 'network'))
      complaints.warning([...field, 'host'], `${server.name} does not run nova-network: nobody serves this network`);
    const range = server?.flags.fixed_range;
    if (range !== undefined && network.isManaged && !prefixCovers(range, cidr))
      complaints.warning(
        [...field, 'cidr'],
        `${printPrefix(cidr)} is not inside fixed_range ${printPrefix(range)}: its instances have no way out`,
      );
  });

  for (const host of deployment.hosts) {
    const present = networksOn(deployment, host);
    present.forEach((network, at) => {
      const field = ['networks', indexOf(network)];
      if (
        network.bridgeInterface !== undefined &&
        !host.interfaces.some(({ name }) => name === network.bridgeInterface)
      )
        complaints.error([...field, 'bridge_interface'], `${network.bridgeInterface} is no interface of ${host.name}`);
      for (const other of present.slice(0, at)) {
        for (const [key, a, b] of [
          ['cidr', network.cidr, other.cidr],
          ['cidr_v6', network.cidrV6, other.cidrV6],
        ] as const)
          if (a !== undefined && b !== undefined && prefixesOverlap(a, b))
            complaints.error(
              [...field, key],
              `${printPrefix(a)} overlaps ${printPrefix(b)} of ${other.label} on ${host.name}`,
            );
        const sameBridge = network.bridge === other.bridge;
        const uplink = uplinkOf(network);
        if (sameBridge && uplink !== uplinkOf(other))
          complaints.error(
            [...field, 'bridge_interface'],
            `${network.bridge} has another bridge_interface in network ${other.label}`,
          );
        if (!sameBridge && uplink !== undefined && uplink === uplinkOf(other))
          complaints.error(
            [...field, 'bridge_interface'],
            `${uplink} is a port of ${other.bridge} already, in network ${other.label}`,
          );
      }
    });
  }
}

/** Every address that something has, each once. */
function checkAddresses(deployment: Deployment, file: DeploymentFile, complaints: Complaints): void {
  const holders = new Map<Address, string>();
  const claim = (address: Address, holder: string, field: FieldPath): void => {
    const other = holders.get(address);
    if (other === undefined) holders.set(address, holder);
    else if (other !== holder) complaints.error(field, `${printAddress(address)} is an address of ${other} already`);
    else complaints.error(field, `${printAddress(address)} stands here twice`);
  };
  deployment.networks.forEach((network, index) => {
    const field = ['networks', index];
    const { gateway, dhcpServer, label } = network;
    const [last, first]: Address[] = [lastAddress(network.cidr), network.cidr.address];
    const inRange = (address: Address, key: FieldPath): void => {
      if (address === first || address === last)
        complaints.error(key, `${printAddress(address)} is no host's address in ${printPrefix(network.cidr)}`);
    };
    if (gateway !== undefined) {
      claim(gateway, `network ${label}`, [...field, 'gateway']);
      inRange(gateway, [...field, 'gateway']);
    }
    if (dhcpServer !== undefined && dhcpServer !== gateway) {
      claim(dhcpServer, `network ${label}`, [...field, 'dhcp_server']);
      inRange(dhcpServer, [...field, 'dhcp_server']);
    }
    for (const [host, address] of network.dhcpServers) {
      claim(address, `network ${label}`, [...field, 'dhcp_servers', host]);
      inRange(address, [...field, 'dhcp_servers', host]);
    }
  });
  deployment.hosts.forEach((host, index) => {
    const bridges = networksOn(deployment, host).map((network) => network.bridge);
    host.interfaces.forEach(({ name, addresses }, at) => {
      // A bridge that is listed with the address that nova gives it says the same thing twice.
      if (bridges.includes(name)) return;
      addresses.forEach(({ address }, position) => {
        if (!isLoopback(address))
          claim(address, `${host.name} ${name}`, ['hosts', index, 'interfaces', at, 'addresses', position]);
      });
    });
  });
  deployment.instances.forEach((instance, index) => {
    const all = instance.vifs.flatMap((vif) =>
      vif.fixedIps.map((address) => ({
        address,
        network: networkLabelled(deployment, vif.network),
      })),
    );
    all.forEach(({ address, network }) => {
      const given = file.instances?.[index]?.fixed_ips?.indexOf(address) ?? -1;
      const field = ['instances', index, ...(given < 0 ? [] : ['fixed_ips', given])];
      claim(address, `instance ${instance.name}`, field);
      if (network !== undefined && isEdge(network.cidr, address))
        complaints.error(field, `${printAddress(address)} is no host's address in ${printPrefix(network.cidr)}`);
    });
  });
  deployment.floatingIps.forEach(({ address }, index) => {
    claim(address, 'a floating IP', ['floating_ips', index, 'address']);
  });
}

/** The subnet's own address and its broadcast. */
const isEdge = (cidr: Prefix, address: Address): boolean =>
  familyOf(address) === 4 && (address === cidr.address || address === lastAddress(cidr));

function checkInstances(deployment: Deployment, complaints: Complaints): void {
  const macs = once<string>(complaints, (mac) => `${mac} is an interface's address`);
  const ports = new Map(
    deployment.hosts.map((host) => [host.name, once<string>(complaints, (port) => `${port} is a bridge port`)]),
  );
  deployment.instances.forEach((instance, index) => {
    const field = ['instances', index];
    const chain = `nova-compute-inst-${instance.id}`;
    if (chain.length > LONGEST_CHAIN_NAME)
      complaints.error(
        [...field, 'id'],
        `the chain ${chain} would have ${chain.length} characters: iptables takes ${LONGEST_CHAIN_NAME}`,
      );
    const host = hostNamed(deployment, instance.host);
    const devices = host === undefined ? new Set<string>() : devicesOf(deployment, host);
    const withoutDhcp = instance.vifs
      .flatMap((vif) => networkLabelled(deployment, vif.network) ?? [])
      .find((network) => dhcpServerFor(network, instance.host) === undefined);
    if (deployment.release === 'essex' && withoutDhcp !== undefined)
      complaints.warning(
        field,
        `network ${withoutDhcp.label} has no DHCP server: nova-compute of essex writes "-s None" for it, and no table of filter`,
      );
    instance.vifs.forEach((vif, at) => {
      macs(vif.mac, [...field, 'mac']);
      ports.get(instance.host)?.(vif.port, [...field, 'vifs', at]);
      if (devices.has(vif.port))
        complaints.error([...field, 'vifs', at], `${vif.port} is an interface of ${instance.host} already`);
    });
  });
}

function checkFloatingIps(deployment: Deployment, file: DeploymentFile, complaints: Complaints): void {
  deployment.floatingIps.forEach((floatingIp, index) => {
    const field = ['floating_ips', index];
    const { fixedIp } = floatingIp;
    if (fixedIp === undefined) return;
    if (familyOf(fixedIp) === 6)
      complaints.error([...field, 'fixed_ip'], `${printAddress(fixedIp)} is IPv6: floating IPs are IPv4`);
    else if (ownerOf(deployment, fixedIp) === undefined)
      complaints.error([...field, 'fixed_ip'], `${printAddress(fixedIp)} is no instance's address`);
    const host = hostOfFloatingIp(deployment, floatingIp);
    if (host !== undefined && host.snatInterface === undefined && file.floating_ips?.[index]?.interface == null)
      complaints.error(
        field,
        `interface is missing, and public_interface of ${host.name} is empty: nova cannot bind ${printAddress(floatingIp.address)}`,
      );
    else if (host !== undefined && !devicesOf(deployment, host).has(floatingIp.interface))
      complaints.error([...field, 'interface'], `${floatingIp.interface} is no interface of ${host.name}`);
  });
}
