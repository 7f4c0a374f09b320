/** Each regression: the rules with the bug break its law, and those without it keep it. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { POSTURES, type Posture } from '../../src/claim/claim.ts';
import type { Deployment } from '../../src/deployment/deployment.ts';
import { deploymentOf, deploymentOfFile } from '../../src/deployment/read.ts';
import { RELEASES } from '../../src/deployment/release.ts';
import { deploymentSchema, type DeploymentText } from '../../src/deployment/schema.ts';
import { networkOf } from '../../src/deployment/world.ts';
import { readSource } from '../../src/diagnostic/yaml.ts';
import { LAWS } from '../../src/invariant/laws.ts';
import { TIME_LAWS } from '../../src/invariant/over-time.ts';
import { aimOf } from '../../src/judge/aim.ts';
import { hardenedRuleset } from '../../src/judge/hardened.ts';
import { judgeClaim } from '../../src/judge/judge.ts';
import { worldOf } from '../../src/network/walk.ts';
import { Cloud } from '../../src/nova/cloud.ts';
import { rulesetTextFor } from '../../src/nova/ruleset.ts';
import { settledKernel } from '../../src/nova/settled.ts';
import { parseRuleset } from '../../src/ruleset/parse.ts';
import type { Ruleset } from '../../src/ruleset/rule.ts';
import { ROOT, read } from '../scenario.ts';

const RELEASE = z.enum(RELEASES);

const edit = z.strictObject({
  host: z.string().optional(),
  family: z.union([z.literal(4), z.literal(6)]).optional(),
  delete: z.string().optional(),
  insert: z.string().optional(),
  before: z.string().optional(),
  replace: z.string().optional(),
  with: z.string().optional(),
});

const REGRESSION = z.strictObject({
  id: z.string().regex(/^[A-F]\d+$/),
  bug: z.string().min(20),
  source: z.string(),
  law: z.string(),
  posture: z.enum(['as-given', 'hardened']).optional(),
  cloud: z.record(z.string(), z.unknown()).optional(),
  /** What the cloud is judged as, where the rules with the bug are another cloud's. */
  judged: z.record(z.string(), z.unknown()).optional(),
  broken: z.union([z.literal('all'), z.array(RELEASE)]).optional(),
  holds: z.array(RELEASE).optional(),
  edit: z.array(edit).optional(),
});
type Regression = z.output<typeof REGRESSION>;

const files = readdirSync(join(ROOT, 'regressions'))
  .filter((name) => /^[A-F]\d+-.*\.yaml$/.test(name))
  .sort();

const base = readSource(read('regressions/cloud.yaml'), 'cloud.yaml', z.record(z.string(), z.unknown())).value;

const deploymentIn = ({ cloud }: Regression, release: string, more: Record<string, unknown> = {}): Deployment =>
  deploymentOf({ ...base, ...cloud, ...more, release } as unknown as DeploymentText, 'regression').deployment;

type Rules = ReadonlyMap<string, readonly Ruleset[]>;

const rulesOf = (deployment: Deployment, edits: Regression['edit'] = []): Rules =>
  new Map(
    deployment.hosts.map((host) => [
      host.name,
      ([4, 6] as const).map((family) => {
        let text = rulesetTextFor(deployment, host, family);
        for (const one of edits)
          if ((one.host ?? deployment.hosts[0]?.name) === host.name && (one.family ?? 4) === family)
            text = edited(text, one);
        return parseRuleset(text, { path: `${host.name}.rules`, family }).ruleset;
      }),
    ]),
  );

/** Lines are named by what they begin with. Every edit finds what it names. */
function edited(text: string, { delete: gone, insert, before, replace, with: by = '' }: z.output<typeof edit>): string {
  const lines = text.split('\n');
  const wanted = gone ?? before ?? replace ?? '';
  expect(lines.filter((line) => line.startsWith(wanted)).length, `a line "${wanted}"`).toBeGreaterThan(0);
  if (gone !== undefined) return lines.filter((line) => !line.startsWith(gone)).join('\n');
  const at = lines.findIndex((line) => line.startsWith(wanted));
  if (insert !== undefined) return [...lines.slice(0, at), insert, ...lines.slice(at)].join('\n');
  return lines.map((line) => (line.startsWith(wanted) ? by : line)).join('\n');
}

