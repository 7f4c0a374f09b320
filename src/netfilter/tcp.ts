/**
 * What connection tracking makes of a TCP segment: the state table and the window check.
 *
 * Source: net/netfilter/nf_conntrack_proto_tcp.c (tcp_conntracks, tcp_new, nf_conntrack_tcp_packet, tcp_in_window), as of 6.18. Not modelled:
 * SACK and window scale options (the notation has none), time-outs, the simultaneous-open corner of SYN proxies.
 */
import { ACK, CWR, ECE, FIN, PSH, RST, SYN, URG, type Packet } from '../packet/packet.ts';
import type { Direction } from './tuple.ts';

/** The receive window that every segment of the model announces, unscaled. */
export const TCP_WINDOW = 65535;

/** The states in the kernel's order, and the two words of the table that are no states. */
const STATES = ['NONE', 'SS', 'SR', 'ES', 'FW', 'CW', 'LA', 'TW', 'CL', 'S2'] as const;
export type TcpState = (typeof STATES)[number];
type Next = TcpState | 'IG' | 'IV';

/** Which row of the table a segment's flags select (get_conntrack_index). */
type Segment = 'SYN' | 'SYNACK' | 'FIN' | 'ACK' | 'RST' | 'NONE';

function segmentOf(flags: number): Segment {
  if (flags & RST) return 'RST';
  if (flags & SYN) return flags & ACK ? 'SYNACK' : 'SYN';
  if (flags & FIN) return 'FIN';
  return flags & ACK ? 'ACK' : 'NONE';
}

const row = (text: string): readonly Next[] => text.trim().split(/\s+/) as Next[];

/** tcp_conntracks: a column for each state in the order of STATES. */
const TRANSITIONS: Readonly<Record<Direction, Readonly<Record<Segment, readonly Next[]>>>> = {
  //                NONE SS SR ES FW CW LA TW CL S2
  ORIGINAL: {
    SYN: row('       SS  SS IG IG IG IG IG SS SS S2'),
    SYNACK: row('    IV  IV SR IV IV IV IV IV IV SR'),
    FIN: row('       IV  IV FW FW LA LA LA TW CL IV'),
    ACK: row('       ES  IV ES ES CW CW TW TW CL IV'),
    RST: row('       IV  CL CL CL CL CL CL CL CL CL'),
    NONE: row('      IV  IV IV IV IV IV IV IV IV IV'),
  },
  REPLY: {
    SYN: row('       IV  S2 IV IV IV IV IV SS IV S2'),
    SYNACK: row('    IV  SR IG IG IG IG IG IG IG SR'),
    FIN: row('       IV  IV FW FW LA LA LA TW CL IV'),
    ACK: row('       IV  IG SR ES CW CW TW TW CL IG'),
    RST: row('       IV  CL CL CL CL CL CL CL CL CL'),
    NONE: row('      IV  IV IV IV IV IV IV IV IV IV'),
  },
};

/** tcp_valid_flags: combinations (without PSH, ECE, CWR) that no sane sender makes are INVALID at once. */
const VALID_FLAGS: ReadonlySet<number> = new Set([
  SYN,
  SYN | URG,
  SYN | ACK,
  RST,
  RST | ACK,
  FIN | ACK,
  FIN | ACK | URG,
  ACK,
  ACK | URG,
]);

export const flagsAreValid = (flags: number): boolean => VALID_FLAGS.has(flags & ~(PSH | ECE | CWR) & 255);

/** One direction's window (ip_ct_tcp_state). */
interface Side {
  readonly end: number;
  readonly maxEnd: number;
  readonly maxWindow: number;
  readonly maxAck?: number;
  readonly liberal: boolean;
  readonly closeInit: boolean;
}

/** What conntrack remembers of a TCP flow. Immutable: each segment makes the next one. */
export interface TcpTracking {
  readonly state: TcpState;
  readonly sides: Readonly<Record<Direction, Side>>;
  readonly lastSegment: Segment;
  readonly lastDirection: Direction;
  /** Where the last segment ended that was ignored, or that acknowledged something in its window. */
  readonly lastEnd: number;
  readonly simultaneousOpen: boolean;
  /** A SYN has been let through that a closing side may answer with a challenge ACK (RFC 5961). */
  readonly expectsChallenge: boolean;
  readonly challengeAck?: number;
}

