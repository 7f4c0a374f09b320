/** The addresses of one family as a host sees them: runs within which every address is the same to it. */
import {
  addToAddress,
  familyOf,
  lastAddress,
  onesAddress,
  parsePrefix,
  prefixOf,
  zeroAddress,
  type Address,
  type Family,
  type Prefix,
} from '../address/address.ts';
import type { Range } from '../address/ranges.ts';
import { groupsOf } from '../host/groups.ts';
import type { Host } from '../host/host.ts';
import { routingTable } from '../host/route.ts';

/** Ranges that every host treats in a way of their own. */
const SPECIAL: readonly Prefix[] = [
  '0.0.0.0/32',
  '127.0.0.0/8',
  '127.255.255.255/32',
  '224.0.0.0/4',
  '255.255.255.255/32',
  '::/128',
  '::1/128',
  'fe80::/10',
  'ff00::/8',
].flatMap((text) => parsePrefix(text) ?? []);

/** Every address belongs to one of these ranges, in order; `more` are addresses that somebody else tells apart. `neighbours`: those of the host are. */
export function addressRuns(
  host: Host,
  family: Family,
  { more = [], neighbours = true }: { readonly more?: readonly Address[]; readonly neighbours?: boolean } = {},
): readonly Range[] {
  const starts: Address[] = [zeroAddress(family)];
  const between = (first: Address, last: Address): void => {
    if (familyOf(first) !== family) return;
    starts.push(first);
    const after = addToAddress(last, 1);
    if (after !== undefined) starts.push(after);
  };
  const single = (address: Address): void => {
    between(address, address);
  };
  const whole = (prefix: Prefix): void => {
    between(prefix.address, lastAddress(prefix));
  };
  SPECIAL.forEach(whole);
  for (const { addresses } of host.interfaces)
    for (const { address, length } of addresses) {
      const subnet = prefixOf(address, length);
      single(address);
      whole(subnet);
      // The first address of an IPv6 subnet is every router's.
      single(subnet.address);
      single(lastAddress(subnet));
    }
  for (const { to, via } of routingTable(host)) {
    whole(to);
    if (via !== undefined) single(via);
  }
  if (neighbours) for (const { address } of host.neighbours) single(address);
  for (const { segments } of host.bridges)
    for (const { prefix } of segments) {
      whole(prefix);
      single(lastAddress(prefix));
    }
  groupsOf(host).forEach(single);
  more.forEach(single);
  const sorted = [...new Set(sortedAddresses(starts))];
  return sorted.map((from, index) => {
    const next = sorted[index + 1];
    return { from, to: next === undefined ? onesAddress(family) : (addToAddress(next, -1) ?? from) };
  });
}

/** Numbers are sorted by themselves much sooner than by a function. */
const sortedAddresses = (addresses: readonly Address[]): Iterable<Address> =>
  addresses.every((address) => typeof address === 'number')
    ? Float64Array.from(addresses).sort()
    : [...addresses].sort((a, b) => (a < b ? -1 : 1));
