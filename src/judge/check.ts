/** Every law on one deployment and the rulesets of its hosts: findings. */
import type { Family } from '../address/address.ts';
import {
  POSTURES,
  type Breach,
  type Claim,
  type PacketsClaim,
  type Posture,
  type RulesetClaim,
} from '../claim/claim.ts';
import type { Deployment } from '../deployment/deployment.ts';
import { firstBy, keptFor } from '../deployment/kept.ts';
import type { Law, LawContext } from '../invariant/law.ts';
import type { Network } from '../network/network.ts';
import type { Way } from '../network/walk.ts';
import type { Step } from '../netfilter/journey.ts';
import type { Backend } from '../netfilter/skb.ts';
import { textsOf } from '../ruleset/lines.ts';
import { printMatch } from '../ruleset/print.ts';
import type { Hidden, Ruleset, TableName, Target } from '../ruleset/rule.ts';
import { aimOf, askedIn } from './aim.ts';
import { judgeClaim, lastHop, type Judgement, type JudgeSettings, type Witness } from './judge.ts';
import { withoutRule } from './mutation.ts';
import { MutantJudge } from './mutant-judge.ts';
import { nearMisses } from './near-miss.ts';
import { OWN_MISTAKE, type ProverOf } from './prove.ts';

export type FindingResult = 'holds' | 'violated' | 'undecided' | 'vacuous' | 'not-applicable';

export interface Finding {
  readonly law: Law;
  readonly result: FindingResult;
  /** `kernel`: on Linux itself (on-linux.ts). */
  readonly strength?: 'proved' | 'tested' | 'kernel';
  /** Packets tried. */
  readonly count: number;
  readonly posture?: Posture;
  readonly host?: string;
  /** The claim's sentence. */
  readonly claim?: string;
  readonly location?: Location;
  /** Rules of the chain that keeps the promise which would have matched but for one thing. */
  readonly nearly?: readonly Nearly[];
  /** Why the release is known to break it. */
  readonly known?: string;
  readonly message: string;
  readonly witness?: Witness;
  /** All packets that break the claim, in the SET notation. */
  readonly set?: string;
  /** Packets that Linux could not be asked about. */
  readonly notAsked?: number;
  /** What Linux says of the witness, where it was asked. */
  readonly linux?: { readonly word: 'confirmed' | 'not-confirmed' | 'not-asked'; readonly because: string };
}

/** A place in a ruleset. `line` and `rule` are absent where it is a chain that lacks something. */
export interface Location {
  readonly path: string;
  readonly line?: number;
  readonly table?: string;
  readonly chain?: string;
  readonly rule?: number | 'policy' | 'end';
}

export interface Nearly extends Location {
  /** What does not hold of the packet, as a rule has it: `-s 10.0.0.1/32`. */
  readonly but: string;
}

export interface CheckInput {
  readonly deployment: Deployment;
  readonly network: Network;
  /** The rulesets at hand, by host. What is missing is not judged. */
  readonly rulesets: ReadonlyMap<string, readonly Ruleset[]>;
  readonly laws: readonly Law[];
  readonly backend: Backend;
  /** Samples of each claim besides its proof; absent: only where there is no proof. */
  readonly runs?: number;
  readonly seed: number;
  /** Who proves. */
  readonly proverOf?: ProverOf;
  /** True when no time is left. */
  readonly expired?: () => boolean;
  /** Called before each law, with how many are done. */
  readonly progress?: (done: number, all: number, law: Law) => void;
}

export interface CheckResult {
  readonly findings: readonly Finding[];
  /**
   * Rules that no claim depends on: every claim that holds is proved to hold without any one of them. Of claims that are not proved, and of more than 1000 rules: rules that no sample met. Of what could not be asked
   * in time nothing is said. Found when it is called for: that proves claims again for every rule.
   */
  readonly unusedRules: () => readonly Location[];
}

