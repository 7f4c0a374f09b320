/**
 * The packet notation: `PROTOCOL SADDR[:SPORT] > DADDR[:DPORT] [KEY VALUE]...`, one packet a line.
 *
 * Printing is canonical (one order of keys, numbers rather than names) and minimal (a field that has its default is left out), so
 * `print(parse(text)) === text` for canonical text, and `parse(print(packet))` is the packet for every packet whose fields are those
 * that its protocol has. Such a packet has ports 0 where its protocol has none, and so on; see `Packet`.
 *
 * Choices of the notation:
 * - tcp, udp, udplite, dccp and sctp need both ports: a port that was forgotten is an error, not port 0.
 * - `icmp` is the icmp of IPv4 and `icmpv6` that of IPv6; with the wrong addresses they are errors.
 * - `type` also takes the names of `iptables -p icmp -h`, some of which name a code too.
 * - `quotes N` is the packet on line N of the conversation; `quotes (PACKET)` writes the quoted packet out.
 * - `frag OFFSET[+]` is in units of eight octets, as in the header; a later fragment (offset above 0) has no transport header, so
 *   of the transport fields it takes only the two ports, as the first four octets of its payload, and may leave them out.
 */
import { familyOf, printAddress } from '../address/address.ts';
import { nearest } from '../diagnostic/nearest.ts';
import { quoteText } from '../diagnostic/quote.ts';
import { icmpNamed, icmpNames } from './icmp.ts';
import { packetLength } from './length.ts';
import type { Arrival, ConntrackState, Entry, Packet } from './packet.ts';
import {
  CONNTRACK_STATES,
  hasChecksum,
  hasIdentifier,
  hasPorts,
  ICMP,
  ICMPV6,
  icmpOf,
  isIcmpError,
  isLaterFragment,
  isPart,
  DEFAULT_TTL,
  makePacket,
  transportDefaults,
  TCP,
} from './packet.ts';
import { isExtensionHeader, parseProtocol, printProtocol, PROTOCOL_NAMES } from './protocol.ts';
import type { Endpoint, Origin, Token } from './reader.ts';
import {
  ARGUMENT,
  Cursor,
  isHostName,
  joinEndpoint,
  numberOf,
  parseInterfaceEntry,
  printEntry,
  printFlags,
  readEndpoint,
  readFlags,
  readFragment,
  readMac,
  readNumber,
} from './reader.ts';

const TRANSPORT_KEYS = ['flags', 'seq', 'ack', 'type', 'code', 'id', 'quotes', 'ttl', 'payload', 'frag'] as const;
const PACKET_KEYS = [...TRANSPORT_KEYS, 'mark', 'badsum', 'smac', 'dmac'] as const;
const ARRIVAL_KEYS = [...PACKET_KEYS, 'in', 'local', 'state'] as const;
type Key = (typeof ARRIVAL_KEYS)[number];

/** An icmp error about an icmp error is never sent (RFC 1122 section 3.2.2), so nobody needs more than a few levels. */
const DEEPEST_QUOTE = 4;

/** The length fields have 16 bits; that of IPv6 leaves out the header. */
const LONGEST_PACKET = { 4: 65535, 6: 65575 } as const;

/** What a line says beside the packet itself. */
interface Surroundings {
  entry?: Entry;
  state?: ConntrackState;
  quotes?: number;
}

interface Reading {
  readonly packet: Packet;
  readonly surroundings: Surroundings;
}

/** Where the text is: a packet that arrives, a packet by itself, or one that an icmp error quotes. */
type Place = 'arrival' | 'packet' | 'quoted';

const KEYS: Readonly<Record<Place, readonly Key[]>> = {
  arrival: ARRIVAL_KEYS,
  packet: PACKET_KEYS,
  quoted: TRANSPORT_KEYS,
};

/** Reads a packet by itself. Throws InputError. */
export function parsePacket(text: string, origin: Origin = ARGUMENT): Packet {
  const cursor = new Cursor(text, origin);
  const { packet } = readPacket(cursor, 'packet', 0);
  cursor.finish('the end of the packet');
  return packet;
}

/** Reads a packet and where it enters, which must be said: `in [HOST:]IFACE` or `local [HOST:]`. Throws InputError. */
export function parseArrival(text: string, origin: Origin = ARGUMENT): Arrival {
  const cursor = new Cursor(text, origin);
  const { packet, surroundings } = readPacket(cursor, 'arrival', 0);
  cursor.finish('the end of the packet');
  const { entry, state, quotes } = surroundings;
  if (entry === undefined) {
    throw cursor.error(
      undefined,
      'where does the packet enter? expected `in INTERFACE`, or `local` for one made by the host',
    );
  }
  return { packet, entry, ...(state !== undefined && { state }), ...(quotes !== undefined && { quotes }) };
}

