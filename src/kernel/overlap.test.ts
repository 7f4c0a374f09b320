import { expect, test } from 'vitest';
import type { Comparing, Comparison, Pause } from './compare.ts';
import { overlapped } from './overlap.ts';

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

test('a case is compared while the rules of the next one load, which were read while its packets were sent', () => {
  const { ends, log } = trialOf(['load', 'answer', 'answer', 'asked'], ['load', 'answer', 'answer', 'asked']);
  expect(ends).toEqual([0, 1]);
  expect(log).toEqual([
    ...['0 load', '0 answer', '0 answer'],
    ...['1 load', '0 asked', '1 answer', '0 end'],
    ...['1 answer', '1 asked', '1 end'],
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

test('none, and what ends without a pause', () => {
  expect(trialOf().ends).toEqual([]);
  expect(trialOf([], ['load'], []).ends).toEqual([0, 1, 2]);
});