export function checkLaws(input: CheckInput): CheckResult {
  const { deployment, network, rulesets, laws, backend } = input;
  const rules = [...rulesets].flatMap(([host, given]) =>
    given.flatMap((ruleset) => rulesOf(ruleset).map((rule) => ({ host, ruleset, ...rule }))),
  );
  const isExact = rules.length <= MOST_RULES;
  const judge = new MutantJudge(network, rulesets, {
    backend,
    remembers: isExact,
    ...(input.proverOf === undefined ? {} : { proverOf: input.proverOf }),
  });
  const met = new RulesMet();
  const seen = (way: Way): void => {
    met.add(way);
  };
  const aim = aimOf([...rulesets.values()].flat());
  const settings = { runs: input.runs ?? USUAL_RUNS, seed: input.seed, aim, asked: askedIn(rulesets) };
  const judges: Judges = { judge, settings, seen, isExact };
  const findings: Finding[] = [];
  laws.forEach((law, index) => {
    input.progress?.(index, laws.length, law);
    const applies = law.claims({ deployment, network });
    if (applies.kind === 'not-applicable') {
      findings.push({ law, result: 'not-applicable', count: 0, message: applies.because });
      return;
    }
    const ruleset = applies.claims.filter((claim) => claim.kind === 'ruleset');
    const packets = applies.claims.filter((claim) => claim.kind === 'packets');
    // A law may claim something of packets and of the text.
    const own = [
      ...(packets.length === 0 || ruleset.length > 0 ? rulesetFindings(law, ruleset, rulesets, judge) : []),
      ...(packets.length > 0 ? packetsFindings(law, packets, input, judges) : []),
    ];
    findings.push(...own.map((finding) => withKnown(finding, applies.claims, { deployment, network })));
  });
  const unusedRules = (): readonly Location[] =>
    rules
      .filter(
        ({ host, ruleset, table, chain, rule }) =>
          !met.has(host, ruleset.family, table, chain, rule) &&
          (!isExact || (input.expired?.() !== true && !judge.matters(host, withoutRule(ruleset, table, chain, rule)))),
      )
      .map(({ ruleset: { path }, table, chain, rule, line }) => ({ path, table, chain, rule, line }));
  return { findings, unusedRules };
}

/** Of more rules than these it is not proved which of them no claim depends on. */
const MOST_RULES = 1000;

/** With the reason why the release breaks the claim, where that is known. */
function withKnown(finding: Finding, claims: readonly Claim[], context: LawContext): Finding {
  if (finding.result !== 'violated') return finding;
  const claim = claims.find(({ says, host }) => says === finding.claim && host === finding.host);
  const known = finding.law.knownFailures.find(
    ({ releases, where }) =>
      claim !== undefined &&
      (releases === 'all' || releases.includes(context.deployment.release)) &&
      (where?.(claim, context) ?? true),
  );
  return known === undefined ? finding : { ...finding, known: known.because };
}

const rulesetOf = (rulesets: CheckInput['rulesets'], host: string, family: Family): Ruleset | undefined =>
  rulesets.get(host)?.find((candidate) => candidate.family === family);

function rulesetFindings(
  law: Law,
  claims: readonly RulesetClaim[],
  rulesets: CheckInput['rulesets'],
  judge: MutantJudge,
): Finding[] {
  let judged = 0;
  const violated: Finding[] = [];
  const undecided: Finding[] = [];
  for (const claim of claims) {
    const ruleset = rulesetOf(rulesets, claim.host, claim.family);
    if (ruleset === undefined) continue;
    judged++;
    for (const breach of judge.read(law, claim)) {
      const common = { law, count: 1, host: claim.host, claim: claim.says };
      const hidden = hiddenFrom(breach, ruleset);
      if (hidden === undefined)
        violated.push({
          ...common,
          result: 'violated',
          location: locationOfBreach(breach, ruleset),
          message: breach.message,
        });
      else
        undecided.push({
          ...common,
          result: 'undecided',
          location: { path: ruleset.path, line: hidden.line },
          message: hidden.because,
        });
    }
  }
  if (violated.length > 0) return violated;
  if (undecided.length > 0) return undecided.slice(0, 1);
  if (judged === 0) return [nothingToJudge(law, claims.length)];
  return [
    {
      law,
      result: 'holds',
      strength: 'proved',
      count: judged,
      message: `${judged} ${judged === 1 ? 'ruleset' : 'rulesets'} read`,
    },
  ];
}

