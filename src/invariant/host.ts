/** What the processes of a host are promised, or what an operator would want for them. */
import { familyOf, isLoopback, LIMITED_BROADCAST, printAddress } from '../address/address.ts';
import { rangesContain } from '../address/ranges.ts';
import { POSTURES, type PacketsClaim } from '../claim/claim.ts';
import type { Deployment, DeploymentHost } from '../deployment/deployment.ts';
import { firstBy, keptFor } from '../deployment/kept.ts';
import { serves } from '../deployment/placement.ts';
import { isSince } from '../deployment/release.ts';
import { hasRole } from '../deployment/service.ts';
import type { Network } from '../network/network.ts';
import { TCP, UDP } from '../packet/packet.ts';
import { setOf, subtractSets, unionSets, type PacketSet, type Pattern } from '../packet/pattern.ts';
import type { Law, LawContext } from './law.ts';
import {
  fixedAddresses,
  floatedAddresses,
  localTo,
  METADATA_ADDRESS,
  METADATA_PORT,
  ownRanges,
  plainAddresses,
  stationName,
  worldAround,
} from './vocabulary/addresses.ts';
import { only } from './vocabulary/admission.ts';
import { chainOf } from './vocabulary/chain.ts';
import { AS_GIVEN, claimAt, claimsOr, HARDENED, nearNames, opening } from './vocabulary/claims.ts';
import { entriesAt, portOf, type EntryPoint } from './vocabulary/entries.ts';
import { letInByOperator } from './vocabulary/operator.ts';
import {
  areJoined,
  deviceOf,
  gatewayOf,
  isRouted,
  letsBridged,
  policyOf,
  posturesOf,
  waysOut,
} from './vocabulary/ways.ts';

/** What dnsmasq listens on. */
const DNSMASQ_PORTS = only(53, 67);
const dnsmasqPorts = setOf({ family: 4, protocol: only(TCP, UDP), dport: DNSMASQ_PORTS });

/** A request for metadata: before it is redirected, and as nova-api on the host hears it. */
function metadataOn({ deployment, network }: LawContext, host: DeploymentHost): PacketSet {
  const { metadata_host: address, metadata_port: port } = host.flags;
  const nothing = setOf({ family: 4, daddr: [] });
  if (familyOf(address) === 6) return nothing;
  // Since Havana a metadata_host of 127.0.0.1 stands for every address of the host ("-m addrtype --dst-type LOCAL").
  const anyOwn = isLoopback(address) && isSince(deployment.release, 'havana');
  if (!anyOwn && !rangesContain(ownRanges(network, host.name), address)) return nothing;
  const daddr = anyOwn ? localTo(network, host.name) : only(address);
  return unionSets(
    setOf({ family: 4, daddr: only(METADATA_ADDRESS), protocol: only(TCP), dport: only(METADATA_PORT) }),
    setOf({ family: 4, daddr, protocol: only(TCP), dport: only(port) }),
  );
}

const closedToInstances: Law = {
  id: 'host/closed-to-instances',
  kind: 'packets',
  severity: 'warning',
  statement:
    'Of what an instance sends only DNS and DHCP (ports 53 and 67) and metadata requests reach processes of the host that is its gateway, on any of the host’s addresses.',
  source:
    'What an operator wants (OSSN-0018, B7): nova adds no DROP to INPUT, which nova-filter-top is not hooked into.',
  requires: 'an instance whose gateway is a host of the deployment',
  brokenBy:
    'A policy of ACCEPT in INPUT, which nova leaves as it is; an ACCEPT rule in INPUT for more than these ports.',
  knownFailures: [
    {
      releases: 'all',
      because:
        'nova adds only ACCEPT rules to INPUT and leaves its policy alone: every listening port of the host is open to instances (B7)',
      where: (claim, context) => claim.kind === 'packets' && claim.postures === AS_GIVEN && isOpened(claim, context),
    },
  ],
  claims: (context) => {
    const near = nearNames(context);
    return claimsOr(
      'no instance has a host of the deployment as its gateway',
      fixedAddresses(context.deployment).flatMap((fixed): PacketsClaim[] => {
        const host = gatewayOf(context, fixed);
        if (host === undefined || !areJoined(context.network, host.name, fixed.host.name, fixed.network)) return [];
        const daddr = plainAddresses(context, host.name);
        const set = opening(
          subtractSets(
            setOf({ family: 4, saddr: only(fixed.address), daddr }),
            unionSets(dnsmasqPorts, metadataOn(context, host)),
          ),
        );
        return POSTURES.map((posture) =>
          claimAt(portOf(fixed), {
            says: `${stationName(fixed)} reaches no process of ${host.name} but dnsmasq and the API (${posture})`,
            set,
            ending: { kind: 'never-reaches', place: { kind: 'process', host: host.name } },
            postures: posture === 'hardened' ? HARDENED : AS_GIVEN,
            chain: { table: 'filter', chain: 'INPUT' },
            near,
          }),
        );
      }),
    );
  },
};

