/** Connection tracking of all packets of a cell: which flow they belong to on one host, and in which state they are (netfilter/conntrack.ts). */
import { ICMP, ICMPV6, type ConntrackState } from '../packet/packet.ts';
import type { HookName } from '../ruleset/rule.ts';
import type { Direction } from '../netfilter/tuple.ts';
import { endsOf, type Cell, type Ends, type Flow, type Talk, type Tracking } from './cell.ts';
import { NO, YES, type Node } from './diagram.ts';
import { equalValues } from './equality.ts';
import type { HostSpace } from './ground.ts';
import type { Levels } from './header-levels.ts';
import type { LostEnd } from './host-path.ts';
import type { Layout } from './layout.ts';
import type { Value } from './value.ts';

const pairsOf = (one: Ends, other: Ends): readonly (readonly [Value, Value])[] => [
  [one.saddr, other.saddr],
  [one.daddr, other.daddr],
  [one.sport, other.sport],
  [one.dport, other.dport],
];

/** A later packet from where the first one came. Whether it might be from whom it is for, sets are not asked. */
const goesOn = ({ talk }: Cell): boolean => talk !== undefined && talk.turn !== 'reply';

const BACK_FIRST: readonly Direction[] = ['REPLY', 'ORIGINAL'];
const FORTH_FIRST: readonly Direction[] = ['ORIGINAL', 'REPLY'];

/** What matters of the first packet of a conversation no rule rewrites. */
const AS_THEY_WERE_SENT: Levels = new Map();

/** Why nothing is said of a packet that another flow may be in the way of. */
export const IN_THE_WAY =
  'a flow of the same packet on this host may have the same addresses and ports: sets do not follow that';

/** The end of what is known of packets, for what they meet and not for what the rules say. */
export const unfollowed = (cell: Cell, reason: string): LostEnd => ({
  kind: 'undecided',
  cell,
  reason,
  unfollowed: true,
});

export class TrackingPath {
  readonly #space: HostSpace;
  readonly #layout: Layout;

  constructor(space: HostSpace) {
    this.#space = space;
    this.#layout = space.ground.layout;
  }

  /** A cell whose conntrack state is asserted; undefined: it is as conntrack finds it. */
  assert(cell: Cell, state: ConntrackState | undefined): Cell {
    if (state === undefined || !this.#space.conntrack) return cell;
    if (state === 'INVALID' || state === 'UNTRACKED')
      return { ...cell, asserted: true, tracked: { kind: 'none', state } };
    const flow = this.#flow(cell);
    if (state === 'NEW') return { ...cell, tracked: { kind: 'flow', state, direction: 'ORIGINAL', flow } };
    const done = { confirmed: true, seenReply: true, sourceDone: true, destinationDone: true };
    const known: Flow = { ...flow, ...done, asserted: true };
    return {
      ...cell,
      flows: [...cell.flows, known],
      tracked: { kind: 'flow', state, direction: 'ORIGINAL', flow: known },
    };
  }

  #flow({ header, talk }: Cell): Flow {
    const ends = endsOf(header);
    return {
      host: this.#space.host.name,
      original: ends,
      translated: ends,
      sourceNat: false,
      destinationNat: false,
      sourceDone: false,
      destinationDone: false,
      confirmed: false,
      seenReply: false,
      assured: false,
      mark: 0,
      heard: [talk?.before.length ?? 0],
    };
  }

  /** The flow exists once its first packet has made it through. */
  confirm(cell: Cell): Cell {
    const { tracked } = cell;
    if (tracked?.kind !== 'flow' || tracked.direction === 'REPLY' || tracked.flow.confirmed) return cell;
    const flow: Flow = { ...tracked.flow, confirmed: true };
    return { ...cell, tracked: { ...tracked, flow }, flows: [...cell.flows, flow] };
  }

