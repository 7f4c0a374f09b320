import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseAddress, printAddress } from '../address/address.ts';
import { InputError } from '../diagnostic/diagnostic.ts';
import { assumptionsOf } from './assumption.ts';
import type { Deployment } from './deployment.ts';
import { readDeployment } from './read.ts';

const ARTICLE = readFileSync(new URL('../../scenarios/article/cloud/deployment.yaml', import.meta.url), 'utf8');

const messagesOf = (text: string | Uint8Array): string[] => {
  try {
    readDeployment(text, 'd.yaml');
    return [];
  } catch (error) {
    if (error instanceof InputError) return error.message.split('\n');
    throw error;
  }
};
const completed = (text: string): Deployment => readDeployment(text, 'd.yaml').deployment;

const HOST = `hosts:
  - name: a
    services: [nova-network, nova-compute]
    interfaces: [{ name: eth0, addresses: [192.0.2.1/24] }, { name: eth1 }]
`;
const NETWORK = `networks:
  - { label: one, cidr: 10.1.0.0/24, bridge: br1, bridge_interface: eth1 }
`;

test('the article’s file is read without a warning', () => {
  const { deployment, warnings } = readDeployment(ARTICLE, 'deployment.yaml');
  expect(warnings).toEqual([]);
  expect(deployment.release).toBe('folsom-2');
  expect(deployment.networks[0]?.gateway).toBe(parseAddress('10.10.10.1'));
  expect(deployment.networks[0]?.dhcpServer).toBe(parseAddress('10.10.10.1'));
  expect(deployment.floatingIps[0]).toMatchObject({ interface: 'wlan0', pool: 'nova' });
});

test('what may be left out has its default', () => {
  const deployment = completed(`${HOST}${NETWORK}instances: [{ id: 7, host: a, fixed_ips: [10.1.0.2] }]\n`);
  const [host] = deployment.hosts;
  expect(host?.publicInterface).toBe('eth0');
  expect(host?.myIp).toBe(parseAddress('192.0.2.1'));
  expect(host?.flags.metadata_host).toBe(host?.myIp);
  expect(host?.flags.dmz_cidr).toEqual([]);
  expect(host?.hairpin).toBe(true);
  expect(deployment.networks[0]).toMatchObject({ manager: 'FlatDHCPManager', host: 'a', multiHost: false });
  expect(deployment.instances[0]).toMatchObject({ name: 'instance-00000007', securityGroups: ['default'] });
  expect(deployment.instances[0]?.vifs[0]).toMatchObject({ port: 'vnet0', network: 'one' });
});

test('essex has a dmz_cidr of its own, and a host’s flags stand over the common ones', () => {
  const deployment = completed(`release: essex
flags: { metadata_port: 80, vpn_start: 2000 }
hosts:
  - { name: a, my_ip: 192.0.2.1, interfaces: [{ name: eth0, addresses: [192.0.2.1/24] }], flags: { metadata_port: 81 } }
`);
  expect(deployment.hosts[0]?.flags).toMatchObject({ metadata_port: 81, vpn_start: 2000 });
  expect(deployment.hosts[0]?.flags.dmz_cidr).toHaveLength(1);
});

test('a flag that the release does not know is a warning and has no effect', () => {
  const { deployment, warnings } = readDeployment(`flags: { iptables_drop_action: LOG_DROP }\n${HOST}`, 'd.yaml');
  expect(warnings.map(({ line, column, message }) => [line, column, message])).toEqual([
    [1, 32, 'flags.iptables_drop_action: nova of folsom-2 has no such flag'],
  ]);
  expect(deployment.hosts[0]?.flags.iptables_drop_action).toBe('DROP');
});

test('with use_ipv6 instances have the address that their MAC gives, and the gateway is the bridge’s link-local', () => {
  const deployment = completed(`flags: { use_ipv6: true }
${HOST}networks: [{ label: one, cidr: 10.1.0.0/24, cidr_v6: '2001:db8:1::/64', bridge_interface: eth1 }]
instances: [{ id: 1, host: a, fixed_ips: [10.1.0.2], mac: 'fa:16:3e:01:02:03' }]
`);
  expect(deployment.instances[0]?.vifs[0]?.fixedIps.map(printAddress)).toEqual([
    '10.1.0.2',
    '2001:db8:1:0:f816:3eff:fe01:203',
  ]);
  expect(printAddress(deployment.networks[0]?.gatewayV6 ?? 0)).toMatch(/^fe80::/);
});

