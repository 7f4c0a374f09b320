/** Where a function of packets finds what has become of their header fields: each level's value, by what was sent. */
import type { LevelValue } from './binding.ts';
import type { Ends, Header } from './cell.ts';
import { wordsOf, type AddressField, type Field, type Layout } from './layout.ts';
import { fieldValue, isValue, type EachValue, type Source, type Value } from './value.ts';

export type Levels = Map<number, LevelValue>;

const isAddress = (field: Source): field is AddressField => field.endsWith('addr');

const levelsOf = (layout: Layout, field: Source): readonly number[] =>
  isAddress(field) ? layout.wordLevels(field) : [layout.level(field)];

const wordsIn = (field: Source, value: number | bigint): readonly number[] =>
  isAddress(field) ? wordsOf(value) : [Number(value)];

/** Says what stands at the levels of a field. */
export function setLevels(layout: Layout, levels: Levels, field: Source, value: Value): void {
  const own = levelsOf(layout, field);
  if (value.kind === 'field') {
    if (value.field === field && value.plus.every((step) => step === 0)) return;
    const from = levelsOf(layout, value.field);
    for (const [index, level] of own.entries())
      levels.set(level, { source: from[index] ?? level, plus: value.plus[index] ?? 0 });
    return;
  }
  if (value.kind === 'is') {
    const words = wordsIn(field, value.value);
    for (const [index, level] of own.entries()) levels.set(level, words[index] ?? 0);
    return;
  }
  if (value.kind === 'each') {
    for (const [index, level] of own.entries()) levels.set(level, { by: value.by, of: wordOfEach(value, index) });
    return;
  }
  const choice = { levels: own, from: wordsIn(field, value.from), to: wordsIn(field, value.to) };
  const [first] = own;
  if (first === undefined) return;
  // A function may begin to look at a field in any of its words.
  for (const [index, level] of own.entries())
    levels.set(
      level,
      index === 0
        ? choice
        : {
            levels: own.slice(index),
            from: own
              .slice(index)
              .map((_, word) => (isOneWord(choice.from, choice.to, index) ? (choice.from[index + word] ?? 0) : 0)),
            to: own
              .slice(index)
              .map((one, word) =>
                isOneWord(choice.from, choice.to, index) ? (choice.to[index + word] ?? 0) : layout.diagrams.maxOf(one),
              ),
          },
    );
}

const wordsOfEach = new WeakMap<EachValue, readonly (readonly number[])[]>();

/** One word of each of the values. */
function wordOfEach(value: EachValue, index: number): readonly number[] {
  const words = wordsOfEach.get(value) ?? value.values.map((one) => wordsOf(one));
  wordsOfEach.set(value, words);
  return words.map((of) => of[index] ?? 0);
}

/** All values of the choice have the same words before this one. */
const isOneWord = (from: readonly number[], to: readonly number[], index: number): boolean =>
  from.slice(0, index).every((word, at) => word === to[at]);

export function addressLevels(layout: Layout, { saddr, daddr }: Pick<Header, 'saddr' | 'daddr'>): Levels {
  const levels: Levels = new Map();
  setLevels(layout, levels, 'saddr', saddr);
  setLevels(layout, levels, 'daddr', daddr);
  return levels;
}

const HEADER_FIELDS = ['saddr', 'daddr', 'sport', 'dport', 'flags', 'ttl', 'length'] as const;

export function headerLevels(layout: Layout, header: Header): Levels {
  const levels: Levels = new Map();
  for (const field of HEADER_FIELDS) setLevels(layout, levels, field, header[field]);
  return levels;
}

/** What a flow's tuple has of ports: an icmp message its identifier, type and code; some protocols nothing. */
export type TupleKind = 'ports' | 'icmp' | 'none';

/** The tuples of a flow: of the packets as they came, and of their answers. */
export function tupleLevels(
  layout: Layout,
  levels: Levels,
  { original, translated }: { readonly original: Ends; readonly translated: Ends },
  kind: TupleKind,
): void {
  const set = (field: Field | AddressField, value: Value): void => {
    setLevels(layout, levels, field, kind === 'none' && field.endsWith('port') ? isValue(0) : value);
  };
  set('origProtocol', fieldValue('protocol'));
  set('origSaddr', original.saddr);
  set('origDaddr', original.daddr);
  set('origSport', original.sport);
  set('origDport', original.dport);
  set('replySaddr', translated.daddr);
  set('replyDaddr', translated.saddr);
  set('replySport', kind === 'icmp' ? translated.sport : translated.dport);
  // The type of the answer to a message; who tests that for a port is told that it is not followed.
  set(
    'replyDport',
    kind === 'icmp' ? { kind: 'any', from: 0, to: 65535, choice: 'type of the answer' } : translated.sport,
  );
}
