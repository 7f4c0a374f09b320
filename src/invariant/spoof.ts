/** Whether an instance can send under another's name. */
import type { Family } from '../address/address.ts';
import { subtractRanges } from '../address/ranges.ts';
import type { PacketsClaim } from '../claim/claim.ts';
import { setOf } from '../packet/pattern.ts';
import type { Law, LawContext } from './law.ts';
import { only } from './vocabulary/admission.ts';
import { fixedAddresses, unicast } from './vocabulary/addresses.ts';
import { claimAt, claimsOr, opening } from './vocabulary/claims.ts';
import { portOf } from './vocabulary/entries.ts';
import { nearOf } from './vocabulary/visit.ts';

const sourceOwned: Law = {
  id: 'spoof/source-owned',
  kind: 'packets',
  severity: 'warning',
  statement: 'A frame from an instance’s port with a source that is not the instance’s is not accepted.',
  source:
    'What an operator wants; nova leaves it to ebtables and nwfilter (nova/virt/libvirt/firewall.py nova-base), which are not modelled',
  requires: 'instances',
  brokenBy: 'Every ruleset of nova’s: its iptables rules look at where packets go, not at where they come from.',
  knownFailures: [
    { releases: 'all', because: 'nova’s iptables rules do not look at the sources of what instances send' },
  ],
  claims: (context) => claimsOr('there are no instances', [...spoofClaims(context, 4), ...spoofClaims(context, 6)]),
};

const spoofClaims = (context: LawContext, family: Family): readonly PacketsClaim[] => {
  const near = nearOf(context, family);
  return fixedAddresses(context.deployment, family).flatMap((fixed) => {
    if (family === 6 && !fixed.host.flags.use_ipv6) return [];
    const point = portOf(fixed);
    const foreign = subtractRanges(
      unicast(family),
      only(...fixed.vif.fixedIps.filter((own) => typeof own === typeof fixed.address)),
    );
    return [
      claimAt(point, {
        says: `nothing NEW from ${fixed.instance.name} by ${point.name} under another's ${family === 4 ? 'IPv4' : 'IPv6'} address reaches anybody`,
        family,
        set: opening(setOf({ family, saddr: foreign, daddr: unicast(family) }), family),
        ending: { kind: 'never-reaches' },
        near,
      }),
    ];
  });
};

export const SPOOF_LAWS: readonly Law[] = [sourceOwned];
