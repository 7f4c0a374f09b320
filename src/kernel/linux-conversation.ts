/** A conversation held with Linux: the lines of a packets file, each followed from host to host there. */
import type { Journey } from '../netfilter/journey.ts';
import { answerTo, withQuotation } from '../network/converse.ts';
import { answerFrom } from '../network/walk.ts';
import { endOf, lastJourney } from '../network/world-conversation.ts';
import type { Conversation, ConversationItem } from '../packet/conversation.ts';
import type { Arrival, Packet } from '../packet/packet.ts';
import type { LinuxHop, LinuxWay, LinuxWorld, NotAsked } from './linux-world.ts';

/** What one packet line or `reply` line came to on Linux. */
export interface LinuxExchange {
  readonly line: number;
  readonly kind: 'packet' | 'reply';
  /** Absent for a reply that nobody sends. */
  readonly passage?: LinuxWay | NotAsked;
  /** The journey through the host where the packet ended. */
  readonly last?: Journey;
  /** What became of the answer to a packet line; the conversation goes on as if there had been none. */
  readonly answer?: LinuxWay | NotAsked;
}

export const isAsked = (passage: LinuxWay | NotAsked): passage is LinuxWay => !('notAsked' in passage);

const AFTER_ONE_NOT_ASKED: NotAsked = {
  notAsked: 'Linux has not had an earlier packet of the conversation: it could not be asked about that one',
};

/**
 * Holds the conversation with Linux, which forgets first what came before it. `only`: the one host that is looked at; what leaves it is not followed.
 *
 * Linux cannot be copied: to hear an answer and go on as if there had been none, the conversation is held again from its start.
 */
export function converseOnLinux(
  world: LinuxWorld,
  conversation: Conversation,
  only?: string,
): readonly LinuxExchange[] {
  const { items } = conversation;
  world.flush();
  const whole = new Talk(world, conversation, only);
  const exchanges = items.flatMap((item) => whole.say(item) ?? []);
  const lastAnswer = whole.answer();
  const answerAfter = (line: number): LinuxExchange['answer'] => {
    world.flush();
    const talk = new Talk(world, conversation, only);
    for (const item of items) if (item.line <= line) talk.say(item);
    return talk.answer();
  };
  return exchanges.map((exchange) => {
    if (exchange.kind === 'reply') return exchange;
    const answer = exchange === exchanges.at(-1) ? lastAnswer : answerAfter(exchange.line);
    return answer === undefined ? exchange : { ...exchange, answer };
  });
}

/** Goes on with what the hosts remember, and asks nobody for the answers that the conversation does not name. */
export function goOnWithLinux(world: LinuxWorld, conversation: Conversation): readonly LinuxExchange[] {
  const talk = new Talk(world, conversation, undefined);
  return conversation.items.flatMap((item) => talk.say(item) ?? []);
}

/** A conversation under way. */
class Talk {
  readonly #world: LinuxWorld;
  readonly #only: string | undefined;
  readonly #datagrams: readonly Packet[];
  readonly #journeys = new Map<number, Journey>();
  #last: LinuxWay | undefined;
  /** A packet could not be asked about. */
  #isBroken = false;

  constructor(world: LinuxWorld, { items }: Conversation, only: string | undefined) {
    this.#world = world;
    this.#only = only;
    this.#datagrams = items.flatMap((item) => (item.kind === 'packet' ? [item.arrival.packet] : []));
  }

  say(item: ConversationItem): LinuxExchange | undefined {
    if (item.kind === 'flush') {
      this.#world.flush();
      this.#isBroken = false;
      return undefined;
    }
    const { line, kind } = item;
    const said =
      item.kind === 'packet' ? this.#entering(withQuotation(item.arrival, this.#journeys)) : this.#reply(this.#last);
    if (this.#isBroken) return { line, kind, passage: AFTER_ONE_NOT_ASKED };
    if (said === undefined) return { line, kind };
    const passage = this.#send(said);
    if (!isAsked(passage)) {
      this.#isBroken = true;
      this.#last = undefined;
      return { line, kind, passage };
    }
    this.#last = passage;
    const last = this.#lastJourney(passage);
    const [first] = passage.hops;
    if (last !== undefined && first !== undefined) this.#journeys.set(line, { ...last, packet: first.journey.packet });
    return { line, kind, passage, ...(last === undefined ? {} : { last }) };
  }

  /** The answer to what was said last. */
  answer(): LinuxWay | NotAsked | undefined {
    if (this.#isBroken) return AFTER_ONE_NOT_ASKED;
    const said = this.#reply(this.#last);
    return said && this.#send(said);
  }

  #entering(arrival: Arrival): Said {
    return { host: this.#only ?? arrival.entry.host ?? this.#world.network.hosts[0]?.name ?? '', arrival };
  }

  #reply(way: LinuxWay | undefined): Said | undefined {
    if (way === undefined) return undefined;
    if (this.#only === undefined) {
      const end = endOf(way);
      return end && answerFrom(this.#world.network, end);
    }
    const [hop] = way.hops;
    const arrival = hop && answerTo(hop.journey);
    return arrival && { host: this.#only, arrival };
  }

  #send({ host, arrival }: Said): LinuxWay | NotAsked {
    if (this.#only === undefined) return this.#world.send(host, arrival, this.#datagrams);
    const hop: LinuxHop | NotAsked = this.#world.arrive(host, arrival, this.#datagrams);
    return 'notAsked' in hop ? hop : { hops: [hop], ends: [] };
  }

  #lastJourney(way: LinuxWay): Journey | undefined {
    return this.#only === undefined ? lastJourney(way, endOf(way)) : way.hops[0]?.journey;
  }
}

interface Said {
  readonly host: string;
  readonly arrival: Arrival;
}
