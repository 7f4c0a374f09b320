/** Claims that say the same of packets to other destinations each, put together so that one proof may do for all (proof.ts). */
import { addToAddress, type Address } from '../address/address.ts';
import { anyAddress, type Range } from '../address/ranges.ts';
import type { Ending, Image, PacketsClaim, Place, Wanted } from '../claim/claim.ts';
import type { PacketSet, Pattern } from '../packet/pattern.ts';
import { AS_SENT, type Header } from '../space/cell.ts';
import { FALL, NO, YES, type Node } from '../space/diagram.ts';
import type { Layout } from '../space/layout.ts';
import { eachValue, fieldValue, isValue, memberEnd, type Value } from '../space/value.ts';
import type { CellPlace } from '../space/way.ts';

/** What is wanted of a packet, where each has its own. */
export type Own = Wanted<Address> | { readonly equals: Value };
export type OwnImage = Omit<Image, 'saddr' | 'daddr'> & {
  readonly saddr?: Own | undefined;
  readonly daddr?: Own | undefined;
};

/** The one destination of a claim's packets. */
export const destinationOf = ({ set }: PacketsClaim): Address | undefined => onlyAddress(set, 'daddr');

/**
 * Claims of which `key` is the same, and the one destination of whose packets is another, say the same of them but for that: who is reached, and the addresses that he sees. Undefined for others.
 */
export function likenessOf(claim: PacketsClaim): { readonly key: string; readonly destination: Address } | undefined {
  const { ending, reply, host, entry, family, state, postures, set } = claim;
  const destination = destinationOf(claim);
  if (ending.kind !== 'reaches' || destination === undefined) return undefined;
  const { place, as } = ending;
  const own = (wanted: Wanted<Address> | undefined): unknown =>
    typeof wanted === 'object' && 'is' in wanted ? 'its own' : wanted;
  const seen = as && { ...as, saddr: own(as.saddr), daddr: own(as.daddr) };
  const who = place.kind === 'instance' ? place.kind : place;
  const key = JSON.stringify(
    [host, entry, family, state, postures, onlyAddress(set, 'saddr'), who, seen, reply],
    (_key, part: unknown) => (typeof part === 'bigint' ? `${part}n` : part),
  );
  return { key, destination };
}

type Reaching = Extract<Ending, { kind: 'reaches' }>;

/** One claim, and its packets without their destination. */
interface Part {
  readonly ending: Reaching;
  readonly set: PacketSet;
  readonly daddr: Address;
  readonly region: Node;
}

/** Who is to be reached, and by which packets. */
export class Wanting {
  readonly place: Place;
  readonly destinations: Range[] = [];
  readonly #layout: Layout;

  constructor(layout: Layout, place: Place) {
    this.#layout = layout;
    this.place = place;
  }

  packets(): Node {
    return this.#layout.chooseAddresses('daddr', this.destinations, YES, NO);
  }
}

export class AlikeClaims {
  /** One of them: what it says of hosts, states and answers they all say. */
  readonly example: PacketsClaim;
  readonly region: Node;
  /** Packets to the same destinations that hold all of these, and are alike for each of them. */
  readonly outline: Node;
  readonly header: Header;
  readonly image: OwnImage | undefined;
  readonly #example: Reaching;
  readonly #wanting = new Map<string, Wanting>();

  /** `regions`: of each claim its packets, without the destination; all of them are of `sendable`. Undefined where there are none. */
  static of(
    layout: Layout,
    claims: readonly PacketsClaim[],
    regions: readonly Node[],
    sendable: Node,
  ): AlikeClaims | undefined {
    const parts = claims.flatMap((claim, index): Part[] => {
      const [region = NO, daddr] = [regions[index], destinationOf(claim)];
      const { ending, set } = claim;
      return region === NO || daddr === undefined || ending.kind !== 'reaches' ? [] : [{ ending, set, daddr, region }];
    });
    parts.sort((one, other) => (one.daddr < other.daddr ? -1 : 1));
    const [[example], [first]] = [claims, parts];
    return example === undefined || first === undefined
      ? undefined
      : new AlikeClaims(layout, example, parts, first, sendable);
  }

