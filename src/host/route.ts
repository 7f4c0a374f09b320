/**
 * The routing decision: where a packet goes once its addresses are final, and what makes Linux refuse it.
 *
 * Source: net/ipv4/route.c (ip_route_input_slow, ip_mc_validate_source, __mkroute_output), net/ipv4/fib_frontend.c
 * (fib_validate_source, fib_add_ifaddr), net/ipv6/route.c; observed on 6.18 (design facts S11, S26).
 * Not modelled: policy rules, multipath, metrics, multicast routing, redirects, MTU.
 */
import {
  LIMITED_BROADCAST,
  familyOf,
  isLinkLocal,
  isLoopback,
  isMulticast,
  prefixContains,
  prefixOf,
  widthOf,
  zeroAddress,
  type Address,
  type Family,
  type Prefix,
} from '../address/address.ts';
import { hasJoined, isRoutersAnycast } from './groups.ts';
import { interfaceOf, interfaceSysctl, sysctlOf, type Host, type InterfaceAddress } from './host.ts';
import { ownAddressesOf, type OwnAddresses } from './own.ts';

/** What the local routing table makes of an address (RTN_*). */
export type AddressKind = 'LOCAL' | 'BROADCAST' | 'MULTICAST' | 'UNICAST';

export type RouteDecision =
  /** To the host's own processes. */
  | { readonly kind: 'local'; readonly address: AddressKind }
  | { readonly kind: 'forward'; readonly oif: string; readonly nextHop: Address; readonly src?: Address }
  | { readonly kind: 'refused'; readonly reason: string; readonly noRoute: boolean };

/** The host's own packets always go out by a device, be it `lo`. */
export type OutputDecision = Exclude<RouteDecision, { kind: 'local' }>;

/** One line of the main table: connected or configured. */
export interface TableRoute {
  readonly to: Prefix;
  readonly via?: Address;
  readonly dev: string;
  readonly src?: Address;
}

/** The device that holds `address`, when it is one of the host's own. */
export const localDevice = (host: Host, address: Address): string | undefined =>
  ownAddressesOf(host.interfaces).holder(address) ??
  (isLoopback(address) && broadcastDevice(host, address) === undefined ? 'lo' : undefined);

const broadcastOf = (host: Host, address: Address): ReturnType<OwnAddresses['broadcast']> =>
  ownAddressesOf(host.interfaces).broadcast(address);

/** The device on whose subnet `address` is the directed broadcast. */
const broadcastDevice = (host: Host, address: Address): string | undefined => broadcastOf(host, address)?.device;

/**
 * What kind of address it is to this host, as `-m addrtype` asks (inet_addr_type_dev_table: only the local table is consulted, so everything
 * that is nobody's is UNICAST). With `device` only that device's addresses count.
 */
export function addressKind(host: Host, address: Address, device?: string): AddressKind {
  if (isMulticast(address)) return 'MULTICAST';
  if (familyOf(address) === 4 && (address === LIMITED_BROADCAST || address === 0)) return 'BROADCAST';
  const local = localDevice(host, address);
  if (local !== undefined) return device === undefined || device === local ? 'LOCAL' : 'UNICAST';
  const broadcast = broadcastDevice(host, address);
  if (broadcast !== undefined) return device === undefined || device === broadcast ? 'BROADCAST' : 'UNICAST';
  return 'UNICAST';
}

/** What of an IPv6 address's types the routing table says (match_lookup_rt6): one of those that are asked for is enough. */
const LOOKED_UP = ['LOCAL', 'ANYCAST', 'UNREACHABLE'];

/**
 * Whether the address is of these types, by the names of `-m addrtype`; with `device` only that device's addresses and routes count. IPv4: its one kind is among
 * them. IPv6 (match_type6): every one of MULTICAST, UNICAST (neither multicast nor `::`) and UNSPEC that is asked for holds, and one of LOCAL, ANYCAST and
 * UNREACHABLE if any is. Source: net/netfilter/xt_addrtype.c.
 */
