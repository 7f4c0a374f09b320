/** What the step of a journey tells of a packet as the rules of a chain saw it: enough for the matches that ask of headers, devices and the state. */
import { compileMatch } from '../netfilter/match.ts';
import type { Step } from '../netfilter/journey.ts';
import type { Skb } from '../netfilter/skb.ts';
import type { ConntrackState } from '../packet/packet.ts';
import type { Match } from '../ruleset/rule.ts';

const HEADERS_AND_DEVICES: ReadonlySet<string> = new Set([
  'source',
  'destination',
  'in',
  'out',
  'protocol',
  'tcp',
  'udp',
  'icmp',
  'icmp6',
  'multiport',
  'iprange',
]);

/** True for a match that asks nothing but what a step tells. */
const isTold = ({ kind }: Match): boolean => HEADERS_AND_DEVICES.has(kind);

/** What no such match asks for. */
const NOWHERE = {
  host: { name: '', interfaces: [], bridges: [], routes: [], neighbours: [], sysctl: new Map(), sets: new Map() },
  backend: 'nft',
  framed: true,
  packetType: 'unicast',
  hotdrop: false,
} as const;

/** The packet of a step by which it came into a chain. */
const glimpse = ({ packet, hook, iif, oif }: Step): Skb => ({ ...NOWHERE, packet, hook, iif, oif });

/** Does a match hold of it; undefined where a step does not tell. */
export function fits(match: Match, step: Step, state: ConntrackState): boolean | undefined {
  if (match.kind === 'state') return match.states.includes(state) !== match.not;
  return isTold(match) ? compileMatch(match)(glimpse(step)) : undefined;
}
