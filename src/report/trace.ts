/** A conversation with a host or a network, as text and as JSON. */
import type { Family } from '../address/address.ts';
import type { Exchange } from '../network/converse.ts';
import type { WorldExchange } from '../network/world-conversation.ts';
import type { Hop, Way } from '../network/walk.ts';
import type { Fate, Journey, Step } from '../netfilter/journey.ts';
import { printFate, printOutcome, type ExpectedFate } from '../packet/fate.ts';
import { printArrival, printPacket } from '../packet/notation.ts';
import type { Arrival, Packet } from '../packet/packet.ts';
import type { Paint } from './paint.ts';
import { printable } from './printable.ts';
import {
  alignSteps,
  printWord,
  summaryOfTwins,
  type LinuxLine,
  type LinuxVersion,
  type Mark,
  type Twin,
} from './twin.ts';

/** One packet or `reply` line of a conversation, and what became of it on each host that it met. */
export interface Traced {
  readonly line: number;
  readonly kind: 'packet' | 'reply';
  /** As it entered; absent for a reply that nobody sends. */
  readonly arrival?: Arrival;
  readonly hops: readonly TracedHop[];
  /** Where it ended, of all hops. */
  readonly last?: Journey;
  readonly answer?: readonly TracedHop[];
  readonly expected?: { readonly fate: ExpectedFate; readonly met: boolean };
  /** What Linux says of it, where it was asked. */
  readonly linux?: LinuxLine;
}

export interface TracedHop {
  readonly host: string;
  readonly journey: Journey;
}

/** For the head of each packet, and for `file:line`. */
export interface TraceSubject {
  /** The only host, when there is one: what leaves it is not followed. */
  readonly host?: string;
  /** The ruleset file of a host; undefined where none is at hand, so that nothing is filtered. */
  readonly pathOf: (host: string, family: Family) => string | undefined;
  /** Which Linux was asked, if any was. */
  readonly linux?: LinuxVersion;
}

/** What one host did with each line. */
export const tracedOnHost = (exchanges: readonly Exchange[], host: string): Traced[] =>
  exchanges.map(({ journey, answer, ...exchange }) => ({
    ...exchange,
    hops: journey === undefined ? [] : [{ host, journey }],
    ...(journey === undefined ? {} : { last: journey }),
    ...(answer === undefined ? {} : { answer: [{ host, journey: answer }] }),
  }));

/** What a network did with each line. */
export const tracedInWorld = (exchanges: readonly WorldExchange[]): Traced[] =>
  exchanges.map(({ way, answer, arrival, ...exchange }) => {
    const entered = arrival ?? (way && arrivalOf(way));
    return {
      ...exchange,
      ...(entered === undefined ? {} : { arrival: entered }),
      hops: way?.hops ?? [],
      ...(answer === undefined ? {} : { answer: answer.hops }),
    };
  });

function arrivalOf({ hops }: Way): Arrival | undefined {
  const [first] = hops;
  return first && { packet: first.journey.packet, entry: entryWithHost(first) };
}

const entryWithHost = ({ entry, host }: Hop): Hop['entry'] => ({ ...entry, host });

// --- text --------------------------------------------------------------------------------------------------------------------------

const devicesOf = ({ iif, oif, physin, physout }: Step): string => {
  const via = (port: string | undefined): string => (port === undefined ? '' : ` (port ${port})`);
  const parts = [
    iif === undefined ? '' : `in ${iif}${via(physin)}`,
    oif === undefined ? '' : `out ${oif}${via(physout)}`,
  ];
  return parts.filter((part) => part !== '').join(', ');
};

const ruleOf = (step: Step): string => (typeof step.rule === 'number' ? `rule ${step.rule}` : step.rule);

