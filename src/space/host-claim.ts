/**
 * Claims about packets of one host: where every packet of a set ends that enters it, through all its tables, routing and bridges. Exact; what is not modelled
 * is read both ways, and a claim holds or is broken only where it is so in each reading.
 */
import { sameRanges } from '../address/ranges.ts';
import { arrive, machineOf } from '../netfilter/traverse.ts';
import type { Journey } from '../netfilter/journey.ts';
import type { WrittenClaim } from '../packet/claims.ts';
import { fateMatches, type ExpectedFate, type ExpectedPacket } from '../packet/fate.ts';
import { CONNTRACK_STATES, type Arrival, type ConntrackState, type Entry } from '../packet/packet.ts';
import { ANY_OCTET, ANY_PORTS, type Pattern } from '../packet/pattern.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import type { Cell } from './cell.ts';
import { NO, YES, type Node } from './diagram.ts';
import type { HostEnd } from './host-path.ts';
import type { HostWays } from './host-ways.ts';
import { typeCodes } from './packet-set.ts';
import type { ClaimResult } from './table-claim.ts';
import { whereIn, type Value } from './value.ts';
import { arrivalIn } from './witness.ts';

/** What breaks a claim where packets enter, or leaves it undecided there. */
export interface WayBreach {
  readonly result: 'broken' | 'undecided';
  readonly entry: Entry;
  readonly state?: ConntrackState;
  readonly packets: readonly string[];
  readonly more: boolean;
  readonly arrival?: Arrival;
  readonly journey?: Journey;
  /** The model says of the witness what the proof says; null where it depends on what is not modelled. */
  readonly confirmed: boolean | null;
}

export interface JudgedOnHost {
  readonly claim: WrittenClaim;
  readonly result: ClaimResult;
  readonly breaches: readonly WayBreach[];
}

/** Throws SpaceLimitError. */
export function judgeOnHost(ways: HostWays, ruleset: Ruleset, claim: WrittenClaim): JudgedOnHost {
  const { diagrams } = ways.layout;
  const breaches: WayBreach[] = [];
  let isAboutSome = false;
  const boxes = claim.set.boxes.filter(({ family }) => family === ways.layout.family);
  for (const { entry, state, region: headers } of waysIn(ways, boxes)) {
    const meant = state === undefined ? ways.opening(entry) : ways.alive;
    const region = diagrams.and(headers, meant);
    isAboutSome ||= region !== NO;
    const { bad, doubtful } = failing(ways, ways.ends(ruleset, entry, region, state), region, claim.fate);
    const inEveryReading = diagrams.substitute(
      diagrams.mapping((node) => (node === YES ? YES : NO), ways.layout.floor),
      bad,
    );
    const packets = inEveryReading === NO ? diagrams.or(bad, doubtful) : inEveryReading;
    if (packets === NO) continue;
    breaches.push(
      breachOf(ways, ruleset, claim, {
        result: inEveryReading === NO ? 'undecided' : 'broken',
        entry,
        packets,
        meant,
        ...(state === undefined ? {} : { state }),
      }),
    );
  }
  const result = breaches.some((breach) => breach.result === 'broken')
    ? 'broken'
    : breaches.length > 0
      ? 'undecided'
      : isAboutSome
        ? 'proved'
        : 'vacuous';
  return { claim, result, breaches };
}

export interface WayIn {
  readonly entry: Entry;
  /** Asserted; absent: as conntrack finds the first packet of a flow. */
  readonly state?: ConntrackState;
  readonly region: Node;
}

/** Each way into the host that boxes speak of, with the headers that are meant there. */
export function waysIn(ways: HostWays, boxes: readonly Pattern[]): readonly WayIn[] {
  const { diagrams } = ways.layout;
  const found = new Map<string, WayIn>();
  for (const box of boxes) {
    const states = box.states.length === CONNTRACK_STATES.length ? [undefined] : box.states;
    const region = ways.headers(box);
    for (const entry of ways.entries(box.entry))
      for (const state of states) {
        const key = `${entry.kind === 'in' ? entry.interface : ''} ${state ?? ''}`;
        const known = found.get(key)?.region ?? NO;
        found.set(key, { entry, region: diagrams.or(known, region), ...(state === undefined ? {} : { state }) });
      }
  }
  return [...found.values()];
}