test('with multi_host each host with instances takes the lowest free address', () => {
  const deployment = completed(`hosts:
  - { name: a, services: [nova-network], interfaces: [{ name: eth0, addresses: [192.0.2.1/24] }] }
  - { name: b, services: [nova-network], interfaces: [{ name: eth0, addresses: [192.0.2.2/24] }] }
  - { name: c, services: [nova-network], interfaces: [{ name: eth0, addresses: [192.0.2.3/24] }] }
networks: [{ label: one, cidr: 10.1.0.0/24, multi_host: true }]
instances: [{ id: 1, host: a, fixed_ips: [10.1.0.2] }, { id: 2, host: b, fixed_ips: [10.1.0.4] }]
`);
  expect([...(deployment.networks[0]?.dhcpServers ?? [])].map(([host, at]) => `${host} ${printAddress(at)}`)).toEqual([
    'a 10.1.0.3',
    'b 10.1.0.5',
  ]);
});

test('JSON is read as YAML is', () => {
  const json = '{\n\t"hosts": [\n\t\t{"name": "a", "my_ip": "192.0.2.1", "interfaces": [{"name": "eth0"}]}\n\t]\n}\n';
  expect(completed(json).hosts[0]?.name).toBe('a');
});

test('a name that YAML could take for a number or a boolean is a name', () => {
  const text = `${HOST}${NETWORK}instances:
  - { id: 1, name: 007, host: a, fixed_ips: [10.1.0.2], project_id: 1234 }
  - { id: 2, name: no, host: a, fixed_ips: [10.1.0.3], project_id: 1e3 }
  - { id: 3, name: true, host: a, fixed_ips: [10.1.0.4], project_id: 12:30 }
`;
  expect(completed(text).instances.map(({ name, projectId }) => [name, projectId])).toEqual([
    ['007', '1234'],
    ['no', '1e3'],
    ['true', '12:30'],
  ]);
});

