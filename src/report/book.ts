/** The book of laws: each with its source, a packet that shows it, and a mistake that breaks it. Markdown, made from the laws themselves. */
import type { Law } from '../invariant/law.ts';
import type { Broken, Shown } from '../judge/exhibit.ts';
import { isReached, type End } from '../network/walk.ts';
import { printArrival, printPacket } from '../packet/notation.ts';

export interface Chapter {
  readonly law: Law;
  readonly shown?: Shown;
  readonly broken?: Broken;
}

const describe = (end: End): string => {
  if (!isReached(end)) return `is ${end.kind} on ${end.host}`;
  const whom =
    end.kind === 'process'
      ? `a process of ${end.host}`
      : (end.name ?? `the outside, beyond ${end.at.host} ${end.at.interface}`);
  return `comes to ${whom} as \`${printPacket(end.packet)}\``;
};

function shownText({ cloud, claim, arrival, way }: Shown): string[] {
  const [end] = way.ends;
  const { ending } = claim;
  const ends =
    ending.kind === 'leaves'
      ? `leaves ${ending.by.host} by ${ending.by.interface}`
      : end === undefined
        ? 'comes to nobody'
        : describe(end);
  return [
    `**Shown by** \`${printArrival(arrival)}\` on ${claim.host} of scenarios/${cloud.name}: ${claim.says}. It ${ends}.`,
    '',
  ];
}

function brokenText({ cloud, host, mutant, claim }: Broken): string[] {
  const packet = claim.arrival === undefined ? '' : ` \`${printArrival(claim.arrival)}\`:`;
  const where =
    mutant === undefined
      ? `as it stands in scenarios/${cloud.name}`
      : `${mutant.change}, in scenarios/${cloud.name}, ${host ?? ''}:${mutant.line}: \`${mutant.text}\``;
  return [`**Broken**, ${where}.${packet} ${claim.message}.`, ''];
}

function chapter({ law, shown, broken }: Chapter): string[] {
  return [
    `## ${law.id}`,
    '',
    law.statement,
    '',
    `*Source:* ${law.source}`,
    ...(law.requires === undefined ? [] : [`*Requires:* ${law.requires}`]),
    `*Kind:* ${law.kind}, severity ${law.severity}.`,
    `*What breaks it:* ${law.brokenBy}`,
    ...law.knownFailures.map(
      ({ releases, because }) =>
        `*Known to fail in ${releases === 'all' ? 'every release' : releases.join(', ')}:* ${because}`,
    ),
    '',
    ...(shown === undefined ? [] : shownText(shown)),
    ...(broken === undefined ? [] : brokenText(broken)),
  ].map((line, index, lines) => (line !== '' && (lines[index + 1] ?? '') !== '' ? `${line}  ` : line));
}

export const printBook = (chapters: readonly Chapter[]): string =>
  [
    '# The laws',
    '',
    'Made from `src/invariant/` by `npm run book`. A law of kind *packets* makes claims about sets of packets, one of kind *ruleset* about the text of a ruleset, and one of kind',
    '*relation* about two deployments (shown over random deployments, in `properties/`). Severity *warning* marks what an operator wants and few releases give.',
    '',
    ...chapters.flatMap(chapter),
  ].join('\n');
