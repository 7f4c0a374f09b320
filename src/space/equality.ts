/** Packets two of whose fields are equal, as far as sets of packets can say that. */
import { addressOfWords, type Layout } from './layout.ts';
import { NO, YES, type Node } from './diagram.ts';
import { fieldValue, valueKey, whereEqual, whereIn, type Source, type Value } from './value.ts';

/** Addresses that two fields could share are gone through one by one, up to so many. */
const MOST_SHARED = 256;

/**
 * The packets of a region whose values are equal, each to its other. Where sets cannot say whether two values are equal, it is something that is not known, by a name of
 * its own.
 */
export function equalValues(layout: Layout, region: Node, pairs: readonly (readonly [Value, Value])[]): Node {
  const { diagrams } = layout;
  let node = region;
  const later: (readonly [Value, Value])[] = [];
  // What costs nothing first: it often leaves nothing to be said.
  for (const pair of pairs) {
    if (node === NO) return NO;
    const equal = whereEqual(layout, ...pair);
    if (equal === undefined) later.push(pair);
    else node = diagrams.and(node, equal);
  }
  for (const [one, other] of later) {
    if (node === NO) return NO;
    const equal =
      equalAddresses(layout, node, one, other) ??
      diagrams.choose(
        layout.unknown([valueKey(one), valueKey(other)].sort().join(' equals ')),
        [{ from: 1, to: 1 }],
        YES,
        NO,
      );
    node = diagrams.and(node, equal);
  }
  return node;
}

const isPlain = (value: Value): value is Extract<Value, { kind: 'field' }> =>
  value.kind === 'field' && valueKey(value) === value.field;

function equalAddresses(layout: Layout, region: Node, one: Value, other: Value): Node | undefined {
  if (!isPlain(one) || !isPlain(other)) return undefined;
  const fields = [one.field, other.field];
  if (!fields.every((field) => field === 'saddr' || field === 'daddr')) return undefined;
  const [some, all] = [valuesOf(layout, region, one.field), valuesOf(layout, region, other.field)];
  const shared = layout.diagrams.and(some, moved(layout, all, other.field, one.field));
  const cases: Node[] = [];
  for (const range of rangesOf(layout, shared, one.field)) {
    for (let value = BigInt(range.from); value <= BigInt(range.to); value++) {
      if (cases.length >= MOST_SHARED) return undefined;
      const address = layout.family === 4 ? Number(value) : value;
      const is = { from: address, to: address };
      cases.push(layout.diagrams.and(whereIn(layout, one, [is]), whereIn(layout, other, [is])));
    }
  }
  return layout.diagrams.orAll(cases);
}

/** The values that a field has in a region. */
export const valuesOf = (layout: Layout, region: Node, field: Source): Node => onlyFields(layout, region, [field]);

/** The region without all other fields: what these can be in it, together. */
export function onlyFields(layout: Layout, region: Node, fields: readonly Source[]): Node {
  const { diagrams } = layout;
  const levels = new Set(
    fields.flatMap((field) => (field.endsWith('addr') ? layout.wordLevels(field as 'saddr') : [layout.level(field)])),
  );
  const last = Math.max(...levels);
  const known = new Map<Node, Node>();
  const project = (node: Node): Node => {
    const level = diagrams.levelOf(node);
    if (node < 0 || level > last) return node === NO ? NO : YES;
    const seen = known.get(node);
    if (seen !== undefined) return seen;
    const edges = diagrams.edgesOf(node).map(({ hi, to }) => ({ hi, to: project(to) }));
    const made = levels.has(level) ? diagrams.node(level, edges) : diagrams.orAll(edges.map(({ to }) => to));
    known.set(node, made);
    return made;
  };
  return project(region);
}

/** A set of values of one address as the same of the other. */
function moved(layout: Layout, set: Node, from: Source, to: Source): Node {
  return from === to ? set : whereIn(layout, fieldValue(to), rangesOf(layout, set, from));
}

/** The ranges of an address that a set of its values holds. */
function rangesOf(layout: Layout, set: Node, field: Source): readonly { from: number | bigint; to: number | bigint }[] {
  const { diagrams, family } = layout;
  const levels = layout.wordLevels(field as 'saddr');
  const ranges: { from: number | bigint; to: number | bigint }[] = [];
  // As deep as an address has words.
  const walk = (node: Node, index: number, low: readonly number[], high: readonly number[]): void => {
    if (node === NO) return;
    const level = levels[index];
    if (level === undefined || node === YES) {
      const rest = levels.slice(index).map((one) => diagrams.maxOf(one));
      ranges.push({
        from: addressOfWords(family, [...low, ...rest.map(() => 0)]),
        to: addressOfWords(family, [...high, ...rest]),
      });
      return;
    }
    if (diagrams.levelOf(node) !== level) {
      // Any upper word: more than anybody goes through.
      walk(YES, index, low, high);
      return;
    }
    let from = 0;
    for (const { hi, to } of diagrams.edgesOf(node)) {
      if (to === YES || from === hi) walk(to, index + 1, [...low, from], [...high, hi]);
      else if (to !== NO) walk(YES, index + 1, [...low, from], [...high, hi]);
      from = hi + 1;
    }
  };
  walk(set, 0, [], []);
  return ranges;
}
