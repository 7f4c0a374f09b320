/**
 * The notation of sets of packets: the packet notation with prefixes, ranges, lists, `any` and `!` in place of single values.
 *
 * `tcp any > 10.10.10.0/24:1-1024,8080 in wlan0 state NEW` is a box; boxes joined by `|` are their union; `none` is the empty set.
 * - `A,B` is A or B; `A,B,!C` takes C away again; a list that begins with `!` is all but the whole list.
 * - What is not written is free: no port, any port; no `in` and no `local`, entering anywhere.
 * - `any` as an address takes the family of the other one. With `any` on both sides the set is about both families, except that
 *   `icmp` is a protocol of IPv4 only and `icmpv6` of IPv6 only; `0.0.0.0/0` and `::/0` name a family.
 * - Ports, flags and icmp types leave only the protocols that have them: `any any > any:53` is tcp, udp, udplite, dccp and sctp.
 * - `flags S/FSRA` is S set and F, R, A not set, the others free (as iptables' `--tcp-flags FIN,SYN,RST,ACK SYN`); `flags S` is S alone.
 * - `in A,B`, `in !A`, `in any` and `local`, `local HOST:`, `local any` may stand together: entering in either way.
 *
 * Printing is canonical for a box (the shortest of the forms above for each field), so equal boxes print equal text.
 */
import type { Address, Family } from '../address/address.ts';
import {
  anyPrefix,
  familyOf,
  fromBigint,
  parseAddress,
  parsePrefix,
  prefixOf,
  printAddress,
  printPrefix,
  printShortPrefix,
  widthOf,
} from '../address/address.ts';
import type { Range, Ranges } from '../address/ranges.ts';
import {
  anyAddress,
  intersectRanges,
  normalizeRanges,
  prefixesOf,
  prefixRange,
  rangesCover,
  rangesOverlap,
  sameRanges,
  subtractRanges,
} from '../address/ranges.ts';
import { nearest } from '../diagnostic/nearest.ts';
import { quoteText } from '../diagnostic/quote.ts';
import { icmpNamed, icmpNames } from './icmp.ts';
import { CONNTRACK_STATES, ICMP, ICMPV6, icmpOf, TCP } from './packet.ts';
import type { EntrySet, NameSet, PacketSet, Pattern } from './pattern.ts';
import {
  ANY_ENTRY,
  ANY_NAME,
  ANY_OCTET,
  ANY_PORTS,
  NO_NAME,
  NO_PACKET,
  nameSet,
  patternOf,
  PORT_PROTOCOLS,
  unionSets,
} from './pattern.ts';
import { parseProtocol, printProtocol, PROTOCOL_NAMES } from './protocol.ts';
import type { Origin, Token } from './reader.ts';
import {
  ARGUMENT,
  Cursor,
  isHostName,
  joinEndpoint,
  numberOf,
  parseFlags,
  parseInterfaceEntry,
  printFlags,
  splitEndpoint,
} from './reader.ts';

/** Reads a set. Throws InputError. */
export function parseSet(text: string, origin: Origin = ARGUMENT): PacketSet {
  const cursor = new Cursor(text, origin);
  const set = readSet(cursor);
  cursor.finish('`|` and another box, or the end of the set');
  return set;
}

function readSet(cursor: Cursor): PacketSet {
  let set = NO_PACKET;
  do set = unionSets(set, readBox(cursor));
  while (cursor.skip('|'));
  return set;
}

function readBox(cursor: Cursor): PacketSet {
  if (cursor.skip('none')) return NO_PACKET;
  const head = readSetHead(cursor);
  const keys = new SetKeys();
  for (;;) {
    const token = cursor.peek();
    if (token === undefined || token.text === '|') break;
    if (!keys.read(cursor)) throw cursor.unknown(token, 'key', SET_KEYS);
  }
  return keys.boxes(cursor, head);
}

/** `PROTOCOL SADDR[:SPORT] > DADDR[:DPORT]` of a set: words that are understood when the families are known. */
export interface SetHead {
  readonly protocol: Token;
  readonly source: SetEndpoint;
  readonly destination: SetEndpoint;
}

interface SetEndpoint {
  readonly token: Token;
  /** Absent: `any`. */
  readonly addresses?: Ranges;
  readonly ports: Ranges<number>;
}

