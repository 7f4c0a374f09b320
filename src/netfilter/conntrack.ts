/**
 * Connection tracking: which flow a packet belongs to, and in which state it is.
 *
 * Source: net/netfilter/nf_conntrack_core.c (nf_conntrack_in, resolve_normal_ct, __nf_conntrack_confirm, nf_conntrack_inet_error),
 * nf_conntrack_proto_*.c, as of 6.18; observed facts S1-S6, S25, S28-S30. Not modelled: time-outs (a flow lives until it is
 * flushed; a udp flow, which is assured after two seconds of traffic, never becomes so), helpers and
 * expectations, zones, accounting, the limit on entries.
 */
import {
  GRE,
  ICMP,
  ICMPV6,
  TCP,
  UDPLITE,
  isIcmp,
  isIcmpError,
  type ConntrackState,
  type Packet,
} from '../packet/packet.ts';
import { flagsAreValid, openTcp, trackTcp, type TcpTracking } from './tcp.ts';
import { icmpMayOpen, invertTuple, tupleKey, tupleOf, tuplesEqual, type Direction, type Tuple } from './tuple.ts';
import type { FreshField } from './journey.ts';

/** One flow (nf_conn). Only this file, nat.ts and the CONNMARK target change one. */
export interface Connection {
  original: Tuple;
  /** Before NAT the inverse of `original`; NAT rewrites it to what answers will look like. */
  reply: Tuple;
  confirmed: boolean;
  seenReply: boolean;
  assured: boolean;
  /** IPS_SRC_NAT, IPS_DST_NAT: the mapping changes something. */
  sourceNat: boolean;
  destinationNat: boolean;
  /** IPS_SRC_NAT_DONE, IPS_DST_NAT_DONE: the decision has been taken, even if it was "no translation". */
  sourceNatDone: boolean;
  destinationNatDone: boolean;
  /** The device for whose address MASQUERADE chose the source (nat->masq_index). */
  masqueradedFor?: string;
  mark: number;
  tcp?: TcpTracking;
  /** What the kernel chose at random for this flow. */
  fresh: readonly FreshField[];
}

/** What a packet carries of conntrack (skb->_nfct): its flow and its place in it. */
export type Tracked =
  | {
      readonly kind: 'flow';
      readonly connection: Connection;
      readonly direction: Direction;
      readonly state: ConntrackState;
    }
  | { readonly kind: 'none'; readonly state: 'INVALID' | 'UNTRACKED' };

export const UNTRACKED: Tracked = { kind: 'none', state: 'UNTRACKED' };
export const INVALID: Tracked = { kind: 'none', state: 'INVALID' };

export interface ConntrackSettings {
  readonly tcpLoose: boolean;
  readonly tcpBeLiberal: boolean;
}

/** The table of flows of one host. */
export class Conntrack {
  /** Both tuples of each confirmed flow. */
  readonly #flows = new Map<string, { connection: Connection; direction: Direction }>();
  /** Flows whose source mapping is decided, latest first (nf_nat_bysource): SNAT prefers to map a source as it did before. */
  #bySource: Connection[] = [];

