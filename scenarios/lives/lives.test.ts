/** Lives of which it is known what goes wrong in which release: there it does, and nothing else does. Together they meet every mark of the laws over time. */
import { expect, test } from 'vitest';
import { liveThrough, type Watcher } from '../../src/arbitrary/life.ts';
import { knownLives } from '../../src/cli/known-lives.ts';
import { RELEASES } from '../../src/deployment/release.ts';
import { marksOf } from '../../src/invariant/over-time.ts';

const lives = knownLives();

for (const life of lives)
  test.each(RELEASES)(`${life.name} in %s`, (release) => {
    const met = new Set<string>();
    const watcher: Watcher = {
      marked: (mark) => met.add(mark),
      unmarked: (law, { message }) => {
        throw new Error(`${law.id}: ${message}`);
      },
    };
    liveThrough(life.in(release), watcher, life.counting);
    expect([...met].sort()).toEqual(life.marks.filter((mark) => marksOf(release).includes(mark)).sort());
  });

test('every mark of every release is met', () => {
  const met = new Set(lives.flatMap(({ marks }) => marks));
  const known = new Set(RELEASES.flatMap(marksOf));
  expect([...known].filter((mark) => !met.has(mark))).toEqual([]);
  expect([...met].filter((mark) => !known.has(mark))).toEqual([]);
});
