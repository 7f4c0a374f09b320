/** Sets of packets as diagrams: the algebra of sets, and agreement with the boxes of packet/pattern.ts, which are a second implementation of it. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { arrivalArb } from '../src/arbitrary/packet.ts';
import { setArb } from '../src/arbitrary/pattern.ts';
import { CONNTRACK_STATES, type Arrival } from '../src/packet/packet.ts';
import {
  complementWithin,
  anyPattern,
  isEmptySet,
  intersectSets,
  sameSet,
  setCovers,
  setHolds,
  subtractSets,
  unionSets,
  type PacketSet,
} from '../src/packet/pattern.ts';
import { parseSet, printSet } from '../src/packet/set-notation.ts';
import { addressOfWords, Layout, maskedRanges, wordsOf } from '../src/space/layout.ts';
import { Bindings, NOTHING_MOVED } from '../src/space/binding.ts';
import { ACCEPT, Diagrams, FALL, NO, RETURN, YES, terminal, type Node } from '../src/space/diagram.ts';
import { Names } from '../src/space/names.ts';
import { entriesNamed, entryKey, fromSet, OTHER_ENTRIES, toSet } from '../src/space/packet-set.ts';
import { partsOf } from '../src/space/box.ts';
import { pointOfArrival } from '../src/space/point.ts';

const runs = (numRuns: number) => ({ seed: 20121122, numRuns });
const aim = {
  addresses: [0x0a0a0a02, 0x0a0a0a03, 0xc0a8015a, 0x20010db8000000000000000000000002n],
  ports: [22, 80, 1024],
} as const;
const sets = setArb(aim);
const arrivals = fc
  .tuple(arrivalArb({ ...aim, plain: true }), fc.nat(4))
  .map(([arrival, state]): Arrival => ({ ...arrival, state: CONNTRACK_STATES[state] ?? 'NEW' }));

function layoutFor(family: 4 | 6, ...given: readonly PacketSet[]): Layout {
  const named = [...given.flatMap(entriesNamed), entryKey('in', 'eth0'), entryKey('local', '')];
  return new Layout(family, {
    devices: new Names([]),
    macs: new Names([]),
    entries: new Names([...OTHER_ENTRIES, ...named]),
  });
}

/** Values that no packet of the notation has: what conntrack has not seen, and the entry that is no entry. */
function possible(layout: Layout): Node {
  const { entries } = layout.alphabets;
  const named = Array.from({ length: entries.max + 1 }, (_, number) => number).filter((number) =>
    /^(in|local) /.test(entries.nameOf(number)),
  );
  return layout.diagrams.and(
    layout.chooseNumbers('ct', [{ from: 0, to: 4 }], YES, NO),
    layout.chooseValues('entry', named, YES, NO),
  );
}

const ofFamily = (set: PacketSet, family: 4 | 6): PacketSet => ({
  boxes: set.boxes.filter((box) => box.family === family),
});

test('a diagram holds the packets of its set, and operations on diagrams are those on sets', () => {
  let held = 0;
  fc.assert(
    fc.property(sets, sets, arrivals, (a, b, arrival) => {
      const layout = layoutFor(arrival.packet.family, a, b);
      const { diagrams } = layout;
      const [f, g] = [fromSet(layout, a), fromSet(layout, b)];
      const point = pointOfArrival(layout, arrival);
      const holds = (node: Node): boolean => diagrams.evaluate(node, point.at) === YES;
      const [inA, inB] = [setHolds(a, arrival), setHolds(b, arrival)];
      if (inA) held++;
      expect(holds(f)).toBe(inA);
      expect(holds(diagrams.and(f, g))).toBe(inA && inB);
      expect(holds(diagrams.or(f, g))).toBe(inA || inB);
      expect(holds(diagrams.less(f, g))).toBe(inA && !inB);
      expect(holds(diagrams.not(f))).toBe(!inA);
    }),
    runs(600),
  );
  expect(held).toBeGreaterThan(40);
});

/** Functions of four levels, as rules are: a terminal where each level has one of some ranges, FALL elsewhere. */
const MAXIMA = [0xffffffff, 3, 1000, 65535] as const;
const rangesUpTo = (max: number) =>
  fc
    .oneof(
      { arbitrary: fc.array(fc.nat(max), { minLength: 2, maxLength: 6 }), weight: 20 },
      { arbitrary: fc.array(fc.nat(max), { minLength: 200, maxLength: 600, size: 'max' }), weight: 1 },
    )
    .map((values) => [...new Set(values)].sort((a, b) => a - b))
    .map((ends) =>
      ends.flatMap((from, index) => (index % 2 === 0 ? [{ from, to: (ends[index + 1] ?? from + 1) - 1 }] : [])),
    );