/** Why a breach may only seem to be one: it is about a chain of which the text is known not to show all. */
function hiddenFrom({ table, chain }: Breach, ruleset: Ruleset): Hidden | undefined {
  const chains = [...ruleset.tables.values()].find(({ name }) => name === table)?.chains;
  const named = chains?.get(chain ?? '');
  if (named !== undefined) return named.hidden;
  return [...(chains?.values() ?? [])].find(({ hidden }) => hidden !== undefined)?.hidden;
}

const locationOfBreach = (breach: Breach, ruleset: Ruleset): Location => {
  const { table, chain, rule, line } = breach;
  return {
    path: ruleset.path,
    ...(table === undefined ? {} : { table }),
    ...(chain === undefined ? {} : { chain }),
    ...(rule === undefined ? {} : { rule }),
    ...(line === undefined ? {} : { line }),
  };
};

const nothingToJudge = (law: Law, claims: number): Finding => ({
  law,
  result: claims === 0 ? 'vacuous' : 'not-applicable',
  count: 0,
  message:
    claims === 0
      ? 'it claims nothing of this deployment'
      : 'no ruleset of the hosts and families that it speaks of was given',
});

function packetsFindings(law: Law, claims: readonly PacketsClaim[], input: CheckInput, judges: Judges): Finding[] {
  const given = claims.filter((claim) => rulesetOf(input.rulesets, claim.host, claim.family) !== undefined);
  if (given.length === 0) return [nothingToJudge(law, claims.length)];
  judges.judge.expect(given);
  return POSTURES.flatMap((posture) => {
    const judgements: Judgement[] = [];
    let late = false;
    for (const claim of given) {
      if (claim.postures !== undefined && !claim.postures.includes(posture)) continue;
      if (input.expired?.() === true) {
        late = true;
        break;
      }
      judgements.push(judged(law, claim, posture, judges, input.runs));
    }
    return postureFindings(law, posture, judgements, late, input.rulesets);
  });
}

interface Judges {
  readonly judge: MutantJudge;
  readonly settings: JudgeSettings;
  /** Told of the ways of samples from which it has to be seen which rules a claim has to do with. */
  readonly seen: (way: Way) => void;
  /** Which rules a claim depends on is proved. */
  readonly isExact: boolean;
}

/**
 * Proved where that can be; tried on samples where it cannot, or where somebody asks for it. Of a proof and samples that which says the worse is believed: what breaks a claim before what leaves it open, and
 * both before that it holds.
 */
function judged(
  law: Law,
  claim: PacketsClaim,
  posture: Posture,
  { judge, settings, seen, isExact }: Judges,
  runs: number | undefined,
): Judgement {
  const world = judge.world(posture);
  const proof = judge.prove(law, claim, posture);
  if ('kind' in proof) {
    const tested = judgeClaim(world, claim, posture, { ...settings, seen });
    return tested.result === 'holds' ? { ...tested, message: proof.because } : tested;
  }
  const { result } = proof;
  if (result === 'vacuous') return proof;
  // Closed policies end ways sooner and change nothing before that: the same samples meet no other rules there.
  const isFirst = posture === 'as-given' || claim.postures?.includes('as-given') === false;
  const isSeen = (!isExact && isFirst) || result === 'undecided';
  if (runs === undefined && !isSeen) return proof;
  const tested = judgeClaim(world, claim, posture, {
    ...settings,
    runs: runs ?? FEW_RUNS,
    ...(isSeen ? { seen } : {}),
  });
  if (runs === undefined || badness(tested.result) <= badness(result)) return proof;
  return result === 'holds'
    ? { ...tested, message: `${tested.message ?? ''}, though it is proved: ${OWN_MISTAKE}` }
    : tested;
}

