/** What several hosts, or several versions of their rules, have in common when they are asked about all packets: one layout, so that what they say can be compared. */
import type { Family } from '../address/address.ts';
import type { Mac } from '../address/mac.ts';
import { bridgeOfPort, type Host } from '../host/host.ts';
import { portsOf } from '../host/own.ts';
import type { NatTarget } from '../netfilter/compile.ts';
import { tracksConnections } from '../netfilter/compile.ts';
import type { ConntrackSettings } from '../netfilter/conntrack.ts';
import type { Backend } from '../netfilter/skb.ts';
import type { Attachment, Network } from '../network/network.ts';
import { printTarget } from '../ruleset/print.ts';
import type { HookName, Ruleset, Table, TableName } from '../ruleset/rule.ts';
import { sysctlOf } from '../host/host.ts';
import { Answers } from './answer.ts';
import { Bindings } from './binding.ts';
import { TableSpace } from './chain.ts';
import type { Cell, Header } from './cell.ts';
import { Conditions } from './condition.ts';
import { Decisions } from './decisions.ts';
import { NO, YES, type Node, type PairOperation, type Substitution } from './diagram.ts';
import { Effects } from './effect.ts';
import { headerLevels, type Levels } from './header-levels.ts';
import { Joining } from './joining.ts';
import { Layout } from './layout.ts';
import { MadeChains } from './made-chains.ts';
import { Openings } from './openings.ts';
import { Outcomes } from './outcome.ts';
import { RuleBodies } from './rule-bodies.ts';
import { TargetReadings } from './target-reading.ts';
import { alphabetsOf, type MoreNames } from './vocabulary.ts';

export interface GroundOptions {
  readonly family: Family;
  readonly backend: Backend;
  readonly network: Network;
  /** All that are going to be asked. */
  readonly rulesets: readonly Ruleset[];
  readonly more?: MoreNames;
  readonly limit?: number;
  /** What is logged is told. */
  readonly logs?: boolean;
  /** Packets that are alike but for an address go on together. */
  readonly joins?: boolean;
  /** Targets that are not modelled are read every way. */
  readonly eachReading?: boolean;
}

/** Packets that come to a table of a host. */
export interface Meeting {
  readonly host: Host;
  readonly table: TableName;
  readonly hook: HookName;
  readonly cell: Cell;
}

export class Ground {
  readonly family: Family;
  readonly backend: Backend;
  readonly network: Network;
  readonly layout: Layout;
  readonly outcomes: Outcomes;
  readonly effects: Effects;
  readonly bindings: Bindings;
  readonly readings: TargetReadings | undefined;
  readonly openings: Openings;
  /** What answers whoever gets packets, whatever the rules are. Made when it is asked for. */
  #answers: Answers | undefined;
  /** Absent: packets that are translated to several addresses go on apart. */
  readonly joining: Joining | undefined;
  /** A packet goes on to the next table. */
  readonly accepted: Node;
  /** NAT targets as outcomes name them. */
  readonly targets = new Map<string, NatTarget>();
  /** The kernel chooses, and what becomes of the packet depends on it. */
  readonly open: Node;
  readonly #macs: ReadonlySet<Mac>;
  readonly #headers = new WeakMap<Header, Levels>();
  readonly #decisions = new Map<Host, Decisions>();
  /** The packets of which two functions say different things. */
  readonly differ: PairOperation;
  /** Told of each cell that meets a table, while somebody wants to know. */
  onMeeting: ((meeting: Meeting) => void) | undefined;
  readonly #constants = new Map<string, ReadonlyMap<number, number>>();
  /** By the values. */
  readonly #values = new Map<string, Substitution>();
  readonly #tables = new WeakMap<Table, Map<string, Node>>();
  readonly #hosts = new Map<Host, WeakMap<Ruleset, HostSpace>>();
  readonly #scenes = new Map<Host, { readonly conditions: Conditions; readonly chains: MadeChains }>();

  readonly #logs: boolean;
  /** Ports of bridges, or starts of their names, that rules ask for. */
  readonly #ports: readonly string[];

