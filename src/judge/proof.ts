/**
 * The judge of all packets: a claim is proved for every packet of its set, or broken for those of a region, or open where something that is not known would decide.
 *
 * It judges as ending.ts does one packet, and as judge.ts has the claim: NEW packets are those that can open a flow, sent as machines send them (no mark, a ttl
 * that lasts, any length).
 */
import type { Address, Family } from '../address/address.ts';
import type { Ranges } from '../address/ranges.ts';
import type { Attachment } from '../network/network.ts';
import type { Ending, PacketsClaim, Place, Wanted } from '../claim/claim.ts';
import { GRE, ICMP, ICMPV6 } from '../packet/packet.ts';
import { endsOf, type Ends, type Header } from '../space/cell.ts';
import { NO, YES, type Node, type Substitution } from '../space/diagram.ts';
import type { Layout } from '../space/layout.ts';
import { fromSet } from '../space/packet-set.ts';
import { isValue, whereEqual, whereIn, type Value } from '../space/value.ts';
import type { CellEnd, ReachedEnd, WaySpace } from '../space/way.ts';
import { wellFormed } from '../space/well-formed.ts';
import { AlikeClaims, destinationOf, isThere, pinned, type Own, type OwnImage, type Wanting } from './alike-claims.ts';
import { entryOf, openers } from './judge.ts';

export type Proof =
  /** `copied`: some of the packets came to several ports of a bridge. */
  | { readonly kind: 'holds' | 'vacuous'; readonly copied?: boolean }
  /** `sure`: those that break it however what is not known turns out; `possible`: those that may. */
  | {
      readonly kind: 'broken';
      readonly sure: Node;
      readonly possible: Node;
      readonly header: Header;
      readonly because?: string;
    };

const isUnclear = (end: CellEnd): end is Exclude<CellEnd, SomewhereEnd> => end.kind === 'undecided';

const isCopied = ({ cell }: CellEnd): boolean => cell.copied === true;

const copiedOf = (ends: readonly CellEnd[]): readonly Node[] => ends.filter(isCopied).map(({ cell }) => cell.region);

type LeftEnd = Extract<CellEnd, { kind: 'left' }>;
type AstrayEnd = Extract<CellEnd, { kind: 'astray' }>;
type SomewhereEnd = ReachedEnd | LeftEnd | AstrayEnd;

const isReachedAt = (end: CellEnd, place: Place | undefined): end is ReachedEnd =>
  end.kind === 'reached' && (place === undefined || isThere(end.place, place));

const isAstray = (end: CellEnd): end is AstrayEnd => end.kind === 'astray';

const isLeftBy = (end: CellEnd, by: Attachment): end is LeftEnd =>
  end.kind === 'left' && end.by.host === by.host && end.by.interface === by.interface;

/** What becomes of a set of packets: those that break a claim, and those of which that is open. */
interface Verdict {
  readonly broken: Node;
  readonly open: Node;
  /** Who is reached as claimed, in order, each with the packets that nobody before has got. */
  readonly reached: readonly ReachedEnd[];
}

/** Packets go through so many hosts at most, and none of them may come to its end for that. */
const LASTING_TTL: Ranges<number> = [{ from: 32, to: 255 }];

/** GRE packets without room for the header that translation rewrites (nat.ts): the kernel drops them, and nobody sends them. */
const SHORT_GRE: Readonly<Record<Family, Ranges<number>>> = { 4: [{ from: 0, to: 27 }], 6: [{ from: 0, to: 47 }] };

export class Prover {
  readonly #ways: WaySpace;
  readonly #layout: Layout;
  readonly #possible: Node;
  /** Of those the ones that can open a flow. */
  readonly #openable: Node;
  readonly #messages: Node;
  readonly #inEvery: Substitution;
  readonly #inAny: Substitution;

