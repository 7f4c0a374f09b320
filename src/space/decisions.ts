/**
 * What a host decides by addresses, as functions of all of them: where a packet is routed, and which machine a frame is for. Each is made by asking the host's own functions once
 * for each class of addresses.
 */
import {
  isLoopback,
  isMulticast,
  lastAddress,
  prefixContains,
  prefixOf,
  zeroAddress,
  familyOf,
  LIMITED_BROADCAST,
  parsePrefix,
  type Address,
  type Family,
  type Prefix,
} from '../address/address.ts';
import { BROADCAST_MAC, macOctets, type Mac } from '../address/mac.ts';
import type { Range } from '../address/ranges.ts';
import { hasJoined } from '../host/groups.ts';
import type { Bridge, Host } from '../host/host.ts';
import { assumedMac, knownMac, neighbourMac, senderMac, stationDmacs } from '../host/link.ts';
import {
  addressKind,
  localDevice,
  rerouteOutput,
  routeInput,
  routeOutput,
  routingTable,
  sourceFor,
  type RouteDecision,
} from '../host/route.ts';
import { NOTHING_MOVED, type Bindings } from './binding.ts';
import { addressLevels } from './header-levels.ts';
import type { Header } from './cell.ts';
import { FALL, FIRST_FREE_TERMINAL, NO, terminal, valueOf, YES, type Node } from './diagram.ts';
import { addressRuns } from './host-addresses.ts';
import type { AddressField, Layout } from './layout.ts';
import { memberAt, memberEnd } from './value.ts';

/** Stands for every machine that nobody knows. */
export const NOBODY: Mac = '0e:00:00:00:00:0e';

/** A routing decision for all packets of a class: the next hop is a gateway, or wherever each of them goes. */
export type ClassDecision =
  | Exclude<RouteDecision, { kind: 'forward' }>
  | { readonly kind: 'forward'; readonly oif: string; readonly via?: Address };

/** The source of an unbound socket: an address, or the destination itself. */
export type SourceChoice = Address | 'destination';

export interface DestinationKind {
  readonly isBroadcast: boolean;
  /** Of a group: the devices by which the host hears it. */
  readonly joined: readonly string[];
  /** The device that holds it, if it is the host's own. */
  readonly device?: string;
}

/** A function of addresses, whose ends are of T. */
export interface ClassNode<T> {
  readonly node: Node;
  /** Of a function of both addresses: what it is of the destination, where there is one source. */
  readonly from?: (saddr: Address) => Node;
  /** Never there: what the ends are of. */
  readonly ends?: T;
}

export interface Answer<T> {
  readonly region: Node;
  readonly to: T;
}

export class Decisions {
  readonly #layout: Layout;
  readonly #bindings: Bindings;
  readonly #host: Host;
  readonly #family: Family;
  /** The MACs that anybody in the network or any rule tells from others. */
  readonly #known: ReadonlySet<Mac>;
  readonly #nodes = new Map<string, Node>();
  readonly #ends: unknown[] = [];
  readonly #numbers = new Map<unknown, number>();
  #classes: AddressClasses | undefined;

  constructor(layout: Layout, bindings: Bindings, host: Host, known: ReadonlySet<Mac>) {
    this.#layout = layout;
    this.#bindings = bindings;
    this.#host = host;
    this.#family = layout.family;
    this.#known = known;
  }

