/**
 * Which level of a diagram is which field of a packet on its way.
 *
 * The destination stands first, because rulesets of hosts with many machines dispatch on it, and an IPv4 address is cut 24 / 8, an IPv6 address
 * into four words, so that a change for one machine touches few edges. A mark is 32 levels of one bit each, because rules set and test it under masks. A field that
 * nothing asks for costs nothing.
 *
 * `dport` holds an icmp message's type * 256 + code, and `sport` its identifier, as conntrack has them (tuple.ts).
 */
import { addToAddress, onesAddress, type Address, type Family } from '../address/address.ts';
import { normalizeRanges, type Range, type Ranges } from '../address/ranges.ts';
import { CONNTRACK_STATES, type ConntrackState } from '../packet/packet.ts';
import { Diagrams, NO, SpaceLimitError, YES, type Edge, type Node } from './diagram.ts';
import type { Names } from './names.ts';

/** Values of the level `ct`: the five states in the order of CONNTRACK_STATES, and what conntrack has not seen yet. */
export const NOT_SEEN = 5;
export const stateNumber = (state: ConntrackState): number => CONNTRACK_STATES.indexOf(state);
/** NEW, ESTABLISHED, RELATED: the packet has a connection. */
export const LAST_FLOW_STATE = 2;

export type AddressField = 'daddr' | 'saddr' | 'origDaddr' | 'origSaddr' | 'replyDaddr' | 'replySaddr';
export type MarkField = 'mark' | 'ctmark';
const FIELDS = {
  ct: NOT_SEEN,
  protocol: 255,
  dport: 65535,
  sport: 65535,
  flags: 255,
  entry: 0,
  iif: 0,
  oif: 0,
  physin: 0,
  physout: 0,
  /** unicast, broadcast, multicast. */
  packetType: 2,
  framed: 1,
  /** 0: has its transport header; 1: a later fragment at offset 1; 2: any later one. */
  part: 2,
  /** Of the whole packet, IP header included. */
  length: 65535,
  ttl: 255,
  smac: 0,
  dmac: 0,
  /** Reply direction. */
  reply: 1,
  sourceNat: 1,
  destinationNat: 1,
  /** The mapping of that end has been decided. */
  sourceDone: 1,
  destinationDone: 1,
  seenReply: 1,
  assured: 1,
  confirmed: 1,
  origProtocol: 255,
  origDport: 65535,
  origSport: 65535,
  replyDport: 65535,
  replySport: 65535,
} as const;
export type Field = keyof typeof FIELDS;

const ORDER: readonly (Field | AddressField | MarkField)[] = [
  'daddr',
  'ct',
  'saddr',
  'protocol',
  'dport',
  'sport',
  'flags',
  'entry',
  'iif',
  'oif',
  'physin',
  'physout',
  'mark',
  'packetType',
  'framed',
  'part',
  'length',
  'ttl',
  'smac',
  'dmac',
  'reply',
  'sourceNat',
  'destinationNat',
  'sourceDone',
  'destinationDone',
  'seenReply',
  'assured',
  'confirmed',
  'origDaddr',
  'origSaddr',
  'origProtocol',
  'origDport',
  'origSport',
  'replyDaddr',
  'replySaddr',
  'replyDport',
  'replySport',
];

const isAddressField = (field: string): field is AddressField => field.endsWith('addr');
const isMarkField = (field: string): field is MarkField => field.endsWith('mark');

/** The widths of an address's levels, in bits. */
const WORDS: Readonly<Record<Family, readonly number[]>> = { 4: [24, 8], 6: [32, 32, 32, 32] };

/** More single values than this are not spelt out for one masked address or the like. */
const MOST_PIECES = 1 << 16;

/** The alphabets of a space: names of devices, of Ethernet addresses, of places where packets enter. */
export interface Alphabets {
  readonly devices: Names;
  readonly macs: Names;
  readonly entries: Names;
}

export class Layout {
  readonly family: Family;
  readonly alphabets: Alphabets;
  readonly diagrams: Diagrams;
  /** The first level behind the fields: there the unknowns are. */
  readonly floor: number;
  readonly #levels = new Map<string, number>();
  readonly #unknowns = new Map<string, number>();
  readonly #addresses = new Map<AddressField, WeakMap<Ranges, Node>>();

