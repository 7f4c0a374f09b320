/** The answers of whoever gets packets, to all packets of a cell at once: packet/reply.ts of sets. */
import { zeroAddress } from '../address/address.ts';
import type { Ranges } from '../address/ranges.ts';
import { packetLength } from '../packet/length.ts';
import { isIcmp, makePacket, TCP } from '../packet/packet.ts';
import { replyTo } from '../packet/reply.ts';
import { AS_SENT, type Cell, type Header, type Talk } from './cell.ts';
import { NO, YES, type Node, type Substitution } from './diagram.ts';
import type { Layout } from './layout.ts';
import { isValue, shifted, whereIn } from './value.ts';

export class Answers {
  readonly #layout: Layout;
  readonly #others: readonly { readonly set: Node; readonly length: number }[];
  readonly #byFlags: readonly { readonly flags: number; readonly to: readonly number[]; readonly asSent: Node }[];
  readonly #asked: readonly Asked[];
  readonly #inAnyReading: Substitution;
  readonly #lengths = new Map<number, number>();

  constructor(layout: Layout) {
    this.#layout = layout;
    this.#inAnyReading = layout.diagrams.mapping((node) => (node === NO ? NO : YES), layout.floor);
    this.#others = this.#protocolsByLength();
    this.#byFlags = this.#flagsByAnswer();
    this.#asked = ANSWERED.map((query) => ({
      ...query,
      asSent: layout.chooseValues(
        'protocol',
        [query.protocol],
        layout.chooseNumbers('dport', typeRange(query.type), YES, NO),
        NO,
      ),
    }));
  }

  /** Cells of the answers, as their senders would write them; a packet that nobody answers is in none of them. */
  to(cell: Cell, talk: Talk): readonly Cell[] {
    const { saddr, daddr, sport, dport } = cell.header;
    const region = this.inAnyReading(cell.region);
    const base: Cell = {
      region,
      header: { ...AS_SENT, saddr: daddr, daddr: saddr, ttl: isValue(64), flags: isValue(0) },
      mark: 0,
      framed: false,
      packetType: 'unicast',
      smac: '',
      dmac: '',
      flows: cell.flows,
      copied: cell.copied === true,
      talk,
    };
    const put = (set: Node, answers: Cell['answers'], header: Partial<Header>): Cell[] => {
      const own = this.#layout.diagrams.and(region, set);
      return own === NO ? [] : [{ ...base, answers, region: own, header: { ...base.header, ...header } }];
    };
    const turned = { sport: dport, dport: sport };
    return [
      ...this.#ofTcp(cell).flatMap(({ set, flags }) =>
        put(set, 'other', { ...turned, flags: isValue(flags), length: isValue(this.#lengthOf(TCP)) }),
      ),
      ...this.#others.flatMap(({ set, length }) => put(set, 'other', { ...turned, length: isValue(length) })),
      ...this.#ofIcmp(cell).flatMap(({ set, protocol, by }) =>
        put(set, 'icmp', {
          sport,
          dport: dport.kind === 'is' ? isValue(Number(dport.value) + by) : shifted(dport, [by]),
          length: isValue(this.#lengthOf(protocol)),
        }),
      ),
    ];
  }

  /** Something that is not known of a packet may turn out otherwise for the next. */
  inAnyReading(region: Node): Node {
    return region < 0 ? region : this.#layout.diagrams.substitute(this.#inAnyReading, region);
  }

  #ofTcp({ header: { flags } }: Cell): readonly { readonly set: Node; readonly flags: number }[] {
    return this.#byFlags.map(({ flags: answer, to, asSent }) => {
      const ranges = to.map((value) => ({ from: value, to: value }));
      const set =
        flags === AS_SENT.flags
          ? asSent
          : this.#layout.chooseValues('protocol', [TCP], whereIn(this.#layout, flags, ranges), NO);
      return { set, flags: answer };
    });
  }

  #ofIcmp({
    header: { dport },
  }: Cell): readonly { readonly set: Node; readonly protocol: number; readonly by: number }[] {
    return this.#asked.map(({ protocol, type, answer, asSent }) => ({
      protocol,
      by: (answer - type) * 256,
      set:
        dport === AS_SENT.dport
          ? asSent
          : this.#layout.chooseValues('protocol', [protocol], whereIn(this.#layout, dport, typeRange(type)), NO),
    }));
  }

  #lengthOf(protocol: number): number {
    let length = this.#lengths.get(protocol);
    if (length === undefined) {
      const { family } = this.#layout;
      const zero = zeroAddress(family);
      length = packetLength(makePacket({ family, saddr: zero, daddr: zero, protocol }));
      this.#lengths.set(protocol, length);
    }
    return length;
  }

  /** Protocols whose answers are as long; not those of tcp and icmp. */
  #protocolsByLength(): readonly { readonly set: Node; readonly length: number }[] {
    const byLength = new Map<number, number[]>();
    for (let protocol = 0; protocol < 256; protocol++)
      if (protocol !== TCP && !isIcmp({ protocol }))
        byLength.set(this.#lengthOf(protocol), [...(byLength.get(this.#lengthOf(protocol)) ?? []), protocol]);
    return [...byLength].map(([length, own]) => ({
      length,
      set: this.#layout.chooseValues('protocol', own, YES, NO),
    }));
  }

  /** The flags of answers, and to which they are the answer. */
  #flagsByAnswer(): readonly { readonly flags: number; readonly to: readonly number[]; readonly asSent: Node }[] {
    const zero = zeroAddress(this.#layout.family);
    const packet = makePacket({ family: this.#layout.family, saddr: zero, daddr: zero, protocol: TCP });
    const groups = new Map<number, number[]>();
    for (let flags = 0; flags < 256; flags++) {
      const reply = replyTo({ ...packet, flags });
      if (reply !== undefined) groups.set(reply.flags, [...(groups.get(reply.flags) ?? []), flags]);
    }
    return [...groups].map(([flags, to]) => ({
      flags,
      to,
      asSent: this.#layout.chooseValues('protocol', [TCP], this.#layout.chooseValues('flags', to, YES, NO), NO),
    }));
  }
}

/** A query, and the packets that are sent as such. */
interface Asked {
  readonly protocol: number;
  readonly type: number;
  readonly answer: number;
  readonly asSent: Node;
}

/** All codes of an icmp type, as the layout has them. */
const typeRange = (type: number): Ranges<number> => [{ from: type * 256, to: type * 256 + 255 }];

/** Queries and their answers (packet/reply.ts). */
const ANSWERED = [
  { protocol: 1, type: 8, answer: 0 },
  { protocol: 1, type: 13, answer: 14 },
  { protocol: 1, type: 15, answer: 16 },
  { protocol: 1, type: 17, answer: 18 },
  { protocol: 58, type: 128, answer: 129 },
  { protocol: 58, type: 139, answer: 140 },
] as const;
