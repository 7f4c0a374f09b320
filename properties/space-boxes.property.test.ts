/** Diagrams against boxes by subtraction, an implementation that shares nothing with them: small tables accept the same packets. */
import { expect } from 'vitest';
import { worldCase, type WorldCase } from '../src/arbitrary/world.ts';
import { anyPattern } from '../src/packet/pattern.ts';
import type { Chain, HookName, Ruleset } from '../src/ruleset/rule.ts';
import { NO, YES } from '../src/space/diagram.ts';
import { fromSet } from '../src/space/packet-set.ts';
import { Space } from '../src/space/space.ts';
import { verdictsOf } from '../src/space/table-difference.ts';
import { isBoxRule, walkBoxes } from './support/boxes.ts';
import { storedCase } from './support/case.ts';
import { law, type Seen } from './support/law.ts';

const HOOKS: readonly HookName[] = ['INPUT', 'FORWARD', 'OUTPUT'];

/** The filter table without the rules that boxes cannot say. */
function boxed(ruleset: Ruleset): Ruleset | undefined {
  const table = ruleset.tables.get('filter');
  if (table === undefined) return undefined;
  const chains = new Map<string, Chain>(
    [...table.chains].map(([name, chain]) => [
      name,
      { ...chain, rules: chain.rules.filter((rule) => isBoxRule(rule, ruleset.family)) },
    ]),
  );
  return { ...ruleset, tables: new Map([['filter', { ...table, chains }]]) };
}

law<[WorldCase]>(
  'space/diagrams-and-boxes-accept-the-same-packets',
  [worldCase({ rules: 30, moves: 1, loose: true })],
  (drawn, seen: Seen) => {
    for (const given of drawn.rulesets) {
      const ruleset = boxed(given);
      const chains = ruleset?.tables.get('filter')?.chains;
      if (ruleset === undefined || chains === undefined) continue;
      const { family } = ruleset;
      const space = new Space([ruleset], { family, backend: 'nft' });
      const { layout, outcomes } = space;
      const { diagrams } = layout;
      const isAccepted = diagrams.mapping((node) => (outcomes.of(node)?.kind === 'accepted' ? YES : NO));
      // Boxes know no packet that conntrack has not seen.
      const domain = layout.chooseNumbers('ct', [{ from: 0, to: 4 }], YES, NO);
      for (const hook of HOOKS) {
        const builtIn = chains.get(hook);
        if (builtIn === undefined) continue;
        const { accepted, rest } = walkBoxes(chains, hook, { boxes: [anyPattern(family)] }, family);
        const boxes = [...accepted.boxes, ...(builtIn.policy === 'DROP' ? [] : rest.boxes)];
        if (boxes.length > 2) seen('several boxes');
        if (builtIn.rules.some(({ target }) => target?.kind === 'jump' || target?.kind === 'goto')) seen('calls');
        const verdicts = verdictsOf(space, ruleset, { hook, table: 'filter' }, false);
        const expected = diagrams.and(domain, fromSet(layout, { boxes }));
        expect(diagrams.and(domain, diagrams.substitute(isAccepted, verdicts))).toBe(expected);
      }
    }
    return true;
  },
  { runs: 120, stored: storedCase<[]>(), cover: { 'several boxes': { atLeast: 8 }, calls: { atLeast: 10 } } },
);