  /** A region cut up by what one of these functions says of its packets as they are now. */
  ask<T>(region: Node, header: Pick<Header, 'saddr' | 'daddr'>, asked: ClassNode<T>): readonly Answer<T>[] {
    const { saddr } = header;
    const { from } = asked;
    if (from === undefined || saddr.kind === 'field' || saddr.kind === 'any')
      return this.#answers(region, header, asked.node);
    if (saddr.kind === 'is') return this.#answers(region, header, from(saddr.value));
    // Sources of one class are asked about together.
    const { diagrams } = this.#layout;
    const functions = saddr.values.map(from);
    const numbers = new Map([...new Set(functions)].map((node, number) => [node, memberEnd(number)]));
    const byClass = diagrams.mapping((end) => numbers.get(functions[memberAt(end)] ?? NO) ?? FALL);
    const nodes = [...numbers.keys()];
    return this.#bindings
      .pieces(region, diagrams.substitute(byClass, saddr.by), NOTHING_MOVED)
      .flatMap((piece) => this.#answers(piece.region, header, nodes[memberAt(piece.to)] ?? NO));
  }

  #answers<T>(region: Node, header: Pick<Header, 'saddr' | 'daddr'>, node: Node): readonly Answer<T>[] {
    return this.#bindings
      .pieces(region, node, addressLevels(this.#layout, header))
      .map((piece) => ({ region: piece.region, to: this.#ends[valueOf(piece.to) - FIRST_FREE_TERMINAL] as T }));
  }

  #end(value: unknown): Node {
    // Most are names of machines, of which there are many.
    const key =
      typeof value === 'object' && value !== null
        ? JSON.stringify(value, (_key, part: unknown) => (typeof part === 'bigint' ? `${part}n` : part))
        : value;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#ends.push(value) - 1;
      this.#numbers.set(key, number);
    }
    return terminal(FIRST_FREE_TERMINAL + number);
  }

  #once<T>(key: string, make: () => Node): ClassNode<T> {
    const known = this.#nodes.get(key) ?? make();
    this.#nodes.set(key, known);
    return { node: known };
  }

  input(iif: string, bridged: boolean): ClassNode<ClassDecision> {
    return this.#byClasses(`in ${iif} ${bridged ? 'bridged' : ''}`, (saddr, daddr) =>
      atClass(routeInput(this.#host, { saddr, daddr }, iif, bridged), daddr),
    );
  }

  output(): ClassNode<ClassDecision> {
    return this.#byClasses('out', (saddr, daddr) => atClass(routeOutput(this.#host, { saddr, daddr }), daddr));
  }

  /** Of what has a new destination since it was to leave by `oif`. */
  reroute(oif: string | undefined): ClassNode<ClassDecision> {
    if (this.#family === 4) return this.output();
    return this.#byClasses(`again ${oif ?? ''}`, (saddr, daddr) =>
      atClass(rerouteOutput(this.#host, { saddr, daddr }, oif), daddr),
    );
  }

  /** The source of what an unbound socket sends, by its destination. */
  source(): ClassNode<SourceChoice> {
    return this.#once('source', () => {
      const { sourceRuns } = this.#addressClasses();
      return this.#byRuns('daddr', sourceRuns, ({ from, to }) => {
        const source = sourceFor(this.#host, from);
        return from !== to && source === from ? 'destination' : source;
      });
    });
  }

  /** What kind of destination it is to the host. */
  destination(): ClassNode<DestinationKind> {
    return this.#once('destination', () =>
      this.#byRuns('daddr', this.#addressClasses().runs, ({ from }) => ({
        isBroadcast: addressKind(this.#host, from) === 'BROADCAST',
        joined: joinedBy(this.#host, from),
        ...(localDevice(this.#host, from) === undefined ? {} : { device: localDevice(this.#host, from) }),
      })),
    );
  }

  /** Something else that depends on a packet's destination as routing does. */
  byDestination<T>(key: string, ask: (daddr: Address) => T): ClassNode<T> {
    return this.#once(key, () => this.#byRuns('daddr', this.#addressClasses().sourceRuns, ({ from }) => ask(from)));
  }

  /** Who has an address on a device, or sends from it. */
  neighbour(dev: string, field: 'saddr' | 'daddr'): ClassNode<Mac> {
    return this.#once(`mac ${dev} ${field}`, () =>
      this.#byRuns(field, this.#linkRuns(), (run) =>
        this.#macOf(run, (field === 'saddr' ? senderMac : neighbourMac)(this.#host, dev, run.from)),
      ),
    );
  }

