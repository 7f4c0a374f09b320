/** Each regression: the rules with the bug break its law, and those without it keep it: for all packets, and on Linux. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { liveThrough, type Watcher } from '../../src/arbitrary/life.ts';
import type { Posture } from '../../src/claim/claim.ts';
import { BUGS } from '../../src/deployment/bug.ts';
import type { Deployment } from '../../src/deployment/deployment.ts';
import { deploymentOf } from '../../src/deployment/read.ts';
import { RELEASES } from '../../src/deployment/release.ts';
import { deploymentSchema, type DeploymentText } from '../../src/deployment/schema.ts';
import { networkOf } from '../../src/deployment/world.ts';
import { readSource } from '../../src/diagnostic/yaml.ts';
import { LAWS } from '../../src/invariant/laws.ts';
import { TIME_LAWS } from '../../src/invariant/over-time.ts';
import { checkLaws, type CheckInput, type Finding } from '../../src/judge/check.ts';
import { hardenedRuleset } from '../../src/judge/hardened.ts';
import { checkOnLinux } from '../../src/judge/on-linux.ts';
import { openKernel, type Kernel } from '../../src/kernel/client.ts';
import { LinuxWorld } from '../../src/kernel/linux-world.ts';
import { availableKernel } from '../../src/kernel/probe.ts';
import { rulesetTextFor } from '../../src/nova/ruleset.ts';
import { parseRuleset } from '../../src/ruleset/parse.ts';
import type { Ruleset } from '../../src/ruleset/rule.ts';
import { ROOT, read } from '../scenario.ts';

const RELEASE = z.enum(RELEASES);

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
});
type Regression = z.output<typeof REGRESSION>;

const files = readdirSync(join(ROOT, 'regressions'))
  .filter((name) => /^[A-F]\d+-.*\.yaml$/.test(name))
  .sort();

const base = readSource(read('regressions/cloud.yaml'), 'cloud.yaml', z.record(z.string(), z.unknown())).value;

const deploymentIn = ({ cloud }: Regression, release: string, more: Record<string, unknown> = {}): Deployment =>
  deploymentOf({ ...base, ...cloud, ...more, release } as unknown as DeploymentText, 'regression').deployment;

type Rules = ReadonlyMap<string, readonly Ruleset[]>;

const rulesOf = (deployment: Deployment): Rules =>
  new Map(
    deployment.hosts.map((host) => [
      host.name,
      ([4, 6] as const).map(
        (family) =>
          parseRuleset(rulesetTextFor(deployment, host, family), { path: `${host.name}.rules`, family }).ruleset,
      ),
    ]),
  );

const { backends, mode } = availableKernel();
const [backend = 'legacy'] = backends;
let kernel: Kernel | undefined;
beforeAll(() => {
  if (backends.length > 0) kernel = openKernel(mode === undefined ? {} : { mode });
});
afterAll(() => kernel?.close());

/** Packets of a claim that Linux is asked about besides the one that breaks it: a sample, and corners. In volume they are asked about elsewhere. */
const ASKED = { runs: 1, most: 4 };

/** What is found of a law of one moment in these rules: for all packets, and on Linux where there is one. */
function findingsOf(id: string, deployment: Deployment, rulesets: Rules, only?: Posture): readonly Finding[] {
  const law = LAWS.find((candidate) => candidate.id === id);
  if (law === undefined) throw new Error(`there is no law ${id}`);
  const input: CheckInput = { deployment, network: networkOf(deployment), rulesets, laws: [law], backend, seed: 1 };
  const result = checkLaws(input);
  const asked = kernel;
  const worlds = new Map<Posture, LinuxWorld>();
  const { findings } =
    asked === undefined
      ? result
      : checkOnLinux({ ...input, ...ASKED }, result, (posture) => {
          const world = worlds.get(posture) ?? worldIn(asked, input, posture);
          worlds.set(posture, world);
          return world;
        });
  const own = findings.filter(({ posture }) => only === undefined || posture === undefined || posture === only);
  expect(own.length, `${id} applies`).toBeGreaterThan(0);
  return own;
}

