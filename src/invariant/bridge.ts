/** What nova's bridges let through, and what they leave as it is. */
import { LIMITED_BROADCAST, familyOf, lastAddress, prefixOf, printAddress } from '../address/address.ts';
import {
  intersectRanges,
  normalizeRanges,
  prefixRange,
  subtractRanges,
  unionRanges,
  type Ranges,
} from '../address/ranges.ts';
import type { Ending, PacketsClaim } from '../claim/claim.ts';
import type { DeploymentHost, Network as NovaNetwork } from '../deployment/deployment.ts';
import { keptFor } from '../deployment/kept.ts';
import { translates } from '../deployment/placement.ts';
import { isSince, RELEASES } from '../deployment/release.ts';
import { hasRole } from '../deployment/service.ts';
import { interfaceOf, type Host } from '../host/host.ts';
import type { ConntrackState } from '../packet/packet.ts';
import { intersectSets, setOf, subtractSets } from '../packet/pattern.ts';
import type { Law, LawContext } from './law.ts';
import { accepted, only } from './vocabulary/admission.ts';
import {
  everyFloat,
  everySubnet,
  fixedAddresses,
  hostIn,
  localTo,
  plugOf,
  stationName,
  unicast,
  worldAround,
  worldBehind,
  type FixedAddress,
} from './vocabulary/addresses.ts';
import { filtersBridged, forwards, routedBy, sourcesOn } from './vocabulary/approach.ts';
import { chainOf, instanceChain } from './vocabulary/chain.ts';
import { claimAt, claimsOr, HARDENED, nearNames, opening } from './vocabulary/claims.ts';
import { arrivalsAt, outwardEntries, portOf } from './vocabulary/entries.ts';
import { packetsInState } from './vocabulary/openers.ts';
import { forwardedByOperator } from './vocabulary/operator.ts';
import { nearOf, towards } from './vocabulary/visit.ts';
import { acceptsForwarded, deliversTo, dropsThrough, waysOut, type WayOut } from './vocabulary/ways.ts';

const forwardsBothWays: Law = {
  id: 'bridge/forwards-both-ways',
  kind: 'packets',
  severity: 'error',
  statement:
    'With policies DROP: tracked packets out of an instance through its bridge, and admitted ones in, are forwarded; and nothing is that neither comes from nor goes to a bridge of nova’s, unless an operator’s own rules accept it.',
  source:
    'The article: "Allow a forwarded traffic pass bridge so the IP on br100 can work as a gateway" and "These rules on the nova-compute host allow VMs to connect with nova-network host and VMs on other compute hosts"; nova/network/linux_net.py ensure_bridge',
  requires: 'an instance whose gateway is a host with nova-network',
  brokenBy:
    'The rule "-i br100 -j ACCEPT" or "-o br100 -j ACCEPT" removed from every wrapped FORWARD chain of a host, or one for another device.',
  knownFailures: [],
  claims: (context) =>
    claimsOr('no instance has a gateway that is a host with nova-network, and no host forwards by nova’s rules alone', [
      ...waysOut(context).flatMap((way) => (way.open ? [...outward(context, way), ...inward(context, way)] : [])),
      ...context.deployment.hosts.flatMap((host) => nothingElse(context, host)),
    ]),
};

const TRACKED: readonly ConntrackState[] = ['NEW', 'ESTABLISHED', 'RELATED'];

/** To the world, by way of the gateway; and what the world answers. */
function outward(context: LawContext, { fixed, gateway }: WayOut): readonly PacketsClaim[] {
  const point = portOf(fixed);
  const daddr = worldAround(context, gateway.name);
  // An answer that comes in by the bridge on which the instance is would have to leave by the port that it came in by (S20).
  const bridges = new Set(hostIn(context.network, gateway.name)?.bridges.map(({ name }) => name));
  const answered = worldBehind(context, gateway.name).every(({ device }) => !bridges.has(device));
  const chain = chainOf(gateway, 'network', 'filter', 'FORWARD');
  return TRACKED.map((state) =>
    claimAt(point, {
      says: `with policies DROP ${state} packets of ${fixed.instance.name} by ${point.name} from ${printAddress(fixed.address)} to the outside are forwarded`,
      state,
      set: intersectSets(packetsInState(4, state), setOf({ family: 4, saddr: only(fixed.address), daddr })),
      ending: { kind: 'reaches', place: { kind: 'outside' } },
      ...(state === 'NEW' && answered ? { reply: toInstance(fixed) } : {}),
      chain,
      postures: HARDENED,
      near: nearNames(context),
    }),
  );
}

const toInstance = (fixed: FixedAddress): Ending => ({
  kind: 'reaches',
  place: { kind: 'instance', name: stationName(fixed) },
});

