/** What happens to all packets of a cell at one hook: the tables there, connection tracking, and translation, in the kernel's order (netfilter/hooks.ts). */
import { GRE, ICMP, ICMPV6, type ConntrackState } from '../packet/packet.ts';
import { STAGES, type Stage } from '../netfilter/hooks.ts';
import { tracksPorts, type Direction } from '../netfilter/tuple.ts';
import type { HookName, TableName } from '../ruleset/rule.ts';
import type { LevelValue } from './binding.ts';
import { endsOf, type Cell, type Ends, type Flow, type Header, type Tracking } from './cell.ts';
import { NO, YES, type Node } from './diagram.ts';
import { equalValues } from './equality.ts';
import type { HostSpace } from './ground.ts';
import { headerLevels, tupleLevels, type Levels, type TupleKind } from './header-levels.ts';
import type { LostEnd } from './host-path.ts';
import { NOT_SEEN, stateNumber, type Field, type Layout } from './layout.ts';
import { IDENTITY, type Affine, type Outcome, type TtlStep } from './outcome.ts';
import { Translation } from './translation.ts';
import { isValue, shifted, whereIn, type Value } from './value.ts';

export interface Devices {
  readonly iif?: string;
  readonly oif?: string;
}

const pairsOf = (one: Ends, other: Ends): readonly (readonly [Value, Value])[] => [
  [one.saddr, other.saddr],
  [one.daddr, other.daddr],
  [one.sport, other.sport],
  [one.dport, other.dport],
];

const PASSED: Outcome = { kind: 'accepted', rewritten: {}, logged: [] };

const PACKET_TYPES = ['unicast', 'broadcast', 'multicast'] as const;
const TUPLE_PORTS: readonly Field[] = ['origSport', 'origDport', 'replySport', 'replyDport'];
const IN_THE_WAY =
  'a flow of the same packet on this host may have the same addresses and ports: sets do not follow that';
/** struct pptp_gre_header without its optional fields. */
const GRE_HEADER = 8;

export class HookPath {
  readonly #space: HostSpace;
  readonly #layout: Layout;
  readonly #lose: (end: LostEnd) => void;
  readonly #headers = new WeakMap<Header, Levels>();

  constructor(space: HostSpace, lose: (end: LostEnd) => void) {
    this.#space = space;
    this.#layout = space.ground.layout;
    this.#lose = lose;
  }

