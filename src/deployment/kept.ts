/** What is asked again and again of things that never change. */

/** An answer about a value (and some words more), worked out when it is first asked for and kept as long as the value is. */
export function keptFor<K extends object, W extends readonly (string | number)[], T>(
  answer: (about: K, ...words: W) => T,
): (about: K, ...words: W) => T {
  const known = new WeakMap<K, Map<string, { readonly answer: T }>>();
  return (about, ...words) => {
    const ofIt = known.get(about) ?? new Map<string, { readonly answer: T }>();
    known.set(about, ofIt);
    const key = words.join('\n');
    const kept = ofIt.get(key) ?? { answer: answer(about, ...words) };
    ofIt.set(key, kept);
    return kept.answer;
  };
}

/** A list by a key of its items: of each key the first. */
export const firstBy = <T, K>(list: readonly T[], key: (item: T) => K): ReadonlyMap<K, T> =>
  new Map(list.toReversed().map((item) => [key(item), item]));

/** A list by a key of its items, each with all that have it, in order. */
export function groupedBy<T, K>(list: readonly T[], key: (item: T) => K): ReadonlyMap<K, readonly T[]> {
  const groups = new Map<K, T[]>();
  for (const item of list) {
    const of = key(item);
    const own = groups.get(of);
    if (own === undefined) groups.set(of, [item]);
    else own.push(item);
  }
  return groups;
}
