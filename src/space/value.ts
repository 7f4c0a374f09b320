/**
 * A header field of a packet on its way, as it follows from the packet that was sent: the same as one of that packet's fields, a number that a rule has put there, or one that the
 * kernel chooses.
 */
import { fromBigint, onesAddress, type Address } from '../address/address.ts';
import { intersectRanges, type Range, type Ranges } from '../address/ranges.ts';
import { FIRST_FREE_TERMINAL, NO, terminal, valueOf, YES, type Node } from './diagram.ts';
import type { AddressField, Field, Layout } from './layout.ts';

/** Fields of packets as they are sent: the variables of everything here. */
export type Source = AddressField | Field;

export type Value =
  | { readonly kind: 'is'; readonly value: Address }
  /** The field of the packet that was sent, and so much more in each of its words. */
  | { readonly kind: 'field'; readonly field: Source; readonly plus: readonly number[] }
  /** One of these addresses, by what was sent: `by` leads to the number of a packet's own (`memberEnd`), and is asked about no packets that have none. */
  | { readonly kind: 'each'; readonly by: Node; readonly values: readonly Address[]; readonly name: string }
  /** Any of these, as the kernel likes; the model takes the first. `choice` tells one choice from another. */
  | { readonly kind: 'any'; readonly from: Address; readonly to: Address; readonly choice: string };

export const isValue = (value: Address): Value => ({ kind: 'is', value });

export type EachValue = Extract<Value, { kind: 'each' }>;

/** The end of a diagram that leads to the numbers of values. */
export const memberEnd = (index: number): Node => terminal(FIRST_FREE_TERMINAL + index);
/** The number at such an end. */
export const memberAt = (end: Node): number => valueOf(end) - FIRST_FREE_TERMINAL;

let made = 0;
/** No other value has its name. */
export const eachValue = (by: Node, values: readonly Address[]): EachValue => ({
  kind: 'each',
  by,
  values,
  name: `each ${made++}`,
});

const own = new Map<Source, Value>();
/** The field as it was sent. */
export function fieldValue(field: Source): Value {
  const known = own.get(field) ?? { kind: 'field', field, plus: [] };
  own.set(field, known);
  return known;
}

export const shifted = (value: Value, plus: readonly number[]): Value =>
  value.kind !== 'field' || plus.every((step) => step === 0)
    ? value
    : {
        ...value,
        plus: Array.from(
          { length: Math.max(plus.length, value.plus.length) },
          (_, i) => (value.plus[i] ?? 0) + (plus[i] ?? 0),
        ),
      };

export const valueKey = (value: Value): string => {
  switch (value.kind) {
    case 'is':
      return `${value.value}`;
    case 'field':
      return value.plus.length === 0 ? value.field : `${value.field}+${value.plus.join()}`;
    case 'each':
      return value.name;
    case 'any':
      return `${value.from}-${value.to}@${value.choice}`;
  }
};

const isShifted = (value: Value): boolean => value.kind === 'field' && value.plus.some((step) => step !== 0);

const isAddressSource = (field: Source): field is AddressField => field.endsWith('addr');

/** The packets, by what was sent, whose value is in the ranges. `must`: of a choice, whatever it is; else: it may be. */
export function whereIn(layout: Layout, value: Value, ranges: Ranges, must = true): Node {
  switch (value.kind) {
    case 'is':
      return ranges.some(({ from, to }) => from <= value.value && value.value <= to) ? YES : NO;
    case 'each':
      return whereEach(layout, value, (one) => ranges.some(({ from, to }) => from <= one && one <= to));
    case 'any': {
      const own: Range = { from: value.from, to: value.to };
      const held = intersectRanges([own], ranges);
      const isAll = held.length === 1 && held[0]?.from === own.from && held[0].to === own.to;
      return (must ? isAll : held.length > 0) ? YES : NO;
    }
    case 'field': {
      const sent = isShifted(value) ? ranges.flatMap((range) => unshifted(layout, value, range)) : ranges;
      return isAddressSource(value.field)
        ? layout.chooseAddresses(value.field, sent, YES, NO)
        : layout.chooseNumbers(value.field, sent as Ranges<number>, YES, NO);
    }
  }
}

/** The packets whose own value is one of those. */
function whereEach({ diagrams }: Layout, { by, values }: EachValue, holds: (value: Address) => boolean): Node {
  const map = diagrams.mapping((end) => {
    const value = values[memberAt(end)];
    return value !== undefined && holds(value) ? YES : NO;
  });
  return diagrams.substitute(map, by);
}

/** The values that were sent and are in the range now. A shifted address is only ever asked for one value, or for all. */
function unshifted(layout: Layout, { field, plus }: Extract<Value, { kind: 'field' }>, range: Range): readonly Range[] {
  if (!isAddressSource(field)) {
    const by = plus[0] ?? 0;
    const max = layout.diagrams.maxOf(layout.level(field));
    const from = Math.max(0, Number(range.from) - by);
    const to = Math.min(max, Number(range.to) - by);
    return from > to ? [] : [{ from, to }];
  }
  const { family } = layout;
  const width = family === 4 ? 32n : 128n;
  const bits = family === 4 ? [24n, 8n] : [32n, 32n, 32n, 32n];
  let by = 0n;
  let below = width;
  for (const [index, size] of bits.entries()) {
    below -= size;
    by += BigInt(plus[index] ?? 0) << below;
  }
  const last = BigInt(onesAddress(family));
  const from = BigInt(range.from) - by;
  const to = BigInt(range.to) - by;
  if (to < 0n || from > last) return [];
  return [{ from: fromBigint(family, from < 0n ? 0n : from), to: fromBigint(family, to > last ? last : to) }];
}

/** The packets whose two values are equal; undefined where sets cannot say that. */
export function whereEqual(layout: Layout, a: Value, b: Value): Node | undefined {
  if (a === b) return YES;
  if (a.kind === 'is') return whereIs(layout, b, a.value);
  if (b.kind === 'is') return whereIs(layout, a, b.value);
  if (valueKey(a) === valueKey(b)) return YES;
  if (a.kind === 'each') return whereEachEquals(layout, a, b);
  if (b.kind === 'each') return whereEachEquals(layout, b, a);
  // The same number, moved by so much here and by so much there.
  return a.kind === 'field' && b.kind === 'field' && a.field === b.field && !isAddressSource(a.field) ? NO : undefined;
}

function whereEachEquals(layout: Layout, { by, values }: EachValue, other: Value): Node | undefined {
  const { diagrams } = layout;
  if (other.kind !== 'each') return undefined;
  const same = diagrams.pairing((one, another) => {
    const value = values[one - FIRST_FREE_TERMINAL];
    return value !== undefined && value === other.values[another - FIRST_FREE_TERMINAL] ? YES : NO;
  });
  return diagrams.pair(same, by, other.by);
}

function whereIs(layout: Layout, value: Value, wanted: Address): Node | undefined {
  const range = { from: wanted, to: wanted };
  if (value.kind !== 'any') return whereIn(layout, value, [range]);
  const [may, must] = [whereIn(layout, value, [range], false), whereIn(layout, value, [range], true)];
  return may === must ? may : undefined;
}