const badness = (result: Judgement['result']): number => ['vacuous', 'holds', 'undecided', 'violated'].indexOf(result);

/** Samples of a claim that is not proved. */
const USUAL_RUNS = 50;
/** Samples of one of which the proof does not tell which rules it has to do with. */
const FEW_RUNS = 6;

function postureFindings(
  law: Law,
  posture: Posture,
  judgements: readonly Judgement[],
  late: boolean,
  rulesets: CheckInput['rulesets'],
): Finding[] {
  if (judgements.length === 0 && !late) return [];
  const count = judgements.reduce((sum, judgement) => sum + judgement.tested, 0);
  const shown = judgements.filter(({ result }) => result === 'violated' || result === 'undecided');
  if (shown.length > 0) {
    const violated = shown.some(({ result }) => result === 'violated');
    return shown
      .filter(({ result }) => !violated || result === 'violated')
      .map((judgement) => ({
        law,
        result: violated ? 'violated' : 'undecided',
        strength: judgement.strength,
        count: judgement.tested,
        posture,
        host: judgement.claim.host,
        claim: judgement.claim.says,
        message: judgement.message ?? '',
        ...(judgement.witness === undefined ? {} : { witness: judgement.witness }),
        ...(judgement.set === undefined ? {} : { set: judgement.set }),
        ...locationOf(judgement, rulesets),
        ...nearlyOf(judgement, rulesets),
      }));
  }
  if (late) return [{ law, result: 'undecided', count, posture, message: 'the time limit came first' }];
  if (judgements.every(({ result }) => result === 'vacuous'))
    return [
      { law, result: 'vacuous', count: 0, posture, message: 'the set of packets that it speaks of is empty here' },
    ];
  const unproved = judgements.filter(({ result, strength }) => result === 'holds' && strength === 'tested');
  const [first] = unproved;
  const claims = judgements.length === 1 ? '1 claim' : `${judgements.length} claims`;
  if (first === undefined)
    return [{ law, result: 'holds', strength: 'proved', count, posture, message: `${claims} proved` }];
  const message = `${count} packets tried; ${unproved.length} of ${claims} not proved: ${first.message ?? ''}`;
  return [{ law, result: 'holds', strength: 'tested', count, posture, claim: first.claim.says, message }];
}

/** What might have decided otherwise: a rule that lets through what should come through, one that stops what should not. */
function nearlyOf(
  { claim, witness, result }: Judgement,
  rulesets: CheckInput['rulesets'],
): { readonly nearly?: readonly Nearly[] } {
  const { chain: name, family, ending } = claim;
  if (result !== 'violated' || witness === undefined || name === undefined) return {};
  const shouldStop = ending.kind === 'never-reaches';
  const stops = (target: Target | undefined): boolean => target?.kind === 'DROP' || target?.kind === 'REJECT';
  const found = nearMisses(
    witness.reply ?? witness.way,
    name,
    (host) => rulesetOf(rulesets, host, family),
    (target) => stops(target) === shouldStop,
  );
  const nearly = found.map(({ host, rule, number, but }) => ({
    path: rulesetOf(rulesets, host, family)?.path ?? '',
    line: rule.line,
    ...name,
    rule: number,
    but: printMatch(but),
  }));
  return nearly.length === 0 ? {} : { nearly };
}

