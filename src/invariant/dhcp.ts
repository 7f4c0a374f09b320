/** What instances are promised of their DHCP server. */
import { LIMITED_BROADCAST, printAddress } from '../address/address.ts';
import { subtractRanges } from '../address/ranges.ts';
import type { PacketsClaim } from '../claim/claim.ts';
import { hasRole } from '../deployment/service.ts';
import { TCP, UDP } from '../packet/packet.ts';
import { setOf, subtractSets } from '../packet/pattern.ts';
import type { Law, LawContext } from './law.ts';
import { fixedAddresses, stationName, unicast, type FixedAddress } from './vocabulary/addresses.ts';
import { accepted, only, subnetsOf } from './vocabulary/admission.ts';
import { chainOf, instanceChain } from './vocabulary/chain.ts';
import { claimAt, claimsOr, nearNames, opening, UNCHANGED } from './vocabulary/claims.ts';
import { arrivalsAt, outwardEntries, portOf, processOf, type EntryPoint } from './vocabulary/entries.ts';
import { dnsmasqOf, filtersFrames, gatewayOf, posturesOf, type Dnsmasq } from './vocabulary/ways.ts';

/** Where a DHCP server listens, and its clients (RFC 2131 section 4.1). */
const SERVER = 67;
const CLIENT = 68;

const served: Law = {
  id: 'dhcp/served',
  kind: 'packets',
  severity: 'error',
  statement:
    'What an instance sends by its port to DHCP, from 0.0.0.0 to 255.255.255.255 as well as renewing a lease, reaches dnsmasq, and so does tcp to its port 67; the answer of dnsmasq reaches the instance; no server outside the subnet reaches the instance’s port 68.',
  source:
    'The article: "Allow DHCP and DNS traffic to come into the local dnsmasq process", "All DHCP traffic from the specified DHCP server is allowed"; nova/network/linux_net.py _add_dnsmasq_accept_rules (which also accepts tcp), nova/virt/firewall.py _do_dhcp_rules',
  requires: 'an instance whose network a host with nova-network serves; a chain of nova-compute, for the last part',
  brokenBy:
    'Under policy DROP: an ACCEPT rule of nova-network-INPUT for port 67 removed, or its interface, protocol or port changed. In an instance’s chain: the rule for port 68, or one that accepts more than it should.',
  knownFailures: [],
  claims: (context) =>
    claimsOr(
      'no instance is on a network that a host with nova-network serves',
      fixedAddresses(context.deployment)
        .flatMap((fixed) => dnsmasqOf(context, fixed) ?? [])
        .flatMap((dnsmasq) => [...exchanges(context, dnsmasq), ...strangers(context, dnsmasq)]),
    ),
};

function exchanges(context: LawContext, { fixed, host, address: server, open }: Dnsmasq): PacketsClaim[] {
  const postures = posturesOf(open, host, fixed.host);
  if (postures === undefined) return [];
  const name = stationName(fixed);
  const { address } = fixed;
  const instance = { kind: 'instance', name } as const;
  const process = { kind: 'process', host: host.name } as const;
  const near = nearNames(context);
  const input = { chain: chainOf(host, 'network', 'filter', 'INPUT'), ...postures, near };
  return [
    claimAt(portOf(fixed), {
      ...input,
      says: `a DISCOVER or REQUEST of ${name} reaches dnsmasq on ${host.name}`,
      set: setOf({
        family: 4,
        saddr: only(0),
        daddr: only(LIMITED_BROADCAST),
        protocol: only(UDP),
        sport: only(CLIENT),
        dport: only(SERVER),
      }),
      ending: { kind: 'reaches', place: process, as: UNCHANGED },
    }),
    claimAt(portOf(fixed), {
      ...input,
      says: `${name} renews its lease at ${printAddress(server)}`,
      set: setOf({
        family: 4,
        saddr: only(address),
        daddr: only(server),
        protocol: only(UDP),
        sport: only(CLIENT),
        dport: only(SERVER),
      }),
      ending: { kind: 'reaches', place: process, as: UNCHANGED },
      reply: { kind: 'reaches', place: instance, as: UNCHANGED },
    }),
    claimAt(portOf(fixed), {
      ...input,
      says: `${name} reaches tcp port ${SERVER} of ${printAddress(server)}`,
      set: opening(
        setOf({ family: 4, saddr: only(address), daddr: only(server), protocol: only(TCP), dport: only(SERVER) }),
      ),
      ending: { kind: 'reaches', place: process, as: UNCHANGED },
      reply: { kind: 'reaches', place: instance, as: UNCHANGED },
    }),
    claimAt(processOf(host.name), {
      says: `an OFFER or ACK of ${printAddress(server)} reaches ${name}`,
      set: setOf({
        family: 4,
        saddr: only(server),
        daddr: only(address),
        protocol: only(UDP),
        sport: only(SERVER),
        dport: only(CLIENT),
      }),
      ending: { kind: 'reaches', place: instance, as: UNCHANGED },
      ...postures,
      chain: hasRole(fixed.host, 'compute')
        ? instanceChain(context.deployment, fixed.instance)
        : chainOf(host, 'network', 'filter', 'OUTPUT'),
      near,
    }),
  ];
}

/** Other servers, by the ways on which packets pass the instance's chain. */
function strangers(context: LawContext, { fixed }: Dnsmasq): PacketsClaim[] {
  const { deployment } = context;
  if (!hasRole(fixed.host, 'compute')) return [];
  const near = nearNames(context);
  const set = subtractSets(
    setOf({
      family: 4,
      saddr: subtractRanges(unicast(), subnetsOf(deployment, fixed.instance, 4)),
      daddr: only(fixed.address),
      protocol: only(UDP),
      sport: only(SERVER),
      dport: only(CLIENT),
    }),
    accepted(deployment, fixed.instance, 4),
  );
  return waysIn(context, fixed).map((at) =>
    claimAt(at, {
      says: `no DHCP server of another subnet, by ${at.name}, reaches ${stationName(fixed)}`,
      set,
      ending: { kind: 'never-reaches', place: { kind: 'instance', name: stationName(fixed) } },
      chain: instanceChain(deployment, fixed.instance),
      near,
    }),
  );
}

/** The outside, by the network's gateway, and whoever is behind the uplink of the instance's bridge: frames that only cross the bridge pass the chain if they are filtered. */
function waysIn(context: LawContext, fixed: FixedAddress): EntryPoint[] {
  const { host, network: of } = fixed;
  const { network } = context;
  const bridged = filtersFrames(network, host.name);
  const gateway = gatewayOf(context, fixed);
  const outside = gateway === undefined || (gateway !== host && !bridged) ? [] : outwardEntries(network, gateway.name);
  const uplinks = arrivalsAt(network, host.name).filter(
    ({ kind, bridge }) => kind === 'uplink' && bridge === of.bridge,
  );
  return [...outside.filter((at) => !uplinks.some((known) => known.name === at.name)), ...(bridged ? uplinks : [])];
}

/** In the order of the book of laws. */
export const DHCP_LAWS: readonly Law[] = [served];
