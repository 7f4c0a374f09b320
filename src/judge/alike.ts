/** Mistakes of which the text alone shows that they change nothing. */
import { both, conditionOf } from '../invariant/vocabulary/rule-set.ts';
import { isEmptySet } from '../packet/pattern.ts';
import type { Rule, Ruleset, TableName } from '../ruleset/rule.ts';
import { rulesIn, type Mutant } from './mutation.ts';

/** Why a mistake changes nothing, where that needs no packet to tell. */
export function alikeBecause(ruleset: Ruleset, { change, table, chain, rule: number }: Mutant): string | undefined {
  if (change !== 'swapped with the next') return undefined;
  const [rule, next] = rulesIn(ruleset, table, chain).slice(number - 1, number + 1);
  if (rule === undefined || next === undefined) return undefined;
  if (isInert(ruleset, table, rule) || isInert(ruleset, table, next))
    return 'One of the two rules calls a chain that is empty, so their order has no effect.';
  if (rule.target?.kind === next.target?.kind && SIMPLE.has(rule.target?.kind ?? ''))
    return 'Both rules have the same target, so their order has no effect.';
  const asked = both(conditionOf(rule.matches, ruleset.family), conditionOf(next.matches, ruleset.family));
  return isEmptySet(asked.set) ? 'No packet matches both rules, so their order has no effect.' : undefined;
}

/** Targets that say all by their name. */
const SIMPLE: ReadonlySet<string> = new Set(['ACCEPT', 'DROP', 'RETURN']);

/** True for a jump to a chain whose rules, if it has any, only call others of which the same is true. */
function isInert(ruleset: Ruleset, table: TableName, { target }: Rule): boolean {
  const pending = [target];
  const seen = new Set<string>();
  for (const next of pending) {
    if (next?.kind !== 'jump') return false;
    if (seen.has(next.chain)) continue;
    seen.add(next.chain);
    pending.push(...rulesIn(ruleset, table, next.chain).map((rule) => rule.target));
  }
  return true;
}
