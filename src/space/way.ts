/**
 * The way of all packets of a set through several hosts, from their sender to where they end, and the way of the answers: network/walk.ts of sets.
 */
import type { Mac } from '../address/mac.ts';
import type { Attachment, Network, Station } from '../network/network.ts';
import { afterExit, isReached } from '../network/walk.ts';
import { makePacket, type ConntrackState, type Entry } from '../packet/packet.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { AS_SENT, type Cell, type Header, type Talk } from './cell.ts';
import { NO, type Node } from './diagram.ts';
import type { Ground, HostSpace } from './ground.ts';
import { HostPath } from './host-path.ts';

/** Where packets of a cell come to their end. */
export type CellEnd =
  | { readonly kind: 'reached'; readonly cell: Cell; readonly place: CellPlace }
  /** No end, but a way out of a host: by an interface that is no bridge, or by a port of one. */
  | { readonly kind: 'left'; readonly cell: Cell; readonly by: Attachment }
  /** It left, for an address behind the interface that is nobody's here. */
  | { readonly kind: 'astray'; readonly cell: Cell; readonly by: Attachment }
  | {
      readonly kind: 'dropped' | 'rejected' | 'undecided';
      readonly cell: Cell;
      readonly host: string;
      readonly reason?: string;
    };

export type ReachedEnd = Extract<CellEnd, { kind: 'reached' }>;

export interface Answered {
  readonly ends: readonly CellEnd[];
  /** Packets that nobody answers. */
  readonly unanswered: Node;
}

/** As network/walk.ts has it, without the packet. */
export type CellPlace =
  | { readonly kind: 'process'; readonly host: string }
  | { readonly kind: 'instance' | 'outside'; readonly name?: string; readonly at: Attachment };

/** Where a frame goes does not depend on what it carries. */
const NO_PACKET = makePacket({ family: 4, saddr: 0, daddr: 0, protocol: 0 });

/** What is said to a packet that a flow began with. */
const ANSWER: Talk = { turn: 'reply', arrived: false, before: [{ turn: 'packet', arrived: false }] };

/** A packet that goes round for ever is given up after so many hosts. */
const MAX_HOPS = 16;

/** What all packets of a region have alike as they are sent. */
export interface Sent {
  /** Fields that are no variables of the region. */
  readonly header?: Header;
  readonly mark?: number;
  /** Empty: as their sender would write them. */
  readonly smac?: Mac;
  readonly dmac?: Mac;
  /** Asserted of them on the host that they enter. */
  readonly state?: ConntrackState;
}

interface Pending {
  readonly host: string;
  readonly cell: Cell;
  readonly entry: Entry;
  readonly from: 'sender' | 'host';
  readonly state?: ConntrackState;
  readonly hops: number;
}

export class WaySpace {
  readonly ground: Ground;
  readonly network: Network;
  readonly #hosts: ReadonlyMap<string, HostSpace>;
  readonly #stations: ReadonlyMap<string, Station>;