function worldIn(asked: Kernel, { network, rulesets }: CheckInput, posture: Posture): LinuxWorld {
  const postured =
    posture === 'as-given' ? rulesets : new Map([...rulesets].map(([host, own]) => [host, own.map(hardenedRuleset)]));
  return new LinuxWorld(asked, { network, rulesets: postured, backend, variant: posture });
}

/** The rules keep the law: for every packet, and for those that Linux was asked about. */
function expectHolds(findings: readonly Finding[]): void {
  expect(findings.filter(({ result }) => result !== 'holds').map(inWords)).toEqual([]);
  expect(findings.filter(({ strength }) => strength === 'tested').map(inWords)).toEqual([]);
}

/** The rules break it: for exactly those packets that the proof names, and Linux lets the packet that shows it do the same. */
function expectBroken(findings: readonly Finding[]): void {
  const violated = findings.filter(({ result, strength }) => result === 'violated' && strength !== 'kernel');
  expect(violated.length).toBeGreaterThan(0);
  // A breach of the text needs no packet.
  const shown = violated.filter(({ witness }) => witness !== undefined);
  if (shown.length > 0) expect(shown.some(({ strength }) => strength === 'proved')).toBe(true);
  if (shown.length > 0 && kernel !== undefined) expect(shown.map(({ linux }) => linux?.word)).toContain('confirmed');
  // Where the two are not of one opinion, one of them is wrong.
  expect(findings.filter(({ strength, result }) => strength === 'kernel' && result !== 'holds').map(inWords)).toEqual(
    [],
  );
}

const inWords = ({ result, strength, host, claim, message }: Finding): string =>
  [result, strength, host, claim, message].filter((word) => word !== undefined).join(' ');

/** Whether a law over time is broken by one of the cloud's operations. */
function breaksOverTime(id: string, deployment: Deployment): boolean {
  let broken = false;
  const watcher: Watcher = {
    marked: (mark) => (broken ||= mark.startsWith(`${id} `)),
    unmarked: (law) => (broken ||= law.id === id),
  };
  liveThrough(deployment, watcher, true);
  return broken;
}

const isOverTime = (law: string): boolean => TIME_LAWS.some(({ id }) => id === law);

describe.each(files)('%s', (name) => {
  const { value } = readSource(read(`regressions/${name}`), name, REGRESSION);
  const { id, law, posture, judged } = value;
  const broken = value.broken === 'all' ? RELEASES : (value.broken ?? []);
  const holds = value.holds ?? (value.broken === undefined ? ['folsom-2' as const] : []);
  const standard = holds[0] ?? 'folsom-2';
  const history = BUGS.find((bug) => bug === id);

  for (const release of holds)
    test(`${id} holds in ${release}: ${law}`, () => {
      const deployment = deploymentIn(value, release, judged);
      if (isOverTime(law)) expect(breaksOverTime(law, deployment)).toBe(false);
      else expectHolds(findingsOf(law, deployment, rulesOf(deployment), posture));
    });
  for (const release of broken)
    test(`${id} in ${release}: ${law}`, () => {
      const own = deploymentIn(value, release);
      const against = holds.length === 0 ? own : deploymentIn(value, standard, judged);
      if (isOverTime(law)) expect(breaksOverTime(law, own)).toBe(true);
      else expectBroken(findingsOf(law, against, rulesOf(own), posture));
    });
  if (history !== undefined)
    test(`${id} as it was, in ${standard}: ${law}`, () => {
      const own = deploymentIn(value, standard, { bugs: [history] });
      if (isOverTime(law)) expect(breaksOverTime(law, own)).toBe(true);
      else expectBroken(findingsOf(law, deploymentIn(value, standard, judged), rulesOf(own), posture));
    });
  test(`${id} is told apart`, () => {
    expect(broken.length > 0).not.toBe(history !== undefined);
    expect(deploymentSchema.safeParse({ ...base, ...value.cloud, release: standard }).success).toBe(true);
  });
});

test('every bug that a deployment file can ask for is here', () => {
  const ids = files.map((name) => name.split('-')[0]);
  expect(BUGS.filter((bug) => !ids.includes(bug))).toEqual([]);
});

test('46 of the 57 listed regressions are here', () => {
  const ids = files.map((name) => name.split('-')[0]);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids.length).toBe(46);
});
