#!/usr/bin/env node
/**
 * `npm run kernel`: random cases, played in the model and in Linux, until one differs or so many agree. Not a command of nfverdict: it judges the model, not a
 * ruleset.
 *
 * A campaign is a row of chunks; the seed and a chunk's number decide all of its cases. So a campaign that was stopped goes on with `--from`, and machines share one
 * by taking different seeds and merging their reports.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { KernelCase } from '../arbitrary/kernel-case.ts';
import { openKernel, type Kernel } from '../kernel/client.ts';
import { compareCase, liveOracle, printDifference, type Comparison, type Oracle } from '../kernel/compare.ts';
import { addCoverage, mergeCoverage, printCoverage, type Coverage } from '../kernel/coverage.ts';
import { printProbe, probeKernel, type Probe } from '../kernel/probe.ts';
import type { Backend } from '../kernel/protocol.ts';
import { RecordingOracle, type RecordedCase, type RecordedFile } from '../kernel/recording.ts';
import { printArrival } from '../packet/notation.ts';
import type { HostTraits } from '../arbitrary/host.ts';

/** Cases that one seed decides together. */
const CHUNK = 50;

interface Options {
  readonly cases: number;
  readonly seed: number;
  readonly from: number;
  readonly backend: Backend;
  readonly family: '4' | '6' | 'both';
  readonly record?: string;
  readonly report?: string;
  readonly merge?: readonly string[];
}

interface Report {
  readonly schema: 'nfverdict/kernel-campaign-v1';
  readonly seeds: readonly number[];
  readonly backend: string;
  readonly kernel: string;
  readonly iptables: string;
  readonly cases: number;
  readonly packets: number;
  readonly undecided: number;
  readonly coverage: Readonly<Record<string, number>>;
  readonly differences: readonly string[];
}

const whole = (text: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('expected a whole number.');
  return Number(text);
};

/** An oracle that knows how long it has been asked. */
function timed(oracle: Oracle): Oracle & { readonly spent: () => number } {
  let spent = 0;
  const timing = <T>(ask: () => T): T => {
    const start = performance.now();
    try {
      return ask();
    } finally {
      spent += performance.now() - start;
    }
  };
  return {
    spent: () => spent,
    tellsStates: () => oracle.tellsStates(),
    identification: () => oracle.identification(),
    load: (given, tracked) => timing(() => oracle.load(given, tracked)),
    send: (steps) => timing(() => oracle.send(steps)),
  };
}

class Campaign {
  readonly options: Options;
  readonly coverage: Coverage = new Map();
  readonly differences: string[] = [];
  readonly recorded: RecordedCase<HostTraits>[] = [];
  cases = 0;
  packets = 0;
  undecided = 0;
  readonly #oracle: ReturnType<typeof timed>;
  readonly #recording: RecordingOracle;
  readonly #start = performance.now();
  /** How often a class has been recorded. */
  readonly #recordedClasses = new Map<string, number>();

  constructor(options: Options, kernel: Kernel) {
    this.options = options;
    this.#oracle = timed(liveOracle(kernel));
    this.#recording = new RecordingOracle(this.#oracle);
  }

