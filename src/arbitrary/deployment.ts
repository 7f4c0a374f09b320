/**
 * Deployments as FILE values: 1 to 4 hosts with nova's services spread over them in several ways, networks, security groups that name
 * each other, instances and floating IPs. Flat naturals are mapped into a valid world, so nothing is filtered, and all shrinks towards the
 * article's shape: one host that runs everything, one network, nobody on it.
 */
import fc from 'fast-check';
import { stringify } from 'yaml';
import type { Deployment, ManagerName, Release } from '../deployment/deployment.ts';
import { deploymentOf } from '../deployment/read.ts';
import { RELEASES, isSince } from '../deployment/release.ts';
import type { DeploymentText } from '../deployment/schema.ts';
import { INDEX, at } from './choice.ts';
import { readable } from './readable.ts';

type HostText = DeploymentText['hosts'][number];
type NetworkText = NonNullable<DeploymentText['networks']>[number];
type RuleText = NonNullable<NonNullable<DeploymentText['security_groups']>[string]>[number];
type InstanceText = NonNullable<DeploymentText['instances']>[number];
type FloatingIpText = NonNullable<DeploymentText['floating_ips']>[number];

/** Who runs nova-network, by the number of hosts. */
type Layout = 'all-in-one' | 'apart' | 'shared' | 'multi-host';

const LAYOUTS: readonly Layout[] = ['all-in-one', 'apart', 'shared', 'multi-host'];

const RULE = fc.record({ protocol: INDEX, from: INDEX, to: INDEX, source: INDEX });
const INSTANCE = fc.record({ host: INDEX, network: INDEX, second: INDEX, groups: INDEX, project: INDEX });
const FLOATING_IP = fc.record({ instance: INDEX, pool: INDEX, free: INDEX });

const DRAWN = fc.record({
  release: INDEX,
  manager: INDEX,
  hosts: fc.nat(3),
  layout: INDEX,
  order: INDEX,
  networks: INDEX,
  oneBridge: INDEX,
  publicBridge: INDEX,
  empty: INDEX,
  ownManagement: INDEX,
  onLink: INDEX,
  metadata: INDEX,
  dmz: INDEX,
  fixedRange: INDEX,
  sameNet: INDEX,
  ipv6: INDEX,
  rules: fc.array(INDEX, { maxLength: 4 }),
  bridgeFilter: INDEX,
  hairpin: INDEX,
  gateway: INDEX,
  groups: fc.array(fc.array(RULE, { maxLength: 4 }), { maxLength: 4, size: 'medium' }),
  instances: fc.array(INSTANCE, { maxLength: 20, size: 'medium' }),
  floatingIps: fc.array(FLOATING_IP, { maxLength: 6, size: 'medium' }),
});
type Drawn = typeof DRAWN extends fc.Arbitrary<infer T> ? T : never;

/** True once in `times`, and false for 0. */
const rarely = (index: number, times: number): boolean => index % times === times - 1;

const GROUP_NAMES = ['default', 'web', 'db', 'lab'] as const;

/** Which releases are drawn from: the article's first, since that is what counterexamples shrink to. */
export interface Drawing {
  readonly releases?: readonly Release[];
}

const FIRST_FOLSOM_2: readonly Release[] = ['folsom-2', ...RELEASES.filter((release) => release !== 'folsom-2')];

/** A deployment file; a counterexample prints as the YAML that a person would write. */
export const deploymentFileArb = ({ releases = FIRST_FOLSOM_2 }: Drawing = {}): fc.Arbitrary<DeploymentText> =>
  DRAWN.map((drawn) => readable(fileOf(drawn, at(releases, drawn.release)), printFile));

/** A deployment, complete; it prints as its file. */
export const deploymentArb = (): fc.Arbitrary<Deployment> =>
  DRAWN.map((drawn) => {
    const file = fileOf(drawn, at(FIRST_FOLSOM_2, drawn.release));
    return readable(deploymentOf(file, 'deployment.yaml').deployment, () => printFile(file));
  });

const printFile = (file: DeploymentText): string => stringify(file, { lineWidth: 0, flowCollectionPadding: true });

