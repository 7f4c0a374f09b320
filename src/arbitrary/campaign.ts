/**
 * A campaign: random cases, played in the model and in Linux, in chunks. The seed and a chunk's number decide all cases of the chunk, so a campaign that was stopped
 * goes on where it stopped, and several machines share one by taking different seeds.
 */
import fc from 'fast-check';
import type { Family } from '../address/address.ts';
import { printHost } from '../host/print.ts';
import { KernelFailure } from '../kernel/client.ts';
import type { Report } from '../kernel/campaign-report.ts';
import {
  comparing,
  finished,
  printDifference,
  type Comparing,
  type Comparison,
  type Oracle,
} from '../kernel/compare.ts';
import { addCoverage, type Coverage } from '../kernel/coverage.ts';
import type { NetworkOracle } from '../kernel/network-compare.ts';
import { overlapped } from '../kernel/overlap.ts';
import type { Backend, KernelStep } from '../kernel/protocol.ts';
import { RecordingOracle, type RecordedCase } from '../kernel/recording.ts';
import { printArrival } from '../packet/notation.ts';
import type { RecordedHost } from './host.ts';
import { arbitraryKernelCase, caseOf, type KernelCase } from './kernel-case.ts';
import { arbitraryNetworkCase, compareNetworkCase, sampleDeployment, type NetworkCase } from './network-case.ts';

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

/** Each time after so many chunks the kernel is asked the last one's requests once more, with generator and judge switched off. */
const SAMPLED_EVERY = 7;

type Asked = (oracle: Oracle) => unknown;

/** An oracle that knows what it has been asked. */
class RememberingOracle implements Oracle {
  readonly #oracle: Oracle;
  #asked: Asked[] = [];

  constructor(oracle: Oracle) {
    this.#oracle = oracle;
  }

  tellsStates(): boolean {
    return this.#oracle.tellsStates();
  }

  identification(): number {
    return this.#oracle.identification();
  }

  load(...given: Parameters<Oracle['load']>): ReturnType<Oracle['load']> {
    this.#asked.push((oracle) => oracle.load(...given)());
    return this.#oracle.load(...given);
  }

  send(steps: readonly KernelStep[]): ReturnType<Oracle['send']> {
    this.#asked.push((oracle) => oracle.send(steps)());
    return this.#oracle.send(steps);
  }

  forget(): void {
    this.#asked = [];
  }

  askAgain(): void {
    for (const ask of this.#asked) ask(this.#oracle);
  }
}

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
  readonly trial: (drawn: T) => Outcome;
}

/** A case of one host that is under way, and what is made of its comparison. */
interface Begun {
  readonly comparing: Comparing;
  readonly outcomeOf: (comparison: Comparison) => Outcome;
}

