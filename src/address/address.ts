/**
 * IPv4 and IPv6 addresses and prefixes.
 *
 * An IPv4 address is a number (0 .. 2^32-1), an IPv6 address a bigint (0 .. 2^128-1): `<` orders both, `===` compares
 * both, and the family of an address is its JavaScript type, so an IPv4 address can never be mistaken for an IPv6 one.
 */
import ipaddr from 'ipaddr.js';

export type Family = 4 | 6;
export type Address = number | bigint;

/** A network: `address` has no bits set beyond `length`. */
export interface Prefix {
  readonly address: Address;
  readonly length: number;
}

export const familyOf = (address: Address): Family => (typeof address === 'number' ? 4 : 6);

export const widthOf = (family: Family): 32 | 128 => (family === 4 ? 32 : 128);

/** The address of `family` with no bit set: 0.0.0.0 or ::. */
export const zeroAddress = (family: Family): Address => (family === 4 ? 0 : 0n);

/** The address of `family` with every bit set. */
export const onesAddress = (family: Family): Address => (family === 4 ? 0xffffffff : (1n << 128n) - 1n);

/** An address as a bigint, whatever its family; `fromBigint` is the inverse. */
export const toBigint = (address: Address): bigint => BigInt(address);
export const fromBigint = (family: Family, value: bigint): Address => (family === 4 ? Number(value) : value);

/** `::10.0.0.1` as `::a00:1`: ipaddr.js takes a dotted end for that of a mapped address, whatever stands before it. */
function withoutDots(text: string): string | undefined {
  if (!text.includes('.')) return text;
  const colon = text.lastIndexOf(':');
  const end = parseAddress(text.slice(colon + 1));
  if (typeof end !== 'number') return undefined;
  return `${text.slice(0, colon + 1)}${(end >>> 16).toString(16)}:${(end & 0xffff).toString(16)}`;
}

/** Reads `10.0.0.1` or `2001:db8::1`; undefined when the text is neither (no octal, no short forms, no zone). */
export function parseAddress(text: string): Address | undefined {
  if (text.length > 45) return undefined;
  if (text.includes(':')) {
    if (text.includes('%')) return undefined;
    const groups = withoutDots(text);
    if (groups === undefined || !ipaddr.IPv6.isValid(groups)) return undefined;
    return ipaddr.IPv6.parse(groups)
      .toByteArray()
      .reduce((value, octet) => (value << 8n) | BigInt(octet), 0n);
  }
  const octets = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (octets === null) return undefined;
  let value = 0;
  for (const octet of octets.slice(1)) {
    if (Number(octet) > 255 || (octet.length > 1 && octet.startsWith('0'))) return undefined;
    value = value * 256 + Number(octet);
  }
  return value;
}

const octetsOf = (address: Address): number[] => {
  const count = widthOf(familyOf(address)) / 8;
  const octets: number[] = [];
  let rest = BigInt(address);
  for (let i = 0; i < count; i++) {
    octets.unshift(Number(rest & 0xffn));
    rest >>= 8n;
  }
  return octets;
};

/**
 * Prints an address as iptables-save does (inet_ntop of glibc): `::ffff:10.0.0.1` for a mapped one, and `::10.0.0.1` for one whose first six
 * groups, and no more, are zero.
 */
export function printAddress(address: Address): string {
  if (typeof address === 'number') {
    return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
  }
  if (address >> 32n === 0n && address >> 16n !== 0n) return `::${printAddress(Number(address))}`;
  if (address >> 32n === 0xffffn) return `::ffff:${printAddress(Number(address & 0xffffffffn))}`;
  return new ipaddr.IPv6(octetsOf(address)).toRFC5952String();
}

/** The netmask of a prefix length: /24 of family 4 is 255.255.255.0 as an address. */
export function maskOf(family: Family, length: number): Address {
  if (family === 4) return length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0;
  return ((1n << 128n) - 1n) ^ ((1n << BigInt(128 - length)) - 1n);
}

