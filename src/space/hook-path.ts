/** What happens to all packets of a cell at one hook: the tables there, connection tracking, and translation, in the kernel's order (netfilter/hooks.ts). */
import { GRE, ICMP, ICMPV6 } from '../packet/packet.ts';
import { STAGES, type Stage } from '../netfilter/hooks.ts';
import { tracksPorts, type Direction } from '../netfilter/tuple.ts';
import type { HookName, TableName } from '../ruleset/rule.ts';
import type { LevelValue } from './binding.ts';
import type { Cell, Flow, Header } from './cell.ts';
import { NO, YES, type Node } from './diagram.ts';
import type { HostSpace } from './ground.ts';
import { tupleLevels, type TupleKind } from './header-levels.ts';
import type { LostEnd } from './host-path.ts';
import { NOT_SEEN, stateNumber, type Field, type Layout } from './layout.ts';
import { IDENTITY, type Affine, type Outcome, type TtlStep } from './outcome.ts';
import { IN_THE_WAY, unfollowed, type TrackingPath } from './tracking-path.ts';
import { Translation } from './translation.ts';
import { isValue, shifted, valueKey, whereIn, type Value } from './value.ts';

export interface Devices {
  readonly iif?: string;
  readonly oif?: string;
}

const PASSED: Outcome = { kind: 'accepted', rewritten: {}, logged: [] };

const PACKET_TYPES = ['unicast', 'broadcast', 'multicast'] as const;
const TUPLE_PORTS: readonly Field[] = ['origSport', 'origDport', 'replySport', 'replyDport'];
/** struct pptp_gre_header without its optional fields. */
const GRE_HEADER = 8;

const loggedAt = (cell: Cell, hook: HookName, entries: readonly string[]): Cell =>
  entries.length === 0
    ? cell
    : { ...cell, logged: [...(cell.logged ?? []), ...entries.map((entry) => `${hook} ${entry}`)] };

export class HookPath {
  readonly #space: HostSpace;
  readonly #layout: Layout;
  readonly #tracking: TrackingPath;
  readonly #lose: (end: LostEnd) => void;

  constructor(space: HostSpace, tracking: TrackingPath, lose: (end: LostEnd) => void) {
    this.#space = space;
    this.#tracking = tracking;
    this.#layout = space.ground.layout;
    this.#lose = lose;
  }

