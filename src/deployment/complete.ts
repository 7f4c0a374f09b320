/**
 * From the file to the deployment: defaults of the release filled in, references resolved, and everything that cannot be
 * so reported (deployment.md).
 */
import {
  addToAddress,
  familyOf,
  prefixContains,
  prefixCovers,
  prefixOf,
  printAddress,
  printPrefix,
  type Address,
  type Family,
} from '../address/address.ts';
import type { Mac } from '../address/mac.ts';
import { InputError, type Diagnostic } from '../diagnostic/diagnostic.ts';
import { nearest } from '../diagnostic/nearest.ts';
import { quoteText } from '../diagnostic/quote.ts';
import { sortDiagnostics, type FieldPath, type Source } from '../diagnostic/yaml.ts';
import type { InterfaceAddress, Route } from '../host/host.ts';
import { autoconfigured, deviceMac, linkLocalAddress } from '../host/mac.ts';
import { checkDeployment, type Complaints } from './check.ts';
import type {
  Deployment,
  DeploymentHost,
  Flags,
  FloatingIp,
  Instance,
  Network,
  Release,
  SecurityGroup,
  SecurityGroupRule,
  Vif,
} from './deployment.ts';
import { DEFAULT_PUBLIC_INTERFACE, defaultFlags, isFlag, knowsFlag } from './flag.ts';
import { instanceMac } from './mac.ts';
import { hostNamed, hostOfFloatingIp, isPlugged, networkLabelled, uplinkOf } from './placement.ts';
import { DEFAULT_RELEASE, isSince } from './release.ts';
import { changedBy, OperationError } from './operation.ts';
import type { DeploymentFile, FlagsFile, Operation } from './schema.ts';
import { hasRole } from './service.ts';

type HostFile = DeploymentFile['hosts'][number];
type NetworkFile = NonNullable<DeploymentFile['networks']>[number];
type RuleFile = NonNullable<NonNullable<DeploymentFile['security_groups']>[string]>[number];
type InstanceFile = NonNullable<DeploymentFile['instances']>[number];

const unknownName = (kind: string, name: string, known: readonly string[]): string => {
  const near = nearest(name, known);
  if (near !== undefined) return `there is no ${kind} ${quoteText(name)}: did you mean ${near}?`;
  return `there is no ${kind} ${quoteText(name)}${known.length === 0 ? '' : `: there are ${known.join(', ')}`}`;
};

/** Throws InputError with every error; warnings are things that have no effect or that nova would not do. */
export function completeDeployment(
  source: Source<DeploymentFile>,
  path: string,
): { readonly deployment: Deployment; readonly warnings: readonly Diagnostic[] } {
  const errors: Diagnostic[] = [];
  const warnings: Diagnostic[] = [];
  const complaints: Complaints = {
    error: (field, message) => errors.push(source.diagnose(field, message)),
    warning: (field, message) => warnings.push(source.diagnose(field, message)),
  };
  const { operations, ...file } = source.value;
  let deployment = completeFile(file, path, complaints);
  if (errors.length > 0) throw new InputError(sortDiagnostics(errors));
  if (operations != null && operations.length > 0) {
    let state: State = { file: settled(file, deployment), deployment };
    const past = { file: state.file, operations };
    operations.forEach((operation, index) => {
      try {
        state = step(state, operation);
      } catch (error) {
        if (!(error instanceof OperationError)) throw error;
        throw new InputError([source.diagnose(['operations', index], error.message)]);
      }
    });
    deployment = { ...state.deployment, past };
  }
  return { deployment, warnings: sortDiagnostics(warnings) };
}

/** A file and what it says: where a cloud is between two operations. */
export interface State {
  readonly file: DeploymentFile;
  readonly deployment: Deployment;
}

/** What the operation makes of the cloud's database. Throws OperationError where nova would refuse it. */
export function step({ file, deployment }: State, operation: Operation): State {
  const changed = changedBy(file, deployment, operation);
  const refused = (_: FieldPath, message: string): never => {
    throw new OperationError(message);
  };
  const after = completeFile(changed, deployment.path, { error: refused, warning: () => undefined });
  return { file: settled(changed, after), deployment: after };
}

