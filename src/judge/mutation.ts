/**
 * Every small mistake that can be made in a ruleset: a rule deleted, swapped with its neighbour, or one of its values changed. The laws are good when each
 * mistake that changes a packet's fate breaks one of them.
 */
import {
  addToAddress,
  familyOf,
  lengthOfMask,
  maskAddress,
  maskOf,
  widthOf,
  type Address,
} from '../address/address.ts';
import type { PortRange } from '../address/ports.ts';
import { TCP, UDP } from '../packet/packet.ts';
import { chainsLeadingTo } from '../ruleset/calls.ts';
import { textsOf } from '../ruleset/lines.ts';
import type { Chain, MaskedAddress, Match, Negatable, Rule, Ruleset, TableName, Target } from '../ruleset/rule.ts';

export interface Mutant {
  /** `deleted`, `swapped with the next`, or which value became what. */
  readonly change: string;
  readonly table: TableName;
  readonly chain: string;
  /** From 1, in the ruleset before. */
  readonly rule: number;
  /** The rule as it was written. */
  readonly text: string;
  readonly line: number;
  readonly ruleset: Ruleset;
}

/** An interface that no host has. */
export const OTHER_INTERFACE = 'other0';

/** The rules of a chain, none where it has not got one. */
export const rulesIn = (ruleset: Ruleset, table: TableName, chain: string): readonly Rule[] =>
  ruleset.tables.get(table)?.chains.get(chain)?.rules ?? [];

/** All mutants of a ruleset, one at a time. */
export function* mutantsOf(ruleset: Ruleset): Generator<Mutant> {
  const textAt = textsOf(ruleset);
  for (const table of ruleset.tables.values())
    for (const chain of table.chains.values()) {
      // A jump to one of them would be a loop, which no kernel takes.
      const leading = chainsLeadingTo([chain.name], table.chains);
      for (const [index, rule] of chain.rules.entries()) {
        const place = {
          table: table.name,
          chain: chain.name,
          rule: index + 1,
          text: textAt(rule.line),
          line: rule.line,
        };
        const mutant = (change: string, rules: readonly Rule[]): Mutant => ({
          ...place,
          change,
          ruleset: withChain(ruleset, table.name, { ...chain, rules }),
        });
        yield { ...place, change: 'deleted', ruleset: withoutRule(ruleset, table.name, chain.name, index + 1) };
        const next = chain.rules[index + 1];
        if (next !== undefined) yield mutant('swapped with the next', chain.rules.toSpliced(index, 2, next, rule));
        for (const [at, match] of rule.matches.entries())
          for (const { change, value } of matchChanges(match)) {
            const matches = loadable(rule.matches.with(at, value), value);
            if (matches !== undefined) yield mutant(change, chain.rules.with(index, { ...rule, matches }));
          }
        for (const { change, value } of targetChanges(rule.target, [...table.chains.keys()], leading))
          yield mutant(change, chain.rules.with(index, { ...rule, target: value }));
      }
    }
}

/** Without one of its rules; `rule` counts from 1. */
export function withoutRule(ruleset: Ruleset, table: TableName, chain: string, rule: number): Ruleset {
  const found = ruleset.tables.get(table)?.chains.get(chain);
  return found === undefined
    ? ruleset
    : withChain(ruleset, table, { ...found, rules: found.rules.toSpliced(rule - 1, 1) });
}

function withChain(ruleset: Ruleset, tableName: TableName, chain: Chain): Ruleset {
  const table = ruleset.tables.get(tableName);
  if (table === undefined) return ruleset;
  const changed = { ...table, chains: new Map([...table.chains, [chain.name, chain]]) };
  return { ...ruleset, tables: new Map([...ruleset.tables, [tableName, changed]]) };
}

/**
 * The matches of a rule, of which this one is new, as kernels take them: matches of ports and icmp types need their protocol in the rule (xt_check_match; measured: iptables-legacy refuses `-p icmp -m tcp` and
 * `! -p tcp -m tcp`, iptables-nft the first). So ports go along with another protocol that has them. Undefined where there is no such rule.
 */
