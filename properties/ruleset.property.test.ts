/** The laws of the ruleset language: printing and reading are inverse, and no text is too strange to be read. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { brokenRulesetTextArb, rulesetTextArb } from '../src/arbitrary/ruleset-text.ts';
import { printDiagnostic } from '../src/diagnostic/diagnostic.ts';
import { readCommand } from '../src/ruleset/command.ts';
import { parseRuleset } from '../src/ruleset/parse.ts';
import { PlainRules } from '../src/ruleset/plain.ts';
import { printRuleset } from '../src/ruleset/print.ts';
import { tokenize } from '../src/ruleset/tokens.ts';
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

/** Rules near to iptables-save's spelling: most are plain, some only look like it. */
const nearlyPlainArb = fc
  .array(
    fc.constantFrom(
      ...[
        '-s 10.0.0.0/24',
        '-d 10.0.0.2/32',
        '! -s 192.168.1.7/16',
        '-d 010.0.0.1',
        '-s 1.2.3.4/0',
        '-d 2001:db8::/64',
      ],
      ...['-i br100', '! -o eth+', '-o +', '-i eth0', '-p tcp', '-p udp', '! -p tcp', '-p 6', '-p icmp', '-p all'],
      ...['-p tcp -m tcp --dport 22', '-p udp -m udp ! --sport 53', '-p icmp -m icmp --icmp-type 8/0', '-p tcp -m tcp'],
      ...['-m tcp --dport 22', '-m udp --sport 67 --dport 68', '-m tcp ! --dport 1:1024', '-m tcp --dport 0:65535'],
      ...[
        '-m tcp',
        '-m icmp --icmp-type 8',
        '-m icmp ! --icmp-type 3/4',
        '-m icmp --icmp-type any',
        '-m tcp --dport ssh',
      ],
      ...['-m state --state RELATED,ESTABLISHED', '-m state ! --state NEW', '-m conntrack ! --ctstate DNAT'],
      ...[
        '-m comment --comment "a  b"',
        '-m comment --comment nova',
        '-m comment --comment "a\\"b"',
        '--dport 5',
        '!',
        '',
      ],
      ...['-m tcp --dport 5:2', '-m udp --dport 70000', '-m state --state related'],
    ),
    { maxLength: 5 },
  )
  .chain((pieces) =>
    fc
      .constantFrom('', '-j ACCEPT', '-j DROP', '-j x', '-j RETURN', '-g x', '-j "x"', '-j ACCEPT ')
      .map((target) => [...pieces, target].join(' ').trimStart()),
  );

law(
  'ruleset/plain-rules-read-as-any-rule',
  [rulesetTextArb(), fc.array(nearlyPlainArb, { minLength: 3, maxLength: 6 })],
  ({ family, text }, near, seen) => {
    const printed = printRuleset(parseRuleset(text, { path: 'x', family }).ruleset);
    const plain = new PlainRules(family);
    const nearly = near.map((one) => `-A x ${one}`);
    for (const line of [text, printed, ...nearly].flatMap((one) => one.split('\n'))) {
      const [, body] = /^-A [^ ]+ (.+)$/.exec(line) ?? [];
      const rule = body === undefined ? undefined : plain.read(body);
      if (body === undefined || rule === undefined) continue;
      seen('plain');
      if (rule.matches.length > 2) seen('several matches');
      if (rule.jump !== undefined) seen('jump');
      // Which chain and table it stands in is for whoever has it read.
      const around = { family, table: 'filter', hasChain: (name: string) => name === rule.jump } as const;
      const command = readCommand(tokenize(`-A x ${body}`), around, undefined);
      if (command.kind !== 'append') throw new Error(command.kind);
      const { bodies, target, demands, jump } = command.rule;
      expect({ bodies, target, demands, jump: jump?.text }, body).toEqual({
        bodies: [rule.matches],
        target: rule.target,
        demands: [],
        jump: rule.jump,
      });
      if (jump !== undefined) expect(jump.column).toBe(`-A x ${body}`.length - jump.text.length + 1);
      expect(plain.read(body)).toBe(rule);
    }
  },
  { runs: 150, cover: { plain: { atLeast: 60 }, 'several matches': { atLeast: 8 }, jump: { atLeast: 15 } } },
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