  constructor(ways: WaySpace) {
    this.#ways = ways;
    const { layout } = ways.ground;
    this.#layout = layout;
    const { diagrams, floor } = layout;
    this.#inEvery = diagrams.mapping((node) => (node === YES ? YES : NO), floor);
    this.#inAny = diagrams.mapping((node) => (node === NO ? NO : YES), floor);
    this.#messages = layout.chooseValues('protocol', [ICMP, ICMPV6], YES, NO);
    const headless = layout.chooseValues(
      'protocol',
      [GRE],
      layout.chooseNumbers('length', SHORT_GRE[layout.family], YES, NO),
      NO,
    );
    const lasting = layout.diagrams.and(wellFormed(layout), layout.chooseNumbers('ttl', LASTING_TTL, YES, NO));
    this.#possible = layout.diagrams.less(lasting, headless);
    this.#openable = layout.diagrams.and(this.#possible, fromSet(layout, openers(layout.family)));
  }

  get layout(): Layout {
    return this.#layout;
  }

  /** The packets that a claim is about, but for the fields that they have alike. */
  regionOf(claim: PacketsClaim): { readonly header: Header; readonly region: Node } {
    const { header, set } = pinned(claim.set);
    return { header, region: fromSet(this.#layout, set, this.#sendable(claim)) };
  }

  #sendable({ state }: PacketsClaim): Node {
    return state === 'NEW' ? this.#openable : this.#possible;
  }

  /** Of the claim's packets only those of `within` are asked for. Throws SpaceLimitError. */
  prove(claim: PacketsClaim, within = YES): Proof {
    const { diagrams } = this.#layout;
    const { header, region: all } = this.regionOf(claim);
    if (all === NO) return { kind: 'vacuous', copied: false };
    const region = diagrams.and(all, this.#without(this.#inAny, within));
    const ends = this.#ways.send(claim.host, entryOf(claim), region, {
      header,
      ...(claim.state === 'NEW' ? {} : { state: claim.state }),
    });
    const original = endsOf(header);
    const verdict = this.#judge(ends, region, claim.ending, original, false);
    let { broken, open } = verdict;
    const unclear = ends.filter(isUnclear);
    let copied = ends.some(isCopied);
    if (claim.reply !== undefined)
      for (const end of verdict.reached) {
        const answer = this.#ways.answer(end);
        unclear.push(...answer.ends.filter(isUnclear));
        copied ||= answer.ends.some(isCopied);
        // What is not known of the packet says nothing of what is not known of its answer.
        const answered = this.#without(this.#inAny, diagrams.less(end.cell.region, answer.unanswered));
        const reply = this.#judge(answer.ends, answered, claim.reply, original, true);
        broken = diagrams.or(broken, reply.broken);
        open = diagrams.or(open, reply.open);
      }
    const sure = this.#without(this.#inEvery, broken);
    const possible = this.#without(this.#inAny, diagrams.or(broken, open));
    if (possible === NO) return { kind: 'holds', copied };
    const because = unclear.find(({ cell }) => diagrams.and(cell.region, possible) !== NO)?.reason;
    return { kind: 'broken', sure, possible, header, ...(because === undefined ? {} : { because }) };
  }

