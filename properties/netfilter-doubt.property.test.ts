/** What the model does not know: it says so exactly where it matters. */
import { expect } from 'vitest';
import { at, INDEX } from '../src/arbitrary/choice.ts';
import { worldCase, type WorldCase } from '../src/arbitrary/world.ts';
import { endingOf } from '../src/netfilter/ending.ts';
import type { Journey } from '../src/netfilter/journey.ts';
import { arrive, machineOf, type Machine } from '../src/netfilter/traverse.ts';
import type { Arrival } from '../src/packet/packet.ts';
import type { Match, Rule, Ruleset } from '../src/ruleset/rule.ts';
import { ADDED_LINE, constantMatch, copyable, insertRules, mapRules, placeIn, type Place } from './support/edit.ts';
import { storedCase } from './support/case.ts';
import { playWith, stepsOf, waysOf } from './support/ending.ts';
import { tellKinds } from './support/kind.ts';
import { law, type Seen } from './support/law.ts';

type Drawn = [WorldCase, number, number, number, number];
const stored = storedCase<[number, number, number, number]>();
const CASES = [worldCase({ loose: true, rules: 24, moves: 10 }), INDEX, INDEX, INDEX, INDEX] as const;

/** A match of which nobody can say whether it holds. */
const CHANCE: Match = { kind: 'unmodelled', module: 'statistic', options: [] };

/** The case with two rules in doubt, where packets of it have been. */
function doubting(drawn: WorldCase, [place, rule, otherPlace, otherRule]: readonly number[]): WorldCase {
  const steps = stepsOf(playWith(drawn, drawn.rulesets));
  const add = (rulesets: readonly Ruleset[], where = 0, which = 0, line = 0): readonly Ruleset[] => {
    const at = placeIn(drawn, steps, where);
    return insertRules(rulesets, at, [{ ...copyableRule(rulesets, at, which), line: ADDED_LINE + line }]);
  };
  return { ...drawn, rulesets: add(add(drawn.rulesets, place, rule, 0), otherPlace, otherRule, 1) };
}

function copyableRule(rulesets: readonly Ruleset[], place: Place, which: number): Rule {
  const rule = at(copyable(rulesets, place), which);
  return { ...rule, matches: [...rule.matches, CHANCE] };
}

/** How many rules have a match that nobody can decide. */
const doubtsIn = (rulesets: readonly Ruleset[]): number => readings(rulesets, 0).doubts;

/**
 * The rulesets in which each such match is one that always holds, or never: bit N of `reading` says so of the Nth rule that has one.
 */
function readings(
  rulesets: readonly Ruleset[],
  reading: number,
): { readonly rulesets: readonly Ruleset[]; readonly doubts: number } {
  let doubts = 0;
  const read = rulesets.map((ruleset) =>
    mapRules(ruleset, (rule) => {
      if (!rule.matches.some(({ kind }) => kind === 'unmodelled')) return rule;
      const holds = ((reading >> doubts++) & 1) === 1;
      const matches = rule.matches.map((match): Match =>
        match.kind === 'unmodelled' ? constantMatch(ruleset.family, holds) : match,
      );
      return { ...rule, matches };
    }),
  );
  return { rulesets: read, doubts };
}

/** What is sent in a dialogue with the case's own rules, answers and retransmissions too. */
const arrivalsOf = (from: WorldCase): readonly Arrival[] =>
  playWith(from, from.rulesets).flatMap(({ sent }) => (sent.kind === 'packet' ? [sent.arrival] : []));

const machinesOf = ({ host, rulesets, backend }: WorldCase): readonly Machine[] =>
  Array.from({ length: 1 << doubtsIn(rulesets) }, (_, reading) =>
    machineOf(host, readings(rulesets, reading).rulesets, backend),
  );

function tellDoubts(journey: Journey, seen: Seen): void {
  if (journey.fate.kind === 'undecided') seen('undecided');
  else if (journey.fate.line !== undefined || journey.exits.length > 0) seen('decided');
}

law<Drawn>(
  'netfilter/a-decided-fate-is-the-fate-in-every-reading',
  CASES,
  (from, place, rule, otherPlace, otherRule, seen) => {
    const drawn = doubting(from, [place, rule, otherPlace, otherRule]);
    const doubtful = machineOf(drawn.host, drawn.rulesets, drawn.backend);
    const certain = machinesOf(drawn);
    let undecidedBefore = false;
    // One conversation: what is undecided once may be so for good.
    const journeys = arrivalsOf(from).map((arrival) => {
      const journey = arrive(doubtful, arrival);
      const endings = certain.map((machine) => endingOf(arrive(machine, arrival)));
      const first = endings[0] ?? '';
      const alike = endings.every((ending) => ending === first);
      tellDoubts(journey, seen);
      if (journey.fate.kind === 'undecided') undecidedBefore = true;
      else {
        expect(alike, `decided as ${endingOf(journey)}, but: ${endings.join(' or ')}`).toBe(true);
        expect(endingOf(journey)).toBe(first);
        if (undecidedBefore) seen('decided after something undecided');
      }
      return journey;
    });
    tellKinds(journeys, seen);
    return true;
  },
  {
    runs: 250,
    stored,
    cover: {
      forwarded: { atLeast: 25 },
      delivered: { atLeast: 25 },
      'dropped by rule': { atLeast: 4 },
      translated: { atLeast: 6 },
      bridged: { atLeast: 4 },
      ESTABLISHED: { atLeast: 10 },
      undecided: { atLeast: 12 },
      decided: { atLeast: 30 },
      'decided after something undecided': { atLeast: 7 },
    },
  },
);

law<Drawn>(
  'netfilter/undecided-only-where-the-readings-differ',
  CASES,
  (from, place, rule, otherPlace, otherRule, seen) => {
    const drawn = doubting(from, [place, rule, otherPlace, otherRule]);
    for (const arrival of arrivalsOf(from)) {
      const journey = arrive(machineOf(drawn.host, drawn.rulesets, drawn.backend), arrival);
      tellDoubts(journey, seen);
      if (journey.fate.kind !== 'undecided') continue;
      const certain = machinesOf(drawn).map((machine) => arrive(machine, arrival));
      // A packet that meets a rule twice may find it true once and false once, which no reading of the ruleset is.
      if (certain.some((one) => waysOf(one).length > 1 || one.consequences.length > 0 || loops(one))) continue;
      expect(
        new Set(certain.map(endingOf)).size,
        `${journey.fate.reason ?? ''}\n${certain.map(endingOf).join('\n')}`,
      ).toBeGreaterThan(1);
      const lines = drawn.rulesets.flatMap((ruleset) => doubtfulLines(ruleset));
      expect(lines).toContain(journey.fate.line);
      seen('undecided, and the readings differ');
    }
    return true;
  },
  {
    runs: 250,
    stored,
    cover: {
      undecided: { atLeast: 12 },
      decided: { atLeast: 30 },
      'undecided, and the readings differ': { atLeast: 9 },
    },
  },
);

const loops = ({ steps }: Journey): boolean =>
  steps.some(({ hook }) => hook === 'OUTPUT') && steps.some(({ hook }) => hook === 'PREROUTING');

const doubtfulLines = ({ tables }: Ruleset): readonly number[] =>
  [...tables.values()].flatMap(({ chains }) =>
    [...chains.values()].flatMap(({ rules }) =>
      rules.filter(({ matches }) => matches.some(({ kind }) => kind === 'unmodelled')).map(({ line }) => line),
    ),
  );
