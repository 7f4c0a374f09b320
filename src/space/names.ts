/**
 * Names as numbers. Rules ask for interfaces by name or by the start of a name (`eth+`); between two names that no rule and no host tells apart there is
 * no difference, so finitely many numbers stand for all names: one for each name that is listed, one for each listed start, and one for the rest.
 */
export class Names {
  readonly #exact: readonly string[];
  /** Starts, longest first: a name that is not listed belongs to the longest of them. The empty one is always there. */
  readonly #starts: readonly string[];
  readonly #numbers: ReadonlyMap<string, number>;
  readonly #samples: readonly string[];

  /** Patterns as rules write them: names, or starts with `+` behind. The empty name (no device) is listed in any case. */
  constructor(patterns: Iterable<string>) {
    const exact = new Set(['']);
    const starts = new Set(['']);
    for (const pattern of patterns) {
      if (pattern.endsWith('+')) starts.add(pattern.slice(0, -1));
      else exact.add(pattern);
    }
    this.#exact = [...exact].sort();
    this.#starts = [...starts].sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
    this.#numbers = new Map(this.#exact.map((name, index) => [name, index]));
    this.#samples = [...this.#exact, ...this.#starts.map((start) => this.#sample(start))];
  }

  get max(): number {
    return this.#samples.length - 1;
  }

  numberOf(name: string): number {
    return this.#numbers.get(name) ?? this.#exact.length + this.#starts.findIndex((start) => name.startsWith(start));
  }

  /** The name of a number, or for "any other" one of those that it stands for. */
  nameOf(number: number): string {
    return this.#samples[number] ?? '';
  }

  /** The number stands for this one name. */
  isExact(number: number): boolean {
    return number < this.#exact.length;
  }

  /** What the names begin with that the number stands for. */
  startOf(number: number): string {
    return this.#starts[number - this.#exact.length] ?? this.nameOf(number);
  }

  /** Those that a pattern of a rule meets. */
  matching(pattern: string): readonly number[] {
    if (!pattern.endsWith('+')) return [this.numberOf(pattern)];
    const start = pattern.slice(0, -1);
    return [
      ...this.#exact.flatMap((name, index) => (name.startsWith(start) ? [index] : [])),
      ...this.#starts.flatMap((longer, index) => (longer.startsWith(start) ? [this.#exact.length + index] : [])),
    ];
  }

  /** A name of that start that is not listed, and of no longer start; the start itself where there is none. */
  #sample(start: string): string {
    const stem = start === '' ? 'other' : start;
    for (let index = 0; index <= this.#exact.length + this.#starts.length; index++) {
      const name = `${stem}${index}`;
      if (!this.#numbers.has(name) && this.#starts.find((longer) => name.startsWith(longer)) === start) return name;
    }
    return stem;
  }
}
