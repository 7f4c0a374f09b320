/** Sets of addresses, ports and the like that rules match against (`-m set`), as `ipset save` prints them. */
import type { Address, Family } from '../address/address.ts';
import {
  familyOf,
  lastAddress,
  lengthOfMask,
  parseAddress,
  parsePrefix,
  prefixOf,
  widthOf,
} from '../address/address.ts';
import type { Mac } from '../address/mac.ts';
import { InputError } from '../diagnostic/diagnostic.ts';
import { nearest } from '../diagnostic/nearest.ts';
import { quoteText } from '../diagnostic/quote.ts';
import { icmpNamed } from '../packet/icmp.ts';
import { ICMP, ICMPV6, TCP, hasPorts } from '../packet/packet.ts';
import { Complaints } from './lines.ts';
import type { AddressRange } from './rule.ts';
import type { Token } from './tokens.ts';
import { fail, tokenize } from './tokens.ts';
import { part, readInterface, readMac, readNumber, readPort, readProtocol, split } from './values.ts';

/** An ipset. Entries are the fields that a set type has, in its own order, as ranges. `hash:ip,port` has two fields. */
export interface IpSet {
  readonly name: string;
  readonly type: string;
  readonly entries: readonly IpSetEntry[];
}

export interface IpSetEntry {
  readonly fields: readonly IpSetField[];
  readonly nomatch: boolean;
}

export type IpSetField =
  | { readonly kind: 'address'; readonly from: Address; readonly to: Address }
  /** `icmp:8/0` has the port 8 * 256 + 0. No protocol: bitmap:port, for tcp and udp. */
  | { readonly kind: 'port'; readonly protocol?: number; readonly from: number; readonly to: number }
  | { readonly kind: 'mac'; readonly mac: Mac }
  /** The packet's mark under `mask`, where the set has one, is `value`. */
  | { readonly kind: 'mark'; readonly value: number; readonly mask?: number }
  /** Also the name of a member of list:set. `physdev`: a bridge port; `wildcard`: any interface whose name begins so. */
  | { readonly kind: 'interface'; readonly name: string; readonly physdev?: boolean; readonly wildcard?: boolean };

/** The set types of ipset 7 (`ipset help`), by what stands between the commas of an entry. */
const TYPES: ReadonlyMap<string, readonly Dimension[]> = new Map(
  (
    'bitmap:ip bitmap:ip,mac bitmap:port hash:ip hash:mac hash:ip,mac hash:net hash:net,net hash:ip,port hash:net,port ' +
    'hash:ip,port,ip hash:ip,port,net hash:ip,mark hash:net,port,net hash:net,iface list:set'
  )
    .split(' ')
    .map((type) => [type, type.slice(type.indexOf(':') + 1).split(',') as Dimension[]]),
);

type Dimension = 'ip' | 'net' | 'mac' | 'port' | 'mark' | 'iface' | 'set';

/** Options of `create` and of `add`, with the number of their values. */
const CREATE_OPTIONS: Readonly<Record<string, number>> = {
  family: 1,
  range: 1,
  hashsize: 1,
  maxelem: 1,
  bucketsize: 1,
  initval: 1,
  netmask: 1,
  bitmask: 1,
  markmask: 1,
  timeout: 1,
  size: 1,
  counters: 0,
  comment: 0,
  skbinfo: 0,
  forceadd: 0,
};
const ADD_OPTIONS: Readonly<Record<string, number>> = {
  timeout: 1,
  packets: 1,
  bytes: 1,
  comment: 1,
  skbmark: 1,
  skbprio: 1,
  skbqueue: 1,
  before: 1,
  after: 1,
  nomatch: 0,
  wildcard: 0,
};

interface DraftSet {
  readonly name: string;
  readonly type: string;
  readonly dimensions: readonly Dimension[];
  readonly family: Family;
  /** What of an address counts: `netmask 24` makes a network of each. */
  readonly length: number | undefined;
  readonly markmask: number | undefined;
  readonly line: number;
  entries: IpSetEntry[];
}

function readOptions(tokens: readonly Token[], known: Readonly<Record<string, number>>): Map<string, Token> {
  const options = new Map<string, Token>();
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i];
    if (token === undefined) break;
    if (token.text === '-exist' || token.text === '-!') continue;
    const values = Object.hasOwn(known, token.text) ? known[token.text] : undefined;
    if (values === undefined) {
      const near = nearest(token.text, Object.keys(known));
      fail(token, `unknown option ${quoteText(token.text)}${near === undefined ? '' : `: did you mean ${near}?`}`);
    }
    const value = values === 0 ? token : tokens[++i];
    if (value === undefined) fail(token, `${token.text} needs a value`);
    options.set(token.text, value);
  }
  return options;
}

