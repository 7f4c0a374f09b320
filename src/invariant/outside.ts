/** What is promised of instances without a floating IP that talk to the world. */
import { printAddress, type Prefix } from '../address/address.ts';
import {
  intersectRanges,
  normalizeRanges,
  prefixRange,
  rangesContain,
  subtractRanges,
  type Ranges,
} from '../address/ranges.ts';
import type { PacketsClaim } from '../claim/claim.ts';
import type { Deployment, DeploymentHost } from '../deployment/deployment.ts';
import { keptFor } from '../deployment/kept.ts';
import { hostNamed } from '../deployment/placement.ts';
import { ICMP, RST, TCP } from '../packet/packet.ts';
import {
  intersectSets,
  isEmptySet,
  NO_PACKET,
  setOf,
  unionSets,
  type PacketSet,
  type Pattern,
} from '../packet/pattern.ts';
import { flagRanges } from '../packet/set-notation.ts';
import type { Law, LawContext } from './law.ts';
import {
  besides,
  everyExemption,
  fixedRange,
  floatedAddresses,
  networkHosts,
  stationName,
  unicast,
  worldBehind,
  type FixedAddress,
} from './vocabulary/addresses.ts';
import { only } from './vocabulary/admission.ts';
import { chainOf } from './vocabulary/chain.ts';
import { claimAt, claimsOr, nearNames, opening, UNCHANGED } from './vocabulary/claims.ts';
import { arrivalsAt, portOf } from './vocabulary/entries.ts';
import {
  deviceOf,
  isRouted,
  isTranslatedOnce,
  masksOnlyOutward,
  posturesOf,
  PUBLIC_PORT,
  routedOutside,
  waysOut,
  worldThatAnswers,
} from './vocabulary/ways.ts';

const ARTICLE =
  'The article, "Rule for access outside of fixed subnet": "The add_snat_rule() method adds an sNAT rule into wrapped chain sNAT of the NAT table"';
const NO_NETWORK = 'no host with nova-network and a routing_source_ip routes for fixed_range';

const withoutFloat = (context: LawContext, host: DeploymentHost): Ranges =>
  withoutFloatOf(context.deployment, host.name);

const withoutFloatOf = keptFor((deployment: Deployment, name: string): Ranges => {
  const host = hostNamed(deployment, name);
  if (host === undefined) return [];
  return subtractRanges(intersectRanges(fixedRange(deployment, host), unicast()), floatedAddresses(deployment));
});

const rangeOf = (prefix: Prefix): Ranges => [prefixRange(prefix)];

const snatToRoutingSource: Law = {
  id: 'outside/snat-to-routing-source',
  kind: 'packets',
  severity: 'error',
  statement:
    'A NEW tracked routed packet with a source in fixed_range that has no floating IP, to a destination outside fixed_range, dmz_cidr and metadata_host (leaving by public_interface, in releases that ask for it): its source becomes routing_source_ip.',
  source: `${ARTICLE}; nova/network/linux_net.py add_snat_rule`,
  requires: 'a host with nova-network and a routing_source_ip',
  brokenBy:
    'The SNAT rule of nova-network-snat removed, or its source range or its address changed; an exemption in nova-network-POSTROUTING widened.',
  knownFailures: [PUBLIC_PORT],
  claims: (context) => {
    const { deployment, network } = context;
    const near = nearNames(context);
    return claimsOr(
      NO_NETWORK,
      networkHosts(deployment)
        .filter((host) => isTranslatedOnce(deployment, host))
        .flatMap((host) =>
          arrivalsAt(network, host.name)
            .filter((at) => isRouted(context, host, at))
            .flatMap((at) => {
              const source = host.flags.routing_source_ip;
              if (source === undefined) return [];
              const saddr = withoutFloat(context, host);
              const daddr = routedOutside(context, host, at);
              const leaves = (what: string, fields: Partial<Pattern>): PacketsClaim =>
                claimAt(at, {
                  says: `by ${at.name}, what is routed out of fixed_range${what} leaves from ${printAddress(source)}`,
                  set: opening(setOf({ family: 4, saddr, daddr, ...fields })),
                  ending: {
                    kind: 'whatever-is-reached',
                    as: { saddr: { is: source }, daddr: 'original', dport: 'original' },
                  },
                  chain: chainOf(host, 'network', 'nat', 'snat'),
                  near,
                });
              const exempt = besides(
                fixedRange(deployment, host),
                only(host.flags.metadata_host),
                ...host.flags.dmz_cidr.map(rangeOf),
              );
              const neighbours = besides(floatedAddresses(deployment));
              return [
                leaves('', {}),
                leaves(' to an address beside one that is exempt', { daddr: intersectRanges(daddr, exempt) }),
                ...(neighbours.length === 0
                  ? []
                  : [
                      leaves(' from an address beside one with a floating IP', {
                        saddr: intersectRanges(saddr, neighbours),
                      }),
                    ]),
              ];
            }),
        ),
    );
  },
};

