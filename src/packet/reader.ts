/** Reading one line of text word by word: what the packet, set and fate notations share. */
import type { Address } from '../address/address.ts';
import { parseAddress } from '../address/address.ts';
import { parseMac } from '../address/mac.ts';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { InputError } from '../diagnostic/diagnostic.ts';
import { nearest } from '../diagnostic/nearest.ts';
import { quoteText } from '../diagnostic/quote.ts';
import type { Entry, Fragment } from './packet.ts';

/** Where a text stands: the position of its first character, counted from 1. */
export interface Origin {
  readonly path: string;
  readonly line: number;
  readonly column: number;
}

/** For a text that comes from no file: an argument of the command line. */
export const ARGUMENT: Origin = { path: 'argument', line: 1, column: 1 };

/** A word, and where it begins in the text (from 0). */
export interface Token {
  readonly text: string;
  readonly at: number;
}

/** The words of one line, and a place among them. `( ) > |` are words of their own; all else is parted by blanks. */
export class Cursor {
  private readonly tokens: readonly Token[];
  private readonly end: number;
  private readonly origin: Origin;
  private index = 0;

  constructor(text: string, origin: Origin) {
    this.tokens = [...text.matchAll(/[()>|]|[^\s()>|]+/g)].map((match) => ({ text: match[0], at: match.index }));
    this.end = text.trimEnd().length;
    this.origin = origin;
  }

  /** The word `ahead` of the next one, without moving. */
  peek(ahead = 0): Token | undefined {
    return this.tokens[this.index + ahead];
  }

  /** The next word; at the end of the line an error that says what was `expected`. */
  next(expected: string): Token {
    const token = this.tokens[this.index];
    if (token === undefined) throw this.error(undefined, `expected ${expected}, the text ends here`);
    this.index++;
    return token;
  }

  /** Moves past the next word if it is `text`. */
  skip(text: string): boolean {
    if (this.tokens[this.index]?.text !== text) return false;
    this.index++;
    return true;
  }

  /** Fails unless every word is read. */
  finish(expected: string): void {
    const token = this.peek();
    if (token !== undefined) throw this.unexpected(token, expected);
  }

  /** An error at a word, `offset` characters into it; without a word, at the end of the text. */
  error(token: Token | undefined, message: string, offset = 0): InputError {
    return new InputError([this.diagnostic(token, message, offset)]);
  }

  unexpected(token: Token, expected: string): InputError {
    return this.error(token, `expected ${expected}, read ${quoteText(token.text)}`);
  }

  /** For a word out of a fixed list; names the one that was probably meant. */
  unknown(token: Token, what: string, candidates: readonly string[]): InputError {
    const meant = nearest(token.text, candidates);
    const hint = meant === undefined ? `expected one of ${candidates.join(', ')}` : `did you mean ${meant}?`;
    return this.error(token, `unknown ${what} ${quoteText(token.text)}, ${hint}`);
  }

  private diagnostic(token: Token | undefined, message: string, offset: number): Diagnostic {
    const { path, line, column } = this.origin;
    return { path, line, column: column + (token === undefined ? this.end : token.at + offset), message };
  }
}

/** Reads a decimal or 0x number 0..max. */
export function readNumber(cursor: Cursor, what: string, max: number): number {
  const expected = `${what} (a number 0-${max})`;
  const token = cursor.next(expected);
  const value = numberOf(token.text, max);
  if (value === undefined) throw cursor.unexpected(token, expected);
  return value;
}

/** A decimal or 0x number 0..max; undefined for other text. */
export function numberOf(text: string, max: number): number | undefined {
  if (!/^(\d{1,10}|0[xX][0-9a-fA-F]{1,8})$/.test(text)) return undefined;
  const value = Number(text);
  return value <= max ? value : undefined;
}

/** `ADDRESS`, `ADDRESS:PORT` or `[ADDRESS]:PORT` cut in two; the port is undefined where none is written. */
export function splitEndpoint(text: string): { readonly address: string; readonly port?: string } {
  const bracketed = /^(!?)\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) {
    const [, not = '', address = '', port] = bracketed;
    return port === undefined ? { address: not + address } : { address: not + address, port };
  }
  const colon = text.indexOf(':');
  // Two colons or more are an IPv6 address; its port would stand behind brackets.
  if (colon < 0 || text.includes(':', colon + 1)) return { address: text };
  return { address: text.slice(0, colon), port: text.slice(colon + 1) };
}

