/**
 * Network address translation: what a flow is mapped to, decided once, and the rewriting of each of its packets.
 *
 * Source: net/netfilter/nf_nat_core.c (nf_nat_setup_info, get_unique_tuple, nf_nat_l4proto_unique_tuple, nf_nat_packet), nf_nat_proto.c
 * (nf_nat_icmp_reply_translation), nf_nat_masquerade.c, nf_nat_redirect.c, xt_NETMAP.c, as of 6.18; facts S2-S8, S10, S25.
 */
import {
  familyOf,
  fromBigint,
  isLinkLocal,
  isLoopback,
  isMulticast,
  maskAddress,
  onesAddress,
  type Address,
} from '../address/address.ts';
import type { PortRange } from '../address/ports.ts';
import { interfaceOf, type Host } from '../host/host.ts';
import { routeOutput, selectAddress } from '../host/route.ts';
import { GRE, ICMP, ICMPV6, hasPorts, isIcmp, isIcmpError, type Packet } from '../packet/packet.ts';
import type { HookName, NatRange, Target } from '../ruleset/rule.ts';
import type { Connection, Conntrack } from './conntrack.ts';
import { tupleIn } from './conntrack.ts';
import type { FreshField } from './journey.ts';
import { invertTuple, otherDirection, tracksPorts, tuplesEqual, type Direction, type Tuple } from './tuple.ts';

/** Which end of a packet a hook may rewrite: HOOK2MANIP. */
export type Manipulation = 'source' | 'destination';

export const manipulationAt = (hook: HookName): Manipulation =>
  hook === 'PREROUTING' || hook === 'OUTPUT' ? 'destination' : 'source';

export const isDecided = (connection: Connection, manipulation: Manipulation): boolean =>
  manipulation === 'source' ? connection.sourceNatDone : connection.destinationNatDone;

/** The range of a "no translation" decision: the address it has. Ports may still move where two flows would collide (S7). */
export function nullRange(connection: Connection, manipulation: Manipulation): NatRange {
  const address = manipulation === 'source' ? connection.reply.daddr : connection.reply.saddr;
  return { addresses: { from: address, to: address } };
}

/**
 * nf_nat_setup_info: decides the mapping of one end. A decision already taken, or a flow already confirmed, stays as it is.
 */
export function bind(conntrack: Conntrack, connection: Connection, range: NatRange, manipulation: Manipulation): void {
  if (connection.confirmed || isDecided(connection, manipulation)) return;
  const current = invertTuple(connection.reply);
  if (current === undefined) return;
  const { tuple, fresh } = uniqueTuple(conntrack, connection, current, range, manipulation);
  if (!tuplesEqual(tuple, current)) {
    const reply = invertTuple(tuple);
    if (reply !== undefined) connection.reply = reply;
    if (manipulation === 'source') connection.sourceNat = true;
    else connection.destinationNat = true;
    connection.fresh = [...connection.fresh, ...fresh];
  }
  if (manipulation === 'source') {
    connection.sourceNatDone = true;
    conntrack.rememberSource(connection);
  } else connection.destinationNatDone = true;
}

interface Choice {
  readonly tuple: Tuple;
  readonly fresh: readonly FreshField[];
}

const portOf = (tuple: Tuple, manipulation: Manipulation): number =>
  manipulation === 'source' || tuple.protocol === ICMP || tuple.protocol === ICMPV6 ? tuple.sport : tuple.dport;

const withPort = (tuple: Tuple, manipulation: Manipulation, port: number): Tuple =>
  manipulation === 'source' || tuple.protocol === ICMP || tuple.protocol === ICMPV6
    ? { ...tuple, sport: port }
    : { ...tuple, dport: port };

const portInRange = (tuple: Tuple, manipulation: Manipulation, ports: PortRange): boolean => {
  // nf_nat l4proto_in_range: protocols without ports are in any range.
  if (tuple.protocol !== ICMP && tuple.protocol !== ICMPV6 && !tracksPorts(tuple.protocol)) return true;
  const port = portOf(tuple, manipulation);
  return ports.from <= port && port <= ports.to;
};

const sourceInRange = (tuple: Tuple, range: NatRange): boolean => {
  const { addresses, ports } = range;
  if (addresses !== undefined && (tuple.saddr < addresses.from || tuple.saddr > addresses.to)) return false;
  return ports === undefined || portInRange(tuple, 'source', ports);
};

/** get_unique_tuple: the mapping that keeps most of what the packet has and collides with no other flow. */
function uniqueTuple(
  conntrack: Conntrack,
  connection: Connection,
  current: Tuple,
  range: NatRange,
  manipulation: Manipulation,
): Choice {
  const random = range.random === true || range.randomFully === true;
  const taken = (tuple: Tuple): boolean => conntrack.isTaken(tuple, connection);
  if (manipulation === 'source' && !random) {
    if (sourceInRange(current, range)) {
      if (!taken(current)) return { tuple: current, fresh: [] };
    } else {
      const before = appropriateSource(conntrack, connection, current, range);
      if (before !== undefined && !taken(before.tuple)) return before;
    }
  }
  const { tuple, fresh } = bestAddress(current, range, manipulation);
  if (!random) {
    if (range.ports !== undefined) {
      const fits = range.base === undefined && portInRange(tuple, manipulation, range.ports);
      if (fits && (range.ports.from === range.ports.to || !taken(tuple))) return { tuple, fresh };
    } else if (!taken(tuple)) return { tuple, fresh };
  }
  return uniquePort(tuple, range, manipulation, random, fresh, taken);
}

