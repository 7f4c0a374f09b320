/**
 * A nova process's own picture of the kernel's tables: what it has asked for, written or not (nova/network/linux_net.py
 * IptablesManager, IptablesTable, IptablesRule).
 */
import type { Family } from '../address/address.ts';
import type { Profile } from './profile.ts';

/** The tables that nova keeps, in the order in which it writes them. IPv6 has filter only. */
export type NovaTableName = 'filter' | 'nat' | 'mangle';

export interface MemoryRule {
  /** The chain's name without prefix. */
  readonly chain: string;
  readonly wrap: boolean;
  /** Wanted before everything else in its chain. */
  readonly top: boolean;
  /** The rule as nova emits it, without `-A CHAIN`. */
  readonly text: string;
}

/** The prefix of a process's chains: the basename of its script, cut to 16 characters (094c7695e8, 2012-03-01). */
export const binaryName = (service: string): string => service.slice(0, 16);

/** What a rule says, as one text. */
const keyOf = ({ chain, wrap, top, text }: MemoryRule): string => `${wrap ? 1 : 0}${top ? 1 : 0} ${chain} ${text}`;

/** The words that remove_rules_regex would find in a rule of this process's own chains. */
const wordsOf = ({ wrap, text }: MemoryRule): readonly string[] => (wrap ? text.split(/[ /]/) : []);

/** How often each key occurs. */
class Tally {
  private readonly counts = new Map<string, number>();

  has(key: string): boolean {
    return this.counts.has(key);
  }

  add(key: string, by: 1 | -1): void {
    const count = (this.counts.get(key) ?? 0) + by;
    if (count === 0) this.counts.delete(key);
    else this.counts.set(key, count);
  }
}

/** One table in memory. */
export class MemoryTable {
  readonly binary: string;
  readonly wrapped = new Set<string>();
  readonly unwrapped = new Set<string>();
  private readonly list: MemoryRule[] = [];
  /** So that nobody has to look through thousands of rules for one that is not there. */
  private readonly said = new Tally();
  private readonly words = new Tally();
  /** True when something was asked for since the table was last written. */
  dirty = true;
  private readonly skipsDuplicates: boolean;

  constructor(binary: string, duplicates: Profile['duplicates']) {
    this.binary = binary;
    this.skipsDuplicates = duplicates === 'skipped';
  }

  get rules(): readonly MemoryRule[] {
    return this.list;
  }

  /** A chain of this process's own; in the kernel its name has the binary prefix. */
  addChain(name: string): void {
    this.wrapped.add(name);
    this.dirty = true;
  }

  /** A chain that all nova processes share under one name. */
  addSharedChain(name: string): void {
    this.unwrapped.add(name);
    this.dirty = true;
  }

  /** `$NAME` in the text stands for this process's chain NAME. */
  addRule(chain: string, text: string, top = false): void {
    this.add({ chain, wrap: true, top, text: this.wrapTargets(text) });
  }

  /** A rule in a built-in or shared chain. */
  addSharedRule(chain: string, text: string, top = false): void {
    this.add({ chain, wrap: false, top, text: this.wrapTargets(text) });
  }

  /** Takes out the first rule that says so, if there is one: of a rule that was added twice the other stays. */
  removeRule(chain: string, text: string): void {
    const wanted = this.wrapTargets(text);
    const at = this.list.findIndex((rule) => rule.wrap && rule.chain === chain && rule.text === wanted);
    const [rule] = at < 0 ? [] : this.list.splice(at, 1);
    if (rule === undefined) return;
    this.count(rule, -1);
    this.dirty = true;
  }

  /** remove_rules_regex: takes out every rule of this process's own chains in which `word` stands as a word. */
  removeRulesNaming(word: string): void {
    if (this.words.has(word)) this.keep((rule) => !wordsOf(rule).includes(word));
  }

  /** True when a chain of this process's own has the rule, wherever in the chain it was wanted. */
  hasRule(chain: string, text: string): boolean {
    const wrapped = { chain, wrap: true, text: this.wrapTargets(text) };
    return [true, false].some((top) => this.said.has(keyOf({ ...wrapped, top })));
  }