const WRONG: readonly (readonly [string, string, readonly string[]])[] = [
  ['an empty file', '', ['d.yaml:1:1: the file is empty']],
  ['a scalar', 'hello', ['d.yaml:1:1: expected a mapping, read `hello`']],
  ['no hosts', 'release: essex\n', ['d.yaml:1:1: hosts: is missing']],
  [
    'an unknown key',
    HOST.replace('services', 'service'),
    ['d.yaml:3:5: hosts[0].service: unknown key `service`: did you mean services?'],
  ],
  [
    'an unknown flag',
    `flags: { use_ip6: true }\n${HOST}`,
    ['d.yaml:1:10: flags.use_ip6: unknown key `use_ip6`: did you mean use_ipv6?'],
  ],
  [
    'an unknown service',
    HOST.replace('nova-compute', 'nova-computer'),
    ['d.yaml:3:30: hosts[0].services[1]: unknown `nova-computer`: did you mean nova-compute?'],
  ],
  ['an unknown release', `release: folsum\n${HOST}`, ['d.yaml:1:10: release: unknown `folsum`: did you mean folsom?']],
  ['a tab that indents', 'hosts:\n\t- name: a\n', ['d.yaml:2:1: a tab cannot indent YAML: use spaces']],
  ['a key twice', `${HOST}hosts: []\n`, ['d.yaml:5:1: the key stands twice in one mapping']],
  ['a tag', `${HOST}networks: !!set {}\n`, ['d.yaml:5:17: tags are not understood here: write the value without one']],
  ['two documents', `${HOST}---\n${HOST}`, ['d.yaml:5:1: a second document begins here: expected one']],
  [
    'an address that YAML would read as a number',
    HOST.replace('192.0.2.1/24', '10.1'),
    [
      'd.yaml:4:44: hosts[0].interfaces[0].addresses[0]: expected an address with the length of its subnet, such as 192.168.1.90/24, read `10.1`',
    ],
  ],
  [
    'an octal-looking address',
    HOST.replace('name: a', 'name: a\n    my_ip: 192.0.02.1'),
    ['d.yaml:3:12: hosts[0].my_ip: expected an IPv4 address, read `192.0.02.1`'],
  ],
  [
    'an octal-looking port',
    `${HOST}security_groups: { default: [{ protocol: tcp, from_port: 022, to_port: 22 }] }\n`,
    ['d.yaml:5:58: security_groups.default[0].from_port: expected a number, read `022`'],
  ],
  [
    'ports the wrong way round',
    `${HOST}security_groups: { default: [{ protocol: tcp, from_port: 80, to_port: 22 }] }\n`,
    ['d.yaml:5:58: security_groups.default[0].from_port: from_port 80 is above to_port 22'],
  ],
  [
    'a protocol that nova has not',
    `${HOST}security_groups: { default: [{ protocol: sctp }] }\n`,
    ['d.yaml:5:42: security_groups.default[0].protocol: expected tcp, udp or icmp, read `sctp`'],
  ],
  [
    'a source group that does not exist',
    `${HOST}security_groups: { web: [{ group: wep }] }\n`,
    ['d.yaml:5:35: security_groups.web[0].group: there is no security group `wep`: did you mean web?'],
  ],
  [
    'a fixed IP outside every network, on a host and in a group that do not exist',
    `${HOST}${NETWORK}instances:\n  - { id: 1, host: b, fixed_ips: [10.9.9.9], security_groups: [x] }\n`,
    [
      'd.yaml:8:20: instances[0].host: there is no host `b`: there are a',
      'd.yaml:8:35: instances[0].fixed_ips[0]: 10.9.9.9 is outside every network',
      'd.yaml:8:64: instances[0].security_groups[0]: there is no security group `x`: there are default',
    ],
  ],
  [
    'a floating IP on nobody’s address',
    `${HOST}${NETWORK}floating_ips:\n  - address: 192.0.2.9\n    fixed_ip: 10.9.9.9\n`,
    ["d.yaml:9:15: floating_ips[0].fixed_ip: 10.9.9.9 is no instance's address"],
  ],
  [
    'overlapping networks on one host',
    `${HOST}${NETWORK}  - { label: two, cidr: 10.1.0.128/25, bridge: br2 }\n`,
    ['d.yaml:7:25: networks[1].cidr: 10.1.0.128/25 overlaps 10.1.0.0/24 of one on a'],
  ],
  [
    'an address twice',
    `${HOST}${NETWORK}instances:
  - { id: 1, host: a, fixed_ips: [10.1.0.2] }
  - { id: 2, host: a, fixed_ips: [10.1.0.2] }
floating_ips: [{ address: 192.0.2.1 }]
`,
    [
      'd.yaml:9:35: instances[1].fixed_ips[0]: 10.1.0.2 is an address of instance instance-00000001 already',
      'd.yaml:10:27: floating_ips[0].address: 192.0.2.1 is an address of a eth0 already',
    ],
  ],
  [
    'the gateway’s address as a fixed IP, and the broadcast',
    `${HOST}${NETWORK}instances: [{ id: 1, host: a, fixed_ips: [10.1.0.1, 10.1.0.255] }]\n`,
    [
      'd.yaml:7:43: instances[0].fixed_ips[0]: 10.1.0.1 is an address of network one already',
      "d.yaml:7:53: instances[0].fixed_ips[1]: 10.1.0.255 is no host's address in 10.1.0.0/24",
    ],
  ],
  [
    'an interface twice, and a bridge_interface that is none',
    `${HOST.replace('eth1', 'eth0')}${NETWORK}`,
    [
      'd.yaml:4:69: hosts[0].interfaces[1].name: interface eth0 stands here twice',
      'd.yaml:6:69: networks[0].bridge_interface: eth1 is no interface of a',
    ],
  ],
  [
    'an instance id twice, and a bridge port twice',
    `${HOST}${NETWORK}instances:
  - { id: 1, name: x, host: a, fixed_ips: [10.1.0.2], vifs: [vnet0] }
  - { id: 1, name: y, host: a, fixed_ips: [10.1.0.3], vifs: [vnet0] }
`,
    [
      'd.yaml:9:11: instances[1].id: instance id 1 stands here twice',
      'd.yaml:9:62: instances[1].vifs[0]: vnet0 is a bridge port twice',
    ],
  ],
  [
    'a chain name that iptables does not take',
    `${HOST}instances: [{ id: 12345678901, host: a }]\n`,
    [
      'd.yaml:5:19: instances[0].id: the chain nova-compute-inst-12345678901 would have 29 characters: iptables takes 28',
    ],
  ],
  [
    'an operator’s rules that no iptables-restore takes',
    HOST.replace(
      '    services',
      '    rules: |\n      *filter\n      -A INPUT -p tcp --dprot 22 -j DROP\n      COMMIT\n    services',
    ),
    ['d.yaml:3:12: hosts[0].rules: line 2, column 17 of it: unknown option `--dprot`: did you mean --dport?'],
  ],
  [
    'operations',
    `${HOST}operations: [{ boot: 1 }]\n`,
    ['d.yaml:5:22: operations[0].boot: expected a mapping, read `1`'],
  ],
  ['a key that is no word', `${HOST}? [a]\n: 1\n`, ['d.yaml:5:3: a key must be a word']],
  ['__proto__', `${HOST}security_groups: { __proto__: [] }\n`, ['d.yaml:5:20: a key cannot be called __proto__']],
  ['an alias to nothing', 'hosts: *x\n', ['d.yaml:1:8: no anchor &x stands before this alias']],
  ['an alias to itself', 'hosts: &x [*x]\n', ['d.yaml:1:12: the alias *x contains itself']],
];