  constructor(family: Family, alphabets: Alphabets, limit?: number) {
    this.family = family;
    this.alphabets = alphabets;
    const max: number[] = [];
    for (const field of ORDER) {
      this.#levels.set(field, max.length);
      if (isAddressField(field)) for (const width of WORDS[family]) max.push(2 ** width - 1);
      else if (isMarkField(field)) for (let bit = 0; bit < 64; bit++) max.push(1);
      else max.push(maxOf(field, alphabets));
    }
    this.floor = max.length;
    this.diagrams = new Diagrams(max, limit);
  }

  /** A field's level, or the first of an address's or a mark's. */
  level(field: Field | AddressField | MarkField): number {
    return this.#levels.get(field) ?? 0;
  }

  /** The level of one bit of a mark; bit 31 stands first. The bits of the two marks alternate, for rules copy one to the other. */
  bitLevel(field: MarkField, bit: number): number {
    return this.level('mark') + 2 * (31 - bit) + (field === 'ctmark' ? 1 : 0);
  }

  /** The levels of an address. */
  wordLevels(field: AddressField): readonly number[] {
    return WORDS[this.family].map((_, index) => this.level(field) + index);
  }

  /** An address cut into its levels' values. */
  wordsOf(address: Address): readonly number[] {
    return wordsOf(address);
  }

  /** The level of something that the model does not know; the same name is the same unknown. `max`: its greatest value. */
  unknown(name: string, max = 1): number {
    const known = this.#unknowns.get(name);
    if (known !== undefined) return known;
    const level = this.diagrams.addLevel(max);
    this.#unknowns.set(name, level);
    return level;
  }

  /** The name of an unknown's level. */
  unknownAt(level: number): string | undefined {
    for (const [name, own] of this.#unknowns) if (own === level) return name;
    return undefined;
  }

  /** `inside` where the field has one of the values, `outside` elsewhere. */
  chooseNumbers(field: Field, ranges: Ranges<number>, inside: Node, outside: Node): Node {
    return this.diagrams.choose(this.level(field), ranges, inside, outside);
  }

  chooseValues(field: Field, values: Iterable<number>, inside: Node, outside: Node): Node {
    const ranges = normalizeRanges([...values].map((value) => ({ from: value, to: value })));
    return this.chooseNumbers(field, ranges, inside, outside);
  }

  chooseAddresses(field: AddressField, ranges: Ranges, inside: Node, outside: Node): Node {
    const [only] = ranges;
    const isAlone = ranges.length === 1 && typeof only?.from === 'number';
    const alone = isAlone ? this.#within4(this.level(field), only as Range<number>, inside, outside) : undefined;
    if (alone !== undefined) return alone;
    return this.addressCases(field, outside, (add) => {
      for (const { from, to } of ranges) {
        const before = addToAddress(from, -1);
        if (before !== undefined) add(before, outside);
        add(to, inside);
      }
    });
  }

  /** A prefix of IPv4 addresses, or another range that cuts one word alone: there are many of them. Undefined for other ranges. */
  #within4(level: number, { from, to }: Range<number>, inside: Node, outside: Node): Node | undefined {
    const { diagrams } = this;
    const [high, low] = [from >>> 8, from & 255];
    const [lastHigh, lastLow] = [to >>> 8, to & 255];
    if (low === 0 && lastLow === 255) return diagrams.choose(level, [{ from: high, to: lastHigh }], inside, outside);
    if (high === lastHigh) {
      const own = diagrams.choose(level + 1, [{ from: low, to: lastLow }], inside, outside);
      return diagrams.choose(level, [{ from: high, to: high }], own, outside);
    }
    return undefined;
  }

  /** The packets with one of these addresses. Kept, for many sets have the same list of them, which may be long. */
  addresses(field: AddressField, ranges: Ranges): Node {
    if (ranges.length < 2) return this.chooseAddresses(field, ranges, YES, NO);
    const byRanges = this.#addresses.get(field) ?? new WeakMap<Ranges, Node>();
    this.#addresses.set(field, byRanges);
    const known = byRanges.get(ranges) ?? this.chooseAddresses(field, ranges, YES, NO);
    byRanges.set(ranges, known);
    return known;
  }

