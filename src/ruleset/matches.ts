/** From the options of a match module to what the rule says: one reader for each module that `Match` has a kind for. */
import type { Family } from '../address/address.ts';
import { quoteText } from '../diagnostic/quote.ts';
import { icmpNames } from '../packet/icmp.ts';
import { nearest } from '../diagnostic/nearest.ts';
import type { PortRange } from '../address/ports.ts';
import type {
  AddressRange,
  AddressTypeName,
  ConntrackStateName,
  ConntrackStatusName,
  IcmpType,
  Match,
  Negatable,
  RawOption,
  StateName,
  TcpFlags,
} from './rule.ts';
import type { OptionSpec } from './extensions.ts';
import type { Token } from './tokens.ts';
import { fail } from './tokens.ts';
import {
  part,
  readAddress,
  readHostMask,
  readInterface,
  readMac,
  readMark,
  readNumber,
  readNumberRange,
  readPort,
  readPortRange,
  readServiceRange,
  readProtocol,
  readWord,
  readWords,
  split,
} from './values.ts';

/** One option as given: where it stands, whether `!` stands before it, and its values. */
export interface GivenOption {
  readonly spec: OptionSpec;
  readonly token: Token;
  readonly not: boolean;
  readonly values: readonly Token[];
}

/** The options that one module was given in one rule. */
export interface Given {
  /** The token that loaded the module: of `-m tcp` the `tcp`. */
  readonly token: Token;
  readonly family: Family;
  readonly options: readonly GivenOption[];
}

/** The option of this name, if it was given. */
export const option = (given: Given, name: string): GivenOption | undefined =>
  given.options.find((candidate) => candidate.spec.name === name);

/** The first value of an option; the line reader has made sure that it is there. */
export const valueOf = (one: GivenOption, index = 0): Token => one.values[index] ?? one.token;

/** An option that the module cannot be without. */
export function required(given: Given, ...names: string[]): GivenOption {
  for (const name of names) {
    const found = option(given, name);
    if (found !== undefined) return found;
  }
  fail(
    given.token,
    `${quoteText(given.token.text)} stands alone: expected ${names.map((name) => `--${name}`).join(' or ')}`,
  );
}

/** At most one of these options. */
export function exclusive(given: Given, ...names: string[]): void {
  const [first, second] = given.options.filter((one) => names.includes(one.spec.name));
  if (first !== undefined && second !== undefined) {
    fail(second.token, `--${second.spec.name} cannot stand beside --${first.spec.name}`);
  }
}

export const rawOption = (one: GivenOption): RawOption => ({
  not: one.not,
  name: one.spec.name,
  values: one.values.map((value) => value.text),
});

/** `{ [key]: { not, value } }` for an option that was given, `{}` for one that was not. */
function negatable<K extends string, T>(
  given: Given,
  name: string,
  key: K,
  read: (token: Token) => T,
): Partial<Record<K, Negatable<T>>> {
  const one = option(given, name);
  if (one === undefined) return {};
  const entry: Partial<Record<K, Negatable<T>>> = {};
  entry[key] = { not: one.not, value: read(valueOf(one)) };
  return entry;
}

/** `! --dport 0:65535` holds for no packet and stays; without the `!` it says nothing, and iptables-save prints nothing. */
const ports = <K extends 'sport' | 'dport'>(
  given: Given,
  key: K,
  read: (token: Token) => PortRange,
): Partial<Record<K, Negatable<PortRange>>> => {
  const one = negatable(given, key, key, read);
  const range = one[key];
  return range !== undefined && !range.not && range.value.from === 0 && range.value.to === 65535 ? {} : one;
};

/** extensions/libxt_tcp.c, tcp_flag_names; the values are the header's own bits. */
const TCP_FLAGS: readonly (readonly [string, number])[] = [
  ['FIN', 1],
  ['SYN', 2],
  ['RST', 4],
  ['PSH', 8],
  ['ACK', 16],
  ['URG', 32],
];
const FLAG_WORDS = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG', 'ALL', 'NONE'] as const;

const readFlags = (token: Token): number =>
  readWords(token, 'tcp flag', FLAG_WORDS).reduce(
    (bits, word) => bits | (word === 'ALL' ? 63 : (TCP_FLAGS.find(([name]) => name === word)?.[1] ?? 0)),
    0,
  );

/** `FIN,SYN`, or `NONE`, as iptables-save prints the bits. */
export const printFlags = (bits: number): string =>
  TCP_FLAGS.filter(([, bit]) => (bits & bit) !== 0)
    .map(([name]) => name)
    .join(',') || 'NONE';

