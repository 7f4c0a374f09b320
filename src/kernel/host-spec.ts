/** From the model's host to what the helper makes a namespace of. Pure. */
import { familyOf, isLoopback, printAddress, printPrefix, printShortPrefix } from '../address/address.ts';
import { prefixesOf } from '../address/ranges.ts';
import { sysctlOf, type Bridge, type Host, type InterfaceAddress, type IpSet, type IpSetField } from '../host/host.ts';
import { assumedMac } from '../host/link.ts';
import { ICMP, ICMPV6 } from '../packet/packet.ts';
import type { BridgeSpec, HostSpec } from './protocol.ts';

/** The sysctls whose value the model knows even where the host does not say: a new namespace must not decide for itself. */
const SYSCTLS = [
  'net.ipv4.ip_forward',
  'net.ipv4.conf.all.rp_filter',
  'net.ipv4.conf.all.route_localnet',
  'net.bridge.bridge-nf-call-iptables',
  'net.bridge.bridge-nf-call-ip6tables',
  'net.netfilter.nf_conntrack_tcp_loose',
  'net.netfilter.nf_conntrack_tcp_be_liberal',
];

/**
 * All that the model asks a host for. Nothing else of a host file is set: it is somebody's text, and a name that is no namespace's own would be the machine's.
 */
const IS_ASKED_FOR =
  /^net\.(?:ipv4\.ip_forward|ipv6\.conf\.all\.forwarding|ipv4\.conf\.[^/]{1,15}\.(?:rp_filter|route_localnet)|bridge\.bridge-nf-[a-z0-9-]+|netfilter\.nf_conntrack_tcp_(?:loose|be_liberal))$/;

/** Specs of hosts, which many cases have. */
const known = new WeakMap<Host, HostSpec>();

/** The host as namespace: what a world is made from. */
export function hostSpec(host: Host): HostSpec {
  const spec = known.get(host) ?? specOf(host);
  known.set(host, spec);
  return spec;
}

function specOf(host: Host): HostSpec {
  const bridges = new Set(host.bridges.map((bridge) => bridge.name));
  const devices = host.interfaces.filter(({ name }) => name !== 'lo' && !bridges.has(name));
  const ipv6 =
    host.interfaces.some((device) => device.addresses.some(({ address }) => familyOf(address) === 6)) ||
    host.routes.some((route) => familyOf(route.to.address) === 6);
  const sysctl = Object.fromEntries(SYSCTLS.map((name) => [name, sysctlOf(host, name)]));
  if (ipv6) sysctl['net.ipv6.conf.all.forwarding'] = sysctlOf(host, 'net.ipv6.conf.all.forwarding');
  for (const [name, value] of host.sysctl)
    if (IS_ASKED_FOR.test(name) && (ipv6 || !name.startsWith('net.ipv6.'))) sysctl[name] = value;
  return {
    name: host.name,
    devices: devices.map(({ name, mac }) => ({ name, mac })),
    bridges: host.bridges.map((bridge) => bridgeSpec(host, bridge)),
    addresses: host.interfaces.flatMap((device) =>
      inOrderOfMaking(device.addresses)
        // The kernel gives lo its own.
        .filter(({ address }) => !(device.name === 'lo' && isLoopback(address)))
        .map(({ address, length, scope }) => ({
          dev: device.name,
          address: `${printAddress(address)}/${length}`,
          scope: scope ?? (device.name === 'lo' ? 'host' : 'global'),
        })),
    ),
    routes: host.routes.map(({ to, via, dev, src }) =>
      [
        printPrefix(to),
        ...(via === undefined ? [] : ['via', printAddress(via)]),
        'dev',
        dev,
        ...(src === undefined ? [] : ['src', printAddress(src)]),
        // A gateway that no subnet of the device holds is still reached by it.
        ...(via === undefined ? [] : ['onlink']),
      ].join(' '),
    ),
    neighbours: host.neighbours.map(({ address, mac, dev, port }) => ({
      address: printAddress(address),
      mac,
      dev,
      ...(port === undefined ? {} : { port }),
    })),
    assumedMacPrefix: assumedMac(0).replaceAll(':', '').slice(0, 4),
    sysctl,
    sets: [...host.sets.values()].flatMap(setLines),
    ipv6,
  };
}

