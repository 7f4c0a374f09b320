/**
 * `npm run bench`: how fast, against others in the same run, and how cost grows. `-- --instances 10,100 --growing 30000 --flat 1000 --floats 1000 --solver 30 --docs`: sizes of
 * nova's shape in instances, more of them for what must grow no faster than the rules, flat rulesets in rules, and clouds in floating IPs; the solver's seconds; and whether
 * docs/bench.* are written. Without `--docs` the table and the JSON go to stdout.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { documentOf, ratiosOf, tableOf } from './document.ts';
import { instancesFor } from './rulesets.ts';
import { plot, type Line } from './plot.ts';
import type { Subject } from './subject.ts';
import type { Figure, Part } from './subjects.ts';
import { targetsOf } from './targets.ts';

const { values } = parseArgs({
  options: {
    instances: { type: 'string', default: `10,100,${instancesFor(10_000)},1000,${instancesFor(100_000)},10000` },
    growing: { type: 'string', default: `${instancesFor(50_000)},${instancesFor(500_000)}` },
    flat: { type: 'string', default: '1000,10000,100000' },
    floats: { type: 'string', default: '100,1000,10000' },
    solver: { type: 'string', default: '60' },
    docs: { type: 'boolean', default: false },
  },
});
const sizesOf = (text: string): readonly number[] =>
  text
    .split(',')
    .filter((size) => size !== '')
    .map(Number);

/** From so many instances on it is measured how cost grows. */
const GROWN = instancesFor(10_000);
const limits = { solver: Number(values.solver), rates: 1 };
const novaAt = (instances: number, part: Part): Subject => ({ shape: 'nova', sizes: [instances], part, limits });
const nova = [
  ...sizesOf(values.instances).map((instances) => novaAt(instances, 'all')),
  ...sizesOf(values.growing).map((instances) => novaAt(instances, 'growing')),
].sort(({ sizes: [one = 0] }, { sizes: [other = 0] }) => one - other);
/** Some minutes later, and again: a moment in which the machine is busy would make one size dearer than others. */
const again = nova.flatMap(({ sizes }) => sizes.filter((size) => size >= GROWN).map((size) => novaAt(size, 'made')));
const subjects: readonly Subject[] = [
  ...nova,
  { shape: 'flat', sizes: sizesOf(values.flat), limits },
  ...again,
  { shape: 'floats', sizes: sizesOf(values.floats), limits },
  ...again,
];
const figures = leastOf(subjects.flatMap(measured));

function measured(subject: Subject): readonly Figure[] {
  const { status, stdout } = spawnSync(
    process.execPath,
    [fileURLToPath(new URL('subject.js', import.meta.url)), JSON.stringify(subject)],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28 },
  );
  if (status !== 0) process.exit(status ?? 1);
  return JSON.parse(stdout) as readonly Figure[];
}

/** One figure of each kind and size: the least, where it has been measured several times. */
function leastOf(all: readonly Figure[]): readonly Figure[] {
  const least = new Map<string, Figure>();
  for (const figure of all) {
    const key = `${figure.shape} ${figure.rules} ${figure.what}`;
    const known = least.get(key);
    least.set(key, known === undefined || (figure.cpu ?? 0) < (known.cpu ?? 0) ? { ...known, ...figure } : known);
  }
  return [...least.values()];
}

const PLOTTED = [
  'parse',
  'build',
  'prove',
  'lint, cold process',
  'diff, cold process',
  'equal though rewritten',
  'iptables-legacy-restore --test',
  'equal though rewritten, z3',
];
const lines: readonly Line[] = PLOTTED.flatMap((name) => {
  const points = figures.flatMap(({ shape, rules, what, cpu = 0 }) =>
    shape === 'nova' && what === name && cpu > 0 ? [[rules, cpu] as const] : [],
  );
  return points.length === 0 ? [] : [{ name, points }];
});
const document = {
  machine: { node: process.version, processor: cpus()[0]?.model ?? '', cores: cpus().length },
  figures,
  ratios: ratiosOf(figures),
  targets: targetsOf(figures),
};
const json = `${JSON.stringify(document, null, 2)}\n`;
if (values.docs) {
  writeFileSync('docs/bench.json', json);
  writeFileSync('docs/bench.svg', plot(lines, 'Seconds of the processor against the number of rules'));
  writeFileSync('docs/bench.md', documentOf(document));
} else process.stdout.write(`${tableOf(figures, true)}\n${json}`);