/** What a network keeps once it has been made: each host's address, its number, and (of several hosts) the first's as IPv6 gateway. */
const pinned = (network: Network | undefined): Partial<NetworkFile> =>
  network === undefined
    ? {}
    : {
        dhcp_servers: Object.fromEntries(network.dhcpServers),
        ...(network.vlan === undefined ? {} : { vlan: network.vlan }),
        ...(typeof network.gatewayV6 === 'bigint' ? { gateway_v6: network.gatewayV6 } : {}),
        ...(network.vpnPublicPort === undefined ? {} : { vpn_public_port: network.vpnPublicPort }),
      };

/** The file with what was taken for good written down. */
const settled = (file: DeploymentFile, deployment: Deployment): DeploymentFile => ({
  ...file,
  networks: (file.networks ?? []).map((network) => ({
    ...network,
    ...pinned(networkLabelled(deployment, network.label)),
  })),
});

/** What a file without operations says. Complaints go to `complaints`. */
export function completeFile(file: DeploymentFile, path: string, complaints: Complaints): Deployment {
  const deployment = complete(file, path, complaints);
  checkDeployment(deployment, file, complaints);
  return deployment;
}

function complete(file: DeploymentFile, path: string, complaints: Complaints): Deployment {
  const release = file.release ?? DEFAULT_RELEASE;
  warnOfFlags(release, file.flags, ['flags'], complaints);
  const hosts = file.hosts.map((host, index) => completeHost(host, index, release, file.flags ?? {}, complaints));
  const groups = Object.entries(file.security_groups ?? {});
  const groupNames = new Set(['default', ...groups.map(([name]) => name)]);
  const securityGroups: SecurityGroup[] = groups.map(([name, rules]) => ({
    name,
    rules: (rules ?? []).flatMap((rule, index) =>
      completeRule(rule, ['security_groups', name, index], groupNames, complaints),
    ),
  }));
  // Every project has this group, and what it begins with is nothing (nova/db/sqlalchemy/api.py security_group_ensure_default).
  if (!securityGroups.some((group) => group.name === 'default')) securityGroups.push({ name: 'default', rules: [] });
  const bare = (file.networks ?? []).map((network, index) =>
    completeNetwork(network, index, file.networks ?? [], release, hosts, complaints),
  );
  const instances = completeInstances(file.instances ?? [], hosts, bare, groupNames, complaints);
  const networks = bare.map((network) => withDhcpServers(network, hosts, instances));
  const bugs = file.bugs ?? [];
  const partial: Deployment = { path, release, bugs, hosts, networks, securityGroups, instances, floatingIps: [] };
  const fallback = hosts.find((host) => hasRole(host, 'network')) ?? hosts[0];
  const floatingIps = (file.floating_ips ?? []).map((floatingIp): FloatingIp => {
    const { address, pool, fixed_ip: fixedIp, project_id: projectId } = floatingIp;
    const plain = {
      address,
      pool: pool ?? 'nova',
      ...(fixedIp == null ? {} : { fixedIp }),
      ...(projectId == null ? {} : { projectId }),
    };
    // A17: the interface was that of the host that had been asked.
    const host = bugs.includes('A17') ? hosts[0] : (hostOfFloatingIp(partial, { ...plain, interface: '' }) ?? fallback);
    return { ...plain, interface: floatingIp.interface ?? host?.publicInterface ?? DEFAULT_PUBLIC_INTERFACE };
  });
  return { ...partial, floatingIps };
}

function warnOfFlags(
  release: Release,
  flags: FlagsFile | null | undefined,
  field: FieldPath,
  complaints: Complaints,
): void {
  for (const name of Object.keys(flags ?? {})) {
    if (name === 'public_interface') continue;
    if (name === 'my_ip') complaints.warning([...field, name], "has no effect here: write it as the host's own my_ip");
    else if (!isFlag(name)) complaints.warning([...field, name], 'has no effect on what is modelled');
    else if (!knowsFlag(release, name)) complaints.warning([...field, name], `nova of ${release} has no such flag`);
    else if (name === 'fixed_range' && flags?.fixed_range === '' && !isSince(release, 'grizzly'))
      complaints.error([...field, name], `nova of ${release} needs a network here: it may be empty since grizzly`);
    else if (name === 'routing_source_ip' && flags?.routing_source_ip === '' && !isSince(release, 'folsom'))
      complaints.error(
        [...field, name],
        `nova-network of ${release} does not start so: it writes "--to-source" without an address, which iptables-restore refuses; it may be empty since folsom`,
      );
  }
}

