/**
 * The netfilter judge: a claim about packets is tested on samples of its set, each sent through a network that has seen nothing yet.
 *
 * A claim is taken as it stands, by other judges too; this one finds the sample to show: the least packet of the set goes first, so a claim that is altogether wrong is shown
 * by the packet that a person would have tried.
 */
import type { Address, Family } from '../address/address.ts';
import type { PacketsClaim, Posture } from '../claim/claim.ts';
import { answer, freshWorld, send, type Hop, type Way, type World } from '../network/walk.ts';
import type { Journey } from '../netfilter/journey.ts';
import { ACK, PSH, SYN, isIcmp, type Arrival, type Entry } from '../packet/packet.ts';
import { intersectSets, isEmptySet, setOf, setsOverlap, type PacketSet } from '../packet/pattern.ts';
import { leastPacket, samplerOf, type Aim } from '../packet/sample.ts';
import { endpointsOf, judgeEnding, mirrored, type Outcome } from './ending.ts';
import { hashText, randomFrom } from './random.ts';

export interface JudgeSettings {
  /** Samples of each claim. */
  readonly runs: number;
  readonly seed: number;
  /** Worth trying in every claim: what the rulesets name. */
  readonly aim?: Pick<Aim, 'addresses' | 'ports'>;
  /** What the rules of the chain that keeps a claim's promise ask for, rule by rule: a rule that matches what it should not shows only in packets that have all of it at once. */
  readonly asked?: (claim: PacketsClaim) => readonly PacketSet[];
  /** Called with each way that a sample took, to see which rules were used. */
  readonly seen?: (way: Way) => void;
}

export interface Judgement {
  readonly claim: PacketsClaim;
  readonly posture: Posture;
  readonly result: 'holds' | 'violated' | 'undecided' | 'vacuous';
  /** `proved`: it is so of every packet of the claim's set, or of the witness. */
  readonly strength: 'proved' | 'tested';
  /** How many packets were tried. */
  readonly tested: number;
  /** All packets that break the claim, in the SET notation, where that is known. */
  readonly set?: string;
  /** What is wrong or unknown, and the packet that shows it. */
  readonly message?: string;
  readonly witness?: Witness;
}

export interface Witness {
  readonly arrival: Arrival;
  readonly way: Way;
  /** The answer's way, where the answer is what is wrong. */
  readonly reply?: Way;
  /** Where `way` and `reply` are what Linux did: what the model makes of the same packets, host by host. */
  readonly model?: { readonly way: readonly Journey[]; readonly reply: readonly Journey[] };
  /** The rule that was unknown, where that is what is wrong. */
  readonly line?: number;
}

export const entryOf = (claim: PacketsClaim): Entry =>
  claim.entry.kind === 'local' ? { kind: 'local' } : { kind: 'in', interface: claim.entry.interface };

/** Where something went wrong: the hop at which a way ended. */
export const lastHop = (way: Way): Hop | undefined => way.hops.at(-1);

/** NEW is what the first packet of a flow is anyway; every other state has to be asserted. */
export const arrivalOf = (claim: PacketsClaim, packet: Arrival['packet']): Arrival => ({
  packet,
  entry: entryOf(claim),
  ...(claim.state === 'NEW' ? {} : { state: claim.state }),
});

/** Tests one packet of a claim in a world that has seen nothing. */
export function tryPacket(
  world: World,
  claim: PacketsClaim,
  arrival: Arrival,
  seen?: (way: Way) => void,
): { readonly outcome: Outcome; readonly way: Way; readonly reply?: Way } {
  const fresh = freshWorld(world);
  const way = send(fresh, claim.host, arrival);
  seen?.(way);
  const original = endpointsOf(arrival.packet);
  const outcome = judgeEnding(way, claim.ending, original);
  if (outcome.kind !== 'as-claimed' || claim.reply === undefined || outcome.reached === undefined)
    return { outcome, way };
  const reply = answer(fresh, outcome.reached);
  if (reply === undefined) return { outcome, way };
  seen?.(reply);
  const replied = judgeEnding(reply, claim.reply, mirrored(original, isIcmp(arrival.packet)));
  return replied.kind === 'otherwise'
    ? { outcome: { ...replied, because: `of the answer: ${replied.because}` }, way, reply }
    : { outcome: replied, way, reply };
}

const NOTHING: readonly Address[] = [];

const joined = new WeakMap<readonly Address[], WeakMap<readonly Address[], readonly Address[]>>();

/** Two lists as one. Kept, for claims share them. */
function together(one: readonly Address[], other: readonly Address[]): readonly Address[] {
  const ofOne = joined.get(one) ?? new WeakMap<readonly Address[], readonly Address[]>();
  joined.set(one, ofOne);
  const both = ofOne.get(other) ?? [...one, ...other];
  ofOne.set(other, both);
  return both;
}

