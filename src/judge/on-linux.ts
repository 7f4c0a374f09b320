/**
 * The claims of laws on Linux itself: the samples on which the netfilter judge tries them, sent through namespaces with the hosts' rules, and judged by where Linux lets them come.
 * What the netfilter judge holds for violated is replayed there.
 */
import { POSTURES, type PacketsClaim, type Posture } from '../claim/claim.ts';
import type { LinuxWay, LinuxWorld, NotAsked } from '../kernel/linux-world.ts';
import { answerFrom } from '../network/walk.ts';
import { cornerPackets } from '../packet/corner.ts';
import { printArrival } from '../packet/notation.ts';
import { isIcmp, type Arrival } from '../packet/packet.ts';
import { aimOf, askedIn, spread } from './aim.ts';
import type { CheckInput, CheckResult, Finding } from './check.ts';
import { endpointsOf, judgeEnding, mirrored, type Outcome } from './ending.ts';
import { arrivalOf, openable, samplesOf, type JudgeSettings, type Witness } from './judge.ts';

/** What Linux makes of one packet of a claim. */
export interface Tried {
  readonly outcome: Outcome;
  readonly way: LinuxWay;
  readonly reply?: LinuxWay;
  /** What the model does otherwise on some host, the first of it. */
  readonly difference?: string;
}

/** Tries one packet of a claim on hosts that have seen nothing. */
export function tryOnLinux(world: LinuxWorld, claim: PacketsClaim, arrival: Arrival): Tried | NotAsked {
  world.flush();
  const way = world.send(claim.host, arrival);
  if ('notAsked' in way) return way;
  const original = endpointsOf(arrival.packet);
  const outcome = judgeEnding(way, claim.ending, original);
  if (outcome.kind !== 'as-claimed' || claim.reply === undefined || outcome.reached === undefined)
    return { outcome, way, ...differenceIn(way) };
  const answered = answerFrom(world.network, outcome.reached);
  const reply = answered && world.send(answered.host, answered.arrival);
  if (reply === undefined || 'notAsked' in reply) return { outcome, way, ...differenceIn(way) };
  const replied = judgeEnding(reply, claim.reply, mirrored(original, isIcmp(arrival.packet)));
  const said = replied.kind === 'otherwise' ? { ...replied, because: `of the answer: ${replied.because}` } : replied;
  return { outcome: said, way, reply, ...differenceIn(way, reply) };
}

function differenceIn(...ways: readonly LinuxWay[]): { readonly difference?: string } {
  const [first] = ways.flatMap(({ hops }) => hops.filter((hop) => hop.difference !== undefined));
  if (first?.difference === undefined) return {};
  const { what, model, kernel } = first.difference;
  const at = model.findIndex((line, index) => line !== kernel[index]);
  const place = at < 0 ? model.length : at;
  const sides = `the model has ${model[place] ?? 'nothing'}, Linux ${kernel[place] ?? 'nothing'}`;
  return { difference: `in ${what} on ${first.host} ${sides}` };
}

/** Samples of each claim where nobody has said how many: a packet costs Linux ten times what it costs the model. */
const USUAL_RUNS = 10;

/** The worlds of both postures, made when they are needed. */
export type LinuxWorlds = (posture: Posture) => LinuxWorld;

/** What was found on Linux of one claim in one posture. */
interface Judged {
  readonly claim: PacketsClaim;
  readonly asked: number;
  /** How many packets could not be asked about, and why the first of them. */
  readonly notAsked: number;
  readonly because?: string;
  /** Linux breaks the claim, or does otherwise than the model. */
  readonly bad?: { readonly kind: 'broken' | 'differs'; readonly message: string; readonly witness: Witness };
}

interface LinuxSettings extends JudgeSettings {
  readonly most?: number;
}

/** What a claim is challenged by: the samples on which the netfilter judge tries it, and the corners of what is proved. */
function challengesOf(claim: PacketsClaim, { most, ...settings }: LinuxSettings): readonly Arrival[] {
  const arrivals = new Map<string, Arrival>();
  const corners = cornerPackets(openable(claim)).map((packet) => arrivalOf(claim, packet));
  for (const arrival of [...(samplesOf(claim, settings) ?? []), ...corners])
    arrivals.set(printArrival(arrival), arrival);
  return spread([...arrivals.values()], most);
}

function judgeOnLinux(world: LinuxWorld, claim: PacketsClaim, settings: LinuxSettings): Judged {
  let [asked, notAsked] = [0, 0];
  let because: string | undefined;
  let bad: Judged['bad'];
  for (const arrival of challengesOf(claim, settings)) {
    const tried = tryOnLinux(world, claim, arrival);
    if ('notAsked' in tried) {
      notAsked++;
      because ??= tried.notAsked;
      continue;
    }
    asked++;
    const { outcome, way, reply, difference } = tried;
    const model = { way: way.hops.map((hop) => hop.model), reply: reply?.hops.map((hop) => hop.model) ?? [] };
    const witness: Witness = { arrival, way, model, ...(reply === undefined ? {} : { reply }) };
    if (outcome.kind === 'otherwise') {
      bad = { kind: 'broken', message: outcome.because, witness };
      break;
    }
    if (difference !== undefined) bad ??= { kind: 'differs', message: difference, witness };
  }
  return {
    claim,
    asked,
    notAsked,
    ...(because === undefined ? {} : { because }),
    ...(bad === undefined ? {} : { bad }),
  };
}

