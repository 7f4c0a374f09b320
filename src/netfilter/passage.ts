/**
 * One packet's passage through a host: the whole path, bridge included, for one reading of what is not known.
 *
 * Source: net/ipv4/ip_input.c, ip_forward.c, ip_output.c; net/bridge/br_input.c, br_forward.c, br_netfilter_hooks.c; observed facts S9-S12,
 * S15, S17-S21, S26, S27, S30. What `traverse.ts` adds is the other readings.
 */
import { isLoopback, isMulticast, zeroAddress, LIMITED_BROADCAST, type Family } from '../address/address.ts';
import { BROADCAST_MAC, ZERO_MAC, isGroupMac, type Mac } from '../address/mac.ts';
import { hasJoined, staysOnNode } from '../host/groups.ts';
import { bridgeOf, bridgeOfPort, interfaceOf, sysctlOf, type Bridge, type Host } from '../host/host.ts';
import { bridgeDecision, neighbourMac, senderMac, stationDmac } from '../host/link.ts';
import {
  addressKind,
  localDevice,
  rerouteOutput,
  routeInput,
  routeOutput,
  scopeRefusal6,
  sourceFor,
  type RouteDecision,
} from '../host/route.ts';
import { isIcmpError, type ConntrackState, type Entry, type Packet } from '../packet/packet.ts';
import type { HookName, RejectWith, TableName } from '../ruleset/rule.ts';
import type { CompiledRule, CompiledRuleset, NatTarget } from './compile.ts';
import {
  isAsTupled,
  tupleIn,
  type Connection,
  type Conntrack,
  type ConntrackSettings,
  type Tracked,
} from './conntrack.ts';
import type { Fragments } from './fragments.ts';
import { STAGES, type Stage } from './hooks.ts';
import type { Exit, Fate, FreshField, Journey, Step } from './journey.ts';
import { bind, isDecided, manipulationAt, nullRange, rangeOf, translate } from './nat.ts';
import { icmpError, rejection, type Answer, type Refused } from './reject.ts';
import type { Backend, Skb } from './skb.ts';
import { closeTcp } from './tcp.ts';
import { otherDirection } from './tuple.ts';
import { walkTable, type Verdict } from './walk.ts';

/** What a host remembers between packets. */
export interface Memory {
  readonly conntrack: Conntrack;
  readonly fragments: Fragments;
}

/** Answers, in order, what the rules ask and the model does not know. */
export interface Readings {
  next(rule: CompiledRule): boolean;
}

export interface Surroundings {
  readonly host: Host;
  readonly backend: Backend;
  readonly rules: ReadonlyMap<Family, CompiledRuleset>;
  readonly memory: Memory;
  readonly readings: Readings;
}

/** What a hook leaves of a packet: `undefined` lets it go on. */
type Stop = { readonly stopped: true } | undefined;
const STOPPED: Stop = { stopped: true };

const NO_RULES: CompiledRuleset = { tables: new Map(), conntrack: false, hasUnknown: false };

/** ICMPV6_DEST_UNREACH, ICMPV6_NOT_NEIGHBOUR: beyond scope of source address. */
const NOT_NEIGHBOUR = [1, 2] as const;

/** Packets answering packets answering packets: the kernel never goes deeper than this, and neither do we. */
const MAX_CONSEQUENCES = 4;

export class Passage {
  readonly #around: Surroundings;
  readonly #rules: CompiledRuleset;
  readonly #depth: number;
  readonly #steps: Step[] = [];
  readonly #exits: Exit[] = [];
  readonly #deliveries: Packet[] = [];
  readonly #consequences: Journey[] = [];
  #ending: Fate = { kind: 'dropped', reason: 'it went nowhere' };
  #undecided: Fate | undefined;
  /** What conntrack made of it when it saw it first. */
  #state: ConntrackState | undefined;
  /** The state is as somebody said, at every hook: conntrack is not asked. */
  #isAsserted = false;
  #fresh: readonly FreshField[] = [];
  /** The packet that was shown last, and how: most rules leave it as it is. */
  #shown: readonly [Packet, Packet] | undefined;

