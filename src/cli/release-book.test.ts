/** The book of releases says what the judges say: one column is made again. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { RELEASES } from '../deployment/release.ts';
import { LAWS } from '../invariant/laws.ts';
import { columnOf } from './release-book.ts';

const rows = readFileSync(new URL('../../docs/releases.md', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .map((line) => line.split('|').map((cell) => cell.trim()));

test('the book has a row for each law, a column for each release', () => {
  expect(rows[0]?.slice(2, -1)).toEqual([...RELEASES]);
  expect(rows.slice(2).map(([, id = '']) => id.replace(' (w)', ''))).toEqual(LAWS.map(({ id }) => id));
});

test('its column of the article’s release is what the laws say now', () => {
  const { cells } = columnOf('folsom-2');
  const column = 2 + RELEASES.indexOf('folsom-2');
  for (const law of LAWS.filter(({ kind }) => kind !== 'relation')) {
    const row = rows.find(([, id = '']) => id.replace(' (w)', '') === law.id);
    const cell = cells.get(law.id);
    expect(row?.[column], law.id).toBe(cell === undefined ? '' : cell.holds ? 'holds' : '**fails**');
  }
});

test('what fails is known to, and what no mark speaks of holds', () => {
  for (const law of LAWS)
    RELEASES.forEach((release, at) => {
      const row = rows.find(([, id = '']) => id.replace(' (w)', '') === law.id);
      const isMarked = law.knownFailures.some(({ releases }) => releases === 'all' || releases.includes(release));
      if (row?.[2 + at] === '**fails**') expect(isMarked, `${law.id} in ${release}`).toBe(true);
    });
});