/** One journey: hooks, and under each the rules that matched; the packet again wherever it has been rewritten. With `linux` each line is marked with whose it is. */
export function printJourney(journey: Journey, path: string, paint: Paint, indent = '  ', linux?: Journey): string[] {
  const lines: string[] = [];
  let hook = '';
  let seen = printPacket(journey.packet);
  const marked =
    linux === undefined
      ? journey.steps.map((step) => ({ mark: ' ' as const, step }))
      : alignSteps(journey.steps, linux.steps);
  const width = Math.max(0, ...marked.map(({ step }) => `${step.table} ${step.chain} ${ruleOf(step)}`.length));
  for (const { mark, step } of marked) {
    const heading = `${step.hook} ${devicesOf(step)}`;
    if (heading !== hook) {
      hook = heading;
      lines.push(`${indent}${paint.bold(step.hook)}  ${printable(devicesOf(step))}`);
    }
    const now = printPacket(step.packet);
    const place = `${step.table} ${printable(step.chain)} ${ruleOf(step)}`.padEnd(width);
    const where = step.line === undefined ? '' : paint.dim(`  ${printable(path)}:${step.line}`);
    const target = step.target === '' ? '(no target)' : printable(step.target);
    lines.push(`${indent}${painted(mark, paint)} ${place}  ${target}${where}`);
    if (now !== seen && showsRewriting(step)) lines.push(`${indent}    ${paint.doubtful('now')} ${now}`);
    seen = now;
  }
  lines.push(...printEnds(journey, linux, path, paint).map((line) => `${indent}${line}`));
  const made = [journey.consequences, linux?.consequences ?? []] as const;
  for (let at = 0; at < Math.max(made[0].length, made[1].length); at++) {
    const [ours, theirs] = [made[0][at], made[1][at]];
    const shown = ours ?? theirs;
    if (shown === undefined) continue;
    const who = linux === undefined || (ours !== undefined && theirs !== undefined) ? '' : ours ? '- ' : '+ ';
    lines.push(`${indent}${who}and the host sends ${printPacket(unframed(shown.packet))}`);
    lines.push(...printJourney(shown, path, paint, `${indent}  `, ours === undefined ? undefined : theirs));
  }
  return lines;
}

const painted = (mark: Mark | ' ', paint: Paint): string =>
  mark === '-' || mark === '+' ? paint.bad(mark) : mark === '=' ? paint.dim(mark) : mark;

/** How it ended: one line where nobody but the model was asked, or both say the same. */
function printEnds(journey: Journey, linux: Journey | undefined, path: string, paint: Paint): string[] {
  const ours = printEnd(journey, path, paint);
  if (linux === undefined) return [ours];
  const alike = (['kind', 'oif', 'port'] as const).every((key) => journey.fate[key] === linux.fate[key]);
  return alike
    ? [`${painted('=', paint)} ${ours}`]
    : [`${painted('-', paint)} ${ours}`, `${painted('+', paint)} ${printEnd(linux, path, paint)}`];
}

/** A TTL that has been counted down is no rewriting that anybody asks for. */
const showsRewriting = (step: Step): boolean =>
  ['DNAT', 'SNAT', 'MASQUERADE', 'REDIRECT', 'NETMAP', 'MARK', 'CONNMARK', 'TTL', 'HL'].includes(step.target);

function printEnd({ fate, exits, state }: Journey, path: string, paint: Paint): string {
  const colour =
    fate.kind === 'undecided'
      ? paint.doubtful
      : fate.kind === 'dropped' || fate.kind === 'rejected'
        ? paint.bad
        : paint.good;
  const details = [
    fate.reason === undefined ? '' : printable(fate.reason),
    fate.line === undefined ? '' : `${printable(path)}:${fate.line}`,
    exits.length > 1 ? `copies leave by ${exits.map((exit) => exit.port ?? exit.oif).join(', ')}` : '',
  ].filter((part) => part !== '');
  const why = details.length === 0 ? '' : `  (${details.join('; ')})`;
  return `${colour(printOutcome(fate))}  ${paint.dim(state)}${why}`;
}

