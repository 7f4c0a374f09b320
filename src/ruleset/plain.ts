/**
 * Rules as iptables-save spells them, read straight ahead: nearly every line of a large ruleset is such a one. Whatever is spelt in another way, or is not
 * right, is left to command.ts, which says of every line what this file says of plain ones (properties/ruleset.property.test.ts), many times slower.
 *
 * Equal texts are read once: the rules that they stand for share their matches and their target.
 */
import type { Address, Family } from '../address/address.ts';
import { maskAddress, maskOf, parseAddress } from '../address/address.ts';
import type { PortRange } from '../address/ports.ts';
import { ICMP, TCP, UDP } from '../packet/packet.ts';
import { CT_STATES, STATES } from './matches.ts';
import { protocolNumber } from './protocol.ts';
import type { IcmpType, MaskedAddress, Match, Negatable, Target } from './rule.ts';

/** What stands behind `-A CHAIN`. */
export interface PlainRule {
  readonly matches: readonly Match[];
  readonly target: Target | undefined;
  /** The chain that it jumps to, which is the text's last word. The reader has not asked whether there is such a chain. */
  readonly jump: string | undefined;
  readonly hasIn: boolean;
  readonly hasOut: boolean;
}

const TARGETS: ReadonlyMap<string, Target> = new Map(
  (['ACCEPT', 'DROP', 'RETURN'] as const).map((kind) => [kind, { kind }]),
);

/** Longer lines are for the other reader, which knows the limits of words and of their number. */
const MAX_LENGTH = 1000;
const MAX_COMMENT = 60;
const MAX_CHAIN = 28;

/** Texts of one family that have been read. One may serve several rulesets: then rules of equal text are equal objects in all of them. */
export class PlainRules {
  readonly #reader: Reader;
  readonly #known = new Map<string, PlainRule | undefined>();

  constructor(family: Family) {
    this.#reader = new Reader(family);
  }

  /** Undefined where the text is not plain. `text` without blanks around it. */
  read(text: string): PlainRule | undefined {
    const known = this.#known.get(text);
    if (known !== undefined || this.#known.has(text)) return known;
    const read = text.length > MAX_LENGTH || text.includes('\t') ? undefined : this.#reader.read(text);
    this.#known.set(text, read);
    return read;
  }
}

/** One text at a time, cut at its blanks. */
class Reader {
  readonly #family: Family;
  #words: readonly string[] = [];
  #at = 0;
  #source: Match | undefined;
  #destination: Match | undefined;
  #in: Match | undefined;
  #out: Match | undefined;
  #protocol: Extract<Match, { kind: 'protocol' }> | undefined;
  readonly #modules: Match[] = [];
  readonly #matches: Match[] = [];

  constructor(family: Family) {
    this.#family = family;
  }

  read(text: string): PlainRule | undefined {
    this.#words = text === '' ? [] : text.split(' ');
    this.#at = 0;
    this.#source = this.#destination = this.#in = this.#out = this.#protocol = undefined;
    this.#modules.length = 0;
    for (let word = this.#words[this.#at]; word !== undefined; word = this.#words[this.#at]) {
      this.#at++;
      if (word === '-j') return this.#targeted();
      const not = word === '!';
      if (!this.#option(not ? this.#next() : word, not)) return undefined;
    }
    return this.#rule(undefined, undefined);
  }

  #next(): string {
    return this.#words[this.#at++] ?? '';
  }