export function isOfAddressTypes(host: Host, address: Address, types: readonly string[], device?: string): boolean {
  if (familyOf(address) === 4) return types.includes(addressKind(host, address, device));
  if (types.includes('MULTICAST') && !isMulticast(address)) return false;
  if (types.includes('UNICAST') && (isMulticast(address) || address === 0n)) return false;
  if (types.includes('UNSPEC') && address !== 0n) return false;
  const asked = types.filter((type) => LOOKED_UP.includes(type));
  return asked.length === 0 || asked.some((type) => lookedUpTypes(host, address, device).includes(type));
}

function lookedUpTypes(host: Host, address: Address, device: string | undefined): readonly string[] {
  // Each device has a route to the groups.
  if (!isMulticast(address) && routeOutput(host, { saddr: 0n, daddr: address }, device).kind === 'refused')
    return ['UNREACHABLE'];
  return [
    ...(addressKind(host, address, device) === 'LOCAL' ? ['LOCAL'] : []),
    ...(isRoutersAnycast(host, address, device) ? ['ANYCAST'] : []),
  ];
}

const tables = new WeakMap<Host, readonly TableRoute[]>();

/** The main table, longest prefix first; connected routes stand before configured ones of the same length. */
export function routingTable(host: Host): readonly TableRoute[] {
  const known = tables.get(host);
  if (known !== undefined) return known;
  const connected = host.interfaces.flatMap((device) =>
    device.name === 'lo'
      ? []
      : device.addresses
          .filter((own) => own.length < widthOf(familyOf(own.address)))
          .map((own) => ({
            to: prefixOf(own.address, own.length),
            dev: device.name,
            // Only IPv4's connected routes name a source.
            ...(familyOf(own.address) === 4 ? { src: own.address } : {}),
          })),
  );
  const table = [...connected, ...host.routes].sort((a, b) => b.to.length - a.to.length);
  tables.set(host, table);
  return table;
}

const lookup = (host: Host, address: Address, device?: string): TableRoute | undefined =>
  routingTable(host).find(
    (route) => prefixContains(route.to, address) && (device === undefined || route.dev === device),
  );

const refused = (reason: string, noRoute = false): OutputDecision => ({ kind: 'refused', reason, noRoute });

/** fib_validate_source: undefined when the source is acceptable on `iif`, else why not. */
function sourceRefusal(host: Host, saddr: Address, iif: string): string | undefined {
  if (iif === 'lo') return undefined;
  if (localDevice(host, saddr) !== undefined) return 'martian source: the address is the host’s own';
  if (familyOf(saddr) === 6) return undefined;
  const strictness = interfaceSysctl(host, iif, 'rp_filter');
  if (strictness === 0) return undefined;
  if (broadcastDevice(host, saddr) !== undefined) return 'martian source: a broadcast address';
  const back = lookup(host, saddr);
  if (back === undefined) return 'rp_filter: no route back to the source';
  if (back.dev === iif) return undefined;
  const hasAddress = (interfaceOf(host, iif)?.addresses ?? []).some((own) => familyOf(own.address) === 4);
  if (!hasAddress || strictness === 1) return `rp_filter: the way back to the source is ${back.dev}, not ${iif}`;
  return undefined;
}

/**
 * The decision for a packet that came in on `iif` (ip_route_input). `bridged`: a bridge asks where a translated packet belongs, and IPv6 then does not ask
 * whether it may be forwarded.
 */
export function routeInput(
  host: Host,
  packet: { saddr: Address; daddr: Address },
  iif: string,
  bridged = false,
): RouteDecision {
  return familyOf(packet.daddr) === 4 ? routeInput4(host, packet, iif) : routeInput6(host, packet.daddr, iif, bridged);
}

