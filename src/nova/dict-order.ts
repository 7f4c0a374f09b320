/**
 * In which order Python 2 goes through a dict whose keys are small integers (Objects/dictobject.c): by their places in its hash table, which are their
 * values modulo its size as long as those are free. Releases that rebuild all instances of a host do it in this order.
 */
export function dictOrder(keys: readonly number[]): number[] {
  let table = new Array<number | undefined>(8).fill(undefined);
  let used = 0;
  for (const key of keys) {
    if (table.includes(key)) continue;
    insert(table, key);
    used += 1;
    // Two thirds full: four times as many places as keys.
    if (used * 3 < table.length * 2) continue;
    let size = 8;
    while (size <= used * 4) size *= 2;
    const held = table.filter((entry): entry is number => entry !== undefined);
    table = new Array<number | undefined>(size).fill(undefined);
    for (const entry of held) insert(table, entry);
  }
  return table.filter((entry): entry is number => entry !== undefined);
}

/** The hash of a small integer is itself; a place that is taken leads on by PERTURB_SHIFT. */
function insert(table: (number | undefined)[], key: number): void {
  const mask = table.length - 1;
  let place = key & mask;
  let perturb = key;
  while (table[place & mask] !== undefined) {
    place = (place * 5 + perturb + 1) >>> 0;
    perturb >>>= 5;
  }
  table[place & mask] = key;
}
