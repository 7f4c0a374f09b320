/** The laws of sets of packets: an algebra of sets, in notation and in samples. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { arrivalArb } from '../src/arbitrary/packet.ts';
import { setArb } from '../src/arbitrary/pattern.ts';
import type { Arrival } from '../src/packet/packet.ts';
import { CONNTRACK_STATES } from '../src/packet/packet.ts';
import type { PacketSet } from '../src/packet/pattern.ts';
import {
  ANY_ENTRY,
  ANY_PACKET,
  anyPattern,
  complementWithin,
  countPackets,
  disjointSet,
  intersectPatterns,
  intersectSets,
  isEmptySet,
  sameSet,
  setCovers,
  setHolds,
  setOfArrival,
  setsOverlap,
  simplifySet,
  subtractSets,
  unionSets,
} from '../src/packet/pattern.ts';
import type { Random } from '../src/packet/sample.ts';
import { leastPacket, sampleArrival, samplerOf } from '../src/packet/sample.ts';
import { parseSet, printSet } from '../src/packet/set-notation.ts';

const runs = (numRuns: number) => ({ seed: 20120705, numRuns });

/** Few values, so that sets and packets meet often. */
const aim = {
  addresses: [0x0a0a0a02, 0x0a0a0a03, 0xc0a8015a, 0x20010db8000000000000000000000002n],
  ports: [22, 80, 1024],
} as const;
const sets = setArb(aim);

/** Words for a random source that repeats them. */
const words = fc.array(fc.nat({ max: 0xffffffff }), { minLength: 20, maxLength: 60 });
function randomOf(list: readonly number[]): Random {
  let next = 0;
  return () => list[next++ % list.length] ?? 0;
}

/** The laws hold for arrivals that assert a state. */
const arrivals = fc
  .tuple(arrivalArb(aim), fc.nat(4))
  .map(([arrival, state]): Arrival => ({ ...arrival, state: CONNTRACK_STATES[state] ?? 'NEW' }));

const areDisjoint = ({ boxes }: PacketSet): boolean =>
  boxes.every((box, i) => boxes.every((other, j) => i >= j || intersectPatterns(box, other) === undefined));

test('union, intersection and difference are those of sets', () => {
  let held = 0;
  fc.assert(
    fc.property(sets, sets, arrivals, words, (a, b, arrival, list) => {
      const union = unionSets(a, b);
      const common = intersectSets(a, b);
      const rest = subtractSets(a, b);
      const random = randomOf(list);
      const drawn = [a, b, common].flatMap((set) => sampleArrival(set, random, aim) ?? []);
      for (const packet of [arrival, ...drawn.map((one): Arrival => ({ state: arrival.state ?? 'NEW', ...one }))]) {
        const [inA, inB] = [setHolds(a, packet), setHolds(b, packet)];
        if (inA && inB) held++;
        expect(setHolds(union, packet)).toBe(inA || inB);
        expect(setHolds(common, packet)).toBe(inA && inB);
        expect(setHolds(rest, packet)).toBe(inA && !inB);
      }
    }),
    runs(300),
  );
  // A green run means something only if packets are in both sets often enough.
  expect(held).toBeGreaterThan(100);
});

test('the pieces make up the whole', () => {
  fc.assert(
    fc.property(sets, sets, (a, b) => {
      const rest = subtractSets(a, b);
      expect(sameSet(unionSets(rest, intersectSets(a, b)), a)).toBe(true);
      expect(isEmptySet(intersectSets(rest, b))).toBe(true);
      expect(isEmptySet(subtractSets(a, a))).toBe(true);
      expect(setCovers(unionSets(a, b), a)).toBe(true);
      expect(setCovers(b, a)).toBe(isEmptySet(rest));
      expect(setsOverlap(a, b)).toBe(!isEmptySet(intersectSets(a, b)));
      expect(sameSet(intersectSets(a, b), intersectSets(b, a))).toBe(true);
      expect(sameSet(subtractSets(ANY_PACKET, subtractSets(ANY_PACKET, a)), a)).toBe(true);
    }),
    runs(150),
  );
});

test('simplifying and making disjoint change no set', () => {
  fc.assert(
    fc.property(sets, sets, (a, b) => {
      const union = unionSets(a, b);
      const simple = simplifySet(union);
      expect(sameSet(simple, union)).toBe(true);
      expect(simple.boxes.length).toBeLessThanOrEqual(union.boxes.length);
      const disjoint = disjointSet(union);
      expect(sameSet(disjoint, union)).toBe(true);
      expect(areDisjoint(disjoint)).toBe(true);
      expect(areDisjoint(complementWithin(anyPattern(4), union))).toBe(true);
    }),
    runs(300),
  );
});

test('packets are counted as sets are', () => {
  const open = ({ boxes }: PacketSet): PacketSet => ({
    boxes: boxes.map((box) => ({ ...box, entry: ANY_ENTRY, states: CONNTRACK_STATES })),
  });
  fc.assert(
    fc.property(sets.map(open), sets.map(open), (a, b) => {
      expect(countPackets(intersectSets(a, b)) + countPackets(subtractSets(a, b))).toBe(countPackets(a));
      expect(countPackets(unionSets(a, b))).toBe(countPackets(b) + countPackets(subtractSets(a, b)));
    }),
    runs(300),
  );
});

test('a set reads back from its notation, which is canonical', () => {
  fc.assert(
    fc.property(sets, sets, (a, b) => {
      for (const set of [a, subtractSets(a, b), simplifySet(subtractSets(ANY_PACKET, a))]) {
        const read = parseSet(printSet(set));
        expect(sameSet(read, set)).toBe(true);
        expect(printSet(parseSet(printSet(read)))).toBe(printSet(read));
      }
    }),
    runs(60),
  );
});

test('an arrival is in the set that it makes, and in no set without it', () => {
  fc.assert(
    fc.property(sets, arrivals, (set, arrival) => {
      const only = setOfArrival(arrival);
      expect(setHolds(only, arrival)).toBe(true);
      expect(countPackets(only)).toBe(1n);
      expect(setHolds(subtractSets(set, only), arrival)).toBe(false);
      expect(setCovers(set, only)).toBe(setHolds(set, arrival));
    }),
    runs(500),
  );
});

test('samples and the least packet are in their set, whatever the random source', () => {
  fc.assert(
    fc.property(sets, words, (set, list) => {
      const least = leastPacket(set);
      expect(least === undefined).toBe(isEmptySet(set));
      if (least !== undefined) expect(setHolds(set, least)).toBe(true);
      const sampler = samplerOf(set, aim);
      const random = randomOf(list);
      for (let draw = 0; draw < 5 && sampler !== undefined; draw++) expect(setHolds(set, sampler(random))).toBe(true);
    }),
    runs(500),
  );
});

test('thousands of boxes are subtracted in little time', () => {
  const text = Array.from({ length: 1000 }, (_, i) => `tcp any > 10.${i >> 8}.${i & 255}.2:22 state NEW`).join(' | ');
  const set = parseSet(text);
  const start = performance.now();
  const rest = complementWithin(anyPattern(4), set);
  expect(isEmptySet(intersectSets(rest, set))).toBe(true);
  expect(simplifySet(set).boxes.length).toBe(1);
  expect(performance.now() - start).toBeLessThan(20_000);
});
