/** What the model is compared with the kernel on: a host, rules aimed at it, a conversation with it. */
import fc from 'fast-check';
import type { Family } from '../address/address.ts';
import type { Case } from '../kernel/compare.ts';
import type { Move } from '../kernel/dialogue.ts';
import type { Backend } from '../kernel/protocol.ts';
import { arbitraryConversation } from './conversation.ts';
import { arbitraryTraits, hostWith, type HostTraits } from './host.ts';
import { arbitraryRuleset, type GeneratedRuleset } from './ruleset.ts';

export interface KernelCase {
  readonly traits: HostTraits;
  readonly ruleset: GeneratedRuleset;
  readonly moves: readonly Move[];
}

/** Cases of one family, with at most so many rules and moves. */
export const arbitraryKernelCase = (family: Family, maxRules = 24, maxMoves = 16): fc.Arbitrary<KernelCase> =>
  fc.record({
    traits: arbitraryTraits(),
    ruleset: arbitraryRuleset(family, maxRules),
    moves: arbitraryConversation(family, maxMoves),
  });

/** The case to compare, on one backend. */
export function caseOf({ traits, ruleset, moves }: KernelCase, backend: Backend): Case {
  const texts = ruleset.family === 4 ? { text4: ruleset.text } : { text6: ruleset.text };
  return { host: hostWith(traits), backend, texts, moves };
}
