import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { printAddress, printPrefix } from '../address/address.ts';
import type { Network } from '../network/network.ts';
import { assumptionsOf } from './assumption.ts';
import { readDeployment } from './read.ts';
import { networkOf } from './world.ts';

const ARTICLE = readFileSync(new URL('../../scenarios/article/cloud/deployment.yaml', import.meta.url), 'utf8');
const worldOf = (text: string): Network => networkOf(readDeployment(text, 'd.yaml').deployment);

/** The world as a few readable lines: `host dev address...`. */
const addressesOf = (network: Network): string[] =>
  network.hosts.flatMap((host) =>
    host.interfaces.map((device) => {
      const shown = device.addresses.filter(({ address }) => !printAddress(address).startsWith('fe80'));
      return [host.name, device.name, ...shown.map(printPrefix)].join(' ');
    }),
  );
const linksOf = (network: Network): string[] =>
  network.links.map(({ name, outside, attachments }) =>
    [name, ...(outside ? ['(outside)'] : []), ...attachments.map((at) => `${at.host}:${at.interface}`)].join(' '),
  );

test('the article’s host has the addresses that it shows', () => {
  const network = worldOf(ARTICLE);
  expect(addressesOf(network)).toEqual([
    'host1 lo 127.0.0.1/8 169.254.169.254/32 ::1/128',
    'host1 wlan0 192.168.1.90/16 192.168.1.233/32',
    'host1 br100 10.10.10.1/24',
  ]);
  expect(network.hosts[0]?.bridges[0]?.ports).toMatchObject([
    { name: 'eth0', uplink: true, hairpin: false },
    { name: 'vnet0', uplink: false, hairpin: true },
  ]);
  expect(linksOf(network)).toEqual(['outside (outside) host1:wlan0', 'mynet host1:eth0']);
  expect(network.hosts[0]?.routes[0]).toMatchObject({ dev: 'wlan0', to: { length: 0 } });
});

test('no port of a bridge has the MAC of the machine behind it', () => {
  const network = worldOf(ARTICLE);
  const stations = new Set(network.stations.map(({ mac }) => mac));
  for (const { bridges } of network.hosts)
    for (const { ports } of bridges) for (const { mac } of ports) expect(stations).not.toContain(mac);
});

test('a public interface that is the bridge’s port has its addresses on the bridge, and the world behind the switch', () => {
  const network = worldOf(`hosts:
  - name: a
    services: [nova-network, nova-compute]
    interfaces: [{ name: eth0, addresses: [192.0.2.1/24] }]
    gateway: 192.0.2.254
networks: [{ label: one, cidr: 10.1.0.0/24, bridge_interface: eth0 }]
instances: [{ id: 1, host: a, fixed_ips: [10.1.0.2] }]
floating_ips: [{ address: 192.0.2.9, fixed_ip: 10.1.0.2 }]
`);
  expect(addressesOf(network)[1]).toBe('a br100 10.1.0.1/24 192.0.2.1/24 192.0.2.9/32');
  expect(linksOf(network)).toEqual(['one (outside) a:eth0']);
  expect(network.hosts[0]?.routes[0]?.dev).toBe('br100');
});

const SEVERAL = `flags: { metadata_host: 198.51.100.7, use_ipv6: true }
hosts:
  - name: net
    services: [nova-network]
    interfaces: [{ name: eth0, addresses: [192.0.2.1/24] }, { name: eth1 }, { name: eth2, addresses: [172.16.0.1/16] }]
  - name: one
    services: [nova-compute]
    interfaces: [{ name: eth0, addresses: [192.0.2.2/24] }, { name: eth1 }, { name: eth2, addresses: [172.16.0.2/16] }]
networks:
  - { label: flat, cidr: 10.1.0.0/24, cidr_v6: '2001:db8::/64', bridge: br1, bridge_interface: eth1 }
instances:
  - { id: 1, name: vm, host: one, fixed_ips: [10.1.0.2] }
floating_ips: [{ address: 192.0.2.9, fixed_ip: 10.1.0.2 }, { address: 192.0.2.10 }]
`;

test('one switch joins a network’s bridges, one wire each subnet of the hosts, and a foreign metadata_host is outside', () => {
  const network = worldOf(SEVERAL);
  expect(addressesOf(network)).toEqual([
    'net lo 127.0.0.1/8 169.254.169.254/32 ::1/128',
    'net eth0 192.0.2.1/24 192.0.2.9/32',
    'net eth2 172.16.0.1/16',
    'net br1 10.1.0.1/24 2001:db8::/64',
    'one lo 127.0.0.1/8 ::1/128',
    'one eth0 192.0.2.2/24',
    'one eth2 172.16.0.2/16',
    'one br1',
  ]);
  expect(linksOf(network)).toEqual([
    'outside (outside) net:eth0 one:eth0',
    'eth2 net:eth2 one:eth2',
    'flat net:eth1 one:eth1',
  ]);
  expect(network.stations.map(({ name, kind, at }) => [name, kind, at])).toEqual([
    ['vm', 'instance', { host: 'one', interface: 'vnet0' }],
    ['metadata_host', 'outside', { link: 'outside' }],
  ]);
});

test('hosts know where instances are: by the port at home, behind the uplink elsewhere', () => {
  const network = worldOf(SEVERAL);
  const [net, one] = network.hosts;
  const vm = network.stations[0];
  const known = (host: typeof net) => host?.neighbours.filter(({ mac }) => mac === vm?.mac).map(({ port }) => port);
  expect(known(net)).toEqual(['eth1', 'eth1']);
  expect(known(one)).toEqual(['vnet0', 'vnet0']);
  const bridge = net?.interfaces.find(({ name }) => name === 'br1');
  expect(one?.neighbours).toContainEqual({ address: 0x0a010001, mac: bridge?.mac, dev: 'br1', port: 'eth1' });
});

test('with multi_host every host is its own instances’ gateway', () => {
  const network = worldOf(`hosts:
  - { name: a, services: [nova-network], interfaces: [{ name: eth0, addresses: [192.0.2.1/24] }, { name: eth1 }] }
  - { name: b, services: [nova-network], interfaces: [{ name: eth0, addresses: [192.0.2.2/24] }, { name: eth1 }] }
networks: [{ label: n, cidr: 10.1.0.0/24, multi_host: true, bridge_interface: eth1, dhcp_servers: { b: 10.1.0.9 } }]
instances: [{ id: 1, host: a, fixed_ips: [10.1.0.3] }, { id: 2, host: b, fixed_ips: [10.1.0.4] }]
floating_ips: [{ address: 192.0.2.8, fixed_ip: 10.1.0.3 }, { address: 192.0.2.9, fixed_ip: 10.1.0.4 }]
`);
  expect(addressesOf(network).filter((line) => /eth0|br100/.test(line))).toEqual([
    'a eth0 192.0.2.1/24 192.0.2.8/32',
    'a br100 10.1.0.2/24',
    'b eth0 192.0.2.2/24 192.0.2.9/32',
    'b br100 10.1.0.9/24',
  ]);
  expect(network.hosts.map(({ bridges }) => bridges[0]?.segments[0]?.gateway)).toEqual([0x0a010002, 0x0a010009]);
});

test('what the file leaves open is said', () => {
  const { deployment } = readDeployment(SEVERAL, 'd.yaml');
  const text = assumptionsOf(deployment).join('\n');
  expect(text).toContain('net: net.ipv4.ip_forward 1,');
  expect(text).toContain('one: the default route is on-link on eth0');
  expect(text).toContain('198.51.100.7 (metadata_host) is a machine outside');
  expect(text).not.toContain('IPv6 is unfiltered');
});
