/**
 * A campaign: random cases, played in the model and in Linux, in chunks. The seed and a chunk's number decide all cases of the chunk, so a campaign that was stopped
 * goes on where it stopped, and several machines share one by taking different seeds.
 */
import fc from 'fast-check';
import type { Family } from '../address/address.ts';
import { printHost } from '../host/print.ts';
import { KernelFailure, type Kernel } from '../kernel/client.ts';
import { speedOf, type Report, type Speed } from '../kernel/campaign-report.ts';
import {
  comparing,
  finished,
  liveOracle,
  printDifference,
  type Comparing,
  type Comparison,
  type Oracle,
} from '../kernel/compare.ts';
import { addCoverage, classesOf, mergeCoverage, type Coverage } from '../kernel/coverage.ts';
import { Meter } from '../kernel/meter.ts';
import { liveNetworkOracle, type NetworkOracle } from '../kernel/network-compare.ts';
import { overlapped } from '../kernel/overlap.ts';
import type { Backend } from '../kernel/protocol.ts';
import { RecordingOracle, type RecordedCase } from '../kernel/recording.ts';
import { printArrival } from '../packet/notation.ts';
import type { RecordedHost } from './host.ts';
import { arbitraryKernelCase, caseOf, type KernelCase } from './kernel-case.ts';
import {
  arbitraryNetworkCase,
  comparingNetworkCase,
  networkSubject,
  sampleDeployment,
  type NetworkCase,
} from './network-case.ts';

/** Cases that one seed decides together. */
export const CHUNK = 50;

export interface CampaignOptions {
  readonly cases: number;
  readonly seed: number;
  readonly from: number;
  readonly backend: Backend;
  readonly family: '4' | '6' | 'both';
  /** Small cases, of which those are kept that show something rare. */
  readonly recording: boolean;
}

/** Of so many chunks one is on several hosts, those of a random deployment. */
const NETWORK_EVERY = 9;

interface Failing {
  readonly text: string;
  /** Absent where the model threw. */
  readonly recorded?: RecordedCase<RecordedHost>;
}

/** What one case came to: what agrees, host by host, or the difference. */
interface Outcome {
  readonly comparisons: readonly Comparison[];
  /** What it was, beside what was met in it. */
  readonly classes: readonly string[];
  readonly failing?: Failing;
  readonly record: () => RecordedCase<RecordedHost>;
}

interface Trials<T> {
  readonly arbitrary: fc.Arbitrary<T>;
  readonly trying: (drawn: T) => Comparing<Outcome>;
}

/** Cases that have been drawn together. */
interface Chunk {
  readonly start: number;
  readonly comparings: readonly (() => Comparing<Outcome>)[];
  /** The smallest case that differs. */
  readonly smallest: () => Failing | undefined;
}

/** What has been met. A chunk in which the kernel broke is to be tried again, and so is not counted. */
interface Tally {
  cases: number;
  packets: number;
  undecided: number;
  readonly coverage: Coverage;
}

interface Parameters {
  readonly seed: number;
  readonly numRuns: number;
}

const drawn = <T>(start: number, trials: Trials<T>, parameters: Parameters): Chunk => ({
  start,
  comparings: fc.sample(trials.arbitrary, parameters).map((value) => () => trials.trying(value)),
  smallest: () => smallest(trials, parameters),
});

export class Campaign {
  readonly options: CampaignOptions;
  readonly coverage: Coverage = new Map();
  readonly differences: string[] = [];
  readonly found: RecordedCase<RecordedHost>[] = [];
  readonly recorded: RecordedCase<RecordedHost>[] = [];
  cases = 0;
  packets = 0;
  undecided = 0;
  /** The first case that has not been tried. */
  next: number;
  readonly #meter: Meter;
  readonly #oracle: Oracle;
  readonly #networkOracle: NetworkOracle;
  readonly #start = performance.now();
  /** The chunk behind the one that is tried, once it has been drawn. */
  #ahead: Chunk | undefined;
  /** How often a class has been recorded. */
  readonly #recordedClasses = new Map<string, number>();

