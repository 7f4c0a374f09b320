/** The algebra of chains: what can be changed in a ruleset without a packet noticing. */
import { expect } from 'vitest';
import { at, INDEX } from '../src/arbitrary/choice.ts';
import { worldCase, type WorldCase } from '../src/arbitrary/world.ts';
import { endingOf } from '../src/netfilter/ending.ts';
import type { Journey } from '../src/netfilter/journey.ts';
import type { Match, Rule, Ruleset, Target } from '../src/ruleset/rule.ts';
import {
  ADDED_LINE,
  calls,
  constantMatch,
  copyable,
  insertRules,
  editChain,
  makeRule,
  mapChains,
  placeIn,
  rulesAt,
  type Place,
} from './support/edit.ts';
import { storedCase } from './support/case.ts';
import { expectSame, journeysOf, playWith, stepsOf, transcriptOf, waysOf } from './support/ending.ts';
import { COVER, NAT_TARGETS, tellKinds } from './support/kind.ts';
import { law, type Seen } from './support/law.ts';
import type { Played } from '../src/kernel/dialogue.ts';

type Drawn = [WorldCase, number, number];
const CASES = [worldCase({ loose: true, rules: 30, moves: 6 }), INDEX, INDEX] as const;
const stored = storedCase<[number, number]>();
const RUNS = 300;

/** Plays the case with the rules that it has, and looks for a place where a packet has been. */
function begin(drawn: WorldCase, which: number, seen: Seen): { played: readonly Played[]; place: Place } {
  const played = playWith(drawn, drawn.rulesets);
  tellKinds(journeysOf(played), seen);
  return { played, place: placeIn(drawn, stepsOf(played), which) };
}

const expectNoChange = (drawn: WorldCase, left: readonly Ruleset[], right: readonly Ruleset[]): readonly Played[] => {
  const played = playWith(drawn, right);
  expectSame(transcriptOf(playWith(drawn, left)), transcriptOf(played), 'with the changed rules');
  return played;
};

/** Ways by which the first got through and the second did not. */
const waysLeft = (one: Journey, other: Journey): readonly string[] =>
  waysOf(one).filter((way) => !waysOf(other).includes(way));

const meets = (played: readonly Played[], line: number): boolean => stepsOf(played).some((step) => step.line === line);

/** Something that is true of some of the case's packets and false of others, and that no rule on their way changes. */
function divider(drawn: WorldCase, { family }: Place, index: number): Match {
  const packets = drawn.moves.flatMap((move) => ('arrival' in move ? [move.arrival] : []));
  const [first] = packets;
  const { packet, entry } = packets.length === 0 || first === undefined ? { packet: undefined } : at(packets, index);
  const not = index % 2 === 1;
  if (packet?.family !== family) return { kind: 'protocol', not, protocol: 17 };
  if (index % 3 === 0) return { kind: 'protocol', not, protocol: packet.protocol };
  if (index % 3 === 1 && entry?.kind === 'in' && entry.interface.startsWith('eth'))
    return { kind: 'in', not, name: entry.interface };
  return {
    kind: 'source',
    not,
    value: { address: packet.saddr, mask: typeof packet.saddr === 'number' ? 0xffffffff : (1n << 128n) - 1n },
  };
}

const negation = (match: Match): Match => ('not' in match ? { ...match, not: !match.not } : match);
const and = (match: Match, rule: Rule, line: number): Rule => ({ ...rule, line, matches: [match, ...rule.matches] });

law<Drawn>(
  'netfilter/adjacent-rules-that-share-no-packet-commute',
  CASES,
  (drawn, which, choice, seen) => {
    const { place } = begin(drawn, which, seen);
    const rules = copyable(drawn.rulesets, place);
    const one = at(rules, choice);
    const other = at(rules, choice >> 4);
    const some = divider(drawn, place, choice);
    const left = and(some, one, ADDED_LINE);
    const right = and(negation(some), other, ADDED_LINE + 1);
    const played = expectNoChange(
      drawn,
      insertRules(drawn.rulesets, place, [left, right]),
      insertRules(drawn.rulesets, place, [right, left]),
    );
    if (meets(played, ADDED_LINE)) seen('first rule meets a packet');
    if (meets(played, ADDED_LINE + 1)) seen('second rule meets a packet');
    const swapped = [
      [one, other],
      [other, one],
    ].map((pair) => transcriptOf(playWith(drawn, insertRules(drawn.rulesets, place, pair))).join('\n'));
    if (swapped[0] !== swapped[1]) seen('order matters where they share packets');
    return true;
  },
  {
    runs: RUNS,
    stored,
    cover: {
      ...COVER,
      'first rule meets a packet': { atLeast: 30 },
      'second rule meets a packet': { atLeast: 30 },
      'order matters where they share packets': { atLeast: 8 },
    },
  },
);