export function readSetHead(cursor: Cursor): SetHead {
  const protocol = cursor.next('a protocol (tcp, udp, icmp, ..., any or a number)');
  const source = readSetEndpoint(cursor, 'the source addresses');
  const arrow = cursor.next('`>` and the destination');
  if (arrow.text !== '>') throw cursor.unexpected(arrow, '`>` and the destination');
  return { protocol, source, destination: readSetEndpoint(cursor, 'the destination addresses') };
}

function readSetEndpoint(cursor: Cursor, what: string): SetEndpoint {
  const token = cursor.next(`${what}: any, an address, a prefix, a range or a list of them`);
  const { address, port } = splitEndpoint(token.text);
  const ports = port === undefined ? ANY_PORTS : readPorts(cursor, token, port);
  return address === 'any' ? { token, ports } : { token, ports, addresses: readAddresses(cursor, token, address) };
}

/** A list with `!`: see the head of this file. `item` gives the ranges of one item, undefined for one that it cannot read. */
function readList<T extends Address>(
  text: string,
  all: Ranges<T>,
  item: (text: string) => Ranges<T> | undefined,
  wrong: (item: string) => Error,
): Ranges<T> {
  const read = (word: string): Ranges<T> => {
    if (word === 'any') return all;
    const ranges = item(word);
    if (ranges === undefined) throw wrong(word);
    return ranges;
  };
  const not = text.startsWith('!');
  const taken: Range<T>[] = [];
  const given: Range<T>[] = [];
  for (const word of text.split(',')) {
    if (word.startsWith('!')) taken.push(...read(word.slice(1)));
    else (not ? taken : given).push(...read(word));
  }
  return subtractRanges(not ? all : normalizeRanges(given), normalizeRanges(taken));
}

function readAddresses(cursor: Cursor, token: Token, text: string): Ranges {
  let family: Family | undefined;
  const item = (word: string): Ranges | undefined => {
    const range = addressRange(word);
    if (range === undefined) return undefined;
    family ??= familyOf(range.from);
    if (familyOf(range.from) !== family) throw cursor.error(token, 'IPv4 and IPv6 addresses are mixed in one list');
    return [range];
  };
  const wrong = (word: string) =>
    cursor.error(token, `expected an address, a prefix, a range FROM-TO or \`any\`, read ${quoteText(word)}`);
  // The family is that of the first item that has one: without any the list is empty or `any`, of which the caller takes care.
  const first = text.split(',').find((word) => addressRange(word.replace(/^!/, '')) !== undefined);
  const firstRange = first === undefined ? undefined : addressRange(first.replace(/^!/, ''));
  if (firstRange === undefined) throw wrong(text);
  return readList(text, anyAddress(familyOf(firstRange.from)), item, wrong);
}

function addressRange(text: string): Range | undefined {
  const dash = text.indexOf('-');
  if (dash < 0) {
    const prefix = parsePrefix(text);
    return prefix && prefixRange(prefix);
  }
  const from = parseAddress(text.slice(0, dash));
  const to = parseAddress(text.slice(dash + 1));
  if (from === undefined || to === undefined || familyOf(from) !== familyOf(to) || from > to) return undefined;
  return { from, to };
}

const numberRange =
  (max: number) =>
  (text: string): Ranges<number> | undefined => {
    const dash = text.indexOf('-');
    const from = numberOf(dash < 0 ? text : text.slice(0, dash), max);
    const to = dash < 0 ? from : numberOf(text.slice(dash + 1), max);
    return from === undefined || to === undefined || from > to ? undefined : [{ from, to }];
  };

function readPorts(cursor: Cursor, token: Token, text: string): Ranges<number> {
  return readList(text, ANY_PORTS, numberRange(65535), (word) =>
    cursor.error(
      token,
      `expected ports 0-65535 (22, 1-1024, a list of them, or !), read ${quoteText(word)}`,
      token.text.length - text.length,
    ),
  );
}

export const SET_KEYS = ['flags', 'type', 'code', 'in', 'local', 'state'] as const;
type SetKey = (typeof SET_KEYS)[number];

/** The keys of one box, collected until the families are known. */
export class SetKeys {
  private readonly words = new Map<SetKey, Token>();

