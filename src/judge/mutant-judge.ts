/**
 * Which law a mistake in a ruleset breaks: what `checkLaws` would say, found faster. A mistake in a chain can only show in claims whose packets come through that chain, and
 * the claim that found the last mistake is the likeliest to find the next.
 */
import { POSTURES, type PacketsClaim, type Posture, type RulesetClaim } from '../claim/claim.ts';
import type { Deployment } from '../deployment/deployment.ts';
import type { Law } from '../invariant/law.ts';
import type { Network } from '../network/network.ts';
import { worldOf, type Way, type World } from '../network/walk.ts';
import type { Arrival } from '../packet/packet.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { aimOf, askedIn } from './aim.ts';
import { chainKey, metOn, withMutant } from './equivalence.ts';
import { hardenedRuleset } from './hardened.ts';
import { judgeClaim } from './judge.ts';
import type { Mutant } from './mutation.ts';
import { Proofs } from './prove.ts';

/** A deployment with the rulesets of its hosts, without a mistake. */
export interface Cloud {
  readonly name: string;
  readonly deployment: Deployment;
  readonly network: Network;
  readonly rulesets: ReadonlyMap<string, readonly Ruleset[]>;
}

export interface BrokenClaim {
  readonly law: Law;
  readonly says: string;
  readonly message: string;
  readonly posture?: Posture;
  /** The packet that shows it; absent where the text itself is wrong. */
  readonly arrival?: Arrival;
}

interface Candidate {
  readonly law: Law;
  readonly claim: PacketsClaim;
  readonly posture: Posture;
  /** `host family table chain` of every chain that its packets came through in the ruleset without a mistake. */
  readonly chains: ReadonlySet<string>;
}

export class MutantJudge {
  readonly #cloud: Cloud;
  readonly #runs: number;
  readonly #seed: number;
  #packets: Candidate[] = [];
  readonly #texts: { readonly law: Law; readonly claim: RulesetClaim }[] = [];

  /**
   * `scouts`: the samples of each claim that tell which chains its packets come through; `runs` unless given.
   * Throws when the cloud breaks one of them without any mistake: then nothing could be told.
   */
  constructor(cloud: Cloud, laws: readonly Law[], runs: number, seed: number, scouts = runs) {
    this.#cloud = cloud;
    this.#runs = runs;
    this.#seed = seed;
    const worlds = this.#worlds(cloud.rulesets);
    const aim = aimOf([...cloud.rulesets.values()].flat());
    const asked = askedIn(cloud.rulesets);
    for (const law of laws) {
      const applies = law.claims(cloud);
      if (applies.kind === 'not-applicable') continue;
      for (const claim of applies.claims) {
        if (claim.kind === 'ruleset') {
          this.#texts.push({ law, claim });
          continue;
        }
        for (const posture of POSTURES) {
          if (claim.postures !== undefined && !claim.postures.includes(posture)) continue;
          const chains = new Set<string>();
          const seen = (way: Way): void => {
            for (const chain of metOn(way)) chains.add(chain);
          };
          const { result, message } = judgeClaim(worlds[posture], claim, posture, {
            runs: scouts,
            seed,
            aim,
            asked,
            seen,
          });
          if (result === 'violated')
            throw new Error(`${law.id} fails without any mistake: ${claim.says}: ${message ?? ''}`);
          this.#packets.push({ law, claim, posture, chains });
        }
      }
    }
  }

  #worlds(rulesets: Cloud['rulesets']): Readonly<Record<Posture, World>> {
    const { network } = this.#cloud;
    return { 'as-given': worldOf(network, rulesets), hardened: worldOf(network, hardened(rulesets)) };
  }

  /** The first claim that the mistake breaks; undefined when no law sees it. */
  brokenBy(host: string, ruleset: Ruleset, mutant: Mutant): BrokenClaim | undefined {
    for (const { law, claim } of this.#texts) {
      if (claim.host !== host || claim.family !== ruleset.family) continue;
      const [breach] = claim.breaches(mutant.ruleset);
      if (breach !== undefined) return { law, says: claim.says, message: breach.message };
    }
    const rulesets = withMutant(this.#cloud.rulesets, host, ruleset, mutant);
    const worlds = this.#worlds(rulesets);
    const aim = aimOf([...rulesets.values()].flat());
    const asked = askedIn(rulesets);
    const key = chainKey(host, ruleset.family, mutant.table, mutant.chain);
    const near = this.#packets.filter(({ chains }) => chains.has(key));
    for (const candidate of near) {
      const { law, claim, posture } = candidate;
      const { result, message, witness } = judgeClaim(worlds[posture], claim, posture, {
        runs: this.#runs,
        seed: this.#seed,
        aim,
        asked,
      });
      if (result !== 'violated') continue;
      this.#packets = [candidate, ...this.#packets.filter((other) => other !== candidate)];
      return {
        law,
        says: claim.says,
        posture,
        message: message ?? '',
        ...(witness === undefined ? {} : { arrival: witness.arrival }),
      };
    }
    return undefined;
  }

  /**
   * The first claim that the mistake breaks for any packet, whether or not a sample would find it, with a packet that the netfilter judge confirms. Undefined: every
   * claim that can be proved holds in spite of it.
   */
  provedBroken(host: string, ruleset: Ruleset, mutant: Mutant): BrokenClaim | undefined {
    const rulesets = withMutant(this.#cloud.rulesets, host, ruleset, mutant);
    const worlds = this.#worlds(rulesets);
    const proofs = new Proofs(this.#cloud.network, { 'as-given': rulesets, hardened: hardened(rulesets) }, 'nft');
    const key = chainKey(host, ruleset.family, mutant.table, mutant.chain);
    const [near, far] = [true, false].map((isNear) =>
      this.#packets.filter(({ claim, chains }) => claim.family === ruleset.family && chains.has(key) === isNear),
    );
    for (const { law, claim, posture } of [...(near ?? []), ...(far ?? [])]) {
      const judgement = proofs.judge(worlds[posture], claim, posture);
      if ('kind' in judgement || judgement.result !== 'violated') continue;
      const { message = '', witness } = judgement;
      return {
        law,
        says: claim.says,
        posture,
        message,
        ...(witness === undefined ? {} : { arrival: witness.arrival }),
      };
    }
    return undefined;
  }
}

const hardened = (rulesets: Cloud['rulesets']): Cloud['rulesets'] =>
  new Map([...rulesets].map(([host, own]) => [host, own.map(hardenedRuleset)]));
