/**
 * Lives of a cloud: a small one of a release, and operations on it. Naturals are mapped to what can be asked of the cloud as it is by then, so that
 * nothing is filtered, and all shrinks towards few operations on one host.
 */
import fc from 'fast-check';
import { printAddress } from '../address/address.ts';
import type { Deployment, ManagerName, Release } from '../deployment/deployment.ts';
import type { DeploymentText, Operation, OperationText } from '../deployment/schema.ts';
import { at, INDEX } from './choice.ts';

/** How an operation is drawn: which, and on what. */
export interface Drawn {
  readonly kind: number;
  readonly which: number;
  readonly what: number;
}

export const drawnArb = (): fc.Arbitrary<Drawn> => fc.record({ kind: INDEX, which: INDEX, what: INDEX });

/** The cloud that a life begins with. */
export interface Beginning {
  /** Besides the first. */
  readonly hosts: number;
  readonly manager: number;
  /** In which order the first host's services applied last, and whether metadata has one of its own. */
  readonly services: number;
  readonly isMultiHost: boolean;
  readonly hasIpv6: boolean;
  /** What an operator wrote before nova did. */
  readonly hasOperator: boolean;
  /** Eleven of them: ids with one another's digits at their beginning. */
  readonly hasInstances: boolean;
  readonly assignsFloats: boolean;
  readonly isStrict: boolean;
  readonly sharesDhcp: boolean;
  readonly tearsDown: boolean;
  readonly restrictsBridges: boolean;
}

/** True once in so many draws; shrinks to false. */
const once = (among: number): fc.Arbitrary<boolean> => fc.nat(among - 1).map((drawn) => drawn === among - 1);

export const beginningArb = (): fc.Arbitrary<Beginning> =>
  fc.record({
    hosts: fc.nat(2),
    manager: INDEX,
    services: INDEX,
    isMultiHost: once(3),
    hasIpv6: once(4),
    hasOperator: once(2),
    hasInstances: once(6),
    assignsFloats: once(5),
    isStrict: once(7),
    sharesDhcp: once(5),
    tearsDown: once(3),
    restrictsBridges: once(6),
  });

const MANAGERS: readonly ManagerName[] = ['FlatDHCPManager', 'VlanManager', 'QuantumManager', 'FlatManager'];

const makesBridge = (manager: ManagerName): boolean => manager === 'FlatDHCPManager' || manager === 'VlanManager';

/** The first host's services, the one that applied last at the end. */
const SERVICES = [
  ['nova-api', 'nova-network', 'nova-compute'],
  ['nova-compute', 'nova-network', 'nova-api'],
  // A service whose name is a part of the other's takes its rules along.
  ['nova-api', 'nova-api-metadata', 'nova-network', 'nova-compute'],
  ['nova-api-metadata', 'nova-api', 'nova-network', 'nova-compute'],
] as const;

const OPERATOR = `*filter
:INPUT DROP [7:420]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
[3:180] -A INPUT -i lo -j ACCEPT
[4:240] -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
`;

/** One to three hosts; nova-network on the first, or (multi_host) on each; one network. */
export function beginningOf(beginning: Beginning, release: Release): DeploymentText {
  const names = Array.from({ length: beginning.hosts + 1 }, (_, index) => `host${index + 1}`);
  const manager = at(MANAGERS, beginning.manager);
  const isMultiHost = beginning.isMultiHost && makesBridge(manager);
  const others = isMultiHost ? (['nova-network', 'nova-compute'] as const) : (['nova-compute'] as const);
  return {
    release,
    flags: {
      use_ipv6: beginning.hasIpv6,
      auto_assign_floating_ip: beginning.assignsFloats && makesBridge(manager),
      allow_same_net_traffic: !beginning.isStrict,
      share_dhcp_address: beginning.sharesDhcp,
      teardown_unused_network_gateway: beginning.tearsDown,
      ...(beginning.restrictsBridges ? { forward_bridge_interface: ['eth0'] } : {}),
    },
    hosts: names.map((name, index) => ({
      name,
      services: [...(index === 0 ? at(SERVICES, beginning.services) : others)],
      interfaces: [{ name: 'eth0', addresses: [`192.0.2.${10 + index}/24`] }, { name: 'eth1' }],
      gateway: '192.0.2.1',
      ...(beginning.hasOperator ? { rules: OPERATOR } : {}),
    })),
    networks: [networkText(100, manager, isMultiHost, beginning.hasIpv6)],
    security_groups: {
      default: [{ protocol: 'icmp' }],
      web: [{ protocol: 'tcp', from_port: 80, to_port: 80 }],
      vpn: [{ protocol: 'udp', from_port: 1194, to_port: 1194, cidr: '0.0.0.0/0' }],
    },
    instances: beginning.hasInstances
      ? Array.from({ length: 11 }, (_, index) => ({
          id: index + 1,
          name: `vm${index + 1}`,
          host: at(names, index),
          fixed_ips: [`10.0.100.${100 + index}`],
        }))
      : [],
    floating_ips: [],
  };
}