  constructor({
    family,
    backend,
    network,
    rulesets,
    more,
    limit,
    logs = false,
    joins = false,
    eachReading = false,
  }: GroundOptions) {
    this.#logs = logs;
    this.family = family;
    this.backend = backend;
    this.network = network;
    const { names: named } = new RuleBodies(family, rulesets);
    this.layout = new Layout(family, alphabetsOf(named, network.hosts, more), limit);
    this.outcomes = new Outcomes(limit);
    this.differ = this.layout.diagrams.pairing((a, b) => (a === b ? NO : YES), NO);
    this.effects = new Effects(this.layout, this.outcomes);
    if (eachReading) this.readings = new TargetReadings(this.layout);
    this.accepted = this.outcomes.node({ kind: 'accepted' });
    this.open = this.outcomes.node({ kind: 'undecided', reason: 'it matters what the kernel chooses' });
    this.bindings = new Bindings(this.layout, this.open);
    this.openings = new Openings(this.layout);
    this.joining = joins ? new Joining(this.layout, this.bindings) : undefined;
    this.#macs = macsOf(network, this.layout);
    this.#ports = [...named.devices];
  }

  get answers(): Answers {
    return (this.#answers ??= new Answers(this));
  }

  /**
   * What a machine has in common with others on ports of its bridge that no rule tells from its own; undefined where it is on none, or that cannot be said.
   */
  standOf({ host: name, interface: port }: Attachment, mac: Mac): string | undefined {
    const host = this.network.hosts.find((own) => own.name === name);
    const bridge = host && bridgeOfPort(host, port);
    if (bridge === undefined || this.network.hosts.some(({ sets }) => sets.size > 0)) return undefined;
    const named = this.#ports.map((pattern) =>
      pattern.endsWith('+') ? port.startsWith(pattern.slice(0, -1)) : port === pattern,
    );
    const { hairpin, uplink } = portsOf(bridge).byName.get(port) ?? {};
    return [name, bridge.name, named, hairpin, uplink, this.layout.alphabets.macs.numberOf(mac)].join();
  }

  /** What a header says of the levels of functions of packets. Kept, for a header is asked about in many tables. */
  levelsOf(header: Header): Levels {
    const known = this.#headers.get(header) ?? headerLevels(this.layout, header);
    this.#headers.set(header, known);
    return known;
  }

  decisionsOf(host: Host): Decisions {
    const known = this.#decisions.get(host) ?? new Decisions(this.layout, this.bindings, host, this.#macs);
    this.#decisions.set(host, known);
    return known;
  }

  /** The rules of a host as they are to be asked. Kept, for of many versions of a network's rules most hosts have the same. */
  host(host: Host, ruleset: Ruleset | undefined): HostSpace {
    if (ruleset === undefined) return new HostSpace(this, host, ruleset);
    const own = this.#hosts.get(host) ?? new WeakMap<Ruleset, HostSpace>();
    this.#hosts.set(host, own);
    const space = own.get(ruleset) ?? new HostSpace(this, host, ruleset);
    own.set(ruleset, space);
    return space;
  }

