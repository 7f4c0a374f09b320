/**
 * Network address translation of all packets at once: what netfilter/nat.ts does to the first packet of a flow, on a host that remembers no flow in its way. Ports that the kernel
 * allocates are any of their range.
 */
import { fromBigint, maskAddress, onesAddress, prefixOf, type Address } from '../address/address.ts';
import type { Range, Ranges } from '../address/ranges.ts';
import type { NatTarget } from '../netfilter/compile.ts';
import { rangeOf, type Manipulation } from '../netfilter/nat.ts';
import { tracksPorts } from '../netfilter/tuple.ts';
import { ICMP, ICMPV6, makePacket, UDP } from '../packet/packet.ts';
import type { HookName, NatRange } from '../ruleset/rule.ts';
import type { Cell, Ends } from './cell.ts';
import { NO, YES, type Node } from './diagram.ts';
import type { HostSpace } from './ground.ts';
import { wordsOf, type Layout } from './layout.ts';
import { isValue, shifted, whereEqual, whereIn, type Value } from './value.ts';

/** A piece of what is translated: the ends that its flow has from now on, or why that cannot be said. */
export type Translated =
  | { readonly kind: 'translated'; readonly region: Node; readonly ends: Ends; readonly changed: boolean }
  /** No address to translate to: dropped. */
  | { readonly kind: 'impossible'; readonly region: Node }
  | { readonly kind: 'unclear'; readonly region: Node; readonly because: string };

interface Piece {
  readonly region: Node;
  readonly ends: Ends;
}

/** NETMAP of so many blocks of addresses is followed. */
const MOST_BLOCKS = 64;

export class Translation {
  readonly #space: HostSpace;
  readonly #layout: Layout;
  readonly #hook: HookName;
  readonly #manipulation: Manipulation;
  readonly #done: Translated[] = [];

  constructor(space: HostSpace, hook: HookName) {
    this.#space = space;
    this.#layout = space.ground.layout;
    this.#hook = hook;
    this.#manipulation = hook === 'PREROUTING' || hook === 'OUTPUT' ? 'destination' : 'source';
  }