function routeInput4(host: Host, { saddr, daddr }: { saddr: Address; daddr: Address }, iif: string): RouteDecision {
  const localnet = interfaceSysctl(host, iif, 'route_localnet') !== 0;
  if (isMulticast(saddr) || saddr === LIMITED_BROADCAST) return refused('martian source: multicast or broadcast');
  if (isMulticast(daddr)) {
    if (!hasJoined(host, daddr, iif)) return refused('multicast group that the host has not joined');
    if (isLoopback(saddr) && !localnet) return refused('martian source: loopback');
    const refusal = saddr === 0 ? undefined : sourceRefusal(host, saddr, iif);
    return refusal === undefined ? { kind: 'local', address: 'MULTICAST' } : refused(refusal);
  }
  const broadcast = (): RouteDecision => {
    const refusal = saddr === 0 ? undefined : sourceRefusal(host, saddr, iif);
    return refusal === undefined ? { kind: 'local', address: 'BROADCAST' } : refused(refusal);
  };
  if (daddr === LIMITED_BROADCAST || (saddr === 0 && daddr === 0)) {
    return isLoopback(saddr) && !localnet ? refused('martian source: loopback') : broadcast();
  }
  if (saddr === 0) return refused('martian source: 0.0.0.0');
  if (daddr === 0) return refused('martian destination: 0.0.0.0');
  if (isLoopback(daddr)) {
    if (!localnet && iif !== 'lo') return refused('martian destination: loopback');
  } else if (isLoopback(saddr) && !localnet && iif !== 'lo') return refused('martian source: loopback');
  if (localDevice(host, daddr) !== undefined) {
    const refusal = sourceRefusal(host, saddr, iif);
    return refusal === undefined ? { kind: 'local', address: 'LOCAL' } : refused(refusal);
  }
  if (broadcastDevice(host, daddr) !== undefined) return broadcast();
  if (sysctlOf(host, 'net.ipv4.ip_forward') === 0) return refused('forwarding is off');
  const route = lookup(host, daddr);
  if (route === undefined) return refused('no route to the destination', true);
  const refusal = sourceRefusal(host, saddr, iif);
  if (refusal !== undefined) return refused(refusal);
  return forwardOn(route, daddr);
}

/** ip6_route_input. What is wrong with the addresses themselves, ip6_rcv has refused before any hook. */
function routeInput6(host: Host, daddr: Address, iif: string, bridged: boolean): RouteDecision {
  if (isMulticast(daddr))
    return hasJoined(host, daddr, iif)
      ? { kind: 'local', address: 'MULTICAST' }
      : refused('multicast group that the host has not joined');
  const by = isStrict6(daddr) ? iif : undefined;
  if (isOwnAddress(host, daddr, by) || isRoutersAnycast(host, daddr, by)) return { kind: 'local', address: 'LOCAL' };
  const route = lookup(host, daddr, by);
  if (route === undefined) return refused('no route to the destination', true);
  // ip6_forward, before FORWARD is asked.
  if (!bridged && sysctlOf(host, 'net.ipv6.conf.all.forwarding') === 0) return refused('forwarding is off');
  return forwardOn(route, daddr);
}

/** rt6_need_strict: an address that means something on one device only; to it lead only that device's routes, the local ones among them. */
const isStrict6 = (daddr: Address): boolean => isLoopback(daddr) || isLinkLocal(daddr);

/** An address of the host's own; with `device`, of that one. */
export const isOwnAddress = (host: Host, address: Address, device?: string): boolean => {
  const holder = localDevice(host, address);
  if (device === undefined || holder === undefined || holder === device) return holder !== undefined;
  // Several devices may have the same link-local address: a bridge has the MAC of one of its ports.
  return interfaceOf(host, device)?.addresses.some((own) => own.address === address) === true;
};

/** ipv6_anycast_destination: it is known that several machines have this address: the host itself as a router, or it is the first of a subnet that is on a link of the host's. */
export function isAnycastTo(host: Host, daddr: Address): boolean {
  if (isOwnAddress(host, daddr)) return false;
  if (isRoutersAnycast(host, daddr)) return true;
  const route = lookup(host, daddr);
  return route !== undefined && route.via === undefined && route.to.length < 127 && route.to.address === daddr;
}

/**
 * ip6_forward: why Linux does not forward from this address out by another device than the packet came in by (RFC 4291 section 2.5.6). A packet that goes back by the
 * same device is not looked at.
 */
