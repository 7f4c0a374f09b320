/** The findings of a check, as text and as JSON. */
import type { Family } from '../address/address.ts';
import type { Deployment } from '../deployment/deployment.ts';
import type { CheckResult, Finding, Location } from '../judge/check.ts';
import type { Witness } from '../judge/judge.ts';
import type { Law } from '../invariant/law.ts';
import { printArrival, printPacket } from '../packet/notation.ts';
import type { Paint } from './paint.ts';
import { printable } from './printable.ts';
import { fateDocument, printJourney, stepDocument } from './trace.ts';

/** What a law comes to, of all its findings: the worst that any of them says. */
export type LawResult = 'ok' | 'FAIL' | 'warn' | 'undecided' | 'vacuous' | 'n/a';

export const lawResult = (findings: readonly Finding[]): LawResult => {
  const has = (result: Finding['result']): boolean => findings.some((finding) => finding.result === result);
  if (has('violated')) return findings[0]?.law.severity === 'warning' ? 'warn' : 'FAIL';
  if (has('undecided')) return 'undecided';
  if (has('holds')) return 'ok';
  return has('vacuous') ? 'vacuous' : 'n/a';
};

/** The findings of each law, in the order in which the laws were judged. */
export function byLaw(findings: readonly Finding[]): ReadonlyMap<Law, readonly Finding[]> {
  const laws = new Map<Law, Finding[]>();
  for (const finding of findings) {
    const known = laws.get(finding.law);
    if (known === undefined) laws.set(finding.law, [finding]);
    else known.push(finding);
  }
  return laws;
}

/** How a packet of a finding is shown again: the command for a shell. */
export type ShowAgain = (finding: Finding, packet: string) => string;

export interface CheckSubject {
  readonly deployment: Deployment;
  readonly showAgain: ShowAgain;
  /** The ruleset file of a host, for `file:line`. */
  readonly pathOf: (host: string, family: Family) => string;
  /** More than the three worst findings of a law. */
  readonly verbose: boolean;
}

const placeOf = ({ path, line, table, chain, rule }: Location): string => {
  const at = line === undefined ? path : `${path}:${line}`;
  const where = [table, chain, rule === undefined ? '' : typeof rule === 'number' ? `rule ${rule}` : rule];
  return printable(`${at} ${where.filter((part) => part !== undefined && part !== '').join(' ')}`.trim());
};

const strengthOf = (findings: readonly Finding[]): string => {
  const held = findings.filter(({ result }) => result === 'holds');
  const count = held.reduce((sum, finding) => sum + finding.count, 0);
  return held.some(({ strength }) => strength !== undefined) ? `tested ${count}` : '';
};

function lawLine(law: Law, findings: readonly Finding[], paint: Paint): string {
  const result = lawResult(findings);
  const colour = {
    ok: paint.good,
    FAIL: paint.bad,
    warn: paint.doubtful,
    undecided: paint.doubtful,
    vacuous: paint.dim,
    'n/a': paint.dim,
  }[result];
  const broken = findings.filter((finding) => finding.result === 'violated');
  const postures = [...new Set(broken.map((finding) => finding.posture).filter((posture) => posture !== undefined))];
  const note =
    result === 'ok'
      ? strengthOf(findings)
      : result === 'FAIL' || result === 'warn'
        ? `${broken.length === 1 ? '1 claim' : `${broken.length} claims`}${postures.length === 0 ? '' : `, ${postures.join(' and ')}`}`
        : printable(findings.find((finding) => finding.result !== 'holds')?.message ?? '');
  return `${colour(result.padEnd(9))} ${law.id.padEnd(38)} ${note}`.trimEnd();
}

const SHOWN = 3;

export function printCheck({ findings, unusedRules }: CheckResult, subject: CheckSubject, paint: Paint): string {
  const laws = byLaw(findings);
  const lines = [...laws].map(([law, own]) => lawLine(law, own, paint));
  const details = [...laws].filter(
    ([, own]) => ['FAIL', 'undecided'].includes(lawResult(own)) || (subject.verbose && lawResult(own) === 'warn'),
  );
  for (const [law, own] of details) {
    const bad = own.filter(({ result }) => result === 'violated' || result === 'undecided');
    lines.push('', paint.bold(law.id), `  ${law.statement}`);
    const known = law.knownFailures.find(
      ({ releases }) => releases === 'all' || releases.includes(subject.deployment.release),
    );
    if (known !== undefined)
      lines.push(paint.dim(`  known to fail in ${subject.deployment.release}: ${known.because}`));
    const shown = subject.verbose ? bad : bad.slice(0, SHOWN);
    for (const finding of shown) lines.push(...printFinding(finding, subject, paint));
    if (bad.length > shown.length) lines.push(`  ... and ${bad.length - shown.length} more (-v shows all)`);
  }
  if (unusedRules.length > 0) {
    lines.push(
      '',
      `${unusedRules.length} rules that no packet of any claim met${subject.verbose ? ':' : ' (-v lists them)'}`,
    );
    if (subject.verbose) lines.push(...unusedRules.map((location) => `  ${placeOf(location)}`));
  }
  lines.push('', summaryLine(laws, paint));
  return `${lines.join('\n')}\n`;
}

