/** docs/article.md: nothing that it names is missing, and nothing that the article states is missing from it. */
import { readFileSync } from 'node:fs';
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

/** What stands for the sentences, without its quotes. */
const named = rows.flatMap(({ standing }) => standing.map((one) => one.slice(1, -1)));

const sentences = read('article/sentences.txt').trimEnd().split('\n');

test('every sentence of the article that states a behaviour is in the table, in the order of the article', () => {
  const inTable = rows.map(({ quote }) => quote);
  expect(inTable.filter((quote) => !sentences.includes(quote))).toEqual([]);
  expect(sentences.filter((sentence) => !inTable.includes(sentence))).toEqual([]);
  expect(inTable.length).toBe(sentences.length);
});

/** What tests run: conversations (scenarios/run.test.ts), and rulesets that the reference generates (rulesets.test.ts). */
const passing = [
  ...filesEnding('.packets'),
  ...['article', 'modes'].flatMap((folder) => filesEnding('.rules', join(ROOT, folder))),
].map((path) => `scenarios/${path}`);

test('for every sentence, rule and command a scenario stands that a test runs', () => {
  expect(rows.filter(({ standing }) => standing.some((one) => !/^`[^`]+`$/.test(one)))).toEqual([]);
  const stands = ({ standing }: Row): boolean => standing.some((one) => passing.includes(one.slice(1, -1)));
  expect(rows.filter((row) => !stands(row)).map(({ quote }) => quote)).toEqual([]);
});

test('whatever is in the table is a scenario that a test runs, or a law', () => {
  const laws = LAWS.map(({ id }) => id);
  expect(named.filter((one) => !passing.includes(one) && !laws.includes(one))).toEqual([]);
});

test('every system and mode that the article names has a scenario of its own', () => {
  for (const word of [
    'nova-network',
    'nova-compute',
    'nova-api',
    'dmz',
    'Flat mode',
    'dhcpdiscover',
    'VLAN',
    'cloudpipe',
    'quantum',
  ])
    expect(rows.filter(({ quote }) => quote.includes(word)).length, word).toBeGreaterThan(0);
  for (const folder of ['modes/flat', 'modes/vlan', 'modes/quantum', 'article/several-hosts'])
    expect(named.filter((one) => one.startsWith(`scenarios/${folder}/`)).length, folder).toBeGreaterThan(0);
});

test('every scenario of the article stands for a sentence', () => {
  const scenarios = filesEnding('.packets', join(ROOT, 'article')).map((path) => `scenarios/${path}`);
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