law<Drawn>(
  'netfilter/a-rule-that-cannot-match-changes-nothing',
  [worldCase({ loose: true, rules: 30, moves: 6, unmodelled: 1 }), INDEX, INDEX],
  (drawn, which, choice, seen) => {
    const { place } = begin(drawn, which, seen);
    const rule = at(copyable(drawn.rulesets, place), choice);
    const never = and(constantMatch(place.family, false), rule, ADDED_LINE);
    expectNoChange(drawn, drawn.rulesets, insertRules(drawn.rulesets, place, [never]));
    const always = playWith(
      drawn,
      insertRules(drawn.rulesets, place, [and(constantMatch(place.family, true), rule, ADDED_LINE)]),
    );
    if (meets(always, ADDED_LINE)) seen('the same rule matches without what keeps it from it');
    return true;
  },
  { runs: RUNS, stored, cover: { ...COVER, 'the same rule matches without what keeps it from it': { atLeast: 25 } } },
);

law<Drawn>(
  'netfilter/a-rule-without-effect-changes-nothing',
  CASES,
  (drawn, which, choice, seen) => {
    const { place } = begin(drawn, which, seen);
    const rule = at(
      [
        makeRule(undefined),
        makeRule({ kind: 'LOG', options: [] }),
        makeRule({ kind: 'NFLOG', options: [] }),
        makeRule({ kind: 'jump', chain: 'empty' }),
        makeRule({ kind: 'MARK', value: { value: 0, mask: 0 } }),
        makeRule({ kind: 'jump', chain: 'returning' }),
      ],
      choice,
    );
    const played = expectNoChange(
      drawn,
      drawn.rulesets,
      insertRules(drawn.rulesets, place, [rule], {
        empty: [],
        returning: [makeRule({ kind: 'RETURN' }), makeRule({ kind: 'DROP' })],
      }),
    );
    if (meets(played, ADDED_LINE)) seen('it meets a packet');
    return true;
  },
  { runs: RUNS, stored, cover: { ...COVER, 'it meets a packet': { atLeast: 50 } } },
);

law<Drawn>(
  'netfilter/a-jump-is-its-chain-written-out',
  CASES,
  (drawn, which, choice, seen) => {
    const { place } = begin(drawn, which, seen);
    const own = rulesAt(drawn.rulesets, place);
    // From the place on, as far as nothing leaves the chain early.
    const rest = own.slice(place.index);
    const early = rest.findIndex((rule) => rule.target?.kind === 'RETURN' || calls(rule, 'goto'));
    const long = early < 0 ? rest.length : early;
    const count = long === 0 ? 0 : 1 + (choice % long);
    const end = place.index + count;
    const jump = makeRule({ kind: 'jump', chain: 'written-out' });
    const played = expectNoChange(
      drawn,
      drawn.rulesets,
      editChain(drawn.rulesets, place, (rules) => [...rules.slice(0, place.index), jump, ...rules.slice(end)], {
        'written-out': own.slice(place.index, end),
      }),
    );
    for (const { chain, target } of stepsOf(played)) {
      if (chain !== 'written-out') continue;
      seen('a rule of the chain matches');
      if (target === 'ACCEPT' || target === 'DROP' || NAT_TARGETS.has(target)) seen('the chain decides');
    }
    return true;
  },
  {
    runs: RUNS,
    stored,
    cover: { ...COVER, 'a rule of the chain matches': { atLeast: 12 }, 'the chain decides': { atLeast: 3 } },
  },
);

law<Drawn>(
  'netfilter/a-goto-is-a-jump-and-a-return',
  CASES,
  (drawn, which, choice, seen) => {
    const { place } = begin(drawn, which, seen);
    // Some of the table's rules, which call no chain and so close no loop.
    const rules = copyable(drawn.rulesets, place);
    const callee = [choice, choice >> 3, choice >> 6].map((index) => at(rules, index)).slice(0, choice % 4);
    const chains = { callee };
    const played = expectNoChange(
      drawn,
      insertRules(
        drawn.rulesets,
        place,
        [makeRule({ kind: 'jump', chain: 'callee' }), makeRule({ kind: 'RETURN' })],
        chains,
      ),
      insertRules(drawn.rulesets, place, [makeRule({ kind: 'goto', chain: 'callee' })], chains),
    );
    if (meets(played, ADDED_LINE)) seen('a packet goes there');
    if (stepsOf(played).some(({ chain }) => chain === 'callee')) seen('a rule there matches');
    const isBuiltIn = /^[A-Z]+$/.test(place.chain);
    if (!isBuiltIn && meets(played, ADDED_LINE)) seen('from a chain of the user');
    const jumped = playWith(
      drawn,
      insertRules(drawn.rulesets, place, [makeRule({ kind: 'jump', chain: 'callee' })], chains),
    );
    if (transcriptOf(jumped).join('\n') !== transcriptOf(played).join('\n')) seen('a jump alone is something else');
    return true;
  },
  {
    runs: RUNS,
    stored,
    cover: {
      ...COVER,
      'a packet goes there': { atLeast: 50 },
      'a rule there matches': { atLeast: 20 },
      'from a chain of the user': { atLeast: 5 },
      'a jump alone is something else': { atLeast: 3 },
    },
  },
);

