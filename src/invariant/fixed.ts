/** What fixed addresses are promised among themselves. */
import { printAddress } from '../address/address.ts';
import { intersectRanges, subtractRanges, type Ranges } from '../address/ranges.ts';
import { setOf } from '../packet/pattern.ts';
import type { Law } from './law.ts';
import {
  commonExemption,
  everyFixedRange,
  everyFloat,
  networkHosts,
  unicast,
  zoneSources,
} from './vocabulary/addresses.ts';
import { chainOf } from './vocabulary/chain.ts';
import { claimAt, claimsOr, nearNames, notApplicable, opening } from './vocabulary/claims.ts';
import { entriesAt } from './vocabulary/entries.ts';

const printRanges = (ranges: Ranges): string =>
  ranges.map(({ from, to }) => `${printAddress(from)}-${printAddress(to)}`).join(', ');

const notTranslatedInside: Law = {
  id: 'fixed/not-translated-inside',
  kind: 'packets',
  severity: 'error',
  statement:
    'NEW tracked unicast from a fixed address to another inside fixed_range, not to a floating IP: both addresses stay as they are. (Ports may move where two flows would collide.)',
  source:
    'The article, "Rule for VMs to connect each other": "ensure VMs with two fixed IPs can talk with each other"; nova/network/linux_net.py init_host',
  requires: 'a host with nova-network',
  brokenBy:
    'The ACCEPT rule for fixed_range in nova-network-POSTROUTING removed, or one of its ranges changed, or its "! --ctstate DNAT" turned round.',
  knownFailures: [],
  claims: (context) => {
    const { deployment, network } = context;
    const inside = intersectRanges(everyFixedRange(deployment), unicast());
    const sources = zoneSources(deployment);
    const near = nearNames(context);
    if (networkHosts(deployment).length === 0) return notApplicable('no host runs nova-network');
    return claimsOr(
      'the deployment has no host',
      deployment.hosts.flatMap((host) =>
        entriesAt(network, host.name).flatMap((at) =>
          sources.map((source) => {
            const saddr = intersectRanges(source, unicast());
            // Inside the fixed_range of some host, and exempt from translation by every host that translates these sources.
            const exempt = intersectRanges(inside, commonExemption(deployment, saddr));
            const which = sources.length === 1 ? '' : ` from ${printRanges(source)}`;
            return claimAt(at, {
              says: `by ${at.name}, packets${which} inside fixed_range keep their addresses`,
              set: opening(setOf({ family: 4, saddr, daddr: subtractRanges(exempt, everyFloat(deployment)) })),
              ending: { kind: 'whatever-is-reached', as: { saddr: 'original', daddr: 'original' } },
              chain: chainOf(host, 'network', 'nat', 'POSTROUTING'),
              near,
            });
          }),
        ),
      ),
    );
  },
};

/** In the order of the book of laws. */
export const FIXED_LAWS: readonly Law[] = [notTranslatedInside];
