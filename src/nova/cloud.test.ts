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
