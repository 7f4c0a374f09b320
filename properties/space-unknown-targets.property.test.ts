/** A packet is in a difference if and only if its walks differ in some reading of the targets that are not modelled: each may end a walk, accept, or go on to the next rule, and does the same on both sides. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { at } from '../src/arbitrary/choice.ts';
import { worldCase, type WorldCase } from '../src/arbitrary/world.ts';
import type { Family } from '../src/address/address.ts';
import type { Skb } from '../src/netfilter/skb.ts';
import { parseRuleset } from '../src/ruleset/parse.ts';
import type { HookName, Ruleset, TableName } from '../src/ruleset/rule.ts';
import { YES } from '../src/space/diagram.ts';
import { pointOfSkb } from '../src/space/point.ts';
import { possible, tableDifference } from '../src/space/table-difference.ts';
import { NOWHERE, witnessAt } from '../src/space/witness.ts';
import { storedCase } from './support/case.ts';
import { editText, weightyEdit } from './support/edit.ts';
import { law, type Seen } from './support/law.ts';
import { skbOf, walks } from './support/skb.ts';

const PLACES: readonly (readonly [TableName, HookName])[] = [
  ['filter', 'FORWARD'],
  ['filter', 'INPUT'],
  ['filter', 'OUTPUT'],
  ['mangle', 'PREROUTING'],
];

/** What a target that is not modelled may do. */
const READINGS = ['-j DROP', '-j ACCEPT', ''];

const queue = (number: number): string => `-j NFQUEUE --queue-num ${number}`;

const CHAINS = ['FORWARD', 'INPUT', 'OUTPUT'];
const MATCHES = ['', '', ' -p tcp', ' -p udp', ' -s 10.0.0.0/8'];

/** The text with targets that are not modelled in front of chains of the filter table, each another, or in front of some rule of it. */
function withTargets(text: string, family: Family, draws: readonly number[]): string {
  const lines = text.split('\n');
  const begin = lines.indexOf('*filter');
  if (begin < 0) return text;
  for (const [index, draw] of draws.entries()) {
    const match = at(family === 4 ? MATCHES : MATCHES.slice(0, 4), draw >>> 2);
    const first = lines.findIndex((line, place) => place > begin && !line.startsWith(':'));
    lines.splice(first, 0, `-A ${at(CHAINS, draw)}${match} ${queue(index)}`);
  }
  return lines.join('\n');
}

const read = (text: string, path: string, family: Family): Ruleset => parseRuleset(text, { path, family }).ruleset;

/** The texts in each reading of so many targets. */
function* readingsOf(texts: readonly string[], targets: number): Generator<readonly string[]> {
  for (let reading = 0; reading < READINGS.length ** targets; reading++)
    yield texts.map((text) =>
      Array.from({ length: targets }, (_, index) => index).reduce(
        (own, index) =>
          own.replaceAll(
            ` ${queue(index)}`,
            ` ${READINGS[Math.floor(reading / READINGS.length ** index) % READINGS.length] ?? ''}`.trimEnd(),
          ),
        text,
      ),
    );
}

law<[WorldCase, number, number, number, number]>(
  'space/a-packet-is-in-the-difference-iff-its-walks-differ-in-some-reading-of-targets',
  [
    worldCase({ rules: 16, moves: 8, loose: true }),
    fc.noBias(fc.integer({ min: 0, max: 0x7fffffff })),
    fc.noBias(fc.nat({ max: 63 })),
    fc.noBias(fc.nat({ max: 63 })),
    fc.integer({ min: 0, max: 0x7fffffff }),
  ],
  (drawn, edit, one, other, draw, seen: Seen) => {
    const targets = [one, other];
    const packets = drawn.moves.flatMap((move) => ('arrival' in move ? [move.arrival.packet] : []));
    const [first] = packets;
    const text = drawn.texts.find(({ family }) => family === first?.family);
    if (first === undefined || text === undefined || /addrtype|match-set/.test(text.text)) return true;
    const { family } = text;
    const edited = edit % 2 === 0 ? editText(text.text, edit >>> 1) : weightyEdit(text.text, family, edit >>> 1);
    const [before = '', after = ''] = [text.text, edited].map((side) => withTargets(side, family, targets));
    const { backend } = drawn;
    const difference = tableDifference(read(before, 'old', family), read(after, 'new', family), { backend });
    const { layout } = difference.space;
    const regions = difference.regions.filter(
      ({ classes }) => !classes.every((one) => one === 'logged' || one === 'marked'),
    );
    const sides = [...readingsOf([before, after], targets.length)].map(([old = '', now = '']) => [
      read(old, 'old', family),
      read(now, 'new', family),
    ]);
    const ask = (skb: Skb, table: TableName): void => {
      const { at: point } = pointOfSkb(layout, skb);
      if (layout.diagrams.evaluate(possible(layout, skb.hook, table), point) !== YES) return;
      const held = regions.filter(
        (region) =>
          region.hook === skb.hook && region.table === table && layout.diagrams.evaluate(region.packets, point) === YES,
      );
      const differs = sides.map(([old, now]) => {
        const [left, right] = [old, now].map((side) =>
          side === undefined
            ? ''
            : walks(side, table, skb)
                .map(({ kind, with: how }) => `${kind} ${how ?? ''}`)
                .join(),
        );
        return left !== right;
      });
      const some = differs.includes(true);
      const told = `${table} ${skb.hook}: differs in ${differs.filter((one) => one).length} of ${differs.length} readings`;
      if (some && differs.includes(false)) seen('in some readings');
      if (!differs.includes(false)) seen('in all readings');
      expect(held.length > 0, told).toBe(some);
      if (held.some(({ classes }) => !classes.includes('undecided'))) expect(differs, told).not.toContain(false);
    };
    for (const { hook, table, packets: changed } of regions) {
      const witness = table === 'filter' ? witnessAt(layout, changed, { hook, backend }) : undefined;
      if (witness !== undefined) ask(witness.skb, table);
    }
    for (const [index, packet] of packets.entries()) {
      if (packet.family !== family || packet.fragment !== undefined) continue;
      const [table, hook] = at(PLACES, draw + index);
      for (let turn = 0; turn < 6; turn++)
        ask(
          { ...skbOf(drawn, packet, hook, Math.imul(draw + turn + 31 * index, 0x9e3779b1) >>> 0), host: NOWHERE },
          table,
        );
    }
    seen(regions.some(({ classes }) => classes.includes('undecided')) ? 'undecided' : 'decided');
    return true;
  },
  {
    runs: 100,
    stored: storedCase<[number, number, number, number]>(),
    cover: {
      undecided: { atLeast: 4 },
      decided: { atLeast: 10 },
      'in some readings': { atLeast: 4 },
      'in all readings': { atLeast: 5 },
    },
  },
);
