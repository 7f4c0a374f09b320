/** Readers of the values that options take. Each reads one token, or throws a Fault that says what was expected. */
import type { Address, Family } from '../address/address.ts';
import {
  familyOf,
  lengthOfMask,
  maskAddress,
  maskOf,
  onesAddress,
  parseAddress,
  widthOf,
  zeroAddress,
} from '../address/address.ts';
import type { Mac } from '../address/mac.ts';
import { printMac } from '../address/mac.ts';
import type { PortRange } from '../address/ports.ts';
import { nearest } from '../diagnostic/nearest.ts';
import { quoteText } from '../diagnostic/quote.ts';
import { PROTOCOL_NAMES, protocolNumber } from './protocol.ts';
import type { MaskedAddress, MaskedMark } from './rule.ts';
import { servicePort } from './service.ts';
import type { Token } from './tokens.ts';
import { fail } from './tokens.ts';

/** The part of a token from `start` to `end`, with its own column. */
export const part = (token: Token, start: number, end?: number): Token => ({
  text: token.text.slice(start, end),
  column: token.column + start,
});

/** The parts of a token between separators. */
export function split(token: Token, separator: string): Token[] {
  let start = 0;
  return token.text.split(separator).map((text) => {
    const piece = { text, column: token.column + start };
    start += text.length + separator.length;
    return piece;
  });
}

/** A number as strtoul reads it with base 0 (libxtables, xtables_strtoui): decimal, 0x hexadecimal, 0 octal; undefined if it is none. */
export function parseNumber(text: string): bigint | undefined {
  const digits = /^\s*\+?(0x[0-9a-f]{1,16}|0[0-7]{0,22}|[1-9]\d{0,20})$/i.exec(text)?.[1];
  if (digits === undefined) return undefined;
  return BigInt(/^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits);
}

export function readNumber(token: Token, what: string, max: number, min = 0): number {
  const value = parseNumber(token.text);
  if (value === undefined || value < BigInt(min) || value > BigInt(max)) {
    fail(token, `${quoteText(token.text)} is no ${what}: expected a number from ${min} to ${max}`);
  }
  return Number(value);
}

/** A word of a fixed list, in any case of letters. */
export function readWord<T extends string>(token: Token, what: string, words: readonly T[]): T {
  const found = words.find((word) => word.toLowerCase() === token.text.toLowerCase());
  if (found !== undefined) return found;
  const near = nearest(token.text, words);
  const expected = near === undefined ? `expected ${words.join(', ')}` : `did you mean ${near}?`;
  fail(token, `${quoteText(token.text)} is no ${what}: ${expected}`);
}

/** A comma separated list of words of a fixed list; the result has the list's order, as iptables-save prints it, and each word once. */
export function readWords<T extends string>(token: Token, what: string, words: readonly T[]): T[] {
  const given = new Set(split(token, ',').map((piece) => readWord(piece, what, words)));
  return words.filter((word) => given.has(word));
}

const familyName = (family: Family): string => (family === 4 ? 'IPv4' : 'IPv6');

/** Numbers joined by dots, each at most 255, in decimal, octal or hexadecimal; the last may be larger when `wide`. */
function parseDotted(text: string, wide: boolean): readonly bigint[] | undefined {
  if (text.length > 64 || /[\s+]/.test(text)) return undefined;
  const numbers: bigint[] = [];
  for (const piece of text.split('.')) {
    const number = parseNumber(piece);
    if (number === undefined) return undefined;
    numbers.push(number);
  }
  const last = numbers.length - 1;
  if (last > 3) return undefined;
  const room = wide ? (1n << BigInt(8 * (4 - last))) - 1n : 255n;
  return numbers.some((number, i) => number > (i === last ? room : 255n)) ? undefined : numbers;
}

/** Missing octets at the end are 0: `10.1` is 10.1.0.0 (libxtables/xtables.c, numeric_to_ipaddr). */
const parseNetworkAddress = (text: string): number | undefined => {
  const octets = parseDotted(text, false);
  return octets && Number(octets.reduce((value, octet, i) => value | (octet << BigInt(24 - 8 * i)), 0n));
};