function readTcp(given: Given): Match {
  exclusive(given, 'syn', 'tcp-flags');
  const syn = option(given, 'syn');
  const flags = option(given, 'tcp-flags');
  let test: Negatable<TcpFlags> | undefined;
  if (syn !== undefined) test = { not: syn.not, value: { mask: 0x17, compare: 2 } };
  if (flags !== undefined) {
    test = { not: flags.not, value: { mask: readFlags(valueOf(flags)), compare: readFlags(valueOf(flags, 1)) } };
  }
  return {
    kind: 'tcp',
    ...ports(given, 'sport', readPortRange),
    ...ports(given, 'dport', readPortRange),
    ...negatable(given, 'tcp-option', 'option', (token) => readNumber(token, 'tcp option', 255, 1)),
    ...(test !== undefined && (test.not || test.value.mask !== 0 || test.value.compare !== 0) ? { flags: test } : {}),
  };
}

/** A name (any unambiguous beginning of one), or `TYPE[/CODE]`. */
function readIcmp(token: Token, family: Family): IcmpType {
  const wanted = token.text.toLowerCase();
  const word = family === 4 ? 'icmp' : 'icmpv6';
  if (family === 4 && wanted === 'any') return { type: 255, codes: { from: 0, to: 255 } };
  const names = icmpNames(family);
  const exact = names.find((one) => one.name.toLowerCase() === wanted);
  const begun = wanted === '' ? [] : names.filter((one) => one.name.toLowerCase().startsWith(wanted));
  const named = exact ?? begun[0];
  if (named !== undefined) {
    const other = exact === undefined ? begun[1] : undefined;
    if (other !== undefined) {
      fail(token, `${quoteText(token.text)} is ambiguous: expected ${begun.map((one) => one.name).join(' or ')}`);
    }
    return {
      type: named.type,
      codes: named.code === undefined ? { from: 0, to: 255 } : { from: named.code, to: named.code },
    };
  }
  const slash = token.text.indexOf('/');
  const number = part(token, 0, slash < 0 ? undefined : slash);
  if (!/^\d/.test(number.text)) {
    const near = nearest(
      token.text,
      names.map((one) => one.name),
    );
    fail(
      token,
      `${quoteText(token.text)} is no ${word} type: expected a name, TYPE or TYPE/CODE` +
        (near === undefined ? '' : `; did you mean ${near}?`),
    );
  }
  const type = readNumber(number, `${word} type`, 255);
  if (slash < 0) return { type, codes: { from: 0, to: 255 } };
  const code = readNumber(part(token, slash + 1), `${word} code`, 255);
  return { type, codes: { from: code, to: code } };
}

function readMultiport(given: Given): Match {
  exclusive(given, 'sports', 'dports', 'ports');
  const one = required(given, 'sports', 'dports', 'ports');
  const list = split(valueOf(one), ',').map((piece): PortRange => {
    const ends = split(piece, ':');
    const [first = piece, last = first] = ends;
    if (ends.length > 2) fail(piece, `${quoteText(piece.text)} is no port range: expected FROM:TO`);
    const range = { from: readPort(first), to: readPort(last) };
    if (range.from > range.to || (range.from === range.to && ends.length === 2)) {
      fail(piece, `the port range ${range.from}:${range.to}: expected an end after the start`);
    }
    return range;
  });
  // struct xt_multiport_v1 has room for 15 numbers (XT_MULTI_PORTS), and a range takes two.
  const slots = list.reduce((sum, range) => sum + (range.from === range.to ? 1 : 2), 0);
  if (slots > 15) {
    fail(valueOf(one), `${slots} ports, a range counting as two: multiport holds at most 15`);
  }
  return { kind: 'multiport', which: one.spec.name as 'sports' | 'dports' | 'ports', not: one.not, ports: list };
}

const readRange =
  (family: Family) =>
  (token: Token): AddressRange => {
    const [first = token, last = first, more] = split(token, '-');
    if (more !== undefined) fail(token, `${quoteText(token.text)} is no address range: expected FROM-TO`);
    return { from: readAddress(first, family, 'network'), to: readAddress(last, family, 'network') };
  };

function readIprange(given: Given): Match {
  required(given, 'src-range', 'dst-range');
  return {
    kind: 'iprange',
    ...negatable(given, 'src-range', 'source', readRange(given.family)),
    ...negatable(given, 'dst-range', 'destination', readRange(given.family)),
  };
}

/** In the order of iptables-save (extensions/libxt_conntrack.c, print_state). */
export const STATES: readonly StateName[] = ['INVALID', 'NEW', 'RELATED', 'ESTABLISHED', 'UNTRACKED'];
export const CT_STATES: readonly ConntrackStateName[] = [...STATES, 'SNAT', 'DNAT'];
const CT_STATUSES: readonly ConntrackStatusName[] = ['NONE', 'EXPECTED', 'SEEN_REPLY', 'ASSURED', 'CONFIRMED'];

