/** A rule is told to do nothing if and only if no packet fares otherwise, nor is logged otherwise, in the ruleset without it. */
import { expect } from 'vitest';
import { worldCase, type WorldCase } from '../src/arbitrary/world.ts';
import { compileTarget } from '../src/netfilter/compile.ts';
import { textsOf } from '../src/ruleset/lines.ts';
import type { Chain, Rule, Ruleset, TableName } from '../src/ruleset/rule.ts';
import { idleRules } from '../src/space/idle-rules.ts';
import { tableDifference } from '../src/space/table-difference.ts';
import { storedCase } from './support/case.ts';
import { law, type Seen } from './support/law.ts';

function without(ruleset: Ruleset, table: TableName, chain: Chain, rule: Rule): Ruleset {
  const own = ruleset.tables.get(table);
  if (own === undefined) return ruleset;
  const rest = { ...chain, rules: chain.rules.filter((one) => one !== rule) };
  const chains = new Map([...own.chains, [chain.name, rest]]);
  return { ...ruleset, tables: new Map([...ruleset.tables, [table, { ...own, chains }]]) };
}

const marks = (ruleset: Ruleset): boolean =>
  [...ruleset.tables.values()].some(({ chains }) =>
    [...chains.values()].some(({ rules }) =>
      rules.some(({ target }) => ['mark', 'connmark', 'ttl'].includes(compileTarget(target).kind)),
    ),
  );

law<[WorldCase]>(
  'space/a-rule-is-idle-iff-nothing-changes-without-it',
  [worldCase({ rules: 12, moves: 1, loose: true })],
  (drawn, seen: Seen) => {
    const [ruleset] = drawn.rulesets;
    if (ruleset === undefined) return true;
    const { backend } = drawn;
    const { findings } = idleRules(ruleset, { backend });
    const textAt = textsOf(ruleset);
    const idle = new Map(findings.map((finding) => [finding.at.rule === undefined ? '' : finding.at.line, finding]));
    const outside = new Set(findings.flatMap(({ at }) => (at.rule === undefined ? [`${at.table} ${at.chain}`] : [])));
    const hasDead = findings.some(({ kind }) => kind === 'never-matches');
    for (const [name, table] of ruleset.tables)
      for (const chain of table.chains.values())
        for (const rule of chain.rules) {
          const finding = idle.get(rule.line);
          const { regions } = tableDifference(ruleset, without(ruleset, name, chain, rule), { backend });
          const isSame = regions.length === 0;
          if (finding !== undefined) {
            seen(finding.because);
            expect(isSame, `${textAt(rule.line)} is idle: ${finding.because}`).toBe(true);
            for (const place of finding.by) expect(place.line).not.toBe(rule.line);
            continue;
          }
          if (!isSame) seen('does something');
          // One of two equal rules is kept; what only counts or changes what the model does not speak of is no business of a difference.
          const isSpokenOf = !outside.has(`${name} ${chain.name}`) && compileTarget(rule.target).kind !== 'continue';
          if (isSpokenOf && !hasDead && !marks(ruleset))
            expect(isSame, `${textAt(rule.line)} does something`).toBe(false);
        }
    return true;
  },
  {
    runs: 50,
    stored: storedCase<[]>(),
    cover: {
      covered: { atLeast: 2 },
      contradiction: { atLeast: 1 },
      'same-without': { atLeast: 5 },
      empty: { atLeast: 1 },
      'not-entered': { atLeast: 0 },
      'does something': { atLeast: 20 },
    },
  },
);