  /** Whom a frame is for that arrives on a device: everybody, many, or (null) the device itself. */
  groups(dev: string): ClassNode<Mac | null> {
    return this.#once(`groups ${dev}`, () =>
      this.#byRuns('daddr', this.#linkRuns(), ({ from }) => {
        const mac = knownMac(this.#host, dev, from);
        const isOfMany = isMulticast(from) || from === LIMITED_BROADCAST || mac === BROADCAST_MAC;
        return (isOfMany ? mac : undefined) ?? null;
      }),
    );
  }

  /** To whom a machine on a bridge sends what it sends. */
  station(bridge: Bridge): ClassNode<Mac> {
    return this.#once(`station ${bridge.name}`, () => {
      const runs = this.#linkRuns();
      const segments = bridge.segments.filter(({ prefix }) => familyOf(prefix.address) === this.#family);
      const outside = this.#strangerTo(bridge);
      const from = (saddr: Address): Node => {
        const macs = stationDmacs(this.#host, bridge, saddr);
        return this.#byRuns('daddr', runs, (run) => this.#macOf(run, macs(run.from)));
      };
      let node = from(outside);
      for (const { prefix } of [...segments].reverse()) {
        const range = { from: prefix.address, to: lastAddress(prefix) };
        const first = segments.find((segment) => prefixContains(segment.prefix, prefix.address));
        if (first?.prefix !== prefix) continue;
        const inside = this.#layout.chooseAddresses('saddr', [range], YES, NO);
        node = this.#layout.diagrams.ifThenElse(inside, from(prefix.address), node);
      }
      return node;
    });
  }

  /** An address in none of a bridge's segments. */
  #strangerTo({ segments }: Bridge): Address {
    for (const { from } of this.#linkRuns())
      if (!segments.some(({ prefix }) => prefixContains(prefix, from))) return from;
    return zeroAddress(this.#family);
  }

  #macOf({ from, to }: Range, mac: Mac): Mac {
    return from !== to && mac === assumedMac(from) && !this.#known.has(mac) ? NOBODY : mac;
  }

  #linkRuns(): readonly Range[] {
    return this.#addressClasses().linkRuns;
  }

  #byRuns(field: AddressField, runs: readonly Range[], ask: (run: Range) => unknown): Node {
    return this.#casesOf(field, runs, (run) => this.#end(ask(run)));
  }

  /** A function of both addresses, asked once for each pair of classes. */
  #byClasses(key: string, ask: (saddr: Address, daddr: Address) => unknown): ClassNode<never> {
    const { samples } = this.#addressClasses();
    const { node } = this.#once(key, () =>
      this.#cases(
        'daddr',
        samples.map((daddr) =>
          this.#cases(
            'saddr',
            samples.map((saddr) => this.#end(ask(saddr, daddr))),
          ),
        ),
      ),
    );
    const from = (saddr: Address): Node => {
      const of = this.#classOf(saddr);
      const sample = samples[of] ?? saddr;
      const made = (): Node =>
        this.#cases(
          'daddr',
          samples.map((daddr) => this.#end(ask(sample, daddr))),
        );
      return this.#once(`${key} from ${of}`, made).node;
    };
    return { node, from };
  }

  /** A function of the class of an address, given in their order. */
  #cases(field: AddressField, ofClasses: readonly Node[]): Node {
    const { diagrams } = this.#layout;
    return diagrams.substitute(
      diagrams.mapping((end) => ofClasses[memberAt(end)] ?? NO),
      this.#classesBy(field),
    );
  }

  /** From an address to the number of its class: what is asked of classes is then put in their place, however many runs of addresses there are. */
  #classesBy(field: AddressField): Node {
    return this.#once(`class ${field}`, () => {
      const { runs, classes } = this.#addressClasses();
      return this.#casesOf(field, runs, (_run, index) => memberEnd(classes[index] ?? 0));
    }).node;
  }

  /** A function of an address, by runs of which many in a row may lead to the same. */
  #casesOf(field: AddressField, runs: readonly Range[], endOf: (run: Range, index: number) => Node): Node {
    return this.#layout.addressCases(field, this.#end(undefined), (add) => {
      runs.forEach((run, index) => {
        add(run.to, endOf(run, index));
      });
    });
  }

  #classOf(address: Address): number {
    const { runs, classes } = this.#addressClasses();
    let low = 0;
    let high = runs.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((runs[middle]?.to ?? address) < address) low = middle + 1;
      else high = middle;
    }
    return classes[low] ?? 0;
  }

  #addressClasses(): AddressClasses {
    this.#classes ??= classesOf(this.#host, this.#family, this.#known);
    return this.#classes;
  }
}

/** The decision for the class that the packet's destination stands for. */
const atClass = (decision: RouteDecision, daddr: Address): ClassDecision =>
  decision.kind === 'forward'
    ? { kind: 'forward', oif: decision.oif, ...(decision.nextHop === daddr ? {} : { via: decision.nextHop }) }
    : decision;

function decisionKey(decision: ClassDecision): string {
  switch (decision.kind) {
    case 'local':
      return `local ${decision.address}`;
    case 'forward':
      return `forward ${decision.oif} ${decision.via ?? ''}`;
    case 'refused':
      return `refused ${decision.noRoute} ${decision.reason}`;
  }
}

