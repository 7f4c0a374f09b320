/** Where packets come to, as functions of packets whose ends are texts: to find the boxes of packets that fare alike, and what is said of each. */
import { FIRST_FREE_TERMINAL, terminal, valueOf, YES, FALL, type Node, type PairOperation } from '../space/diagram.ts';
import { isReached, type HostEnd } from '../space/host-path.ts';
import type { Layout } from '../space/layout.ts';
import type { Point } from '../space/point.ts';
import { valueKey } from '../space/value.ts';

interface Label {
  /** All that is alike of the packets. */
  readonly key: string;
  /** Where they come to, in a judge's words; undefined where that is not known. */
  readonly said: readonly string[] | undefined;
}

const NOTHING: Label = { key: '', said: [] };

export class Labels {
  readonly #layout: Layout;
  readonly #labels: Label[] = [];
  readonly #numbers = new Map<string, Node>();
  readonly #together: PairOperation;
  readonly #pairs: PairOperation;

  constructor(layout: Layout) {
    this.#layout = layout;
    const combined =
      (join: (one: Label, other: Label) => Label) =>
      (a: number, b: number): Node => {
        const [one, other] = [terminal(a), terminal(b)];
        if (!this.isLabel(one)) return other;
        return this.isLabel(other) ? this.#terminalOf(join(this.#labelOf(one), this.#labelOf(other))) : one;
      };
    this.#together = layout.diagrams.pairing(
      combined((one, other) => ({
        key: [...new Set([...one.key.split('\n'), ...other.key.split('\n')])].sort().join('\n'),
        said: one.said === undefined || other.said === undefined ? undefined : [...one.said, ...other.said],
      })),
    );
    this.#pairs = layout.diagrams.pairing(
      combined((one, other) => ({ key: `${one.key}\n -> ${other.key}`, said: undefined })),
    );
  }

  /** The ends of packets: of those that were copied all of them. */
  of(ends: readonly HostEnd[]): Node {
    const single = ends.filter(({ cell }) => cell.copied !== true);
    const labelled = ends.map((end) => this.#layout.diagrams.guard(end.cell.region, this.#terminalOf(labelOf(end))));
    const alone = this.#layout.diagrams.overAll(labelled.filter((_, index) => single.includes(ends[index] as HostEnd)));
    return labelled
      .filter((_, index) => ends[index]?.cell.copied === true)
      .reduce((all, own) => this.#layout.diagrams.pair(this.#together, all, own), alone);
  }

  /** Which of some sets packets are in. */
  ofSets(sets: readonly Node[]): Node {
    const { diagrams } = this.#layout;
    return sets.reduce(
      (all, set, index) =>
        diagrams.pair(
          this.#together,
          all,
          diagrams.guard(set, this.#terminalOf({ key: `set ${index}`, said: undefined })),
        ),
      FALL,
    );
  }

  /** What both functions say. */
  pairs(one: Node, other: Node): Node {
    return this.#layout.diagrams.pair(this.#pairs, one, other);
  }

  isLabel(node: Node): boolean {
    return node < 0 && valueOf(node) >= FIRST_FREE_TERMINAL;
  }

  /** In some reading of what is not known. */
  holds(set: Node, at: Point['at']): boolean {
    return this.leadsTo(set, at, YES);
  }

  leadsTo(node: Node, at: Point['at'], to: Node): boolean {
    return this.#endsAt(node, at).includes(to);
  }

  /** Where a packet comes to; undefined where that depends on what is not known. */
  saidAt(label: Node, at: Point['at']): string | undefined {
    const [end, ...others] = this.#endsAt(label, at);
    if (end === undefined || others.length > 0 || !this.isLabel(end)) return undefined;
    const { said } = this.#labelOf(end);
    if (said === undefined) return undefined;
    const reached = said.filter((one) => one === 'delivered' || one.startsWith('exit '));
    return [...new Set(reached.length > 0 ? reached : said.slice(0, 1))].sort().join(', ');
  }

  #endsAt(node: Node, at: Point['at']): readonly Node[] {
    const { diagrams, floor } = this.#layout;
    return diagrams.terminalsOf(diagrams.evaluate(node, at, floor));
  }

  #labelOf(node: Node): Label {
    return this.#labels[valueOf(node) - FIRST_FREE_TERMINAL] ?? NOTHING;
  }

  #terminalOf(label: Label): Node {
    const known = this.#numbers.get(label.key) ?? terminal(FIRST_FREE_TERMINAL + this.#labels.push(label) - 1);
    this.#numbers.set(label.key, known);
    return known;
  }
}

function labelOf(end: HostEnd): Label {
  const { kind, cell } = end;
  const place = kind === 'exit' ? `exit ${end.oif} ${end.port ?? ''}` : kind;
  const how = kind === 'exit' ? end.dmac : kind === 'delivered' ? '' : `${end.with ?? ''} ${end.reason ?? ''}`;
  const { saddr, daddr, sport, dport, ttl } = cell.header;
  const looks = isReached(end) ? [saddr, daddr, sport, dport, ttl].map(valueKey).join(' ') : '';
  return {
    key: [place, how, looks, cell.mark, ...(cell.logged ?? [])].join(' ; '),
    said: kind === 'undecided' ? undefined : [place],
  };
}
