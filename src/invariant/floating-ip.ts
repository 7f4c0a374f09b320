/** What a floating IP promises. */
import { maskOf, printAddress, type Address } from '../address/address.ts';
import {
  intersectRanges,
  normalizeRanges,
  rangesContain,
  subtractRanges,
  unionRanges,
  type Ranges,
} from '../address/ranges.ts';
import type { Breach, Claim, PacketsClaim, RulesetClaim } from '../claim/claim.ts';
import type { Deployment, DeploymentHost } from '../deployment/deployment.ts';
import { keptFor } from '../deployment/kept.ts';
import { hasRole } from '../deployment/service.ts';
import { interfaceSysctl } from '../host/host.ts';
import { intersectSets, setOf, subtractSets, type PacketSet } from '../packet/pattern.ts';
import { calledBy } from '../ruleset/calls.ts';
import type { Rule, Ruleset } from '../ruleset/rule.ts';
import type { Law, LawContext } from './law.ts';
import {
  associatedFloats,
  dmzRanges,
  everyExemption,
  everyFixedRange,
  firstFloats,
  fixedRange,
  floatsOf,
  hostIn,
  networkHosts,
  nextElsewhere,
  nextOnHost,
  ownRanges,
  plainAddresses,
  plugOf,
  stationName,
  unicast,
  worldAround,
  worldBehind,
  type AssociatedFloat,
} from './vocabulary/addresses.ts';
import { accepted, admitted, only } from './vocabulary/admission.ts';
import { chainOf, instanceChain } from './vocabulary/chain.ts';
import { claimAt, claimsOr, nearNames, notApplicable, opening, UNCHANGED } from './vocabulary/claims.ts';
import { arrivalsAt, arrivalsWith, outwardEntries, portOf, processOf, type EntryPoint } from './vocabulary/entries.ts';
import { breachAt, rulesIn, type Placed } from './vocabulary/text.ts';
import {
  acceptsForwarded,
  deliversTo,
  deviceOf,
  filtersFrames,
  gatewayOf,
  isRouted,
  leadsTo,
  letsBridged,
  masksOnlyOutward,
  portTowards,
  posturesOf,
  PUBLIC_PORT,
  routedOutside,
  routeOf,
  translatesOnlyOutward,
  turns,
  wayOut,
  worldThatAnswers,
  type WayOut,
} from './vocabulary/ways.ts';

const NO_FLOAT = 'no floating IP is associated and bound on a host with nova-network';
const ARTICLE = 'The article, "Rules in NAT table for floating IPs"';
const NOVA = 'nova/network/linux_net.py floating_forward_rules';

const toInstance = ({ fixed }: AssociatedFloat): Extract<PacketsClaim['ending'], { kind: 'reaches' }>['place'] => ({
  kind: 'instance',
  name: stationName(fixed),
});

/** The addresses from which a host's processes send to a floating IP: those of the host, of its floating IPs this one and MOST_ALIKE others. */
const ownSources = (context: LawContext, float: AssociatedFloat): Ranges =>
  unionRanges(
    plainAddresses(context, float.host.name),
    only(...[float, ...nextOnHost(context.deployment, float)].map(({ address }) => address)),
  );

/** True when nova accepts what the float's host forwards to the instance, and the instance's host lets the frames through. */
const isOpenTo = (context: LawContext, { fixed, host }: AssociatedFloat): boolean =>
  acceptsForwarded(context.deployment, host, fixed.network) &&
  (host === fixed.host || letsBridged(context, fixed.host, fixed.network));

/** The same packets to a fixed address, sent to its floating IP. */
const readdressed = (set: PacketSet, daddr: Ranges): PacketSet => ({
  boxes: set.boxes.map((box) => ({ ...box, daddr })),
});

/** What a chain accepts from `seen`, as packets from `sources`, whose source is still to become `seen`. */
const asSeen = (set: PacketSet, seen: Address, sources: Ranges): PacketSet => ({
  boxes: set.boxes.filter(({ saddr }) => rangesContain(saddr, seen)).map((box) => ({ ...box, saddr: sources })),
});