/** Flags of which nothing is something else than the default: fixed_range is one for each network, routing_source_ip none. */
const MAY_BE_EMPTY: ReadonlySet<string> = new Set<keyof Flags>(['fixed_range', 'routing_source_ip']);

/** The given flags that the release knows, less those that say nothing. */
const flagsOf = (release: Release, flags: FlagsFile): Partial<Flags> =>
  Object.fromEntries(
    Object.entries(flags)
      .filter(([name, value]) => value != null && isFlag(name) && knowsFlag(release, name))
      .map(([name, value]) => [name, value === '' && MAY_BE_EMPTY.has(name) ? undefined : value]),
  );

function completeHost(
  file: HostFile,
  index: number,
  release: Release,
  common: FlagsFile,
  complaints: Complaints,
): DeploymentHost {
  const own = file.flags ?? {};
  warnOfFlags(release, own, ['hosts', index, 'flags'], complaints);
  const interfaces = (file.interfaces ?? []).map(({ name, addresses }) => ({ name, addresses: addresses ?? [] }));
  const snatInterface =
    file.public_interface ?? own.public_interface ?? common.public_interface ?? DEFAULT_PUBLIC_INTERFACE;
  const publicInterface = snatInterface === '' ? outwardInterface(file, interfaces) : snatInterface;
  if (publicInterface === undefined)
    complaints.error(
      ['hosts', index],
      `public_interface is empty, and neither gateway nor routes nor my_ip lead to an interface that could be meant`,
    );
  const myIp =
    file.my_ip ??
    interfaces
      .find((candidate) => candidate.name === publicInterface)
      ?.addresses.find(({ address }) => familyOf(address) === 4)?.address;
  if (myIp === undefined && publicInterface !== undefined)
    complaints.error(
      ['hosts', index],
      `my_ip is missing, and ${publicInterface} has no IPv4 address to take its place`,
    );
  const rules = new Map<Family, string>();
  if (file.rules != null) rules.set(4, file.rules);
  if (file.rules_v6 != null) rules.set(6, file.rules_v6);
  return {
    name: file.name,
    myIp: myIp ?? 0,
    publicInterface: publicInterface ?? DEFAULT_PUBLIC_INTERFACE,
    ...(snatInterface === '' ? {} : { snatInterface }),
    services: file.services ?? [],
    interfaces,
    ...(file.gateway == null ? {} : { gateway: file.gateway }),
    routes: (file.routes ?? []).flatMap((route, at) =>
      completeRoute(route, interfaces, (message) => {
        complaints.error(['hosts', index, 'routes', at], message);
      }),
    ),
    sysctl: new Map(Object.entries(file.sysctl ?? {})),
    flags: { ...defaultFlags(release, myIp ?? 0), ...flagsOf(release, common), ...flagsOf(release, own) },
    hairpin: file.hairpin ?? true,
    rules,
  };
}

/** Where the world is, where public_interface does not say so: behind the default route, else on the interface with my_ip. */
function outwardInterface(
  { gateway, my_ip: myIp, routes }: HostFile,
  interfaces: readonly { readonly name: string; readonly addresses: readonly InterfaceAddress[] }[],
): string | undefined {
  const holding = (address: Address | null | undefined): string | undefined =>
    address == null
      ? undefined
      : interfaces.find(({ addresses }) =>
          addresses.some((own) => prefixContains(prefixOf(own.address, own.length), address)),
        )?.name;
  const route = (routes ?? []).find(({ to }) => to.length === 0);
  return holding(gateway) ?? route?.dev ?? holding(route?.via) ?? holding(myIp);
}

function completeRoute(
  route: NonNullable<HostFile['routes']>[number],
  interfaces: readonly { readonly name: string; readonly addresses: readonly InterfaceAddress[] }[],
  error: (message: string) => void,
): Route[] {
  const { to, via } = route;
  if (via != null && familyOf(via) !== familyOf(to.address)) {
    error(`${printPrefix(to)} cannot go via ${printAddress(via)}: they are of two families`);
    return [];
  }
  const dev =
    route.dev ??
    interfaces.find(({ addresses }) =>
      addresses.some(({ address, length }) => via != null && prefixContains(prefixOf(address, length), via)),
    )?.name;
  if (dev === undefined) {
    error('dev is missing, and via is on the subnet of no interface');
    return [];
  }
  return [{ to, dev, ...(via == null ? {} : { via }) }];
}

