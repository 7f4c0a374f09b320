/** The article, command by command: each ruleset grows from the one before by what the services do about the command. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { InputError } from '../diagnostic/diagnostic.ts';
import { readDeployment } from '../deployment/read.ts';
import { dictOrder } from './dict-order.ts';
import { rulesetTextFor } from './ruleset.ts';

const read = (name: string): string =>
  readFileSync(new URL(`../../scenarios/article/${name}`, import.meta.url), 'utf8');
const START = read('01-start/deployment.yaml');

const after = (operations: readonly object[]): string => {
  const file = parse(START) as Record<string, unknown>;
  const { deployment } = readDeployment(stringify({ ...file, operations }), 'd.yaml');
  const [host] = deployment.hosts;
  return host === undefined ? '' : rulesetTextFor(deployment, host, 4);
};

const COMMANDS: readonly (readonly [step: string, operation: object])[] = [
  [
    '02-network-create',
    { 'network-create': { label: 'mynet', cidr: '10.10.10.0/24', bridge: 'br100', bridge_interface: 'eth0' } },
  ],
  ['03-boot', { boot: { name: 'myserver', host: 'host1' } }],
  ['04-floating-create', { 'floating-create': { range: '192.168.1.232/30' } }],
  ['05-floating-allocate', { 'floating-allocate': {} }],
  ['06-floating-associate', { 'floating-associate': { instance: 'myserver', address: '192.168.1.233' } }],
  [
    '08-secgroup-add-rule-icmp',
    { 'secgroup-add-rule': { secgroup: 'default', protocol: 'icmp', from_port: -1, to_port: -1 } },
  ],
  [
    '09-ssh-the-same-way',
    { 'secgroup-add-rule': { secgroup: 'default', protocol: 'tcp', from_port: 22, to_port: 22 } },
  ],
];

const rules = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => /^(-A|:)/.test(line))
    .sort();

test.each(COMMANDS.map(([step], at) => [step, at] as const))('after %s the rules are the article’s', (step, at) => {
  const operations = COMMANDS.slice(0, at + 1).map(([, operation]) => operation);
  expect(rules(after(operations))).toEqual(rules(read(`${step}/host1.rules`)));
});

test('addresses are given out as nova does: the first free one', () => {
  const operations = COMMANDS.slice(0, 2).map(([, operation]) => operation);
  const text = after([
    ...operations,
    { boot: { host: 'host1' } },
    { terminate: 'myserver' },
    { boot: { host: 'host1' } },
  ]);
  expect(text).toContain('-A nova-compute-local -d 10.10.10.2/32 -j nova-compute-inst-3');
  expect(text).toContain('-A nova-compute-local -d 10.10.10.3/32 -j nova-compute-inst-2');
});

test('what nova refuses is an error that names the operation', () => {
  expect(() => after([{ terminate: 'nobody' }])).toThrow(InputError);
  expect(() => after([{ terminate: 'nobody' }])).toThrow('operations[0]: there is no instance `nobody`');
  expect(() => after([{ boot: { host: 'host1' }, terminate: 'x' }])).toThrow('expected exactly one operation');
});

// As Python 2.7.18 printed them.
test.each([
  [
    [1, 16],
    [16, 1],
  ],
  [
    [1, 2, 10, 11, 19],
    [19, 1, 2, 11, 10],
  ],
  [
    [5, 13, 21, 29, 37, 2],
    [2, 37, 13, 21, 29, 5],
  ],
  [
    [1, 10, 11, 12, 20, 100, 33, 7, 9, 31, 41],
    [1, 100, 33, 9, 10, 11, 12, 20, 41, 7, 31],
  ],
])('Python 2 goes through the keys %j in the order %j', (keys, order) => {
  expect(dictOrder(keys)).toEqual(order);
});

test.each([
  ['grizzly', 1, []],
  // Each boot adds them once more, and removing takes one.
  ['grizzly', 2, ['FORWARD -i br100 -j ACCEPT', 'FORWARD -o br100 -j ACCEPT']],
  ['rocky', 2, []],
] as const)('in %s, after %i instances, what is torn down with the last', (release, count, left) => {
  const names = ['one', 'two'].slice(0, count);
  const { deployment } = readDeployment(
    stringify({
      release,
      flags: { teardown_unused_network_gateway: true },
      hosts: ['host1', 'host2'].map((name, at) => ({
        name,
        services: ['nova-network', 'nova-compute'],
        interfaces: [{ name: 'eth0', addresses: [`192.0.2.${at + 1}/24`] }, { name: 'eth1' }],
      })),
      networks: [
        { label: 'net', manager: 'VlanManager', cidr: '10.1.0.0/24', bridge_interface: 'eth1', multi_host: true },
      ],
      operations: [
        ...names.flatMap((name) => [{ boot: { name, host: 'host2' } }, { boot: { name: `${name}-1`, host: 'host1' } }]),
        ...names.flatMap((name) => [{ terminate: name }, { terminate: `${name}-1` }]),
      ],
    }),
    'd.yaml',
  );
  const ofBridge = deployment.hosts.map((host) =>
    rulesetTextFor(deployment, host, 4)
      .split('\n')
      .filter((line) => line.startsWith('-A nova-network-') && line.includes(' br100 '))
      .map((line) => line.slice('-A nova-network-'.length)),
  );
  // The first host has the network's VPN address, and keeps all of it.
  expect(ofBridge[0]?.length).toBeGreaterThan(5);
  expect(ofBridge[1]?.filter((line) => line.startsWith('FORWARD'))).toEqual(left);
  if (left.length === 0) expect(ofBridge[1]).toEqual([]);
});
