import { expect, test } from 'vitest';
import { readRuleset } from '../ruleset/parse.ts';
import { idleRules } from './idle-rules.ts';

/** The lines of the rules that do nothing. */
const idle = (...lines: readonly string[]): readonly (number | undefined)[] =>
  idleRules(readRuleset(['*filter', ...lines, 'COMMIT', ''].join('\n'), { path: 'x.rules', family: 4 }), {
    backend: 'nft',
  }).findings.map(({ at }) => at.line);

test('behind a goto of a built-in chain stands its policy', () => {
  expect(
    idle(
      ':FORWARD ACCEPT',
      ':a - [0:0]',
      ':b - [0:0]',
      '-A FORWARD -p tcp -g a',
      '-A FORWARD -p udp -j b',
      '-A a -s 10.0.0.0/24 -j DROP',
      '-A a -s 10.0.1.0/24 -j ACCEPT',
      '-A b -s 10.0.0.0/24 -j RETURN',
      '-A b -j DROP',
    ),
  ).toEqual([8]);
});

test('a chain that is called again takes the packets that one of its rules no longer takes', () => {
  // Rule 9 is for packets that OUTPUT never has; behind both calls in c4 the policy drops them, too.
  expect(
    idle(
      ':FORWARD DROP',
      ':OUTPUT ACCEPT',
      ':c4 - [0:0]',
      ':c6 - [0:0]',
      '-A FORWARD -p udp -j c4',
      '-A OUTPUT -p udp -j c6',
      '-A c4 -s 10.0.0.0/24 -j c6',
      '-A c6 -d 10.1.0.3/32 -i eth0 -j DROP',
      '-A c6 -d 10.1.0.4/32 -j DROP',
      '-A c4 -s 10.0.0.0/23 -j c6',
    ),
  ).toEqual([6, 8, 9, 11]);
});
