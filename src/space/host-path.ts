/**
 * The way of all packets of a cell through one host: netfilter/passage.ts, step for step, whose sources are named there. A step that tells packets of a cell apart
 * makes several cells of it.
 *
 * Not modelled here, of what the model knows: parts of packets, wrong checksums, icmp errors about flows.
 */
import { zeroAddress } from '../address/address.ts';
import { BROADCAST_MAC, isGroupMac, type Mac } from '../address/mac.ts';
import type { Bridge } from '../host/host.ts';
import { bridgeOf, bridgeOfPort, interfaceOf } from '../host/host.ts';
import { portsOf } from '../host/own.ts';
import { NODE_GROUPS } from '../host/groups.ts';
import { bridgeDecision, neighbourMac } from '../host/link.ts';
import type { ConntrackState, Entry } from '../packet/packet.ts';
import type { RejectWith } from '../ruleset/rule.ts';
import type { Cell, Sender } from './cell.ts';
import type { ClassDecision } from './decisions.ts';
import { NO, type Node } from './diagram.ts';
import type { HostSpace } from './ground.ts';
import { HookPath } from './hook-path.ts';
import { TrackingPath, unfollowed } from './tracking-path.ts';
import type { Layout } from './layout.ts';
import { isValue, shifted, whereIn, type Value } from './value.ts';

/** Where packets of a cell come to on one host. */
export type HostEnd =
  | { readonly kind: 'delivered'; readonly cell: Cell }
  | {
      readonly kind: 'exit';
      readonly cell: Cell;
      readonly oif: string;
      readonly port?: string;
      readonly smac: Sender;
      readonly dmac: Mac;
    }
  | LostEnd;

/** Somebody gets it: a process here, or whoever is behind the interface. */
export const isReached = ({ kind }: HostEnd): boolean => kind === 'delivered' || kind === 'exit';

export interface LostEnd {
  readonly kind: 'dropped' | 'rejected' | 'undecided';
  readonly cell: Cell;
  readonly reason?: string;
  /** How it was rejected. */
  readonly with?: RejectWith;
  /** No rule is to blame: sets do not follow such packets, and what the rules make of them is not asked. */
  readonly unfollowed?: true;
}

export class HostPath {
  readonly #space: HostSpace;
  readonly #layout: Layout;
  readonly #tracking: TrackingPath;
  readonly #hooks: HookPath;
  readonly #ends: HostEnd[] = [];

