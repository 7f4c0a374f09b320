/** Packets as octets, fragments of a conversation among them. */
import { transportHeaderLength } from '../packet/length.ts';
import { makePacket, type Packet } from '../packet/packet.ts';
import { encodePacket } from '../packet/wire.ts';

const IPV4_HEADER = 20;

/**
 * A packet on the wire, from its IP header on. A first fragment has the checksum of its whole datagram: of the fragment among `datagrams` that ends it, whose octets are all
 * zero.
 */
export function fragmentOctets(packet: Packet, datagrams: readonly Packet[], id: number): Uint8Array {
  const { fragment, family, protocol, saddr, daddr } = packet;
  const octets = encodePacket(packet, { id });
  if (family !== 4 || fragment?.offset !== 0) return octets;
  const last = datagrams.find(
    (other) =>
      other.fragment?.more === false &&
      other.protocol === protocol &&
      other.saddr === saddr &&
      other.daddr === daddr &&
      other.sport + other.dport === 0,
  );
  if (last?.fragment === undefined) return octets;
  const end = last.fragment.offset * 8 + transportHeaderLength(last) + last.payload;
  const { fragment: _, ...head } = packet;
  const whole = encodePacket(makePacket({ ...head, payload: end - transportHeaderLength({ protocol }) }));
  octets.set(whole.subarray(IPV4_HEADER, octets.length), IPV4_HEADER);
  return octets;
}