const MANAGERS: readonly ManagerName[] = [
  'FlatDHCPManager',
  'VlanManager',
  'FlatDHCPManager',
  'VlanManager',
  'FlatDHCPManager',
  'FlatManager',
  'QuantumManager',
];

function fileOf(drawn: Drawn, release: Release): DeploymentText {
  const drawnManager = at(MANAGERS, drawn.manager);
  // Essex cannot filter an instance on a network without a DHCP server.
  const manager = release === 'essex' && drawnManager === 'FlatManager' ? 'FlatDHCPManager' : drawnManager;
  const layout = at(LAYOUTS, drawn.layout);
  const hosts = Array.from({ length: drawn.hosts + 1 }, (_, index) => index);
  const networks = Array.from({ length: at([1, 1, 2, 3, 0], drawn.networks) }, (_, index) => index);
  const servers = hosts.filter((host) => servicesOf(layout, host, hosts.length).includes('nova-network'));
  const apis = hosts.filter((host) =>
    servicesOf(layout, host, hosts.length).some((name) => name.startsWith('nova-api')),
  );
  const instances = drawn.instances.map((instance, index) => instanceOf(instance, index, hosts, networks, manager));
  return {
    release,
    flags: {
      ...(isSince(release, 'havana')
        ? {}
        : {
            fixed_range: at(
              ['10.0.0.0/8', '10.10.0.0/16', release === 'grizzly' ? '' : '10.0.0.0/9'],
              drawn.fixedRange,
            ),
          }),
      dmz_cidr: at([[], ['10.128.0.0/24'], ['203.0.113.0/24', '172.20.0.0/16']], drawn.dmz),
      metadata_host: at([myIp(at(apis, 0), drawn), '192.0.2.200', '198.18.0.7', '127.0.0.1'], drawn.metadata),
      allow_same_net_traffic: !rarely(drawn.sameNet, 3),
      use_ipv6: rarely(drawn.ipv6, 2),
    },
    hosts: hosts.map((host) => hostOf(drawn, layout, host, hosts.length, networks, servers, release)),
    networks: networks.map((network) => networkOf(drawn, layout, network, servers, manager, release)),
    security_groups: Object.fromEntries(
      drawn.groups.map((rules, index) => [
        at(GROUP_NAMES, index),
        rules.map((rule) => ruleOf(rule, drawn.groups.length)),
      ]),
    ),
    instances: instances.map((instance, index) => ({
      ...instance,
      security_groups: groupsOf(drawn.instances[index]?.groups ?? 0, drawn.groups.length),
    })),
    floating_ips: floatingIpsOf(drawn, instances, release),
  };
}

/** `apart`: nova-network first, nova-api last, nova-compute between them (with one host: all on it). */
function servicesOf(layout: Layout, host: number, count: number): string[] {
  const first = host === 0;
  const last = host === count - 1;
  switch (layout) {
    case 'all-in-one':
      return first ? ['nova-api', 'nova-network', 'nova-compute'] : ['nova-compute'];
    case 'apart':
      if (count < 3) return [...(last ? ['nova-api', 'nova-compute'] : []), ...(first ? ['nova-network'] : [])];
      return first ? ['nova-network'] : last ? ['nova-api'] : ['nova-compute'];
    case 'shared':
      return ['nova-network', 'nova-compute', ...(first ? ['nova-api'] : [])];
    case 'multi-host':
      return ['nova-api-metadata', 'nova-network', 'nova-compute', ...(first ? ['nova-scheduler'] : [])];
  }
}

const inOrder = (services: readonly string[], order: number): string[] => {
  const start = order % Math.max(1, services.length);
  const turned = [...services.slice(start), ...services.slice(0, start)];
  return order % 2 === 1 && order > 2 ? turned.reverse() : turned;
};

const publicAddress = (host: number): string => `192.0.2.${10 + host}`;
const myIp = (host: number, drawn: Drawn): string =>
  rarely(drawn.ownManagement, 3) ? `172.16.0.${10 + host}` : publicAddress(host);

const bridgePort = (network: number, drawn: Drawn): string =>
  rarely(drawn.oneBridge, 4) ? 'eth1' : `eth${1 + network}`;
