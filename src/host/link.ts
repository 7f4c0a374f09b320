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
} from '../address/address.ts';
import { BROADCAST_MAC, isGroupMac, printMac, type Mac } from '../address/mac.ts';
import { interfaceOf, type Bridge, type Host, type Segment } from './host.ts';

/** A made-up but stable MAC for a machine that nobody described: locally administered, from the address's last four octets. */
export function assumedMac(address: Address): Mac {
  const value = Number(BigInt(address) & 0xffffffffn);
  const kind = familyOf(address) === 4 ? 0x00 : 0x06;
  return printMac([0x0a, kind, value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255]);
}

/** The MAC that a packet to `address` is sent to on `dev`. Neighbours always resolve: an unknown machine has its assumed MAC. */
export function neighbourMac(host: Host, dev: string, address: Address): Mac {
  if (isMulticast(address)) return multicastMac(address);
  if (address === LIMITED_BROADCAST || isDirectedBroadcast(host, dev, address)) return BROADCAST_MAC;
  const own = interfaceOf(host, dev);
  if (own?.addresses.some((candidate) => candidate.address === address)) return own.mac;
  return (
    host.neighbours.find((neighbour) => neighbour.dev === dev && neighbour.address === address)?.mac ??
    assumedMac(address)
  );
}

const isDirectedBroadcast = (host: Host, dev: string, address: Address): boolean =>
  familyOf(address) === 4 &&
  (interfaceOf(host, dev)?.addresses ?? []).some(
    (own) =>
      familyOf(own.address) === 4 && own.length < 31 && lastAddress(prefixOf(own.address, own.length)) === address,
  );

function multicastMac(address: Address): Mac {
  const value = Number(BigInt(address) & 0xffffffffn);
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
  if (interfaceOf(host, bridge.name)?.mac === dmac || bridge.ports.some((port) => port.mac === dmac))
    return { kind: 'up' };
  const learnt = host.neighbours.find((neighbour) => neighbour.mac === dmac && neighbour.dev === bridge.name);
  if (learnt?.port !== undefined) return { kind: 'port', port: learnt.port };
  const uplink = bridge.ports.find((port) => port.uplink);
  return uplink === undefined ? { kind: 'flood', up: false } : { kind: 'port', port: uplink.name };
}

/** The subnet that a machine on the bridge takes itself to be in, when it sends from `saddr`. */
const segmentOf = (bridge: Bridge, saddr: Address): Segment | undefined =>
  bridge.segments.find((segment) => prefixContains(segment.prefix, saddr));

/**
 * The MAC that a machine on a bridge sends to: the neighbour's when `daddr` is on its subnet, else its gateway's. Of a machine of no known subnet only this much is assumed: that
 * it finds the bridge's own subnets on its link, and routes through the bridge where that has an address, else through the first gateway. Without any of
 * these: to the bridge's own.
 */
export function stationDmac(host: Host, bridge: Bridge, packet: { saddr: Address; daddr: Address }): Mac {
  const own = interfaceOf(host, bridge.name);
  const { saddr, daddr } = packet;
  if (isMulticast(daddr) || daddr === LIMITED_BROADCAST) return neighbourMac(host, bridge.name, daddr);
  const known = segmentOf(bridge, saddr);
  const addresses = (own?.addresses ?? []).filter(
    ({ address }) => familyOf(address) === familyOf(daddr) && !isLinkLocal(address),
  );
  if (known === undefined && own !== undefined && addresses.length > 0) {
    const onLink = addresses.some(({ address, length }) => prefixContains(prefixOf(address, length), daddr));
    return onLink ? neighbourMac(host, bridge.name, daddr) : own.mac;
  }
  const segment = known ?? bridge.segments.find(({ prefix }) => familyOf(prefix.address) === familyOf(daddr));
  if (segment !== undefined && prefixContains(segment.prefix, daddr)) {
    if (familyOf(daddr) === 4 && segment.prefix.length < 31 && lastAddress(segment.prefix) === daddr)
      return BROADCAST_MAC;
    return neighbourMac(host, bridge.name, daddr);
  }
  if (segment?.gateway !== undefined) return neighbourMac(host, bridge.name, segment.gateway);
  return own?.mac ?? BROADCAST_MAC;
}
