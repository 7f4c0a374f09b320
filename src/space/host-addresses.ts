/** The addresses of one family as a host sees them: runs within which every address is the same to it. */
import {
  addToAddress,
  familyOf,
  hostPrefix,
  lastAddress,
  onesAddress,
  parsePrefix,
  prefixOf,
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

/** Every address belongs to one of these ranges, in order; `more` are addresses that somebody else tells apart. */
export function addressRuns(host: Host, family: Family, more: readonly Address[] = []): readonly Range[] {
  const prefixes: Prefix[] = [
    ...SPECIAL,
    ...host.interfaces.flatMap(({ addresses }) =>
      addresses.flatMap(({ address, length }) => {
        const subnet = prefixOf(address, length);
        // The first address of an IPv6 subnet is every router's.
        return [hostPrefix(address), subnet, hostPrefix(subnet.address), hostPrefix(lastAddress(subnet))];
      }),
    ),
    ...routingTable(host).flatMap(({ to, via }) => (via === undefined ? [to] : [to, hostPrefix(via)])),
    ...host.neighbours.map(({ address }) => hostPrefix(address)),
    ...host.bridges.flatMap(({ segments }) =>
      segments.flatMap(({ prefix }) => [prefix, hostPrefix(lastAddress(prefix))]),
    ),
    ...[...groupsOf(host), ...more].map(hostPrefix),
  ].filter(({ address }) => familyOf(address) === family);
  const starts = new Set<Address>([family === 4 ? 0 : 0n]);
  for (const prefix of prefixes) {
    starts.add(prefix.address);
    const after = addToAddress(lastAddress(prefix), 1);
    if (after !== undefined) starts.add(after);
  }
  const sorted = [...starts].sort((a, b) => (a < b ? -1 : 1));
  return sorted.map((from, index) => {
    const next = sorted[index + 1];
    return { from, to: next === undefined ? onesAddress(family) : (addToAddress(next, -1) ?? from) };
  });
}