  constructor(ground: Ground, rulesets: ReadonlyMap<string, readonly Ruleset[]>) {
    this.ground = ground;
    this.network = ground.network;
    this.#hosts = new Map(
      ground.network.hosts.map((host) => [
        host.name,
        ground.host(
          host,
          rulesets.get(host.name)?.find(({ family }) => family === ground.family),
        ),
      ]),
    );
    this.#stations = new Map([...this.network.stations].reverse().map((station) => [station.name, station]));
  }

  hostNamed(name: string): HostSpace | undefined {
    return this.#hosts.get(name);
  }

  /** The ways of all packets of a region that enter a host. */
  send(
    host: string,
    entry: Entry,
    region: Node,
    { header = AS_SENT, mark = 0, smac = '', dmac = '', state }: Sent = {},
  ): readonly CellEnd[] {
    const cell: Cell = { region, header, mark, framed: false, packetType: 'unicast', smac, dmac, flows: [] };
    return this.#walk([{ host, cell, entry, from: 'sender', hops: 0, ...(state === undefined ? {} : { state }) }]);
  }

  #walk(start: readonly Pending[]): readonly CellEnd[] {
    const ends: CellEnd[] = [];
    let round = start;
    while (round.length > 0) {
      const next: Pending[] = [];
      for (const pending of round) this.#step(pending, next, ends);
      round = this.#apart(next, ends);
    }
    return ends;
  }

  #step({ host, cell, entry, from, state, hops }: Pending, next: Pending[], ends: CellEnd[]): void {
    const space = this.#hosts.get(host);
    if (space === undefined || hops >= MAX_HOPS) {
      ends.push({
        kind: 'dropped',
        cell,
        host,
        reason: space === undefined ? `there is no host ${host}` : 'it goes round in circles',
      });
      return;
    }
    for (const end of new HostPath(space).run(cell, entry, from, state)) {
      if (end.kind === 'delivered') ends.push({ kind: 'reached', cell: end.cell, place: { kind: 'process', host } });
      else if (end.kind === 'exit') {
        const { oif, port, dmac, smac, cell: gone } = end;
        ends.push({ kind: 'left', cell: gone, by: { host, interface: port ?? oif } });
        const onward = afterExit(this.network, host, {
          oif,
          ...(port === undefined ? {} : { port }),
          packet: NO_PACKET,
          frame: { smac: '', dmac },
        });
        const copied = gone.copied === true || onward.arrivals.length > 1;
        for (const arrival of onward.arrivals)
          next.push({
            host: arrival.host,
            entry: arrival.entry,
            from: 'host',
            hops: hops + 1,
            cell: {
              ...gone,
              copied,
              mark: 0,
              tracked: undefined,
              asserted: undefined,
              physin: undefined,
              ports: undefined,
              physout: undefined,
              smac,
              dmac,
            },
          });
        for (const own of onward.ends)
          if (own.kind === 'instance' || own.kind === 'outside') {
            const { kind, name, at } = own;
            ends.push({ kind: 'reached', cell: gone, place: { kind, at, ...(name === undefined ? {} : { name }) } });
          } else if (!isReached(own) && own.left !== undefined)
            ends.push({ kind: 'astray', cell: gone, by: own.left.at });
          else if (!isReached(own))
            ends.push({
              kind: own.kind,
              cell: gone,
              host,
              ...(own.reason === undefined ? {} : { reason: own.reason }),
            });
      } else
        ends.push({
          kind: end.kind,
          cell: end.cell,
          host,
          ...(end.reason === undefined ? {} : { reason: end.reason }),
        });
    }
  }

  /** Of copies of a packet that arrive at one host, the second would meet the flow of the first: sets do not follow that. */
  #apart(arrivals: readonly Pending[], ends: CellEnd[]): readonly Pending[] {
    const { diagrams } = this.ground.layout;
    const kept: Pending[] = [];
    for (const pending of arrivals) {
      const { cell, host } = pending;
      if (cell.copied !== true) {
        kept.push(pending);
        continue;
      }
      const others = diagrams.orAll(
        arrivals.filter((other) => other !== pending && other.host === host).map((other) => other.cell.region),
      );
      const twice = diagrams.and(cell.region, others);
      if (twice !== NO)
        ends.push({
          kind: 'undecided',
          cell: { ...cell, region: twice },
          host,
          reason: 'two copies of it arrive at one host: sets do not follow that',
        });
      const region = diagrams.less(cell.region, others);
      if (region !== NO) kept.push({ ...pending, cell: { ...cell, region } });
    }
    return kept;
  }

  /** The ways of the answers of whoever got the packets of a cell. `unanswered`: those that nobody answers. */
  answer(end: ReachedEnd): Answered {
    return this.#answerOf(end, undefined);
  }

  /** The same of many cells, with those together whose packets differ only in what their regions say, and in the port that they came to. */
  answerAll(ends: readonly ReachedEnd[]): readonly { readonly region: Node; readonly answer: Answered }[] {
    const groups = new Map<Header, Map<string, ReachedEnd[]>>();
    ends.forEach((end, index) => {
      const { header, flows, answers, talk, copied, logged } = end.cell;
      const isPlain = [answers, talk, logged].every((one) => one === undefined) && copied !== true;
      const stand = isPlain ? this.#standOf(end) : undefined;
      const places = groups.get(header) ?? new Map<string, ReachedEnd[]>();
      groups.set(header, places);
      // Cells that have come from one are of the same flows.
      const key = stand === undefined ? `${index}` : `${stand} ${this.#numberOf(flows)}`;
      const group = places.get(key);
      if (group === undefined) places.set(key, [end]);
      else group.push(end);
    });
    return [...groups.values()].flatMap((places) =>
      [...places.values()].flatMap((group) => {
        const [first] = group;
        if (first === undefined) return [];
        const region = this.ground.bindings.union(group.map(({ cell }) => cell.region));
        const ports = new Set(group.flatMap(({ place }) => (place.kind === 'process' ? [] : [place.at.interface])));
        const end: ReachedEnd = { ...first, cell: { ...first.cell, region } };
        return [{ region, answer: this.#answerOf(end, ports.size > 1 ? ports : undefined) }];
      }),
    );
  }

  readonly #numbers = new WeakMap<Cell['flows'], number>();
  #numbered = 0;

  #numberOf(flows: Cell['flows']): number {
    const known = this.#numbers.get(flows) ?? this.#numbered++;
    this.#numbers.set(flows, known);
    return known;
  }

  #standOf({ place }: ReachedEnd): string | undefined {
    const station = place.kind === 'instance' ? this.#stations.get(place.name ?? '') : undefined;
    return station === undefined || place.kind === 'process' ? undefined : this.ground.standOf(place.at, station.mac);
  }

  #answerOf({ cell, place }: ReachedEnd, ports: ReadonlySet<string> | undefined): Answered {
    const { diagrams } = this.ground.layout;
    const answers = this.ground.answers.to(cell, ANSWER);
    const unanswered = answers.reduce((rest, one) => diagrams.less(rest, one.region), cell.region);
    const host = place.kind === 'process' ? place.host : place.at.host;
    const entry: Entry = place.kind === 'process' ? { kind: 'local' } : { kind: 'in', interface: place.at.interface };
    const station = place.kind === 'process' ? undefined : this.#stations.get(place.name ?? '');
    const ends = answers.flatMap((own) =>
      this.#walk([
        {
          host,
          entry,
          from: 'sender',
          hops: 0,
          cell: { ...own, ports, ...(station === undefined ? {} : { smac: station.mac }) },
        },
      ]),
    );
    return { ends, unanswered };
  }
}
