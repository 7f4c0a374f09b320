/** Does a way end as a claim says? */
import { printAddress, type Address } from '../address/address.ts';
import type { Ending, Image, Place, Wanted } from '../claim/claim.ts';
import { isReached, type End, type Reached, type Way } from '../network/walk.ts';
import type { Exit, FreshField } from '../netfilter/journey.ts';
import type { Attachment } from '../network/network.ts';
import { isIcmp, type Packet } from '../packet/packet.ts';
import { printPacket } from '../packet/notation.ts';

/** undefined where it ends as claimed; else the sentence that says what is wrong. `undecided` where the model does not know. */
export type Outcome =
  | { readonly kind: 'as-claimed'; readonly reached?: Reached }
  | { readonly kind: 'otherwise'; readonly because: string }
  | { readonly kind: 'undecided'; readonly because: string; readonly line?: number };

/** The four fields of which images speak; an icmp identifier stands in for a source port. */
export interface Endpoints {
  readonly saddr: Address;
  readonly daddr: Address;
  readonly sport: number;
  readonly dport: number;
}

export const endpointsOf = (packet: Packet): Endpoints => ({
  saddr: packet.saddr,
  daddr: packet.daddr,
  sport: isIcmp(packet) ? packet.id : packet.sport,
  dport: packet.dport,
});

/** What an answer would look like to the one who sent these: source and destination changed about. */
export const mirrored = ({ saddr, daddr, sport, dport }: Endpoints, icmp: boolean): Endpoints =>
  icmp ? { saddr: daddr, daddr: saddr, sport, dport } : { saddr: daddr, daddr: saddr, sport: dport, dport: sport };

export const printPlace = (place: Place): string => {
  switch (place.kind) {
    case 'process':
      return `a process of ${place.host}`;
    case 'instance':
      return `instance ${place.name}`;
    case 'outside':
      return (
        place.name ??
        (place.at === undefined ? 'the outside' : `the outside beyond ${place.at.host} ${place.at.interface}`)
      );
  }
};

export function isAtPlace(end: Reached, place: Place): boolean {
  switch (place.kind) {
    case 'process':
      return end.kind === 'process' && end.host === place.host;
    case 'instance':
      return end.kind === 'instance' && end.name === place.name;
    case 'outside':
      return (
        end.kind === 'outside' &&
        (place.name === undefined || end.name === place.name) &&
        (place.at === undefined || (end.at.host === place.at.host && end.at.interface === place.at.interface))
      );
  }
}

const meets = <T extends Address | number>(wanted: Wanted<T> | undefined, value: T, original: T): boolean => {
  if (wanted === undefined) return true;
  if (wanted === 'original') return value === original;
  if ('is' in wanted) return value === wanted.is;
  if ('isNot' in wanted) return value !== wanted.isNot;
  return wanted.within.some(({ from, to }) => from <= value && value <= to);
};

/** A port that the kernel chose at random is as good as the one that was wanted, if that one could not be had (S7). */
const isFresh = (fresh: readonly FreshField[], field: FreshField['field']): boolean =>
  fresh.some((candidate) => candidate.field === field);

export function hasImage(
  packet: Packet,
  image: Image,
  original: Endpoints,
  fresh: readonly FreshField[] = [],
): boolean {
  const seen = endpointsOf(packet);
  return (
    meets(image.saddr, seen.saddr, original.saddr) &&
    meets(image.daddr, seen.daddr, original.daddr) &&
    (isFresh(fresh, isIcmp(packet) ? 'id' : 'sport') || meets(image.sport, seen.sport, original.sport)) &&
    (isFresh(fresh, 'dport') || meets(image.dport, seen.dport, original.dport))
  );
}

const freshOf = (end: Reached): readonly FreshField[] => (end.kind === 'process' ? [] : (end.fresh ?? []));

const describe = (end: End): string => {
  if (!isReached(end) && end.left !== undefined)
    return `it leaves ${end.host} by ${end.left.at.interface} as ${printPacket(end.left.packet)}`;
  if (!isReached(end)) return `it is ${end.kind} on ${end.host}${end.reason === undefined ? '' : ` (${end.reason})`}`;
  const whom =
    end.kind === 'process'
      ? `a process of ${end.host}`
      : (end.name ?? `the outside beyond ${end.at.host} ${end.at.interface}`);
  return `it comes to ${whom} as ${printPacket(end.packet)}`;
};