  constructor(around: Surroundings, family: Family, depth = 0) {
    this.#around = around;
    this.#rules = around.rules.get(family) ?? NO_RULES;
    this.#depth = depth;
  }

  /** The passage of a packet that enters at `entry`; `asserted` says what conntrack is to make of it. */
  run(packet: Packet, entry: Entry, asserted?: ConntrackState): Journey {
    const skb = this.#skbFor(packet, entry);
    const arrived = skb.packet;
    this.#isAsserted = asserted !== undefined;
    if (asserted !== undefined && this.#rules.conntrack)
      skb.tracked = this.#around.memory.conntrack.asserted(skb.packet, asserted, this.#settings());
    if (entry.kind === 'local') this.#send(skb);
    else {
      const bridge = bridgeOfPort(this.#around.host, entry.interface);
      if (bridge === undefined) this.#receive(skb, entry.interface);
      else this.#receiveOnPort(skb, bridge, entry.interface);
    }
    if (skb.tracked?.kind === 'flow') this.#fresh = skb.tracked.connection.fresh;
    return this.#journey(arrived);
  }

  /** The passage of a packet that the host makes because of another one, whose flow it belongs to; `by` is the device that it has to leave by. */
  runConsequence(
    packet: Packet,
    { tracked, answering, by }: { tracked: Tracked | undefined; answering: boolean; by: string | undefined },
  ): Journey {
    const skb = this.#skbFor(packet, { kind: 'local' });
    skb.tracked = tracked;
    skb.answering = answering;
    const made = skb.packet;
    this.#send(skb, by);
    return this.#journey(made);
  }

  #journey(packet: Packet): Journey {
    return {
      packet,
      state: this.#state ?? 'UNTRACKED',
      steps: this.#steps,
      fate: this.#undecided ?? this.#fate(),
      exits: this.#exits,
      deliveries: this.#deliveries,
      consequences: this.#consequences,
      ...(this.#fresh.length > 0 ? { fresh: this.#fresh } : {}),
    };
  }

  #fate(): Fate {
    const [delivered] = this.#deliveries;
    if (delivered !== undefined) return { kind: 'delivered', packet: delivered };
    const [exit] = this.#exits;
    if (exit === undefined) return this.#ending;
    const port = this.#exits.length === 1 && exit.port !== undefined ? { port: exit.port } : {};
    return { kind: 'forwarded', oif: exit.oif, ...port, packet: exit.packet };
  }

  #skbFor(packet: Packet, entry: Entry): Skb {
    const { host, backend } = this.#around;
    const base = { host, backend, hook: 'PREROUTING' as const, hotdrop: false };
    if (entry.kind === 'local') {
      // The kernel fills in a missing source, and no process sets a frame's addresses.
      const saddr = packet.saddr === zeroAddress(packet.family) ? sourceFor(host, packet.daddr) : packet.saddr;
      return { ...base, packet: { ...withoutFrame(packet), saddr }, framed: false, packetType: 'unicast' };
    }
    const dmac = packet.dmac ?? this.#assumedDmac(packet, entry.interface);
    const smac = packet.smac ?? senderMac(host, this.#deviceAt(entry.interface), packet.saddr);
    const packetType = dmac === BROADCAST_MAC ? 'broadcast' : isGroupMac(dmac) ? 'multicast' : 'unicast';
    return { ...base, packet: { ...packet, smac, dmac }, framed: entry.interface !== 'lo', packetType };
  }

  #deviceAt(name: string): string {
    return bridgeOfPort(this.#around.host, name)?.name ?? name;
  }

  #assumedDmac(packet: Packet, arrivesOn: string): Mac {
    const { host } = this.#around;
    const bridge = bridgeOfPort(host, arrivesOn);
    if (bridge !== undefined) return stationDmac(host, bridge, packet);
    const { daddr } = packet;
    if (isMulticast(daddr) || daddr === LIMITED_BROADCAST || neighbourMac(host, arrivesOn, daddr) === BROADCAST_MAC)
      return neighbourMac(host, arrivesOn, daddr);
    return interfaceOf(host, arrivesOn)?.mac ?? BROADCAST_MAC;
  }

