import { expect, test } from 'vitest';
import { addCoverage, floorOf, tooRare, type Coverage } from './coverage.ts';
import { MEANS } from './means.ts';

/** The chance (Poisson) of less than `floor`, by its terms. */
function chanceBelow(floor: number, mean: number): number {
  let [chance, term] = [0, Math.exp(-mean)];
  for (let met = 0; met < floor; met++) {
    chance += term;
    term *= mean / (met + 1);
  }
  return chance;
}

test('a floor is the most that chance does not fall below once in a million times', () => {
  for (const mean of [0.1, 1, 5, 13, 14, 20, 60, 100, 350, 690]) {
    expect(chanceBelow(floorOf(mean), mean), `${mean}`).toBeLessThan(1e-6);
    expect(chanceBelow(floorOf(mean) + 1, mean), `${mean}`).toBeGreaterThanOrEqual(1e-6);
  }
  expect(floorOf(13)).toBe(0);
  expect(floorOf(14)).toBe(1);
  // Beyond what the sum can be asked for.
  expect(floorOf(10_000)).toBe(9500);
});

test('a class that a campaign has lost is told, and no other', () => {
  const cases = 20_000;
  const coverage: Coverage = new Map(
    Object.entries(MEANS).flatMap(([mean, names]) =>
      names.map((name): [string, number] => [name, Math.round((Number(mean) * cases) / 1000)]),
    ),
  );
  expect(tooRare(coverage, cases)).toEqual([]);
  coverage.delete('target SNAT');
  coverage.set('state RELATED', 100);
  const told = tooRare(coverage, cases).map((line) => line.slice(0, line.indexOf(':')));
  expect(new Set(told)).toEqual(new Set(['state RELATED', 'target SNAT']));
});

test('a case counts once for a class, however often it meets it', () => {
  const coverage: Coverage = new Map();
  addCoverage(coverage, ['fate dropped', 'fate dropped', 'state NEW']);
  addCoverage(coverage, ['fate dropped']);
  expect([...coverage]).toEqual([
    ['fate dropped', 2],
    ['state NEW', 1],
  ]);
});
