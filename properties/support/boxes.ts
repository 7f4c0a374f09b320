/**
 * What a chain makes of all packets, by boxes and subtraction: a second implementation, slow and simple, that shares nothing with the diagrams but the rules.
 * Of rules only those that test what boxes have, and decide or call.
 */
import { anyAddress, subtractRanges, type Ranges } from '../../src/address/ranges.ts';
import { lastAddress, lengthOfMask } from '../../src/address/address.ts';
import type { ConntrackState } from '../../src/packet/packet.ts';
import { CONNTRACK_STATES, icmpOf } from '../../src/packet/packet.ts';
import {
  ANY_OCTET,
  ANY_PORTS,
  intersectSets,
  patternOf,
  subtractSets,
  unionSets,
  type PacketSet,
  type Pattern,
} from '../../src/packet/pattern.ts';
import type { Chain, Match, Negatable, Rule } from '../../src/ruleset/rule.ts';
import type { Family } from '../../src/address/address.ts';
import type { PortRange } from '../../src/address/ports.ts';

const NOTHING: PacketSet = { boxes: [] };

const unless = (not: boolean, all: Ranges<number>, ranges: Ranges<number>): Ranges<number> =>
  not ? subtractRanges(all, ranges) : ranges;

const ports = (field: 'sport' | 'dport', port: Negatable<PortRange> | undefined): Partial<Pattern> =>
  port === undefined ? {} : { [field]: unless(port.not, ANY_PORTS, [port.value]) };

/** As iptables-nft compares two ports that are negated, both at once: a packet meets them unless it has both, which is no box (netfilter/nft-reading.ts). */
const isNotBoth = (...given: readonly (Negatable<PortRange> | undefined)[]): boolean =>
  given.every((port) => port?.not === true && port.value.from === port.value.to);

/** The packets of one match; undefined where boxes cannot say it. */
function fieldsOf(match: Match, family: Family): Partial<Pattern> | undefined {
  switch (match.kind) {
    case 'source':
    case 'destination': {
      const { address, mask } = match.value;
      const length = lengthOfMask(mask);
      if (length === undefined) return undefined;
      const range = { from: address, to: lastAddress({ address, length }) };
      const held = match.not ? subtractRanges(anyAddress(family), [range]) : [range];
      return match.kind === 'source' ? { saddr: held } : { daddr: held };
    }
    case 'protocol':
      return { protocol: unless(match.not, ANY_OCTET, [{ from: match.protocol, to: match.protocol }]) };
    case 'tcp':
      return match.flags === undefined && match.option === undefined && !isNotBoth(match.sport, match.dport)
        ? { ...ports('sport', match.sport), ...ports('dport', match.dport) }
        : undefined;
    case 'udp':
      if ([match.sport, match.dport].some((port) => port !== undefined && port.value.from > port.value.to))
        return undefined;
      if (isNotBoth(match.sport, match.dport)) return undefined;
      return { ...ports('sport', match.sport), ...ports('dport', match.dport) };
    case 'icmp':
    case 'icmp6': {
      const protocol = icmpOf(family);
      const type = match.value;
      if (type === undefined || type.not || type.value.type === 255) return undefined;
      return {
        protocol: [{ from: protocol, to: protocol }],
        type: [{ from: type.value.type, to: type.value.type }],
        code: [type.value.codes],
      };
    }
    case 'state': {
      const named: ReadonlySet<ConntrackState> = new Set(match.states);
      return { states: CONNTRACK_STATES.filter((state) => named.has(state) !== match.not) };
    }
    case 'comment':
      return {};
    default:
      return undefined;
  }
}

/** The packets that meet all matches. Undefined where boxes cannot say it. */
function packetsOf({ matches }: Rule, family: Family): PacketSet | undefined {
  let packets: PacketSet = { boxes: [patternOf({ family })].filter((box) => box !== undefined) };
  for (const match of matches) {
    const fields = fieldsOf(match, family);
    if (fields === undefined) return undefined;
    const isEmpty = Object.values(fields).some((values) => Array.isArray(values) && values.length === 0);
    const box = isEmpty ? undefined : patternOf({ family, ...fields });
    packets = box === undefined ? NOTHING : intersectSets(packets, { boxes: [box] });
  }
  return packets;
}

const TARGETS = new Set(['ACCEPT', 'DROP', 'REJECT', 'RETURN', 'jump', 'goto']);

/** A rule that this file understands. */
export const isBoxRule = (rule: Rule, family: Family): boolean =>
  rule.target !== undefined && TARGETS.has(rule.target.kind) && packetsOf(rule, family) !== undefined;

interface Walked {
  readonly accepted: PacketSet;
  /** What goes on behind the call. */
  readonly rest: PacketSet;
}

/** What becomes of `packets` in a chain all of whose rules are understood; chains must not call each other in a circle. */
export function walkBoxes(
  chains: ReadonlyMap<string, Chain>,
  name: string,
  packets: PacketSet,
  family: Family,
): Walked {
  let rest = packets;
  let accepted = NOTHING;
  let returned = NOTHING;
  for (const rule of chains.get(name)?.rules ?? []) {
    const matched = intersectSets(rest, packetsOf(rule, family) ?? NOTHING);
    if (matched.boxes.length === 0) continue;
    rest = subtractSets(rest, matched);
    const { target } = rule;
    if (target?.kind === 'ACCEPT') accepted = unionSets(accepted, matched);
    else if (target?.kind === 'RETURN') returned = unionSets(returned, matched);
    else if (target?.kind === 'jump' || target?.kind === 'goto') {
      const called = walkBoxes(chains, target.chain, matched, family);
      accepted = unionSets(accepted, called.accepted);
      if (target.kind === 'jump') rest = unionSets(rest, called.rest);
      else returned = unionSets(returned, called.rest);
    }
  }
  return { accepted, rest: unionSets(rest, returned) };
}
