/** Prints a host as the `--host` file that describes it. */
import { stringify } from 'yaml';
import { printAddress, printPrefix } from '../address/address.ts';
import type { Host } from './host.ts';
import type { HostText } from './schema.ts';

/**
 * The file that `readHost` reads back into this host. What the file has no words for is not printed: scopes of addresses, ipsets.
 */
export function printHost(host: Host): string {
  const file: HostText = {
    name: host.name,
    interfaces: host.interfaces.map(({ name, mac, addresses }) => ({
      name,
      mac,
      addresses: addresses.map(printPrefix),
    })),
    bridges: host.bridges.map(({ name, ports, segments }) => ({
      name,
      ports: ports.map((port) => ({ ...port })),
      segments: segments.map(({ prefix, gateway }) => ({
        prefix: printPrefix(prefix),
        ...(gateway === undefined ? {} : { gateway: printAddress(gateway) }),
      })),
    })),
    routes: host.routes.map(({ to, via, dev, src }) => ({
      to: printPrefix(to),
      ...(via === undefined ? {} : { via: printAddress(via) }),
      dev,
      ...(src === undefined ? {} : { src: printAddress(src) }),
    })),
    neighbours: host.neighbours.map(({ address, mac, dev, port }) => ({
      address: printAddress(address),
      mac,
      dev,
      ...(port === undefined ? {} : { port }),
    })),
    sysctl: Object.fromEntries(host.sysctl),
  };
  // A line for each thing: interfaces, bridges and the rest are lists of short records.
  return Object.entries(file)
    .map(([key, value]) =>
      Array.isArray(value)
        ? [`${key}:${value.length === 0 ? ' []' : ''}\n`, ...value.map((item) => `  - ${flow(item)}\n`)].join('')
        : `${key}: ${flow(value)}\n`,
    )
    .join('');
}

const flow = (value: unknown): string =>
  stringify(value, { collectionStyle: 'flow', lineWidth: 0, flowCollectionPadding: true }).trimEnd();
