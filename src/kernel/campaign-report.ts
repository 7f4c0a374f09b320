/** What a campaign of comparisons came to: counts, differences, and how two machines' campaigns are one. */
import { mergeCoverage, printCoverage, tooRare, type Coverage } from './coverage.ts';
import type { RecordedCase } from './recording.ts';

/** How fast a campaign was, and its kernel's helper. */
export interface Speed {
  /** By the clock, with all that the campaign did. */
  readonly seconds: number;
  /** What the helper takes for the same requests with generator, model and comparison switched off: estimated from a sample (`meter.ts`). */
  readonly helperSeconds: number;
  /** Cases a second, of the campaign and of its helper alone. */
  readonly rate: number;
  readonly helperRate: number;
  /** `rate` to `helperRate`: 0.5 is half as fast as the helper alone. */
  readonly share: number;
}

export const speedOf = (cases: number, seconds: number, helperSeconds: number): Speed => ({
  seconds,
  helperSeconds,
  rate: cases / seconds,
  helperRate: cases / helperSeconds,
  share: helperSeconds / seconds,
});

export const REPORT = 'nfverdict/kernel-campaign-v2';

/** `T` describes a host. */
export interface Report<T> {
  readonly schema: typeof REPORT;
  /** Each campaign's seed, and its cases of it: from, and up to but without `next`. */
  readonly campaigns: readonly { readonly seed: number; readonly from: number; readonly next: number }[];
  readonly backend: string;
  /** Of addresses: `4`, `6` or `both`. */
  readonly family: string;
  readonly kernel: string;
  readonly iptables: string;
  readonly cases: number;
  readonly packets: number;
  readonly undecided: number;
  readonly speed: Speed;
  /** In how many cases each class was met. */
  readonly coverage: Readonly<Record<string, number>>;
  /** For people. */
  readonly differences: readonly string[];
  /** The same, to be played again. */
  readonly found: readonly RecordedCase<T>[];
}

/** Several machines' reports as one. */
export function mergeReports<T>(reports: readonly Report<T>[]): Report<T> {
  const coverage: Coverage = new Map();
  for (const report of reports) mergeCoverage(coverage, Object.entries(report.coverage));
  const sum = (of: (report: Report<T>) => number): number => reports.reduce((total, report) => total + of(report), 0);
  const all = (of: (report: Report<T>) => string): string => [...new Set(reports.map(of))].join(', ');
  return {
    schema: REPORT,
    campaigns: reports.flatMap(({ campaigns }) => campaigns),
    backend: all(({ backend }) => backend),
    family: all(({ family }) => family),
    kernel: all(({ kernel }) => kernel),
    iptables: all(({ iptables }) => iptables),
    cases: sum(({ cases }) => cases),
    packets: sum(({ packets }) => packets),
    undecided: sum(({ undecided }) => undecided),
    speed: speedOf(
      sum(({ cases }) => cases),
      sum(({ speed }) => speed.seconds),
      sum(({ speed }) => speed.helperSeconds),
    ),
    coverage: Object.fromEntries(coverage),
    differences: reports.flatMap(({ differences }) => differences),
    found: reports.flatMap(({ found }) => found),
  };
}

/** Shorter campaigns may have no case of several hosts, nor what only those meet: they come in rows (arbitrary/campaign.ts). */
const TELLING = 2000;

/** Classes that the campaign has met too seldom; none where it is too short to say, or leaves a family out. */
export const rareClasses = ({
  cases,
  family,
  coverage,
}: Pick<Report<unknown>, 'cases' | 'family' | 'coverage'>): readonly string[] =>
  cases < TELLING || family !== 'both' ? [] : tooRare(new Map(Object.entries(coverage)), cases);

/** The coverage, what was met too seldom, and the sum of it all. */
export function printReport(report: Report<unknown>): string {
  const { cases, packets, undecided, differences, backend, kernel, iptables, campaigns } = report;
  const each = (cases === 0 ? 0 : packets / cases).toFixed(1);
  return [
    printCoverage(new Map(Object.entries(report.coverage))),
    ...rareClasses(report).map((rare) => `too rare: ${rare}`),
    `${cases} cases, ${packets} packets (${each} a case, ${undecided} undecided), ${differences.length} differences: ${backend}, Linux ${kernel}, ${iptables}, seed ${campaigns.map(({ seed }) => seed).join(', ')}`,
  ].join('\n');
}

/** 0: all agreed, and every class was met; 1 otherwise. */
export const exitCodeOf = (report: Report<unknown>): number =>
  report.differences.length === 0 && rareClasses(report).length === 0 ? 0 : 1;
