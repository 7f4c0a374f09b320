/** The space of a table says of each packet what the walk through its chains says. */
import { expect } from 'vitest';
import fc from 'fast-check';
import { at, INDEX } from '../src/arbitrary/choice.ts';
import { worldCase, type WorldCase } from '../src/arbitrary/world.ts';
import type { Skb } from '../src/netfilter/skb.ts';
import type { HookName, TableName } from '../src/ruleset/rule.ts';
import { compile } from '../src/space/classifier.ts';
import type { Outcome } from '../src/space/outcome.ts';
import { law, type Seen } from './support/law.ts';
import { storedCase } from './support/case.ts';
import { skbOf, walks, type Walked } from './support/skb.ts';

const PLACES: readonly (readonly [TableName, HookName])[] = [
  ['filter', 'FORWARD'],
  ['filter', 'FORWARD'],
  ['filter', 'INPUT'],
  ['filter', 'OUTPUT'],
  ['mangle', 'PREROUTING'],
  ['mangle', 'FORWARD'],
  ['mangle', 'POSTROUTING'],
  ['raw', 'PREROUTING'],
  ['raw', 'OUTPUT'],
];
const agrees = (walked: Walked, outcome: Outcome, { packet, tracked }: Skb): boolean => {
  if (walked.kind !== outcome.kind || walked.with !== outcome.with) return false;
  if (outcome.kind !== 'accepted') return true;
  const { mark, ttl, untracked } = outcome.rewritten;
  const ctmark = tracked?.kind === 'flow' ? tracked.connection.mark : 0;
  const marked = mark === undefined ? packet.mark : ((packet.mark & mark.own) ^ (ctmark & mark.other) ^ mark.xor) >>> 0;
  const steps = ttl ?? [];
  const left = steps.reduce(
    (now, { operation, value }) =>
      operation === 'set' ? value : Math.min(255, Math.max(0, operation === 'inc' ? now + value : now - value)),
    packet.ttl,
  );
  return walked.packet.mark === marked && walked.packet.ttl === left && walked.untracked === (untracked === true);
};

const stored = storedCase<[number, number]>();
const COVER = {
  dropped: { atLeast: 4 },
  accepted: { atLeast: 30 },
  rejected: { atLeast: 2 },
  undecided: { atLeast: 1 },
  marked: { atLeast: 1 },
} as const;

law<[WorldCase, number, number]>(
  'space/a-table-says-of-each-packet-what-the-walk-says',
  [worldCase({ rules: 40, moves: 8, unmodelled: 4, loose: true }), INDEX, fc.integer({ min: 0, max: 0x7fffffff })],
  (drawn, which, draw, seen: Seen) => {
    const packets = drawn.moves.flatMap((move) => ('arrival' in move ? [move.arrival.packet] : []));
    const [first] = packets;
    const ruleset = drawn.rulesets.find(({ family }) => family === first?.family);
    if (first === undefined || ruleset === undefined) return true;
    const full = PLACES.filter(([table, hook]) => (ruleset.tables.get(table)?.chains.get(hook)?.rules.length ?? 0) > 0);
    const [table, hook] = at(full.length > 0 ? full : PLACES, which);
    const classifier = compile(ruleset, { backend: drawn.backend, host: drawn.host, table, hook });
    for (const [index, packet] of packets.entries()) {
      if (packet.family !== first.family) continue;
      for (let turn = 0; turn < 6; turn++) {
        const skb = skbOf(drawn, packet, hook, Math.imul(draw + turn + 31 * index, 0x9e3779b1) >>> 0);
        const walked = walks(ruleset, table, skb);
        const outcomes = classifier.classify(skb);
        const [place = -1] = classifier.classifyAll(classifier.pack([skb]));
        expect(classifier.ends[place]).toBe(outcomes);
        for (const { kind } of outcomes) if (kind in COVER) seen(kind);
        if (outcomes.length > 1) seen('undecided');
        if (outcomes.some(({ rewritten }) => rewritten.mark !== undefined)) seen('marked');
        const told = { outcomes, walked, skb: { ...skb, host: undefined }, table };
        expect(
          outcomes.every((outcome) => walked.some((one) => agrees(one, outcome, skb))),
          inspect(told),
        ).toBe(true);
        expect(
          walked.every((one) => outcomes.some((outcome) => agrees(one, outcome, skb))),
          inspect(told),
        ).toBe(true);
      }
    }
    return true;
  },
  { runs: 240, stored, cover: COVER },
);

const inspect = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) => (typeof part === 'bigint' ? `${part}n` : part));
