/** Which chains of a table lead to which. */
import type { Chain, Rule } from './rule.ts';

/** The chain that a rule jumps or goes to. */
export const calledBy = ({ target }: Rule): string | undefined =>
  target?.kind === 'jump' || target?.kind === 'goto' ? target.chain : undefined;

/** These chains, and those from which a packet can come to one of them. */
export function chainsLeadingTo(names: Iterable<string>, chains: ReadonlyMap<string, Chain>): ReadonlySet<string> {
  const callers = new Map<string, string[]>();
  for (const { name, rules } of chains.values())
    for (const rule of rules) {
      const called = calledBy(rule);
      if (called === undefined) continue;
      const own = callers.get(called);
      if (own === undefined) callers.set(called, [name]);
      else if (own.at(-1) !== name) own.push(name);
    }
  const leading = new Set(names);
  // A set tells what is added to it while it is gone through.
  for (const led of leading) for (const caller of callers.get(led) ?? []) leading.add(caller);
  return leading;
}