/** `NONE` is no bit of the status and vanishes beside one that is. */
function readStatuses(token: Token): ConntrackStatusName[] {
  const words = readWords(token, 'conntrack status', CT_STATUSES);
  return words.length > 1 ? words.filter((word) => word !== 'NONE') : words;
}

function readConntrack(given: Given): Match {
  if (given.options.length === 0) {
    fail(given.token, '`conntrack` stands alone: expected at least one of its options, such as --ctstate');
  }
  const address = (token: Token) => readHostMask(token, given.family);
  const direction = option(given, 'ctdir');
  return {
    kind: 'conntrack',
    ...negatable(given, 'ctstate', 'ctstate', (token) => readWords(token, 'conntrack state', CT_STATES)),
    ...negatable(given, 'ctproto', 'ctproto', readProtocol),
    ...negatable(given, 'ctorigsrc', 'ctorigsrc', address),
    ...negatable(given, 'ctorigdst', 'ctorigdst', address),
    ...negatable(given, 'ctreplsrc', 'ctreplsrc', address),
    ...negatable(given, 'ctrepldst', 'ctrepldst', address),
    ...negatable(given, 'ctorigsrcport', 'ctorigsrcport', readServiceRange),
    ...negatable(given, 'ctorigdstport', 'ctorigdstport', readServiceRange),
    ...negatable(given, 'ctreplsrcport', 'ctreplsrcport', readServiceRange),
    ...negatable(given, 'ctrepldstport', 'ctrepldstport', readServiceRange),
    ...negatable(given, 'ctstatus', 'ctstatus', readStatuses),
    ...negatable(given, 'ctexpire', 'ctexpire', (token) => readNumberRange(token, 'time in seconds', 0xffffffff)),
    ...(direction === undefined
      ? {}
      : { ctdir: readWord(valueOf(direction), 'direction', ['ORIGINAL', 'REPLY'] as const) }),
  };
}

/** In the order of iptables-save (extensions/libxt_addrtype.c, rtn_names). */
const ADDRESS_TYPES: readonly AddressTypeName[] = [
  'UNSPEC',
  'UNICAST',
  'LOCAL',
  'BROADCAST',
  'ANYCAST',
  'MULTICAST',
  'BLACKHOLE',
  'UNREACHABLE',
  'PROHIBIT',
  'THROW',
  'NAT',
  'XRESOLVE',
];

/** What the kernel takes for IPv6 (net/netfilter/xt_addrtype.c, addrtype_mt_checkentry_v1). */
const IPV6_TYPES: readonly AddressTypeName[] = ['UNSPEC', 'UNICAST', 'LOCAL', 'ANYCAST', 'MULTICAST', 'UNREACHABLE'];

function readAddrtype(given: Given): Match {
  required(given, 'src-type', 'dst-type');
  exclusive(given, 'limit-iface-in', 'limit-iface-out');
  const types = (token: Token): AddressTypeName[] => {
    const words = readWords(token, 'address type', ADDRESS_TYPES);
    const unknown = given.family === 6 ? words.find((word) => !IPV6_TYPES.includes(word)) : undefined;
    if (unknown !== undefined) fail(token, `IPv6 knows no address type ${unknown}: expected ${IPV6_TYPES.join(', ')}`);
    return words;
  };
  const limit = option(given, 'limit-iface-in') ? 'in' : option(given, 'limit-iface-out') ? 'out' : undefined;
  return {
    kind: 'addrtype',
    ...negatable(given, 'src-type', 'source', types),
    ...negatable(given, 'dst-type', 'destination', types),
    ...(limit === undefined ? {} : { limit }),
  };
}

function readPhysdev(given: Given): Match {
  if (given.options.length === 0) {
    fail(given.token, '`physdev` stands alone: expected at least one of its options, such as --physdev-in');
  }
  const flag = (name: string) => {
    const one = option(given, name);
    return one === undefined ? undefined : { not: one.not };
  };
  const isIn = flag('physdev-is-in');
  const isOut = flag('physdev-is-out');
  const isBridged = flag('physdev-is-bridged');
  return {
    kind: 'physdev',
    ...negatable(given, 'physdev-in', 'in', readInterface),
    ...negatable(given, 'physdev-out', 'out', readInterface),
    ...(isIn && { isIn }),
    ...(isOut && { isOut }),
    ...(isBridged && { isBridged }),
  };
}

function readTtl(given: Given, kind: 'ttl' | 'hl'): Match {
  exclusive(given, `${kind}-eq`, `${kind}-lt`, `${kind}-gt`);
  const one = required(given, `${kind}-eq`, `${kind}-lt`, `${kind}-gt`);
  const test = one.spec.name.slice(-2) as 'eq' | 'lt' | 'gt';
  return {
    kind,
    test: test === 'eq' && one.not ? 'ne' : test,
    value: readNumber(valueOf(one), kind === 'ttl' ? 'TTL' : 'hop limit', 255),
  };
}