export interface LinuxInput extends CheckInput {
  /** At most so many packets of each claim, from all over its samples and corners. Absent: all of them. */
  readonly most?: number;
}

/**
 * The findings of `result`, each violated one with what Linux says of its witness, and behind those of each law what Linux itself has found: a claim that holds there as well
 * (`kernel`), one that Linux breaks though the model says that it holds, and packets on which the two differ.
 */
export function checkOnLinux(input: LinuxInput, result: CheckResult, worlds: LinuxWorlds): CheckResult {
  const { deployment, network, laws, rulesets, runs = USUAL_RUNS, seed, most } = input;
  const settings: LinuxSettings = {
    runs,
    seed,
    aim: aimOf([...rulesets.values()].flat()),
    asked: askedIn(rulesets),
    ...(most === undefined ? {} : { most }),
  };
  const findings = laws.flatMap((law, index): Finding[] => {
    input.progress?.(index, laws.length, law);
    const own = result.findings.filter((finding) => finding.law === law);
    const applies = law.claims({ deployment, network });
    if (applies.kind === 'not-applicable') return own;
    const claims = applies.claims.filter(
      (claim): claim is PacketsClaim => claim.kind === 'packets' && isGiven(input, claim),
    );
    const replayed = own.map((finding) => withReplay(finding, claims, worlds));
    return [
      ...replayed,
      ...POSTURES.flatMap((posture) => postureOnLinux({ law, claims, posture, own, settings }, worlds, input.expired)),
    ];
  });
  return { ...result, findings };
}

const isGiven = ({ rulesets }: CheckInput, { host, family }: PacketsClaim): boolean =>
  rulesets.get(host)?.some((ruleset) => ruleset.family === family) === true;

/** A violated finding, with what Linux makes of its witness. */
function withReplay(finding: Finding, claims: readonly PacketsClaim[], worlds: LinuxWorlds): Finding {
  const { witness, posture } = finding;
  const claim = claims.find(({ says, host }) => says === finding.claim && host === finding.host);
  if (finding.result !== 'violated' || witness === undefined || posture === undefined || claim === undefined)
    return finding;
  const tried = tryOnLinux(worlds(posture), claim, witness.arrival);
  if ('notAsked' in tried) return { ...finding, linux: { word: 'not-asked', because: tried.notAsked } };
  const { outcome, difference } = tried;
  if (outcome.kind === 'otherwise')
    return {
      ...finding,
      linux: {
        word: 'confirmed',
        because: difference === undefined ? outcome.because : `${outcome.because}; but ${difference}`,
      },
    };
  return { ...finding, linux: { word: 'not-confirmed', because: difference ?? 'on Linux it ends as claimed' } };
}

interface OneLaw {
  readonly law: Finding['law'];
  readonly claims: readonly PacketsClaim[];
  readonly posture: Posture;
  /** What the model has found. */
  readonly own: readonly Finding[];
  readonly settings: LinuxSettings;
}

function postureOnLinux(
  { law, claims, posture, own, settings }: OneLaw,
  worlds: LinuxWorlds,
  expired: CheckInput['expired'],
): Finding[] {
  const judged: Judged[] = [];
  let late = false;
  for (const claim of claims) {
    if (claim.postures !== undefined && !claim.postures.includes(posture)) continue;
    if (expired?.() === true) {
      late = true;
      break;
    }
    judged.push(judgeOnLinux(worlds(posture), claim, settings));
  }
  const asked = judged.reduce((sum, one) => sum + one.asked, 0);
  const notAsked = judged.reduce((sum, one) => sum + one.notAsked, 0);
  const because = judged.find((one) => one.because !== undefined)?.because;
  if (judged.every((one) => one.asked + one.notAsked === 0) && !late) return [];
  const common = { law, strength: 'kernel', posture } as const;
  const isKnown = ({ says, host }: PacketsClaim): boolean =>
    own.some(
      (finding) =>
        finding.result === 'violated' && finding.posture === posture && finding.claim === says && finding.host === host,
    );
  const bad = judged.flatMap(({ claim, asked: count, bad: found }): Finding[] => {
    if (found === undefined || (found.kind === 'broken' && isKnown(claim))) return [];
    const { kind, message, witness } = found;
    const about = { ...common, count, host: claim.host, claim: claim.says, witness };
    return kind === 'broken'
      ? [
          {
            ...about,
            result: 'violated',
            message: `on Linux ${message}; the model does not find that: model and Linux differ`,
          },
        ]
      : [{ ...about, result: 'undecided', message: `model and Linux differ: ${message}` }];
  });
  if (bad.length > 0) return bad;
  if (late) return [{ ...common, result: 'undecided', count: asked, message: 'the time limit came first on Linux' }];
  const left = notAsked === 0 ? '' : `; ${notAsked} not asked: ${because ?? ''}`;
  // Where the model finds violations Linux has been asked about them.
  if (judged.some(({ claim }) => isKnown(claim))) return [];
  return [
    {
      ...common,
      result: asked === 0 ? 'not-applicable' : 'holds',
      count: asked,
      ...(notAsked === 0 ? {} : { notAsked }),
      message: `${asked} packets tried on Linux${left}`,
    },
  ];
}