/** A namespace with nothing in it but rules, which need a host to be loaded in. */
export const BARE_HOST: HostSpec = {
  name: 'bare',
  devices: [],
  bridges: [],
  addresses: [],
  routes: [],
  neighbours: [],
  sysctl: {},
  sets: [],
  ipv6: false,
};

/** `ip addr` lists IPv4 addresses as they were added, IPv6 ones the other way round (ipv6_link_dev_addr). */
const inOrderOfMaking = (addresses: readonly InterfaceAddress[]): InterfaceAddress[] => [
  ...addresses.filter(({ address }) => familyOf(address) === 4),
  ...addresses.filter(({ address }) => familyOf(address) === 6).reverse(),
];

function bridgeSpec(host: Host, bridge: Bridge): BridgeSpec {
  const own = host.interfaces.find(({ name }) => name === bridge.name);
  // A frame to a machine that nobody knows goes to the physical network where there is one (bridgeDecision).
  const hasUplink = bridge.ports.some((port) => port.uplink);
  return {
    name: bridge.name,
    mac: own?.mac ?? bridge.ports[0]?.mac ?? '02:00:00:00:00:01',
    ports: bridge.ports.map(({ name, mac, hairpin, uplink }) => ({
      name,
      mac,
      hairpin,
      flood: uplink || !hasUplink,
    })),
  };
}

function setLines(set: IpSet): string[] {
  const fields = set.entries.flatMap((entry) => entry.fields);
  const ipv6 = fields.some((field) => field.kind === 'address' && familyOf(field.from) === 6);
  const masks = fields.flatMap((field) => (field.kind === 'mark' ? (field.mask ?? []) : []));
  return [
    [
      `create ${set.name} ${set.type}`,
      ...(ipv6 ? ['family inet6'] : []),
      ...(set.type.startsWith('bitmap:') ? [`range ${bitmapRange(set)}`] : []),
      ...masks.slice(0, 1).map((mask) => `markmask 0x${mask.toString(16)}`),
    ].join(' '),
    ...set.entries.flatMap((entry) => {
      const wildcard = entry.fields.some((field) => field.kind === 'interface' && field.wildcard === true);
      const options = `${wildcard ? ' wildcard' : ''}${entry.nomatch ? ' nomatch' : ''}`;
      const words = entry.fields.reduce<readonly string[]>(
        (begun, field) =>
          begun.flatMap((word) => wordsOf(field).map((next) => [...(word ? [word] : []), next].join(','))),
        [''],
      );
      return words.map((word) => `add ${set.name} ${word}${options}`);
    }),
  ];
}

/** A bitmap has to be told its ends: those of what it holds are enough. */
function bitmapRange(set: IpSet): string {
  if (set.type === 'bitmap:port') return '0-65535';
  const ends = set.entries.flatMap(({ fields: [field] }) =>
    field?.kind === 'address' ? [Number(field.from), Number(field.to)] : [],
  );
  const [from, to] = ends.length === 0 ? [0, 0] : [Math.min(...ends), Math.max(...ends)];
  return `${printAddress(from)}-${printAddress(to)}`;
}

/** An address as networks: ipset takes ranges of IPv4 only. */
function wordsOf(field: IpSetField): readonly string[] {
  switch (field.kind) {
    case 'address':
      return prefixesOf(field).map(printShortPrefix);
    case 'port': {
      const { protocol, from, to } = field;
      if (protocol === ICMP || protocol === ICMPV6)
        return [`${protocol === ICMP ? 'icmp' : 'icmpv6'}:${from >> 8}/${from & 255}`];
      return [`${protocol === undefined ? '' : `${protocol}:`}${from}${from === to ? '' : `-${to}`}`];
    }
    case 'mac':
      return [field.mac];
    case 'mark':
      return [`0x${field.value.toString(16)}`];
    case 'interface':
      return [`${field.physdev === true ? 'physdev:' : ''}${field.name}`];
  }
}
