/** A host's own addresses and the ports of its bridges, put in order once: hosts with thousands of floating IPs and instances are asked for them all the time. */
import { familyOf, lastAddress, prefixContains, prefixOf, type Address, type Prefix } from '../address/address.ts';
import type { Mac } from '../address/mac.ts';
import type { Bridge, BridgePort, Interface } from './host.ts';

/** What is said of an address by the devices of a host, the first of them first. */
export interface OwnAddresses {
  /** The device that holds an address. */
  readonly holder: (address: Address) => string | undefined;
  /** The device on whose IPv4 subnet the address is the directed broadcast, and the host's own address there. */
  readonly broadcast: (address: Address) => { readonly device: string; readonly source: Address } | undefined;
}

/** Whenever lo is up it has 127.0.0.1/8, whose last address is the directed broadcast (inetdev_event). */
const LOOPBACK: Address = 0x7f000001;
const LOOPBACK_BROADCAST: Address = 0x7fffffff;

const known = new WeakMap<readonly Interface[], OwnAddresses>();

export function ownAddressesOf(interfaces: readonly Interface[]): OwnAddresses {
  const made = known.get(interfaces) ?? order(interfaces);
  known.set(interfaces, made);
  return made;
}

function order(interfaces: readonly Interface[]): OwnAddresses {
  const exact = new Map<Address, { readonly device: string; readonly at: number }>();
  // The loopback device answers for its whole prefix (fib_add_ifaddr: RTN_LOCAL on IFF_LOOPBACK).
  const whole: { readonly prefix: Prefix; readonly device: string; readonly at: number }[] = [];
  const broadcasts = new Map([[LOOPBACK_BROADCAST, { device: 'lo', source: LOOPBACK }]]);
  let at = 0;
  for (const { name: device, addresses } of interfaces)
    for (const { address, length } of addresses) {
      at++;
      if (device === 'lo') whole.push({ prefix: prefixOf(address, length), device, at });
      else if (!exact.has(address)) exact.set(address, { device, at });
      if (familyOf(address) === 6 || length >= 31) continue;
      const last = lastAddress(prefixOf(address, length));
      if (!broadcasts.has(last)) broadcasts.set(last, { device, source: address });
    }
  return {
    holder: (address) => {
      const own = exact.get(address);
      if (own === undefined && broadcasts.has(address)) return undefined;
      const around = whole.find(({ prefix }) => prefixContains(prefix, address));
      return around !== undefined && (own === undefined || around.at < own.at) ? around.device : own?.device;
    },
    broadcast: (address) => broadcasts.get(address),
  };
}

/** What one device says of addresses: those that it has, and its directed broadcasts. */
export interface DeviceAddresses {
  readonly own: ReadonlySet<Address>;
  readonly broadcasts: ReadonlySet<Address>;
}

const devices = new WeakMap<Interface, DeviceAddresses>();

export function addressesOf(device: Interface): DeviceAddresses {
  const made = devices.get(device) ?? {
    own: new Set(device.addresses.map(({ address }) => address)),
    broadcasts: new Set(
      device.addresses
        .filter(({ address, length }) => familyOf(address) === 4 && length < 31)
        .map(({ address, length }) => lastAddress(prefixOf(address, length))),
    ),
  };
  devices.set(device, made);
  return made;
}

export interface Ports {
  readonly byName: ReadonlyMap<string, BridgePort>;
  readonly macs: ReadonlySet<Mac>;
}

const ports = new WeakMap<Bridge, Ports>();

/** The ports of a bridge by name, the first of each, and their MACs. */
export function portsOf(bridge: Bridge): Ports {
  const made = ports.get(bridge) ?? {
    byName: new Map([...bridge.ports].reverse().map((port) => [port.name, port])),
    macs: new Set(bridge.ports.map(({ mac }) => mac)),
  };
  ports.set(bridge, made);
  return made;
}
