/** What an operator's own rules, which were there before nova, let through: nova promises nothing about that. */
import type { Family } from '../../address/address.ts';
import type { DeploymentHost } from '../../deployment/deployment.ts';
import { CONNTRACK_STATES, type ConntrackState } from '../../packet/packet.ts';
import { intersectSets, NO_PACKET, setOf, unionSets, type PacketSet } from '../../packet/pattern.ts';
import { calledBy } from '../../ruleset/calls.ts';
import { readRuleset } from '../../ruleset/parse.ts';
import type { Match } from '../../ruleset/rule.ts';
import { conditionOf } from './rule-set.ts';
import { rulesIn, rulesOf } from './text.ts';

/**
 * The headers of packets in `state` that an operator's FORWARD may accept, and never fewer: interfaces, and matches that no set tells, are taken to fit.
 * Undefined where the operator translates or marks as well, so that a header says nothing of how the packet looks in FORWARD.
 */
export const forwardedByOperator = (
  host: DeploymentHost,
  family: Family,
  state: ConntrackState,
): PacketSet | undefined => acceptedByOperator(host, 'FORWARD', family, state);

/** The same of INPUT, for packets that come in by a device of the IP layer. */
export const letInByOperator = (
  host: DeploymentHost,
  family: Family,
  state: ConntrackState,
  device: string,
): PacketSet | undefined => acceptedByOperator(host, 'INPUT', family, state, device);

function acceptedByOperator(
  { rules, name }: DeploymentHost,
  hook: 'INPUT' | 'FORWARD',
  family: Family,
  state: ConntrackState,
  device?: string,
): PacketSet | undefined {
  const text = rules.get(family);
  if (text === undefined) return NO_PACKET;
  const ruleset = readRuleset(text, { path: `the rules of ${name}`, family });
  if ((['raw', 'mangle', 'nat'] as const).some((table) => rulesOf(ruleset, table).length > 0)) return undefined;
  let found = NO_PACKET;
  const seen = new Set<string>([hook]);
  const pending: string[] = [hook];
  for (let chain = pending.pop(); chain !== undefined; chain = pending.pop())
    for (const { rule } of rulesIn(ruleset, 'filter', chain)) {
      if (device !== undefined && rule.matches.some((match) => excludes(match, device))) continue;
      const { kind } = rule.target ?? {};
      if (kind === 'ACCEPT' || kind === 'unmodelled') found = unionSets(found, conditionOf(rule.matches, family).set);
      const called = calledBy(rule);
      if (called === undefined || seen.has(called)) continue;
      seen.add(called);
      pending.push(called);
    }
  const inState = intersectSets(found, setOf({ family, states: [state] }));
  return { boxes: inState.boxes.map((box) => ({ ...box, states: CONNTRACK_STATES })) };
}

/** True for `-i NAME`, without a wildcard, of another device. */
const excludes = (match: Match, device: string): boolean =>
  match.kind === 'in' && !match.not && !match.name.endsWith('+') && match.name !== device;