function completeNetwork(
  file: NetworkFile,
  index: number,
  all: readonly NetworkFile[],
  release: Release,
  hosts: readonly DeploymentHost[],
  complaints: Complaints,
): Network {
  const manager = file.manager ?? 'FlatDHCPManager';
  const flags = hosts.find((candidate) => candidate.name === file.host)?.flags ?? hosts[0]?.flags;
  const isVlan = manager === 'VlanManager';
  const vlan = file.vlan ?? (isVlan && flags !== undefined ? flags.vlan_start + index : undefined);
  const multiHost = file.multi_host ?? false;
  const names = hosts.map((host) => host.name);
  if (file.host != null && !names.includes(file.host))
    complaints.error(['networks', index, 'host'], unknownName('host', file.host, names));
  for (const name of Object.keys(file.dhcp_servers ?? {}))
    if (!names.includes(name))
      complaints.error(['networks', index, 'dhcp_servers', name], unknownName('host', name, names));
  const servers = hosts.filter((candidate) => hasRole(candidate, 'network'));
  if (file.host === undefined && !multiHost && servers.length > 1) {
    const running = servers.map((server) => server.name).join(', ');
    complaints.error(['networks', index], `host is missing, and nova-network runs on several: ${running}`);
  }
  const host = multiHost || file.host === null ? undefined : (file.host ?? servers[0]?.name);
  const gateway = file.gateway === null ? undefined : (file.gateway ?? addToAddress(file.cidr.address, 1));
  const withDhcp = manager !== 'FlatManager' && !multiHost;
  const bridgeInterface = file.bridge_interface ?? (isVlan ? flags?.vlan_interface : undefined);
  // A project's VPN instance has the second host address, behind a port of its own on the host that serves the network.
  const vpn = isVlan && flags !== undefined ? vpnOf(file, index, all, flags) : undefined;
  const dhcpServer = withDhcp ? (file.dhcp_server ?? gateway) : undefined;
  const bare: Network = {
    label: file.label,
    manager,
    cidr: file.cidr,
    ...(file.cidr_v6 == null ? {} : { cidrV6: file.cidr_v6 }),
    ...(gateway === undefined ? {} : { gateway }),
    ...(file.gateway_v6 == null ? {} : { gatewayV6: file.gateway_v6 }),
    bridge: file.bridge ?? (vlan === undefined ? 'br100' : `br${vlan}`),
    ...(bridgeInterface === undefined ? {} : { bridgeInterface }),
    ...(vlan === undefined ? {} : { vlan }),
    ...(file.project_id == null ? {} : { projectId: file.project_id }),
    multiHost,
    isManaged: manager !== 'FlatManager' && (manager !== 'QuantumManager' || !isSince(release, 'folsom')),
    ...(dhcpServer === undefined ? {} : { dhcpServer }),
    dhcpServers: new Map(multiHost ? Object.entries(file.dhcp_servers ?? {}) : []),
    ...vpn,
    ...(host === undefined ? {} : { host }),
  };
  return withGatewayV6(bare, hosts);
}

function vpnOf(
  file: NetworkFile,
  index: number,
  all: readonly NetworkFile[],
  flags: Flags,
): Pick<Network, 'vpnPublicAddress' | 'vpnPublicPort' | 'vpnPrivateAddress'> {
  const taken = new Set(all.map((network) => network.vpn_public_port));
  let port = flags.vpn_start + index;
  while (taken.has(port)) port += 1;
  const inside = file.vpn_private_address ?? addToAddress(file.cidr.address, 2);
  return {
    vpnPublicAddress: file.vpn_public_address ?? flags.vpn_ip,
    vpnPublicPort: file.vpn_public_port ?? port,
    ...(inside === undefined ? {} : { vpnPrivateAddress: inside }),
  };
}

/**
 * Setting up a network, nova-network writes the bridge's link-local address into the database as gateway_v6
 * (nova/network/manager.py FlatDHCPManager._setup_network: utils.get_my_linklocal). The bridge has its uplink's MAC.
 */
