/**
 * Is a packet in an ipset? `-m set --match-set NAME src,dst`: each direction word gives the field of the same place in the set's type its value.
 * Source: net/netfilter/ipset/ip_set_hash_*.c and ip_set_list_set.c. Not modelled: time-outs, counters, skbinfo.
 */
import { familyOf } from '../address/address.ts';
import { TCP, UDP, hasPorts, isIcmp, isLaterFragment, type Packet } from '../packet/packet.ts';
import type { IpSet, IpSetEntry, IpSetField } from '../ruleset/ipset.ts';
import type { Truth } from './match.ts';
import type { Skb } from './skb.ts';

type Direction = 'src' | 'dst';

/** Sets of sets may not hold sets of sets, so one level is all there is. */
export function setContains(
  set: IpSet,
  directions: readonly Direction[],
  skb: Skb,
  sets: ReadonlyMap<string, IpSet>,
): Truth {
  const fields = set.type.slice(set.type.indexOf(':') + 1).split(',');
  if (set.type === 'list:set') {
    let truth: Truth = false;
    for (const entry of set.entries) {
      const [member] = entry.fields;
      if (member?.kind !== 'interface') continue;
      const named = sets.get(member.name);
      const answer =
        named === undefined || named.type === 'list:set' ? undefined : setContains(named, directions, skb, sets);
      if (answer === true) return true;
      if (answer === undefined) truth = undefined;
    }
    return truth;
  }
  if (directions.length < fields.length) return false;
  let included = false;
  let longest = -1;
  for (const entry of set.entries) {
    if (!entryContains(entry, directions, skb)) continue;
    // hash:net decides by the most specific entry, `nomatch` or not.
    const width = specificity(entry);
    if (width >= longest) {
      longest = width;
      included = !entry.nomatch;
    }
  }
  return included;
}

/** The smaller the range, the more specific. */
const specificity = (entry: IpSetEntry): number =>
  entry.fields.reduce(
    (total, field) =>
      field.kind === 'address' ? total + 128 - (BigInt(field.to) - BigInt(field.from)).toString(2).length : total,
    0,
  );

const entryContains = (entry: IpSetEntry, directions: readonly Direction[], skb: Skb): boolean =>
  entry.fields.every((field, index) => fieldContains(field, directions[index] ?? 'src', skb));

function fieldContains(field: IpSetField, direction: Direction, skb: Skb): boolean {
  const { packet, framed } = skb;
  switch (field.kind) {
    case 'address': {
      const address = direction === 'src' ? packet.saddr : packet.daddr;
      return familyOf(address) === familyOf(field.from) && field.from <= address && address <= field.to;
    }
    case 'port':
      return portContains(field, direction, packet);
    case 'mac':
      return framed && (direction === 'src' ? packet.smac : packet.dmac) === field.mac;
    case 'mark':
      return (field.mask === undefined ? packet.mark : (packet.mark & field.mask) >>> 0) === field.value;
    case 'interface': {
      // hash_netiface4_kadt compares a bridge port only where the caller asks for one, and xt_set never does: such an entry meets no packet.
      if (field.physdev === true) return false;
      const name = direction === 'src' ? skb.iif : skb.oif;
      if (name === undefined) return false;
      return field.wildcard === true ? name.startsWith(field.name) : name === field.name;
    }
  }
}

type PortField = Extract<IpSetField, { kind: 'port' }>;

/** icmp stands in a port's place as type * 256 + code; without a protocol (bitmap:port) tcp and udp have ports. */
function portContains(field: PortField, direction: Direction, packet: Packet): boolean {
  const protocolFits =
    field.protocol === undefined
      ? packet.protocol === TCP || packet.protocol === UDP
      : packet.protocol === field.protocol;
  if (!protocolFits || isLaterFragment(packet)) return false;
  if (isIcmp(packet)) return inRange(field, packet.type * 256 + packet.code);
  if (!hasPorts(packet.protocol)) return inRange(field, 0);
  return inRange(field, direction === 'src' ? packet.sport : packet.dport);
}

const inRange = ({ from, to }: PortField, port: number): boolean => from <= port && port <= to;
