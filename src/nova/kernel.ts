/**
 * A kernel's tables as nova meets them: by the lines of iptables-save, and written by iptables-restore. A line is `*TABLE`, `:CHAIN POLICY [0:0]`,
 * `-A CHAIN ...` (with `[packets:bytes]` before it where something was counted) or `COMMIT`, in the kernel's spelling.
 */
import type { Family } from '../address/address.ts';
import { UnsupportedError } from '../diagnostic/diagnostic.ts';
import { quoteText } from '../diagnostic/quote.ts';
import { readRuleset, parseRuleset } from '../ruleset/parse.ts';
import { printRuleset } from '../ruleset/print.ts';
import { BUILT_IN_CHAINS, type Ruleset, type TableName } from '../ruleset/rule.ts';

export type KernelTables = ReadonlyMap<TableName, readonly string[]>;

/** iptables-save prints its tables in no meaningful order: here always in this one. */
const TABLE_ORDER: readonly TableName[] = ['raw', 'mangle', 'nat', 'filter', 'security'];

/** A table that nobody wrote to: what iptables-save shows once it has loaded the table's module. */
export const emptyTable = (name: TableName): readonly string[] => [
  `*${name}`,
  ...BUILT_IN_CHAINS[name].map((chain) => `:${chain} ACCEPT [0:0]`),
  'COMMIT',
];

const COUNTERS = /^\[\d+:\d+\] /;
export const withoutRuleCounters = (line: string): string => (line.startsWith('[') ? line.replace(COUNTERS, '') : line);

/** A save without `-c`: whatever was counted is forgotten when it is restored. */
export const withoutCounters = (line: string): string =>
  line.startsWith(':') ? line.replace(/ \[\d+:\d+\]$/, ' [0:0]') : withoutRuleCounters(line);

/** What a host has before nova: an operator's text, in the kernel's spelling. Throws InputError for what no kernel would take. */
export function kernelTables(text: string, path: string, family: Family): KernelTables {
  const ruleset = readRuleset(text, { path, family });
  return new Map([...ruleset.tables.keys()].map((name) => [name, linesOf(ruleset, name)]));
}

function linesOf(ruleset: Ruleset, name: TableName): readonly string[] {
  const table = ruleset.tables.get(name);
  if (table === undefined) return [];
  return printRuleset({ ...ruleset, tables: new Map([[name, table]]) })
    .trimEnd()
    .split('\n')
    .map((line) => (line.startsWith('[0:0] ') ? line.slice('[0:0] '.length) : line));
}

/** The chain that a rule jumps to: targets are written in capitals, chains of nova and of sensible operators are not. */
const calledBy = (line: string): string | undefined => / -[jg] ([a-z]\S*)$/.exec(line)?.[1];

/** A rule as the kernel says it, but for the chain that it stands in. */
interface Spelling {
  readonly text: string;
  /** The chain that it jumps to. */
  readonly calls?: string;
}

/** Nova says the same things again and again: rules by table and family, undefined for what the kernel does not take. */
const SPELLINGS = new Map<string, Map<string, Spelling | undefined>>();
const MOST_SPELLINGS = 50_000;

/** A rule in a chain, `words` being what stands behind its name. */
function spellingOf(chain: string, words: string, table: TableName, family: Family): Spelling | undefined {
  const place = `${table} ${family}`;
  const known = SPELLINGS.get(place) ?? new Map<string, Spelling | undefined>();
  if (known.size === 0 || known.size >= MOST_SPELLINGS) {
    known.clear();
    SPELLINGS.set(place, known);
  }
  // One user's chain is as good as another with a name as long, but for a rule that calls its own.
  const isOwn = isBuiltIn(table, chain) || words.endsWith(` ${chain}`);
  const stand = isOwn ? chain : 'c'.repeat(chain.length);
  const line = `-A ${stand} ${words}`;
  if (known.has(line)) return known.get(line);
  const text = inKernelSpelling(line, table, family)?.slice('-A '.length + stand.length);
  const calls = text === undefined ? undefined : calledBy(text);
  const spelling = text === undefined ? undefined : { text, ...(calls === undefined ? {} : { calls }) };
  known.set(line, spelling);
  return spelling;
}

const isBuiltIn = (table: TableName, chain: string): boolean =>
  (BUILT_IN_CHAINS[table] as readonly string[]).includes(chain);

/** What an operator wrote is in the kernel's spelling already. */
function spelled(line: string, table: TableName, family: Family): (Spelling & { readonly chain: string }) | undefined {
  const [, chain = ''] = line.split(' ', 2);
  const words = line.slice('-A '.length + chain.length + 1);
  if (line.includes('nova-')) {
    const spelling = spellingOf(chain, words, table, family);
    return spelling && { ...spelling, chain };
  }
  const calls = calledBy(line);
  return { text: ` ${words}`, chain, ...(calls === undefined ? {} : { calls }) };
}