/** The last number fills what is left: `10.1` is 10.0.0.1 (inet_aton(3), by way of getaddrinfo). */
const parseHostAddress = (text: string): number | undefined => {
  const numbers = parseDotted(text, true);
  const last = (numbers?.length ?? 0) - 1;
  return (
    numbers && Number(numbers.reduce((value, one, i) => value | (i === last ? one : one << BigInt(24 - 8 * i)), 0n))
  );
};

/** How short forms of an IPv4 address are read. `exact`: there are none. */
type AddressForm = 'network' | 'host' | 'exact';

function parseIpv4(text: string, form: AddressForm): Address | undefined {
  const exact = parseAddress(text);
  if (typeof exact === 'number' || form === 'exact') return exact;
  return form === 'host' ? parseHostAddress(text) : (parseNetworkAddress(text) ?? parseHostAddress(text));
}

/** An address of the ruleset's family, written out in full unless `form` says otherwise. */
export function readAddress(token: Token, family: Family, form: AddressForm = 'exact'): Address {
  const address = family === 4 ? parseIpv4(token.text, form) : parseAddress(token.text);
  if (address !== undefined && familyOf(address) === family) return address;
  const other = parseAddress(token.text);
  if (other !== undefined) {
    const found = familyName(familyOf(other));
    fail(token, `${quoteText(token.text)} is an ${found} address in an ${familyName(family)} ruleset`);
  }
  const hint = /[a-z]/i.test(token.text) && !token.text.includes(':') ? ' (host names are not looked up)' : '';
  fail(token, `${quoteText(token.text)} is no ${familyName(family)} address${hint}`);
}

/** A mask written as an address, with all its octets. */
function parseMask(text: string, family: Family): Address | undefined {
  if (family === 4) return parseDotted(text, false)?.length === 4 ? parseNetworkAddress(text) : undefined;
  const mask = parseAddress(text);
  return typeof mask === 'bigint' ? mask : undefined;
}

/** `/LENGTH` or `/MASK`; masks with holes as well. */
function readMask(token: Token, family: Family): Address {
  const length = parseNumber(token.text);
  if (length !== undefined && length <= BigInt(widthOf(family))) return maskOf(family, Number(length));
  const mask = parseMask(token.text, family);
  if (mask !== undefined) return mask;
  fail(
    token,
    `${quoteText(token.text)} is no mask: expected a length from 0 to ${widthOf(family)} or a mask such as ` +
      (family === 4 ? '255.255.255.0' : 'ffff:ffff::'),
  );
}

/** `ADDRESS/MASK` as its two parts. */
function cutMask(token: Token): readonly [Token, Token | undefined] {
  const slash = token.text.indexOf('/');
  return slash < 0 ? [token, undefined] : [part(token, 0, slash), part(token, slash + 1)];
}

/** `-s`, `-d`: `ADDRESS[/MASK]`, host bits masked away. Before `/0` stands anything (libxtables/xtables.c: "like in any/0"). */
export function readNetwork(token: Token, family: Family): MaskedAddress {
  const [first, second] = cutMask(token);
  const mask = second === undefined ? onesAddress(family) : readMask(second, family);
  if (mask === zeroAddress(family)) return { address: mask, mask };
  return { address: maskAddress(readAddress(first, family, 'network'), mask), mask };
}

/**
 * What extensions read with xtopt_parse_hostmask: host bits are kept, and a mask with holes counts as the full one (libxtables/xtoptions.c
 * leaves the prefix length at its greatest there).
 */
export function readHostMask(token: Token, family: Family): MaskedAddress {
  const [first, second] = cutMask(token);
  const address = readAddress(first, family, 'host');
  const mask = second === undefined ? onesAddress(family) : readMask(second, family);
  return { address, mask: lengthOfMask(mask) === undefined ? onesAddress(family) : mask };
}

