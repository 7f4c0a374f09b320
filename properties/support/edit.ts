/** Rulesets changed rule by rule: what laws say that makes no difference, or only a certain one. */
import { at } from '../../src/arbitrary/choice.ts';
import type { WorldCase } from '../../src/arbitrary/world.ts';
import { zeroAddress, type Family } from '../../src/address/address.ts';
import type { Chain, Match, Rule, Ruleset, Table, TableName, Target } from '../../src/ruleset/rule.ts';
import type { Step } from '../../src/netfilter/journey.ts';

/** A chain of a table of a family, and a place between its rules. */
export interface Place {
  readonly family: Family;
  readonly table: TableName;
  readonly chain: string;
  readonly index: number;
}

/** Lines of rules that a law puts in: no text of a case is as long. */
export const ADDED_LINE = 100_000;

export const makeRule = (target: Target | undefined, matches: readonly Match[] = [], line = ADDED_LINE): Rule => ({
  line,
  matches,
  ...(target === undefined ? {} : { target }),
});

/** Holds for every packet of the family, or for none. */
export const constantMatch = (family: Family, holds: boolean): Match => ({
  kind: 'source',
  not: !holds,
  value: { address: zeroAddress(family), mask: zeroAddress(family) },
});

/** The ruleset with one table changed. */
export function editTable(
  ruleset: Ruleset,
  name: TableName,
  edit: (chains: ReadonlyMap<string, Chain>) => ReadonlyMap<string, Chain>,
): Ruleset {
  const table = ruleset.tables.get(name);
  if (table === undefined) return ruleset;
  return { ...ruleset, tables: new Map(ruleset.tables).set(name, { ...table, chains: edit(table.chains) }) };
}

/** The rulesets with the rules of the place's chain changed, and with more user-defined chains in its table. */
export const editChain = (
  rulesets: readonly Ruleset[],
  place: Place,
  edit: (rules: readonly Rule[]) => readonly Rule[],
  more: Readonly<Record<string, readonly Rule[]>> = {},
): readonly Ruleset[] =>
  rulesets.map((ruleset) =>
    ruleset.family !== place.family
      ? ruleset
      : editTable(ruleset, place.table, (chains) => {
          const chain = chains.get(place.chain);
          if (chain === undefined) return chains;
          const added = Object.entries(more).map(([name, rules]): [string, Chain] => [name, { name, rules }]);
          return new Map([...chains, [place.chain, { ...chain, rules: edit(chain.rules) }], ...added]);
        }),
  );

/** The rulesets with these rules put in at the place. */
export const insertRules = (
  rulesets: readonly Ruleset[],
  place: Place,
  rules: readonly Rule[],
  more: Readonly<Record<string, readonly Rule[]>> = {},
): readonly Ruleset[] =>
  editChain(rulesets, place, (own) => [...own.slice(0, place.index), ...rules, ...own.slice(place.index)], more);

export const mapChains = (ruleset: Ruleset, change: (chain: Chain, table: Table) => Chain): Ruleset => ({
  ...ruleset,
  tables: new Map(
    [...ruleset.tables].map(([name, table]) => [
      name,
      { ...table, chains: new Map([...table.chains].map(([chain, held]) => [chain, change(held, table)])) },
    ]),
  ),
});

export const mapRules = (ruleset: Ruleset, change: (rule: Rule) => Rule): Ruleset =>
  mapChains(ruleset, (chain) => ({ ...chain, rules: chain.rules.map(change) }));

/** The ruleset with no rules, and the policy ACCEPT, in every table but these. */
export const onlyTables = (ruleset: Ruleset, names: readonly TableName[]): Ruleset =>
  mapChains(ruleset, (chain, table) =>
    names.includes(table.name)
      ? chain
      : { ...chain, rules: [], ...(chain.policy === undefined ? {} : { policy: 'ACCEPT' }) },
  );

/**
 * A place in a chain that packets of the case have been in: elsewhere a changed rule proves nothing. `steps` are those of the packets; without any the
 * place is in the first chain of the filter table.
 */
export function placeIn({ rulesets }: Pick<WorldCase, 'rulesets'>, steps: readonly Step[], which: number): Place {
  const places = new Map<string, readonly Place[]>();
  for (const { table, chain, target, packet } of steps) {
    const { family } = packet;
    const chains = rulesets.find((ruleset) => ruleset.family === family)?.tables.get(table)?.chains;
    for (const name of [target, chain]) {
      const rules = chains?.get(name)?.rules;
      if (rules === undefined || places.has(`${family} ${table} ${name}`)) continue;
      // In front of each rule, where there are any; chains of many rules, and those of the user, are chosen more often.
      const indexes = rules.length === 0 ? [0] : rules.flatMap((_, index) => [index, index]);
      const copies = chain === name ? 1 : 4;
      places.set(
        `${family} ${table} ${name}`,
        Array.from({ length: copies }, () => indexes).flatMap((list) =>
          list.map((index): Place => ({ family, table, chain: name, index })),
        ),
      );
    }
  }
  const none: Place = { family: rulesets[0]?.family ?? 4, table: 'filter', chain: 'INPUT', index: 0 };
  return at(places.size > 0 ? [...places.values()].flat() : [none], which);
}