/** One sample in so many is what one of the rules asks for. */
const ASKED_EVERY = 3;

/** The packets on which a claim is tried, the least of its set first: the same ones by every judge. Undefined where there are none. */
export function samplesOf(
  claim: PacketsClaim,
  settings: Pick<JudgeSettings, 'runs' | 'seed' | 'aim' | 'asked'>,
): Iterable<Arrival> | undefined {
  const { runs, seed, aim } = settings;
  const near: Aim = {
    addresses: together(claim.near?.addresses ?? NOTHING, aim?.addresses ?? NOTHING),
    ports: together(claim.near?.ports ?? NOTHING, aim?.ports ?? NOTHING) as readonly number[],
    entries: [entryOf(claim)],
  };
  const set = openable(claim);
  const sampler = samplerOf(set, near);
  if (isEmptySet(set) || sampler === undefined) return undefined;
  const random = randomFrom(seed ^ hashText(`${claim.host} ${claim.says}`));
  const rules = runs < ASKED_EVERY ? [] : (settings.asked?.(claim) ?? []);
  const first = random();
  // The next rule, from one on, that asks for some of the claim's packets.
  const asked = (turn: number): ReturnType<typeof samplerOf> => {
    for (let step = 0; step < rules.length; step++) {
      const rule = rules[(first + turn + step) % rules.length] ?? { boxes: [] };
      const found = setsOverlap(set, rule) ? samplerOf(intersectSets(set, rule), near) : undefined;
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const least = leastPacket(set, near);
  return (function* () {
    for (let tested = 1; tested <= runs; tested++) {
      const ofRule = tested % ASKED_EVERY === 0 ? asked(tested / ASKED_EVERY) : undefined;
      const drawn = tested === 1 && least !== undefined ? least : (ofRule ?? sampler)(random);
      yield arrivalOf(claim, drawn.packet);
    }
  })();
}

export function judgeClaim(world: World, claim: PacketsClaim, posture: Posture, settings: JudgeSettings): Judgement {
  const strength = 'tested';
  const samples = samplesOf(claim, settings);
  if (samples === undefined) return { claim, posture, result: 'vacuous', strength, tested: 0 };
  let undecided: Judgement | undefined;
  let tested = 0;
  for (const arrival of samples) {
    tested++;
    const { outcome, way, reply } = tryPacket(world, claim, arrival, settings.seen);
    if (outcome.kind === 'as-claimed') continue;
    const witness: Witness = {
      arrival,
      way,
      ...(reply === undefined ? {} : { reply }),
      ...(outcome.kind === 'undecided' && outcome.line !== undefined ? { line: outcome.line } : {}),
    };
    if (outcome.kind === 'otherwise')
      return { claim, posture, result: 'violated', strength, tested, message: outcome.because, witness };
    undecided ??= { claim, posture, result: 'undecided', strength, tested, message: outcome.because, witness };
  }
  return undecided ?? { claim, posture, result: 'holds', strength, tested };
}

const OPENING_FLAGS = [SYN, ACK, PSH | ACK].map((flags) => ({ from: flags, to: flags }));

/** The packets that can open a flow at all: a SYN (or, picked up loosely, an ACK) for tcp, a query for icmp (S6). */
export function openers(family: Family): PacketSet {
  const tcp = setOf({ family, protocol: [{ from: 6, to: 6 }], flags: OPENING_FLAGS });
  const queries = family === 4 ? [8, 13, 15, 17] : [128];
  const icmpNumber = family === 4 ? 1 : 58;
  const icmp = setOf({
    family,
    protocol: [{ from: icmpNumber, to: icmpNumber }],
    type: queries.map((type) => ({ from: type, to: type })),
  });
  const others = setOf({ family, protocol: exceptProtocols([6, icmpNumber, 132]) });
  return { boxes: [tcp, icmp, others].flatMap(({ boxes }) => boxes) };
}

/** The packets of a claim; of a NEW one those that can open a flow. */
export const openable = ({ state, set }: PacketsClaim): PacketSet =>
  state !== 'NEW'
    ? set
    : { boxes: set.boxes.flatMap((box) => intersectSets({ boxes: [box] }, openers(box.family)).boxes) };

function exceptProtocols(excluded: readonly number[]): { from: number; to: number }[] {
  const ranges: { from: number; to: number }[] = [];
  let from = 0;
  for (const protocol of [...excluded].sort((a, b) => a - b)) {
    if (protocol > from) ranges.push({ from, to: protocol - 1 });
    from = protocol + 1;
  }
  ranges.push({ from, to: 255 });
  return ranges;
}
