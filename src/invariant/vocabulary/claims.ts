/** How laws write their claims down. */
import type { Family } from '../../address/address.ts';
import type { Claim, Image, PacketsClaim, Posture } from '../../claim/claim.ts';
import { keptFor } from '../../deployment/kept.ts';
import { openers } from './openers.ts';
import { intersectSets, type PacketSet } from '../../packet/pattern.ts';
import type { Applies, LawContext } from '../law.ts';
import { namedAddresses, namedPorts } from './addresses.ts';
import type { EntryPoint } from './entries.ts';

/** It arrives as it was sent; an answer, as if whoever was addressed had sent it. */
export const UNCHANGED: Image = { saddr: 'original', daddr: 'original', sport: 'original', dport: 'original' };

/** The claims of a law; or, when there are none to make, why it does not apply. */
export const claimsOr = (because: string, claims: readonly Claim[]): Applies =>
  claims.length === 0 ? { kind: 'not-applicable', because } : { kind: 'claims', claims };

export const notApplicable = (because: string): Applies => ({ kind: 'not-applicable', because });

/** What a claim says beside where and as what its packets enter. NEW and IPv4 unless it says otherwise. */
export type Said = Pick<PacketsClaim, 'says' | 'set' | 'ending'> &
  Partial<Pick<PacketsClaim, 'reply' | 'chain' | 'postures' | 'near' | 'state' | 'family'>>;

/** The claim that packets entering at a point end so. */
export const claimAt = (at: EntryPoint, said: Said): PacketsClaim => ({
  kind: 'packets',
  host: at.host,
  entry: at.entry,
  family: 4,
  state: 'NEW',
  ...said,
});

/** Of these packets those that open a flow. */
export const opening = (set: PacketSet, family: Family = 4): PacketSet => intersectSets(openers(family), set);

/** What is worth trying in any claim about a deployment: everything that it names. */
export const nearNames = keptFor(
  ({ deployment, network }: LawContext): Required<NonNullable<PacketsClaim['near']>> => ({
    addresses: namedAddresses(deployment, network),
    ports: namedPorts(deployment),
  }),
);

/** A claim that holds only while policies let everything pass. */
export const AS_GIVEN: readonly Posture[] = ['as-given'];
export const HARDENED: readonly Posture[] = ['hardened'];