/** Reads a protocol by name or number. */
export function readProtocol(cursor: Cursor): { readonly token: Token; readonly protocol: number } {
  const token = cursor.next('a protocol (tcp, udp, icmp, ... or a number)');
  const protocol = parseProtocol(token.text);
  if (protocol === undefined) {
    const meant = nearest(token.text, PROTOCOL_NAMES);
    const hint =
      meant === undefined ? 'expected tcp, udp, icmp, icmpv6, ... or a number 0-255' : `did you mean ${meant}?`;
    throw cursor.error(token, `unknown protocol ${quoteText(token.text)}, ${hint}`);
  }
  return { token, protocol };
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };
type Fields = Writable<Partial<Packet>> & Pick<Packet, 'family' | 'saddr' | 'daddr' | 'protocol'>;

function readPacket(cursor: Cursor, place: Place, depth: number): Reading {
  const { token, protocol } = readProtocol(cursor);
  const from = cursor.peek();
  const source = readEndpoint(cursor, 'the source address');
  const arrow = cursor.next('`>` and the destination');
  if (arrow.text !== '>') throw cursor.unexpected(arrow, '`>` and the destination');
  const to = cursor.peek();
  const destination = readEndpoint(cursor, 'the destination address');
  const family = familyOf(source.address);
  if (familyOf(destination.address) !== family) {
    throw cursor.error(to, `the source is an IPv${family} address, read ${quoteText(to?.text ?? '')}`);
  }
  checkProtocol(cursor, token, protocol, family);
  const fields: Fields = { family, saddr: source.address, daddr: destination.address, protocol };
  const surroundings: Surroundings = {};
  const written = readKeys(cursor, place, depth, fields, surroundings);
  takePort(cursor, fields, 'sport', source, from);
  takePort(cursor, fields, 'dport', destination, to);
  checkKeys(cursor, fields, written);
  const packet = makePacket(fields);
  const length = packetLength(packet);
  if (length > LONGEST_PACKET[family]) {
    const longest = `an IPv${family} packet has at most ${LONGEST_PACKET[family]} octets`;
    throw cursor.error(written.get('payload') ?? token, `this packet would have ${length} octets, ${longest}`);
  }
  return { packet, surroundings };
}

function checkProtocol(cursor: Cursor, token: Token, protocol: number, family: Packet['family']): void {
  const named = !/^\d/.test(token.text);
  if (named && family === 6 && protocol === ICMP) {
    throw cursor.error(token, 'these are IPv6 addresses, whose icmp is `icmpv6`');
  }
  if (named && family === 4 && protocol === ICMPV6) {
    throw cursor.error(token, 'these are IPv4 addresses, whose icmp is `icmp`');
  }
  if (family === 6 && isExtensionHeader(protocol)) {
    throw cursor.error(token, `${protocol} is an extension header of IPv6, no protocol that a packet ends in`);
  }
}

function takePort(
  cursor: Cursor,
  fields: Fields,
  field: 'sport' | 'dport',
  endpoint: Endpoint,
  token: Token | undefined,
): void {
  const later = isLaterFragment(fields);
  if (endpoint.port !== undefined) {
    if (!hasPorts(fields.protocol) && !later) {
      throw cursor.error(token, `${printProtocol(fields.protocol, fields.family)} has no ports`);
    }
    fields[field] = endpoint.port;
  } else if (hasPorts(fields.protocol) && !later) {
    const address = printAddress(endpoint.address);
    const side = field === 'sport' ? 'source' : 'destination';
    throw cursor.error(
      token,
      `${printProtocol(fields.protocol, fields.family)} needs a ${side} port: ${joinEndpoint(address, 'PORT')}`,
    );
  }
}

/** Reads keys up to the end of the line or a closing parenthesis; gives back which were there, and where. */
function readKeys(
  cursor: Cursor,
  place: Place,
  depth: number,
  fields: Fields,
  surroundings: Surroundings,
): ReadonlyMap<Key, Token> {
  const written = new Map<Key, Token>();
  for (;;) {
    const token = cursor.peek();
    if (token === undefined || token.text === ')') return written;
    const key = keyOf(cursor, cursor.next('a key'), place);
    if (written.has(key)) throw cursor.error(token, `${key} is written twice`);
    if (key === 'local' && written.has('in')) throw cursor.error(token, 'a packet enters `in` or is `local`, not both');
    if (key === 'in' && written.has('local')) throw cursor.error(token, 'a packet is `local` or enters `in`, not both');
    written.set(key, token);
    readValue(cursor, key, depth, fields, surroundings);
  }
}

