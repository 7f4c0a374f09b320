/** A set of packets as boxes that can be read: for each field the values that it may have. */
import { anyAddress, normalizeRanges, type Range, type Ranges } from '../address/ranges.ts';
import type { Node } from './diagram.ts';
import { NO, SpaceLimitError, YES } from './diagram.ts';
import { addressOfWords, type AddressField, type Field, type Layout, type MarkField } from './layout.ts';

export type BoxField = Field | AddressField;

/** Fields that are not named may be anything. */
export interface Box {
  readonly fields: ReadonlyMap<BoxField, Ranges>;
  /** Bits that a mark must have. */
  readonly marks: ReadonlyMap<MarkField, { readonly value: number; readonly mask: number }>;
  /** What the model does not know and this box supposes. */
  readonly unknowns: ReadonlyMap<string, Ranges<number>>;
}

const EVERYTHING: Box = { fields: new Map(), marks: new Map(), unknowns: new Map() };

/** A box of a diagram and the terminal that it leads to. */
export interface Part {
  readonly box: Box;
  readonly to: Node;
}

interface Step {
  readonly kind: 'field' | 'bit' | 'unknown';
  readonly name: string;
  /** Levels that make up the field. */
  readonly levels: number;
  readonly bit: number;
}

/** What each level is, for those who walk through a diagram of the layout. */
class Reader {
  readonly #layout: Layout;
  readonly #steps = new Map<number, Step>();

  constructor(layout: Layout) {
    this.#layout = layout;
    for (const field of ADDRESSES) {
      const levels = layout.wordLevels(field);
      for (const [index, level] of levels.entries())
        this.#steps.set(level, { kind: 'field', name: field, levels: levels.length - index, bit: index });
    }
    for (const field of ['mark', 'ctmark'] as const)
      for (let bit = 0; bit < 32; bit++)
        this.#steps.set(layout.bitLevel(field, bit), { kind: 'bit', name: field, levels: 1, bit });
    for (const field of NUMBERS)
      this.#steps.set(layout.level(field), { kind: 'field', name: field, levels: 1, bit: 0 });
  }

  at(level: number): Step {
    return (
      this.#steps.get(level) ?? {
        kind: 'unknown',
        name: this.#layout.unknownAt(level) ?? `unknown ${level}`,
        levels: 1,
        bit: 0,
      }
    );
  }
}

const ADDRESSES: readonly AddressField[] = ['daddr', 'saddr', 'origDaddr', 'origSaddr', 'replyDaddr', 'replySaddr'];
const NUMBERS: readonly Field[] = [
  'ct',
  'protocol',
  'dport',
  'sport',
  'flags',
  'entry',
  'iif',
  'oif',
  'physin',
  'physout',
  'packetType',
  'framed',
  'part',
  'length',
  'ttl',
  'smac',
  'dmac',
  'reply',
  'sourceNat',
  'destinationNat',
  'sourceDone',
  'destinationDone',
  'seenReply',
  'assured',
  'confirmed',
  'origProtocol',
  'origDport',
  'origSport',
  'replyDport',
  'replySport',
];

const readers = new WeakMap<Layout, Reader>();
function readerOf(layout: Layout): Reader {
  const reader = readers.get(layout) ?? new Reader(layout);
  readers.set(layout, reader);
  return reader;
}

/** A field that is not contiguous in the upper words of an address is spelt out up to so many pieces. */
const MOST_PIECES = 1 << 16;

/**
 * The disjoint boxes of a diagram that lead to another terminal than `skip`, in order: destination first. At each field the values that lead to the same
 * place are one box. Lazy: there may be many.
 */
export function* partsOf(layout: Layout, node: Node, skip: Node = NO): Generator<Part> {
  yield* partsFrom(layout, readerOf(layout), node, skip, EVERYTHING);
}

/** As deep as there are fields. */
function* partsFrom(layout: Layout, reader: Reader, node: Node, skip: Node, box: Box): Generator<Part> {
  if (node < 0) {
    if (node !== skip) yield { box, to: node };
    return;
  }
  const { diagrams } = layout;
  const step = reader.at(diagrams.levelOf(node));
  if (step.kind === 'bit') {
    const marks = (field: MarkField, wanted: number): Box => {
      const before = box.marks.get(field) ?? { value: 0, mask: 0 };
      const bit = 1 << step.bit;
      const after = { value: (before.value | (wanted === 0 ? 0 : bit)) >>> 0, mask: (before.mask | bit) >>> 0 };
      return { ...box, marks: new Map(box.marks).set(field, after) };
    };
    const [zero, one] = diagrams.edgesOf(node);
    const field: MarkField = step.name === 'mark' ? 'mark' : 'ctmark';
    if (zero !== undefined) yield* partsFrom(layout, reader, zero.to, skip, marks(field, 0));
    if (one !== undefined) yield* partsFrom(layout, reader, one.to, skip, marks(field, 1));
    return;
  }
  const byChild = new Map<Node, Range[]>();
  for (const { range, to } of runsOf(layout, node, step)) {
    const ranges = byChild.get(to);
    if (ranges === undefined) byChild.set(to, [range]);
    else ranges.push(range);
  }
  for (const [to, list] of byChild) {
    if (to === skip) continue;
    const ranges = normalizeRanges(list);
    const next: Box =
      step.kind === 'unknown'
        ? { ...box, unknowns: new Map(box.unknowns).set(step.name, ranges as Ranges<number>) }
        : { ...box, fields: new Map(box.fields).set(step.name as BoxField, ranges) };
    yield* partsFrom(layout, reader, to, skip, next);
  }
}