/** Whether a law of one moment is broken by these rules. */
function breaks(id: string, deployment: Deployment, rules: Rules, only?: Posture): boolean {
  const law = LAWS.find((candidate) => candidate.id === id);
  if (law === undefined) throw new Error(`there is no law ${id}`);
  const network = networkOf(deployment);
  const applies = law.claims({ deployment, network });
  expect(applies.kind, `${id} applies`).toBe('claims');
  if (applies.kind !== 'claims') return false;
  const hardened = new Map([...rules].map(([host, given]) => [host, given.map(hardenedRuleset)]));
  const worlds = { 'as-given': worldOf(network, rules), hardened: worldOf(network, hardened) };
  const aim = aimOf([...rules.values()].flat());
  return applies.claims.some((claim) => {
    if (claim.kind === 'ruleset') {
      const ruleset = rules.get(claim.host)?.find(({ family }) => family === claim.family);
      return ruleset !== undefined && claim.breaches(ruleset).length > 0;
    }
    return (claim.postures ?? POSTURES)
      .filter((posture) => only === undefined || posture === only)
      .some((posture) => judgeClaim(worlds[posture], claim, posture, { runs: 60, seed: 1, aim }).result === 'violated');
  });
}

/** Whether a law over time is broken by one of the cloud's operations. */
function breaksOverTime(id: string, deployment: Deployment): boolean {
  const law = TIME_LAWS.find((candidate) => candidate.id === id);
  const { past } = deployment;
  if (law === undefined || past === undefined) throw new Error(`${id} is about operations, and there are none`);
  const cloud = new Cloud({ file: past.file, deployment: deploymentOfFile(past.file, 'regression') });
  return past.operations
    .map((operation) => {
      for (const { name } of cloud.deployment.hosts) cloud.count(name);
      const before = cloud.snapshot();
      const writes = cloud.perform(operation);
      const after = cloud.snapshot();
      const settled = new Map(
        cloud.deployment.hosts.map((host) => [
          host.name,
          { 4: settledKernel(cloud.deployment, host, 4), 6: settledKernel(cloud.deployment, host, 6) },
        ]),
      );
      return law.breaches({
        operation,
        before,
        writes,
        after,
        deployment: cloud.deployment,
        former: [],
        formerIds: [],
        settled: () => settled,
        again: () => after,
      });
    })
    .some((breaches) => breaches.length > 0);
}

const isOverTime = (law: string): boolean => TIME_LAWS.some(({ id }) => id === law);

describe.each(files)('%s', (name) => {
  const { value } = readSource(read(`regressions/${name}`), name, REGRESSION);
  const { id, law, posture, judged, holds = [] } = value;
  const broken = value.broken === 'all' ? RELEASES : (value.broken ?? []);
  const standard = holds[0] ?? 'folsom-2';

  if (value.edit !== undefined) {
    test(`${id} without the bug: ${law}`, () => {
      const deployment = deploymentIn(value, standard, judged);
      expect(breaks(law, deployment, rulesOf(deployment), posture)).toBe(false);
    });
    test(`${id} with the bug: ${law}`, () => {
      const deployment = deploymentIn(value, standard, judged);
      expect(breaks(law, deployment, rulesOf(deployment, value.edit), posture)).toBe(true);
    });
  }
  for (const release of holds.slice(value.edit === undefined ? 0 : 1))
    test(`${id} holds in ${release}: ${law}`, () => {
      const deployment = deploymentIn(value, release, judged);
      if (isOverTime(law)) expect(breaksOverTime(law, deployment)).toBe(false);
      else expect(breaks(law, deployment, rulesOf(deployment), posture)).toBe(false);
    });
  for (const release of broken)
    test(`${id} in ${release}: ${law}`, () => {
      const own = deploymentIn(value, release);
      if (isOverTime(law)) expect(breaksOverTime(law, own)).toBe(true);
      else
        expect(
          breaks(law, holds.length === 0 ? own : deploymentIn(value, standard, judged), rulesOf(own), posture),
        ).toBe(true);
    });
  test(`${id} is told apart`, () => {
    expect(broken.length + (value.edit?.length ?? 0)).toBeGreaterThan(0);
    expect(deploymentSchema.safeParse({ ...base, ...value.cloud, release: standard }).success).toBe(true);
  });
});

test('at least 45 of the 57 listed regressions are here', () => {
  const ids = files.map((name) => name.split('-')[0]);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.length).toBeGreaterThanOrEqual(45);
});