/** The rule that decided against the claim, or the chain that lacks one. */
function locationOf(judgement: Judgement, rulesets: CheckInput['rulesets']): { readonly location?: Location } {
  const { claim, witness } = judgement;
  if (witness === undefined) return {};
  const way = witness.reply ?? witness.way;
  const last = lastHop(way);
  const rulesetAt = (host: string | undefined): Ruleset | undefined =>
    rulesetOf(rulesets, host ?? claim.host, claim.family);
  const ruleset = rulesetAt(last?.host);
  const path = ruleset?.path ?? '';
  const line = witness.line ?? last?.journey.fate.line;
  const named = ruleset && line !== undefined ? rulesByLine(ruleset).get(line) : undefined;
  if (witness.line !== undefined && named !== undefined) {
    const { text, ...place } = named;
    return { location: { path, ...place } };
  }
  const step = decidingStep(last?.journey.steps ?? [], claim, line);
  if (step !== undefined)
    return {
      location: {
        path,
        table: step.table,
        chain: step.chain,
        rule: step.rule,
        ...(step.line === undefined ? {} : { line: step.line }),
      },
    };
  if (claim.chain === undefined || line !== undefined)
    return { location: { path, ...claim.chain, ...(line === undefined ? {} : { line }) } };
  const { table, chain } = claim.chain;
  const keeper = way.hops.findLast(({ host }) =>
    [...(rulesetAt(host)?.tables.values() ?? [])].some(
      ({ name, chains }) => name === table && (chains.get(chain)?.rules.length ?? 0) > 0,
    ),
  );
  return { location: { path: rulesetAt(keeper?.host)?.path ?? path, table, chain } };
}

/**
 * The step to blame: the rule of the chain where nova keeps the promise that left it to others; the rule that dropped it; a rule in that chain; else undefined where the claim names such a chain
 * and nothing in it matched, for then it is the chain that lacks a rule.
 */
function decidingStep(steps: readonly Step[], claim: PacketsClaim, line: number | undefined): Step | undefined {
  const dropped = steps.findLast((step) => line !== undefined && step.line === line);
  const own = steps.filter(({ table, chain }) => table === claim.chain?.table && chain === claim.chain.chain);
  const returned = own.findLast((step) => step.target === 'RETURN');
  if (dropped !== undefined) return own.includes(dropped) ? dropped : (returned ?? dropped);
  if (claim.chain !== undefined) return own.findLast((step) => step.rule !== 'policy');
  return steps.findLast((step) => step.rule !== 'policy' && isTerminal(step)) ?? steps.at(-1);
}

const isTerminal = (step: Step): boolean =>
  ['ACCEPT', 'DROP', 'REJECT', 'DNAT', 'SNAT', 'MASQUERADE', 'REDIRECT', 'NETMAP'].includes(step.target);

/** Which rules some sample met. */
class RulesMet {
  readonly #rules = new Set<string>();

  add(way: Way): void {
    for (const hop of way.hops)
      for (const step of hop.journey.steps)
        if (typeof step.rule === 'number')
          this.#rules.add(key(hop.host, hop.journey.packet.family, step.table, step.chain, step.rule));
  }

  has(...place: Parameters<typeof key>): boolean {
    return this.#rules.has(key(...place));
  }
}

const key = (host: string, family: Family, table: string, chain: string, rule: number): string =>
  `${host} ${family} ${table} ${chain} ${rule}`;

interface PlacedRule {
  readonly table: TableName;
  readonly chain: string;
  readonly rule: number;
  readonly line: number;
  readonly text: string;
}

const rulesByLine = keptFor((ruleset: Ruleset) => firstBy(rulesOf(ruleset), ({ line }) => line));

function rulesOf(ruleset: Ruleset): PlacedRule[] {
  const textAt = textsOf(ruleset);
  return [...ruleset.tables.values()].flatMap((table) =>
    [...table.chains.values()].flatMap((chain) =>
      chain.rules.map((rule, index) => ({
        table: table.name,
        chain: chain.name,
        rule: index + 1,
        line: rule.line,
        text: textAt(rule.line),
      })),
    ),
  );
}