function keyOf(cursor: Cursor, token: Token, place: Place): Key {
  const key = ARRIVAL_KEYS.find((candidate) => candidate === token.text);
  if (key === undefined) throw cursor.unknown(token, 'key', KEYS[place]);
  if (!KEYS[place].includes(key)) {
    throw cursor.error(
      token,
      place === 'packet' ? `${key} is said of a packet that arrives, not of this one` : `a quoted packet has no ${key}`,
    );
  }
  return key;
}

function readValue(cursor: Cursor, key: Key, depth: number, fields: Fields, surroundings: Surroundings): void {
  switch (key) {
    case 'flags':
      fields.flags = readFlags(cursor);
      break;
    case 'seq':
    case 'ack':
    case 'mark':
      fields[key] = readNumber(cursor, key, 0xffffffff);
      break;
    case 'type': {
      const token = cursor.peek();
      const { type, code } = readIcmpType(cursor, fields.family);
      fields.type = type;
      if (code === undefined) break;
      if (fields.code !== undefined && fields.code !== code) {
        throw cursor.error(token, `this type is of code ${code}, and code ${fields.code} is written`);
      }
      fields.code = code;
      break;
    }
    case 'code': {
      const token = cursor.peek();
      const code = readNumber(cursor, key, 255);
      if (fields.code !== undefined && fields.code !== code) {
        throw cursor.error(token, `the name of the type already says code ${fields.code}`);
      }
      fields.code = code;
      break;
    }
    case 'id':
      fields.id = readNumber(cursor, key, 65535);
      break;
    case 'ttl':
      fields.ttl = readNumber(cursor, key, 255);
      break;
    case 'payload':
      fields.payload = readNumber(cursor, key, 65535);
      break;
    case 'badsum':
      fields.badsum = true;
      break;
    case 'smac':
    case 'dmac':
      fields[key] = readMac(cursor);
      break;
    case 'frag':
      fields.fragment = readFragment(cursor);
      break;
    case 'quotes':
      readQuotes(cursor, depth, fields, surroundings);
      break;
    case 'in':
    case 'local':
      surroundings.entry = key === 'in' ? readIn(cursor) : readLocal(cursor);
      break;
    case 'state':
      surroundings.state = readState(cursor);
      break;
  }
}

/** Reads `8`, `3/4` or a name of `iptables -p icmp -h`. */
function readIcmpType(cursor: Cursor, family: Packet['family']): { readonly type: number; readonly code?: number } {
  const token = cursor.next('an icmp type (0-255 or a name)');
  const number = numberOf(token.text, 255);
  if (number !== undefined) return { type: number };
  const named = icmpNamed(family, token.text);
  if (named === undefined) {
    throw /^[\d/]+$/.test(token.text)
      ? cursor.unexpected(token, 'an icmp type 0-255; the code is a key of its own, `type 3 code 4`')
      : cursor.unknown(
          token,
          'icmp type',
          icmpNames(family).map(({ name }) => name),
        );
  }
  return named;
}

function readQuotes(cursor: Cursor, depth: number, fields: Fields, surroundings: Surroundings): void {
  const token = cursor.next('the line of the packet that the error is about, or the packet in parentheses');
  if (token.text !== '(') {
    const line = numberOf(token.text, 0x7fffffff);
    if (line === undefined || line === 0) {
      throw cursor.unexpected(token, 'the line of the packet that the error is about, or the packet in parentheses');
    }
    surroundings.quotes = line;
    return;
  }
  if (depth === DEEPEST_QUOTE) throw cursor.error(token, `packets are quoted more than ${DEEPEST_QUOTE} deep`);
  const { packet, surroundings: inner } = readPacket(cursor, 'quoted', depth + 1);
  if (inner.quotes !== undefined) {
    throw cursor.error(token, 'write out what the quoted packet quotes: only a line of its own can refer to a line');
  }
  const close = cursor.next('`)` after the quoted packet');
  if (close.text !== ')') throw cursor.unexpected(close, '`)` after the quoted packet');
  if (packet.family !== fields.family)
    throw cursor.error(token, `an IPv${fields.family} error quotes IPv${fields.family} packets`);
  fields.quoted = packet;
}

function readIn(cursor: Cursor): Entry {
  const expected = 'an interface, as eth0 or host1:eth0 (at most 15 characters)';
  const token = cursor.next(expected);
  const entry = parseInterfaceEntry(token.text);
  if (entry === undefined) throw cursor.unexpected(token, expected);
  return entry;
}

function readLocal(cursor: Cursor): Entry {
  const token = cursor.peek();
  if (token?.text.endsWith(':') !== true) return { kind: 'local' };
  const host = cursor.next('a host').text.slice(0, -1);
  if (!isHostName(host)) throw cursor.unexpected(token, 'a host, as `local host1:`');
  return { kind: 'local', host };
}

