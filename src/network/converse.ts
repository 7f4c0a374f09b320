/** A conversation with one host: the lines of a packets file, one after the other, on one machine. */
import { arrive, copyMachine, flush, type Machine } from '../netfilter/traverse.ts';
import type { Journey } from '../netfilter/journey.ts';
import type { Conversation, ConversationItem } from '../packet/conversation.ts';
import { fateMatches, type ExpectedFate } from '../packet/fate.ts';
import type { Arrival, Packet } from '../packet/packet.ts';
import { replyTo } from '../packet/reply.ts';

/** What one packet line or `reply` line came to. A reply that nobody sends has no journey. */
export interface Exchange {
  readonly line: number;
  readonly kind: 'packet' | 'reply';
  readonly arrival?: Arrival;
  readonly journey?: Journey;
  /** The journey of the answer to it, on a copy of what the machine remembers: the conversation goes on as if there had been none. */
  readonly answer?: Journey;
  readonly expected?: { readonly line: number; readonly fate: ExpectedFate; readonly met: boolean };
}

/**
 * The answer of whoever got the packet of a journey, as it enters the host: from the process, or back in by the way that the packet left. Undefined where nobody
 * got it, or would answer.
 */
export function answerTo(journey: Journey): Arrival | undefined {
  const [delivered] = journey.deliveries;
  if (journey.fate.kind === 'undecided') return undefined;
  if (delivered !== undefined) {
    const packet = replyTo(delivered);
    return packet && { packet, entry: { kind: 'local' } };
  }
  const [exit] = journey.exits;
  const packet = exit && replyTo(exit.packet);
  return packet && { packet, entry: { kind: 'in', interface: exit.port ?? exit.oif } };
}

/** A packet as it was last seen on its way: what somebody beyond the host would quote. */
const asItLeft = (journey: Journey): Packet => journey.exits[0]?.packet ?? journey.deliveries[0] ?? journey.packet;

/**
 * The packet that an error to `receiver` quotes: as it left the host, unless only the form in which it came in was sent by the receiver.
 */
function quotedIn(journey: Journey, receiver: Packet['daddr']): Packet {
  const left = asItLeft(journey);
  const chosen = left.saddr !== receiver && journey.packet.saddr === receiver ? journey.packet : left;
  const { smac, dmac, ...headers } = chosen;
  return { ...headers, mark: 0 };
}

export function converse(machine: Machine, conversation: Conversation): readonly Exchange[] {
  const exchanges: Exchange[] = [];
  const journeys = new Map<number, Journey>();
  let last: Journey | undefined;
  for (const item of conversation.items) {
    if (item.kind === 'flush') {
      flush(machine);
      continue;
    }
    const arrival = item.kind === 'packet' ? withQuotation(item.arrival, journeys) : last && answerTo(last);
    const journey = arrival && arrive(machine, arrival);
    if (journey !== undefined) {
      journeys.set(item.line, journey);
      last = journey;
    }
    const answer = item.kind === 'packet' && journey !== undefined ? answerTo(journey) : undefined;
    exchanges.push({
      line: item.line,
      kind: item.kind,
      ...(arrival === undefined ? {} : { arrival }),
      ...(journey === undefined ? {} : { journey }),
      ...(answer === undefined ? {} : { answer: arrive(copyMachine(machine), answer) }),
      ...(item.expected === undefined
        ? {}
        : {
            expected: {
              ...item.expected,
              met: journey !== undefined && fateMatches(item.expected.fate, journey.fate),
            },
          }),
    });
  }
  return exchanges;
}

/** What is said in a conversation, without the lines on which it stands. */
export type Words = readonly Extract<ConversationItem, { kind: 'packet' | 'reply' }>[];

/**
 * Says one thing after the other by `send`, whoever follows the packets, and gives their journeys; those that nobody says are missing: a reply of nobody, and all
 * behind it.
 */
export function hold(
  words: Words,
  send: (arrival: Arrival, index: number) => Journey | undefined,
): readonly { readonly arrival: Arrival; readonly journey: Journey }[] {
  const held: { arrival: Arrival; journey: Journey }[] = [];
  const journeys = new Map<number, Journey>();
  for (const [index, item] of words.entries()) {
    const last = held.at(-1)?.journey;
    const arrival = item.kind === 'packet' ? withQuotation(item.arrival, journeys) : last && answerTo(last);
    const journey = arrival && send(arrival, index);
    if (arrival === undefined || journey === undefined) break;
    journeys.set(item.line, journey);
    held.push({ arrival, journey });
  }
  return held;
}

/** The arrival with the packet that its `quotes LINE` is about, as the journeys of the lines so far have it. */
export function withQuotation(arrival: Arrival, journeys: ReadonlyMap<number, Journey>): Arrival {
  const journey = arrival.quotes === undefined ? undefined : journeys.get(arrival.quotes);
  return journey === undefined
    ? arrival
    : { ...arrival, packet: { ...arrival.packet, quoted: quotedIn(journey, arrival.packet.daddr) } };
}
