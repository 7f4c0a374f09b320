/** Translation: once a flow, the same for all its packets, and back again for the answers. */
import { expect } from 'vitest';
import { zeroAddress } from '../src/address/address.ts';
import { BROADCAST_MAC, isGroupMac } from '../src/address/mac.ts';
import { worldCase, type WorldCase } from '../src/arbitrary/world.ts';
import type { Host } from '../src/host/host.ts';
import { framed, type Move } from '../src/kernel/dialogue.ts';
import { endingOf } from '../src/netfilter/ending.ts';
import type { Journey } from '../src/netfilter/journey.ts';
import { arrive, copyMachine, machineOf, type Machine } from '../src/netfilter/traverse.ts';
import { tupleOf } from '../src/netfilter/tuple.ts';
import { answerTo } from '../src/network/converse.ts';
import { printPacket } from '../src/packet/notation.ts';
import { UDPLITE, type Arrival, type Packet } from '../src/packet/packet.ts';
import type { Ruleset } from '../src/ruleset/rule.ts';
import { onlyTables } from './support/edit.ts';
import { storedCase } from './support/case.ts';
import { COVER, NAT_TARGETS, tellKinds } from './support/kind.ts';
import { law } from './support/law.ts';

type Drawn = [WorldCase];
const stored = storedCase<[]>();
const RUNS = 300;

/** What the sender of a packet, and whoever answers it, goes by. */
interface Flow {
  readonly saddr: Packet['saddr'];
  readonly daddr: Packet['daddr'];
  readonly sport: number;
  readonly dport: number;
  readonly id: number;
}

const flowOf = ({ saddr, daddr, sport, dport, id }: Packet): Flow => ({ saddr, daddr, sport, dport, id });
const turned = ({ saddr, daddr, sport, dport, id }: Flow): Flow => ({
  saddr: daddr,
  daddr: saddr,
  sport: dport,
  dport: sport,
  id,
});

/** The packet as it came out, where it came out at all. */
const resultOf = ({ exits, deliveries }: Journey): Packet | undefined => deliveries[0] ?? exits[0]?.packet;

const arrivalsOf = (moves: readonly Move[]): readonly Arrival[] =>
  moves.flatMap((move) => (move.kind === 'packet' ? [move.arrival] : []));

/**
 * Sends the case's packets one after the other and gives each to `look` that opened a flow and got through, with the machine as it is then.
 */
function eachFlow(
  { host, backend, moves }: WorldCase,
  rulesets: readonly Ruleset[],
  look: (first: Journey, arrival: Arrival, machine: Machine) => void,
): readonly Journey[] {
  const machine = machineOf(host, rulesets, backend);
  return arrivalsOf(moves).map((arrival) => {
    const { entry, packet } = arrival;
    const sent = entry.kind === 'in' ? { ...arrival, packet: framed(host, packet, entry.interface) } : arrival;
    const journey = arrive(machine, sent);
    const isOpened = journey.state === 'NEW' && resultOf(journey) !== undefined;
    if (isOpened && journey.fate.kind !== 'undecided') look(journey, sent, machine);
    return journey;
  });
}

/** The translations of a host, and nothing that would stop or mark a packet. */
const natAlone = (rulesets: readonly Ruleset[]): readonly Ruleset[] =>
  rulesets.map((ruleset) => onlyTables(ruleset, ['nat']));

/** A process that sends to the unspecified address sends to its own host (ip_route_output_key_hash_rcu). */
const isToNobody = ({ packet, entry }: Arrival): boolean =>
  entry.kind === 'local' && packet.daddr === zeroAddress(packet.family);

const isTranslated = (journey: Journey): boolean => journey.steps.some(({ target }) => NAT_TARGETS.has(target));