/** An address with a port in the form that `splitEndpoint` cuts. */
export const joinEndpoint = (address: string, port: string | undefined): string =>
  port === undefined ? address : address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;

export interface Endpoint {
  readonly address: Address;
  readonly port?: number;
}

export function readEndpoint(cursor: Cursor, what: string): Endpoint {
  const expected = `${what}, as 10.0.0.1, 10.0.0.1:80, 2001:db8::1 or [2001:db8::1]:80`;
  const token = cursor.next(expected);
  const { address: written, port } = splitEndpoint(token.text);
  const address = parseAddress(written);
  if (address === undefined) throw cursor.unexpected(token, expected);
  if (port === undefined) return { address };
  const value = /^\d{1,5}$/.test(port) ? numberOf(port, 65535) : undefined;
  if (value === undefined) {
    throw cursor.error(
      token,
      `expected a port 0-65535 after the address, read ${quoteText(port)}`,
      token.text.length - port.length,
    );
  }
  return { address, port: value };
}

const FLAG_LETTERS: readonly string[] = ['F', 'S', 'R', 'P', 'A', 'U', 'E', 'C'];

/** Reads tcp flags by their letters, `-` or `none` for no flag; undefined for other text. */
export function parseFlags(text: string): number | undefined {
  if (text === '-' || text.toLowerCase() === 'none') return 0;
  if (text.length === 0 || text.length > 8) return undefined;
  let flags = 0;
  for (const letter of text.toUpperCase()) {
    const bit = FLAG_LETTERS.indexOf(letter);
    if (bit < 0) return undefined;
    flags |= 1 << bit;
  }
  return flags;
}

/** tcp flags as letters, FIN first as their bits stand: `SA`, `FPU`; `-` for none. */
export const printFlags = (flags: number): string =>
  flags === 0 ? '-' : FLAG_LETTERS.filter((_, bit) => (flags >> bit) & 1).join('');

export function readFlags(cursor: Cursor): number {
  const expected = 'tcp flags (letters of FSRPAUEC, or - for none)';
  const token = cursor.next(expected);
  const flags = parseFlags(token.text);
  if (flags === undefined) throw cursor.unexpected(token, expected);
  return flags;
}

export function readMac(cursor: Cursor): string {
  const expected = 'a link-layer address, as fa:16:3e:00:00:01';
  const token = cursor.next(expected);
  const mac = parseMac(token.text);
  if (mac === undefined) throw cursor.unexpected(token, expected);
  return mac;
}

/** `OFFSET` or `OFFSET+`: units of eight octets, `+` where more fragments follow. */
export function readFragment(cursor: Cursor): Fragment {
  const expected = 'a fragment offset 0-8191 in units of 8 octets, with + where more fragments follow';
  const token = cursor.next(expected);
  const more = token.text.endsWith('+');
  const offset = numberOf(more ? token.text.slice(0, -1) : token.text, 8191);
  if (offset === undefined) throw cursor.unexpected(token, expected);
  return { offset, more };
}

/** Interface names as the kernel takes them (net/core/dev.c dev_valid_name()), without characters that the notation needs. */
export const isInterfaceName = (text: string): boolean =>
  /^[^\s/:()>|,!]{1,15}$/.test(text) && text !== '.' && text !== '..';

/** Host names: no blanks and nothing that the notation needs. */
export const isHostName = (text: string): boolean => /^[^\s:()>|,!]{1,253}$/.test(text);

/** The operand of `in`: `IFACE` or `HOST:IFACE`. */
export function parseInterfaceEntry(text: string): Entry | undefined {
  const colon = text.indexOf(':');
  const name = text.slice(colon + 1);
  if (!isInterfaceName(name)) return undefined;
  if (colon < 0) return { kind: 'in', interface: name };
  const host = text.slice(0, colon);
  return isHostName(host) ? { kind: 'in', host, interface: name } : undefined;
}

/** Where a packet enters, as its line says it. `local HOST:` names the host as `in HOST:IFACE` does: by what stands before the colon. */
export function printEntry(entry: Entry): string {
  if (entry.kind === 'local') return entry.host === undefined ? 'local' : `local ${entry.host}:`;
  return `in ${entry.host === undefined ? '' : `${entry.host}:`}${entry.interface}`;
}