  /** Reads the key at the cursor and its value; false, without moving, when it is no key of a set. */
  read(cursor: Cursor): boolean {
    const token = cursor.peek();
    const key = SET_KEYS.find((candidate) => candidate === token?.text);
    if (key === undefined) return false;
    cursor.next('a key');
    if (this.words.has(key)) throw cursor.error(token, `${key} is written twice`);
    const following = cursor.peek();
    const bare = key === 'local' && (following === undefined || !/^any$|:$/.test(following.text));
    this.words.set(key, bare ? { text: ':', at: token?.at ?? 0 } : cursor.next(EXPECTED[key]));
    return true;
  }

  has(key: SetKey): boolean {
    return this.words.has(key);
  }

  /** The boxes, one for each family that the addresses leave. */
  boxes(cursor: Cursor, head: SetHead): PacketSet {
    const families = familiesOf(cursor, head);
    const entry = this.entry(cursor);
    const states = this.states(cursor);
    const boxes = families.flatMap((family) => {
      const protocol = readProtocols(cursor, head.protocol, family, families.length === 1);
      const icmp = this.icmp(cursor, family);
      const box = patternOf({
        family,
        saddr: head.source.addresses ?? anyAddress(family),
        daddr: head.destination.addresses ?? anyAddress(family),
        protocol,
        sport: head.source.ports,
        dport: head.destination.ports,
        flags: this.flags(cursor),
        ...icmp,
        entry,
        states,
      });
      return box === undefined ? [] : [box];
    });
    this.checkProtocol(cursor, head, families);
    return { boxes };
  }

  /** Refuses ports, flags or an icmp type where no protocol of the list has them: the set would be silently empty. */
  private checkProtocol(cursor: Cursor, head: SetHead, families: readonly Family[]): void {
    const fields: readonly (readonly [Token | undefined, string, (family: Family) => Ranges<number>])[] = [
      [head.source.ports === ANY_PORTS ? undefined : head.source.token, 'ports', () => PORT_PROTOCOLS],
      [head.destination.ports === ANY_PORTS ? undefined : head.destination.token, 'ports', () => PORT_PROTOCOLS],
      [this.words.get('flags'), 'flags', () => only(TCP)],
      [this.words.get('type'), 'icmp type', (family) => only(icmpOf(family))],
      [this.words.get('code'), 'icmp code', (family) => only(icmpOf(family))],
    ];
    for (const [token, what, having] of fields) {
      if (token === undefined) continue;
      const some = families.some((family) => {
        const protocols = readProtocols(cursor, head.protocol, family, families.length === 1);
        return rangesOverlap(protocols, having(family));
      });
      if (!some) throw cursor.error(token, `${head.protocol.text} has no ${what}`);
    }
  }

  private flags(cursor: Cursor): Ranges<number> {
    const token = this.words.get('flags');
    if (token === undefined) return ANY_OCTET;
    return readList(token.text, ANY_OCTET, flagValues, (word) =>
      cursor.error(token, `expected ${EXPECTED.flags}, read ${quoteText(word)}`),
    );
  }

  private icmp(cursor: Cursor, family: Family): { readonly type: Ranges<number>; readonly code: Ranges<number> } {
    const types = this.words.get('type');
    const codes = this.words.get('code');
    const code =
      codes === undefined
        ? ANY_OCTET
        : readList(codes.text, ANY_OCTET, numberRange(255), (word) =>
            cursor.error(codes, `expected ${EXPECTED.code}, read ${quoteText(word)}`),
          );
    if (types === undefined) return { type: ANY_OCTET, code };
    const named = icmpNamed(family, types.text);
    if (named?.code !== undefined) {
      const only = [{ from: named.code, to: named.code }];
      return { type: [{ from: named.type, to: named.type }], code: intersectRanges(code, only) };
    }
    const item = (word: string): Ranges<number> | undefined => {
      const found = icmpNamed(family, word);
      if (found === undefined) return numberRange(255)(word);
      if (found.code !== undefined) throw cursor.error(types, `${found.name} names a code too, so it stands alone`);
      return [{ from: found.type, to: found.type }];
    };
    const type = readList(types.text, ANY_OCTET, item, (word) => {
      const meant = nearest(
        word,
        icmpNames(family).map(({ name }) => name),
      );
      const hint = meant === undefined ? '' : `, did you mean ${meant}?`;
      return cursor.error(types, `expected ${EXPECTED.type}, read ${quoteText(word)}${hint}`);
    });
    return { type, code };
  }