export function printTrace(traced: readonly Traced[], subject: TraceSubject, paint: Paint): string {
  const lines: string[] = [];
  for (const exchange of traced) {
    const { arrival, hops, answer, expected } = exchange;
    const title =
      arrival === undefined
        ? 'reply: nobody answers'
        : `${exchange.kind === 'reply' ? 'reply: ' : ''}${printable(printArrival(arrival))}`;
    lines.push(paint.bold(subject.host === undefined ? title : `${subject.host}: ${title}`));
    lines.push(...printHops(hops, subject, paint, '  ', exchange.linux?.twin));
    if (expected !== undefined)
      lines.push(
        expected.met
          ? `  ${paint.good('as expected')}: ${printFate(expected.fate)}`
          : `  ${paint.bad('expected')}: ${printFate(expected.fate)}`,
      );
    const [first] = answer ?? [];
    if (answer !== undefined && first !== undefined) {
      lines.push(paint.bold(`  the reply to it: ${printPacket(unframed(first.journey.packet))}`));
      lines.push(...printHops(answer, subject, paint, '    ', exchange.linux?.answer));
    } else if (exchange.linux?.answer !== undefined && subject.linux !== undefined) {
      lines.push(
        `  ${paint.bold('the reply to it')}`,
        ...printWord(exchange.linux.answer, subject.linux, paint, '    '),
      );
    }
    lines.push('');
  }
  lines.push(summaryOf(traced, subject.linux));
  return `${lines.join('\n')}\n`;
}

/** The journeys one under the other; with their hosts' names where there may be several. What only Linux met comes after what the model met. */
function printHops(
  hops: readonly TracedHop[],
  subject: TraceSubject,
  paint: Paint,
  indent: string,
  twin?: Twin,
): string[] {
  const beside = (at: number): Journey | undefined =>
    twin?.hops[at]?.host === hops[at]?.host ? twin?.hops[at]?.journey : undefined;
  const lines = hops.flatMap(({ host, journey }, at) => {
    const path = subject.pathOf(host, journey.packet.family);
    const unfiltered = path === undefined ? ' (no ruleset of it was given: it filters nothing)' : '';
    if (subject.host !== undefined) return printJourney(journey, path ?? '', paint, indent, beside(at));
    const packet = at === 0 ? '' : `, as ${printPacket(unframed(journey.packet))}`;
    return [
      `${indent}on ${paint.bold(printable(host))}${packet}${unfiltered}`,
      ...printJourney(journey, path ?? '', paint, `${indent}  `, beside(at)),
    ];
  });
  const strange = (twin?.hops ?? []).filter((_, at) => beside(at) === undefined);
  for (const { host, journey } of strange)
    lines.push(
      `${indent}+ on ${paint.bold(printable(host))}, only on Linux, as ${printPacket(unframed(journey.packet))}`,
      ...printJourney(journey, subject.pathOf(host, journey.packet.family) ?? '', paint, `${indent}  `),
    );
  if (twin !== undefined && subject.linux !== undefined) lines.push(...printWord(twin, subject.linux, paint, indent));
  return lines;
}

/** Without the frame's addresses, which say nothing beyond one wire. */
const unframed = ({ smac, dmac, ...packet }: Packet): Packet => packet;