function withGatewayV6(network: Network, hosts: readonly DeploymentHost[]): Network {
  const host = hosts.find((candidate) =>
    network.multiHost ? network.dhcpServers.has(candidate.name) : candidate.name === network.host,
  );
  if (network.cidrV6 === undefined || network.gatewayV6 !== undefined || host?.flags.use_ipv6 !== true) return network;
  return { ...network, gatewayV6: linkLocalAddress(deviceMac(host.name, uplinkOf(network) ?? network.bridge)) };
}

/**
 * With multi_host each host with instances takes an ordinary fixed IP of the network when it first needs one
 * (nova/network/manager.py _get_dhcp_ip): here the lowest that is nobody's.
 */
function withDhcpServers(network: Network, hosts: readonly DeploymentHost[], instances: readonly Instance[]): Network {
  if (!network.multiHost || !network.isManaged) return network;
  const taken = new Set<Address>(network.dhcpServers.values());
  if (network.gateway !== undefined) taken.add(network.gateway);
  for (const { vifs } of instances) for (const { fixedIps } of vifs) for (const address of fixedIps) taken.add(address);
  const dhcpServers = new Map(network.dhcpServers);
  let candidate = addToAddress(network.cidr.address, network.vpnPrivateAddress === undefined ? 2 : 3);
  for (const host of hosts) {
    const needed =
      hasRole(host, 'network') && !dhcpServers.has(host.name) && isPlugged({ instances }, host.name, network.label);
    if (!needed) continue;
    while (candidate !== undefined && taken.has(candidate)) candidate = addToAddress(candidate, 1);
    if (candidate === undefined) break;
    dhcpServers.set(host.name, candidate);
    taken.add(candidate);
  }
  return withGatewayV6({ ...network, dhcpServers }, hosts);
}

/** What nova's API makes of a rule (nova/api/openstack/compute/contrib/security_groups.py _rule_args_to_dict). */
function completeRule(
  file: RuleFile,
  field: FieldPath,
  groupNames: ReadonlySet<string>,
  complaints: Complaints,
): SecurityGroupRule[] {
  const fail = (key: string, message: string): SecurityGroupRule[] => {
    complaints.error([...field, key], message);
    return [];
  };
  const { cidr, group } = file;
  if (cidr != null && group != null) return fail('group', 'a rule has a cidr or a group, not both');
  if (group != null && !groupNames.has(group))
    return fail('group', unknownName('security group', group, [...groupNames]));
  const source = group != null ? { group } : { cidr: cidr ?? { address: 0, length: 0 } };
  const from = file.from_port ?? undefined;
  const to = file.to_port ?? undefined;
  if (file.protocol == null) {
    if (from !== undefined || to !== undefined)
      complaints.warning([...field, from === undefined ? 'to_port' : 'from_port'], 'without a protocol has no effect');
    return [source];
  }
  const protocol = file.protocol;
  switch (protocol.toLowerCase()) {
    case 'icmp': {
      if (from === undefined && to !== undefined) return fail('to_port', 'an icmp code without its type (from_port)');
      const type = from ?? -1;
      const code = to ?? -1;
      if (type < -1 || type > 255) return fail('from_port', `an icmp type is -1 to 255, read ${type}`);
      if (code < -1 || code > 255) return fail('to_port', `an icmp code is -1 to 255, read ${code}`);
      return [{ protocol, fromPort: type, toPort: code, ...source }];
    }
    case 'tcp':
    case 'udp': {
      if (from === undefined && to === undefined) return [{ protocol, fromPort: 1, toPort: 65535, ...source }];
      if (from === undefined || to === undefined)
        return fail(from === undefined ? 'to_port' : 'from_port', 'from_port and to_port go together');
      if (from < 1 || from > 65535) return fail('from_port', `a port is 1 to 65535, read ${from}`);
      if (to < 1 || to > 65535) return fail('to_port', `a port is 1 to 65535, read ${to}`);
      if (from > to) return fail('from_port', `from_port ${from} is above to_port ${to}`);
      return [{ protocol, fromPort: from, toPort: to, ...source }];
    }
    default:
      return fail('protocol', `expected tcp, udp or icmp, read ${quoteText(protocol)}`);
  }
}

