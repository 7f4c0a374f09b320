#!/usr/bin/env node
/**
 * `npm run lives`: thousands of random lives of clouds, by the laws of properties/lifecycle.property.test.ts. It judges the reference and the marks of the
 * laws: a breach that no mark knows is told with the shortest life that leads to it, and so is a mark that no life meets. It can be stopped at any time and
 * goes on where it was: what was counted is kept in a file.
 */
import { existsSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { z } from 'zod';
import type { LifeStory } from '../arbitrary/life-story.ts';
import type { Release } from '../deployment/deployment.ts';
import { RELEASES } from '../deployment/release.ts';
import { marksOf } from '../invariant/over-time.ts';
import { COULD_NOT_ANSWER, UsageError } from './failure.ts';
import { FileError, nodeIo } from './io.ts';

interface Options {
  readonly lives: number;
  readonly seed: number;
  readonly release: readonly Release[];
  readonly state: string;
  readonly seconds?: number;
}

/** Lives between two looks at the clock and two writes of the file. */
const BATCH = 50;

/** Lives after which a mark or a kind that was not met says something about the generator, not about chance. */
const TELLING = 10_000;

/** Lives are made short for the first so many kinds only: what goes wrong first goes wrong in many lines. */
const STORIES = 8;

const RELEASE_STATE = z.strictObject({
  seed: z.int(),
  done: z.int().min(0),
  operations: z.int().min(0),
  /** Lives in which a kind was met. */
  kinds: z.record(z.string(), z.int()),
  /** How often a breach was met that is known, by `LAW (bug)`. */
  marks: z.record(z.string(), z.int()),
  /** Those that are not, by kind: how often, and the first batch with one. */
  unmarked: z.record(z.string(), z.strictObject({ count: z.int(), seed: z.int() })),
});
type ReleaseState = z.output<typeof RELEASE_STATE>;

const STATE = z.record(z.string(), RELEASE_STATE);

const fresh = (seed: number): ReleaseState => ({ seed, done: 0, operations: 0, kinds: {}, marks: {}, unmarked: {} });

const add = (counts: Record<string, number>, name: string): void => {
  counts[name] = (counts[name] ?? 0) + 1;
};

function stateAt(path: string): Record<string, ReleaseState> {
  if (!existsSync(path)) return {};
  try {
    return STATE.parse(JSON.parse(nodeIo.readFile(path).toString()));
  } catch (error) {
    if (error instanceof FileError) throw error;
    throw new UsageError(`${path} is no state of a campaign of lives: name another file with --state, or remove it`);
  }
}

const fc = await import('fast-check');
const { kindOfBreach, lifeArb, shortestStory } = await import('../arbitrary/life-story.ts');
const { live, LIFE_FLOORS } = await import('../arbitrary/life.ts');

const batchSeed = ({ seed, done }: ReleaseState): number => (seed * 1_000_003 + done) | 0;

/** The next lives of a release, counted. */
function liveBatch(release: Release, own: ReleaseState): void {
  const seed = batchSeed(own);
  for (const [beginning, drawn] of fc.sample(lifeArb(), { numRuns: BATCH, seed })) {
    const kinds = new Set<string>();
    const done = live(beginning, drawn, release, {
      marked: (mark) => {
        add(own.marks, mark);
      },
      unmarked: (law, breach) => {
        const known = (own.unmarked[kindOfBreach(law, breach)] ??= { count: 0, seed });
        known.count++;
      },
      seen: (kind) => kinds.add(kind),
    });
    for (const kind of kinds) add(own.kinds, kind);
    own.operations += done.length;
  }
  own.done += BATCH;
}

const tell = (story: LifeStory): string =>
  [
    `  ${story.message}`,
    `  on ${JSON.stringify(story.beginning)}`,
    ...story.operations.map((operation) => `  - ${operation}`),
  ].join('\n');

/** What a release's lives have come to, and whether it is as it should be. */
function report(release: Release, own: ReleaseState): { readonly text: string; readonly isGood: boolean } {
  const { done, operations, marks, kinds, unmarked } = own;
  const isTelling = done >= TELLING;
  const unmet = isTelling ? marksOf(release).filter((mark) => marks[mark] === undefined) : [];
  const rare = isTelling
    ? Object.entries(LIFE_FLOORS).filter(([kind, percent]) => 100 * (kinds[kind] ?? 0) < percent * done)
    : [];
  const failures = Object.entries(unmarked);
  const lines = [
    `${release}: ${done} lives of seed ${own.seed}, ${operations} operations, ${failures.length} kinds of unmarked violations, ${Object.keys(marks).length} of ${marksOf(release).length} marks met${isTelling ? '' : ` (too few lives to miss one: ${TELLING})`}`,
    ...Object.entries(marks)
      .sort()
      .map(([mark, count]) => `${`${count}`.padStart(9)}  ${mark}`),
    ...unmet.map((mark) => `NOT MET  ${mark}`),
    ...rare.map(([kind, percent]) => `TOO RARE  ${kind}: in ${kinds[kind] ?? 0} lives, expected in ${percent} of 100`),
    ...failures.map(([kind, { count, seed }], at) => {
      const story = at < STORIES ? shortestStory(release, kind, seed, BATCH) : undefined;
      return `UNMARKED  ${kind} (${count} times)${story === undefined ? '' : `\n${tell(story)}`}`;
    }),
  ];
  return { text: `${lines.join('\n')}\n`, isGood: failures.length + unmet.length + rare.length === 0 };
}

async function campaign(options: Options): Promise<number> {
  const state = stateAt(options.state);
  const until = performance.now() + (options.seconds ?? Infinity) * 1000;
  let isStopped = false;
  process.once('SIGINT', () => {
    isStopped = true;
  });
  let isGood = true;
  for (const release of options.release) {
    const own = (state[release] ??= fresh(options.seed));
    if (own.seed !== options.seed)
      throw new UsageError(`${options.state} has lives of seed ${own.seed}: go on with --seed ${own.seed}`);
    while (own.done < options.lives && !isStopped) {
      liveBatch(release, own);
      nodeIo.writeFile(options.state, `${JSON.stringify(state, undefined, 1)}\n`);
      if (nodeIo.stderrIsTTY)
        nodeIo.stderr(
          `\r\u001b[K${release}: ${own.done} of ${options.lives} lives, ${Object.keys(own.unmarked).length} kinds unmarked`,
        );
      // Signals come between two batches.
      await setImmediate();
      isStopped ||= performance.now() > until;
    }
    if (nodeIo.stderrIsTTY) nodeIo.stderr('\r\u001b[K');
    const { text, isGood: isOwnGood } = report(release, own);
    nodeIo.stdout(text);
    isGood &&= isOwnGood;
  }
  const left = options.release.filter((release) => (state[release]?.done ?? 0) < options.lives);
  const sum = (of: (own: ReleaseState) => number): number =>
    options.release.reduce((total, release) => total + of(state[release] ?? fresh(0)), 0);
  nodeIo.stdout(
    `lives: ${options.release.length} releases, ${sum(({ done }) => done)} lives, ${sum(({ operations }) => operations)} operations, ${sum(({ unmarked }) => Object.keys(unmarked).length)} kinds of unmarked violations: ${isGood ? 'as known' : 'NOT AS KNOWN'}${left.length === 0 ? '' : `; stopped, the same command goes on (${left.join(', ')} left)`}\n`,
  );
  if (!isGood) return 1;
  return left.length === 0 ? 0 : COULD_NOT_ANSWER;
}

const whole = (text: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('expected a whole number.');
  return Number(text);
};

const releases = (text: string, before: readonly Release[] = []): readonly Release[] => {
  const known = RELEASES.find((release) => release === text);
  if (known === undefined) throw new InvalidArgumentError(`expected one of ${RELEASES.join(', ')}.`);
  return [...before.filter((release) => release !== known), known];
};

async function main(): Promise<number> {
  const command = new Command('lives')
    .description('random lives of clouds, judged by the laws over time')
    .addOption(new Option('--lives <n>', 'of each release').argParser(whole).default(10_000))
    .addOption(new Option('--seed <n>', 'which').argParser(whole).default(1))
    .addOption(
      new Option('--release <release>', 'of nova; several times for several (default: all)').argParser(releases),
    )
    .addOption(
      new Option('--state <file>', 'where what was counted is kept').default(
        fileURLToPath(new URL('../../build/lives.json', import.meta.url)),
        'build/lives.json',
      ),
    )
    .addOption(new Option('--seconds <n>', 'stop after so long; the same command goes on').argParser(whole))
    .exitOverride();
  try {
    const options = command.parse().opts<Partial<Options> & Omit<Options, 'release'>>();
    return await campaign({ ...options, release: options.release ?? RELEASES });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : COULD_NOT_ANSWER;
    if (!(error instanceof UsageError || error instanceof FileError)) throw error;
    nodeIo.stderr(`${error.message}\n`);
    return COULD_NOT_ANSWER;
  }
}

process.exitCode = await main();
