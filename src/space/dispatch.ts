/**
 * Rules that are each for one destination, as hosts with many machines have them by the thousand. Put together one by one they would be made anew again and
 * again; as a function of the destination they are made at once.
 */
import { addToAddress, onesAddress, type Address, type Family } from '../address/address.ts';
import type { Rule } from '../ruleset/rule.ts';
import { FALL, type Node } from './diagram.ts';
import type { AddressField, Layout } from './layout.ts';

/** The one destination that a rule is for, if it asks for nothing else. */
export function destinationOf(family: Family, rule: Rule | undefined): Address | undefined {
  if (rule?.matches.length !== 1) return undefined;
  const only = rule.matches[0];
  if (only?.kind !== 'destination' || only.not) return undefined;
  return only.value.mask === onesAddress(family) ? only.value.address : undefined;
}

/** An address, and what becomes of the packets with it. */
export type AddressCase = readonly [address: Address, to: Node];

/** What becomes of the packets with each of these addresses, which differ; FALL for all others. */
export function dispatched(layout: Layout, field: AddressField, cases: readonly AddressCase[]): Node {
  return layout.addressCases(field, FALL, (add) => {
    for (const [address, to] of inOrder(cases)) {
      const before = addToAddress(address, -1);
      if (before !== undefined) add(before, FALL);
      add(address, to);
    }
  });
}

/** nova writes them in order, or nearly so. */
function inOrder(cases: readonly AddressCase[]): readonly AddressCase[] {
  const isInOrder = cases.every(([address], index) => index === 0 || (cases[index - 1]?.[0] ?? address) < address);
  return isInOrder ? cases : [...cases].sort(([a], [b]) => (a < b ? -1 : 1));
}
