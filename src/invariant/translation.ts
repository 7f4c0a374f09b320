/** That nobody is translated of whom no other law says it. */
import { anyAddress, subtractRanges, unionRanges } from '../address/ranges.ts';
import type { PacketsClaim } from '../claim/claim.ts';
import type { DeploymentHost } from '../deployment/deployment.ts';
import { TCP } from '../packet/packet.ts';
import { intersectSets, setOf, subtractSets, unionSets, type PacketSet } from '../packet/pattern.ts';
import type { Law, LawContext } from './law.ts';
import {
  besides,
  commonExemption,
  everyFixedRange,
  everyFloat,
  fixedRange,
  floatedAddresses,
  localTo,
  METADATA_ADDRESS,
  METADATA_PORT,
  networkHosts,
  ownRanges,
} from './vocabulary/addresses.ts';
import { only } from './vocabulary/admission.ts';
import { chainOf } from './vocabulary/chain.ts';
import { claimAt, claimsOr, nearNames, opening, UNCHANGED } from './vocabulary/claims.ts';
import { entriesAt, type EntryPoint } from './vocabulary/entries.ts';
import { isRouted } from './vocabulary/ways.ts';

const onlyWhatIsNamed: Law = {
  id: 'translation/only-what-is-named',
  kind: 'packets',
  severity: 'error',
  statement:
    'A NEW packet that is not to a floating IP, not a metadata request, and not from fixed_range or a fixed address with a floating IP to somewhere that is not exempt, arrives as it was sent.',
  source:
    'The rules of nova/network/linux_net.py taken together: metadata_forward, floating_forward_rules, add_snat_rule, init_host',
  brokenBy:
    'Any rule of the nat table that matches more than it should: a mask too short, a missing protocol, a condition turned round.',
  knownFailures: [],
  claims: (context) => {
    const { deployment, network } = context;
    const near = nearNames(context);
    return claimsOr(
      'the deployment has no host',
      deployment.hosts.flatMap((host) =>
        entriesAt(network, host.name).flatMap((at) => {
          const all = subtractSets(everything(at), translated(context, host, at));
          const untranslated = (set: PacketSet, what: string): PacketsClaim =>
            claimAt(at, {
              says: `what enters by ${at.name}${what} and is not to be translated is not`,
              set: opening(set),
              ending: { kind: 'whatever-is-reached', as: UNCHANGED },
              chain: chainOf(host, 'network', 'nat', 'PREROUTING'),
              near,
            });
          const saddr = besides(
            ...networkHosts(deployment).map((host) => fixedRange(deployment, host)),
            floatedAddresses(deployment),
          );
          const daddr = besides(everyFloat(deployment));
          return [
            untranslated(all, ''),
            ...(saddr.length === 0
              ? []
              : [
                  untranslated(
                    intersectSets(setOf({ family: 4, saddr }), all),
                    ' from an address beside one that is translated',
                  ),
                ]),
            ...(daddr.length === 0
              ? []
              : [
                  untranslated(intersectSets(setOf({ family: 4, daddr }), all), ' for an address beside a floating IP'),
                ]),
          ];
        }),
      ),
    );
  },
};

/** A process that binds no address is given one by the kernel: nothing is claimed of such packets. */
const everything = ({ kind }: EntryPoint): PacketSet =>
  kind === 'local' ? subtractSets(setOf({ family: 4 }), setOf({ family: 4, saddr: only(0) })) : setOf({ family: 4 });

/** What some host on the way may translate. */
function translated(context: LawContext, host: DeploymentHost, at: EntryPoint): PacketSet {
  const { deployment, network } = context;
  const translating = networkHosts(deployment);
  const isLocal = at.kind === 'local';
  // nat OUTPUT has no rule for metadata: a process that asks 169.254.169.254 talks to its own host, unless that has no such address.
  const redirected =
    isLocal && translating.includes(host)
      ? setOf({ family: 4, daddr: [] })
      : setOf({
          family: 4,
          daddr: only(METADATA_ADDRESS),
          protocol: only(TCP),
          dport: only(METADATA_PORT),
        });
  // What arrives for the host itself meets no POSTROUTING, unless it is bridged on to another; what its processes send does, even by loopback.
  const arrives = !isLocal && translating.includes(host) && isRouted(context, host, at);
  // A broadcast that enters a bridge is flooded as well, and the copies meet it.
  const own = at.bridge === undefined ? localTo(network, host.name) : ownRanges(network, host.name);
  const exempt = commonExemption(deployment);
  const untouched = arrives ? unionRanges(exempt, own) : exempt;
  const masked = setOf({
    family: 4,
    saddr: everyFixedRange(deployment),
    daddr: subtractRanges(anyAddress(4), untouched),
  });
  // Outside fixed_range no exemption saves a fixed address from its floating IP.
  const floated = setOf({
    family: 4,
    saddr: subtractRanges(floatedAddresses(deployment), everyFixedRange(deployment)),
  });
  const toFloats = setOf({ family: 4, daddr: everyFloat(deployment) });
  return [masked, floated, toFloats].reduce(unionSets, redirected);
}

/** In the order of the book of laws. */
export const TRANSLATION_LAWS: readonly Law[] = [onlyWhatIsNamed];
