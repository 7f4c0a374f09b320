/** The kinds of packets that a law has to have seen before it says anything. */
import type { Journey } from '../../src/netfilter/journey.ts';
import type { Seen } from './law.ts';

export const NAT_TARGETS: ReadonlySet<string> = new Set(['DNAT', 'SNAT', 'MASQUERADE', 'REDIRECT', 'NETMAP']);

/** In how many of a hundred cases a packet of the kind is, at least: about half of what `worldCase` really draws. */
export const COVER = {
  forwarded: { atLeast: 40 },
  delivered: { atLeast: 30 },
  'dropped by rule': { atLeast: 4 },
  translated: { atLeast: 10 },
  bridged: { atLeast: 6 },
  ESTABLISHED: { atLeast: 10 },
} as const;

/** Tells which of these kinds the journeys are of. */
export function tellKinds(journeys: readonly Journey[], seen: Seen): void {
  for (const { fate, state, steps } of journeys) {
    if (fate.kind === 'forwarded' || fate.kind === 'delivered') seen(fate.kind);
    if (fate.kind === 'rejected' || (fate.kind === 'dropped' && fate.line !== undefined)) seen('dropped by rule');
    if (state === 'ESTABLISHED') seen('ESTABLISHED');
    if (steps.some((step) => step.physout !== undefined)) seen('bridged');
    if (steps.some(({ target }) => NAT_TARGETS.has(target))) seen('translated');
  }
}