const fixedByPort = keptFor((deployment: Deployment) =>
  firstBy(fixedAddresses(deployment), ({ host, vif }) => `${host.name} ${vif.port}`),
);

/** True when no policy keeps the packets of a claim from the host's processes: INPUT of the gateway, FORWARD of the host whose bridge they cross before. */
function isOpened({ host, entry, ending }: PacketsClaim, context: LawContext): boolean {
  const { deployment } = context;
  const place = ending.kind === 'never-reaches' ? ending.place : undefined;
  const gateway = deployment.hosts.find(({ name }) => place?.kind === 'process' && place.host === name);
  const fixed = entry.kind === 'in' ? fixedByPort(deployment).get(`${host} ${entry.interface}`) : undefined;
  if (gateway === undefined || fixed === undefined || policyOf(gateway, 'INPUT') === 'DROP') return false;
  const { host: own, network } = fixed;
  return own === gateway || letsBridged(context, own, network) || policyOf(own, 'FORWARD') === 'ACCEPT';
}

const opensOnlyServices: Law = {
  id: 'host/opens-only-services',
  kind: 'packets',
  severity: 'error',
  statement:
    'Under policy DROP nothing NEW is let in to a host’s processes but DHCP and DNS (ports 67 and 53) from the bridges that it serves, the API at metadata_host:metadata_port, and what the rules of an operator accept.',
  source:
    'nova/network/linux_net.py _add_dnsmasq_accept_rules and metadata_accept, which are all that nova adds to INPUT',
  requires: 'a host whose operator, if they have rules of their own, neither translates nor marks',
  brokenBy:
    'An ACCEPT rule of nova-network-INPUT or nova-api-INPUT without its interface, protocol, port or address, or with a shorter mask.',
  knownFailures: [],
  claims: (context) => {
    const { deployment, network } = context;
    const near = nearNames(context);
    return claimsOr(
      'no host tells what its operator lets in',
      deployment.hosts.flatMap((host) =>
        entriesAt(network, host.name)
          .filter((at) => isRouted(context, host, at))
          .flatMap((at) => {
            const besides = letInByOperator(host, 4, 'NEW', deviceAt(network, at));
            if (besides === undefined) return [];
            const open = unionSets(opened(context, host, at), besides);
            // What a process sends to a broadcast address of a bridge comes back to the host by that bridge (ip_mc_output).
            const daddr = at.kind === 'local' ? ownRanges(network, host.name) : localTo(network, host.name);
            const closed = (fields: Partial<Pattern>, what: string): PacketsClaim =>
              claimAt(at, {
                says: `what enters by ${at.name}${what} reaches no process of ${host.name} but those that nova or its operator opens`,
                set: opening(subtractSets(setOf({ family: 4, daddr, ...fields }), open)),
                ending: { kind: 'never-reaches', place: { kind: 'process', host: host.name } },
                postures: HARDENED,
                chain: { table: 'filter', chain: 'INPUT' },
                near,
              });
            return [
              closed({}, ''),
              ...servicePorts(host).map((port) =>
                closed(
                  { protocol: only(TCP, UDP), dport: only(port - 1, port, port + 1) },
                  ` for port ${port} or one beside it`,
                ),
              ),
            ];
          }),
      ),
    );
  },
};