  copy(): Conntrack {
    const twin = new Conntrack();
    const twins = new Map<Connection, Connection>();
    const twinOf = (connection: Connection): Connection => {
      const known = twins.get(connection) ?? { ...connection };
      twins.set(connection, known);
      return known;
    };
    for (const [key, { connection, direction }] of this.#flows)
      twin.#flows.set(key, { connection: twinOf(connection), direction });
    twin.#bySource = this.#bySource.filter((connection) => connection.confirmed).map(twinOf);
    return twin;
  }

  flush(): void {
    this.#flows.clear();
    this.#bySource = [];
  }

  get size(): number {
    return this.connections().length;
  }

  connections(): readonly Connection[] {
    return [...this.#flows.values()].filter((flow) => flow.direction === 'ORIGINAL').map((flow) => flow.connection);
  }

  /** The content as text: two tables with the same flows have the same fingerprint. */
  fingerprint(): string {
    return this.connections()
      .map((connection) =>
        JSON.stringify(
          { ...connection, original: tupleKey(connection.original), reply: tupleKey(connection.reply) },
          stringifyBigint,
        ),
      )
      .sort()
      .join('\n');
  }

  find(tuple: Tuple): { connection: Connection; direction: Direction } | undefined {
    return this.#flows.get(tupleKey(tuple));
  }

  remove(connection: Connection): void {
    for (const tuple of [connection.original, connection.reply])
      if (this.find(tuple)?.connection === connection) this.#flows.delete(tupleKey(tuple));
    // It stays confirmed, as a dying entry does: the packet that ended it must not enter it again.
    this.#bySource = this.#bySource.filter((known) => known !== connection);
  }

  /**
   * nf_confirm: the first packet has made it through, so the flow exists. A flow whose tuples are already taken is not entered; the packet is then dropped
   * (false).
   */
  confirm(tracked: Tracked): boolean {
    if (tracked.kind === 'none' || tracked.connection.confirmed || tracked.direction === 'REPLY') return true;
    const { connection } = tracked;
    if (this.find(connection.original) !== undefined || this.find(connection.reply) !== undefined) return false;
    connection.confirmed = true;
    this.#flows.set(tupleKey(connection.original), { connection, direction: 'ORIGINAL' });
    this.#flows.set(tupleKey(connection.reply), { connection, direction: 'REPLY' });
    return true;
  }

  /**
   * Puts what the kernel chose at random in the place of what the model chose, in a flow that exists: `reply` is the tuple of its answers as the model has it.
   */
  settle(reply: Tuple, settled: Tuple): void {
    const found = this.find(reply);
    if (found === undefined || found.direction !== 'REPLY') return;
    this.#flows.delete(tupleKey(reply));
    found.connection.reply = settled;
    found.connection.fresh = [];
    this.#flows.set(tupleKey(settled), found);
  }

  rememberSource(connection: Connection): void {
    this.#bySource = [connection, ...this.#bySource.filter((known) => known !== connection)];
  }

  /** Flows from the same source address, port and protocol, latest first. */
  fromSource(tuple: Tuple): readonly Connection[] {
    return this.#bySource.filter(
      ({ original }) =>
        original.saddr === tuple.saddr && original.sport === tuple.sport && original.protocol === tuple.protocol,
    );
  }

  /** nf_nat_used_tuple: an answer to `tuple` would be taken for another flow's packet. */
  isTaken(tuple: Tuple, but: Connection): boolean {
    const inverse = invertTuple(tuple);
    const found = inverse === undefined ? undefined : this.find(inverse);
    return found !== undefined && found.connection !== but;
  }

  /**
   * nf_conntrack_in: what the packet is to connection tracking. `checksums`: only packets that arrive are verified, not the host's own.
   */
  classify(packet: Packet, settings: ConntrackSettings, checksums: boolean): Tracked {
    if (packet.badsum && checksums && verifiesChecksum(packet.protocol)) return INVALID;
    // udplite_error() sums the pseudo header with UDP's protocol number, so a checksum that is right is wrong to it (seen on 6.18).
    if (packet.protocol === UDPLITE && checksums) return INVALID;
    // ipv6_get_l4proto() finds no header after "no next header".
    if (packet.family === 6 && packet.protocol === NO_NEXT_HEADER) return INVALID;
    if (packet.protocol === ICMPV6 && isNeverTracked(packet.type)) return UNTRACKED;
    if (packet.protocol === ICMP && packet.type > 18) return INVALID;
    if (packet.protocol === TCP && !flagsAreValid(packet.flags)) return INVALID;
    if (isIcmpError(packet)) return this.#relatedByError(packet);

    const tuple = tupleOf(packet);
    let found = this.find(tuple);
    if (found?.connection.tcp !== undefined) {
      const { connection, direction } = found;
      const verdict = trackTcp(found.connection.tcp, packet, direction, {
        seenReply: connection.seenReply,
        assured: connection.assured,
        beLiberal: settings.tcpBeLiberal,
      });
      if (verdict.kind === 'invalid') {
        connection.tcp = verdict.tracking;
        return INVALID;
      }
      if (verdict.kind === 'reopen') {
        this.remove(connection);
        found = undefined;
      } else {
        connection.tcp = verdict.tracking;
        if (verdict.assured === true) connection.assured = true;
        if (verdict.destroy === true) this.remove(connection);
      }
    }
    if (found === undefined) return this.#open(packet, tuple, settings);
    const { connection, direction } = found;
    // nf_conntrack_gre_packet(): whatever goes on after the first answer.
    if (packet.protocol === GRE && connection.seenReply) connection.assured = true;
    if (direction === 'REPLY') {
      connection.seenReply = true;
      return { kind: 'flow', connection, direction, state: 'ESTABLISHED' };
    }
    return { kind: 'flow', connection, direction, state: connection.seenReply ? 'ESTABLISHED' : 'NEW' };
  }

  #open(packet: Packet, tuple: Tuple, settings: ConntrackSettings): Tracked {
    const reply = invertTuple(tuple);
    if (reply === undefined) return INVALID;
    if (isIcmp(packet) && !icmpMayOpen(packet)) return INVALID;
    const connection = newConnection(tuple, reply);
    if (packet.protocol === TCP) {
      const opened = openTcp(packet, settings.tcpLoose);
      if (opened === undefined) return INVALID;
      const verdict = trackTcp(opened, packet, 'ORIGINAL', {
        seenReply: false,
        assured: false,
        beLiberal: settings.tcpBeLiberal,
      });
      if (verdict.kind !== 'accept') return INVALID;
      connection.tcp = verdict.tracking;
    }
    return { kind: 'flow', connection, direction: 'ORIGINAL', state: 'NEW' };
  }

