/** Where the journeys of a packet under two rulesets part: the first rules, or policies, that are not the same. */
import type { Journey, Step } from '../netfilter/journey.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { ruleNames } from './rule-names.ts';

/** What a packet met on one side. */
export interface Decider {
  readonly path: string;
  readonly step: Step;
  /** Of the rule, or where the chain with the policy is declared. */
  readonly line?: number;
  /** Table, chain and text: the same in two rulesets where these are. */
  readonly name: string;
  /** The other ruleset has no such rule in that chain, or no such policy. */
  readonly isChanged: boolean;
}

export interface Parting {
  readonly old?: Decider;
  readonly now?: Decider;
}

export function partingOf(
  journeys: { readonly old: Journey; readonly now: Journey },
  old: Ruleset,
  now: Ruleset,
): Parting {
  const [was, is] = [journeys.old.steps, journeys.now.steps];
  let at = 0;
  for (; at < was.length && at < is.length; at++) {
    const [one, other] = [was[at], is[at]];
    if (one === undefined || other === undefined || stepKey(one, old) !== stepKey(other, now)) break;
  }
  // Where one has only gone further, it is told what the other ended with.
  const [before, after] = [was[at] ?? was.at(-1), is[at] ?? is.at(-1)];
  return {
    ...(before === undefined ? {} : { old: deciderOf(before, old, now) }),
    ...(after === undefined ? {} : { now: deciderOf(after, now, old) }),
  };
}

function deciderOf(step: Step, { path, tables }: Ruleset, others: Ruleset): Decider {
  const { table, chain, rule } = step;
  const line = step.line ?? tables.get(table)?.chains.get(chain)?.line;
  const name = nameOf(step, tables);
  const theirs = others.tables.get(table)?.chains.get(chain);
  const isThere =
    typeof rule === 'number'
      ? theirs !== undefined && ruleNames(table, theirs).includes(name)
      : rule === 'end' || theirs?.policy === step.target;
  return { path, step, name, isChanged: !isThere, ...(line === undefined ? {} : { line }) };
}

function nameOf({ table, chain, rule, target }: Step, tables: Ruleset['tables']): string {
  const own = tables.get(table)?.chains.get(chain);
  return typeof rule === 'number' && own !== undefined
    ? (ruleNames(table, own)[rule - 1] ?? '')
    : `${table} ${chain} ${rule} ${target}`;
}

const stepKey = (step: Step, { tables }: Ruleset): string => `${step.hook} ${nameOf(step, tables)}`;

/** The same two rules. */
export const partingKey = ({ old, now }: Parting): string => `${old?.name ?? ''}\n${now?.name ?? ''}`;
