/** One host that is asked about all packets at once: where they can enter, and where those of a set come to an end, under one set of rules or another. */
import type { Family } from '../address/address.ts';
import type { Host } from '../host/host.ts';
import type { Backend } from '../netfilter/skb.ts';
import { CONNTRACK_STATES, type ConntrackState, type Entry } from '../packet/packet.ts';
import { ANY_ENTRY, entrySetHas, type EntrySet, type Pattern } from '../packet/pattern.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { sentAs, type Cell } from './cell.ts';
import { describe, type Described } from './description.ts';
import { NO, YES, type Node } from './diagram.ts';
import { connectionSettings, Ground, type HostSpace } from './ground.ts';
import { HostPath, isReached, type HostEnd } from './host-path.ts';
import type { Layout } from './layout.ts';
import { fromSet } from './packet-set.ts';
import { saidAmong } from './plain-words.ts';
import type { MoreNames } from './vocabulary.ts';
import { wellFormed, withoutSaying } from './well-formed.ts';

export interface HostWaysOptions {
  readonly family: Family;
  readonly backend: Backend;
  /** All whose ways are going to be asked. */
  readonly rulesets: readonly Ruleset[];
  /** Names that others have, whose ways are going to be asked as well. */
  readonly more?: MoreNames;
  /** Most edges of diagrams that are kept. */
  readonly limit?: number;
  /** What is logged is told. */
  readonly logs?: boolean;
  /** Targets that are not modelled are read every way. */
  readonly eachReading?: boolean;
}

export class HostWays {
  readonly host: Host;
  readonly ground: Ground;
  readonly #wellFormed: Node;
  readonly #routed = new Map<string, Node>();

  constructor(
    host: Host,
    { family, backend, rulesets, more, limit, logs = false, eachReading = false }: HostWaysOptions,
  ) {
    this.host = host;
    this.ground = new Ground({
      family,
      backend,
      network: { hosts: [host], links: [], stations: [] },
      rulesets,
      logs,
      eachReading,
      ...(more === undefined ? {} : { more }),
      ...(limit === undefined ? {} : { limit }),
    });
    this.#wellFormed = wellFormed(this.layout);
  }

  get layout(): Layout {
    return this.ground.layout;
  }

  /** Where the packets of these come to an end that enter there; a state is asserted, or else they are the first of their flow. Throws SpaceLimitError. */
  ends(ruleset: Ruleset, entry: Entry, region: Node, state?: ConntrackState): readonly HostEnd[] {
    return this.send(ruleset, sentAs(region), entry, state);
  }

  /** Where packets of a cell come to an end, which may belong to flows that the host remembers. */
  send(ruleset: Ruleset, cell: Cell, entry: Entry, state?: ConntrackState): readonly HostEnd[] {
    return this.#run(this.ground.host(this.host, ruleset), cell, entry, state);
  }

  #run(space: HostSpace, cell: Cell, entry: Entry, state?: ConntrackState): readonly HostEnd[] {
    return cell.region === NO ? [] : new HostPath(space).run(cell, entry, 'sender', state);
  }

  /** The headers that a box speaks of, wherever and however they enter. */
  headers(box: Pattern): Node {
    const { layout } = this;
    const free = { ...box, entry: ANY_ENTRY, states: CONNTRACK_STATES };
    return layout.diagrams.and(this.#wellFormed, fromSet(layout, { boxes: [free] }));
  }

  /** Those that open a flow, as conntrack takes them there, and that live long enough to be sent on. */
  opening(entry: Entry): Node {
    const { layout, ground } = this;
    const states = ground.openings.states(connectionSettings(this.host), entry.kind === 'in');
    const isNew = (node: Node): Node => (ground.openings.stateOf(node) === 'NEW' ? YES : NO);
    return layout.diagrams.and(layout.diagrams.substitute(layout.diagrams.mapping(isNew), states), this.alive);
  }

  /** Those that a host sends on: it counts one off. */
  get alive(): Node {
    return this.layout.chooseNumbers('ttl', [{ from: 2, to: 255 }], YES, NO);
  }

  /** The boxes of a region, without what is so of `all`. */
  describe(region: Node, all: Node = YES): Described {
    const possible = this.layout.diagrams.and(this.#wellFormed, all);
    return describe(this.layout, withoutSaying(this.layout, possible, region), YES);
  }

  /** The boxes of a region, told among the first of these that it is part of, of whose packets nothing is said that is so of them all. */
  describeAmong(region: Node, among: readonly Node[]): Described {
    const { diagrams } = this.layout;
    const whole = among.find((one) => diagrams.less(region, one) === NO);
    if (whole === undefined) return this.describe(region, this.alive);
    return describe(this.layout, saidAmong(this.layout, region, diagrams.and(this.#wellFormed, whole)), YES);
  }

  /** Those that the host takes and sends on, or keeps, if no rule is in their way. */
  routed(entry: Entry): Node {
    const { diagrams } = this.layout;
    const key = entry.kind === 'in' ? entry.interface : '';
    const known = this.#routed.get(key);
    if (known !== undefined) return known;
    const sent = diagrams.and(this.#wellFormed, this.alive);
    const ends = this.#run(this.ground.host(this.host, undefined), sentAs(sent), entry);
    const made = diagrams.orAll(ends.filter(isReached).map(({ cell }) => cell.region));
    this.#routed.set(key, made);
    return made;
  }

  /** Every way in of a set: the devices that it names, or all but bridges with ports, whose packets come in by those. */
  entries(set: EntrySet): readonly Entry[] {
    const { interfaces, bridges } = this.host;
    const ports = bridges.flatMap((bridge) => bridge.ports.map(({ name }) => name));
    const behind = new Set(bridges.filter((bridge) => bridge.ports.length > 0).map(({ name }) => name));
    const devices = [...interfaces.map(({ name }) => name), ...ports].filter((name) => {
      const isNamed = !set.in.not && set.in.names.includes(name);
      return isNamed || (name !== 'lo' && !behind.has(name));
    });
    const all: Entry[] = [
      ...devices.map((name) => ({ kind: 'in' as const, interface: name })),
      { kind: 'local' as const },
    ];
    return all.filter((entry) => entrySetHas(set, entry));
  }
}
