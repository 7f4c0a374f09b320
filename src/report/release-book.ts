/** The book of releases: laws by releases, and what speaks against a law where it does not hold. Markdown. */
import type { Release } from '../deployment/deployment.ts';
import type { Law } from '../invariant/law.ts';

/** What is known of a law in a release: nothing, where there is no cell. */
export interface Cell {
  readonly holds: boolean;
  /** The shortest counterexample. */
  readonly against?: string;
}

export interface Column {
  readonly release: Release;
  readonly cells: ReadonlyMap<string, Cell>;
}

const sign = (cell: Cell | undefined): string => (cell === undefined ? '' : cell.holds ? 'holds' : '**fails**');

/** One row of the table. */
export const rowOf = ({ id, severity }: Law, columns: readonly Column[]): string =>
  `| ${id}${severity === 'warning' ? ' (w)' : ''} | ${columns.map(({ cells }) => sign(cells.get(id))).join(' | ')} |`;

const escaped = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

function chapter(law: Law, columns: readonly Column[]): string[] {
  const failing = columns.filter(({ cells }) => cells.get(law.id)?.holds === false);
  if (failing.length === 0) return [];
  const reasons = law.knownFailures.filter(
    ({ releases }) => releases === 'all' || failing.some(({ release }) => releases.includes(release)),
  );
  // Releases with one counterexample stand together.
  const examples = new Map<string, Release[]>();
  for (const { release, cells } of failing) {
    const against = cells.get(law.id)?.against ?? '';
    examples.set(against, [...(examples.get(against) ?? []), release]);
  }
  return [
    `## ${law.id}`,
    '',
    law.statement,
    '',
    ...reasons.map(
      ({ releases, because }) => `- ${releases === 'all' ? 'every release' : releases.join(', ')}: ${escaped(because)}`,
    ),
    '',
    ...[...examples].map(([against, releases]) => `- *${releases.join(', ')}*: ${escaped(against)}`),
    '',
  ];
}

export const printReleases = (laws: readonly Law[], columns: readonly Column[]): string =>
  [
    '# The releases',
    '',
    'Made by `npm run releases`: what the laws (docs/laws.md) say of the rules that each release writes for the clouds in `scenarios/` (article/cloud, second-cloud, modes/), and, of laws over',
    'time, of the lives in scenarios/lives. An empty cell: the law says nothing of them. (w): what an operator wants, and nova never promised. Every failure is one that is known.',
    '',
    `| law | ${columns.map(({ release }) => release).join(' | ')} |`,
    `| --- | ${columns.map(() => '---').join(' | ')} |`,
    ...laws.map((law) => rowOf(law, columns)),
    '',
    '# What fails, and by what',
    '',
    ...laws.flatMap((law) => chapter(law, columns)),
  ].join('\n');
