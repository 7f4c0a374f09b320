/** What keeps projects apart. */
import { familyOf, printAddress, type Family } from '../address/address.ts';
import type { PacketsClaim } from '../claim/claim.ts';
import type { Deployment } from '../deployment/deployment.ts';
import { groupedBy } from '../deployment/kept.ts';
import { subtractSets } from '../packet/pattern.ts';
import type { Law, LawContext } from './law.ts';
import { accepted, addressesOf, networksOfInstance, only } from './vocabulary/admission.ts';
import { fixedAddresses, hostIn, MOST_ALIKE, stationName, type FixedAddress } from './vocabulary/addresses.ts';
import { filtersBridged } from './vocabulary/approach.ts';
import { instanceChain } from './vocabulary/chain.ts';
import { claimsOr } from './vocabulary/claims.ts';
import { portOf } from './vocabulary/entries.ts';
import { guardedAddresses, nearOf, towards } from './vocabulary/visit.ts';
import { gatewayOf } from './vocabulary/ways.ts';

const isolated: Law = {
  id: 'tenant/isolated',
  kind: 'packets',
  severity: 'error',
  statement:
    'Where projects have networks of their own (VLAN): no NEW flow between instances of different projects unless a group of the target admits it.',
  source:
    'The article, "VLAN DHCP mode": "The project gets a range of private IPs that are only accessible from inside the VLAN"; routing joins the bridges, so only the target’s chain keeps them apart',
  requires:
    'instances of different projects without a network in common, on hosts with nova-compute whose iptables see their frames',
  brokenBy: 'The jump to the fallback removed from an instance’s chain, or a subnet of another project accepted there.',
  knownFailures: [],
  claims: (context) =>
    claimsOr('no two instances of different projects are without a network in common', [
      ...isolationClaims(context, 4),
      ...isolationClaims(context, 6),
    ]),
};

/** Instances of a project on the same networks send alike. */
const sendersOf = (deployment: Deployment, family: Family): readonly FixedAddress[] => {
  const alike = groupedBy(fixedAddresses(deployment, family), ({ instance }) =>
    [instance.projectId, ...instance.vifs.map(({ network }) => network)].join(' '),
  );
  return [...alike.values()].flatMap((list) => list.slice(0, MOST_ALIKE));
};

/** Instances as senders to those of other projects. */
function isolationClaims(context: LawContext, family: Family): readonly PacketsClaim[] {
  const { deployment, network } = context;
  const near = nearOf(context, family);
  const senders = sendersOf(deployment, family);
  return guardedAddresses(context, family).flatMap((target, index) => {
    const host = hostIn(network, target.host.name);
    const welcome = accepted(deployment, target.instance, family);
    const strangers: FixedAddress[] = [];
    for (let step = 0; step < senders.length && strangers.length < MOST_ALIKE; step++) {
      const sender = senders[(index + step) % senders.length];
      if (sender !== undefined && areStrangers(context, sender, target)) strangers.push(sender);
    }
    return strangers.flatMap((sender): readonly PacketsClaim[] => {
      // Routed on the target's host, or bridged there by way of its iptables: its chain is asked.
      const asked = host !== undefined && (filtersBridged(host, family) || gatewayOf(context, sender) === target.host);
      if (!asked) return [];
      const saddr = only(...addressesOf(sender.instance, family).filter((own) => sender.vif.fixedIps.includes(own)));
      const [first] = sender.vif.fixedIps.filter((own) => familyOf(own) === family);
      // One claim for an interface, not for each of its addresses.
      if (first !== sender.address) return [];
      const point = portOf(sender);
      return [
        {
          kind: 'packets',
          says: `nothing NEW from ${sender.instance.name} by ${point.name}, of project ${sender.instance.projectId ?? ''}, reaches ${target.instance.name} at ${printAddress(target.address)}, of project ${target.instance.projectId ?? ''}, unless it is admitted`,
          host: point.host,
          entry: point.entry,
          family,
          set: subtractSets(towards('NEW', target.address, saddr), welcome),
          state: 'NEW',
          ending: { kind: 'never-reaches', place: { kind: 'instance', name: stationName(target) } },
          chain: instanceChain(deployment, target.instance),
          near,
        },
      ];
    });
  });
}

/** Of two projects that are named, and with no network in common. */
function areStrangers({ deployment }: LawContext, a: FixedAddress, b: FixedAddress): boolean {
  const [one, other] = [a.instance.projectId, b.instance.projectId];
  if (one === undefined || other === undefined || one === other) return false;
  const networks = networksOfInstance(deployment, b.instance);
  return !networksOfInstance(deployment, a.instance).some((network) => networks.includes(network));
}

export const TENANT_LAWS: readonly Law[] = [isolated];
