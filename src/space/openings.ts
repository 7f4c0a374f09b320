/** What conntrack makes of packets of no flow that it knows, and of answers: netfilter/conntrack.ts, asked once for each kind of packet. */
import { fromBigint, zeroAddress } from '../address/address.ts';
import { Conntrack, INVALID, type Connection, type ConntrackSettings, type Tracked } from '../netfilter/conntrack.ts';
import type { Direction } from '../netfilter/tuple.ts';
import { makePacket, TCP, isIcmp, type Packet } from '../packet/packet.ts';
import { laterThan, replyTo } from '../packet/reply.ts';
import type { Said, Talk } from './cell.ts';
import { FIRST_FREE_TERMINAL, terminal, valueOf, type Node } from './diagram.ts';
import type { Layout } from './layout.ts';

const STATES = ['NEW', 'INVALID', 'UNTRACKED', 'ESTABLISHED'] as const;
export type OpeningState = (typeof STATES)[number];

/** What conntrack makes of a packet of a conversation whose flow it knows. */
export interface Taken {
  readonly state: OpeningState;
  readonly direction: Direction;
  /** The flow has ended, and another one begins. */
  readonly anew: boolean;
  readonly seenReply: boolean;
  readonly assured: boolean;
}

export class Openings {
  readonly #layout: Layout;
  readonly #nodes = new Map<string, Node>();
  readonly #taken: Taken[] = [];
  readonly #takenBy = new Map<string, Node>();
  readonly #talks = new Map<string, Dialogue>();

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  /** The state of a packet whose flow nobody has seen. `arrives`: it comes from outside, so its checksum is looked at. */
  states(settings: ConntrackSettings, arrives: boolean): Node {
    return this.#byPacket(settings, arrives, 'first');
  }

  /** The state of a packet that opened a flow, and has come again before anybody answered. What is not NEW then is told as INVALID. */
  again(settings: ConntrackSettings, arrives: boolean): Node {
    return this.#byPacket(settings, arrives, 'again');
  }

  /** The state of a packet from somebody to itself that opened a flow and has come again: it looks like its own answer. */
  turned(settings: ConntrackSettings, arrives: boolean): Node {
    return this.#byPacket(settings, arrives, 'turned');
  }