const u32 = (value: number): number => value >>> 0;
/** Sequence numbers wrap: a is before b when the signed difference is negative. */
const before = (a: number, b: number): boolean => ((a - b) | 0) < 0;
const after = (a: number, b: number): boolean => before(b, a);

const endOf = (packet: Packet): number =>
  u32(packet.seq + packet.payload + (packet.flags & SYN ? 1 : 0) + (packet.flags & FIN ? 1 : 0));

/** tcp_new: a flow seen for the first time; undefined where such a segment cannot open one. `loose` is nf_conntrack_tcp_loose. */
export function openTcp(packet: Packet, loose: boolean): TcpTracking | undefined {
  const state = TRANSITIONS.ORIGINAL[segmentOf(packet.flags)][0] ?? 'IV';
  if (state === 'IV' || state === 'IG') return undefined;
  if (state !== 'SS' && !loose) return undefined;
  const end = endOf(packet);
  const liberal = state !== 'SS';
  const original: Side = {
    end,
    maxEnd: liberal ? u32(end + TCP_WINDOW) : end,
    maxWindow: TCP_WINDOW,
    liberal,
    closeInit: false,
  };
  return {
    state: 'NONE',
    sides: { ORIGINAL: original, REPLY: { end: 0, maxEnd: 0, maxWindow: 0, liberal, closeInit: false } },
    lastSegment: 'NONE',
    lastDirection: 'ORIGINAL',
    lastEnd: 0,
    simultaneousOpen: false,
    expectsChallenge: false,
  };
}

/** What a segment does to its flow: accepted (with what is remembered), INVALID, or the flow is dead and the segment starts another. */
export type TcpVerdict =
  | { readonly kind: 'accept'; readonly tracking: TcpTracking; readonly assured?: boolean; readonly destroy?: boolean }
  | { readonly kind: 'invalid'; readonly tracking: TcpTracking }
  | { readonly kind: 'reopen' };

/** Whether the flow has seen a reply, and whether it is assured: the two status bits that the decision reads. */
export interface FlowStatus {
  readonly seenReply: boolean;
  readonly assured: boolean;
  readonly beLiberal: boolean;
}

const CLOSING: readonly TcpState[] = ['FW', 'CW', 'LA', 'TW', 'CL'];

