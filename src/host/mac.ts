/** Ethernet addresses of devices that nobody wrote down, and the IPv6 addresses that follow from a MAC. */
import { fromBigint, prefixOf, toBigint, type Address, type Prefix } from '../address/address.ts';
import { macOctets, printMac, type Mac } from '../address/mac.ts';

/** A host's device: locally administered, from the two names (FNV-1a over them). */
export function deviceMac(host: string, device: string): Mac {
  let hash = 0x811c9dc5;
  for (const character of `${host}/${device}`) {
    hash ^= character.codePointAt(0) ?? 0;
    hash = Math.imul(hash, 0x01000193) >>> 0;
  }
  return printMac([0x02, 0x00, hash >>> 24, (hash >>> 16) & 255, (hash >>> 8) & 255, hash & 255]);
}

/** The address that stateless autoconfiguration makes of a /64 and a MAC (RFC 4291 appendix A; nova/ipv6/rfc2462.py to_global). */
export function autoconfigured(prefix: Prefix, mac: Mac): Address {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = macOctets(mac);
  const identifier = [a ^ 2, b, c, 0xff, 0xfe, d, e, f].reduce((value, octet) => (value << 8n) | BigInt(octet), 0n);
  return fromBigint(6, toBigint(prefixOf(prefix.address, 64).address) | identifier);
}

/** fe80::/64. */
const LINK_LOCAL: Prefix = { address: 0xfe80n << 112n, length: 64 };

export const linkLocalAddress = (mac: Mac): Address => autoconfigured(LINK_LOCAL, mac);