const replyComesBack: Law = {
  id: 'outside/reply-comes-back',
  kind: 'packets',
  severity: 'error',
  statement:
    'What an instance without a floating IP sends to the world leaves from routing_source_ip, and the reply reaches the instance, with the addresses and ports that it used.',
  source: `${ARTICLE}: "the VMs with this subnet's IPs are able to access an outside network"`,
  requires:
    'an instance without a floating IP whose gateway is a host that serves its network and has a routing_source_ip',
  brokenBy:
    'The SNAT rule of nova-network-snat removed; under policy DROP also an ACCEPT rule of the bridge in FORWARD; the rule for established flows in the instance’s chain.',
  knownFailures: [PUBLIC_PORT],
  claims: (context) => {
    const near = nearNames(context);
    return claimsOr(
      'no instance without a floating IP has a way out by a host with nova-network and a routing_source_ip',
      waysOut(context).flatMap(({ fixed, gateway, open }): PacketsClaim[] => {
        const postures = posturesOf(open, gateway, fixed.host);
        const source = gateway.flags.routing_source_ip;
        if (postures === undefined || source === undefined) return [];
        if (!rangesContain(withoutFloat(context, gateway), fixed.address)) return [];
        return [
          claimAt(portOf(fixed), {
            says: `${stationName(fixed)} (${printAddress(fixed.address)}) reaches the world as ${printAddress(source)}, and its answers come back`,
            set: opening(setOf({ family: 4, saddr: only(fixed.address), daddr: worldOf(context, gateway, fixed) })),
            ending: {
              kind: 'reaches',
              place: { kind: 'outside' },
              as: { saddr: { is: source }, daddr: 'original', dport: 'original' },
            },
            reply: { kind: 'reaches', place: { kind: 'instance', name: stationName(fixed) }, as: UNCHANGED },
            ...postures,
            chain: chainOf(gateway, 'network', 'nat', 'snat'),
            near,
          }),
        ];
      }),
    );
  },
};

/** The world's addresses towards which a host translates, and whose answers find their way back to a fixed address. */
function worldOf(context: LawContext, host: DeploymentHost, fixed: FixedAddress): Ranges {
  const { deployment, network } = context;
  const device = deviceOf(network, host.name, host.publicInterface);
  const world = worldThatAnswers(context, host, fixed)
    .filter((behind) => !masksOnlyOutward(deployment, host) || behind.device === device)
    .flatMap(({ addresses }) => addresses);
  return subtractRanges(normalizeRanges(world), everyExemption(deployment));
}

/** What is INVALID to every host that has not seen its flow: a reset, an echo reply (S6). */
const LATE = unionSets(
  setOf({ family: 4, protocol: only(TCP), flags: flagRanges(RST, RST) }),
  setOf({ family: 4, protocol: only(ICMP), type: only(0) }),
);

const STATES = ['NEW', 'INVALID', 'UNTRACKED'] as const;

const noFixedLeak: Law = {
  id: 'outside/no-fixed-leak',
  kind: 'packets',
  severity: 'warning',
  statement:
    'No packet with a source in fixed_range leaves by public_interface for a destination outside fixed_range, dmz_cidr and metadata_host, whatever connection tracking makes of it.',
  source:
    'What an operator wants: the world has no way back to a fixed address. The nat table is not asked about INVALID and UNTRACKED packets (S6).',
  requires: 'an instance whose gateway is a host that serves its network and has a routing_source_ip',
  brokenBy:
    'For NEW packets: the SNAT rule of nova-network-snat removed. For the others: nothing in nova’s rules stops them.',
  knownFailures: [
    PUBLIC_PORT,
    {
      releases: 'all',
      because:
        'INVALID and UNTRACKED packets skip the nat table, and no rule of nova drops what an instance sends: a late RST leaves with the fixed address (S6)',
      where: (claim) => claim.kind === 'packets' && claim.state !== 'NEW',
    },
  ],
  claims: (context) => {
    const near = nearNames(context);
    return claimsOr(
      'no instance has a way out by a host with nova-network and a routing_source_ip',
      waysOut(context).flatMap(({ fixed, gateway, open }) => {
        const postures = posturesOf(open, gateway, fixed.host);
        if (postures === undefined || gateway.flags.routing_source_ip === undefined) return [];
        if (!rangesContain(fixedRange(context.deployment, gateway), fixed.address)) return [];
        const device = deviceOf(context.network, gateway.name, gateway.publicInterface);
        const world = worldBehind(context, gateway.name).find((behind) => behind.device === device);
        const set = setOf({
          family: 4,
          saddr: only(fixed.address),
          daddr: subtractRanges(world?.addresses ?? [], everyExemption(context.deployment)),
        });
        const sets: Readonly<Record<(typeof STATES)[number], PacketSet>> = {
          NEW: opening(set),
          INVALID: intersectSets(LATE, set),
          // A host farther on would track it.
          UNTRACKED: gateway === fixed.host ? set : NO_PACKET,
        };
        return STATES.filter((state) => !isEmptySet(sets[state])).map((state) =>
          claimAt(portOf(fixed), {
            says: `no ${state} packet of ${stationName(fixed)} leaves ${gateway.name} for the world from ${printAddress(fixed.address)}`,
            set: sets[state],
            state,
            ending: {
              kind: 'never-reaches',
              place: { kind: 'outside' },
              as: { saddr: { within: fixedRange(context.deployment, gateway) } },
            },
            ...postures,
            chain: chainOf(gateway, 'network', 'nat', 'snat'),
            near,
          }),
        );
      }),
    );
  },
};

/** In the order of the book of laws. */
export const OUTSIDE_LAWS: readonly Law[] = [snatToRoutingSource, replyComesBack, noFixedLeak];