/** The packets of a region that end otherwise than claimed, and those of which that cannot be told. Who is reached is what counts where copies are made. */
function failing(
  { layout }: HostWays,
  ends: readonly HostEnd[],
  region: Node,
  fate: ExpectedFate,
): { readonly bad: Node; readonly doubtful: Node } {
  const { diagrams } = layout;
  const wanted = fate.kind === 'forwarded' ? 'exit' : fate.kind;
  const good: Node[] = [];
  const perhaps: Node[] = [];
  const reached: Node[] = [];
  for (const end of ends) {
    const own = end.cell.region;
    if (end.kind === 'undecided') {
      perhaps.push(own);
      continue;
    }
    if (end.kind === 'delivered' || end.kind === 'exit') reached.push(own);
    if (end.kind !== wanted) continue;
    if (end.kind === 'exit' && !leavesAs(end, fate)) continue;
    const { packet } = fate;
    if (packet === undefined) good.push(own);
    else {
      good.push(diagrams.and(own, looking(layout, end.cell, packet, true)));
      perhaps.push(diagrams.and(own, looking(layout, end.cell, packet, false)));
    }
  }
  const isLost = fate.kind === 'dropped' || fate.kind === 'rejected';
  const as = isLost ? diagrams.less(diagrams.orAll(good), diagrams.orAll(reached)) : diagrams.orAll(good);
  const doubtful = diagrams.and(region, diagrams.less(diagrams.orAll(perhaps), as));
  return { bad: diagrams.less(diagrams.less(region, as), doubtful), doubtful };
}

const leavesAs = (end: Extract<HostEnd, { kind: 'exit' }>, { oif, port }: ExpectedFate): boolean =>
  (oif === undefined || oif === end.oif) && (port === undefined || port === end.port);

/** The packets of a cell that look as described. `must`: whatever the kernel chooses; else: it may choose so. */
function looking(layout: HostWays['layout'], { header, mark }: Cell, expected: ExpectedPacket, must: boolean): Node {
  const { diagrams, family } = layout;
  const { exact, within } = expected;
  if (exact.mark !== undefined && exact.mark !== mark) return NO;
  const ttl = exact.ttl === undefined ? YES : whereIn(layout, header.ttl, [{ from: exact.ttl, to: exact.ttl }], must);
  const boxes = within.boxes.filter((box) => box.family === family);
  const looks = boxes.map((box) => {
    const field = (value: Value, ranges: Pattern['saddr'], all?: Pattern['saddr']): Node =>
      all !== undefined && sameRanges(ranges, all) ? YES : whereIn(layout, value, ranges, must);
    const codes = typeCodes(box.type, box.code);
    return [
      layout.chooseNumbers('protocol', box.protocol, YES, NO),
      field(header.saddr, box.saddr),
      field(header.daddr, box.daddr),
      field(header.sport, box.sport, ANY_PORTS),
      field(header.dport, box.dport, ANY_PORTS),
      field(header.dport, codes, ANY_PORTS),
      field(header.flags, box.flags, ANY_OCTET),
    ].reduce((one, other) => diagrams.and(one, other), ttl);
  });
  return diagrams.orAll(looks);
}

function breachOf(
  ways: HostWays,
  ruleset: Ruleset,
  { fate }: WrittenClaim,
  {
    result,
    entry,
    state,
    packets,
    meant,
  }: {
    readonly result: 'broken' | 'undecided';
    readonly entry: Entry;
    readonly state?: ConntrackState;
    readonly packets: Node;
    readonly meant: Node;
  },
): WayBreach {
  const { layout, ground } = ways;
  const { boxes, more } = ways.describe(packets, meant);
  const where = { entry, ...(state === undefined ? {} : { state }) };
  const found = arrivalIn(layout, packets, where);
  const journey = found && arrive(machineOf(ways.host, [ruleset], ground.backend), found.arrival);
  const confirmed =
    journey === undefined || journey.fate.kind === 'undecided' || result === 'undecided'
      ? null
      : !fateMatches(fate, journey.fate);
  return {
    result,
    ...where,
    packets: boxes,
    more,
    confirmed,
    ...(found === undefined ? {} : { arrival: found.arrival }),
    ...(journey === undefined ? {} : { journey }),
  };
}