  /**
   * Proves claims that are alike (`likenessOf`) at once: one region goes all the way, of whose packets each has what its own claim says of it. By claim; undefined for those that this does not prove: each is
   * then to be proved by itself. Throws SpaceLimitError.
   */
  proveTogether(claims: readonly PacketsClaim[]): readonly (Proof | undefined)[] {
    const { diagrams } = this.#layout;
    const regions = claims.map((claim) => this.regionOf(claim).region);
    const [one] = claims;
    const alike = one && AlikeClaims.of(this.#layout, claims, regions, this.#sendable(one));
    if (alike === undefined) return [];
    const { region, outline, header, image, example } = alike;
    const { bindings } = this.#ways.ground;
    bindings.outline(region, outline);
    const ends = this.#ways.send(example.host, entryOf(example), region, {
      header,
      ...(example.state === 'NEW' ? {} : { state: example.state }),
    });
    const original = endsOf(header);
    const images = new Map<Header, Node>();
    // By who is reached, for nobody is to get what another claim is about.
    const sure = new Map<Wanting, Node>();
    const reached: ReachedEnd[] = [];
    for (const end of ends) {
      const wanting = end.kind === 'reached' ? alike.wantingAt(end.place) : undefined;
      if (end.kind !== 'reached' || wanting === undefined) continue;
      const { cell } = end;
      const looks =
        images.get(cell.header) ??
        (image === undefined ? YES : this.#hasImage(end, image, plainEnds(original), true, true));
      images.set(cell.header, looks);
      const packets = wanting.packets();
      const got = diagrams.and(diagrams.and(cell.region, packets), looks);
      const before = sure.get(wanting) ?? NO;
      const fresh = diagrams.less(got, before);
      sure.set(wanting, diagrams.or(before, got));
      if (fresh === NO) continue;
      bindings.outline(fresh, diagrams.and(bindings.outlineOf(cell.region), packets));
      reached.push({ ...end, cell: { ...cell, region: fresh } });
    }
    const open = [diagrams.less(region, diagrams.orAll([...sure.values()])), ...copiedOf(ends)];
    if (example.reply !== undefined) open.push(this.#notAnswered(reached, example.reply, original));
    const notProved = diagrams.orAll(open);
    return claims.map((claim, index): Proof | undefined => {
      if (regions[index] === NO) return { kind: 'vacuous', copied: false };
      const own = (): Node => this.#layout.restrictAddress(notProved, 'daddr', destinationOf(claim) ?? 0);
      return notProved === NO || own() === NO ? { kind: 'holds', copied: false } : undefined;
    });
  }

  /**
   * The packets of those that are got whose answers are not proved to end as claimed. What is proved of more packets than are got is proved of these: so their outlines are asked first, which are soon gone
   * through, and of what is got only what those leave open.
   */
  #notAnswered(reached: readonly ReachedEnd[], reply: Ending, original: Ends): Node {
    const { diagrams } = this.#layout;
    const { bindings } = this.#ways.ground;
    const notProved = (of: (region: Node) => Node): Node => {
      const got = reached.flatMap((end): ReachedEnd[] => {
        const region = of(end.cell.region);
        return region === NO ? [] : [{ ...end, cell: { ...end.cell, region } }];
      });
      const parts = this.#ways.answerAll(got).flatMap(({ region, answer }) => {
        const answered = this.#without(this.#inAny, diagrams.less(region, answer.unanswered));
        const { broken, open } = this.#judge(answer.ends, answered, reply, original, true);
        return [broken, open, ...copiedOf(answer.ends)];
      });
      return this.#without(this.#inAny, diagrams.orAll(parts));
    };
    const left = notProved((region) => bindings.outlineOf(region));
    return left === NO ? NO : notProved((region) => diagrams.and(region, left));
  }

  /** A set without the unknowns: of packets that are in it in every reading, or in any. */
  #without(unknowns: Substitution, set: Node): Node {
    return set < 0 ? set : this.#layout.diagrams.substitute(unknowns, set);
  }

  #judge(ends: readonly CellEnd[], region: Node, ending: Ending, original: Ends, isAnswer: boolean): Verdict {
    const { diagrams } = this.#layout;
    const { as } = ending;
    const there = ending.kind === 'leaves' ? [] : ends.filter((end) => isReachedAt(end, ending.place));
    const unclear = diagrams.orAll(ends.flatMap((end) => (end.kind === 'undecided' ? [end.cell.region] : [])));
    const looks = (end: SomewhereEnd, must: boolean): Node =>
      as === undefined
        ? YES
        : this.#hasImage(
            end,
            as,
            isAnswer ? mirroredEnds(original) : plainEnds(original),
            must,
            ending.kind !== 'never-reaches',
          );
    switch (ending.kind) {
      case 'reaches': {
        const reached: ReachedEnd[] = [];
        let sure = NO;
        let maybe = NO;
        for (const end of there) {
          const own = diagrams.and(end.cell.region, looks(end, true));
          // Where the kernel chooses nothing, what may be is what is.
          const mayBe = hasChoice(end.cell.header) ? diagrams.and(end.cell.region, looks(end, false)) : own;
          maybe = diagrams.or(maybe, mayBe);
          const first = diagrams.less(own, sure);
          sure = diagrams.or(sure, own);
          if (first !== NO) reached.push({ ...end, cell: { ...end.cell, region: first } });
        }
        const missing = diagrams.less(region, sure);
        const broken = diagrams.less(diagrams.less(missing, maybe), unclear);
        return { broken, open: diagrams.less(missing, broken), reached };
      }
      case 'leaves': {
        const leaving = ends.filter((end) => isLeftBy(end, ending.by));
        const sure = diagrams.orAll(leaving.map((end) => diagrams.and(end.cell.region, looks(end, true))));
        const maybe = diagrams.orAll(leaving.map((end) => diagrams.and(end.cell.region, looks(end, false))));
        const missing = diagrams.less(region, sure);
        const broken = diagrams.less(diagrams.less(missing, maybe), unclear);
        return { broken, open: diagrams.less(missing, broken), reached: [] };
      }
      case 'never-reaches': {
        const broken = diagrams.orAll(there.map((end) => diagrams.and(end.cell.region, looks(end, true))));
        const maybe = diagrams.orAll(there.map((end) => diagrams.and(end.cell.region, looks(end, false))));
        return { broken, open: diagrams.less(diagrams.or(maybe, unclear), broken), reached: [] };
      }
      case 'whatever-is-reached': {
        const seen = [...there, ...(ending.place === undefined ? ends.filter(isAstray) : [])];
        const broken = diagrams.orAll(seen.map((end) => diagrams.less(end.cell.region, looks(end, false))));
        const maybe = diagrams.orAll(seen.map((end) => diagrams.less(end.cell.region, looks(end, true))));
        return { broken, open: diagrams.less(diagrams.or(maybe, unclear), broken), reached: [] };
      }
    }
  }

  /** The packets that look so where they end: ending.ts hasImage. `must`: whatever the kernel chooses. */
  #hasImage(
    { cell: { header }, ...end }: SomewhereEnd,
    image: OwnImage,
    original: SplitEnds,
    must: boolean,
    fresh: boolean,
  ): Node {
    const { diagrams } = this.#layout;
    const isFresh = (value: Value): boolean =>
      fresh && value.kind === 'any' && !('place' in end && end.place.kind === 'process');
    const of = (ends: Ends, seen: Ends): Node =>
      [
        this.#meets(image.saddr, seen.saddr, ends.saddr, must),
        this.#meets(image.daddr, seen.daddr, ends.daddr, must),
        isFresh(header.sport) ? YES : this.#meets(image.sport, seen.sport, ends.sport, must),
        isFresh(header.dport) ? YES : this.#meets(image.dport, seen.dport, ends.dport, must),
      ].reduce((one, other) => diagrams.and(one, other), YES);
    const seen = endsOf(header);
    const ofOthers = of(original.others, seen);
    if (image.sport === undefined && image.dport === undefined) return ofOthers;
    // Type and code of a message are no port.
    const ofMessages = of(original.icmp, { ...seen, dport: NO_PORT });
    return diagrams.ifThenElse(this.#messages, ofMessages, ofOthers);
  }

  #meets<T extends Address>(wanted: Wanted<T> | Own | undefined, value: Value, original: Value, must: boolean): Node {
    if (wanted === undefined) return YES;
    if (wanted === 'original') return whereEqual(this.#layout, value, original) ?? (must ? NO : YES);
    if ('equals' in wanted) return whereEqual(this.#layout, value, wanted.equals) ?? (must ? NO : YES);
    if ('is' in wanted) return whereIn(this.#layout, value, [{ from: wanted.is, to: wanted.is }], must);
    if ('isNot' in wanted)
      return this.#layout.diagrams.not(whereIn(this.#layout, value, [{ from: wanted.isNot, to: wanted.isNot }], !must));
    return whereIn(this.#layout, value, wanted.within, must);
  }
}

const hasChoice = ({ saddr, daddr, sport, dport }: Header): boolean =>
  [saddr, daddr, sport, dport].some(({ kind }) => kind === 'any');

/** What a packet was sent as, of messages and of others. */
interface SplitEnds {
  readonly icmp: Ends;
  readonly others: Ends;
}

const NO_PORT = isValue(0);

const plainEnds = (ends: Ends): SplitEnds => ({ icmp: { ...ends, dport: NO_PORT }, others: ends });

const mirroredEnds = ({ saddr, daddr, sport, dport }: Ends): SplitEnds => ({
  icmp: { saddr: daddr, daddr: saddr, sport, dport: NO_PORT },
  others: { saddr: daddr, daddr: saddr, sport: dport, dport: sport },
});
