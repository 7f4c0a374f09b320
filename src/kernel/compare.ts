/**
 * The model against Linux: the same rules, the same packets, and what is not the same. Compared are what is refused at loading, every packet that
 * leaves and every one that is delivered, the state that conntrack gives, and the rules that matched, one by one, of each packet and of what the host
 * itself sent because of it.
 */
import { isLinkLocal, isLoopback, isMulticast, printAddress } from '../address/address.ts';
import { bridgeOfPort, type Host } from '../host/host.ts';
import { neighbourMac } from '../host/link.ts';
import { routeOutput } from '../host/route.ts';
import type { Exit, FreshField, Journey, Step } from '../netfilter/journey.ts';
import { machineOf, type Machine } from '../netfilter/traverse.ts';
import { printArrival, printPacket } from '../packet/notation.ts';
import { isSameOnWire, type ConntrackState, type Packet } from '../packet/packet.ts';
import { decodeFrame, decodePacket, encodeFrame, encodePacket, type NotDecoded } from '../packet/wire.ts';
import { parseRuleset } from '../ruleset/parse.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { Dialogue, type Move, type Played, type Sent } from './dialogue.ts';
import { joinFragments } from './fragment-join.ts';
import { hostSpec } from './host-spec.ts';
import type { BegunKernel } from './meter.ts';
import { normalizeTrace, type ObservedStep } from './normalize.ts';
import { tellsApart, substituted, type Substitution } from './substitution.ts';
import type { Backend, KernelStep, Observation, Refusal, RulesetTexts, WorldAnswer } from './protocol.ts';

/** One thing to compare: a host, its rules, and what is sent. */
export interface Case {
  readonly host: Host;
  readonly backend: Backend;
  readonly texts: RulesetTexts;
  readonly moves: readonly Move[];
}

/** Where packets are compared: names of devices and what the backend tells depend on it. */
export type Place = Pick<Case, 'host' | 'backend'>;

/** What a case says of the model. */
export interface Comparison {
  /** Absent: they agree. */
  readonly difference?: Difference;
  /** What was sent, with the model's journeys; as far as it was compared. */
  readonly played: readonly Played[];
  readonly packets: number;
  /** Packets of which the model says that it does not know. */
  readonly undecided: number;
  /** The rules did not load, and the model said so too. */
  readonly refused?: boolean;
  /** The rules as the model reads them. */
  readonly rulesets: readonly Ruleset[];
}

export interface Difference {
  readonly what: 'load' | 'exits' | 'deliveries' | 'state' | 'trace' | 'fate';
  /** Which packet of the case, from 0; -1 for the loading. */
  readonly at: number;
  readonly packet: string;
  readonly model: readonly string[];
  readonly kernel: readonly string[];
}

/** What the kernel answered to a case, in the order of the packets that were sent. */
export interface Recording {
  readonly refused?: Pick<Refusal, 'family' | 'message' | 'line'>;
  readonly observations: readonly Observation[];
}

/** What has been asked for: it is there when it is called for, and until then there is time for something else. */
export type Pending<T> = () => T;

/** Who answers for the kernel: itself, or a recording of it. */
export interface Oracle {
  /** Loads the rules and forgets all connections; what is refused. `variant`: whose packets conntrack looks at with these rules (trackingOf). */
  load(given: Pick<Case, 'host' | 'backend' | 'texts'>, variant: string): Pending<Recording['refused']>;
  /** It says what conntrack makes of each packet. */
  tellsStates(): boolean;
  /** A number for the IP identification of a case's packets, another for each case. */
  identification(): number;
  /** What becomes of packets, sent one after the other. */
  send(steps: readonly KernelStep[]): Pending<readonly Observation[]>;
}

/**
 * The families of which a rule needs connection tracking (S1), as the name of a variant of a world. nf_tables lets go of the rules before, and so of conntrack, only
 * some time after a restore (nf_tables_trans_destroy_work), of each family by itself: rules with which it is off do not come behind others. ip_tables does so at once, and a
 * world is dear.
 */
export function trackingOf({ rules, backend }: Machine): string {
  const tracked = [...rules].flatMap(([family, { conntrack }]) => (conntrack ? [family] : []));
  return backend === 'nft' ? `tracks ${tracked.join()}` : tracked.length > 0 ? 'tracks' : '';
}