/** The rules of the place's chain. */
export const rulesAt = (rulesets: readonly Ruleset[], { family, table, chain }: Place): readonly Rule[] =>
  rulesets
    .find((ruleset) => ruleset.family === family)
    ?.tables.get(table)
    ?.chains.get(chain)?.rules ?? [];

/** All rules of the place's table. */
export const rulesOfTable = (rulesets: readonly Ruleset[], { family, table }: Place): readonly Rule[] =>
  [
    ...(rulesets
      .find((ruleset) => ruleset.family === family)
      ?.tables.get(table)
      ?.chains.values() ?? []),
  ].flatMap((chain) => chain.rules);

/** Sends the packet on to another chain, for good or not. */
export const calls = (rule: Rule, ...kinds: readonly ('jump' | 'goto')[]): boolean =>
  kinds.some((kind) => rule.target?.kind === kind);

/** Rules of the table that end no walk elsewhere: they can be copied to any place without making a loop. */
export const copyable = (rulesets: readonly Ruleset[], place: Place): readonly Rule[] => [
  makeRule({ kind: 'ACCEPT' }),
  makeRule(undefined),
  ...(place.table === 'nat' ? [] : [makeRule({ kind: 'DROP' })]),
  makeRule({ kind: 'RETURN' }),
  ...rulesOfTable(rulesets, place).filter((rule) => !calls(rule, 'jump', 'goto')),
];

const LOG = '-j LOG --log-prefix "edited "';

/** The text with one rule changed: gone, in another place, with another verdict or translation, or with something in front of it. */
export function editText(text: string, draw: number): string {
  const lines = text.split('\n');
  const rules = lines.flatMap((line, index) => (line.startsWith('-A ') ? [index] : []));
  if (rules.length === 0) return text;
  const nat = rules.filter((index) => / --to-(source|destination|ports) /.test(lines[index] ?? ''));
  const kind = draw % 10;
  const index = at(kind >= 7 && nat.length > 0 ? nat : rules, draw >>> 4);
  const line = lines[index] ?? '';
  const matches = line.replace(/ -[jg] .*$/, '');
  const next = lines[index + 1] ?? '';
  switch (kind) {
    case 0:
      lines.splice(index, 1);
      break;
    case 1:
      if (next.startsWith('-A ')) lines.splice(index, 2, next, line);
      break;
    case 2:
    case 3:
      lines[index] = line.endsWith('-j ACCEPT')
        ? line.replace(/ACCEPT$/, 'DROP')
        : line.replace(/-j (DROP|REJECT.*)$/, '-j ACCEPT');
      break;
    case 4:
      lines.splice(index, 0, `${matches} ${LOG}`);
      break;
    case 5:
      lines[index] = line.replace(/-j DROP$/, '-j REJECT --reject-with icmp-port-unreachable');
      break;
    case 6:
      lines.splice(index, 0, `${matches} -m conntrack --ctstate ESTABLISHED -j DROP`);
      break;
    case 7:
      lines.splice(index, 1);
      break;
    default:
      // The last octet, or the last digits of a port, of what is translated to.
      lines[index] = line.replace(
        /( --to-\S+ \S*?)(\d)(\D*)$/,
        (_all, head: string, digit: string, tail: string) => `${head}${(Number(digit) + 1) % 10}${tail}`,
      );
  }
  return lines.join('\n');
}

/** Rules that many packets meet, by the table and the chain that they are put first in. */
const WEIGHTY: readonly (readonly [TableName, string])[] = [
  ['filter', '-A FORWARD -p tcp -j DROP'],
  ['filter', '-A INPUT -p udp -j REJECT --reject-with PORT'],
  ['filter', '-A FORWARD -m conntrack --ctstate ESTABLISHED -j DROP'],
  ['filter', '-A OUTPUT -m conntrack --ctstate ESTABLISHED -j DROP'],
  ['filter', '-A FORWARD -m conntrack --ctdir REPLY -j DROP'],
  ['filter', '-A INPUT -p tcp -j ACCEPT'],
  ['filter', '-A FORWARD -j ACCEPT'],
  ['filter', '-A FORWARD -p udp -j LOG --log-prefix "edited "'],
  ['mangle', '-A PREROUTING -p tcp -j MARK --set-xmark 0x5/0xffffffff'],
  ['nat', '-A PREROUTING -p tcp -m tcp --dport 1:1023 -j REDIRECT --to-ports 8080'],
  ['nat', '-A POSTROUTING -p udp -j SNAT --to-source HOST'],
  ['raw', '-A PREROUTING -p udp -j NOTRACK'],
];

/** The text with a rule that many packets meet in front of a chain of the kernel; as it is where that has no such table. */
export function weightyEdit(text: string, family: Family, draw: number): string {
  const [table, rule] = at(WEIGHTY, draw);
  const lines = text.split('\n');
  const begin = lines.indexOf(`*${table}`);
  if (begin < 0) return text;
  const behind = lines.findIndex((line, index) => index > begin && !line.startsWith(':'));
  const own = rule
    .replace('PORT', family === 4 ? 'icmp-port-unreachable' : 'icmp6-port-unreachable')
    .replace('HOST', family === 4 ? '192.0.2.77' : '2001:db8::77');
  return lines.toSpliced(behind, 0, own).join('\n');
}
