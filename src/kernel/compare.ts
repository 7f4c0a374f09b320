/**
 * The model against Linux: the same rules, the same packets, and what is not the same. Compared are what is refused at loading, every packet that
 * leaves and every one that is delivered, the state that conntrack gives, and the rules that matched, one by one, of each packet and of what the host
 * itself sent because of it.
 */
import { printAddress } from '../address/address.ts';
import { bridgeOfPort, type Host } from '../host/host.ts';
import { routeOutput } from '../host/route.ts';
import type { Exit, Journey, Step } from '../netfilter/journey.ts';
import { machineOf, type Machine } from '../netfilter/traverse.ts';
import { printArrival, printPacket } from '../packet/notation.ts';
import { isIcmp, type Packet } from '../packet/packet.ts';
import { decodeFrame, decodePacket, encodeFrame, encodePacket } from '../packet/wire.ts';
import { parseRuleset } from '../ruleset/parse.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import type { Kernel } from './client.ts';
import { play, type Move, type Played, type Sent } from './dialogue.ts';
import { hostSpec } from './host-spec.ts';
import { normalizeTrace, type ObservedStep } from './normalize.ts';
import type { Backend, KernelStep, Observation, RulesetTexts } from './protocol.ts';

/** One thing to compare: a host, its rules, and what is sent. */
export interface Case {
  readonly host: Host;
  readonly backend: Backend;
  readonly texts: RulesetTexts;
  readonly moves: readonly Move[];
}

/** What a case says of the model. */
export interface Comparison {
  /** Absent: they agree. */
  readonly difference?: Difference;
  /** What was sent, with the model's journeys; as far as it was compared. */
  readonly played: readonly Played[];
  readonly packets: number;
  /** Packets of which the model says that it does not know. */
  readonly undecided: number;
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
  readonly refused?: { readonly message: string; readonly line?: number };
  readonly observations: readonly Observation[];
}

/** Who answers for the kernel: itself, or a recording of it. */
export interface Oracle {
  /** Loads the rules and forgets all connections; what is refused. */
  load(given: Pick<Case, 'host' | 'backend' | 'texts'>): Recording['refused'];
  /** What becomes of packets, sent one after the other. */
  send(steps: readonly KernelStep[]): readonly Observation[];
}

/** The kernel itself. */
export function liveOracle(kernel: Kernel): Oracle {
  let world: ReturnType<Kernel['world']> | undefined;
  return {
    load({ host, backend, texts }) {
      world = kernel.world(backend, [hostSpec(host)]);
      return kernel.runCase(world, { [host.name]: texts }, []).refused;
    },
    send(steps) {
      if (world === undefined) throw new Error('no world has been loaded');
      return kernel.runCase(world, {}, steps, true).steps;
    },
  };
}

/** Plays a case in both, and compares. */
export function compareCase(given: Case, oracle: Oracle): Comparison {
  const parsed = rulesetsOf(given.texts);
  const refused = oracle.load(given);
  const loading = compareLoading(parsed.refusals, refused);
  if (loading !== undefined || refused !== undefined) {
    return { ...(loading === undefined ? {} : { difference: loading }), played: [], packets: 0, undecided: 0 };
  }
  const machine = machineOf(given.host, parsed.rulesets, given.backend);
  const played = play(machine, given.moves);
  return comparePlayed(given, parsed.rulesets, machine, played, oracle);
}

interface Parsed {
  readonly rulesets: readonly Ruleset[];
  readonly refusals: readonly { readonly line: number; readonly message: string }[];
}

function rulesetsOf({ text4, text6 }: RulesetTexts): Parsed {
  const parsed = [
    ...(text4 === undefined ? [] : [parseRuleset(text4, { path: 'rules', family: 4 })]),
    ...(text6 === undefined ? [] : [parseRuleset(text6, { path: 'rules6', family: 6 })]),
  ];
  return {
    rulesets: parsed.map(({ ruleset }) => ruleset),
    refusals: parsed.flatMap(({ diagnostics }) => diagnostics),
  };
}

function compareLoading(refusals: Parsed['refusals'], refused: Recording['refused']): Difference | undefined {
  if (refusals.length > 0 === (refused !== undefined)) return undefined;
  return {
    what: 'load',
    at: -1,
    packet: '',
    model: refusals.length === 0 ? ['loads'] : refusals.map(({ line, message }) => `line ${line}: ${message}`),
    kernel: [refused === undefined ? 'loads' : `line ${refused.line ?? '?'}: ${refused.message}`],
  };
}

/** A value that the kernel chose at random where the model chose another: ports, or icmp identifiers. */
interface Substitution {
  readonly address: Packet['saddr'];
  readonly protocol: number;
  readonly model: number;
  readonly kernel: number;
}