export function readProtocol(token: Token): number {
  const number = parseNumber(token.text);
  if (number !== undefined && number <= 255n) return Number(number);
  const named = protocolNumber(token.text);
  if (named !== undefined) return named;
  const near = nearest(token.text, PROTOCOL_NAMES);
  fail(
    token,
    `${quoteText(token.text)} is no protocol: expected a name or a number from 0 to 255` +
      (near === undefined ? '' : `; did you mean ${near}?`),
  );
}

/** A port as xtables_parse_port reads it: any number that strtoul reads with base 0, or a name. */
export function readPort(token: Token): number {
  const number = parseNumber(token.text);
  if (number !== undefined && number <= 65535n) return Number(number);
  return readServicePort(token);
}

/** A port as getaddrinfo reads it, which is decimal: `010` is 10, and hexadecimal is nothing (libxtables/xtoptions.c, xtables_getportbyname). */
function readServicePort(token: Token): number {
  const digits = /^\s*\+?(\d{1,9})$/.exec(token.text)?.[1];
  if (digits !== undefined && Number(digits) <= 65535) return Number(digits);
  const named = servicePort(token.text);
  if (named !== undefined) return named;
  fail(token, `${quoteText(token.text)} is no port: expected a number from 0 to 65535 or a service name`);
}

/** `PORT`, `FROM:TO`, `:TO`, `FROM:`. */
function readRange(token: Token, read: (token: Token) => number): PortRange {
  const colon = token.text.indexOf(':');
  if (colon < 0) {
    const port = read(token);
    return { from: port, to: port };
  }
  const first = part(token, 0, colon);
  const last = part(token, colon + 1);
  return { from: first.text === '' ? 0 : read(first), to: last.text === '' ? 65535 : read(last) };
}

/** Ports of tcp and sctp. */
export function readPortRange(token: Token): PortRange {
  const range = readRange(token, readPort);
  if (range.from <= range.to) return range;
  fail(token, `the port range ${range.from}:${range.to} is empty: its end is before its start`);
}

/** Ports of udp and conntrack (XTTYPE_PORTRC). A range whose end is before its start is taken; it holds for no port. */
export const readServiceRange = (token: Token): PortRange => readRange(token, readServicePort);

/** `N`, `FROM:TO`, `:TO`, `FROM:` of numbers up to `max`. A range whose end is before its start is taken; it holds for nothing. */
export function readNumberRange(token: Token, what: string, max: number): PortRange {
  const colon = token.text.indexOf(':');
  if (colon < 0) {
    const value = readNumber(token, what, max);
    return { from: value, to: value };
  }
  const first = part(token, 0, colon);
  const last = part(token, colon + 1);
  return {
    from: first.text === '' ? 0 : readNumber(first, what, max),
    to: last.text === '' ? max : readNumber(last, what, max),
  };
}

/** `VALUE[/MASK]` of a mark; without a mask every bit counts. */
export function readMark(token: Token): MaskedMark {
  const slash = token.text.indexOf('/');
  if (slash < 0) return { value: readNumber(token, 'mark', 0xffffffff), mask: 0xffffffff };
  return {
    value: readNumber(part(token, 0, slash), 'mark', 0xffffffff),
    mask: readNumber(part(token, slash + 1), 'mask', 0xffffffff),
  };
}

/** Six hexadecimal octets joined by colons; a leading zero may be missing (libxtables/xtoptions.c, xtopt_parse_ethermac). */
export function readMac(token: Token): Mac {
  if (!/^[0-9a-f]{1,2}(:[0-9a-f]{1,2}){5}$/i.test(token.text)) {
    fail(token, `${quoteText(token.text)} is no MAC address: expected six octets such as fa:16:3e:00:00:01`);
  }
  return printMac(token.text.split(':').map((octet) => parseInt(octet, 16)));
}

/** An interface's name, at most 15 characters (IFNAMSIZ with its end); a trailing `+` is a wildcard. */
export function readInterface(token: Token): string {
  if (token.text === '') fail(token, 'an empty interface name: expected a name such as eth0 or eth+');
  if (new TextEncoder().encode(token.text).length > 15) {
    fail(token, `the interface name ${quoteText(token.text)} is too long: expected at most 15 characters`);
  }
  return token.text;
}