  /** A cell whose conntrack state is asserted; undefined: it is as conntrack finds it. */
  assert(cell: Cell, state: ConntrackState | undefined): Cell {
    if (state === undefined || !this.#space.conntrack) return cell;
    if (state === 'INVALID' || state === 'UNTRACKED')
      return { ...cell, asserted: true, tracked: { kind: 'none', state } };
    const flow = this.#flow(cell.header);
    if (state === 'NEW') return { ...cell, tracked: { kind: 'flow', state, direction: 'ORIGINAL', flow } };
    const done = { confirmed: true, seenReply: true, sourceDone: true, destinationDone: true };
    const known: Flow = { ...flow, ...done, asserted: true };
    return {
      ...cell,
      flows: [...cell.flows, known],
      tracked: { kind: 'flow', state, direction: 'ORIGINAL', flow: known },
    };
  }

  #flow(header: Header): Flow {
    const ends = endsOf(header);
    return {
      host: this.#space.host.name,
      original: ends,
      translated: ends,
      sourceNat: false,
      destinationNat: false,
      sourceDone: false,
      destinationDone: false,
      confirmed: false,
      seenReply: false,
      assured: false,
      mark: 0,
    };
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
        return this.#track(cell, hook, stop);
      case 'nat':
        return this.#nat(cell, hook, stop);
      case 'confirm':
        return [this.confirm(cell)];
      default:
        return this.#table(cell, stage, hook, stop).map(({ cell: on }) => on);
    }
  }

  // --- connection tracking -------------------------------------------------------------------------------------------------------------

  /** The flow exists once its first packet has made it through. */
  confirm(cell: Cell): Cell {
    const { tracked } = cell;
    if (tracked?.kind !== 'flow' || tracked.direction === 'REPLY' || tracked.flow.confirmed) return cell;
    const flow: Flow = { ...tracked.flow, confirmed: true };
    return { ...cell, tracked: { ...tracked, flow }, flows: [...cell.flows, flow] };
  }

  #track(cell: Cell, hook: HookName, stop: (end: LostEnd) => void): readonly Cell[] {
    // A packet that comes by a second time is asked about again where it was INVALID.
    const isKnown = cell.tracked !== undefined && (cell.tracked.state !== 'INVALID' || cell.asserted === true);
    if (!this.#space.conntrack || isKnown) return [cell];
    const { diagrams } = this.#layout;
    const cells: Cell[] = [];
    let rest = cell.region;
    for (const flow of cell.flows) {
      if (flow.host !== this.#space.host.name || rest === NO) continue;
      const answers = this.#answers(cell, rest, flow.translated);
      rest = diagrams.less(rest, answers);
      if (answers !== NO) cells.push(...this.#answer({ ...cell, region: answers }, flow, hook, stop));
      const known = equalValues(this.#layout, rest, pairsOf(cell.header, flow.original));
      rest = diagrams.less(rest, known);
      if (known !== NO) cells.push(...this.#again({ ...cell, region: known }, flow, hook, stop));
    }
    if (rest === NO) return cells;
    const states = this.#space.ground.openings.states(this.#space.settings, hook === 'PREROUTING');
    const levels = this.#levelsOf(cell.header);
    for (const { region, to } of this.#space.ground.bindings.pieces(rest, states, levels)) {
      const taken = cell.flows.filter(({ host }) => host === this.#space.host.name);
      if (taken.length > 0 && this.#isTaken({ ...cell, region }, endsOf(cell.header))) {
        stop({ kind: 'undecided', cell: { ...cell, region }, reason: IN_THE_WAY });
        continue;
      }
      const state = this.#space.ground.openings.stateOf(to);
      const tracked: Tracking =
        state === 'NEW'
          ? { kind: 'flow', state, direction: 'ORIGINAL', flow: this.#flow(cell.header) }
          : { kind: 'none', state: state === 'UNTRACKED' ? state : 'INVALID' };
      cells.push({ ...cell, region, tracked });
    }
    return cells;
  }

  /** The packet has been here before, and comes again as it came then. */
  #again(cell: Cell, flow: Flow, hook: HookName, stop: (end: LostEnd) => void): readonly Cell[] {
    const { openings, bindings } = this.#space.ground;
    if (flow.asserted === true)
      return [{ ...cell, tracked: { kind: 'flow', state: 'ESTABLISHED', direction: 'ORIGINAL', flow } }];
    const states = openings.again(this.#space.settings, hook === 'PREROUTING');
    return bindings.pieces(cell.region, states, this.#levelsOf(cell.header)).flatMap(({ region, to }): Cell[] => {
      const own: Cell = { ...cell, region };
      if (openings.stateOf(to) === 'NEW')
        return [{ ...own, tracked: { kind: 'flow', state: 'NEW', direction: 'ORIGINAL', flow } }];
      stop({ kind: 'undecided', cell: own, reason: 'it comes to the same host twice, and is then no first packet' });
      return [];
    });
  }

  /** A packet of a flow's other direction. */
  #answer(cell: Cell, flow: Flow, hook: HookName, stop: (end: LostEnd) => void): readonly Cell[] {
    const { openings, bindings } = this.#space.ground;
    const { settings } = this.#space;
    const as = (own: Cell, state: ConntrackState | undefined, assured: boolean): Cell[] => {
      if (state === 'INVALID' || state === 'UNTRACKED') return [{ ...own, tracked: { kind: 'none', state } }];
      const known: Flow = { ...flow, seenReply: true, assured };
      if (state === 'ESTABLISHED')
        return [{ ...own, tracked: { kind: 'flow', state, direction: 'REPLY', flow: known } }];
      stop({ kind: 'undecided', cell: own, reason: 'the answer opens a flow of its own' });
      return [];
    };
    if (flow.asserted === true) return as(cell, 'ESTABLISHED', false);
    if (cell.answers !== undefined) {
      const found = cell.opened === undefined ? undefined : openings.answer(cell.opened, settings);
      return cell.opened === undefined
        ? as(cell, 'ESTABLISHED', false)
        : as(cell, found?.state, found?.assured === true);
    }
    // What somebody sends to itself, and meets again.
    return bindings
      .pieces(cell.region, openings.turned(settings, hook === 'PREROUTING'), this.#levelsOf(cell.header))
      .flatMap(({ region, to }) => as({ ...cell, region }, openings.stateOf(to), false));
  }

  /** The packets of a region that are of a flow's other direction. */
  #answers(
    { header, answers }: { readonly header: Ends; readonly answers?: Cell['answers'] },
    region: Node,
    translated: Ends,
  ): Node {
    const { diagrams } = this.#layout;
    const addresses = [
      [header.saddr, translated.daddr],
      [header.daddr, translated.saddr],
    ] as const;
    const some = equalValues(this.#layout, region, addresses);
    if (some === NO) return NO;
    const icmp = this.#layout.chooseValues('protocol', [ICMP, ICMPV6], YES, NO);
    // The type of an answer to a message is as it has to be; what is no answer has another.
    const messages = answers === 'icmp' ? diagrams.and(some, icmp) : NO;
    const others = answers === 'icmp' ? NO : diagrams.less(some, icmp);
    return diagrams.or(
      equalValues(this.#layout, messages, [[header.sport, translated.sport]]),
      equalValues(this.#layout, others, [
        [header.sport, translated.dport],
        [header.dport, translated.sport],
      ]),
    );
  }

  // --- tables --------------------------------------------------------------------------------------------------------------------------

  /** What a table lets go on, and what it says of it. */
  #table(
    cell: Cell,
    table: TableName,
    hook: HookName,
    stop: (end: LostEnd) => void,
  ): readonly { readonly cell: Cell; readonly outcome: Outcome }[] {
    if (!this.#space.has(table)) return [{ cell, outcome: PASSED }];
    const { key, values } = this.#constants(cell);
    const f = this.#space.table(table, hook, key, values);
    if (f === undefined || f === this.#space.ground.accepted) return [{ cell, outcome: PASSED }];
    return this.#pieces(cell, f).flatMap(({ cell: own, to }) => {
      const outcome = this.#space.ground.outcomes.of(to);
      if (outcome?.kind === 'accepted') return this.#rewritten(own, outcome).map((on) => ({ cell: on, outcome }));
      stop({
        kind: outcome?.kind === 'rejected' ? 'rejected' : outcome?.kind === 'dropped' ? 'dropped' : 'undecided',
        cell: own,
        ...(outcome?.reason === undefined ? {} : { reason: outcome.reason }),
      });
      return [];
    });
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
    const key = `${iif} ${oif} ${physin} ${physout} ${tracked?.state ?? ''} ${framed ? 1 : 0} ${packetType} ${flags.join('')} ${mark} ${ctmark}`;
    const values = (): ReadonlyMap<number, number> => {
      const { devices } = this.#layout.alphabets;
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
    return { key, values };
  }

  #levelsOf(header: Header): Levels {
    const known = this.#headers.get(header) ?? headerLevels(this.#layout, header);
    this.#headers.set(header, known);
    return known;
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
        const levels = new Map<number, LevelValue>(this.#levelsOf(part.header));
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
      ...(untracked === true && cell.tracked === undefined
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
      .flatMap((own) => this.#rerouted(cell, own, hook, stop));
  }

  /** The rules are asked once for each end of a flow. */
  #bind(cell: Cell, hook: HookName, isSource: boolean, stop: (end: LostEnd) => void): readonly Cell[] {
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
    return this.#table(cell, 'nat', hook, stop).flatMap(({ cell: own, outcome }) => {
      // A flow that exists stays as it is, but its packet has met the rules.
      if (tracked.flow.confirmed) return [own];
      const target = this.#space.ground.targets.get(outcome.rewritten.translation ?? '');
      if (target === undefined) return [as(own, {})];
      return new Translation(this.#space, hook).of(target, own, tracked.flow.translated).flatMap((piece) => {
        const part: Cell = { ...own, region: piece.region };
        if (piece.kind === 'unclear') {
          stop({ kind: 'undecided', cell: part, reason: piece.because });
          return [];
        }
        if (piece.kind === 'impossible') {
          stop({ kind: 'dropped', cell: part });
          return [];
        }
        const changed = piece.changed ? (isSource ? { sourceNat: true } : { destinationNat: true }) : {};
        const mapped = as(part, { translated: piece.ends, ...changed });
        if (this.#isTaken(mapped, piece.ends)) {
          stop({ kind: 'undecided', cell: mapped, reason: IN_THE_WAY });
          return [];
        }
        return [mapped];
      });
    });
  }

  /** Another flow of the packet's on this host may have the same tuple. */
  #isTaken({ flows, region }: Cell, ends: Ends): boolean {
    return flows.some(
      (flow) =>
        flow.host === this.#space.host.name &&
        (equalValues(this.#layout, region, pairsOf(ends, flow.translated)) !== NO ||
          this.#answers({ header: ends }, region, flow.original) !== NO),
    );
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
    const own = diagrams.and(cell.region, gre);
    if (own === NO) return [cell];
    const short = diagrams.and(
      own,
      whereIn(this.#layout, cell.header.length, [{ from: 0, to: (family === 4 ? 20 : 40) + GRE_HEADER - 1 }]),
    );
    if (short !== NO)
      stop({
        kind: 'dropped',
        cell: { ...cell, region: short },
        reason: 'the kernel cannot rewrite it: no whole header',
      });
    const region = diagrams.less(cell.region, short);
    return region === NO ? [] : [{ ...cell, region }];
  }

  /** nf_nat_ipv4_local_fn: a new destination needs a new route, at once. */
  #rerouted(before: Cell, cell: Cell, hook: HookName, stop: (end: LostEnd) => void): readonly Cell[] {
    if (hook !== 'OUTPUT' || cell.header.daddr === before.header.daddr) return [cell];
    const { decisions } = this.#space;
    return decisions.ask(cell.region, cell.header, decisions.output()).flatMap(({ region, to }) => {
      const own = { ...cell, region };
      if (to.kind !== 'refused') return [own];
      stop({ kind: 'dropped', cell: own, reason: to.reason });
      return [];
    });
  }
}
