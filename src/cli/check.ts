/** `nfverdict check`: every law on a deployment, with the rulesets of its hosts or the reference's own. */
import type { Family } from '../address/address.ts';
import { assumptionsOf } from '../deployment/assumption.ts';
import type { Deployment } from '../deployment/deployment.ts';
import { networkOf } from '../deployment/world.ts';
import { nearest } from '../diagnostic/nearest.ts';
import { LAWS } from '../invariant/laws.ts';
import type { Law } from '../invariant/law.ts';
import { checkLaws, type CheckResult, type Finding } from '../judge/check.ts';
import type { Backend } from '../netfilter/skb.ts';
import { rulesetTextFor } from '../nova/ruleset.ts';
import { checkDocument, printCheck } from '../report/check.ts';
import { printDocument } from '../report/document.ts';
import { printable } from '../report/printable.ts';
import { readRuleset } from '../ruleset/parse.ts';
import { parseIpsets } from '../ruleset/ipset.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { answering, UsageError } from './failure.ts';
import { Inputs } from './input.ts';
import type { Io } from './io.ts';
import { TOOL, writeOutputs, type OutputOptions } from './output.ts';

export interface CheckOptions extends OutputOptions {
  /** `[HOST[/6]=]FILE` each; none: the reference's. */
  readonly rulesets: readonly string[];
  readonly deployment: string;
  /** Globs of law ids; none: all. */
  readonly invariants: readonly string[];
  readonly seed: number;
  readonly runs: number;
  /** Seconds. */
  readonly timeLimit?: number;
  readonly failOn: 'error' | 'warning';
  readonly backend: Backend;
  readonly sets?: string;
  readonly verbose: boolean;
  readonly quiet: boolean;
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number;
}

export const runCheck = (options: CheckOptions, io: Io): number =>
  answering(io, () => {
    const inputs = new Inputs(io);
    const deployment = inputs.deployment(options.deployment);
    const laws = chosenLaws(options.invariants);
    const given = options.rulesets.length > 0;
    const rulesets = given ? givenRulesets(options.rulesets, deployment, inputs) : referenceRulesets(deployment);
    const network = networkOf(deployment);
    const sets = options.sets === undefined ? undefined : parseIpsets(inputs.text(options.sets), options.sets);
    const started = options.now();
    const { timeLimit } = options;
    const result = checkLaws({
      deployment,
      network: sets === undefined ? network : { ...network, hosts: network.hosts.map((host) => ({ ...host, sets })) },
      rulesets,
      laws,
      backend: options.backend,
      runs: options.runs,
      seed: options.seed,
      ...(timeLimit === undefined ? {} : { expired: () => options.now() - started > timeLimit * 1000 }),
      ...(io.stderrIsTTY && !options.quiet ? { progress: progressLine(io) } : {}),
    });
    if (io.stderrIsTTY && !options.quiet) io.stderr('\r\u001b[K');
    const assumptions = [...assumptionsOf(deployment), ...notJudged(deployment, rulesets)];
    const pathOf = (host: string, family: Family): string =>
      rulesets.get(host)?.find((ruleset) => ruleset.family === family)?.path ?? '';
    writeOutputs(io, options, {
      text: (paint) =>
        (options.quiet
          ? ''
          : assumptions.map((sentence) => `${paint.dim(`assumed: ${printable(sentence)}`)}\n`).join('')) +
        (options.quiet ? '' : '\n') +
        printCheck(
          result,
          { deployment, verbose: options.verbose, pathOf, showAgain: showAgain(options, given, pathOf) },
          paint,
        ),
      json: () => printDocument('check', { tool: TOOL, inputs: inputs.list, assumptions }, checkDocument(result)),
    });
    return exitCode(result, options.failOn);
  });

const progressLine =
  (io: Io) =>
  (done: number, all: number, law: Law): void => {
    io.stderr(`\r\u001b[K${done}/${all} ${law.id}`);
  };

