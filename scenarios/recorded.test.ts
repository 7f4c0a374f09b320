/**
 * What a real kernel made of cases that cover every class, and the model's agreement with it: this runs everywhere, also where there is no kernel to ask. The files
 * are made by `npm run kernel -- --record FILE`.
 */
import { readFileSync, readdirSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { hostOfRecorded, type RecordedHost } from '../src/arbitrary/host.ts';
import { compareCase, printDifference } from '../src/kernel/compare.ts';
import { addCoverage, classesOf, type Coverage } from '../src/kernel/coverage.ts';
import { replayed, type RecordedFile } from '../src/kernel/recording.ts';

const FOLDER = new URL('kernel/', import.meta.url);

const all = readdirSync(FOLDER).filter((name) => name.endsWith('.json'));
/** Of cases in which model and kernel once differed. The others cover every class. */
const found = all.filter((name) => name.startsWith('found-'));
const files = all.filter((name) => !found.includes(name));

const read = (name: string): RecordedFile<RecordedHost> =>
  JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8')) as RecordedFile<RecordedHost>;

test.each(files)('the model agrees with the kernel that %s is of', (name) => {
  const { cases } = read(name);
  expect(cases.length).toBeGreaterThan(40);
  const coverage: Coverage = new Map();
  for (const recorded of cases) {
    const { given, oracle } = replayed(recorded, hostOfRecorded);
    const comparison = compareCase(given, oracle);
    const { difference } = comparison;
    if (difference !== undefined)
      throw new Error(`${given.texts.text4 ?? given.texts.text6 ?? ''}${printDifference(difference)}`);
    addCoverage(coverage, classesOf(comparison));
  }
  for (const state of ['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED']) {
    expect(coverage.get(`state ${state}`) ?? 0, state).toBeGreaterThan(0);
  }
  for (const target of ['ACCEPT', 'DROP', 'REJECT', 'DNAT', 'SNAT', 'jump', 'goto', 'RETURN', 'MARK']) {
    expect(coverage.get(`target ${target}`) ?? 0, target).toBeGreaterThan(0);
  }
});

describe.each(found)('%s', (name) => {
  test.each(read(name).cases)('$title', (recorded) => {
    const { given, oracle } = replayed(recorded, hostOfRecorded);
    const { difference } = compareCase(given, oracle);
    expect(difference && printDifference(difference)).toBeUndefined();
  });
});

test.each(files)('what %s says of the kernel is what is compared: a changed recording differs', (name) => {
  const { cases } = read(name);
  const differing = cases.filter((recorded) => {
    const changed = {
      ...recorded,
      runs: recorded.runs.map((run) => run.map((observation) => ({ ...observation, exits: [], local: [] }))),
    };
    const { given, oracle } = replayed(changed, hostOfRecorded);
    return compareCase(given, oracle).difference !== undefined;
  });
  expect(differing.length).toBeGreaterThan(cases.length / 2);
});
