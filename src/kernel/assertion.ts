/**
 * A state that is asserted of a packet, brought about on Linux: a flow that conntrack is told of, a checksum that is wrong, a packet that it leaves alone. What then arrives is
 * tracked by Linux as it tracks any other.
 */
import { printAddress } from '../address/address.ts';
import { arrive, freshMachine, type Machine } from '../netfilter/traverse.ts';
import { icmpMayOpen, invertTuple, tupleOf, type Tuple } from '../netfilter/tuple.ts';
import { GRE, UDP, isIcmp, isIcmpError, makePacket, type Arrival, type Packet } from '../packet/packet.ts';
import type { FlowSpec, FlowTuple } from './protocol.ts';

/** How a packet comes to its state. */
export interface BroughtAbout {
  /** With what makes it so: a wrong checksum, the packet that it quotes. */
  readonly packet: Packet;
  readonly flow?: FlowSpec;
  /** conntrack has to leave it alone. */
  readonly untracked?: boolean;
}

/** What has to be done that Linux sees the packet in the state that is asserted of it; undefined where nothing can make it so. */
export function bringAbout(machine: Machine, { packet, entry, state }: Arrival): BroughtAbout | undefined {
  const tracked = machine.rules.get(packet.family)?.conntrack === true;
  if (state === undefined || !tracked) return { packet };
  const stateAlone = (tried: Packet): string => arrive(freshMachine(machine), { packet: tried, entry }).state;
  if (stateAlone(packet) === state) return { packet };
  switch (state) {
    case 'NEW':
      return undefined;
    case 'UNTRACKED':
      return { packet, untracked: true };
    case 'INVALID': {
      const broken = { ...packet, badsum: true };
      return stateAlone(broken) === state ? { packet: broken } : undefined;
    }
    case 'ESTABLISHED':
    case 'RELATED':
      return isIcmpError(packet) ? (state === 'RELATED' ? aboutAFlow(packet) : undefined) : inAFlow(packet, state);
  }
}

function inAFlow(packet: Packet, state: 'ESTABLISHED' | 'RELATED'): BroughtAbout | undefined {
  const tuple = tupleOf(packet);
  const inverse = invertTuple(tuple);
  // Of a GRE flow that it was told of Linux does not know the answers.
  if (inverse === undefined || packet.protocol === GRE) return undefined;
  // No flow begins with the answer to an icmp query: conntrack calls all packets of such a one INVALID.
  const [original, reply] = isIcmp(packet) && !icmpMayOpen(packet) ? [inverse, tuple] : [tuple, inverse];
  const expected = state === 'RELATED';
  return { packet, flow: { original: written(original), reply: written(reply), seenReply: !expected, expected } };
}

/** An icmp error belongs to the flow that it quotes: one that whoever gets the error has opened. */
function aboutAFlow(packet: Packet): BroughtAbout | undefined {
  const { family, saddr, daddr } = packet;
  const quoted =
    packet.quoted ?? makePacket({ family, saddr: daddr, daddr: saddr, protocol: UDP, sport: 40000, dport: 33434 });
  const about = inAFlow(quoted, 'ESTABLISHED');
  return about && { ...about, packet: { ...packet, quoted } };
}

const written = ({ saddr, daddr, ...rest }: Tuple): FlowTuple => ({
  ...rest,
  saddr: printAddress(saddr),
  daddr: printAddress(daddr),
});