export function scopeRefusal6(saddr: Address, iif: string, oif: string): string | undefined {
  if (iif === oif || familyOf(saddr) === 4) return undefined;
  if (saddr === 0n) return 'martian source: ::';
  return isLinkLocal(saddr) ? 'a link-local address may not leave its link' : undefined;
}

const forwardOn = (route: TableRoute, daddr: Address): OutputDecision => ({
  kind: 'forward',
  oif: route.dev,
  nextHop: route.via ?? daddr,
  ...(route.src === undefined ? {} : { src: route.src }),
});

/**
 * The decision for a packet of the host's own (ip_route_output). `oif` is `lo` for the host's own addresses. A loopback source may not leave by
 * another device unless route_localnet says so there (S11). `by` is the device that its sender has named, as IPv6 senders do for link-local destinations; where none is
 * named, those have the first device with a route.
 */
export function routeOutput(host: Host, packet: { saddr: Address; daddr: Address }, by?: string): OutputDecision {
  const { saddr, daddr } = packet;
  // ip_route_output_key_hash: to nobody is to oneself.
  if (daddr === zeroAddress(familyOf(daddr))) return { kind: 'forward', oif: 'lo', nextHop: daddr };
  if (isOwnAddress(host, daddr, by) || isRoutersAnycast(host, daddr, by))
    return { kind: 'forward', oif: 'lo', nextHop: daddr };
  if (isMulticast(daddr) || daddr === LIMITED_BROADCAST) {
    // Nothing in the table says where: it leaves by the device that holds the source.
    const device = localDevice(host, saddr);
    if (device !== undefined) return { kind: 'forward', oif: device, nextHop: daddr };
  }
  const broadcast = broadcastOf(host, daddr);
  const toAll = isMulticast(daddr) || daddr === LIMITED_BROADCAST;
  const route =
    broadcast === undefined
      ? lookup(host, daddr, by)
      : { to: prefixOf(daddr, 32), dev: broadcast.device, src: broadcast.source };
  if (route === undefined) return refused('no route to the destination', true);
  // No socket can be bound to a broadcast: a raw one that writes it asks for the way of nobody.
  const isOwnLoopback = familyOf(saddr) === 4 && isLoopback(saddr) && localDevice(host, saddr) !== undefined;
  if (isOwnLoopback && route.dev !== 'lo' && interfaceSysctl(host, route.dev, 'route_localnet') === 0)
    return refused('martian source: a loopback address may not leave the host');
  // __mkroute_output: what is for everybody goes through no gateway.
  return toAll ? { kind: 'forward', oif: route.dev, nextHop: daddr } : forwardOn(route, daddr);
}

/**
 * ip_route_me_harder, ip6_route_me_harder: the decision for one that has a new destination since it was to leave by `oif`. A link-local one is looked for behind that device.
 */
export const rerouteOutput = (
  host: Host,
  packet: { saddr: Address; daddr: Address },
  oif: string | undefined,
): OutputDecision =>
  routeOutput(host, packet, familyOf(packet.daddr) === 6 && isLinkLocal(packet.daddr) ? oif : undefined);

/**
 * inet_select_addr: the first address of a device in the subnet of `near`, else its first, else any device's first. Only addresses of global scope count, so on
 * lo mostly none.
 */
export function selectAddress(host: Host, device: string, near: Address): Address | undefined {
  const family: Family = familyOf(near);
  if (family === 6) return selectAddress6(host, device, near);
  const own = (interfaceOf(host, device)?.addresses ?? []).filter(
    (candidate) => familyOf(candidate.address) === family && isGlobal(device, candidate),
  );
  const inSubnet = own.find((candidate) => prefixContains(prefixOf(candidate.address, candidate.length), near));
  const any = (inSubnet ?? own[0])?.address ?? anyGlobal(host, family);
  return any === zeroAddress(family) ? undefined : any;
}