/** Clients of a floating IP by the interface that it is bound on; with rp_filter only those whom the host would answer by the same one. */
const clientsOf = (context: LawContext, { host, interface: name }: AssociatedFloat): Ranges =>
  clientsBy(context, host.name, name);

const clientsBy = keptFor((context: LawContext, host: string, name: string): Ranges => {
  const { deployment, network } = context;
  const found = hostIn(network, host);
  const device = deviceOf(network, host, name);
  const strict = found !== undefined && interfaceSysctl(found, device, 'rp_filter') !== 0;
  const world = strict
    ? (worldBehind(context, host).find((behind) => behind.device === device)?.addresses ?? [])
    : worldAround(context, host);
  return subtractRanges(world, everyFixedRange(deployment));
});

const nameOf = ({ entry }: EntryPoint): string | undefined => (entry.kind === 'in' ? entry.interface : undefined);

/** Where clients of a floating IP come in. */
const entryOf = (network: LawContext['network'], float: AssociatedFloat): EntryPoint | undefined => {
  const attachment = plugOf(network, float.host.name, float.interface);
  return arrivalsAt(network, float.host.name).find((at) => nameOf(at) === attachment);
};

const roundTrip: Law = {
  id: 'floating-ip/round-trip',
  kind: 'packets',
  severity: 'error',
  statement:
    'A NEW packet to a floating IP from a client outside fixed_range, which the instance’s groups admit: reaches the instance’s port with the fixed address as destination, everything above IP unchanged; the reply leaves to the client from the floating IP.',
  source: `${ARTICLE}: "If a packet arrives at the nova-network host with the floating IP as target IP, the target IP is translated"; ${NOVA}`,
  requires: 'an associated floating IP whose interface the outside is behind, and whose network has a gateway',
  brokenBy:
    'The DNAT rule of nova-network-PREROUTING for the floating IP removed, or one of its addresses changed; under policy DROP also the ACCEPT rules of the bridge in FORWARD.',
  knownFailures: [],
  claims: (context) => {
    const { deployment, network } = context;
    const near = nearNames(context);
    return claimsOr(
      NO_FLOAT,
      associatedFloats(deployment).flatMap((float): PacketsClaim[] => {
        const { address, fixed, host } = float;
        const at = entryOf(network, float);
        const postures = posturesOf(isOpenTo(context, float), host, fixed.host);
        if (at === undefined || postures === undefined || fixed.network.gateway === undefined) return [];
        if (
          !deliversTo(network, host.name, fixed) ||
          !turns(network, host.name, nameOf(at), portTowards(network, host.name, fixed))
        )
          return [];
        const set = intersectSets(
          admitted(deployment, fixed.instance, 4),
          setOf({ family: 4, saddr: clientsOf(context, float) }),
        );
        const returns = gatewayOf(context, fixed) === host;
        return [
          claimAt(at, {
            says: `clients of ${printAddress(address)} whom ${fixed.instance.name} admits reach it at ${printAddress(fixed.address)}, and are answered from ${printAddress(address)}`,
            set: opening(readdressed(set, only(address))),
            ending: {
              kind: 'reaches',
              place: toInstance(float),
              as: { saddr: 'original', daddr: { is: fixed.address }, sport: 'original', dport: 'original' },
            },
            ...(returns ? { reply: { kind: 'reaches', place: { kind: 'outside' }, as: UNCHANGED } } : {}),
            ...postures,
            chain: chainOf(host, 'network', 'nat', 'PREROUTING'),
            near,
          }),
        ];
      }),
    );
  },
};

/**
 * The floating IP that an instance shows to a destination: the first of its rules, which in releases that ask for the interface is the first that is
 * bound where the packet leaves.
 */
function shownFloat(
  { deployment, network }: LawContext,
  host: DeploymentHost,
  address: Address,
  leavesBy?: string,
): AssociatedFloat | undefined {
  const floats = floatsOf(deployment, address);
  if (!translatesOnlyOutward(deployment)) return floats[0];
  return floats.find((float) => deviceOf(network, host.name, float.interface) === leavesBy);
}

