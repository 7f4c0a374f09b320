/** What became of the packets of a whole case, as text that two runs can be compared by. */
import type { WorldCase } from '../../src/arbitrary/world.ts';
import { play, type Played } from '../../src/kernel/dialogue.ts';
import { endingOf, exitName } from '../../src/netfilter/ending.ts';
import type { Journey, Step } from '../../src/netfilter/journey.ts';
import { machineOf } from '../../src/netfilter/traverse.ts';
import { printArrival } from '../../src/packet/notation.ts';
import type { Way } from '../../src/network/walk.ts';
import type { Ruleset } from '../../src/ruleset/rule.ts';

/** By which ways it got through. */
export const waysOf = (journey: Journey): readonly string[] => [
  ...journey.deliveries.map(() => 'to a process'),
  ...journey.exits.map(exitName),
];

/** A line for each packet of a dialogue: what was sent, what conntrack made of it, how it ended. */
export const transcriptOf = (played: readonly Played[]): readonly string[] =>
  played.flatMap(({ sent, journey }) =>
    sent.kind === 'flush' || journey === undefined
      ? []
      : [`${printArrival(sent.arrival)} => ${journey.state} ${endingOf(journey)}`],
  );

export const journeysOf = (played: readonly Played[]): readonly Journey[] =>
  played.flatMap(({ journey }) => (journey === undefined ? [] : [journey]));

export const stepsOf = (played: readonly Played[]): readonly Step[] =>
  journeysOf(played).flatMap((journey) => journey.steps);

/** The case's moves, played with these rules. */
export const playWith = ({ host, backend, moves }: WorldCase, rulesets: readonly Ruleset[]): readonly Played[] =>
  play(machineOf(host, rulesets, backend), moves);

/** Throws with what is not the same, line by line. */
export function expectSame(expected: readonly string[], found: readonly string[], where: string): void {
  const length = Math.max(expected.length, found.length);
  const lines = Array.from({ length }, (_, at) => [expected[at] ?? 'nothing', found[at] ?? 'nothing'] as const).flatMap(
    ([left, right]) => (left === right ? [`  ${left}`] : [`- ${left}`, `+ ${right}`]),
  );
  if (lines.some((line) => !line.startsWith(' '))) throw new Error([`${where}:`, ...lines].join('\n'));
}

/** A packet's way through a network, a line for each host. */
export const printWay = ({ hops, ends }: Way): readonly string[] => [
  ...hops.map(
    ({ host, entry, journey }) =>
      `  ${host} ${entry.kind === 'in' ? `in ${entry.interface}` : 'local'}: ${endingOf(journey)}${reasonOf(journey)}`,
  ),
  ...ends.map((end) => `  ends at: ${end.kind}${'name' in end ? ` ${end.name}` : ''}`),
];

const reasonOf = ({ fate: { reason, line } }: Journey): string =>
  `${reason === undefined ? '' : ` (${reason})`}${line === undefined ? '' : ` line ${line}`}`;
