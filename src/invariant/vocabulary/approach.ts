/**
 * By which ways packets come to an instance on the host where it lives: the ways on which its chain can keep its promise. A way is a fact of the host's
 * devices, bridges, routes and sysctls; rules do not matter here.
 */
import {
  familyOf,
  parsePrefix,
  prefixContains,
  zeroAddress,
  type Address,
  type Family,
} from '../../address/address.ts';
import {
  anyAddress,
  intersectRanges,
  normalizeRanges,
  prefixRange,
  rangesContain,
  subtractRanges,
  unionRanges,
  type Ranges,
} from '../../address/ranges.ts';
import type { PacketsClaim, Place } from '../../claim/claim.ts';
import { keptFor } from '../../deployment/kept.ts';
import { bridgeOfPort, interfaceSysctl, sysctlOf, type Bridge, type Host } from '../../host/host.ts';
import { bridgeDecision, stationDmac } from '../../host/link.ts';
import { routeOutput, routingTable } from '../../host/route.ts';
import type { Network } from '../../network/network.ts';
import {
  hostIn,
  isOutward,
  localTo,
  ownRanges,
  plugOf,
  somebodys,
  stationName,
  unicast,
  type FixedAddress,
} from './addresses.ts';
import { addressesOf, only } from './admission.ts';
import { arrivalsAt, processOf, type EntryPoint } from './entries.ts';

/** One way in. */
export interface Approach {
  readonly entry: PacketsClaim['entry'];
  /** For the sentence of a claim: `by wlan0`. */
  readonly words: string;
  /** To whom a packet comes that no rule refuses: the instance, or whoever the host's routes lead to instead. Absent where more hosts have a say. */
  readonly leadsTo?: Place;
  /** The sources that neither the link nor the routing decision refuses, and that are believable there. */
  readonly sources: Ranges;
  /** The sources that a packet can have there at all: the kernel itself fills in that of a process which leaves it open. */
  readonly possible: Ranges;
}

/** The addresses that a host routes out by a device. */
export function routedBy(host: Host, device: string, family: Family): Ranges {
  let rest = anyAddress(family);
  let found: Ranges = [];
  for (const { to, dev } of routingTable(host)) {
    if (familyOf(to.address) !== family) continue;
    const here = [prefixRange(to)];
    if (dev === device) found = unionRanges(found, intersectRanges(rest, here));
    rest = subtractRanges(rest, here);
  }
  return found;
}

/**
 * The sources that a host's routing accepts on a device (fib_validate_source): unicast, none of its own and, where rp_filter is on, only those that it would answer by
 * the same device. (With the value 2 it accepts more, of which nothing is claimed.)
 */
export const sourcesOn = (network: Network, host: Host, device: string, family: Family): Ranges =>
  sourcesOf(network, host.name, device, family);

const sourcesOf = keptFor((network: Network, name: string, device: string, family: Family): Ranges => {
  const host = hostIn(network, name);
  const foreign = subtractRanges(unicast(family), ownRanges(network, name, family));
  if (host === undefined) return foreign;
  if (family === 6 || interfaceSysctl(host, device, 'rp_filter') === 0) return foreign;
  return intersectRanges(foreign, subtractRanges(routedBy(host, device, family), localTo(network, name)));
});

export const forwards = (host: Host, family: Family): boolean =>
  sysctlOf(host, family === 4 ? 'net.ipv4.ip_forward' : 'net.ipv6.conf.all.forwarding') !== 0;

/** True when bridged frames of a family visit iptables on the host (S17). */
export const filtersBridged = (host: Host, family: Family): boolean =>
  sysctlOf(host, `net.bridge.bridge-nf-call-${family === 4 ? 'iptables' : 'ip6tables'}`) !== 0;

const LINK_LOCAL = [parsePrefix('fe80::/10')].flatMap((prefix) => (prefix === undefined ? [] : [prefixRange(prefix)]));

/** Who can send on a link: also machines that have no address but the link's own. */
const onLink = (family: Family): Ranges => (family === 4 ? unicast(4) : unionRanges(unicast(6), LINK_LOCAL));

/**
 * Every way to a fixed address: by each device of its host, by the other ports of its own bridge where bridged frames are filtered, by a port of each other bridge, and from
 * the host's own processes. Of several instances' ports on one bridge only the first is taken: no rule of nova's knows of ports.
 */
