import { expect, test } from 'vitest';
import { finished, type Comparing, type Comparison, type Pause } from './compare.ts';
import { overlapped, together } from './overlap.ts';

/** A comparison that says when it passes which pause; `packets` tells it from the others. */
function* comparing(packets: number, pauses: readonly Pause[], log: string[]): Comparing {
  for (const pause of pauses) {
    log.push(`${packets} ${pause}`);
    yield pause;
  }
  log.push(`${packets} end`);
  return { played: [], packets, undecided: 0, rulesets: [] };
}

function trialOf(...cases: readonly (readonly Pause[])[]): { readonly ends: number[]; readonly log: string[] } {
  const log: string[] = [];
  const ends = [...overlapped(cases.map((pauses, at) => comparing(at, pauses, log)))].map(
    ({ packets }: Comparison) => packets,
  );
  return { ends, log };
}

test('a case asks before those in front of it are compared, which is as many cases later', () => {
  const pauses: Pause[] = ['load', 'asked'];
  const { ends, log } = trialOf(...Array.from({ length: 7 }, () => pauses));
  expect(ends).toEqual([0, 1, 2, 3, 4, 5, 6]);
  for (const at of [0, 1]) {
    expect(log.indexOf(`${at + 4} asked`)).toBeLessThan(log.indexOf(`${at} end`));
    expect(log.indexOf(`${at} end`)).toBeLessThan(log.indexOf(`${at + 5} load`));
  }
});

test('while a case that may ask more waits for an answer, those in front of it are compared and the next one plays', () => {
  const asking: Pause[] = ['load', 'answer', 'asked'];
  const { log } = trialOf(['load', 'asked'], asking, ['load', 'asked']);
  expect(log).toEqual([
    ...['0 load', '0 asked', '1 load', '1 answer'],
    ...['2 load', '0 end', '1 asked', '2 asked'],
    ...['1 end', '2 end'],
  ]);
});

test('nothing loads before the case in front has asked all that it asks', () => {
  const several: Pause[] = ['load', 'answer', 'answer', 'answer', 'answer', 'asked'];
  const { ends, log } = trialOf(several, ['load', 'answer'], ['load', 'answer', 'answer'], several);
  expect(ends).toEqual([0, 1, 2, 3]);
  for (const at of [1, 2, 3]) {
    const loading = log.indexOf(`${at} answer`);
    expect(loading).toBeGreaterThan(log.lastIndexOf(`${at - 1} answer`));
  }
});

test("comparisons that do not come in each other's way ask together, and are one", () => {
  const log: string[] = [];
  const both = together([comparing(0, ['asked'], log), comparing(1, ['answer', 'asked'], log)]);
  expect(both.next()).toEqual({ done: false, value: 'answer' });
  expect(log).toEqual(['0 asked', '1 answer']);
  expect(finished(both).map(({ packets }) => packets)).toEqual([0, 1]);
});

test('what one throws comes when those in front of it have ended', () => {
  const log: string[] = [];
  function* throwing(): Comparing {
    yield 'load';
    throw new Error('broken');
  }
  const ends = overlapped([comparing(0, ['load', 'asked'], log), throwing(), comparing(2, ['load'], log)]);
  expect(ends.next().value).toMatchObject({ packets: 0 });
  expect(() => ends.next()).toThrow('broken');
});

test('none, and what ends without a pause', () => {
  expect(trialOf().ends).toEqual([]);
  expect(trialOf([], ['load'], []).ends).toEqual([0, 1, 2]);
});
