/**
 * A nova process's own picture of the kernel's tables: what it has asked for and not yet written (nova/network/linux_net.py
 * IptablesManager, IptablesTable, IptablesRule; Essex to folsom-2).
 */
import type { Family } from '../address/address.ts';

/** The tables that nova keeps. IPv6 has no nat. */
export type NovaTableName = 'filter' | 'nat';

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

/** One table in memory. Equal rules added twice stay twice, as in nova before Havana: the merge into the kernel drops them. */
export class MemoryTable {
  readonly binary: string;
  readonly wrapped = new Set<string>();
  readonly unwrapped = new Set<string>();
  readonly rules: MemoryRule[] = [];

  constructor(binary: string) {
    this.binary = binary;
  }

  /** A chain of this process's own; in the kernel its name has the binary prefix. */
  addChain(name: string): void {
    this.wrapped.add(name);
  }

  /** A chain that all nova processes share under one name. */
  addSharedChain(name: string): void {
    this.unwrapped.add(name);
  }

  /** `$NAME` in the text stands for this process's chain NAME. */
  addRule(chain: string, text: string): void {
    this.rules.push({ chain, wrap: true, top: false, text: this.wrapTargets(text) });
  }

  /** A rule in a built-in or shared chain. */
  addSharedRule(chain: string, text: string, top = false): void {
    this.rules.push({ chain, wrap: false, top, text: this.wrapTargets(text) });
  }

  /** The rule as a line for iptables-restore. */
  lineOf(rule: MemoryRule): string {
    return `-A ${rule.wrap ? `${this.binary}-${rule.chain}` : rule.chain} ${rule.text}`;
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

  constructor(service: string) {
    this.binary = binaryName(service);
    this.filter = { 4: new MemoryTable(this.binary), 6: new MemoryTable(this.binary) };
    this.nat = new MemoryTable(this.binary);
    this.weaveFabric();
  }

  tablesOf(family: Family): ReadonlyMap<NovaTableName, MemoryTable> {
    return family === 4
      ? new Map([
          ['filter', this.filter[4]],
          ['nat', this.nat],
        ])
      : new Map([['filter', this.filter[6]]]);
  }

  /** The chains that every process makes, whatever it does with them (IptablesManager.__init__). */
  private weaveFabric(): void {
    for (const filter of Object.values(this.filter)) {
      filter.addSharedChain('nova-filter-top');
      filter.addSharedRule('FORWARD', '-j nova-filter-top', true);
      filter.addSharedRule('OUTPUT', '-j nova-filter-top', true);
      filter.addChain('local');
      filter.addSharedRule('nova-filter-top', '-j $local');
      for (const chain of ['INPUT', 'OUTPUT', 'FORWARD']) wrapBuiltIn(filter, chain);
    }
    for (const chain of ['PREROUTING', 'OUTPUT', 'POSTROUTING']) wrapBuiltIn(this.nat, chain);
    this.nat.addSharedChain('nova-postrouting-bottom');
    this.nat.addSharedRule('POSTROUTING', '-j nova-postrouting-bottom');
    this.nat.addChain('snat');
    this.nat.addSharedRule('nova-postrouting-bottom', '-j $snat');
    this.nat.addChain('float-snat');
    this.nat.addRule('snat', '-j $float-snat');
  }
}

function wrapBuiltIn(table: MemoryTable, chain: string): void {
  table.addChain(chain);
  table.addSharedRule(chain, `-j $${chain}`);
}