const outboundAppearsAsFloating: Law = {
  id: 'floating-ip/outbound-appears-as-floating',
  kind: 'packets',
  severity: 'error',
  statement:
    'A NEW tracked routed packet from an instance with a floating IP to a destination outside fixed_range, dmz_cidr and metadata_host leaves from the floating IP; of several, from the first that fits the interface; and the reply comes back.',
  source: `${ARTICLE}: "with this sNAT rule the traffic out from VMs can be masked as from the floating IP successfully"; ${NOVA}`,
  requires: 'an instance with a floating IP whose gateway is the host that binds it',
  brokenBy:
    'The SNAT rule of nova-network-float-snat removed or behind the one of nova-network-snat, or one of its addresses changed.',
  knownFailures: [PUBLIC_PORT],
  claims: (context) => {
    const { deployment, network } = context;
    const near = nearNames(context);
    return claimsOr(
      NO_FLOAT,
      firstFloats(deployment).flatMap(({ fixed, host }): PacketsClaim[] => {
        const passing = arrivalsWith(network, host.name, fixed)
          .filter((at) => isRouted(context, host, at))
          .flatMap((at) =>
            shownTo(context, host, fixed.address, routedOutside(context, host, at)).map(({ shown, daddr }) =>
              claimAt(at, {
                says: `by ${at.name}, what is routed out from ${printAddress(fixed.address)} leaves from ${printAddress(shown)}`,
                set: opening(setOf({ family: 4, saddr: only(fixed.address), daddr })),
                ending: {
                  kind: 'whatever-is-reached',
                  as: { saddr: { is: shown }, daddr: 'original', dport: 'original' },
                },
                chain: chainOf(host, 'network', 'nat', 'float-snat'),
                near,
              }),
            ),
          );
        const way = wayOut(context, fixed);
        const postures = way && posturesOf(way.open, way.gateway, fixed.host);
        if (way?.gateway !== host || postures === undefined) return passing;
        const answering = worldThatAnswers(context, host, fixed).flatMap(({ addresses }) => addresses);
        const world = subtractRanges(normalizeRanges(answering), everyExemption(deployment));
        const arriving = shownTo(context, host, fixed.address, world).map(({ shown, daddr }) =>
          claimAt(portOf(fixed), {
            says: `${stationName(fixed)} (${printAddress(fixed.address)}) reaches the world as ${printAddress(shown)}, and its answers come back`,
            set: opening(setOf({ family: 4, saddr: only(fixed.address), daddr })),
            ending: {
              kind: 'reaches',
              place: { kind: 'outside' },
              as: { saddr: { is: shown }, daddr: 'original', dport: 'original' },
            },
            reply: { kind: 'reaches', place: { kind: 'instance', name: stationName(fixed) }, as: UNCHANGED },
            ...postures,
            chain: chainOf(host, 'network', 'nat', 'float-snat'),
            near,
          }),
        );
        return [...passing, ...arriving];
      }),
    );
  },
};

/** The floating IPs that a fixed address shows to these destinations. */
function shownTo(
  context: LawContext,
  host: DeploymentHost,
  address: Address,
  daddr: Ranges,
): { readonly shown: Address; readonly daddr: Ranges }[] {
  if (!translatesOnlyOutward(context.deployment)) {
    const float = shownFloat(context, host, address);
    return float === undefined ? [] : [{ shown: float.address, daddr }];
  }
  return worldBehind(context, host.name).flatMap(({ device, addresses }) => {
    const float = shownFloat(context, host, address, device);
    return float === undefined ? [] : [{ shown: float.address, daddr: intersectRanges(addresses, daddr) }];
  });
}

