/**
 * Reads iptables-save and ip6tables-save texts, and what people and programs feed to iptables-restore: what iptables 1.8.9 accepts, with
 * some kindness where its own reader is only careless (line ends of Windows, blanks around a line, a last COMMIT or line end that is
 * missing, `!` after an option).
 */
import type { Family } from '../address/address.ts';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { InputError } from '../diagnostic/diagnostic.ts';
import { nearest } from '../diagnostic/nearest.ts';
import { quoteText } from '../diagnostic/quote.ts';
import { readCommand } from './command.ts';
import { DraftTable, type DraftChain } from './draft.ts';
import { detectFamily } from './family.ts';
import type { Known, KnownRules } from './known.ts';
import { Complaints, linesOf } from './lines.ts';
import { nftRefusals } from './nft-validation.ts';
import { PlainRules } from './plain.ts';
import { refusals } from './reachability.ts';
import type { Backend, Counters, Remark, Ruleset, Table, TableName } from './rule.ts';
import { Fault, fail, tokenize } from './tokens.ts';
import type { Token } from './tokens.ts';

export interface ParseOptions {
  /** The file that the text is from, for messages. */
  readonly path: string;
  /** Absent: whatever the text tells, and IPv4 when it does not. */
  readonly family?: Family;
  /** What of the two variants' kernel halves refuses counts; absent: ip_tables. */
  readonly backend?: Backend;
  /** What was read before: what is equal to it becomes the same objects, and costs little. */
  readonly known?: KnownRules;
}

export interface ParsedRuleset {
  readonly ruleset: Ruleset;
  /** Empty when the whole text is good. In the order of the text. */
  readonly diagnostics: readonly Diagnostic[];
}

const TABLE_NAMES: readonly TableName[] = ['raw', 'mangle', 'nat', 'filter', 'security'];

class Reader {
  private readonly source: { readonly text: string };
  private readonly options: ParseOptions;
  private readonly family: Family;
  private readonly tables = new Map<TableName, DraftTable>();
  private readonly remarks: Remark[] = [];
  private readonly complaints: Complaints;
  private readonly known: Known | undefined;
  private readonly plain: PlainRules;
  private table: DraftTable | undefined;
  /** Inside of a section whose table is unknown: its lines would only repeat the error. */
  private skipping = false;
  private endsOpen = false;
  private number = 0;
  /** Most rules are for the chain of the rule before: how such a line begins, and the chain. */
  private head = '';
  private headed: DraftChain | undefined;

  constructor(text: string, options: ParseOptions) {
    this.source = { text };
    this.options = options;
    this.complaints = new Complaints(options.path);
    this.family = options.family ?? detectFamily(linesOf(text));
    this.known = options.known?.of(this.family);
    this.plain = this.known?.plain ?? new PlainRules(this.family);
  }

  read(): ParsedRuleset {
    const { text } = this.source;
    this.complaints.readLines(text, (line, number) => {
      this.readLine(line, number);
    });
    this.closeTable();
    const tables = new Map<TableName, Table>();
    for (const [name, table] of this.tables) tables.set(name, table.finish());
    const ruleset = {
      path: this.options.path,
      family: this.family,
      tables,
      text,
      remarks: this.remarks,
      endsOpen: this.endsOpen,
    };
    return { ruleset, diagnostics: this.complaints.list() };
  }

  private readLine(text: string, number: number): void {
    this.number = number;
    const kind = kindOf(text);
    if (kind === 'comment' || kind === 'table') this.remarks.push({ kind, text, line: number });
    if (kind !== 'comment' && kind !== 'blank') this.endsOpen = kind !== 'commit';
    this.readStatement(kind, text);
  }

  private readStatement(kind: LineKind, text: string): void {
    switch (kind) {
      case 'blank':
      case 'comment':
        return;
      case 'table':
        this.openTable(text);
        return;
      case 'commit':
        if (this.table === undefined && !this.skipping) throw new Fault(firstColumn(text), 'COMMIT outside of a table');
        this.closeTable();
        return;
      case 'chain':
        if (!this.skipping) this.readChain(text);
        return;
      case 'command':
        if (!this.skipping) this.readRule(text);
    }
  }

  private openTable(text: string): void {
    const star = firstColumn(text);
    const [name = { text: '', column: star + 1 }, extra] = tokenize(text, star);
    if (this.table !== undefined) {
      const open = this.table;
      this.closeTable();
      this.complaints.add(this.number, star, `a new table inside of table ${open.name}: expected COMMIT before it`);
    }
    const found = TABLE_NAMES.find((candidate) => candidate === name.text);
    this.skipping = found === undefined;
    if (found === undefined) {
      const near = nearest(name.text, TABLE_NAMES);
      fail(
        name,
        `${quoteText(name.text)} is no table: ` +
          (near === undefined ? `expected ${TABLE_NAMES.join(', ')}` : `did you mean ${near}?`),
      );
    }
    this.headed = undefined;
    this.table = new DraftTable(found, this.number, {
      source: this.source,
      known: this.known,
      before: this.tables.get(found),
    });
    this.tables.set(found, this.table);
    if (extra !== undefined)
      fail(extra, `${quoteText(extra.text)} after the table's name: expected the end of the line`);
  }

  private closeTable(): void {
    if (this.table !== undefined) {
      const found = this.options.backend === 'nft' ? nftRefusals(this.table) : refusals(this.table);
      for (const { line, token, message } of found) this.complaints.add(line, token.column, message);
    }
    this.table = undefined;
    this.skipping = false;
  }

