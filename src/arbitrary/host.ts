/**
 * Hosts as nova-network hosts are: a public interface with floating addresses, a bridge with instances on its ports, a third network, the metadata
 * address on lo. What varies is what changes a packet's way: sysctls, hairpin mode, an uplink port. There are few of them on purpose: a world of the
 * kernel judge costs fifty cases.
 */
import fc from 'fast-check';
import {
  parseAddress,
  parseAddressWithLength,
  parsePrefix,
  type Address,
  type Family,
  type Prefix,
} from '../address/address.ts';
import type { Mac } from '../address/mac.ts';
import type { Host, InterfaceAddress, Neighbour } from '../host/host.ts';
import { linkLocalAddress } from '../host/mac.ts';
import { readHost } from '../host/read.ts';

/** What a generated host may differ in. */
export interface HostTraits {
  readonly bridgeFilter: boolean;
  readonly hairpin: boolean;
  readonly uplink: boolean;
  readonly forwarding: boolean;
  readonly reversePath: 0 | 1 | 2;
  readonly routeLocalnet: boolean;
  readonly tcpLoose: boolean;
}

export const PLAIN_HOST: HostTraits = {
  bridgeFilter: true,
  hairpin: false,
  uplink: false,
  forwarding: true,
  reversePath: 0,
  routeLocalnet: false,
  tcpLoose: true,
};

const need = <T>(value: T | undefined, text: string): T => {
  if (value === undefined) throw new Error(`bad literal ${text}`);
  return value;
};

const address = (text: string): Address => need(parseAddress(text), text);
const prefix = (text: string): Prefix => need(parsePrefix(text), text);
const own = (text: string, scope?: 'link' | 'host'): InterfaceAddress => ({
  ...need(parseAddressWithLength(text), text),
  ...(scope === undefined ? {} : { scope }),
});

const ofLink = (mac: Mac): InterfaceAddress => ({ address: linkLocalAddress(mac), length: 64, scope: 'link' });

export const MACS = {
  eth0: '02:00:00:00:01:01',
  br100: '02:00:00:00:01:02',
  eth2: '02:00:00:00:01:03',
  vnet0: 'fe:16:3e:00:00:02',
  vnet1: 'fe:16:3e:00:00:03',
  eth1: '02:00:00:00:01:04',
  instance0: 'fa:16:3e:00:00:02',
  instance1: 'fa:16:3e:00:00:03',
  gateway: '02:00:00:00:09:fe',
  client: '02:00:00:00:09:07',
} as const satisfies Record<string, Mac>;

/** The addresses of each family, by what they are: rulesets and conversations are aimed at them. */
export interface Landmarks {
  readonly family: Family;
  readonly instances: readonly [Address, Address];
  readonly stranger: Address;
  readonly bridge: Address;
  readonly host: Address;
  readonly floating: readonly [Address, Address];
  readonly third: Address;
  readonly thirdMachine: Address;
  readonly client: Address;
  readonly outside: Address;
  readonly gateway: Address;
  readonly metadata: Address;
  /** Addresses for which the host has a special ear: loopback, broadcasts, multicast, the unspecified one, those of one link. */
  readonly odd: readonly Address[];
  readonly fixedRange: Prefix;
  readonly publicRange: Prefix;
}

export const LANDMARKS: Readonly<Record<Family, Landmarks>> = {
  4: {
    family: 4,
    instances: [address('10.10.10.2'), address('10.10.10.3')],
    stranger: address('10.10.10.77'),
    bridge: address('10.10.10.1'),
    host: address('192.168.1.90'),
    floating: [address('192.168.1.233'), address('192.168.1.234')],
    third: address('172.16.0.1'),
    thirdMachine: address('172.16.0.9'),
    client: address('192.168.0.7'),
    outside: address('203.0.113.9'),
    gateway: address('192.168.0.254'),
    metadata: address('169.254.169.254'),
    odd: [
      '127.0.0.1',
      '255.255.255.255',
      '10.10.10.255',
      '224.0.0.1',
      '0.0.0.0',
      '240.0.0.1',
      '10.10.10.0',
      '127.255.255.255',
    ].map(address),
    fixedRange: prefix('10.10.10.0/24'),
    publicRange: prefix('192.168.0.0/16'),
  },
  6: {
    family: 6,
    instances: [address('fd00:10::2'), address('fd00:10::3')],
    stranger: address('fd00:10::77'),
    bridge: address('fd00:10::1'),
    host: address('2001:db8:1::90'),
    floating: [address('2001:db8:1::233'), address('2001:db8:1::234')],
    third: address('fd00:20::1'),
    thirdMachine: address('fd00:20::9'),
    client: address('2001:db8:1::7'),
    outside: address('2001:db8:ffff::9'),
    gateway: address('2001:db8:1::fe'),
    metadata: address('fd00:a9fe::fe'),
    odd: [
      '::1',
      'ff02::1',
      '::',
      'fe80::9',
      'fe80::ff:fe00:101',
      'fe80::ff:fe00:102',
      'fd00:10::',
      'ff02::2',
      'ff02::1:ff00:1',
      'ff01::1',
    ].map(address),
    fixedRange: prefix('fd00:10::/64'),
    publicRange: prefix('2001:db8:1::/64'),
  },
};