  async run(): Promise<void> {
    const { default: fc } = await import('fast-check');
    const { arbitraryKernelCase, caseOf } = await import('../arbitrary/kernel-case.ts');
    const { cases, seed, backend, family, from, record } = this.options;
    // Recorded cases are kept, so they are small.
    const size = record === undefined ? ([24, 24] as const) : ([10, 8] as const);
    for (let done = from; done < from + cases; done += CHUNK) {
      const chunk = Math.floor(done / CHUNK);
      const ipv6 = family === '6' || (family === 'both' && chunk % 4 === 3);
      let failing: { readonly drawn: KernelCase; readonly comparison: Comparison } | undefined;
      fc.check(
        fc.property(arbitraryKernelCase(ipv6 ? 6 : 4, ...size), (drawn) => {
          const given = caseOf(drawn, backend);
          const comparison = compareCase(given, this.#recording);
          if (comparison.difference !== undefined) {
            failing = { drawn, comparison };
            return false;
          }
          // What is tried while a difference is made smaller is no case of the campaign.
          if (failing === undefined) {
            this.#count(comparison);
            if (record !== undefined) this.#record(comparison, this.#recording.record(given, drawn.traits));
          }
          return true;
        }),
        { seed: (seed * 1_000_003 + chunk) | 0, numRuns: Math.min(CHUNK, from + cases - done) },
      );
      if (failing !== undefined) {
        this.differences.push(describe(failing.drawn, failing.comparison, backend));
        process.stdout.write(`\n${this.differences.at(-1) ?? ''}\n`);
      }
      this.#progress();
    }
    this.#progress(true);
  }

  get rate(): string {
    const seconds = (performance.now() - this.#start) / 1000;
    const share = Math.round(this.#oracle.spent() / 10 / seconds);
    return `${(this.cases / seconds).toFixed(1)} cases/s, ${(this.packets / seconds).toFixed(0)} packets/s, ${share} % of the time in the kernel's helper`;
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

  #progress(last = false): void {
    if (!process.stderr.isTTY) return;
    const { cases, from } = this.options;
    process.stderr.write(
      `\r${this.cases} of ${cases} cases from ${from}, ${this.differences.length} differences, ${this.rate} ${last ? '\n' : ''}`,
    );
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

function reportOf(campaign: Campaign, probe: Probe): Report {
  const { options, coverage, cases, packets, undecided, differences } = campaign;
  return {
    schema: 'nfverdict/kernel-campaign-v1',
    seeds: [options.seed],
    backend: options.backend,
    kernel: probe.kernel,
    iptables: probe.iptables[options.backend] ?? '',
    cases,
    packets,
    undecided,
    coverage: Object.fromEntries(coverage),
    differences,
  };
}

/** Several machines' reports as one. */
function merge(files: readonly string[]): Report {
  const reports = files.map((file) => JSON.parse(readFileSync(file, 'utf8')) as Report);
  const coverage: Coverage = new Map();
  for (const report of reports) mergeCoverage(coverage, Object.entries(report.coverage));
  const sum = (of: (report: Report) => number): number => reports.reduce((total, report) => total + of(report), 0);
  const all = (of: (report: Report) => string): string => [...new Set(reports.map(of))].join(', ');
  return {
    schema: 'nfverdict/kernel-campaign-v1',
    seeds: reports.flatMap(({ seeds }) => seeds),
    backend: all(({ backend }) => backend),
    kernel: all(({ kernel }) => kernel),
    iptables: all(({ iptables }) => iptables),
    cases: sum(({ cases }) => cases),
    packets: sum(({ packets }) => packets),
    undecided: sum(({ undecided }) => undecided),
    coverage: Object.fromEntries(coverage),
    differences: reports.flatMap(({ differences }) => differences),
  };
}

function tell(report: Report): void {
  process.stdout.write(`${printCoverage(new Map(Object.entries(report.coverage)))}\n`);
  const { cases, packets, undecided, differences, backend, kernel, iptables, seeds } = report;
  const where = `${backend}, Linux ${kernel}, ${iptables}, seed ${seeds.join(', ')}`;
  process.stdout.write(
    `${cases} cases, ${packets} packets (${undecided} undecided), ${differences.length} differences: ${where}\n`,
  );
}

async function main(): Promise<number> {
  const command = new Command('kernel')
    .description('compare the model with Linux on random cases')
    .addOption(new Option('--cases <n>', 'how many').argParser(whole).default(1000))
    .addOption(new Option('--seed <n>', 'which (default: drawn, and told)').argParser(whole))
    .addOption(new Option('--from <n>', 'go on from this case of the seed').argParser(whole).default(0))
    .addOption(new Option('--backend <backend>', 'of iptables').choices(['legacy', 'nft']).default('legacy'))
    .addOption(new Option('--family <family>', 'of addresses').choices(['4', '6', 'both']).default('both'))
    .addOption(
      new Option('--record <file>', 'write small cases that cover every class, with what the kernel made of them'),
    )
    .addOption(new Option('--report <file>', 'write counts and differences as JSON'))
    .addOption(new Option('--merge <files...>', 'only add up the reports of several campaigns'));
  const given = command.parse().opts<Omit<Options, 'seed'> & { readonly seed?: number }>();
  if (given.merge !== undefined) {
    const merged = merge(given.merge);
    tell(merged);
    if (given.report !== undefined) writeFileSync(given.report, `${JSON.stringify(merged, undefined, 1)}\n`);
    return merged.differences.length === 0 ? 0 : 1;
  }
  const options = { ...given, seed: given.seed ?? Math.floor(Math.random() * 1_000_000) };
  const probe = probeKernel();
  if (!probe.backends.includes(options.backend)) {
    process.stderr.write(`${printProbe(probe)}\n`);
    for (const { what, get } of probe.missing) process.stderr.write(`  ${what}: ${get}\n`);
    return 2;
  }
  const kernel = openKernel(probe.mode === undefined ? {} : { mode: probe.mode });
  try {
    const campaign = new Campaign(options, kernel);
    await campaign.run();
    const report = reportOf(campaign, probe);
    tell(report);
    process.stdout.write(`${campaign.rate}\n`);
    if (options.report !== undefined) writeFileSync(options.report, `${JSON.stringify(report, undefined, 1)}\n`);
    if (options.record !== undefined) writeRecording(options.record, campaign, probe);
    return campaign.differences.length === 0 ? 0 : 1;
  } finally {
    kernel.close();
  }
}

/** A case a line: a person may look for one, and a change of one is a change of one line. */
function writeRecording(file: string, { recorded, options }: Campaign, probe: Probe): void {
  const head: Omit<RecordedFile<HostTraits>, 'cases'> = {
    kernel: probe.kernel,
    iptables: probe.iptables[options.backend] ?? '',
  };
  const lines = recorded.map((one) => JSON.stringify(one));
  writeFileSync(file, `${JSON.stringify(head).slice(0, -1)},"cases":[\n${lines.join(',\n')}\n]}\n`);
}

process.exitCode = await main();