/** The kernel itself. */
export function liveOracle(kernel: BegunKernel): Oracle {
  let world: WorldAnswer | undefined;
  let conversations = 0;
  return {
    tellsStates: () => world?.states === true,
    // A conversation flushes a few times, and each time takes the next number.
    identification: () => 1 + ((4 * conversations++) % 0xfff0),
    load({ host, backend, texts }, variant) {
      world = kernel.world(backend, [{ ...hostSpec(host), variant }]);
      const answer = kernel.beginCase(world, { [host.name]: texts }, []);
      return () => answer().refused;
    },
    send(steps) {
      if (world === undefined) throw new Error('no world has been loaded');
      const answer = kernel.beginCase(world, {}, steps, true);
      return () => answer().steps;
    },
  };
}

/**
 * Where a comparison may be left alone for a while: before it needs the kernel for itself; when it waits for an answer and may ask more; when it has asked all that it
 * asks, and is to read answers only.
 */
export type Pause = 'load' | 'answer' | 'asked';

/** A comparison that is under way. */
export type Comparing<T = Comparison> = Generator<Pause, T>;

/** Plays a case in both, and compares. */
export const compareCase = (given: Case, oracle: Oracle): Comparison => finished(comparing(given, oracle));

/** Goes through all pauses. */
export function finished<T>(comparing: Comparing<T>): T {
  for (;;) {
    const { done, value } = comparing.next();
    if (done === true) return value;
  }
}

/** The same with pauses: one 'load', then any number of 'answer', and perhaps 'asked'. The model plays before it asks. */
export function* comparing(given: Case, oracle: Oracle): Comparing {
  const { rulesets, refusals } = rulesetsOf(given.texts, given.backend);
  const machine = machineOf(given.host, rulesets, given.backend);
  const substitutions: Substitution[] = [];
  const runs = runsOf(new Dialogue(machine, oracle.identification()), given.moves, substitutions);
  // What does not load is not played.
  const first = refusals.length === 0 ? runs.next() : undefined;
  yield 'load';
  const loaded = oracle.load(given, trackingOf(machine));
  const unloaded = (): Comparison | undefined => {
    const refused = loaded();
    const loading = compareLoading(refusals, refused, given.texts);
    if (loading === undefined && refused === undefined) return undefined;
    const outcome = loading === undefined ? { refused: true } : { difference: loading };
    return { ...outcome, played: [], packets: 0, undecided: 0, rulesets };
  };
  const setting = { given, rulesets, machine, substitutions, oracle, unloaded };
  if (first === undefined) yield 'asked';
  return yield* compareRuns(setting, first === undefined ? [] : startingWith(first, runs));
}

function* startingWith<T>(first: IteratorResult<T, unknown>, rest: Iterable<T>): Generator<T> {
  if (first.done === true) return;
  yield first.value;
  yield* rest;
}

/** Packets that go to the kernel in one request. */
interface Run {
  readonly played: readonly Played[];
  /** What it has to know before. */
  readonly neighbours: readonly KernelStep[];
  readonly steps: readonly KernelStep[];
  readonly isLast: boolean;
}

const runOf = (
  host: Host,
  played: readonly Played[],
  substitutions: readonly Substitution[],
  isLast: boolean,
): Run => ({
  played,
  neighbours: unknownNeighbours(host, played),
  steps: played.map(({ sent }) => kernelStep(host, sent, substitutions)),
  isLast,
});

/**
 * The moves in runs that go to the kernel in one request: up to a packet in which it chooses something at random. Then the model takes over what it chose, and
 * goes on from there.
 */
function* runsOf(dialogue: Dialogue, moves: readonly Move[], substitutions: Substitution[]): Generator<Run> {
  const { host } = dialogue.machine;
  let run: Played[] = [];
  for (const move of moves) {
    for (const played of dialogue.make(move)) {
      run.push(played);
      if (!isRandom(played)) continue;
      yield runOf(host, run, substitutions, false);
      dialogue.settle(substitutions);
      substitutions.length = 0;
      run = [];
    }
  }
  yield runOf(host, run, substitutions, true);
}

interface Parsed {
  readonly rulesets: readonly Ruleset[];
  readonly refusals: readonly { readonly line: number; readonly message: string }[];
}

