/**
 * `npm run bench`: how fast, against others in the same run, and how cost grows. `-- --sizes 100,1000 --flat 1000 --floats 1000 --solver 30 --docs`: which sizes, the solver's
 * seconds, and whether docs/bench.* are written; without `--docs` the table and the JSON go to stdout.
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { documentOf, ratiosOf, tableOf } from './document.ts';
import { plot, type Line } from './plot.ts';
import { floatFigures } from './floats.ts';
import { flatFigures, novaFigures, type Figure } from './subjects.ts';

const { values } = parseArgs({
  options: {
    sizes: { type: 'string', default: '100,1000,10000,100000' },
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

const figures: Figure[] = [];
const limits = { solver: Number(values.solver), rates: 1 };
const run = (found: Iterable<Figure>): void => {
  for (const figure of found) {
    figures.push(figure);
    process.stderr.write(tableOf([figure], false));
  }
};
// What was read first would otherwise pay for the others' compilation.
Array.from(novaFigures(2000, { solver: 1, rates: 0.2 }));
for (const size of sizesOf(values.sizes)) run(novaFigures(size, limits));
for (const size of sizesOf(values.flat)) run(flatFigures(size));
for (const size of sizesOf(values.floats)) run(floatFigures(size));

const PLOTTED = [
  'parse',
  'build',
  'prove',
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
};
const json = `${JSON.stringify(document, null, 2)}\n`;
if (values.docs) {
  writeFileSync('docs/bench.json', json);
  writeFileSync('docs/bench.svg', plot(lines, 'Seconds of the processor against the number of rules'));
  writeFileSync('docs/bench.md', documentOf(document));
} else process.stdout.write(`${tableOf(figures, true)}\n${json}`);
