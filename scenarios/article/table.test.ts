/** docs/article.md: nothing that it names is missing, and nothing that the article states is missing from it. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { LAWS } from '../../src/invariant/laws.ts';
import { ROOT, filesEnding, read } from '../scenario.ts';

const table = readFileSync(join(ROOT, '../docs/article.md'), 'utf8');

interface Row {
  readonly quote: string;
  readonly standing: readonly string[];
}

const rows: readonly Row[] = table.split('\n').flatMap((line) => {
  const [, quote, standing] = /^\| [“`](.*)[”`] \| (.*) \|$/.exec(line) ?? [];
  return quote === undefined || standing === undefined ? [] : [{ quote, standing: standing.split('<br>') }];
});

/** What stands for the sentences; a row that nothing stands for says why. */
const named = rows.flatMap(({ standing }) => standing.filter((one) => !one.startsWith('none: ')));

const sentences = read('article/sentences.txt').trimEnd().split('\n');

test('every sentence of the article that states a behaviour is in the table, in the order of the article', () => {
  const inTable = rows.map(({ quote }) => quote);
  expect(inTable.filter((quote) => !sentences.includes(quote))).toEqual([]);
  expect(sentences.filter((sentence) => !inTable.includes(sentence))).toEqual([]);
  expect(inTable.length).toBe(sentences.length);
});

test('for every sentence something stands, or a reason', () => {
  expect(rows.filter(({ standing }) => standing.some((one) => !/^(`[^`]+`|none: .{10,})$/.test(one)))).toEqual([]);
});

test('every scenario and ruleset in the table exists, and every law', () => {
  const laws = LAWS.map(({ id }) => id);
  const missing = named
    .map((one) => one.slice(1, -1))
    .filter((one) => (one.startsWith('scenarios/') ? !existsSync(join(ROOT, '..', one)) : !laws.includes(one)));
  expect(missing).toEqual([]);
});

test('every scenario of the article stands for a sentence', () => {
  const scenarios = filesEnding('.packets', join(ROOT, 'article')).map((path) => `\`scenarios/${path}\``);
  expect(scenarios.filter((path) => !named.includes(path))).toEqual([]);
});

/** The steps whose rulesets grow one from the other. */
const steps = filesEnding('host1.rules', join(ROOT, 'article')).filter((path) => /^article\/\d/.test(path));

test('every rule that the article shows is a line of the ruleset of its step, and of no earlier one', () => {
  const rules = rows.filter(({ quote }) => quote.startsWith('-A '));
  expect(rules.length).toBeGreaterThan(15);
  for (const { quote, standing } of rules) {
    const path = standing[0]?.slice('`scenarios/'.length, -1) ?? '';
    expect(read(path).split('\n')).toContain(quote);
    const before = steps[steps.indexOf(path) - 1];
    if (before !== undefined) expect(read(before).split('\n')).not.toContain(quote);
  }
});

test('what the scenarios quote of the article is in the table', () => {
  const quotes = filesEnding('.packets', join(ROOT, 'article')).flatMap((path) =>
    read(path)
      .split('\n')
      .filter((line) => line.startsWith('#'))
      .flatMap((line) => Array.from(line.matchAll(/"([^"]+)"/g), ([, quote = '']) => ({ path, quote }))),
  );
  expect(quotes.length).toBeGreaterThan(20);
  expect(quotes.filter(({ quote }) => !sentences.some((sentence) => sentence.includes(quote)))).toEqual([]);
});
