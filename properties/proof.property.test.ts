/** A proof says of every packet what the model says of each: on random deployments, as nova writes their rules and with a mistake in them. */
import { expect, vi } from 'vitest';
import { at, INDEX } from '../src/arbitrary/choice.ts';
import { deploymentFileArb } from '../src/arbitrary/deployment.ts';
import { POSTURES } from '../src/claim/claim.ts';
import type { DeploymentText } from '../src/deployment/schema.ts';
import { LAWS } from '../src/invariant/laws.ts';
import { aimOf } from '../src/judge/aim.ts';
import { hardenedRuleset } from '../src/judge/hardened.ts';
import { judgeClaim } from '../src/judge/judge.ts';
import { MutantJudge } from '../src/judge/mutant-judge.ts';
import { mutantsOf } from '../src/judge/mutation.ts';
import { Prover } from '../src/judge/proof.ts';
import { Grounds, OWN_MISTAKE, Proofs, type RulesetsOf } from '../src/judge/prove.ts';
import type { Network } from '../src/network/network.ts';
import { worldOf } from '../src/network/walk.ts';
import { printArrival } from '../src/packet/notation.ts';
import type { Ruleset } from '../src/ruleset/rule.ts';
import { DEPLOYMENT, prepare } from './support/deployment.ts';
import { law } from './support/law.ts';

/** Claims of one deployment that are judged, and packets of each. */
const CLAIMS = 14;
const PACKETS = 5;

type Rulesets = ReadonlyMap<string, readonly Ruleset[]>;

const inBothPostures = (rulesets: Rulesets): RulesetsOf => ({
  'as-given': rulesets,
  hardened: new Map([...rulesets].map(([host, own]) => [host, own.map(hardenedRuleset)])),
});

const proofsOf = (network: Network, postures: RulesetsOf): Proofs =>
  new Proofs(
    new Grounds({
      network,
      backend: 'nft',
      rulesets: POSTURES.flatMap((posture) => [...postures[posture].values()].flat()),
    }),
    postures,
  );

interface Mistaken {
  readonly rulesets: Rulesets;
  readonly host: string;
  /** The ruleset that has the mistake. */
  readonly mutant: Ruleset;
  readonly mistake: string;
}

/** The rulesets with one mistake; undefined where there is nothing to mistake. */
function withMistake(rulesets: Rulesets, which: number): Mistaken | undefined {
  const places = [...rulesets].flatMap(([host, own]) => own.map((ruleset) => ({ host, ruleset })));
  if (places.length === 0) return undefined;
  const { host, ruleset } = at(places, which);
  const mutants = [...mutantsOf(ruleset)];
  if (mutants.length === 0) return undefined;
  const mutant = at(mutants, Math.imul(which, 0x9e3779b1) >>> 16);
  const own = (rulesets.get(host) ?? []).map((other) => (other === ruleset ? mutant.ruleset : other));
  return {
    rulesets: new Map([...rulesets, [host, own]]),
    host,
    mutant: mutant.ruleset,
    mistake: `${mutant.change}: ${mutant.text}`,
  };
}

/** The rulesets with one mistake, or none. */
const mistaken = (rulesets: Rulesets, which: number): { readonly rulesets: Rulesets; readonly mistake?: string } =>
  (which % 4 === 0 ? undefined : withMistake(rulesets, which)) ?? { rulesets };

law<[DeploymentText, number]>(
  'judge/a-proof-says-of-every-packet-what-the-model-says-of-each',
  [deploymentFileArb(), INDEX],
  (file, draw, seen) => {
    const context = prepare(file);
    const { network } = context;
    const { rulesets, mistake } = mistaken(context.rulesets, draw);
    const postures = inBothPostures(rulesets);
    const worlds = {
      'as-given': worldOf(network, postures['as-given']),
      hardened: worldOf(network, postures.hardened),
    };
    const proofs = proofsOf(network, postures);
    const aim = aimOf([...rulesets.values()].flat());
    const claims = LAWS.flatMap((one) => {
      const applies = one.claims(context);
      return applies.kind === 'not-applicable' ? [] : applies.claims.filter((claim) => claim.kind === 'packets');
    });
    for (let count = 0; count < Math.min(CLAIMS, claims.length); count++) {
      const claim = at(claims, draw + count * Math.max(1, Math.floor(claims.length / CLAIMS)));
      const posture = at(claim.postures ?? POSTURES, draw + count);
      const proof = proofs.judge(claim, posture);
      const tested = judgeClaim(worlds[posture], claim, posture, { runs: PACKETS, seed: draw, aim });
      const sample = tested.witness === undefined ? '' : printArrival(tested.witness.arrival);
      const told = `${claim.host}: ${claim.says} (${posture}); ${mistake ?? 'no mistake'}; ${tested.message ?? ''} ${sample}`;
      if ('kind' in proof) {
        seen('not proved');
        continue;
      }
      expect(proof.message ?? '', told).not.toContain(OWN_MISTAKE);
      if (proof.result === 'holds') {
        seen('proved');
        expect(tested.result, told).toBe('holds');
      } else if (tested.result === 'vacuous') expect(proof.result, told).toBe('vacuous');
      else if (tested.result !== 'holds') expect([tested.result, 'violated'], told).toContain(proof.result);
      if (proof.result === 'violated') {
        seen('broken');
        expect(proof.witness, told).toBeDefined();
        // Few packets do not find what all packets show.
        if (tested.result === 'holds') seen('broken, and no sample shows it');
      }
    }
    return true;
  },
  {
    runs: 10,
    stored: DEPLOYMENT,
    cover: {
      proved: { atLeast: 60 },
      broken: { atLeast: 10 },
      'broken, and no sample shows it': { atLeast: 0 },
      'not proved': { atLeast: 0 },
    },
  },
);

