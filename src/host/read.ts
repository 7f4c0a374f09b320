/** Reads a `--host` file. */
import {
  anyPrefix,
  familyOf,
  prefixContains,
  prefixOf,
  printAddress,
  printPrefix,
  type Address,
} from '../address/address.ts';
import type { Mac } from '../address/mac.ts';
import { InputError, type Diagnostic } from '../diagnostic/diagnostic.ts';
import { nearest } from '../diagnostic/nearest.ts';
import { readSource, sortDiagnostics, type FieldPath, type Source } from '../diagnostic/yaml.ts';
import type { Bridge, BridgePort, Host, Interface, Neighbour, Route, Segment } from './host.ts';
import { deviceMac } from './mac.ts';
import { hostSchema, type HostFile } from './schema.ts';

type Complain = (field: FieldPath, message: string) => void;

/** The host that `text` (YAML or JSON) describes. Throws InputError with everything that is wrong with it. */
export function readHost(text: string | Uint8Array, path: string): Host {
  const source: Source<HostFile> = readSource(text, path, hostSchema);
  const errors: Diagnostic[] = [];
  const host = completeHost(source.value, (field, message) => errors.push(source.diagnose(field, message)));
  if (errors.length > 0) throw new InputError(sortDiagnostics(errors));
  return host;
}

function completeHost(file: HostFile, complain: Complain): Host {
  const bridges = (file.bridges ?? []).map((bridge, index) => completePorts(file, bridge, index, complain));
  const interfaces = completeInterfaces(file, bridges, complain);
  const known = interfaces.map(({ name }) => name);
  const checkDevice = (name: string, field: FieldPath): void => {
    if (known.includes(name)) return;
    const near = nearest(name, known);
    complain(field, `there is no interface ${name}${near === undefined ? '' : `: did you mean ${near}?`}`);
  };
  const routes = (file.routes ?? []).flatMap((route, index) => {
    const field = ['routes', index];
    const { to, via, src } = route;
    for (const [key, address] of [
      ['via', via],
      ['src', src],
    ] as const)
      if (address != null && familyOf(address) !== familyOf(to.address))
        complain([...field, key], `${printAddress(address)} is not of the family of ${printPrefix(to)}`);
    const dev = route.dev ?? (via == null ? undefined : deviceTowards(interfaces, via));
    if (dev === undefined) {
      complain(field, 'dev is missing, and via is on the subnet of no interface');
      return [];
    }
    checkDevice(dev, [...field, 'dev']);
    return [{ to, dev, ...(via == null ? {} : { via }), ...(src == null ? {} : { src }) }];
  });
  if (file.gateway != null) {
    const { gateway } = file;
    const dev = deviceTowards(interfaces, gateway);
    if (dev === undefined) complain(['gateway'], `${printAddress(gateway)} is on the subnet of no interface`);
    else routes.push({ to: anyPrefix(familyOf(gateway)), via: gateway, dev } satisfies Route);
  }
  const neighbours = (file.neighbours ?? []).map((neighbour, index): Neighbour => {
    const { address, mac, dev, port } = neighbour;
    const field = ['neighbours', index];
    checkDevice(dev, [...field, 'dev']);
    const bridge = bridges.find(({ name }) => name === dev);
    if (port != null && !bridge?.ports.some(({ name }) => name === port))
      complain([...field, 'port'], `${port} is no port of ${dev}`);
    return { address, mac, dev, ...(port == null ? {} : { port }) };
  });
  return {
    name: file.name,
    interfaces,
    bridges: bridges.map((bridge, index) => ({
      ...bridge,
      segments: segmentsOf(file.bridges?.[index]?.segments, interfaces, bridge.name),
    })),
    routes,
    neighbours,
    sysctl: new Map(Object.entries(file.sysctl ?? {})),
    sets: new Map(),
  };
}

/** The device on whose subnet `address` is. */
const deviceTowards = (interfaces: readonly Interface[], address: Address): string | undefined =>
  interfaces.find(({ addresses }) =>
    addresses.some((own) => prefixContains(prefixOf(own.address, own.length), address)),
  )?.name;