function printFinding(finding: Finding, subject: CheckSubject, paint: Paint): string[] {
  const { claim, host, posture, message, location, witness } = finding;
  const lines = [
    '',
    `  ${paint.bad('it is not so that')} ${printable(claim ?? '')}${host === undefined ? '' : ` (${host}${posture === undefined ? '' : `, ${posture}`})`}`,
  ];
  lines.push(`    ${printable(message)}`);
  if (location !== undefined) lines.push(`    at ${placeOf(location)}`);
  if (witness !== undefined) {
    lines.push(`    ${paint.bold(printArrival(witness.arrival))}`);
    for (const hop of witness.way.hops) {
      lines.push(`      on ${printable(hop.host)}:`);
      lines.push(...printJourney(hop.journey, subject.pathOf(hop.host, hop.journey.packet.family), paint, '        '));
    }
    for (const hop of witness.reply?.hops ?? []) {
      lines.push(`      the answer ${printPacket(hop.journey.packet)} on ${printable(hop.host)}:`);
      lines.push(...printJourney(hop.journey, subject.pathOf(hop.host, hop.journey.packet.family), paint, '        '));
    }
    lines.push(`    ${paint.dim(`again: ${subject.showAgain(finding, printArrival(witness.arrival))}`)}`);
  }
  return lines;
}

/** Laws by what they came to, in the words of the JSON summary. */
export function summaryOf(laws: ReadonlyMap<Law, readonly Finding[]>): Record<string, number> {
  const summary = { proved: 0, tested: 0, kernel: 0, violated: 0, undecided: 0, vacuous: 0, notApplicable: 0 };
  for (const own of laws.values()) {
    const result = lawResult(own);
    if (result === 'ok') summary.tested++;
    else if (result === 'FAIL' || result === 'warn') summary.violated++;
    else if (result === 'undecided') summary.undecided++;
    else if (result === 'vacuous') summary.vacuous++;
    else summary.notApplicable++;
  }
  return summary;
}

function summaryLine(laws: ReadonlyMap<Law, readonly Finding[]>, paint: Paint): string {
  const results = [...laws.values()].map(lawResult);
  const count = (result: LawResult): number => results.filter((candidate) => candidate === result).length;
  const parts = [`${laws.size} laws`, `${count('ok')} hold`];
  if (count('FAIL') > 0) parts.push(paint.bad(`${count('FAIL')} violated`));
  if (count('warn') > 0) parts.push(`${count('warn')} warnings`);
  if (count('undecided') > 0) parts.push(paint.doubtful(`${count('undecided')} undecided`));
  if (count('vacuous') > 0) parts.push(`${count('vacuous')} vacuous`);
  if (count('n/a') > 0) parts.push(`${count('n/a')} not applicable`);
  return parts.join(', ');
}

const witnessDocument = ({ arrival, way, reply }: Witness): object => ({
  packet: printArrival(arrival),
  trace: way.hops.map((hop) => ({
    host: hop.host,
    fate: fateDocument(hop.journey.fate),
    state: hop.journey.state,
    steps: hop.journey.steps.map(stepDocument),
  })),
  ...(reply === undefined
    ? {}
    : {
        reply: reply.hops.map((hop) => ({
          host: hop.host,
          packet: printPacket(hop.journey.packet),
          fate: fateDocument(hop.journey.fate),
          steps: hop.journey.steps.map(stepDocument),
        })),
      }),
});

export function checkDocument({ findings, unusedRules }: CheckResult): object {
  return {
    summary: summaryOf(byLaw(findings)),
    findings: findings.map((finding) => ({
      invariant: finding.law.id,
      severity: finding.law.severity,
      result: finding.result,
      ...(finding.strength === undefined ? {} : { strength: finding.strength }),
      count: finding.count,
      ...(finding.posture === undefined ? {} : { posture: finding.posture }),
      ...(finding.host === undefined ? {} : { host: finding.host }),
      ...(finding.claim === undefined ? {} : { claim: finding.claim }),
      ...(finding.location === undefined ? {} : { location: finding.location }),
      message: finding.message,
      ...(finding.witness === undefined ? {} : { witness: witnessDocument(finding.witness) }),
    })),
    unusedRules,
  };
}
