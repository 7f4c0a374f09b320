/** Does the difference of two rulesets, over all packets, say what the model says, packet by packet? */
import type { Host } from '../host/host.ts';
import { arrive, machineOf } from '../netfilter/traverse.ts';
import type { Backend } from '../netfilter/skb.ts';
import { printArrival } from '../packet/notation.ts';
import { isIcmpError, type Arrival, type Entry } from '../packet/packet.ts';
import { anyPattern } from '../packet/pattern.ts';
import { samplerOf } from '../packet/sample.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { YES } from '../space/diagram.ts';
import { hostDifference } from '../space/host-difference.ts';
import { HostWays } from '../space/host-ways.ts';
import { linesOf, seenOf } from '../space/way-witness.ts';
import { pointOfArrival } from '../space/point.ts';
import { aimOf } from './aim.ts';
import { randomFrom } from './random.ts';

export interface DifferenceCheck {
  /** Regions in which packets fare otherwise. */
  readonly regions: number;
  /** Witnesses that the model has walked. */
  readonly replayed: number;
  /** Packets that were asked, and those of them that fare otherwise. */
  readonly asked: number;
  readonly differing: number;
  /** What disagrees, a sentence each. */
  readonly wrong: readonly string[];
}

export interface DifferenceSubject {
  readonly host: Host;
  readonly old: Ruleset;
  readonly now: Ruleset;
  readonly backend: Backend;
  /** Packets for each way into the host. */
  readonly packets: number;
  readonly seed: number;
}

/** Each witness must fare otherwise in the model, and a packet must be in the difference if and only if it does. */
export function checkDifference({ host, old, now, backend, packets, seed }: DifferenceSubject): DifferenceCheck {
  const ways = new HostWays(host, { family: now.family, backend, rulesets: [old, now] });
  const { layout } = ways;
  const regions = hostDifference(ways, old, now);
  const wrong: string[] = [];
  let replayed = 0;
  for (const { witness, classes } of regions) {
    if (witness === undefined) {
      wrong.push(`${classes.join()}: no witness was found`);
      continue;
    }
    if (witness.confirmed !== null) replayed++;
    if (witness.confirmed === false) wrong.push(`${linesOf(witness).join('; ')} fares as before, in the model`);
  }
  const firsts = regions.filter(
    ({ state, turns, classes }) => state === undefined && turns.length === 1 && classes.join() !== 'logged',
  );
  const aim = aimOf([old, now]);
  const own = host.interfaces.flatMap(({ addresses }) => addresses.map(({ address }) => address));
  const neighbours = host.neighbours.map(({ address }) => address);
  const sample = samplerOf(
    { boxes: [anyPattern(now.family)] },
    { addresses: [...aim.addresses, ...own, ...neighbours], ports: aim.ports, entries: [{ kind: 'local' }] },
  );
  const random = randomFrom(seed);
  let asked = 0;
  let differing = 0;
  for (const entry of ways.entries(anyPattern(now.family).entry))
    for (let turn = 0; turn < packets && sample !== undefined; turn++) {
      const sent: Arrival = { packet: sample(random).packet, entry };
      if (isIcmpError(sent.packet)) continue;
      const [was, is] = [old, now].map((side) => arrive(machineOf(host, [side], backend), sent));
      if (was === undefined || is === undefined) continue;
      if (was.fate.kind === 'undecided' || is.fate.kind === 'undecided') continue;
      const differs = seenOf(was) !== seenOf(is);
      const { at } = pointOfArrival(layout, sent);
      const isIn = firsts.some(
        (region) => sameWay(region.entry, entry) && layout.diagrams.evaluate(region.packets, at) === YES,
      );
      asked++;
      if (differs) differing++;
      if (differs !== isIn)
        wrong.push(
          `${printArrival(sent)}: ${was.fate.kind}, then ${is.fate.kind}, and the difference ${isIn ? 'has' : 'does not have'} it`,
        );
    }
  return { regions: regions.length, replayed, asked, differing, wrong };
}

const sameWay = (a: Entry, b: Entry): boolean =>
  a.kind === 'in' ? b.kind === 'in' && a.interface === b.interface : b.kind === 'local';