function rulesetsOf({ text4, text6 }: RulesetTexts, backend: Backend): Parsed {
  const parsed = [
    ...(text4 === undefined ? [] : [parseRuleset(text4, { path: 'rules', family: 4, backend })]),
    ...(text6 === undefined ? [] : [parseRuleset(text6, { path: 'rules6', family: 6, backend })]),
  ];
  return {
    rulesets: parsed.map(({ ruleset }) => ruleset),
    refusals: parsed.flatMap(({ diagnostics }) => diagnostics),
  };
}

function compareLoading(
  refusals: Parsed['refusals'],
  refused: Recording['refused'],
  { text4 = '', text6 = '' }: RulesetTexts,
): Difference | undefined {
  const [first] = refusals;
  // What only the kernel refuses is told of when the table is committed, and then no rule is named.
  const written = (refused?.family === 6 ? text6 : text4).split('\n')[(refused?.line ?? 0) - 1]?.trim() ?? 'COMMIT';
  // It stops at the first line that its own reader refuses, before the kernel has seen the table; the model names both.
  const isSameLine = written === 'COMMIT' || refusals.some(({ line }) => line === refused?.line);
  if ((first !== undefined) === (refused !== undefined) && isSameLine) return undefined;
  return {
    what: 'load',
    at: -1,
    packet: '',
    model: first === undefined ? ['loads'] : refusals.map(({ line, message }) => `line ${line}: ${message}`),
    kernel: [refused === undefined ? 'loads' : `line ${refused.line ?? '?'}: ${refused.message}`],
  };
}

/** Compares what the model on `machine` made of packets with what a kernel makes of them that has the same rules. */
export function comparingPlayed(
  given: Case,
  rulesets: readonly Ruleset[],
  machine: Machine,
  played: readonly Played[],
  oracle: Oracle,
): Comparing {
  const substitutions: Substitution[] = [];
  const runs = runsOfPlayed(given.host, played, substitutions);
  return compareRuns({ given, rulesets, machine, substitutions, oracle }, runs);
}

function* runsOfPlayed(host: Host, played: readonly Played[], substitutions: Substitution[]): Generator<Run> {
  for (let start = 0; start < played.length;) {
    // A flush forgets what was chosen, too.
    if (played[start]?.sent.kind === 'flush') substitutions.length = 0;
    const last = played.findIndex((one, at) => at >= start && (isRandom(one) || played[at + 1]?.sent.kind === 'flush'));
    const end = last < 0 ? played.length : last + 1;
    yield runOf(host, played.slice(start, end), substitutions, end === played.length);
    start = end;
  }
}

const isRandom = ({ journey }: Played): boolean => journey !== undefined && allFresh(journey).length > 0;

/** What all packets of a case are compared with. */
interface Setting {
  readonly given: Case;
  readonly rulesets: readonly Ruleset[];
  readonly machine: Machine;
  /** Grows as the kernel chooses. */
  readonly substitutions: Substitution[];
  readonly oracle: Oracle;
  /** How the case ends where the rules were refused. Nobody waits for that before he sends: nothing that is observed then counts. */
  readonly unloaded?: Pending<Comparison | undefined>;
}

function* compareRuns(setting: Setting, runs: Iterable<Run>): Comparing {
  const done: Played[] = [];
  const end = (more: Partial<Comparison> = {}): Comparison => ({
    played: done,
    packets: done.length,
    undecided: 0,
    rulesets: setting.rulesets,
    ...more,
  });
  for (const { played, neighbours, steps, isLast } of runs) {
    const told = neighbours.length > 0 ? setting.oracle.send(neighbours) : undefined;
    const observed = setting.oracle.send(steps);
    yield isLast ? 'asked' : 'answer';
    const unloaded = setting.unloaded?.();
    if (unloaded !== undefined) return unloaded;
    told?.();
    const observations = observed();
    for (const [at, one] of played.entries()) {
      done.push(one);
      const { sent, journey } = one;
      const observation = observations[at];
      if (sent.kind === 'flush' || journey === undefined || observation === undefined) continue;
      if (journey.fate.kind === 'undecided') return end({ undecided: 1 });
      const view: View = { ...setting, journey, observation };
      const local = sent.arrival.entry.kind === 'local';
      const found = compareOne(view, local);
      if (found !== undefined) {
        // So may a port, where a rule asks for it: nobody could have foretold which rules the packet would meet.
        if (isForkedByChoice(view, local)) return end({ undecided: 1 });
        return end({ difference: { ...found, at: done.length - 1, packet: printArrival(sent.arrival) } });
      }
      // An address chosen from a range may lead elsewhere: what comes after it is another conversation.
      const fresh = allFresh(journey);
      if (fresh.some(({ field }) => field === 'saddr' || field === 'daddr')) return end();
      // Nor can be told, of a machine that talks to itself, which of its ports the kernel chose.
      if (fresh.length > 0 && packetsOf(journey).some(({ saddr, daddr }) => saddr === daddr)) return end();
    }
  }
  return setting.unloaded?.() ?? end();
}

