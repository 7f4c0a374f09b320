/** The book of releases says what the judges say: one column is made again. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { RELEASES } from '../deployment/release.ts';
import { LAWS } from '../invariant/laws.ts';
import { columnOf } from './release-book.ts';

const book = readFileSync(new URL('../../docs/releases.md', import.meta.url), 'utf8');
const rows = book
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
    expect(row?.[column], law.id).toBe(cell?.result === 'fails' ? '**fails**' : cell?.result);
  }
});

test('no cell is empty, and what does not apply has its reason', () => {
  for (const [, id = '', ...cells] of rows.slice(2))
    for (const [at, cell] of cells.slice(0, -1).entries()) {
      expect(['holds', '**fails**', 'n/a'], id).toContain(cell);
      const name = id.replace(' (w)', '');
      if (cell === 'n/a') expect(absences(name), `${name} in ${RELEASES[at] ?? ''}`).toMatch(/: .{10}/);
    }
});

/** The lines of the last chapter about a law. */
const absences = (id: string): string =>
  book
    .slice(book.indexOf('# What does not apply'))
    .split('\n')
    .filter((line) => line.startsWith(`- ${id},`))
    .join('\n');

test('each counterexample of packets, flows and lines has its trace', () => {
  const chapters = book.slice(0, book.indexOf('# What does not apply')).split('\n## ').slice(1);
  expect(chapters.length).toBeGreaterThan(15);
  for (const chapter of chapters) {
    // A rule that is missing stands on no line.
    if (/^(dhcp\/checksums-filled|apply\/keeps-duplicates)\n/.test(chapter)) continue;
    const examples = chapter.match(/^\*[a-z0-9-, .]+\*: /gm) ?? [];
    expect((chapter.match(/^<details>$/gm) ?? []).length, chapter.slice(0, 40)).toBe(examples.length);
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