interface HostTrials extends Trials<KernelCase> {
  readonly begin: (drawn: KernelCase) => Begun;
}

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
  readonly #remembering: RememberingOracle;
  readonly #networkOracle: NetworkOracle;
  #milliseconds = 0;
  /** Milliseconds of the sampled chunks: as they were tried, and of the helper alone. */
  readonly #sampled = { whole: 0, helper: 0 };
  /** How often a class has been recorded. */
  readonly #recordedClasses = new Map<string, number>();

  constructor(options: CampaignOptions, oracle: Oracle, networkOracle: NetworkOracle) {
    this.options = options;
    this.#networkOracle = networkOracle;
    this.next = options.from - (options.from % CHUNK);
    this.#remembering = new RememberingOracle(oracle);
  }

  get isDone(): boolean {
    return this.next >= this.options.from + this.options.cases;
  }

  /** Cases a second, as they were tried. */
  get rate(): number {
    return (this.cases * 1000) / this.#milliseconds;
  }

  /** How fast the campaign is, to the kernel's helper alone with generator and judge switched off: 0.5 is half as fast. Absent where no chunk was sampled. */
  get share(): number | undefined {
    return this.#sampled.whole === 0 ? undefined : this.#sampled.helper / this.#sampled.whole;
  }

  /** Tries the next chunk; the difference that it found. */
  step(): string | undefined {
    this.#remembering.forget();
    const start = performance.now();
    const { seed, backend, family, cases, from, recording } = this.options;
    const chunk = Math.floor(this.next / CHUNK);
    const ipv6 = family === '6' || (family === 'both' && chunk % 4 === 3);
    const isNetwork = chunk % NETWORK_EVERY === NETWORK_EVERY - 1 && !recording;
    const parameters = { seed: (seed * 1_000_003 + chunk) | 0, numRuns: Math.min(CHUNK, from + cases - this.next) };
    const failing = isNetwork
      ? this.#try(networkTrials(parameters.seed, ipv6 ? 6 : 4, backend, this.#networkOracle), parameters)
      : this.#tryOverlapped(this.#hostTrials(ipv6 ? 6 : 4), parameters);
    this.next = Math.min((chunk + 1) * CHUNK, from + cases);
    const spent = performance.now() - start;
    this.#milliseconds += spent;
    if (failing === undefined) {
      if (chunk % SAMPLED_EVERY === SAMPLED_EVERY - 1 && !isNetwork) this.#sample(spent);
      return undefined;
    }
    this.differences.push(failing.text);
    if (failing.recorded !== undefined) this.found.push(failing.recorded);
    return failing.text;
  }

  /** The same as `#try`, where most chunks agree: the model is busy with one case while the kernel is with another. */
  #tryOverlapped(trials: HostTrials, parameters: fc.Parameters<[KernelCase]>): Failing | undefined {
    const outcomes: Outcome[] = [];
    const failing = this.#firstFailing(trials, parameters, outcomes);
    if (failing !== undefined) return this.#try(trials, parameters) ?? failing;
    for (const outcome of outcomes) this.#count(outcome);
    return undefined;
  }

  #firstFailing(
    { arbitrary, begin }: HostTrials,
    { seed = 0, numRuns = 0 }: fc.Parameters<[KernelCase]>,
    outcomes: Outcome[],
  ): Failing | undefined {
    try {
      const begun = fc.sample(arbitrary, { seed, numRuns }).map(begin);
      for (const comparison of overlapped(begun.map(({ comparing }) => comparing))) {
        const outcome = begun[outcomes.length]?.outcomeOf(comparison);
        if (outcome === undefined) throw new Error('more comparisons than cases');
        if (outcome.failing !== undefined) return outcome.failing;
        outcomes.push(outcome);
      }
    } catch (error) {
      if (error instanceof KernelFailure) throw error;
      return { text: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    }
    return undefined;
  }

  /** The smallest difference in a chunk. */
  #try<T>({ arbitrary, trial }: Trials<T>, parameters: fc.Parameters<[T]>): Failing | undefined {
    const met: { failing?: Failing; broken?: KernelFailure } = {};
    const result = fc.check(
      fc.property(arbitrary, (drawn) => {
        // With a broken judge there is nothing to say of the rest.
        if (met.broken !== undefined) return true;
        try {
          const outcome = trial(drawn);
          if (outcome.failing === undefined) {
            // What is tried while a difference is made smaller is no case of the campaign.
            if (met.failing === undefined) this.#count(outcome);
            return true;
          }
          met.failing = outcome.failing;
        } catch (error) {
          if (error instanceof KernelFailure) {
            met.broken = error;
            return true;
          }
          met.failing = { text: error instanceof Error ? (error.stack ?? error.message) : String(error) };
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

  #hostTrials(family: Family): HostTrials {
    const { backend, recording } = this.options;
    const begin = (drawn: KernelCase): Begun => {
      const given = caseOf(drawn, backend);
      // Each has its own: one is asked about when the next has been loaded.
      const oracle = new RecordingOracle(this.#remembering);
      const record = (): RecordedCase<RecordedHost> => oracle.record(given, drawn.traits);
      const outcomeOf = (comparison: Comparison): Outcome => {
        if (comparison.difference === undefined) return { comparisons: [comparison], classes: [], record };
        const text = describe(`${backend}, ${JSON.stringify(drawn.traits)}`, drawn.ruleset.text, comparison);
        return { comparisons: [], classes: [], record, failing: { text, recorded: record() } };
      };
      return { comparing: comparing(given, oracle), outcomeOf };
    };
    return {
      // Recorded cases are kept, so they are small.
      arbitrary: recording ? arbitraryKernelCase(family, 10, 8) : arbitraryKernelCase(family, 24, 24),
      begin,
      trial: (drawn) => {
        const { comparing, outcomeOf } = begin(drawn);
        return outcomeOf(finished(comparing));
      },
    };
  }

  report(versions: { readonly kernel: string; readonly iptables: string }): Report<RecordedHost> {
    const { options, coverage, next, cases, packets, undecided, differences, found } = this;
    return {
      schema: 'nfverdict/kernel-campaign-v1',
      campaigns: [{ seed: options.seed, from: options.from, next }],
      backend: options.backend,
      family: options.family,
      ...versions,
      cases,
      packets,
      undecided,
      coverage: Object.fromEntries(coverage),
      differences,
      found,
    };
  }

  #sample(whole: number): void {
    const start = performance.now();
    this.#remembering.askAgain();
    this.#sampled.helper += performance.now() - start;
    this.#sampled.whole += whole;
  }

  #count({ comparisons, classes, record }: Outcome): void {
    this.cases++;
    for (const comparison of comparisons) {
      this.packets += comparison.packets;
      this.undecided += comparison.undecided;
      addCoverage(this.coverage, comparison);
    }
    for (const name of classes) this.coverage.set(name, (this.coverage.get(name) ?? 0) + 1);
    if (this.options.recording) for (const comparison of comparisons) this.#record(comparison, record);
  }

  /** Keeps a case that shows something which few of the kept ones show. */
  #record(comparison: Comparison, record: () => RecordedCase<RecordedHost>): void {
    const classes: Coverage = new Map();
    addCoverage(classes, comparison);
    const isRare = [...classes.keys()].some((name) => (this.#recordedClasses.get(name) ?? 0) < 3);
    if (!isRare) return;
    for (const name of classes.keys()) this.#recordedClasses.set(name, (this.#recordedClasses.get(name) ?? 0) + 1);
    this.recorded.push(record());
  }
}

/** Cases on the hosts of one deployment, which the seed decides. Without IPv6 there they are of IPv4. */
function networkTrials(seed: number, wanted: Family, backend: Backend, oracle: NetworkOracle): Trials<NetworkCase> {
  const deployment = sampleDeployment(seed);
  const family = deployment.hosts.some(({ flags }) => flags.use_ipv6) ? wanted : 4;
  return {
    arbitrary: arbitraryNetworkCase(family),
    trial: (drawn) => {
      const comparisons = compareNetworkCase(deployment, drawn, backend, oracle);
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
        `${backend}, ${differing.host.name} of a network of ${deployment.hosts.length}`,
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
