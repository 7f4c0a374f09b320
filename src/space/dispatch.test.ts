import { describe, expect, test } from 'vitest';
import type { Family } from '../address/address.ts';
import { readRuleset } from '../ruleset/parse.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { Space } from './space.ts';
import { verdictsOf } from './table-difference.ts';

/** A comment makes a rule one of those that are put together one by one. */
const asWritten = (rules: readonly string[], family: Family, comment: string): Ruleset =>
  readRuleset(
    [
      '*filter',
      ':one - [0:0]',
      ':two - [0:0]',
      ...rules.map((rule) => `-A FORWARD ${rule.replace(' -j', `${comment} -j`)}`),
      '-A one -p tcp -j ACCEPT',
      '-A one -p udp -j RETURN',
      '-A one -p icmp -j DROP',
      '-A two -j one',
      'COMMIT',
      '',
    ]
      .filter((line) => family === 4 || !line.includes('icmp'))
      .join('\n'),
    { path: 'x.rules', family },
  );

const CASES: readonly (readonly [Family, readonly string[]])[] = [
  [4, ['-d 10.0.0.2/32 -j one', '-d 10.0.0.1/32 -j DROP', '-d 10.0.1.0/32 -j two']],
  [4, ['-d 10.0.0.1/32 -j one', '-d 10.0.0.2/32 -j ACCEPT', '-d 10.0.0.1/32 -j DROP', '-d 10.0.0.2/32 -j DROP']],
  [4, ['-d 0.0.0.0/32 -j DROP', '-d 255.255.255.255/32 -j RETURN', '-d 10.0.0.255/32 -j one', '-p tcp -j DROP']],
  [4, ['-d 10.0.0.1/32 -j one', '-d 10.0.0.0/24 -j DROP', '! -d 10.0.0.2/32 -j two', '-d 10.0.0.2/32 -j DROP']],
  [6, ['-d ::/128 -j DROP', '-d fe80::1/128 -j one', '-d ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128 -j two']],
];

describe('rules that are each for one destination', () => {
  test.each(CASES)('mean what each of them means, IPv%d: %j', (family, rules) => {
    const [together, apart] = [asWritten(rules, family, ''), asWritten(rules, family, ' -m comment --comment x')];
    const space = new Space([together, apart], { family, backend: 'nft' });
    const [one, other] = [together, apart].map((ruleset) =>
      verdictsOf(space, ruleset, { hook: 'FORWARD', table: 'filter' }, false),
    );
    expect(one).toBe(other);
  });
});