  private states(cursor: Cursor): Pattern['states'] {
    const token = this.words.get('state');
    if (token === undefined) return CONNTRACK_STATES;
    const at = (word: string): Ranges<number> | undefined => {
      const index = CONNTRACK_STATES.findIndex((state) => state === word.toUpperCase());
      return index < 0 ? undefined : [{ from: index, to: index }];
    };
    const all = [{ from: 0, to: CONNTRACK_STATES.length - 1 }];
    const indices = readList(token.text, all, at, (word) => {
      const meant = nearest(word, CONNTRACK_STATES);
      return cursor.error(
        token,
        `unknown state ${quoteText(word)}, ${meant === undefined ? `expected one of ${CONNTRACK_STATES.join(', ')}` : `did you mean ${meant}?`}`,
      );
    });
    return CONNTRACK_STATES.filter((_, index) => rangesCover(indices, [{ from: index, to: index }]));
  }

  private entry(cursor: Cursor): EntrySet {
    const interfaces = this.words.get('in');
    const hosts = this.words.get('local');
    if (interfaces === undefined && hosts === undefined) return ANY_ENTRY;
    return {
      in: readNames(cursor, interfaces, EXPECTED.in, (word) =>
        parseInterfaceEntry(word) === undefined ? undefined : word,
      ),
      local: readNames(cursor, hosts, EXPECTED.local, (word) => {
        const host = word.endsWith(':') ? word.slice(0, -1) : undefined;
        return host === '' || (host !== undefined && isHostName(host)) ? host : undefined;
      }),
    };
  }
}

const EXPECTED: Readonly<Record<SetKey, string>> = {
  flags: 'tcp flags (S, SA, - for none, S/FSRA for S out of F S R A, a list of them, or !)',
  type: 'icmp types (0-255, names, a list of them, or !)',
  code: 'icmp codes (0-255, a list of them, or !)',
  in: 'interfaces (eth0, host1:eth0, a list of them, or !)',
  local: 'hosts (host1:, a list of them, or !)',
  state: `states (${CONNTRACK_STATES.join(', ')}, a list of them, or !)`,
};

function readNames(
  cursor: Cursor,
  token: Token | undefined,
  expected: string,
  name: (word: string) => string | undefined,
): NameSet {
  if (token === undefined) return NO_NAME;
  if (token.text === 'any') return ANY_NAME;
  const not = token.text.startsWith('!');
  const words = (not ? token.text.slice(1) : token.text).split(',');
  const names = words.map((word) => {
    const read = name(word);
    if (read === undefined) throw cursor.error(token, `expected ${expected}, read ${quoteText(word)}`);
    return read;
  });
  return nameSet(names, not);
}

function familiesOf(cursor: Cursor, { source, destination }: SetHead): readonly Family[] {
  const of = ({ addresses }: SetEndpoint): Family | undefined => {
    const first = addresses?.[0];
    return first && familyOf(first.from);
  };
  const [from, to] = [of(source), of(destination)];
  if (from !== undefined && to !== undefined && from !== to) {
    throw cursor.error(destination.token, `the sources are IPv${from}, read ${quoteText(destination.token.text)}`);
  }
  const known = from ?? to;
  return known === undefined ? [4, 6] : [known];
}

/** The protocols of a list in one family. `only`: there is no other family, so a name of the other one's icmp is a mistake. */
function readProtocols(cursor: Cursor, token: Token, family: Family, only: boolean): Ranges<number> {
  const item = (word: string): Ranges<number> | undefined => {
    const protocol = parseProtocol(word);
    if (protocol === undefined) return numberRange(255)(word);
    const foreign = protocol === (family === 4 ? ICMPV6 : ICMP) && !/^\d/.test(word);
    if (foreign && only) {
      const right = family === 4 ? 'icmp' : 'icmpv6';
      throw cursor.error(token, `these are IPv${family} addresses, whose icmp is \`${right}\``);
    }
    return foreign ? [] : [{ from: protocol, to: protocol }];
  };
  return readList(token.text, ANY_OCTET, item, (word) => {
    const meant = nearest(word, [...PROTOCOL_NAMES, 'any']);
    const hint = meant === undefined ? 'expected a name, a number 0-255 or any' : `did you mean ${meant}?`;
    return cursor.error(token, `unknown protocol ${quoteText(word)}, ${hint}`);
  });
}

