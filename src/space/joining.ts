/**
 * Cells that differ in one address alone are put together: a thousand rules that each translate one address to another make one cell of one, each of whose packets has an address of its
 * own, and all goes on at once.
 */
import type { Address } from '../address/address.ts';
import type { Bindings } from './binding.ts';
import { headerKey, type Cell, type Ends, type Flow, type Header } from './cell.ts';
import { FALL, NO, terminal, type Node, type PairOperation } from './diagram.ts';
import { dispatched } from './dispatch.ts';
import { valuesOf } from './equality.ts';
import type { Layout } from './layout.ts';
import { eachValue, isValue, memberAt, memberEnd, valueKey, type Value } from './value.ts';

type End = 'saddr' | 'daddr';

export class Joining {
  readonly #layout: Layout;
  readonly #bindings: Bindings;
  readonly #meeting: PairOperation;
  readonly #headers = new WeakMap<Header, string>();

  constructor(layout: Layout, bindings: Bindings) {
    this.#layout = layout;
    this.#bindings = bindings;
    const either = (one: Node, other: Node): Node => (one === FALL ? other : other === FALL ? one : NO);
    this.#meeting = layout.diagrams.pairing((one, other) => either(terminal(one), terminal(other)));
  }

  /** What a table of translation has made of one cell, with the cells together that it has sent to addresses, or said to be from addresses, of their own. */
  ofTranslated(cells: readonly Cell[], end: End): readonly Cell[] {
    if (cells.length < 2) return cells;
    const groups = new Map<string, Cell[]>();
    const others: Cell[] = [];
    for (const cell of cells) {
      const key = this.#keyWithout(cell, end);
      const group = groups.get(key ?? '');
      if (key === undefined) others.push(cell);
      else if (group === undefined) groups.set(key, [cell]);
      else group.push(cell);
    }
    return [...others, ...[...groups.values()].flatMap((group) => this.#together(group, end) ?? group)];
  }

  /** A cell whose packets, after others have gone another way, all have the same value of their own again. */
  settled(cell: Cell): Cell {
    const each = [cell.header.saddr, cell.header.daddr].find((value) => value.kind === 'each');
    if (each === undefined) return cell;
    const end = this.#bindings.only(cell.region, each.by);
    if (end === undefined) return cell;
    const member = memberAt(end);
    const of = (value: Value): Value => {
      const own = value.kind === 'each' && value.by === each.by ? value.values[member] : undefined;
      return own === undefined ? value : isValue(own);
    };
    const ends = <T extends Ends>(given: T): T => ({ ...given, saddr: of(given.saddr), daddr: of(given.daddr) });
    const inFlow = (flow: Flow): Flow => ({
      ...flow,
      original: ends(flow.original),
      translated: ends(flow.translated),
    });
    const { tracked } = cell;
    return {
      ...cell,
      header: ends(cell.header),
      flows: cell.flows.map(inFlow),
      ...(tracked?.kind === 'flow' ? { tracked: { ...tracked, flow: inFlow(tracked.flow) } } : {}),
    };
  }

  /** Undefined where neither address that was sent tells the packets of one cell from those of another. */
  #together(cells: readonly Cell[], end: End): readonly Cell[] | undefined {
    const [first] = cells;
    if (cells.length < 2 || first?.tracked?.kind !== 'flow') return undefined;
    const by = this.#numbersBy(cells, 'daddr') ?? this.#numbersBy(cells, 'saddr');
    if (by === undefined) return undefined;
    const values = cells.map(({ tracked }) => {
      const value = tracked?.kind === 'flow' ? tracked.flow.translated[end] : undefined;
      return value?.kind === 'is' ? value.value : 0;
    });
    const translated: Ends = { ...first.tracked.flow.translated, [end]: eachValue(by, values) };
    const flow: Flow = { ...first.tracked.flow, translated };
    const region = this.#bindings.union(cells.map((cell) => cell.region));
    return [{ ...first, region, tracked: { ...first.tracked, flow } }];
  }

  /** What leads from an address that was sent to the number of a cell. */
  #numbersBy(cells: readonly Cell[], field: End): Node | undefined {
    const { diagrams } = this.#layout;
    const single = this.#singlesOf(cells, field);
    if (single !== undefined)
      return single.size < cells.length ? undefined : dispatched(this.#layout, field, [...single]);
    let row: Node[] = cells.map(({ region }, index) =>
      diagrams.guard(valuesOf(this.#layout, region, field), memberEnd(index)),
    );
    while (row.length > 1) {
      const next: Node[] = [];
      for (let index = 0; index < row.length; index += 2) {
        const both = diagrams.pair(this.#meeting, row[index] ?? FALL, row[index + 1] ?? FALL);
        if (both === NO) return undefined;
        next.push(both);
      }
      row = next;
    }
    const [by = FALL] = row;
    return diagrams.terminalsOf(by).includes(NO) ? undefined : by;
  }

  /** Of cells that have one address each that was sent: what leads from it to the number of its cell, the last of them where several have the same. */
  #singlesOf(cells: readonly Cell[], field: End): ReadonlyMap<Address, Node> | undefined {
    const numbers = new Map<Address, Node>();
    for (const [index, { region }] of cells.entries()) {
      const address = this.#layout.onlyAddress(region, field);
      if (address === undefined) return undefined;
      numbers.set(address, memberEnd(index));
    }
    return numbers;
  }

  /** All that is known of a cell but one address that its flow is translated to; undefined where that is none of its own, or some are already by packets. */
  #keyWithout({ header, mark, tracked, logged }: Cell, end: End): string | undefined {
    if (tracked?.kind !== 'flow' || tracked.flow.translated[end].kind !== 'is') return undefined;
    const { original, translated, sourceNat, destinationNat, mark: ctmark } = tracked.flow;
    const isOwn = ({ saddr, daddr }: Ends): boolean => saddr.kind === 'each' || daddr.kind === 'each';
    if (isOwn(header) || isOwn(original) || isOwn(translated)) return undefined;
    const asItIs = this.#headers.get(header) ?? headerKey(header);
    this.#headers.set(header, asItIs);
    const { saddr, daddr, sport, dport } = translated;
    const rest = [end === 'saddr' ? daddr : saddr, sport, dport].map(valueKey);
    return [asItIs, mark, ctmark, tracked.state, sourceNat, destinationNat, ...rest, logged?.join()].join('\n');
  }
}