/** From the world straight to the fixed address, as far as the instance's chain lets in. */
function inward(context: LawContext, { fixed, gateway }: WayOut): readonly PacketsClaim[] {
  const host = hostIn(context.network, gateway.name);
  if (host === undefined || !deliversTo(context.network, gateway.name, fixed)) return [];
  const welcome = accepted(context.deployment, fixed.instance, 4);
  const chain =
    gateway === fixed.host
      ? instanceChain(context.deployment, fixed.instance)
      : chainOf(gateway, 'network', 'filter', 'FORWARD');
  return outwardEntries(context.network, gateway.name).flatMap((point) => {
    if (point.kind !== 'interface' || point.entry.kind !== 'in') return [];
    const sources = sourcesOn(context.network, host, point.entry.interface, 4);
    return [
      claimAt(point, {
        says: `with policies DROP NEW packets to ${printAddress(fixed.address)} that ${fixed.instance.name} admits and that enter by ${point.name} are forwarded`,
        set: intersectSets(towards('NEW', fixed.address, sources), welcome),
        ending: toInstance(fixed),
        chain,
        postures: HARDENED,
        near: nearOf(context, 4),
      }),
    ];
  });
}

/** From a device to a device: nova accepts only what has to do with its bridges. An operator may accept more. */
function nothingElse(context: LawContext, host: DeploymentHost): readonly PacketsClaim[] {
  const found = hostIn(context.network, host.name);
  const besides = forwardedByOperator(host, 4, 'NEW');
  const isNovas = translates(context.deployment, host) || hasRole(host, 'compute');
  if (found === undefined || !isNovas || besides === undefined) return [];
  const devices = arrivalsAt(context.network, host.name).filter(({ kind }) => kind === 'interface');
  const elsewhere = devices
    .flatMap(({ entry }) => (entry.kind === 'in' ? [routedBy(found, entry.interface, 4)] : []))
    .reduce((all, ranges) => unionRanges(all, ranges), []);
  // An instance's chain accepts what it admits wherever the host sends it.
  const own = unionRanges(localTo(context.network, host.name), everySubnet(context.deployment));
  const daddr = subtractRanges(intersectRanges(unicast(), elsewhere), own);
  return devices.map((point) =>
    claimAt(point, {
      says: `with policies DROP nothing NEW that enters by ${point.name} and leaves by no bridge is forwarded, but what an operator accepts`,
      set: subtractSets(opening(setOf({ family: 4, daddr })), besides),
      ending: { kind: 'never-reaches' },
      postures: HARDENED,
      near: nearNames(context),
    }),
  );
}

const forwardsToStrangers: Law = {
  id: 'bridge/forwards-to-strangers',
  kind: 'packets',
  severity: 'error',
  statement:
    'With policies DROP: what is routed to an address of a bridge’s subnet that no instance of this host has leaves by the bridge’s own interface, to the same address; and so does what an instance of this host sends to it.',
  source:
    'The article: "Allow a forwarded traffic pass bridge so the IP on br100 can work as a gateway" and "allow VMs to connect with nova-network host and VMs on other compute hosts": who is behind the bridge’s own interface the rules cannot know',
  requires: 'a bridge with an interface of the host’s own, through which nova lets pass what is forwarded',
  brokenBy:
    'A rule in a wrapped FORWARD chain, or an address in an instance chain’s jump, that takes in more of the subnet.',
  knownFailures: [],
  claims: (context) =>
    claimsOr(
      'nova lets nothing pass through a bridge that has an interface of the host’s own',
      context.deployment.hosts.flatMap((host) =>
        context.deployment.networks.flatMap((network) => toStrangers(context, host, network)),
      ),
    ),
};

function toStrangers(context: LawContext, host: DeploymentHost, on: NovaNetwork): readonly PacketsClaim[] {
  const { deployment, network } = context;
  const found = hostIn(network, host.name);
  const uplink = plugOf(network, host.name, on.bridge);
  if (found === undefined || uplink === undefined) return [];
  if (!acceptsForwarded(deployment, host, on) || dropsThrough(deployment, host, on.bridge)) return [];
  const here = fixedAddresses(deployment).filter((fixed) => fixed.host === host);
  const taken = unionRanges(only(...here.map(({ address }) => address)), everyFloat(deployment));
  const subnet = prefixRange(on.cidr);
  const ends = unionRanges(only(on.cidr.address, lastAddress(on.cidr)), localTo(network, host.name));
  const strangers = subtractRanges([subnet], unionRanges(taken, ends));
  const common = {
    ending: { kind: 'leaves', by: { host: host.name, interface: uplink }, as: { daddr: 'original' } },
    postures: HARDENED,
    near: nearNames(context),
  } as const;
  const names = `an address of ${on.label} that no instance of ${host.name} has`;
  const routed = intersectRanges(strangers, connectedTo(found, on.bridge));
  const chain = chainOf(host, hasRole(host, 'network') ? 'network' : 'compute', 'filter', 'FORWARD');
  const byDevices = arrivalsAt(network, host.name).flatMap((point) => {
    if (point.kind !== 'interface' || point.entry.kind !== 'in' || !forwards(found, 4)) return [];
    // Where the frames of a flow are not believed to come from, nothing is claimed of them.
    const saddr = subtractRanges(sourcesOn(network, found, point.entry.interface, 4), everySubnet(deployment));
    return [
      claimAt(point, {
        says: `with policies DROP NEW packets to ${names} that enter by ${point.name} leave by ${uplink}`,
        set: opening(setOf({ family: 4, saddr, daddr: routed })),
        chain,
        ...common,
      }),
    ];
  });
  const byInstances = here
    .filter((fixed) => fixed.network === on)
    .map((fixed) =>
      claimAt(portOf(fixed), {
        says: `with policies DROP NEW packets of ${fixed.instance.name} by ${portOf(fixed).name} to ${names} leave by ${uplink}`,
        set: opening(setOf({ family: 4, saddr: only(fixed.address), daddr: strangers })),
        chain: chainOf(host, 'compute', 'filter', 'FORWARD'),
        ...common,
      }),
    );
  return [...byDevices, ...byInstances];
}