function readCreate(tokens: readonly Token[], command: Token, line: number): DraftSet {
  const [name, type, ...rest] = tokens;
  if (name === undefined || type === undefined) fail(command, `${command.text} needs a name and a type`);
  const dimensions = TYPES.get(type.text);
  if (dimensions === undefined) {
    const near = nearest(type.text, TYPES.keys());
    fail(
      type,
      `${quoteText(type.text)} is no set type: ` +
        (near === undefined ? `expected ${[...TYPES.keys()].join(', ')}` : `did you mean ${near}?`),
    );
  }
  const options = readOptions(rest, CREATE_OPTIONS);
  const named = options.get('family');
  if (named !== undefined && named.text !== 'inet' && named.text !== 'inet6') {
    fail(named, `${quoteText(named.text)} is no family: expected inet or inet6`);
  }
  const family = named?.text === 'inet6' ? 6 : 4;
  const netmask = options.get('netmask');
  const bitmask = options.get('bitmask');
  const markmask = options.get('markmask');
  return {
    name: name.text,
    type: type.text,
    dimensions,
    family,
    length: netmask ? readNumber(netmask, 'length', widthOf(family), 1) : bitmask && readBitmask(bitmask, family),
    markmask: markmask && readNumber(markmask, 'mask', 0xffffffff),
    line,
    entries: [],
  };
}

/** A mask as an address. One with holes makes no range of addresses, and entries here are ranges. */
function readBitmask(token: Token, family: Family): number {
  const mask = parseAddress(token.text);
  const length = mask !== undefined && familyOf(mask) === family ? lengthOfMask(mask) : undefined;
  if (length === undefined) fail(token, `${quoteText(token.text)} is no mask without holes: nothing else is read here`);
  return length;
}

/** An address, a network or a range of addresses; `length` makes a network of each address. */
function readAddresses(token: Token, set: DraftSet): IpSetField {
  const read = (piece: Token): Address => {
    const address = parseAddress(piece.text);
    if (address !== undefined && familyOf(address) === set.family) return address;
    fail(piece, `${quoteText(piece.text)} is no IPv${set.family} address`);
  };
  const dash = token.text.indexOf('-');
  if (dash >= 0) {
    const from = read(part(token, 0, dash));
    const to = read(part(token, dash + 1));
    if (from > to) fail(token, `the range ${quoteText(token.text)} is empty: its end is before its start`);
    return { kind: 'address', ...widened({ from, to }, set.length) };
  }
  if (!token.text.includes('/')) {
    const address = read(token);
    return { kind: 'address', ...widened({ from: address, to: address }, set.length) };
  }
  const prefix = parsePrefix(token.text);
  if (prefix === undefined || familyOf(prefix.address) !== set.family) {
    fail(token, `${quoteText(token.text)} is no IPv${set.family} network`);
  }
  return { kind: 'address', ...widened({ from: prefix.address, to: lastAddress(prefix) }, set.length) };
}

const widened = ({ from, to }: AddressRange, length: number | undefined): AddressRange =>
  length === undefined ? { from, to } : { from: prefixOf(from, length).address, to: lastAddress(prefixOf(to, length)) };

/** `[PROTOCOL:]PORT[-PORT]`, tcp unless it says otherwise; icmp has its types and codes there, other protocols a 0. */
function readPorts(token: Token, set: DraftSet): IpSetField {
  const colon = token.text.indexOf(':');
  const bitmap = set.type === 'bitmap:port';
  const protocol = colon < 0 ? TCP : readProtocol(part(token, 0, colon));
  const value = part(token, colon + 1);
  if (protocol === ICMP || protocol === ICMPV6) {
    const port = readIcmp(value, protocol === ICMP ? 4 : 6);
    return { kind: 'port', protocol, from: port, to: port };
  }
  const [first = value, last = first, more] = split(value, '-');
  if (more !== undefined) fail(value, `${quoteText(value.text)} is no port range: expected FROM-TO`);
  const from = readPort(first);
  const to = readPort(last);
  if (from > to) fail(value, `the port range ${quoteText(value.text)} is empty: its end is before its start`);
  if (!hasPorts(protocol) && to > 0) fail(value, `${token.text.slice(0, colon)} has no ports: expected 0`);
  return { kind: 'port', ...(bitmap ? {} : { protocol }), from, to };
}

