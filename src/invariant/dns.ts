/** What instances are promised of their name server. */
import { printAddress } from '../address/address.ts';
import type { PacketsClaim } from '../claim/claim.ts';
import { TCP, UDP } from '../packet/packet.ts';
import { setOf } from '../packet/pattern.ts';
import type { Law } from './law.ts';
import { fixedAddresses, stationName } from './vocabulary/addresses.ts';
import { only } from './vocabulary/admission.ts';
import { chainOf } from './vocabulary/chain.ts';
import { claimAt, claimsOr, nearNames, opening, UNCHANGED } from './vocabulary/claims.ts';
import { portOf } from './vocabulary/entries.ts';
import { dnsmasqOf, posturesOf } from './vocabulary/ways.ts';

const PORT = 53;
const PROTOCOLS = [
  { protocol: UDP, name: 'udp' },
  { protocol: TCP, name: 'tcp' },
] as const;

const served: Law = {
  id: 'dns/served',
  kind: 'packets',
  severity: 'error',
  statement: 'An instance’s queries to port 53 of its bridge’s address, udp and tcp, reach dnsmasq, and are answered.',
  source:
    'The article: "Allow DHCP and DNS traffic to come into the local dnsmasq process"; nova/network/linux_net.py _add_dnsmasq_accept_rules',
  requires: 'an instance whose network a host with nova-network serves',
  brokenBy:
    'Under policy DROP: an ACCEPT rule of nova-network-INPUT for port 53 removed, or its interface, protocol or port changed.',
  knownFailures: [],
  claims: (context) => {
    const near = nearNames(context);
    return claimsOr(
      'no instance is on a network that a host with nova-network serves',
      fixedAddresses(context.deployment).flatMap((fixed): PacketsClaim[] => {
        const dnsmasq = dnsmasqOf(context, fixed);
        const postures = dnsmasq && posturesOf(dnsmasq.open, dnsmasq.host, fixed.host);
        if (dnsmasq === undefined || postures === undefined) return [];
        return PROTOCOLS.map(({ protocol, name }) =>
          claimAt(portOf(fixed), {
            says: `${stationName(fixed)} asks ${printAddress(dnsmasq.address)} by ${name}`,
            set: opening(
              setOf({
                family: 4,
                saddr: only(fixed.address),
                daddr: only(dnsmasq.address),
                protocol: only(protocol),
                dport: only(PORT),
              }),
            ),
            ending: { kind: 'reaches', place: { kind: 'process', host: dnsmasq.host.name }, as: UNCHANGED },
            reply: { kind: 'reaches', place: { kind: 'instance', name: stationName(fixed) }, as: UNCHANGED },
            ...postures,
            chain: chainOf(dnsmasq.host, 'network', 'filter', 'INPUT'),
            near,
          }),
        );
      }),
    );
  },
};

/** In the order of the book of laws. */
export const DNS_LAWS: readonly Law[] = [served];
