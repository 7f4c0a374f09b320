/** `nfverdict check`: every law on a deployment, with the rulesets of its hosts or the reference's own. */
import type { Family } from '../address/address.ts';
import { assumptionsOf } from '../deployment/assumption.ts';
import { standIns } from '../invariant/vocabulary/addresses.ts';
import type { Deployment } from '../deployment/deployment.ts';
import { networkOf } from '../deployment/world.ts';
import { nearest } from '../diagnostic/nearest.ts';
import { LAWS } from '../invariant/laws.ts';
import type { Law } from '../invariant/law.ts';
import { checkLaws, type CheckInput, type CheckResult, type Finding } from '../judge/check.ts';
import { hardenedRuleset } from '../judge/hardened.ts';
import { checkOnLinux, type LinuxWorlds } from '../judge/on-linux.ts';
import type { LinuxWorld } from '../kernel/linux-world.ts';
import type { Posture } from '../claim/claim.ts';
import type { Witness } from '../judge/judge.ts';
import type { Backend } from '../netfilter/skb.ts';
import { printArrival } from '../packet/notation.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { checkDocument, printCheck } from '../report/check.ts';
import { printDocument } from '../report/document.ts';
import { parseIpsets } from '../ruleset/ipset.ts';
import { answering, UsageError } from './failure.ts';
import { WorldInputs } from './world-input.ts';
import type { Io } from './io.ts';
import { withLinux, type Linux } from './linux.ts';
import { printAssumptions, TOOL, writeOutputs, type OutputOptions } from './output.ts';
import { shellWord } from './shell-word.ts';
import { givenRulesets, referenceRulesets, rulesetAssumptions, type Rulesets } from './ruleset-words.ts';

export interface CheckOptions extends OutputOptions {
  /** `[HOST[/6]=]FILE` each; none: the reference's. */
  readonly rulesets: readonly string[];
  readonly deployment: string;
  /** Globs of law ids; none: all. */
  readonly invariants: readonly string[];
  readonly seed: number;
  /** Samples of each claim besides its proof. */
  readonly runs?: number;
  /** Seconds. */
  readonly timeLimit?: number;
  readonly failOn: 'error' | 'warning';
  readonly backend: Backend;
  readonly sets?: string;
  /** The claims are tested on Linux as well. */
  readonly kernel: boolean;
  readonly verbose: boolean;
  readonly quiet: boolean;
  /** Milliseconds of a clock that only goes forward. */
  readonly now: () => number;
}

export const runCheck = (options: CheckOptions, io: Io): number =>
  answering(io, () => {
    const inputs = new WorldInputs(io, options.backend);
    const deployment = inputs.deployment(options.deployment);
    const laws = chosenLaws(options.invariants);
    const names = deployment.hosts.map((host) => host.name);
    const rulesets =
      options.rulesets.length > 0 ? givenRulesets(options.rulesets, names, inputs) : referenceRulesets(deployment);
    const { byHost } = rulesets;
    const network = networkOf(deployment);
    const sets =
      options.sets === undefined
        ? undefined
        : parseIpsets(inputs.text(options.sets), options.sets === '-' ? 'stdin' : options.sets);
    let version: string | undefined;
    const started = options.now();
    const { timeLimit } = options;
    const input: CheckInput = {
      deployment,
      network: sets === undefined ? network : { ...network, hosts: network.hosts.map((host) => ({ ...host, sets })) },
      rulesets: byHost,
      laws,
      backend: options.backend,
      ...(options.runs === undefined ? {} : { runs: options.runs }),
      seed: options.seed,
      ...(timeLimit === undefined ? {} : { expired: () => options.now() - started > timeLimit * 1000 }),
      ...(io.stderrIsTTY && !options.quiet ? { progress: progressLine(io) } : {}),
    };
    const checked = checkLaws(input);
    const result = options.kernel
      ? withLinux(options.backend, (linux) => {
          version = `Linux ${linux.version.kernel} with ${linux.version.iptables} was asked as well`;
          return checkOnLinux(input, checked, linuxWorlds(input, linux));
        })
      : checked;
    if (io.stderrIsTTY && !options.quiet) io.stderr('\r\u001b[K');
    const assumptions = [
      ...assumptionsOf(deployment),
      ...standIns(deployment),
      ...rulesetAssumptions(rulesets),
      ...notJudged(deployment, rulesets),
      ...(version === undefined ? [] : [version]),
    ];
    const rulesetAt = (host: string, family: Family): Ruleset | undefined =>
      byHost.get(host)?.find((ruleset) => ruleset.family === family);
    writeOutputs(io, options, {
      text: (paint) =>
        (options.quiet ? '' : printAssumptions(assumptions, paint)) +
        printCheck(
          result,
          {
            deployment,
            verbose: options.verbose,
            rulesetAt,
            showAgain: showAgain(io.command ?? 'nfverdict', options, rulesets, names.length > 1),
          },
          paint,
        ),
      json: () => printDocument('check', { tool: TOOL, inputs: inputs.list, assumptions }, checkDocument(result)),
    });
    return exitCode(result, options.failOn);
  });

