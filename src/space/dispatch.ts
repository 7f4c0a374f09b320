/**
 * Rules that are each for one destination, as hosts with many machines have them by the thousand. Put together one by one they would be made anew again and
 * again; as a function of the destination they are made at once.
 */
import { addToAddress, onesAddress, type Address } from '../address/address.ts';
import type { Rule } from '../ruleset/rule.ts';
import { FALL, type Node } from './diagram.ts';
import type { AddressField, Layout } from './layout.ts';

/** The one destination that a rule is for, if it asks for nothing else. */
export function destinationOf(layout: Layout, rule: Rule | undefined): Address | undefined {
  if (rule?.matches.length !== 1) return undefined;
  const only = rule.matches[0];
  if (only?.kind !== 'destination' || only.not) return undefined;
  return only.value.mask === onesAddress(layout.family) ? only.value.address : undefined;
}

/** What becomes of the packets with each of these addresses; FALL for all others. */
export function dispatched(layout: Layout, field: AddressField, ends: ReadonlyMap<Address, Node>): Node {
  const sorted = [...ends].sort(([a], [b]) => (a < b ? -1 : 1));
  return layout.addressCases(field, FALL, (add) => {
    for (const [address, to] of sorted) {
      const before = addToAddress(address, -1);
      if (before !== undefined) add(before, FALL);
      add(address, to);
    }
  });
}