const fromHost: Law = {
  id: 'floating-ip/from-host',
  kind: 'packets',
  severity: 'error',
  statement:
    'A NEW packet from a process of the host that binds a floating IP, to that floating IP: goes to the instance if and only if the instance’s chain admits the source that it has there (an unbound socket has the floating IP itself).',
  source: `${ARTICLE}: "you have a dNAT rule in a wrapped OUTPUT chain that allows the local process on nova-network to access VMs with floating IPs"; ${NOVA}`,
  requires: 'an associated floating IP',
  brokenBy: 'The DNAT rule of nova-network-OUTPUT removed, or one of its addresses changed.',
  knownFailures: [],
  claims: (context) => {
    const near = nearNames(context);
    return claimsOr(
      NO_FLOAT,
      associatedFloats(context.deployment).flatMap((float): PacketsClaim[] => {
        const { address, fixed, host } = float;
        if (!deliversTo(context.network, host.name, fixed)) return [];
        const sources = ownSources(context, float);
        const all = setOf({ family: 4, saddr: sources, daddr: only(address) });
        const guarded = isGuarded(context, host, fixed.host);
        const through = guarded ? acceptedFromHost(context, float, sources) : all;
        const common = { chain: chainOf(host, 'network', 'nat', 'OUTPUT'), near };
        const postures = posturesOf(host === fixed.host || letsBridged(context, fixed.host, fixed.network), fixed.host);
        const positive = claimAt(processOf(host.name), {
          ...common,
          says: `processes of ${host.name} reach ${fixed.instance.name} at ${printAddress(address)}, if its chain admits their source`,
          set: opening(through),
          ending: {
            kind: 'reaches',
            place: toInstance(float),
            as: { daddr: { is: fixed.address }, dport: 'original' },
          },
          ...postures,
        });
        const negative = claimAt(processOf(host.name), {
          ...common,
          says: `processes of ${host.name} do not reach ${fixed.instance.name} at ${printAddress(address)}, if its chain does not admit their source`,
          set: opening(subtractSets(all, through)),
          ending: { kind: 'never-reaches', place: toInstance(float) },
          chain: instanceChain(context.deployment, fixed.instance),
        });
        return [...(postures === undefined ? [] : [positive]), ...(guarded ? [negative] : [])];
      }),
    );
  },
};

/** True when what `from` sends to an instance on `host` has to pass the instance's chain. */
const isGuarded = ({ network }: LawContext, from: DeploymentHost, host: DeploymentHost): boolean =>
  hasRole(host, 'compute') && (from === host || filtersFrames(network, host.name));

/**
 * What the chain of a float's instance accepts of the processes of the float's host. On the same host the chain sees the source that the socket has; on another, what is left of
 * it after nat POSTROUTING: of a source in fixed_range, routing_source_ip (in releases that ask for the interface: if it leaves by public_interface).
 */
function acceptedFromHost({ deployment }: LawContext, float: AssociatedFloat, sources: Ranges): PacketSet {
  const { address, fixed, host } = float;
  const chain = accepted(deployment, fixed.instance, 4);
  if (host === fixed.host)
    return intersectSets(readdressed(chain, only(address)), setOf({ family: 4, saddr: sources, daddr: only(address) }));
  const { routing_source_ip: mask } = host.flags;
  const isMasked =
    mask !== undefined && (!masksOnlyOutward(deployment, host) || fixed.network.bridge === host.publicInterface);
  const masked = isMasked ? intersectRanges(sources, fixedRange(deployment, host)) : [];
  const kept = subtractRanges(sources, masked);
  const exempt = unionRanges(dmzRanges(host), only(host.flags.metadata_host));
  const untouched = rangesContain(exempt, fixed.address) ? sources : kept;
  const there = readdressed(chain, only(address));
  const seen = intersectSets(there, setOf({ family: 4, saddr: untouched }));
  if (mask === undefined || masked.length === 0 || untouched === sources) return seen;
  return { boxes: [...seen.boxes, ...asSeen(there, mask, masked).boxes] };
}