/** The same hosts twice, in the posture of the rules as given and in the hardened one: each is made once. */
function linuxWorlds({ network, rulesets }: CheckInput, linux: Linux): LinuxWorlds {
  const made = new Map<Posture, LinuxWorld>();
  return (posture) => {
    const known = made.get(posture);
    if (known !== undefined) return known;
    const postured =
      posture === 'as-given' ? rulesets : new Map([...rulesets].map(([host, own]) => [host, own.map(hardenedRuleset)]));
    const world = linux.world({ network, rulesets: postured, variant: posture });
    made.set(posture, world);
    return world;
  };
}

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

/** Hosts and families without a ruleset: the report says that nothing is said of them. */
function notJudged(deployment: Deployment, { byHost }: Rulesets): string[] {
  return deployment.hosts.flatMap((host) => {
    const families: readonly Family[] = host.flags.use_ipv6 ? [4, 6] : [4];
    return families
      .filter((family) => !(byHost.get(host.name) ?? []).some((ruleset) => ruleset.family === family))
      .map(
        (family) => `no ruleset of ${host.name} for IPv${family} was given: it is not judged, and filters nothing here`,
      );
  });
}

/** The command that shows a packet again, to be pasted: with the rulesets of the hosts that it met, if they were given. */
const showAgain =
  (command: string, options: CheckOptions, { given }: Rulesets, several: boolean) =>
  ({ arrival, way, reply }: Witness, posture: Posture): string => {
    const { family } = arrival.packet;
    const met = new Set([...way.hops, ...(reply?.hops ?? [])].map(({ host }) => host));
    const rulesets = given
      .filter(({ host, ruleset }) => met.has(host) && ruleset.family === family)
      .map(({ host, file }) => (several ? `${host}${family === 6 ? '/6' : ''}=${file}` : file));
    const entry = several ? { ...arrival.entry, host: way.hops[0]?.host ?? '' } : { ...arrival.entry };
    return [
      `${command} trace`,
      ...rulesets.map(shellWord),
      shellWord(printArrival({ ...arrival, entry })),
      `-d ${shellWord(options.deployment)}`,
      ...(posture === 'hardened' ? ['--posture hardened'] : []),
      ...(options.backend === 'nft' ? [] : [`--backend ${options.backend}`]),
      ...(options.sets === undefined ? [] : [`--sets ${shellWord(options.sets)}`]),
      ...(options.kernel ? ['--kernel'] : []),
    ].join(' ');
  };

function exitCode({ findings }: CheckResult, failOn: CheckOptions['failOn']): number {
  const counts = (finding: Finding): boolean => finding.law.severity === 'error' || failOn === 'warning';
  if (findings.some((finding) => finding.result === 'violated' && counts(finding))) return 1;
  return findings.some((finding) => finding.result === 'undecided') ? 3 : 0;
}
