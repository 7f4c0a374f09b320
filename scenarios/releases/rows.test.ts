/** rows.yaml: each rule that tells releases apart is written by those that are named, and by no other. */
import { expect, test } from 'vitest';
import { z } from 'zod';
import { deploymentOf } from '../../src/deployment/read.ts';
import { RELEASES } from '../../src/deployment/release.ts';
import type { DeploymentText } from '../../src/deployment/schema.ts';
import { readSource } from '../../src/diagnostic/yaml.ts';
import { rulesetTextFor } from '../../src/nova/ruleset.ts';
import { read } from '../scenario.ts';

const CLOUD = z.record(z.string(), z.unknown());
const ROW = z.strictObject({
  row: z.string(),
  family: z.literal(6).optional(),
  /** The releases that can be asked; default: all. */
  releases: z.array(z.enum(RELEASES)).optional(),
  cloud: CLOUD.optional(),
  has: z.record(z.string(), z.union([z.literal('all'), z.array(z.enum(RELEASES))])),
});

const base = readSource(read('article/cloud/deployment.yaml'), 'deployment.yaml', CLOUD).value;
const rows = readSource(read('releases/rows.yaml'), 'rows.yaml', z.array(ROW)).value;

test.each(rows)('$row', ({ family, releases = RELEASES, cloud, has }) => {
  const writers = new Map(Object.keys(has).map((line): [string, string[]] => [line, []]));
  for (const release of releases) {
    const { deployment } = deploymentOf({ ...base, ...cloud, release } as unknown as DeploymentText, 'rows.yaml');
    const [host] = deployment.hosts;
    let table = '';
    for (const line of host === undefined ? [] : rulesetTextFor(deployment, host, family ?? 4).split('\n')) {
      if (line.startsWith('*')) table = line.slice(1);
      writers.get(`${table} ${line}`)?.push(release);
    }
  }
  expect(Object.fromEntries(writers)).toEqual(
    Object.fromEntries(Object.entries(has).map(([line, named]) => [line, named === 'all' ? [...RELEASES] : named])),
  );
});
