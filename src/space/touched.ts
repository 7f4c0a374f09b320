/**
 * Which packets two versions of a table can treat otherwise at a hook, told from what stands in them: if a rule for one of thousands of machines has changed, nobody need look at
 * the others' rules. Told by destinations, which no rule of a table changes, and never too few.
 */
import type { Chain, HookName, Rule } from '../ruleset/rule.ts';
import type { CallGraph } from './call-graph.ts';
import type { Chains } from './chain.ts';
import type { Conditions, UnknownPlace } from './condition.ts';
import { NO, YES, type Node } from './diagram.ts';
import type { Layout } from './layout.ts';
import type { MadeChains } from './made-chains.ts';
import { NO_CHAIN } from './rule-bodies.ts';

/** Where more than one of so many chains differ, all packets are asked for: what is the same in both versions is then made once for both. */
const FEW = 8;
/** So many times for each chain one may turn out to be come to by more packets, before all are asked for. */
const MOST_ROUNDS = 8;

/** A destination is always known. */
const KNOWN: UnknownPlace = { name: (text) => text };

/** NO: the versions are the same to every packet; YES: nothing is known. */
export function touchedDestinations(
  space: { readonly layout: Layout; readonly conditions: Conditions; readonly chains: MadeChains },
  hook: HookName,
  [old, now]: readonly [Chains | undefined, Chains | undefined],
): Node {
  if (old === undefined || now === undefined) return YES;
  const graph = space.chains.graphOf(old);
  const { bodies } = space.chains;
  const { differing, leading } = changeOf(graph, space.chains.graphOf(now));
  if (differing.size * FEW > now.size) return YES;
  const start = bodies.numberOf(hook);
  if (!leading.has(start)) return NO;
  const { diagrams } = space.layout;
  const reached = new Map<number, Node>([[start, YES]]);
  // Gone through with what is added to it on the way.
  const open: number[] = [start];
  let touched: Node = NO;
  for (const number of open) {
    if (open.length > MOST_ROUNDS * leading.size) return YES;
    const here = reached.get(number) ?? NO;
    if (differing.has(number)) {
      touched = diagrams.or(touched, here);
      continue;
    }
    for (const [index, rule] of (graph.chainAt(number)?.rules ?? []).entries()) {
      const called = bodies.calledBy(graph.bodyOf(number, index));
      if (called === NO_CHAIN || !leading.has(called)) continue;
      const before = reached.get(called) ?? NO;
      const after = diagrams.or(before, diagrams.and(here, destinationsOf(space.conditions, rule)));
      if (after === before) continue;
      reached.set(called, after);
      open.push(called);
    }
  }
  return touched;
}

/** What differs between two versions of a table, at whichever hook it is asked for. */
interface Change {
  readonly now: CallGraph;
  /** The chains of which the rules, or what happens behind them, are not known to be the same. */
  readonly differing: ReadonlySet<number>;
  /** Under the old rules, those from which packets can come to one of them. */
  readonly leading: ReadonlySet<number>;
}

/** By the old version, the change that was asked for last. */
const known = new WeakMap<CallGraph, Change>();

function changeOf(old: CallGraph, now: CallGraph): Change {
  const last = known.get(old);
  if (last?.now === now) return last;
  const differing = differingChains(old, now);
  const change: Change = { now, differing, leading: old.leadingTo(differing) };
  known.set(old, change);
  return change;
}

function differingChains(old: CallGraph, now: CallGraph): ReadonlySet<number> {
  const isSame = (number: number, one: Chain | undefined, other: Chain | undefined): boolean =>
    one === other ||
    (one !== undefined &&
      other !== undefined &&
      one.policy === other.policy &&
      one.hidden === undefined &&
      other.hidden === undefined &&
      old.saySame(number, number, now));
  const differing = new Set<number>();
  for (let number = 0; number < Math.max(old.size, now.size); number++)
    if (!isSame(number, old.chainAt(number), now.chainAt(number))) differing.add(number);
  return differing;
}

/** Those of the packets that meet a rule, at least. */
const destinationsOf = (conditions: Conditions, { matches }: Rule): Node =>
  conditions.all(
    matches.filter(({ kind }) => kind === 'destination'),
    KNOWN,
  );
