/** The findings of a check, as text and as JSON. */
import type { Family } from '../address/address.ts';
import type { Deployment } from '../deployment/deployment.ts';
import type { CheckResult, Finding, Location } from '../judge/check.ts';
import type { Witness } from '../judge/judge.ts';
import type { Law } from '../invariant/law.ts';
import type { Journey } from '../netfilter/journey.ts';
import type { Hop, Way } from '../network/walk.ts';
import { printArrival, printPacket } from '../packet/notation.ts';
import type { Paint } from './paint.ts';
import type { Posture } from '../claim/claim.ts';
import { textsOf } from '../ruleset/lines.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { printable } from './printable.ts';
import { wrap } from './wrap.ts';
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

/** How a witness is shown again: the command for a shell. */
export type ShowAgain = (witness: Witness, posture: Posture) => string;

export interface CheckSubject {
  readonly deployment: Deployment;
  readonly showAgain: ShowAgain;
  /** The ruleset of a host, for `file:line` and the line itself; undefined where none is at hand. */
  readonly rulesetAt: (host: string, family: Family) => Ruleset | undefined;
  /** More than the three worst findings of a law. */
  readonly verbose: boolean;
}

const placeOf = ({ path, line, table, chain, rule }: Location): string => {
  const at = line === undefined ? path : `${path}:${line}`;
  const where = [table, chain, rule === undefined ? '' : typeof rule === 'number' ? `rule ${rule}` : rule];
  return printable(`${at} ${where.filter((part) => part !== undefined && part !== '').join(' ')}`.trim());
};

/** All that holds is proved. */
const isProved = (all: readonly Finding[]): boolean => {
  const findings = fromModel(all);
  return (
    findings.some(({ result }) => result === 'holds') &&
    findings.every(({ result, strength }) => result !== 'holds' || strength === 'proved')
  );
};

/** What the model has found, and what Linux has. */
const fromModel = (findings: readonly Finding[]): readonly Finding[] =>
  findings.filter(({ strength }) => strength !== 'kernel');
const fromLinux = (findings: readonly Finding[]): readonly Finding[] =>
  findings.filter(({ strength }) => strength === 'kernel');

/** `kernel 400`, with how many packets Linux could not be asked about; empty where it was not asked about this law. */
function kernelNote(findings: readonly Finding[]): string {
  const own = fromLinux(findings);
  const sum = (count: (finding: Finding) => number): number => own.reduce((total, one) => total + count(one), 0);
  const [asked, notAsked] = [sum(({ count }) => count), sum((finding) => finding.notAsked ?? 0)];
  if (asked + notAsked === 0) return '';
  return `, kernel ${asked}${notAsked === 0 ? '' : ` (${notAsked} not asked)`}`;
}

/** A law that holds, on Linux too. */
const holdsOnLinux = (findings: readonly Finding[]): boolean =>
  fromLinux(findings).some(({ result }) => result === 'holds');

const strengthOf = (all: readonly Finding[]): string => {
  const findings = fromModel(all);
  const held = findings.filter(({ result }) => result === 'holds');
  if (isProved(findings)) return 'proved';
  const count = held.reduce((sum, finding) => sum + finding.count, 0);
  return held.length === 0 ? '' : `tested ${count}`;
};

function lawLines(law: Law, findings: readonly Finding[], paint: Paint): string[] {
  const result = lawResult(findings);
  const colour = {
    ok: paint.good,
    FAIL: paint.bad,
    warn: paint.doubtful,
    undecided: paint.doubtful,
    vacuous: paint.dim,
    'n/a': paint.dim,
  }[result];
  const first = `${result.padEnd(9)} ${law.id.padEnd(38)} `;
  const lines = wrap(printable(noteOf(result, findings)), first);
  return lines.map((line, at) => (at === 0 ? `${colour(result.padEnd(9))}${line.slice(9)}` : line).trimEnd());
}

/** What is said of a law on its own line. */
function noteOf(result: LawResult, findings: readonly Finding[]): string {
  if (result === 'ok') return `${strengthOf(findings)}${kernelNote(findings)}`;
  if (result !== 'FAIL' && result !== 'warn')
    return findings.find((finding) => finding.result === result || finding.result !== 'holds')?.message ?? '';
  const broken = findings.filter((finding) => finding.result === 'violated');
  const postures = [...new Set(broken.map((finding) => finding.posture).filter((posture) => posture !== undefined))];
  const claims = new Set(broken.map(({ host, claim }) => `${host ?? ''} ${claim ?? ''}`)).size;
  const count = claims === 1 ? '1 claim is wrong' : `${claims} claims are wrong`;
  return postures.length === 0 ? count : `${count}, ${postures.join(' and ')}`;
}

const SHOWN = 3;

