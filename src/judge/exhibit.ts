/** A law shown on real clouds: a packet that shows it at work, and the smallest mistake in a ruleset that breaks it. */
import type { PacketsClaim } from '../claim/claim.ts';
import type { Deployment } from '../deployment/deployment.ts';
import type { Law } from '../invariant/law.ts';
import type { Network } from '../network/network.ts';
import { worldOf, type Way } from '../network/walk.ts';
import type { Arrival } from '../packet/packet.ts';
import { isEmptySet } from '../packet/pattern.ts';
import { leastPacket } from '../packet/sample.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { checkLaws, type Finding } from './check.ts';
import { entryOf, tryPacket } from './judge.ts';
import { mutantsOf, type Mutant } from './mutation.ts';

/** A cloud to show laws on. */
export interface Cloud {
  readonly name: string;
  readonly deployment: Deployment;
  readonly network: Network;
  readonly rulesets: ReadonlyMap<string, readonly Ruleset[]>;
}

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
  readonly finding: Finding;
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

const violationOf = (law: Law, cloud: Cloud, rulesets: Cloud['rulesets'], runs: number): Finding | undefined =>
  checkLaws({
    deployment: cloud.deployment,
    network: cloud.network,
    rulesets,
    laws: [law],
    backend: 'nft',
    runs,
    seed: 1,
  }).findings.find(({ result }) => result === 'violated');

/** The first mistake, rules deleted before values changed, that breaks the law; or the law as it is broken already. */
export function breakLaw(law: Law, clouds: readonly Cloud[], runs = 12): Broken | undefined {
  const speaking = clouds.filter((cloud) => speaksOf(law, [cloud]));
  for (const cloud of speaking) {
    const finding = violationOf(law, cloud, cloud.rulesets, runs);
    if (finding !== undefined) return { cloud, finding };
  }
  for (const deletions of [true, false])
    for (const cloud of speaking)
      for (const [host, own] of cloud.rulesets)
        for (const ruleset of own)
          for (const mutant of mutantsOf(ruleset)) {
            if ((mutant.change === 'deleted') !== deletions) continue;
            const rulesets = new Map([
              ...cloud.rulesets,
              [host, own.map((other) => (other === ruleset ? mutant.ruleset : other))] as const,
            ]);
            const finding = violationOf(law, cloud, rulesets, runs);
            if (finding !== undefined) return { cloud, host, mutant, finding };
          }
  return undefined;
}