  /**
   * How a packet of a conversation is taken of which conntrack has `heard` these, by the first packet of it as that was sent: `takenOf` the terminals. `arrives`: it comes
   * from outside.
   */
  within({ turn, before }: Talk, heard: readonly number[], settings: ConntrackSettings, arrives: boolean): Node {
    const said: readonly Said[] = [...before, { turn, arrived: arrives }];
    const key = said.map((one, index) => [one.turn, one.arrived, heard.includes(index)].join()).join(' ');
    return this.#ofProtocols(`${key} ${settingsKey(settings)}`, (fields) =>
      this.#terminalOf(takenIn(this.#talk(fields), said, heard, settings)),
    );
  }

  /** What the two ends say to each other. */
  #talk(fields: Fields): Dialogue {
    const key = `${fields.protocol} ${fields.flags ?? ''} ${fields.type ?? ''}`;
    const known = this.#talks.get(key);
    if (known !== undefined) return known;
    const first = this.#packet(fields);
    const reply = replyTo(first) ?? first;
    const later = laterThan(first, reply);
    const made = { first, reply, later, laterReply: replyTo(later) ?? later };
    this.#talks.set(key, made);
    return made;
  }

  #terminalOf(taken: Taken): Node {
    const key = Object.values(taken).join();
    const known = this.#takenBy.get(key);
    if (known !== undefined) return known;
    const node = terminal(FIRST_FREE_TERMINAL + this.#taken.push(taken) - 1);
    this.#takenBy.set(key, node);
    return node;
  }

  #byPacket(settings: ConntrackSettings, arrives: boolean, when: 'first' | 'again' | 'turned'): Node {
    return this.#ofProtocols(`${settingsKey(settings)} ${arrives} ${when}`, (fields) => {
      const packet = this.#packet(fields, when === 'turned');
      const conntrack = new Conntrack();
      const first = conntrack.classify(packet, settings, arrives);
      if (when !== 'first') conntrack.confirm(first);
      const second = when === 'first' ? first : conntrack.classify(packet, settings, arrives);
      const { state } = when === 'again' ? stillFirst(second) : second;
      return terminal(FIRST_FREE_TERMINAL + STATES.findIndex((known) => known === state));
    });
  }

  /** `toItself`: its sender is whom it is for. */
  #packet(fields: Fields, toItself = false): Packet {
    const { family } = this.#layout;
    const [zero, one] = [zeroAddress(family), fromBigint(family, 1n)];
    const ends = { saddr: toItself ? zero : one, daddr: zero, ...(toItself ? {} : { sport: 1024, dport: 1 }) };
    return makePacket({ family, ...ends, ...fields });
  }

  /** Once for each protocol, and where they matter for tcp flags and types of messages. */
  #ofProtocols(key: string, of: (fields: Fields) => Node): Node {
    const known = this.#nodes.get(key);
    if (known !== undefined) return known;
    const { diagrams } = this.#layout;
    const octets = Array.from({ length: 256 }, (_, value) => value);
    const node = diagrams.node(
      this.#layout.level('protocol'),
      octets.map((protocol) => {
        if (protocol === TCP) {
          const flags = octets.map((value) => ({ hi: value, to: of({ protocol, flags: value }) }));
          return { hi: protocol, to: diagrams.node(this.#layout.level('flags'), flags) };
        }
        if (isIcmp({ protocol })) {
          const types = octets.map((type) => ({ hi: type * 256 + 255, to: of({ protocol, type, code: 0 }) }));
          return { hi: protocol, to: diagrams.node(this.#layout.level('dport'), types) };
        }
        return { hi: protocol, to: of({ protocol }) };
      }),
    );
    this.#nodes.set(key, node);
    return node;
  }

  stateOf(end: Node): OpeningState {
    return STATES[valueOf(end) - FIRST_FREE_TERMINAL] ?? 'INVALID';
  }

  takenOf(end: Node): Taken | undefined {
    return this.#taken[valueOf(end) - FIRST_FREE_TERMINAL];
  }
}

type Fields = Partial<Packet> & Pick<Packet, 'protocol'>;

const settingsKey = ({ tcpLoose, tcpBeLiberal }: ConntrackSettings): string => `${tcpLoose} ${tcpBeLiberal}`;

/** The conversation held with conntrack alone: what it makes of the last packet of it. */
interface Dialogue {
  readonly first: Packet;
  readonly reply: Packet;
  readonly later: Packet;
  readonly laterReply: Packet;
}

function takenIn(
  { first, reply, later, laterReply }: Dialogue,
  said: readonly Said[],
  heard: readonly number[],
  settings: ConntrackSettings,
): Taken {
  const conntrack = new Conntrack();
  let tracked: Tracked = INVALID;
  let flow: Connection | undefined;
  let anew = false;
  let goesOn = false;
  for (const [index, { turn, arrived }] of said.entries()) {
    goesOn ||= turn === 'later';
    const packet = turn === 'packet' ? first : turn === 'later' ? later : goesOn ? laterReply : reply;
    if (index < said.length - 1 && !heard.includes(index)) continue;
    tracked = conntrack.classify(packet, settings, arrived);
    conntrack.confirm(tracked);
    if (tracked.kind === 'none') continue;
    anew = flow !== undefined && tracked.connection !== flow;
    flow = tracked.connection;
  }
  const { state } = tracked;
  return {
    state: state === 'RELATED' ? 'INVALID' : state,
    direction: tracked.kind === 'flow' ? tracked.direction : 'ORIGINAL',
    anew: anew && tracked.kind === 'flow',
    seenReply: flow?.seenReply === true,
    assured: flow?.assured === true,
  };
}

const stillFirst = (tracked: Tracked): Pick<Tracked, 'state'> =>
  tracked.kind === 'flow' && tracked.direction === 'ORIGINAL' && tracked.state === 'NEW'
    ? tracked
    : { state: 'INVALID' };
