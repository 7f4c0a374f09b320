/**
 * The judge of all packets at work: each claim proved, or broken by a packet that the netfilter judge has been shown, or left to samples with the reason.
 */
import type { Family } from '../address/address.ts';
import { POSTURES, type Ending, type PacketsClaim, type Posture } from '../claim/claim.ts';
import type { World } from '../network/walk.ts';
import type { Network } from '../network/network.ts';
import type { Backend } from '../netfilter/skb.ts';
import type { Arrival } from '../packet/packet.ts';
import { printSet } from '../packet/set-notation.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { leastSent, readableSet } from '../space/arrival.ts';
import { NO, SpaceLimitError, type Node } from '../space/diagram.ts';
import { Ground } from '../space/ground.ts';
import { WaySpace } from '../space/way.ts';
import { entryOf, tryPacket, type Judgement } from './judge.ts';
import { Prover, type Proof } from './proof.ts';

type Rulesets = ReadonlyMap<string, readonly Ruleset[]>;

/** Not proved: what samples have to say then, and why. */
export interface Unproved {
  readonly kind: 'unproved';
  readonly because: string;
}

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

export class Proofs {
  readonly #network: Network;
  readonly #rulesets: Readonly<Record<Posture, Rulesets>>;
  readonly #backend: Backend;
  readonly #harder = new WeakMap<PacketsClaim, Proof>();
  readonly #provers = new Map<Family, Readonly<Record<Posture, Prover>>>();

  constructor(network: Network, rulesets: Readonly<Record<Posture, Rulesets>>, backend: Backend) {
    this.#network = network;
    this.#rulesets = rulesets;
    this.#backend = backend;
  }

  /** The postures of a family share one layout, so that what they have in common is made once. */
  #prover(family: Family, posture: Posture): Prover {
    const known = this.#provers.get(family);
    if (known !== undefined) return known[posture];
    const rulesets = POSTURES.flatMap((own) =>
      [...this.#rulesets[own].values()].flat().filter((ruleset) => ruleset.family === family),
    );
    const ground = new Ground({ family, backend: this.#backend, network: this.#network, rulesets });
    const of = (own: Posture): Prover => new Prover(new WaySpace(ground, this.#rulesets[own]));
    const made = { 'as-given': of('as-given'), hardened: of('hardened') };
    this.#provers.set(family, made);
    return made[posture];
  }

  /** `world` has the rulesets of the posture: every witness is replayed in it before it is shown. */
  judge(world: World, claim: PacketsClaim, posture: Posture): Judgement | Unproved {
    let prover: Prover;
    let proof: Proof;
    try {
      prover = this.#prover(claim.family, posture);
      proof = this.#prove(claim, posture);
    } catch (error) {
      if (error instanceof SpaceLimitError) return { kind: 'unproved', because: error.message };
      throw error;
    }
    const judged = { claim, posture, strength: 'proved', tested: 0 } as const;
    if (proof.kind !== 'broken') return { ...judged, result: proof.kind };
    return this.#broken(world, prover, proof, judged);
  }

  /** What holds in the posture that makes it harder holds in the other as well. */
  #prove(claim: PacketsClaim, posture: Posture): Proof {
    const harder = claim.postures === undefined ? harderPosture(claim) : undefined;
    if (harder === undefined) return this.#prover(claim.family, posture).prove(claim);
    const known = this.#harder.get(claim) ?? this.#prover(claim.family, harder).prove(claim);
    this.#harder.set(claim, known);
    const isSame = harder === posture || (known.kind !== 'broken' && !known.copied);
    return isSame ? known : this.#prover(claim.family, posture).prove(claim);
  }

  #broken(
    world: World,
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
    const { outcome, way, reply } = tryPacket(world, claim, arrival);
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
        return {
          kind: 'unproved',
          because: isSure
            ? 'the sets say that a packet breaks it, and the model says otherwise: a mistake in this tool, please report it'
            : (proof.because ?? 'sets cannot tell'),
        };
    }
  }
}