function loadable(matches: readonly Match[], changed: Match): readonly Match[] | undefined {
  if (changed.kind !== 'protocol' || !matches.some(({ kind }) => OF_A_PROTOCOL.has(kind))) return matches;
  const { protocol, not } = changed;
  if (not || (protocol !== TCP && protocol !== UDP)) return undefined;
  const after = matches.map((match): Match | undefined => {
    if (match.kind === 'multiport' || !OF_A_PROTOCOL.has(match.kind)) return match;
    if (match.kind === 'udp') return protocol === TCP ? { ...match, kind: 'tcp' } : match;
    if (match.kind !== 'tcp' || match.flags !== undefined || match.option !== undefined) return undefined;
    const { sport, dport } = match;
    const ports = { ...(sport === undefined ? {} : { sport }), ...(dport === undefined ? {} : { dport }) };
    return protocol === TCP ? match : { kind: 'udp', ...ports };
  });
  return after.every((match) => match !== undefined) ? after : undefined;
}

const OF_A_PROTOCOL: ReadonlySet<Match['kind']> = new Set(['tcp', 'udp', 'sctp', 'icmp', 'icmp6', 'multiport']);

interface Change<T> {
  readonly change: string;
  readonly value: T;
}

function addressChanges(address: Address): Change<Address>[] {
  return [1, -1, 256].flatMap((offset) => {
    const value = addToAddress(address, offset);
    return value === undefined ? [] : [{ change: `${offset > 0 ? '+' : ''}${offset}`, value }];
  });
}

/** The network beside it, one twice as wide, one half as wide. */
function maskedChanges(masked: MaskedAddress): Change<MaskedAddress>[] {
  const family = familyOf(masked.address);
  const length = lengthOfMask(masked.mask);
  if (length === undefined) return [];
  const prefix = (address: Address, bits: number): MaskedAddress => {
    const mask = maskOf(family, bits);
    return { address: maskAddress(address, mask), mask };
  };
  const beside = BigInt(masked.address) ^ (1n << BigInt(widthOf(family) - length));
  return [
    ...(length > 0
      ? [{ change: 'the network beside it', value: prefix(family === 4 ? Number(beside) : beside, length) }]
      : []),
    ...(length > 0 ? [{ change: `/${length - 1}`, value: prefix(masked.address, length - 1) }] : []),
    ...(length < widthOf(family) ? [{ change: `/${length + 1}`, value: prefix(masked.address, length + 1) }] : []),
  ];
}

const portChanges = ({ from, to }: PortRange): Change<PortRange>[] =>
  [
    { change: 'one port higher', value: { from: from + 1, to: to + 1 } },
    { change: 'one port lower', value: { from: from - 1, to: to - 1 } },
    { change: 'a port more', value: { from, to: to + 1 } },
    ...(from < to ? [{ change: 'a port less', value: { from, to: to - 1 } }] : []),
  ].filter(({ value }) => value.from >= 0 && value.to <= 65535);

const negatable = <T>(
  value: Negatable<T> | undefined,
  changes: (value: T) => readonly Change<T>[],
): Change<Negatable<T>>[] =>
  value === undefined
    ? []
    : [
        { change: 'negated', value: { ...value, not: !value.not } },
        ...changes(value.value).map(({ change, value: changed }) => ({ change, value: { ...value, value: changed } })),
      ];

