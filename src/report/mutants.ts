/**
 * docs/mutants.md: the mistakes that no law sees, because they change nothing, with the reason. Sections are rewritten by the campaign; reasons are a person's, and stay with
 * the mistakes that they were written for.
 */
import type { Family } from '../address/address.ts';
import type { Comparison } from '../judge/equivalence.ts';
import type { BrokenClaim } from '../judge/mutant-judge.ts';
import type { Mutant } from '../judge/mutation.ts';
import { printArrival } from '../packet/notation.ts';

/** What was found of one mistake. */
export interface JudgedMutant {
  readonly line: string;
  /** Absent: it breaks no law. */
  readonly broken?: BrokenClaim;
  /** Whether it changes any packet's fate; absent where a packet that breaks a law shows it. */
  readonly comparison?: Comparison;
  /** Why it changes nothing, where the text alone shows it. */
  readonly because?: string;
}

/** How many mistakes. */
export interface MutantSums {
  readonly all: number;
  /** They break a law about packets, which a packet shows. */
  readonly shown: number;
  /** They break a law about the text of rules, and none about packets; and those of them that change the fate of a packet. */
  readonly text: number;
  readonly textAndFate: number;
  /** They break no law, and no packet fares otherwise: no table tells the difference, or none on this host. */
  readonly tables: number;
  readonly host: number;
  /** They break no law, and some packet fares otherwise. */
  readonly missed: number;
}

export const NO_MUTANTS: MutantSums = { all: 0, shown: 0, text: 0, textAndFate: 0, tables: 0, host: 0, missed: 0 };

export const addMutant = (one: MutantSums, other: MutantSums): MutantSums => ({
  all: one.all + other.all,
  shown: one.shown + other.shown,
  text: one.text + other.text,
  textAndFate: one.textAndFate + other.textAndFate,
  tables: one.tables + other.tables,
  host: one.host + other.host,
  missed: one.missed + other.missed,
});

export const sumsOf = (judged: readonly JudgedMutant[]): MutantSums =>
  judged.reduce((sums, { broken, comparison }) => {
    const one = { ...NO_MUTANTS, all: 1 };
    const changes = comparison?.kind === 'changed' ? 1 : 0;
    if (broken?.arrival !== undefined) return addMutant(sums, { ...one, shown: 1 });
    if (broken !== undefined) return addMutant(sums, { ...one, text: 1, textAndFate: changes });
    if (comparison?.kind === 'same') return addMutant(sums, { ...one, [comparison.by]: 1 });
    return addMutant(sums, { ...one, missed: 1 });
  }, NO_MUTANTS);

/** `412 mistakes: ...`. */
export const printSums = ({ all, shown, text, textAndFate, tables, host, missed }: MutantSums): string =>
  `${all} mistakes: ${shown} break a law about packets, ${text} only one about the text of rules (${textAndFate} of them change a packet's fate); ` +
  `${tables + host} break none, and it is proved that no packet fares otherwise (${tables} table by table, ${host} on the host); ${missed} missed`;

/** Those that change a fate and break no law, each with a packet. */
export const printMissed = (section: string, judged: readonly JudgedMutant[]): string =>
  judged
    .flatMap(({ line, broken, comparison }) => {
      if (broken !== undefined || comparison?.kind !== 'changed') return [];
      const { posture, region } = comparison;
      const { witness, boxes } = region;
      const shown =
        witness === undefined
          ? boxes.join(', ')
          : `${printArrival(witness.arrival)}: before ${witness.old.fate.kind}, after ${witness.now.fate.kind}`;
      return [`MISSED ${section} ${line}\n  ${posture}: ${region.classes.join()}: ${shown}\n`];
    })
    .join('');

/** `filter INPUT rule 1, deleted: ...`: a line that names a mistake among those of a ruleset. */
export const mutantLine = ({ table, chain, rule, change, text }: Mutant): string =>
  `${table} ${chain} rule ${rule}, ${change}: \`${text}\``;

/** The section of one ruleset. */
export const sectionName = (cloud: string, host: string, family: Family): string =>
  `${cloud} ${host}${family === 4 ? '' : '.v6'}.rules`;

/** What is said of a mistake that nobody has explained: that it changes nothing is proved. */
const UNEXPLAINED = {
  tables: 'No table makes anything else of any packet.',
  host: 'No packet that comes to the host fares otherwise.',
} as const;

/** By section, the reason of each mistake that is listed. */
export function reasonsIn(document: string): ReadonlyMap<string, ReadonlyMap<string, string>> {
  const sections = new Map<string, Map<string, string>>();
  let section = new Map<string, string>();
  let reason = '';
  for (const line of document.split('\n')) {
    if (line.startsWith('## ')) {
      section = new Map();
      reason = '';
      sections.set(line.slice(3), section);
    } else if (line.startsWith('- ')) section.set(line.slice(2), reason);
    else if (line !== '') reason = line;
  }
  return sections;
}

/** The document with one section written anew, or added at its end. */
export function withSection(document: string, name: string, judged: readonly JudgedMutant[]): string {
  const [head = '', ...parts] = document.split(/^(?=## )/m);
  const title = `## ${name}\n`;
  const printed = printSection(name, judged, reasonsIn(document).get(name) ?? new Map<string, string>());
  const others = parts.map((part) => (part.startsWith(title) ? printed : part));
  const all = parts.some((part) => part.startsWith(title)) ? others : [...others, printed];
  return [head, ...all].map((part) => `${part.trimEnd()}\n`).join('\n');
}

function printSection(name: string, judged: readonly JudgedMutant[], known: ReadonlyMap<string, string>): string {
  const byReason = new Map<string, string[]>();
  for (const { line, broken, comparison, because } of judged) {
    if (broken !== undefined || comparison?.kind !== 'same') continue;
    const reason = because ?? known.get(line) ?? UNEXPLAINED[comparison.by];
    byReason.set(reason, [...(byReason.get(reason) ?? []), line]);
  }
  const groups = [...byReason].map(([reason, lines]) => `${reason}\n\n${lines.map((line) => `- ${line}\n`).join('')}`);
  return [`## ${name}\n`, `${printSums(sumsOf(judged))}.\n`, ...groups].join('\n');
}
