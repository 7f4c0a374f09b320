/** What an instance that asks 169.254.169.254 for its metadata is promised. */
import { isLoopback, printAddress, type Address } from '../address/address.ts';
import { intersectRanges, rangesContain, subtractRanges, unionRanges } from '../address/ranges.ts';
import { POSTURES, type Claim, type Ending, type PacketsClaim, type Posture } from '../claim/claim.ts';
import type { DeploymentHost } from '../deployment/deployment.ts';
import { networksOn, serves, translates } from '../deployment/placement.ts';
import { isSince, RELEASES } from '../deployment/release.ts';
import type { Network } from '../network/network.ts';
import { TCP } from '../packet/packet.ts';
import { intersectSets, setOf, subtractSets } from '../packet/pattern.ts';
import type { Law, LawContext } from './law.ts';
import {
  besides,
  commonExemption,
  everyFloat,
  fixedAddresses,
  fixedRange,
  METADATA_ADDRESS,
  METADATA_PORT,
  networkHosts,
  ownRanges,
  plugOf,
  stationName,
  unicast,
  vpnDoors,
  type FixedAddress,
} from './vocabulary/addresses.ts';
import { only } from './vocabulary/admission.ts';
import { chainOf } from './vocabulary/chain.ts';
import { claimAt, claimsOr, nearNames, opening, UNCHANGED } from './vocabulary/claims.ts';
import { arrivalsAt, entriesAt, outwardEntries, portOf } from './vocabulary/entries.ts';
import {
  acceptsForwarded,
  acceptsThrough,
  areJoined,
  deliversTo,
  deviceOf,
  dropsThrough,
  filtersFrames,
  gatewayOf,
  isRouted,
  leadsTo,
  letsBridged,
  metadataServerOf,
  policyOf,
  portTowards,
  posturesOf,
  routeOf,
  turns,
  type MetadataServer,
} from './vocabulary/ways.ts';

/** An instance that asks, the host whose nova-network redirects it, and whom to. */
interface Asking {
  readonly fixed: FixedAddress;
  readonly redirector: DeploymentHost;
  readonly server: MetadataServer;
  /** Rules of nova let the request through at every host, whatever the policies. */
  readonly open: boolean;
}

/**
 * The first host on an instance's way out that runs nova-network and sees the request at its IP layer, or in the bridge: bridged frames are translated too,
 * and then taken up to be routed (S19).
 */
function redirectorOf(context: LawContext, fixed: FixedAddress): DeploymentHost | undefined {
  const gateway = gatewayOf(context, fixed);
  if (gateway === undefined || !areJoined(context.network, gateway.name, fixed.host.name, fixed.network))
    return undefined;
  if (translates(context.deployment, fixed.host) && filtersFrames(context.network, fixed.host.name)) return fixed.host;
  return translates(context.deployment, gateway) ? gateway : undefined;
}

const askings = (context: LawContext): Asking[] =>
  fixedAddresses(context.deployment).flatMap((fixed) => {
    const redirector = redirectorOf(context, fixed);
    const server = redirector && metadataServerOf(context, redirector);
    if (redirector === undefined || server === undefined) return [];
    if (!isPassable(context, fixed, redirector, server)) return [];
    return [{ fixed, redirector, server, open: isOpen(context, fixed, redirector, server) }];
  });

/** A request to another machine is forwarded: not from a network without a gateway, nor back by the port that it came in by. */
function isPassable(
  { network }: LawContext,
  fixed: FixedAddress,
  redirector: DeploymentHost,
  { host, address }: MetadataServer,
): boolean {
  if (host === redirector) return true;
  const towards = portOfRoute(network, redirector, address);
  return (
    fixed.network.gateway !== undefined &&
    turns(network, redirector.name, portTowards(network, redirector.name, fixed), towards)
  );
}

/** Where a host's wire towards an address is plugged in. */
function portOfRoute(network: Network, { name }: DeploymentHost, address: Address): string | undefined {
  const route = routeOf(network, name, address);
  return route && plugOf(network, name, route.oif);
}

/** nova-api accepts what its own flags name; a forwarded request also has to get through the redirector's bridge. */
function isOpen(
  context: LawContext,
  fixed: FixedAddress,
  redirector: DeploymentHost,
  { host, address, port }: MetadataServer,
): boolean {
  const accepted = host === undefined || (host.flags.metadata_host === address && host.flags.metadata_port === port);
  const forwarded = host === redirector || acceptsForwarded(context.deployment, redirector, fixed.network);
  return accepted && forwarded && (redirector === fixed.host || letsBridged(context, fixed.host, fixed.network));
}

