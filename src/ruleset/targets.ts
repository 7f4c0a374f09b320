/** From the options of a target to what the rule does: one reader for each target that `Target` has a kind for. */
import type { Address, Family } from '../address/address.ts';
import { maskAddress } from '../address/address.ts';
import type { PortRange } from '../address/ports.ts';
import { quoteText } from '../diagnostic/quote.ts';
import type { Given, GivenOption } from './matches.ts';
import { cutText, exclusive, option, rawOption, required, valueOf } from './matches.ts';
import type { MaskedMark, NatRange, RawOption, RejectWith, Target } from './rule.ts';
import type { Token } from './tokens.ts';
import { fail } from './tokens.ts';
import { part, readAddress, readHostMask, readMark, readNumber, readPort, readWords, split } from './values.ts';

/** extensions/libipt_REJECT.c and libip6t_REJECT.c: names and aliases in the order in which a beginning of a name is looked up. */
const REJECT_NAMES: Readonly<Record<Family, readonly (readonly [RejectWith, string])[]>> = {
  4: [
    ['icmp-net-unreachable', 'net-unreach'],
    ['icmp-host-unreachable', 'host-unreach'],
    ['icmp-proto-unreachable', 'proto-unreach'],
    ['icmp-port-unreachable', 'port-unreach'],
    ['icmp-net-prohibited', 'net-prohib'],
    ['icmp-host-prohibited', 'host-prohib'],
    ['tcp-reset', 'tcp-rst'],
    ['icmp-admin-prohibited', 'admin-prohib'],
  ],
  6: [
    ['icmp6-no-route', 'no-route'],
    ['icmp6-adm-prohibited', 'adm-prohibited'],
    ['icmp6-addr-unreachable', 'addr-unreach'],
    ['icmp6-port-unreachable', 'port-unreach'],
    ['tcp-reset', 'tcp-reset'],
    ['icmp6-policy-fail', 'policy-fail'],
    ['icmp6-reject-route', 'reject-route'],
  ],
};

function readReject(given: Given): Target {
  const one = option(given, 'reject-with');
  if (one === undefined) {
    return { kind: 'REJECT', with: given.family === 4 ? 'icmp-port-unreachable' : 'icmp6-port-unreachable' };
  }
  const value = valueOf(one);
  const wanted = value.text.toLowerCase();
  const names = REJECT_NAMES[given.family];
  const found = names.find(([name, alias]) => name.startsWith(wanted) || alias.startsWith(wanted));
  if (found === undefined || wanted === '') {
    fail(value, `${quoteText(value.text)} is no reject type: expected ${names.map(([name]) => name).join(', ')}`);
  }
  return { kind: 'REJECT', with: found[0] };
}

/** syslog(3), as extensions/libxt_LOG.c and xtoptions.c know the levels; WARNING is the default and never printed. */
const LOG_LEVELS: ReadonlyMap<string, number> = new Map([
  ['emerg', 0],
  ['panic', 0],
  ['alert', 1],
  ['crit', 2],
  ['error', 3],
  ['warning', 4],
  ['notice', 5],
  ['info', 6],
  ['debug', 7],
]);

function readLogLevel(token: Token): number {
  const named = LOG_LEVELS.get(token.text);
  if (named !== undefined) return named;
  if (/^\d+$/.test(token.text)) return readNumber(token, 'log level', 7);
  fail(token, `${quoteText(token.text)} is no log level: expected 0 to 7 or ${[...LOG_LEVELS.keys()].join(', ')}`);
}

function readLog(given: Given): Target {
  const flag = (name: string): RawOption[] => (option(given, name) ? [{ not: false, name, values: [] }] : []);
  const prefix = option(given, 'log-prefix');
  const level = option(given, 'log-level');
  if (prefix !== undefined && valueOf(prefix).text === '') fail(valueOf(prefix), 'an empty prefix: expected a text');
  const number = level === undefined ? 4 : readLogLevel(valueOf(level));
  return {
    kind: 'LOG',
    options: [
      // struct ipt_log_info: char prefix[30].
      ...(prefix ? [{ not: false, name: 'log-prefix', values: [cutText(valueOf(prefix).text, 29)] }] : []),
      ...(number === 4 ? [] : [{ not: false, name: 'log-level', values: [`${number}`] }]),
      ...['log-tcp-sequence', 'log-tcp-options', 'log-ip-options', 'log-uid', 'log-macdecode'].flatMap(flag),
    ],
  };
}

