import { expect, test } from 'vitest';
import { parseRuleset } from './parse.ts';

/** What nft refuses of a table with these chains and rules. */
const refusedBy = (table: string, chains: readonly string[], rules: readonly string[]): string[] =>
  parseRuleset([`*${table}`, ...chains.map((name) => `:${name} - [0:0]`), ...rules, 'COMMIT'].join('\n'), {
    path: 'x',
    backend: 'nft',
  }).diagnostics.map(({ line, column, message }) => `${line}:${column}: ${message}`);

const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `c${index + 1}`);
const calls = (count: number): string[] => names(count - 1).map((name, index) => `-A ${name} -p tcp -j c${index + 2}`);

test('15 jumps from a built-in chain are followed', () => {
  expect(refusedBy('filter', names(15), ['-A INPUT -j c1', ...calls(15)])).toEqual([]);
});

test('the rule is refused that makes a way of 16 jumps, with the way', () => {
  const way = 'INPUT -> c1 -> c2 -> c3 -> ... -> c13 -> c14 -> c15 -> c16';
  const message = `nft follows no more than 15 jumps from a built-in chain, legacy does: ${way}`;
  expect(refusedBy('filter', names(16), ['-A INPUT -j c1', ...calls(16)])).toEqual([`33:18: ${message}`]);
  expect(refusedBy('filter', names(16), [...calls(16), '-A INPUT -g c1'])).toEqual([`33:13: ${message}`]);
});

test('a loop is refused by the rule that closes it, or leads to it, behind an end of its chain too', () => {
  expect(refusedBy('filter', ['a', 'b'], ['-A INPUT -j a', '-A a -j DROP', '-A a -j b', '-A b -j a'])).toEqual([
    '7:9: this jump closes a loop that INPUT reaches: a -> b -> a',
  ]);
  expect(refusedBy('filter', ['a', 'b'], ['-A a -j b', '-A b -j a'])).toEqual([]);
});

test('what has no place in a hook is refused where it comes to be reached from there', () => {
  const dnat = '-A a -j DNAT --to-destination 10.0.0.1';
  expect(refusedBy('nat', ['a'], ['-A POSTROUTING -j ACCEPT', '-A POSTROUTING -j a', dnat])).toEqual([
    '5:9: DNAT cannot be used in `a`, which POSTROUTING reaches: expected PREROUTING, OUTPUT',
  ]);
  expect(refusedBy('nat', ['a'], [dnat, '-A PREROUTING -j a', '-A POSTROUTING -j a'])).toEqual([
    '5:19: this jump leads POSTROUTING to `a`, where DNAT (line 3) cannot be used: expected PREROUTING, OUTPUT',
  ]);
});

test('a way through many chains and rules is looked at once', () => {
  const size = 20_000;
  const start = performance.now();
  const rules = names(size).flatMap((name) => [`-A INPUT -j ${name}`, `-A ${name} -j d`]);
  expect(refusedBy('filter', [...names(size), 'd'], rules)).toEqual([]);
  expect(performance.now() - start).toBeLessThan(10_000);
});
