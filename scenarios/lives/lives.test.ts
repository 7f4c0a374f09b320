/** Lives of which it is known what goes wrong in which release: there it does, and nothing else does. Together they meet every mark of the laws over time. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { liveThrough, type Watcher } from '../../src/arbitrary/life.ts';
import { deploymentOf } from '../../src/deployment/read.ts';
import { RELEASES } from '../../src/deployment/release.ts';
import type { DeploymentText } from '../../src/deployment/schema.ts';
import { readSource } from '../../src/diagnostic/yaml.ts';
import { marksOf } from '../../src/invariant/over-time.ts';
import { ROOT, read } from '../scenario.ts';

const CLOUD = z.record(z.string(), z.unknown());
const LIFE = z.strictObject({
  cloud: CLOUD.optional(),
  /** Packets pass before each operation, so that there is something to forget. */
  counting: z.literal(true).optional(),
  operations: z.array(CLOUD).min(1),
  marks: z.array(z.string()).min(1),
});

const base = readSource(read('lives/cloud.yaml'), 'cloud.yaml', CLOUD).value;

const lives = readdirSync(join(ROOT, 'lives'))
  .filter((name) => name.endsWith('.yaml') && name !== 'cloud.yaml')
  .sort()
  .map((name) => ({ name, ...readSource(read(`lives/${name}`), name, LIFE).value }));

for (const { name, cloud, counting = false, operations, marks } of lives)
  test.each(RELEASES)(`${name} in %s`, (release) => {
    const text = { ...base, ...cloud, release, operations } as unknown as DeploymentText;
    const met = new Set<string>();
    const watcher: Watcher = {
      marked: (mark) => met.add(mark),
      unmarked: (law, { message }) => {
        throw new Error(`${law.id}: ${message}`);
      },
    };
    liveThrough(deploymentOf(text, name).deployment, watcher, counting);
    expect([...met].sort()).toEqual(marks.filter((mark) => marksOf(release).includes(mark)).sort());
  });

test('every mark of every release is met', () => {
  const met = new Set(lives.flatMap(({ marks }) => marks));
  const known = new Set(RELEASES.flatMap(marksOf));
  expect([...known].filter((mark) => !met.has(mark))).toEqual([]);
  expect([...met].filter((mark) => !known.has(mark))).toEqual([]);
});