  /** `:CHAIN POLICY [packets:bytes]`, split at blanks only: iptables-restore knows no quotes here. */
  private readChain(text: string): void {
    const colon = firstColumn(text);
    const words = wordsBehind(text, colon);
    const name = words[0] ?? { text: '', column: colon + 1 };
    const table = this.inTable(colon);
    const [, policy, counters, extra] = words;
    if (policy === undefined)
      fail(name, `chain ${quoteText(name.text)} without a policy: expected :NAME POLICY or :NAME -`);
    table.declare(name, policy, counters && readCounters(counters), this.number);
    if (extra !== undefined) fail(extra, `${quoteText(extra.text)} after the counters: expected the end of the line`);
  }

  private readRule(text: string): void {
    const table = this.inTable(firstColumn(text));
    const bracket = text.startsWith('-') ? undefined : /^[ \t]*(\[[^\]]{0,60}\]?)/.exec(text);
    const found = bracket?.[1];
    const start = bracket?.[0].length ?? 0;
    const counters = found === undefined ? undefined : readCounters({ text: found, column: start - found.length + 1 });
    if (this.readPlainRule(table, text, found === undefined ? start : start + 1, counters)) return;
    const command = readCommand(
      tokenize(text, start),
      { family: this.family, table: table.name, hasChain: (name) => table.chains.has(name) },
      counters,
    );
    table.execute(command, this.number);
    this.headed = undefined;
  }

  /** `-A CHAIN` and a plain rule, from `start`; false, with nothing done, for any other line. */
  private readPlainRule(table: DraftTable, text: string, start: number, counters: Counters | undefined): boolean {
    const chain = this.appendedTo(table, text, start);
    if (chain === undefined || text.length === start + this.head.length) return false;
    const rule = this.plain.read(text.slice(start + this.head.length));
    if (rule === undefined) return false;
    // What stands in which chain and table is not plain.
    if ((rule.hasIn || rule.hasOut) && WITHOUT_DEVICE.has(chain.name)) return false;
    if (rule.target?.kind === 'DROP' && table.name === 'nat') return false;
    return table.append(chain, rule, this.number, counters);
  }

  /** The chain of a line `-A CHAIN `, which is then `head`. */
  private appendedTo(table: DraftTable, text: string, start: number): DraftChain | undefined {
    if (this.headed !== undefined && text.startsWith(this.head, start)) return this.headed;
    const blank = text.indexOf(' ', start + 3);
    if (blank < 0 || !text.startsWith('-A ', start)) return undefined;
    const name = text.slice(start + 3, blank);
    this.head = text.slice(start, blank + 1);
    this.headed = name.includes('"') ? undefined : table.chains.get(name);
    return this.headed;
  }

  private inTable(column: number): DraftTable {
    if (this.table === undefined)
      throw new Fault(column, 'a line outside of a table: expected *TABLE, such as *filter');
    return this.table;
  }
}

/** Chains whose packets have no incoming interface or no outgoing one. */
const WITHOUT_DEVICE: ReadonlySet<string> = new Set(['PREROUTING', 'INPUT', 'POSTROUTING', 'OUTPUT']);

/** The column of the first character that is not blank. */
const firstColumn = (text: string): number => text.length - text.trimStart().length + 1;

/** What stands between the blanks from an index on. */
function wordsBehind(text: string, start: number): Token[] {
  const words: Token[] = [];
  for (let from = start; from < text.length;) {
    let end = from;
    while (end < text.length && text[end] !== ' ' && text[end] !== '\t') end++;
    if (end > from) words.push({ text: text.slice(from, end), column: from + 1 });
    from = end + 1;
  }
  return words;
}

type LineKind = Remark['kind'] | 'blank' | 'chain' | 'command' | 'commit';

function kindOf(text: string): LineKind {
  if (text.startsWith('-')) return 'command';
  const trimmed = text.trim();
  if (trimmed === '') return 'blank';
  if (trimmed.startsWith('#')) return 'comment';
  if (trimmed.startsWith('*')) return 'table';
  if (trimmed.startsWith(':')) return 'chain';
  return trimmed === 'COMMIT' ? 'commit' : 'command';
}

/** As every chain of the user's has them. */
const NO_COUNT: Counters = { packets: 0n, bytes: 0n };

function readCounters(token: Token): Counters {
  if (token.text === '[0:0]') return NO_COUNT;
  const [, packets, bytes] = /^\[(\d{1,20}):(\d{1,20})\]$/.exec(token.text) ?? [];
  if (packets === undefined || bytes === undefined) {
    fail(token, `${quoteText(token.text)} is no pair of counters: expected [PACKETS:BYTES]`);
  }
  return { packets: BigInt(packets), bytes: BigInt(bytes) };
}

/**
 * Reads a ruleset. Every line is read, whatever is wrong with others; what a bad line says is missing from the result, and a diagnostic
 * says where and why. Time is linear in the length of the text.
 */
export const parseRuleset = (text: string, options: ParseOptions): ParsedRuleset => new Reader(text, options).read();

/** Reads a ruleset that must be good. Throws an InputError with all that is wrong. */
export function readRuleset(text: string, options: ParseOptions): Ruleset {
  const { ruleset, diagnostics } = parseRuleset(text, options);
  if (diagnostics.length > 0) throw new InputError(diagnostics);
  return ruleset;
}