export function approachesTo(network: Network, fixed: FixedAddress): readonly Approach[] {
  const host = hostIn(network, fixed.host.name);
  const bridge = host && bridgeOfPort(host, fixed.vif.port);
  if (host === undefined || bridge === undefined) return [];
  const family = familyOf(fixed.address);
  const route = routeOutput(host, { saddr: zeroAddress(family), daddr: fixed.address });
  const instance: Place = { kind: 'instance', name: stationName(fixed) };
  const routed: Pick<Approach, 'leadsTo'> =
    route.kind !== 'forward'
      ? {}
      : route.oif === bridge.name && route.nextHop === fixed.address
        ? { leadsTo: instance }
        : beyond(network, host, route);
  const forwarded = forwards(host, family) ? routed : {};
  const seen = new Set<string>();
  const possible = anyAddress(family);
  const found = arrivalsAt(network, host.name).flatMap((point): Approach[] => {
    if (point.entry.kind !== 'in') return [];
    const name = point.entry.interface;
    if (point.bridge === undefined)
      return [
        {
          entry: point.entry,
          words: `by ${name}`,
          ...forwarded,
          sources: sourcesOn(network, host, name, family),
          possible,
        },
      ];
    // Of another bridge one port, of its own the uplink and a neighbour's.
    const kind = point.bridge === bridge.name ? point.kind : point.bridge;
    if (name === fixed.vif.port || seen.has(kind)) return [];
    const approach =
      point.bridge === bridge.name
        ? sameBridge(network, host, bridge, point, fixed)
        : otherBridge(network, host, point, fixed.address, forwarded);
    if (approach === undefined) return [];
    seen.add(kind);
    return [{ ...approach, possible }];
  });
  const local: Approach = {
    entry: processOf(host.name).entry,
    words: `from a process of ${host.name}`,
    ...routed,
    sources: subtractRanges(unicast(family), only(...addressesOf(fixed.instance, family))),
    possible: subtractRanges(possible, only(zeroAddress(family))),
  };
  return [...found, local];
}

/** By a port of the instance's own bridge. A sender with one of the instance's addresses, or the host's, would upset what the bridge has learnt. */
function sameBridge(
  network: Network,
  host: Host,
  bridge: Bridge,
  { entry, name }: EntryPoint,
  fixed: FixedAddress,
): Omit<Approach, 'possible'> | undefined {
  const { address, instance } = fixed;
  const family = familyOf(address);
  if (!filtersBridged(host, family)) return undefined;
  const subnets = bridge.segments.map(({ prefix }) => prefix).filter((prefix) => familyOf(prefix.address) === family);
  const rangesOf = (own: boolean): Ranges =>
    normalizeRanges(subnets.filter((prefix) => prefixContains(prefix, address) === own).map(prefixRange));
  // A machine sends straight to its neighbours, and one that is on no subnet behaves as if it was on the first.
  const [first] = subnets;
  const stranger = first !== undefined && prefixContains(first, address);
  const direct = stranger ? subtractRanges(onLink(family), rangesOf(false)) : rangesOf(true);
  return {
    entry,
    words: `by ${name}`,
    leadsTo: { kind: 'instance', name: stationName(fixed) },
    sources: subtractRanges(
      subtractRanges(direct, ownRanges(network, host.name, family)),
      only(...addressesOf(instance, family)),
    ),
  };
}

/** Out into the world, where the host's route to an address leads to nobody whom the deployment knows. */
function beyond(
  network: Network,
  host: Host,
  { oif, nextHop }: { readonly oif: string; readonly nextHop: Address },
): Pick<Approach, 'leadsTo'> {
  const plug = plugOf(network, host.name, oif);
  const known = rangesContain(somebodys(network, familyOf(nextHop)), nextHop);
  if (plug === undefined || known || !isOutward(network, host.name, plug)) return {};
  return { leadsTo: { kind: 'outside', at: { host: host.name, interface: plug } } };
}

/** By a port of another bridge: a machine there sends to its gateway, which is this host or is found through its bridge. */
function otherBridge(
  network: Network,
  host: Host,
  { entry, name, bridge: on = '' }: EntryPoint,
  address: Address,
  forwarded: Pick<Approach, 'leadsTo'>,
): Omit<Approach, 'possible'> | undefined {
  const family = familyOf(address);
  const bridge = host.bridges.find((candidate) => candidate.name === on);
  const subnet = bridge?.segments.find(({ prefix }) => familyOf(prefix.address) === family)?.prefix;
  if (bridge === undefined || subnet === undefined) return undefined;
  const routed =
    bridgeDecision(host, bridge, stationDmac(host, bridge, { saddr: subnet.address, daddr: address })).kind === 'up';
  // A bridged frame that no rule sees is none that passes FORWARD here.
  if (!routed && !filtersBridged(host, family)) return undefined;
  return {
    entry,
    words: `by ${name}`,
    ...(routed ? forwarded : {}),
    sources: intersectRanges(sourcesOn(network, host, on, family), [prefixRange(subnet)]),
  };
}
