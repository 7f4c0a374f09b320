/** A rule as the set of packets that it may match: what the laws about the text of rulesets compare. */
import { maskOf, lengthOfMask, familyOf, type Family } from '../../address/address.ts';
import { anyAddress, normalizeRanges, prefixRange, subtractRanges, type Ranges } from '../../address/ranges.ts';
import { icmpOf, TCP, UDP } from '../../packet/packet.ts';
import {
  ANY_OCTET,
  ANY_PORTS,
  anyPattern,
  complementWithin,
  intersectSets,
  PORT_PROTOCOLS,
  setOf,
  unionSets,
  type PacketSet,
  type Pattern,
} from '../../packet/pattern.ts';
import { flagRanges } from '../../packet/set-notation.ts';
import type { AddressRange, IcmpType, MaskedAddress, Match, Negatable } from '../../ruleset/rule.ts';
import { only } from './admission.ts';

/** What a rule asks of packets. */
export interface Condition {
  /** No packet outside it matches. */
  readonly set: PacketSet;
  /** Devices that it asks for: `-i`, `-o`. */
  readonly devices: readonly Extract<Match, { kind: 'in' | 'out' }>[];
  /** `--ctstate DNAT` (true) or `! --ctstate DNAT` (false), and nothing else about translation. */
  readonly translated?: boolean;
  /** The matches that are not told by the above, as text: where there are any, not all packets of the set match. */
  readonly rest: readonly string[];
}

export const anyCondition = (family: Family): Condition => ({
  set: { boxes: [anyPattern(family)] },
  devices: [],
  rest: [],
});

/** Both. The same question asked twice stays twice. */
export function both(a: Condition, b: Condition): Condition {
  const translated = b.translated ?? a.translated;
  const contrary = a.translated !== undefined && b.translated !== undefined && a.translated !== b.translated;
  return {
    set: contrary ? { boxes: [] } : intersectSets(a.set, b.set),
    devices: [...a.devices, ...b.devices],
    rest: [...a.rest, ...b.rest],
    ...(translated === undefined ? {} : { translated }),
  };
}

export const conditionOf = (matches: readonly Match[], family: Family): Condition =>
  matches.reduce((all, match) => both(all, conditionOfMatch(match, family)), anyCondition(family));

function conditionOfMatch(match: Match, family: Family): Condition {
  const any = anyCondition(family);
  const within = (set: PacketSet | undefined): Condition =>
    set === undefined ? { ...any, rest: [textOf(match)] } : { ...any, set };
  switch (match.kind) {
    case 'comment':
      return any;
    case 'in':
    case 'out':
      return { ...any, devices: [match] };
    case 'conntrack': {
      const { kind, ctstate, ...others } = match;
      const alone = Object.keys(others).length === 0;
      if (!alone || ctstate === undefined) return within(undefined);
      if (ctstate.value.length === 1 && ctstate.value[0] === 'DNAT') return { ...any, translated: !ctstate.not };
      return ctstate.value.some((state) => state === 'DNAT' || state === 'SNAT')
        ? within(undefined)
        : within(states(family, ctstate));
    }
    default:
      return within(setOfMatch(match, family));
  }
}

const textOf = (match: Match): string =>
  JSON.stringify(match, (_key, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value));

