/** How a breach of a law over time came about: what became of its line with each write, or the way of a flow that goes on. */
import type { Family } from '../address/address.ts';
import type { FlowGoneOn } from '../invariant/living-flows.ts';
import type { History, TableLines, TimeBreach } from '../invariant/over-time.ts';
import type { Way } from '../network/walk.ts';
import { printArrival } from '../packet/notation.ts';
import { PLAIN } from './paint.ts';
import { printJourney } from './trace.ts';

/** The hops of a way, each under its host's name, rules by the lines of HOST.rules and HOST.v6.rules. */
export const printWay = ({ hops }: Way): string[] =>
  hops.flatMap(({ host, journey }) => [
    `on ${host}`,
    ...printJourney(journey, `${host}${journey.packet.family === 6 ? '.v6' : ''}.rules`, PLAIN),
  ]);

export const printTimeTrace = (breach: TimeBreach, history: History): string[] =>
  breach.flow === undefined ? printWrites(breach, history) : printFlow(breach.flow);

const printFlow = ({ opening, later, way }: FlowGoneOn): string[] => [
  `${printArrival(opening)}  # before the operation`,
  'reply',
  `${printArrival(later)}  # after it`,
  ...printWay(way),
];

type Both = Readonly<Record<Family, TableLines>>;

function printWrites({ host, line }: TimeBreach, { before, writes, after, settled }: History): string[] {
  const has = (kernel: Both | undefined): string =>
    kernel !== undefined && holds(kernel, line) ? 'there' : 'not there';
  const states: (readonly [string, string])[] = [
    ['before', has(before.get(host))],
    ...writes
      .filter((write) => write.host === host)
      .map(({ by, after: written }): [string, string] => [`written by ${by}`, has(written)]),
    ['at the end', has(after.get(host))],
    ['written in one go', has(settled().get(host))],
  ];
  const width = Math.max(...states.map(([when]) => when.length));
  return [`${line}  # on ${host}`, ...states.map(([when, is]) => `  ${when.padEnd(width)}  ${is}`)];
}

const uncounted = (line: string): string => line.replace(/^\[\d+:\d+\] /, '');

function holds(kernel: Both, line: string): boolean {
  const [table = ''] = line.split(' ', 1);
  const wanted = line.slice(table.length + 1);
  const isCounted = wanted.startsWith('[');
  return ([4, 6] as const).some((family) =>
    (kernel[family].get(table) ?? []).some((other) =>
      wanted.startsWith(':') ? `${other} `.startsWith(`${wanted} `) : (isCounted ? other : uncounted(other)) === wanted,
    ),
  );
}