test.each(WRONG)('%s is told with its place', (_, text, messages) => {
  expect(messagesOf(text)).toEqual(messages);
});

const RUNNING = `${HOST}${NETWORK}security_groups: { web: [] }
instances: [{ id: 1, name: vm1, host: a, fixed_ips: [10.1.0.2], security_groups: [web] }]
operations:
`;

test.each([
  ['- start: vm1', 'd.yaml:10:3: operations[0]: vm1 is running'],
  ['- stop: vm1\n- stop: vm1', 'd.yaml:11:3: operations[1]: vm1 is stopped already'],
  ['- secgroup-delete: web', 'd.yaml:10:3: operations[0]: security group web is in use: vm1'],
  ['- secgroup-delete: default', 'd.yaml:10:3: operations[0]: group default stays'],
  ['- secgroup-delete: wib', 'd.yaml:10:3: operations[0]: there is no security group `wib`: did you mean web?'],
])('nova refuses %s', (operations, message) => {
  expect(messagesOf(`${RUNNING}${operations}\n`)).toEqual([message]);
});

test('a stopped instance that is rebooted runs, and a deleted group is gone', () => {
  const { deployment } = readDeployment(
    `${RUNNING}- stop: vm1\n- reboot: vm1\n- remove-secgroup: { instance: vm1, secgroup: web }\n- secgroup-delete: web\n`,
    'd.yaml',
  );
  expect(deployment.instances.map(({ isStopped }) => isStopped)).toEqual([false]);
  expect(deployment.securityGroups.map(({ name }) => name)).toEqual(['default']);
});

test('anchors and aliases may share what is said twice', () => {
  const text = `hosts:
  - { name: a, my_ip: 192.0.2.1, interfaces: &both [{ name: eth0 }], services: &s [nova-compute] }
  - { name: b, my_ip: 192.0.2.2, interfaces: *both, services: *s }
`;
  expect(completed(text).hosts[1]?.services).toEqual(['nova-compute']);
});

test('aliases that multiply are refused at once', () => {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]'];
  for (let level = 1; level < 12; level++) {
    const alias = `*a${level - 1}`;
    lines.push(`a${level}: &a${level} [${Array.from({ length: 10 }, () => alias).join(', ')}]`);
  }
  expect(messagesOf(lines.join('\n')).join()).toContain('aliases multiply this file');
});

