/** A conversation with a network: the lines of a packets file, each from its sender over as many hosts as it takes. */
import { flush } from '../netfilter/traverse.ts';
import type { Journey } from '../netfilter/journey.ts';
import type { Conversation } from '../packet/conversation.ts';
import { fateMatches, type ExpectedFate } from '../packet/fate.ts';
import type { Arrival } from '../packet/packet.ts';
import { withQuotation } from './converse.ts';
import { answer, copyWorld, isReached, send, type End, type Way, type World } from './walk.ts';

/** What one packet line or `reply` line came to. A reply that nobody sends has no way. */
export interface WorldExchange {
  readonly line: number;
  readonly kind: 'packet' | 'reply';
  /** A packet line's own packet, with the host that it enters. */
  readonly arrival?: Arrival;
  readonly way?: Way;
  /** The journey through the host where the packet ended: its fate is the line's. */
  readonly last?: Journey;
  /** The way of the answer to a packet line, on a copy of what the machines remember: the conversation goes on as if there had been none. */
  readonly answer?: Way;
  readonly expected?: { readonly line: number; readonly fate: ExpectedFate; readonly met: boolean };
}

/** Of a packet that was copied: the copy that a process got, else an instance, else somebody outside, else the first that was lost. */
const ENDS_IN_ORDER: readonly End['kind'][] = ['process', 'instance', 'outside'];

/** The end that a line of a conversation is about. */
export const endOf = (way: Way): End | undefined =>
  ENDS_IN_ORDER.map((kind) => way.ends.find((end) => end.kind === kind)).find((end) => end !== undefined) ??
  way.ends.at(0);

/** The journey through the host at which `end` happened; the last of all when nothing tells. */
export function lastJourney(way: Way, end: End | undefined): Journey | undefined {
  const host = end === undefined ? undefined : isReached(end) && end.kind !== 'process' ? end.at.host : end.host;
  return (way.hops.findLast((hop) => hop.host === host) ?? way.hops.at(-1))?.journey;
}

/** The host that a packet line enters: the one that it names, or the only one. Throws RangeError where neither is. */
function hostEntered(world: World, arrival: Arrival): string {
  const { host } = arrival.entry;
  if (host !== undefined) return host;
  const [only, other] = world.network.hosts;
  if (only === undefined || other !== undefined)
    throw new RangeError('which host does the packet enter? expected `in HOST:INTERFACE` or `local HOST:`');
  return only.name;
}

/** Holds the conversation; the world remembers it. */
export function converseInWorld(world: World, conversation: Conversation): readonly WorldExchange[] {
  const exchanges: WorldExchange[] = [];
  const journeys = new Map<number, Journey>();
  let last: Way | undefined;
  for (const item of conversation.items) {
    if (item.kind === 'flush') {
      for (const machine of world.machines.values()) flush(machine);
      continue;
    }
    const way = item.kind === 'packet' ? sendLine(world, withQuotation(item.arrival, journeys)) : replyIn(world, last);
    const end = way && endOf(way);
    const journey = way && lastJourney(way, end);
    const first = way?.hops[0]?.journey.packet;
    if (journey !== undefined && first !== undefined) journeys.set(item.line, { ...journey, packet: first });
    if (way !== undefined) last = way;
    const answered = item.kind === 'packet' ? replyIn(copyWorld(world), way) : undefined;
    exchanges.push({
      line: item.line,
      kind: item.kind,
      ...(item.kind === 'packet' ? { arrival: item.arrival } : {}),
      ...(way === undefined ? {} : { way }),
      ...(journey === undefined ? {} : { last: journey }),
      ...(answered === undefined ? {} : { answer: answered }),
      ...(item.expected === undefined
        ? {}
        : {
            expected: { ...item.expected, met: journey !== undefined && fateMatches(item.expected.fate, journey.fate) },
          }),
    });
  }
  return exchanges;
}

const sendLine = (world: World, arrival: Arrival): Way => send(world, hostEntered(world, arrival), arrival);

function replyIn(world: World, last: Way | undefined): Way | undefined {
  const end = last && endOf(last);
  return end && answer(world, end);
}