const cidr = (network: number): string => `10.10.${10 + network}.0/24`;

/** iptables-save texts of operators; most have none. */
const OPERATOR_RULES: readonly string[] = [
  '',
  '',
  `*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -i lo -j ACCEPT
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
COMMIT
`,
  `*mangle
-A PREROUTING -p tcp -m tcp --dport 179 -j MARK --set-mark 1
COMMIT
*filter
:INPUT ACCEPT [12:3456]
:operators - [0:0]
-A INPUT -j operators
-A operators -s 198.18.0.0/15 -p tcp -m tcp --dport 22 -m comment --comment "ssh, not for nova-network" -j DROP
-A operators -s 198.18.0.0/15 -p tcp -m tcp --dport 25 -j REJECT
COMMIT
`,
];

/** Which of the flags that may be empty is so: none before Folsom. */
function emptyFlag(drawn: Drawn, release: Release): 'public_interface' | 'routing_source_ip' | 'neither' {
  const choices = ['neither', 'neither', 'neither', 'public_interface', 'routing_source_ip'] as const;
  return isSince(release, 'folsom') ? at(choices, drawn.empty) : 'neither';
}

/** The device that the outside is behind. */
const outwardOf = (drawn: Drawn): string => (rarely(drawn.publicBridge, 5) ? 'eth1' : 'eth0');

function hostOf(
  drawn: Drawn,
  layout: Layout,
  host: number,
  count: number,
  networks: readonly number[],
  servers: readonly number[],
  release: Release,
): HostText {
  const publicInterface = outwardOf(drawn);
  const ports = [...new Set(['eth1', ...networks.map((network) => bridgePort(network, drawn))])];
  const rules = at(OPERATOR_RULES, drawn.rules[host] ?? 0);
  const ownNetwork = servers.includes(host);
  const empty = emptyFlag(drawn, release);
  return {
    name: `host${host + 1}`,
    my_ip: myIp(host, drawn),
    public_interface: empty === 'public_interface' ? '' : publicInterface,
    services: inOrder(servicesOf(layout, host, count), drawn.order),
    interfaces: [
      { name: 'eth0', addresses: publicInterface === 'eth0' ? [`${publicAddress(host)}/24`] : [] },
      ...ports.map((name) => ({
        name,
        addresses: name === publicInterface ? [`${publicAddress(host)}/24`] : [],
      })),
      { name: 'eth8', addresses: [`198.51.100.${10 + host}/24`] },
      ...(rarely(drawn.ownManagement, 3) ? [{ name: 'eth9', addresses: [`172.16.0.${10 + host}/16`] }] : []),
    ],
    ...(rarely(drawn.onLink, 3) && empty !== 'public_interface' ? {} : { gateway: '192.0.2.1' }),
    // Without this a host that holds none of the networks would answer instances into the world.
    routes: ownNetwork
      ? []
      : networks.map((network) => ({
          to: cidr(network),
          via: publicAddress(at(servers, network)),
          dev: publicInterface,
        })),
    sysctl: { 'net.bridge.bridge-nf-call-iptables': rarely(drawn.bridgeFilter, 4) ? 0 : 1 },
    flags: { routing_source_ip: empty === 'routing_source_ip' ? '' : publicAddress(host) },
    hairpin: !rarely(drawn.hairpin, 4),
    ...(rules === '' ? {} : { rules }),
  };
}

/** In VLAN mode each network is one project's, on a device of its own. */
function networkOf(
  drawn: Drawn,
  layout: Layout,
  network: number,
  servers: readonly number[],
  manager: ManagerName,
  release: Release,
): NetworkText {
  const place: Omit<NetworkText, 'label'> =
    manager === 'VlanManager'
      ? { cidr: cidr(network), vlan: 100 + network, bridge_interface: 'eth1', project_id: projectOf(network) }
      : {
          cidr: cidr(network),
          bridge: rarely(drawn.oneBridge, 4) ? 'br100' : `br${100 + network}`,
          bridge_interface: bridgePort(network, drawn),
        };
  return {
    label: `net${network + 1}`,
    manager,
    ...place,
    ...(rarely(drawn.ipv6, 2) ? { cidr_v6: `2001:db8:10:${10 + network}::/64` } : {}),
    ...(rarely(drawn.gateway, 8) && network > 0 && release !== 'essex' ? { gateway: null } : {}),
    ...(layout === 'multi-host' ? { multi_host: true } : { host: `host${at(servers, network) + 1}` }),
  };
}

