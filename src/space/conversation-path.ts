/**
 * Conversations with one host, of all packets at once: what was said so far, and the ways of what is said next. All regions are of first packets, as they were sent.
 *
 * A conversation goes on where its last packet has reached somebody. Not followed: packets that were copied, whose answers meet one another's flows.
 */
import { ACK, TCP, type Entry } from '../packet/packet.ts';
import type { Turn } from '../packet/reply.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import type { Answers } from './answer.ts';
import { AS_SENT, headerKey, sentAs, type Cell, type Flow, type Header, type Said, type Talk } from './cell.ts';
import { NO, YES, type Node } from './diagram.ts';
import { isReached, type HostEnd } from './host-path.ts';
import type { HostWays } from './host-ways.ts';
import { isValue, valueKey } from './value.ts';

/** The last packet of conversations, when it had reached somebody. */
interface Last {
  /** Where the next one enters. */
  readonly by: Entry;
  readonly header: Header;
  readonly flows: readonly Flow[];
  readonly before: readonly Said[];
  readonly supposed: boolean;
  readonly region: Node;
}

const LOCAL: Entry = { kind: 'local' };

export class Conversations {
  readonly #ways: HostWays;
  readonly #answers: Answers;
  readonly #tcp: Node;

  constructor(ways: HostWays) {
    this.#ways = ways;
    this.#answers = ways.ground.answers;
    this.#tcp = ways.layout.chooseValues('protocol', [TCP], YES, NO);
  }

  /** What becomes under these rules of the next packet of conversations that began with packets of `within`, at `entry`, and whose last packets ended so. */
  next(
    rules: Ruleset,
    { entry, ends, turn, within }: { entry: Entry; ends: readonly HostEnd[]; turn: Turn; within: Node },
  ): readonly HostEnd[] {
    const { diagrams } = this.#ways.layout;
    const lasts = ends.flatMap((end): readonly Last[] => {
      const region = diagrams.and(end.cell.region, within);
      if (region === NO || !isReached(end) || end.cell.copied === true) return [];
      const by: Entry =
        turn !== 'reply' ? entry : end.kind === 'exit' ? { kind: 'in', interface: end.port ?? end.oif } : LOCAL;
      const { header, talk } = end.cell;
      const before = [...(talk?.before ?? []), saidBy(end.cell, entry)];
      return [{ by, header, flows: flowsAfter(end.cell), before, supposed: talk?.supposed === true, region }];
    });
    const all = this.#together(lasts, turn).flatMap((last) => this.#readings(last));
    return all.flatMap(({ by, header, flows, before, supposed, region }) => {
      const talk: Talk = { turn, arrived: by.kind === 'in', before, ...(supposed ? { supposed } : {}) };
      const last: Cell = { ...sentAs(region), header, flows };
      const cells = turn === 'reply' ? this.#answers.to(last, talk) : this.#fromSender(last, talk);
      return cells.flatMap((cell) => this.#ways.send(rules, cell, by));
    });
  }

  /** Something that is not known of a packet may turn out otherwise for the next. */
  inAnyReading(region: Node): Node {
    return this.#answers.inAnyReading(region);
  }

  /** Those that have come so far whatever is not known of them, and those that have only if it is so. */
  #readings(last: Last): readonly Last[] {
    const surely = this.#answers.inEveryReading(last.region);
    const perhaps = this.#ways.layout.diagrams.less(this.#answers.inAnyReading(last.region), surely);
    return [
      ...(surely === NO ? [] : [{ ...last, region: surely }]),
      ...(perhaps === NO ? [] : [{ ...last, supposed: true, region: perhaps }]),
    ];
  }

  /** Those as one of which all is alike that matters to the next packet. */
  #together(lasts: readonly Last[], turn: Turn): readonly Last[] {
    const grouped = new Map<string, Last[]>();
    for (const last of lasts) {
      const { by, header, flows, before, supposed } = last;
      const entry = by.kind === 'in' ? by.interface : '';
      const said = before.map((one) => `${one.turn} ${one.arrived}`);
      const key = [entry, turn === 'reply' ? headerKey(header) : '', ...flows.map(flowKey), ...said, supposed].join(
        '\n',
      );
      grouped.set(key, [...(grouped.get(key) ?? []), last]);
    }
    const { diagrams } = this.#ways.layout;
    return [...grouped.values()].flatMap((own) =>
      own.slice(0, 1).map((first) => ({ ...first, region: diagrams.orAll(own.map(({ region }) => region)) })),
    );
  }

  /** packet/reply.ts's laterThan, or the packet again. */
  #fromSender({ region, flows }: Cell, talk: Talk): readonly Cell[] {
    const { diagrams } = this.#ways.layout;
    const all = this.#answers.inAnyReading(region);
    const cell: Cell = { ...sentAs(all), flows, talk };
    if (talk.turn === 'packet') return [cell];
    const tcp = diagrams.and(all, this.#tcp);
    const others = diagrams.less(all, this.#tcp);
    return [
      ...(tcp === NO ? [] : [{ ...cell, region: tcp, header: { ...AS_SENT, flags: isValue(ACK) } }]),
      ...(others === NO ? [] : [{ ...cell, region: others }]),
    ];
  }
}

/** All that a host knows of a flow. */
export function flowKey(flow: Flow): string {
  const { original, translated, sourceNat, destinationNat, sourceDone, destinationDone } = flow;
  const { host, confirmed, seenReply, assured, mark, asserted, heard } = flow;
  const ends = [original, translated].flatMap(({ saddr, daddr, sport, dport }) => [saddr, daddr, sport, dport]);
  const flags = [sourceNat, destinationNat, sourceDone, destinationDone, confirmed, seenReply, assured, asserted];
  return [host, ...ends.map(valueKey), ...flags, mark, heard].join(' ');
}

const saidBy = ({ talk }: Cell, entry: Entry): Said => ({
  turn: talk?.turn ?? 'packet',
  arrived: talk?.arrived ?? entry.kind === 'in',
});

/** What the host remembers when the packet has made it through: its own flow as it is by then. */
export function flowsAfter({ flows, tracked }: Cell): readonly Flow[] {
  if (tracked?.kind !== 'flow') return flows;
  const { flow } = tracked;
  return [...flows.filter(({ original, host }) => original !== flow.original || host !== flow.host), flow];
}
