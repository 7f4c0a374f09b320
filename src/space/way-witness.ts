/**
 * What shows a difference to a person: the most readable packet of a region, or a conversation that begins with it, held by the model under the old rules and under
 * the new. A packet in a state that was asserted of it is shown with the conversation that leads to it, where one is found.
 */
import type { Journey } from '../netfilter/journey.ts';
import { arrive, freshMachine, machineOf, type Machine } from '../netfilter/traverse.ts';
import { hold, type Words } from '../network/converse.ts';
import { printArrival } from '../packet/notation.ts';
import type { Arrival, ConntrackState, Entry } from '../packet/packet.ts';
import { laterThan, type Turn } from '../packet/reply.ts';
import { printTarget } from '../ruleset/print.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import type { Node } from './diagram.ts';
import type { HostWays } from './host-ways.ts';
import { leadingTo } from './leading-to.ts';
import type { ChangeClass } from './table-difference.ts';
import { arrivalIn } from './witness.ts';

export interface WayWitness {
  /** What is said: its last packet fares otherwise. */
  readonly words: Words;
  /** The rules are the old ones until the last packet. */
  readonly alive: boolean;
  /** The packets of it as they entered, under the old rules: one for each of `words`. */
  readonly said: readonly Arrival[];
  /** What became of the last packet. */
  readonly old: Journey;
  readonly now: Journey;
  /** The model, packet by packet, says that they differ; null where it depends on what is not modelled. */
  readonly confirmed: boolean | null;
  /** What Linux did, where it was asked. */
  readonly onLinux?: string;
}

/** Packets of one way in, or conversations that begin with them, for which one is to stand. */
export interface Witnessed {
  readonly classes: readonly ChangeClass[];
  readonly entry: Entry;
  /** Asserted; absent: the packets as conntrack finds them. */
  readonly state?: ConntrackState;
  /** The conversation whose last packet fares otherwise: it begins with one of the packets, and goes as before until then. */
  readonly turns: readonly Turn[];
  /** The flow was alive at the moment of the change: the rules are the new ones for the last packet only. */
  readonly alive: boolean;
  readonly packets: Node;
}

/** `openers`: packets that open flows whose answers come in where the region's packets do. */
export function witnessOf(
  ways: HostWays,
  old: Ruleset,
  now: Ruleset,
  region: Witnessed,
  openers: readonly Arrival[],
): WayWitness | undefined {
  const { entry, state, packets, classes, turns, alive } = region;
  const found = arrivalIn(ways.layout, packets, { entry, ...(state === undefined ? {} : { state }) });
  if (found === undefined) return undefined;
  const judges = {
    old: machineOf(ways.host, [old], ways.ground.backend),
    now: machineOf(ways.host, [now], ways.ground.backend),
  };
  const shown = (words: Words): WayWitness | undefined => {
    const [was, is] = [
      holdUnder(judges.old, judges.old, words),
      holdUnder(alive ? judges.old : judges.now, judges.now, words),
    ];
    const [before, after] = [was.at(-1), is.at(-1)];
    if (before === undefined || after === undefined || was.length < words.length || is.length < words.length)
      return undefined;
    const isKnown =
      !classes.includes('undecided') &&
      found.supposes.length === 0 &&
      [before, after].every(({ journey }) => journey.fate.kind !== 'undecided');
    const differs = looksOf(before.journey, old) !== looksOf(after.journey, now);
    return {
      words,
      alive,
      said: was.map(({ arrival }) => arrival),
      old: before.journey,
      now: after.journey,
      confirmed: isKnown ? differs : null,
    };
  };
  if (state !== undefined)
    for (const words of [judges.old, judges.now].flatMap((machine) => leadingTo(machine, found.arrival, openers))) {
      const witness = shown(words);
      if (witness?.old.state === state && witness.now.state === state && witness.confirmed === true) return witness;
    }
  const alone = [packetLine(found.arrival, 1)];
  if (state !== undefined) return shown(alone);
  const whole = shown(wordsOf(judges.old, found.arrival, turns));
  if (whole !== undefined) return whole;
  // Where nobody knows how a conversation goes on, its first packet shows why.
  const first = shown(alone);
  return first?.confirmed === null ? first : undefined;
}

const packetLine = (arrival: Arrival, line: number): Words[number] => ({ kind: 'packet', line, arrival });

/** A conversation with the words of its sender in full, as they are under these rules. */
function wordsOf(machine: Machine, first: Arrival, turns: readonly Turn[]): Words {
  const words = turns.map((turn, index): Words[number] =>
    turn === 'reply' ? { kind: 'reply', line: index + 1 } : packetLine(first, index + 1),
  );
  if (!turns.includes('later')) return words;
  const [, reply] = holdUnder(machine, machine, words.slice(0, 2));
  const later = reply === undefined ? first : { ...first, packet: laterThan(first.packet, reply.arrival.packet) };
  return words.map((word, index) => (turns[index] === 'later' ? packetLine(later, word.line) : word));
}

/** Holds a conversation under `before`'s rules, and the last packet of it under `last`'s, which then remember it all. */
export function holdUnder(before: Machine, last: Machine, words: Words): ReturnType<typeof hold> {
  let memories = freshMachine(before).memories;
  return hold(words, (arrival, index) => {
    const machine: Machine = { ...(index === words.length - 1 ? last : before), memories };
    const journey = arrive(machine, arrival);
    ({ memories } = machine);
    return journey;
  });
}

/** What is said, as lines of a packets file. */
export function linesOf({ words, alive, said, old }: WayWitness): readonly string[] {
  return words.flatMap((word, index): string[] => {
    const isLast = index === words.length - 1;
    const arrival = word.kind === 'packet' ? word.arrival : said[index];
    const state = isLast && words.length > 1 ? `  # ${old.state}` : '';
    const line = word.kind === 'packet' && arrival !== undefined ? printArrival(arrival) : word.kind;
    return [...(isLast && alive ? ['# from here on under the new rules'] : []), `${line}${state}`];
  });
}

/** All that a journey shows of where it came to, of how it was refused, and of what was written of it in the log. */
export function looksOf(journey: Journey, ruleset: Ruleset): string {
  const { steps, fate } = journey;
  const targetOf = ({ table, chain, rule }: Journey['steps'][number]): string => {
    const found = typeof rule === 'number' ? ruleset.tables.get(table)?.chains.get(chain)?.rules[rule - 1] : undefined;
    return found?.target === undefined ? '' : printTarget(found.target);
  };
  const logs = steps.flatMap((step) =>
    step.target === 'LOG' || step.target === 'NFLOG' ? [`${step.hook} ${targetOf(step)}`] : [],
  );
  const last = steps.at(-1);
  const refusal = fate.kind === 'rejected' && last !== undefined ? [targetOf(last)] : [];
  return [seenOf(journey), ...refusal, ...logs].join('\n');
}

/** All that a journey shows of where it came to. */
export function seenOf({ fate, exits, deliveries }: Journey): string {
  const text = (value: unknown): string =>
    JSON.stringify(value, (_key, part: unknown) => (typeof part === 'bigint' ? `${part}n` : part));
  return [fate.kind, ...exits.map((exit) => text(exit)), ...deliveries.map((packet) => text(packet))].join('\n');
}