interface AddressClasses {
  /** Within a run every address is routed alike. */
  readonly runs: readonly Range[];
  /** Runs of one class are routed alike, too, as sources and as destinations. */
  readonly classes: readonly number[];
  /** An address of each class. */
  readonly samples: readonly Address[];
  /** Within a run the host prefers the same of its own addresses for every destination. */
  readonly sourceRuns: readonly Range[];
  /** Within a run, but where it is one of nobody, every address has the same MAC. */
  readonly linkRuns: readonly Range[];
}

function classesOf(host: Host, family: Family, known: ReadonlySet<Mac>): AddressClasses {
  const gateways = new Set(routingTable(host).flatMap(({ via }) => (via === undefined ? [] : [via])));
  const linkRuns = addressRuns(host, family, { more: assumedOwners(family, known) });
  const runs = addressRuns(host, family, { neighbours: false });
  const table = routingTable(host);
  const somebody: Address = family === 4 ? 0xcb007107 : (0x20010db8n << 96n) | 7n;
  const numbers = new Map<string, number>();
  const samples: Address[] = [];
  // Whatever else a decision about a destination may turn on.
  const decisionsAbout = (daddr: Address): string =>
    [
      routeOutput(host, { saddr: zeroAddress(family), daddr }),
      ...host.interfaces.map(({ name }) => routeInput(host, { saddr: somebody, daddr }, name, true)),
    ]
      .map((decision) => decisionKey(atClass(decision, daddr)))
      .join('\n');
  const classes = runs.map(({ from }) => {
    const route = table.findIndex(({ to }) => prefixContains(to, from));
    const kind = addressKind(host, from);
    const about = [
      kind,
      localDevice(host, from),
      isLoopback(from),
      joinedBy(host, from).join(),
      from === zeroAddress(family),
      from === LIMITED_BROADCAST,
      route,
      // The class of a next hop that is itself one of its addresses would not be alike for all of them.
      gateways.has(from) ? from : '',
    ].join('\n');
    // Of an own IPv4 address the local table decides alone; there may be many of them.
    const isOwn = family === 4 && kind === 'LOCAL' && !isLoopback(from);
    const of = isOwn ? about : `${about}\n${decisionsAbout(from)}`;
    const known = numbers.get(of);
    if (known !== undefined) return known;
    const made = samples.push(from) - 1;
    numbers.set(of, made);
    return made;
  });
  return { runs, classes, samples, sourceRuns: family === 4 ? runs : sourceRuns6(host), linkRuns };
}

/** The devices by which the host hears a group. */
const joinedBy = (host: Host, group: Address): readonly string[] =>
  host.interfaces.map(({ name }) => name).filter((device) => hasJoined(host, group, device));

/** RFC 6724 section 2.1. */
const LABELLED = [
  '::1/128',
  '::/96',
  '::ffff:0:0/96',
  '2001::/32',
  '2001:10::/28',
  '3ffe::/16',
  '2002::/16',
  'fec0::/10',
  'fc00::/7',
].flatMap((text) => parsePrefix(text) ?? []);

/** Groups that do not reach as far as others, whatever their flags say: ff00::/16, ff01::/16, ff02::/16, ff05::/16, ff10::/16, ... */
const NEAR_GROUPS: readonly Prefix[] = Array.from({ length: 16 }, (_, flags) =>
  [0, 1, 2, 5].map((scope) => ({ address: BigInt(0xff00 | (flags << 4) | scope) << 112n, length: 16 })),
).flat();

/** IPv6 prefers the address that shares most bits with the destination (RFC 6724), so every prefix of an own address counts. */
function sourceRuns6(host: Host): readonly Range[] {
  const own = host.interfaces.flatMap(({ addresses }) => addresses.filter(({ address }) => familyOf(address) === 6));
  const routes = [
    ...LABELLED,
    ...NEAR_GROUPS,
    ...own.flatMap(({ address, length }) => Array.from({ length: length + 1 }, (_, bits) => prefixOf(address, bits))),
  ].map((to) => ({ to, dev: 'lo' }));
  return addressRuns({ ...host, routes: [...host.routes, ...routes] }, 6, { neighbours: false });
}

/** The addresses whose assumed MAC is one that somebody knows. */
function assumedOwners(family: Family, known: ReadonlySet<Mac>): readonly Address[] {
  return [...known].flatMap((mac) => {
    const [first, kind, ...rest] = macOctets(mac);
    return family === 4 && first === 0x0a && kind === 0x00
      ? [rest.reduce((value, octet) => value * 256 + octet, 0)]
      : [];
  });
}
