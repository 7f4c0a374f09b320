/** Addresses and prefixes, three of four named (by a deployment, a ruleset, a host), one any. */
import fc from 'fast-check';
import type { Address, Family, Prefix } from '../address/address.ts';
import {
  addToAddress,
  familyOf,
  firstAddress,
  fromBigint,
  lastAddress,
  prefixOf,
  widthOf,
} from '../address/address.ts';
import { at, INDEX, WORD } from './choice.ts';

/** What stands in when nothing of a family is named; the first is the simplest. */
const USUAL: Readonly<Record<Family, readonly Address[]>> = {
  4: [0x0a0a0a02, 0x0a0a0a03, 0xcb007107, 0xc0a8015a, 0xa9fea9fe, 0xffffffff],
  6: [
    0x20010db8000000000000000000000002n,
    0x20010db8000000000000000000000003n,
    0x20010db8000100000000000000000007n,
    1n,
  ],
};

/** The named addresses of a family, or usual ones where there are none. */
export function namedAddresses(family: Family, named: readonly Address[]): readonly Address[] {
  const own = named.filter((address) => familyOf(address) === family);
  return own.length > 0 ? own : USUAL[family];
}

/** What a draw of `ADDRESS_DRAW` means: 0, 1, 2 a named address, 3 any. */
export type AddressDraw = readonly [kind: number, index: number, ...words: [number, number, number, number]];

export const ADDRESS_DRAW: fc.Arbitrary<AddressDraw> = fc.tuple(fc.nat(3), INDEX, WORD, WORD, WORD, WORD);

export function addressOf([kind, index, ...words]: AddressDraw, family: Family, named: readonly Address[]): Address {
  if (kind < 3) return at(namedAddresses(family, named), index);
  if (family === 4) return words[0];
  return words.reduce((value, word) => (value << 32n) | BigInt(word), 0n);
}

export const addressArb = (family: Family, named: readonly Address[] = []): fc.Arbitrary<Address> =>
  ADDRESS_DRAW.map((draw) => addressOf(draw, family, named));

/** A network around an address; the shortest lengths are as likely as the longest. */
export const prefixArb = (family: Family, named: readonly Address[] = []): fc.Arbitrary<Prefix> =>
  fc
    .tuple(ADDRESS_DRAW, fc.nat(widthOf(family)))
    .map(([draw, hostBits]) => prefixOf(addressOf(draw, family, named), widthOf(family) - hostBits));

/** The addresses at which a rule about a prefix can be wrong: its first and last two, and those just outside. */
export function edgesOf(prefix: Prefix): readonly Address[] {
  const first = firstAddress(prefix);
  const last = lastAddress(prefix);
  const around = [first, last, ...[-1, 1].flatMap((step) => [addToAddress(first, step), addToAddress(last, step)])];
  const family = familyOf(prefix.address);
  return [...new Set(around.filter((address) => address !== undefined).map(BigInt))].map((value) =>
    fromBigint(family, value),
  );
}
