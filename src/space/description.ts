/** Boxes of packets at a hook, in words: the SET notation, and behind it what sets do not speak of. */
import { normalizeRanges, sameRanges, subtractRanges, type Ranges } from '../address/ranges.ts';
import { nameSet, simplifySet, type EntrySet } from '../packet/pattern.ts';
import { printSet } from '../packet/set-notation.ts';
import { mergeBoxes, partsOf, type Box, type BoxField } from './box.ts';
import type { Node } from './diagram.ts';
import type { Layout } from './layout.ts';
import { patternsOf } from './packet-set.ts';

export interface Described {
  readonly boxes: readonly string[];
  /** There are more than could be looked at. */
  readonly more: boolean;
}

const MOST_BOXES = 2000;

/** The boxes of a set of packets, at most so many of its parts being looked at. What is so of all of `possible`, which is one box, is left out. */
export function describe(layout: Layout, packets: Node, possible: Node, most = MOST_BOXES): Described {
  const [whole] = [...partsOf(layout, possible)];
  const boxes: Box[] = [];
  let more = false;
  for (const { box } of partsOf(layout, packets)) {
    if (boxes.length === most) {
      more = true;
      break;
    }
    boxes.push(whole === undefined ? box : without(box, whole.box));
  }
  return { boxes: mergeBoxes(boxes).map((box) => describeBox(layout, box)), more };
}

function without(box: Box, implied: Box): Box {
  const fields = [...box.fields].filter(([field, ranges]) => {
    const always = implied.fields.get(field);
    return always === undefined || !sameRanges(always, ranges);
  });
  return { ...box, fields: new Map(fields) };
}

/** Fields that the SET notation has, or that go into it. */
const IN_NOTATION: ReadonlySet<BoxField> = new Set([
  'daddr',
  'saddr',
  'protocol',
  'dport',
  'sport',
  'flags',
  'entry',
  'ct',
  'iif',
]);

function describeBox(layout: Layout, box: Box): string {
  const entry = entryOf(layout, box);
  const patterns = patternsOf(layout, box).patterns.map((pattern) => ({ ...pattern, ...(entry && { entry }) }));
  const words = [printSet(simplifySet({ boxes: patterns }))];
  for (const [field, ranges] of box.fields)
    if (!IN_NOTATION.has(field)) words.push(`${WORDS[field] ?? field} ${valuesOf(layout, field, ranges)}`);
  for (const [field, { value, mask }] of box.marks)
    words.push(`${field} 0x${value.toString(16)}${mask === 0xffffffff ? '' : `/0x${mask.toString(16)}`}`);
  for (const [name, ranges] of box.unknowns) words.push(`${ranges[0]?.from === 0 ? 'unless' : 'if'} (${name})`);
  return words.join(' ');
}

const WORDS: Readonly<Partial<Record<BoxField, string>>> = {
  oif: 'out',
  physin: 'physdev-in',
  physout: 'physdev-out',
  packetType: 'pkttype',
  origSaddr: 'ctorigsrc',
  origDaddr: 'ctorigdst',
  replySaddr: 'ctreplsrc',
  replyDaddr: 'ctrepldst',
};

const DEVICES: ReadonlySet<BoxField> = new Set(['oif', 'physin', 'physout']);
const MACS: ReadonlySet<BoxField> = new Set(['smac', 'dmac']);

function valuesOf(layout: Layout, field: BoxField, ranges: Ranges): string {
  const { devices, macs } = layout.alphabets;
  const names = DEVICES.has(field) ? devices : MACS.has(field) ? macs : undefined;
  if (names === undefined) return ranges.map(({ from, to }) => (from === to ? `${from}` : `${from}-${to}`)).join();
  const all: Ranges<number> = [{ from: 0, to: names.max }];
  const held = ranges as Ranges<number>;
  const others = subtractRanges(all, held);
  const list = (values: Ranges<number>): string =>
    values
      .flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, index) => from + index))
      .map((number) => (names.isExact(number) ? names.nameOf(number) || 'none' : `${names.startOf(number)}+`))
      .join();
  return list(others).length < list(held).length ? `!${list(others)}` : list(held);
}

/** `in` of the notation, for a packet at a hook: the device that it came in by. */
function entryOf(layout: Layout, box: Box): EntrySet | undefined {
  const ranges = box.fields.get('iif');
  if (ranges === undefined) return undefined;
  const { devices } = layout.alphabets;
  const held = normalizeRanges(ranges as Ranges<number>);
  const has = (number: number): boolean => held.some(({ from, to }) => from <= number && number <= to);
  const all = Array.from({ length: devices.max + 1 }, (_, number) => number);
  const none = devices.numberOf('');
  const named = all.filter((number) => number !== none && devices.isExact(number));
  const others = all.filter((number) => !devices.isExact(number));
  const isOpen = others.every(has);
  // A start of names stands for its sample; in a set no name has a `+`.
  const listed = [...named, ...(isOpen ? [] : others)].filter((number) => has(number) !== isOpen);
  return {
    in: nameSet(
      listed.map((number) => devices.nameOf(number)),
      isOpen,
    ),
    local: nameSet(has(none) ? [''] : []),
  };
}
