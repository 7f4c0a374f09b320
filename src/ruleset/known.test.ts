import { expect, test } from 'vitest';
import { KnownRules } from './known.ts';
import { parseRuleset } from './parse.ts';
import type { Chain, Ruleset } from './rule.ts';

const text = (...rules: readonly string[]): string =>
  ['*filter', ':FORWARD ACCEPT [1:2]', ':one - [0:0]', ':two - [0:0]', ...rules, 'COMMIT', ''].join('\n');
const chain = ({ tables }: Ruleset, name: string): Chain | undefined => tables.get('filter')?.chains.get(name);

test('what two files have in common is the same, each message names its own file', () => {
  const known = new KnownRules();
  const rules = ['-A FORWARD -d 10.0.0.1/32 -j one', '-A one -p tcp -j ACCEPT', '-A two -s 10.0.0.9/32 -j DROP'];
  const read = (path: string, ...lines: readonly string[]) => parseRuleset(text(...lines), { path, family: 4, known });
  const [old, now] = [read('old', ...rules), read('now', ...rules.with(1, '-A one -p udp -j ACCEPT'), '-A two -j no')];
  for (const name of ['FORWARD', 'two']) expect(chain(now.ruleset, name)).toBe(chain(old.ruleset, name));
  expect(chain(now.ruleset, 'one')?.rules).toEqual([
    { line: 6, matches: [{ kind: 'protocol', not: false, protocol: 17 }], target: { kind: 'ACCEPT' } },
  ]);
  expect(chain(old.ruleset, 'one')?.rules[0]?.matches).toEqual([{ kind: 'protocol', not: false, protocol: 6 }]);
  expect(now.diagnostics.map(({ path, line }) => `${path}:${line}`)).toEqual(['now:8']);
});

test('equal rules in other lines are other rules', () => {
  const known = new KnownRules();
  const [old, now] = [
    text('-A one -j DROP', '-A two -p tcp', '-A two'),
    text('-A one -j DROP', '-A one -p tcp', '-A two -p tcp', '-A two'),
  ].map((one) => parseRuleset(one, { path: 'x', family: 4, known }).ruleset);
  const lines = (of: Ruleset | undefined, name: string) => of && chain(of, name)?.rules.map(({ line }) => line);
  expect([lines(old, 'one'), lines(old, 'two')]).toEqual([[5], [6, 7]]);
  expect([lines(now, 'one'), lines(now, 'two')]).toEqual([
    [5, 6],
    [7, 8],
  ]);
  const matches = [old, now].map((of) => of && chain(of, 'two')?.rules[0]?.matches);
  expect(matches[0]).toBe(matches[1]);
});
