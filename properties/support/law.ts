/**
 * A law of the model as one test with a stable name: stored regressions first, then random values, and a count of how many of those were of
 * the interesting kinds, so that a green run means something.
 *
 * Environment: `SEED` a number or `random` (default: a fixed number, printed where `CI` is set) · `CASE` the path of one counterexample ·
 * `SCALE` multiplies the number of runs · `VERBOSE` 1 or 2 as fast-check has it, and how common each interesting kind was · `REMEMBER=no` stores no
 * counterexample.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { PLAIN, type Codec } from './codec.ts';

/** Tells that the value at hand is of an interesting kind. */
export type Seen = (kind: string) => void;

/** How common a kind of values must be: in at least `atLeast` percent of the runs. Without `when` the law itself tells, by `seen`. */
export interface Cover<T extends readonly unknown[]> {
  readonly atLeast: number;
  readonly when?: (...values: T) => boolean;
}

export interface LawOptions<T extends readonly unknown[]> {
  readonly cover?: Readonly<Record<string, Cover<T>>>;
  /** Before `SCALE`; 100 when absent. */
  readonly runs?: number;
  /** How values are stored as plain data; absent: as they are, with bigints and maps marked. */
  readonly stored?: Codec<T>;
}

export type Arbitraries<T extends readonly unknown[]> = { readonly [K in keyof T]: fc.Arbitrary<T[K]> };

/** Holds by returning nothing or true; fails by returning false or throwing, and what it throws is shown. */
export type Predicate<T extends readonly unknown[]> = (...values: [...T, Seen]) => boolean | undefined;

/** Where and how a law is run: the environment's part of it. */
export interface Conditions {
  readonly directory: string;
  readonly seed: number;
  readonly path?: string;
  readonly scale: number;
  readonly verbose: number;
  /** Whether a counterexample is stored. */
  readonly remember: boolean;
  /** The test's file, for the commands that reproduce a failure. */
  readonly file: string;
}

const DEFAULT_SEED = 20121;

/** fast-check takes seeds of 32 bits. */
function seedOf(text: string | undefined): number {
  if (text === undefined || text === '') return DEFAULT_SEED;
  if (text === 'random') return Math.floor(Math.random() * 0x7fffffff);
  if (!/^-?\d{1,10}$/.test(text)) throw new Error(`SEED is a number or \`random\`, not ${text}`);
  return Number(text) | 0;
}

function scaleOf(text: string | undefined): number {
  const scale = Number(text ?? '1');
  if (!(scale > 0 && scale <= 1e6)) throw new Error(`SCALE is a positive number, not ${text ?? ''}`);
  return scale;
}

const { SEED, CASE, SCALE, VERBOSE, REMEMBER, CI } = process.env;
const seed = seedOf(SEED);
const scale = scaleOf(SCALE);
if (CI !== undefined) process.stderr.write(`properties: SEED=${seed} SCALE=${scale}\n`);

const VERBOSITY = [fc.VerbosityLevel.None, fc.VerbosityLevel.Verbose, fc.VerbosityLevel.VeryVerbose];

const here = dirname(fileURLToPath(import.meta.url));
const REGRESSIONS = join(here, '..', 'regressions');

const conditions = (file: string): Conditions => ({
  directory: REGRESSIONS,
  seed,
  ...(CASE === undefined ? {} : { path: CASE }),
  scale,
  verbose: Number(VERBOSE ?? 0),
  remember: REMEMBER !== 'no',
  file,
});

/** A stored counterexample: what one file under regressions/ holds. `seed` and `path` only tell where it came from. */
const REGRESSION = z.strictObject({
  found: z.iso.date(),
  because: z.string().min(1),
  value: z.array(z.unknown()).min(1),
  seed: z.int(),
  path: z.string(),
});

export interface Regression {
  readonly slug: string;
  readonly value: readonly unknown[];
}