  /** A function of an address by runs, which `tell` names in order: up to each `last` in turn, and `rest` behind the last of them. */
  addressCases(field: AddressField, rest: Node, tell: (add: AddCase) => void): Node {
    const ones = onesAddress(this.family);
    const [first = 0] = this.wordLevels(field);
    if (this.family === 4) {
      const cases = new Cases4(this.diagrams, first);
      tell((last, to) => {
        cases.add(Number(last), to);
      });
      cases.add(Number(ones), rest);
      return cases.node();
    }
    const cases: WordCase[] = [];
    let end: Address | undefined;
    tell((last, to) => {
      if (cases.at(-1)?.to === to) cases.pop();
      cases.push({ words: wordsOf(last), to });
      end = last;
    });
    if (end !== ones) cases.push({ words: wordsOf(ones), to: rest });
    return this.#casesOfWord(first, 0, cases);
  }

  /** As deep as an address has words. */
  #casesOfWord(level: number, index: number, cases: readonly WordCase[]): Node {
    const isLast = index === WORDS[this.family].length - 1;
    const max = this.diagrams.maxOf(level);
    if (isLast) {
      return this.diagrams.node(
        level,
        cases.map(({ words, to }) => ({ hi: words[index] ?? 0, to })),
      );
    }
    const edges: Edge[] = [];
    let at = 0;
    let next = 0;
    while (at < cases.length) {
      const first = cases[at];
      if (first === undefined) break;
      const word = first.words[index] ?? 0;
      if (word > next) edges.push({ hi: word - 1, to: first.to });
      const inWord: WordCase[] = [];
      for (let one = cases[at]; one?.words[index] === word; one = cases[at]) {
        inWord.push(one);
        at++;
      }
      const last = inWord.at(-1);
      const isFull = last?.words.slice(index + 1).every((value) => value === 0xffffffff) === true;
      // The run that goes on into the next word.
      const after = cases[at];
      const whole =
        isFull || after === undefined
          ? inWord
          : [...inWord, { words: last?.words.map(() => 0xffffffff) ?? [], to: after.to }];
      edges.push({ hi: word, to: this.#casesOfWord(level + 1, index + 1, whole) });
      next = word + 1;
      if (word === max) break;
    }
    return this.diagrams.node(level, edges);
  }

  /** The addresses with these values in the bits of the mask, whichever bits those are. Throws SpaceLimitError where they are in too many pieces. */
  chooseMasked(field: AddressField, address: Address, mask: Address, inside: Node, outside: Node): Node {
    const { diagrams } = this;
    const words = wordsOf(address);
    const masks = wordsOf(mask);
    const first = this.level(field);
    let below = inside;
    for (let index = words.length - 1; index >= 0; index--) {
      const max = diagrams.maxOf(first + index);
      const [word, asked] = [words[index] ?? 0, masks[index] ?? 0];
      // Most masks are of prefixes, which cut one word.
      if (asked !== 0 || word !== 0) {
        const ranges = asked === max ? single(word) : maskedRanges(word, asked, max);
        below = diagrams.choose(first + index, ranges, below, outside);
      }
    }
    return below;
  }

  /** `mask` bits of a mark have the value. A value outside of its mask is never met. */
  chooseMark(field: MarkField, value: number, mask: number, inside: Node, outside: Node): Node {
    if ((value & ~mask) !== 0) return outside;
    let below = inside;
    for (let bit = 0; bit < 32; bit++) {
      if (((mask >>> bit) & 1) === 0) continue;
      const wanted = (value >>> bit) & 1;
      below = this.diagrams.choose(this.bitLevel(field, bit), [{ from: wanted, to: wanted }], below, outside);
    }
    return below;
  }

  /** `node` where the address has this value. */
  restrictAddress(node: Node, field: AddressField, address: Address): Node {
    const words = wordsOf(address);
    return this.wordLevels(field).reduce(
      (at, level, index) => this.diagrams.restrict(at, level, words[index] ?? 0),
      node,
    );
  }

  /** The one address that all packets of a set have, where the set begins with that field; else undefined. */
  onlyAddress(set: Node, field: AddressField): Address | undefined {
    const { diagrams } = this;
    const words: number[] = [];
    let node = set;
    for (const level of this.wordLevels(field)) {
      const only = diagrams.levelOf(node) === level ? diagrams.onlyEdge(node) : undefined;
      if (only === undefined) return undefined;
      words.push(only.hi);
      node = only.to;
    }
    return addressOfWords(this.family, words);
  }

  restrictNumber(node: Node, field: Field, value: number): Node {
    return this.diagrams.restrict(node, this.level(field), value);
  }
}

export type AddCase = (last: Address, to: Node) => void;

/** A function of an IPv4 address in the making. There may be many thousands of cases: nothing is made for each of them. */
class Cases4 {
  readonly #diagrams: Diagrams;
  readonly #level: number;
  /** Of each edge its last value and where it leads to, in turn. */
  readonly #high: number[] = [];
  #low: number[] = [];
  /** The first address that nothing has been said of. */
  #next = 0;