/** `*` stands for any text, also with slashes: `floating-ip/*`. */
function matchesGlob(id: string, glob: string): boolean {
  const parts = glob.split('*');
  const [start = ''] = parts;
  if (parts.length === 1) return id === glob;
  if (!id.startsWith(start)) return false;
  let at = start.length;
  for (const part of parts.slice(1, -1)) {
    const found = id.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  const end = parts.at(-1) ?? '';
  return id.length - end.length >= at && id.endsWith(end);
}

function chosenLaws(globs: readonly string[]): readonly Law[] {
  for (const glob of globs) {
    if (LAWS.some(({ id }) => matchesGlob(id, glob))) continue;
    const near = nearest(
      glob,
      LAWS.map(({ id }) => id),
    );
    throw new UsageError(
      `no law is called ${glob}${near === undefined ? '; `nfverdict invariants` lists them' : `: did you mean ${near}?`}`,
    );
  }
  return globs.length === 0 ? LAWS : LAWS.filter(({ id }) => globs.some((glob) => matchesGlob(id, glob)));
}

export function referenceRulesets(deployment: Deployment): Map<string, Ruleset[]> {
  return new Map(
    deployment.hosts.map((host) => {
      const families: readonly Family[] = host.flags.use_ipv6 ? [4, 6] : [4];
      return [
        host.name,
        families.map((family) =>
          readRuleset(rulesetTextFor(deployment, host, family), {
            path: `${host.name}${family === 6 ? '.v6' : ''}.rules`,
            family,
          }),
        ),
      ];
    }),
  );
}

function givenRulesets(words: readonly string[], deployment: Deployment, inputs: Inputs): Map<string, Ruleset[]> {
  const names = deployment.hosts.map((host) => host.name);
  const rulesets = new Map<string, Ruleset[]>();
  for (const word of words) {
    const named = /^([^=/]+)(?:\/([46]))?=(.*)$/s.exec(word);
    const [, givenName, givenFamily, givenPath] = named ?? [];
    const only = names.length === 1 ? names[0] : undefined;
    const host = givenName ?? only;
    if (host === undefined)
      throw new UsageError(`which host is ${word} of? write HOST=${word}, where HOST is one of ${names.join(', ')}`);
    if (!names.includes(host)) {
      const near = nearest(host, names);
      throw new UsageError(
        `there is no host ${host} in the deployment: ${near === undefined ? `there are ${names.join(', ')}` : `did you mean ${near}?`}`,
      );
    }
    const family = givenFamily === '6' ? 6 : 4;
    const own = rulesets.get(host) ?? [];
    if (own.some((ruleset) => ruleset.family === family))
      throw new UsageError(`${host} has two rulesets for IPv${family}; HOST/6=FILE is for ip6tables`);
    rulesets.set(host, [...own, inputs.ruleset(givenPath ?? word, family)]);
  }
  return rulesets;
}

/** Hosts and families without a ruleset: the report says that nothing is said of them. */
function notJudged(deployment: Deployment, rulesets: ReadonlyMap<string, readonly Ruleset[]>): string[] {
  return deployment.hosts.flatMap((host) => {
    const families: readonly Family[] = host.flags.use_ipv6 ? [4, 6] : [4];
    return families
      .filter((family) => !(rulesets.get(host.name) ?? []).some((ruleset) => ruleset.family === family))
      .map(
        (family) => `no ruleset of ${host.name} for IPv${family} was given: it is not judged, and filters nothing here`,
      );
  });
}

const quoted = (word: string): string => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

const showAgain =
  (options: CheckOptions, given: boolean, pathOf: (host: string, family: Family) => string) =>
  (finding: Finding, packet: string): string => {
    const { witness, posture, host = '' } = finding;
    const family = witness?.arrival.packet.family ?? 4;
    const deployment = quoted(options.deployment);
    const hardened = posture === 'hardened' ? ' --posture hardened' : '';
    const source = given
      ? `nfverdict trace ${quoted(pathOf(host, family))}`
      : `nfverdict generate ${deployment} --host ${quoted(host)}${family === 6 ? ' --family 6' : ''} | nfverdict trace -`;
    return `${source} ${quoted(packet)} -d ${deployment} --name ${quoted(host)}${hardened}`;
  };

function exitCode({ findings }: CheckResult, failOn: CheckOptions['failOn']): number {
  const counts = (finding: Finding): boolean => finding.law.severity === 'error' || failOn === 'warning';
  if (findings.some((finding) => finding.result === 'violated' && counts(finding))) return 1;
  return findings.some((finding) => finding.result === 'undecided') ? 3 : 0;
}