const ruleArb = fc.record({
  levels: fc.tuple(...MAXIMA.map((max) => fc.option(rangesUpTo(max), { freq: 2, nil: undefined }))),
  to: fc.constantFrom(ACCEPT, RETURN, terminal(5), terminal(6)),
});
const manyRules = fc
  .tuple(fc.array(ruleArb, { minLength: 1, maxLength: 90, size: 'max' }), fc.array(fc.nat(89), { maxLength: 5 }))
  .map(([rules, again]) => [...rules, ...again.flatMap((index) => rules[index] ?? [])]);

test('put together at once, many functions are what they are one over the other', () => {
  const met = { many: 0, wide: 0, total: 0, again: 0 };
  fc.assert(
    fc.property(manyRules, (rules) => {
      const diagrams = new Diagrams(MAXIMA);
      const nodes = rules.map(({ levels, to }) =>
        levels.reduceRight<Node>(
          (below, ranges, level) => (ranges === undefined ? below : diagrams.choose(level, ranges, below, FALL)),
          to,
        ),
      );
      if (nodes.length > 64) met.many++;
      if (nodes.some((node) => node >= 0 && diagrams.edgesOf(node).length > 256)) met.wide++;
      if (nodes.some((node) => node < 0)) met.total++;
      if (new Set(nodes).size < nodes.length) met.again++;
      // Before and after the others are made: what is remembered of lists is no matter.
      const atOnce = diagrams.overAll(nodes);
      expect(atOnce).toBe(nodes.reduceRight((rest, node) => diagrams.over(node, rest), FALL));
      expect(diagrams.overAll(nodes)).toBe(atOnce);
      const some = diagrams.mapping((end) => (end === FALL ? NO : YES));
      const sets = nodes.map((node) => diagrams.substitute(some, node));
      expect(diagrams.orAll(sets)).toBe(sets.reduce((rest, set) => diagrams.or(set, rest), NO));
    }),
    { ...runs(200), endOnFailure: true },
  );
  for (const [kind, times] of Object.entries(met)) expect(times, kind).toBeGreaterThan(20);
});

test('equal sets are one node, whatever they were made of', () => {
  fc.assert(
    fc.property(sets, sets, sets, (a, b, c) => {
      const layout = layoutFor(4, a, b, c);
      const { diagrams: d } = layout;
      const [f, g, h] = [fromSet(layout, a), fromSet(layout, b), fromSet(layout, c)];
      expect(d.not(d.not(f))).toBe(f);
      expect(d.not(d.and(f, g))).toBe(d.or(d.not(f), d.not(g)));
      expect(d.and(f, d.or(g, h))).toBe(d.or(d.and(f, g), d.and(f, h)));
      expect(d.or(d.less(f, g), d.and(f, g))).toBe(f);
      expect(d.and(d.less(f, g), g)).toBe(NO);
      expect(d.ifThenElse(f, g, h)).toBe(d.or(d.and(f, g), d.less(h, f)));
      expect(d.orAll([f, g, h])).toBe(d.or(h, d.or(g, f)));
      expect(d.count(f)).toBe(d.count(d.and(f, g)) + d.count(d.less(f, g)));
      const within = possible(layout);
      for (const [left, right] of [
        [d.and(f, g), intersectSets(a, b)],
        [d.or(f, g), unionSets(a, b)],
        [d.less(f, g), subtractSets(a, b)],
      ] as const)
        expect(d.and(left, within)).toBe(d.and(fromSet(layout, right), within));
      expect(d.less(f, g) === NO).toBe(setCovers(ofFamily(b, 4), ofFamily(a, 4)));
    }),
    runs(100),
  );
});

test('a set reads back from a diagram, in notation and in boxes', () => {
  fc.assert(
    fc.property(sets, sets, fc.boolean(), (a, b, six) => {
      const family = six ? 6 : 4;
      const layout = layoutFor(family, a, b);
      const rest = subtractSets(a, b);
      const d = layout.diagrams;
      const node = d.and(d.less(fromSet(layout, a), fromSet(layout, b)), possible(layout));
      const read = toSet(layout, node);
      expect(sameSet(read, ofFamily(rest, family))).toBe(true);
      expect(isEmptySet(read)).toBe(node === NO);
      if (!isEmptySet(read)) expect(sameSet(parseSet(printSet(read)), read)).toBe(true);
    }),
    runs(80),
  );
});