/** Claims of one deployment that are compared. */
const COMPARED = 40;

law<[DeploymentText, number]>(
  'judge/what-is-proved-together-is-what-is-proved-of-each-claim',
  [deploymentFileArb(), INDEX],
  (file, draw, seen) => {
    const context = prepare(file);
    const { rulesets, mistake } = mistaken(context.rulesets, draw);
    const postures = inBothPostures(rulesets);
    const together = vi.spyOn(Prover.prototype, 'proveTogether');
    const [joint, single] = [proofsOf(context.network, postures), proofsOf(context.network, postures)];
    let left = COMPARED;
    for (const one of LAWS) {
      const applies = one.claims(context);
      if (applies.kind === 'not-applicable') continue;
      const claims = applies.claims.filter((claim) => claim.kind === 'packets');
      const groups = joint.expect(claims);
      for (const claim of claims) {
        if (!groups.some((group) => group.includes(claim)) || left === 0) continue;
        left--;
        for (const posture of claim.postures ?? POSTURES)
          expect(
            joint.judge(claim, posture),
            `${claim.host}: ${claim.says} (${posture}); ${mistake ?? 'no mistake'}`,
          ).toEqual(single.judge(claim, posture));
      }
    }
    for (const { value } of together.mock.results)
      if (Array.isArray(value))
        for (const proof of value) seen(proof === undefined ? 'not so proved' : 'proved together');
    together.mockRestore();
    return true;
  },
  {
    runs: 10,
    stored: DEPLOYMENT,
    cover: { 'proved together': { atLeast: 5 }, 'not so proved': { atLeast: 1 } },
  },
);

/** Claims of one deployment, and mistakes that are made in its rules. */
const ALONE = 6;
const MISTAKES = 8;

law<[DeploymentText, number]>(
  'judge/a-mistake-matters-to-a-claim-iff-it-does-for-the-packets-that-it-touches',
  [deploymentFileArb(), INDEX],
  (file, draw, seen) => {
    const context = prepare(file);
    const { network, rulesets } = context;
    const all = LAWS.flatMap((one) => {
      const applies = one.claims(context);
      const claims = applies.kind === 'not-applicable' ? [] : applies.claims;
      return claims.flatMap((claim) => (claim.kind === 'packets' ? [{ law: one, claim }] : []));
    });
    // Each has a judge of its own, who knows of no other claim.
    const held = Array.from({ length: Math.min(ALONE, all.length) }, (_, count) => {
      const { law: own, claim } = at(all, draw + count * Math.max(1, Math.floor(all.length / ALONE)));
      const posture = at(claim.postures ?? POSTURES, draw + count);
      const judge = new MutantJudge(network, rulesets);
      const judgement = judge.prove(own, claim, posture);
      return !('kind' in judgement) && judgement.result === 'holds' ? [{ claim, posture, judge }] : [];
    }).flat();
    for (let mistakes = 0; mistakes < MISTAKES; mistakes++) {
      const made = withMistake(rulesets, draw + mistakes);
      if (made === undefined) continue;
      const { rulesets: now, host, mutant, mistake } = made;
      const proofs = proofsOf(network, inBothPostures(now));
      for (const { claim, posture, judge } of held) {
        const matters = !proofs.isProved(claim, posture);
        seen(matters ? 'matters' : 'does not matter');
        expect(judge.matters(host, mutant), `${host}: ${mistake}; ${claim.says} (${posture})`).toBe(matters);
      }
    }
    return true;
  },
  { runs: 10, stored: DEPLOYMENT, cover: { matters: { atLeast: 2 }, 'does not matter': { atLeast: 50 } } },
);