/** The regressions of a law, by name of file. Throws, naming the file, where one is not as it should be. */
export function regressionsOf(directory: string, name: string): readonly Regression[] {
  let files: string[];
  try {
    files = readdirSync(join(directory, name), { withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.name.endsWith('.json'))
      .map((entry) => entry.name);
  } catch {
    return [];
  }
  return files.sort().map((file) => {
    const read = REGRESSION.safeParse(JSON.parse(readFileSync(join(directory, name, file), 'utf8')));
    if (!read.success) throw new Error(`${name}/${file} is no regression: ${z.prettifyError(read.error)}`);
    return { slug: file.replace(/\.json$/, ''), value: read.data.value };
  });
}

/**
 * Registers the tests of a law: one for each stored regression, then one over random values. `name` is an id, `area/statement-in-kebab-case`, and
 * never changes: tests, regressions and histories go by it.
 */
export function law<T extends [unknown, ...unknown[]]>(
  name: string,
  arbitraries: Arbitraries<T>,
  predicate: Predicate<T>,
  options: LawOptions<T> = {},
): void {
  if (!/^[a-z0-9-]+(\/[a-z0-9-]+)+$/.test(name)) throw new Error(`${name} is no id of a law`);
  for (const regression of regressionsOf(REGRESSIONS, name)) {
    test(`${name} (regression ${regression.slug})`, () => {
      replay(regression, predicate, options);
    });
  }
  test(name, { timeout: 120_000 * Math.max(1, scale) }, () => {
    const { testPath } = expect.getState();
    checkLaw(name, arbitraries, predicate, options, conditions(relative(process.cwd(), testPath ?? '')));
  });
}

/** Plain data is read back as what was written: whether it is what the law is about, the law finds out. */
const codecOf = <T extends readonly unknown[]>(codec: Codec<T> | undefined): Codec<T> =>
  codec ?? (PLAIN as unknown as Codec<T>);

const ignore: Seen = () => undefined;

/** The value as the law is given it. What was stored is not trusted: `read` throws where it is no such value. */
export function replay<T extends readonly unknown[]>(
  { slug, value }: Regression,
  predicate: Predicate<T>,
  { stored }: LawOptions<T>,
): void {
  const read = codecOf(stored).read(value);
  const message = failureOf(() => predicate(...read, ignore));
  if (message !== undefined) throw new Error(`regression ${slug}\n${printed(read)}\n${message}`);
}

/** What is wrong, in words; undefined when it holds. */
function failureOf(run: () => boolean | undefined): string | undefined {
  try {
    return run() === false ? 'the law does not hold' : undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

const printed = (values: readonly unknown[]): string => values.map((value) => fc.stringify(value)).join('\n');

/** Runs a law over random values. Throws with the least counterexample found, or where an interesting kind is too rare. */
export function checkLaw<T extends [unknown, ...unknown[]]>(
  name: string,
  arbitraries: Arbitraries<T>,
  predicate: Predicate<T>,
  { cover = {}, runs = 100, stored }: LawOptions<T>,
  at: Conditions,
): void {
  const counts = new Map(Object.keys(cover).map((kind) => [kind, 0]));
  const numRuns = Math.max(1, Math.round(runs * at.scale));
  const values = fc.tuple(...(arbitraries as readonly fc.Arbitrary<unknown>[])) as unknown as fc.Arbitrary<T>;
  const property = fc.property(values, (drawn) => {
    const kinds = new Set<string>();
    for (const [kind, { when }] of Object.entries(cover)) if (when?.(...drawn) === true) kinds.add(kind);
    const failure = failureOf(() =>
      predicate(...drawn, (kind) => {
        if (!counts.has(kind)) throw new Error(`${name} sees ${kind}, which its cover does not name`);
        kinds.add(kind);
      }),
    );
    if (failure !== undefined) throw new Error(failure);
    for (const kind of kinds) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  });
  const details = fc.check(property, {
    seed: at.seed,
    numRuns,
    verbose: VERBOSITY[at.verbose] ?? fc.VerbosityLevel.None,
    ...(at.path === undefined ? {} : { path: at.path }),
  });
  if (details.failed) {
    const [counterexample] = details.counterexample ?? [];
    if (counterexample === undefined) throw new Error(`${name}: ${fc.defaultReportMessage(details) ?? 'no run'}`);
    const path = details.counterexamplePath ?? '';
    const slug = remember(name, counterexample, path, codecOf(stored), at);
    throw new Error(
      [
        name,
        printed(counterexample),
        details.errorInstance instanceof Error ? details.errorInstance.message : String(details.errorInstance),
        `seed ${details.seed}, path ${path}, run ${details.numRuns}, shrunk ${details.numShrinks} times`,
        ...(at.verbose > 1 ? [fc.defaultReportMessage(details) ?? ''] : []),
        `the search again: SEED=${details.seed} CASE=${path} npx vitest run ${at.file} -t '${name}'`,
        `this value alone: npx vitest run ${at.file} -t '${name} (regression ${slug})'`,
      ].join('\n'),
    );
  }
  if (at.verbose > 0)
    process.stderr.write(
      `${name}: ${[...counts].map(([kind, count]) => `${((100 * count) / details.numRuns).toFixed(1)}% ${kind}`).join(', ')}\n`,
    );
  // A path runs a single case, of which nothing can be counted.
  if (at.path !== undefined) return;
  const rare = [...counts].flatMap(([kind, count]) => {
    const percent = (100 * count) / details.numRuns;
    const needed = cover[kind]?.atLeast ?? 0;
    return percent < needed ? [`only ${percent.toFixed(1)}% ${kind} (need ${needed}%)`] : [];
  });
  if (rare.length > 0)
    throw new Error(`${name} proves too little: ${rare.join(', ')} over ${details.numRuns} runs, seed ${details.seed}`);
}

/** Stores a counterexample, to be replayed from now on. The file is reviewed like code: `because` is for a person to write. */
function remember<T extends readonly unknown[]>(
  name: string,
  value: T,
  path: string,
  codec: Codec<T>,
  { directory, seed: from, remember: isKept }: Conditions,
): string {
  const plain = codec.write(value);
  const slug = `found-${createHash('sha256').update(JSON.stringify(plain)).digest('hex').slice(0, 8)}`;
  const found = new Date().toISOString().slice(0, 10);
  const regression = { found, because: 'not yet explained', value: plain, seed: from, path };
  if (!isKept) return slug;
  mkdirSync(join(directory, name), { recursive: true });
  writeFileSync(join(directory, name, `${slug}.json`), `${JSON.stringify(regression, null, 2)}\n`);
  return slug;
}
