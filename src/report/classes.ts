/** The classes of changes, as reports show them. */
import type { ChangeClass } from '../space/table-difference.ts';

export const SIGNS: Readonly<Record<ChangeClass, string>> = {
  widened: '+',
  narrowed: '-',
  retranslated: '~',
  rerouted: '~',
  refusal: '~',
  stateful: '~',
  marked: '~',
  logged: '~',
  undecided: '?',
};

/** How many regions there are of each class. */
export function countsOf(
  regions: readonly { readonly classes: readonly ChangeClass[] }[],
): ReadonlyMap<ChangeClass, number> {
  const found = new Map<ChangeClass, number>();
  for (const { classes } of regions) for (const one of classes) found.set(one, (found.get(one) ?? 0) + 1);
  return found;
}