  /** nf_conntrack_inet_error: an icmp error is RELATED to the flow of the packet that it quotes, if it goes to that packet's source. */
  #relatedByError(packet: Packet): Tracked {
    const { quoted } = packet;
    if (quoted === undefined) return INVALID;
    const inverse = invertTuple(tupleOf(quoted));
    const found = inverse === undefined ? undefined : this.find(inverse);
    if (found === undefined) return INVALID;
    const { connection, direction } = found;
    const tuple = direction === 'ORIGINAL' ? connection.original : connection.reply;
    if (tuple.daddr !== packet.daddr) return INVALID;
    return { kind: 'flow', connection, direction, state: 'RELATED' };
  }

  /** A packet whose state is asserted: a flow as that state needs it, made up without any translation. */
  asserted(packet: Packet, state: ConntrackState, settings: ConntrackSettings): Tracked {
    if (state === 'INVALID' || state === 'UNTRACKED') return { kind: 'none', state };
    const tuple = tupleOf(packet);
    const reply = invertTuple(tuple);
    const connection = newConnection(tuple, reply ?? tuple);
    if (state === 'NEW') {
      const opened = packet.protocol === TCP ? openTcp(packet, settings.tcpLoose) : undefined;
      if (opened !== undefined) connection.tcp = opened;
      return { kind: 'flow', connection, direction: 'ORIGINAL', state };
    }
    // Its answers belong to the same flow; an icmp error has none.
    if (reply !== undefined) this.confirm({ kind: 'flow', connection, direction: 'ORIGINAL', state });
    Object.assign(connection, { confirmed: true, seenReply: true, sourceNatDone: true, destinationNatDone: true });
    return { kind: 'flow', connection, direction: 'ORIGINAL', state };
  }
}

const stringifyBigint = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? `${value}n` : value);

export const newConnection = (original: Tuple, reply: Tuple): Connection => ({
  original,
  reply,
  confirmed: false,
  seenReply: false,
  assured: false,
  sourceNat: false,
  destinationNat: false,
  sourceNatDone: false,
  destinationNatDone: false,
  mark: 0,
  fresh: [],
});

const NO_NEXT_HEADER = 59;

/** The protocols whose checksum conntrack verifies (nf_conntrack_checksum). */
const verifiesChecksum = (protocol: number): boolean =>
  protocol === TCP ||
  protocol === 17 ||
  protocol === 136 ||
  protocol === ICMP ||
  protocol === ICMPV6 ||
  protocol === 132;

/**
 * Messages of multicast listeners, of neighbour discovery and of multicast router discovery, but for its termination, are never tracked
 * (nf_conntrack_proto_icmpv6.c: noct_valid_new; all 256 types were asked on 6.18).
 */
const isNeverTracked = (type: number): boolean =>
  (type >= 130 && type <= 136) || type === 143 || type === 151 || type === 152;

/** The tuple of a flow in one direction. */
export const tupleIn = (connection: Connection, direction: Direction): Tuple =>
  direction === 'ORIGINAL' ? connection.original : connection.reply;

/** True when the packet is as its flow's tuple says: nothing has been rewritten yet. */
export const isAsTupled = (packet: Packet, tuple: Tuple): boolean => tuplesEqual(tupleOf(packet), tuple);
