/**
 * A list that can be inserted into and removed from anywhere without moving all that follows: blocks of bounded size, so that a file of
 * `-I CHAIN 5` lines takes no quadratic time.
 */
export class RuleList<T> implements Iterable<T> {
  private blocks: T[][] = [];
  private count = 0;

  get length(): number {
    return this.count;
  }

  *[Symbol.iterator](): Generator<T> {
    for (const block of this.blocks) yield* block;
  }

  toArray(): readonly T[] {
    const [only] = this.blocks;
    return this.blocks.length === 1 && only !== undefined ? only.slice() : this.blocks.flat();
  }

  append(item: T): void {
    const last = this.blocks.at(-1);
    // Most lists have one block: a list that is written out has room for no more.
    if (last === undefined) this.blocks = [[item]];
    else if (last.length >= BLOCK_SIZE) this.blocks.push([item]);
    else last.push(item);
    this.count++;
  }

  /** Inserts so that `item` stands at `index`, from 0 to the length. */
  insert(index: number, item: T): void {
    if (index >= this.count) {
      this.append(item);
      return;
    }
    const { number, block, offset } = this.find(index);
    block.splice(offset, 0, item);
    this.count++;
    if (block.length > BLOCK_SIZE) this.blocks.splice(number + 1, 0, block.splice(BLOCK_SIZE / 2));
  }

  /** Takes the item at `index` out; undefined when there is none. */
  removeAt(index: number): T | undefined {
    if (index < 0 || index >= this.count) return undefined;
    const { number, block, offset } = this.find(index);
    const [item] = block.splice(offset, 1);
    this.count--;
    if (block.length === 0) this.blocks.splice(number, 1);
    return item;
  }

  clear(): void {
    this.blocks = [];
    this.count = 0;
  }

  /** The index of the first item that passes; -1 if none does. */
  findIndex(passes: (item: T) => boolean): number {
    let start = 0;
    for (const block of this.blocks) {
      const offset = block.findIndex(passes);
      if (offset >= 0) return start + offset;
      start += block.length;
    }
    return -1;
  }

  private find(index: number): { number: number; block: T[]; offset: number } {
    let offset = index;
    for (const [number, block] of this.blocks.entries()) {
      if (offset < block.length) return { number, block, offset };
      offset -= block.length;
    }
    throw new RangeError(`no item ${index} of ${this.count}`);
  }
}

const BLOCK_SIZE = 1024;
