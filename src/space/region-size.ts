/** How many packets a set has, and how many addresses they are from and to. */
import { YES, type Node } from './diagram.ts';
import { valuesOf } from './equality.ts';
import type { Layout } from './layout.ts';

export interface RegionSize {
  readonly sources: bigint;
  readonly destinations: bigint;
  readonly packets: bigint;
}

export function sizeOf(layout: Layout, packets: Node): RegionSize {
  const { diagrams, family } = layout;
  const all = diagrams.count(YES) >> (family === 4 ? 32n : 128n);
  const addresses = (field: 'saddr' | 'daddr'): bigint => diagrams.count(valuesOf(layout, packets, field)) / all;
  return { sources: addresses('saddr'), destinations: addresses('daddr'), packets: diagrams.count(packets) };
}
