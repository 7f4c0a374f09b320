/**
 * Does a mistake change what becomes of any packet? Decided exactly, of all packets that can come to the host, in both postures: first table by table, which needs no packet; and where some
 * table does tell packets apart, by the difference on the host, of packets in every state.
 *
 * A packet's way through one host is compared. What leaves a host as before, and is asked for by nothing else, fares as before everywhere. Of flows that exist it is asserted that they do: what a
 * flow's packets meet in raw, mangle and filter are headers and the state, and both are asked for; nat is only asked for the first.
 */
import { POSTURES, type Posture } from '../claim/claim.ts';
import type { Network } from '../network/network.ts';
import type { Backend } from '../netfilter/skb.ts';
import { CONNTRACK_STATES } from '../packet/packet.ts';
import { anyPattern, type PacketSet } from '../packet/pattern.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { hostDifference, type WayRegion } from '../space/host-difference.ts';
import { HostWays } from '../space/host-ways.ts';
import { isSomeChange, rulesChange } from '../space/rules-change.ts';
import { hardenedRuleset } from './hardened.ts';
import { OTHER_INTERFACE } from './mutation.ts';

export type Comparison =
  /** `tables`: no table makes anything else of any packet. `host`: some does, of packets that do not come there, or of which others make the same. */
  | { readonly kind: 'same'; readonly by: 'tables' | 'host' }
  | { readonly kind: 'changed'; readonly posture: Posture; readonly region: WayRegion };

/** One ruleset of one host, compared with others that name nothing else. */
export class Comparisons {
  readonly #ways: HostWays;
  readonly #rulesets: Readonly<Record<Posture, Ruleset>>;

  constructor(network: Network, host: string, ruleset: Ruleset, backend: Backend = 'nft') {
    const found = network.hosts.find(({ name }) => name === host);
    if (found === undefined) throw new Error(`there is no host ${host}`);
    this.#rulesets = { 'as-given': ruleset, hardened: hardenedRuleset(ruleset) };
    this.#ways = new HostWays(found, {
      family: ruleset.family,
      backend,
      rulesets: [ruleset],
      more: { devices: [OTHER_INTERFACE] },
    });
  }

  /** Throws SpaceLimitError. */
  with(changed: Ruleset): Comparison {
    const { ground, host } = this.#ways;
    const now = { 'as-given': changed, hardened: hardenedRuleset(changed) };
    const changedIn = POSTURES.filter((posture) =>
      isSomeChange(rulesChange(ground, host, this.#rulesets[posture], now[posture])),
    );
    for (const posture of changedIn) {
      const within = inEveryState(changed.family);
      const [region] = hostDifference(this.#ways, this.#rulesets[posture], now[posture], {
        within,
        conversations: false,
      });
      if (region !== undefined) return { kind: 'changed', posture, region };
    }
    return { kind: 'same', by: changedIn.length === 0 ? 'tables' : 'host' };
  }
}

/** Any packet as conntrack finds it, and in each state that can be asserted. */
const inEveryState = (family: Ruleset['family']): PacketSet => ({
  boxes: [
    anyPattern(family),
    ...CONNTRACK_STATES.filter((state) => state !== 'NEW').map((state) => ({ ...anyPattern(family), states: [state] })),
  ],
});
