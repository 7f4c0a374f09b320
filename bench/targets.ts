/** What is aimed at, and what one run has measured of it. */
import { megabytes, rate, seconds } from './document.ts';
import type { Figure, Shape } from './subjects.ts';

export interface Target {
  readonly what: string;
  readonly target: string;
  readonly measured: string;
  readonly holds: boolean;
}

/** A thousand more or fewer rules are the same size. */
const LARGE = 100_000;
const MANY_FLOATS = 10_000;

export function targetsOf(figures: readonly Figure[]): readonly Target[] {
  const targets: Target[] = [];
  const sizes = [...new Set(figures.filter(({ shape }) => shape === 'nova').map(({ rules }) => rules))];
  const near = (wanted: number): number => sizes.find((rules) => Math.abs(rules - wanted) < wanted / 10) ?? -1;
  const figure = (what: string, rules: number, shape: Shape = 'nova'): Figure | undefined =>
    figures.find((one) => one.what === what && one.rules === rules && one.shape === shape);
  const add = (
    what: string,
    of: number | undefined,
    limit: number,
    print: (value: number) => string,
    most = true,
  ): void => {
    if (of === undefined || Number.isNaN(of)) return;
    const holds = most ? of <= limit : of >= limit;
    targets.push({ what, target: `${most ? 'at most' : 'at least'} ${print(limit)}`, measured: print(of), holds });
  };
  const times = (value: number): string => `${value >= 100 ? value.toFixed(0) : value.toFixed(1)} x`;
  const over = (one: number | undefined, other: number | undefined): number | undefined =>
    one === undefined || other === undefined ? undefined : one / other;
  const large = near(LARGE);
  const restore = figure('iptables-legacy-restore --test', large)?.cpu;
  const diff = figure('diff, cold process', large);
  /** What is to be done in a time that somebody waits: the clock decides, and the processor's time stands beside it. */
  const addTime = (what: string, of: Figure | undefined, limit: number): void => {
    if (of?.wall === undefined || of.cpu === undefined) return;
    const measured = `${seconds(of.wall)}, ${seconds(of.cpu)} of the processor`;
    targets.push({ what, target: `at most ${seconds(limit)} on the clock`, measured, holds: of.wall <= limit });
  };
  addTime('100,000 rules, build', figure('build', large), 0.4);
  addTime('100,000 rules, prove all instances', figure('prove', large), 0.3);
  addTime('100,000 rules, diff of one rule', diff, 1.2);
  add('100,000 rules, diff / iptables-legacy-restore --test', over(diff?.cpu, restore), 2.5, times);
  add('100,000 rules, memory of the diff', diff?.memory, 400e6, megabytes);
  add('100,000 rules, memory of lint', figure('lint, cold process', large)?.memory, 400e6, megabytes);
  for (const what of ['parse', 'build', 'diff, cold process', 'equal though rewritten']) {
    const cost = (size: number): number | undefined => figure(what, near(size))?.cpu;
    add(`${what}, 10,000 to 100,000 rules`, over(cost(LARGE), cost(LARGE / 10)), 14, times);
    // As much for five times as for ten times and more.
    add(`${what}, 100,000 to 500,000 rules`, over(cost(5 * LARGE), cost(LARGE)), 14 ** Math.log10(5), times);
    add(`${what}, 50,000 to 500,000 rules`, over(cost(5 * LARGE), cost(LARGE / 2)), 14, times);
  }
  const [smallest, ...rated] = figures.filter(({ what }) => what === 'classify');
  const last = rated.at(-1);
  add('10,000 instances, classify', last?.rate, 5e6, rate, false);
  add('slower than at 10 instances', over(smallest?.rate, last?.rate), 2.5, times);
  add(
    'slower than C with a hash',
    over(figure('classify, C with a hash', last?.rules ?? 0)?.rate, last?.rate),
    2.5,
    times,
  );
  for (const { what, rules, cpu, says } of figures)
    if (what === 'equal though rewritten, z3' && rules > 9_000)
      add(
        `${rules.toLocaleString('en')} rules equal though rewritten, z3${says === undefined ? '' : ', when stopped,'} slower`,
        over(cpu, figure('equal though rewritten', rules)?.cpu),
        100,
        times,
        false,
      );
  const floats = (what: string, count: number): number | undefined => figure(what, count, 'floats')?.cpu;
  addTime(
    '10,000 floating IPs, round trip proved in both postures',
    figure('round trip: proved', MANY_FLOATS, 'floats'),
    2,
  );
  for (const what of ['network', 'round trip: claims', 'round trip: proved'])
    add(
      `${what}, 1,000 to 10,000 floating IPs`,
      over(floats(what, MANY_FLOATS), floats(what, MANY_FLOATS / 10)),
      14,
      times,
    );
  add('10,000 flat rules, diff', figure('diff, cold process', 10_000, 'flat')?.cpu, 10, seconds);
  return targets;
}