test('of a file of nothing but errors only the first are told, and one of too many values is not read', () => {
  expect(messagesOf(`[${','.repeat(500_000)}`)).toEqual(['d.yaml:1:1: more than 400000 values']);
  expect(messagesOf(Array.from({ length: 20_000 }, (_, index) => `k${index}: 1`).join('\n'))).toHaveLength(21);
  expect(messagesOf('a: 1\n'.repeat(1000)).at(-1)).toContain('and 979 more errors');
});

test('deep nesting, octets that are no text, and too long a file are refused at once', () => {
  expect(messagesOf('['.repeat(50_000))).toEqual(['d.yaml:1:33: nested more than 32 levels deep']);
  expect(messagesOf(`${'- '.repeat(50_000)}x`).join()).toContain('nested more than 32 levels deep');
  expect(messagesOf(new Uint8Array([0x1f, 0x8b, 0x08, 0xff])).join()).toContain('this is no text');
  expect(messagesOf('hosts:\u0000')).toEqual([
    'd.yaml:1:7: this is no text: expected YAML or JSON, read a control character',
  ]);
  expect(messagesOf(`# ${'x'.repeat(4 << 20)}`).join()).toContain('expected at most');
});

const EMPTY = (flag: string, release = 'folsom'): string =>
  `release: ${release}
hosts:
  - name: a
    my_ip: 192.0.2.1
    services: [nova-network, nova-compute]
    interfaces: [{ name: eth0 }, { name: eth1 }, { name: eth2, addresses: [192.0.2.1/24] }, { name: eth3, addresses: [198.51.100.1/24] }]
    flags: { ${flag}: '' }
${NETWORK}instances: [{ id: 1, host: a, fixed_ips: [10.1.0.2] }]
`;

test('an empty public_interface leaves it to the routes where the outside is, and floating IPs have to say where they are bound', () => {
  const file = EMPTY('public_interface');
  const [host] = completed(file).hosts;
  expect(host).toMatchObject({ publicInterface: 'eth2' });
  expect(host?.snatInterface).toBeUndefined();
  expect(completed(file.replace('    services', '    gateway: 198.51.100.9\n    services')).hosts[0]).toMatchObject({
    publicInterface: 'eth3',
  });
  const float = '{ address: 192.0.2.100, fixed_ip: 10.1.0.2 }';
  expect(messagesOf(`${file}floating_ips: [${float}]\n`).join()).toContain('nova cannot bind 192.0.2.100');
  expect(messagesOf(`${file}floating_ips: [${float.replace(' }', ', interface: eth2 }')}]\n`)).toEqual([]);
  expect(messagesOf(file.replace('my_ip: 192.0.2.1\n', 'my_ip: 203.0.113.1\n')).join()).toContain(
    'public_interface is empty, and neither',
  );
});

test('an empty routing_source_ip is refused where nova-network did not start with it', () => {
  expect(completed(EMPTY('routing_source_ip')).hosts[0]?.flags.routing_source_ip).toBeUndefined();
  expect(assumptionsOf(completed(EMPTY('routing_source_ip'))).join()).toContain('what leaves keeps its fixed address');
  expect(messagesOf(EMPTY('routing_source_ip', 'essex')).join()).toContain('it may be empty since folsom');
  expect(messagesOf(EMPTY('routing_source_ip', 'folsom-2')).join()).toContain('does not start so');
});

test('an IPv6 metadata_host is refused where a service did not start with it', () => {
  const file = (release: string, services: string): string =>
    `release: ${release}
flags: { metadata_host: '2001:db8::1', use_ipv6: true }
hosts:
  - { name: a, my_ip: 192.0.2.1, services: [${services}], interfaces: [{ name: eth0, addresses: [192.0.2.1/24, '2001:db8::1/64'] }] }
`;
  expect(messagesOf(file('havana', 'nova-api, nova-compute')).join()).toContain('nova-api of havana writes');
  expect(messagesOf(file('rocky', 'nova-api, nova-network')).join()).toContain('nova-network of a writes');
  expect(messagesOf(file('rocky', 'nova-api, nova-compute'))).toEqual([]);
  const { warnings } = readDeployment(file('rocky', 'nova-api').replace(', use_ipv6: true', ''), 'd.yaml');
  expect(warnings.map(({ message }) => message).join()).toContain('without use_ipv6');
});
