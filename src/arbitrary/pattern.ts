/** Sets of packets, aimed at the same values as packets are, so that the two meet. */
import fc from 'fast-check';
import type { Address, Family } from '../address/address.ts';
import { prefixOf, widthOf } from '../address/address.ts';
import type { Range, Ranges } from '../address/ranges.ts';
import { anyAddress, normalizeRanges, prefixRange, subtractRanges } from '../address/ranges.ts';
import { CONNTRACK_STATES, ICMP, icmpOf, TCP, UDP } from '../packet/packet.ts';
import type { EntrySet, PacketSet } from '../packet/pattern.ts';
import { ANY_ENTRY, ANY_NAME, ANY_OCTET, ANY_PORTS, entryName, NO_NAME, nameSet, setOf } from '../packet/pattern.ts';
import { flagRanges, printSet } from '../packet/set-notation.ts';
import { ADDRESS_DRAW, addressOf } from './address.ts';
import type { AddressDraw } from './address.ts';
import { at, INDEX } from './choice.ts';
import type { PacketAim } from './packet.ts';
import { readable } from './readable.ts';

const PROTOCOLS = [TCP, UDP, ICMP, 47, 99];
const PORTS = [22, 80, 53, 40000, 67, 68, 8775];
const ENTRIES = [
  { kind: 'in', interface: 'eth0' },
  { kind: 'local' },
  { kind: 'in', host: 'host1', interface: 'vnet0' },
] as const;

/** How a field is limited: 0 not at all, 1 to some values, 2 to all but some. */
const LIMIT = fc.nat(2);
const NUMBERS_DRAW = fc.tuple(LIMIT, fc.array(fc.tuple(INDEX, fc.nat(3)), { minLength: 1, maxLength: 3 }));
const ADDRESSES_DRAW = fc.tuple(
  LIMIT,
  fc.array(fc.tuple(ADDRESS_DRAW, fc.nat(2), fc.nat(128)), { minLength: 1, maxLength: 3 }),
);

type NumbersDraw = typeof NUMBERS_DRAW extends fc.Arbitrary<infer T> ? T : never;
type AddressesDraw = typeof ADDRESSES_DRAW extends fc.Arbitrary<infer T> ? T : never;

const BOX_DRAW = fc.record({
  family: fc.nat(3),
  saddr: ADDRESSES_DRAW,
  daddr: ADDRESSES_DRAW,
  protocol: NUMBERS_DRAW,
  // Of these most say nothing: they exclude one another.
  about: fc.nat(5),
  sport: NUMBERS_DRAW,
  dport: NUMBERS_DRAW,
  flags: fc.tuple(fc.nat(255), fc.nat(255)),
  type: NUMBERS_DRAW,
  code: NUMBERS_DRAW,
  entry: fc.tuple(fc.nat(4), fc.array(INDEX, { minLength: 1, maxLength: 2 })),
  states: fc.nat(31),
});
type BoxDraw = typeof BOX_DRAW extends fc.Arbitrary<infer T> ? T : never;

function limited<T extends Address>(limit: number, all: Ranges<T>, some: readonly Range<T>[]): Ranges<T> {
  if (limit === 0) return all;
  const ranges = normalizeRanges(some);
  return limit === 1 ? ranges : subtractRanges(all, ranges);
}

/** Single values (twice as likely), ranges that begin at a value, and ranges between two. */
function numbersOf([limit, draws]: NumbersDraw, named: readonly number[], max: number): Ranges<number> {
  const ranges = draws.map(([index, kind]) => {
    const value = at(named, index);
    if (kind < 2) return { from: value, to: value };
    return kind === 2 ? { from: value, to: max } : { from: Math.min(value, index % (max + 1)), to: value };
  });
  return limited(limit, [{ from: 0, to: max }], ranges);
}

/** Single addresses, their prefixes, and ranges between two. */
function addressesOf([limit, draws]: AddressesDraw, family: Family, named: readonly Address[]): Ranges {
  const ranges = draws.map(([draw, kind, bits]) => {
    const address = addressOf(draw, family, named);
    if (kind === 0) return { from: address, to: address };
    if (kind === 1) return prefixRange(prefixOf(address, widthOf(family) - (bits % (widthOf(family) + 1))));
    const other = addressOf(turned(draw), family, named);
    return address < other ? { from: address, to: other } : { from: other, to: address };
  });
  return limited(limit, anyAddress(family), ranges);
}

const turned = ([kind, index, ...words]: AddressDraw): AddressDraw => [kind, index + 1, ...words];

function entryOf([kind, indices]: BoxDraw['entry'], aim: PacketAim): EntrySet {
  const entries = aim.entries !== undefined && aim.entries.length > 0 ? aim.entries : ENTRIES;
  const chosen = indices.map((index) => at(entries, index));
  const names = (of: 'in' | 'local') => chosen.filter((entry) => entry.kind === of).map(entryName);
  if (kind < 2) return ANY_ENTRY;
  if (kind === 2) return { in: nameSet(names('in')), local: nameSet(names('local')) };
  if (kind === 3) return { in: nameSet(names('in'), true), local: nameSet(names('local'), true) };
  return { in: ANY_NAME, local: NO_NAME };
}

function boxOf(draw: BoxDraw, aim: PacketAim): PacketSet {
  const family = aim.family ?? (draw.family === 3 ? 6 : 4);
  const addresses = aim.addresses ?? [];
  const ports = aim.ports !== undefined && aim.ports.length > 0 ? aim.ports : PORTS;
  const { about } = draw;
  const protocols = (aim.protocols ?? PROTOCOLS).map((value) => (value === ICMP ? icmpOf(family) : value));
  const [mask, compare] = draw.flags;
  return setOf({
    family,
    saddr: addressesOf(draw.saddr, family, addresses),
    daddr: addressesOf(draw.daddr, family, addresses),
    // A field that says something leaves only protocols that have it, so the protocol is left open there.
    protocol: about < 2 ? numbersOf(draw.protocol, protocols, 255) : ANY_OCTET,
    dport: about === 2 || about === 3 ? numbersOf(draw.dport, ports, 65535) : ANY_PORTS,
    sport: about === 3 ? numbersOf(draw.sport, ports, 65535) : ANY_PORTS,
    flags: about === 4 ? flagRanges(mask, compare & mask) : ANY_OCTET,
    type: about === 5 ? numbersOf(draw.type, family === 4 ? [8, 0, 3, 11] : [128, 129, 1, 3], 255) : ANY_OCTET,
    code: about === 5 ? numbersOf(draw.code, [0, 1, 3], 255) : ANY_OCTET,
    entry: entryOf(draw.entry, aim),
    // 0, the simplest, is every state.
    states: CONNTRACK_STATES.filter((_, bit) => draw.states === 0 || (draw.states >> bit) & 1),
  });
}

/** Unions of up to three boxes. Prints in the notation of sets. */
export const setArb = (aim: PacketAim = {}): fc.Arbitrary<PacketSet> =>
  fc
    .array(BOX_DRAW, { minLength: 1, maxLength: 3 })
    .map((draws) => readable<PacketSet>({ boxes: draws.flatMap((draw) => boxOf(draw, aim).boxes) }, printSet));
