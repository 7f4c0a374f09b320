/** The corners of a set of packets: where a proof, or whoever says that it is one, would be wrong first. */
import type { Address } from '../address/address.ts';
import { anyAddress, sameRanges, type Range, type Ranges } from '../address/ranges.ts';
import { printPacket } from './notation.ts';
import type { Packet } from './packet.ts';
import { ANY_OCTET, ANY_PORTS, holdsPacket, type PacketSet, type Pattern } from './pattern.ts';
import { leastPacket } from './sample.ts';

const FIELDS = ['daddr', 'saddr', 'protocol', 'dport', 'sport', 'flags', 'type', 'code'] as const;
type CornerField = (typeof FIELDS)[number];

/**
 * Of each box the packet with the lowest value in every field, the one with the highest, and for each end of each range of a field the least packet that has it. The ends of a field that is
 * left open are no edges of anything. Each packet once.
 */
export function cornerPackets(set: PacketSet): readonly Packet[] {
  const corners = new Map<string, Packet>();
  for (const box of set.boxes) {
    const lowest = FIELDS.reduce((narrowed, field) => at(narrowed, field, ends(narrowed[field]).at(0)), box);
    const highest = FIELDS.reduce((narrowed, field) => at(narrowed, field, ends(narrowed[field]).at(-1)), box);
    const edges = FIELDS.filter((field) => !isOpen(box, field)).flatMap((field) =>
      ends(box[field]).map((value) => at(box, field, value)),
    );
    for (const narrowed of [lowest, highest, ...edges]) {
      const packet = leastPacket({ boxes: [narrowed] })?.packet;
      if (packet !== undefined && holdsPacket(box, packet)) corners.set(printPacket(packet), packet);
    }
  }
  return [...corners.values()];
}

const ends = (ranges: Ranges): readonly Address[] => ranges.flatMap(({ from, to }) => [from, to]);

const at = (box: Pattern, field: CornerField, value: Address | undefined): Pattern =>
  value === undefined ? box : { ...box, [field]: [{ from: value, to: value } satisfies Range] };

function isOpen(box: Pattern, field: CornerField): boolean {
  switch (field) {
    case 'saddr':
    case 'daddr':
      return sameRanges(box[field], anyAddress(box.family));
    case 'dport':
    case 'sport':
      return sameRanges(box[field], ANY_PORTS);
    default:
      return sameRanges(box[field], ANY_OCTET);
  }
}