function kernelStep(host: Host, sent: Sent, substitutions: readonly Substitution[]): KernelStep {
  if (sent.kind === 'flush') return { flush: true, host: host.name };
  const { packet, entry } = sent.arrival;
  const named = substituted(packet, substitutions);
  const octets = named === packet ? sent.octets : encodePacket(named, { id: 0x1234 });
  if (entry.kind === 'local') return { host: host.name, local: hex(octets), mark: packet.mark };
  const { smac = '', dmac = '' } = packet;
  const head = encodeFrame({ ...packet, smac, dmac }).subarray(0, 14);
  return { host: host.name, dev: entry.interface, frame: hex(head) + hex(octets) };
}

const hex = (octets: Uint8Array): string => Buffer.from(octets).toString('hex');

/**
 * IPv6 machines that nobody described: the model knows how to reach them, so the kernel has to be told. Also those that a packet was on its way to and did not get:
 * a bridge that has translated a packet waits for the neighbour before it asks FORWARD, and would let the packet go in a later case.
 */
export function unknownNeighbours(host: Host, run: readonly Played[]): KernelStep[] {
  const packets = run.flatMap(({ journey }) => {
    if (journey?.packet.family !== 6) return [];
    const { saddr, daddr } = journey.packet;
    // What is translated back to a sender may be on its way to him without meeting a rule.
    return [...packetsOf(journey), { ...journey.packet, saddr: daddr, daddr: saddr }];
  });
  const steps = packets.flatMap((packet): KernelStep[] => {
    // A link-local address may be looked for on any device; so is ::1, of what has come in.
    const devices =
      isLinkLocal(packet.daddr) || isLoopback(packet.daddr) ? host.interfaces.map(({ name }) => name) : [undefined];
    return devices.flatMap((by): KernelStep[] => {
      const route = routeOutput(host, packet, by);
      if (route.kind !== 'forward' || route.oif === 'lo' || isMulticast(route.nextHop)) return [];
      if (host.neighbours.some(({ address, dev }) => address === route.nextHop && dev === route.oif)) return [];
      const mac = neighbourMac(host, route.oif, route.nextHop);
      return [{ host: host.name, neighbour: true, address: printAddress(route.nextHop), mac, dev: route.oif }];
    });
  });
  return [...new Map(steps.map((step) => [JSON.stringify(step), step])).values()];
}

/** A journey's packet as it was on its way, and those that the host sent because of it. */
const packetsOf = (journey: Journey): Packet[] => [
  ...journey.steps.map((step) => step.packet),
  ...journey.exits.map((exit) => exit.packet),
  ...journey.consequences.flatMap(packetsOf),
];

const allExits = (journey: Journey): Exit[] => [...journey.exits, ...journey.consequences.flatMap(allExits)];
const allDeliveries = (journey: Journey): Packet[] => [
  ...journey.deliveries,
  ...journey.consequences.flatMap(allDeliveries),
];

const allFresh = (journey: Journey): FreshField[] => [
  ...(journey.fresh ?? []),
  ...allExits(journey).flatMap(({ fresh }) => fresh ?? []),
];

export interface View extends Omit<Setting, 'given' | 'oracle'> {
  readonly given: Place;
  readonly oracle: Pick<Oracle, 'tellsStates'>;
  readonly journey: Journey;
  readonly observation: Observation;
}

export type Found = Omit<Difference, 'at' | 'packet'>;

/** Compares what the model and the kernel made of one packet; `local`: a process of the host sent it. `substitutions` grows. */
export function compareOne(view: View, local: boolean): Found | undefined {
  // What the kernel chooses for this packet was not chosen as it was sent, even if it looks like an answer then.
  const asSent = substituted(view.journey.packet, view.substitutions);
  return (
    compareExits(view) ?? compareDeliveries(view) ?? compareState(view, local) ?? compareTraces(view, local, asSent)
  );
}

