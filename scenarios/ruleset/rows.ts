/**
 * Rule tables in the form of iptables' own extensions/*.t: a line of chains (`:INPUT,FORWARD`), a line of the table (`*filter`), then
 * rows `RULE;CANONICAL;OK` or `RULE;;FAIL`, where `=` stands for a rule that is canonical as it is. Lines with # are comments. As there,
 * libxt_ files are for both families, libipt_ and iptables files for IPv4, libip6t_ and ip6tables files for IPv6.
 *
 * Every row was put to iptables 1.8.9 (legacy) on Linux 6.18, loaded and saved, except where the file's head says otherwise.
 */
import { readFileSync, readdirSync } from 'node:fs';
import type { Family } from '../../src/address/address.ts';

export interface Row {
  readonly file: string;
  readonly line: number;
  readonly families: readonly Family[];
  readonly table: string;
  readonly chains: readonly string[];
  readonly rule: string;
  /** What iptables-save prints for it; absent where iptables refuses it. */
  readonly canonical?: string;
}

const familiesOf = (file: string): readonly Family[] =>
  /^(libipt_|iptables)/.test(file) ? [4] : /^(libip6t_|ip6tables)/.test(file) ? [6] : [4, 6];

function readRows(file: string): Row[] {
  const rows: Row[] = [];
  let table = '';
  let chains: string[] = [];
  const lines = readFileSync(new URL(file, import.meta.url), 'utf8').split('\n');
  for (const [index, text] of lines.entries()) {
    if (text === '' || text.startsWith('#')) continue;
    if (text.startsWith(':')) chains = text.slice(1).split(',');
    else if (text.startsWith('*')) table = text.slice(1);
    else {
      const [, rule, canonical, result] = /^(.*);([^;]*);(OK|FAIL)$/.exec(text) ?? [];
      if (rule === undefined || canonical === undefined) throw new Error(`${file}:${index + 1}: no row`);
      rows.push({
        file,
        line: index + 1,
        families: familiesOf(file),
        table,
        chains,
        rule,
        ...(result === 'OK' ? { canonical: canonical === '=' ? rule : canonical } : {}),
      });
    }
  }
  return rows;
}

export const FILES: readonly string[] = readdirSync(new URL('.', import.meta.url))
  .filter((name) => name.endsWith('.t'))
  .sort();

export const ROWS: ReadonlyMap<string, readonly Row[]> = new Map(FILES.map((file) => [file, readRows(file)]));

/** The ruleset that has the row's rule in `chain`, and the chain `user` that some rules jump to. */
export const rulesetOf = (row: Row, chain: string): string =>
  `*${row.table}\n:user - [0:0]\n-A ${chain} ${row.rule}\nCOMMIT\n`;