export function trackTcp(tracking: TcpTracking, packet: Packet, direction: Direction, status: FlowStatus): TcpVerdict {
  const segment = segmentOf(packet.flags);
  let next: Next = TRANSITIONS[direction][segment][STATES.indexOf(tracking.state)] ?? 'IV';
  let old = tracking.state;
  let seen = tracking;
  const peer: Direction = direction === 'ORIGINAL' ? 'REPLY' : 'ORIGINAL';
  const { lastSegment } = tracking;
  const hasTurned = tracking.lastDirection !== direction;

  if (next === 'SS' && (old === 'TW' || old === 'CL')) {
    const closed =
      tracking.sides.ORIGINAL.closeInit || tracking.sides.REPLY.closeInit || (!hasTurned && lastSegment === 'RST');
    if (closed) return { kind: 'reopen' };
    next = 'IG';
  }
  if (next === 'IG') {
    const answersIgnoredSyn =
      segment === 'SYNACK' && lastSegment === 'SYN' && hasTurned && packet.ack === tracking.lastEnd;
    if (!answersIgnoredSyn) return { kind: 'accept', tracking: ignored(tracking, packet, direction) };
    // The ignored SYN was a real one: take its numbers and go on as if it had opened the flow.
    const end = tracking.lastEnd;
    const opened = { end, maxEnd: end, maxWindow: TCP_WINDOW, liberal: false, closeInit: false };
    const unknown = { end: 0, maxEnd: 0, maxWindow: 0, liberal: seen.sides[direction].liberal, closeInit: false };
    seen = {
      ...tracking,
      expectsChallenge: false,
      sides: withSide(withSide(tracking.sides, peer, opened), direction, unknown),
    };
    old = 'SS';
    next = 'SR';
  }
  if (next === 'IV') return { kind: 'invalid', tracking };
  if (next === 'TW' && old === 'LA' && segment === 'ACK' && hasTurned && lastSegment === 'SYN' && seen.expectsChallenge)
    return { kind: 'accept', tracking: { ...seen, expectsChallenge: false } };
  if (next === 'S2') seen = { ...seen, simultaneousOpen: true };
  if (next === 'SR' && direction === 'REPLY' && segment === 'ACK' && seen.simultaneousOpen) next = 'ES';

  // A flow that is closing may have been forgotten by either side: its numbers say nothing (tcp_can_early_drop).
  let inWindow = segment === 'RST' && CLOSING.includes(old);
  if (segment === 'RST' && next === 'CL' && !inWindow) {
    const { maxAck } = seen.sides[peer];
    // A SYN that was let through has made the numbers old.
    if (maxAck !== undefined && lastSegment !== 'SYN') {
      const established = old === 'ES' && status.assured;
      // A reset with no number at all is most likely the answer to such a SYN.
      const hasNoNumber = packet.seq === 0 && !established;
      if (!hasNoNumber && before(packet.seq, maxAck)) return { kind: 'invalid', tracking: seen };
      const followsData = lastSegment === 'ACK' && !hasTurned && packet.seq === tracking.lastEnd;
      // Not exactly what its receiver awaits: he may answer with a challenge.
      if (established && packet.seq !== maxAck && !followsData) next = old;
    } else {
      const answersChallenge =
        old === 'SS' &&
        lastSegment === 'ACK' &&
        tracking.lastDirection === 'REPLY' &&
        packet.seq === tracking.challengeAck;
      const answersLetThrough =
        ((status.seenReply && lastSegment === 'SYN' && hasTurned) || (!status.assured && lastSegment === 'ACK')) &&
        packet.ack === tracking.lastEnd;
      inWindow = answersChallenge || answersLetThrough;
    }
  }

  if (!inWindow) {
    const window = checkWindow(seen, packet, direction, status.beLiberal);
    // What it said of its sender is taken note of all the same.
    seen = { ...seen, sides: window.sides };
    if (window.kind === 'ignore') return { kind: 'accept', tracking: seen };
    if (window.kind === 'invalid') return { kind: 'invalid', tracking: refusedIn(seen, segment, direction, status) };
    if (window.kind === 'accept' && segment === 'ACK') seen = { ...seen, lastEnd: endOf(packet) };
  }
  if (old !== next && next === 'FW')
    seen = { ...seen, sides: withSide(seen.sides, direction, { ...seen.sides[direction], closeInit: true }) };
  const tracked: TcpTracking = { ...seen, lastSegment: segment, lastDirection: direction, state: next };
  if (!status.seenReply) {
    // A reset instead of an answer: there never was a connection.
    return { kind: 'accept', tracking: tracked, destroy: segment === 'RST' };
  }
  const assured = next === 'ES' && (old === 'SR' || old === 'ES');
  return { kind: 'accept', tracking: tracked, assured };
}

/** A segment that is let through without its meaning anything: it may show what the two sides really are about. */
function ignored(tracking: TcpTracking, packet: Packet, direction: Direction): TcpTracking {
  const segment = segmentOf(packet.flags);
  const forgetful =
    segment === 'SYN' && direction === 'ORIGINAL'
      ? { simultaneousOpen: false, expectsChallenge: tracking.state === 'LA' }
      : {};
  // What may be the server's challenge ACK (RFC 5961) to a SYN: its client will answer with a reset that conntrack is to understand.
  const challenge =
    tracking.state === 'SS' && segment === 'ACK' && direction === 'REPLY' ? { challengeAck: packet.ack } : {};
  return {
    ...tracking,
    ...forgetful,
    ...challenge,
    lastSegment: segment,
    lastDirection: direction,
    lastEnd: endOf(packet),
  };
}

/** nf_tcp_handle_invalid: a FIN or reset out of its window is remembered, unless it answers another. */
function refusedIn(
  tracking: TcpTracking,
  segment: Segment,
  direction: Direction,
  { assured }: FlowStatus,
): TcpTracking {
  const { lastSegment, lastDirection } = tracking;
  const ends = (one: Segment): boolean => one === 'FIN' || one === 'RST';
  if (!assured || !ends(segment) || (lastDirection !== direction && ends(lastSegment))) return tracking;
  return { ...tracking, lastSegment: segment, lastDirection: direction };
}

/** nf_conntrack_tcp_set_closing: the host itself has sent a reset into the flow. */
export const closeTcp = (tracking: TcpTracking): TcpTracking => ({ ...tracking, state: 'CL' });

const withSide = (sides: TcpTracking['sides'], direction: Direction, side: Side): TcpTracking['sides'] =>
  direction === 'ORIGINAL' ? { ...sides, ORIGINAL: side } : { ...sides, REPLY: side };