/** The device by which INPUT sees what enters at a point. */
const deviceAt = (network: Network, { entry, bridge, host }: EntryPoint): string =>
  entry.kind === 'local' ? 'lo' : (bridge ?? deviceOf(network, host, entry.interface));

/** Where a rule that opens a little too much shows: in a wide set of packets that would take luck. */
const servicePorts = ({ flags }: DeploymentHost): readonly number[] =>
  [...new Set([53, 67, flags.metadata_port])].filter((port) => port > 0 && port < 65535);

/** What nova's rules open to packets that enter at a point. */
function opened(context: LawContext, host: DeploymentHost, { bridge }: EntryPoint): PacketSet {
  const { deployment } = context;
  const isServed = deployment.networks.some((network) => network.bridge === bridge && serves(host, network));
  const nothing = setOf({ family: 4, daddr: [] });
  const api = hasRole(host, 'metadata') ? metadataOn(context, host) : nothing;
  // Since 2012.2.4 nova-compute accepts a DISCOVER too.
  const discover =
    hasRole(host, 'compute') && isSince(deployment.release, 'folsom-2012.2.4')
      ? setOf({
          family: 4,
          saddr: only(0),
          daddr: only(LIMITED_BROADCAST),
          protocol: only(UDP),
          sport: only(68),
          dport: only(67),
        })
      : nothing;
  return [isServed ? dnsmasqPorts : nothing, discover].reduce(unionSets, api);
}

const portsNotShadowed: Law = {
  id: 'host/ports-not-shadowed',
  kind: 'packets',
  severity: 'warning',
  statement:
    'No flow of an instance takes over a port of the host, seen from outside: what leaves from routing_source_ip leaves from none of the ports that the host’s services have.',
  source: 'What an operator wants: SNAT keeps the source port if no other flow has it, whoever listens there (S7).',
  requires: 'an instance without a floating IP, and a routing_source_ip that is an address of the host',
  brokenBy: 'The SNAT rule as nova writes it: without a range of ports.',
  knownFailures: [
    {
      releases: 'all',
      because:
        'SNAT keeps the port: after an outbound flow from port 53, what its peer sends to port 53 of the host goes to the instance (S7)',
    },
  ],
  claims: (context) => {
    const { deployment, network } = context;
    const near = nearNames(context);
    return claimsOr(
      'no instance leaves from an address of a host with nova-network',
      waysOut(context).flatMap(({ fixed, gateway, open }): PacketsClaim[] => {
        const { routing_source_ip: source, metadata_port: port } = gateway.flags;
        const postures = posturesOf(open, gateway, fixed.host);
        if (postures === undefined || source === undefined || !rangesContain(ownRanges(network, gateway.name), source))
          return [];
        if (rangesContain(floatedAddresses(deployment), fixed.address)) return [];
        const services = only(53, 67, port);
        return [
          claimAt(portOf(fixed), {
            says: `no flow of ${stationName(fixed)} leaves from a port of ${printAddress(source)} that ${gateway.name} listens on`,
            set: opening(
              setOf({
                family: 4,
                saddr: only(fixed.address),
                daddr: worldAround(context, gateway.name),
                protocol: only(TCP, UDP),
                sport: services,
              }),
            ),
            ending: {
              kind: 'never-reaches',
              place: { kind: 'outside' },
              as: { saddr: { is: source }, sport: { within: services } },
            },
            ...postures,
            chain: chainOf(gateway, 'network', 'nat', 'snat'),
            near,
          }),
        ];
      }),
    );
  },
};

/** In the order of the book of laws. */
export const HOST_LAWS: readonly Law[] = [closedToInstances, opensOnlyServices, portsNotShadowed];
