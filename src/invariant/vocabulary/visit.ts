/**
 * Claims about the way to an instance: what its chain lets through and what it does not, by each way that packets can take to it. The laws of IPv4 and those of IPv6 are
 * these claims for the one family and for the other.
 */
import { familyOf, printAddress, type Address, type Family } from '../../address/address.ts';
import { intersectRanges, subtractRanges, type Ranges } from '../../address/ranges.ts';
import type { ChainName, Ending, PacketsClaim } from '../../claim/claim.ts';
import { keptFor } from '../../deployment/kept.ts';
import { hasRole } from '../../deployment/service.ts';
import type { ConntrackState } from '../../packet/packet.ts';
import { intersectSets, setOf, subtractSets, unionSets, type PacketSet } from '../../packet/pattern.ts';
import type { LawContext } from '../law.ts';
import { accepted, only, subnetsOf } from './admission.ts';
import { fixedAddresses, namedPorts, ownAddresses, type FixedAddress } from './addresses.ts';
import { approachesTo, type Approach } from './approach.ts';
import { instanceChain } from './chain.ts';
import { packetsInState } from './openers.ts';

/** The fixed addresses that a nova-compute guards: without one, and for IPv6 without use_ipv6, nobody has promised anything. */
export const guardedAddresses = ({ deployment }: LawContext, family: Family): readonly FixedAddress[] =>
  fixedAddresses(deployment, family).filter(
    ({ host }) => hasRole(host, 'compute') && (family === 4 || host.flags.use_ipv6),
  );

/** A fixed address with one of the ways that packets come to it, and what its groups make of them. */
export interface Visit {
  readonly fixed: FixedAddress;
  readonly approach: Approach;
  readonly accepted: PacketSet;
  readonly chain: ChainName;
}

/** All visits to one address. */
export type Visits = readonly Visit[];

/** By address, in the order of the deployment. */
export const visits = keptFor((context: LawContext, family: Family): readonly Visits[] =>
  guardedAddresses(context, family).map((fixed) => {
    const common = {
      fixed,
      accepted: accepted(context.deployment, fixed.instance, family),
      chain: instanceChain(context.deployment, fixed.instance),
    };
    return approachesTo(context.network, fixed).map((approach) => ({ ...common, approach }));
  }),
);

/** The packets of a state to one address, from these sources. */
export const towards = (state: ConntrackState, address: Address, saddr: Ranges): PacketSet => {
  const family = familyOf(address);
  return intersectSets(packetsInState(family, state), setOf({ family, daddr: only(address), saddr }));
};

/** Whom a wrong rule of a chain could mean: everybody who has an address here. The edges of what is admitted are the sets' own. */
export const nearOf = keptFor(
  ({ deployment, network }: LawContext, family: Family): NonNullable<PacketsClaim['near']> => {
    const rules = deployment.securityGroups.flatMap((group) => group.rules);
    const ports = rules.flatMap(({ fromPort, toPort }) => [fromPort, toPort].flatMap((port) => port ?? []));
    const addresses = [
      ...fixedAddresses(deployment, family).map(({ address }) => address),
      ...network.hosts.flatMap((host) => ownAddresses(network, host.name, family)),
      ...deployment.floatingIps.map(({ address }) => address).filter((address) => familyOf(address) === family),
    ];
    return {
      addresses: [...new Set(addresses)],
      ports: [...new Set([...namedPorts(deployment), ...ports])].filter((port) => port >= 0 && port <= 65535),
    };
  },
);

interface About {
  readonly state: ConntrackState;
  readonly set: PacketSet;
  /** The middle of the sentence: `from strangers`. */
  readonly which: string;
}

const stateWords: Readonly<Record<ConntrackState, string>> = {
  NEW: 'a NEW packet',
  ESTABLISHED: 'an ESTABLISHED packet',
  RELATED: 'a RELATED packet',
  INVALID: 'an INVALID packet',
  UNTRACKED: 'an UNTRACKED packet',
};

const claimOf = (
  { fixed, approach, chain }: Visit,
  { state, set, which }: About,
  near: PacketsClaim['near'],
  ending: Ending,
  outcome: string,
): PacketsClaim => ({
  kind: 'packets',
  says: `${stateWords[state]} to ${printAddress(fixed.address)} (${fixed.instance.name}) ${approach.words}, ${which}, ${outcome}`,
  host: fixed.host.name,
  entry: approach.entry,
  family: familyOf(fixed.address),
  set,
  state,
  ending,
  chain,
  ...(near === undefined ? {} : { near }),
});

export const dropped = (visit: Visit, about: About, near: PacketsClaim['near']): PacketsClaim =>
  claimOf(visit, about, near, { kind: 'never-reaches' }, 'reaches nobody');

/** Where the host's own ways lead what the chain lets through: mostly to the instance. */
export function reached(visit: Visit, about: About, near: PacketsClaim['near']): readonly PacketsClaim[] {
  const { leadsTo: place } = visit.approach;
  if (place === undefined) return [];
  const outcome = place.kind === 'instance' ? 'reaches it' : 'is let through';
  return [claimOf(visit, about, near, { kind: 'reaches', place }, outcome)];
}

const arrives = ({ leadsTo }: Approach): boolean => leadsTo?.kind === 'instance';

