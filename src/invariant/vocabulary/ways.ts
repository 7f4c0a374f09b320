/** Who serves whom, and which hosts a packet of an instance passes on its way there. */
import { familyOf, isLoopback, prefixOf, type Address } from '../../address/address.ts';
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
import type { Place, Posture } from '../../claim/claim.ts';
import type { Deployment, DeploymentHost, Network as NovaNetwork } from '../../deployment/deployment.ts';
import { keptFor } from '../../deployment/kept.ts';
import {
  dhcpServerFor,
  floatingIpsOn,
  gatewayFor,
  hostNamed,
  makesBridge,
  serves,
  translates,
} from '../../deployment/placement.ts';
import { isSince, RELEASES } from '../../deployment/release.ts';
import { hasRole } from '../../deployment/service.ts';
import { bridgeOf, bridgeOfPort, interfaceOf } from '../../host/host.ts';
import { addressesOf, portsOf } from '../../host/own.ts';
import { routeOutput } from '../../host/route.ts';
import type { Network } from '../../network/network.ts';
import { parseRuleset } from '../../ruleset/parse.ts';
import type { KnownFailure, LawContext } from '../law.ts';
import {
  everyExemption,
  everyFloat,
  fixedAddresses,
  fixedRange,
  hostIn,
  localTo,
  networkHosts,
  ownRanges,
  plugOf,
  somebodys,
  unicast,
  worldBehind,
  type FixedAddress,
  type WorldBehind,
} from './addresses.ts';
import { filtersBridged } from './approach.ts';
import { AS_GIVEN } from './claims.ts';
import type { EntryPoint } from './entries.ts';

/** True when bridged IPv4 frames meet a host's iptables. */
export function filtersFrames(network: Network, host: string): boolean {
  const found = hostIn(network, host);
  return found !== undefined && filtersBridged(found, 4);
}

/** True when both hosts are the same, or their bridges of this nova network are on one wire. */
export function areJoined(network: Network, a: string, b: string, { bridge }: NovaNetwork): boolean {
  if (a === b) return true;
  const on = (host: string, port: string | undefined) => (at: { host: string; interface: string }) =>
    at.host === host && at.interface === port;
  const [first, second] = [plugOf(network, a, bridge), plugOf(network, b, bridge)];
  return network.links.some(({ attachments }) => attachments.some(on(a, first)) && attachments.some(on(b, second)));
}

/** The host whose bridge has the address that an instance routes through. */
export function gatewayOf({ deployment, network }: LawContext, fixed: FixedAddress): DeploymentHost | undefined {
  const address = gatewayFor(fixed.network, fixed.host.name);
  if (address === undefined) return undefined;
  return deployment.hosts.find(({ name }) => {
    const found = hostIn(network, name);
    const bridge = found && interfaceOf(found, fixed.network.bridge);
    return bridge !== undefined && addressesOf(bridge).own.has(address);
  });
}

/** The networks on which the instances of each host have an IPv4 address. */
const guestNetworks = keptFor((deployment: Deployment) => {
  const found = new Map<DeploymentHost, Set<NovaNetwork>>();
  for (const { host, network } of fixedAddresses(deployment))
    found.set(host, (found.get(host) ?? new Set()).add(network));
  return found;
});

/**
 * True when nova accepts what is forwarded through the bridge of a network on a host: nova-network does for a network that it serves as its gateway, nova-compute
 * for each that its instances are on, unless nova-network is on every host anyway (nova/virt/libvirt/vif.py plug).
 */
export const acceptsForwarded = (deployment: Deployment, host: DeploymentHost, network: NovaNetwork): boolean =>
  network.gateway !== undefined &&
  (serves(host, network) ||
    (hasRole(host, 'compute') &&
      !network.multiHost &&
      makesBridge(network) &&
      guestNetworks(deployment).get(host)?.has(network) === true));

/** True when nova accepts what is forwarded through a device: the bridge of such a network. */
export const acceptsThrough = (deployment: Deployment, host: DeploymentHost, device: string | undefined): boolean =>
  deployment.networks.some((network) => network.bridge === device && acceptsForwarded(deployment, host, network));

/**
 * True when nova drops what is forwarded through a device: the bridge of a network that it serves and that has no gateway. Of several networks on one bridge the
 * first has the first word, and what nova-compute accepts for its instances may come before.
 */
