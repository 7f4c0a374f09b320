import { expect, test } from 'vitest';
import { printHost } from './print.ts';
import { readHost } from './read.ts';

const TEXT = `name: h
interfaces:
  - { name: lo, mac: 00:00:00:00:00:00, addresses: [ 127.0.0.1/8, ::1/128 ] }
  - { name: eth0, mac: 52:54:00:00:00:01, addresses: [ 192.0.2.1/24, 2001:db8::1/64 ] }
  - { name: br0, mac: 52:54:00:00:00:02, addresses: [ 10.0.0.1/24 ] }
bridges:
  - { name: br0, ports: [ { name: vnet0, mac: 52:54:00:00:00:03, hairpin: true, uplink: false } ], segments: [ { prefix: 10.0.0.0/24, gateway: 10.0.0.1 } ] }
routes:
  - { to: 0.0.0.0/0, via: 192.0.2.254, dev: eth0 }
neighbours:
  - { address: 10.0.0.2, mac: fa:16:3e:00:00:01, dev: br0, port: vnet0 }
sysctl: { net.ipv4.ip_forward: 0 }
`;

test('a host is printed as the file that describes it', () => {
  const host = readHost(TEXT, 'h.yaml');
  expect(readHost(printHost(host), 'h.yaml')).toEqual(host);
  expect(printHost(host)).toBe(TEXT);
});

test('a host that has nothing is printed as one that has nothing, but for the loopback device that it is given', () => {
  const text = printHost(readHost('name: h\n', 'h.yaml'));
  expect(text.split('\n')).toContain('bridges: []');
  expect(printHost(readHost(text, 'h.yaml'))).toBe(text);
});
