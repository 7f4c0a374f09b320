/** The figures as a table, as ratios, and as docs/bench.md. */
import { PROGRAM_RUNS, STRETCH, STRETCHES } from './measure.ts';
import type { Figure, Shape } from './subjects.ts';
import type { Target } from './targets.ts';

export interface Ratio {
  readonly what: string;
  readonly rules: number;
  readonly value: number;
}

export const megabytes = (value: number): string => `${(value / 1e6).toFixed(0)} MB`;
export const seconds = (value: number): string =>
  value >= 1
    ? `${value.toFixed(2)} s`
    : value >= 0.001
      ? `${(value * 1000).toFixed(value >= 0.01 ? 0 : 1)} ms`
      : `${(value * 1e6).toFixed(0)} µs`;
export const rate = (value: number): string =>
  value >= 1e6
    ? `${(value / 1e6).toFixed(1)} M/s`
    : value >= 1e3
      ? `${(value / 1e3).toFixed(1)} k/s`
      : `${value.toFixed(0)} /s`;

const rowOf = ({ shape, rules, what, cpu, wall, rate: packets, memory, says }: Figure): readonly string[] => [
  shape,
  rules.toLocaleString('en'),
  what,
  cpu === undefined ? '' : seconds(cpu),
  wall === undefined ? '' : seconds(wall),
  packets === undefined ? '' : rate(packets),
  memory === undefined ? '' : megabytes(memory),
  says ?? '',
];

const HEAD = ['shape', 'rules', 'what', 'processor', 'clock', 'packets', 'memory', ''];

/** Aligned, for a terminal; each row ends its line. */
export function tableOf(figures: readonly Figure[], head: boolean): string {
  const widths = [6, 8, 33, 10, 10, 10, 8, 0];
  const rows = [...(head ? [HEAD] : []), ...figures.map(rowOf)];
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, index) => (index > 2 ? cell.padStart(widths[index] ?? 0) : cell.padEnd(widths[index] ?? 0)))
          .join(' ')
          .trimEnd()}\n`,
    )
    .join('');
}

/** Figures of one run against each other: what another machine should find, too. */
export function ratiosOf(figures: readonly Figure[]): readonly Ratio[] {
  const find = (shape: Shape, what: string, rules: number): Figure | undefined =>
    figures.find((one) => one.shape === shape && one.what === what && one.rules === rules);
  const sizes = [...new Set(figures.filter(({ shape }) => shape === 'nova').map(({ rules }) => rules))];
  const ratios: Ratio[] = [];
  const add = (what: string, rules: number, one: number | undefined, other: number | undefined): void => {
    if (one !== undefined && other !== undefined && other > 0) ratios.push({ what, rules, value: one / other });
  };
  for (const [index, rules] of sizes.entries()) {
    const cpu = (what: string, at = rules): number | undefined => find('nova', what, at)?.cpu;
    const packets = (what: string, at = rules): number | undefined => find('nova', what, at)?.rate;
    const restore = 'iptables-legacy-restore --test';
    add('parse / iptables-legacy-restore --test', rules, cpu('parse'), cpu(restore));
    add('build / iptables-legacy-restore --test', rules, cpu('build'), cpu(restore));
    add('prove / iptables-legacy-restore --test', rules, cpu('prove'), cpu(restore));
    add('diff, cold process / iptables-legacy-restore --test', rules, cpu('diff, cold process'), cpu(restore));
    const solver = find('nova', 'equal though rewritten, z3', rules);
    const solved =
      solver?.says === undefined ? 'z3 / equal though rewritten' : 'z3, when stopped / equal though rewritten';
    add(solved, rules, solver?.cpu, cpu('equal though rewritten'));
    add('classify / C with a hash', rules, packets('classify'), packets('classify, C with a hash'));
    add('classify / C rule after rule', rules, packets('classify'), packets('classify, C rule after rule'));
    add('classify / model packet by packet', rules, packets('classify'), packets('classify, model packet by packet'));
    add('classify / classify at the smallest size', rules, packets('classify'), packets('classify', sizes[0]));
    const before = sizes[index - 1];
    if (before === undefined) continue;
    for (const what of [
      'parse',
      'build',
      'prove',
      'diff, cold process',
      'equal though rewritten',
      'lint, cold process',
    ])
      add(`${what} / ${what} at ${before.toLocaleString('en')} rules`, rules, cpu(what), cpu(what, before));
  }
  const clouds = figures.filter(({ shape }) => shape === 'floats');
  const counts = [...new Set(clouds.map(({ rules }) => rules))];
  for (const { what, rules, cpu } of clouds) {
    const smaller = counts[counts.indexOf(rules) - 1];
    if (smaller === undefined) continue;
    add(`${what} / ${what} at ${smaller.toLocaleString('en')} floats`, rules, cpu, find('floats', what, smaller)?.cpu);
  }
  return ratios;
}

const markdown = (rows: readonly (readonly string[])[]): string =>
  rows
    .flatMap((row, index) => [
      `| ${row.join(' | ')} |`,
      ...(index === 0 ? [`|${row.map(() => '---').join('|')}|`] : []),
    ])
    .join('\n');

export function documentOf({
  machine,
  figures,
  ratios,
  targets,
}: {
  readonly machine: { readonly node: string; readonly processor: string; readonly cores: number };
  readonly figures: readonly Figure[];
  readonly ratios: readonly Ratio[];
  readonly targets: readonly Target[];
}): string {
  return `# How fast