export function dropsThrough(deployment: Deployment, host: DeploymentHost, device: string | undefined): boolean {
  const first = deployment.networks.find((network) => network.bridge === device && serves(host, network));
  const isPlugged =
    hasRole(host, 'compute') &&
    [...(guestNetworks(deployment).get(host) ?? [])].some((network) => network.bridge === device);
  return first !== undefined && first.gateway === undefined && !isPlugged;
}

/** True when frames of a network cross a host's bridge whatever the policy of FORWARD. */
export const letsBridged = ({ deployment, network }: LawContext, host: DeploymentHost, on: NovaNetwork): boolean =>
  !filtersFrames(network, host.name) || acceptsForwarded(deployment, host, on);

/** The policy that a chain of filter had before nova, and keeps: an operator's, or the kernel's ACCEPT. */
export const policyOf = keptFor((host: DeploymentHost, chain: 'INPUT' | 'FORWARD'): 'ACCEPT' | 'DROP' => {
  const text = host.rules.get(4);
  if (text === undefined) return 'ACCEPT';
  const { ruleset } = parseRuleset(text, { path: host.name, family: 4 });
  return ruleset.tables.get('filter')?.chains.get(chain)?.policy ?? 'ACCEPT';
});

/** True where bridges forward only within themselves and to listed interfaces (forward_bridge_interface, since Grizzly): bridge/only-listed speaks of that. */
export const isRestricted = ({ flags }: DeploymentHost): boolean => !flags.forward_bridge_interface.includes('all');

/**
 * The postures in which a way is open: both where nova's own rules open it. Otherwise as given, if no operator has closed a host of the way by
 * its policies; else it is not known to be open (undefined).
 */
export function posturesOf(
  open: boolean,
  ...hosts: readonly DeploymentHost[]
): { readonly postures?: readonly Posture[] } | undefined {
  if (hosts.some(isRestricted)) return undefined;
  if (open) return {};
  const closed = hosts.some((host) => policyOf(host, 'INPUT') === 'DROP' || policyOf(host, 'FORWARD') === 'DROP');
  return closed ? undefined : { postures: AS_GIVEN };
}

/**
 * True unless what comes to `host` by one port of a bridge and is translated would have to leave by the same one: where bridged frames are filtered, it is
 * bridged to its new destination behind the same bridge, and needs hairpin mode (S19, S20).
 */
export function turns(network: Network, host: string, from: string | undefined, to: string | undefined): boolean {
  if (from !== to || !filtersFrames(network, host)) return true;
  const found = hostIn(network, host);
  const bridge = found && bridgeOfPort(found, from ?? '');
  return bridge === undefined || portsOf(bridge).byName.get(from ?? '')?.hairpin === true;
}

/** The port, or the interface, by which a host sends to a fixed address. */
export const portTowards = (network: Network, host: string, { host: own, vif, network: { bridge } }: FixedAddress) =>
  own.name === host ? vif.port : plugOf(network, host, bridge);

/** The part of the world whose answers find their way back through `host` to a fixed address, by device. */
export const worldThatAnswers = (context: LawContext, host: DeploymentHost, fixed: FixedAddress): WorldBehind[] =>
  worldBehind(context, host.name).filter(({ device }) =>
    turns(
      context.network,
      host.name,
      plugOf(context.network, host.name, device),
      portTowards(context.network, host.name, fixed),
    ),
  );

/** The way from an instance to the host that is its gateway. */
export interface WayOut {
  readonly fixed: FixedAddress;
  readonly gateway: DeploymentHost;
  /** Rules of nova open it at every host, whatever the policies. */
  readonly open: boolean;
}

/**
 * The way out of an instance through its network's gateway, if that is a host which runs nova-network, is the network's server and can be reached.
 * Undefined also where another nova-network sees the frames before the gateway does: its rules, meant for what it routes, apply to
 * bridged frames too (S17), so such a cloud keeps none of the promises about sources.
 */
export function wayOut(context: LawContext, fixed: FixedAddress): WayOut | undefined {
  const gateway = gatewayOf(context, fixed);
  // Through the bridge of a network without a gateway nova forwards nothing.
  if (gateway === undefined || !serves(gateway, fixed.network) || fixed.network.gateway === undefined) return undefined;
  if (!areJoined(context.network, gateway.name, fixed.host.name, fixed.network)) return undefined;
  const local = gateway === fixed.host;
  if (!local && translates(context.deployment, fixed.host) && filtersFrames(context.network, fixed.host.name))
    return undefined;
  const open =
    acceptsForwarded(context.deployment, gateway, fixed.network) &&
    (local || letsBridged(context, fixed.host, fixed.network));
  return { fixed, gateway, open };
}