export function printCheck({ findings, ...result }: CheckResult, subject: CheckSubject, paint: Paint): string {
  const unusedRules = result.unusedRules();
  const laws = byLaw(findings);
  const lines = [...laws].flatMap(([law, own]) => lawLines(law, own, paint));
  const isShown = (result: LawResult): boolean =>
    result === 'FAIL' || result === 'undecided' || (subject.verbose && result === 'warn');
  const details = [...laws].filter(([, own]) => isShown(lawResult(own)));
  for (const [law, own] of details) {
    const bad = own.filter(
      ({ result, claim }) => result === 'violated' || (result === 'undecided' && claim !== undefined),
    );
    lines.push('', paint.bold(law.id), ...wrap(law.statement, '  '));
    for (const because of new Set(bad.flatMap(({ known }) => known ?? [])))
      lines.push(...wrap(`known to fail in ${subject.deployment.release}: ${because}`, '  ').map(paint.dim));
    const shown = subject.verbose ? bad : bad.slice(0, SHOWN);
    shown.forEach((finding, at) => lines.push(...printFinding(finding, shown[at - 1], subject, paint)));
    if (bad.length > shown.length) lines.push(`  ... and ${bad.length - shown.length} more (-v shows all)`);
  }
  if (unusedRules.length > 0) {
    lines.push(
      '',
      `${unusedRules.length === 1 ? '1 rule' : `${unusedRules.length} rules`} that no claim depends on${subject.verbose ? ':' : ' (-v lists them)'}`,
    );
    if (subject.verbose) lines.push(...unusedRules.map((location) => `  ${placeOf(location)}`));
  }
  if (!subject.verbose && [...laws.values()].some((own) => lawResult(own) === 'warn'))
    lines.push('', 'the warnings are explained with -v');
  lines.push('', summaryLine(laws, paint));
  return `${lines.join('\n')}\n`;
}

/** The sentence that is wrong is not said again where the finding before was of the same. */
function printFinding(finding: Finding, before: Finding | undefined, subject: CheckSubject, paint: Paint): string[] {
  const { claim, host, posture, message, location, witness } = finding;
  const wrong = finding.result === 'violated' ? 'it is not so that' : 'it is not known whether';
  const where = [host, posture].filter((part) => part !== undefined).join(', ');
  const sentence = `${wrong} ${printable(claim ?? '')}${where === '' ? '' : ` (${where})`}`;
  const isSame = before !== undefined && before.claim === claim && before.host === host && before.posture === posture;
  const lines = [
    ...(isSame
      ? []
      : [
          '',
          ...wrap(sentence, '  ', 4).map((line, at) =>
            at === 0 ? `  ${paint.bold(wrong)}${line.slice(2 + wrong.length)}` : line,
          ),
        ]),
    ...wrap(printable(message), '    '),
  ];
  if (finding.set !== undefined) lines.push(`    ${paint.dim('all of:')} ${printable(shortened(finding.set))}`);
  if (location !== undefined) lines.push(...printLocation(location, finding, subject));
  for (const { but, ...place } of finding.nearly ?? [])
    lines.push(`    nearly ${placeOf(place)}, but for ${printable(but)}`);
  if (witness !== undefined) {
    lines.push(`    ${paint.bold(printable(printArrival(witness.arrival)))}`);
    const { linux } = finding;
    if (linux !== undefined)
      lines.push(...wrap(`${LINUX_SAYS[linux.word]}: ${printable(linux.because)}`, '      ').map(paint.doubtful));
    const { model } = witness;
    if (model !== undefined) lines.push('      = both, - the model alone, + Linux alone');
    const journey = (hop: Hop, ours: Journey | undefined): string[] =>
      ours === undefined
        ? printJourney(hop.journey, pathAt(subject, hop), paint, '        ')
        : printJourney(ours, pathAt(subject, hop), paint, '        ', hop.journey);
    for (const [at, hop] of witness.way.hops.entries())
      lines.push(`      on ${printable(hop.host)}:`, ...journey(hop, model?.way[at]));
    for (const [at, hop] of (witness.reply?.hops ?? []).entries()) {
      const { smac, dmac, ...packet } = hop.journey.packet;
      lines.push(
        `      the answer ${printPacket(packet)} on ${printable(hop.host)}:`,
        ...journey(hop, model?.reply[at]),
      );
    }
    lines.push(`    ${paint.dim('again:')} ${printable(subject.showAgain(witness, posture ?? 'as-given'))}`);
  }
  return lines;
}

/** More than this of a set nobody reads on a screen; JSON has all of it. */
const LONGEST_SET = 400;

const shortened = (set: string): string => (set.length > LONGEST_SET ? `${set.slice(0, LONGEST_SET)} ...` : set);
const LINUX_SAYS: Readonly<Record<NonNullable<Finding['linux']>['word'], string>> = {
  confirmed: 'confirmed by Linux',
  'not-confirmed': 'not confirmed by Linux: the model differs',
  'not-asked': 'Linux was not asked',
};

