/** Fields that the project's files share: addresses, prefixes and names as their zod schemas, read into values. */
import { z } from 'zod';
import {
  familyOf,
  parseAddress,
  parseAddressWithLength,
  parsePrefix,
  type Address,
  type Family,
} from '../address/address.ts';
import { parseMac } from '../address/mac.ts';
import { quoteText } from './quote.ts';

/** A field of text that `read` turns into a value; `expected` completes "expected ...". */
const field = <T>(expected: string, description: string, read: (text: string) => T | undefined) =>
  z
    .string()
    .transform((text, context): T => {
      const value = read(text);
      if (value !== undefined) return value;
      context.addIssue({ code: 'custom', message: `expected ${expected}, read ${quoteText(text)}` });
      return z.NEVER;
    })
    .meta({ description });

const ofFamily = (family: Family, address: Address | undefined): Address | undefined =>
  address !== undefined && familyOf(address) === family ? address : undefined;

export const addressField = field('an IPv4 or IPv6 address', 'IPv4 or IPv6 address', parseAddress);
export const address4Field = field('an IPv4 address', 'IPv4 address', (text) => ofFamily(4, parseAddress(text)));
export const address6Field = field('an IPv6 address', 'IPv6 address', (text) => ofFamily(6, parseAddress(text)));

/** `10.0.0.0/8`; host bits are masked away, a bare address is a single one. */
export const prefixField = field('a network such as 10.0.0.0/8', 'ADDRESS/LENGTH', parsePrefix);

const prefixOfFamily = (family: Family, text: string) => {
  const prefix = text.includes('/') ? parsePrefix(text) : undefined;
  return prefix !== undefined && familyOf(prefix.address) === family ? prefix : undefined;
};
export const prefix4Field = field('an IPv4 network such as 10.0.0.0/8', 'IPv4 ADDRESS/LENGTH', (text) =>
  prefixOfFamily(4, text),
);
export const prefix6Field = field('an IPv6 network such as 2001:db8::/64', 'IPv6 ADDRESS/LENGTH', (text) =>
  prefixOfFamily(6, text),
);

/** An interface's address: the length of its subnet must be written, since a forgotten one would silently be a /32. */
export const interfaceAddressField = field(
  'an address with the length of its subnet, such as 192.168.1.90/24',
  'ADDRESS/LENGTH, host bits kept',
  (text) => (text.includes('/') ? parseAddressWithLength(text) : undefined),
);

export const macField = field('an Ethernet address such as fa:16:3e:00:00:01', 'Ethernet address', parseMac);

/** What the kernel takes for a device's name (dev_valid_name: at most 15 octets), less what a rule's text would need quoted. */
export const interfaceNameField = field('an interface name of at most 15 characters', 'interface name', (text) =>
  /^[A-Za-z0-9_.@-]{1,15}$/.test(text) && text !== '.' && text !== '..' ? text : undefined,
);

/** A host's name is also a file's name, so it holds no slash. */
export const hostNameField = field('a host name', 'host name', (text) =>
  /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$/.test(text) ? text : undefined,
);

/** Any text that a person would call something. */
export const nameField = z.string().min(1).max(255);

/** Sysctls by the name that `sysctl` prints. */
export const sysctlField = z.record(z.string(), z.int().min(-2147483648).max(2147483647));