/** The ways out of all fixed addresses that have one. */
export const waysOut = keptFor((context: LawContext): readonly WayOut[] =>
  fixedAddresses(context.deployment).flatMap((fixed) => wayOut(context, fixed) ?? []),
);

/** A dnsmasq that an instance leases from and asks. */
export interface Dnsmasq {
  readonly fixed: FixedAddress;
  readonly host: DeploymentHost;
  readonly address: Address;
  readonly open: boolean;
}

/** Who runs dnsmasq for a fixed address: the host that serves its network, the instance's own with multi_host. */
export function dnsmasqOf(context: LawContext, fixed: FixedAddress): Dnsmasq | undefined {
  const { network } = fixed;
  const host = network.multiHost ? fixed.host : hostNamed(context.deployment, network.host ?? '');
  if (host === undefined || !serves(host, network)) return undefined;
  const address = dhcpServerFor(network, host.name);
  if (address === undefined || !areJoined(context.network, host.name, fixed.host.name, network)) return undefined;
  return { fixed, host, address, open: host === fixed.host || letsBridged(context, fixed.host, network) };
}

/** Releases from Folsom on translate only what leaves by public_interface, or by the floating IP's own (959c93f6d3, bug 1048765). */
export const translatesOnlyOutward = ({ release }: Deployment): boolean => isSince(release, 'folsom');

/** The same of a host's SNAT to routing_source_ip, which asks for no interface where public_interface is empty. */
export const masksOnlyOutward = (deployment: Deployment, { snatInterface }: DeploymentHost): boolean =>
  translatesOnlyOutward(deployment) && snatInterface !== undefined;

/** The destinations towards which `host` takes away fixed sources: what is exempt, and what is not routed from this entry, left out. */
export const routedOutside = (context: LawContext, host: DeploymentHost, at: EntryPoint): Ranges =>
  outsideOf(context, host.name, at.bridge ?? '');

const outsideOf = keptFor((context: LawContext, name: string, bridge: string): Ranges => {
  const { deployment, network } = context;
  const host = hostNamed(deployment, name);
  if (host === undefined) return [];
  const kept = unionRanges(everyExemption(deployment), everyFloat(deployment));
  const own = unionRanges(localTo(network, name), segmentsOn(network, name, bridge));
  const forced = forcedDestinations(deployment, host);
  const outside = intersectRanges(subtractRanges(subtractRanges(unicast(), kept), own), forced);
  if (!masksOnlyOutward(deployment, host)) return outside;
  const device = deviceOf(network, host.name, host.publicInterface);
  const outward = worldBehind(context, host.name).find((behind) => behind.device === device);
  return intersectRanges(outside, outward?.addresses ?? []);
});

/** Of laws about what leaves a host translated. */
export const PUBLIC_PORT: KnownFailure = {
  releases: RELEASES.filter((release) => isSince(release, 'folsom')),
  because:
    'the SNAT rules ask for public_interface, and where that is the port of a bridge packets leave by the bridge: the rules match nothing (959c93f6d3)',
  where: (_, { deployment, network }) =>
    networkHosts(deployment).some((host) =>
      (host.snatInterface === undefined
        ? floatingIpsOn(deployment, host).map(({ interface: device }) => device)
        : [host.publicInterface]
      ).some((device) => deviceOf(network, host.name, device) !== device),
    ),
};

/** Where a host's SNAT to routing_source_ip leads at all: everywhere, unless Havana has a force_snat_range. */
export const forcedDestinations = ({ release }: Deployment, { flags }: DeploymentHost): Ranges =>
  release === 'havana' && flags.force_snat_range.length > 0
    ? normalizeRanges(flags.force_snat_range.map(prefixRange))
    : anyAddress(4);

/** The subnets of the machines at a bridge's ports, and those that the bridge itself is in: what they send to one another is bridged, not routed. */
function segmentsOn(network: Network, host: string, name: string): Ranges {
  const found = hostIn(network, host);
  const bridge = found && bridgeOf(found, name);
  if (found === undefined || bridge === undefined) return [];
  const own = interfaceOf(found, bridge.name)?.addresses ?? [];
  return normalizeRanges(
    [...bridge.segments.map(({ prefix }) => prefix), ...own.map(({ address, length }) => prefixOf(address, length))]
      .filter(({ address }) => familyOf(address) === 4)
      .map(prefixRange),
  );
}