  /** What a table makes of every packet that it could meet at a hook. Kept, for another posture has most tables in common. */
  table(host: Host, table: Table, hook: HookName): Node {
    const known = this.#tables.get(table) ?? new Map<string, Node>();
    this.#tables.set(table, known);
    const key = `${host.name} ${hook}`;
    const node = known.get(key);
    if (node !== undefined) return node;
    const { conditions, chains } = this.#sceneOf(host);
    const { layout, outcomes, effects, readings } = this;
    const made = new TableSpace(
      { layout, conditions, outcomes, effects, chains, readings },
      { table: table.name, hook, chains: table.chains },
      { deciding: false, logs: this.#logs },
      {
        next: this.accepted,
        translate: (target) => {
          const translation = printTarget(target);
          this.targets.set(translation, target);
          return outcomes.node({ kind: 'accepted', rewritten: { translation } });
        },
      },
    ).node();
    known.set(key, made);
    return made;
  }

  /** The values of levels that all packets of a cell have in common, by what tells such cells apart. */
  constants(key: string, make: () => ReadonlyMap<number, number>): ReadonlyMap<number, number> {
    const known = this.#constants.get(key) ?? make();
    this.#constants.set(key, known);
    return known;
  }

  /** A function where these levels have these values. */
  where(values: ReadonlyMap<number, number>, f: Node): Node {
    const { diagrams } = this.layout;
    // Most functions do not ask for most of what is known: a port of a bridge among thousands is mostly as good as any other.
    const asked = new Map<number, number>();
    for (const level of this.bindings.supportOf(f)) {
      const value = values.get(level);
      if (value !== undefined) asked.set(level, value);
    }
    if (asked.size === 0) return f;
    const key = [...asked].join(' ');
    const substitution = this.#values.get(key) ?? diagrams.substitution(asked);
    this.#values.set(key, substitution);
    return diagrams.substitute(substitution, f);
  }

  /** What rules mean depends on the host that they are of. */
  #sceneOf(host: Host): { readonly conditions: Conditions; readonly chains: MadeChains } {
    const known = this.#scenes.get(host);
    if (known !== undefined) return known;
    const conditions = new Conditions(this.layout, {
      backend: this.backend,
      host,
      parts: false,
      ...(this.network.hosts.length > 1 ? { where: host.name } : {}),
    });
    const scene = { conditions, chains: new MadeChains(new RuleBodies(this.family)) };
    this.#scenes.set(host, scene);
    return scene;
  }
}

/** Every Ethernet address that somebody could tell from another. */
function macsOf({ hosts, stations }: Network, { alphabets: { macs } }: Layout): ReadonlySet<Mac> {
  const known = new Set<Mac>();
  for (const host of hosts) {
    for (const { mac } of host.interfaces) known.add(mac);
    for (const { ports } of host.bridges) for (const { mac } of ports) known.add(mac);
    for (const { mac } of host.neighbours) known.add(mac);
  }
  for (const { mac } of stations) known.add(mac);
  for (let number = 0; number <= macs.max; number++)
    if (macs.isExact(number) && macs.nameOf(number) !== '') known.add(macs.nameOf(number));
  return known;
}

/** How a host's conntrack is set. */
export const connectionSettings = (host: Host): ConntrackSettings => ({
  tcpLoose: sysctlOf(host, 'net.netfilter.nf_conntrack_tcp_loose') !== 0,
  tcpBeLiberal: sysctlOf(host, 'net.netfilter.nf_conntrack_tcp_be_liberal') !== 0,
});

/** One host with its rules. */
export class HostSpace {
  readonly ground: Ground;
  readonly host: Host;
  readonly decisions: Decisions;
  /** Some rule needs connection tracking, so it is on. */
  readonly conntrack: boolean;
  readonly translates: boolean;
  readonly settings: ConntrackSettings;
  readonly callsIptables: boolean;
  readonly #ruleset: Ruleset | undefined;
  /** By all that is known of a packet. */
  readonly #special = new Map<string, Node>();

  constructor(ground: Ground, host: Host, ruleset: Ruleset | undefined) {
    this.ground = ground;
    this.host = host;
    this.#ruleset = ruleset;
    this.decisions = ground.decisionsOf(host);
    this.conntrack = ruleset !== undefined && tracksConnections(ruleset);
    this.translates = ruleset?.tables.has('nat') === true;
    this.settings = connectionSettings(host);
    const name = ground.family === 4 ? 'bridge-nf-call-iptables' : 'bridge-nf-call-ip6tables';
    this.callsIptables = sysctlOf(host, `net.bridge.${name}`) !== 0;
  }

  has(table: TableName): boolean {
    return this.#ruleset?.tables.has(table) === true;
  }

  /**
   * What a table makes of packets for which these levels have these values; undefined where there is no such table. `key` says the same as the values.
   */
  table(table: TableName, hook: HookName, key: string, values: () => ReadonlyMap<number, number>): Node | undefined {
    const found = this.#ruleset?.tables.get(table);
    if (found === undefined) return undefined;
    const name = `${table} ${hook} ${key}`;
    const known = this.#special.get(name);
    if (known !== undefined) return known;
    const made = this.ground.where(values(), this.ground.table(this.host, found, hook));
    this.#special.set(name, made);
    return made;
  }
}