  /** What conntrack makes of the packets of a cell that it sees at a hook. */
  track(cell: Cell, hook: HookName, stop: (end: LostEnd) => void): readonly Cell[] {
    // A packet that comes by a second time is asked about again where it was INVALID.
    const isKnown = cell.tracked !== undefined && (cell.tracked.state !== 'INVALID' || cell.asserted === true);
    if (!this.#space.conntrack || isKnown) return [cell];
    const { diagrams } = this.#layout;
    const cells: Cell[] = [];
    let rest = cell.region;
    for (const flow of cell.flows) {
      if (flow.host !== this.#space.host.name || rest === NO) continue;
      for (const direction of goesOn(cell) ? FORTH_FIRST : BACK_FIRST) {
        const own =
          direction === 'REPLY'
            ? this.#answers(cell, rest, flow.translated)
            : equalValues(this.#layout, rest, pairsOf(cell.header, flow.original));
        rest = diagrams.less(rest, own);
        if (own !== NO) cells.push(...this.#ofFlow({ ...cell, region: own }, flow, direction, hook, stop));
      }
    }
    if (rest === NO) return cells;
    const states = this.#space.ground.openings.states(this.#space.settings, hook === 'PREROUTING');
    const levels = this.#space.ground.levelsOf(cell.header);
    for (const { region, to } of this.#space.ground.bindings.pieces(rest, states, levels)) {
      const taken = cell.flows.filter(({ host }) => host === this.#space.host.name);
      if (taken.length > 0 && this.isTaken({ ...cell, region }, endsOf(cell.header))) {
        stop(unfollowed({ ...cell, region }, IN_THE_WAY));
        continue;
      }
      const state = this.#space.ground.openings.stateOf(to);
      const tracked: Tracking =
        state === 'NEW'
          ? { kind: 'flow', state, direction: 'ORIGINAL', flow: this.#flow(cell) }
          : { kind: 'none', state: state === 'UNTRACKED' ? state : 'INVALID' };
      cells.push({ ...cell, region, tracked });
    }
    return cells;
  }

  /** A packet of a flow that the host knows. */
  #ofFlow(cell: Cell, flow: Flow, direction: Direction, hook: HookName, stop: (end: LostEnd) => void): readonly Cell[] {
    if (flow.asserted === true) {
      const known = direction === 'REPLY' ? { ...flow, seenReply: true } : flow;
      return [{ ...cell, tracked: { kind: 'flow', state: 'ESTABLISHED', direction, flow: known } }];
    }
    if (cell.talk !== undefined) return this.#next(cell, cell.talk, flow, direction, hook, stop);
    return direction === 'REPLY' ? this.#toItself(cell, flow, hook, stop) : this.#again(cell, flow, hook, stop);
  }

  /** A packet of a conversation: what conntrack makes of it depends on what it has seen of the others. */
  #next(
    cell: Cell,
    talk: Talk,
    flow: Flow,
    direction: Direction,
    hook: HookName,
    stop: (end: LostEnd) => void,
  ): readonly Cell[] {
    const { openings, bindings } = this.#space.ground;
    const takes = openings.within(talk, flow.heard, this.#space.settings, hook === 'PREROUTING');
    const heard = [...flow.heard, talk.before.length];
    return bindings.pieces(cell.region, takes, AS_THEY_WERE_SENT).flatMap(({ region, to }): Cell[] => {
      const own: Cell = { ...cell, region };
      const taken = openings.takenOf(to);
      if (taken === undefined) return [];
      const { state, seenReply, assured } = taken;
      const known: Flow = { ...flow, seenReply, assured, heard };
      const flows = cell.flows.map((one) => (one === flow ? known : one));
      if (state === 'INVALID' || state === 'UNTRACKED') return [{ ...own, flows, tracked: { kind: 'none', state } }];
      if (!taken.anew && taken.direction === direction)
        return [{ ...own, flows, tracked: { kind: 'flow', state, direction, flow: known } }];
      stop(unfollowed(own, 'it opens a flow of its own, or comes to whom it is from'));
      return [];
    });
  }

  /** The packet has been here before, and comes again as it came then. */
  #again(cell: Cell, flow: Flow, hook: HookName, stop: (end: LostEnd) => void): readonly Cell[] {
    const { openings, bindings } = this.#space.ground;
    const states = openings.again(this.#space.settings, hook === 'PREROUTING');
    return bindings
      .pieces(cell.region, states, this.#space.ground.levelsOf(cell.header))
      .flatMap(({ region, to }): Cell[] => {
        const own: Cell = { ...cell, region };
        if (openings.stateOf(to) === 'NEW')
          return [{ ...own, tracked: { kind: 'flow', state: 'NEW', direction: 'ORIGINAL', flow } }];
        stop(unfollowed(own, 'it comes to the same host twice, and is then no first packet'));
        return [];
      });
  }

  /** What somebody sends to itself, and meets again. */
  #toItself(cell: Cell, flow: Flow, hook: HookName, stop: (end: LostEnd) => void): readonly Cell[] {
    const { openings, bindings } = this.#space.ground;
    return bindings
      .pieces(
        cell.region,
        openings.turned(this.#space.settings, hook === 'PREROUTING'),
        this.#space.ground.levelsOf(cell.header),
      )
      .flatMap(({ region, to }): Cell[] => {
        const own: Cell = { ...cell, region };
        const state = openings.stateOf(to);
        if (state === 'INVALID' || state === 'UNTRACKED') return [{ ...own, tracked: { kind: 'none', state } }];
        const known: Flow = { ...flow, seenReply: true, assured: false };
        if (state === 'ESTABLISHED')
          return [{ ...own, tracked: { kind: 'flow', state, direction: 'REPLY', flow: known } }];
        stop(unfollowed(own, 'the answer opens a flow of its own'));
        return [];
      });
  }

  /** The packets of a region that are of a flow's other direction. */
  #answers(
    { header, answers }: { readonly header: Ends; readonly answers?: Cell['answers'] },
    region: Node,
    translated: Ends,
  ): Node {
    const { diagrams } = this.#layout;
    const addresses = [
      [header.saddr, translated.daddr],
      [header.daddr, translated.saddr],
    ] as const;
    const some = equalValues(this.#layout, region, addresses);
    if (some === NO) return NO;
    const icmp = this.#layout.chooseValues('protocol', [ICMP, ICMPV6], YES, NO);
    // The type of an answer to a message is as it has to be; what is no answer has another.
    const messages = answers === 'icmp' ? diagrams.and(some, icmp) : NO;
    const others = answers === 'icmp' ? NO : diagrams.less(some, icmp);
    return diagrams.or(
      equalValues(this.#layout, messages, [[header.sport, translated.sport]]),
      equalValues(this.#layout, others, [
        [header.sport, translated.dport],
        [header.dport, translated.sport],
      ]),
    );
  }

  /** Another flow of the packet's on this host may have the same tuple. */
  isTaken({ flows, region }: Cell, ends: Ends): boolean {
    return flows.some(
      (flow) =>
        flow.host === this.#space.host.name &&
        (equalValues(this.#layout, region, pairsOf(ends, flow.translated)) !== NO ||
          this.#answers({ header: ends }, region, flow.original) !== NO),
    );
  }
}