/** The hosts on the way of a request. */
const hostsOf = ({ fixed, redirector, server }: Asking): DeploymentHost[] => [
  fixed.host,
  redirector,
  ...(server.host === undefined ? [] : [server.host]),
];

/** True when the answer comes by the host that redirected the request, which alone can turn it back. */
function comesBack(context: LawContext, { fixed, redirector, server }: Asking): boolean {
  const { network } = context;
  if (!deliversTo(network, redirector.name, fixed)) return false;
  if (server.host === redirector) return true;
  if (server.host !== undefined) return leadsTo(network, server.host.name, redirector.name, fixed.address);
  // A machine on the wire of the instance's own bridge takes it for a neighbour: the frame only crosses the bridge.
  const isBeside = routeOf(network, redirector.name, server.address)?.oif === fixed.network.bridge;
  const isTaken = filtersFrames(network, redirector.name) && fixed.host === redirector;
  return !isBeside || (isTaken && gatewayOf(context, fixed) === redirector);
}

const requestsOf = ({ address }: FixedAddress) =>
  opening(
    setOf({
      family: 4,
      saddr: only(address),
      daddr: only(METADATA_ADDRESS),
      protocol: only(TCP),
      dport: only(METADATA_PORT),
    }),
  );

const NOBODY_ASKS = 'no instance reaches a nova-network that leads to a metadata server';
const ARTICLE =
  'The article, "Rule for metadata host": "metadata_forward() adds a dNAT rule to route packets from 169.254.169.254/32 to metadata_host"';

const isOnLoopback = (claim: Claim, { deployment }: LawContext): boolean =>
  claim.kind === 'packets' && deployment.hosts.some(({ flags }) => isLoopback(flags.metadata_host));

/** How a claim that is made in one posture only begins. */
const under = (posture: Posture): string => (posture === 'hardened' ? 'with policies DROP ' : '');

const reachesApi: Law = {
  id: 'metadata/reaches-api',
  kind: 'packets',
  severity: 'error',
  statement:
    'NEW tcp from an instance to 169.254.169.254:80, by its port, where a nova-network is on its way: reaches metadata_host:metadata_port, which is a process of that host where nova-api runs there; the answer comes to the instance as from 169.254.169.254:80, if metadata_host routes back through the host that redirected.',
  source: `${ARTICLE}; nova/network/linux_net.py metadata_forward, metadata_accept`,
  requires:
    'an instance whose network has a gateway; nova-network on the way; nova-api on metadata_host, or a metadata_host that is no host of the deployment',
  brokenBy:
    'The DNAT rule of nova-network-PREROUTING removed, or its destination, port or protocol changed; under policy DROP also the ACCEPT rule of nova-api-INPUT.',
  knownFailures: [
    {
      releases: ['essex', 'folsom-2'],
      because: 'a metadata_host of 127.0.0.1 is a DNAT to loopback, which the kernel drops as a martian (B2)',
      where: isOnLoopback,
    },
    {
      releases: ['folsom', 'folsom-2012.2.4', 'grizzly'],
      because:
        'a request that is redirected has an address of the bridge, and nova-api accepts what is for 127.0.0.1 only: under policy DROP it is not heard',
      where: (claim, context) =>
        isOnLoopback(claim, context) &&
        (claim.says.startsWith(under('hardened')) ||
          context.deployment.hosts.some((host) => policyOf(host, 'INPUT') === 'DROP')),
    },
    {
      releases: RELEASES.filter((release) => isSince(release, 'folsom')),
      because:
        'a redirected request takes an address of the bridge that it came in by: on a host that has a bridge of another’s network it has none, and the kernel drops it',
      where: (claim, context) =>
        isOnLoopback(claim, context) &&
        networkHosts(context.deployment).some(
          (host) =>
            host.name === claim.host && networksOn(context.deployment, host).some((network) => !serves(host, network)),
        ),
    },
  ],
  claims: (context) =>
    claimsOr(
      NOBODY_ASKS,
      askings(context).flatMap((asking): PacketsClaim[] => {
        const { fixed, redirector, server, open } = asking;
        const postures = posturesOf(open, ...hostsOf(asking));
        if (postures === undefined) return [];
        // What is redirected to loopback keeps an address of the host, of the device that it came in by.
        const daddr = isLoopback(server.address) ? {} : { daddr: { is: server.address } };
        const inPosture = (posture: Posture): PacketsClaim =>
          claimAt(portOf(fixed), {
            says: `${isLoopback(server.address) ? under(posture) : ''}${stationName(fixed)} (${printAddress(fixed.address)}) asks 169.254.169.254:80 and reaches ${printAddress(server.address)}:${server.port}`,
            set: requestsOf(fixed),
            ending: {
              kind: 'reaches',
              place: server.place,
              as: { ...daddr, dport: { is: server.port }, sport: 'original' },
            },
            ...(comesBack(context, asking) ? { reply: answerTo(fixed) } : {}),
            ...postures,
            chain: chainOf(redirector, 'network', 'nat', 'PREROUTING'),
            near: nearNames(context),
          });
        if (!isLoopback(server.address)) return [inPosture('as-given')];
        return (postures.postures ?? POSTURES).map((posture) => ({ ...inPosture(posture), postures: [posture] }));
      }),
    ),
};

