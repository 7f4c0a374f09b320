/**
 * What a host hears beside its own addresses: the multicast groups that it is in without anybody having asked for them, and the anycast addresses of a router.
 *
 * Source: net/ipv4/igmp.c (ip_mc_up), net/ipv6/addrconf.c (ipv6_add_dev, dev_forward_change, addrconf_join_solict, addrconf_join_anycast); every one
 * was asked on 6.18. Not modelled: what processes join.
 */
import { familyOf, isMulticast, prefixOf, type Address } from '../address/address.ts';
import type { Range } from '../address/ranges.ts';
import { sysctlOf, type Host, type Interface } from './host.ts';

const ALL_HOSTS = 0xe0000001;
const group6 = (scope: bigint, id: bigint): Address => (0xffn << 120n) | (scope << 112n) | id;
const [NODE, LINK] = [1n, 2n];

/** ff01::1 and ff02::1: every device. */
const ALL_NODES = new Set([group6(NODE, 1n), group6(LINK, 1n)]);
/** ff02::2: every device of a router, but lo. In ff01::2 and ff05::2 are only devices that were there before the host became one. */
const ALL_ROUTERS = group6(LINK, 2n);

/** RFC 4291 section 2.7.1: who is asked for the MAC of an address: ff02::1:ff and its last three octets. */
const solicitedNode = (address: Address): Address => group6(LINK, 0x1ff000000n | (BigInt(address) & 0xffffffn));

/** What a device hears beside its own addresses. */
interface Ears {
  readonly anycasts: ReadonlySet<Address>;
  /** The groups by which its addresses are asked for. */
  readonly solicited: ReadonlySet<Address>;
}

const heard = new WeakMap<Host, ReadonlyMap<string, Ears>>();

function earsOf(host: Host): ReadonlyMap<string, Ears> {
  const known = heard.get(host);
  if (known !== undefined) return known;
  const made = new Map(host.interfaces.map((device) => [device.name, earsOn(device, isRouter(host))]));
  heard.set(host, made);
  return made;
}

function earsOn({ name, addresses }: Interface, forwards: boolean): Ears {
  const own = addresses.filter(({ address }) => familyOf(address) === 6);
  const anycasts = forwards
    ? own.filter(({ length }) => length < 127).map(({ address, length }) => prefixOf(address, length).address)
    : [];
  const solicited = name === 'lo' ? [] : [...own.map(({ address }) => address), ...anycasts].map(solicitedNode);
  return { anycasts: new Set(anycasts), solicited: new Set(solicited) };
}

const isRouter = (host: Host): boolean => sysctlOf(host, 'net.ipv6.conf.all.forwarding') !== 0;

/** RFC 4291 section 2.6.1: a router answers to the first address of each of its subnets (addrconf_join_anycast); with `device`, of that device's. */
export const isRoutersAnycast = (host: Host, address: Address, device?: string): boolean =>
  device === undefined
    ? [...earsOf(host).values()].some(({ anycasts }) => anycasts.has(address))
    : earsOf(host).get(device)?.anycasts.has(address) === true;

/** Whether the host hears what comes by this device for this group. */
export function hasJoined(host: Host, group: Address, device: string): boolean {
  if (!isMulticast(group)) return false;
  if (familyOf(group) === 4) return group === ALL_HOSTS;
  if (ALL_NODES.has(group)) return true;
  if (device === 'lo') return false;
  return (isRouter(host) && group === ALL_ROUTERS) || earsOf(host).get(device)?.solicited.has(group) === true;
}

/** Every group that some device of the host can be in. */
export const groupsOf = (host: Host): readonly Address[] => [
  ALL_HOSTS,
  ...ALL_NODES,
  ALL_ROUTERS,
  ...[...earsOf(host).values()].flatMap(({ solicited }) => [...solicited]),
];

/** Groups of a scope no larger than the node, reserved scope 0 included: nothing for them comes from a wire or goes onto one (ip6_rcv_core, ip6_finish_output2). */
export const NODE_GROUPS: readonly Range[] = Array.from({ length: 16 }, (_, flags) => {
  const from = (0xffn << 120n) | (BigInt(flags) << 116n);
  return { from, to: from + (1n << 113n) - 1n };
});

export const staysOnNode = (address: Address): boolean =>
  isMulticast(address) && typeof address === 'bigint' && ((address >> 112n) & 0xfn) <= NODE;