/** Of an address's visits the one that stands for the others where the way makes no difference: the first that arrives, if one does. */
const isFirst = (visit: Visit, own: Visits): boolean =>
  visit === (own.find(({ approach }) => arrives(approach)) ?? own[0]);

/** The first by a device that leads elsewhere than to the instance: what its chain leaves to others, no bridge's rule accepts there. */
const isFirstElsewhere = (visit: Visit, own: Visits): boolean =>
  visit === own.find(({ approach: { entry, leadsTo } }) => entry.kind === 'in' && leadsTo?.kind === 'outside');

/** A packet that conntrack is told to leave alone passes the chain's state rules as a NEW one does. */
const unopened = (visit: Visit, own: Visits): readonly ConntrackState[] =>
  isFirst(visit, own) || isFirstElsewhere(visit, own) ? ['NEW', 'UNTRACKED'] : ['NEW'];

/** The claims that are made of each visit, beside the others to the same address. */
const ofEach = (
  context: LawContext,
  family: Family,
  claims: (visit: Visit, own: Visits) => readonly PacketsClaim[],
): readonly PacketsClaim[] => visits(context, family).flatMap((own) => own.flatMap((visit) => claims(visit, own)));

export function strangersDropped(context: LawContext, family: Family): readonly PacketsClaim[] {
  const near = nearOf(context, family);
  return ofEach(context, family, (visit, own) => {
    const { address, instance } = visit.fixed;
    const strangers = subtractRanges(visit.approach.possible, subnetsOf(context.deployment, instance, family));
    return unopened(visit, own).map((state) => {
      const set = subtractSets(towards(state, address, strangers), visit.accepted);
      return dropped(visit, { state, set, which: 'from outside its subnets and not admitted' }, near);
    });
  });
}

export function admittedExactly(context: LawContext, family: Family): readonly PacketsClaim[] {
  const near = nearOf(context, family);
  return ofEach(context, family, (visit, own) =>
    unopened(visit, own).flatMap((state) => {
      const { address } = visit.fixed;
      const welcome = intersectSets(towards(state, address, visit.approach.sources), visit.accepted);
      const others = subtractSets(towards(state, address, visit.approach.possible), visit.accepted);
      return [
        ...reached(visit, { state, set: welcome, which: 'from its DHCP server, its subnets or admitted' }, near),
        dropped(
          visit,
          { state, set: others, which: 'neither from its DHCP server nor its subnets nor admitted' },
          near,
        ),
      ];
    }),
  );
}

export function establishedAdmitted(context: LawContext, family: Family): readonly PacketsClaim[] {
  const near = nearOf(context, family);
  return ofEach(context, family, (visit, own) =>
    (isFirst(visit, own) ? (['ESTABLISHED', 'RELATED'] as const) : (['ESTABLISHED'] as const)).flatMap((state) => {
      const packets = towards(state, visit.fixed.address, visit.approach.sources);
      // Those that no group admits stand apart, so that samples meet them however much is admitted.
      const set = unionSets(subtractSets(packets, visit.accepted), intersectSets(packets, visit.accepted));
      return reached(visit, { state, set, which: 'from anybody' }, near);
    }),
  );
}

export function invalidDropped(context: LawContext, family: Family): readonly PacketsClaim[] {
  const near = nearOf(context, family);
  return ofEach(context, family, (visit) => {
    const all = towards('INVALID', visit.fixed.address, visit.approach.possible);
    // Those that the rules behind would accept stand apart.
    const set = unionSets(intersectSets(all, visit.accepted), subtractSets(all, visit.accepted));
    return [dropped(visit, { state: 'INVALID', set, which: 'from anybody' }, near)];
  });
}

/** The same packets twice: as they come in by each device, and as a process of the host makes them. */
export function sameForProcesses(context: LawContext, family: Family): readonly PacketsClaim[] {
  const near = nearOf(context, family);
  return ofEach(context, family, (visit, own) => {
    if (visit.approach.entry.kind !== 'local') return [];
    const { address } = visit.fixed;
    // Which device the twin comes in by makes no difference to the chain: admits-exactly tries them all.
    const twin = own.find((other) => other !== visit && arrives(other.approach) === arrives(visit.approach));
    if (twin === undefined) return [];
    const sources = intersectRanges(twin.approach.sources, visit.approach.sources);
    const fresh = towards('NEW', address, sources);
    const groups: readonly [boolean, About][] = [
      [true, { state: 'NEW', set: intersectSets(fresh, visit.accepted), which: 'accepted' }],
      [false, { state: 'NEW', set: subtractSets(fresh, visit.accepted), which: 'not accepted' }],
      [true, { state: 'ESTABLISHED', set: towards('ESTABLISHED', address, sources), which: 'accepted' }],
      [false, { state: 'INVALID', set: towards('INVALID', address, sources), which: 'not accepted' }],
    ];
    return groups.flatMap(([passes, { which, ...about }]) =>
      [visit, twin].flatMap((one) => {
        const other = one === visit ? twin : visit;
        const both = { ...about, which: `which ${other.approach.words} is ${which} as well` };
        return passes ? reached(one, both, near) : [dropped(one, both, near)];
      }),
    );
  });
}
