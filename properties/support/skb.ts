/** Packets at hooks in any state, and all readings of the walk through one table: what the space of a table is compared with. */
import { at } from '../../src/arbitrary/choice.ts';
import type { WorldCase } from '../../src/arbitrary/world.ts';
import { Conntrack, type Connection, type Tracked } from '../../src/netfilter/conntrack.ts';
import { compileRuleset } from '../../src/netfilter/compile.ts';
import type { Skb } from '../../src/netfilter/skb.ts';
import { invertTuple, tupleOf } from '../../src/netfilter/tuple.ts';
import { walkTable } from '../../src/netfilter/walk.ts';
import { CONNTRACK_STATES, type Packet } from '../../src/packet/packet.ts';
import { printTarget } from '../../src/ruleset/print.ts';
import type { HookName, Ruleset, TableName } from '../../src/ruleset/rule.ts';

const DEVICES = ['none', 'br100', 'eth0', 'eth2', 'lo', 'eth7', 'wlan0', ''];
const PORTS = ['none', 'vnet0', 'vnet1', 'vnet9', 'eth1'];

const device = (names: readonly string[], draw: number): string | undefined => {
  const name = at(names, draw);
  return name === 'none' ? undefined : name;
};

/** A packet at a hook, in any state, whether or not a host could bring it there. */
export function skbOf({ host, backend }: WorldCase, packet: Packet, hook: HookName, draw: number): Skb {
  const bits = (from: number, size: number): number => (draw >>> from) % size;
  return {
    host,
    backend,
    packet,
    tracked: trackedOf(packet, draw),
    hook,
    iif: device(DEVICES, bits(3, 8)),
    oif: device(DEVICES, bits(6, 8)),
    physin: device(PORTS, bits(9, 5)),
    physout: device(PORTS, bits(11, 5)),
    framed: bits(14, 2) === 0,
    packetType: at(['unicast', 'unicast', 'broadcast', 'multicast'] as const, bits(15, 4)),
    hotdrop: false,
  };
}

function trackedOf(packet: Packet, draw: number): Tracked | undefined {
  const state = at([...CONNTRACK_STATES, 'none'] as const, draw >>> 17);
  if (state === 'none') return undefined;
  if (state === 'INVALID' || state === 'UNTRACKED') return { kind: 'none', state };
  const made = new Conntrack().asserted(packet, state, { tcpLoose: true, tcpBeLiberal: false });
  if (made.kind !== 'flow') return made;
  const bit = (at: number): boolean => ((draw >>> at) & 1) === 1;
  const original = bit(20) ? { ...tupleOf(packet), daddr: packet.saddr } : tupleOf(packet);
  const connection: Connection = {
    ...made.connection,
    original,
    reply: invertTuple(tupleOf(packet)) ?? original,
    sourceNat: bit(21),
    destinationNat: bit(22),
    seenReply: bit(23),
    assured: bit(24),
    confirmed: bit(25),
    mark: (draw >>> 26) & 3,
  };
  return { kind: 'flow', connection, direction: bit(28) ? 'REPLY' : 'ORIGINAL', state };
}

export interface Walked {
  readonly kind: string;
  readonly with: string | undefined;
  readonly packet: Packet;
  readonly untracked: boolean;
  readonly ctmark: number | undefined;
  readonly translation: string | undefined;
}

/** All readings of the walk. */
export function walks(ruleset: Ruleset | undefined, table: TableName, skb: Skb): readonly Walked[] {
  const chains = ruleset === undefined ? undefined : compileRuleset(ruleset).tables.get(table);
  const found: Walked[] = [];
  let answers: boolean[] | undefined = [];
  while (answers !== undefined && found.length < 64) {
    const given: boolean[] = answers;
    let asked = 0;
    let translation: string | undefined;
    const flow =
      skb.tracked?.kind === 'flow' ? { ...skb.tracked, connection: { ...skb.tracked.connection } } : skb.tracked;
    const copy: Skb = { ...skb, tracked: flow };
    const verdict =
      chains === undefined
        ? ({ kind: 'accept' } as const)
        : walkTable(table, chains, skb.hook, copy, {
            assume: () => (given[asked++] ??= false),
            record: () => undefined,
            translateTo: (target) => {
              translation = printTarget(target);
              return true;
            },
          });
    found.push({
      kind: { accept: 'accepted', drop: 'dropped', reject: 'rejected', unknown: 'undecided' }[verdict.kind],
      with: verdict.kind === 'reject' ? verdict.with : undefined,
      packet: copy.packet,
      untracked: skb.tracked?.state !== 'UNTRACKED' && copy.tracked?.state === 'UNTRACKED',
      ctmark: copy.tracked?.kind === 'flow' ? copy.tracked.connection.mark : undefined,
      translation,
    });
    const last = given.lastIndexOf(false, asked - 1);
    answers = asked === 0 || last < 0 ? undefined : [...given.slice(0, last), true];
  }
  return found;
}
