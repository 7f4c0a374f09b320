import { expect, test } from 'vitest';
import { printDiagnostic } from '../diagnostic/diagnostic.ts';
import { parseRuleset } from './parse.ts';
import { printRuleset } from './print.ts';

const inFilter = (...lines: string[]): string => ['*filter', ...lines, 'COMMIT', ''].join('\n');

const errors = (text: string): string[] => parseRuleset(text, { path: 'x' }).diagnostics.map(printDiagnostic);

const canonical = (text: string): string => {
  const { ruleset, diagnostics } = parseRuleset(text, { path: 'x' });
  expect(diagnostics).toEqual([]);
  return printRuleset(ruleset);
};

test('prints the canonical spelling of what nova writes', () => {
  const text = inFilter(
    ':nova-compute-local - [0:0]',
    '[0:0] -A INPUT --in-interface br100 -j ACCEPT -p udp --dport 67',
    '-A nova-compute-local -m state --state ESTABLISHED,RELATED -d 10.0.0.7/24 -j ACCEPT',
  );
  expect(canonical(text)).toBe(
    inFilter(
      ':INPUT ACCEPT [0:0]',
      ':FORWARD ACCEPT [0:0]',
      ':OUTPUT ACCEPT [0:0]',
      ':nova-compute-local - [0:0]',
      '[0:0] -A INPUT -i br100 -p udp -m udp --dport 67 -j ACCEPT',
      '-A nova-compute-local -d 10.0.0.0/24 -m state --state RELATED,ESTABLISHED -j ACCEPT',
    ),
  );
});

test('says where an error is and does not hide the next one', () => {
  expect(
    errors(inFilter('-A INPUT -p tcp --dprot 22 -j ACCEPT', '-A INPUT -s 10.0.0.256', '-A INPUT -j ACCEPT')),
  ).toEqual(['x:2:17: unknown option `--dprot`: did you mean --dport?', 'x:3:13: `10.0.0.256` is no IPv4 address']);
});