/** The source that the host's own packets to `daddr` take when their socket is unbound. */
export function sourceFor(host: Host, daddr: Address, by?: string): Address {
  const decision = routeOutput(host, { saddr: zeroAddress(familyOf(daddr)), daddr }, by);
  if (decision.kind === 'forward' && decision.oif === 'lo' && localDevice(host, daddr) !== undefined) return daddr;
  if (decision.kind !== 'forward') return zeroAddress(familyOf(daddr));
  // IPv4 looks for a source near the next hop, IPv6 near the destination.
  const near = familyOf(daddr) === 4 ? decision.nextHop : daddr;
  return decision.src ?? selectAddress(host, decision.oif, near) ?? anyGlobal(host, familyOf(daddr));
}

/**
 * ipv6_dev_get_saddr (RFC 6724 section 5): an address of a scope that reaches the destination and no farther, then one of the outgoing device before any other's, then one with
 * the label of the destination, then the one that shares the longest prefix with it, as far as its own prefix goes; then the first.
 */
function selectAddress6(host: Host, device: string, destination: Address): Address | undefined {
  let best: { readonly address: Address; readonly rank: readonly number[] } | undefined;
  const farthest = scopeOf(destination);
  for (const { name, addresses } of host.interfaces) {
    // To what is no farther than the link only addresses of the device itself go.
    if ((farthest <= LINK || isMulticast(destination)) && name !== device) continue;
    for (const own of addresses) {
      if (familyOf(own.address) !== 6) continue;
      const scope = scopeOf(own.address);
      const shared = Math.min(sharedBits(own.address, destination), own.length);
      const rank = [
        own.address === destination ? 1 : 0,
        // IPV6_SADDR_RULE_SCOPE: the smallest that is large enough, else the largest.
        scope < farthest ? scope - TOO_NEAR : -scope,
        name === device ? 1 : 0,
        labelOf(own.address) === labelOf(destination) ? 1 : 0,
        shared,
      ];
      if (best === undefined || isAhead(rank, best.rank)) best = { address: own.address, rank };
    }
  }
  return best?.address;
}

/** Scopes as IPv6 counts them, and worse than any of them. */
const NOWHERE = 0;
const LINK = 2;
const SITE = 5;
const GLOBAL = 14;
const TOO_NEAR = 128;

/** ipv6_addr_src_scope: ::1 reaches as far as a link does, a group as far as it says, and :: nowhere. */
function scopeOf(address: Address): number {
  const value = BigInt(address);
  if (isMulticast(address)) return Number((value >> 112n) & 15n);
  if (isLoopback(address) || isLinkLocal(address)) return LINK;
  if (value >> 118n === 0x3fbn) return SITE;
  return value === 0n ? NOWHERE : GLOBAL;
}

const isAhead = (a: readonly number[], b: readonly number[]): boolean => {
  const at = a.findIndex((value, i) => value !== b[i]);
  return at >= 0 && (a[at] ?? 0) > (b[at] ?? 0);
};

/** How many leading bits two IPv6 addresses have in common. */
const sharedBits = (a: Address, b: Address): number => {
  const difference = BigInt(a) ^ BigInt(b);
  return difference === 0n ? 128 : 128 - difference.toString(2).length;
};

/** RFC 6724 section 2.1, as net/ipv6/addrlabel.c has it: the longest prefix that holds the address. */
const LABELS: readonly (readonly [prefix: bigint, length: number, label: number])[] = [
  [1n, 128, 0],
  [0n, 96, 3],
  [0xffffn << 32n, 96, 4],
  [0x20010000n << 96n, 32, 6],
  [0x20010010n << 96n, 28, 7],
  [0x3ffen << 112n, 16, 12],
  [0x2002n << 112n, 16, 2],
  [0xfec0n << 112n, 10, 11],
  [0xfcn << 120n, 7, 5],
];

const labelOf = (address: Address): number =>
  LABELS.find(([prefix, length]) => BigInt(address) >> BigInt(128 - length) === prefix >> BigInt(128 - length))?.[2] ??
  1;

function anyGlobal(host: Host, family: Family): Address {
  for (const device of host.interfaces)
    for (const own of device.addresses)
      if (familyOf(own.address) === family && isGlobal(device.name, own)) return own.address;
  return zeroAddress(family);
}

const isGlobal = (device: string, own: InterfaceAddress): boolean =>
  (own.scope ?? (device === 'lo' ? 'host' : 'global')) === 'global';
