/** The space of a table says of each packet what the walk through its chains says. */
import { expect } from 'vitest';
import fc from 'fast-check';
import { at, INDEX } from '../src/arbitrary/choice.ts';
import { worldCase, type WorldCase } from '../src/arbitrary/world.ts';
import { Conntrack, type Connection, type Tracked } from '../src/netfilter/conntrack.ts';
import { compileRuleset } from '../src/netfilter/compile.ts';
import type { Skb } from '../src/netfilter/skb.ts';
import { invertTuple, tupleOf } from '../src/netfilter/tuple.ts';
import { walkTable } from '../src/netfilter/walk.ts';
import { CONNTRACK_STATES, type Packet } from '../src/packet/packet.ts';
import type { HookName, TableName } from '../src/ruleset/rule.ts';
import { compile } from '../src/space/classifier.ts';
import type { Outcome } from '../src/space/outcome.ts';
import { law, type Seen } from './support/law.ts';
import { storedCase } from './support/case.ts';

const PLACES: readonly (readonly [TableName, HookName])[] = [
  ['filter', 'FORWARD'],
  ['filter', 'FORWARD'],
  ['filter', 'INPUT'],
  ['filter', 'OUTPUT'],
  ['mangle', 'PREROUTING'],
  ['mangle', 'FORWARD'],
  ['mangle', 'POSTROUTING'],
  ['raw', 'PREROUTING'],
  ['raw', 'OUTPUT'],
];
const DEVICES = ['none', 'br100', 'eth0', 'eth2', 'lo', 'eth7', 'wlan0', ''];
const PORTS = ['none', 'vnet0', 'vnet1', 'vnet9', 'eth1'];

const device = (names: readonly string[], draw: number): string | undefined => {
  const name = at(names, draw);
  return name === 'none' ? undefined : name;
};

/** A packet at a hook, in any state, whether or not a host could bring it there. */
function skbOf({ host, backend }: WorldCase, packet: Packet, hook: HookName, draw: number): Skb {
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

interface Walked {
  readonly kind: string;
  readonly with: string | undefined;
  readonly packet: Packet;
  readonly untracked: boolean;
}

/** All readings of the walk. */
function walks(drawn: WorldCase, table: TableName, skb: Skb): readonly Walked[] {
  const ruleset = drawn.rulesets.find(({ family }) => family === skb.packet.family);
  const chains = ruleset === undefined ? undefined : compileRuleset(ruleset).tables.get(table);
  const found: Walked[] = [];
  let answers: boolean[] | undefined = [];
  while (answers !== undefined && found.length < 64) {
    const given: boolean[] = answers;
    let asked = 0;
    const flow =
      skb.tracked?.kind === 'flow' ? { ...skb.tracked, connection: { ...skb.tracked.connection } } : skb.tracked;
    const copy: Skb = { ...skb, tracked: flow };
    const verdict =
      chains === undefined
        ? ({ kind: 'accept' } as const)
        : walkTable(table, chains, skb.hook, copy, {
            assume: () => (given[asked++] ??= false),
            record: () => undefined,
            translateTo: () => true,
          });
    found.push({
      kind: { accept: 'accepted', drop: 'dropped', reject: 'rejected', unknown: 'undecided' }[verdict.kind],
      with: verdict.kind === 'reject' ? verdict.with : undefined,
      packet: copy.packet,
      untracked: skb.tracked === undefined && copy.tracked !== undefined,
    });
    const last = given.lastIndexOf(false, asked - 1);
    answers = asked === 0 || last < 0 ? undefined : [...given.slice(0, last), true];
  }
  return found;
}

const agrees = (walked: Walked, outcome: Outcome, { packet, tracked }: Skb): boolean => {
  if (walked.kind !== outcome.kind || walked.with !== outcome.with) return false;
  if (outcome.kind !== 'accepted') return true;
  const { mark, ttl, untracked } = outcome.rewritten;
  const ctmark = tracked?.kind === 'flow' ? tracked.connection.mark : 0;
  const marked = mark === undefined ? packet.mark : ((packet.mark & mark.own) ^ (ctmark & mark.other) ^ mark.xor) >>> 0;
  const steps = ttl ?? [];
  const left = steps.reduce(
    (now, { operation, value }) =>
      operation === 'set' ? value : Math.min(255, Math.max(0, operation === 'inc' ? now + value : now - value)),
    packet.ttl,
  );
  return walked.packet.mark === marked && walked.packet.ttl === left && walked.untracked === (untracked === true);
};

const stored = storedCase<[number, number]>();
const COVER = {
  dropped: { atLeast: 4 },
  accepted: { atLeast: 30 },
  rejected: { atLeast: 2 },
  undecided: { atLeast: 1 },
  marked: { atLeast: 2 },
} as const;

law<[WorldCase, number, number]>(
  'space/a-table-says-of-each-packet-what-the-walk-says',
  [worldCase({ rules: 40, moves: 8, unmodelled: 4, loose: true }), INDEX, fc.integer({ min: 0, max: 0x7fffffff })],
  (drawn, which, draw, seen: Seen) => {
    const packets = drawn.moves.flatMap((move) => ('arrival' in move ? [move.arrival.packet] : []));
    const [first] = packets;
    const ruleset = drawn.rulesets.find(({ family }) => family === first?.family);
    if (first === undefined || ruleset === undefined) return true;
    const full = PLACES.filter(([table, hook]) => (ruleset.tables.get(table)?.chains.get(hook)?.rules.length ?? 0) > 0);
    const [table, hook] = at(full.length > 0 ? full : PLACES, which);
    const classifier = compile(ruleset, { backend: drawn.backend, host: drawn.host, table, hook });
    for (const [index, packet] of packets.entries()) {
      if (packet.family !== first.family) continue;
      for (let turn = 0; turn < 6; turn++) {
        const skb = skbOf(drawn, packet, hook, Math.imul(draw + turn + 31 * index, 0x9e3779b1) >>> 0);
        const walked = walks(drawn, table, skb);
        const outcomes = classifier.classify(skb);
        for (const { kind } of outcomes) if (kind in COVER) seen(kind);
        if (outcomes.length > 1) seen('undecided');
        if (outcomes.some(({ rewritten }) => rewritten.mark !== undefined)) seen('marked');
        const told = { outcomes, walked, skb: { ...skb, host: undefined }, table };
        expect(
          outcomes.every((outcome) => walked.some((one) => agrees(one, outcome, skb))),
          inspect(told),
        ).toBe(true);
        expect(
          walked.every((one) => outcomes.some((outcome) => agrees(one, outcome, skb))),
          inspect(told),
        ).toBe(true);
      }
    }
    return true;
  },
  { runs: 120, stored, cover: COVER },
);

const inspect = (value: unknown): string =>
  JSON.stringify(value, (_key, part: unknown) => (typeof part === 'bigint' ? `${part}n` : part));
