/** What a mistaken prover says is never believed: the netfilter judge contradicts it, and the report says whose fault it is. */
import { describe, expect, test } from 'vitest';
import { cloudOf } from '../cli/book.ts';
import type { PacketsClaim } from '../claim/claim.ts';
import { LAWS } from '../invariant/laws.ts';
import { AS_SENT } from '../space/cell.ts';
import { NO } from '../space/diagram.ts';
import { fromSet } from '../space/packet-set.ts';
import { checkLaws, type CheckInput, type Finding } from './check.ts';
import { Prover, type Proof } from './proof.ts';
import { OWN_MISTAKE, type ProverOf } from './prove.ts';

const cloud = cloudOf('article/cloud');
const [law] = LAWS.filter(({ id }) => id === 'metadata/reaches-api');
if (law === undefined) throw new Error('no such law');

const checked = (proverOf: ProverOf, more: Partial<CheckInput> = {}): readonly Finding[] =>
  checkLaws({ ...cloud, laws: [law], backend: 'nft', seed: 1, proverOf, ...more }).findings;

/** The same cloud without the rule that the law is about. */
const lost = {
  rulesets: new Map(
    [...cloud.rulesets].map(([host, own]) => [
      host,
      own.map((ruleset) => {
        const nat = ruleset.tables.get('nat');
        const chain = nat?.chains.get('nova-network-PREROUTING');
        if (nat === undefined || chain === undefined) return ruleset;
        const chains = new Map([...nat.chains, [chain.name, { ...chain, rules: [] }]]);
        return { ...ruleset, tables: new Map([...ruleset.tables, [nat.name, { ...nat, chains }]]) };
      }),
    ]),
  ),
};

/** Holds every claim for broken, by all of its packets or, where it is not sure, perhaps by all. */
class Pessimist extends Prover {
  readonly #isSure: boolean;

  constructor(ways: ConstructorParameters<typeof Prover>[0], isSure: boolean) {
    super(ways);
    this.#isSure = isSure;
  }

  override prove(claim: PacketsClaim): Proof {
    const all = fromSet(this.layout, claim.set);
    return { kind: 'broken', sure: this.#isSure ? all : NO, possible: all, header: AS_SENT };
  }
}

/** Holds every claim for proved. */
class Optimist extends Prover {
  override prove(): Proof {
    return { kind: 'holds' };
  }
}

describe('a prover that finds a claim broken by a packet that keeps it', () => {
  test.each([undefined, 20])(
    'leaves the law undecided, with that packet, and says that the tool is wrong (samples: %s)',
    (runs) => {
      const findings = checked((ways) => new Pessimist(ways, true), runs === undefined ? {} : { runs });
      expect(findings.map(({ result, posture }) => [result, posture])).toEqual([
        ['undecided', 'as-given'],
        ['undecided', 'hardened'],
      ]);
      for (const { message, witness } of findings) {
        expect(message).toContain(OWN_MISTAKE);
        expect(witness?.way.ends.length).toBeGreaterThan(0);
      }
    },
  );

  test('and is believed where the packet breaks it indeed', () => {
    const findings = checked((ways) => new Pessimist(ways, true), lost);
    expect(findings.map(({ result, strength }) => [result, strength])).toEqual([
      ['violated', 'proved'],
      ['violated', 'proved'],
    ]);
  });
});

test('a prover that does not know proves nothing: samples hold the claim, and the report says so', () => {
  const findings = checked((ways) => new Pessimist(ways, false));
  expect(findings.map(({ result, strength }) => [result, strength])).toEqual([
    ['holds', 'tested'],
    ['holds', 'tested'],
  ]);
  for (const { message } of findings) expect(message).toContain('not proved');
});

test('a prover that holds for proved what a sample breaks is contradicted by it', () => {
  const findings = checked((ways) => new Optimist(ways), { ...lost, runs: 5 });
  expect(findings.map(({ result, strength }) => [result, strength])).toEqual([
    ['violated', 'tested'],
    ['violated', 'tested'],
  ]);
  for (const { message } of findings) expect(message).toContain(OWN_MISTAKE);
});
