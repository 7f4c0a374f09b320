/** What conntrack makes of packets of no flow that it knows, and of answers: netfilter/conntrack.ts, asked once for each kind of packet. */
import { fromBigint, zeroAddress } from '../address/address.ts';
import { Conntrack, type ConntrackSettings, type Tracked } from '../netfilter/conntrack.ts';
import { makePacket, TCP, isIcmp, type ConntrackState, type Packet } from '../packet/packet.ts';
import { replyTo } from '../packet/reply.ts';
import { FIRST_FREE_TERMINAL, terminal, valueOf, type Node } from './diagram.ts';
import type { Layout } from './layout.ts';

const STATES = ['NEW', 'INVALID', 'UNTRACKED', 'ESTABLISHED'] as const;
export type OpeningState = (typeof STATES)[number];

/** How conntrack takes the answer to a packet that opened a tcp flow with these flags. */
export interface TcpAnswer {
  readonly flags: number;
  readonly state: ConntrackState;
  readonly assured: boolean;
}

export class Openings {
  readonly #layout: Layout;
  readonly #nodes = new Map<string, Node>();
  readonly #answers = new Map<string, TcpAnswer | undefined>();

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

  #byPacket(settings: ConntrackSettings, arrives: boolean, when: 'first' | 'again' | 'turned'): Node {
    const key = `${settings.tcpLoose} ${settings.tcpBeLiberal} ${arrives} ${when}`;
    const known = this.#nodes.get(key);
    if (known !== undefined) return known;
    const { diagrams, family } = this.#layout;
    const [zero, one] = [zeroAddress(family), fromBigint(family, 1n)];
    const of = (fields: Partial<Packet> & Pick<Packet, 'protocol'>): Node => {
      const packet = makePacket({ family, saddr: when === 'turned' ? zero : one, daddr: zero, ...fields });
      const conntrack = new Conntrack();
      const first = conntrack.classify(packet, settings, arrives);
      if (when !== 'first') conntrack.confirm(first);
      const second = when === 'first' ? first : conntrack.classify(packet, settings, arrives);
      const { state } = when === 'again' ? stillFirst(second) : second;
      return terminal(FIRST_FREE_TERMINAL + STATES.findIndex((known) => known === state));
    };
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

  /** Undefined where nobody answers such a packet. */
  answer(flags: number, settings: ConntrackSettings): TcpAnswer | undefined {
    const key = `${flags} ${settings.tcpLoose} ${settings.tcpBeLiberal}`;
    if (!this.#answers.has(key)) this.#answers.set(key, this.#answerTo(flags, settings));
    return this.#answers.get(key);
  }

  #answerTo(flags: number, settings: ConntrackSettings): TcpAnswer | undefined {
    const { family } = this.#layout;
    const zero = zeroAddress(family);
    const opener = makePacket({
      family,
      saddr: fromBigint(family, 1n),
      daddr: zero,
      protocol: TCP,
      sport: 1024,
      dport: 1,
      flags,
    });
    const reply = replyTo(opener);
    if (reply === undefined) return undefined;
    const conntrack = new Conntrack();
    const opened = conntrack.classify(opener, settings, true);
    if (opened.kind === 'none') return { flags: reply.flags, state: opened.state, assured: false };
    conntrack.confirm(opened);
    const tracked: Tracked = conntrack.classify(reply, settings, true);
    return {
      flags: reply.flags,
      state: tracked.state,
      assured: tracked.kind === 'flow' && tracked.connection.assured,
    };
  }
}

const stillFirst = (tracked: Tracked): Pick<Tracked, 'state'> =>
  tracked.kind === 'flow' && tracked.direction === 'ORIGINAL' && tracked.state === 'NEW'
    ? tracked
    : { state: 'INVALID' };
