/** The laws of the ruleset language: printing and reading are inverse, and no text is too strange to be read. */
import { expect } from 'vitest';
import { brokenRulesetTextArb, rulesetTextArb } from '../src/arbitrary/ruleset-text.ts';
import { printDiagnostic } from '../src/diagnostic/diagnostic.ts';
import { parseRuleset } from '../src/ruleset/parse.ts';
import { printRuleset } from '../src/ruleset/print.ts';
import type { Ruleset } from '../src/ruleset/rule.ts';
import { law } from './support/law.ts';

/** What a ruleset says, without where it says it. */
const meaning = (ruleset: Ruleset) =>
  [...ruleset.tables.values()].map(({ name, chains }) => ({
    name,
    chains: [...chains.values()]
      .map((chain) => ({
        name: chain.name,
        policy: chain.policy,
        rules: chain.rules.map(({ matches, target, counters }) => ({ matches, target, counters })),
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
  }));

law(
  'ruleset/print-after-parse-keeps-the-rules',
  [rulesetTextArb()],
  ({ family, text }) => {
    const first = parseRuleset(text, { path: 'x', family });
    expect(first.diagnostics.map(printDiagnostic)).toEqual([]);
    const printed = printRuleset(first.ruleset);
    const second = parseRuleset(printed, { path: 'x', family });
    expect(second.diagnostics.map(printDiagnostic)).toEqual([]);
    expect(printRuleset(second.ruleset)).toBe(printed);
    expect(meaning(second.ruleset)).toEqual(meaning(first.ruleset));
  },
  {
    runs: 150,
    cover: {
      rules: { when: ({ text }) => text.includes('-A'), atLeast: 50 },
      IPv6: { when: ({ family }) => family === 6, atLeast: 30 },
    },
  },
);

law(
  'ruleset/every-text-is-read',
  [brokenRulesetTextArb()],
  (text, seen) => {
    const { ruleset, diagnostics } = parseRuleset(text, { path: 'x' });
    const lines = text.split('\n').map((line) => line.replace(/\r$/, ''));
    for (const { line, column, message } of diagnostics) {
      expect(lines[line - 1], message).toBeDefined();
      expect(column, message).toBeGreaterThanOrEqual(1);
      expect(column, message).toBeLessThanOrEqual((lines[line - 1]?.length ?? 0) + 1);
      expect(message).toMatch(/^[^\n]+$/);
    }
    const printed = printRuleset(ruleset);
    if (diagnostics.length > 0) {
      seen('refused');
      return;
    }
    seen('taken');
    const again = parseRuleset(printed, { path: 'x', family: ruleset.family });
    expect(again.diagnostics.map(printDiagnostic)).toEqual([]);
    expect(printRuleset(again.ruleset)).toBe(printed);
  },
  { runs: 300, cover: { refused: { atLeast: 40 }, taken: { atLeast: 5 } } },
);

law(
  'ruleset/reading-takes-linear-time',
  [brokenRulesetTextArb(), rulesetTextArb()],
  (broken, good) => {
    for (const text of [broken, good.text]) {
      const repeated = text.repeat(Math.ceil(100_000 / (text.length + 1)));
      const start = performance.now();
      parseRuleset(repeated, { path: 'x' });
      // Linear time is some hundredths of this on a slow machine; quadratic time is minutes.
      expect(performance.now() - start).toBeLessThan(20_000);
    }
  },
  { runs: 8 },
);