/** One value of a match changed. */
function matchChanges(match: Match): Change<Match>[] {
  const named = <T extends Match>(what: string, changes: readonly Change<T>[]): Change<Match>[] =>
    changes.map(({ change, value }) => ({ change: `${what}: ${change}`, value }));
  const flipped = (): Change<Match>[] =>
    'not' in match ? [{ change: `${match.kind}: negated`, value: { ...match, not: !match.not } }] : [];
  switch (match.kind) {
    case 'source':
    case 'destination':
      return [
        ...flipped(),
        ...named(
          match.kind,
          maskedChanges(match.value).map(({ change, value }) => ({ change, value: { ...match, value } })),
        ),
      ];
    case 'in':
    case 'out':
      return [...flipped(), { change: `${match.kind}: another interface`, value: { ...match, name: OTHER_INTERFACE } }];
    case 'protocol':
      return [
        ...flipped(),
        ...[6, 17, 1]
          .filter((protocol) => protocol !== match.protocol)
          .map((protocol) => ({ change: `protocol: ${protocol}`, value: { ...match, protocol } })),
      ];
    case 'tcp':
    case 'udp':
    case 'sctp':
      return [
        ...named(
          'sport',
          negatable(match.sport, portChanges).map(({ change, value }) => ({
            change,
            value: { ...match, sport: value },
          })),
        ),
        ...named(
          'dport',
          negatable(match.dport, portChanges).map(({ change, value }) => ({
            change,
            value: { ...match, dport: value },
          })),
        ),
      ];
    case 'multiport':
      return [
        ...flipped(),
        ...match.ports.flatMap((range, index) =>
          portChanges(range).map(({ change, value }) => ({
            change: `ports: ${change}`,
            value: { ...match, ports: match.ports.with(index, value) },
          })),
        ),
      ];
    case 'icmp':
    case 'icmp6':
      return named(
        'type',
        negatable(match.value, ({ type, codes }) => [
          { change: 'the next type', value: { type: type + 1, codes } },
          ...(codes.from === codes.to
            ? [{ change: 'the next code', value: { type, codes: { from: codes.from + 1, to: codes.to + 1 } } }]
            : []),
        ]).map(({ change, value }) => ({ change, value: { ...match, value } })),
      );
    case 'state':
      return [
        ...flipped(),
        ...match.states.flatMap((state) => [
          ...(match.states.length > 1
            ? [
                {
                  change: `state: without ${state}`,
                  value: { ...match, states: match.states.filter((other) => other !== state) },
                },
              ]
            : []),
        ]),
        ...(['NEW', 'INVALID'] as const)
          .filter((state) => !match.states.includes(state))
          .map((state) => ({ change: `state: also ${state}`, value: { ...match, states: [...match.states, state] } })),
      ];
    case 'conntrack':
      return named(
        'ctstate',
        negatable(match.ctstate, (states) => [
          ...(['DNAT', 'SNAT'] as const)
            .filter((state) => !states.includes(state))
            .map((state) => ({ change: `${state} instead`, value: [state] })),
        ]).map(({ change, value }) => ({ change, value: { ...match, ctstate: value } })),
      );
    default:
      return flipped();
  }
}

/** One value of a target changed. */
function targetChanges(
  target: Target | undefined,
  chains: readonly string[],
  leading: ReadonlySet<string>,
): Change<Target>[] {
  if (target === undefined) return [];
  const verdicts = (['ACCEPT', 'DROP', 'RETURN'] as const)
    .filter((kind) => kind !== target.kind)
    .map((kind) => ({ change: `target: ${kind}`, value: { kind } }));
  switch (target.kind) {
    case 'jump': {
      const other = chains[(chains.indexOf(target.chain) + 1) % chains.length];
      const elsewhere =
        other !== undefined && other !== target.chain && !isBuiltIn(other) && !leading.has(other)
          ? [{ change: `target: ${other}`, value: { ...target, chain: other } }]
          : [];
      return [...verdicts, ...elsewhere];
    }
    case 'DNAT':
    case 'SNAT': {
      const { addresses, ports } = target.to;
      return [
        ...(addresses === undefined
          ? []
          : addressChanges(addresses.from).map(({ change, value }) => ({
              change: `to: ${change}`,
              value: { ...target, to: { ...target.to, addresses: { from: value, to: value } } },
            }))),
        ...(ports === undefined
          ? []
          : portChanges(ports).map(({ change, value }) => ({
              change: `to: ${change}`,
              value: { ...target, to: { ...target.to, ports: value } },
            }))),
        { change: 'target: ACCEPT', value: { kind: 'ACCEPT' } },
      ];
    }
    default:
      return verdicts;
  }
}

const isBuiltIn = (name: string): boolean => /^[A-Z]+$/.test(name);