const answerTo = (fixed: FixedAddress): Ending => ({
  kind: 'reaches',
  place: { kind: 'instance', name: stationName(fixed) },
  as: UNCHANGED,
});

const keepsFixedSource: Law = {
  id: 'metadata/keeps-fixed-source',
  kind: 'packets',
  severity: 'error',
  statement:
    'A request to 169.254.169.254:80 arrives with the fixed address of the instance as its source, not with its floating IP or routing_source_ip; and so does everything else that goes from fixed_range to metadata_host.',
  source:
    'The article, "Rule for metadata host": "allow IPs under FLAGS.fixed_range to access metadata_host"; nova/network/linux_net.py init_host; nova-api tells instances apart by their address',
  requires: 'as metadata/reaches-api, and a fixed address inside fixed_range',
  brokenBy:
    'The ACCEPT rule for metadata_host in nova-network-POSTROUTING removed, where metadata_host is another machine.',
  knownFailures: [],
  claims: (context) => claimsOr(NOBODY_ASKS, [...askedWithFixedSource(context), ...sentWithFixedSource(context)]),
};

const askedWithFixedSource = (context: LawContext): PacketsClaim[] =>
  askings(context)
    .filter(({ fixed, redirector }) => rangesContain(fixedRange(context.deployment, redirector), fixed.address))
    .map(({ fixed, redirector }) =>
      claimAt(portOf(fixed), {
        says: `what ${stationName(fixed)} asks 169.254.169.254:80 arrives from ${printAddress(fixed.address)}`,
        set: requestsOf(fixed),
        ending: { kind: 'whatever-is-reached', as: { saddr: 'original', sport: 'original' } },
        chain: chainOf(redirector, 'network', 'nat', 'POSTROUTING'),
        near: nearNames(context),
      }),
    );

/** The rule speaks of every packet to metadata_host, asked for by way of 169.254.169.254 or not. */
function sentWithFixedSource(context: LawContext): PacketsClaim[] {
  const { deployment, network } = context;
  const near = nearNames(context);
  return networkHosts(deployment).flatMap((host) => {
    const exempt = intersectRanges(commonExemption(deployment), only(host.flags.metadata_host));
    const all = setOf({
      family: 4,
      saddr: intersectRanges(fixedRange(deployment, host), unicast()),
      daddr: subtractRanges(exempt, everyFloat(deployment)),
    });
    const set = opening(subtractSets(all, vpnDoors(deployment)));
    return entriesAt(network, host.name).map((at) =>
      claimAt(at, {
        says: `by ${at.name}, what goes from fixed_range to ${printAddress(host.flags.metadata_host)} keeps its addresses`,
        set,
        ending: { kind: 'whatever-is-reached', as: { saddr: 'original', daddr: 'original', dport: 'original' } },
        chain: chainOf(host, 'network', 'nat', 'POSTROUTING'),
        near,
      }),
    );
  });
}