const printWanted = <T extends Address | number>(
  wanted: Wanted<T> | undefined,
  original: T,
  print: (value: T) => string,
): string => {
  if (wanted === undefined) return 'any';
  if (wanted === 'original') return print(original);
  if ('is' in wanted) return print(wanted.is);
  if ('isNot' in wanted) return `not ${print(wanted.isNot)}`;
  return wanted.within.map(({ from, to }) => (from === to ? print(from) : `${print(from)}-${print(to)}`)).join(',');
};

/** ` as 10.10.10.2:* > 192.168.1.90:8775`: what was wanted of each field. */
function printImage(image: Image | undefined, original: Endpoints): string {
  if (image === undefined) return '';
  const port = String;
  const end = (address: string, number: string): string => (number === 'any' ? address : `${address}:${number}`);
  const source = end(
    printWanted(image.saddr, original.saddr, printAddress),
    printWanted(image.sport, original.sport, port),
  );
  const destination = end(
    printWanted(image.daddr, original.daddr, printAddress),
    printWanted(image.dport, original.dport, port),
  );
  return ` as ${source} > ${destination}`;
}

/** What leaves a host by an interface that is no bridge, or by a port of one. */
const exitsBy = ({ hops }: Way, by: Attachment): readonly Exit[] =>
  hops
    .filter(({ host }) => host === by.host)
    .flatMap(({ journey }) => journey.exits)
    .filter(({ oif, port }) => (port ?? oif) === by.interface);

/** Compares where the copies of a packet came to with what is claimed of it. */
export function judgeEnding(way: Way, ending: Ending, original: Endpoints): Outcome {
  const undecided = way.ends.find((end) => end.kind === 'undecided');
  const reached = way.ends.filter(isReached);
  const atPlace = (place: Place | undefined): Reached[] =>
    place === undefined ? reached : reached.filter((end) => isAtPlace(end, place));
  const unknown = (): Outcome | undefined =>
    undecided?.kind === 'undecided'
      ? {
          kind: 'undecided',
          because: undecided.reason ?? 'something is not modelled',
          ...(undecided.line === undefined ? {} : { line: undecided.line }),
        }
      : undefined;
  const [first] = way.ends;
  const whatHappens = first === undefined ? 'it comes to nobody' : describe(first);
  switch (ending.kind) {
    case 'reaches': {
      const there = atPlace(ending.place);
      const { as } = ending;
      const good = there.find((end) => as === undefined || hasImage(end.packet, as, original, freshOf(end)));
      if (good !== undefined) return { kind: 'as-claimed', reached: good };
      const [bad] = there;
      return (
        unknown() ?? {
          kind: 'otherwise',
          because: `it should reach ${printPlace(ending.place)}${printImage(as, original)}, but ${bad === undefined ? whatHappens : describe(bad)}`,
        }
      );
    }
    case 'never-reaches': {
      const { as } = ending;
      const bad = atPlace(ending.place).find((end) => as === undefined || hasImage(end.packet, as, original));
      if (bad !== undefined)
        return {
          kind: 'otherwise',
          because: `it should not reach ${ending.place === undefined ? 'anybody' : printPlace(ending.place)}, but ${describe(bad)}`,
        };
      return unknown() ?? { kind: 'as-claimed' };
    }
    case 'whatever-is-reached': {
      const bad = atPlace(ending.place).find((end) => !hasImage(end.packet, ending.as, original, freshOf(end)));
      if (bad !== undefined)
        return {
          kind: 'otherwise',
          because: `it should arrive${printImage(ending.as, original)}, but ${describe(bad)}`,
        };
      // Somebody may be there in reality.
      const astray = way.ends.find(
        (end) =>
          ending.place === undefined &&
          !isReached(end) &&
          end.left !== undefined &&
          !hasImage(end.left.packet, ending.as, original, end.left.fresh),
      );
      if (astray !== undefined)
        return {
          kind: 'otherwise',
          because: `it should leave${printImage(ending.as, original)}, but ${describe(astray)}`,
        };
      const [any] = atPlace(ending.place);
      return unknown() ?? { kind: 'as-claimed', ...(any === undefined ? {} : { reached: any }) };
    }
    case 'leaves': {
      const { by, as } = ending;
      const there = exitsBy(way, by);
      if (there.some(({ packet, fresh }) => as === undefined || hasImage(packet, as, original, fresh)))
        return { kind: 'as-claimed' };
      const [bad] = there;
      return (
        unknown() ?? {
          kind: 'otherwise',
          because: `it should leave ${by.host} by ${by.interface}${printImage(as, original)}, but ${bad === undefined ? whatHappens : `it leaves as ${printPacket(bad.packet)}`}`,
        }
      );
    }
  }
}