/** Compares what the model on `machine` made of packets with what a kernel makes of them that has the same rules. */
export function comparePlayed(
  given: Case,
  rulesets: readonly Ruleset[],
  machine: Machine,
  played: readonly Played[],
  oracle: Oracle,
): Comparison {
  const substitutions: Substitution[] = [];
  let undecided = 0;
  for (let start = 0; start < played.length;) {
    const end = endOfRun(played, start);
    const run = played.slice(start, end);
    const steps = run.map(({ sent }) => kernelStep(given.host, sent, substitutions));
    const neighbours = unknownNeighbours(given.host, run);
    const observations = oracle.send([...neighbours, ...steps]).slice(neighbours.length);
    for (const [at, { sent, journey }] of run.entries()) {
      const observation = observations[at];
      if (sent.kind === 'flush' || journey === undefined || observation === undefined) continue;
      const done = played.slice(0, start + at + 1);
      if (journey.fate.kind === 'undecided') {
        undecided++;
        return { played: done, packets: done.length, undecided };
      }
      const view: View = { given, rulesets, machine, journey, observation, substitutions };
      const found = compareOne(view, sent.arrival.entry.kind === 'local');
      if (found !== undefined) {
        const difference = { ...found, at: start + at, packet: printArrival(sent.arrival) };
        return { difference, played: done, packets: done.length, undecided };
      }
      // An address chosen from a range may lead elsewhere: what comes after it is another conversation.
      if (
        journey.exits.some((exit) => exit.fresh?.some(({ field }) => field === 'saddr' || field === 'daddr') === true)
      ) {
        return { played: done, packets: done.length, undecided };
      }
    }
    start = end;
  }
  return { played, packets: played.length, undecided };
}

