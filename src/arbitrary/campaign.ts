/**
 * A campaign: random cases, played in the model and in Linux, in chunks. The seed and a chunk's number decide all cases of the chunk, so a campaign that was stopped
 * goes on where it stopped, and several machines share one by taking different seeds.
 */
import fc from 'fast-check';
import type { Report } from '../kernel/campaign-report.ts';
import { compareCase, printDifference, type Comparison, type Oracle } from '../kernel/compare.ts';
import { addCoverage, type Coverage } from '../kernel/coverage.ts';
import type { Backend, KernelStep } from '../kernel/protocol.ts';
import { RecordingOracle, type RecordedCase } from '../kernel/recording.ts';
import { printArrival } from '../packet/notation.ts';
import type { HostTraits } from './host.ts';
import { arbitraryKernelCase, caseOf, type KernelCase } from './kernel-case.ts';

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

/** Each time after so many chunks the kernel is asked the last one's requests once more, with generator and judge switched off. */
const SAMPLED = 8;

type Asked = (oracle: Oracle) => void;

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
    this.#asked.push((oracle) => oracle.load(...given));
    return this.#oracle.load(...given);
  }

  send(steps: readonly KernelStep[]): ReturnType<Oracle['send']> {
    this.#asked.push((oracle) => oracle.send(steps));
    return this.#oracle.send(steps);
  }

  forget(): void {
    this.#asked = [];
  }

  askAgain(): void {
    for (const ask of this.#asked) ask(this.#oracle);
  }
}

export class Campaign {
  readonly options: CampaignOptions;
  readonly coverage: Coverage = new Map();
  readonly differences: string[] = [];
  readonly found: RecordedCase<HostTraits>[] = [];
  readonly recorded: RecordedCase<HostTraits>[] = [];
  cases = 0;
  packets = 0;
  undecided = 0;
  /** The first case that has not been tried. */
  next: number;
  readonly #remembering: RememberingOracle;
  readonly #oracle: RecordingOracle;
  #milliseconds = 0;
  /** Milliseconds of the sampled chunks: as they were tried, and of the helper alone. */
  readonly #sampled = { whole: 0, helper: 0 };
  /** How often a class has been recorded. */
  readonly #recordedClasses = new Map<string, number>();

  constructor(options: CampaignOptions, oracle: Oracle) {
    this.options = options;
    this.next = options.from - (options.from % CHUNK);
    this.#remembering = new RememberingOracle(oracle);
    this.#oracle = new RecordingOracle(this.#remembering);
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
    const { cases, seed, backend, family, from, recording } = this.options;
    const chunk = Math.floor(this.next / CHUNK);
    const ipv6 = family === '6' || (family === 'both' && chunk % 4 === 3);
    // Recorded cases are kept, so they are small.
    const size = recording ? ([10, 8] as const) : ([24, 24] as const);
    let failing: { readonly text: string; readonly recorded: RecordedCase<HostTraits> } | undefined;
    fc.check(
      fc.property(arbitraryKernelCase(ipv6 ? 6 : 4, ...size), (drawn) => {
        const given = caseOf(drawn, backend);
        const comparison = compareCase(given, this.#oracle);
        if (comparison.difference !== undefined) {
          failing = {
            text: describe(drawn, comparison, backend),
            recorded: this.#oracle.record(given, drawn.traits),
          };
          return false;
        }
        // What is tried while a difference is made smaller is no case of the campaign.
        if (failing === undefined) {
          this.#count(comparison);
          if (recording) this.#record(comparison, this.#oracle.record(given, drawn.traits));
        }
        return true;
      }),
      { seed: (seed * 1_000_003 + chunk) | 0, numRuns: Math.min(CHUNK, from + cases - this.next) },
    );
    this.next = Math.min((chunk + 1) * CHUNK, from + cases);
    const spent = performance.now() - start;
    this.#milliseconds += spent;
    if (failing === undefined) {
      if (chunk % SAMPLED === SAMPLED - 1) this.#sample(spent);
      return undefined;
    }
    this.differences.push(failing.text);
    this.found.push(failing.recorded);
    return failing.text;
  }

  report(versions: { readonly kernel: string; readonly iptables: string }): Report<HostTraits> {
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

  #count(comparison: Comparison): void {
    this.cases++;
    this.packets += comparison.packets;
    this.undecided += comparison.undecided;
    addCoverage(this.coverage, comparison);
  }

  /** Keeps a case that shows something which few of the kept ones show. */
  #record(comparison: Comparison, recorded: RecordedCase<HostTraits>): void {
    const classes: Coverage = new Map();
    addCoverage(classes, comparison);
    const isRare = [...classes.keys()].some((name) => (this.#recordedClasses.get(name) ?? 0) < 3);
    if (!isRare) return;
    for (const name of classes.keys()) this.#recordedClasses.set(name, (this.#recordedClasses.get(name) ?? 0) + 1);
    this.recorded.push(recorded);
  }
}

/** All that it takes to see a difference again: host, rules, packets, and both sides. */
function describe({ traits, ruleset }: KernelCase, { played, difference }: Comparison, backend: Backend): string {
  const packets = played.map(
    ({ sent }, i) => `${i + 1} ${sent.kind === 'flush' ? 'flush' : printArrival(sent.arrival)}`,
  );
  return [
    `# ${backend}, ${JSON.stringify(traits)}`,
    // Empty tables and chains say nothing.
    ruleset.text
      .split('\n')
      .filter((line) => /^(\*|-A|:\S+ (DROP|-))/.test(line))
      .join('\n'),
    ...packets,
    difference === undefined ? '' : printDifference(difference),
  ].join('\n');
}