/** What is compared of a packet: all that is on the wire. Of a quoted packet nobody can tell whether its checksum was right. */
const wirePacket = (packet: Packet): string => printPacket({ ...packet, mark: 0, ...quotedAsSeen(packet) });

const quotedAsSeen = ({ quoted }: Packet): { readonly quoted?: Packet } =>
  quoted === undefined ? {} : { quoted: { ...quoted, mark: 0, badsum: false, ...quotedAsSeen(quoted) } };

function printExit(dev: string, packet: Packet | NotDecoded): string {
  return `${dev}: ${'reason' in packet ? packet.reason : wirePacket(packet)}`;
}

function compareExits({ journey, observation, substitutions }: View): Found | undefined {
  const model = allExits(journey);
  // The model lets a reassembled packet leave whole; the kernel cuts it up again as it came.
  const cut = model.some(({ packet }) => packet.fragment !== undefined);
  const frames = observation.exits.map(({ dev, frame }) => ({ dev, octets: Buffer.from(frame, 'hex') }));
  const kernel = (cut ? frames : joinFragments(frames)).map(({ dev, octets }) => ({
    dev,
    packet: decodeFrame(octets),
  }));
  for (const exit of model) {
    const here = kernel.filter(({ dev }) => dev === (exit.port ?? exit.oif)).map(({ packet }) => packet);
    learnRandom(exit.packet, exit.fresh, here, substitutions);
  }
  const left = model.map((exit) => ({
    dev: exit.port ?? exit.oif,
    packet: { ...substituted(exit.packet, substitutions), ...exit.frame },
  }));
  if (areSame(left, kernel)) return undefined;
  const ours = left.map(({ dev, packet }) => printExit(dev, packet)).sort();
  const theirs = kernel.map(({ dev, packet }) => printExit(dev, packet)).sort();
  return ours.join('\n') === theirs.join('\n') ? undefined : { what: 'exits', model: ours, kernel: theirs };
}

interface Seen {
  readonly dev: string;
  readonly packet: Packet | NotDecoded;
}

/** The same packets in the same order, field by field. What is not the same so may still be printed alike: this only saves the printing. */
const areSame = (ours: readonly Seen[], theirs: readonly Seen[]): boolean =>
  ours.length === theirs.length &&
  ours.every(({ dev, packet }, at) => {
    const other = theirs[at];
    return (
      other?.dev === dev && !('reason' in packet) && !('reason' in other.packet) && isSameOnWire(packet, other.packet)
    );
  });

/** Where the kernel chose a port at random: any value of the range will do, and stands for the model's from now on. */
function learnRandom(
  ours: Packet,
  fresh: readonly FreshField[] | undefined,
  theirs: readonly (Packet | NotDecoded)[],
  substitutions: Substitution[],
): void {
  for (const { field, from, to } of fresh ?? []) {
    if (field === 'saddr' || field === 'daddr') continue;
    for (const packet of theirs) {
      if ('reason' in packet || packet.protocol !== ours.protocol) continue;
      const model = ours[field];
      const value = packet[field];
      const icmp = field === 'id';
      const [address, peer] = field === 'dport' ? [ours.daddr, ours.saddr] : [ours.saddr, ours.daddr];
      const peerPort = icmp ? 0 : field === 'dport' ? ours.sport : ours.dport;
      if (packet.saddr !== ours.saddr || packet.daddr !== ours.daddr) continue;
      if (substituted(ours, substitutions) !== ours || value === model || value < from || value > to) continue;
      substitutions.push({ protocol: packet.protocol, address, peer, peerPort, model, kernel: value });
    }
  }
}

function compareDeliveries({ journey, observation, substitutions }: View): Found | undefined {
  const kernel = observation.local.map(({ packet }) => decodePacket(Buffer.from(packet, 'hex')));
  for (const packet of journey.deliveries) learnRandom(packet, journey.fresh, kernel, substitutions);
  const dev = 'delivered';
  const got = allDeliveries(journey).map((packet) => substituted(packet, substitutions));
  if (
    areSame(
      got.map((packet) => ({ dev, packet })),
      kernel.map((packet) => ({ dev, packet })),
    )
  )
    return undefined;
  const ours = got.map((packet) => printExit(dev, packet)).sort();
  const theirs = kernel.map((packet) => printExit(dev, packet)).sort();
  return ours.join('\n') === theirs.join('\n') ? undefined : { what: 'deliveries', model: ours, kernel: theirs };
}

