/** What the kernel chooses at random, in the place of what the model chose. */
import { portRangeContains, type PortRange } from '../address/ports.ts';
import type { Memory } from '../netfilter/passage.ts';
import type { Tuple } from '../netfilter/tuple.ts';
import { SCTP, TCP, UDP, hasIdentifier, isIcmp, type Packet } from '../packet/packet.ts';
import type { Match, Rule } from '../ruleset/rule.ts';

/** A port or an icmp identifier that the kernel chose at random where the model chose another, in the flow with `peer`. */
export interface Substitution {
  readonly protocol: number;
  readonly address: Packet['saddr'];
  readonly peer: Packet['saddr'];
  /** 0 for icmp. */
  readonly peerPort: number;
  readonly model: number;
  readonly kernel: number;
}

/** Makes the model remember its flows with the kernel's choices: from now on it is as if it had made them. */
export function settle(memories: readonly Memory[], substitutions: readonly Substitution[]): void {
  for (const { conntrack } of memories) {
    for (const connection of conntrack.connections()) {
      const settled = substitutions.reduce(settledTuple, connection.reply);
      if (settled !== connection.reply) conntrack.settle(connection.reply, settled);
    }
  }
}

/** The tuple of a flow's answers: they go to `address`, or come from it where its destination was translated. */
function settledTuple(reply: Tuple, { protocol, address, peer, peerPort, model, kernel }: Substitution): Tuple {
  if (reply.protocol !== protocol) return reply;
  const to = reply.daddr === address && reply.saddr === peer;
  const from = reply.saddr === address && reply.daddr === peer;
  if (isIcmp({ protocol })) return (to || from) && reply.sport === model ? { ...reply, sport: kernel } : reply;
  if (to && reply.dport === model && reply.sport === peerPort) return { ...reply, dport: kernel };
  return from && reply.sport === model && reply.dport === peerPort ? { ...reply, sport: kernel } : reply;
}

/** True when the rule asks for a port of which the model's choice and the kernel's are not alike: it may match for one of them only. */
export const tellsApart = ({ matches }: Rule, substitutions: readonly Substitution[]): boolean =>
  substitutions.some(({ protocol, model, kernel }) =>
    matches
      .flatMap((match) => portsAsked(match, protocol))
      .some((range) => portRangeContains(range, model) !== portRangeContains(range, kernel)),
  );

const PROTOCOLS = { tcp: TCP, udp: UDP, sctp: SCTP } as const;

function portsAsked(match: Match, protocol: number): PortRange[] {
  switch (match.kind) {
    case 'tcp':
    case 'udp':
    case 'sctp':
      if (PROTOCOLS[match.kind] !== protocol) return [];
      return [match.sport, match.dport].flatMap((range) => range?.value ?? []);
    case 'multiport':
      return [...match.ports];
    case 'conntrack':
      return [match.ctorigsrcport, match.ctorigdstport, match.ctreplsrcport, match.ctrepldstport].flatMap(
        (range) => range?.value ?? [],
      );
    default:
      return [];
  }
}

/** The packet as it is with the kernel's choices. */
export function substituted(packet: Packet, substitutions: readonly Substitution[]): Packet {
  const whole = substitutions.reduce((known, choice) => chosenIn(known, packet, choice, false), packet);
  if (packet.quoted === undefined) return whole;
  const { quoted: before } = packet;
  // Between PREROUTING and POSTROUTING only one end of a quoted packet is as in the flow: who the other one is cannot be asked.
  const quoted = substitutions.reduce((known, choice) => chosenIn(known, before, choice, true), before);
  return quoted === before ? whole : { ...whole, quoted };
}

function chosenIn(known: Packet, packet: Packet, choice: Substitution, isHalf: boolean): Packet {
  const { protocol, address, peer, peerPort, model, kernel } = choice;
  const { saddr, daddr, sport, dport } = packet;
  if (packet.protocol !== protocol) return known;
  if (isIcmp(packet)) {
    // An error has no identifier of its own.
    if (!hasIdentifier(packet) || packet.id !== model) return known;
    const isBetween = (saddr === address && daddr === peer) || (saddr === peer && daddr === address);
    const isOfOne = [saddr, daddr].some((end) => end === address || end === peer);
    return isBetween || (isHalf && isOfOne) ? { ...known, id: kernel } : known;
  }
  if (saddr === address && sport === model && (isHalf || (daddr === peer && dport === peerPort)))
    return { ...known, sport: kernel };
  if (daddr === address && dport === model && (isHalf || (saddr === peer && sport === peerPort)))
    return { ...known, dport: kernel };
  return known;
}
