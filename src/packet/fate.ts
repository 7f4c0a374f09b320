/**
 * What a person expects of a packet: `KIND [OIF [PORT]] [PACKET]`. What is written is compared, what is not written is not.
 *
 * `delivered`, `forwarded`, `dropped`, `rejected`, `undecided`; only a forwarded packet has an interface that it leaves by, and a
 * bridge port; only a delivered or forwarded one can be described. The description is a set in its notation, without `in`,
 * `local` and `state`, so it may leave out ports and say `any`: `forwarded br100 tcp any > 10.10.10.2:22`; with it may stand the
 * keys of the packet notation that sets do not have: seq ack id ttl mark payload badsum frag smac dmac, and `quotes (DESCRIPTION)`.
 */
import { quoteText } from '../diagnostic/quote.ts';
import { nearest } from '../diagnostic/nearest.ts';
import { printPacket } from './notation.ts';
import type { Packet } from './packet.ts';
import { hasPorts } from './packet.ts';
import type { PacketSet } from './pattern.ts';
import { holdsPacket, isEmptySet, NO_PACKET, unionSets } from './pattern.ts';
import type { Origin, Token } from './reader.ts';
import { ARGUMENT, Cursor, isInterfaceName, readFragment, readMac, readNumber } from './reader.ts';
import { printSet, readSetHead, SetKeys } from './set-notation.ts';

export const FATE_KINDS = ['delivered', 'forwarded', 'dropped', 'rejected', 'undecided'] as const;
export type ExpectedKind = (typeof FATE_KINDS)[number];

/** The fields that are compared with one value each. */
export type ExactFields = Partial<
  Pick<Packet, 'seq' | 'ack' | 'id' | 'ttl' | 'mark' | 'payload' | 'badsum' | 'fragment' | 'smac' | 'dmac'>
>;

export interface ExpectedPacket {
  /** One box, or one of each family; entry and states say nothing. */
  readonly within: PacketSet;
  readonly exact: ExactFields;
  readonly quoted?: ExpectedPacket;
}

export interface ExpectedFate {
  readonly kind: ExpectedKind;
  readonly oif?: string;
  readonly port?: string;
  readonly packet?: ExpectedPacket;
}

/** What is compared with an expectation: `Fate` of netfilter/ has this shape. */
export interface Outcome {
  readonly kind: ExpectedKind;
  readonly oif?: string;
  readonly port?: string;
  readonly packet?: Packet;
}

const EXACT_NUMBERS = { seq: 0xffffffff, ack: 0xffffffff, id: 65535, ttl: 255, mark: 0xffffffff, payload: 65535 };
const DESCRIPTION_KEYS = [
  'flags',
  'type',
  'code',
  ...Object.keys(EXACT_NUMBERS),
  'badsum',
  'frag',
  'smac',
  'dmac',
  'quotes',
];
const DEEPEST_QUOTE = 4;

