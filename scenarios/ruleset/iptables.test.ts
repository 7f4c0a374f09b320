/**
 * Puts the rows to the machine's own iptables, in network namespaces of their own. Only the version that the rows were written for is asked:
 * later ones print some protocols in another way.
 */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import type { Family } from '../../src/address/address.ts';
import type { Row } from './rows.ts';
import { ROWS, rulesetOf } from './rows.ts';

/** These need a module, a set or a variant of iptables that is not there, or are refused by us alone. */
const NOT_ASKED = /_(absent|stricter|set|nft)\.t$/;

const rows: readonly Row[] = [...ROWS.values()].flat().filter((row) => !NOT_ASKED.test(row.file));

/** Without a lock of its own, tests that run at the same time would wait for each other, or fail. */
const env = { ...process.env, XTABLES_LOCKFILE: '/proc/self/stat' };

const shell = (script: string) =>
  spawnSync('unshare', ['-n', 'sh', '-c', script], { env, encoding: 'utf8', maxBuffer: 1 << 26 });

const usable =
  shell(
    'iptables-legacy --version | grep -q "v1.8.9 (legacy)" && for p in iptables ip6tables; do for t in raw mangle nat filter security; do ' +
      '$p-legacy -t $t -S >/dev/null || exit 1; done; done',
  ).status === 0;

const program = (family: Family): string => (family === 4 ? 'iptables-legacy' : 'ip6tables-legacy');

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

test.skipIf(!usable).each([4, 6] as const)('iptables for IPv%i refuses what the rows refuse', (family) => {
  const refused = rows.filter((row) => row.canonical === undefined && row.families[0] === family);
  const commands = refused.map(
    (row, i) =>
      `printf %s ${quote(rulesetOf(row, row.chains[0] ?? ''))} | ${program(family)}-restore >/dev/null 2>&1 && echo ${i}`,
  );
  const { stdout } = shell(`ip link set lo up\n${commands.join('\n')}`);
  const taken = stdout.split('\n').filter(Boolean);
  expect(taken.map((i) => refused[Number(i)]?.rule)).toEqual([]);
});

test.skipIf(!usable).each([4, 6] as const)('iptables for IPv%i prints what the rows print', (family) => {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    if (row.canonical === undefined || !row.families.includes(family)) continue;
    for (const chain of row.chains)
      groups.set(`${row.table} ${chain}`, [...(groups.get(`${row.table} ${chain}`) ?? []), row]);
  }
  for (const [key, group] of groups) {
    const [table = '', chain = ''] = key.split(' ');
    const text = `*${table}\n:user - [0:0]\n${group.map((row) => `-A ${chain} ${row.rule}\n`).join('')}COMMIT\n`;
    const { stdout, stderr } = shell(
      `printf %s ${quote(text)} | ${program(family)}-restore && ${program(family)}-save -t ${table}`,
    );
    const saved = stdout.split('\n').filter((line) => line.startsWith('-A'));
    const expected = group.map((row) => `-A ${chain} ${row.canonical ?? ''}`.trimEnd());
    expect({ key, saved, stderr: saved.length === 0 ? stderr : '' }).toEqual({ key, saved: expected, stderr: '' });
  }
});