const nothingElseRedirected: Law = {
  id: 'metadata/nothing-else-redirected',
  kind: 'packets',
  severity: 'error',
  statement:
    'What is sent to another port of 169.254.169.254, or by another protocol than tcp, is not translated; nor is what is sent to another address.',
  source: 'nova/network/linux_net.py metadata_forward: "-p tcp -m tcp --dport 80"',
  requires: 'a host with nova-network, which has the address 169.254.169.254',
  brokenBy: 'The port or the protocol of the DNAT rule in nova-network-PREROUTING widened or removed.',
  knownFailures: [],
  claims: (context) => {
    const { deployment, network } = context;
    const asked = setOf({ family: 4, daddr: only(METADATA_ADDRESS) });
    const requests = setOf({ family: 4, protocol: only(TCP), dport: only(METADATA_PORT) });
    const others = opening(subtractSets(asked, requests));
    const beside = opening(intersectSets(setOf({ family: 4, daddr: besides(only(METADATA_ADDRESS)) }), requests));
    const near = nearNames(context);
    return claimsOr(
      'no host runs nova-network',
      networkHosts(deployment).flatMap((host) =>
        arrivalsAt(network, host.name).flatMap((at) => {
          const common = { chain: chainOf(host, 'network', 'nat', 'PREROUTING'), near };
          return [
            claimAt(at, {
              ...common,
              says: `by ${at.name}, other ports and protocols of 169.254.169.254 are not translated`,
              set: others,
              // What is bridged on to the host that is the gateway may lose its source here, but is not redirected.
              ending: {
                kind: 'whatever-is-reached',
                as: isRouted(context, host, at) ? UNCHANGED : { daddr: 'original', dport: 'original' },
              },
            }),
            claimAt(at, {
              ...common,
              says: `by ${at.name}, port 80 of the addresses beside 169.254.169.254 is not redirected`,
              set: beside,
              ending: { kind: 'whatever-is-reached', as: { daddr: 'original', dport: 'original' } },
            }),
          ];
        }),
      ),
    );
  },
};

/** True when a request from outside gets through the host: no policy or rule of FORWARD stops it, and no bridge without hairpin mode. */
function isForwarded(
  { deployment, network }: LawContext,
  host: DeploymentHost,
  { entry, postures }: PacketsClaim,
  { address }: MetadataServer,
): boolean {
  const from = entry.kind === 'in' ? entry.interface : '';
  const route = routeOf(network, host.name, address);
  const devices = [deviceOf(network, host.name, from), route?.oif];
  const isOpen = postures?.includes('as-given') === true && policyOf(host, 'FORWARD') === 'ACCEPT';
  return (
    turns(network, host.name, from, portOfRoute(network, host, address)) &&
    !devices.some((device) => dropsThrough(deployment, host, device)) &&
    (isOpen || devices.some((device) => acceptsThrough(deployment, host, device)))
  );
}

const onlyFromInstances: Law = {
  id: 'metadata/only-from-instances',
  kind: 'packets',
  severity: 'warning',
  statement: 'The API hears no request through 169.254.169.254 from outside fixed_range.',
  source:
    'What an operator wants: metadata is for instances. The rule of nova has no source (nova/network/linux_net.py metadata_forward: "-s 0.0.0.0/0").',
  requires: 'a host with nova-network that the outside is behind',
  brokenBy: 'The DNAT rule of nova-network-PREROUTING as nova writes it: without a source and without an interface.',
  knownFailures: [
    {
      releases: 'all',
      because:
        'the DNAT rule has no source, so whoever can send a frame to the host is redirected; only a policy of DROP in FORWARD stops those who are not behind a bridge, and only where metadata_host is another machine',
      where: (claim, context) => {
        const host = context.deployment.hosts.find(({ name }) => name === claim.host);
        if (host === undefined || claim.kind !== 'packets') return false;
        const server = metadataServerOf(context, host);
        // What nova-api on the host itself accepts no policy stops.
        return server === undefined || server.host === host || isForwarded(context, host, claim, server);
      },
    },
  ],
  claims: (context) => {
    const { deployment, network } = context;
    const near = nearNames(context);
    return claimsOr(
      'no host that the outside is behind redirects to a metadata server',
      networkHosts(deployment).flatMap((host) => {
        const server = metadataServerOf(context, host);
        if (server === undefined) return [];
        const inside = unionRanges(fixedRange(deployment, host), ownRanges(network, host.name));
        const redirecting = outwardEntries(network, host.name).filter(
          (at) => isRouted(context, host, at) || filtersFrames(network, host.name),
        );
        return redirecting.flatMap((at) =>
          POSTURES.map((posture) =>
            claimAt(at, {
              says: `${under(posture)}nobody beyond ${at.name} has its requests to 169.254.169.254:80 answered`,
              set: opening(
                setOf({
                  family: 4,
                  saddr: subtractRanges(unicast(), inside),
                  daddr: only(METADATA_ADDRESS),
                  protocol: only(TCP),
                  dport: only(METADATA_PORT),
                }),
              ),
              ending: { kind: 'never-reaches', place: server.place, as: { dport: { is: server.port } } },
              postures: [posture],
              chain: chainOf(host, 'network', 'nat', 'PREROUTING'),
              near,
            }),
          ),
        );
      }),
    );
  },
};

/** In the order of the book of laws. */
export const METADATA_LAWS: readonly Law[] = [reachesApi, keepsFixedSource, nothingElseRedirected, onlyFromInstances];