function readNflog(given: Given): Target {
  exclusive(given, 'nflog-range', 'nflog-size');
  const number = (name: string, max: number, unprinted?: number): RawOption[] => {
    const one = option(given, name);
    if (one === undefined) return [];
    const value = readNumber(valueOf(one), name.replace('nflog-', ''), max);
    return value === unprinted ? [] : [{ not: false, name, values: [`${value}`] }];
  };
  const prefix = option(given, 'nflog-prefix');
  if (prefix !== undefined && valueOf(prefix).text === '') fail(valueOf(prefix), 'an empty prefix: expected a text');
  return {
    kind: 'NFLOG',
    options: [
      // struct xt_nflog_info: char prefix[64].
      ...(prefix ? [{ not: false, name: 'nflog-prefix', values: [cutText(valueOf(prefix).text, 63)] }] : []),
      ...number('nflog-group', 65535, 0),
      ...number('nflog-range', 0xffffffff, 0),
      ...number('nflog-size', 0xffffffff),
      ...number('nflog-threshold', 65535, 0),
    ],
  };
}

/** `PORT[-PORT[/BASE]]`: extensions/libxt_NAT.c, parse_ports. */
function readNatPorts(token: Token, shifted: boolean): Pick<NatRange, 'ports' | 'base'> {
  const dash = token.text.indexOf('-');
  const from = readPort(dash < 0 ? token : part(token, 0, dash));
  if (dash < 0) return { ports: { from, to: from } };
  const rest = part(token, dash + 1);
  const slash = rest.text.indexOf('/');
  const ports: PortRange = { from, to: readPort(slash < 0 ? rest : part(rest, 0, slash)) };
  if (ports.from > ports.to)
    fail(token, `the port range ${quoteText(token.text)} is empty: its end is before its start`);
  if (slash < 0) return { ports };
  if (!shifted) fail(part(rest, slash), 'a shifted port range: only DNAT has these');
  return { ports, base: readPort(part(rest, slash + 1)) };
}

function readNatAddresses(token: Token, family: Family): { from: Address; to: Address } {
  const [first = token, last = first, more] = split(token, '-');
  if (more !== undefined) fail(token, `${quoteText(token.text)} is no address range: expected FROM-TO`);
  return { from: readAddress(first, family), to: readAddress(last, family) };
}

/** `[ADDRESS[-ADDRESS]][:PORT[-PORT[/BASE]]]`; IPv6 addresses stand in brackets when ports follow (extensions/libxt_NAT.c, parse_to). */
function readNatTarget(token: Token, family: Family, shifted: boolean): NatRange {
  if (token.text === '') fail(token, 'an empty NAT target: expected an address, :PORT or both');
  if (token.text.startsWith('[')) {
    const end = token.text.indexOf(']');
    if (end < 0) fail(token, 'this bracket is never closed: expected [ADDRESS]:PORT');
    const addresses = readNatAddresses(part(token, 1, end), family);
    const rest = part(token, end + 1);
    if (rest.text === '') return { addresses };
    if (!rest.text.startsWith(':')) fail(rest, `${quoteText(rest.text)} after the bracket: expected :PORT`);
    return { addresses, ...readNatPorts(part(rest, 1), shifted) };
  }
  const colon = token.text.indexOf(':');
  if (colon < 0 || (family === 6 && colon > 0) || token.text.startsWith('::'))
    return { addresses: readNatAddresses(token, family) };
  const ports = readNatPorts(part(token, colon + 1), shifted);
  return colon === 0 ? ports : { addresses: readNatAddresses(part(token, 0, colon), family), ...ports };
}

