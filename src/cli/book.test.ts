/** The book of laws says what the laws say, and every law has something to say of one of the two clouds. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { LAWS } from '../invariant/laws.ts';
import { OVER_TIME_LAWS } from '../invariant/over-time.ts';
import { speaksOf } from '../judge/exhibit.ts';
import { CLOUDS, cloudOf } from './book.ts';

const clouds = CLOUDS.map(cloudOf);
const book = readFileSync(new URL('../../docs/laws.md', import.meta.url), 'utf8');
const chapters = new Map(book.split(/^## /m).map((chapter) => [chapter.slice(0, chapter.indexOf('\n')), chapter]));

/** Laws that one ruleset at one moment cannot show, and why. */
const SHOWN_ELSEWHERE: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    OVER_TIME_LAWS.map(({ id }) => [id, 'compares moments: properties/lifecycle.property.test.ts']),
  ),
  'bridge/only-listed': 'needs a flag of grizzly: scenarios/regressions',
  'apply/honours-patterns': 'needs a flag of grizzly: scenarios/regressions',
  'apply/keeps-duplicates': 'needs an operator who has a rule twice: scenarios/regressions',
  'security-group/order-irrelevant': 'a relation between two deployments: properties/',
  'security-group/monotone': 'a relation between two deployments: properties/',
  'floating-ip/bound-on-interface': 'true of a completed deployment by construction; for snapshots and lifecycles',
};

test.each(LAWS.map((law) => [law.id, law] as const))('%s has a chapter that says what it says', (id, law) => {
  const chapter = chapters.get(id);
  expect(chapter).toContain(law.statement);
  expect(chapter).toContain(law.source);
  expect(chapter).toContain(law.brokenBy);
  if (SHOWN_ELSEWHERE[id] === undefined) expect(chapter).toContain('**Broken**');
});

test('the book has no chapter of a law that is gone', () => {
  expect([...chapters.keys()].slice(1)).toEqual(LAWS.map(({ id }) => id));
});

test('every law speaks of one of the two clouds', () => {
  const silent = LAWS.filter((law) => !speaksOf(law, clouds)).map(({ id }) => id);
  expect(silent.sort()).toEqual(Object.keys(SHOWN_ELSEWHERE).sort());
});
