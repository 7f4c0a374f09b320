import { mkdtempSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PLAIN } from './codec.ts';
import { checkLaw, law, regressionsOf, replay, type Conditions } from './law.ts';

let at: Conditions;
beforeEach(() => {
  const directory = mkdtempSync(join(tmpdir(), 'law-'));
  at = { directory, seed: 7, scale: 1, verbose: 0, remember: true, file: 'properties/some.property.test.ts' };
});
afterEach(() => {
  rmSync(at.directory, { recursive: true });
});

/** The message of what is thrown. */
function messageOf(run: () => void): string {
  try {
    run();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return '';
}

const lists = fc.array(fc.nat({ max: 1000 }), { size: 'medium' });
const isSmall = (list: readonly number[]): boolean => list.reduce((sum, value) => sum + value, 0) < 100;

test('a false law shrinks to its least counterexample, and the message says all', () => {
  const message = messageOf(() => {
    checkLaw<[number[]]>('sum/small', [lists], isSmall, {}, at);
  });
  const [slug = ''] = readdirSync(join(at.directory, 'sum/small')).map((file) => file.replace('.json', ''));
  const path = /path ([\d:]+),/.exec(message)?.[1] ?? '';
  expect(message.split('\n')).toEqual([
    'sum/small',
    '[100]',
    'the law does not hold',
    expect.stringMatching(/^seed 7, path [\d:]+, run \d+, shrunk \d+ times$/),
    `the search again: SEED=7 CASE=${path} npx vitest run properties/some.property.test.ts -t 'sum/small'`,
    `this value alone: npx vitest run properties/some.property.test.ts -t 'sum/small (regression ${slug})'`,
  ]);
});

test('the path of a counterexample leads to it again', () => {
  const fails = (): string =>
    messageOf(() => {
      checkLaw<[number[]]>('sum/small', [lists], isSmall, {}, at);
    });
  const path = /path ([\d:]+),/.exec(fails())?.[1] ?? '';
  at = { ...at, path };
  expect(fails()).toContain('[100]\n');
});

test('a counterexample is stored as plain data, and fails until the law is mended', () => {
  const values = fc.record({ address: fc.bigInt({ min: 0n }), names: fc.constant(new Map([['a', 1]])) });
  const small = (value: { address: bigint }): boolean => value.address < 12345678901234567890n;
  expect(
    messageOf(() => {
      checkLaw<[{ address: bigint; names: Map<string, number> }]>('address/small', [values], small, { runs: 1000 }, at);
    }),
  ).toContain('12345678901234567890n');
  const [regression] = regressionsOf(at.directory, 'address/small');
  if (regression === undefined) throw new Error('nothing is stored');
  expect(PLAIN.read(regression.value)).toEqual([{ address: 12345678901234567890n, names: new Map([['a', 1]]) }]);
  expect(() => {
    replay<[{ address: bigint }]>(regression, small, {});
  }).toThrow(regression.slug);
  replay<[{ address: bigint }]>(regression, () => true, {});
  const file = readFileSync(join(at.directory, 'address/small', `${regression.slug}.json`), 'utf8');
  expect(Object.keys(JSON.parse(file) as object)).toEqual(['found', 'because', 'value', 'seed', 'path']);
});

test('a kind of values that is too rare fails a law that holds', () => {
  const options = { runs: 500, cover: { large: { atLeast: 40, when: (value: number) => value >= 80 } } };
  expect(() => {
    checkLaw('number/any', [fc.nat({ max: 99 })], () => true, options, at);
  }).toThrow(/^number\/any proves too little: only [\d.]+% large \(need 40%\) over 500 runs, seed 7$/);
  const enough = { runs: 500, cover: { large: { atLeast: 10, when: (value: number) => value >= 80 } } };
  checkLaw('number/any', [fc.nat({ max: 99 })], () => true, enough, at);
});

test('a law can tell by itself what it has seen, of the kinds that its cover names', () => {
  const cover = { even: { atLeast: 101 } };
  expect(() => {
    checkLaw<[number]>(
      'number/any',
      [fc.nat()],
      (value, seen) => {
        if (value % 2 === 0) seen('even');
        return true;
      },
      { cover },
      at,
    );
  }).toThrow(/only \d\d\.\d% even/);
  expect(() => {
    checkLaw<[number]>(
      'number/any',
      [fc.nat()],
      (_value, seen) => {
        seen('odd');
        return true;
      },
      { cover },
      at,
    );
  }).toThrow('number/any sees odd, which its cover does not name');
});

test('a scale multiplies the runs', () => {
  let runs = 0;
  at = { ...at, scale: 3 };
  checkLaw(
    'number/any',
    [fc.nat()],
    () => {
      runs++;
      return true;
    },
    { runs: 20 },
    at,
  );
  expect(runs).toBe(60);
});

test('a stored file that is no regression is named', () => {
  const regression = { found: '2026-11-22', because: 'sorted as text', value: [[10, 2]], seed: 7, path: '1:0' };
  mkdirSync(join(at.directory, 'sum/small'), { recursive: true });
  const file = join(at.directory, 'sum/small', 'text.json');
  writeFileSync(file, JSON.stringify(regression));
  expect(regressionsOf(at.directory, 'sum/small')).toEqual([{ slug: 'text', value: [[10, 2]] }]);
  writeFileSync(file, JSON.stringify({ ...regression, because: '' }));
  expect(() => regressionsOf(at.directory, 'sum/small')).toThrow('sum/small/text.json is no regression');
});

/** What has run, in order: stored regressions are named tests in front of the law's own. */
const replayed: unknown[] = [];
law<[number[]]>(
  'law/replays-regressions-first',
  [fc.array(fc.nat())],
  (list) => {
    if (replayed.length === 0) expect(list).toEqual([10, 2]);
    replayed.push(list);
    return true;
  },
  { runs: 5 },
);

test('the stored regression of the law above ran once, before its random values', () => {
  expect(replayed.length).toBeGreaterThan(1);
  expect(replayed.filter((list) => JSON.stringify(list) === '[10,2]')).toHaveLength(1);
  expect(replayed[0]).toEqual([10, 2]);
});