/** find_appropriate_src: the same source and port are mapped as another of their flows is. */
function appropriateSource(
  conntrack: Conntrack,
  connection: Connection,
  current: Tuple,
  range: NatRange,
): Choice | undefined {
  for (const other of conntrack.fromSource(connection.original)) {
    const mapped = invertTuple(other.reply);
    if (mapped === undefined) continue;
    const tuple = { ...mapped, daddr: current.daddr, dport: current.dport };
    if (sourceInRange(tuple, range)) return { tuple, fresh: other.fresh };
  }
  return undefined;
}

/** find_best_ips_proto. The kernel hashes over an address range; the model takes the first and says that it is one of many. */
function bestAddress(current: Tuple, range: NatRange, manipulation: Manipulation): Choice {
  if (range.addresses === undefined) return { tuple: current, fresh: [] };
  const { from, to } = range.addresses;
  const field = manipulation === 'source' ? 'saddr' : 'daddr';
  return { tuple: { ...current, [field]: from }, fresh: from === to ? [] : [{ field, from, to }] };
}

/** The ports that a port may become when nothing is said (nf_nat_l4proto_unique_tuple: "512 is credential passing"). */
const portClass = (port: number): PortRange =>
  port < 512 ? { from: 1, to: 511 } : port < 1024 ? { from: 600, to: 1023 } : { from: 1024, to: 65535 };

function uniquePort(
  tuple: Tuple,
  range: NatRange,
  manipulation: Manipulation,
  random: boolean,
  fresh: readonly FreshField[],
  taken: (tuple: Tuple) => boolean,
): Choice {
  const icmp = tuple.protocol === ICMP || tuple.protocol === ICMPV6;
  if (!icmp && !tracksPorts(tuple.protocol)) return { tuple, fresh };
  const port = portOf(tuple, manipulation);
  if (!icmp && range.ports === undefined && manipulation === 'destination') return { tuple, fresh };
  const ports = range.ports ?? (icmp ? { from: 0, to: 65535 } : portClass(port));
  const size = ports.to - ports.from + 1;
  // The kernel starts at a random place, but for a destination or with a base.
  const start = range.base === undefined ? 0 : port - range.base;
  const isRandom = range.base === undefined && (random || manipulation === 'source');
  const field = icmp ? 'id' : manipulation === 'source' ? 'sport' : 'dport';
  const tries = Math.min(size, 65536);
  let candidate = tuple;
  for (let i = 0; i < tries; i++) {
    const offset = (((start + i) % size) + size) % size;
    candidate = withPort(tuple, manipulation, ports.from + offset);
    if (!taken(candidate))
      return { tuple: candidate, fresh: isRandom && size > 1 ? [...fresh, { field, ...ports }] : fresh };
  }
  // None is free: the last one tried stays, and the flow will clash when it is confirmed.
  return { tuple: candidate, fresh };
}

type NatTarget = Extract<Target, { kind: 'DNAT' | 'SNAT' | 'MASQUERADE' | 'REDIRECT' | 'NETMAP' }>;

/** What a NAT target maps to for this packet; undefined where it has no address to map to, and the packet is dropped. */
export function rangeOf(
  target: NatTarget,
  skb: { host: Host; hook: HookName; iif?: string | undefined; oif?: string | undefined; packet: Packet },
): NatRange | undefined {
  switch (target.kind) {
    case 'DNAT':
    case 'SNAT':
      return target.to;
    case 'MASQUERADE': {
      // S8: the primary address of the device in the next hop's subnet, whatever `src` the route names.
      if (skb.oif === undefined) return undefined;
      const decision = routeOutput(skb.host, { saddr: skb.packet.saddr, daddr: skb.packet.daddr });
      // IPv6 looks for an address near the destination instead (nf_nat_masquerade_ipv6).
      const near = decision.kind === 'forward' && skb.packet.family === 4 ? decision.nextHop : skb.packet.daddr;
      const address = selectAddress(skb.host, skb.oif, near);
      return address === undefined ? undefined : { ...target.to, addresses: { from: address, to: address } };
    }
    case 'REDIRECT': {
      const address = redirectAddress(skb);
      return address === undefined ? undefined : { ...target.to, addresses: { from: address, to: address } };
    }
    case 'NETMAP': {
      const { address, mask } = target.to;
      const own = manipulationAt(skb.hook) === 'destination' ? skb.packet.daddr : skb.packet.saddr;
      const family = familyOf(address);
      const hostBits = fromBigint(family, BigInt(onesAddress(family)) ^ BigInt(mask));
      const mapped = fromBigint(family, BigInt(maskAddress(own, hostBits)) | BigInt(address));
      return { addresses: { from: mapped, to: mapped } };
    }
  }
}