const reachedFromInside: Law = {
  id: 'floating-ip/reached-from-inside',
  kind: 'packets',
  severity: 'error',
  statement:
    'An instance with a floating IP reaches its own floating IP, and any other whose chain admits its own; whom it reaches sees the floating IP of the sender, and the answer comes back.',
  source: 'nova/network/linux_net.py init_host: "! --ctstate DNAT" (b61e1ea12c, bug 933640); 314c419323, bug 1178745',
  requires:
    'hairpin mode on the bridge port, where frames come in and leave by the same one; the gateway of both is the host that binds their floating IPs; between hosts, where a release asks for the interface, a way by the one on which the sender’s is bound',
  brokenBy:
    'The condition "! --ctstate DNAT" removed from the ACCEPT rule for fixed_range, or the SNAT rule of nova-network-float-snat.',
  knownFailures: [
    {
      releases: ['folsom', 'folsom-2012.2.4'],
      because:
        'only what leaves by the floating IP’s interface is translated, and what goes back to the bridge leaves by the bridge (959c93f6d3; A2, A6)',
    },
    {
      releases: ['grizzly'],
      because: 'the rule "-s X -d X" serves the own floating IP only; 2013.1.2 adds a rule for the others (A6)',
      where: (claim) => claim.says.includes(' another '),
    },
  ],
  claims: (context) => {
    const near = nearNames(context);
    return claimsOr(
      NO_FLOAT,
      firstFloats(context.deployment).flatMap((from) =>
        addressedBy(context.deployment, from).flatMap((to): PacketsClaim[] => {
          const reach = reachFromInside(context, from, to);
          if (reach === undefined) return [];
          const kind = from.fixed === to.fixed ? 'its own' : 'another';
          return [
            claimAt(portOf(from.fixed), {
              says: `${stationName(from.fixed)} reaches ${kind} floating IP ${printAddress(to.address)}, seen as ${printAddress(from.address)}`,
              set: opening(reach.set),
              ending: {
                kind: 'reaches',
                place: toInstance(to),
                as: { saddr: { is: from.address }, daddr: { is: to.fixed.address }, dport: 'original' },
              },
              reply: { kind: 'reaches', place: toInstance(from), as: UNCHANGED },
              ...reach.postures,
              chain: chainOf(from.host, 'network', 'nat', 'float-snat'),
              near,
            }),
          ];
        }),
      ),
    );
  },
};

/** The floating IPs that the owner of one sends to: its own, and the next of others, on its own host and elsewhere. */
const addressedBy = (deployment: Deployment, from: AssociatedFloat): readonly AssociatedFloat[] => [
  ...floatsOf(deployment, from.fixed.address),
  ...[...nextOnHost(deployment, from), ...nextElsewhere(deployment, from)].filter((to) => to.fixed !== from.fixed),
];

/** The packets with which the owner of one floating IP reaches another; undefined where no such way is open. */
function reachFromInside(
  context: LawContext,
  from: AssociatedFloat,
  to: AssociatedFloat,
): { readonly set: PacketSet; readonly postures: Pick<PacketsClaim, 'postures'> } | undefined {
  const [way, back] = [wayOut(context, from.fixed), wayOut(context, to.fixed)];
  if (way?.gateway !== from.host || back?.gateway !== to.host) return undefined;
  if (!isConnected(context, from, to, way) || isExempt(from, to)) return undefined;
  const postures = posturesOf(way.open && back.open, way.gateway, back.gateway, from.fixed.host, to.fixed.host);
  if (postures === undefined) return undefined;
  const own = setOf({ family: 4, saddr: only(from.fixed.address), daddr: only(to.address) });
  if (!isGuarded(context, to.host, to.fixed.host)) return { set: own, postures };
  const chain = readdressed(accepted(context.deployment, to.fixed.instance, 4), only(to.address));
  // The chain stands in FORWARD: on the host that translates it sees the fixed address, on any other the floating IP.
  const sees = from.host === to.fixed.host ? from.fixed.address : from.address;
  const through = intersectSets(own, asSeen(chain, sees, only(from.fixed.address)));
  const set =
    from.fixed === to.fixed ? through : intersectSets(through, asSeen(chain, from.address, only(from.fixed.address)));
  return { set, postures };
}

