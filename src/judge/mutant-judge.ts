/**
 * Which law a mistake in a ruleset breaks. Every claim is proved once for the rules without a mistake, and where its packets came to tables is remembered. A mistake makes something
 * else of some packets at some tables (space/rules-change.ts), and can only break claims whose packets are among those: only they are proved again, first the one that found the
 * last mistake.
 */
import type { Family } from '../address/address.ts';
import { POSTURES, type Breach, type PacketsClaim, type Posture, type RulesetClaim } from '../claim/claim.ts';
import type { Deployment } from '../deployment/deployment.ts';
import type { Law } from '../invariant/law.ts';
import type { Network } from '../network/network.ts';
import type { World } from '../network/walk.ts';
import type { Backend } from '../netfilter/skb.ts';
import type { Arrival } from '../packet/packet.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { NO, SpaceLimitError, type Node } from '../space/diagram.ts';
import { ChangeToMeet, Meetings } from '../space/meetings.ts';
import { rulesChange } from '../space/rules-change.ts';
import { hardenedRuleset } from './hardened.ts';
import type { Judgement } from './judge.ts';
import { OTHER_INTERFACE } from './mutation.ts';
import { Grounds, Proofs, type ProverOf, type RulesetsOf, type Unproved } from './prove.ts';

/** A deployment with the rulesets of its hosts, without a mistake. */
export interface Cloud {
  readonly name: string;
  readonly deployment: Deployment;
  readonly network: Network;
  readonly rulesets: ReadonlyMap<string, readonly Ruleset[]>;
}

type Rulesets = Cloud['rulesets'];

export interface MutantJudgeOptions {
  readonly backend?: Backend;
  readonly proverOf?: ProverOf;
  /** False: claims are proved, and not kept in mind; nothing is asked of mistakes. Absent: they are. */
  readonly remembers?: boolean;
}

export interface BrokenClaim {
  readonly law: Law;
  readonly says: string;
  readonly message: string;
  readonly posture?: Posture;
  /** The packet that shows it, as the netfilter judge has confirmed; absent where the text itself is wrong. */
  readonly arrival?: Arrival;
}

/** A claim that holds, and where its packets came to tables. */
interface Held {
  readonly law: Law;
  readonly claim: PacketsClaim;
  readonly posture: Posture;
  readonly meetings: Meetings;
}

export class MutantJudge {
  readonly #network: Network;
  readonly #grounds: Grounds;
  readonly #rulesets: RulesetsOf;
  readonly #proofs: Proofs;
  readonly #proverOf: ProverOf | undefined;
  readonly #remembers: boolean;
  /** What holds without a mistake: of other claims no mistake is said to break them. */
  #held: Held[] = [];
  readonly #texts: { readonly law: Law; readonly claim: RulesetClaim }[] = [];