const pathAt = ({ rulesetAt }: CheckSubject, { host, journey }: Hop): string =>
  rulesetAt(host, journey.packet.family)?.path ?? '';

/** At most so much of a line: a file may have very long ones. */
const LONGEST_LINE = 300;

/** The place to blame, and what stands there. */
function printLocation(location: Location, { witness, host }: Finding, subject: CheckSubject): string[] {
  const { path, line } = location;
  const family = witness?.arrival.packet.family ?? 4;
  const hosts = [...(witness?.reply?.hops ?? []), ...(witness?.way.hops ?? [])].map((hop) => hop.host);
  const ruleset = [...hosts, host ?? '']
    .flatMap((name) => [subject.rulesetAt(name, family), subject.rulesetAt(name, 6)])
    .find((candidate) => candidate?.path === path);
  const text = line === undefined ? undefined : ruleset && textsOf(ruleset)(line).slice(0, LONGEST_LINE);
  const lacking =
    witness !== undefined && location.rule === undefined && location.chain !== undefined
      ? ' (no rule of it applies)'
      : '';
  return [
    `    at ${placeOf(location)}${line === undefined ? lacking : ''}`,
    ...(text === undefined ? [] : [`       ${printable(text)}`]),
  ];
}

/** Laws by what they came to, in the words of the JSON summary. */
export function summaryOf(laws: ReadonlyMap<Law, readonly Finding[]>): Record<string, number> {
  const summary = { proved: 0, tested: 0, kernel: 0, violated: 0, undecided: 0, vacuous: 0, notApplicable: 0 };
  for (const own of laws.values()) {
    const result = lawResult(own);
    if (result === 'ok' && holdsOnLinux(own)) summary.kernel++;
    if (result === 'ok') summary[isProved(own) ? 'proved' : 'tested']++;
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
  const parts = [
    laws.size === 1 ? '1 law' : `${laws.size} laws`,
    count('ok') === 1 ? '1 holds' : `${count('ok')} hold`,
  ];
  const proved = [...laws.values()].filter((own) => lawResult(own) === 'ok' && isProved(own)).length;
  if (proved < count('ok')) parts.push(`${proved} of them proved`);
  else if (proved > 0) parts[1] = `${parts[1] ?? ''}, proved for every packet`;
  const onLinux = [...laws.values()].filter((own) => lawResult(own) === 'ok' && holdsOnLinux(own)).length;
  if (onLinux > 0) parts.push(`${onLinux} on Linux too`);
  if (count('FAIL') > 0) parts.push(paint.bad(`${count('FAIL')} violated`));
  if (count('warn') > 0) parts.push(count('warn') === 1 ? '1 warning' : `${count('warn')} warnings`);
  if (count('undecided') > 0) parts.push(paint.doubtful(`${count('undecided')} undecided`));
  if (count('vacuous') > 0) parts.push(`${count('vacuous')} vacuous`);
  if (count('n/a') > 0) parts.push(`${count('n/a')} not applicable`);
  return parts.join(', ');
}

const hopDocument = (host: string, { fate, state, steps }: Journey): object => ({
  host,
  fate: fateDocument(fate),
  state,
  steps: steps.map(stepDocument),
});

const replyDocument = (host: string, journey: Journey): object => ({
  host,
  packet: printPacket(journey.packet),
  fate: fateDocument(journey.fate),
  steps: journey.steps.map(stepDocument),
});

function witnessDocument({ arrival, way, reply, model }: Witness): object {
  const hops = (of: (host: string, journey: Journey) => object, own: Way, journeys?: readonly Journey[]): object[] =>
    own.hops.map(({ host, journey }, at) => of(host, journeys?.[at] ?? journey));
  return {
    packet: printArrival(arrival),
    trace: hops(hopDocument, way),
    ...(reply === undefined ? {} : { reply: hops(replyDocument, reply) }),
    ...(model === undefined
      ? {}
      : {
          model: {
            trace: hops(hopDocument, way, model.way),
            ...(reply === undefined ? {} : { reply: hops(replyDocument, reply, model.reply) }),
          },
        }),
  };
}

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
      ...(finding.nearly === undefined ? {} : { nearly: finding.nearly }),
      ...(finding.known === undefined ? {} : { known: finding.known }),
      message: finding.message,
      ...(finding.set === undefined ? {} : { set: finding.set }),
      ...(finding.notAsked === undefined ? {} : { notAsked: finding.notAsked }),
      ...(finding.linux === undefined ? {} : { kernel: finding.linux }),
      ...(finding.witness === undefined ? {} : { witness: witnessDocument(finding.witness) }),
    })),
    unusedRules: unusedRules(),
  };
}
