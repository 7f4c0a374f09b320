/**
 * Sets of integers (addresses, ports, protocol numbers, ...) as lists of ranges, both ends included. Every function takes and
 * gives lists that are sorted, disjoint and not adjacent, so that two equal sets are two equal lists; `normalizeRanges` makes
 * one of any list. Numbers and bigints both work, but never in one list.
 */
import type { Address, Family, Prefix } from './address.ts';
import { familyOf, fromBigint, lastAddress, onesAddress, widthOf, zeroAddress } from './address.ts';

export interface Range<T extends Address = Address> {
  readonly from: T;
  readonly to: T;
}

export type Ranges<T extends Address = Address> = readonly Range<T>[];

const step = (value: Address, by: 1 | -1): Address => (typeof value === 'number' ? value + by : value + BigInt(by));
const after = <T extends Address>(value: T): T => step(value, 1) as T;
const before = <T extends Address>(value: T): T => step(value, -1) as T;

/** Sorts, joins what overlaps or touches, and drops ranges whose end is before their start. */
export function normalizeRanges<T extends Address>(ranges: Iterable<Range<T>>): Ranges<T> {
  const sorted = [...ranges]
    .filter(({ from, to }) => from <= to)
    .sort((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0));
  const joined: { from: T; to: T }[] = [];
  for (const { from, to } of sorted) {
    const last = joined.at(-1);
    if (last !== undefined && from <= after(last.to)) {
      if (to > last.to) last.to = to;
    } else joined.push({ from, to });
  }
  return joined;
}

/** The index of the first range that does not end before `value`. A small set meets a large one without a walk through all of it. */
function firstFrom<T extends Address>(ranges: Ranges<T>, value: T | undefined): number {
  if (value === undefined) return ranges.length;
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const range = ranges[middle];
    if (range !== undefined && range.to < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** All of `inner` is in one range of `outer`. */
function isInOne<T extends Address>(inner: Ranges<T>, outer: Ranges<T>): boolean {
  const [first, last] = [inner[0], inner.at(-1)];
  const range = outer[firstFrom(outer, first?.from)];
  return (
    first !== undefined && last !== undefined && range !== undefined && range.from <= first.from && last.to <= range.to
  );
}

export function intersectRanges<T extends Address>(a: Ranges<T>, b: Ranges<T>): Ranges<T> {
  // What lies within one range stays the list that it is.
  if (a === b || isInOne(a, b)) return a;
  if (isInOne(b, a)) return b;
  const common: Range<T>[] = [];
  let i = firstFrom(a, b[0]?.from);
  let j = firstFrom(b, a[0]?.from);
  for (;;) {
    const left = a[i];
    const right = b[j];
    if (left === undefined || right === undefined) return common;
    const from = left.from > right.from ? left.from : right.from;
    const to = left.to < right.to ? left.to : right.to;
    if (from <= to) common.push({ from, to });
    if (left.to < right.to) i++;
    else j++;
  }
}

/** What is in `a` and not in `b`. */
export function subtractRanges<T extends Address>(a: Ranges<T>, b: Ranges<T>): Ranges<T> {
  if (a === b) return [];
  const rest: Range<T>[] = [];
  let j = firstFrom(b, a[0]?.from);
  // Nothing of it is taken away.
  if ((b[j]?.from ?? Infinity) > (a.at(-1)?.to ?? -1)) return a;
  for (const range of a) {
    let from = range.from;
    let open = true;
    for (;;) {
      const hole = b[j];
      if (hole === undefined || hole.from > range.to) break;
      if (hole.to >= from) {
        if (hole.from > from) rest.push({ from, to: before(hole.from) });
        if (hole.to >= range.to) {
          open = false;
          break;
        }
        from = after(hole.to);
      }
      j++;
    }
    if (open) rest.push({ from, to: range.to });
  }
  return rest;
}

export const unionRanges = <T extends Address>(a: Ranges<T>, b: Ranges<T>): Ranges<T> =>
  a === b ? a : normalizeRanges([...a, ...b]);

export function rangesContain<T extends Address>(ranges: Ranges<T>, value: T): boolean {
  let low = 0;
  let high = ranges.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const range = ranges[middle];
    if (range === undefined) return false;
    if (value < range.from) high = middle - 1;
    else if (value > range.to) low = middle + 1;
    else return true;
  }
  return false;
}

export const sameRanges = <T extends Address>(a: Ranges<T>, b: Ranges<T>): boolean =>
  a === b || (a.length === b.length && a.every((range, i) => range.from === b[i]?.from && range.to === b[i].to));

/** True when every value of `inner` is in `outer`. */
export const rangesCover = <T extends Address>(outer: Ranges<T>, inner: Ranges<T>): boolean =>
  outer === inner || subtractRanges(inner, outer).length === 0;

/** True when the two sets have a value in common. */
export function rangesOverlap<T extends Address>(a: Ranges<T>, b: Ranges<T>): boolean {
  let i = firstFrom(a, b[0]?.from);
  let j = firstFrom(b, a[0]?.from);
  for (;;) {
    const left = a[i];
    const right = b[j];
    if (left === undefined || right === undefined) return false;
    if (left.from <= right.to && right.from <= left.to) return true;
    if (left.to < right.to) i++;
    else j++;
  }
}

/** How many values. */
export const countRanges = (ranges: Ranges): bigint =>
  ranges.reduce((count, { from, to }) => count + BigInt(to) - BigInt(from) + 1n, 0n);

/** The value at `index` (from 0), counting through the ranges in order; undefined beyond the last. */
export function valueAt<T extends Address>(ranges: Ranges<T>, index: bigint): T | undefined {
  let rest = index;
  for (const { from, to } of ranges) {
    const size = BigInt(to) - BigInt(from) + 1n;
    if (rest < size) return fromBigint(familyOf(from), BigInt(from) + rest) as T;
    rest -= size;
  }
  return undefined;
}

export const prefixRange = (prefix: Prefix): Range => ({ from: prefix.address, to: lastAddress(prefix) });

/** Every address of a family, as ranges. */
export const anyAddress = (family: Family): Ranges => ANY_ADDRESS[family];
const ANY_ADDRESS: Readonly<Record<Family, Ranges>> = {
  4: [{ from: zeroAddress(4), to: onesAddress(4) }],
  6: [{ from: zeroAddress(6), to: onesAddress(6) }],
};

/** The fewest prefixes that make up a range of addresses, in order; no more than the first `limit` of them. */
export function prefixesOf(range: Range, limit = Infinity): Prefix[] {
  const family = familyOf(range.from);
  const width = widthOf(family);
  const last = BigInt(range.to);
  const prefixes: Prefix[] = [];
  let next = BigInt(range.from);
  while (next <= last && prefixes.length < limit) {
    // The largest aligned block that starts here and does not pass the end.
    let bits = 0;
    while (bits < width) {
      const block = 1n << BigInt(bits + 1);
      if (next % block !== 0n || next + block - 1n > last) break;
      bits++;
    }
    prefixes.push({ address: fromBigint(family, next), length: width - bits });
    next += 1n << BigInt(bits);
  }
  return prefixes;
}