/** Reads an expectation. Throws InputError. */
export function parseFate(text: string, origin: Origin = ARGUMENT): ExpectedFate {
  const cursor = new Cursor(text, origin);
  const token = cursor.next(`a fate (${FATE_KINDS.join(', ')})`);
  const kind = FATE_KINDS.find((candidate) => candidate === token.text);
  if (kind === undefined) throw cursor.unknown(token, 'fate', FATE_KINDS);
  if (cursor.peek() === undefined) return { kind };
  if (kind !== 'forwarded' && kind !== 'delivered') {
    throw cursor.unexpected(cursor.next('nothing'), `nothing after ${kind}`);
  }
  // A description has its `>` as third word, so the words before its protocol are counted from there.
  const names: string[] = [];
  while (cursor.peek() !== undefined && cursor.peek(2)?.text !== '>') {
    const name = cursor.next('an interface');
    if (kind === 'delivered') {
      throw cursor.unexpected(name, 'a packet (a delivered one leaves by no interface)');
    }
    if (names.length === 2) throw cursor.unexpected(name, 'a packet after the interface and its bridge port');
    if (!isInterfaceName(name.text)) throw cursor.unexpected(name, 'an interface, a bridge port or a packet');
    names.push(name.text);
  }
  const [oif, port] = names;
  const packet = cursor.peek() === undefined ? undefined : readDescription(cursor, 0);
  cursor.finish('the end of the fate');
  return {
    kind,
    ...(oif !== undefined && { oif }),
    ...(port !== undefined && { port }),
    ...(packet !== undefined && { packet }),
  };
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

function readDescription(cursor: Cursor, depth: number): ExpectedPacket {
  const first = cursor.peek();
  let head = readSetHead(cursor);
  let keys = new SetKeys();
  let within = NO_PACKET;
  const exact: Writable<ExactFields> = {};
  let quoted: ExpectedPacket | undefined;
  for (;;) {
    const token = cursor.peek();
    if (token === undefined || token.text === ')') break;
    if (token.text === 'in' || token.text === 'local' || token.text === 'state') {
      throw cursor.error(token, `${token.text} is said of a packet that arrives, not of where it ends`);
    }
    if (keys.read(cursor)) continue;
    cursor.next('a key');
    if (token.text === '|') {
      within = unionSets(within, keys.boxes(cursor, head));
      head = readSetHead(cursor);
      keys = new SetKeys();
    } else if (token.text === 'quotes') {
      if (quoted !== undefined) throw cursor.error(token, 'quotes is written twice');
      quoted = readQuotedDescription(cursor, depth);
    } else readExact(cursor, token, exact);
  }
  within = unionSets(within, keys.boxes(cursor, head));
  if (isEmptySet(within)) throw cursor.error(first, 'no packet is so: the set that is written here is empty');
  return { within, exact, ...(quoted !== undefined && { quoted }) };
}

function readExact(cursor: Cursor, token: Token, exact: Writable<ExactFields>): void {
  const field = token.text === 'frag' ? 'fragment' : token.text;
  if (Object.hasOwn(exact, field)) throw cursor.error(token, `${token.text} is written twice`);
  switch (field) {
    case 'seq':
    case 'ack':
    case 'id':
    case 'ttl':
    case 'mark':
    case 'payload':
      exact[field] = readNumber(cursor, field, EXACT_NUMBERS[field]);
      break;
    case 'badsum':
      exact.badsum = true;
      break;
    case 'fragment':
      exact.fragment = readFragment(cursor);
      break;
    case 'smac':
    case 'dmac':
      exact[field] = readMac(cursor);
      break;
    default: {
      const meant = nearest(token.text, DESCRIPTION_KEYS);
      const hint = meant === undefined ? `expected one of ${DESCRIPTION_KEYS.join(', ')}` : `did you mean ${meant}?`;
      throw cursor.error(token, `unknown key ${quoteText(token.text)}, ${hint}`);
    }
  }
}

function readQuotedDescription(cursor: Cursor, depth: number): ExpectedPacket {
  const expected = 'the quoted packet in parentheses';
  const open = cursor.next(expected);
  if (open.text !== '(') throw cursor.unexpected(open, expected);
  if (depth === DEEPEST_QUOTE) throw cursor.error(open, `packets are quoted more than ${DEEPEST_QUOTE} deep`);
  const quoted = readDescription(cursor, depth + 1);
  const close = cursor.next('`)` after the quoted packet');
  if (close.text !== ')') throw cursor.unexpected(close, '`)` after the quoted packet');
  return quoted;
}

/** The expectation in canonical notation: `parseFate` reads it back. */
export function printFate(fate: ExpectedFate): string {
  const words: string[] = [fate.kind];
  if (fate.oif !== undefined) words.push(fate.oif);
  if (fate.port !== undefined) words.push(fate.port);
  if (fate.packet !== undefined) words.push(printDescription(fate.packet));
  return words.join(' ');
}

function printDescription({ within, exact, quoted }: ExpectedPacket): string {
  const words = [printSet(within)];
  for (const field of ['seq', 'ack', 'id', 'ttl', 'payload'] as const) {
    const value = exact[field];
    if (value !== undefined) words.push(`${field} ${value}`);
  }
  if (exact.mark !== undefined) words.push(`mark 0x${exact.mark.toString(16)}`);
  if (exact.badsum === true) words.push('badsum');
  if (exact.fragment !== undefined) words.push(`frag ${exact.fragment.offset}${exact.fragment.more ? '+' : ''}`);
  if (exact.smac !== undefined) words.push(`smac ${exact.smac}`);
  if (exact.dmac !== undefined) words.push(`dmac ${exact.dmac}`);
  if (quoted !== undefined) words.push(`quotes (${printDescription(quoted)})`);
  return words.join(' ');
}

/** An outcome in the same notation, with the whole packet; read as an expectation it matches that outcome. */
export function printOutcome({ kind, oif, port, packet }: Outcome): string {
  if (kind !== 'forwarded' && kind !== 'delivered') return kind;
  const way = kind === 'forwarded' && oif !== undefined ? [oif, ...(port === undefined ? [] : [port])] : [];
  return [kind, ...way, ...(packet === undefined ? [] : [printPacket(withoutStrayPorts(packet))])].join(' ');
}

/** A description cannot name the ports of a protocol that has none, which only a later fragment has at all. */
const withoutStrayPorts = (packet: Packet): Packet =>
  hasPorts(packet.protocol) ? packet : { ...packet, sport: 0, dport: 0 };

/** True when the outcome is all that the expectation writes. */
export const fateMatches = (expected: ExpectedFate, outcome: Outcome): boolean =>
  expected.kind === outcome.kind &&
  (expected.oif === undefined || expected.oif === outcome.oif) &&
  (expected.port === undefined || expected.port === outcome.port) &&
  (expected.packet === undefined || (outcome.packet !== undefined && packetMatches(expected.packet, outcome.packet)));

/** True when the packet is all that the description writes. */
export function packetMatches({ within, exact, quoted }: ExpectedPacket, packet: Packet): boolean {
  if (!within.boxes.some((box) => holdsPacket(box, packet))) return false;
  const { fragment, ...values } = exact;
  if (
    fragment !== undefined &&
    (packet.fragment?.offset !== fragment.offset || packet.fragment.more !== fragment.more)
  ) {
    return false;
  }
  for (const field of Object.keys(values) as (keyof typeof values)[]) {
    if (packet[field] !== values[field]) return false;
  }
  return quoted === undefined || (packet.quoted !== undefined && packetMatches(quoted, packet.quoted));
}