  /** The cells that the hook lets go on; what it stops goes to `lost` as well, where that is given. */
  pass(cell: Cell, hook: HookName, { iif, oif }: Devices, lost?: Cell[]): readonly Cell[] {
    let cells: readonly Cell[] = [{ ...cell, iif, oif }];
    const stop = (end: LostEnd): void => {
      lost?.push(end.cell);
      this.#lose(end);
    };
    for (const stage of STAGES[hook]) {
      const [only] = cells;
      cells =
        cells.length === 1 && only !== undefined
          ? this.#stage(only, hook, stage, stop)
          : cells.flatMap((own) => this.#stage(own, hook, stage, stop));
    }
    return cells;
  }

  #stage(cell: Cell, hook: HookName, stage: Stage, stop: (end: LostEnd) => void): readonly Cell[] {
    switch (stage) {
      case 'defragment':
        return [cell];
      case 'conntrack':
        return this.#tracking.track(cell, hook, stop);
      case 'nat':
        return this.#nat(cell, hook, stop);
      case 'confirm':
        return [this.#tracking.confirm(cell)];
      default: {
        const on = this.#table(cell, stage, hook, stop).map((one) => one.cell);
        return stage === 'mangle' && hook === 'OUTPUT' ? on.flatMap((own) => this.#mangled(cell, own, stop)) : on;
      }
    }
  }

  // --- tables --------------------------------------------------------------------------------------------------------------------------

  /** What a table lets go on, and what it says of it. */
  #table(
    cell: Cell,
    table: TableName,
    hook: HookName,
    stop: (end: LostEnd) => void,
  ): readonly { readonly cell: Cell; readonly outcome: Outcome }[] {
    const { ground, host } = this.#space;
    ground.onMeeting?.({ host, table, hook, cell });
    if (!this.#space.has(table)) return [{ cell, outcome: PASSED }];
    const { key, values } = this.#constants(cell);
    const f = this.#space.table(table, hook, key, values);
    if (f === undefined || f === this.#space.ground.accepted) return [{ cell, outcome: PASSED }];
    return this.#pieces(cell, f).flatMap(({ cell: piece, to }) => {
      const outcome = this.#space.ground.outcomes.of(to);
      const own = loggedAt(piece, hook, outcome?.logged ?? []);
      if (outcome?.kind === 'accepted') return this.#rewritten(own, outcome).map((on) => ({ cell: on, outcome }));
      stop({
        kind: outcome?.kind === 'rejected' ? 'rejected' : outcome?.kind === 'dropped' ? 'dropped' : 'undecided',
        cell: own,
        ...(outcome?.reason === undefined ? {} : { reason: outcome.reason }),
        ...(outcome?.with === undefined ? {} : { with: outcome.with }),
        ...(to === this.#space.ground.open ? { unfollowed: true as const } : {}),
      });
      return [];
    });
  }

  /**
   * The packets of a cell, as they were sent, that are of these when they meet a table, or may be where the kernel chooses. `known`: what is left of these for cells of which as much is known.
   */
  meeting(cell: Cell, packets: Node, known: Map<string, Node>): Node {
    const { key, values } = this.#constants(cell);
    const own = known.get(key) ?? this.#space.ground.where(values(), packets);
    known.set(key, own);
    if (own === NO) return NO;
    return this.#layout.diagrams.orAll(
      this.#pieces(cell, own).flatMap((piece) => (piece.to === NO ? [] : [piece.cell.region])),
    );
  }

  /** Levels that have one value for all packets of a cell. */
  #constants(cell: Cell): { readonly key: string; readonly values: () => ReadonlyMap<number, number> } {
    const { tracked } = cell;
    const flow = tracked?.kind === 'flow' ? tracked.flow : undefined;
    const direction: Direction = tracked?.kind === 'flow' ? tracked.direction : 'ORIGINAL';
    const ctmark = flow?.mark ?? 0;
    const flags = [
      direction === 'REPLY',
      flow?.sourceNat === true,
      flow?.destinationNat === true,
      flow?.seenReply === true,
      flow?.assured === true,
      flow?.confirmed === true,
    ].map((flag) => (flag ? 1 : 0));
    const { iif = '', oif = '', physin = '', physout = '', framed, packetType, mark } = cell;
    // Devices that no rule tells apart are the same.
    const { devices } = this.#layout.alphabets;
    const names = [iif, oif, physin, physout].map((name) => devices.numberOf(name)).join(' ');
    const key = `${names} ${tracked?.state ?? ''} ${framed ? 1 : 0} ${packetType} ${flags.join('')} ${mark} ${ctmark}`;
    const values = (): ReadonlyMap<number, number> => {
      const made = new Map<number, number>();
      const set = (field: Field, value: number): void => {
        made.set(this.#layout.level(field), value);
      };
      set('iif', devices.numberOf(iif));
      set('oif', devices.numberOf(oif));
      set('physin', devices.numberOf(physin));
      set('physout', devices.numberOf(physout));
      set('ct', tracked === undefined ? NOT_SEEN : stateNumber(tracked.state));
      set('framed', framed ? 1 : 0);
      set('packetType', PACKET_TYPES.indexOf(packetType));
      set('part', 0);
      const names = ['reply', 'sourceNat', 'destinationNat', 'seenReply', 'assured', 'confirmed'] as const;
      for (const [index, name] of names.entries()) set(name, flags[index] ?? 0);
      for (let bit = 0; bit < 32; bit++) {
        made.set(this.#layout.bitLevel('mark', bit), (mark >>> bit) & 1);
        made.set(this.#layout.bitLevel('ctmark', bit), (ctmark >>> bit) & 1);
      }
      return made;
    };
    return { key, values: () => this.#space.ground.constants(key, values) };
  }

  /** The cell cut up by a function of packets as they are now. */
  #pieces(cell: Cell, f: Node): readonly { readonly cell: Cell; readonly to: Node }[] {
    if (f < 0) return [{ cell, to: f }];
    const { bindings } = this.#space.ground;
    const support = bindings.supportOf(f);
    const asks = (...fields: readonly Field[]): boolean =>
      fields.some((field) => support.includes(this.#layout.level(field)));
    const cells = asks('smac') ? this.#withSender(cell) : [cell];
    const byPorts = asks(...TUPLE_PORTS);
    const isTupleAsked = byPorts || (support.at(-1) ?? 0) >= this.#layout.level('origDaddr');
    return cells.flatMap((own) =>
      (byPorts ? this.#byTuple(own) : [{ cell: own, kind: 'ports' as const }]).flatMap(({ cell: part, kind }) => {
        const levels = new Map<number, LevelValue>(this.#space.ground.levelsOf(part.header));
        if (isTupleAsked && part.tracked?.kind === 'flow') tupleLevels(this.#layout, levels, part.tracked.flow, kind);
        const { macs } = this.#layout.alphabets;
        if (asks('smac'))
          levels.set(this.#layout.level('smac'), macs.numberOf(typeof part.smac === 'string' ? part.smac : ''));
        if (asks('dmac')) levels.set(this.#layout.level('dmac'), macs.numberOf(part.framed ? part.dmac : ''));
        return bindings.pieces(part.region, f, levels).map(({ region, to }) => ({ cell: { ...part, region }, to }));
      }),
    );
  }

  /** Cells whose packets all have the same source MAC, as far as anybody tells MACs apart. */
  #withSender(cell: Cell): readonly Cell[] {
    const { smac } = cell;
    if (typeof smac === 'string') return [cell];
    const { decisions } = this.#space;
    return decisions
      .ask(cell.region, { saddr: smac.saddr, daddr: cell.header.daddr }, decisions.neighbour(smac.dev, 'saddr'))
      .map(({ region, to }) => ({ ...cell, region, smac: to }));
  }

  #byTuple(cell: Cell): readonly { readonly cell: Cell; readonly kind: TupleKind }[] {
    const { diagrams } = this.#layout;
    const octets = Array.from({ length: 256 }, (_, value) => value);
    const of = (protocols: readonly number[]): Node => this.#layout.chooseValues('protocol', protocols, YES, NO);
    const [icmp, ports] = [of([ICMP, ICMPV6]), of(octets.filter(tracksPorts))];
    const kinds: readonly (readonly [TupleKind, Node])[] = [
      ['icmp', icmp],
      ['ports', ports],
      ['none', diagrams.not(diagrams.or(icmp, ports))],
    ];
    return kinds.flatMap(([kind, set]) => {
      const region = diagrams.and(cell.region, set);
      return region === NO ? [] : [{ cell: { ...cell, region }, kind }];
    });
  }

  /** Marks, ttl and tracking as a table has left them. */
  #rewritten(cell: Cell, { rewritten }: Outcome): readonly Cell[] {
    const { mark, ctmark, ttl, untracked } = rewritten;
    if (mark === undefined && ctmark === undefined && ttl === undefined && untracked === undefined) return [cell];
    const flow = cell.tracked?.kind === 'flow' ? cell.tracked : undefined;
    const [own, other] = [cell.mark, flow?.flow.mark ?? 0];
    const after = (affine: Affine, mine: number, theirs: number): number =>
      ((mine & affine.own) ^ (theirs & affine.other) ^ affine.xor) >>> 0;
    const marked: Cell = {
      ...cell,
      mark: after(mark ?? IDENTITY, own, other),
      ...(flow === undefined
        ? {}
        : { tracked: { ...flow, flow: { ...flow.flow, mark: after(ctmark ?? IDENTITY, other, own) } } }),
      ...(untracked === true && (cell.tracked === undefined || cell.tracked.state === 'INVALID')
        ? { tracked: { kind: 'none', state: 'UNTRACKED' } as const }
        : {}),
    };
    return (ttl ?? []).reduce<readonly Cell[]>(
      (cells, step) => cells.flatMap((one) => this.#withTtl(one, step)),
      [marked],
    );
  }

  #withTtl(cell: Cell, { operation, value }: TtlStep): readonly Cell[] {
    const { ttl } = cell.header;
    const { diagrams } = this.#layout;
    const put = (region: Node, now: Value): Cell[] =>
      region === NO ? [] : [{ ...cell, region, header: { ...cell.header, ttl: now } }];
    if (operation === 'set') return put(cell.region, isValue(value));
    const by = operation === 'inc' ? value : -value;
    if (ttl.kind === 'is') return put(cell.region, isValue(Math.min(255, Math.max(0, Number(ttl.value) + by))));
    const [limit, beyond] =
      by > 0 ? [255, { from: Math.max(0, 256 - by), to: 255 }] : [0, { from: 0, to: Math.min(255, -by) }];
    const clamped = by === 0 ? NO : whereIn(this.#layout, ttl, [beyond]);
    return [
      ...put(diagrams.and(cell.region, clamped), isValue(limit)),
      ...put(diagrams.less(cell.region, clamped), shifted(ttl, [by])),
    ];
  }

  // --- translation ---------------------------------------------------------------------------------------------------------------------

  #nat(cell: Cell, hook: HookName, stop: (end: LostEnd) => void): readonly Cell[] {
    const { tracked } = cell;
    if (tracked?.kind !== 'flow' || !this.#space.translates) return [cell];
    const isSource = hook === 'POSTROUTING' || hook === 'INPUT';
    const isDone = isSource ? tracked.flow.sourceDone : tracked.flow.destinationDone;
    const asks = tracked.state === 'NEW' && !isDone;
    const bound = asks ? this.#bind(cell, hook, isSource, stop) : [cell];
    return bound
      .flatMap((own) => this.#translate(own, isSource, stop))
      .flatMap((own) =>
        hook === 'OUTPUT' && own.header.daddr !== cell.header.daddr ? this.#rerouted(own, stop) : [own],
      );
  }

  /** The rules are asked once for each end of a flow. */
  #bind(given: Cell, hook: HookName, isSource: boolean, stop: (end: LostEnd) => void): readonly Cell[] {
    const { joining } = this.#space.ground;
    const cell = joining?.settled(given) ?? given;
    const { tracked } = cell;
    if (tracked?.kind !== 'flow') return [cell];
    const done = isSource ? { sourceDone: true } : { destinationDone: true };
    const as = (own: Cell, more: Partial<Flow>): Cell => ({
      ...own,
      tracked: {
        ...tracked,
        flow: { ...(own.tracked?.kind === 'flow' ? own.tracked.flow : tracked.flow), ...done, ...more },
      },
    });
    const bound = this.#table(cell, 'nat', hook, stop).flatMap(({ cell: own, outcome }) => {
      // A flow that exists stays as it is, but its packet has met the rules.
      if (tracked.flow.confirmed) return [own];
      const target = this.#space.ground.targets.get(outcome.rewritten.translation ?? '');
      if (target === undefined) return [as(own, {})];
      return new Translation(this.#space, hook).of(target, own, tracked.flow.translated).flatMap((piece) => {
        const part: Cell = { ...own, region: piece.region };
        if (piece.kind === 'unclear') {
          stop(unfollowed(part, piece.because));
          return [];
        }
        if (piece.kind === 'impossible') {
          stop({ kind: 'dropped', cell: part });
          return [];
        }
        const changed = piece.changed ? (isSource ? { sourceNat: true } : { destinationNat: true }) : {};
        const mapped = as(part, { translated: piece.ends, ...changed });
        if (this.#tracking.isTaken(mapped, piece.ends)) {
          stop(unfollowed(mapped, IN_THE_WAY));
          return [];
        }
        return [mapped];
      });
    });
    return joining === undefined ? bound : joining.ofTranslated(bound, isSource ? 'saddr' : 'daddr');
  }

  /** nf_nat_packet: every packet of the flow is rewritten as was decided. */
  #translate(cell: Cell, isSource: boolean, stop: (end: LostEnd) => void): readonly Cell[] {
    const { tracked, header } = cell;
    if (tracked?.kind !== 'flow') return [cell];
    const { flow, direction } = tracked;
    const isOriginal = direction === 'ORIGINAL';
    if (!(isSource === isOriginal ? flow.sourceNat : flow.destinationNat)) return [cell];
    const { original, translated } = flow;
    const icmp = cell.answers === 'icmp';
    const ends: Partial<Header> = isOriginal
      ? isSource
        ? { saddr: translated.saddr, sport: translated.sport }
        : { daddr: translated.daddr, dport: translated.dport, ...(flow.sourceDone ? {} : { sport: translated.sport }) }
      : isSource
        ? { saddr: original.daddr, sport: icmp ? original.sport : original.dport }
        : { daddr: original.saddr, ...(icmp ? { sport: original.sport } : { dport: original.sport }) };
    return this.#rewritable(cell, stop).map((own) => ({ ...own, header: { ...header, ...ends } }));
  }

  /** gre_manip_pkt: a GRE packet without its header cannot be rewritten. */
  #rewritable(cell: Cell, stop: (end: LostEnd) => void): readonly Cell[] {
    const { diagrams, family } = this.#layout;
    const gre = this.#layout.chooseValues('protocol', [GRE], YES, NO);
    const headless = [{ from: 0, to: (family === 4 ? 20 : 40) + GRE_HEADER - 1 }];
    const broken = diagrams.and(gre, whereIn(this.#layout, cell.header.length, headless));
    const short = this.#space.ground.bindings.within(cell.region, broken);
    if (short === NO) return [cell];
    stop({
      kind: 'dropped',
      cell: { ...cell, region: short },
      reason: 'the kernel cannot rewrite it: no whole header',
    });
    const region = diagrams.less(cell.region, short);
    return region === NO ? [] : [{ ...cell, region }];
  }

  /** IPv6 routes at once what has another mark or hop limit than before. */
  #mangled(before: Cell, cell: Cell, stop: (end: LostEnd) => void): readonly Cell[] {
    const { diagrams, family } = this.#layout;
    if (family === 4) return [cell];
    const unchanged = cell.mark === before.mark ? diagrams.and(cell.region, sameTtl(this.#layout, before, cell)) : NO;
    const changed = diagrams.less(cell.region, unchanged);
    return [
      ...(unchanged === NO ? [] : [{ ...cell, region: unchanged }]),
      ...(changed === NO ? [] : this.#rerouted({ ...cell, region: changed }, stop)),
    ];
  }

  /** A new destination needs a new route, at once (nf_nat_ipv4_local_fn). */
  #rerouted(cell: Cell, stop: (end: LostEnd) => void): readonly Cell[] {
    const { decisions } = this.#space;
    return decisions.ask(cell.region, cell.header, decisions.reroute(cell.oif)).flatMap(({ region, to }) => {
      const own = { ...cell, region };
      if (to.kind !== 'refused') return [own];
      stop({ kind: 'dropped', cell: own, reason: to.reason });
      return [];
    });
  }
}

/** Where the ttl is what it was. */
function sameTtl(layout: Layout, { header: { ttl: before } }: Cell, { header: { ttl: now } }: Cell): Node {
  if (valueKey(before) === valueKey(now)) return YES;
  return now.kind === 'is' ? whereIn(layout, before, [{ from: now.value, to: now.value }]) : NO;
}
