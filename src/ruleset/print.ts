/**
 * Prints a ruleset as iptables-save (1.8.9, legacy) prints what the kernel holds after the ruleset is restored, without its `#` lines.
 * iptables-nft-save prints the same but for these: it joins several `-m tcp` of a rule to one, drops `--nflog-range` and keeps 127 octets of
 * an NFLOG prefix where legacy keeps 63.
 *
 * Where iptables-save loses meaning this printer keeps it: `! -i +` and `! --dport 0:65535` match nothing, and iptables-save prints
 * nothing for them.
 */
import type { Address } from '../address/address.ts';
import { familyOf, lengthOfMask, printAddress, widthOf } from '../address/address.ts';
import { printPortRange } from '../address/ports.ts';
import { findMatch, findTarget } from './extensions.ts';
import { printFlags } from './matches.ts';
import { protocolName } from './protocol.ts';
import type {
  AddressRange,
  Chain,
  Counters,
  MaskedAddress,
  MaskedMark,
  Match,
  NatRange,
  Negatable,
  RawOption,
  Rule,
  Ruleset,
  Table,
  Target,
} from './rule.ts';
import { BUILT_IN_CHAINS } from './rule.ts';
import { printQuoted, printText, printWord } from './tokens.ts';

const mark = (value: number): string => `0x${value.toString(16)}`;
const maskedMark = ({ value, mask }: MaskedMark): string =>
  mask === 0xffffffff ? mark(value) : `${mark(value)}/${mark(mask)}`;

const printMask = (mask: Address): string => `${lengthOfMask(mask) ?? printAddress(mask)}`;
const network = ({ address, mask }: MaskedAddress): string => `${printAddress(address)}/${printMask(mask)}`;

/** `10.0.0.0/8`, and a single address without its length. */
const hostOrNetwork = (value: MaskedAddress): string =>
  lengthOfMask(value.mask) === widthOf(familyOf(value.mask)) ? printAddress(value.address) : network(value);

const addressRange = ({ from, to }: AddressRange): string => `${printAddress(from)}-${printAddress(to)}`;

const option = (name: string, not: boolean, ...values: string[]): string =>
  [...(not ? ['!'] : []), `--${name}`, ...values].join(' ');

/** ` --name value` for an option that the rule has, nothing for one that it has not. */
const optional = <T>(name: string, given: Negatable<T> | undefined, print: (value: T) => string): string[] =>
  given === undefined ? [] : [option(name, given.not, print(given.value))];

const ports = printPortRange;

type Quoting = 'word' | 'text' | 'always';
const QUOTES: Readonly<Record<Quoting, (text: string) => string>> = {
  word: printWord,
  text: printText,
  always: printQuoted,
};

/** Options as they were written, quoted as iptables-save quotes the values of that option. */
function rawOptions(kind: 'match' | 'target', module: string, options: readonly RawOption[]): string[] {
  const find = kind === 'match' ? findMatch : findTarget;
  const specs = (find(4, module) ?? find(6, module))?.options ?? [];
  return options.map(({ not, name, values }) => {
    const quoting = specs.find((spec) => spec.name === name)?.quoting ?? 'word';
    return option(name, not, ...values.map(QUOTES[quoting]));
  });
}

