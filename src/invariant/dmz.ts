/** What is promised of the way to dmz_cidr. */
import { printPrefix } from '../address/address.ts';
import { intersectRanges, subtractRanges } from '../address/ranges.ts';
import { setOf } from '../packet/pattern.ts';
import type { Law } from './law.ts';
import {
  commonExemption,
  dmzRanges,
  everyFloat,
  fixedRange,
  networkHosts,
  stationName,
  unicast,
  worldAround,
} from './vocabulary/addresses.ts';
import { only } from './vocabulary/admission.ts';
import { chainOf } from './vocabulary/chain.ts';
import { claimAt, claimsOr, nearNames, opening } from './vocabulary/claims.ts';
import { arrivalsAt, portOf } from './vocabulary/entries.ts';
import { posturesOf, waysOut } from './vocabulary/ways.ts';

const notTranslated: Law = {
  id: 'dmz/not-translated',
  kind: 'packets',
  severity: 'error',
  statement: 'NEW tracked packets from fixed addresses to dmz_cidr keep their source.',
  source:
    'The article, "Rule to access dmz": "FLAGS.dmz_cidr defines a list of dmz (perimeter networking) CIDRs"; nova/network/linux_net.py init_host',
  requires: 'a host with nova-network and a dmz_cidr',
  brokenBy:
    'The ACCEPT rule for a dmz_cidr that is outside fixed_range removed from nova-network-POSTROUTING, or its mask changed.',
  knownFailures: [],
  claims: (context) => {
    const { deployment, network } = context;
    const near = nearNames(context);
    const exempt = subtractRanges(intersectRanges(commonExemption(deployment), unicast()), everyFloat(deployment));
    const hosts = networkHosts(deployment).filter(({ flags }) => flags.dmz_cidr.length > 0);
    const passing = hosts.flatMap((host) => {
      const list = host.flags.dmz_cidr.map(printPrefix).join(', ');
      return arrivalsAt(network, host.name).map((at) =>
        claimAt(at, {
          says: `by ${at.name}, what goes from fixed_range to ${list} keeps its addresses`,
          set: opening(
            setOf({
              family: 4,
              saddr: intersectRanges(fixedRange(deployment, host), unicast()),
              daddr: intersectRanges(dmzRanges(host), exempt),
            }),
          ),
          ending: { kind: 'whatever-is-reached', as: { saddr: 'original', daddr: 'original', dport: 'original' } },
          chain: chainOf(host, 'network', 'nat', 'POSTROUTING'),
          near,
        }),
      );
    });
    const arriving = waysOut(context).flatMap(({ fixed, gateway, open }) => {
      const postures = posturesOf(open, gateway, fixed.host);
      const inRange = intersectRanges(fixedRange(deployment, gateway), only(fixed.address));
      if (postures === undefined || !hosts.includes(gateway) || inRange.length === 0) return [];
      const daddr = intersectRanges(intersectRanges(dmzRanges(gateway), exempt), worldAround(context, gateway.name));
      return [
        claimAt(portOf(fixed), {
          says: `${stationName(fixed)} reaches dmz_cidr under its own address`,
          set: opening(setOf({ family: 4, saddr: inRange, daddr })),
          ending: {
            kind: 'reaches',
            place: { kind: 'outside' },
            as: { saddr: 'original', daddr: 'original', dport: 'original' },
          },
          ...postures,
          chain: chainOf(gateway, 'network', 'nat', 'POSTROUTING'),
          near,
        }),
      ];
    });
    return claimsOr('no host with nova-network has a dmz_cidr', [...passing, ...arriving]);
  },
};

/** In the order of the book of laws. */
export const DMZ_LAWS: readonly Law[] = [notTranslated];
