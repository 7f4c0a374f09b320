/** A claim about all packets is proved only where no packet contradicts it, and broken only with a packet that does. */
import { expect } from 'vitest';
import { INDEX } from '../src/arbitrary/choice.ts';
import { worldCase, type WorldCase } from '../src/arbitrary/world.ts';
import { arrive, machineOf } from '../src/netfilter/traverse.ts';
import type { WrittenClaim } from '../src/packet/claims.ts';
import { fateMatches, type ExpectedFate } from '../src/packet/fate.ts';
import { printArrival } from '../src/packet/notation.ts';
import { isIcmpError, type Arrival } from '../src/packet/packet.ts';
import { setOfArrival, setHolds, type Pattern } from '../src/packet/pattern.ts';
import { anyAddress } from '../src/address/ranges.ts';
import { NO } from '../src/space/diagram.ts';
import { judgeOnHost } from '../src/space/host-claim.ts';
import { HostWays } from '../src/space/host-ways.ts';
import { pointOfArrival } from '../src/space/point.ts';
import { storedCase } from './support/case.ts';
import { law, type Seen } from './support/law.ts';

const isWhole = ({ packet }: Arrival): boolean =>
  packet.fragment === undefined && !packet.badsum && packet.quoted === undefined && !isIcmpError(packet);

const FATES: readonly ExpectedFate[] = [
  { kind: 'delivered' },
  { kind: 'forwarded' },
  { kind: 'dropped' },
  { kind: 'rejected' },
];

/** The packets that are like one of them but for some fields. */
function around(arrival: Arrival, draw: number): readonly Pattern[] {
  return setOfArrival(arrival).boxes.map((box) => ({
    ...box,
    ...((draw & 1) === 0 ? {} : { saddr: anyAddress(box.family) }),
    ...((draw & 2) === 0 ? {} : { daddr: anyAddress(box.family) }),
    ...((draw & 4) === 0 ? {} : { sport: [{ from: 0, to: 65535 }] }),
    ...((draw & 8) === 0 ? {} : { dport: [{ from: 0, to: 65535 }] }),
  }));
}

law<[WorldCase, number]>(
  'space/a-claim-is-proved-iff-no-packet-contradicts-it',
  [worldCase({ rules: 20, moves: 8, loose: true, unmodelled: 8 }), INDEX],
  (drawn, draw, seen: Seen) => {
    const arrivals = drawn.moves.flatMap((move) => ('arrival' in move ? [move.arrival] : [])).filter(isWhole);
    const [first] = arrivals;
    const ruleset = drawn.rulesets.find(({ family }) => family === first?.packet.family);
    if (first === undefined || ruleset === undefined) return true;
    const { host, backend } = drawn;
    const ways = new HostWays(host, { family: ruleset.family, backend, rulesets: [ruleset] });
    const { layout } = ways;
    for (const [index, arrival] of arrivals.slice(0, 2).entries()) {
      if (arrival.packet.family !== ruleset.family) continue;
      const set = { boxes: around(arrival, draw + index) };
      for (const fate of FATES) {
        const claim: WrittenClaim = { line: 1, setColumn: 1, fateColumn: 1, text: '', set, fate };
        const { result, breaches } = judgeOnHost(ways, ruleset, claim);
        seen(result);
        for (const breach of breaches) {
          if (breach.result !== 'broken') continue;
          expect(
            breach.confirmed,
            `${fate.kind} ${breach.arrival === undefined ? '' : printArrival(breach.arrival)}`,
          ).not.toBe(false);
        }
        if (result !== 'proved') continue;
        for (const other of arrivals) {
          const { smac: _smac, dmac: _dmac, ...packet } = { ...other.packet, mark: 0 };
          const sent: Arrival = {
            packet,
            entry: arrival.entry,
            ...(arrival.state === undefined ? {} : { state: arrival.state }),
          };
          if (packet.family !== ruleset.family || !setHolds(set, sent)) continue;
          const meant = arrival.state === undefined ? ways.opening(arrival.entry) : ways.alive;
          if (layout.diagrams.evaluate(meant, pointOfArrival(layout, sent).at, layout.floor) === NO) continue;
          const journey = arrive(machineOf(host, [ruleset], backend), sent);
          // Whether the sender is told may be in doubt where the packet's own end is not.
          if (journey.fate.kind === 'undecided') continue;
          seen('asked');
          // A journey tells of copies that are delivered before those that go on; a claim is about either.
          const isCopied = journey.deliveries.length > 0 && journey.exits.length > 0;
          const holds = fateMatches(fate, journey.fate) || (isCopied && fate.kind === 'forwarded');
          expect(holds, `${printArrival(sent)} ${fate.kind} ${journey.fate.kind}`).toBe(true);
        }
      }
    }
    return true;
  },
  {
    runs: 30,
    stored: storedCase<[number]>(),
    cover: {
      proved: { atLeast: 20 },
      broken: { atLeast: 50 },
      undecided: { atLeast: 1 },
      vacuous: { atLeast: 0 },
      asked: { atLeast: 20 },
    },
  },
);