/** The line that can be read alone. */
export function summaryOf(exchanges: readonly Traced[], linux?: LinuxVersion): string {
  const counts = new Map<string, number>();
  for (const { last } of exchanges) {
    const kind = last?.fate.kind ?? 'unanswered';
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  const unmet = exchanges.filter(({ expected }) => expected?.met === false).length;
  const fates = [...counts].map(([kind, count]) => `${count} ${kind}`).join(', ');
  const asked =
    linux === undefined
      ? ''
      : `; ${summaryOfTwins(
          exchanges.flatMap((exchange) => exchange.linux ?? []),
          linux,
        )}`;
  return `${exchanges.length === 1 ? '1 packet' : `${exchanges.length} packets`}: ${fates}${unmet === 0 ? '' : `; ${unmet} otherwise than expected`}${asked}`;
}

// --- JSON --------------------------------------------------------------------------------------------------------------------------

const packetText = (packet: Packet): string => printPacket(packet);

export const fateDocument = ({ kind, oif, port, packet, reason, line }: Fate): object => ({
  kind,
  ...(oif === undefined ? {} : { oif }),
  ...(port === undefined ? {} : { port }),
  ...(packet === undefined ? {} : { packet: packetText(packet) }),
  ...(reason === undefined ? {} : { reason }),
  ...(line === undefined ? {} : { line }),
});

export const stepDocument = (step: Step): object => {
  const { packet, ...rest } = step;
  return { ...rest, packet: packetText(packet) };
};

/** A packet, its fate, its state, its steps: one entry of `packets`, and the `reply` in it. */
export const journeyDocument = (journey: Journey, arrival?: Arrival): object => ({
  packet: arrival === undefined ? packetText(journey.packet) : printArrival(arrival),
  fate: fateDocument(journey.fate),
  state: journey.state,
  steps: journey.steps.map(stepDocument),
  ...(journey.exits.length > 1
    ? {
        exits: journey.exits.map(({ oif, port, packet }) => ({
          oif,
          ...(port === undefined ? {} : { port }),
          packet: packetText(packet),
        })),
      }
    : {}),
  ...(journey.consequences.length > 0
    ? { consequences: journey.consequences.map((consequence) => journeyDocument(consequence)) }
    : {}),
});

/** The steps of all hosts one after the other; with the host in each where there may be several. */
const hopsDocument = (hops: readonly TracedHop[], last: Journey, single: boolean, arrival?: Arrival): object => {
  const [first] = hops;
  if (single || first === undefined) return journeyDocument(last, arrival);
  return {
    packet: arrival === undefined ? packetText(unframed(first.journey.packet)) : printArrival(arrival),
    fate: fateDocument(last.fate),
    state: first.journey.state,
    steps: hops.flatMap(({ host, journey }) => journey.steps.map((step) => ({ host, ...stepDocument(step) }))),
    hops: hops.map(({ host, journey }) => ({ host, ...journeyDocument(journey) })),
  };
};

/** `kernel`: the word, and what Linux did, in the form of the model's own. */
function twinDocument(twin: Twin, { kernel, iptables }: LinuxVersion, single: boolean): object {
  const { word, because, hops, last, differences } = twin;
  return {
    word,
    ...(because === undefined ? {} : { because }),
    linux: kernel,
    iptables,
    ...(last === undefined ? {} : hopsDocument(hops, last, single)),
    ...(differences.length === 0
      ? {}
      : { differences: differences.map(({ host, what, model, kernel: linux }) => ({ host, what, model, linux })) }),
  };
}

export function traceDocument(traced: readonly Traced[], { host, linux: version }: TraceSubject): object {
  const kernelOf = (twin: Twin | undefined, single: boolean): object =>
    twin === undefined || version === undefined ? {} : { kernel: twinDocument(twin, version, single) };
  return {
    ...(host === undefined ? {} : { host }),
    packets: traced.map(({ line, kind, arrival, hops, last, answer, expected, linux }) => {
      const single = host !== undefined;
      const answered = answer?.at(-1)?.journey;
      return {
        ...(last === undefined
          ? { packet: kind, fate: { kind: 'dropped', reason: 'nobody answers' }, state: 'UNTRACKED', steps: [] }
          : hopsDocument(hops, last, single, arrival)),
        line,
        ...(answer === undefined || answered === undefined
          ? {}
          : { reply: { ...hopsDocument(answer, answered, single), ...kernelOf(linux?.answer, single) } }),
        ...kernelOf(linux?.twin, single),
        ...(expected === undefined ? {} : { expected: printFate(expected.fate), asExpected: expected.met }),
      };
    }),
  };
}
