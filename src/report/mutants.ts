/**
 * docs/mutants.md: the mistakes that no law sees, because they change nothing, with the reason. Sections are rewritten by the campaign; reasons are a person's, and stay with
 * the mistakes that they were written for.
 */
import type { Family } from '../address/address.ts';
import type { Mutant } from '../judge/mutation.ts';

/** The mistakes in one ruleset. */
export interface MutantSection {
  /** `article/cloud host1.rules`. */
  readonly name: string;
  readonly all: number;
  readonly killed: number;
  readonly survivors: readonly Survivor[];
}

export interface Survivor {
  readonly line: string;
  /** Why it changes nothing, where the program knows. */
  readonly because?: string;
}

/** `filter INPUT rule 1, deleted: ...`: a line that names a mistake among those of a ruleset. */
export const mutantLine = ({ table, chain, rule, change, text }: Mutant): string =>
  `${table} ${chain} rule ${rule}, ${change}: \`${text}\``;

/** The section of one ruleset. */
export const sectionName = (cloud: string, host: string, family: Family): string =>
  `${cloud} ${host}${family === 4 ? '' : '.v6'}.rules`;

/** What stands for the reason of a mistake that nobody has explained. */
export const UNEXPLAINED = 'No reason has been written down yet.';

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
export function withSection(document: string, section: MutantSection): string {
  const [head = '', ...parts] = document.split(/^(?=## )/m);
  const title = `## ${section.name}\n`;
  const printed = printSection(section, reasonsIn(document).get(section.name) ?? new Map<string, string>());
  const others = parts.map((part) => (part.startsWith(title) ? printed : part));
  const all = parts.some((part) => part.startsWith(title)) ? others : [...others, printed];
  return [head, ...all].map((part) => `${part.trimEnd()}\n`).join('\n');
}

function printSection({ name, all, killed, survivors }: MutantSection, known: ReadonlyMap<string, string>): string {
  const byReason = new Map<string, string[]>();
  for (const { line, because } of survivors) {
    const reason = because ?? known.get(line) ?? UNEXPLAINED;
    byReason.set(reason, [...(byReason.get(reason) ?? []), line]);
  }
  const groups = [...byReason].map(([reason, lines]) => `${reason}\n\n${lines.map((line) => `- ${line}\n`).join('')}`);
  const count = `${all} mistakes: ${killed} break a law, ${survivors.length} change the fate of no packet that was tried.`;
  return [`## ${name}\n`, `${count}\n`, ...groups].join('\n');
}