/** The length of a contiguous netmask; undefined when its bits are not contiguous (255.0.255.0). */
export function lengthOfMask(mask: Address): number | undefined {
  const family = familyOf(mask);
  for (let length = 0; length <= widthOf(family); length++) if (maskOf(family, length) === mask) return length;
  return undefined;
}

/** `address & mask`; both of one family. */
export function maskAddress(address: Address, mask: Address): Address {
  if (typeof address === 'number' && typeof mask === 'number') return (address & mask) >>> 0;
  return BigInt(address) & BigInt(mask);
}

/** The network of `length` bits that holds `address`. */
export const prefixOf = (address: Address, length: number): Prefix => ({
  address: maskAddress(address, maskOf(familyOf(address), length)),
  length,
});

/** The prefix that holds just this address: /32 or /128. */
export const hostPrefix = (address: Address): Prefix => ({ address, length: widthOf(familyOf(address)) });

/** Every address of `family`: 0.0.0.0/0 or ::/0. */
export const anyPrefix = (family: Family): Prefix => ({ address: zeroAddress(family), length: 0 });

/** Reads `ADDRESS` or `ADDRESS/LENGTH` and keeps the host bits, as an interface's address needs them. */
export function parseAddressWithLength(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const width = widthOf(familyOf(address));
  if (slash < 0) return { address, length: width };
  const length = text.slice(slash + 1);
  if (!/^\d{1,3}$/.test(length) || Number(length) > width) return undefined;
  return { address, length: Number(length) };
}

/** Reads `ADDRESS` or `ADDRESS/LENGTH` as a network: host bits are masked away. */
export function parsePrefix(text: string): Prefix | undefined {
  const read = parseAddressWithLength(text);
  return read && prefixOf(read.address, read.length);
}

export const printPrefix = (prefix: Prefix): string => `${printAddress(prefix.address)}/${prefix.length}`;

/** The prefix as a person writes it: a single address without its length. */
export const printShortPrefix = (prefix: Prefix): string =>
  prefix.length === widthOf(familyOf(prefix.address)) ? printAddress(prefix.address) : printPrefix(prefix);

export const prefixContains = (prefix: Prefix, address: Address): boolean =>
  familyOf(prefix.address) === familyOf(address) &&
  maskAddress(address, maskOf(familyOf(address), prefix.length)) === prefix.address;

/** True when every address of `inner` is in `outer`. */
export const prefixCovers = (outer: Prefix, inner: Prefix): boolean =>
  outer.length <= inner.length && prefixContains(outer, inner.address);

export const prefixesOverlap = (a: Prefix, b: Prefix): boolean => prefixCovers(a, b) || prefixCovers(b, a);

export const firstAddress = (prefix: Prefix): Address => prefix.address;

/** The last address of a prefix; in an IPv4 subnet its directed broadcast. */
export function lastAddress(prefix: Prefix): Address {
  const { address, length } = prefix;
  if (typeof address === 'number') return (address | (2 ** (32 - length) - 1)) >>> 0;
  return address | (BigInt(onesAddress(6)) ^ BigInt(maskOf(6, length)));
}

/** The address `offset` after `address`; undefined outside the family's range. */
export function addToAddress(address: Address, offset: number): Address | undefined {
  const family = familyOf(address);
  const value = typeof address === 'number' ? address + offset : address + BigInt(offset);
  return value < 0 || value > onesAddress(family) ? undefined : value;
}

/** 224.0.0.0/4 or ff00::/8. */
export const isMulticast = (address: Address): boolean =>
  typeof address === 'number' ? address >>> 28 === 0xe : address >> 120n === 0xffn;

/** 127.0.0.0/8 or ::1. */
export const isLoopback = (address: Address): boolean =>
  typeof address === 'number' ? address >>> 24 === 127 : address === 1n;

/** 169.254.0.0/16 or fe80::/10. */
export const isLinkLocal = (address: Address): boolean =>
  typeof address === 'number' ? address >>> 16 === 0xa9fe : address >> 118n === 0x3fan;

export const LIMITED_BROADCAST = 0xffffffff;
