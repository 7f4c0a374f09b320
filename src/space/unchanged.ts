/** How much of a ruleset stood in another already. */
import { printRuleBody } from '../ruleset/print.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import type { CallGraph } from './call-graph.ts';
import type { MadeChains } from './made-chains.ts';
import type { RuleBodies } from './rule-bodies.ts';

/** Of a body whose text nobody has asked for. */
const UNPRINTED = -1;

/** How many rules of `now` stand in `old`, too; of equal ones in a chain as many as there are in both. */
export function countUnchanged(made: MadeChains, old: Ruleset, now: Ruleset): number {
  const textOf = textsOf(made.bodies);
  let count = 0;
  for (const table of now.tables.values()) {
    const chains = old.tables.get(table.name)?.chains;
    if (chains === undefined) continue;
    const [before, after] = [made.graphOf(chains), made.graphOf(table.chains)];
    for (const [name, { rules }] of table.chains) {
      const number = made.bodies.numberOf(name);
      count += before.saySame(number, number, after) ? rules.length : inBoth(before, after, number, textOf);
    }
  }
  return count;
}

function inBoth(before: CallGraph, after: CallGraph, number: number, textOf: (body: number) => number): number {
  const left = new Map<number, number>();
  const length = (graph: CallGraph): number => graph.chainAt(number)?.rules.length ?? 0;
  for (let index = 0; index < length(before); index++) {
    const text = textOf(before.bodyOf(number, index));
    left.set(text, (left.get(text) ?? 0) + 1);
  }
  let count = 0;
  for (let index = 0; index < length(after); index++) {
    const text = textOf(after.bodyOf(number, index));
    const alike = left.get(text) ?? 0;
    if (alike === 0) continue;
    left.set(text, alike - 1);
    count++;
  }
  return count;
}

/** Numbers for what rules say as text, printed once for all of a body: what is not spelt as iptables-save spells it has a body for each rule. */
function textsOf(bodies: RuleBodies): (body: number) => number {
  const numbers = new Map<string, number>();
  const byBody = new Int32Array(bodies.size).fill(UNPRINTED);
  return (body) => {
    const known = byBody[body] ?? UNPRINTED;
    if (known !== UNPRINTED) return known;
    const text = printRuleBody(bodies.saidBy(body));
    const number = numbers.get(text) ?? numbers.size;
    numbers.set(text, number);
    byBody[body] = number;
    return number;
  };
}
