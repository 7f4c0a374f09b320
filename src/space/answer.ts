/** The answers of whoever gets packets, to all packets of a cell at once: packet/reply.ts of sets. */
import { zeroAddress } from '../address/address.ts';
import { packetLength } from '../packet/length.ts';
import { isIcmp, makePacket, TCP, type Packet } from '../packet/packet.ts';
import { replyTo } from '../packet/reply.ts';
import { AS_SENT, type Cell, type Header, type Talk } from './cell.ts';
import { FALL, NO, YES, type Node, type Substitution } from './diagram.ts';
import type { Ground } from './ground.ts';
import type { Layout } from './layout.ts';
import { isValue, memberAt, memberEnd, shifted } from './value.ts';

/** What is alike in all answers of one kind. */
type Kind =
  | { readonly answers: 'other'; readonly flags: number; readonly length: number }
  /** By so much the type and code of the answer are more. */
  | { readonly answers: 'icmp'; readonly by: number; readonly length: number };

export class Answers {
  readonly #ground: Ground;
  readonly #layout: Layout;
  readonly #kinds: readonly Kind[];
  /** The number of the kind of answer that a packet gets, by what it is when it is got; FALL where nobody answers. */
  readonly #kindOf: Node;
  readonly #inAnyReading: Substitution;
  readonly #inEveryReading: Substitution;

  constructor(ground: Ground) {
    const { layout } = ground;
    this.#ground = ground;
    this.#layout = layout;
    this.#inAnyReading = layout.diagrams.mapping((node) => (node === NO ? NO : YES), layout.floor);
    this.#inEveryReading = layout.diagrams.mapping((node) => (node === YES ? YES : NO), layout.floor);
    const kinds: Kind[] = [];
    this.#kindOf = kindsOfAnswers(layout, kinds);
    this.#kinds = kinds;
  }

  /** Cells of the answers, as their senders would write them; a packet that nobody answers is in none of them. */
  to(cell: Cell, talk: Talk): readonly Cell[] {
    const { saddr, daddr, sport, dport } = cell.header;
    const region = this.inAnyReading(cell.region);
    const header: Header = { ...AS_SENT, saddr: daddr, daddr: saddr, ttl: isValue(64) };
    const base = { mark: 0, framed: false, packetType: 'unicast', smac: '', dmac: '' } as const;
    return this.#ground.bindings
      .pieces(region, this.#kindOf, this.#ground.levelsOf(cell.header))
      .map((piece) => ({ ...piece, number: memberAt(piece.to) }))
      .sort((one, other) => one.number - other.number)
      .flatMap((piece): Cell[] => {
        const kind = this.#kinds[piece.number];
        if (kind === undefined) return [];
        const { answers } = kind;
        const ends =
          kind.answers === 'icmp'
            ? { sport, dport: dport.kind === 'is' ? isValue(Number(dport.value) + kind.by) : shifted(dport, [kind.by]) }
            : { sport: dport, dport: sport };
        const flags = isValue(kind.answers === 'icmp' ? 0 : kind.flags);
        const own: Header = { ...header, ...ends, flags, length: isValue(kind.length) };
        const copied = cell.copied === true;
        return [{ ...base, region: piece.region, header: own, flows: cell.flows, copied, answers, talk }];
      });
  }

  /** Something that is not known of a packet may turn out otherwise for the next. */
  inAnyReading(region: Node): Node {
    return region < 0 ? region : this.#layout.diagrams.substitute(this.#inAnyReading, region);
  }

  /** The packets that are of a region whatever is not known of them. */
  inEveryReading(region: Node): Node {
    return region < 0 ? region : this.#layout.diagrams.substitute(this.#inEveryReading, region);
  }
}

/** Puts the kinds into the list: those of tcp first, messages last. */
function kindsOfAnswers(layout: Layout, kinds: Kind[]): Node {
  const { diagrams, family } = layout;
  const numbers = new Map<string, Node>();
  const endOf = (kind: Kind): Node => {
    const key = JSON.stringify(kind);
    const known = numbers.get(key) ?? memberEnd(kinds.push(kind) - 1);
    numbers.set(key, known);
    return known;
  };
  const zero = zeroAddress(family);
  const packetOf = (protocol: number): Packet => makePacket({ family, saddr: zero, daddr: zero, protocol });
  const octets = Array.from({ length: 256 }, (_, value) => value);
  const byFlags = octets.map((flags) => {
    const reply = replyTo({ ...packetOf(TCP), flags });
    const length = packetLength(packetOf(TCP));
    return { hi: flags, to: reply === undefined ? FALL : endOf({ answers: 'other', flags: reply.flags, length }) };
  });
  const plainly = new Map(
    octets
      .filter((protocol) => protocol !== TCP && !isIcmp({ protocol }))
      .map((protocol) => [protocol, endOf({ answers: 'other', flags: 0, length: packetLength(packetOf(protocol)) })]),
  );
  const byType = (protocol: number): Node =>
    diagrams.node(
      layout.level('dport'),
      octets.map((type) => {
        const query = ANSWERED.find((one) => one.protocol === protocol && one.type === type);
        const length = packetLength(packetOf(protocol));
        const by = ((query?.answer ?? type) - type) * 256;
        return { hi: type * 256 + 255, to: query === undefined ? FALL : endOf({ answers: 'icmp', by, length }) };
      }),
    );
  const ofTcp = diagrams.node(layout.level('flags'), byFlags);
  const edges = octets.map((protocol) => ({
    hi: protocol,
    to: protocol === TCP ? ofTcp : (plainly.get(protocol) ?? byType(protocol)),
  }));
  return diagrams.node(layout.level('protocol'), edges);
}

/** Queries and their answers (packet/reply.ts). */
const ANSWERED = [
  { protocol: 1, type: 8, answer: 0 },
  { protocol: 1, type: 13, answer: 14 },
  { protocol: 1, type: 15, answer: 16 },
  { protocol: 1, type: 17, answer: 18 },
  { protocol: 58, type: 128, answer: 129 },
  { protocol: 58, type: 139, answer: 140 },
] as const;