  constructor(
    network: Network,
    rulesets: Rulesets,
    { backend = 'nft', proverOf, remembers = true }: MutantJudgeOptions = {},
  ) {
    this.#network = network;
    this.#rulesets = {
      'as-given': rulesets,
      hardened: new Map([...rulesets].map(([host, own]) => [host, own.map(hardenedRuleset)])),
    };
    const all = POSTURES.flatMap((posture) => [...this.#rulesets[posture].values()].flat());
    this.#grounds = new Grounds({ network, backend, rulesets: all, more: { devices: [OTHER_INTERFACE] } });
    this.#proofs = new Proofs(this.#grounds, this.#rulesets, { proverOf, infers: !remembers });
    this.#proverOf = proverOf;
    this.#remembers = remembers;
  }

  /** The hosts without a mistake, as the netfilter judge has them. */
  world(posture: Posture): World {
    return this.#proofs.world(posture);
  }

  /** Claims that are going to be proved: those that are alike are proved together, where nothing has to be kept in mind. */
  expect(claims: readonly PacketsClaim[]): void {
    if (!this.#remembers) this.#proofs.expect(claims);
  }

  /** Proves a claim for the rules without a mistake, and keeps it in mind if it holds. */
  prove(law: Law, claim: PacketsClaim, posture: Posture): Judgement | Unproved {
    if (!this.#remembers) return this.#proofs.judge(claim, posture);
    const meetings = new Meetings();
    const ground = this.#grounds.of(claim.family);
    ground.onMeeting = (meeting) => {
      meetings.add(meeting);
    };
    const judgement = this.#proofs.judge(claim, posture);
    ground.onMeeting = undefined;
    if (!('kind' in judgement) && judgement.result === 'holds') this.#held.push({ law, claim, posture, meetings });
    return judgement;
  }

  /** Reads the rules without a mistake for what contradicts a claim about the text, and keeps it in mind if nothing does. */
  read(law: Law, claim: RulesetClaim): readonly Breach[] {
    const ruleset = rulesetOf(this.#rulesets['as-given'], claim.host, claim.family);
    const breaches = ruleset === undefined ? [] : claim.breaches(ruleset);
    if (breaches.length === 0) this.#texts.push({ law, claim });
    return breaches;
  }

  /**
   * The first claim that the mistake breaks, of those that hold without it: one about packets, or else one about the text. Undefined when none is broken, which is proved. Throws where that cannot
   * be told.
   */
  brokenBy(host: string, mutant: Ruleset): BrokenClaim | undefined {
    let doubt: string | undefined;
    for (const { held, proofs, within } of this.#concerned(host, mutant)) {
      const { law, claim, posture } = held;
      const judgement = proofs.judge(claim, posture, within);
      if (!('kind' in judgement) && judgement.result === 'holds') continue;
      this.#askFirst(held);
      const because = 'kind' in judgement ? judgement.because : (judgement.message ?? '');
      if (!('kind' in judgement) && judgement.result === 'violated' && judgement.witness !== undefined)
        return { law, says: claim.says, posture, message: because, arrival: judgement.witness.arrival };
      doubt ??= `${law.id}: ${claim.says} (${posture}): ${because}`;
    }
    const text = this.#brokenInText(host, mutant);
    if (text === undefined && doubt !== undefined) throw new Error(doubt);
    return text;
  }

  /** False: every claim that holds without the mistake is proved to hold in spite of it. */
  matters(host: string, mutant: Ruleset): boolean {
    try {
      for (const { held, proofs, within } of this.#concerned(host, mutant)) {
        if (proofs.isProved(held.claim, held.posture, within)) continue;
        this.#askFirst(held);
        return true;
      }
    } catch (error) {
      if (error instanceof SpaceLimitError) return true;
      throw error;
    }
    return this.#brokenInText(host, mutant) !== undefined;
  }

  /** The claims about packets that hold without the mistake, of whose packets a table makes something else with it: those packets, undefined where that cannot be told. */
  *#concerned(
    host: string,
    mutant: Ruleset,
  ): Generator<{ readonly held: Held; readonly proofs: Proofs; readonly within: Node | undefined }> {
    const rulesets = withMutant(this.#rulesets, host, mutant);
    const changes = this.#changes(host, mutant.family, rulesets);
    const proofs = new Proofs(this.#grounds, rulesets, { proverOf: this.#proverOf });
    for (const held of this.#held) {
      if (held.claim.family !== mutant.family) continue;
      const within = changes[held.posture].met(held.meetings);
      if (within !== NO) yield { held, proofs, within };
    }
  }

  #askFirst(held: Held): void {
    this.#held = [held, ...this.#held.filter((other) => other !== held)];
  }

  #brokenInText(host: string, mutant: Ruleset): BrokenClaim | undefined {
    for (const { law, claim } of this.#texts) {
      if (claim.host !== host || claim.family !== mutant.family) continue;
      const [breach] = claim.breaches(mutant);
      if (breach !== undefined) return { law, says: claim.says, message: breach.message };
    }
    return undefined;
  }

  #changes(name: string, family: Family, now: RulesetsOf): Readonly<Record<Posture, ChangeToMeet>> {
    const host = this.#network.hosts.find((own) => own.name === name);
    const ground = this.#grounds.of(family);
    const changeIn = (posture: Posture): ChangeToMeet => {
      const [before, after] = [this.#rulesets, now].map((rulesets) => rulesetOf(rulesets[posture], name, family));
      if (host === undefined || before === undefined || after === undefined)
        throw new Error(`there is no such ruleset of ${name}`);
      return new ChangeToMeet(ground, host, before, rulesChange(ground, host, before, after));
    };
    return { 'as-given': changeIn('as-given'), hardened: changeIn('hardened') };
  }
}

/** All that laws claim of a cloud, kept in mind. Throws when the cloud breaks one of them without any mistake, or that cannot be told: then nothing could be told of mistakes. */
export function judgeOf(cloud: Cloud, laws: readonly Law[]): MutantJudge {
  const judge = new MutantJudge(cloud.network, cloud.rulesets);
  for (const law of laws) {
    const applies = law.claims(cloud);
    if (applies.kind === 'not-applicable') continue;
    for (const claim of applies.claims) {
      if (rulesetOf(cloud.rulesets, claim.host, claim.family) === undefined) continue;
      const because =
        claim.kind === 'ruleset'
          ? judge.read(law, claim).map(({ message }) => message)
          : (claim.postures ?? POSTURES).flatMap((posture) => notProved(judge.prove(law, claim, posture)));
      if (because.length > 0) throw new Error(`${law.id}, without any mistake: ${claim.says}: ${because.join('; ')}`);
    }
  }
  return judge;
}

function notProved(judgement: Judgement | Unproved): readonly string[] {
  if ('kind' in judgement) return [judgement.because];
  const { result, message = '' } = judgement;
  return result === 'holds' || result === 'vacuous' ? [] : [message];
}

const rulesetOf = (rulesets: Rulesets, host: string, family: Family): Ruleset | undefined =>
  rulesets.get(host)?.find((own) => own.family === family);

/** The rulesets of all hosts with another one on one of them. What is not changed stays the same object, by which others know it. */
function withMutant(rulesets: RulesetsOf, host: string, mutant: Ruleset): RulesetsOf {
  const changed = (own: Rulesets, now: Ruleset): Rulesets =>
    new Map([...own, [host, (own.get(host) ?? []).map((other) => (other.family === now.family ? now : other))]]);
  return {
    'as-given': changed(rulesets['as-given'], mutant),
    hardened: changed(rulesets.hardened, hardenedRuleset(mutant)),
  };
}