/** Reads a connection tracking state, in any case of letters. */
export function readState(cursor: Cursor): ConntrackState {
  const token = cursor.next(`a state (${CONNTRACK_STATES.join(', ')})`);
  const state = CONNTRACK_STATES.find((candidate) => candidate === token.text.toUpperCase());
  if (state === undefined) throw cursor.unknown(token, 'state', CONNTRACK_STATES);
  return state;
}

/** Refuses keys that this packet's protocol does not have. */
function checkKeys(cursor: Cursor, fields: Fields, written: ReadonlyMap<Key, Token>): void {
  const protocol = printProtocol(fields.protocol, fields.family);
  const icmp = fields.protocol === icmpOf(fields.family);
  const later = isLaterFragment(fields);
  for (const [key, token] of written) {
    if (key === 'flags' || key === 'seq' || key === 'ack') {
      if (fields.protocol !== TCP) throw cursor.error(token, `${protocol} has no ${key}`);
    } else if (key === 'type' || key === 'code' || key === 'id' || key === 'quotes') {
      if (!icmp) throw cursor.error(token, `${protocol} has no ${key}`);
    } else if (key === 'badsum') {
      if (!hasChecksum(fields)) throw cursor.error(token, `${protocol} has no checksum that anyone checks`);
      if (isPart(fields)) throw cursor.error(token, 'a fragment has no checksum of its own');
      continue;
    } else if (key === 'frag') {
      if (fields.family === 4 && !isPart(fields)) {
        throw cursor.error(token, '`frag 0` without + is a whole packet: leave it out');
      }
      continue;
    } else continue;
    if (later) throw cursor.error(token, `a fragment with an offset has no transport header, so no ${key}`);
  }
  const { type } = makePacket(fields);
  const id = written.get('id');
  if (id !== undefined && !hasIdentifier({ ...fields, type })) {
    throw cursor.error(id, `${protocol} type ${type} has no id`);
  }
  const quotes = written.get('quotes');
  if (quotes !== undefined && !isIcmpError({ ...fields, type })) {
    throw cursor.error(
      quotes,
      `${protocol} type ${type} quotes no packet: only errors do, as \`type port-unreachable\` or \`type time-exceeded\``,
    );
  }
}

/** The packet in canonical notation: the fields that differ from their defaults, in a fixed order. */
export function printPacket(packet: Packet): string {
  const { family, saddr, daddr, protocol, fragment, type } = packet;
  const base = { family, protocol, ...(fragment !== undefined && { fragment }) };
  const defaults = transportDefaults(base);
  const ports = isLaterFragment(packet) ? packet.sport !== 0 || packet.dport !== 0 : hasPorts(protocol);
  const words = [
    printProtocol(protocol, family),
    joinEndpoint(printAddress(saddr), ports ? `${packet.sport}` : undefined),
    '>',
    joinEndpoint(printAddress(daddr), ports ? `${packet.dport}` : undefined),
  ];
  if (packet.flags !== defaults.flags) words.push('flags', printFlags(packet.flags));
  if (packet.seq !== defaults.seq) words.push(`seq ${packet.seq}`);
  if (packet.ack !== 0) words.push(`ack ${packet.ack}`);
  if (type !== defaults.type) words.push(`type ${type}`);
  if (packet.code !== 0) words.push(`code ${packet.code}`);
  if (packet.id !== transportDefaults({ ...base, type }).id) words.push(`id ${packet.id}`);
  if (packet.quoted !== undefined) words.push(`quotes (${printPacket(packet.quoted)})`);
  if (packet.ttl !== DEFAULT_TTL) words.push(`ttl ${packet.ttl}`);
  if (packet.mark !== 0) words.push(`mark 0x${packet.mark.toString(16)}`);
  if (packet.payload !== 0) words.push(`payload ${packet.payload}`);
  if (packet.badsum) words.push('badsum');
  if (fragment !== undefined) words.push(`frag ${fragment.offset}${fragment.more ? '+' : ''}`);
  if (packet.smac !== undefined) words.push(`smac ${packet.smac}`);
  if (packet.dmac !== undefined) words.push(`dmac ${packet.dmac}`);
  return words.join(' ');
}

/** The packet, where it enters, and the state that is asserted. */
export function printArrival(arrival: Arrival): string {
  const words = [printPacket(arrival.packet)];
  if (arrival.quotes !== undefined && arrival.packet.quoted === undefined) words.push(`quotes ${arrival.quotes}`);
  words.push(printEntry(arrival.entry));
  if (arrival.state !== undefined) words.push(`state ${arrival.state}`);
  return words.join(' ');
}