/** Flag octets of `SA` (exactly these) or `S/FSRA` (these out of those). */
function flagValues(text: string): Ranges<number> | undefined {
  const slash = text.indexOf('/');
  const compare = parseFlags(slash < 0 ? text : text.slice(0, slash));
  const mask = slash < 0 ? 255 : parseFlags(text.slice(slash + 1));
  if (compare === undefined || mask === undefined) return undefined;
  return flagRanges(mask, compare);
}

/** The values of the flag octet whose bits under `mask` are `compare`. */
export const flagRanges = (mask: number, compare: number): Ranges<number> =>
  normalizeRanges(
    Array.from({ length: 256 }, (_, value) => value)
      .filter((value) => (value & mask) === compare)
      .map((value) => ({ from: value, to: value })),
  );

/** The set in notation: its boxes joined by ` | `, or `none`. A box of each family that differ in nothing else print as one. */
export function printSet(set: PacketSet): string {
  const texts: string[] = [];
  const printed = new Set<Pattern>();
  for (const box of set.boxes) {
    if (printed.has(box)) continue;
    const twin = set.boxes.find((other) => !printed.has(other) && other.family !== box.family && areTwins(box, other));
    if (twin !== undefined) printed.add(twin);
    texts.push(printBox(box, twin !== undefined));
  }
  return texts.length === 0 ? 'none' : texts.join(' | ');
}

/** A box in notation. */
export const printPattern = (box: Pattern): string => printBox(box, false);

const hasAnyAddresses = (box: Pattern): boolean =>
  sameRanges(box.saddr, anyAddress(box.family)) && sameRanges(box.daddr, anyAddress(box.family));

/** Boxes of the two families whose common text, with `any` for both addresses, reads as both of them. */
const areTwins = (a: Pattern, b: Pattern): boolean =>
  hasAnyAddresses(a) &&
  hasAnyAddresses(b) &&
  !isIcmpOnly(a) &&
  !isIcmpOnly(b) &&
  printBox(a, true) === printBox(b, true);

const isIcmpOnly = (box: Pattern): boolean => sameRanges(box.protocol, only(icmpOf(box.family)));
const only = (value: number): Ranges<number> => [{ from: value, to: value }];

function printBox(box: Pattern, bothFamilies: boolean): string {
  const { family } = box;
  const all = anyAddress(family);
  const fullSource = sameRanges(box.saddr, all);
  const fullDestination = sameRanges(box.daddr, all);
  // `any` on both sides would be read as both families, unless the protocol says which one.
  const named = fullSource && fullDestination && !bothFamilies && !isIcmpOnly(box);
  const any = named ? printPrefix(anyPrefix(family)) : 'any';
  const addresses = (full: boolean, ranges: Ranges) => (full ? any : printAddresses(ranges, family));
  const ports = (ranges: Ranges<number>) => (sameRanges(ranges, ANY_PORTS) ? undefined : printNumbers(ranges, 65535));
  const sport = ports(box.sport);
  const dport = ports(box.dport);
  const anyProtocol =
    sameRanges(box.protocol, ANY_OCTET) || ((sport ?? dport) !== undefined && sameRanges(box.protocol, PORT_PROTOCOLS));
  const words = [
    anyProtocol ? 'any' : printProtocols(box.protocol, family),
    joinEndpoint(addresses(fullSource, box.saddr), sport),
    '>',
    joinEndpoint(addresses(fullDestination, box.daddr), dport),
  ];
  if (!sameRanges(box.flags, ANY_OCTET)) words.push('flags', printFlagSet(box.flags));
  if (!sameRanges(box.type, ANY_OCTET)) words.push('type', printNumbers(box.type, 255));
  if (!sameRanges(box.code, ANY_OCTET)) words.push('code', printNumbers(box.code, 255));
  words.push(...entryWords(box.entry));
  if (box.states.length < CONNTRACK_STATES.length) words.push('state', printStates(box.states));
  return words.join(' ');
}

/** The first of the shortest texts. */
const shortest = (texts: readonly string[]): string =>
  texts.reduce((best, text) => (text.length < best.length ? text : best));