/** The addresses that a host finds on the link of a device, not behind a router there. */
const connectedTo = (host: Host, device: string): Ranges =>
  intersectRanges(
    routedBy(host, device, 4),
    (interfaceOf(host, device)?.addresses ?? [])
      .filter(({ address }) => familyOf(address) === 4)
      .map(({ address, length }): Ranges => [prefixRange(prefixOf(address, length))])
      .reduce((all, next) => unionRanges(all, next), []),
  );

const notTranslated: Law = {
  id: 'bridge/not-translated',
  kind: 'packets',
  severity: 'warning',
  statement: 'Bridged and flooded frames keep their source.',
  source: 'What an operator wants: nova’s translation is meant for what is routed; observed fact S18',
  requires: 'instances',
  brokenBy:
    'The exemption of traffic inside fixed_range removed; and what nova itself writes before Folsom, for flooded frames.',
  knownFailures: [
    {
      releases: ['essex', 'folsom-2'],
      because:
        'the SNAT rules ask for no device, and flooded frames pass POSTROUTING where bridge-nf-call-iptables is 1: a DHCP rebind reaches dnsmasq from routing_source_ip',
      where: (claim, context) =>
        claim.says.startsWith(FLOODED) &&
        context.deployment.hosts.some((host) => translatesFloods(context, host, claim.host)),
    },
    {
      releases: RELEASES.filter((release) => isSince(release, 'folsom')),
      because: 'the same where public_interface is empty',
      where: (claim, context) =>
        claim.says.startsWith(FLOODED) &&
        context.deployment.hosts.some(
          (host) =>
            host.snatInterface === undefined &&
            host.flags.routing_source_ip !== undefined &&
            translatesFloods(context, host, claim.host),
        ),
    },
  ],
  claims: (context) =>
    claimsOr(
      'there are no instances',
      fixedAddresses(context.deployment).flatMap((fixed) => [bridged(context, fixed), flooded(context, fixed)]),
    ),
};

const FLOODED = 'flooded frames';

/** Frames that are flooded from a port on `sender` pass POSTROUTING of this host, where nova-network translates: they leave by a port of its bridge again. */
function translatesFloods({ deployment, network }: LawContext, host: DeploymentHost, sender: string): boolean {
  const found = hostIn(network, host.name);
  return (
    found !== undefined &&
    translates(deployment, host) &&
    filtersBridged(found, 4) &&
    (host.name === sender || found.bridges.some(({ ports }) => ports.length > 1))
  );
}

const KEPT: Ending = { kind: 'whatever-is-reached', as: { saddr: 'original' } };

/** To the other machines of the instance's subnet. */
function bridged(context: LawContext, fixed: FixedAddress): PacketsClaim {
  const point = portOf(fixed);
  const daddr = subtractRanges(
    subtractRanges([prefixRange(fixed.network.cidr)], localTo(context.network, fixed.host.name)),
    only(fixed.address),
  );
  return claimAt(point, {
    says: `frames of ${fixed.instance.name} by ${point.name} to its neighbours arrive from ${printAddress(fixed.address)}`,
    set: opening(setOf({ family: 4, saddr: only(fixed.address), daddr })),
    ending: KEPT,
    chain: chainOf(fixed.host, 'network', 'nat', 'POSTROUTING'),
    near: nearNames(context),
  });
}

/** To everybody on the link, and to multicast groups. */
function flooded(context: LawContext, fixed: FixedAddress): PacketsClaim {
  const point = portOf(fixed);
  const daddr: Ranges = normalizeRanges([
    ...only(LIMITED_BROADCAST),
    { from: prefixRange(fixed.network.cidr).to, to: prefixRange(fixed.network.cidr).to },
    ...MULTICAST,
  ]);
  return claimAt(point, {
    says: `${FLOODED} of ${fixed.instance.name} by ${point.name} arrive from ${printAddress(fixed.address)}`,
    set: opening(setOf({ family: 4, saddr: only(fixed.address), daddr })),
    ending: KEPT,
    chain: chainOf(fixed.host, 'network', 'nat', 'snat'),
    near: nearBroadcast(context),
  });
}

const nearBroadcast = keptFor((context: LawContext) => {
  const { addresses, ports } = nearNames(context);
  return { addresses: [...addresses, LIMITED_BROADCAST], ports };
});

const MULTICAST: Ranges = [prefixRange({ address: 0xe0000000, length: 4 })];

export const BRIDGE_LAWS: readonly Law[] = [forwardsBothWays, forwardsToStrangers, notTranslated];
