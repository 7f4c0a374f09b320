/** One packet of a set as it is sent, the most readable one. */
import type { Address } from '../address/address.ts';
import type { Ranges } from '../address/ranges.ts';
import { packetLength } from '../packet/length.ts';
import { hasIdentifier, isIcmp, type Entry, type Packet } from '../packet/packet.ts';
import { holdsPacket, simplifySet, type PacketSet, type Pattern } from '../packet/pattern.ts';
import { leastPacket } from '../packet/sample.ts';
import { mergeBoxes, partsOf, type Box, type BoxField } from './box.ts';
import type { Header } from './cell.ts';
import { YES, type Node } from './diagram.ts';
import type { Layout } from './layout.ts';
import { patternsOf } from './packet-set.ts';
import { pointOfArrival } from './point.ts';

/** Of so many boxes the least packet is sought. */
const MOST_BOXES = 256;

/** Addresses that are no variables of a region stand in its patterns as they are. */
function withPinned(pattern: Pattern, { saddr, daddr }: Header): Pattern {
  const only = (value: Address): Ranges => [{ from: value, to: value }];
  return {
    ...pattern,
    ...(saddr.kind === 'is' ? { saddr: only(saddr.value) } : {}),
    ...(daddr.kind === 'is' ? { daddr: only(daddr.value) } : {}),
  };
}

/** Undefined where no packet of the region could be put together. */
export function leastSent(layout: Layout, region: Node, header: Header, entry: Entry): Packet | undefined {
  const candidates: { readonly box: Box; readonly pattern: Pattern }[] = [];
  let boxes = 0;
  for (const { box } of partsOf(layout, region)) {
    for (const pattern of patternsOf(layout, box).patterns)
      candidates.push({ box, pattern: withPinned(pattern, header) });
    if (++boxes === MOST_BOXES) break;
  }
  const least = leastPacket({ boxes: candidates.map(({ pattern }) => pattern) }, { entries: [entry] });
  const found = least && candidates.find(({ pattern }) => holdsPacket(pattern, least.packet));
  if (least === undefined || found === undefined) return undefined;
  const packet = completed(found.box, least.packet);
  // What was put together is asked again: a packet that is no packet of the region is none to show.
  return layout.diagrams.evaluate(region, pointOfArrival(layout, { packet, entry }).at) === YES ? packet : undefined;
}

function completed(box: Box, least: Packet): Packet {
  const plain: Packet = {
    ...least,
    ttl: pick(box, 'ttl', 64),
    ...(isIcmp(least) && hasIdentifier(least) ? { id: pick(box, 'sport', least.id) } : {}),
  };
  const start = packetLength({ ...plain, payload: 0 });
  return { ...plain, payload: Math.max(0, pick(box, 'length', start) - start) };
}

/** The usual value where the field may have it, else its least. */
function pick(box: Box, field: BoxField, usual: number): number {
  const ranges = box.fields.get(field) as Ranges<number> | undefined;
  if (ranges === undefined || ranges.some(({ from, to }) => from <= usual && usual <= to)) return usual;
  return ranges[0]?.from ?? usual;
}

/** The region as a set of packets; undefined where it has more boxes than anybody reads. Fields that sets have not are left out. */
export function readableSet(layout: Layout, region: Node, header: Header, most = MOST_BOXES): PacketSet | undefined {
  const boxes: Box[] = [];
  for (const { box } of partsOf(layout, region)) {
    if (boxes.length === most) return undefined;
    const fields = new Map([...box.fields].filter(([field]) => field !== 'ttl' && field !== 'length'));
    boxes.push({ ...box, fields });
  }
  const patterns = mergeBoxes(boxes).flatMap((box) => patternsOf(layout, box).patterns);
  return simplifySet({ boxes: patterns.map((pattern) => withPinned(pattern, header)) });
}
