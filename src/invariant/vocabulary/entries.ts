/** Where packets can enter a host: the ports of instances, uplinks, plain interfaces, and the host's own processes. */
import type { PacketsClaim } from '../../claim/claim.ts';
import { keptFor } from '../../deployment/kept.ts';
import type { Bridge } from '../../host/host.ts';
import type { Network } from '../../network/network.ts';
import { hostIn, isOutward, MOST_ALIKE, type FixedAddress } from './addresses.ts';

/** An entry as claims name it, and what it is. */
export interface EntryPoint {
  readonly host: string;
  readonly entry: PacketsClaim['entry'];
  readonly kind: 'instance' | 'uplink' | 'interface' | 'local';
  /** The bridge whose port it is. */
  readonly bridge?: string;
  /** `host1 vnet0`, `a process of host1`: for the claim's sentence. */
  readonly name: string;
}

const arrival = (
  host: string,
  name: string,
  kind: Exclude<EntryPoint['kind'], 'local'>,
  bridge?: string,
): EntryPoint => ({
  host,
  entry: { kind: 'in', interface: name },
  kind,
  ...(bridge === undefined ? {} : { bridge }),
  name: `${host} ${name}`,
});

/**
 * The entries from outside the host: its interfaces that are no bridge, then the ports of its bridges. Loopback is none. Of the ports of instances up to
 * MOST_ALIKE of each bridge stand for all.
 */
export const arrivalsAt = keptFor((network: Network, host: string): readonly EntryPoint[] => {
  const found = hostIn(network, host);
  if (found === undefined) return [];
  const bridges = found.bridges.map(({ name }) => name);
  const ofInstances = new Set(
    network.stations.flatMap(({ kind, at }) =>
      kind === 'instance' && 'host' in at && at.host === host ? [at.interface] : [],
    ),
  );
  const portsOf = (bridge: Bridge): readonly EntryPoint[] => {
    let alike = 0;
    return bridge.ports.flatMap(({ name }) => {
      const kind = ofInstances.has(name) ? 'instance' : 'uplink';
      return kind === 'instance' && ++alike > MOST_ALIKE ? [] : [arrival(host, name, kind, bridge.name)];
    });
  };
  return [
    ...found.interfaces
      .filter(({ name }) => name !== 'lo' && !bridges.includes(name))
      .map(({ name }) => arrival(host, name, 'interface')),
    ...found.bridges.flatMap(portsOf),
  ];
});

/** `arrivalsAt`, and the port of one machine, if it is none of those. */
export function arrivalsWith(network: Network, host: string, machine: Machine): readonly EntryPoint[] {
  const arrivals = arrivalsAt(network, host);
  const own = portOf(machine);
  return own.host !== host || arrivals.some(({ name }) => name === own.name) ? arrivals : [...arrivals, own];
}

type Machine = Pick<FixedAddress, 'host' | 'vif' | 'network'>;

/** Packets that a process of the host makes. */
export const processOf = (host: string): EntryPoint => ({
  host,
  entry: { kind: 'local' },
  kind: 'local',
  name: `a process of ${host}`,
});

/** `arrivalsAt`, then `processOf`. */
export const entriesAt = (network: Network, host: string): EntryPoint[] => [
  ...arrivalsAt(network, host),
  processOf(host),
];

/** The bridge port of the machine that has a fixed address. */
export const portOf = ({ host, vif, network }: Machine): EntryPoint =>
  arrival(host.name, vif.port, 'instance', network.bridge);

/** The entries that the world is behind. */
export const outwardEntries = keptFor((network: Network, host: string): readonly EntryPoint[] =>
  arrivalsAt(network, host).filter(({ entry }) => entry.kind === 'in' && isOutward(network, host, entry.interface)),
);