const natFlags = (given: Given): Pick<NatRange, 'random' | 'randomFully' | 'persistent'> => ({
  ...(option(given, 'random') ? { random: true } : {}),
  ...(option(given, 'random-fully') ? { randomFully: true } : {}),
  ...(option(given, 'persistent') ? { persistent: true } : {}),
});

function readNat(kind: 'DNAT' | 'SNAT', given: Given): Target {
  const one = required(given, kind === 'DNAT' ? 'to-destination' : 'to-source');
  return { kind, to: { ...readNatTarget(valueOf(one), given.family, kind === 'DNAT'), ...natFlags(given) } };
}

function readPortNat(kind: 'MASQUERADE' | 'REDIRECT', given: Given): Target {
  const one = option(given, 'to-ports');
  return { kind, to: { ...(one === undefined ? {} : readNatPorts(valueOf(one), false)), ...natFlags(given) } };
}

const MARK_OPTIONS = ['set-xmark', 'set-mark', 'and-mark', 'or-mark', 'xor-mark'];
const ALL_BITS = 0xffffffff;

/** What each way to write it comes down to: mark = (mark & ~mask) ^ value (extensions/libxt_MARK.c, mark_tg_parse). */
function readMarkChange(one: GivenOption): MaskedMark {
  const token = valueOf(one);
  const bits = (): number => readNumber(token, 'mark', ALL_BITS);
  switch (one.spec.name) {
    case 'set-mark': {
      const { value, mask } = readMark(token);
      return { value, mask: (mask | value) >>> 0 };
    }
    case 'and-mark':
      return { value: 0, mask: ~bits() >>> 0 };
    case 'or-mark': {
      const value = bits();
      return { value, mask: value };
    }
    case 'xor-mark':
      return { value: bits(), mask: 0 };
    default:
      return readMark(token);
  }
}

function readMarkTarget(given: Given): Target {
  exclusive(given, ...MARK_OPTIONS);
  return { kind: 'MARK', value: readMarkChange(required(given, ...MARK_OPTIONS)) };
}

function readConnmark(given: Given): Target {
  exclusive(given, ...MARK_OPTIONS, 'save-mark', 'restore-mark');
  exclusive(given, 'mask', 'ctmask');
  exclusive(given, 'mask', 'nfmask');
  const one = required(given, ...MARK_OPTIONS, 'save-mark', 'restore-mark');
  if (option(given, 'left-shift-mark') ?? option(given, 'right-shift-mark')) return unmodelled('CONNMARK', given);
  const mask = (name: string): number | undefined => {
    const found = option(given, name) ?? option(given, 'mask');
    return found && readNumber(valueOf(found), 'mask', ALL_BITS);
  };
  const ctmask = mask('ctmask');
  const nfmask = mask('nfmask');
  if (one.spec.name === 'save-mark' || one.spec.name === 'restore-mark') {
    return {
      kind: 'CONNMARK',
      operation: one.spec.name === 'save-mark' ? 'save' : 'restore',
      value: { value: 0, mask: 0 },
      ctmask: ctmask ?? ALL_BITS,
      nfmask: nfmask ?? ALL_BITS,
    };
  }
  // A mask of its own replaces the one that the operation has (extensions/libxt_CONNMARK.c, connmark_tg_parse).
  const change = readMarkChange(one);
  const value = { value: change.value, mask: ctmask ?? change.mask };
  return { kind: 'CONNMARK', operation: 'set', value, ctmask: ALL_BITS, nfmask: ALL_BITS };
}

function readTtlTarget(kind: 'TTL' | 'HL', given: Given): Target {
  const prefix = kind.toLowerCase();
  const names = ['set', 'dec', 'inc'].map((operation) => `${prefix}-${operation}`);
  exclusive(given, ...names);
  const one = required(given, ...names);
  const operation = one.spec.name.slice(-3) as 'set' | 'dec' | 'inc';
  return { kind, operation, value: readNumber(valueOf(one), kind, 255, operation === 'set' ? 0 : 1) };
}

