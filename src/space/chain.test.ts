/** Rules that say the same in two chains are looked at once; here is what that must not make of them. */
import { expect, test } from 'vitest';
import { readRuleset } from '../ruleset/parse.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { Space } from './space.ts';
import { tableDifference, verdictsOf } from './table-difference.ts';

const filter = (...lines: readonly string[]): Ruleset =>
  readRuleset(['*filter', ...lines, 'COMMIT', ''].join('\n'), { path: 'x.rules', family: 4 });

/** The classes of what packets of FORWARD find changed. */
const changes = (old: Ruleset, now: Ruleset): readonly string[] =>
  tableDifference(old, now, { backend: 'nft' }).regions.flatMap(({ classes }) => classes);

/** Two chains with these rules, of which the first lets on what it does not decide. */
const twice = (first: readonly string[], second: readonly string[], policy = 'ACCEPT'): Ruleset =>
  filter(
    `:FORWARD ${policy}`,
    ':a - [0:0]',
    ':b - [0:0]',
    '-A FORWARD -j a',
    '-A FORWARD -j b',
    ...first.map((rule) => `-A a ${rule}`),
    ...second.map((rule) => `-A b ${rule}`),
  );

/** The same with chain b's first rule from chain a: what is spelt in another way than iptables-save spells it is otherwise another object. */
function withOneRule(ruleset: Ruleset): Ruleset {
  const table = ruleset.tables.get('filter');
  const [a, b] = [table?.chains.get('a'), table?.chains.get('b')];
  if (table === undefined || a === undefined || b === undefined) throw new Error('chains a and b are missing');
  const chains = new Map(table.chains).set('b', { ...b, rules: [...a.rules.slice(0, 1), ...b.rules.slice(1)] });
  return { ...ruleset, tables: new Map(ruleset.tables).set('filter', { ...table, chains }) };
}

test('what is not known of a packet at one rule may be otherwise at another that says the same', () => {
  const rules = ['-m quota --quota 9 -j RETURN', '-j DROP'];
  const old = withOneRule(twice(rules, rules));
  expect(changes(old, twice(rules, []))).toEqual(['widened']);
  expect(changes(old, twice(rules, rules))).toEqual([]);
});

test('a target that is not modelled may do another thing at another rule that says the same', () => {
  const rules = ['-p tcp -j NFQUEUE --queue-num 1'];
  expect(changes(withOneRule(twice(rules, rules)), twice(rules, []))).toEqual(['undecided']);
});

test('what a rule drops by looking at a packet it drops in each chain', () => {
  // An IPv4 fragment at offset 1 is dropped where the tcp header is asked for (S24), unless it has been accepted before.
  const ask = '-p tcp -m tcp --dport 80 -j ACCEPT';
  const outcomes = (rules: Ruleset): readonly string[] => {
    const space = new Space([rules], { family: 4, backend: 'legacy', parts: true });
    const node = verdictsOf(space, rules, { table: 'filter', hook: 'FORWARD' }, false);
    return space.layout.diagrams.terminalsOf(node).flatMap((end) => space.outcomes.of(end)?.kind ?? []);
  };
  expect(outcomes(twice(['-f -j ACCEPT', ask], [ask]))).toEqual(['accepted']);
  expect(outcomes(twice(['-s 10.0.0.0/8 -f -j ACCEPT', ask], [ask]))).toContain('dropped');
  const inOne = filter(
    ...[':FORWARD ACCEPT', ':a - [0:0]', ':b - [0:0]', '-A FORWARD -s 10.0.0.0/8 -j a', '-A FORWARD -j b'],
    ...['-A a -f -j ACCEPT', `-A a ${ask}`, `-A b ${ask}`],
  );
  expect(outcomes(inOne)).toContain('dropped');
});

test('chains whose rules say the same are one, and no others', () => {
  const nodes = (rules: Ruleset): readonly number[] => {
    const made = new Space([rules], { family: 4, backend: 'nft' });
    return (['INPUT', 'FORWARD', 'OUTPUT'] as const).map((hook) =>
      verdictsOf(made, rules, { table: 'filter', hook }, false),
    );
  };
  const [input, forward, output] = nodes(
    filter(
      ...[':INPUT ACCEPT', ':FORWARD ACCEPT', ':OUTPUT ACCEPT', ':a - [0:0]', ':b - [0:0]', ':c - [0:0]'],
      ...['-A INPUT -p tcp -j a', '-A FORWARD -p tcp -j b', '-A OUTPUT -p tcp -j c'],
      ...['a', 'b'].map((chain) => `-A ${chain} -s 10.0.0.0/8 -j DROP`),
      '-A c -s 10.0.0.0/9 -j DROP',
    ),
  );
  expect(forward).toBe(input);
  expect(output).not.toBe(input);
});
