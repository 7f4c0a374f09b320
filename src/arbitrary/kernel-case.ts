/** What the model is compared with the kernel on: a host, rules aimed at it, a conversation with it. */
import fc from 'fast-check';
import type { Family } from '../address/address.ts';
import type { Case } from '../kernel/compare.ts';
import type { Move } from '../kernel/dialogue.ts';
import type { Backend } from '../kernel/protocol.ts';
import { at } from './choice.ts';
import { arbitraryConversation } from './conversation.ts';
import { arbitraryTraits, hostWith, type HostTraits } from './host.ts';
import {
  arbitraryLadder,
  arbitraryRuleset,
  printGenerated,
  type GeneratedRule,
  type GeneratedRuleset,
} from './ruleset.ts';
import { loosened } from './world.ts';

export interface KernelCase {
  readonly traits: HostTraits;
  readonly ruleset: GeneratedRuleset;
  readonly moves: readonly Move[];
}

/** Cases of one family, with at most so many rules and moves. */
export const arbitraryKernelCase = (family: Family, maxRules = 24, maxMoves = 16): fc.Arbitrary<KernelCase> =>
  fc
    .record({
      traits: arbitraryTraits(),
      ruleset: arbitraryRuleset(family, maxRules),
      ladder: fc.oneof({ arbitrary: fc.constant([]), weight: 24 }, { arbitrary: arbitraryLadder(), weight: 1 }),
      shape: fc.nat({ max: 5 }),
      looseness: fc.array(fc.nat({ max: 3 }), { minLength: 16, maxLength: 16 }),
      moves: arbitraryConversation(family, maxMoves),
    })
    .map(({ traits, ruleset, ladder, shape, looseness, moves }) => ({
      traits,
      ruleset: withRules(shaped(ruleset, shape, looseness), ladder),
      moves,
    }));

const withRules = (ruleset: GeneratedRuleset, more: readonly GeneratedRule[]): GeneratedRuleset =>
  more.length === 0 ? ruleset : withOnly(ruleset, [...more, ...ruleset.rules]);

const withOnly = (ruleset: GeneratedRuleset, rules: readonly GeneratedRule[]): GeneratedRuleset => ({
  ...ruleset,
  rules,
  text: printGenerated(rules, ruleset.drops),
});

/** Rules as they were drawn; or with less to ask, so that packets meet more of them; or such that conntrack stays off (S1). */
function shaped(ruleset: GeneratedRuleset, shape: number, looseness: readonly number[]): GeneratedRuleset {
  if (shape < 2) return ruleset;
  const rules =
    shape < 5
      ? ruleset.rules.map((rule, index) => loosened(rule, at(looseness, index)))
      : ruleset.rules.filter(
          ({ matches, target }) => !matches.some(({ kind }) => TRACKING.has(kind)) && !TRACKING.has(target?.kind ?? ''),
        );
  return withOnly(ruleset, rules);
}

/** Matches and targets that switch conntrack on. */
const TRACKING: ReadonlySet<string> = new Set([
  'state',
  'conntrack',
  'connmark',
  'CONNMARK',
  'CT',
  'DNAT',
  'SNAT',
  'MASQUERADE',
  'REDIRECT',
  'NETMAP',
]);

/** The case to compare, on one backend. */
export function caseOf({ traits, ruleset, moves }: KernelCase, backend: Backend): Case {
  const texts = ruleset.family === 4 ? { text4: ruleset.text } : { text6: ruleset.text };
  return { host: hostWith(traits), backend, texts, moves };
}