  #rule(target: Target | undefined, jump: string | undefined): PlainRule {
    const matches = this.#matches;
    matches.length = 0;
    for (const match of [this.#source, this.#destination, this.#in, this.#out, this.#protocol])
      if (match !== undefined) matches.push(match);
    for (const match of this.#modules) matches.push(match);
    return {
      // A copy has no room to spare.
      matches: matches.slice(),
      target,
      jump,
      hasIn: this.#in !== undefined,
      hasOut: this.#out !== undefined,
    };
  }

  /** The last word of a plain rule that has a target. */
  #targeted(): PlainRule | undefined {
    const name = this.#next();
    if (this.#at !== this.#words.length || name === '' || name.length > MAX_CHAIN || name.includes('"'))
      return undefined;
    const target = TARGETS.get(name);
    return target === undefined ? this.#rule({ kind: 'jump', chain: name }, name) : this.#rule(target, undefined);
  }

  /** False where the option is not plain. */
  #option(name: string, not: boolean): boolean {
    switch (name) {
      case '-s': {
        const value = readNetwork(this.#next(), this.#family);
        if (value === undefined || this.#source !== undefined) return false;
        this.#source = { kind: 'source', not, value };
        return true;
      }
      case '-d': {
        const value = readNetwork(this.#next(), this.#family);
        if (value === undefined || this.#destination !== undefined) return false;
        this.#destination = { kind: 'destination', not, value };
        return true;
      }
      case '-i': {
        const device = this.#next();
        if (!isDevice(device) || this.#in !== undefined) return false;
        this.#in = { kind: 'in', not, name: device };
        return true;
      }
      case '-o': {
        const device = this.#next();
        if (!isDevice(device) || this.#out !== undefined) return false;
        this.#out = { kind: 'out', not, name: device };
        return true;
      }
      case '-p': {
        const protocol = readProtocol(this.#next());
        if (protocol === 0 || this.#protocol !== undefined) return false;
        this.#protocol = { kind: 'protocol', not, protocol };
        return true;
      }
      case '-m':
        return !not && this.#module(this.#next());
      default:
        return false;
    }
  }

  #module(name: string): boolean {
    // A module that is loaded twice is for the other reader.
    if (this.#modules.some(({ kind }) => kind === name)) return false;
    switch (name) {
      case 'tcp':
      case 'udp':
        return this.#is(name === 'tcp' ? TCP : UDP) && this.#ports(name);
      case 'icmp':
        return this.#family === 4 && this.#is(ICMP) && this.#icmp();
      case 'state': {
        const given = this.#given('--state', (text) => readList(text, STATES));
        if (given === undefined) return false;
        this.#modules.push({ kind: 'state', not: given.not, states: given.value });
        return true;
      }
      case 'conntrack': {
        const ctstate = this.#given('--ctstate', (text) => readList(text, CT_STATES));
        if (ctstate === undefined) return false;
        this.#modules.push({ kind: 'conntrack', ctstate });
        return true;
      }
      case 'comment':
        return this.#comment();
      default:
        return false;
    }
  }

  #is(protocol: number): boolean {
    return this.#protocol?.protocol === protocol && !this.#protocol.not;
  }

  /** The option of this name if it comes next; undefined, with nothing taken, if another does. */
  #given<T>(name: string, read: (text: string) => T | undefined): Negatable<T> | undefined {
    const not = this.#words[this.#at] === '!';
    if (this.#words[this.#at + (not ? 1 : 0)] !== name) return undefined;
    const value = read(this.#words[this.#at + (not ? 2 : 1)] ?? '');
    if (value === undefined) return undefined;
    this.#at += not ? 3 : 2;
    return { not, value };
  }

  #ports(kind: 'tcp' | 'udp'): boolean {
    const sport = this.#given('--sport', readPorts);
    const dport = this.#given('--dport', readPorts);
    this.#modules.push({ kind, ...(sport && { sport }), ...(dport && { dport }) });
    return true;
  }

  #icmp(): boolean {
    const value = this.#given('--icmp-type', readIcmp);
    if (value === undefined) return false;
    this.#modules.push({ kind: 'icmp', value });
    return true;
  }

  #comment(): boolean {
    if (this.#next() !== '--comment') return false;
    let text = this.#next();
    if (text.startsWith('"')) {
      while (text.length === 1 || !text.endsWith('"')) {
        const word = this.#words[this.#at++];
        if (word === undefined) return false;
        text += ` ${word}`;
      }
      text = text.slice(1, -1);
    }
    if (text === '' || text.length > MAX_COMMENT || /["\\]/.test(text)) return false;
    this.#modules.push({ kind: 'comment', text });
    return true;
  }
}

/** A number without needless zeros; -1 for anything else. */
function readWhole(text: string, start: number, end: number, max: number): number {
  if (start >= end || end - start > 5 || (text.charCodeAt(start) === ZERO && end - start > 1)) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = text.charCodeAt(i) - ZERO;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value > max ? -1 : value;
}

const ZERO = 0x30;

/** `A.B.C.D`; -1 for anything else. */
function readIpv4(text: string, end: number): number {
  let address = 0;
  let start = 0;
  for (let octets = 0; octets < 4; octets++) {
    const dot = octets === 3 ? end : text.indexOf('.', start);
    const octet = dot < 0 ? -1 : readWhole(text, start, dot, 255);
    if (octet < 0) return -1;
    address = address * 256 + octet;
    start = dot + 1;
  }
  return address;
}

/** `ADDRESS` or `ADDRESS/LENGTH`, but not all addresses. */
function readNetwork(text: string, family: Family): MaskedAddress | undefined {
  const slash = text.indexOf('/');
  const end = slash < 0 ? text.length : slash;
  const width = family === 4 ? 32 : 128;
  const length = slash < 0 ? width : readWhole(text, slash + 1, text.length, width);
  if (length <= 0) return undefined;
  const address: Address | undefined = family === 4 ? readIpv4(text, end) : parseAddress(text.slice(0, end));
  if (address === undefined || address === -1 || (family === 6) !== (typeof address === 'bigint')) return undefined;
  const mask = maskOf(family, length);
  return { address: maskAddress(address, mask), mask };
}

const isDevice = (text: string): boolean => text !== '+' && /^[A-Za-z][A-Za-z0-9._@+-]{0,14}$/.test(text);

/** 0 where it is not plain. */
function readProtocol(text: string): number {
  const number = readWhole(text, 0, text.length, 255);
  return number < 0 ? (/^[a-z]/.test(text) ? (protocolNumber(text) ?? 0) : 0) : number;
}

function readPorts(text: string): PortRange | undefined {
  const colon = text.indexOf(':');
  const from = readWhole(text, 0, colon < 0 ? text.length : colon, 65535);
  const to = colon < 0 ? from : readWhole(text, colon + 1, text.length, 65535);
  // All ports say nothing unless they are negated.
  return from < 0 || to < from || (from === 0 && to === 65535) ? undefined : { from, to };
}

function readIcmp(text: string): IcmpType | undefined {
  const slash = text.indexOf('/');
  const type = readWhole(text, 0, slash < 0 ? text.length : slash, 255);
  const code = slash < 0 ? 0 : readWhole(text, slash + 1, text.length, 255);
  if (type < 0 || code < 0) return undefined;
  return { type, codes: slash < 0 ? { from: 0, to: 255 } : { from: code, to: code } };
}

/** Words of a list in the list's order. */
function readList<T extends string>(text: string, words: readonly T[]): readonly T[] | undefined {
  const given: readonly string[] = text.split(',');
  if (!given.every((word) => (words as readonly string[]).includes(word))) return undefined;
  return words.filter((word) => given.includes(word));
}