const STATE_BITS: ReadonlyMap<number, ConntrackState> = new Map([
  [2, 'ESTABLISHED'],
  [4, 'RELATED'],
  [8, 'NEW'],
  [64, 'UNTRACKED'],
]);

/** What conntrack made of the packet that was sent, where the kernel tells (Linux 6.16) and the packet came so far. `tracked`: conntrack is on. */
export function observedState(
  { states: [first] }: Observation,
  { local, tracked }: { readonly local: boolean; readonly tracked: boolean },
): ConntrackState | undefined {
  if (first === undefined || first.hook !== (local ? 'OUTPUT' : 'PREROUTING')) return undefined;
  // With conntrack off there is no state, and what has none else is INVALID.
  if (first.state === undefined) return tracked ? 'INVALID' : 'UNTRACKED';
  return STATE_BITS.get(first.state);
}

function compareState({ machine, journey, observation, oracle }: View, local: boolean): Found | undefined {
  if (!oracle.tellsStates()) return undefined;
  const tracked = machine.rules.get(journey.packet.family)?.conntrack === true;
  const kernel = observedState(observation, { local, tracked });
  return kernel === undefined || kernel === journey.state
    ? undefined
    : { what: 'state', model: [journey.state], kernel: [kernel] };
}

function compareTraces(view: View, local: boolean, asSent: Packet): Found | undefined {
  const { journey, observation, rulesets, given, substitutions } = view;
  const trace = normalizeTrace(observation.trace, rulesets, local);
  const ours = [journey.steps, ...flatConsequences(journey).map(({ steps }) => steps)];
  const theirs = [trace.steps, ...trace.consequences];
  learnFromTrace(view, trace.steps);
  const named = (packet: Packet): Packet =>
    isOfSameEnds(packet, journey.packet)
      ? { ...packet, sport: asSent.sport, dport: asSent.dport, id: asSent.id }
      : substituted(packet, substitutions);
  for (let i = 0; i < Math.max(ours.length, theirs.length); i++) {
    const isExact = substitutions.length === 0;
    const found = compareSteps(ours[i] ?? [], theirs[i] ?? [], given, isExact ? undefined : named);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Both went the same way up to a rule that tells the port that the kernel chose from the model's, and that matched for one of them only. */
function isForkedByChoice(view: View, local: boolean): boolean {
  const { journey, observation, rulesets, substitutions } = view;
  const trace = normalizeTrace(observation.trace, rulesets, local);
  learnFromTrace(view, trace.steps);
  const ours = [journey, ...flatConsequences(journey)];
  const theirs = [trace.steps, ...trace.consequences];
  for (const [way, { packet, steps }] of ours.entries()) {
    const seen = theirs[way] ?? [];
    const fork = steps.findIndex((step, i) => step.rule !== seen[i]?.rule || step.chain !== seen[i].chain);
    const [mine, other] = [steps[fork], seen[fork]];
    if (mine === undefined) continue;
    if (
      other === undefined ||
      [mine.hook, mine.table, mine.chain].join() !== [other.hook, other.table, other.chain].join()
    )
      return false;
    const first = [mine.rule, other.rule].filter((rule) => typeof rule === 'number').sort((a, b) => a - b)[0] ?? 0;
    const chains = rulesets.find(({ family }) => family === packet.family)?.tables.get(mine.table)?.chains;
    const rule = chains?.get(mine.chain)?.rules[first - 1];
    return rule !== undefined && tellsApart(rule, substitutions);
  }
  return false;
}

/** A packet that came to nothing has shown only in its trace what was chosen for it. */
function learnFromTrace({ journey, substitutions }: View, seen: readonly ObservedStep[]): void {
  if (journey.fresh === undefined) return;
  journey.steps.forEach((step, i) => {
    const packet = seen[i]?.packet;
    if (packet !== undefined && !REWRITES.includes(step.target))
      learnRandom(step.packet, journey.fresh, [packet], substitutions);
  });
}

const isOfSameEnds = (one: Packet, other: Packet): boolean =>
  one.saddr === other.saddr &&
  one.daddr === other.daddr &&
  one.sport === other.sport &&
  one.dport === other.dport &&
  one.id === other.id &&
  one.quoted === undefined;

const flatConsequences = (journey: Journey): Journey[] =>
  journey.consequences.flatMap((consequence) => [consequence, ...flatConsequences(consequence)]);

function compareSteps(
  ours: readonly Step[],
  theirs: readonly ObservedStep[],
  given: Place,
  named: ((packet: Packet) => Packet) | undefined,
): Found | undefined {
  if (named === undefined && ours.length === theirs.length && ours.every((step, i) => isSameStep(step, theirs[i])))
    return undefined;
  const model = ours.map((step, i) =>
    printStep({ ...step, packet: named?.(step.packet) ?? step.packet }, theirs[i], given),
  );
  const kernel = theirs.map((step) => printStep(step, step, given));
  return model.join('\n') === kernel.join('\n') ? undefined : { what: 'trace', model, kernel };
}

/** Targets after which the packet is not what it was: the kernel tells of it before, the model after. */
export const REWRITES: readonly string[] = [
  'DNAT',
  'SNAT',
  'MASQUERADE',
  'REDIRECT',
  'NETMAP',
  'MARK',
  'CONNMARK',
  'TTL',
  'HL',
];

/** The same field by field; as with `areSame`, what is not may still be printed alike. */
const isSameStep = (step: Step, seen: ObservedStep | undefined): boolean =>
  seen !== undefined &&
  step.hook === seen.hook &&
  step.table === seen.table &&
  step.chain === seen.chain &&
  step.rule === seen.rule &&
  step.target === seen.target &&
  step.iif === seen.iif &&
  step.oif === seen.oif &&
  step.physin === seen.physin &&
  step.physout === seen.physout &&
  (seen.packet === undefined ||
    REWRITES.includes(step.target) ||
    (step.packet.mark === seen.packet.mark && isSameOnWire(step.packet, seen.packet)));

/** A step as one line, with as much of it as `known` (the kernel's step of the same place) tells. */
function printStep(step: Step | ObservedStep, known: ObservedStep | undefined, { backend, host }: Place): string {
  const { hook, table, chain, rule, target } = step;
  const words = [`${hook} ${table} ${chain} ${rule}`, target];
  if (step.iif !== undefined) words.push(`in ${step.iif}`);
  if (step.oif !== undefined) words.push(`out ${step.oif}`);
  // nf_tables says nothing of bridge ports, and NFLOG only of those whose device it names.
  if (backend === 'legacy') {
    if (step.physin !== undefined && step.iif !== undefined && bridgeOfPort(host, step.physin) !== undefined)
      words.push(`physin ${step.physin}`);
    if (step.physout !== undefined && step.oif !== undefined) words.push(`physout ${step.physout}`);
  }
  if (known?.packet !== undefined && step.packet !== undefined && !REWRITES.includes(target))
    words.push(printTraced(step.packet, backend));
  return words.join(' | ');
}

/** Printed packets of traces, by backend: most are met at rule after rule. */
const TRACED: Readonly<Record<Backend, WeakMap<Packet, string>>> = { legacy: new WeakMap(), nft: new WeakMap() };

/** nf_tables tells twenty octets behind the IP header at most: not the length, nor what is quoted. */
function printTraced(packet: Packet, backend: Backend): string {
  const known = TRACED[backend].get(packet);
  if (known !== undefined) return known;
  const { quoted: _quoted, ...rest } = packet;
  const printed =
    backend === 'legacy'
      ? printPacket({ ...packet, badsum: false, ...quotedAsSeen(packet) })
      : printPacket({ ...rest, badsum: false, payload: 0 });
  TRACED[backend].set(packet, printed);
  return printed;
}

/** A difference for people: both sides, line by line, those that differ marked. */
export function printDifference(difference: Difference): string {
  const { what, at, packet, model, kernel } = difference;
  const lines = [at < 0 ? `differs in ${what}` : `differs in ${what} at packet ${at + 1}: ${packet}`];
  const count = Math.max(model.length, kernel.length);
  if (count === 0) return lines.join('\n');
  for (let i = 0; i < count; i++) {
    const [ours, theirs] = [model[i], kernel[i]];
    if (ours === theirs) lines.push(`    both    ${ours ?? ''}`);
    else lines.push(`  ! model   ${ours ?? '(nothing)'}`, `  ! kernel  ${theirs ?? '(nothing)'}`);
  }
  return lines.join('\n');
}