function completeInstances(
  files: readonly InstanceFile[],
  hosts: readonly DeploymentHost[],
  networks: readonly Network[],
  groupNames: ReadonlySet<string>,
  complaints: Complaints,
): Instance[] {
  const macs = new Set(files.flatMap(({ mac }) => mac ?? []));
  const used = new Set(files.flatMap(({ host, vifs }) => (vifs ?? []).map((port) => `${host} ${port}`)));
  const ports = new Map<string, number>();
  const freshPort = (host: string): string => {
    let number = ports.get(host) ?? 0;
    while (used.has(`${host} vnet${number}`)) number += 1;
    ports.set(host, number + 1);
    return `vnet${number}`;
  };
  const freshMac = (id: number, vif: number): Mac => {
    let value = id * 256 + vif;
    while (macs.has(instanceMac(value))) value += 1;
    macs.add(instanceMac(value));
    return instanceMac(value);
  };

  return files.map((file, index) => {
    const field = ['instances', index];
    const host = hostNamed({ hosts }, file.host);
    if (host === undefined)
      complaints.error(
        [...field, 'host'],
        unknownName(
          'host',
          file.host,
          hosts.map(({ name }) => name),
        ),
      );
    const groups = file.security_groups ?? ['default'];
    groups.forEach((group, at) => {
      if (!groupNames.has(group))
        complaints.error([...field, 'security_groups', at], unknownName('security group', group, [...groupNames]));
    });
    const byNetwork = addressesByNetwork(file, field, networks, complaints);
    const names = [...new Set(file.vifs ?? [])];
    if (file.vifs != null && names.length !== byNetwork.size)
      complaints.error(
        [...field, 'vifs'],
        `${names.length} bridge ports for addresses of ${byNetwork.size} networks: expected one a network`,
      );
    const vifs = [...byNetwork].map(([network, fixedIps], at): Vif => {
      const mac = (at === 0 ? file.mac : null) ?? freshMac(file.id, at);
      const port = names[at] ?? freshPort(file.host);
      return { port, mac, network: network.label, fixedIps: withAutoconfigured(fixedIps, network, mac, host) };
    });
    return {
      id: file.id,
      name: file.name ?? `instance-${file.id.toString(16).padStart(8, '0')}`,
      host: file.host,
      ...(file.project_id == null ? {} : { projectId: file.project_id }),
      securityGroups: [...new Set(groups)],
      vifs,
      isStopped: file.stopped === true,
    };
  });
}

/** Fixed IPs by the network that each belongs to, in the order of the file. */
function addressesByNetwork(
  file: InstanceFile,
  field: FieldPath,
  networks: readonly Network[],
  complaints: Complaints,
): Map<Network, Address[]> {
  const found = new Map<Network, Address[]>();
  const labels = networks.map((network) => network.label);
  if (file.network != null && !labels.includes(file.network)) {
    complaints.error([...field, 'network'], unknownName('network', file.network, labels));
    return found;
  }
  (file.fixed_ips ?? []).forEach((address, at) => {
    const holding = networks.filter(
      (network) =>
        prefixContains(network.cidr, address) ||
        (network.cidrV6 !== undefined && prefixContains(network.cidrV6, address)),
    );
    const candidates = holding.filter((network) => file.network == null || network.label === file.network);
    const [network, another] = candidates;
    const fixedIp = [...field, 'fixed_ips', at];
    const text = printAddress(address);
    if (network === undefined && file.network != null)
      complaints.error(fixedIp, `${text} is outside network ${file.network}`);
    else if (network === undefined) complaints.error(fixedIp, `${text} is outside every network`);
    else if (another !== undefined)
      complaints.error(fixedIp, `${text} is in ${network.label} and in ${another.label}: say which by network`);
    else found.set(network, [...(found.get(network) ?? []), address]);
  });
  return found;
}

/** With use_ipv6 every interface on a network with a cidr_v6 has the address that its MAC gives (nova/ipv6/api.py to_global). */
function withAutoconfigured(
  fixedIps: readonly Address[],
  network: Network,
  mac: Mac,
  host: DeploymentHost | undefined,
): Address[] {
  const { cidrV6 } = network;
  const given = fixedIps.some((address) => familyOf(address) === 6);
  if (given || cidrV6 === undefined || cidrV6.length > 64 || host?.flags.use_ipv6 !== true) return [...fixedIps];
  const address = autoconfigured(cidrV6, mac);
  return prefixCovers(cidrV6, { address, length: 128 }) ? [...fixedIps, address] : [...fixedIps];
}