function completePorts(
  file: HostFile,
  bridge: NonNullable<HostFile['bridges']>[number],
  index: number,
  complain: Complain,
): Bridge {
  if ((file.bridges ?? []).findIndex(({ name }) => name === bridge.name) < index)
    complain(['bridges', index, 'name'], `bridge ${bridge.name} stands here twice`);
  const earlier = (file.bridges ?? []).slice(0, index).flatMap(({ ports }) => (ports ?? []).map(portName));
  const ports = (bridge.ports ?? []).map((port, at): BridgePort => {
    const name = portName(port);
    const field = ['bridges', index, 'ports', at];
    const before = (bridge.ports ?? []).slice(0, at).map(portName);
    if (earlier.includes(name) || before.includes(name)) complain(field, `${name} is a bridge port twice`);
    if (name === bridge.name) complain(field, `${name} cannot be a port of itself`);
    // Tools list ports among the interfaces; here they are the bridge's, and only a MAC can be said of them there.
    const listed = file.interfaces?.find((device) => device.name === name);
    const more = typeof port === 'string' ? undefined : port;
    return {
      name,
      mac: more?.mac ?? listed?.mac ?? deviceMac(file.name, name),
      hairpin: more?.hairpin ?? false,
      uplink: more?.uplink ?? false,
    };
  });
  return { name: bridge.name, ports, segments: [] };
}

const portName = (port: string | { readonly name: string }): string => (typeof port === 'string' ? port : port.name);

/** The IP layer's devices: `lo` first, then the file's, less bridge ports, then bridges that the file lists only as such. */
function completeInterfaces(file: HostFile, bridges: readonly Bridge[], complain: Complain): Interface[] {
  const holders = new Map<Address, string>();
  const ports = new Map(bridges.flatMap((bridge) => bridge.ports.map((port) => [port.name, bridge.name])));
  const listed = file.interfaces ?? [];
  const found: Interface[] = [];
  listed.forEach((device, index) => {
    const field = ['interfaces', index];
    const addresses = device.addresses ?? [];
    if (listed.findIndex(({ name }) => name === device.name) < index)
      complain([...field, 'name'], `interface ${device.name} stands here twice`);
    addresses.forEach(({ address }, at) => {
      const holder = holders.get(address);
      if (holder !== undefined)
        complain([...field, 'addresses', at], `${printAddress(address)} is an address of ${holder} already`);
      holders.set(address, device.name);
    });
    const bridge = ports.get(device.name);
    if (bridge === undefined)
      found.push({ name: device.name, mac: macOf(file, bridges, device.name, device.mac), addresses });
    else if (addresses.length > 0)
      complain([...field, 'addresses'], `${device.name} is a port of ${bridge}: its addresses belong there`);
  });
  for (const { name } of bridges)
    if (!found.some((device) => device.name === name))
      found.push({ name, mac: macOf(file, bridges, name, undefined), addresses: [] });
  if (found.some(({ name }) => name === 'lo')) return found;
  const loopback: Interface = {
    name: 'lo',
    mac: '00:00:00:00:00:00',
    addresses: [
      { address: 0x7f000001, length: 8, scope: 'host' },
      { address: 1n, length: 128, scope: 'host' },
    ],
  };
  return [loopback, ...found];
}

/** A bridge has its first uplink's MAC unless it is given one; `lo` has none. */
function macOf(file: HostFile, bridges: readonly Bridge[], name: string, given: Mac | null | undefined): Mac {
  if (given != null) return given;
  if (name === 'lo') return '00:00:00:00:00:00';
  const uplink = bridges.find((bridge) => bridge.name === name)?.ports.find((port) => port.uplink);
  return uplink?.mac ?? deviceMac(file.name, name);
}

/** Unless the file says otherwise the machines on a bridge are in its own subnets and send the rest to it. */
function segmentsOf(
  given: NonNullable<HostFile['bridges']>[number]['segments'],
  interfaces: readonly Interface[],
  bridge: string,
): Segment[] {
  if (given != null) return given.map(({ prefix, gateway }) => ({ prefix, ...(gateway == null ? {} : { gateway }) }));
  const own = interfaces.find(({ name }) => name === bridge)?.addresses ?? [];
  return own.map(({ address, length }) => ({ prefix: prefixOf(address, length), gateway: address }));
}