const networkText = (
  vlan: number,
  manager: ManagerName,
  isMultiHost: boolean,
  hasIpv6: boolean,
): NonNullable<DeploymentText['networks']>[number] => ({
  label: `net${vlan}`,
  manager,
  cidr: `10.0.${vlan}.0/24`,
  ...(hasIpv6 ? { cidr_v6: `2001:db8:${vlan}::/64` } : {}),
  ...(manager === 'VlanManager' ? { vlan, bridge_interface: 'eth1' } : { bridge: `br${vlan}` }),
  ...(isMultiHost ? { multi_host: true } : { host: 'host1' }),
});

const GROUPS = ['default', 'web', 'db', 'lab'] as const;

const RULES = [
  { protocol: 'tcp', from_port: 22, to_port: 22, cidr: '0.0.0.0/0' },
  { group: 'default' },
  { protocol: 'udp', from_port: 1000, to_port: 2000, cidr: '203.0.113.0/24' },
  { protocol: 'tcp', from_port: 5432, to_port: 5432, group: 'web' },
  { cidr: '::/0' },
] as const;

/** Operations as a program writes them, of which the file's reading makes what it makes of a person's. */
type Maker = (deployment: Deployment, drawn: Drawn) => OperationText | undefined;

const instanceAt = ({ instances }: Deployment, index: number): string | undefined =>
  instances.length === 0 ? undefined : at(instances, index).name;

const highest = ({ instances }: Deployment): number => Math.max(0, ...instances.map(({ id }) => id));

const onInstance =
  (make: (instance: string, deployment: Deployment, drawn: Drawn) => OperationText | undefined): Maker =>
  (deployment, drawn) => {
    const instance = instanceAt(deployment, drawn.which);
    return instance === undefined ? undefined : make(instance, deployment, drawn);
  };

const groupNames = ({ securityGroups }: Deployment): string[] => securityGroups.map(({ name }) => name);

const hostAt = ({ hosts }: Deployment, index: number): string => at(hosts, index).name;

const boot: Maker = (deployment, { which, what }) => {
  const { networks } = deployment;
  if (networks.length === 0 || deployment.instances.length >= 24) return undefined;
  const [first, second] = [at(networks, what), at(networks, what + 1)];
  // Ids with one another's digits at their beginning are what the releases stumble over.
  const id = highest(deployment) + at([1, 9, 1, 10], what);
  return {
    boot: {
      id,
      name: `vm${id}`,
      host: hostAt(deployment, which),
      networks: what % 5 === 4 && second !== first ? [first.label, second.label] : [first.label],
      security_groups: what % 3 === 0 ? ['default'] : [at(groupNames(deployment), what), 'default'],
    },
  };
};

/** A project's VPN instance: at the address that its network's rules name. */
const cloudpipe: Maker = (deployment, { which }) => {
  const taken = deployment.instances.flatMap(({ vifs }) => vifs.flatMap(({ fixedIps }) => fixedIps));
  const network = deployment.networks.find(({ vpnPrivateAddress: own }) => own !== undefined && !taken.includes(own));
  const address = network?.vpnPrivateAddress;
  if (network === undefined || address === undefined) return undefined;
  const id = highest(deployment) + 1;
  return {
    boot: {
      id,
      name: `vm${id}`,
      host: hostAt(deployment, which),
      networks: [network.label],
      fixed_ips: [printAddress(address)],
      security_groups: ['vpn'],
    },
  };
};

/** An allocated one, but now and then. */
const associate: Maker = onInstance((instance, { floatingIps, networks }, { what }) => {
  const allocated = floatingIps.filter(({ projectId }) => projectId !== undefined);
  const known = allocated.length === 0 || what % 6 === 5 ? floatingIps : allocated;
  return known.length === 0 || !networks.some(({ manager }) => makesBridge(manager))
    ? undefined
    : { 'floating-associate': { instance, address: printAddress(at(known, what).address) } };
});

/** What operators write: in the built-in chains of any table, the same thing twice, and with a word about whom it is for. */
const OPERATOR_RULES: readonly ((address: string) => { readonly table?: 'nat' | 'mangle'; readonly rule: string })[] = [
  (address) => ({ rule: `INPUT -s ${address} -j DROP` }),
  (address) => ({ rule: `FORWARD -s ${address} -j DROP` }),
  () => ({ rule: 'INPUT -p tcp -m tcp --dport 9100 -j ACCEPT' }),
  () => ({ rule: 'INPUT -p tcp -m tcp --dport 8775 -m comment --comment "asked for by nova-network" -j ACCEPT' }),
  () => ({ rule: 'FORWARD -m comment --comment "before nova-compute" -j ACCEPT' }),
  (address) => ({ table: 'nat', rule: `POSTROUTING -d ${address} -j ACCEPT` }),
  (address) => ({ table: 'nat', rule: `PREROUTING -s ${address} -j ACCEPT` }),
  (address) => ({ table: 'mangle', rule: `FORWARD -s ${address} -j MARK --set-mark 1` }),
];

