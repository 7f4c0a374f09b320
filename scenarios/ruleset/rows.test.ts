import { expect, test } from 'vitest';
import { parseRuleset } from '../../src/ruleset/parse.ts';
import { printRuleBody } from '../../src/ruleset/print.ts';
import type { TableName } from '../../src/ruleset/rule.ts';
import { FILES, ROWS, rulesetOf } from './rows.ts';

test.each(FILES)('%s reads and prints as iptables does', (file) => {
  const wrong: string[] = [];
  for (const row of ROWS.get(file) ?? []) {
    for (const family of row.families) {
      for (const chain of row.chains) {
        const { ruleset, diagnostics } = parseRuleset(rulesetOf(row, chain), { path: file, family });
        const rules = ruleset.tables.get(row.table as TableName)?.chains.get(chain)?.rules ?? [];
        const found = diagnostics.length > 0 ? 'refused' : rules.map(printRuleBody).join('\n');
        const expected = row.canonical ?? 'refused';
        if (found !== expected) {
          const why = diagnostics.map(({ message }) => message).join('; ');
          wrong.push(
            `${file}:${row.line} IPv${family} ${chain}: ${row.rule}\n  expected ${expected}\n  found ${found} ${why}`,
          );
        }
      }
    }
  }
  expect(wrong).toEqual([]);
});

test('there is a row for every match and target that the model has a kind for', () => {
  const rows = [...ROWS.values()].flat();
  const has = (word: string): boolean => rows.some((row) => row.canonical?.split(' ').includes(word) === true);
  const matches =
    'tcp udp sctp icmp icmp6 multiport iprange state conntrack mac mark connmark addrtype physdev pkttype comment length ttl hl set';
  const targets =
    'ACCEPT DROP RETURN REJECT LOG NFLOG DNAT SNAT MASQUERADE REDIRECT NETMAP MARK CONNMARK CT NOTRACK CHECKSUM TCPMSS TTL HL';
  expect(`${matches} ${targets}`.split(' ').filter((word) => !has(word))).toEqual([]);
});