const MAX_ACK_WINDOW = 66000;

type WindowVerdict = {
  readonly kind: 'accept' | 'let through' | 'ignore' | 'invalid';
  readonly sides: TcpTracking['sides'];
};

/**
 * tcp_init_sender: a SYN begins a side. Whether that is liberal, is closing, and what it has acknowledged stays: tcp_options forgets the flags only
 * where the SYN has options.
 */
const begun = (side: Side, end: number): Side => ({ ...side, end, maxEnd: end, maxWindow: TCP_WINDOW });

/** tcp_in_window, without SACK and scaling. */
function checkWindow(tracking: TcpTracking, packet: Packet, direction: Direction, beLiberal: boolean): WindowVerdict {
  const peer: Direction = direction === 'ORIGINAL' ? 'REPLY' : 'ORIGINAL';
  let sender = tracking.sides[direction];
  let receiver = tracking.sides[peer];
  let { seq, ack } = packet;
  let end = endOf(packet);
  const window = TCP_WINDOW;
  const syn = (packet.flags & SYN) !== 0;
  const hasAck = (packet.flags & ACK) !== 0;
  const sides = (): TcpTracking['sides'] => withSide(withSide(tracking.sides, direction, sender), peer, receiver);
  // Out of bounds, or before there are any.
  const letThrough = (): WindowVerdict => ({ kind: 'let through', sides: sides() });

  if (sender.maxWindow === 0) {
    if (syn) {
      sender = begun(sender, end);
      if (!hasAck) return letThrough();
    } else {
      sender = { ...sender, end, maxWindow: window, maxEnd: u32(end + window) };
      if (receiver.maxWindow === 0) receiver = { ...receiver, end: ack, maxEnd: ack };
      else if (ack === u32(receiver.end + 1)) receiver = { ...receiver, end: u32(receiver.end + 1) };
    }
  } else if (syn && after(end, sender.end) && (tracking.state === 'SS' || tracking.state === 'SR')) {
    sender = begun(sender, end);
    if (direction === 'REPLY' && !hasAck) return letThrough();
  }

  if (!hasAck || ((packet.flags & RST) !== 0 && ack === 0)) ack = receiver.end;
  if ((packet.flags & RST) !== 0 && seq === 0 && tracking.state === 'SS') seq = end = sender.end;

  const liberal = beLiberal || sender.liberal;
  const maxAckWindow = Math.max(sender.maxWindow, MAX_ACK_WINDOW);
  const notTooOld = (): boolean => after(ack, u32(receiver.end - maxAckWindow - 1));

  if (!before(seq, u32(sender.maxEnd + 1))) {
    const overshot = u32(end - sender.maxEnd + 1);
    const inReceiveWindow = receiver.maxWindow !== 0 && after(end, u32(sender.end - receiver.maxWindow - 1));
    const isNear =
      inReceiveWindow && notTooOld() && overshot <= receiver.maxWindow && before(ack, u32(receiver.end + 1));
    // More than the receiver's window allows: let through, and its end noted, or the answer to it would be out of bounds.
    if (isNear) sender = { ...sender, end };
    return liberal ? letThrough() : { kind: isNear ? 'ignore' : 'invalid', sides: sides() };
  }
  if (!before(ack, u32(receiver.end + 1))) return liberal ? letThrough() : { kind: 'invalid', sides: sides() };
  const inReceiveWindow = receiver.maxWindow === 0 || after(end, u32(sender.end - receiver.maxWindow - 1));
  if (!inReceiveWindow || !notTooOld()) return liberal ? letThrough() : { kind: 'ignore', sides: sides() };

  sender = {
    ...sender,
    maxWindow: Math.max(sender.maxWindow, window),
    end: after(end, sender.end) ? end : sender.end,
    ...(hasAck && (sender.maxAck === undefined || after(ack, sender.maxAck)) ? { maxAck: ack } : {}),
  };
  if (receiver.maxWindow !== 0 && after(end, sender.maxEnd))
    receiver = { ...receiver, maxWindow: receiver.maxWindow + u32(end - sender.maxEnd) };
  if (after(u32(ack + window), u32(receiver.maxEnd - 1))) receiver = { ...receiver, maxEnd: u32(ack + window) };
  return { kind: 'accept', sides: sides() };
}