/** Hosts that have been made: one for all cases that have these traits. */
const made = new WeakMap<HostTraits, Host>();

/** The host with these traits, of both families. */
export function hostWith(traits: HostTraits): Host {
  const host = made.get(traits) ?? makeHost(traits);
  made.set(traits, host);
  return host;
}

function makeHost(traits: HostTraits): Host {
  const { hairpin, uplink } = traits;
  const port = (name: 'vnet0' | 'vnet1' | 'eth1') => ({ name, mac: MACS[name], hairpin, uplink: name === 'eth1' });
  const neighbour = (text: string, mac: Mac, dev: string, at?: string): Neighbour => ({
    address: address(text),
    mac,
    dev,
    ...(at === undefined ? {} : { port: at }),
  });
  const flag = (value: boolean): number => (value ? 1 : 0);
  return {
    name: 'host1',
    interfaces: [
      {
        name: 'lo',
        mac: '00:00:00:00:00:00',
        addresses: [
          own('127.0.0.1/8', 'host'),
          own('169.254.169.254/32', 'link'),
          own('::1/128', 'host'),
          own('fd00:a9fe::fe/128'),
        ],
      },
      {
        name: 'eth0',
        mac: MACS.eth0,
        addresses: [
          own('192.168.1.90/16'),
          own('192.168.1.233/32'),
          own('192.168.1.234/32'),
          own('2001:db8:1::90/64'),
          own('2001:db8:1::233/128'),
          own('2001:db8:1::234/128'),
          ofLink(MACS.eth0),
        ],
      },
      { name: 'eth2', mac: MACS.eth2, addresses: [own('172.16.0.1/24'), own('fd00:20::1/64'), ofLink(MACS.eth2)] },
      { name: 'br100', mac: MACS.br100, addresses: [own('10.10.10.1/24'), own('fd00:10::1/64'), ofLink(MACS.br100)] },
    ],
    bridges: [
      {
        name: 'br100',
        ports: [port('vnet0'), port('vnet1'), ...(uplink ? [port('eth1')] : [])],
        segments: [
          { prefix: prefix('10.10.10.0/24'), gateway: address('10.10.10.1') },
          { prefix: prefix('fd00:10::/64'), gateway: address('fd00:10::1') },
        ],
      },
    ],
    routes: [
      { to: prefix('0.0.0.0/0'), via: address('192.168.0.254'), dev: 'eth0' },
      { to: prefix('::/0'), via: address('2001:db8:1::fe'), dev: 'eth0' },
    ],
    neighbours: [
      neighbour('10.10.10.2', MACS.instance0, 'br100', 'vnet0'),
      neighbour('10.10.10.3', MACS.instance1, 'br100', 'vnet1'),
      neighbour('fd00:10::2', MACS.instance0, 'br100', 'vnet0'),
      neighbour('fd00:10::3', MACS.instance1, 'br100', 'vnet1'),
      neighbour('192.168.0.254', MACS.gateway, 'eth0'),
      neighbour('2001:db8:1::fe', MACS.gateway, 'eth0'),
      neighbour('192.168.0.7', MACS.client, 'eth0'),
      neighbour('2001:db8:1::7', MACS.client, 'eth0'),
    ],
    sysctl: new Map([
      ['net.ipv4.ip_forward', flag(traits.forwarding)],
      ['net.ipv6.conf.all.forwarding', flag(traits.forwarding)],
      ['net.ipv4.conf.all.rp_filter', traits.reversePath],
      ['net.ipv4.conf.all.route_localnet', flag(traits.routeLocalnet)],
      ['net.bridge.bridge-nf-call-iptables', flag(traits.bridgeFilter)],
      ['net.bridge.bridge-nf-call-ip6tables', flag(traits.bridgeFilter)],
      ['net.netfilter.nf_conntrack_tcp_loose', flag(traits.tcpLoose)],
    ]),
    sets: new Map(),
  };
}

/** A host of a recorded case: by its traits, or as a host file says it. */
export type RecordedHost = HostTraits | { readonly file: string };

export const hostOfRecorded = (host: RecordedHost): Host =>
  'file' in host ? readHost(host.file, 'recorded host') : hostWith(host);

/** Traits that occur, the plain host most often; few enough that their worlds are worth keeping. */
const TRAITS: readonly HostTraits[] = [
  PLAIN_HOST,
  { ...PLAIN_HOST, hairpin: true },
  { ...PLAIN_HOST, bridgeFilter: false },
  { ...PLAIN_HOST, uplink: true },
  { ...PLAIN_HOST, reversePath: 1 },
  { ...PLAIN_HOST, reversePath: 2, uplink: true },
  { ...PLAIN_HOST, routeLocalnet: true, hairpin: true },
  { ...PLAIN_HOST, tcpLoose: false },
  { ...PLAIN_HOST, bridgeFilter: false, hairpin: true, uplink: true },
  { ...PLAIN_HOST, forwarding: false },
];

export const arbitraryTraits = (): fc.Arbitrary<HostTraits> =>
  fc.oneof({ arbitrary: fc.constant(PLAIN_HOST), weight: 5 }, { arbitrary: fc.constantFrom(...TRAITS), weight: 6 });
