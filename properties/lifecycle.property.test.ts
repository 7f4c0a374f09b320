/** Lives of clouds of every release: no operation breaks a law over time, but where the release is known to, and there it does. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { beginningArb, drawnArb, type Beginning } from '../src/arbitrary/lifecycle.ts';
import { RELEASES } from '../src/deployment/release.ts';
import { TIME_LAWS } from '../src/invariant/over-time.ts';
import type { Codec } from './support/codec.ts';
import { law } from './support/law.ts';
import { begin, Step, stepOf, type Model, type Real } from '../src/arbitrary/life.ts';

/** Up to 40 operations on a cloud. */
type Life = [Beginning, Iterable<fc.Command<Model, Real>>];

const INDEX = z.int().min(0);
const BEGINNING = z.strictObject({ hosts: INDEX, manager: INDEX, options: INDEX });

/** A step is stored as it prints. */
const LIFE: Codec<Life> = {
  write: ([beginning, steps]) => [beginning, Array.from(steps, String)],
  read: ([beginning, steps]) => [BEGINNING.parse(beginning), z.array(z.string()).parse(steps).map(stepOf)],
};

/** What some hundred lives may well not meet: a migration of one of several floating IPs, two services of one name, a loss just when it is undone. */
const RARE: ReadonlySet<string> = new Set([
  'A16',
  'float order',
  'swallowed name',
  'undo/undoes (D14)',
  'change/no-window (D14)',
]);

const LIVES = Number(process.env['LIVES'] ?? 200);

for (const release of RELEASES) {
  const seen = new Set<string>();
  law<Life>(
    `lifecycle/${release.replaceAll('.', '-')}`,
    [beginningArb(), fc.commands([drawnArb().map((drawn) => new Step(drawn))], { maxCommands: 40, size: 'max' })],
    (beginning, steps) => {
      fc.modelRun(() => begin(beginning, release, (mark) => seen.add(mark)), steps);
      return true;
    },
    { runs: LIVES, stored: LIFE },
  );
  test(`lifecycle/${release}: what is known to fail fails`, () => {
    const marks = TIME_LAWS.flatMap((one) =>
      one.knownFailures
        .filter(({ releases }) => releases === 'all' || releases.includes(release))
        .filter(({ bug }) => !RARE.has(bug))
        .map(({ bug }) => `${one.id} (${bug})`),
    );
    expect(marks.length).toBeGreaterThan(2);
    expect(marks.filter((mark) => !seen.has(mark) && !RARE.has(mark))).toEqual([]);
  });
}