/** The options of a match after its `-m NAME`; of the tests that need no module, all of it. */
function matchWords(match: Match): string[] {
  switch (match.kind) {
    case 'source':
    case 'destination':
      return [`${match.not ? '! ' : ''}${match.kind === 'source' ? '-s' : '-d'} ${network(match.value)}`];
    case 'in':
    case 'out':
      return [`${match.not ? '! ' : ''}${match.kind === 'in' ? '-i' : '-o'} ${printWord(match.name)}`];
    case 'protocol':
      return [`${match.not ? '! ' : ''}-p ${protocolName(match.protocol)}`];
    case 'fragment':
      return [match.not ? '! -f' : '-f'];
    case 'tcp':
      return [
        ...optional('sport', match.sport, ports),
        ...optional('dport', match.dport, ports),
        ...optional('tcp-option', match.option, String),
        ...optional('tcp-flags', match.flags, (flags) => `${printFlags(flags.mask)} ${printFlags(flags.compare)}`),
      ];
    case 'udp':
      return [...optional('sport', match.sport, ports), ...optional('dport', match.dport, ports)];
    case 'sctp':
      return [
        ...optional('sport', match.sport, ports),
        ...optional('dport', match.dport, ports),
        ...(match.chunks ? rawOptions('match', 'sctp', [match.chunks]) : []),
      ];
    case 'icmp':
    case 'icmp6':
      return optional(match.kind === 'icmp' ? 'icmp-type' : 'icmpv6-type', match.value, ({ type, codes }) => {
        if (match.kind === 'icmp' && type === 255) return 'any';
        return codes.from === 0 && codes.to === 255 ? `${type}` : `${type}/${ports(codes)}`;
      });
    case 'multiport':
      return [option(match.which, match.not, match.ports.map((range) => ports(range)).join(','))];
    case 'iprange':
      return [
        ...optional('src-range', match.source, addressRange),
        ...optional('dst-range', match.destination, addressRange),
      ];
    case 'state':
      return [option('state', match.not, match.states.join(','))];
    case 'conntrack': {
      const list = (words: readonly string[]): string => words.join(',');
      return [
        ...optional('ctstate', match.ctstate, list),
        ...optional('ctproto', match.ctproto, String),
        ...optional('ctorigsrc', match.ctorigsrc, hostOrNetwork),
        ...optional('ctorigdst', match.ctorigdst, hostOrNetwork),
        ...optional('ctreplsrc', match.ctreplsrc, hostOrNetwork),
        ...optional('ctrepldst', match.ctrepldst, hostOrNetwork),
        ...optional('ctorigsrcport', match.ctorigsrcport, ports),
        ...optional('ctorigdstport', match.ctorigdstport, ports),
        ...optional('ctreplsrcport', match.ctreplsrcport, ports),
        ...optional('ctrepldstport', match.ctrepldstport, ports),
        ...optional('ctstatus', match.ctstatus, list),
        ...optional('ctexpire', match.ctexpire, ports),
        ...(match.ctdir === undefined ? [] : [option('ctdir', false, match.ctdir)]),
      ];
    }
    case 'mac':
      return [option('mac-source', match.not, match.mac)];
    case 'mark':
    case 'connmark':
      return [option('mark', match.not, maskedMark(match.value))];
    case 'addrtype':
      return [
        ...optional('src-type', match.source, (types) => types.join(',')),
        ...optional('dst-type', match.destination, (types) => types.join(',')),
        ...(match.limit === undefined ? [] : [option(`limit-iface-${match.limit}`, false)]),
      ];
    case 'physdev':
      return [
        ...(match.isIn ? [option('physdev-is-in', match.isIn.not)] : []),
        ...optional('physdev-in', match.in, printWord),
        ...(match.isOut ? [option('physdev-is-out', match.isOut.not)] : []),
        ...optional('physdev-out', match.out, printWord),
        ...(match.isBridged ? [option('physdev-is-bridged', match.isBridged.not)] : []),
      ];
    case 'pkttype':
      return [option('pkt-type', match.not, match.type)];
    case 'comment':
      return [option('comment', false, printText(match.text))];
    case 'length':
      return [option('length', match.not, ports(match.range))];
    case 'ttl':
    case 'hl':
      return [
        option(`${match.kind}-${match.test === 'ne' ? 'eq' : match.test}`, match.test === 'ne', `${match.value}`),
      ];
    case 'set':
      return [
        option('match-set', match.not, printWord(match.name), match.directions.join(',')),
        ...rawOptions('match', 'set', match.more),
      ];
    case 'unmodelled':
      return rawOptions('match', match.module, match.options);
  }
}

/** The name that stands after `-m`; undefined for what needs no module. */
function moduleOf(match: Match): string | undefined {
  switch (match.kind) {
    case 'source':
    case 'destination':
    case 'in':
    case 'out':
    case 'protocol':
    case 'fragment':
      return undefined;
    case 'unmodelled':
      return match.module;
    default:
      return match.kind;
  }
}

/** `-s 10.0.0.0/8`, `-m tcp --dport 22`. */
export function printMatch(match: Match): string {
  const module = moduleOf(match);
  return [...(module === undefined ? [] : [`-m ${module}`]), ...matchWords(match)].join(' ');
}

/** `10.0.0.1-10.0.0.9:1000-2000/500`; addresses of IPv6 stand in brackets when ports follow. */
function natTarget({ addresses, ports: portRange, base }: NatRange): string {
  let text = '';
  if (addresses !== undefined) {
    text = addresses.from === addresses.to ? printAddress(addresses.from) : addressRange(addresses);
    if (typeof addresses.from === 'bigint' && portRange !== undefined) text = `[${text}]`;
  }
  if (portRange !== undefined) text += `:${printPortRange(portRange, '-')}${base === undefined ? '' : `/${base}`}`;
  return text;
}

