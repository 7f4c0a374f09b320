/**
 * Is a packet in an ipset? `-m set --match-set NAME src,dst`: each direction word gives the field of the same place in the set's type its value.
 * Source: net/netfilter/ipset/ip_set_hash_*.c and ip_set_list_set.c. Not modelled: time-outs, counters, skbinfo.
 */
import { familyOf } from '../address/address.ts';
import { TCP, UDP, hasPorts, isIcmp } from '../packet/packet.ts';
import type { IpSet, IpSetEntry, IpSetField } from '../host/host.ts';
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

function fieldContains(field: IpSetField, direction: Direction, { packet, iif, oif, framed }: Skb): boolean {
  switch (field.kind) {
    case 'address': {
      const address = direction === 'src' ? packet.saddr : packet.daddr;
      return familyOf(address) === familyOf(field.from) && field.from <= address && address <= field.to;
    }
    case 'port': {
      // bitmap:port is for tcp and udp; icmp stands in a port's place as type * 256 + code.
      if (
        field.protocol === undefined
          ? packet.protocol !== TCP && packet.protocol !== UDP
          : packet.protocol !== field.protocol
      )
        return false;
      if (packet.fragment !== undefined && packet.fragment.offset > 0) return false;
      const port = isIcmp(packet)
        ? packet.type * 256 + packet.code
        : hasPorts(packet.protocol)
          ? direction === 'src'
            ? packet.sport
            : packet.dport
          : 0;
      return field.from <= port && port <= field.to;
    }
    case 'mac':
      return framed && (direction === 'src' ? packet.smac : packet.dmac) === field.mac;
    case 'mark':
      return packet.mark === field.value;
    case 'interface':
      return (direction === 'src' ? iif : oif) === field.name;
  }
}
