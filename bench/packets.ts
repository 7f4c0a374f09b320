/** Packets for a host in nova's shape: nine of ten are for an instance, most with a port that some rule asks for. */
import { randomFrom } from '../src/judge/random.ts';
import { Conntrack } from '../src/netfilter/conntrack.ts';
import type { Skb } from '../src/netfilter/skb.ts';
import { CONNTRACK_STATES, ICMP, makePacket, TCP, UDP } from '../src/packet/packet.ts';
import { NOWHERE } from '../src/space/witness.ts';
import { instanceAddress, type NovaShape } from './rulesets.ts';

export function packetsFor({ instances }: NovaShape, count: number, seed: number): readonly Skb[] {
  const random = randomFrom(seed);
  const conntrack = new Conntrack();
  return Array.from({ length: count }, (): Skb => {
    const index = random() % instances.length;
    const rules = instances[index] ?? [];
    const rule = rules[random() % Math.max(1, rules.length)];
    const isNear = random() % 4 > 0;
    const protocol = rule?.protocol === 'udp' ? UDP : rule?.protocol === 'icmp' ? ICMP : TCP;
    const from = isNear ? (rule?.ports?.from ?? 0) : random() % 65536;
    const packet = makePacket({
      family: 4,
      protocol,
      saddr: isNear && rule?.source !== undefined ? (rule.source.address + (random() % 3)) >>> 0 : random(),
      daddr: random() % 10 === 0 ? random() : instanceAddress(index),
      ...(protocol === ICMP ? {} : { sport: 1024 + (random() % 60000), dport: (from + (random() % 3)) % 65536 }),
    });
    const state = CONNTRACK_STATES[[0, 0, 0, 0, 0, 1, 1, 2, 3, 4][random() % 10] ?? 0] ?? 'NEW';
    return {
      host: NOWHERE,
      backend: 'nft',
      packet,
      tracked:
        state === 'INVALID' || state === 'UNTRACKED'
          ? { kind: 'none', state }
          : conntrack.asserted(packet, state, { tcpLoose: true, tcpBeLiberal: false }),
      hook: 'FORWARD',
      iif: 'eth0',
      oif: random() % 2 === 0 ? 'br100' : 'eth1',
      framed: true,
      packetType: 'unicast',
      hotdrop: false,
    };
  });
}
