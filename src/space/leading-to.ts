/** How a packet comes into a state of connection tracking: conversations that may lead to it. Whether one does, whoever holds it sees. */
import { arrive, freshMachine, type Machine } from '../netfilter/traverse.ts';
import { answerTo, type Words } from '../network/converse.ts';
import { isIcmpError, SYN, TCP, type Arrival, type Entry, type Packet } from '../packet/packet.ts';
import { laterThan, replyTo } from '../packet/reply.ts';

/** The likeliest first. `openers`: packets that open flows whose answers come in where this packet does. */
export function leadingTo(
  machine: Machine,
  { packet, entry, state }: Arrival,
  openers: readonly Arrival[],
): readonly Words[] {
  const alone: Arrival = { packet, entry };
  if (state === 'NEW' || state === 'INVALID' || state === 'UNTRACKED') return [said(alone)];
  if (state === 'RELATED' && isIcmpError(packet))
    return openers.flatMap((opener): Words[] => {
      const answer = answerTo(arrive(freshMachine(machine), opener));
      if (answer === undefined) return [];
      const { saddr, daddr } = answer.packet;
      const error: Arrival = { packet: { ...packet, saddr, daddr }, entry, quotes: 1 };
      return [said(opener, error)];
    });
  // Somebody else has opened the flow: whoever the packet is for.
  const there = whereItEnds(machine, { ...alone, state: state ?? 'ESTABLISHED' });
  const own = ownWords(alone);
  const theirs = there === undefined ? undefined : replyTo(packet);
  return [
    ...(own === undefined ? [] : [own]),
    ...(theirs === undefined || there === undefined ? [] : [said({ packet: opening(theirs), entry: there }, alone)]),
  ];
}

const said = (...arrivals: readonly Arrival[]): Words =>
  arrivals.map((arrival, index) => ({ kind: 'packet', line: index + 1, arrival }));

/** As the first packet of a flow. */
const opening = (packet: Packet): Packet =>
  packet.protocol === TCP ? { ...packet, flags: SYN, seq: 1000, ack: 0 } : packet;

/** The packet as its sender says it when it has opened the flow itself and was answered. */
function ownWords({ packet, entry }: Arrival): Words | undefined {
  const first = opening(packet);
  const reply = replyTo(first);
  if (reply === undefined) return undefined;
  const later = { ...laterThan(first, reply), ...(packet.protocol === TCP ? { flags: packet.flags } : {}) };
  return [
    { kind: 'packet', line: 1, arrival: { packet: first, entry } },
    { kind: 'reply', line: 2 },
    { kind: 'packet', line: 3, arrival: { packet: later, entry } },
  ];
}

/** Where whoever gets the packet is, and would send from. */
function whereItEnds(machine: Machine, arrival: Arrival): Entry | undefined {
  const { exits, deliveries } = arrive(freshMachine(machine), arrival);
  const [exit] = exits;
  if (deliveries.length > 0) return { kind: 'local' };
  return exit && { kind: 'in', interface: exit.port ?? exit.oif };
}
