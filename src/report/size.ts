/** Sizes of regions, and what one change of the rules does in all, in words. */
import type { ChangeClass } from '../space/table-difference.ts';
import type { RegionSize } from '../space/region-size.ts';
import { countsOf } from './classes.ts';

type Addresses = Pick<RegionSize, 'sources' | 'destinations'>;

/** The most sources and destinations that any of these has. */
export const greatest = (sizes: readonly Addresses[]): Addresses => {
  const most = (of: (size: Addresses) => bigint): bigint =>
    sizes.reduce((known, size) => (of(size) > known ? of(size) : known), 0n);
  return { sources: most(({ sources }) => sources), destinations: most(({ destinations }) => destinations) };
};

const counted = (number: bigint, noun: string): string => `${inWords(number)} ${noun}${number === 1n ? '' : 's'}`;

const inWords = (number: bigint): string =>
  number < 1_000_000n ? `${number}` : `about 2^${number.toString(2).length - 1}`;

/** `16 sources, 1 destination`. */
export const addressWords = ({ sources, destinations }: Addresses): string =>
  `${counted(sources, 'source')}, ${counted(destinations, 'destination')}`;

/** `2 ways in`. */
export const waysWords = (ways: number): string => `${counted(BigInt(ways), 'way')} in`;

interface Told {
  readonly classes: readonly ChangeClass[];
  readonly size: Addresses;
  /** How many boxes it is in, or more than can be listed. */
  readonly boxes: number;
}

/** With more regions, or more boxes, than a reader wants to see one by one: what a change does is said in a line first. */
const [MANY_REGIONS, MANY_BOXES] = [4, 8] as const;

/** What one change of the rules does in all: `widened 3, narrowed 1: about 2^32 sources, 12 destinations`. Undefined where its regions are few and small. */
export function inAll(regions: readonly Told[]): string | undefined {
  if (regions.length < MANY_REGIONS && regions.every(({ boxes }) => boxes <= MANY_BOXES)) return undefined;
  const classes = [...countsOf(regions)].map(([one, count]) => `${one} ${count}`).join(', ');
  return `${classes}: up to ${addressWords(greatest(regions.map(({ size }) => size)))}`;
}
