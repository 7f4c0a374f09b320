/** A conversation with a host, as text and as JSON. */
import type { Exchange } from '../network/converse.ts';
import type { Fate, Journey, Step } from '../netfilter/journey.ts';
import { printFate, printOutcome } from '../packet/fate.ts';
import { printArrival, printPacket } from '../packet/notation.ts';
import type { Arrival, Packet } from '../packet/packet.ts';
import type { Paint } from './paint.ts';
import { printable } from './printable.ts';

/** Where a trace was taken, for its head and for `file:line`. */
export interface TraceSubject {
  readonly host: string;
  readonly path: string;
}

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

/** One journey: hooks, and under each the rules that matched; the packet again wherever it has been rewritten. */
export function printJourney(journey: Journey, path: string, paint: Paint, indent = '  '): string[] {
  const lines: string[] = [];
  let hook = '';
  let seen = printPacket(journey.packet);
  const width = Math.max(0, ...journey.steps.map((step) => `${step.table} ${step.chain} ${ruleOf(step)}`.length));
  for (const step of journey.steps) {
    const heading = `${step.hook} ${devicesOf(step)}`;
    if (heading !== hook) {
      hook = heading;
      lines.push(`${indent}${paint.bold(step.hook)}  ${printable(devicesOf(step))}`);
    }
    const now = printPacket(step.packet);
    const place = `${step.table} ${printable(step.chain)} ${ruleOf(step)}`.padEnd(width);
    const where = step.line === undefined ? '' : paint.dim(`  ${printable(path)}:${step.line}`);
    lines.push(`${indent}  ${place}  ${step.target === '' ? '(no target)' : printable(step.target)}${where}`);
    if (now !== seen && showsRewriting(step)) lines.push(`${indent}    ${paint.doubtful('now')} ${now}`);
    seen = now;
  }
  lines.push(`${indent}${printEnd(journey, path, paint)}`);
  for (const consequence of journey.consequences) {
    lines.push(`${indent}and the host sends ${printPacket(consequence.packet)}`);
    lines.push(...printJourney(consequence, path, paint, `${indent}  `));
  }
  return lines;
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

export function printTrace(exchanges: readonly Exchange[], subject: TraceSubject, paint: Paint): string {
  const lines: string[] = [];
  for (const exchange of exchanges) {
    const { arrival, journey, answer, expected } = exchange;
    const title =
      arrival === undefined
        ? 'reply: nobody answers'
        : `${exchange.kind === 'reply' ? 'reply: ' : ''}${printArrival(arrival)}`;
    lines.push(paint.bold(`${subject.host}: ${title}`));
    if (journey !== undefined) lines.push(...printJourney(journey, subject.path, paint));
    if (expected !== undefined)
      lines.push(
        expected.met
          ? `  ${paint.good('as expected')}: ${printFate(expected.fate)}`
          : `  ${paint.bad('expected')}: ${printFate(expected.fate)}`,
      );
    if (answer !== undefined) {
      lines.push(paint.bold(`  the reply to it: ${printPacket(answer.packet)}`));
      lines.push(...printJourney(answer, subject.path, paint, '    '));
    }
    lines.push('');
  }
  lines.push(summaryOf(exchanges));
  return `${lines.join('\n')}\n`;
}

function summaryOf(exchanges: readonly Exchange[]): string {
  const counts = new Map<string, number>();
  for (const { journey } of exchanges) {
    const kind = journey?.fate.kind ?? 'unanswered';
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  const unmet = exchanges.filter(({ expected }) => expected?.met === false).length;
  const fates = [...counts].map(([kind, count]) => `${count} ${kind}`).join(', ');
  return `${exchanges.length === 1 ? '1 packet' : `${exchanges.length} packets`}: ${fates}${unmet === 0 ? '' : `; ${unmet} otherwise than expected`}`;
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

export const traceDocument = (exchanges: readonly Exchange[], { host }: TraceSubject): object => ({
  host,
  packets: exchanges.map(({ line, kind, arrival, journey, answer, expected }) => ({
    ...(journey === undefined
      ? { packet: kind, fate: { kind: 'dropped', reason: 'nobody answers' }, state: 'UNTRACKED', steps: [] }
      : journeyDocument(journey, arrival)),
    line,
    ...(answer === undefined ? {} : { reply: journeyDocument(answer) }),
    ...(expected === undefined ? {} : { expected: printFate(expected.fate), asExpected: expected.met }),
  })),
});
