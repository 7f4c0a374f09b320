/** Rules that would have matched a packet but for one thing that they ask: what to look at where a chain does not do what it promises. */
import { lengthOfMask, type Address } from '../address/address.ts';
import type { ChainName } from '../claim/claim.ts';
import type { Way } from '../network/walk.ts';
import type { Step } from '../netfilter/journey.ts';
import type { Packet } from '../packet/packet.ts';
import type { Match, Rule, Ruleset, Target } from '../ruleset/rule.ts';
import { fits } from './glimpse.ts';

export interface NearMiss {
  readonly host: string;
  readonly rule: Rule;
  /** From 1. */
  readonly number: number;
  /** What does not hold of the packet. */
  readonly but: Match;
}

/** The rules of a chain, at the hosts that a packet came through, that all but matched it: the nearest first, at most so many. */
export function nearMisses(
  way: Way,
  { table, chain }: ChainName,
  rulesetAt: (host: string) => Ruleset | undefined,
  isWanted: (target: Target | undefined) => boolean,
  most = 3,
): readonly NearMiss[] {
  const found = new Map<Rule, NearMiss & { readonly distance: number }>();
  for (const { host, journey } of way.hops) {
    const tables = [...(rulesetAt(host)?.tables.values() ?? [])];
    const rules = tables.find(({ name }) => name === table)?.chains.get(chain)?.rules ?? [];
    const step = journey.steps.find(
      (candidate) => candidate.table === table && (candidate.target === chain || candidate.hook === chain),
    );
    if (step === undefined) continue;
    for (const [index, rule] of rules.entries()) {
      if (!isWanted(rule.target)) continue;
      const failing = rule.matches.filter((match) => fits(match, step, journey.state) === false);
      const [but] = failing;
      if (but !== undefined && failing.length === 1)
        found.set(rule, { host, rule, number: index + 1, but, distance: distanceOf(but, step) });
    }
  }
  return [...found.values()]
    .sort((a, b) => a.distance - b.distance)
    .slice(0, most)
    .map(({ host, rule, number, but }) => ({ host, rule, number, but }));
}

const FAR = 1000;

/** How far a packet is from what a match asks: in bits of an address, in ports up to a hundred. */
function distanceOf(match: Match, { packet }: Step): number {
  switch (match.kind) {
    case 'source':
      return addressDistance(match.value, packet.saddr);
    case 'destination':
      return addressDistance(match.value, packet.daddr);
    case 'tcp':
    case 'udp':
      return portDistance(match, packet);
    default:
      return FAR;
  }
}

function addressDistance({ address, mask }: { address: Address; mask: Address }, value: Address): number {
  const differing = (BigInt(address) ^ BigInt(value)) & BigInt(mask);
  return differing === 0n ? 0 : differing.toString(2).length - trailing(mask);
}

/** The bits that a mask leaves out at its end. */
const trailing = (mask: Address): number => BigInt(mask).toString(2).length - (lengthOfMask(mask) ?? 0);

function portDistance({ sport, dport }: Extract<Match, { kind: 'tcp' | 'udp' }>, packet: Packet): number {
  const distances = (
    [
      [sport, packet.sport],
      [dport, packet.dport],
    ] as const
  ).map(([range, port]) => (range === undefined ? 0 : Math.max(0, range.value.from - port, port - range.value.to)));
  return Math.min(100, Math.max(...distances));
}
