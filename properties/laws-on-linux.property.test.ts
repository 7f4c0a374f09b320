/**
 * The laws on Linux: the model and Linux are of one opinion about claims of every law, on both fixtures and on random deployments. `npm run kernel:laws` does the same at length.
 * Skipped where there is no kernel to ask.
 */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { deploymentFileArb } from '../src/arbitrary/deployment.ts';
import { deploymentOf, readDeployment } from '../src/deployment/read.ts';
import type { Deployment } from '../src/deployment/deployment.ts';
import { networkOf } from '../src/deployment/world.ts';
import { LAWS } from '../src/invariant/laws.ts';
import { lawsOnLinux, type LawOnLinux } from '../src/judge/laws-on-linux.ts';
import { openKernel, type Kernel } from '../src/kernel/client.ts';
import { availableKernel } from '../src/kernel/probe.ts';
import { rulesetsFor } from './support/deployment.ts';

const probe = availableKernel();
const [backend = 'legacy'] = probe.backends;
let kernel: Kernel;
beforeAll(() => {
  if (probe.backends.length > 0) kernel = openKernel(probe.mode === undefined ? {} : { mode: probe.mode });
});
afterAll(() => {
  if (probe.backends.length > 0) kernel.close();
});

const onLinux = test.skipIf(probe.backends.length === 0);
const SEED = Number(process.env['SEED'] ?? 20_121_122) | 0;

const judged = (deployment: Deployment, claims: number): readonly LawOnLinux[] =>
  lawsOnLinux(kernel, {
    deployment,
    network: networkOf(deployment),
    rulesets: rulesetsFor(deployment),
    backend,
    laws: LAWS,
    claims,
    packets: 2,
    seed: 1,
  });

const differences = (laws: readonly LawOnLinux[]): string[] =>
  laws.flatMap(({ law, differences: own }) => own.map((difference) => `${law.id}: ${difference}`));

onLinux.each(['article/cloud', 'second-cloud'])('laws/model-and-linux-agree-on-%s', (folder) => {
  const path = new URL(`../scenarios/${folder}/deployment.yaml`, import.meta.url);
  const laws = judged(readDeployment(readFileSync(path, 'utf8'), 'deployment.yaml').deployment, 4);
  expect(differences(laws)).toEqual([]);
  // Most laws claim something of packets, and Linux can be asked about most of those.
  expect(laws.filter(({ packets }) => packets > 0).length).toBeGreaterThan(20);
});

onLinux('laws/model-and-linux-agree-on-random-deployments', () => {
  const files = fc.sample(deploymentFileArb(), { seed: SEED, numRuns: 3 });
  const laws = files.flatMap((file) => judged(deploymentOf(file, 'deployment.yaml').deployment, 1));
  expect(differences(laws)).toEqual([]);
  expect(laws.reduce((sum, { packets }) => sum + packets, 0)).toBeGreaterThan(50);
});