law<Drawn>(
  'netfilter/the-answer-is-translated-back',
  [worldCase({ loose: true, rules: 40, moves: 8 })],
  (drawn, seen) => {
    const journeys = eachFlow(drawn, natAlone(drawn.rulesets), (first, arrival, machine) => {
      const answer = answerTo(first);
      // Linux takes the checksum of every udplite packet that arrives for a wrong one (conntrack.ts, classify).
      if (answer === undefined || answer.packet.protocol === UDPLITE || isToNobody(arrival)) return;
      // Of what a bridge alone has passed on, with bridge-nf off, nobody has confirmed the flow.
      if (machine.memories[0]?.conntrack.find(tupleOf(first.packet)) === undefined) return;
      const journey = arrive(copyMachine(machine), answer);
      const back = resultOf(journey);
      // An answer that meets no hook is not looked at by anybody: bridged with bridge-nf off (S21), or refused before PREROUTING.
      if (journey.steps.length === 0) return;
      expect(journey.state, endingOf(journey)).toBe('ESTABLISHED');
      if (back === undefined) {
        // It is lost for a reason of routing or of the bridge, never because of a rule.
        expect(journey.fate.reason, endingOf(journey)).toBeDefined();
        return;
      }
      expect(flowOf(back), `answer to ${printPacket(first.packet)}`).toEqual(turned(flowOf(first.packet)));
      seen('answered');
      if (isTranslated(first)) seen('translated and answered');
      if (journey.exits.some((exit) => exit.port !== undefined) && isTranslated(first)) seen('by a bridge port');
    });
    tellKinds(journeys, seen);
    return true;
  },
  {
    runs: RUNS,
    stored,
    cover: {
      forwarded: COVER.forwarded,
      delivered: COVER.delivered,
      'dropped by rule': { atLeast: 0 },
      bridged: { atLeast: 5 },
      ESTABLISHED: { atLeast: 0 },
      translated: { atLeast: 20 },
      answered: { atLeast: 50 },
      'translated and answered': { atLeast: 12 },
      'by a bridge port': { atLeast: 3 },
    },
  },
);

law<Drawn>(
  'netfilter/a-flow-is-translated-as-its-first-packet-was',
  [worldCase({ loose: true, rules: 40, moves: 8 })],
  (drawn, seen) => {
    const journeys = eachFlow(drawn, drawn.rulesets, (first, arrival, machine) => {
      const second = arrive(copyMachine(machine), arrival);
      if (second.state !== 'NEW') return;
      const [before, after] = [resultOf(first), resultOf(second)];
      // What it meets on its way may be other rules: nat is not asked again, and neither is what a raw or mangle rule said of NEW packets.
      if (before === undefined || after === undefined) return;
      expect(flowOf(after), endingOf(second)).toEqual(flowOf(before));
      seen('sent again');
      if (isTranslated(first)) seen('translated and sent again');
    });
    tellKinds(journeys, seen);
    return true;
  },
  {
    runs: RUNS,
    stored,
    cover: {
      ...COVER,
      ESTABLISHED: { atLeast: 0 },
      'sent again': { atLeast: 25 },
      'translated and sent again': { atLeast: 8 },
    },
  },
);

const isForMany = (host: Host, { packet, entry }: Arrival): boolean =>
  entry.kind === 'in' && isGroupMac(framed(host, packet, entry.interface).dmac ?? BROADCAST_MAC);

/** Both ends' mappings have been decided: what a bridge confirms before it floods it never gets there (nf_nat_setup_info). */
function isDecidedFor(machine: Machine, { packet }: Journey): boolean {
  const found = machine.memories[0]?.conntrack.find(tupleOf(packet))?.connection;
  return found?.sourceNatDone === true && found.destinationNatDone;
}

law<Drawn>(
  'netfilter/nat-is-asked-once-a-flow',
  [worldCase({ loose: true, rules: 40, moves: 8 })],
  (drawn, seen) => {
    const journeys = eachFlow(drawn, drawn.rulesets, (first, arrival, machine) => {
      if (!isDecidedFor(machine, first)) return;
      const again = arrive(copyMachine(machine), arrival);
      const answer = answerTo(first);
      const back = answer && arrive(copyMachine(machine), answer);
      const forMany = isForMany(machine.host, arrival);
      for (const later of [again, back]) {
        if (later === undefined || (later.state !== 'NEW' && later.state !== 'ESTABLISHED')) continue;
        // The bridge confirms the flow of a frame for many before INPUT, and a confirmed flow's source is never decided (br_nf_local_in).
        const asked = later.steps.filter(({ table, hook }) => table === 'nat' && !(hook === 'INPUT' && forMany));
        expect(asked).toEqual([]);
        seen(later.state);
      }
    });
    for (const { steps } of journeys) {
      // A copy of a flooded frame that nat's policy drops leaves the flow undecided, so that the next copy asks again.
      const asked = steps
        .filter(({ table, rule, target }) => table === 'nat' && rule === 'policy' && target === 'ACCEPT')
        .map(({ hook }) => hook);
      expect(asked).toEqual([...new Set(asked)]);
      if (asked.length > 1) seen('asked at two hooks');
    }
    return true;
  },
  {
    runs: RUNS,
    stored,
    cover: { NEW: { atLeast: 30 }, ESTABLISHED: { atLeast: 20 }, 'asked at two hooks': { atLeast: 30 } },
  },
);