/** The device of the IP layer that an interface belongs to: its bridge, where it is the port of one. */
export function deviceOf(network: Network, host: string, name: string): string {
  const found = hostIn(network, host);
  return (found && bridgeOfPort(found, name)?.name) ?? name;
}

/** True when what enters here for another subnet is routed by this host: a plain interface, or a bridge of networks whose gateway it is. */
export function isRouted({ deployment, network }: LawContext, host: DeploymentHost, { bridge }: EntryPoint): boolean {
  if (bridge === undefined) return true;
  const own = ownRanges(network, host.name);
  return deployment.networks
    .filter((known) => known.bridge === bridge)
    .every((known) => {
      const gateway = gatewayFor(known, host.name);
      return serves(host, known) && gateway !== undefined && rangesContain(own, gateway);
    });
}

/** True when no other nova-network takes routing_source_ip of this host for a fixed address, and translates once more. */
export function isTranslatedOnce(deployment: Deployment, host: DeploymentHost): boolean {
  const { routing_source_ip: source } = host.flags;
  return networkHosts(deployment).every(
    (other) => other === host || source === undefined || !rangesContain(fixedRange(deployment, other), source),
  );
}

/** Who answers for metadata, seen from a host that redirects to it. */
export interface MetadataServer {
  readonly place: Place;
  /** The deployment's host that it is; absent for a machine outside. */
  readonly host?: DeploymentHost;
  readonly address: Address;
  readonly port: number;
}

/**
 * What `host` redirects metadata requests to: itself or another host, where nova-api is to run, or a machine outside. Undefined where nobody listens,
 * or where the host's routes do not lead straight there.
 */
export const metadataServerOf = (context: LawContext, host: DeploymentHost): MetadataServer | undefined =>
  metadataServers(context, host.name);

const metadataServers = keptFor(({ deployment, network }: LawContext, name: string): MetadataServer | undefined => {
  const host = hostNamed(deployment, name);
  if (host === undefined) return undefined;
  const { metadata_host: address, metadata_port: port } = host.flags;
  // Loopback is each host's own.
  const owner = isLoopback(address)
    ? host
    : deployment.hosts.find((candidate) => rangesContain(ownRanges(network, candidate.name), address));
  if (owner !== undefined) {
    if (!hasRole(owner, 'metadata')) return undefined;
    if (owner !== host && !leadsTo(network, host.name, owner.name, address)) return undefined;
    return { place: { kind: 'process', host: owner.name }, host: owner, address, port };
  }
  const machine = network.stations.find(({ kind, addresses }) => kind === 'outside' && addresses.includes(address));
  const route = routeOf(network, host.name, address);
  if (machine === undefined || route === undefined) return undefined;
  if (route.nextHop === address) return { place: { kind: 'outside', name: machine.name }, address, port };
  // Beyond a router outside: the last that is seen of a packet is that it went there.
  const isKnown = rangesContain(somebodys(network), route.nextHop);
  return isKnown ? undefined : { place: { kind: 'outside' }, address, port };
});

/** Where a host sends what is for an address; undefined where it has no route, or is itself addressed. */
export function routeOf(
  network: Network,
  host: string,
  address: Address,
): { oif: string; nextHop: Address } | undefined {
  const router = hostIn(network, host);
  const decision = router && routeOutput(router, { saddr: 0, daddr: address });
  return decision?.kind === 'forward' && decision.oif !== 'lo' ? decision : undefined;
}

/** True when a host's route to an address of another leads straight to that one. */
export function leadsTo(network: Network, from: string, to: string, address: Address): boolean {
  const route = routeOf(network, from, address);
  if (route === undefined) return false;
  const { oif, nextHop } = route;
  const target = hostIn(network, to)?.interfaces.find((device) => addressesOf(device).own.has(nextHop));
  if (target === undefined) return false;
  const [near, far] = [plugOf(network, from, oif), plugOf(network, to, target.name)];
  return network.links.some(
    ({ attachments }) =>
      attachments.some((at) => at.host === from && at.interface === near) &&
      attachments.some((at) => at.host === to && at.interface === far),
  );
}

/** True when a host delivers to a fixed address by the bridge of its network. */
export function deliversTo(network: Network, host: string, fixed: FixedAddress): boolean {
  const route = routeOf(network, host, fixed.address);
  return (
    areJoined(network, host, fixed.host.name, fixed.network) &&
    route?.oif === fixed.network.bridge &&
    route.nextHop === fixed.address
  );
}
