/**
 * Choices out of flat naturals. Every arbitrary of this folder draws naturals and maps them into a valid value (an index modulo the
 * size of what there is to choose from): nothing is filtered, and everything shrinks towards 0, which is the simplest choice.
 */
import fc from 'fast-check';

export const INDEX: fc.Arbitrary<number> = fc.nat(0xffff);

/** A value of 32 bits. Small ones are as likely as large ones. */
export const WORD: fc.Arbitrary<number> = fc.nat({ max: 0xffffffff });

/** The element at an index modulo the length of a list that is not empty. */
export function at<T>(list: readonly T[], index: number): T {
  const value = list[index % list.length];
  if (value === undefined) throw new RangeError('nothing to choose from');
  return value;
}