function redirectAddress(skb: {
  host: Host;
  hook: HookName;
  iif?: string | undefined;
  packet: Packet;
}): Address | undefined {
  const { family } = skb.packet;
  if (skb.hook === 'OUTPUT') return family === 4 ? 0x7f000001 : 1n;
  const own = (interfaceOf(skb.host, skb.iif ?? '')?.addresses ?? [])
    .map(({ address }) => address)
    .filter((address) => familyOf(address) === family);
  if (family === 4) return own[0];
  // nf_nat_redirect_ipv6_usable: as near as the destination where that is not global. A device has its link's addresses behind the others (ipv6_link_dev_addr).
  const wanted = nearness(skb.packet.daddr);
  const usable = own.filter((address) => wanted === undefined || nearness(address) === wanted);
  return usable.find((address) => nearness(address) === undefined) ?? usable[0];
}

type Nearness = 'host' | 'link' | 'site' | 'IPv4';

/** What ipv6_addr_type has between IPV6_ADDR_LOOPBACK and IPV6_ADDR_COMPATv4; undefined for what is global, and for other groups. */
function nearness(address: Address): Nearness | undefined {
  const value = BigInt(address);
  if (isMulticast(address)) return GROUP_NEARNESS.get(Number((value >> 112n) & 15n));
  if (isLoopback(address)) return 'host';
  if (isLinkLocal(address)) return 'link';
  if (value >> 118n === 0x3fbn) return 'site';
  return value !== 0n && value >> 32n === 0n ? 'IPv4' : undefined;
}

const GROUP_NEARNESS: ReadonlyMap<number, Nearness> = new Map([
  [1, 'host'],
  [2, 'link'],
  [5, 'site'],
]);

/** True when packets of the flow going in `direction` have this end rewritten (nf_nat_packet: the status bit, turned for replies). */
const isRewritten = (connection: Connection, direction: Direction, manipulation: Manipulation): boolean =>
  (manipulation === 'source') === (direction === 'ORIGINAL') ? connection.sourceNat : connection.destinationNat;

const setEnd = (packet: Packet, tuple: Tuple, manipulation: Manipulation): Packet => {
  const addressed = manipulation === 'source' ? { ...packet, saddr: tuple.saddr } : { ...packet, daddr: tuple.daddr };
  if (isIcmp(packet)) return isIcmpError(packet) ? addressed : { ...addressed, id: tuple.sport };
  // A later fragment carries no ports; the reassembled packet has been rewritten as a whole.
  if (!hasPorts(packet.protocol) || !tracksPorts(packet.protocol)) return addressed;
  return manipulation === 'source' ? { ...addressed, sport: tuple.sport } : { ...addressed, dport: tuple.dport };
};

/** Rewrites one packet of a flow at a hook; undefined where the kernel drops it instead. */
export function translate(
  packet: Packet,
  flow: { readonly connection: Connection; readonly direction: Direction },
  manipulation: Manipulation,
): Packet | undefined {
  const { connection, direction } = flow;
  if (isIcmpError(packet)) return translateError(packet, connection, direction, manipulation);
  if (!isRewritten(connection, direction, manipulation)) return packet;
  // gre_manip_pkt: a GRE packet without its header (which is payload here) cannot be rewritten.
  if (isShortGre(packet)) return undefined;
  const target = invertTuple(tupleIn(connection, otherDirection(direction)));
  return target === undefined ? packet : setEnd(packet, target, manipulation);
}

/** struct pptp_gre_header without its optional fields. */
const GRE_HEADER = 8;

const isShortGre = ({ protocol, payload }: Packet): boolean => protocol === GRE && payload < GRE_HEADER;

const ICMP_REDIRECT = 5;

/** Both ends have been decided, and neither is translated. A flow that a flooded frame began may never come to that. */
const isSurelyUntranslated = (connection: Connection): boolean =>
  connection.sourceNatDone && connection.destinationNatDone && !connection.sourceNat && !connection.destinationNat;

/** nf_nat_icmp_reply_translation: the quoted packet is turned back, and the error itself is made to look like an answer of the flow (S25). */
function translateError(
  packet: Packet,
  connection: Connection,
  direction: Direction,
  manipulation: Manipulation,
): Packet | undefined {
  if (packet.protocol === ICMP && packet.type === ICMP_REDIRECT && !isSurelyUntranslated(connection)) return undefined;
  if (!isRewritten(connection, direction, manipulation)) return packet;
  const forward = tupleIn(connection, otherDirection(direction));
  const target = invertTuple(forward);
  if (target === undefined) return packet;
  if (packet.quoted !== undefined && isShortGre(packet.quoted)) return undefined;
  const inner = manipulation === 'source' ? 'destination' : 'source';
  const outer = manipulation === 'source' ? { ...packet, saddr: target.saddr } : { ...packet, daddr: target.daddr };
  return packet.quoted === undefined ? outer : { ...outer, quoted: setEnd(packet.quoted, forward, inner) };
}