  private constructor(layout: Layout, example: PacketsClaim, parts: readonly Part[], { ending }: Part, sendable: Node) {
    this.example = example;
    this.#example = ending;
    this.header = { ...pinned(example.set).header, daddr: fieldValue('daddr') };
    const byDestination = (to: (part: Part, index: number) => Node, rest: Node): Node =>
      layout.addressCases('daddr', rest, (add) => {
        parts.forEach((part, index) => {
          const before = addToAddress(part.daddr, -1);
          if (before !== undefined) add(before, rest);
          add(part.daddr, to(part, index));
        });
      });
    this.region = byDestination(({ region }) => region, NO);
    const any = [sourcesOf(layout, parts), protocolsOf(layout, parts)].reduce(
      (one, other) => layout.diagrams.and(one, other),
      sendable,
    );
    this.outline = byDestination(() => any, NO);
    const by = byDestination((_part, index) => memberEnd(index), FALL);
    const own = (field: 'saddr' | 'daddr'): Own | undefined => {
      const wanted = parts.map((part) => part.ending.as?.[field]);
      const values = wanted.flatMap((one) => (typeof one === 'object' && 'is' in one ? [one.is] : []));
      return values.length === 0 ? wanted[0] : { equals: eachValue(by, values) };
    };
    this.image = ending.as && { ...ending.as, saddr: own('saddr'), daddr: own('daddr') };
    for (const part of parts) {
      const { place } = part.ending;
      const wanting = this.#wanting.get(this.#keyOf(place)) ?? new Wanting(layout, place);
      this.#wanting.set(this.#keyOf(place), wanting);
      wanting.destinations.push({ from: part.daddr, to: part.daddr });
    }
  }

  /** Instances differ from claim to claim; of other places all claims name the same. */
  #keyOf(place: Place | CellPlace): string {
    return place.kind === 'instance' && this.#example.place.kind === 'instance' ? (place.name ?? '') : '';
  }

  /** The claims that want somebody to be reached at this place. */
  wantingAt(place: CellPlace): Wanting | undefined {
    const wanting = this.#wanting.get(this.#keyOf(place));
    return wanting !== undefined && isThere(place, wanting.place) ? wanting : undefined;
  }
}

/** The sources of all packets of some claims. */
function sourcesOf(layout: Layout, parts: readonly Part[]): Node {
  const { diagrams } = layout;
  const below = layout.level('saddr') + layout.wordLevels('saddr').length;
  const any = diagrams.mapping((node) => (node === NO ? NO : YES), below);
  return diagrams.orAll([...new Set(parts.map(({ region }) => diagrams.substitute(any, region)))]);
}

/** The protocols of all packets of some claims. */
function protocolsOf(layout: Layout, parts: readonly Part[]): Node {
  const protocols = new Set<number>();
  for (const { set } of parts)
    for (const { protocol } of set.boxes)
      for (const { from, to } of protocol) for (let value = from; value <= to; value++) protocols.add(value);
  return layout.chooseValues('protocol', protocols, YES, NO);
}

/** The place that somebody wants. */
export function isThere(place: CellPlace, wanted: Place): boolean {
  switch (wanted.kind) {
    case 'process':
      return place.kind === 'process' && place.host === wanted.host;
    case 'instance':
      return place.kind === 'instance' && place.name === wanted.name;
    case 'outside':
      return (
        place.kind === 'outside' &&
        (wanted.name === undefined || place.name === wanted.name) &&
        (wanted.at === undefined || (place.at.host === wanted.at.host && place.at.interface === wanted.at.interface))
      );
  }
}

/** The one address that all packets of a set have. */
function onlyAddress({ boxes }: PacketSet, field: 'saddr' | 'daddr'): Address | undefined {
  let address: Address | undefined;
  for (const box of boxes) {
    const ranges = box[field];
    const [first] = ranges;
    if (ranges.length !== 1 || first?.from !== first?.to) return undefined;
    if (address !== undefined && first?.from !== address) return undefined;
    address = first?.from;
  }
  return address;
}

/** An address that all packets of a set have is no variable: sets of many claims are then the same but for it. */
export function pinned(set: PacketSet): { readonly header: Header; readonly set: PacketSet } {
  const value = (field: 'saddr' | 'daddr'): Value => {
    const address = onlyAddress(set, field);
    return address === undefined ? fieldValue(field) : isValue(address);
  };
  const header: Header = { ...AS_SENT, saddr: value('saddr'), daddr: value('daddr') };
  const free = (box: Pattern, field: 'saddr' | 'daddr'): Pattern =>
    header[field].kind === 'is' ? { ...box, [field]: anyAddress(box.family) } : box;
  return { header, set: { boxes: set.boxes.map((box) => free(free(box, 'saddr'), 'daddr')) } };
}
