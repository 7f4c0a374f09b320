/** A packet is in the difference of a host's rulesets if and only if it, or the conversation that it begins, fares otherwise: so the model says, packet by packet. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { INDEX } from '../src/arbitrary/choice.ts';
import { worldCase, type WorldCase } from '../src/arbitrary/world.ts';
import { randomFrom } from '../src/judge/random.ts';
import { printArrival } from '../src/packet/notation.ts';
import { isIcmpError, type Arrival } from '../src/packet/packet.ts';
import { anyPattern, entrySetOf } from '../src/packet/pattern.ts';
import { samplerOf } from '../src/packet/sample.ts';
import type { Ruleset } from '../src/ruleset/rule.ts';
import { KnownRules } from '../src/ruleset/plain.ts';
import { parseRuleset } from '../src/ruleset/parse.ts';
import { partsOf } from '../src/space/box.ts';
import { NO, SpaceLimitError, YES } from '../src/space/diagram.ts';
import { hostDifference, type WayRegion } from '../src/space/host-difference.ts';
import { HostWays } from '../src/space/host-ways.ts';
import { patternsOf } from '../src/space/packet-set.ts';
import { pointOfArrival } from '../src/space/point.ts';
import { CHANGE_CLASSES } from '../src/space/table-difference.ts';
import { linesOf } from '../src/space/way-witness.ts';
import { storedCase } from './support/case.ts';
import { editText, weightyEdit } from './support/edit.ts';
import { faring } from '../src/judge/faring.ts';
import { law } from './support/law.ts';

/** As it is sent, without what sets do not speak of. */
const plain = ({ packet, entry }: Arrival): Arrival => {
  const { smac: _smac, dmac: _dmac, ...bare } = packet;
  return { packet: { ...bare, mark: 0, badsum: false }, entry };
};

const toldOf = (told: readonly Pick<WayRegion, 'turns' | 'alive' | 'classes'>[]): string =>
  told
    .map(({ turns, alive, classes }) => `${alive ? 'alive ' : ''}${turns.join(' ')}: ${[...classes].sort().join()}`)
    .sort()
    .join('\n');

/** Most edges of diagrams: with more the cases are few that fit into a test's time. */
const LIMIT = 200_000;

/** Undefined where the diagrams grow beyond the limit. */
function differenceWithin(ways: HostWays, old: Ruleset, now: Ruleset): readonly WayRegion[] | undefined {
  try {
    return hostDifference(ways, old, now);
  } catch (error) {
    if (error instanceof SpaceLimitError) return undefined;
    throw error;
  }
}

law<[WorldCase, number, number]>(
  'space/a-packet-is-in-the-difference-of-a-host-iff-its-conversation-differs',
  [worldCase({ rules: 3, moves: 8, loose: true }), fc.noBias(fc.integer({ min: 0, max: 0x7fffffff })), INDEX],
  (drawn, edit, draw, seen) => {
    const arrivals = drawn.moves.flatMap((move) => ('arrival' in move ? [plain(move.arrival)] : []));
    const [first] = arrivals;
    const text = drawn.texts.find(({ family }) => family === first?.packet.family);
    if (first === undefined || text === undefined) return true;
    const { family } = text;
    const known = new KnownRules();
    const old = parseRuleset(text.text, { path: 'old', family, known }).ruleset;
    // A change of a rule that is there is mostly none to any packet.
    const edited = edit % 8 === 7 ? editText(text.text, edit >>> 3) : weightyEdit(text.text, family, edit >>> 3);
    const now = parseRuleset(edited, { path: 'new', family, known }).ruleset;
    const { host, backend } = drawn;
    const ways = new HostWays(host, { family, backend, rulesets: [old, now], logs: true, limit: LIMIT });
    const { layout } = ways;
    const regions = differenceWithin(ways, old, now);
    if (regions === undefined) {
      seen('too large');
      return true;
    }
    seen(regions.length > 0 ? 'different' : 'same');
    for (const { witness, classes } of regions)
      if (witness !== undefined) {
        expect(witness.confirmed, `${classes.join()}: ${linesOf(witness).join('; ')}`).not.toBe(false);
        for (const one of classes) seen(one);
        if (witness.alive) seen('alive');
      }
    /** Conversations of packets that were copied are not followed. */
    const isCopied = ({ entry, ...rest }: Arrival): boolean => {
      const { at } = pointOfArrival(layout, { entry, ...rest });
      return [old, now].some((side) =>
        ways
          .ends(side, entry, ways.alive)
          .some(({ cell }) => cell.copied === true && layout.diagrams.evaluate(cell.region, at, layout.floor) !== NO),
      );
    };
    const random = randomFrom(draw);
    // From each region, and from anywhere.
    const sampled = regions.slice(0, 12).flatMap(({ packets, entry }): Arrival[] => {
      const patterns = [...partsOf(layout, packets)]
        .slice(0, 4)
        .flatMap(({ box }) => patternsOf(layout, box).patterns)
        .map((pattern) => ({ ...pattern, entry: entrySetOf([entry]) }));
      const sample = samplerOf({ boxes: patterns }, { entries: [entry] });
      return sample === undefined ? [] : [plain(sample(random))];
    });
    const entries = ways.entries(anyPattern(family).entry);
    const others = arrivals.flatMap(({ packet }) => entries.slice(0, 3).map((entry): Arrival => ({ packet, entry })));
    for (const sent of [...sampled, ...others.slice(0, 16)]) {
      const { packet, entry } = sent;
      if (packet.family !== family || packet.fragment !== undefined || isIcmpError(packet) || packet.ttl < 2) continue;
      // Who sends to itself with the same ports is two ends of one flow, of which sets do not ask.
      if (packet.saddr === packet.daddr) continue;
      const { at } = pointOfArrival(layout, sent);
      const held = regions.filter(
        (region) =>
          region.state === undefined &&
          (region.entry.kind === 'in'
            ? entry.kind === 'in' && region.entry.interface === entry.interface
            : entry.kind === 'local') &&
          layout.diagrams.terminalsOf(layout.diagrams.evaluate(region.packets, at, layout.floor)).includes(YES),
      );
      if (isCopied(sent)) continue;
      const { told, doubtful, journeys } = faring({ host, old, now, backend }, sent);
      if (doubtful || held.some(({ classes }) => classes.includes('undecided'))) {
        seen('undecided');
        continue;
      }
      if (told.length > 0) seen('packet differs');
      if (told.some(({ turns }) => turns.length > 1)) seen('conversation differs');
      expect(
        toldOf(held),
        `${printArrival(sent)}\n${journeys.map(({ fate, state }) => `${state} ${fate.kind}`).join('\n')}`,
      ).toBe(toldOf(told));
    }
    return true;
  },
  {
    runs: 28,
    stored: storedCase<[number, number]>(),
    cover: {
      different: { atLeast: 15 },
      same: { atLeast: 10 },
      'packet differs': { atLeast: 10 },
      'conversation differs': { atLeast: 0 },
      alive: { atLeast: 0 },
      'too large': { atLeast: 0 },
      ...Object.fromEntries(CHANGE_CLASSES.map((one) => [one, { atLeast: 0 }])),
    },
  },
);
