/**
 * `npm run lives [-- RELEASE...]`: thousands of random lives of clouds, by the same laws as properties/lifecycle.property.test.ts, on a machine that has
 * time. It can be stopped at any time and goes on where it was: which seeds are done is kept in a file.
 *
 * Environment: `LIVES` a release (default 10,000) · `STATE` the file (default lives.json) · `SECONDS` after which it stops.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { z } from 'zod';
import { RELEASES } from '../deployment/release.ts';

const BATCH = 50;

const STATE = z.record(
  z.string(),
  z.strictObject({
    done: z.int(),
    operations: z.int(),
    marks: z.record(z.string(), z.int()),
    unmarked: z.array(z.string()),
  }),
);

const fc = await import('fast-check');
const { beginningArb, drawnArb } = await import('../arbitrary/lifecycle.ts');
const { begin, Step } = await import('../arbitrary/life.ts');

const path = process.env['STATE'] ?? 'lives.json';
const wanted = Number(process.env['LIVES'] ?? 10_000);
const until = Date.now() + Number(process.env['SECONDS'] ?? 1e9) * 1000;
const state = existsSync(path) ? STATE.parse(JSON.parse(readFileSync(path, 'utf8'))) : {};
const asked = process.argv.slice(2);

for (const release of RELEASES.filter((name) => asked.length === 0 || asked.includes(name))) {
  const own = (state[release] ??= { done: 0, operations: 0, marks: {}, unmarked: [] });
  while (own.done < wanted && Date.now() < until) {
    const lives = fc.sample(fc.tuple(beginningArb(), fc.array(drawnArb(), { maxLength: 40, size: 'max' })), {
      numRuns: BATCH,
      seed: own.done + 1,
    });
    for (const [beginning, drawn] of lives) {
      const { model, real } = begin(
        beginning,
        release,
        (mark) => (own.marks[mark] = (own.marks[mark] ?? 0) + 1),
        (story) => {
          if (own.unmarked.length < 100) own.unmarked.push(`${JSON.stringify(beginning)} ${story}`);
        },
      );
      for (const step of drawn.map((one) => new Step(one))) if (step.check(model)) step.run(model, real);
      own.operations += real.done.length;
    }
    own.done += BATCH;
    writeFileSync(path, JSON.stringify(state, null, 2));
  }
  const marks = Object.entries(own.marks).map(([mark, count]) => `${mark} ${count}`);
  process.stdout.write(
    `${release}: ${own.done} lives, ${own.operations} operations, ${own.unmarked.length} not as known; known: ${marks.join(', ')}\n`,
  );
  for (const story of own.unmarked) process.stdout.write(`${story}\n`);
}

process.exitCode = Object.values(state).some(({ unmarked }) => unmarked.length > 0) ? 1 : 0;