/** Packets go to the kernel in one request up to one in which it chooses something at random: what follows may have to name what it chose. */
function endOfRun(played: readonly Played[], start: number): number {
  const random = played.findIndex(
    ({ journey }, at) => at >= start && journey?.exits.some((exit) => exit.fresh !== undefined) === true,
  );
  return random < 0 ? played.length : random + 1;
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

/** IPv6 machines that nobody described: the model knows how to reach them, so the kernel has to be told. */
function unknownNeighbours(host: Host, run: readonly Played[]): KernelStep[] {
  const steps = run
    .flatMap(({ journey }) => (journey === undefined ? [] : allExits(journey)))
    .flatMap((exit): KernelStep[] => {
      const { packet, oif, frame } = exit;
      if (packet.family === 4) return [];
      const route = routeOutput(host, packet);
      if (route.kind !== 'forward' || host.neighbours.some(({ address }) => address === route.nextHop)) return [];
      return [{ host: host.name, neighbour: true, address: printAddress(route.nextHop), mac: frame.dmac, dev: oif }];
    });
  return [...new Map(steps.map((step) => [JSON.stringify(step), step])).values()];
}

const allExits = (journey: Journey): Exit[] => [...journey.exits, ...journey.consequences.flatMap(allExits)];
const allDeliveries = (journey: Journey): Packet[] => [
  ...journey.deliveries,
  ...journey.consequences.flatMap(allDeliveries),
];

interface View {
  readonly given: Case;
  readonly rulesets: readonly Ruleset[];
  readonly machine: Machine;
  readonly journey: Journey;
  readonly observation: Observation;
  readonly substitutions: Substitution[];
}

type Found = Omit<Difference, 'at' | 'packet'>;

function compareOne(view: View, local: boolean): Found | undefined {
  return compareExits(view) ?? compareDeliveries(view) ?? compareState(view, local) ?? compareTraces(view, local);
}

function substituted(packet: Packet, substitutions: readonly Substitution[]): Packet {
  let result = packet;
  for (const { address, protocol, model, kernel } of substitutions) {
    if (result.protocol === protocol) {
      if (isIcmp(result)) {
        if (result.id === model && (result.saddr === address || result.daddr === address))
          result = { ...result, id: kernel };
      } else {
        if (result.saddr === address && result.sport === model) result = { ...result, sport: kernel };
        if (result.daddr === address && result.dport === model) result = { ...result, dport: kernel };
      }
    }
    if (result.quoted !== undefined) {
      const quoted = substituted(result.quoted, substitutions);
      if (quoted !== result.quoted) result = { ...result, quoted };
    }
  }
  return result;
}

/** What is compared of a packet: all that is on the wire. */
const wirePacket = (packet: Packet): string => printPacket({ ...packet, mark: 0 });

function printExit(dev: string, packet: Packet | { readonly reason: string }): string {
  return `${dev}: ${'reason' in packet ? packet.reason : wirePacket(packet)}`;
}

function compareExits({ journey, observation, substitutions }: View): Found | undefined {
  const kernel = observation.exits.map(({ dev, frame }) => ({ dev, packet: decodeFrame(Buffer.from(frame, 'hex')) }));
  const model = allExits(journey);
  for (const exit of model) learnRandom(exit, kernel, substitutions);
  const ours = model
    .map((exit) => {
      const packet = { ...substituted(exit.packet, substitutions), ...exit.frame };
      return printExit(exit.port ?? exit.oif, packet);
    })
    .sort();
  const theirs = kernel.map(({ dev, packet }) => printExit(dev, packet)).sort();
  return ours.join('\n') === theirs.join('\n') ? undefined : { what: 'exits', model: ours, kernel: theirs };
}

/** Where the kernel chose a port at random: any value of the range will do, and stands for the model's from now on. */
function learnRandom(
  exit: Exit,
  kernel: readonly { readonly dev: string; readonly packet: Packet | { readonly reason: string } }[],
  substitutions: Substitution[],
): void {
  for (const { field, from, to } of exit.fresh ?? []) {
    if (field === 'saddr' || field === 'daddr') continue;
    const here = kernel.filter(({ dev }) => dev === (exit.port ?? exit.oif));
    for (const { packet } of here) {
      if ('reason' in packet || packet.protocol !== exit.packet.protocol) continue;
      const model = exit.packet[field];
      const value = packet[field];
      const known = substitutions.some((one) => one.model === model && one.protocol === packet.protocol);
      if (value === model || known || value < from || value > to) continue;
      const address = field === 'dport' ? exit.packet.daddr : exit.packet.saddr;
      substitutions.push({ address, protocol: packet.protocol, model, kernel: value });
    }
  }
}

function compareDeliveries({ journey, observation, substitutions }: View): Found | undefined {
  const ours = allDeliveries(journey)
    .map((packet) => printExit('delivered', substituted(packet, substitutions)))
    .sort();
  const theirs = observation.local
    .map(({ packet }) => printExit('delivered', decodePacket(Buffer.from(packet, 'hex'))))
    .sort();
  return ours.join('\n') === theirs.join('\n') ? undefined : { what: 'deliveries', model: ours, kernel: theirs };
}

const STATE_BITS = new Map([
  [2, 'ESTABLISHED'],
  [4, 'RELATED'],
  [8, 'NEW'],
  [64, 'UNTRACKED'],
]);

function compareState({ machine, journey, observation }: View, local: boolean): Found | undefined {
  const [first] = observation.states;
  if (first === undefined || first.hook !== (local ? 'OUTPUT' : 'PREROUTING')) return undefined;
  // Before Linux 6.16 nothing says the state; with conntrack off there is none, and what has none else is INVALID.
  if (!observation.states.some(({ state }) => state !== undefined)) return undefined;
  const on = machine.rules.get(journey.packet.family)?.conntrack === true;
  const kernel =
    first.state === undefined
      ? on
        ? 'INVALID'
        : 'UNTRACKED'
      : (STATE_BITS.get(first.state) ?? `state ${first.state}`);
  return kernel === journey.state ? undefined : { what: 'state', model: [journey.state], kernel: [kernel] };
}

function compareTraces(view: View, local: boolean): Found | undefined {
  const { journey, observation, rulesets, given, substitutions } = view;
  const trace = normalizeTrace(observation.trace, rulesets, local);
  const ours = [journey.steps, ...flatConsequences(journey).map(({ steps }) => steps)];
  const theirs = [trace.steps, ...trace.consequences];
  for (let i = 0; i < Math.max(ours.length, theirs.length); i++) {
    const found = compareSteps(ours[i] ?? [], theirs[i] ?? [], given, substitutions);
    if (found !== undefined) return found;
  }
  return undefined;
}

const flatConsequences = (journey: Journey): Journey[] =>
  journey.consequences.flatMap((consequence) => [consequence, ...flatConsequences(consequence)]);

function compareSteps(
  ours: readonly Step[],
  theirs: readonly ObservedStep[],
  given: Case,
  substitutions: readonly Substitution[],
): Found | undefined {
  const model = ours.map((step, i) =>
    printStep({ ...step, packet: substituted(step.packet, substitutions) }, theirs[i], given),
  );
  const kernel = theirs.map((step) => printStep(step, step, given));
  return model.join('\n') === kernel.join('\n') ? undefined : { what: 'trace', model, kernel };
}

/** Targets after which the packet is not what it was: the kernel tells of it before, the model after. */
const REWRITES: readonly string[] = [
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

/** A step as one line, with as much of it as `known` (the kernel's step of the same place) tells. */
function printStep(step: Step | ObservedStep, known: ObservedStep | undefined, { backend, host }: Case): string {
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

/** nf_tables tells twenty octets behind the IP header at most: not the length, nor what is quoted. */
function printTraced(packet: Packet, backend: Backend): string {
  if (backend === 'legacy') return printPacket({ ...packet, badsum: false });
  const { quoted: _quoted, ...rest } = packet;
  return printPacket({ ...rest, badsum: false, payload: 0 });
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
