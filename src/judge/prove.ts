/**
 * The judge of all packets at work: each claim proved, or broken by a packet that the netfilter judge has been shown, or left to samples with the reason.
 */
import type { Address, Family } from '../address/address.ts';
import type { Ending, PacketsClaim, Posture } from '../claim/claim.ts';
import { worldOf, type World } from '../network/walk.ts';
import type { Arrival } from '../packet/packet.ts';
import { printSet } from '../packet/set-notation.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { leastSent, readableSet } from '../space/arrival.ts';
import { NO, SpaceLimitError, type Node } from '../space/diagram.ts';
import { Ground, type GroundOptions } from '../space/ground.ts';
import { WaySpace } from '../space/way.ts';
import { entryOf, tryPacket, type Judgement } from './judge.ts';
import { likenessOf } from './alike-claims.ts';
import { Prover, type Proof } from './proof.ts';

type Rulesets = ReadonlyMap<string, readonly Ruleset[]>;

/** Said where the judges contradict each other. */
export const OWN_MISTAKE = 'a mistake in this tool, please report it';

/** Who proves: another one where a mistaken prover is to be found out. */
export type ProverOf = (ways: WaySpace) => Prover;

/** Not proved: what samples have to say then, and why. */
export interface Unproved {
  readonly kind: 'unproved';
  readonly because: string;
}

/** What proofs of one network have in common: several versions of its rules are asked about over one layout, and what they share is made once. */
export class Grounds {
  readonly #options: Omit<GroundOptions, 'family'>;
  readonly #grounds = new Map<Family, Ground>();

  constructor(options: Omit<GroundOptions, 'family'>) {
    this.#options = options;
  }

  /** The hosts as the netfilter judge has them, with some rules. */
  world(rulesets: Rulesets): World {
    return worldOf(this.#options.network, rulesets, this.#options.backend);
  }

  of(family: Family): Ground {
    const rulesets = this.#options.rulesets.filter((ruleset) => ruleset.family === family);
    const ground = this.#grounds.get(family) ?? new Ground({ ...this.#options, family, rulesets, joins: true });
    this.#grounds.set(family, ground);
    return ground;
  }
}

export type RulesetsOf = Readonly<Record<Posture, Rulesets>>;

/** Endings that ask for packets to come through. */
const isThrough = ({ kind }: Ending): boolean => kind === 'reaches' || kind === 'leaves';

/**
 * The posture in which a claim holds only if it holds in the other. Policies of DROP end ways that go on otherwise, and change nothing before that: who comes through goes
 * the same way where nothing is closed, and who reaches nobody there reaches nobody where it is. (Of several copies of a packet one may open the flow that another
 * belongs to, so of those nothing follows.)
 */
function harderPosture({ ending, reply }: PacketsClaim): Posture | undefined {
  if (!isThrough(ending)) return 'as-given';
  return reply === undefined || isThrough(reply) ? 'hardened' : undefined;
}

/** Claims that are alike, and in each posture what their joint proof has said. */
interface Alike {
  readonly claims: readonly PacketsClaim[];
  readonly proofs: Map<Posture, ReadonlyMap<PacketsClaim, Proof>>;
}

/** Those that are proved by one run. */
function provedTogether(prover: Prover, claims: readonly PacketsClaim[]): ReadonlyMap<PacketsClaim, Proof> {
  try {
    const proofs = prover.proveTogether(claims);
    return new Map(claims.flatMap((claim, index) => (proofs[index] === undefined ? [] : [[claim, proofs[index]]])));
  } catch (error) {
    if (error instanceof SpaceLimitError) return new Map();
    throw error;
  }
}

export interface ProofsOptions {
  readonly proverOf?: ProverOf | undefined;
  readonly infers?: boolean;
}

export class Proofs {
  readonly #grounds: Grounds;
  readonly #rulesets: RulesetsOf;
  readonly #proverOf: ProverOf;
  readonly #provers = new Map<string, Prover>();
  /** What is known of claims in the harder posture. */
  readonly #harder = new WeakMap<PacketsClaim, Proof>();
  readonly #worlds = new Map<Posture, World>();

  /** Claims that are alike, by each of them. */
  readonly #alike = new WeakMap<PacketsClaim, Alike>();

  readonly #infers: boolean;
  readonly #joins: boolean;

  /** `infers`: what is proved in one posture may be said of the other without a proof of its own; not where it is watched what a proof looks at. */
  constructor(grounds: Grounds, rulesets: RulesetsOf, { proverOf, infers = true }: ProofsOptions = {}) {
    this.#infers = infers;
    this.#joins = infers && proverOf === undefined;
    this.#grounds = grounds;
    this.#rulesets = rulesets;
    this.#proverOf = proverOf ?? ((ways) => new Prover(ways));
  }