/** Exactly the packets that the match holds of; undefined where that cannot be said of a packet's header and state. */
function setOfMatch(match: Match, family: Family): PacketSet | undefined {
  switch (match.kind) {
    case 'source':
      return addresses(family, 'saddr', match.not, rangesOfMasked(match.value));
    case 'destination':
      return addresses(family, 'daddr', match.not, rangesOfMasked(match.value));
    case 'protocol':
      if (match.protocol === 0) return { boxes: [anyPattern(family)] };
      return fields(family, match.not, { protocol: only(match.protocol) });
    case 'tcp': {
      if (match.option !== undefined) return undefined;
      const flags =
        match.flags === undefined
          ? []
          : [
              fields(
                family,
                match.flags.not,
                { flags: flagRanges(match.flags.value.mask, match.flags.value.compare) },
                { protocol: only(TCP) },
              ),
            ];
      return every([...ports(family, TCP, match.sport, match.dport), ...flags]);
    }
    case 'udp':
      return every(ports(family, UDP, match.sport, match.dport));
    case 'icmp':
    case 'icmp6':
      return match.value === undefined
        ? fields(family, false, { protocol: only(icmpOf(family)) })
        : icmp(family, match.value);
    case 'multiport': {
      const list = normalizeRanges(match.ports.map(({ from, to }) => ({ from, to })));
      const source = setOf({ family, protocol: PORT_PROTOCOLS, sport: list });
      const destination = setOf({ family, protocol: PORT_PROTOCOLS, dport: list });
      const set =
        match.which === 'sports' ? source : match.which === 'dports' ? destination : unionSets(source, destination);
      return match.not ? without({ protocol: PORT_PROTOCOLS }, family, set) : set;
    }
    case 'iprange':
      return every([
        ...(match.source === undefined ? [] : [ofRange(family, 'saddr', match.source)]),
        ...(match.destination === undefined ? [] : [ofRange(family, 'daddr', match.destination)]),
      ]);
    case 'state':
      return states(family, { not: match.not, value: match.states });
    default:
      return undefined;
  }
}

const every = (sets: readonly (PacketSet | undefined)[]): PacketSet | undefined =>
  sets.reduce((all, set) => (all === undefined || set === undefined ? undefined : intersectSets(all, set)));

/** What is in the box of these fields and not in the set. */
function without(within: Partial<Pattern>, family: Family, set: PacketSet): PacketSet {
  const [box] = setOf({ family, ...within }).boxes;
  return box === undefined ? { boxes: [] } : complementWithin(box, set);
}

const fields = (family: Family, not: boolean, asked: Partial<Pattern>, within: Partial<Pattern> = {}): PacketSet =>
  not ? without(within, family, setOf({ family, ...within, ...asked })) : setOf({ family, ...within, ...asked });

function addresses(
  family: Family,
  field: 'saddr' | 'daddr',
  not: boolean,
  ranges: Ranges | undefined,
): PacketSet | undefined {
  if (ranges === undefined) return undefined;
  return setOf({ family, [field]: not ? subtractRanges(anyAddress(family), ranges) : ranges });
}

/** Undefined for a mask with holes. */
function rangesOfMasked({ address, mask }: MaskedAddress): Ranges | undefined {
  const length = lengthOfMask(mask);
  return length === undefined || mask !== maskOf(familyOf(address), length)
    ? undefined
    : [prefixRange({ address, length })];
}

const ofRange = (
  family: Family,
  field: 'saddr' | 'daddr',
  { not, value }: Negatable<AddressRange>,
): PacketSet | undefined => addresses(family, field, not, normalizeRanges([value]));

function ports(
  family: Family,
  protocol: number,
  sport: Negatable<{ from: number; to: number }> | undefined,
  dport: Negatable<{ from: number; to: number }> | undefined,
): readonly PacketSet[] {
  const ofPort = ({ not, value }: Negatable<{ from: number; to: number }>): Ranges<number> => {
    const list = normalizeRanges([{ from: value.from, to: value.to }]);
    return not ? subtractRanges(ANY_PORTS, list) : list;
  };
  return [
    setOf({
      family,
      protocol: only(protocol),
      ...(sport === undefined ? {} : { sport: ofPort(sport) }),
      ...(dport === undefined ? {} : { dport: ofPort(dport) }),
    }),
  ];
}

function icmp(family: Family, { not, value: { type, codes } }: Negatable<IcmpType>): PacketSet {
  const protocol = only(icmpOf(family));
  // 255 is how iptables writes `any` for IPv4 (libipt_icmp.c).
  const types = family === 4 && type === 255 ? ANY_OCTET : only(type);
  const code = normalizeRanges([{ from: codes.from, to: codes.to }]);
  return fields(family, not, { type: types, code }, { protocol });
}

const states = (family: Family, { not, value }: Negatable<readonly string[]>): PacketSet =>
  setOf({ family, states: anyPattern(family).states.filter((state) => value.includes(state) !== not) });