  #settings(): ConntrackSettings {
    const { host } = this.#around;
    return {
      tcpLoose: sysctlOf(host, 'net.netfilter.nf_conntrack_tcp_loose') !== 0,
      tcpBeLiberal: sysctlOf(host, 'net.netfilter.nf_conntrack_tcp_be_liberal') !== 0,
    };
  }

  // --- hooks -----------------------------------------------------------------------------------------------------------------------

  #hook(skb: Skb, hook: HookName, iif: string | undefined, oif: string | undefined): Stop {
    skb.hook = hook;
    skb.iif = iif;
    skb.oif = oif;
    for (const stage of STAGES[hook]) {
      const stop = this.#stage(skb, stage);
      if (stop !== undefined) return stop;
    }
    return undefined;
  }

  #stage(skb: Skb, stage: Stage): Stop {
    switch (stage) {
      case 'defragment':
        return this.#defragment(skb);
      case 'conntrack':
        return this.#track(skb);
      case 'nat':
        return this.#nat(skb);
      case 'confirm':
        if (skb.tracked === undefined || this.#around.memory.conntrack.confirm(skb.tracked)) return undefined;
        return this.#drop('another flow has the same addresses and ports');
      case 'mangle':
        return this.#mangle(skb);
      default:
        return this.#table(skb, stage);
    }
  }

  #defragment(skb: Skb): Stop {
    if (!this.#rules.conntrack || skb.packet.fragment === undefined) return undefined;
    const whole = this.#around.memory.fragments.add(skb.packet);
    if (whole === undefined) return this.#drop('held for reassembly: the other fragments are still missing');
    skb.packet = whole;
    return undefined;
  }

  #track(skb: Skb): Stop {
    if (!this.#rules.conntrack) return undefined;
    // Loopback packets come by a second time, and a rule in raw may have said that this one is not tracked.
    if (skb.tracked === undefined || (skb.tracked.state === 'INVALID' && !this.#isAsserted))
      skb.tracked = this.#around.memory.conntrack.classify(skb.packet, this.#settings(), skb.hook === 'PREROUTING');
    this.#state ??= skb.tracked.state;
    return undefined;
  }

  /**
   * ip6t_mangle_out, nf_route_table_hook6: what has another mark or hop limit than before is routed again at once. It goes where it went, but for what is for a link-local address of
   * the host's own: that is not to be found behind lo.
   */
  #mangle(skb: Skb): Stop {
    const before = skb.packet;
    const stop = this.#table(skb, 'mangle');
    const { family, mark, ttl } = skb.packet;
    const isRouted = skb.hook === 'OUTPUT' && family === 6 && (mark !== before.mark || ttl !== before.ttl);
    return stop ?? (isRouted ? this.#reroute(skb) : undefined);
  }

  #reroute({ packet, oif }: Skb): Stop {
    const decision = rerouteOutput(this.#around.host, packet, oif);
    return decision.kind === 'refused' ? this.#drop(decision.reason) : undefined;
  }

  #table(skb: Skb, table: TableName): Stop {
    const chains = this.#rules.tables.get(table);
    if (chains === undefined) return undefined;
    return this.#obey(
      walkTable(table, chains, skb.hook, skb, {
        assume: (rule) => this.#around.readings.next(rule),
        record: (...step) => {
          this.#record(skb, ...step);
        },
        translateTo: (target) => this.#bindTo(skb, target),
      }),
      skb,
    );
  }

  #record(
    skb: Skb,
    table: TableName,
    chain: string,
    rule: Step['rule'],
    line: number | undefined,
    target: string,
  ): void {
    const { hook, iif, oif, physin, physout } = skb;
    const shown =
      table === 'nat' && skb.tracked?.kind === 'flow' && isDecided(skb.tracked.connection, manipulationAt(hook))
        ? (translate(skb.packet, skb.tracked, manipulationAt(hook)) ?? skb.packet)
        : skb.packet;
    this.#steps.push({
      hook,
      table,
      chain,
      rule,
      ...(line === undefined ? {} : { line }),
      target,
      ...(iif === undefined ? {} : { iif }),
      ...(oif === undefined ? {} : { oif }),
      ...(physin === undefined ? {} : { physin }),
      ...(physout === undefined ? {} : { physout }),
      packet: this.#packetAsShown(shown),
    });
  }

  #packetAsShown(packet: Packet): Packet {
    if (this.#shown?.[0] !== packet) this.#shown = [packet, withoutFrame(packet)];
    return this.#shown[1];
  }

  #bindTo(skb: Skb, target: NatTarget): boolean {
    if (skb.tracked?.kind !== 'flow') return true;
    const range = rangeOf(target, skb);
    if (range === undefined) return false;
    if (target.kind === 'MASQUERADE' && skb.oif !== undefined) skb.tracked.connection.masqueradedFor = skb.oif;
    bind(this.#around.memory.conntrack, skb.tracked.connection, range, manipulationAt(skb.hook));
    return true;
  }

  /** nf_nat_inet_fn: the rules are asked once in a flow's life for each end; then every packet is rewritten as was decided (S2). */
  #nat(skb: Skb): Stop {
    const { tracked } = skb;
    if (tracked?.kind !== 'flow' || !this.#rules.tables.has('nat')) return undefined;
    const manipulation = manipulationAt(skb.hook);
    const asks = tracked.state === 'NEW' || (tracked.state === 'RELATED' && !isIcmpError(skb.packet));
    if (asks && !isDecided(tracked.connection, manipulation)) {
      const stop = this.#table(skb, 'nat');
      if (stop !== undefined) return stop;
      bind(
        this.#around.memory.conntrack,
        tracked.connection,
        nullRange(tracked.connection, manipulation),
        manipulation,
      );
    } else if (hasLeftItsDevice(skb, tracked)) {
      this.#around.memory.conntrack.remove(tracked.connection);
      return this.#drop('its flow was masqueraded for another device, and is forgotten');
    }
    const translated = translate(skb.packet, tracked, manipulation);
    if (translated === undefined)
      return this.#drop('the kernel cannot rewrite it: an icmp redirect, or no whole header');
    skb.packet = translated;
    // nf_nat_ipv4_local_fn: a new destination needs a new route, at once (S11, S12). The flow is asked for it: an icmp error to itself keeps its own.
    const { connection, direction } = tracked;
    const moved = tupleIn(connection, direction).daddr !== tupleIn(connection, otherDirection(direction)).saddr;
    return moved && skb.hook === 'OUTPUT' ? this.#reroute(skb) : undefined;
  }

  #obey(verdict: Verdict, skb: Skb): Stop {
    switch (verdict.kind) {
      case 'accept':
        return undefined;
      case 'drop':
        return this.#end({ kind: 'dropped', ...(verdict.line === undefined ? {} : { line: verdict.line }) });
      case 'unknown':
        this.#undecided ??= { kind: 'undecided', reason: verdict.because, line: verdict.line };
        return STOPPED;
      case 'reject':
        this.#reject(skb, verdict.with);
        return this.#end({ kind: 'rejected', line: verdict.line });
    }
  }

  #end(fate: Fate): Stop {
    this.#ending = fate;
    return STOPPED;
  }

  /** Without a rule. Of a packet that was refused to a copy of it, the refusal is what its sender hears of. */
  #drop(reason: string): Stop {
    return this.#ending.kind === 'rejected' ? STOPPED : this.#end({ kind: 'dropped', reason });
  }

  #reject(skb: Skb, how: RejectWith): void {
    const { physin } = skb;
    const answer = rejection(this.#around.host, refusedOf(skb), how);
    if (answer === undefined) return;
    if (how === 'tcp-reset' && skb.tracked?.kind === 'flow') closeByReset(skb.tracked.connection);
    if (how === 'tcp-reset' && physin !== undefined) this.#resetOnPort(answer.packet, skb, physin);
    else this.#consequence(answer, skb);
  }

  /**
   * nf_send_reset: a reset of what came through a bridge leaves by the port that it came in by, in the frame turned round, and meets no hook: no translation
   * is undone.
   */
  #resetOnPort(answer: Packet, { packet }: Skb, physin: string): void {
    const { host } = this.#around;
    if (routeOutput(host, { saddr: answer.saddr, daddr: answer.daddr }).kind === 'refused') return;
    const frame = { smac: packet.dmac ?? BROADCAST_MAC, dmac: packet.smac ?? BROADCAST_MAC };
    const exit: Exit = { oif: bridgeOfPort(host, physin)?.name ?? physin, port: physin, packet: answer, frame };
    this.#consequences.push({
      packet: answer,
      state: 'UNTRACKED',
      steps: [],
      fate: { kind: 'forwarded', oif: exit.oif, port: physin, packet: answer },
      exits: [exit],
      deliveries: [],
      consequences: [],
    });
  }

  /** nf_conntrack_attach: what the host answers belongs to the flow of what it answers to, as RELATED in the other direction. */
  #consequence({ packet, by }: Answer, cause: Skb): void {
    if (this.#depth >= MAX_CONSEQUENCES) return;
    const tracked: Tracked | undefined =
      cause.tracked?.kind === 'flow'
        ? { ...cause.tracked, direction: otherDirection(cause.tracked.direction), state: 'RELATED' }
        : undefined;
    // nf_ct_attach asks whether the field says anything, and UNTRACKED does.
    const answering = cause.answering === true || cause.tracked?.state === 'UNTRACKED';
    const passage = new Passage(this.#around, packet.family, this.#depth + 1);
    this.#consequences.push(passage.runConsequence(packet, { tracked, answering, by }));
  }

  // --- the IP layer ------------------------------------------------------------------------------------------------------------------

  /** ip_rcv: a packet comes up from a device of the IP layer. */
  #receive(skb: Skb, iif: string): void {
    const own = interfaceOf(this.#around.host, iif);
    if (skb.packetType === 'unicast' && own !== undefined && iif !== 'lo' && skb.packet.dmac !== own.mac) {
      this.#drop('the frame is for another machine');
      return;
    }
    if (skb.packet.family === 6 && iif !== 'lo' && isImpossible6(skb.packet)) {
      this.#drop('a loopback or multicast source, or a destination within the host');
      return;
    }
    if (this.#hook(skb, 'PREROUTING', iif, undefined) !== undefined) return;
    this.#route(skb, iif);
  }

  /** ip_rcv_finish: the routing decision, once the destination is final. */
  #route(skb: Skb, iif: string): void {
    const { host } = this.#around;
    const decision = routeInput(host, skb.packet, iif);
    if (decision.kind === 'refused') {
      this.#drop(decision.reason);
      if (decision.noRoute) this.#unreachable(skb);
      return;
    }
    if (decision.kind === 'local') {
      this.#deliver(skb, iif);
      return;
    }
    this.#forward(skb, iif, decision);
  }

  #unreachable(skb: Skb): void {
    const [type, code] = skb.packet.family === 4 ? [3, 0] : [1, 0];
    this.#answer(refusedOf(skb), type, code, skb);
  }

  #answer(refused: Refused, type: number, code: number, cause: Skb): void {
    const answer = icmpError(this.#around.host, refused, type, code);
    if (answer !== undefined) this.#consequence(answer, cause);
  }

  /** ip_local_deliver: what is for the host itself is reassembled before INPUT, conntrack or not; IPv6 does that behind INPUT (ip6_input_finish). */
  #deliver(skb: Skb, iif: string): void {
    if (skb.packet.family === 4 && skb.packet.fragment !== undefined) {
      const whole = this.#around.memory.fragments.add(skb.packet);
      if (whole === undefined) {
        this.#drop('held for reassembly: the other fragments are still missing');
        return;
      }
      skb.packet = whole;
    }
    if (this.#hook(skb, 'INPUT', iif, undefined) !== undefined) return;
    this.#deliveries.push(withoutFrame(skb.packet));
  }

  /** ip_forward: the TTL is counted down before FORWARD. */
  #forward(skb: Skb, iif: string, decision: Extract<RouteDecision, { kind: 'forward' }>): void {
    if (skb.packetType !== 'unicast') {
      this.#drop('a broadcast frame is not forwarded');
      return;
    }
    if (skb.packet.ttl <= 1) {
      this.#drop('TTL exceeded');
      const [type, code] = skb.packet.family === 4 ? [11, 0] : [3, 0];
      this.#answer({ ...refusedOf(skb), hook: 'FORWARD' }, type, code, skb);
      return;
    }
    const refusal = scopeRefusal6(skb.packet.saddr, skb.cameBy ?? iif, decision.oif);
    if (refusal !== undefined) {
      this.#drop(refusal);
      // Nobody is told whose address is none.
      this.#answer({ ...refusedOf(skb), hook: 'FORWARD' }, ...NOT_NEIGHBOUR, skb);
      return;
    }
    skb.packet = { ...skb.packet, ttl: skb.packet.ttl - 1 };
    if (this.#hook(skb, 'FORWARD', iif, decision.oif) !== undefined) return;
    if (this.#hook(skb, 'POSTROUTING', iif, decision.oif) !== undefined) return;
    this.#transmit(skb, decision.oif, decision.nextHop);
  }

  /** ip_local_out: a packet of the host's own. */
  #send(skb: Skb, by?: string): void {
    const decision = routeOutput(this.#around.host, skb.packet, by);
    if (decision.kind === 'refused') {
      this.#drop(decision.reason);
      return;
    }
    const before = skb.packet.daddr;
    if (this.#hook(skb, 'OUTPUT', undefined, decision.oif) !== undefined) return;
    const final = skb.packet.daddr === before ? decision : rerouteOutput(this.#around.host, skb.packet, decision.oif);
    if (final.kind !== 'forward') {
      this.#drop('no route to the destination');
      return;
    }
    // IPv4 makes the copy before POSTROUTING, IPv6 behind it. It comes back at once, but not into the middle of the work on another packet.
    const comesLater = this.#depth > 0;
    let copy: Skb | undefined;
    const loopBack = (): void => {
      copy = this.#copyForSelf(skb, final.oif);
      if (!comesLater) this.#hear(copy, final.oif);
    };
    if (skb.packet.family === 4) loopBack();
    if (this.#hook(skb, 'POSTROUTING', undefined, final.oif) === undefined) {
      if (skb.packet.family === 6) loopBack();
      this.#transmit(skb, final.oif, final.nextHop);
    }
    if (comesLater) this.#hear(copy, final.oif);
  }

  /**
   * ip_mc_output, ip6_finish_output2: of what the host sends to everybody it gets a copy itself, which goes through POSTROUTING and comes back from the device
   * without a frame, before the packet goes out.
   */
  #copyForSelf(skb: Skb, oif: string): Skb | undefined {
    const { daddr } = skb.packet;
    const joined = hasJoined(this.#around.host, daddr, oif);
    if (oif === 'lo' || !(joined || addressKind(this.#around.host, daddr) === 'BROADCAST')) return undefined;
    const copy: Skb = { ...skb, framed: false };
    if (this.#hook(copy, 'POSTROUTING', undefined, oif) !== undefined) return undefined;
    // PACKET_LOOPBACK, which xt_pkttype takes for what the address says.
    copy.packetType = joined ? 'multicast' : 'broadcast';
    return copy;
  }

  #hear(copy: Skb | undefined, oif: string): void {
    if (copy === undefined || this.#hook(copy, 'PREROUTING', oif, undefined) !== undefined) return;
    this.#deliver(copy, oif);
  }

  /** Out by a device: round by loopback, through a bridge, or onto the wire. */
  #transmit(skb: Skb, oif: string, nextHop: Packet['daddr']): void {
    const { host } = this.#around;
    if (oif === 'lo') {
      skb.framed = false;
      if (skb.packet.family === 6 && isMulticast(skb.packet.saddr)) {
        this.#drop('a multicast source');
        return;
      }
      if (this.#hook(skb, 'PREROUTING', 'lo', undefined) !== undefined) return;
      this.#deliver(skb, 'lo');
      return;
    }
    if (staysOnNode(skb.packet.daddr)) {
      this.#drop('a group within the host');
      return;
    }
    const smac = interfaceOf(host, oif)?.mac ?? BROADCAST_MAC;
    const dmac = neighbourMac(host, oif, nextHop);
    const bridge = bridgeOf(host, oif);
    if (bridge === undefined) {
      this.#leave(skb, { oif }, { smac, dmac });
      return;
    }
    const towards = bridgeDecision(host, bridge, dmac);
    if (towards.kind === 'up') {
      this.#drop('the next hop is the bridge itself');
      return;
    }
    const ports = towards.kind === 'port' ? [towards.port] : bridge.ports.map((port) => port.name).reverse();
    for (const port of ports) this.#leave(skb, { oif, port }, { smac, dmac });
  }

  #leave(skb: Skb, by: { oif: string; port?: string }, frame: Exit['frame']): void {
    const fresh = skb.tracked?.kind === 'flow' ? skb.tracked.connection.fresh : [];
    this.#exits.push({ ...by, packet: withoutFrame(skb.packet), frame, ...(fresh.length > 0 ? { fresh } : {}) });
  }

  // --- the bridge --------------------------------------------------------------------------------------------------------------------

  #callsIptables(family: Family): boolean {
    const name = family === 4 ? 'bridge-nf-call-iptables' : 'bridge-nf-call-ip6tables';
    return sysctlOf(this.#around.host, `net.bridge.${name}`) !== 0;
  }

  /** br_handle_frame: a frame comes in by a port of a bridge. With bridge-nf it meets PREROUTING here, and not again above (S17). */
  #receiveOnPort(skb: Skb, bridge: Bridge, port: string): void {
    const { host } = this.#around;
    // br_handle_frame, is_valid_ether_addr(): of everybody's frame nobody can be the sender.
    if (isGroupMac(skb.packet.smac ?? '') || skb.packet.smac === ZERO_MAC) {
      this.#drop('a bridge takes no frame from an address that is no machine’s');
      return;
    }
    const filtered = this.#callsIptables(skb.packet.family);
    let dmac = skb.packet.dmac ?? BROADCAST_MAC;
    if (filtered) {
      skb.physin = port;
      const before = skb.packet.daddr;
      if (this.#hook(skb, 'PREROUTING', bridge.name, undefined) !== undefined) return;
      if (skb.packet.daddr !== before) {
        const redirected = this.#bridgedDnat(skb, bridge);
        if (redirected === undefined) return;
        dmac = redirected;
        skb.packet = { ...skb.packet, dmac };
      }
    }
    const decision = bridgeDecision(host, bridge, dmac);
    if (decision.kind === 'port') {
      this.#bridge(skb, bridge, port, decision.port, dmac, filtered);
      return;
    }
    if (decision.kind === 'flood') {
      // br_flood: newest port first, each copy on its own; then the host itself (S18).
      for (const out of bridge.ports.map((candidate) => candidate.name).reverse())
        if (out !== port || hairpins(bridge, port)) this.#bridge({ ...skb }, bridge, port, out, dmac, filtered);
      if (!decision.up) return;
    }
    if (filtered) {
      // br_nf_local_in: a frame for many is confirmed before it goes up, for its copies share the flow.
      if (skb.packetType !== 'unicast' && this.#stage(skb, 'confirm') !== undefined) return;
      if (skb.packet.family === 6 && isImpossible6(skb.packet))
        this.#drop('a loopback or multicast source, or a destination within the host');
      else this.#route(skb, bridge.name);
    } else {
      const own = interfaceOf(host, bridge.name)?.mac;
      // A port's MAC is the bridge's for this purpose.
      if (own !== undefined && skb.packetType === 'unicast') skb.packet = { ...skb.packet, dmac: own };
      this.#receive(skb, bridge.name);
    }
  }

  /**
   * br_nf_pre_routing_finish: a new destination behind the same bridge is bridged to, any other is pulled up to the IP layer (S19). Only what is pulled up
   * becomes a frame for this machine: everybody's frame that is bridged to one stays everybody's. The MAC to go on with; undefined when the packet was refused.
   */
  #bridgedDnat(skb: Skb, bridge: Bridge): Mac | undefined {
    const { host } = this.#around;
    const decision = routeInput(host, skb.packet, bridge.name, true);
    // IPv4 lets what has no route go up, where it is answered; IPv6 drops it here.
    if (decision.kind === 'refused' && (!decision.noRoute || skb.packet.family === 6)) {
      this.#drop(decision.reason);
      return undefined;
    }
    if (decision.kind === 'forward' && decision.oif === bridge.name)
      return neighbourMac(host, bridge.name, decision.nextHop);
    // Delivered here, routed elsewhere, or routed nowhere: the IP layer sees to it.
    skb.cameBy = decision.kind === 'forward' ? decision.oif : localDevice(host, skb.packet.daddr);
    skb.packetType = 'unicast';
    return interfaceOf(host, bridge.name)?.mac ?? BROADCAST_MAC;
  }

  /** br_forward: out by one port, through FORWARD and POSTROUTING where the sysctl says so. No TTL is counted. */
  #bridge(skb: Skb, bridge: Bridge, from: string, to: string, dmac: Mac, filtered: boolean): void {
    if (from === to && !hairpins(bridge, from)) {
      this.#drop(`the frame would leave by the port that it came in by, and ${from} has no hairpin mode`);
      return;
    }
    if (filtered) {
      skb.physout = to;
      if (this.#hook(skb, 'FORWARD', bridge.name, bridge.name) !== undefined) return;
      if (this.#hook(skb, 'POSTROUTING', undefined, bridge.name) !== undefined) return;
    }
    this.#leave(skb, { oif: bridge.name, port: to }, { smac: skb.packet.smac ?? BROADCAST_MAC, dmac });
  }
}

/** nf_conntrack_tcp_set_closing: only of a flow that exists. One that its first packet would open goes on as if it had not been reset, should it come to exist. */
function closeByReset(connection: Connection): void {
  if (connection.confirmed && connection.tcp !== undefined) connection.tcp = closeTcp(connection.tcp);
}

/** nf_nat_oif_changed: the address that MASQUERADE chose is of the device that the first packet left by. Icmp errors about the flow are not asked. */
const hasLeftItsDevice = (
  { hook, oif, packet }: Skb,
  { connection, direction }: Extract<Tracked, { kind: 'flow' }>,
): boolean =>
  hook === 'POSTROUTING' &&
  direction === 'ORIGINAL' &&
  connection.masqueradedFor !== undefined &&
  connection.masqueradedFor !== oif &&
  !isIcmpError(packet);

/** What an answer to a refusal goes by. */
function refusedOf({ host, packet, tracked, hook, packetType, iif, oif, physout, cameBy }: Skb): Refused {
  const device = physout ?? iif ?? 'lo';
  // What goes round by lo is on the link of the address that it is for; what has not left yet, on that of its route, which nat OUTPUT may have changed (icmp6_iif).
  const link = device === 'lo' ? (localDevice(host, packet.daddr) ?? routedBy(host, packet, oif)) : device;
  const arrivedOn = cameBy ?? (iif === 'lo' ? link : iif);
  return {
    packet,
    hook,
    broadcast: packetType !== 'unicast',
    translated: tracked?.kind === 'flow' && !isAsTupled(packet, tupleIn(tracked.connection, tracked.direction)),
    device,
    ...(physout === undefined && arrivedOn !== undefined ? { arrivedOn } : {}),
    ...(link === undefined ? {} : { link }),
  };
}

/** The device of a packet's route. Rules of OUTPUT go on being told the one before. */
function routedBy(host: Host, packet: Packet, oif: string | undefined): string | undefined {
  const route = rerouteOutput(host, packet, oif);
  return route.kind === 'forward' ? route.oif : oif;
}

/** ip6_rcv_core: what IPv6 refuses before any hook. IPv4 leaves that to the routing decision. */
const isImpossible6 = ({ saddr, daddr }: Packet): boolean =>
  isMulticast(saddr) || isLoopback(saddr) || isLoopback(daddr) || staysOnNode(daddr);

const hairpins = (bridge: Bridge, port: string): boolean =>
  bridge.ports.some((candidate) => candidate.name === port && candidate.hairpin);

/** The packet without what belongs to its frame. */
export function withoutFrame(packet: Packet): Packet {
  if (packet.smac === undefined && packet.dmac === undefined) return packet;
  const { smac, dmac, ...rest } = packet;
  return rest;
}