test('the parts of a diagram are disjoint and make it up', () => {
  fc.assert(
    fc.property(sets, sets, (a, b) => {
      const layout = layoutFor(4, a, b);
      const { diagrams: d } = layout;
      const node = d.or(fromSet(layout, a), fromSet(layout, b));
      const within = d.and(node, possible(layout));
      const parts = [...partsOf(layout, within)].map(({ box }) => {
        let part = YES;
        for (const [field, ranges] of box.fields)
          part = d.and(
            part,
            field.endsWith('addr')
              ? layout.chooseAddresses(field as 'daddr', ranges, YES, NO)
              : layout.chooseNumbers(field as 'protocol', ranges as { from: number; to: number }[], YES, NO),
          );
        return part;
      });
      expect(d.orAll(parts)).toBe(within);
      expect(parts.reduce((count, part) => count + d.count(part), 0n)).toBe(d.count(within));
    }),
    runs(60),
  );
});

test('the complement of a set is that of its boxes', () => {
  fc.assert(
    fc.property(sets, fc.boolean(), (a, six) => {
      const family = six ? 6 : 4;
      const layout = layoutFor(family, a);
      const { diagrams: d } = layout;
      const within = possible(layout);
      const left = d.and(d.not(fromSet(layout, a)), within);
      expect(left).toBe(d.and(fromSet(layout, complementWithin(anyPattern(family), ofFamily(a, family))), within));
    }),
    runs(150),
  );
});

test('a masked value is met by the values with those bits, and by no others', () => {
  const word = fc.nat({ max: 1023 });
  fc.assert(
    fc.property(word, word, word, (value, mask, other) => {
      const ranges = maskedRanges(value & mask, mask, 1023);
      expect(ranges.some(({ from, to }) => from <= other && other <= to)).toBe((other & mask) === (value & mask));
    }),
    runs(500),
  );
});

test('addresses are cut into words and put together again', () => {
  fc.assert(
    fc.property(fc.nat({ max: 0xffffffff }), fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), (four, six) => {
      expect(addressOfWords(4, wordsOf(four))).toBe(four);
      expect(addressOfWords(6, wordsOf(six))).toBe(six);
    }),
    runs(200),
  );
});

test('restriction and movement are substitution', () => {
  fc.assert(
    fc.property(sets, arrivals, fc.nat({ max: 255 }), fc.nat({ max: 255 }), (a, arrival, value, added) => {
      const layout = layoutFor(arrival.packet.family, a);
      const { diagrams: d } = layout;
      const node = fromSet(layout, a);
      const point = pointOfArrival(layout, arrival);
      const level = layout.level('protocol');
      const restricted = d.restrict(node, level, value);
      const moved = d.substitute(d.substitution(new Map([[level, (old: number) => (old + added) % 256]])), node);
      const at = (other: number) => d.evaluate(node, (one) => (one === level ? other : point.at(one)));
      expect(d.evaluate(restricted, point.at)).toBe(at(value));
      expect(d.evaluate(moved, point.at)).toBe(at((point.at(level) + added) % 256));
    }),
    runs(300),
  );
});

test('what a function says of a set, and what sets have in common, is told without making it', () => {
  fc.assert(
    fc.property(sets, sets, fc.constantFrom(4, 6), (a, b, family) => {
      const layout = layoutFor(family, a, b);
      const { diagrams } = layout;
      const [f, g] = [fromSet(layout, a), fromSet(layout, b)];
      expect(diagrams.meet(f, g)).toBe(diagrams.and(f, g) !== NO);
      if (f === NO) return;
      const isIn = diagrams.less(f, g) === NO;
      const isOut = diagrams.and(f, g) === NO;
      expect(diagrams.only(f, g)).toBe(isIn ? YES : isOut ? NO : undefined);
    }),
    runs(300),
  );
});

test('a region that has an outline is cut as it is without one', () => {
  fc.assert(
    fc.property(sets, sets, sets, fc.constantFrom(4, 6), (a, b, c, family) => {
      const layout = layoutFor(family, a, b, c);
      const { diagrams } = layout;
      const [outline, part, asked] = [fromSet(layout, a), fromSet(layout, b), fromSet(layout, c)];
      const region = diagrams.and(outline, part);
      // Also of packets that have been sent to another address since.
      const moved = new Map([...layout.wordLevels('daddr').entries()].map(([index, level]) => [level, index * 7]));
      const [plain, outlined] = [new Bindings(layout, FALL), new Bindings(layout, FALL)];
      outlined.outline(region, outline);
      for (const at of [NOTHING_MOVED, moved])
        expect(new Set(outlined.pieces(region, asked, at))).toEqual(new Set(plain.pieces(region, asked, at)));
      expect(outlined.within(region, asked)).toBe(diagrams.and(region, asked));
    }),
    runs(300),
  );
});
