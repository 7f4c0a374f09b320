/** What is promised of nova-api where it answers for metadata. */
import { familyOf, printAddress, type Family } from '../address/address.ts';
import { rangesContain, subtractRanges, type Ranges } from '../address/ranges.ts';
import { hasRole } from '../deployment/service.ts';
import type { Host } from '../host/host.ts';
import type { Network } from '../network/network.ts';
import { TCP } from '../packet/packet.ts';
import { setOf } from '../packet/pattern.ts';
import type { Law } from './law.ts';
import { hostIn, localTo, ownRanges } from './vocabulary/addresses.ts';
import { only } from './vocabulary/admission.ts';
import { sourcesOn } from './vocabulary/approach.ts';
import { chainOf } from './vocabulary/chain.ts';
import { claimAt, claimsOr, nearNames, opening } from './vocabulary/claims.ts';
import { entriesAt, type EntryPoint } from './vocabulary/entries.ts';
import { isRouted } from './vocabulary/ways.ts';

const reachable: Law = {
  id: 'api/reachable',
  kind: 'packets',
  severity: 'error',
  statement: 'NEW tcp to metadata_host:metadata_port, which is 8775, is delivered where nova-api runs.',
  source:
    'The article: "nova-api creates a rule in the filter table to allow others to access the nova-api service"; nova/network/linux_net.py metadata_accept',
  requires: 'a host with nova-api whose metadata_host is an address of its own',
  brokenBy: 'Under policy DROP: the ACCEPT rule of nova-api-INPUT removed, or its address, protocol or port changed.',
  knownFailures: [],
  claims: (context) => {
    const { deployment, network } = context;
    const near = nearNames(context);
    return claimsOr(
      'no host with nova-api has metadata_host as an address of its own',
      deployment.hosts.flatMap((host) => {
        const { metadata_host: address, metadata_port: port } = host.flags;
        const found = hostIn(network, host.name);
        const family = familyOf(address);
        const isHere = hasRole(host, 'metadata') && rangesContain(ownRanges(network, host.name, family), address);
        // ip6tables is nova's with use_ipv6 only.
        if (found === undefined || !isHere || (family === 6 && !host.flags.use_ipv6)) return [];
        return entriesAt(network, host.name)
          .filter((at) => isRouted(context, host, at))
          .map((at) =>
            claimAt(at, {
              says: `the API on ${host.name} is reached at ${printAddress(address)}:${port} by ${at.name}`,
              set: opening(
                setOf({
                  family,
                  saddr: sourcesAt(network, found, at, family),
                  daddr: only(address),
                  protocol: only(TCP),
                  dport: only(port),
                }),
                family,
              ),
              ending: {
                kind: 'reaches',
                place: { kind: 'process', host: host.name },
                as: { daddr: 'original', sport: 'original', dport: 'original' },
              },
              chain: chainOf(host, 'metadata', 'filter', 'INPUT'),
              near,
            }),
          );
      }),
    );
  },
};

/** Who can send by an entry: a process, from the host's own addresses; others, from any that the host takes there. */
function sourcesAt(network: Network, host: Host, { entry, bridge }: EntryPoint, family: Family): Ranges {
  const own = ownRanges(network, host.name, family);
  if (entry.kind === 'local') return own;
  const local = family === 4 ? localTo(network, host.name) : own;
  return subtractRanges(sourcesOn(network, host, bridge ?? entry.interface, family), local);
}

/** In the order of the book of laws. */
export const API_LAWS: readonly Law[] = [reachable];