Written by \`npm run bench -- --docs\`; the inputs come from a seed. The machine had other work, so what counts is the processor's time, and the ratios:
everything was measured in one run. Each size of nova has a process of its own, and so have the flat rulesets, and the floating IPs. What runs in one process is warm: it has been
compiled. Of nova each such figure is the least of ${STRETCHES} stretches of runs, and a stretch is
as many runs as make up ${STRETCH.toLocaleString('en')} rules, one where there are more; parsing and building from 10,000 rules on are measured in three processes some minutes apart; of another process, the least of ${PROGRAM_RUNS} runs; a rate is the most of ${STRETCHES} stretches of time.
What floating IPs cost to prove, and their network to make, is the least of ${STRETCHES} runs, each from nothing, and flat rulesets are read as those of nova; the rest of the other shapes was run once. ${machine.processor}, ${machine.cores} cores, Node ${machine.node}.

- **nova**: the filter table of a compute host, in the shape in which nova-compute leaves it: FORWARD dispatches on the destination to a chain for each instance.
- **flat**: one chain of rules that overlap in source, destination and port.
- **floats**: a cloud of one host, so many instances in security groups and a floating IP for each (the column "rules" counts those), from its file to the proof of
  \`floating-ip/round-trip\`: every packet of every client that an instance admits, through translation, routing, filter, to the instance's port, and the answer back, under both policies.
  All claims go as one region, from rulesets whose tables have not been asked before: what the tables cost is part of it.
  **mistakes found exactly**: a missing SNAT, an SNAT of everything first, two floating IPs to one fixed address, a route too narrow; each breaks exactly the packets that it should.
- **build**: the diagram of FORWARD from a parsed ruleset. **prove**: what the groups of each instance admit, for every packet, all instances.
  **diff, cold process**: \`nfverdict diff\` of two files of which one rule differs, from the start of the process to the witness.
  **equal though rewritten**: 30 % of networks and port ranges cut in two, each tenth rule repeated, proved to change nothing; z3 is given both rulesets as bit
  vectors. **classify**: packets through FORWARD, by the frozen diagram, by the model that defines what is right, and by loops in C.

## Targets

${markdown([['what', 'target', 'measured', ''], ...targets.map(({ what, target, measured, holds }) => [what, target, measured, holds ? 'met' : 'not met'])])}

![cost against size](bench.svg)

${markdown([HEAD, ...figures.map(rowOf)])}

## Ratios

${markdown([['what', 'rules', 'ratio'], ...ratios.map(({ what, rules, value }) => [what, rules.toLocaleString('en'), value >= 100 ? value.toFixed(0) : value.toPrecision(2)])])}
`;
}
