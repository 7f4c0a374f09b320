/** Time: of this process and of others. The machine may have other work, so what counts is the processor's time, and every figure is compared within one run. */
import { spawnSync } from 'node:child_process';

/** Seconds: on the clock, and of the processor (all threads, user and system). */
export interface Taken {
  readonly wall: number;
  readonly cpu: number;
}

export interface Measured<T> extends Taken {
  readonly value: T;
}

export function measure<T>(run: () => T): Measured<T> {
  const before = process.cpuUsage();
  const start = performance.now();
  const value = run();
  const wall = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  return { value, wall, cpu: (user + system) / 1e6 };
}

/** So many stretches are measured, of runs that go through so many rules together. */
export const STRETCHES = 7;
export const STRETCH = 100_000;
/** So many runs of another program. */
export const PROGRAM_RUNS = 3;

/**
 * What a run costs for so many rules: the mean of a stretch of runs, and the least of several stretches. A stretch is of as many rules whatever the size: so a small
 * size pays its part of collecting garbage as a large one does, which one run of it would hardly ever meet. What `prepare` does for each run does not count.
 */
export function measureOften<P, T>(rules: number, prepare: () => P, run: (prepared: P) => T): Measured<T> {
  const runs = Math.max(1, Math.round(STRETCH / rules));
  let least: Taken = { wall: Infinity, cpu: Infinity };
  const made: T[] = [];
  for (let turn = 0; turn < STRETCHES; turn++) {
    let [wall, cpu] = [0, 0];
    for (let count = 0; count < runs; count++) {
      const prepared = prepare();
      // What the run before has made is no longer there.
      made.length = 0;
      const one = measure(() => run(prepared));
      wall += one.wall / runs;
      cpu += one.cpu / runs;
      made.push(one.value);
    }
    least = { wall: Math.min(wall, least.wall), cpu: Math.min(cpu, least.cpu) };
  }
  return { ...least, value: made[0] as T };
}

/** The greatest of so many rates. */
export const mostOf = (times: number, rate: () => number): number => Math.max(...Array.from({ length: times }, rate));

/** The least that a program takes of several runs. */
export function runOften(words: readonly string[], limit: number): Ran | undefined {
  const [first, ...others] = Array.from({ length: PROGRAM_RUNS }, () => runProgram(words, limit));
  return others.reduce(
    (least, next) =>
      least && next && { ...next, wall: Math.min(least.wall, next.wall), cpu: Math.min(least.cpu, next.cpu) },
    first,
  );
}

export interface Ran extends Taken {
  /** Undefined where it was stopped for taking too long. */
  readonly code: number | undefined;
  readonly stdout: string;
  /** The most memory that it had, in octets; absent where nobody measures it. */
  readonly memory?: number;
}

/** Runs another program from its start to its end; undefined where there is no such program. `limit` in seconds. */
export function runProgram(words: readonly string[], limit: number): Ran | undefined {
  const [program = ''] = words;
  if (spawnSync('sh', ['-c', 'command -v "$1" >/dev/null', 'sh', program]).status !== 0) return undefined;
  // `timeout` waits for what it ends, so that the time of that counts, too.
  const metered = spawnSync('/usr/bin/time', ['true']).status === 0 ? ['/usr/bin/time', '-f', 'PEAK %M'] : [];
  // The shell knows how much time the processor has spent on its children.
  const { stdout, stderr, status } = spawnSync(
    'bash',
    ['-c', 'TIMEFORMAT="TOOK %R %U %S"; time "$@"', 'bash', ...metered, 'timeout', `${limit}`, ...words],
    { encoding: 'utf8', maxBuffer: 1 << 28 },
  );
  const [, wall = 0, user = 0, system = 0] = (/TOOK ([\d.]+) ([\d.]+) ([\d.]+)\s*$/.exec(stderr) ?? []).map(Number);
  const isStopped = status === 124;
  const peak = /PEAK (\d+)/.exec(stderr)?.[1];
  return {
    wall,
    cpu: user + system,
    code: isStopped ? undefined : (status ?? -1),
    stdout,
    ...(peak === undefined ? {} : { memory: Number(peak) * 1024 }),
  };
}