const MAKERS: readonly Maker[] = [
  boot,
  boot,
  boot,
  cloudpipe,
  (deployment, { what }) => {
    const vlan = [100, 101, 102].find((tag) => deployment.networks.every(({ label }) => label !== `net${tag}`));
    const [known] = deployment.networks;
    if (vlan === undefined || known === undefined) return undefined;
    const hasIpv6 = known.cidrV6 !== undefined && what % 2 === 1;
    return { 'network-create': networkText(vlan, known.manager, known.multiHost, hasIpv6) };
  },
  (deployment) => {
    const empty = deployment.networks.find(({ label }) =>
      deployment.instances.every(({ vifs }) => vifs.every(({ network }) => network !== label)),
    );
    return empty === undefined || deployment.networks.length < 2 ? undefined : { 'network-delete': empty.label };
  },
  onInstance((instance) => ({ terminate: instance })),
  onInstance((instance, { networks }, { what }) => ({
    'add-fixed-ip': { instance, network: at(networks, what).label },
  })),
  (deployment, { what }) =>
    deployment.floatingIps.length >= 12
      ? undefined
      : { 'floating-create': { range: `198.51.100.${(what % 16) * 8}/29` } },
  () => ({ 'floating-allocate': {} }),
  () => ({ 'floating-allocate': {} }),
  associate,
  associate,
  associate,
  ({ floatingIps }, { what }) => {
    const associated = floatingIps.filter(({ fixedIp }) => fixedIp !== undefined);
    return associated.length === 0
      ? undefined
      : { 'floating-disassociate': printAddress(at(associated, what).address) };
  },
  ({ floatingIps }, { what }) =>
    floatingIps.length === 0 ? undefined : { 'floating-release': printAddress(at(floatingIps, what).address) },
  (deployment) => {
    const name = GROUPS.find((candidate) => !groupNames(deployment).includes(candidate));
    return name === undefined ? undefined : { 'secgroup-create': name };
  },
  (deployment, { which }) => {
    const unused = groupNames(deployment).filter(
      (name) =>
        name !== 'default' && deployment.instances.every(({ securityGroups }) => !securityGroups.includes(name)),
    );
    return unused.length === 0 ? undefined : { 'secgroup-delete': at(unused, which) };
  },
  (deployment, { which, what }) => ({
    'secgroup-add-rule': { secgroup: at(groupNames(deployment), which), ...at(RULES, what) },
  }),
  (deployment, { which, what }) => ({
    'secgroup-delete-rule': { secgroup: at(groupNames(deployment), which), ...at(RULES, what) },
  }),
  onInstance((instance, deployment, { what }) => ({
    'add-secgroup': { instance, secgroup: at(groupNames(deployment), what) },
  })),
  onInstance((instance, deployment, { what }) => ({
    'remove-secgroup': { instance, secgroup: at(groupNames(deployment), what) },
  })),
  // Floating IPs are few: every other one that moves has one, where any has.
  (deployment, { which, what }) => {
    const floating = deployment.floatingIps.flatMap(({ fixedIp }) => fixedIp ?? []);
    const owners = deployment.instances.filter(({ vifs }) =>
      vifs.some(({ fixedIps }) => fixedIps.some((own) => floating.includes(own))),
    );
    const instance = which % 2 === 0 && owners.length > 0 ? at(owners, which).name : instanceAt(deployment, which);
    return instance === undefined ? undefined : { migrate: { instance, host: hostAt(deployment, what) } };
  },
  onInstance((instance) => ({ stop: instance })),
  onInstance((instance) => ({ reboot: instance })),
  ({ instances }, { which }) => {
    const stopped = instances.filter(({ isStopped }) => isStopped);
    return stopped.length === 0 ? undefined : { start: at(stopped, which).name };
  },
  ({ hosts }, { which, what }) => {
    const { name, services } = at(hosts, which);
    return { restart: { host: name, service: at(services, what) } };
  },
  (deployment, { which }) => ({ refresh: { host: hostAt(deployment, which) } }),
  onInstance((instance, { instances }) => {
    const host = instances.find(({ name }) => name === instance)?.host;
    return host === undefined ? undefined : { refresh: { host, instance } };
  }),
  (deployment, { which, what }) => ({
    'operator-insert': {
      host: hostAt(deployment, which),
      ...at(OPERATOR_RULES, what)(`203.0.113.${what % 250}/32`),
    },
  }),
];

/** What the naturals ask of a cloud that is so; undefined where they ask for nothing. Nova may still refuse it. */
export const operationTextFor = (deployment: Deployment, drawn: Drawn): OperationText | undefined =>
  at(MAKERS, drawn.kind)(deployment, drawn);

/** What takes an operation back, of those that can be taken back. */
export function inverseOf(operation: Operation, before: Deployment): Operation | undefined {
  const { 'secgroup-add-rule': opened, 'add-secgroup': joined, 'floating-associate': associated } = operation;
  if (opened !== undefined) return { 'secgroup-delete-rule': opened };
  if (joined !== undefined) return { 'remove-secgroup': joined };
  const wasFree = before.floatingIps.some(
    ({ address, fixedIp }) => address === associated?.address && fixedIp === undefined,
  );
  return associated !== undefined && wasFree ? { 'floating-disassociate': associated.address } : undefined;
}