law<Drawn>(
  'netfilter/what-stands-behind-an-unconditional-end-never-matters',
  CASES,
  (drawn, which, choice, seen) => {
    const { place } = begin(drawn, which, seen);
    const ends: readonly Target[] = [
      { kind: 'ACCEPT' },
      { kind: 'DROP' },
      { kind: 'RETURN' },
      { kind: 'goto', chain: 'last' },
      ...(place.table === 'filter' && place.family === 4
        ? ([{ kind: 'REJECT', with: 'icmp-port-unreachable' }] as const)
        : []),
    ];
    const end = makeRule(at(ends, choice));
    const chains = { last: [makeRule(undefined)] };
    const kept = insertRules(drawn.rulesets, place, [end], chains);
    // What is cut off stands in a chain that nobody calls: a rule that is there switches conntrack on, wherever it is (S1).
    const cut = editChain(drawn.rulesets, place, (rules) => [...rules.slice(0, place.index), end], {
      ...chains,
      parked: rulesAt(drawn.rulesets, place).slice(place.index),
    });
    const played = expectNoChange(drawn, kept, cut);
    if (meets(played, ADDED_LINE) && place.index < rulesAt(drawn.rulesets, place).length) seen('rules are cut off');
    const [first] = transcriptOf(playWith(drawn, drawn.rulesets));
    if (first !== transcriptOf(played)[0]) seen('the end matters');
    return true;
  },
  { runs: RUNS, stored, cover: { ...COVER, 'rules are cut off': { atLeast: 20 }, 'the end matters': { atLeast: 5 } } },
);

law<Drawn>(
  'netfilter/policy-drop-lets-through-no-more-than-policy-accept',
  CASES,
  (drawn, which, choice, seen) => {
    begin(drawn, which, seen);
    const withPolicies = (mask: number): readonly Ruleset[] =>
      drawn.rulesets.map((ruleset) => {
        let number = 0;
        return mapChains(ruleset, (chain) =>
          chain.policy === undefined ? chain : { ...chain, policy: (mask >> number++) & 1 ? 'DROP' : 'ACCEPT' },
        );
      });
    const strict = withPolicies((1 << (which % 14)) | (1 << (choice % 14)));
    const open = withPolicies(0);
    // One packet at a time, each on a host that has seen nothing: a flow that is not there later changes what later rules see.
    for (const move of drawn.moves) {
      if (move.kind !== 'packet') continue;
      const alone = { ...drawn, moves: [move] };
      const [dropping] = journeysOf(playWith(alone, strict));
      const [accepting] = journeysOf(playWith(alone, open));
      if (dropping === undefined || accepting === undefined) continue;
      const missing = waysLeft(dropping, accepting);
      expect(missing, `${endingOf(dropping)}\nbut with ACCEPT: ${endingOf(accepting)}`).toEqual([]);
      if (waysLeft(accepting, dropping).length > 0) seen('the policy drops');
      if (dropping.exits.length + dropping.deliveries.length > 0) seen('a rule accepts before the policy drops');
    }
    return true;
  },
  {
    runs: RUNS,
    stored,
    cover: { ...COVER, 'the policy drops': { atLeast: 30 }, 'a rule accepts before the policy drops': { atLeast: 20 } },
  },
);

law<Drawn>(
  'netfilter/a-condition-on-a-rule-is-a-chain-that-returns-without-it',
  CASES,
  (drawn, which, choice, seen) => {
    const { place } = begin(drawn, which, seen);
    const rule = at(
      copyable(drawn.rulesets, place).filter(({ target }) => target?.kind !== 'RETURN'),
      choice,
    );
    const some = divider(drawn, place, choice);
    const direct = insertRules(drawn.rulesets, place, [and(some, rule, ADDED_LINE)]);
    const called = insertRules(drawn.rulesets, place, [makeRule({ kind: 'jump', chain: 'guarded' })], {
      guarded: [and(negation(some), makeRule({ kind: 'RETURN' }), ADDED_LINE + 1), rule],
    });
    const played = expectNoChange(drawn, direct, called);
    if (meets(played, ADDED_LINE + 1)) seen('it returns');
    if (stepsOf(played).some((step) => step.chain === 'guarded' && step.rule === 2)) seen('it goes on');
    return true;
  },
  { runs: RUNS, stored, cover: { ...COVER, 'it returns': { atLeast: 25 }, 'it goes on': { atLeast: 15 } } },
);
