import { toStringMethod } from 'fast-check';

/**
 * The value itself, which fast-check now prints as a person would write it. The method is not enumerable, so neither a spread copy
 * nor a comparison sees it.
 */
export function readable<T extends object>(value: T, print: (value: T) => string): T {
  Object.defineProperty(value, toStringMethod, { value: () => print(value), enumerable: false, configurable: true });
  return value;
}
