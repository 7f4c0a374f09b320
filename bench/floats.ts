/** What a cloud with a floating IP for each of its instances costs: from its file to the proof of what floating IPs promise. `rules` is the number of floating IPs. */
import type { PacketsClaim } from '../src/claim/claim.ts';
import { POSTURES } from '../src/claim/claim.ts';
import { readDeployment } from '../src/deployment/read.ts';
import { networkOf } from '../src/deployment/world.ts';
import { LAWS } from '../src/invariant/laws.ts';
import { hardenedRuleset } from '../src/judge/hardened.ts';
import { Grounds, Proofs } from '../src/judge/prove.ts';
import { rulesetTextFor } from '../src/nova/ruleset.ts';
import { readRuleset } from '../src/ruleset/parse.ts';
import { cloudFile } from './clouds.ts';
import { floatMistakes, misjudged } from './float-mistakes.ts';
import { measure, measureOften, STRETCH, type Measured } from './measure.ts';
import { expectThat, SEED, type Figure } from './subjects.ts';

/** Up to so many floating IPs the mistakes are looked for as well. */
const MOST_MISTAKEN = 1000;

export function* floatFigures(count: number): Generator<Figure> {
  const text = cloudFile(count, SEED);
  const figure = (what: string, { cpu, wall }: Measured<unknown>, says?: string): Figure => ({
    shape: 'floats',
    rules: count,
    what,
    cpu,
    wall,
    ...(says === undefined ? {} : { says }),
  });
  const read = measure(() => readDeployment(text, 'a cloud').deployment);
  yield figure('deployment read, completed', read);
  const deployment = read.value;
  const nothing = (): void => undefined;
  const made = measureOften(STRETCH, nothing, () => networkOf(deployment));
  yield figure('network', made);
  const network = made.value;
  const [host] = deployment.hosts;
  expectThat(host !== undefined, 'the cloud has no host');
  if (host === undefined) return;
  const generated = measure(() => rulesetTextFor(deployment, host, 4));
  const lines = generated.value.split('\n').filter((line) => line.startsWith('-A')).length;
  yield figure("the reference's ruleset", generated, `${lines} rules`);
  const parsed = measure(() => readRuleset(generated.value, { path: 'a cloud', family: 4 }));
  yield figure('parse', parsed);
  const law = LAWS.find(({ id }) => id === 'floating-ip/round-trip');
  const claimed = measure(() => {
    const applies = law?.claims({ deployment, network });
    const claims = applies?.kind === 'claims' ? applies.claims : [];
    return claims.filter((claim): claim is PacketsClaim => claim.kind === 'packets');
  });
  expectThat(claimed.value.length === count, `${claimed.value.length} claims for ${count} floating IPs`);
  yield figure('round trip: claims', claimed);
  const closed = hardenedRuleset(parsed.value);
  const rulesets = { 'as-given': new Map([[host.name, [parsed.value]]]), hardened: new Map([[host.name, [closed]]]) };
  // Each time from nothing: what the tables cost is part of it.
  const proved = measureOften(STRETCH, nothing, () => {
    const proofs = new Proofs(new Grounds({ network, backend: 'nft', rulesets: [parsed.value, closed] }), rulesets);
    proofs.expect(claimed.value);
    return POSTURES.flatMap((posture) => claimed.value.map((claim) => proofs.judge(claim, posture)));
  });
  const open = proved.value.filter(
    (proof) => 'kind' in proof || (proof.result !== 'holds' && proof.result !== 'vacuous'),
  );
  expectThat(open.length === 0, `${open.length} round trips are not proved`);
  yield figure('round trip: proved', proved, 'both postures');
  if (count > MOST_MISTAKEN) return;
  const mistakes = floatMistakes(deployment);
  const found = measure(() => mistakes.flatMap((mistake) => misjudged(deployment, mistake)));
  expectThat(found.value.length === 0, `claims are judged wrong: ${found.value.slice(0, 3).join('; ')}`);
  yield figure('mistakes found exactly', found, `${mistakes.length - 1} mistakes`);
}