/** Exempt from translation whatever else holds: metadata_host and dmz_cidr are not asked whether the packet was to a floating IP. */
const isExempt = ({ host }: AssociatedFloat, { fixed }: AssociatedFloat): boolean =>
  rangesContain(dmzRanges(host), fixed.address) || host.flags.metadata_host === fixed.address;

/**
 * Two hosts route to each other, and the sender shows this floating IP where it leaves; on one host, frames that come in and leave by the same port of a bridge
 * need hairpin mode.
 */
function isConnected(context: LawContext, from: AssociatedFloat, to: AssociatedFloat, { gateway }: WayOut): boolean {
  const { network } = context;
  if (from.host !== to.host) {
    const leavesBy = routeOf(network, from.host.name, to.address)?.oif;
    return (
      shownFloat(context, from.host, from.fixed.address, leavesBy)?.address === from.address &&
      leadsTo(network, from.host.name, to.host.name, to.address) &&
      leadsTo(network, to.host.name, from.host.name, from.address)
    );
  }
  const port = ({ fixed }: AssociatedFloat) => portTowards(network, gateway.name, fixed);
  return turns(network, gateway.name, port(from), port(to));
}

const noCrossTalk: Law = {
  id: 'floating-ip/no-cross-talk',
  kind: 'packets',
  severity: 'error',
  statement:
    'What is NEW and sent to a floating IP reaches nobody but its instance; for each hook there is exactly one DNAT rule for it.',
  source: `${NOVA}; a floating IP is one fixed address's (nova/network/manager.py associate_floating_ip)`,
  requires: 'an associated floating IP',
  brokenBy:
    'A DNAT rule for the floating IP to another fixed address, before or in place of its own; a second one after it.',
  knownFailures: [],
  claims: (context) => {
    const { deployment, network } = context;
    const near = nearNames(context);
    return claimsOr(
      NO_FLOAT,
      associatedFloats(deployment).flatMap((float): Claim[] => {
        const { address, fixed, host } = float;
        const packets = [...arrivalsWith(network, host.name, fixed), processOf(host.name)].map((at) =>
          claimAt(at, {
            says: `what enters by ${at.name} for ${printAddress(address)} reaches nobody but ${printAddress(fixed.address)}`,
            set: opening(setOf({ family: 4, daddr: only(address) })),
            ending: { kind: 'whatever-is-reached', as: { daddr: { is: fixed.address }, dport: 'original' } },
            chain: chainOf(host, 'network', 'nat', at.kind === 'local' ? 'OUTPUT' : 'PREROUTING'),
            near,
          }),
        );
        return [...packets, oneRulePerHook(float)];
      }),
    );
  },
};

const DNAT_HOOKS = ['PREROUTING', 'OUTPUT'] as const;

const oneRulePerHook = ({ address, fixed, host }: AssociatedFloat): RulesetClaim => ({
  kind: 'ruleset',
  says: `one DNAT rule a hook leads from ${printAddress(address)} to ${printAddress(fixed.address)}`,
  host: host.name,
  family: 4,
  breaches: (ruleset) =>
    DNAT_HOOKS.flatMap((hook): Breach[] => {
      const [own, ...more] = reachedFrom(ruleset, hook).filter(
        ({ rule }) => rule.target?.kind === 'DNAT' && isFor(rule, address),
      );
      if (own === undefined)
        return [
          {
            message: `there is no DNAT rule for ${printAddress(address)}`,
            ...chainOf(host, 'network', 'nat', hook),
          },
        ];
      return more.map((placed) => breachAt(placed, `a second DNAT rule for ${printAddress(address)} in ${hook}`));
    }),
});

/** The rules of nat that packets of a hook can meet, each once. */
function reachedFrom(ruleset: Ruleset, hook: string): Placed[] {
  const seen = new Set([hook]);
  const found: Placed[] = [];
  for (const chain of seen)
    for (const placed of rulesIn(ruleset, 'nat', chain)) {
      found.push(placed);
      const called = calledBy(placed.rule);
      if (called !== undefined) seen.add(called);
    }
  return found;
}