interface Run {
  readonly range: Range;
  readonly to: Node;
}

/** The values of a field, whose first level `node` need not test, and where they lead. */
function runsOf(layout: Layout, node: Node, step: Step): readonly Run[] {
  const { diagrams, family } = layout;
  if (step.levels === 1 && !isAddress(step.name)) {
    let from = 0;
    return diagrams.edgesOf(node).map(({ hi, to }) => {
      const run = { range: { from, to: hi }, to };
      from = hi + 1;
      return run;
    });
  }
  const levels = layout.wordLevels(step.name as AddressField);
  const runs: Run[] = [];
  // As deep as an address has words.
  const walk = (at: Node, index: number, low: readonly number[], high: readonly number[]): void => {
    const level = levels[index];
    if (level === undefined || at < 0 || diagrams.levelOf(at) > (levels.at(-1) ?? 0)) {
      const rest = levels.slice(index).map((one) => diagrams.maxOf(one));
      const zeros = rest.map(() => 0);
      runs.push({
        range: {
          from: addressOfWords(family, [...low, ...zeros]),
          to: addressOfWords(family, [...high, ...rest]),
        },
        to: at,
      });
      return;
    }
    let from = 0;
    const edges = diagrams.levelOf(at) === level ? diagrams.edgesOf(at) : [{ hi: diagrams.maxOf(level), to: at }];
    for (const { hi, to } of edges) {
      const ends = to < 0 || diagrams.levelOf(to) > (levels.at(-1) ?? 0);
      if (ends || from === hi) walk(to, index + 1, [...low, from], [...high, hi]);
      else {
        if (hi - from >= MOST_PIECES || runs.length > MOST_PIECES * 4)
          throw new SpaceLimitError(`a set of addresses has more than ${MOST_PIECES} pieces`);
        for (let value = from; value <= hi; value++) walk(to, index + 1, [...low, value], [...high, value]);
      }
      from = hi + 1;
    }
  };
  walk(node, 0, [], []);
  return runs;
}

const isAddress = (name: string): boolean => name.endsWith('addr');

/** The packets of a box, whatever it supposes. */
export function setOfBox(layout: Layout, { fields, marks }: Box): Node {
  const { diagrams } = layout;
  const ofFields = [...fields].map(([field, ranges]) =>
    isAddress(field)
      ? layout.chooseAddresses(field as AddressField, ranges, YES, NO)
      : layout.chooseNumbers(field as Field, ranges as Ranges<number>, YES, NO),
  );
  const ofMarks = [...marks].map(([field, { value, mask }]) => layout.chooseMark(field, value, mask, YES, NO));
  return [...ofFields, ...ofMarks].reduce((set, one) => diagrams.and(set, one), YES);
}

/** The same set in fewer boxes: those that differ in one field only become one, until there are none. */
export function mergeBoxes(boxes: readonly Box[]): readonly Box[] {
  let merged = boxes;
  const fields = [...new Set(boxes.flatMap((box) => [...box.fields.keys()]))].reverse();
  for (;;) {
    const before = merged.length;
    for (const field of fields) {
      const groups = new Map<string, Box>();
      for (const box of merged) {
        const key = keyOf(box, field);
        const same = groups.get(key);
        groups.set(key, same === undefined ? box : union(same, box, field));
      }
      merged = [...groups.values()];
    }
    if (merged.length === before) return merged;
  }
}

const keyOf = (box: Box, but: BoxField): string =>
  [
    ...[...box.fields]
      .filter(([field]) => field !== but)
      .map(([field, ranges]) => `${field} ${ranges.map(({ from, to }) => `${from}-${to}`).join()}`)
      .sort(),
    ...[...box.marks].map(([field, { value, mask }]) => `${field} ${value}/${mask}`),
    ...[...box.unknowns].map(([name, ranges]) => `${name}=${ranges.map(({ from, to }) => `${from}-${to}`).join()}`),
  ].join(';');

function union(a: Box, b: Box, field: BoxField): Box {
  const left = a.fields.get(field);
  const right = b.fields.get(field);
  const fields = new Map(a.fields);
  if (left === undefined || right === undefined) fields.delete(field);
  else {
    const ranges = normalizeRanges([...left, ...right]);
    if (isEverything(field, ranges)) fields.delete(field);
    else fields.set(field, ranges);
  }
  return { ...a, fields };
}

const isEverything = (field: BoxField, ranges: Ranges): boolean => {
  const [only] = ranges;
  if (only === undefined || ranges.length > 1 || BigInt(only.from) !== 0n) return false;
  if (!isAddress(field)) return false;
  return [4, 6].some((family) => anyAddress(family === 4 ? 4 : 6)[0]?.to === only.to);
};