  constructor(space: HostSpace) {
    this.#space = space;
    this.#layout = space.ground.layout;
    this.#tracking = new TrackingPath(space);
    this.#hooks = new HookPath(space, this.#tracking, (end) => {
      this.#ends.push(end);
    });
  }

  /** The ways of packets that enter at `entry`; `framed` cells bring the frame of the host before. */
  run(cell: Cell, entry: Entry, from: 'sender' | 'host', asserted?: ConntrackState): readonly HostEnd[] {
    if (entry.kind === 'local') for (const own of this.#local(cell)) this.#send(this.#tracking.assert(own, asserted));
    else
      for (const arrived of from === 'host' ? [framedAs(cell)] : this.#arriving(cell, entry.interface)) {
        const own = this.#tracking.assert(arrived, asserted);
        const bridge = bridgeOfPort(this.#space.host, entry.interface);
        if (bridge === undefined) this.#receive(own, entry.interface);
        else this.#receiveOnPort(own, bridge, entry.interface);
      }
    return this.#ends;
  }

  /** The packets of a cell that are of these, as they came to a table here. */
  meeting(cell: Cell, packets: Node, known: Map<string, Node>): Node {
    return this.#hooks.meeting(cell, packets, known);
  }

  // --- entering ------------------------------------------------------------------------------------------------------------------------

  /** The kernel fills in the source of an unbound socket. */
  #local(cell: Cell): readonly Cell[] {
    const { diagrams, family } = this.#layout;
    const plain: Cell = { ...cell, framed: false, packetType: 'unicast' };
    const zero = zeroAddress(family);
    const unbound = diagrams.and(cell.region, whereIn(this.#layout, cell.header.saddr, [{ from: zero, to: zero }]));
    if (unbound === NO) return [plain];
    const bound = diagrams.less(cell.region, unbound);
    const chosen = this.#space.decisions
      .ask(unbound, cell.header, this.#space.decisions.source())
      .map(({ region, to }): Cell => {
        const saddr: Value = to === 'destination' ? cell.header.daddr : isValue(to);
        return { ...plain, region, header: { ...cell.header, saddr } };
      });
    return [...(bound === NO ? [] : [{ ...plain, region: bound }]), ...chosen];
  }

  /** What arrives without a frame that is known gets the one that its sender would have made. */
  #arriving(cell: Cell, arrivesOn: string): readonly Cell[] {
    const { host, decisions } = this.#space;
    const bridge = bridgeOfPort(host, arrivesOn);
    const smac: Sender = cell.smac === '' ? { dev: bridge?.name ?? arrivesOn, saddr: cell.header.saddr } : cell.smac;
    if (cell.dmac !== '') return [framedAs({ ...cell, smac }, arrivesOn !== 'lo')];
    if (bridge !== undefined)
      return decisions
        .ask(cell.region, cell.header, decisions.station(bridge))
        .map(({ region, to }) => framedAs({ ...cell, region, smac, dmac: to }));
    const own = interfaceOf(host, arrivesOn)?.mac ?? BROADCAST_MAC;
    // Only what is for everybody, or for many, has another destination than the device.
    return decisions
      .ask(cell.region, cell.header, decisions.groups(arrivesOn))
      .map(({ region, to }) =>
        framedAs({ ...cell, region, smac, dmac: to ?? own, framed: arrivesOn !== 'lo' }, arrivesOn !== 'lo'),
      );
  }

  // --- the IP layer --------------------------------------------------------------------------------------------------------------------

  #drop(cell: Cell, reason: string): void {
    this.#ends.push({ kind: 'dropped', cell, reason });
  }

  #receive(cell: Cell, iif: string): void {
    const own = interfaceOf(this.#space.host, iif);
    if (cell.packetType === 'unicast' && own !== undefined && iif !== 'lo' && cell.dmac !== own.mac) {
      this.#drop(cell, 'the frame is for another machine');
      return;
    }
    for (const possible of iif === 'lo' ? [cell] : this.#possible6(cell))
      for (const on of this.#hooks.pass(possible, 'PREROUTING', { iif })) this.#route(on, iif);
  }

  /** ip6_rcv_core: what IPv6 refuses before any hook. */
  #possible6(cell: Cell): readonly Cell[] {
    if (this.#layout.family === 4) return [cell];
    const { diagrams } = this.#layout;
    const loopback = [{ from: 1n, to: 1n }];
    const groups = [{ from: 0xffn << 120n, to: (1n << 128n) - 1n }];
    const impossible = diagrams.orAll([
      whereIn(this.#layout, cell.header.saddr, groups),
      whereIn(this.#layout, cell.header.saddr, loopback),
      whereIn(this.#layout, cell.header.daddr, loopback),
      whereIn(this.#layout, cell.header.daddr, NODE_GROUPS),
    ]);
    return this.#unless(cell, impossible, 'a loopback or multicast source, or a destination within the host');
  }

  /** The cell without these packets, which are dropped. */
  #unless(cell: Cell, condition: Node, reason: string): readonly Cell[] {
    const { diagrams } = this.#layout;
    const gone = this.#space.ground.bindings.within(cell.region, condition);
    if (gone === NO) return [cell];
    this.#drop({ ...cell, region: gone }, reason);
    const region = diagrams.less(cell.region, condition);
    return region === NO ? [] : [{ ...cell, region }];
  }

  #route(cell: Cell, iif: string): void {
    const { decisions } = this.#space;
    for (const { region, to } of decisions.ask(cell.region, cell.header, decisions.input(iif, false))) {
      const own = { ...cell, region };
      if (to.kind === 'refused') this.#drop(own, to.reason);
      else if (to.kind === 'local') this.#deliver(own, iif);
      else this.#forward(own, iif, to);
    }
  }

  #deliver(cell: Cell, iif: string): void {
    for (const on of this.#hooks.pass(cell, 'INPUT', { iif })) this.#ends.push({ kind: 'delivered', cell: on });
  }

  #forward(cell: Cell, iif: string, { oif, via }: Extract<ClassDecision, { kind: 'forward' }>): void {
    if (cell.packetType !== 'unicast') {
      this.#drop(cell, 'a broadcast frame is not forwarded');
      return;
    }
    const { ttl } = cell.header;
    const cameBy = cell.cameBy ?? iif;
    for (const alive of this.#unless(cell, whereIn(this.#layout, ttl, [{ from: 0, to: 1 }]), 'TTL exceeded'))
      for (const free of cameBy === oif ? [alive] : this.#inScope(alive)) {
        const counted: Value = ttl.kind === 'is' ? isValue(Number(ttl.value) - 1) : shifted(ttl, [-1]);
        const own: Cell = { ...free, cameBy: undefined, header: { ...free.header, ttl: counted } };
        for (const on of this.#hooks.pass(own, 'FORWARD', { iif, oif }))
          for (const out of this.#hooks.pass(on, 'POSTROUTING', { iif, oif })) this.#transmit(out, oif, via);
      }
  }

  /** ip6_forward: what leads off its link must not come from an address of the link, nor from none. */
  #inScope(cell: Cell): readonly Cell[] {
    if (this.#layout.family === 4) return [cell];
    const near = [
      { from: 0n, to: 0n },
      { from: 0xfe80n << 112n, to: (0xfec0n << 112n) - 1n },
    ];
    return this.#unless(cell, whereIn(this.#layout, cell.header.saddr, near), 'a source beyond its scope');
  }

  #send(cell: Cell): void {
    const { decisions } = this.#space;
    for (const { region, to } of decisions.ask(cell.region, cell.header, decisions.output())) {
      const own = { ...cell, region };
      if (to.kind !== 'forward') {
        this.#drop(own, to.kind === 'refused' ? to.reason : 'no route to the destination');
        continue;
      }
      for (const on of this.#hooks.pass(own, 'OUTPUT', { oif: to.oif })) {
        // A new destination needs a new route.
        if (on.header.daddr === own.header.daddr) this.#out(on, to.oif, to.via);
        else
          for (const again of decisions.ask(on.region, on.header, decisions.reroute(to.oif))) {
            const routed = { ...on, region: again.region };
            if (again.to.kind === 'forward') this.#out(routed, again.to.oif, again.to.via);
            else this.#drop(routed, 'no route to the destination');
          }
      }
    }
  }

  #out(cell: Cell, oif: string, via: Extract<ClassDecision, { kind: 'forward' }>['via']): void {
    const before = this.#layout.family === 4 ? this.#loopBack(cell, oif) : [cell];
    for (const own of before)
      for (const on of this.#hooks.pass(own, 'POSTROUTING', { oif }))
        for (const last of this.#layout.family === 6 ? this.#loopBack(on, oif) : [on]) this.#transmit(last, oif, via);
  }

  /** Of what the host sends to everybody it gets a copy itself, before the packet goes out. What is left of the cell, with what conntrack has made of it. */
  #loopBack(cell: Cell, oif: string): readonly Cell[] {
    if (oif === 'lo') return [cell];
    const { decisions } = this.#space;
    return decisions.ask(cell.region, cell.header, decisions.destination()).flatMap(({ region, to }) => {
      const own = { ...cell, region };
      const joined = to.joined.includes(oif);
      if (!joined && !to.isBroadcast) return [own];
      const copy: Cell = { ...own, framed: false, copied: true };
      const after: Cell[] = [];
      const on = this.#hooks.pass(copy, 'POSTROUTING', { oif }, after);
      for (const round of on) {
        const up: Cell = { ...round, packetType: joined ? 'multicast' : 'broadcast' };
        const back = this.#hooks.pass(up, 'PREROUTING', { iif: oif }, after);
        for (const at of back) {
          const delivered = this.#hooks.pass(at, 'INPUT', { iif: oif }, after);
          for (const end of delivered) this.#ends.push({ kind: 'delivered', cell: end });
          after.push(...delivered);
        }
      }
      return after.map((one) => ({ ...own, region: one.region, tracked: one.tracked, flows: one.flows, copied: true }));
    });
  }

  #transmit(cell: Cell, oif: string, via: Extract<ClassDecision, { kind: 'forward' }>['via']): void {
    if (oif === 'lo') {
      const groups = [{ from: 0xffn << 120n, to: (1n << 128n) - 1n }];
      const many = this.#layout.family === 6 ? whereIn(this.#layout, cell.header.saddr, groups) : NO;
      for (const own of this.#unless({ ...cell, framed: false }, many, 'a multicast source'))
        for (const on of this.#hooks.pass(own, 'PREROUTING', { iif: 'lo' })) this.#deliver(on, 'lo');
      return;
    }
    const within = this.#layout.family === 6 ? whereIn(this.#layout, cell.header.daddr, NODE_GROUPS) : NO;
    for (const out of this.#unless(cell, within, 'a group within the host')) this.#toLink(out, oif, via);
  }

  #toLink(cell: Cell, oif: string, via: Extract<ClassDecision, { kind: 'forward' }>['via']): void {
    const { host, decisions } = this.#space;
    const smac = interfaceOf(host, oif)?.mac ?? BROADCAST_MAC;
    const towards =
      via === undefined
        ? decisions.ask(cell.region, cell.header, decisions.neighbour(oif, 'daddr'))
        : [{ region: cell.region, to: neighbourMac(host, oif, via) }];
    const bridge = bridgeOf(host, oif);
    for (const { region, to: dmac } of towards) {
      const own = { ...cell, region };
      if (bridge === undefined) {
        this.#ends.push({ kind: 'exit', cell: own, oif, smac, dmac });
        continue;
      }
      const decision = bridgeDecision(host, bridge, dmac);
      if (decision.kind === 'up') {
        this.#drop(own, 'the next hop is the bridge itself');
        continue;
      }
      const ports = decision.kind === 'port' ? [decision.port] : bridge.ports.map((port) => port.name).reverse();
      const copied = own.copied === true || ports.length > 1;
      if (ports.length === 0) this.#drop(own, 'the bridge has no port');
      for (const port of ports) this.#ends.push({ kind: 'exit', cell: { ...own, copied }, oif, port, smac, dmac });
    }
  }

  // --- the bridge ----------------------------------------------------------------------------------------------------------------------

  #receiveOnPort(cell: Cell, bridge: Bridge, port: string): void {
    if (!this.#space.callsIptables) {
      this.#decide(cell, bridge, port, false);
      return;
    }
    for (const on of this.#hooks.pass({ ...cell, physin: port }, 'PREROUTING', { iif: bridge.name })) {
      if (on.header.daddr === cell.header.daddr) this.#decide(on, bridge, port, true);
      else for (const moved of this.#bridgedDnat(on, bridge)) this.#decide(moved, bridge, port, true);
    }
  }

  /** br_nf_pre_routing_finish: where a frame with a new destination goes. */
  #bridgedDnat(cell: Cell, bridge: Bridge): readonly Cell[] {
    const { host, decisions, ground } = this.#space;
    const up = interfaceOf(host, bridge.name)?.mac ?? BROADCAST_MAC;
    return decisions
      .ask(cell.region, cell.header, decisions.input(bridge.name, true))
      .flatMap(({ region, to }): Cell[] => {
        const own: Cell = { ...cell, region };
        if (to.kind === 'refused' && (!to.noRoute || ground.family === 6)) {
          this.#drop(own, to.reason);
          return [];
        }
        // Only what is pulled up to the IP layer becomes a frame for this machine.
        if (to.kind !== 'forward') return [{ ...own, dmac: up, packetType: 'unicast' }];
        if (to.oif !== bridge.name) return [{ ...own, dmac: up, packetType: 'unicast', cameBy: to.oif }];
        if (to.via !== undefined) return [{ ...own, dmac: neighbourMac(host, bridge.name, to.via) }];
        return decisions
          .ask(region, cell.header, decisions.neighbour(bridge.name, 'daddr'))
          .map((answer) => ({ ...own, region: answer.region, dmac: answer.to }));
      });
  }

  #decide(cell: Cell, bridge: Bridge, port: string, filtered: boolean): void {
    const { host } = this.#space;
    const decision = bridgeDecision(host, bridge, cell.dmac);
    if (
      cell.ports !== undefined &&
      (decision.kind === 'flood' || (decision.kind === 'port' && cell.ports.has(decision.port)))
    ) {
      this.#ends.push(unfollowed(cell, 'which port it came by matters to the bridge'));
      return;
    }
    if (decision.kind === 'port') {
      this.#bridge(cell, bridge, port, decision.port, filtered);
      return;
    }
    const hairpin = hairpins(bridge, port);
    let rest: readonly Cell[] = [cell];
    if (decision.kind === 'flood') {
      const ports = bridge.ports.map((candidate) => candidate.name).reverse();
      const outs = ports.filter((out) => out !== port || hairpin);
      const copied = outs.length + (decision.up ? 1 : 0) > 1 || cell.copied === true;
      for (const out of outs)
        rest = rest.flatMap((own) =>
          this.#bridge({ ...own, copied }, bridge, port, out, filtered).map((after) => ({
            ...own,
            region: after.region,
            tracked: after.tracked,
            flows: after.flows,
            copied,
          })),
        );
      if (!decision.up) return;
    }
    for (const own of rest) this.#up(own, bridge, filtered);
  }

  #up(cell: Cell, bridge: Bridge, filtered: boolean): void {
    if (!filtered) {
      const mac = interfaceOf(this.#space.host, bridge.name)?.mac;
      this.#receive(mac !== undefined && cell.packetType === 'unicast' ? { ...cell, dmac: mac } : cell, bridge.name);
      return;
    }
    // br_nf_local_in: a frame for many is confirmed before it goes up, for its copies share the flow.
    const own = cell.packetType === 'unicast' ? cell : this.#tracking.confirm(cell);
    for (const possible of this.#possible6(own)) this.#route(possible, bridge.name);
  }

  /** Out by one port. What is left of the cell, with what conntrack has made of it. */
  #bridge(cell: Cell, bridge: Bridge, from: string, to: string, filtered: boolean): readonly Cell[] {
    if (from === to && !hairpins(bridge, from)) {
      this.#drop(cell, `the frame would leave by the port that it came in by, and ${from} has no hairpin mode`);
      return [cell];
    }
    const after: Cell[] = [];
    const passed = !filtered
      ? [cell]
      : this.#hooks
          .pass({ ...cell, physout: to }, 'FORWARD', { iif: bridge.name, oif: bridge.name }, after)
          .flatMap((on) => this.#hooks.pass(on, 'POSTROUTING', { oif: bridge.name }, after));
    for (const own of passed)
      this.#ends.push({ kind: 'exit', cell: own, oif: bridge.name, port: to, smac: own.smac, dmac: own.dmac });
    return [...after, ...passed];
  }
}

const hairpins = (bridge: Bridge, port: string): boolean => portsOf(bridge).byName.get(port)?.hairpin === true;

const framedAs = (cell: Cell, framed = true): Cell => ({
  ...cell,
  framed,
  packetType: cell.dmac === BROADCAST_MAC ? 'broadcast' : isGroupMac(cell.dmac) ? 'multicast' : 'unicast',
});