  constructor(diagrams: Diagrams, level: number) {
    this.#diagrams = diagrams;
    this.#level = level;
  }

  /** From after the case before up to `last`; nothing where that is all said. */
  add(last: number, to: Node): void {
    if (last < this.#next) return;
    const word = Math.floor(last / 256);
    const before = Math.floor((this.#next - 1) / 256);
    if (this.#low.length > 0 && word > before) {
      this.#low.push(255, to);
      this.#close(before);
    }
    const isFull = last % 256 === 255;
    if (this.#low.length > 0 || !isFull) {
      if (this.#low.length === 0 && word > (this.#high.at(-2) ?? -1) + 1) this.#high.push(word - 1, to);
      this.#low.push(last % 256, to);
      if (isFull) this.#close(word);
    } else this.#high.push(word, to);
    this.#next = last + 1;
  }

  #close(word: number): void {
    this.#high.push(word, this.#diagrams.nodeOf(this.#level + 1, this.#low));
    this.#low = [];
  }

  node(): Node {
    return this.#diagrams.nodeOf(this.#level, this.#high);
  }
}

interface WordCase {
  readonly words: readonly number[];
  readonly to: Node;
}

function maxOf(field: Field, { devices, macs, entries }: Alphabets): number {
  switch (field) {
    case 'iif':
    case 'oif':
    case 'physin':
    case 'physout':
      return devices.max;
    case 'smac':
    case 'dmac':
      return macs.max;
    case 'entry':
      return entries.max;
    default:
      return FIELDS[field];
  }
}

export const wordsOf = (address: Address): readonly number[] =>
  typeof address === 'number'
    ? [address >>> 8, address & 255]
    : [96n, 64n, 32n, 0n].map((shift) => Number((address >> shift) & 0xffffffffn));

/** The address of a level's words. */
export function addressOfWords(family: Family, words: readonly number[]): Address {
  if (family === 4) return (words[0] ?? 0) * 256 + (words[1] ?? 0);
  return words.reduce((address, word) => (address << 32n) | BigInt(word), 0n);
}

/** The values up to `max` whose bits in `mask` are those of `value`. */
export function maskedRanges(value: number, mask: number, max: number): Ranges<number> {
  // The free bits at the low end make up one run; those above them count the runs.
  const free = max - mask;
  let run = 1;
  while (run <= max && (free / run) % 2 >= 1) run *= 2;
  const starts: number[] = [value];
  for (let bit = run; bit <= max; bit *= 2) {
    if (Math.floor(free / bit) % 2 === 0) continue;
    if (starts.length * 2 > MOST_PIECES)
      throw new SpaceLimitError(`a mask cuts the addresses into more than ${MOST_PIECES} pieces`);
    for (const start of [...starts]) starts.push(start + bit);
  }
  return normalizeRanges(starts.map((from) => ({ from, to: from + run - 1 })));
}

export const single = (value: number): Ranges<number> => [{ from: value, to: value }];
export const rangeOf = (address: Address): Range => ({ from: address, to: address });