const WHOLE = maskOf(4, 32);

/** `-d ADDRESS`, the address alone. */
const isFor = ({ matches }: Rule, address: Address): boolean =>
  matches.some(
    (match) =>
      match.kind === 'destination' && !match.not && match.value.address === address && match.value.mask === WHOLE,
  );

const silentWhenFree: Law = {
  id: 'floating-ip/silent-when-free',
  kind: 'packets',
  severity: 'error',
  statement: 'A floating IP that is associated with nobody has no rule, and no host takes what is sent to it.',
  source: 'nova/network/linux_net.py remove_floating_forward, unbind_floating_ip; 80d302670f, bug 1017418',
  requires: 'a floating IP that is associated with nobody, and a host with nova-network',
  brokenBy: 'A rule of the nat table that names the floating IP, left behind when it was given back.',
  knownFailures: [],
  claims: (context) => {
    const { deployment, network } = context;
    const free = deployment.floatingIps.filter(({ fixedIp }) => fixedIp === undefined).map(({ address }) => address);
    const hosts = networkHosts(deployment);
    if (free.length === 0) return notApplicable('every floating IP is associated with somebody');
    const near = nearNames(context);
    const list = free.map(printAddress).join(', ');
    return claimsOr(
      'no host runs nova-network',
      hosts.flatMap((host): Claim[] => {
        const strangers = subtractRanges(
          unicast(),
          unionRanges(everyFixedRange(deployment), ownRanges(network, host.name)),
        );
        const set = opening(setOf({ family: 4, saddr: strangers, daddr: only(...free) }));
        const chain = chainOf(host, 'network', 'nat', 'PREROUTING');
        const packets = outwardEntries(network, host.name).flatMap((at) => [
          claimAt(at, {
            says: `no process of ${host.name} gets what comes by ${at.name} for ${list}`,
            set,
            ending: { kind: 'never-reaches', place: { kind: 'process', host: host.name } },
            chain,
            near,
          }),
          claimAt(at, {
            says: `what comes by ${at.name} for ${list} is not translated`,
            set,
            ending: { kind: 'whatever-is-reached', as: UNCHANGED },
            chain,
            near,
          }),
        ]);
        return [...packets, ...free.map((address) => unnamed(host, address))];
      }),
    );
  },
};

const unnamed = (host: DeploymentHost, address: Address): RulesetClaim => ({
  kind: 'ruleset',
  says: `no rule of ${host.name} names ${printAddress(address)}, which is nobody's`,
  host: host.name,
  family: 4,
  breaches: (ruleset) =>
    [...(ruleset.tables.get('nat')?.chains.keys() ?? [])]
      .flatMap((chain) => rulesIn(ruleset, 'nat', chain))
      .filter(({ rule }) => isFor(rule, address) || translatesTo(rule, address))
      .map((placed) => breachAt(placed, `a rule names ${printAddress(address)}, which is associated with nobody`)),
});

const translatesTo = ({ target }: Rule, address: Address): boolean =>
  (target?.kind === 'SNAT' || target?.kind === 'DNAT') && target.to.addresses?.from === address;

const boundOnInterface: Law = {
  id: 'floating-ip/bound-on-interface',
  kind: 'relation',
  severity: 'error',
  statement: 'An associated floating IP is an address of its interface, with the prefix length 32.',
  source:
    'The article, "Bind floating IP to public interface": "inet 192.168.1.233/32 scope global wlan0"; nova/network/linux_net.py bind_floating_ip',
  requires: 'the addresses of a running host, or what happened to a deployment over time',
  brokenBy:
    'The address missing on the interface: the host does not answer for it, or delivers nothing that is sent to it.',
  knownFailures: [],
  claims: () => notApplicable('a completed deployment has its floating IPs bound by construction'),
};

/** In the order of the book of laws. */
export const FLOATING_IP_LAWS: readonly Law[] = [
  roundTrip,
  outboundAppearsAsFloating,
  fromHost,
  reachedFromInside,
  noCrossTalk,
  silentWhenFree,
  boundOnInterface,
];
