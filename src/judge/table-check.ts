/**
 * Does the difference of two rulesets, table by table, say what the model says? On one packet for each box of the common refinement: boxes in whose packets a table makes one thing
 * under the old rules and one under the new.
 */
import { STAGES, tablesAt } from '../netfilter/hooks.ts';
import type { Backend } from '../netfilter/skb.ts';
import { printPacket } from '../packet/notation.ts';
import { isExtensionHeader } from '../packet/protocol.ts';
import type { HookName, Ruleset, TableName } from '../ruleset/rule.ts';
import { partsOf } from '../space/box.ts';
import { FIRST_FREE_TERMINAL, NO, terminal, valueOf, YES } from '../space/diagram.ts';
import type { Outcome } from '../space/outcome.ts';
import { pointOfSkb } from '../space/point.ts';
import { isAsSaid, Replay } from '../space/replay.ts';
import { possible, tableDifference, verdictsOf } from '../space/table-difference.ts';
import { skbIn, witnessAt } from '../space/witness.ts';

export interface TableCheck {
  /** Boxes of the refinement, and those of them of which no packet could be put together. */
  readonly boxes: number;
  readonly without: number;
  /** Boxes whose packets fare otherwise. */
  readonly differing: number;
  /** Witnesses of the difference that have been walked. */
  readonly replayed: number;
  /** What disagrees, a sentence each. */
  readonly wrong: readonly string[];
}

/** Tables that are the same text on both sides are left out. */
export function checkTables(old: Ruleset, now: Ruleset, backend: Backend): TableCheck {
  const { space, regions } = tableDifference(old, now, { backend });
  const { layout } = space;
  const { diagrams } = layout;
  const replays = [new Replay(old), new Replay(now)] as const;
  const wrong: string[] = [];
  let [boxes, without, differing, replayed] = [0, 0, 0, 0];
  for (const { hook, table, packets } of regions) {
    const witness = witnessAt(layout, packets, { hook, backend });
    if (witness === undefined) {
      wrong.push(`${table} ${hook}: no witness of a region was found`);
      continue;
    }
    replayed++;
    const [before, after] = replays.map((replay) => endOf(replay.walk(table, witness.skb)));
    if (before === after)
      wrong.push(`${table} ${hook}: ${printPacket(witness.skb.packet)} fares as before, in the model`);
  }
  for (const [hook, table] of PLACES) {
    if (old.tables.get(table) === now.tables.get(table)) continue;
    const pairs: (readonly [Outcome, Outcome])[] = [];
    const pairing = diagrams.pairing((a, b) => {
      const [one, other] = [space.outcomes.of(terminal(a)), space.outcomes.of(terminal(b))];
      return one === undefined || other === undefined ? NO : terminal(FIRST_FREE_TERMINAL + pairs.push([one, other]));
    });
    const [before, after] = [old, now].map((side) => verdictsOf(space, side, { hook, table }, false));
    if (before === undefined || after === undefined) continue;
    // An extension header is what stands before a packet's protocol, and is none.
    const met = possible(layout, hook, table);
    // What stands before a packet's protocol is no protocol of a packet.
    const packets =
      layout.family === 4 ? met : diagrams.less(met, layout.chooseValues('protocol', EXTENSIONS, YES, NO));
    const refined = diagrams.guard(packets, diagrams.pair(pairing, before, after));
    for (const { box, to } of partsOf(layout, refined)) {
      const said = pairs[valueOf(to) - FIRST_FREE_TERMINAL - 1];
      if (said === undefined) continue;
      boxes++;
      const skb = skbIn(layout, box, { hook, backend });
      const { at } = skb === undefined ? { at: undefined } : pointOfSkb(layout, skb);
      if (skb === undefined || at === undefined || diagrams.evaluate(refined, at) !== to) {
        without++;
        continue;
      }
      const told = `${table} ${hook}: ${printPacket(skb.packet)}`;
      const walked = replays.map((replay) => replay.walk(table, skb));
      for (const [index, replay] of walked.entries()) {
        const own = said[index];
        if (own !== undefined && !isAsSaid(replay, own))
          wrong.push(`${told}: sets say ${own.kind}, the model ${replay.kind}`);
      }
      const differs = new Set(walked.map(endOf)).size > 1;
      if (differs) differing++;
      const isIn = regions.some(
        (region) => region.hook === hook && region.table === table && diagrams.evaluate(region.packets, at) === YES,
      );
      if (isIn !== differs) wrong.push(`${told}: the difference ${isIn ? 'has' : 'does not have'} it`);
    }
  }
  return { boxes, without, differing, replayed, wrong };
}

const endOf = ({ kind, with: how, translation }: ReturnType<Replay['walk']>): string =>
  `${kind} ${how ?? ''} ${translation ?? ''}`;

const EXTENSIONS = Array.from({ length: 256 }, (_, protocol) => protocol).filter(isExtensionHeader);

const PLACES = (Object.keys(STAGES) as HookName[]).flatMap((hook) =>
  tablesAt(hook).map((table): readonly [HookName, TableName] => [hook, table]),
);