  /** `cell.header` is what the target is asked about, `ends` what the flow has become so far. */
  of(target: NatTarget, cell: Cell, ends: Ends): readonly Translated[] {
    switch (target.kind) {
      case 'NETMAP':
        this.#netmap(target.to, { region: cell.region, ends });
        break;
      case 'MASQUERADE':
      case 'REDIRECT':
        for (const { region, to } of this.#addressesOf(target, cell))
          if (to === null) this.#done.push({ kind: 'impossible', region });
          else this.#bind({ ...target.to, addresses: { from: to, to } }, { region, ends });
        break;
      default:
        this.#bind(target.to, { region: cell.region, ends });
    }
    return this.#done;
  }

  /** MASQUERADE and REDIRECT: an address of the host's own, which may depend on the destination. */
  #addressesOf(
    target: NatTarget,
    { region, header, iif, oif }: Cell,
  ): readonly { readonly region: Node; readonly to: Address | null }[] {
    const { host, decisions, ground } = this.#space;
    const { family } = ground;
    const node = decisions.byDestination<Address | null>(
      `${target.kind} ${this.#hook} ${iif ?? ''} ${oif ?? ''}`,
      (daddr) => {
        const packet = makePacket({ family, saddr: daddr, daddr, protocol: UDP });
        return rangeOf(target, { host, hook: this.#hook, iif, oif, packet })?.addresses?.from ?? null;
      },
    );
    return decisions.ask(region, header, node);
  }

  #push(piece: Piece, ends: Ends): void {
    const { diagrams } = this.#layout;
    const same = sameEnds(this.#layout, piece.ends, ends);
    const unchanged = diagrams.and(piece.region, same);
    const changed = diagrams.less(piece.region, same);
    if (unchanged !== NO) this.#done.push({ kind: 'translated', region: unchanged, ends: piece.ends, changed: false });
    if (changed !== NO) this.#done.push({ kind: 'translated', region: changed, ends, changed: true });
  }

  #unclear(region: Node, because: string): void {
    if (region !== NO) this.#done.push({ kind: 'unclear', region, because });
  }

  /** The packets with a value in the ranges, and those without; what only the kernel's choice decides is unclear. */
  #divide({ region }: Piece, value: Value, ranges: Ranges): { readonly inside: Node; readonly outside: Node } {
    const { diagrams } = this.#layout;
    const must = whereIn(this.#layout, value, ranges);
    const may = whereIn(this.#layout, value, ranges, false);
    if (must !== may)
      this.#unclear(
        diagrams.and(region, diagrams.less(may, must)),
        'what an earlier host chose matters to a translation',
      );
    return { inside: diagrams.and(region, must), outside: diagrams.less(region, may) };
  }

  /** uniqueTuple, where no other flow is in the way. */
  #bind(range: NatRange, piece: Piece): void {
    const isRandom = range.random === true || range.randomFully === true;
    if (range.ports === undefined && !isRandom) {
      this.#keepPort(range, piece);
      return;
    }
    const { diagrams } = this.#layout;
    const of = (protocols: readonly number[]): Node => this.#layout.chooseValues('protocol', protocols, YES, NO);
    const icmp = of([ICMP, ICMPV6]);
    const withPorts = of(Array.from({ length: 256 }, (_, value) => value).filter(tracksPorts));
    const parts = [
      { kind: 'icmp' as const, region: diagrams.and(piece.region, icmp) },
      { kind: 'ports' as const, region: diagrams.and(piece.region, withPorts) },
    ];
    for (const { kind, region } of parts)
      if (region !== NO)
        this.#withPorts(
          range,
          isRandom,
          { ...piece, region },
          kind === 'icmp' || this.#manipulation === 'source' ? 'sport' : 'dport',
          kind === 'icmp',
        );
    const others = diagrams.less(piece.region, diagrams.or(icmp, withPorts));
    if (others !== NO) this.#keepPort(range, { ...piece, region: others });
  }

  /** Only the address moves. */
  #keepPort({ addresses }: NatRange, piece: Piece): void {
    if (addresses === undefined) {
      this.#push(piece, piece.ends);
      return;
    }
    if (this.#manipulation === 'source') {
      const { inside, outside } = this.#divide(piece, piece.ends.saddr, [addresses]);
      if (inside !== NO) this.#push({ ...piece, region: inside }, piece.ends);
      if (outside !== NO) this.#push({ ...piece, region: outside }, this.#addressed(piece.ends, addresses));
      return;
    }
    this.#push(piece, this.#addressed(piece.ends, addresses));
  }

  #addressed(ends: Ends, { from, to }: Range): Ends {
    const value: Value = from === to ? isValue(from) : { kind: 'any', from, to, choice: this.#choice('address') };
    return this.#manipulation === 'source' ? { ...ends, saddr: value } : { ...ends, daddr: value };
  }

  #choice(what: string): string {
    return `${this.#space.host.name} ${this.#hook} ${what}`;
  }

  #withPorts(range: NatRange, isRandom: boolean, piece: Piece, field: 'sport' | 'dport', icmp: boolean): void {
    const { diagrams } = this.#layout;
    const { addresses, ports, base } = range;
    let rest = piece;
    if (this.#manipulation === 'source' && !isRandom) {
      const address =
        addresses === undefined ? { inside: piece.region } : this.#divide(piece, piece.ends.saddr, [addresses]);
      const port = ports === undefined ? { inside: piece.region } : this.#divide(piece, piece.ends[field], [ports]);
      const fits = diagrams.and(address.inside, port.inside);
      if (fits !== NO) this.#push({ ...piece, region: fits }, piece.ends);
      rest = { ...piece, region: diagrams.less(piece.region, fits) };
    }
    if (rest.region === NO) return;
    const ends = addresses === undefined ? rest.ends : this.#addressed(rest.ends, addresses);
    if (!isRandom && ports !== undefined && base === undefined) {
      const { inside, outside } = this.#divide(rest, rest.ends[field], [ports]);
      if (inside !== NO) this.#push({ ...rest, region: inside }, ends);
      rest = { ...rest, region: outside };
    }
    if (rest.region === NO) return;
    if (!icmp && ports === undefined && this.#manipulation === 'destination') {
      this.#push(rest, ends);
      return;
    }
    const classes: Ranges<number> = ports !== undefined ? [ports] : icmp ? [{ from: 0, to: 65535 }] : [];
    if (classes.length > 0) this.#allocate(rest, ends, field, classes[0] ?? { from: 0, to: 65535 }, range, isRandom);
    else
      for (const [own, into] of PORT_CLASSES) {
        const { inside } = this.#divide(rest, rest.ends[field], [own]);
        if (inside !== NO) this.#allocate({ ...rest, region: inside }, ends, field, into, range, isRandom);
      }
  }

  /** uniquePort: the first free one, from a random place for sources. */
  #allocate(
    piece: Piece,
    ends: Ends,
    field: 'sport' | 'dport',
    { from, to }: Range<number>,
    { base }: NatRange,
    isRandom: boolean,
  ): void {
    if (base !== undefined && from !== to) {
      this.#unclear(piece.region, 'a translation of ports with a base is not followed');
      return;
    }
    const chosen = base === undefined && (isRandom || this.#manipulation === 'source') && from !== to;
    const value: Value = chosen ? { kind: 'any', from, to, choice: this.#choice(field) } : isValue(from);
    this.#push(piece, { ...ends, [field]: value });
  }

  /** xt_NETMAP: the upper bits become the target's; each block of addresses moves as a whole. */
  #netmap({ address, mask }: { readonly address: Address; readonly mask: Address }, piece: Piece): void {
    const field = this.#manipulation === 'source' ? 'saddr' : 'daddr';
    const value = piece.ends[field];
    const { diagrams, family } = this.#layout;
    const hostBits = fromBigint(family, BigInt(onesAddress(family)) ^ BigInt(mask));
    const moved = (own: Address): Address => fromBigint(family, BigInt(maskAddress(own, hostBits)) | BigInt(address));
    if (value.kind === 'is') {
      this.#bind({ addresses: { from: moved(value.value), to: moved(value.value) } }, piece);
      return;
    }
    let rest = piece.region;
    for (let count = 0; rest !== NO && count < MOST_BLOCKS; count++) {
      const first = this.#least(rest, value);
      if (first === undefined) break;
      const length = BigInt(mask).toString(2).replace(/0/g, '').length;
      const block = prefixOf(first, length);
      const last = fromBigint(family, BigInt(block.address) | BigInt(hostBits));
      const inside = diagrams.and(rest, whereIn(this.#layout, value, [{ from: block.address, to: last }]));
      if (inside === NO) break;
      rest = diagrams.less(rest, inside);
      const [old, now] = [wordsOf(block.address), wordsOf(moved(block.address))];
      const by = now.map((word, index) => word - (old[index] ?? 0));
      this.#push({ ...piece, region: inside }, { ...piece.ends, [field]: shifted(value, by) });
    }
    this.#unclear(rest, `a NETMAP of more than ${MOST_BLOCKS} blocks of addresses is not followed`);
  }

  /** An address that the value has for some packet of the region. */
  #least(region: Node, value: Value): Address | undefined {
    if (value.kind !== 'field') return undefined;
    const { diagrams, family } = this.#layout;
    let low = 0n;
    let high = BigInt(onesAddress(family));
    const some = (from: bigint, to: bigint): boolean =>
      diagrams.and(
        region,
        whereIn(this.#layout, value, [{ from: fromBigint(family, from), to: fromBigint(family, to) }]),
      ) !== NO;
    if (!some(low, high)) return undefined;
    while (low < high) {
      const middle = (low + high) >> 1n;
      if (some(low, middle)) high = middle;
      else low = middle + 1n;
    }
    return fromBigint(family, low);
  }
}

/** nat.ts portClass: which ports a port may become when nothing is said. */
const PORT_CLASSES: readonly (readonly [Range<number>, Range<number>])[] = [
  [
    { from: 0, to: 511 },
    { from: 1, to: 511 },
  ],
  [
    { from: 512, to: 1023 },
    { from: 600, to: 1023 },
  ],
  [
    { from: 1024, to: 65535 },
    { from: 1024, to: 65535 },
  ],
];

/** The packets of which nothing has changed; a choice that cannot be compared counts as a change. */
function sameEnds(layout: Layout, a: Ends, b: Ends): Node {
  let same = YES;
  for (const field of ['saddr', 'daddr', 'sport', 'dport'] as const) {
    if (a[field] === b[field]) continue;
    same = layout.diagrams.and(same, whereEqual(layout, a[field], b[field]) ?? NO);
  }
  return same;
}