/** Undefined where the kernel takes none such. */
function inKernelSpelling(line: string, table: TableName, family: Family): string | undefined {
  const [, chain = ''] = line.split(' ', 2);
  const called = calledBy(line);
  const declared = [...(isBuiltIn(table, chain) ? [] : [chain]), ...(called === undefined ? [] : [called])].map(
    (name) => `:${name} - [0:0]\n`,
  );
  const { ruleset, diagnostics } = parseRuleset(`*${table}\n${declared.join('')}${line}\nCOMMIT\n`, {
    path: 'a rule',
    family,
  });
  const printed = linesOf(ruleset, table).find((candidate) => candidate.startsWith('-A '));
  return diagnostics.length > 0 ? undefined : printed;
}

/**
 * A restore of one table and what a save shows then: its chains in the kernel's order, rules by chain. Undefined where iptables-restore
 * refuses a line, or a jump to a chain that is not there: then nothing of the table has changed.
 */
export function restored(lines: readonly string[], name: TableName, family: Family): readonly string[] | undefined {
  const builtIn: readonly string[] = BUILT_IN_CHAINS[name];
  const chains = new Map<string, string>(builtIn.map((chain) => [chain, `:${chain} ACCEPT [0:0]`]));
  const rules = new Map<string, string[]>();
  const called = new Set<string>();
  for (const line of lines) {
    if (line.startsWith(':')) {
      chains.set(line.slice(1, line.indexOf(' ')), line);
      continue;
    }
    const rule = withoutRuleCounters(line);
    if (!rule.startsWith('-A ')) continue;
    const spelling = spelled(rule, name, family);
    if (spelling === undefined) return undefined;
    const { text, chain, calls } = spelling;
    const counted = `${line.slice(0, line.length - rule.length)}-A ${chain}${text}`;
    const own = rules.get(chain);
    if (own === undefined) rules.set(chain, [counted]);
    else own.push(counted);
    if (calls !== undefined) called.add(calls);
  }
  for (const chain of called) if (!chains.has(chain)) return undefined;
  for (const chain of rules.keys()) if (!chains.has(chain)) return undefined;
  const users = [...chains.keys()].filter((chain) => !builtIn.includes(chain)).sort();
  const inOrder = [...builtIn, ...users];
  return [
    `*${name}`,
    ...inOrder.flatMap((chain) => chains.get(chain) ?? []),
    ...inOrder.flatMap((chain) => rules.get(chain) ?? []),
    'COMMIT',
  ];
}

/**
 * An operator's `iptables -t TABLE -I RULE`: before all other rules of its chain. Throws UnsupportedError for what no kernel takes; `rule` begins with
 * the chain.
 */
export function withRuleFirst(tables: KernelTables, name: TableName, rule: string): KernelTables {
  const spelling = inKernelSpelling(`-A ${rule}`, name, 4);
  const lines = tables.get(name) ?? emptyTable(name);
  const chain = spelling?.split(' ', 2)[1] ?? '';
  if (spelling === undefined || !lines.some((line) => line.startsWith(`:${chain} `)))
    throw new UnsupportedError(`the rule ${quoteText(rule)} is none that could be inserted in ${name}`);
  const firstRule = lines.findIndex((line) => withoutRuleCounters(line).startsWith('-A '));
  const at = firstRule < 0 ? lines.length - 1 : firstRule;
  const grown = [...lines.slice(0, at), spelling, ...lines.slice(at)];
  return new Map([...tables, [name, restored(grown, name, 4) ?? lines]]);
}

/** The same after seven packets by every rule and policy. */
export const withCounters = (tables: KernelTables): KernelTables =>
  new Map(
    [...tables].map(([name, lines]) => [
      name,
      lines.map((line) => {
        if (line.startsWith(':')) return line.replace(/(?<! -) \[\d+:\d+\]$/, ' [7:420]');
        const rule = withoutRuleCounters(line);
        return rule.startsWith('-A ') ? `[7:420] ${rule}` : line;
      }),
    ]),
  );

/** As `iptables-save` prints it, without its `#` lines; `counters` as with `-c`. */
export const printKernel = (tables: KernelTables, options: { readonly counters?: boolean } = {}): string =>
  TABLE_ORDER.flatMap((name) => tables.get(name) ?? [])
    .map((line) => `${options.counters === true ? line : withoutRuleCounters(line)}\n`)
    .join('');
