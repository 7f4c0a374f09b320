/**
 * Which packets two versions of a table can treat otherwise at a hook, told from what stands in them: if a rule for one of thousands of machines has changed, nobody need look at
 * the others' rules. Told by destinations, which no rule of a table changes, and never too few.
 */
import { calledBy, chainsLeadingTo } from '../ruleset/calls.ts';
import type { Chain, HookName, Rule } from '../ruleset/rule.ts';
import type { Chains } from './chain.ts';
import type { Conditions, UnknownPlace } from './condition.ts';
import { NO, YES, type Node } from './diagram.ts';
import type { Layout } from './layout.ts';
import { areSameRules } from './rule-names.ts';

/** Where more than one of so many chains differ, all packets are asked for: what is the same in both versions is then made once for both. */
const FEW = 8;
/** So many times for each chain one may turn out to be come to by more packets, before all are asked for. */
const MOST_ROUNDS = 8;

/** A destination is always known. */
const KNOWN: UnknownPlace = { name: (text) => text };

/** NO: the versions are the same to every packet; YES: nothing is known. */
export function touchedDestinations(
  space: { readonly layout: Layout; readonly conditions: Conditions },
  hook: HookName,
  [old, now]: readonly [Chains | undefined, Chains | undefined],
): Node {
  if (old === undefined || now === undefined) return YES;
  const differing = differingChains(old, now);
  if (differing.size * FEW > now.size) return YES;
  const leading = chainsLeadingTo(differing, old);
  if (!leading.has(hook)) return NO;
  const { diagrams } = space.layout;
  const reached = new Map<string, Node>([[hook, YES]]);
  // Gone through with what is added to it on the way.
  const open: string[] = [hook];
  let touched: Node = NO;
  for (const name of open) {
    if (open.length > MOST_ROUNDS * leading.size) return YES;
    const here = reached.get(name) ?? NO;
    if (differing.has(name)) {
      touched = diagrams.or(touched, here);
      continue;
    }
    for (const rule of old.get(name)?.rules ?? []) {
      const called = calledBy(rule);
      if (called === undefined || !leading.has(called)) continue;
      const before = reached.get(called) ?? NO;
      const after = diagrams.or(before, diagrams.and(here, destinationsOf(space.conditions, rule)));
      if (after === before) continue;
      reached.set(called, after);
      open.push(called);
    }
  }
  return touched;
}

/** The chains of which the rules, or what happens behind them, are not known to be the same. */
function differingChains(old: Chains, now: Chains): ReadonlySet<string> {
  const isSame = (one: Chain | undefined, other: Chain | undefined): boolean =>
    one === other ||
    (one !== undefined &&
      other !== undefined &&
      one.policy === other.policy &&
      one.hidden === undefined &&
      other.hidden === undefined &&
      areSameRules(one.rules, other.rules));
  return new Set([...old.keys(), ...now.keys()].filter((name) => !isSame(old.get(name), now.get(name))));
}

/** Those of the packets that meet a rule, at least. */
const destinationsOf = (conditions: Conditions, { matches }: Rule): Node =>
  conditions.all(
    matches.filter(({ kind }) => kind === 'destination'),
    KNOWN,
  );
