/** One host that is asked about all packets at once: where they can enter, and where those of a set come to an end, under one set of rules or another. */
import type { Family } from '../address/address.ts';
import type { Host } from '../host/host.ts';
import type { Backend } from '../netfilter/skb.ts';
import { CONNTRACK_STATES, type ConntrackState, type Entry } from '../packet/packet.ts';
import { ANY_ENTRY, entrySetHas, type EntrySet, type Pattern } from '../packet/pattern.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { AS_SENT } from './cell.ts';
import { describe, type Described } from './description.ts';
import { NO, YES, type Node } from './diagram.ts';
import { connectionSettings, Ground } from './ground.ts';
import { HostPath, type HostEnd } from './host-path.ts';
import type { Layout } from './layout.ts';
import { fromSet } from './packet-set.ts';
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
}

export class HostWays {
  readonly host: Host;
  readonly ground: Ground;
  readonly #wellFormed: Node;

  constructor(host: Host, { family, backend, rulesets, more, limit }: HostWaysOptions) {
    this.host = host;
    this.ground = new Ground({
      family,
      backend,
      network: { hosts: [host], links: [], stations: [] },
      rulesets,
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
    if (region === NO) return [];
    return new HostPath(this.ground.host(this.host, ruleset)).run(
      { region, header: AS_SENT, mark: 0, framed: false, packetType: 'unicast', smac: '', dmac: '', flows: [] },
      entry,
      'sender',
      state,
    );
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
