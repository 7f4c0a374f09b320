/** Rules that do nothing, as text and as JSON. */
import { groupedBy } from '../deployment/kept.ts';
import type { IdleFinding, IdleReason, IdleRules, RulePlace } from '../space/idle-rules.ts';
import type { Paint } from './paint.ts';
import { printable } from './printable.ts';

export interface LintSubject extends IdleRules {
  readonly path: string;
  /** A line of the ruleset, as written. */
  readonly textAt: (line: number) => string;
}

const HEADS: Readonly<Record<IdleFinding['kind'], string>> = {
  'never-matches': 'never matches',
  'no-effect': 'no effect',
  'unused-chain': 'unused chain',
  'unreached-chain': 'chain never entered',
};

const REASONS: Readonly<Record<IdleReason, string>> = {
  contradiction: 'no packet is all of this at once where the rule stands',
  covered: 'every packet that it is for is taken before, by',
  'not-entered': 'no packet that it is for comes to its chain, which is called by',
  empty: 'it calls a chain that does nothing',
  'same-without': 'the same becomes of its packets without it, by',
  unused: 'no rule calls it',
  unreached: 'no packet meets the rules that call it',
};

/** Alike findings are told together, so many of them by name. */
const MOST_ALIKE = 5;
const MOST_CAUSES = 6;

const whereOf = ({ path, line }: RulePlace): string => `${printable(path)}${line === undefined ? '' : `:${line}`}`;

const nameOf = ({ table, chain, rule }: RulePlace): string =>
  `${table} ${printable(chain)}${rule === undefined ? '' : rule === 'policy' ? ' policy' : ` rule ${rule}`}`;

const keyOf = ({ kind, because, by, more }: IdleFinding): string =>
  [kind, because, more, ...by.map((place) => `${nameOf(place)} ${place.line ?? ''}`)].join('\n');

function printGroup(alike: readonly IdleFinding[], { textAt }: LintSubject, paint: Paint): string[] {
  const [first] = alike;
  if (first === undefined) return [];
  const lines = alike.slice(0, MOST_ALIKE).flatMap(({ kind, at }) => {
    const head = `${paint.bold(HEADS[kind])}  ${nameOf(at)}  ${paint.dim(whereOf(at))}`;
    return at.rule === undefined || at.line === undefined ? [head] : [head, `    ${printable(textAt(at.line))}`];
  });
  const others = alike.length - MOST_ALIKE;
  if (others > 0) lines.push(`and ${others} more, for the same reason:`);
  lines.push(`  ${REASONS[first.because]}${first.by.length > 0 ? ':' : ''}`);
  for (const place of first.by.slice(0, MOST_CAUSES)) {
    const text = typeof place.rule === 'number' && place.line !== undefined ? `  ${printable(textAt(place.line))}` : '';
    lines.push(`    ${paint.dim(whereOf(place))}  ${nameOf(place)}${text}`);
  }
  const rest = first.by.length - MOST_CAUSES;
  if (rest > 0 || first.more) lines.push(`    and ${first.more ? 'others' : `${rest} more`}`);
  return lines;
}

export function printLint(subject: LintSubject, paint: Paint): string {
  const lines = [...groupedBy(subject.findings, keyOf).values()].flatMap((alike) => [
    ...printGroup(alike, subject, paint),
    '',
  ]);
  return `${[...lines, summaryOf(subject)].join('\n')}\n`;
}

const counted = (findings: readonly IdleFinding[], kind: IdleFinding['kind']): number =>
  findings.filter((finding) => finding.kind === kind).length;

function summaryOf({ path, findings, rules, chains }: LintSubject): string {
  const size = `${printable(path)}: ${rules} rules in ${chains} chains`;
  if (findings.length === 0) return `${size}, and each rule does something`;
  const part = (kind: IdleFinding['kind'], one: string, many: string): string[] => {
    const count = counted(findings, kind);
    return count === 0 ? [] : [`${count} ${count === 1 ? one : many}`];
  };
  return [
    size,
    [
      ...part('never-matches', 'never matches', 'never match'),
      ...part('no-effect', 'has no effect', 'have no effect'),
      ...part('unused-chain', 'chain is unused', 'chains are unused'),
      ...part('unreached-chain', 'chain is never entered', 'chains are never entered'),
    ].join(', '),
  ].join(': ');
}

export const lintDocument = ({ findings, rules, chains, textAt }: LintSubject): object => ({
  summary: {
    rules,
    chains,
    neverMatches: counted(findings, 'never-matches'),
    noEffect: counted(findings, 'no-effect'),
    unusedChains: counted(findings, 'unused-chain'),
    unreachedChains: counted(findings, 'unreached-chain'),
  },
  findings: findings.map(({ kind, because, at, by, more }) => ({
    kind,
    because,
    location: at,
    ...(at.line === undefined ? {} : { text: textAt(at.line) }),
    by,
    ...(more ? { more } : {}),
  })),
});