  constructor(options: CampaignOptions, kernel: Kernel) {
    this.options = options;
    this.#meter = new Meter(kernel);
    this.#oracle = liveOracle(this.#meter);
    this.#networkOracle = liveNetworkOracle(this.#meter);
    this.next = options.from - (options.from % CHUNK);
  }

  get isDone(): boolean {
    return this.next >= this.#end;
  }

  get speed(): Speed {
    return speedOf(this.cases, (performance.now() - this.#start) / 1000, this.#meter.milliseconds / 1000);
  }

  /** Tries the next chunk; the difference that it found. */
  step(): string | undefined {
    const chunk = this.#ahead?.start === this.next ? this.#ahead : this.#draw(this.next);
    const tally: Tally = { cases: 0, packets: 0, undecided: 0, coverage: new Map() };
    const failing = this.#try(chunk, tally);
    this.next = this.#endOf(chunk);
    this.cases += tally.cases;
    this.packets += tally.packets;
    this.undecided += tally.undecided;
    mergeCoverage(this.coverage, tally.coverage);
    this.#meter.measure();
    if (failing === undefined) return undefined;
    this.differences.push(failing.text);
    if (failing.recorded !== undefined) this.found.push(failing.recorded);
    return failing.text;
  }

  get #end(): number {
    return this.options.from + this.options.cases;
  }

  #endOf({ start }: Chunk): number {
    return Math.min(start + CHUNK, this.#end);
  }

  #draw(start: number): Chunk {
    const { seed, backend, family, recording } = this.options;
    const number = start / CHUNK;
    const ipv6 = family === '6' || (family === 'both' && number % 4 === 3);
    const isNetwork = number % NETWORK_EVERY === NETWORK_EVERY - 1 && !recording;
    const parameters = { seed: (seed * 1_000_003 + number) | 0, numRuns: Math.min(CHUNK, this.#end - start) };
    return isNetwork
      ? drawn(start, networkTrials(parameters.seed, ipv6 ? 6 : 4, backend, this.#networkOracle), parameters)
      : drawn(start, this.#hostTrials(ipv6 ? 6 : 4), parameters);
  }

  /** Counts the cases of a chunk up to the first that differs; the smallest difference. */
  #try(chunk: Chunk, tally: Tally): Failing | undefined {
    try {
      for (const outcome of overlapped(this.#begin(chunk))) {
        if (outcome.failing !== undefined) return chunk.smallest() ?? outcome.failing;
        this.#count(outcome, tally);
      }
    } catch (error) {
      if (error instanceof KernelFailure) throw error;
      return chunk.smallest() ?? { text: textOf(error) };
    }
    return undefined;
  }

  *#begin(chunk: Chunk): Generator<Comparing<Outcome>> {
    for (const comparing of chunk.comparings) yield comparing();
    // While the kernel is busy with the last ones.
    const next = this.#endOf(chunk);
    this.#ahead = next < this.#end ? this.#draw(next) : undefined;
  }

  #hostTrials(family: Family): Trials<KernelCase> {
    const { backend, recording } = this.options;
    const live = this.#oracle;
    return {
      // Recorded cases are kept, so they are small.
      arbitrary: recording ? arbitraryKernelCase(family, 10, 8) : arbitraryKernelCase(family, 24, 24),
      *trying(drawn) {
        const given = caseOf(drawn, backend);
        // Each has its own: one is asked about when the next has been loaded.
        const oracle = new RecordingOracle(live);
        const record = (): RecordedCase<RecordedHost> => oracle.record(given, drawn.traits);
        const comparison = yield* comparing(given, oracle);
        if (comparison.difference === undefined) return { comparisons: [comparison], classes: [], record };
        const text = describe(`${backend}, ${JSON.stringify(drawn.traits)}`, drawn.ruleset.text, comparison);
        return { comparisons: [], classes: [], record, failing: { text, recorded: record() } };
      },
    };
  }

  report(versions: { readonly kernel: string; readonly iptables: string }): Report<RecordedHost> {
    const { options, coverage, next, cases, packets, undecided, speed, differences, found } = this;
    return {
      schema: 'nfverdict/kernel-campaign-v2',
      campaigns: [{ seed: options.seed, from: options.from, next }],
      backend: options.backend,
      family: options.family,
      ...versions,
      cases,
      packets,
      undecided,
      speed,
      coverage: Object.fromEntries(coverage),
      differences,
      found,
    };
  }

  #count({ comparisons, classes, record }: Outcome, tally: Tally): void {
    tally.cases++;
    for (const comparison of comparisons) {
      tally.packets += comparison.packets;
      tally.undecided += comparison.undecided;
    }
    addCoverage(tally.coverage, [...classes, ...comparisons.flatMap((comparison) => [...classesOf(comparison)])]);
    if (this.options.recording) for (const comparison of comparisons) this.#record(comparison, record);
  }

  /** Keeps a case that shows something which few of the kept ones show. */
  #record(comparison: Comparison, record: () => RecordedCase<RecordedHost>): void {
    const classes = classesOf(comparison);
    const isRare = [...classes].some((name) => (this.#recordedClasses.get(name) ?? 0) < 3);
    if (!isRare) return;
    addCoverage(this.#recordedClasses, classes);
    this.recorded.push(record());
  }
}

const textOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));

/** The first case that differs, made as small as it gets. */
function smallest<T>({ arbitrary, trying }: Trials<T>, parameters: Parameters): Failing | undefined {
  const met: { failing?: Failing; broken?: KernelFailure } = {};
  const result = fc.check(
    fc.property(arbitrary, (drawn) => {
      // With a broken judge there is nothing to say of the rest.
      if (met.broken !== undefined) return true;
      try {
        const { failing } = finished(trying(drawn));
        if (failing === undefined) return true;
        met.failing = failing;
      } catch (error) {
        if (error instanceof KernelFailure) {
          met.broken = error;
          return true;
        }
        met.failing = { text: textOf(error) };
      }
      return false;
    }),
    parameters,
  );
  if (met.broken !== undefined) throw met.broken;
  // A model that throws says nothing of the case; the case itself is all there is to tell.
  if (met.failing !== undefined && met.failing.recorded === undefined)
    met.failing = { text: `${fc.stringify(result.counterexample)}\n${met.failing.text}` };
  return met.failing;
}

/** Cases on the hosts of one deployment, which the seed decides. Without IPv6 there they are of IPv4. */
function networkTrials(seed: number, wanted: Family, backend: Backend, oracle: NetworkOracle): Trials<NetworkCase> {
  const subject = networkSubject(sampleDeployment(seed));
  const { hosts } = subject.deployment;
  const family = hosts.some(({ flags }) => flags.use_ipv6) ? wanted : 4;
  return {
    arbitrary: arbitraryNetworkCase(family),
    *trying(drawn) {
      const comparisons = yield* comparingNetworkCase(subject, drawn, backend, oracle);
      const classes = ['case network', `case network of ${comparisons.length} hosts`];
      const differing = comparisons.find(({ difference }) => difference !== undefined);
      const record = (): RecordedCase<RecordedHost> => {
        const one = differing ?? comparisons[0];
        if (one === undefined) throw new Error('nothing came to any host');
        return one.record({ file: printHost(one.host) });
      };
      if (differing === undefined) return { comparisons, classes, record };
      const recorded = record();
      const { text4 = '', text6 = '' } = recorded.texts;
      const text = describe(
        `${backend}, ${differing.host.name} of a network of ${hosts.length}`,
        family === 4 ? text4 : text6,
        differing,
      );
      return { comparisons, classes, record, failing: { text, recorded } };
    },
  };
}

/** All that it takes to see a difference again: host, rules, packets, and both sides. */
function describe(title: string, rules: string, { played, difference }: Comparison): string {
  const packets = played.map(
    ({ sent }, i) => `${i + 1} ${sent.kind === 'flush' ? 'flush' : printArrival(sent.arrival)}`,
  );
  return [
    `# ${title}`,
    // Empty tables and chains say nothing.
    rules
      .split('\n')
      .filter((line) => /^(\*|-A|:\S+ (DROP|-))/.test(line))
      .join('\n'),
    ...packets,
    difference === undefined ? '' : printDifference(difference),
  ].join('\n');
}
