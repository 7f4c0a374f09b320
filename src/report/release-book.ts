/** The book of releases: laws by releases, and what speaks against a law where it does not hold. Markdown. */
import type { Release } from '../deployment/deployment.ts';
import type { Law } from '../invariant/law.ts';

/** What is known of a law in a release. */
export type Cell =
  | { readonly result: 'holds' }
  | { readonly result: 'fails'; readonly against: Counterexample }
  /** It claims nothing there. */
  | { readonly result: 'n/a'; readonly because: string };

export interface Counterexample {
  /** In one sentence. */
  readonly text: string;
  /** How it came about, line by line: a packet's way by the rules that decided, or what was written one after the other. Empty where the sentence says all. */
  readonly trace: readonly string[];
}

export interface Column {
  readonly release: Release;
  /** One for each law. */
  readonly cells: ReadonlyMap<string, Cell>;
}

/** Of two the one that is shorter to tell. */
export const shorter = (a: Counterexample | undefined, b: Counterexample): Counterexample =>
  a === undefined || b.text.length < a.text.length ? b : a;

const SIGNS: Readonly<Record<Cell['result'], string>> = { holds: 'holds', fails: '**fails**', 'n/a': 'n/a' };

const cellOf = ({ release, cells }: Column, { id }: Law): Cell => {
  const cell = cells.get(id);
  if (cell === undefined) throw new Error(`nothing is known of ${id} in ${release}`);
  return cell;
};

/** One row of the table. */
export const rowOf = (law: Law, columns: readonly Column[]): string =>
  `| ${law.id}${law.severity === 'warning' ? ' (w)' : ''} | ${columns.map((column) => SIGNS[cellOf(column, law).result]).join(' | ')} |`;

const escaped = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

/** Releases of which one thing is so stand together. */
function together<T>(
  law: Law,
  columns: readonly Column[],
  pick: (cell: Cell) => T | undefined,
  key: (picked: T) => string,
): readonly { readonly releases: readonly Release[]; readonly first: T }[] {
  const found = new Map<string, { readonly releases: Release[]; readonly first: T }>();
  for (const column of columns) {
    const picked = pick(cellOf(column, law));
    if (picked === undefined) continue;
    const known = found.get(key(picked)) ?? { releases: [], first: picked };
    known.releases.push(column.release);
    found.set(key(picked), known);
  }
  return [...found.values()];
}

function chapter(law: Law, columns: readonly Column[]): string[] {
  const examples = together(
    law,
    columns,
    (cell) => (cell.result === 'fails' ? cell.against : undefined),
    ({ text }) => text,
  );
  if (examples.length === 0) return [];
  const failing = examples.flatMap(({ releases }) => releases);
  const reasons = law.knownFailures.filter(
    ({ releases }) => releases === 'all' || failing.some((release) => releases.includes(release)),
  );
  return [
    `## ${law.id}`,
    '',
    law.statement,
    '',
    ...reasons.map(
      ({ releases, because }) => `- ${releases === 'all' ? 'every release' : releases.join(', ')}: ${escaped(because)}`,
    ),
    '',
    ...examples.flatMap(({ releases, first }) => [
      `*${releases.join(', ')}*: ${escaped(first.text)}`,
      '',
      ...traced(first.trace, releases[0]),
    ]),
  ];
}

/** Folded, as it is in the first of the releases. */
const traced = (trace: readonly string[], release: Release | undefined): string[] =>
  trace.length === 0
    ? []
    : [
        '<details>',
        `<summary>trace in ${release ?? ''}</summary>`,
        '',
        '```text',
        ...trace,
        '```',
        '',
        '</details>',
        '',
      ];

function absence(law: Law, columns: readonly Column[]): string[] {
  const reasons = together(
    law,
    columns,
    (cell) => (cell.result === 'n/a' ? cell.because : undefined),
    (because) => because,
  );
  return reasons.map(
    ({ releases, first }) =>
      `- ${law.id}, ${releases.length === columns.length ? 'every release' : releases.join(', ')}: ${escaped(first)}`,
  );
}

export const printReleases = (laws: readonly Law[], columns: readonly Column[]): string =>
  [
    '# The releases',
    '',
    'Made by `npm run releases`: what the laws (docs/laws.md) say of the rules that each release writes for the clouds in `scenarios/` (article/cloud, second-cloud, modes/, releases/restricted.yaml), and, of laws over',
    'time, of the lives in scenarios/lives. (w): what an operator wants, and nova never promised. n/a: the law says nothing of them; why, stands at the end. Every failure is one that is known.',
    '',
    `| law | ${columns.map(({ release }) => release).join(' | ')} |`,
    `| --- | ${columns.map(() => '---').join(' | ')} |`,
    ...laws.map((law) => rowOf(law, columns)),
    '',
    '# What fails, and by what',
    '',
    'Of each counterexample the shortest is told, with its trace: the rules that a packet met, by the lines of what `nfverdict generate` writes for the cloud (HOST.rules); or what became of a line with each write.',
    '',
    ...laws.flatMap((law) => chapter(law, columns)),
    '# What does not apply',
    '',
    ...laws.flatMap((law) => absence(law, columns)),
    '',
  ].join('\n');
