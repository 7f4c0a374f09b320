/** Lives of clouds of every release: no operation breaks a law over time, but where the release is known to. That it does there, scenarios/lives shows. */
import fc from 'fast-check';
import { z } from 'zod';
import { beginningArb, drawnArb, type Beginning } from '../src/arbitrary/lifecycle.ts';
import { RELEASES } from '../src/deployment/release.ts';
import type { Codec } from './support/codec.ts';
import { law } from './support/law.ts';
import { begin, LIFE_FLOORS, Step, stepOf, type Model, type Real, type Watcher } from '../src/arbitrary/life.ts';

/** Up to 40 operations on a cloud. */
type Life = [Beginning, Iterable<fc.Command<Model, Real>>];

const INDEX = z.int().min(0);
const BEGINNING = z.strictObject({
  hosts: INDEX,
  manager: INDEX,
  services: INDEX,
  isMultiHost: z.boolean(),
  hasIpv6: z.boolean(),
  hasOperator: z.boolean(),
  hasInstances: z.boolean(),
  assignsFloats: z.boolean(),
  isStrict: z.boolean(),
  sharesDhcp: z.boolean(),
  tearsDown: z.boolean(),
  restrictsBridges: z.boolean(),
});

/** A step is stored as it prints. */
const LIFE: Codec<Life> = {
  write: ([beginning, steps]) => [beginning, Array.from(steps, String)],
  read: ([beginning, steps]) => [BEGINNING.parse(beginning), z.array(z.string()).parse(steps).map(stepOf)],
};

/** What the lives are to meet, in percent. */
const COVER = Object.fromEntries(Object.entries(LIFE_FLOORS).map(([kind, atLeast]) => [kind, { atLeast }]));

const LIVES = Number(process.env['LIVES'] ?? 140);

for (const release of RELEASES)
  law<Life>(
    `lifecycle/${release.replaceAll('.', '-')}`,
    [beginningArb(), fc.commands([drawnArb().map((drawn) => new Step(drawn))], { maxCommands: 40, size: 'max' })],
    (beginning, steps, seen) => {
      const watcher: Watcher = {
        unmarked: (law, { message }, story) => {
          throw new Error([`${law.id}: ${message}`, ...story()].join('\n'));
        },
        seen,
      };
      fc.modelRun(() => begin(beginning, release, watcher), steps);
      return true;
    },
    { runs: LIVES, stored: LIFE, cover: COVER },
  );