function readNetmap(given: Given): Target {
  const { address, mask } = readHostMask(valueOf(required(given, 'to')), given.family);
  return { kind: 'NETMAP', to: { address: maskAddress(address, mask), mask } };
}

/** extensions/libxt_CT.c, ct_event_tbl and exp_event_tbl, in the order in which iptables-save prints them. */
const CT_EVENTS = [
  'new',
  'related',
  'destroy',
  'reply',
  'assured',
  'protoinfo',
  'helper',
  'mark',
  'natseqinfo',
  'secmark',
] as const;

/** Each option adds its direction, and all write the one zone there is (extensions/libxt_CT.c, ct_parse_v1). */
function readZone(given: Given): RawOption[] {
  const zones = given.options.filter((one) => one.spec.name.startsWith('zone'));
  if (zones.length === 0) return [];
  const values = zones.map((one) => {
    const token = valueOf(one);
    return token.text === 'mark' ? 'mark' : `${readNumber(token, 'zone', 65535)}`;
  });
  const ways = zones.map((one) => one.spec.name).filter((name) => name !== 'zone');
  const name = ways.length === 1 ? (ways[0] ?? 'zone') : 'zone';
  return [{ not: false, name, values: [values.includes('mark') ? 'mark' : (values.at(-1) ?? '0')] }];
}

/** In the order of iptables-save (extensions/libxt_CT.c, ct_save_v1). */
function readCt(given: Given): Target {
  const text = (name: string): RawOption[] => {
    const one = option(given, name);
    return one === undefined ? [] : [rawOption(one)];
  };
  const events = (name: string): RawOption[] => {
    const one = option(given, name);
    if (one === undefined) return [];
    return [{ not: false, name, values: [readWords(valueOf(one), 'conntrack event', CT_EVENTS).join(',')] }];
  };
  return {
    kind: 'CT',
    notrack: option(given, 'notrack') !== undefined,
    options: [...text('helper'), ...text('timeout'), ...events('ctevents'), ...events('expevents'), ...readZone(given)],
  };
}

function readTcpmss(given: Given): Target {
  exclusive(given, 'set-mss', 'clamp-mss-to-pmtu');
  const one = required(given, 'set-mss', 'clamp-mss-to-pmtu');
  // What is left of 65535 octets beside the headers of IP and TCP (extensions/libxt_TCPMSS.c).
  const max = given.family === 4 ? 65515 : 65495;
  const values = one.values.map((value) => `${readNumber(value, 'MSS', max)}`);
  return { kind: 'TCPMSS', options: [{ not: false, name: one.spec.name, values }] };
}

const unmodelled = (name: string, given: Given): Target => ({
  kind: 'unmodelled',
  name,
  options: given.options.map(rawOption),
});

const READERS: Readonly<Record<string, (given: Given) => Target>> = {
  ACCEPT: () => ({ kind: 'ACCEPT' }),
  DROP: () => ({ kind: 'DROP' }),
  RETURN: () => ({ kind: 'RETURN' }),
  REJECT: readReject,
  LOG: readLog,
  NFLOG: readNflog,
  DNAT: (given) => readNat('DNAT', given),
  SNAT: (given) => readNat('SNAT', given),
  MASQUERADE: (given) => readPortNat('MASQUERADE', given),
  REDIRECT: (given) => readPortNat('REDIRECT', given),
  NETMAP: readNetmap,
  MARK: readMarkTarget,
  CONNMARK: readConnmark,
  CT: readCt,
  NOTRACK: () => ({ kind: 'NOTRACK' }),
  CHECKSUM: (given) => {
    required(given, 'checksum-fill');
    return { kind: 'CHECKSUM' };
  },
  TCPMSS: readTcpmss,
  TTL: (given) => readTtlTarget('TTL', given),
  HL: (given) => readTtlTarget('HL', given),
};

/** What a target's options say. A target without a reader is kept as it was written. */
export function readTarget(name: string, given: Given): Target {
  const read = READERS[name];
  return read ? read(given) : unmodelled(name, given);
}
