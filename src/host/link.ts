/** The link layer: who has which MAC, and which port of a bridge a frame leaves by. */
import {
  LIMITED_BROADCAST,
  familyOf,
  isLinkLocal,
  isMulticast,
  lastAddress,
  prefixContains,
  prefixOf,
  type Address,
  type Prefix,
} from '../address/address.ts';
import { BROADCAST_MAC, isGroupMac, printMac, type Mac } from '../address/mac.ts';
import { interfaceOf, type Bridge, type Host, type Neighbour } from './host.ts';
import { addressesOf, portsOf } from './own.ts';

/** The last four octets of an address. */
const lastOctetsOf = (address: Address): number =>
  typeof address === 'number' ? address : Number(address & 0xffffffffn);

/** A made-up but stable MAC for a machine that nobody described: locally administered, from the address's last four octets. */
export function assumedMac(address: Address): Mac {
  const value = lastOctetsOf(address);
  const kind = familyOf(address) === 4 ? 0x00 : 0x06;
  return printMac([0x0a, kind, value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]);
}

/** The MAC that a packet to `address` is sent to on `dev`. Neighbours always resolve: an unknown machine has its assumed MAC. */
export const neighbourMac = (host: Host, dev: string, address: Address): Mac =>
  knownMac(host, dev, address) ?? assumedMac(address);

/** The same, but undefined for a machine that nobody described. */
export function knownMac(host: Host, dev: string, address: Address): Mac | undefined {
  if (isMulticast(address)) return multicastMac(address);
  if (address === LIMITED_BROADCAST || isDirectedBroadcast(host, dev, address)) return BROADCAST_MAC;
  const own = interfaceOf(host, dev);
  if (own !== undefined && addressesOf(own).own.has(address)) return own.mac;
  return neighboursOf(host).byAddress.get(dev)?.get(address)?.mac;
}

/** The MAC of whoever sends from `address` on `dev`. No machine's own address is a group's, though it may say that it sends from everybody's. */
export function senderMac(host: Host, dev: string, address: Address): Mac {
  const mac = neighbourMac(host, dev, address);
  return isGroupMac(mac) ? assumedMac(address) : mac;
}

interface Neighbourhood {
  /** By device and address, and by device and MAC: the first of each, as the host lists them. */
  readonly byAddress: ReadonlyMap<string, ReadonlyMap<Address, Neighbour>>;
  readonly byMac: ReadonlyMap<string, Neighbour>;
}

const neighbourhoods = new WeakMap<readonly Neighbour[], Neighbourhood>();

function neighboursOf({ neighbours }: Host): Neighbourhood {
  const known = neighbourhoods.get(neighbours);
  if (known !== undefined) return known;
  const byAddress = new Map<string, Map<Address, Neighbour>>();
  const byMac = new Map<string, Neighbour>();
  for (const neighbour of neighbours) {
    const { dev, address, mac } = neighbour;
    const onDevice = byAddress.get(dev) ?? new Map<Address, Neighbour>();
    byAddress.set(dev, onDevice);
    if (!onDevice.has(address)) onDevice.set(address, neighbour);
    if (!byMac.has(`${dev} ${mac}`)) byMac.set(`${dev} ${mac}`, neighbour);
  }
  const made = { byAddress, byMac };
  neighbourhoods.set(neighbours, made);
  return made;
}

function isDirectedBroadcast(host: Host, dev: string, address: Address): boolean {
  const device = interfaceOf(host, dev);
  return device !== undefined && addressesOf(device).broadcasts.has(address);
}

function multicastMac(address: Address): Mac {
  const value = lastOctetsOf(address);
  return familyOf(address) === 4
    ? printMac([0x01, 0x00, 0x5e, (value >>> 16) & 0x7f, (value >>> 8) & 255, value & 255])
    : printMac([0x33, 0x33, value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]);
}

/** Where a bridge sends a frame: up to the host, out by one port, or to every port but the one that it came in by. */
export type BridgeDecision =
  | { readonly kind: 'up' }
  | { readonly kind: 'port'; readonly port: string }
  | { readonly kind: 'flood'; readonly up: boolean };

/** br_handle_frame_finish's look-up: the bridge's own MACs, then what it has learnt, else flood. */
export function bridgeDecision(host: Host, bridge: Bridge, dmac: Mac): BridgeDecision {
  if (isGroupMac(dmac)) return { kind: 'flood', up: true };
  if (interfaceOf(host, bridge.name)?.mac === dmac || portsOf(bridge).macs.has(dmac)) return { kind: 'up' };
  const learnt = neighboursOf(host).byMac.get(`${bridge.name} ${dmac}`);
  if (learnt?.port !== undefined) return { kind: 'port', port: learnt.port };
  const uplink = bridge.ports.find((port) => port.uplink);
  return uplink === undefined ? { kind: 'flood', up: false } : { kind: 'port', port: uplink.name };
}

/** What a machine on the bridge takes for its own link, when it sends from `saddr`. */
function linkOf(host: Host, bridge: Bridge, saddr: Address): readonly Prefix[] {
  const known = bridge.segments.find((segment) => prefixContains(segment.prefix, saddr));
  if (known !== undefined) return [known.prefix];
  const own = (interfaceOf(host, bridge.name)?.addresses ?? []).map(({ address, length }) => prefixOf(address, length));
  const prefixes = [...own, ...bridge.segments.map(({ prefix }) => prefix)];
  return prefixes.filter(({ address }) => familyOf(address) === familyOf(saddr) && !isLinkLocal(address));
}

/** Where it sends what is not for its own link: undefined where it has no gateway that is known. */
function gatewayOf(host: Host, bridge: Bridge, saddr: Address): Address | undefined {
  const known = bridge.segments.find((segment) => prefixContains(segment.prefix, saddr));
  if (known !== undefined) return known.gateway;
  const own = interfaceOf(host, bridge.name)?.addresses.find(
    ({ address }) => familyOf(address) === familyOf(saddr) && !isLinkLocal(address),
  );
  const first = bridge.segments.find(({ prefix }) => familyOf(prefix.address) === familyOf(saddr));
  return own?.address ?? first?.gateway;
}

/**
 * The MAC that a machine on a bridge sends to: the neighbour's when `daddr` is on its subnet, else its gateway's. A machine of no known subnet is assumed to find every subnet of
 * the bridge on its link, and to route through the bridge where that has an address, else through the first gateway. Without a gateway: the
 * bridge's own.
 */
export const stationDmac = (
  host: Host,
  bridge: Bridge,
  { saddr, daddr }: { readonly saddr: Address; readonly daddr: Address },
): Mac => stationDmacs(host, bridge, saddr)(daddr);

/** `stationDmac` of all that a machine sends from one address. */
export function stationDmacs(host: Host, bridge: Bridge, saddr: Address): (daddr: Address) => Mac {
  const link = linkOf(host, bridge, saddr);
  const gateway = gatewayOf(host, bridge, saddr);
  const beyond =
    gateway === undefined
      ? (interfaceOf(host, bridge.name)?.mac ?? BROADCAST_MAC)
      : neighbourMac(host, bridge.name, gateway);
  return (daddr) => {
    if (isMulticast(daddr) || daddr === LIMITED_BROADCAST) return neighbourMac(host, bridge.name, daddr);
    const prefix = link.find((candidate) => prefixContains(candidate, daddr));
    if (prefix === undefined) return beyond;
    if (familyOf(daddr) === 4 && prefix.length < 31 && lastAddress(prefix) === daddr) return BROADCAST_MAC;
    return neighbourMac(host, bridge.name, daddr);
  };
}
