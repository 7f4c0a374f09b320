/** The packets that connection tracking can see in each state: what a claim about "every NEW packet" speaks of. */
import type { Family } from '../../address/address.ts';
import { normalizeRanges } from '../../address/ranges.ts';
import {
  ACK,
  DCCP,
  FIN,
  GRE,
  ICMP,
  ICMPV6,
  icmpOf,
  RST,
  SCTP,
  SYN,
  TCP,
  UDPLITE,
  URG,
  type ConntrackState,
} from '../../packet/packet.ts';
import { setOf, subtractSets, unionSets, type PacketSet } from '../../packet/pattern.ts';
import { flagRanges } from '../../packet/set-notation.ts';

const values = (list: readonly number[]) => normalizeRanges(list.map((value) => ({ from: value, to: value })));
const allBut = (list: readonly number[]) =>
  normalizeRanges(
    [-1, ...[...list].sort((a, b) => a - b)].map((value, at, all) => ({
      from: value + 1,
      to: (all[at + 1] ?? 256) - 1,
    })),
  );

/** Queries: echo, timestamp, information, address mask; echo and node information (nf_conntrack_proto_icmp.c, _icmpv6.c: valid_new). */
const QUERIES: Readonly<Record<Family, readonly number[]>> = { 4: [8, 13, 15, 17], 6: [128, 139] };

/** The errors, which quote the packet that they are about. */
const ERRORS: Readonly<Record<Family, readonly number[]>> = { 4: [3, 4, 5, 11, 12], 6: [1, 2, 3, 4] };

const ICMPS: readonly number[] = [ICMP, ICMPV6];

/** Conntrack finds no protocol in an IPv6 packet without a next header, and calls it INVALID (ipv6_get_l4proto). */
const NO_NEXT_HEADER = 59;

/** All protocols but tcp and both icmps: the icmp of the other family is none that a host reads. */
const others = (family: Family): PacketSet =>
  setOf({ family, protocol: allBut([TCP, ...ICMPS, ...(family === 6 ? [NO_NEXT_HEADER] : [])]) });

/**
 * Protocols of which no set says whether a packet opens a flow: it takes an SCTP chunk, a DCCP type, a GRE header, or a checksum
 * that the kernel computes as the sender did.
 */
const BODIED: PacketSet = {
  boxes: ([4, 6] as const).flatMap((family) => setOf({ family, protocol: values([DCCP, GRE, SCTP, UDPLITE]) }).boxes),
};

/**
 * The packets that open a flow whatever the sysctls say: a SYN, an icmp query, any packet of most other protocols. The rest is INVALID or, with
 * nf_conntrack_tcp_loose, may be taken for the middle of a flow (S6).
 */
export const openers = (family: Family): PacketSet => OPENERS[family];

const openersOf = (family: Family): PacketSet =>
  unionSets(
    unionSets(
      setOf({ family, protocol: values([TCP]), flags: flagRanges(SYN | ACK | RST | FIN, SYN) }),
      setOf({ family, protocol: values([icmpOf(family)]), type: values(QUERIES[family]) }),
    ),
    subtractSets(others(family), BODIED),
  );

const OPENERS: Readonly<Record<Family, PacketSet>> = { 4: openersOf(4), 6: openersOf(6) };

/** The packets that a running flow has: segments with ACK, icmp queries (asked again) and their answers, any packet of another protocol. */
const continuers = (family: Family): PacketSet =>
  unionSets(
    unionSets(
      setOf({ family, protocol: values([TCP]), flags: flagRanges(SYN | ACK | RST | FIN, ACK) }),
      setOf({ family, protocol: values([icmpOf(family)]), type: values([...QUERIES[family], family === 4 ? 0 : 129]) }),
    ),
    others(family),
  );

/**
 * The packets that belong to another flow: icmp errors, and a reset in answer to a SYN (S15). With URG a reset is none that conntrack takes for valid
 * (nf_conntrack_proto_tcp.c, tcp_valid_flags).
 */
const relatives = (family: Family): PacketSet =>
  unionSets(
    setOf({ family, protocol: values([icmpOf(family)]), type: values(ERRORS[family]) }),
    setOf({ family, protocol: values([TCP]), flags: flagRanges(SYN | ACK | RST | FIN | URG, ACK | RST) }),
  );

/** Any packet can be INVALID (by a bad checksum) or UNTRACKED. */
const anything = (family: Family): PacketSet => setOf({ family });

/** The headers that packets in `state` have. */
export function packetsInState(family: Family, state: ConntrackState): PacketSet {
  switch (state) {
    case 'NEW':
      return openers(family);
    case 'ESTABLISHED':
      return continuers(family);
    case 'RELATED':
      return relatives(family);
    case 'INVALID':
    case 'UNTRACKED':
      return anything(family);
  }
}
