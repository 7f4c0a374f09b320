/** The difference of two rulesets is exact: a packet is in it if and only if the walks through the two end otherwise for it. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { at, INDEX } from '../src/arbitrary/choice.ts';
import { worldCase, type WorldCase } from '../src/arbitrary/world.ts';
import type { Skb } from '../src/netfilter/skb.ts';
import { parseRuleset } from '../src/ruleset/parse.ts';
import { KnownRules } from '../src/ruleset/known.ts';
import type { HookName, Ruleset, TableName } from '../src/ruleset/rule.ts';
import { YES } from '../src/space/diagram.ts';
import { pointOfSkb } from '../src/space/point.ts';
import { isAsSaid, Replay } from '../src/space/replay.ts';
import { possible, tableDifference } from '../src/space/table-difference.ts';
import { NOWHERE, witnessAt } from '../src/space/witness.ts';
import { storedCase } from './support/case.ts';
import { law, type Seen } from './support/law.ts';
import { skbOf, walks, type Walked } from './support/skb.ts';

const PLACES: readonly (readonly [TableName, HookName])[] = [
  ['filter', 'FORWARD'],
  ['filter', 'INPUT'],
  ['filter', 'OUTPUT'],
  ['mangle', 'PREROUTING'],
  ['nat', 'PREROUTING'],
  ['nat', 'POSTROUTING'],
  ['raw', 'PREROUTING'],
];

/** The ruleset with a rule gone, another's verdict turned round, or two neighbours in the other order. */
function edited(text: string, family: 4 | 6, draw: number, known: KnownRules): Ruleset {
  const lines = text.split('\n');
  const [kind, which] = [draw % 4, draw >>> 2];
  const rules = lines.flatMap((line, index) => (line.startsWith('-A ') ? [index] : []));
  const turned = rules.filter((index) => / -j (ACCEPT|DROP)$/.test(lines[index] ?? ''));
  const among = kind > 1 && turned.length > 0 ? turned : rules;
  if (among.length === 0) return parseRuleset(text, { path: 'new', family, known }).ruleset;
  const index = at(among, which);
  const line = lines[index] ?? '';
  const next = lines[index + 1] ?? '';
  if (kind === 1 && next.startsWith('-A ')) lines.splice(index, 2, next, line);
  else if (kind > 1)
    lines[index] = line.endsWith('-j ACCEPT') ? line.replace(/ACCEPT$/, 'DROP') : line.replace(/-j DROP$/, '-j ACCEPT');
  else lines.splice(index, 1);
  return parseRuleset(lines.join('\n'), { path: 'new', family, known }).ruleset;
}

const endOf = ({ kind, with: how, packet, untracked, ctmark, translation }: Walked): string =>
  kind === 'accepted'
    ? `${kind} ${packet.mark} ${packet.ttl} ${untracked} ${ctmark ?? ''} ${translation ?? ''}`
    : `${kind} ${how ?? ''}`;

law<[WorldCase, number, number, number]>(
  'space/a-packet-is-in-the-difference-iff-the-walks-differ',
  [
    worldCase({ rules: 30, moves: 8, loose: true }),
    INDEX,
    fc.integer({ min: 0, max: 0x7fffffff }),
    fc.integer({ min: 0, max: 0x7fffffff }),
  ],
  (drawn, edit, which, draw, seen: Seen) => {
    const packets = drawn.moves.flatMap((move) => ('arrival' in move ? [move.arrival.packet] : []));
    const [first] = packets;
    const text = drawn.texts.find(({ family }) => family === first?.family);
    if (first === undefined || text === undefined) return true;
    // Without a host nobody knows what kind of address it is, nor parts of packets.
    if (/addrtype|match-set/.test(text.text)) return true;
    // Chains whose rules were read once are made once.
    const known = new KnownRules();
    const old = parseRuleset(text.text, { path: 'old', family: text.family, known }).ruleset;
    const now = edited(text.text, text.family, edit, known);
    const { backend } = drawn;
    const { space, regions: all, before: oldRules, after: newRules } = tableDifference(old, now, { backend });
    // A log entry is no end of a walk.
    const regions = all.filter(({ classes }) => !classes.includes('logged'));
    const { diagrams } = space.layout;
    seen(regions.length > 0 ? 'different' : 'same');
    const ask = (skb: Skb, table: TableName): void => {
      const point = pointOfSkb(space.layout, skb);
      if (diagrams.evaluate(possible(space.layout, skb.hook, table), point.at) !== YES) return;
      const [left, right] = [old, now].map((side) => walks(side, table, skb).map(endOf).join());
      const isIn = regions.some(
        (region) =>
          region.hook === skb.hook && region.table === table && diagrams.evaluate(region.packets, point.at) === YES,
      );
      if (left !== right) seen('packet differs');
      expect(isIn, `${table} ${skb.hook} ${left ?? ''} | ${right ?? ''}`).toBe(left !== right);
    };
    for (const { hook, table, packets: changed, old: before, now: after, removed, added } of regions) {
      const witness = witnessAt(space.layout, changed, { hook, backend });
      if (witness === undefined) continue;
      seen('witness');
      ask(witness.skb, table);
      const point = pointOfSkb(space.layout, witness.skb);
      for (const [side, node, place] of [
        [old, before, removed === undefined ? undefined : oldRules.get(removed)],
        [now, after, added === undefined ? undefined : newRules.get(added)],
      ] as const) {
        const said = space.outcomes.of(diagrams.evaluate(node, point.at));
        const replayed = new Replay(side).walk(table, witness.skb);
        expect(said !== undefined && isAsSaid(replayed, said)).toBe(true);
        if (place === undefined) continue;
        seen('rule named');
        expect({ chain: replayed.chain, rule: replayed.rule, line: replayed.line }).toEqual({
          chain: place.chain,
          rule: place.rule,
          line: place.line,
        });
      }
    }
    for (const [index, packet] of packets.entries()) {
      if (packet.family !== text.family || packet.fragment !== undefined) continue;
      const [table, hook] = at(PLACES, which + index);
      for (let turn = 0; turn < 6; turn++)
        ask(
          { ...skbOf(drawn, packet, hook, Math.imul(draw + turn + 31 * index, 0x9e3779b1) >>> 0), host: NOWHERE },
          table,
        );
    }
    return true;
  },
  {
    runs: 100,
    stored: storedCase<[number, number, number]>(),
    cover: {
      different: { atLeast: 5 },
      same: { atLeast: 5 },
      witness: { atLeast: 5 },
      'rule named': { atLeast: 3 },
      'packet differs': { atLeast: 5 },
    },
  },
);