/** A name, or `TYPE/CODE`, as one number: the type in the higher octet. */
function readIcmp(token: Token, family: Family): number {
  const named = icmpNamed(family, token.text);
  if (named !== undefined) return named.type * 256 + (named.code ?? 0);
  const [type = token, code] = split(token, '/');
  if (code === undefined) fail(token, `${quoteText(token.text)} is no icmp type: expected a name or TYPE/CODE`);
  return readNumber(type, 'icmp type', 255) * 256 + readNumber(code, 'icmp code', 255);
}

function readField(token: Token, dimension: Dimension, set: DraftSet, wildcard: boolean): IpSetField {
  switch (dimension) {
    case 'ip':
    case 'net':
      return readAddresses(token, set);
    case 'port':
      return readPorts(token, set);
    case 'mac':
      return { kind: 'mac', mac: readMac(token) };
    case 'mark': {
      const value = readNumber(token, 'mark', 0xffffffff);
      return set.markmask === undefined
        ? { kind: 'mark', value }
        : { kind: 'mark', value: (value & set.markmask) >>> 0, mask: set.markmask };
    }
    case 'set':
      return { kind: 'interface', name: token.text };
    case 'iface': {
      const bridged = token.text.startsWith('physdev:');
      const name = readInterface(bridged ? part(token, 'physdev:'.length) : token);
      return { kind: 'interface', name, ...(bridged ? { physdev: true } : {}), ...(wildcard ? { wildcard } : {}) };
    }
  }
}

function readEntry(token: Token, options: ReadonlyMap<string, Token>, set: DraftSet): IpSetEntry {
  const pieces = split(token, ',');
  // An entry of bitmap:ip,mac can wait for the MAC of the first packet that it sees.
  const missing = set.type === 'bitmap:ip,mac' && pieces.length === 1 ? 1 : 0;
  if (pieces.length !== set.dimensions.length - missing) {
    fail(token, `${quoteText(token.text)} has ${pieces.length} parts: ${set.type} has ${set.dimensions.length}`);
  }
  const wildcard = options.has('wildcard');
  return {
    fields: pieces.flatMap((piece, i) => {
      const dimension = set.dimensions[i];
      return dimension === undefined ? [] : [readField(piece, dimension, set, wildcard)];
    }),
    nomatch: options.has('nomatch'),
  };
}

/** One line: what `ipset restore` would do, of which `ipset save` prints `create` and `add` only. */
function execute(tokens: readonly Token[], sets: Map<string, DraftSet>, line: number): void {
  const [command, ...rest] = tokens.filter((token) => token.text !== '-exist' && token.text !== '-!');
  if (command === undefined || command.text === 'COMMIT') return;
  const find = (name: Token | undefined): DraftSet => {
    if (name === undefined) fail(command, `${command.text} needs the name of a set`);
    const set = sets.get(name.text);
    if (set === undefined) fail(name, `no set ${quoteText(name.text)} is created by now`);
    return set;
  };
  switch (command.text) {
    case 'create':
    case '-N': {
      const set = readCreate(rest, command, line);
      const existing = sets.get(set.name);
      if (existing !== undefined) {
        fail(rest[0] ?? command, `the set ${quoteText(set.name)} is already created in line ${existing.line}`);
      }
      sets.set(set.name, set);
      return;
    }
    case 'add':
    case '-A': {
      const set = find(rest[0]);
      const [, entry, ...options] = rest;
      if (entry === undefined) fail(command, `${command.text} needs a set and an entry`);
      set.entries.push(readEntry(entry, readOptions(options, ADD_OPTIONS), set));
      return;
    }
    case 'flush':
    case '-F':
      for (const set of rest.length === 0 ? sets.values() : [find(rest[0])]) set.entries = [];
      return;
    case 'destroy':
    case '-X':
      if (rest.length === 0) sets.clear();
      else sets.delete(find(rest[0]).name);
      return;
    default:
      fail(
        command,
        `${quoteText(command.text)} is no command that is read here: expected create, add, flush or destroy`,
      );
  }
}

/** Reads what `ipset save` prints. Throws an InputError with all that is wrong. */
export function parseIpsets(text: string, path: string): ReadonlyMap<string, IpSet> {
  const complaints = new Complaints(path);
  const sets = new Map<string, DraftSet>();
  complaints.readLines(text, (line, number) => {
    if (!line.trimStart().startsWith('#')) execute(tokenize(line), sets, number);
  });
  const diagnostics = complaints.list();
  if (diagnostics.length > 0) throw new InputError(diagnostics);
  return new Map([...sets].map(([name, { type, entries }]) => [name, { name, type, entries }]));
}
