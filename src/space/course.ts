/**
 * The conversations of all packets that enter a host by one way, under one version of its rules: where each packet of them comes to an end, and what it meets on its way. Kept, so that they can be
 * compared with those under many other versions: packets that meet nothing that has changed fare as they did, and are not followed again.
 */
import type { ConntrackState, Entry } from '../packet/packet.ts';
import type { Turn } from '../packet/reply.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import type { Conversations } from './conversation-path.ts';
import { NO, type Node } from './diagram.ts';
import type { HostEnd } from './host-path.ts';
import type { HostWays } from './host-ways.ts';
import { Meetings, type ChangeToMeet } from './meetings.ts';

/** Packets that have been followed. */
export interface Followed {
  readonly ends: readonly HostEnd[];
  readonly meetings: Meetings;
}

/** First packets that enter at `entry`; a state is asserted of them, or else they are as conntrack finds them. */
export interface Start {
  readonly entry: Entry;
  readonly state?: ConntrackState;
  readonly sent: Node;
}

export class Course {
  readonly #ways: HostWays;
  readonly #conversations: Conversations;
  readonly #rules: Ruleset;
  readonly #start: Start;
  /** By the turns until then. */
  readonly #known = new Map<string, Followed>();
  #opened: Node | undefined;

  constructor(ways: HostWays, conversations: Conversations, rules: Ruleset, start: Start) {
    this.#ways = ways;
    this.#conversations = conversations;
    this.#rules = rules;
    this.#start = start;
  }

  get first(): Followed {
    const { entry, state, sent } = this.#start;
    return this.#once('', () => this.#ways.ends(this.#rules, entry, sent, state));
  }

  /** The packets that open a flow, in some reading of what is not known of them. */
  get opened(): Node {
    this.#opened ??= this.#conversations.inAnyReading(openedBy(this.#ways, this.first.ends));
    return this.#opened;
  }

  /** The last packets of all conversations that take these turns and begin by opening a flow. */
  whole(turns: readonly Turn[]): Followed {
    const before = turns.slice(0, -1);
    return this.#once(turns.join(), () =>
      this.#next(before.length === 1 ? this.first : this.whole(before), turns, this.opened),
    );
  }

  /** The last packets of those that begin with packets of `within`, at least, where the packets before have been followed. */
  after(before: Followed, turns: readonly Turn[], within: Node): Followed {
    const known = this.#known.get(turns.join());
    if (known !== undefined && this.isOpenedBy(within)) return known;
    return this.#follow(() => this.#next(before, turns, within));
  }

  isOpenedBy(packets: Node): boolean {
    return this.#ways.layout.diagrams.less(packets, this.opened) === NO;
  }

  #next({ ends }: Followed, turns: readonly Turn[], within: Node): readonly HostEnd[] {
    const { entry } = this.#start;
    return this.#conversations.next(this.#rules, { entry, turn: turns.at(-1) ?? 'packet', within, ends });
  }

  #once(key: string, run: () => readonly HostEnd[]): Followed {
    const known = this.#known.get(key) ?? this.#follow(run);
    this.#known.set(key, known);
    return known;
  }

  #follow(run: () => readonly HostEnd[]): Followed {
    const meetings = new Meetings();
    const { ground } = this.#ways;
    const before = ground.onMeeting;
    ground.onMeeting = (meeting) => {
      meetings.add(meeting);
    };
    const ends = run();
    ground.onMeeting = before;
    return { ends, meetings };
  }
}

/** The packets of those that were followed that need not fare as they did: some table made something else of them, or they were not followed to their end. */
export function touchedBy(ways: HostWays, change: ChangeToMeet, { ends, meetings }: Followed): Node | undefined {
  const met = change.met(meetings);
  if (met === undefined) return undefined;
  const lost = ends.flatMap((end) => (end.kind === 'undecided' && end.unfollowed === true ? [end.cell.region] : []));
  return ways.layout.diagrams.orAll([met, ...lost]);
}

/** The ends of packets of `within`. */
export const endsWithin = ({ layout }: HostWays, ends: readonly HostEnd[], within: Node): readonly HostEnd[] =>
  ends.flatMap((end) => {
    const region = layout.diagrams.and(end.cell.region, within);
    return region === NO ? [] : [{ ...end, cell: { ...end.cell, region } }];
  });

/** The packets that are of a flow, under some rules. */
export const openedBy = ({ layout }: HostWays, ends: readonly HostEnd[]): Node =>
  layout.diagrams.orAll(ends.flatMap(({ cell }) => (cell.tracked?.kind === 'flow' ? [cell.region] : [])));