function printAddresses(ranges: Ranges, family: Family): string {
  const items = (list: Ranges, not = '') => list.flatMap((range) => addressItems(range)).map((item) => `${not}${item}`);
  const texts = [items(ranges).join(',')];
  const outside = subtractRanges(anyAddress(family), ranges);
  texts.push(`!${items(outside).join(',')}`);
  const hull = hullOf(ranges);
  if (hull !== undefined) {
    const holes = subtractRanges([prefixRange(hull)], ranges);
    texts.push([printShortPrefix(hull), ...items(holes, '!')].join(','));
  }
  return shortest(texts);
}

/** One or two prefixes where those make up the range, otherwise `FROM-TO`. */
function addressItems(range: Range): readonly string[] {
  const prefixes = prefixesOf(range, 3);
  return prefixes.length <= 2
    ? prefixes.map(printShortPrefix)
    : [`${printAddress(range.from)}-${printAddress(range.to)}`];
}

/** The smallest prefix that holds every range; undefined for no range. */
function hullOf(ranges: Ranges) {
  const first = ranges[0]?.from;
  const last = ranges.at(-1)?.to;
  if (first === undefined || last === undefined) return undefined;
  const family = familyOf(first);
  const differing = (BigInt(first) ^ BigInt(last)).toString(2);
  const length = widthOf(family) - (differing === '0' ? 0 : differing.length);
  return prefixOf(fromBigint(family, BigInt(first)), length);
}

const printNumbers = (ranges: Ranges<number>, max: number): string => printRanges(ranges, max, String);

const printProtocols = (ranges: Ranges<number>, family: Family): string =>
  printRanges(ranges, 255, (protocol) => printProtocol(protocol, family));

/** A list of numbers 0..max, the shortest of: as it is, all but its complement, from first to last but the holes. */
function printRanges(ranges: Ranges<number>, max: number, print: (value: number) => string): string {
  const items = (list: Ranges<number>, not = '') =>
    list
      .flatMap(({ from, to }) =>
        from === to ? [print(from)] : from + 1 === to ? [print(from), print(to)] : [`${from}-${to}`],
      )
      .map((item) => `${not}${item}`);
  const texts = [items(ranges).join(',')];
  texts.push(`!${items(subtractRanges([{ from: 0, to: max }], ranges)).join(',')}`);
  const from = ranges[0]?.from ?? 0;
  const to = ranges.at(-1)?.to ?? max;
  const holes = subtractRanges([{ from, to }], ranges);
  if (holes.length > 0) texts.push([`${from}-${to}`, ...items(holes, '!')].join(','));
  return shortest(texts);
}

function printFlagSet(ranges: Ranges<number>): string {
  const outside = subtractRanges(ANY_OCTET, ranges);
  return shortest([
    ...flagCube(ranges),
    ...flagCube(outside).map((text) => `!${text}`),
    valuesOf(ranges).map(printFlags).join(','),
    `!${valuesOf(outside).map(printFlags).join(',')}`,
  ]);
}

const valuesOf = (ranges: Ranges<number>): readonly number[] =>
  ranges.flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, index) => from + index));

/** `COMPARE/MASK` where the values are all those with some bits fixed; nothing where they are not, or where every bit is fixed. */
function flagCube(ranges: Ranges<number>): readonly string[] {
  const values = valuesOf(ranges);
  const first = values[0];
  if (first === undefined) return [];
  const mask = values.reduce((fixed, value) => fixed & ~(value ^ first), 255);
  if (mask === 255 || mask === 0 || !sameRanges(ranges, flagRanges(mask, first & mask))) return [];
  return [`${printFlags(first & mask)}/${printFlags(mask)}`];
}

function entryWords(entry: EntrySet): readonly string[] {
  const local = printNames({ ...entry.local, names: entry.local.names.map((name) => `${name}:`) });
  const words = [
    ...(isNoName(entry.in) ? [] : [`in ${printNames(entry.in)}`]),
    ...(isNoName(entry.local) ? [] : [local === ':' ? 'local' : `local ${local}`]),
  ];
  return words.join(' ') === 'in any local any' ? [] : words;
}

const isNoName = (set: NameSet): boolean => !set.not && set.names.length === 0;
const printNames = (set: NameSet): string =>
  set.not && set.names.length === 0 ? 'any' : `${set.not ? '!' : ''}${set.names.join(',')}`;

function printStates(states: Pattern['states']): string {
  const others = CONNTRACK_STATES.filter((state) => !states.includes(state));
  return shortest([states.join(','), `!${others.join(',')}`]);
}