const natFlags = (range: NatRange): string[] => [
  ...(range.random === true ? ['--random'] : []),
  ...(range.randomFully === true ? ['--random-fully'] : []),
  ...(range.persistent === true ? ['--persistent'] : []),
];

function targetWords(target: Target): string[] {
  switch (target.kind) {
    case 'ACCEPT':
    case 'DROP':
    case 'RETURN':
    case 'NOTRACK':
      return [target.kind];
    case 'REJECT':
      return ['REJECT', option('reject-with', false, target.with)];
    case 'LOG':
    case 'NFLOG':
    case 'TCPMSS':
      return [target.kind, ...rawOptions('target', target.kind, target.options)];
    case 'DNAT':
      return ['DNAT', option('to-destination', false, natTarget(target.to)), ...natFlags(target.to)];
    case 'SNAT':
      return ['SNAT', option('to-source', false, natTarget(target.to)), ...natFlags(target.to)];
    case 'MASQUERADE':
    case 'REDIRECT':
      return [
        target.kind,
        ...(target.to.ports ? [option('to-ports', false, printPortRange(target.to.ports, '-'))] : []),
        ...natFlags(target.to),
      ];
    case 'NETMAP':
      return ['NETMAP', option('to', false, network(target.to))];
    case 'MARK':
      return ['MARK', option('set-xmark', false, `${mark(target.value.value)}/${mark(target.value.mask)}`)];
    case 'CONNMARK':
      if (target.operation === 'set') {
        return ['CONNMARK', option('set-xmark', false, `${mark(target.value.value)}/${mark(target.value.mask)}`)];
      }
      return [
        'CONNMARK',
        `--${target.operation}-mark`,
        option('nfmask', false, mark(target.nfmask)),
        option('ctmask', false, mark(target.ctmask)),
      ];
    case 'CT':
      return ['CT', ...(target.notrack ? ['--notrack'] : []), ...rawOptions('target', 'CT', target.options)];
    case 'CHECKSUM':
      return ['CHECKSUM', '--checksum-fill'];
    case 'TTL':
    case 'HL':
      return [target.kind, option(`${target.kind.toLowerCase()}-${target.operation}`, false, `${target.value}`)];
    case 'unmodelled':
      return [target.name, ...rawOptions('target', target.name, target.options)];
    case 'jump':
    case 'goto':
      return [printWord(target.chain)];
  }
}

/** `-j DNAT --to-destination 10.0.0.1`, `-g chain`. */
export const printTarget = (target: Target): string =>
  `${target.kind === 'goto' ? '-g' : '-j'} ${targetWords(target).join(' ')}`;

const printCounters = ({ packets, bytes }: Counters): string => `[${packets}:${bytes}]`;

/** What stands behind `-A CHAIN`. */
export const printRuleBody = (rule: Pick<Rule, 'matches' | 'target'>): string =>
  [...rule.matches.map(printMatch), ...(rule.target ? [printTarget(rule.target)] : [])].join(' ');

/** `-A INPUT -s 10.0.0.0/8 -j ACCEPT`, with `[packets:bytes]` before it when the rule has counters. */
export function printRule(chain: string, rule: Rule): string {
  const body = printRuleBody(rule);
  const command = body === '' ? `-A ${printWord(chain)}` : `-A ${printWord(chain)} ${body}`;
  return rule.counters ? `${printCounters(rule.counters)} ${command}` : command;
}

/** strcmp's order of names. */
const byName = (a: Chain, b: Chain): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

/** A table's chains as iptables-save lists them: the built-in ones in the order of their hooks, then the user's by name. */
export function chainsInOrder(table: Table): readonly Chain[] {
  const builtIn: readonly string[] = BUILT_IN_CHAINS[table.name];
  return [
    ...builtIn.flatMap((name) => table.chains.get(name) ?? []),
    ...[...table.chains.values()].filter((chain) => !builtIn.includes(chain.name)).sort(byName),
  ];
}

function* tableLines(table: Table): Generator<string> {
  const chains = chainsInOrder(table);
  yield `*${table.name}`;
  for (const { name, policy, counters } of chains) {
    yield `:${name} ${policy ?? '-'} ${printCounters(counters ?? { packets: 0n, bytes: 0n })}`;
  }
  for (const chain of chains) for (const rule of chain.rules) yield printRule(chain.name, rule);
  yield 'COMMIT';
}

/** The whole ruleset, a line end after each line; tables in the order of the text. */
export function printRuleset(ruleset: Ruleset): string {
  const lines: string[] = [];
  for (const table of ruleset.tables.values()) for (const line of tableLines(table)) lines.push(line);
  return lines.map((line) => `${line}\n`).join('');
}