const PROJECTS = ['p1', 'p2'] as const;
const projectOf = (network: number): string => at(PROJECTS, network);

const PORTS = [22, 80, 53, 1, 443, 1000, 65535];

function ruleOf(drawn: { protocol: number; from: number; to: number; source: number }, groups: number): RuleText {
  const protocol = at([null, 'tcp', 'udp', 'icmp', 'tcp', 'TCP', 'ICMP', 'Udp'], drawn.protocol);
  const source: RuleText = at(
    [
      { cidr: '0.0.0.0/0' },
      { cidr: '203.0.113.0/24' },
      { group: at(GROUP_NAMES.slice(0, Math.max(1, groups)), drawn.from) },
      { cidr: '192.0.2.77/32' },
      { cidr: cidr(drawn.to % 3) },
      { cidr: '::/0' },
      { group: at(GROUP_NAMES.slice(0, Math.max(1, groups)), drawn.to) },
      { cidr: '2001:db8:10::/48' },
    ],
    drawn.source,
  );
  switch (protocol?.toLowerCase()) {
    case undefined:
      return source;
    case 'icmp':
      return { protocol, from_port: at([-1, 8, 0, 3], drawn.from), to_port: at([-1, 0, 1], drawn.to), ...source };
    default: {
      if (rarely(drawn.from, 9)) return { protocol, ...source };
      const from = at(PORTS, drawn.from);
      return { protocol, from_port: from, to_port: Math.min(65535, from + at([0, 0, 1, 1000], drawn.to)), ...source };
    }
  }
}

/** One group or two; without any in the file the group `default`, which every project has. */
function groupsOf(index: number, groups: number): string[] {
  const names = GROUP_NAMES.slice(0, Math.max(1, groups));
  const first = at(names, index);
  const second = at(names, index >> 4);
  return rarely(index >> 8, 3) && second !== first ? [first, second] : [first];
}

function instanceOf(
  drawn: { host: number; network: number; second: number; project: number },
  index: number,
  hosts: readonly number[],
  networks: readonly number[],
  manager: ManagerName,
): InstanceText {
  const first = networks.length === 0 ? undefined : at(networks, drawn.network);
  const second = rarely(drawn.second, 4) && networks.length > 1 ? at(networks, drawn.network + 1) : undefined;
  const isVlan = manager === 'VlanManager';
  // In VLAN mode .2 is the VPN instance's.
  const fixedIp = (network: number): string => `10.10.${10 + network}.${(isVlan ? 3 : 2) + index}`;
  return {
    id: index + 1,
    name: `vm${index + 1}`,
    host: `host${at(hosts, drawn.host) + 1}`,
    project_id: isVlan && first !== undefined ? projectOf(first) : at(PROJECTS, drawn.project),
    fixed_ips: [first, second].flatMap((network) => (network === undefined ? [] : [fixedIp(network)])),
  };
}

/** Of two pools, the second on an interface of its own; some associated with nobody, some several with one fixed IP. */
function floatingIpsOf(drawn: Drawn, instances: readonly InstanceText[], release: Release): FloatingIpText[] {
  const device = emptyFlag(drawn, release) === 'public_interface' ? { interface: outwardOf(drawn) } : {};
  const fixed = instances.flatMap(({ fixed_ips: fixedIps }) => fixedIps ?? []);
  return drawn.floatingIps.map((floatingIp, index): FloatingIpText => {
    const place = rarely(floatingIp.pool, 3)
      ? { address: `198.51.100.${100 + index}`, pool: 'second', interface: 'eth8' }
      : { address: `192.0.2.${100 + index}`, pool: 'nova', ...device };
    if (fixed.length === 0 || rarely(floatingIp.free, 4)) return place;
    return { ...place, fixed_ip: at(fixed, floatingIp.instance) };
  });
}
