/** Values as JSON and back: what a stored regression holds. */

/** `read` takes what a file says, which may be anything, and throws where it is no such value. */
export interface Codec<T> {
  readonly write: (value: T) => readonly unknown[];
  readonly read: (plain: readonly unknown[]) => T;
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Bigints, maps and sets have one key, which says what they are; everything else is what JSON has. */
function write(value: unknown): unknown {
  if (typeof value === 'bigint') return { $bigint: `${value}` };
  if (value === undefined) return { $undefined: true };
  if (value instanceof Map) return { $map: [...value].map(([key, held]) => [write(key), write(held)]) };
  if (value instanceof Set) return { $set: [...value].map(write) };
  if (Array.isArray(value)) return value.map(write);
  if (isRecord(value)) {
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, held]) => held !== undefined)
        .map(([key, held]) => [key, write(held)]),
    );
  }
  if (typeof value === 'function' || typeof value === 'symbol') throw new Error(`a ${typeof value} is no plain data`);
  return value;
}

const pairOf = (value: unknown): readonly [unknown, unknown] => {
  if (!Array.isArray(value) || value.length !== 2) throw new Error('expected the key and the value of a map');
  return [read(value[0]), read(value[1])];
};

function read(plain: unknown): unknown {
  if (Array.isArray(plain)) return plain.map(read);
  if (!isRecord(plain)) return plain;
  const { $bigint, $map, $set, $undefined } = plain;
  if (typeof $bigint === 'string') return BigInt($bigint);
  if ($undefined === true) return undefined;
  if (Array.isArray($map)) return new Map($map.map(pairOf));
  if (Array.isArray($set)) return new Set($set.map(read));
  return Object.fromEntries(Object.entries(plain).map(([key, held]) => [key, read(held)]));
}

/** Any plain data. It is the law that finds out whether it is of the right kind. */
export const PLAIN: Codec<readonly unknown[]> = {
  write: (values) => values.map(write),
  read: (values) => values.map(read),
};
