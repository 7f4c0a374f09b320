/** Which values of fields a packet can have together, as it is sent: no ports without a protocol that has them, no length below that of its headers. */
import { zeroAddress } from '../address/address.ts';
import { packetLength } from '../packet/length.ts';
import { hasIdentifier, hasPorts, icmpOf, makePacket, SYN, TCP } from '../packet/packet.ts';
import { NO, YES, type Node } from './diagram.ts';
import { single, type Field, type Layout } from './layout.ts';

const known = new WeakMap<Layout, Node>();

/** Whole packets. */
export function wellFormed(layout: Layout): Node {
  const made = known.get(layout) ?? wellFormedOf(layout);
  known.set(layout, made);
  return made;
}

function wellFormedOf(layout: Layout): Node {
  const { diagrams, family } = layout;
  const zero = zeroAddress(family);
  const none = (field: 'sport' | 'dport' | 'flags', inside: Node): Node =>
    layout.chooseNumbers(field, single(0), inside, NO);
  const lengths = (protocol: number): Node =>
    layout.chooseNumbers(
      'length',
      [{ from: packetLength(makePacket({ family, saddr: zero, daddr: zero, protocol })), to: 65535 }],
      YES,
      NO,
    );
  const of = (protocol: number): Node => {
    const long = lengths(protocol);
    if (protocol === TCP) return long;
    const plain = none('flags', long);
    if (hasPorts(protocol)) return plain;
    if (protocol !== icmpOf(family)) return none('dport', none('sport', plain));
    const identified = Array.from({ length: 256 }, (_, type) => type).filter((type) =>
      hasIdentifier({ protocol, type }),
    );
    return layout.chooseNumbers(
      'dport',
      identified.map((type) => ({ from: type * 256, to: type * 256 + 255 })),
      plain,
      none('sport', plain),
    );
  };
  return diagrams.node(
    layout.level('protocol'),
    Array.from({ length: 256 }, (_, protocol) => ({ hi: protocol, to: of(protocol) })),
  );
}

/** What a packet usually has there. */
const USUAL: readonly (readonly [Field, number])[] = [
  ['length', 65535],
  ['ttl', 64],
  ['flags', SYN],
];

/** Packets of `all`, said shortly: without what goes without saying of those. */
export function withoutSaying(layout: Layout, all: Node, packets: Node): Node {
  const { diagrams } = layout;
  return USUAL.reduce((node, [field, usual]) => {
    const short = layout.restrictNumber(node, field, usual);
    return diagrams.and(short, all) === packets ? short : node;
  }, packets);
}
