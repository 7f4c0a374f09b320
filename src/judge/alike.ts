/** Mistakes of which the text alone shows that they change nothing: proved, so no packet need be tried. */
import type { Family } from '../address/address.ts';
import { both, conditionOf } from '../invariant/vocabulary/rule-set.ts';
import { intersectSets, isEmptySet, NO_PACKET, subtractSets, unionSets, type PacketSet } from '../packet/pattern.ts';
import type { Rule, Ruleset, TableName } from '../ruleset/rule.ts';
import { rulesIn, type Mutant } from './mutation.ts';

/** Why a mistake changes nothing, where that needs no packet to tell. */
export function alikeBecause(ruleset: Ruleset, mutant: Mutant): string | undefined {
  const { change, table, chain, rule: number } = mutant;
  const rules = rulesIn(ruleset, table, chain);
  const [rule, next] = rules.slice(number - 1, number + 1);
  if (rule === undefined) return undefined;
  if (change === 'swapped with the next') return next && whySwapped(ruleset, table, rule, next);
  if (change === 'deleted') {
    if (isInert(ruleset, table, rule)) return 'The chain that it calls is empty.';
    return whyCovered(ruleset, mutant, rule, undefined);
  }
  const now = rulesIn(mutant.ruleset, table, chain)[number - 1];
  return now?.target !== rule.target ? undefined : whyCovered(ruleset, mutant, rule, now);
}

function whySwapped(ruleset: Ruleset, table: TableName, rule: Rule, next: Rule): string | undefined {
  if (isInert(ruleset, table, rule) || isInert(ruleset, table, next))
    return 'One of the two rules calls a chain that is empty, so their order has no effect.';
  if (isSimple(rule) && rule.target?.kind === next.target?.kind)
    return 'Both rules have the same target, so their order has no effect.';
  const asked = both(conditionOf(rule.matches, ruleset.family), conditionOf(next.matches, ruleset.family));
  return isEmptySet(asked.set) ? 'No packet matches both rules, so their order has no effect.' : undefined;
}

/** What the rule takes more or less than before is decided by rules before it, or by rules behind it that do the same. */
function whyCovered(ruleset: Ruleset, mutant: Mutant, before: Rule, now: Rule | undefined): string | undefined {
  const { family } = ruleset;
  if (!isSimple(before)) return undefined;
  const rules = rulesIn(ruleset, mutant.table, mutant.chain);
  const earlier = rules
    .slice(0, mutant.rule - 1)
    .flatMap((rule) => (isSimple(rule) ? (exactly(rule, family) ?? []) : []))
    .reduce(unionSets, NO_PACKET);
  const mostBefore = conditionOf(before.matches, family).set;
  const leastBefore = exactly(before, family) ?? NO_PACKET;
  const mostNow = now === undefined ? NO_PACKET : conditionOf(now.matches, family).set;
  const leastNow = (now && exactly(now, family)) ?? NO_PACKET;
  let left = subtractSets(unionSets(subtractSets(mostBefore, leastNow), subtractSets(mostNow, leastBefore)), earlier);
  if (isEmptySet(left)) return 'The rules before it have decided what it takes more or less than it did.';
  for (const rule of rules.slice(mutant.rule)) {
    const same = isSimple(rule) && rule.target?.kind === before.target?.kind ? exactly(rule, family) : undefined;
    if (same !== undefined) left = subtractSets(left, same);
    else if (
      !isInert(ruleset, mutant.table, rule) &&
      !isEmptySet(intersectSets(left, conditionOf(rule.matches, family).set))
    )
      return undefined;
    if (isEmptySet(left)) return 'A rule behind it has the same target for what it takes more or less than it did.';
  }
  return undefined;
}

/** Exactly the packets that a rule matches; undefined where that is not known. */
function exactly({ matches }: Rule, family: Family): PacketSet | undefined {
  const { set, devices, translated, rest } = conditionOf(matches, family);
  return devices.length === 0 && translated === undefined && rest.length === 0 ? set : undefined;
}

/** Targets that say all by their name. */
const SIMPLE: ReadonlySet<string> = new Set(['ACCEPT', 'DROP', 'RETURN']);
const isSimple = ({ target }: Rule): boolean => SIMPLE.has(target?.kind ?? '');

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
