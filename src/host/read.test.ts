import { expect, test } from 'vitest';
import { parseAddress } from '../address/address.ts';
import { InputError } from '../diagnostic/diagnostic.ts';
import { readHost } from './read.ts';

const HOST = `name: h
interfaces:
  - { name: eth0, mac: 52:54:00:00:00:01, addresses: [192.0.2.1/24, "2001:db8::1/64"] }
  - { name: br0, addresses: [10.0.0.1/24] }
  - { name: eth1, mac: 52:54:00:00:00:02 }
bridges:
  - { name: br0, ports: [{ name: eth1, uplink: true }, { name: vnet0, hairpin: true }, vnet1] }
gateway: 192.0.2.254
routes: [{ to: 10.9.0.0/16, via: 10.0.0.9 }]
neighbours: [{ address: 10.0.0.2, mac: fa:16:3e:00:00:01, dev: br0, port: vnet0 }]
sysctl: { net.ipv4.ip_forward: 0 }
`;

const messagesOf = (text: string): string[] => {
  try {
    readHost(text, 'h.yaml');
    return [];
  } catch (error) {
    if (error instanceof InputError) return error.message.split('\n');
    throw error;
  }
};

test('a host file is read into a host', () => {
  const host = readHost(HOST, 'h.yaml');
  expect(host.interfaces.map(({ name, mac }) => [name, mac])).toEqual([
    ['lo', '00:00:00:00:00:00'],
    ['eth0', '52:54:00:00:00:01'],
    ['br0', '52:54:00:00:00:02'],
  ]);
  expect(host.bridges[0]?.ports).toMatchObject([
    { name: 'eth1', mac: '52:54:00:00:00:02', uplink: true, hairpin: false },
    { name: 'vnet0', uplink: false, hairpin: true },
    { name: 'vnet1', uplink: false, hairpin: false },
  ]);
  expect(host.bridges[0]?.segments).toEqual([
    { prefix: { address: parseAddress('10.0.0.0'), length: 24 }, gateway: parseAddress('10.0.0.1') },
  ]);
  expect(host.routes.map(({ dev }) => dev)).toEqual(['br0', 'eth0']);
  expect(host.neighbours).toHaveLength(1);
  expect(host.sysctl.get('net.ipv4.ip_forward')).toBe(0);
});

test('the least host has a loopback device', () => {
  expect(readHost('name: h\n', 'h.yaml').interfaces.map(({ name }) => name)).toEqual(['lo']);
});

test.each([
  [
    'a key that is none',
    'name: h\ninterface: []\n',
    ['h.yaml:2:1: interface: unknown key `interface`: did you mean interfaces?'],
  ],
  ['no name', 'sysctl: {}\n', ['h.yaml:1:1: name: is missing']],
  [
    'an address without its length',
    'name: h\ninterfaces: [{ name: eth0, addresses: [192.0.2.1] }]\n',
    [
      'h.yaml:2:40: interfaces[0].addresses[0]: expected an address with the length of its subnet, such as 192.168.1.90/24, read `192.0.2.1`',
    ],
  ],
  [
    'a key that no port has',
    'name: h\nbridges: [{ name: br0, ports: [{ name: a, hairpinn: true }] }]\n',
    ['h.yaml:2:43: bridges[0].ports[0].hairpinn: unknown key `hairpinn`: did you mean hairpin?'],
  ],
  [
    'addresses on a bridge port',
    HOST.replace('mac: 52:54:00:00:00:02', 'addresses: [10.1.0.1/24]'),
    ['h.yaml:5:30: interfaces[2].addresses: eth1 is a port of br0: its addresses belong there'],
  ],
  [
    'a port twice, a gateway on no subnet, a route by no device, a neighbour at no port',
    HOST.replace('vnet1]', 'vnet0]')
      .replace('192.0.2.254', '192.0.3.254')
      .replace('via: 10.0.0.9', 'dev: eth9')
      .replace('port: vnet0', 'port: eth0'),
    [
      'h.yaml:7:88: bridges[0].ports[2]: vnet0 is a bridge port twice',
      'h.yaml:8:10: gateway: 192.0.3.254 is on the subnet of no interface',
      'h.yaml:9:34: routes[0].dev: there is no interface eth9: did you mean eth0?',
      'h.yaml:10:75: neighbours[0].port: eth0 is no port of br0',
    ],
  ],
  [
    'an address and a name twice',
    HOST.replace('name: br0, addresses: [10.0.0.1/24]', 'name: eth0, addresses: [192.0.2.1/25]'),
    [
      'h.yaml:4:13: interfaces[1].name: interface eth0 stands here twice',
      'h.yaml:4:31: interfaces[1].addresses[0]: 192.0.2.1 is an address of eth0 already',
      'h.yaml:9:10: routes[0]: dev is missing, and via is on the subnet of no interface',
    ],
  ],
])('%s is told with its place', (_, text, messages) => {
  expect(messagesOf(text)).toEqual(messages);
});
