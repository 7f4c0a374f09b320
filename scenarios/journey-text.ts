/** The printed journey: what stands in a scenario's `NAME.trace`. */
import type { Journey, Step } from '../src/netfilter/journey.ts';
import type { WorldExchange } from '../src/network/world-conversation.ts';
import { printFate, printOutcome } from '../src/packet/fate.ts';
import { printPacket } from '../src/packet/notation.ts';
import type { Packet } from '../src/packet/packet.ts';
import type { Scenario } from './scenario.ts';

/** Everything that happened, a line of the packets file after the other. */
export function printExchanges(scenario: Scenario, exchanges: readonly WorldExchange[]): string {
  const several = scenario.network.hosts.length > 1;
  return exchanges.map((exchange) => `${printExchange(exchange, several)}\n`).join('\n');
}

function printExchange({ line, kind, way }: WorldExchange, several: boolean): string {
  if (way === undefined) return `line ${line}: ${kind}: nobody answers`;
  return way.hops
    .map(({ host, entry, journey }, at) => {
      const where = entry.kind === 'local' ? 'local' : `in ${entry.interface}`;
      const head = at === 0 ? `line ${line}: ` : 'then ';
      const name = several ? ` on ${host}` : '';
      const packet = printPacket(unframed(journey.packet));
      return [`${head}${packet} ${where}${name} (${journey.state})`, ...journeyLines(journey, '  ')].join('\n');
    })
    .join('\n');
}

function unframed(packet: Packet): Packet {
  const { smac, dmac, ...rest } = packet;
  return rest;
}

/** The journey's own lines, then its ends, then the packets that the host made because of it. */
function journeyLines(journey: Journey, indent: string): string[] {
  let shown = printPacket(unframed(journey.packet));
  const steps = journey.steps.map((step) => {
    const packet = printPacket(step.packet);
    const changed = packet !== shown;
    shown = packet;
    return [...columnsOf(step), changed ? packet : ''];
  });
  const widths = [0, 1, 2, 3, 4, 5].map((column) => Math.max(0, ...steps.map((step) => step[column]?.length ?? 0)));
  const lines = steps.map((step) =>
    step
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return [
    ...lines.map((text) => `${indent}${text}`),
    ...endLines(journey).map((text) => `${indent}=> ${text}`),
    ...journey.consequences.flatMap((consequence) => [
      `${indent}because of it the host sends ${printPacket(unframed(consequence.packet))} (${consequence.state})`,
      ...journeyLines(consequence, `${indent}  `),
    ]),
  ];
}

const columnsOf = (step: Step): string[] => [
  step.hook,
  step.table,
  step.chain,
  `${step.rule}`,
  step.target === '' ? '(none)' : step.target,
  devicesOf(step),
];

const device = (name: string | undefined, port: string | undefined): string =>
  port === undefined ? (name ?? '-') : `${name ?? '-'}/${port}`;

/** `br100/vm1 > eth0`: the devices of the hook, each with the bridge port where there is one. */
const devicesOf = ({ iif, oif, physin, physout }: Step): string => `${device(iif, physin)} > ${device(oif, physout)}`;

function endLines(journey: Journey): string[] {
  const { fate, deliveries, exits } = journey;
  const ends = [
    ...deliveries.map((packet) => printOutcome({ kind: 'delivered', packet })),
    ...exits.map(({ oif, port, packet }) =>
      printOutcome({ kind: 'forwarded', oif, ...(port === undefined ? {} : { port }), packet }),
    ),
  ];
  const reason = fate.reason === undefined ? '' : `: ${fate.reason}`;
  return ends.length === 0 || fate.kind === 'undecided' ? [`${fate.kind}${reason}`] : ends;
}

/** What is wrong with an exchange, in one line; undefined when its expectation is met. */
export function complaint(scenario: Scenario, { line, last, expected }: WorldExchange): string | undefined {
  if (expected === undefined || expected.met) return undefined;
  const found = last === undefined ? 'nobody answers' : printOutcome(last.fate);
  const reason = last?.fate.reason === undefined ? '' : ` (${last.fate.reason})`;
  return `scenarios/${scenario.path}:${expected.line}: line ${line}: expected ${printFate(expected.fate)}, got ${found}${reason}`;
}
