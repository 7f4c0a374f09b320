/** Ethernet addresses that nobody wrote down: stable, so that the same file always describes the same frames. */
import { addToAddress, fromBigint, prefixOf, toBigint, type Address, type Prefix } from '../address/address.ts';
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

/** An instance's interface: nova's prefix fa:16:3e (nova/utils.py generate_mac_address), then `value` where nova draws at random. */
export const instanceMac = (value: number): Mac =>
  printMac([0xfa, 0x16, 0x3e, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]);

/** The tap device of an instance's interface: libvirt gives it the instance's MAC with the first octet fe (virnetdevtap.c). */
export const tapMac = (mac: Mac): Mac => (mac.startsWith('fe') ? `fa${mac.slice(2)}` : `fe${mac.slice(2)}`);

/** The address that stateless autoconfiguration makes of a /64 and a MAC (RFC 4291 appendix A; nova/ipv6/rfc2462.py to_global). */
export function autoconfigured(prefix: Prefix, mac: Mac): Address {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = macOctets(mac);
  const identifier = [a ^ 2, b, c, 0xff, 0xfe, d, e, f].reduce((value, octet) => (value << 8n) | BigInt(octet), 0n);
  return fromBigint(6, toBigint(prefixOf(prefix.address, 64).address) | identifier);
}

/** fe80::/64. */
const LINK_LOCAL: Prefix = { address: 0xfe80n << 112n, length: 64 };

export const linkLocalAddress = (mac: Mac): Address => autoconfigured(LINK_LOCAL, mac);

/** The first host address of a network: nova's default gateway. */
export const firstHostAddress = (prefix: Prefix): Address | undefined => addToAddress(prefix.address, 1);
