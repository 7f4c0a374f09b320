/** A law shown on real clouds: a packet that shows it at work, and the smallest mistake in a ruleset that breaks it. */
import type { PacketsClaim } from '../claim/claim.ts';
import type { Law } from '../invariant/law.ts';
import { worldOf, type Way } from '../network/walk.ts';
import type { Arrival } from '../packet/packet.ts';
import { isEmptySet } from '../packet/pattern.ts';
import { leastPacket } from '../packet/sample.ts';
import { checkLaws } from './check.ts';
import { judgeOf, type BrokenClaim, type Cloud } from './mutant-judge.ts';
import { entryOf, tryPacket } from './judge.ts';
import { mutantsOf, type Mutant } from './mutation.ts';

/** A packet that ends as the law says. */
export interface Shown {
  readonly cloud: Cloud;
  readonly claim: PacketsClaim;
  readonly arrival: Arrival;
  readonly way: Way;
}

/** A mistake that breaks the law, and the packet (or the sentence) that shows it. Without a mutant the law is broken as it stands. */
export interface Broken {
  readonly cloud: Cloud;
  readonly host?: string;
  readonly mutant?: Mutant;
  readonly claim: BrokenClaim;
}

/** The first claim about packets whose least packet ends as claimed. */
export function showLaw(law: Law, clouds: readonly Cloud[]): Shown | undefined {
  for (const cloud of clouds) {
    const applies = law.claims(cloud);
    if (applies.kind === 'not-applicable') continue;
    const world = worldOf(cloud.network, cloud.rulesets);
    for (const claim of applies.claims) {
      if (claim.kind !== 'packets' || isEmptySet(claim.set)) continue;
      const least = leastPacket(claim.set, { entries: [entryOf(claim)] });
      if (least === undefined) continue;
      const arrival: Arrival = {
        packet: least.packet,
        entry: entryOf(claim),
        ...(claim.state === 'NEW' ? {} : { state: claim.state }),
      };
      const { outcome, way } = tryPacket(world, claim, arrival);
      if (outcome.kind === 'as-claimed') return { cloud, claim, arrival, way };
    }
  }
  return undefined;
}

/** True when the law claims something of one of these clouds: a ruleset claim, or one about packets that there are. */
export const speaksOf = (law: Law, clouds: readonly Cloud[]): boolean =>
  clouds.some((cloud) => {
    const applies = law.claims(cloud);
    return (
      applies.kind === 'claims' && applies.claims.some((claim) => claim.kind === 'ruleset' || !isEmptySet(claim.set))
    );
  });

/** The law as it is broken already, without any mistake. */
function brokenAsItStands(law: Law, cloud: Cloud, runs: number): BrokenClaim | undefined {
  const violated = checkLaws({ ...cloud, laws: [law], backend: 'nft', runs, seed: SEED }).findings.find(
    ({ result }) => result === 'violated',
  );
  return (
    violated && {
      law,
      says: violated.claim ?? '',
      message: violated.message,
      ...(violated.witness === undefined ? {} : { arrival: violated.witness.arrival }),
    }
  );
}

const SEED = 1;

/** The first mistake, rules deleted before values changed, that breaks the law; or the law as it is broken already. */
export function breakLaw(law: Law, clouds: readonly Cloud[], runs = 12): Broken | undefined {
  const speaking = clouds.filter((cloud) => speaksOf(law, [cloud]));
  for (const cloud of speaking) {
    const claim = brokenAsItStands(law, cloud, runs);
    if (claim !== undefined) return { cloud, claim };
  }
  const judged = speaking.map((cloud) => ({ cloud, judge: judgeOf(cloud, [law]) }));
  for (const deletions of [true, false])
    for (const { cloud, judge } of judged)
      for (const [host, own] of cloud.rulesets)
        for (const ruleset of own)
          for (const mutant of mutantsOf(ruleset)) {
            if ((mutant.change === 'deleted') !== deletions) continue;
            const claim = judge.brokenBy(host, mutant.ruleset);
            if (claim !== undefined) return { cloud, host, mutant, claim };
          }
  return undefined;
}