/** In the order of iptables-save (extensions/libxt_set.c, set_save_v4). */
const SET_OPTIONS = [
  'return-nomatch',
  'update-counters',
  'update-subcounters',
  'packets-eq',
  'packets-lt',
  'packets-gt',
  'bytes-eq',
  'bytes-lt',
  'bytes-gt',
];

function readSet(given: Given): Match {
  const one = required(given, 'match-set');
  const directions = split(valueOf(one, 1), ',').map((piece): 'src' | 'dst' => {
    if (piece.text === 'src' || piece.text === 'dst') return piece.text;
    fail(piece, `${quoteText(piece.text)} is no direction: expected src or dst`);
  });
  // IPSET_DIM_MAX of the kernel.
  if (directions.length > 6) fail(valueOf(one, 1), `${directions.length} directions: a set has at most 6 dimensions`);
  if (new TextEncoder().encode(valueOf(one).text).length > 31) {
    fail(valueOf(one), `the set name ${quoteText(valueOf(one).text)} is too long: expected at most 31 characters`);
  }
  return {
    kind: 'set',
    not: one.not,
    name: valueOf(one).text,
    directions,
    more: SET_OPTIONS.flatMap((name) => given.options.filter(({ spec }) => spec.name === name)).map(rawOption),
  };
}

/** libxtables stores a text in a field of fixed size and cuts what does not fit. */
export const cutText = (text: string, octets: number): string => {
  const encoder = new TextEncoder();
  let kept = '';
  let used = 0;
  for (const character of text) {
    used += encoder.encode(character).length;
    if (used > octets) return kept;
    kept += character;
  }
  return kept;
};

const READERS: Readonly<Record<string, (given: Given) => Match>> = {
  tcp: readTcp,
  udp: (given) => ({
    kind: 'udp',
    ...ports(given, 'sport', readServiceRange),
    ...ports(given, 'dport', readServiceRange),
  }),
  sctp: (given) => {
    const chunks = option(given, 'chunk-types');
    return {
      kind: 'sctp',
      ...negatable(given, 'sport', 'sport', readPortRange),
      ...negatable(given, 'dport', 'dport', readPortRange),
      ...(chunks === undefined ? {} : { chunks: rawOption(chunks) }),
    };
  },
  icmp: (given) => {
    required(given, 'icmp-type');
    return { kind: 'icmp', ...negatable(given, 'icmp-type', 'value', (token) => readIcmp(token, 4)) };
  },
  icmp6: (given) => {
    required(given, 'icmpv6-type');
    return { kind: 'icmp6', ...negatable(given, 'icmpv6-type', 'value', (token) => readIcmp(token, 6)) };
  },
  multiport: readMultiport,
  iprange: readIprange,
  state: (given) => {
    const one = required(given, 'state');
    return { kind: 'state', not: one.not, states: readWords(valueOf(one), 'state', STATES) };
  },
  conntrack: readConntrack,
  mac: (given) => {
    const one = required(given, 'mac-source');
    return { kind: 'mac', not: one.not, mac: readMac(valueOf(one)) };
  },
  mark: (given) => {
    const one = required(given, 'mark');
    return { kind: 'mark', not: one.not, value: readMark(valueOf(one)) };
  },
  connmark: (given) => {
    const one = required(given, 'mark');
    return { kind: 'connmark', not: one.not, value: readMark(valueOf(one)) };
  },
  addrtype: readAddrtype,
  physdev: readPhysdev,
  pkttype: (given) => {
    const one = required(given, 'pkt-type');
    const word = readWord(valueOf(one), 'packet type', [
      'unicast',
      'host',
      'broadcast',
      'multicast',
      'otherhost',
    ] as const);
    return { kind: 'pkttype', not: one.not, type: word === 'host' ? 'unicast' : word };
  },
  comment: (given) => ({ kind: 'comment', text: cutText(valueOf(required(given, 'comment')).text, 255) }),
  length: (given) => {
    const one = required(given, 'length');
    return { kind: 'length', not: one.not, range: readNumberRange(valueOf(one), 'length', 65535) };
  },
  ttl: (given) => readTtl(given, 'ttl'),
  hl: (given) => readTtl(given, 'hl'),
  set: readSet,
};

/** What a module's options say. A module without a reader is kept as it was written. */
export function readMatch(module: string, given: Given): Match {
  const read = READERS[module];
  return read ? read(given) : { kind: 'unmodelled', module, options: given.options.map(rawOption) };
}