  /**
   * remove_chain: the chain, its rules, and every rule that jumps to it. The jump is looked for as text inside of a rule, so that the
   * jumps to chains whose names only begin so are taken along (regression D14, every release).
   */
  removeChain(name: string): void {
    if (!this.wrapped.delete(name)) return;
    const jump = `-j ${this.binary}-${name}`;
    this.keep((rule) => !(rule.wrap && rule.chain === name) && !rule.text.includes(jump));
    this.dirty = true;
  }

  /** The rule as a line for iptables-restore. */
  lineOf(rule: MemoryRule): string {
    return `-A ${rule.wrap ? `${this.binary}-${rule.chain}` : rule.chain} ${rule.text}`;
  }

  private add(rule: MemoryRule): void {
    if (this.skipsDuplicates && this.said.has(keyOf(rule))) return;
    this.list.push(rule);
    this.count(rule, 1);
    this.dirty = true;
  }

  private count(rule: MemoryRule, by: 1 | -1): void {
    this.said.add(keyOf(rule), by);
    for (const word of wordsOf(rule)) this.words.add(word, by);
  }

  private keep(wanted: (rule: MemoryRule) => boolean): void {
    const all = this.list.splice(0);
    for (const rule of all)
      if (wanted(rule)) this.list.push(rule);
      else this.count(rule, -1);
    if (this.list.length < all.length) this.dirty = true;
  }

  private wrapTargets(text: string): string {
    return text
      .split(' ')
      .map((word) => (word.startsWith('$') ? `${this.binary}-${word.slice(1)}` : word))
      .join(' ');
  }
}

/** The tables of one process. Both families always exist in memory; IPv6 is written only with use_ipv6. */
export class Memory {
  readonly binary: string;
  readonly filter: Readonly<Record<Family, MemoryTable>>;
  readonly nat: MemoryTable;
  /** Absent before 2012.2.3. */
  readonly mangle?: MemoryTable;

  constructor(service: string, profile: Profile) {
    this.binary = binaryName(service);
    const table = (): MemoryTable => new MemoryTable(this.binary, profile.duplicates);
    this.filter = { 4: table(), 6: table() };
    this.nat = table();
    if (profile.mangle) this.mangle = table();
    this.weaveFabric(profile);
  }

  tablesOf(family: Family): ReadonlyMap<NovaTableName, MemoryTable> {
    const tables = new Map<NovaTableName, MemoryTable>([['filter', this.filter[family]]]);
    if (family === 6) return tables;
    tables.set('nat', this.nat);
    if (this.mangle !== undefined) tables.set('mangle', this.mangle);
    return tables;
  }

  /** True when something was asked for since the tables were last written. */
  get isDirty(): boolean {
    return this.all().some((table) => table.dirty);
  }

  /** Nova takes tables for written before it knows whether the restore succeeded. */
  markWritten(): void {
    for (const table of this.all()) table.dirty = false;
  }

  private all(): MemoryTable[] {
    return [this.filter[4], this.filter[6], this.nat, ...(this.mangle === undefined ? [] : [this.mangle])];
  }

  /** The chains that every process makes, whatever it does with them (IptablesManager.__init__). */
  private weaveFabric({ bugs }: Profile): void {
    for (const filter of Object.values(this.filter)) {
      filter.addSharedChain('nova-filter-top');
      filter.addSharedRule('FORWARD', '-j nova-filter-top', true);
      filter.addSharedRule('OUTPUT', '-j nova-filter-top', true);
      filter.addChain('local');
      filter.addSharedRule('nova-filter-top', '-j $local');
      for (const chain of ['INPUT', 'OUTPUT', 'FORWARD']) wrapBuiltIn(filter, chain);
    }
    for (const chain of ['PREROUTING', 'OUTPUT', 'POSTROUTING']) wrapBuiltIn(this.nat, chain);
    if (this.mangle !== undefined) wrapBuiltIn(this.mangle, 'POSTROUTING');
    this.nat.addSharedChain('nova-postrouting-bottom');
    this.nat.addSharedRule('POSTROUTING', '-j nova-postrouting-bottom');
    this.nat.addChain('snat');
    this.nat.addSharedRule('nova-postrouting-bottom', '-j $snat');
    this.nat.addChain('float-snat');
    if (!bugs.has('A1')) this.nat.addRule('snat', '-j $float-snat');
  }
}

function wrapBuiltIn(table: MemoryTable, chain: string): void {
  table.addChain(chain);
  table.addSharedRule(chain, `-j $${chain}`);
}