  /** Claims that are going to be asked about: those that are alike are proved together, as soon as one of them is asked about, and by itself what that does not prove. The groups of those that are alike. */
  expect(claims: readonly PacketsClaim[]): readonly (readonly PacketsClaim[])[] {
    if (!this.#joins) return [];
    const groups = new Map<string, Map<Address, PacketsClaim>>();
    for (const claim of claims) {
      const likeness = likenessOf(claim);
      if (likeness === undefined) continue;
      const { key, destination } = likeness;
      const group = groups.get(key) ?? new Map<Address, PacketsClaim>();
      groups.set(key, group);
      if (!group.has(destination)) group.set(destination, claim);
    }
    const several = [...groups.values()].filter(({ size }) => size > 1).map((group) => [...group.values()]);
    for (const group of several) {
      const alike: Alike = { claims: group, proofs: new Map() };
      for (const claim of group) this.#alike.set(claim, alike);
    }
    return several;
  }

  #proofOf(claim: PacketsClaim, posture: Posture): Proof {
    const prover = this.#prover(claim.family, posture);
    const alike = this.#alike.get(claim);
    if (alike === undefined) return prover.prove(claim);
    const proofs = alike.proofs.get(posture) ?? provedTogether(prover, alike.claims);
    alike.proofs.set(posture, proofs);
    return proofs.get(claim) ?? prover.prove(claim);
  }

  #prover(family: Family, posture: Posture): Prover {
    const key = `${family} ${posture}`;
    const prover =
      this.#provers.get(key) ?? this.#proverOf(new WaySpace(this.#grounds.of(family), this.#rulesets[posture]));
    this.#provers.set(key, prover);
    return prover;
  }

  /** The hosts in a posture, as the netfilter judge has them. */
  world(posture: Posture): World {
    const world = this.#worlds.get(posture) ?? this.#grounds.world(this.#rulesets[posture]);
    this.#worlds.set(posture, world);
    return world;
  }

  /** Every witness is replayed by the netfilter judge before it is shown. `within`: of others of the claim's packets it is known that they fare as claimed. */
  judge(claim: PacketsClaim, posture: Posture, within?: Node): Judgement | Unproved {
    const proved = this.#prove(claim, posture, within);
    if (!('proof' in proved)) return proved;
    const { prover, proof } = proved;
    const judged = { claim, posture, strength: 'proved', tested: 0 } as const;
    if (proof.kind !== 'broken') return { ...judged, result: proof.kind };
    return this.#broken(prover, proof, judged);
  }

  /** It holds, of every packet; of those that are not `within` that is known. */
  isProved(claim: PacketsClaim, posture: Posture, within?: Node): boolean {
    const proved = this.#prove(claim, posture, within);
    return 'proof' in proved && proved.proof.kind === 'holds';
  }

  #prove(
    claim: PacketsClaim,
    posture: Posture,
    within: Node | undefined,
  ): { readonly prover: Prover; readonly proof: Proof } | Unproved {
    try {
      const prover = this.#prover(claim.family, posture);
      return { prover, proof: within === undefined ? this.#proof(claim, posture) : prover.prove(claim, within) };
    } catch (error) {
      if (error instanceof SpaceLimitError) return { kind: 'unproved', because: error.message };
      throw error;
    }
  }

  /** What holds in the posture that makes it harder holds in the other as well. */
  #proof(claim: PacketsClaim, posture: Posture): Proof {
    const harder = this.#infers && claim.postures === undefined ? harderPosture(claim) : undefined;
    if (harder === undefined) return this.#proofOf(claim, posture);
    const known = this.#harder.get(claim) ?? this.#proofOf(claim, harder);
    this.#harder.set(claim, known);
    const isSame = harder === posture || (known.kind !== 'broken' && !known.copied);
    return isSame ? known : this.#proofOf(claim, posture);
  }

  #broken(
    { layout }: Prover,
    proof: Extract<Proof, { kind: 'broken' }>,
    judged: Pick<Judgement, 'claim' | 'posture' | 'tested'> & { readonly strength: 'proved' },
  ): Judgement | Unproved {
    const { claim } = judged;
    const { sure, possible, header } = proof;
    const isSure = sure !== NO;
    const region: Node = isSure ? sure : possible;
    const packet = leastSent(layout, region, header, entryOf(claim));
    if (packet === undefined)
      return { kind: 'unproved', because: 'no packet of those that would break it could be put together' };
    const arrival: Arrival = {
      packet,
      entry: entryOf(claim),
      ...(claim.state === 'NEW' ? {} : { state: claim.state }),
    };
    const { outcome, way, reply } = tryPacket(this.world(judged.posture), claim, arrival);
    const witness = { arrival, way, ...(reply === undefined ? {} : { reply }) };
    switch (outcome.kind) {
      case 'otherwise': {
        const set = isSure ? readableSet(layout, sure, header) : undefined;
        return {
          ...judged,
          result: 'violated',
          message: outcome.because,
          witness,
          ...(set === undefined ? {} : { set: printSet(set) }),
        };
      }
      case 'undecided':
        return {
          ...judged,
          result: 'undecided',
          message: outcome.because,
          witness: { ...witness, ...(outcome.line === undefined ? {} : { line: outcome.line }) },
        };
      case 'as-claimed':
        return isSure
          ? {
              ...judged,
              result: 'undecided',
              message: `the sets say that this packet breaks it, and packet by packet it does not: ${OWN_MISTAKE}`,
              witness,
            }
          : { kind: 'unproved', because: proof.because ?? 'sets cannot tell' };
    }
  }
}
