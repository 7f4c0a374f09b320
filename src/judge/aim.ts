/** What rulesets name, and what stands just beside it: where a wrong rule shows. */
import { addToAddress, fromBigint, onesAddress, familyOf, type Address } from '../address/address.ts';
import type { PortRange } from '../address/ports.ts';
import type { PacketsClaim } from '../claim/claim.ts';
import { conditionOf } from '../invariant/vocabulary/rule-set.ts';
import type { PacketSet } from '../packet/pattern.ts';
import type { Aim } from '../packet/sample.ts';
import type { AddressRange, MaskedAddress, Match, Rule, Ruleset, Target } from '../ruleset/rule.ts';

/** The first and last address of a masked one, and their neighbours outside. */
function aroundMasked({ address, mask }: MaskedAddress): Address[] {
  const family = familyOf(address);
  const last = fromBigint(family, BigInt(address) | (BigInt(onesAddress(family)) ^ BigInt(mask)));
  return aroundRange({ from: address, to: last });
}

const aroundRange = ({ from, to }: AddressRange): Address[] =>
  [addToAddress(from, -1), from, addToAddress(from, 1), addToAddress(to, -1), to, addToAddress(to, 1)].filter(
    (address): address is Address => address !== undefined,
  );

const aroundPorts = ({ from, to }: PortRange): number[] =>
  [from - 1, from, to, to + 1].filter((port) => port >= 0 && port <= 65535);

interface Named {
  readonly addresses: readonly Address[];
  readonly ports: readonly number[];
}

const NOTHING: Named = { addresses: [], ports: [] };

function namedByMatch(match: Match): Named {
  switch (match.kind) {
    case 'source':
    case 'destination':
      return { addresses: aroundMasked(match.value), ports: [] };
    case 'iprange':
      return {
        addresses: [match.source, match.destination].flatMap((range) => (range ? aroundRange(range.value) : [])),
        ports: [],
      };
    case 'tcp':
    case 'udp':
    case 'sctp':
      return {
        addresses: [],
        ports: [match.sport, match.dport].flatMap((range) => (range ? aroundPorts(range.value) : [])),
      };
    case 'multiport':
      return { addresses: [], ports: match.ports.flatMap(aroundPorts) };
    default:
      return NOTHING;
  }
}

function namedByTarget(target: Target | undefined): Named {
  if (target?.kind !== 'DNAT' && target?.kind !== 'SNAT' && target?.kind !== 'REDIRECT') return NOTHING;
  const { addresses, ports } = target.to;
  return { addresses: addresses ? aroundRange(addresses) : [], ports: ports ? aroundPorts(ports) : [] };
}

type Values = Required<Pick<Aim, 'addresses' | 'ports'>>;

/** The addresses and ports that rules name, each once, with their neighbours. */
export function aimOfRules(rules: Iterable<Rule>): Values {
  const addresses = new Set<Address>();
  const ports = new Set<number>();
  for (const rule of rules)
    for (const named of [...rule.matches.map(namedByMatch), namedByTarget(rule.target)]) {
      for (const address of named.addresses) addresses.add(address);
      for (const port of named.ports) ports.add(port);
    }
  return { addresses: [...addresses], ports: [...ports] };
}

/** What the rules of a claim's chain ask for, on whichever hosts there is one; nothing of those that ask for nothing. */
export function askedIn(
  rulesets: ReadonlyMap<string, readonly Ruleset[]>,
): (claim: PacketsClaim) => readonly PacketSet[] {
  const known = new Map<string, readonly PacketSet[]>();
  return ({ chain: name, family }) => {
    if (name === undefined) return [];
    const { table, chain } = name;
    const key = `${family} ${table} ${chain}`;
    let found = known.get(key);
    if (found === undefined) {
      found = [...rulesets.values()]
        .flat()
        .filter((ruleset) => ruleset.family === family)
        .flatMap(
          ({ tables }) => [...tables.values()].find(({ name: own }) => own === table)?.chains.get(chain)?.rules ?? [],
        )
        .filter(({ matches }) => matches.length > 0)
        .map(({ matches }) => conditionOf(matches, family).set);
      known.set(key, found);
    }
    return found;
  };
}

export const aimOf = (rulesets: Iterable<Ruleset>): Values =>
  aimOfRules(
    [...rulesets].flatMap(({ tables }) =>
      [...tables.values()].flatMap(({ chains }) => [...chains.values()].flatMap(({ rules }) => rules)),
    ),
  );

/** At most `count` of the list, from all over it, the one at `start` first. */
export function spread<T>(list: readonly T[], count = list.length, start = 0): readonly T[] {
  const step = Math.max(1, list.length / count);
  const chosen = Array.from({ length: Math.min(count, list.length) }, (_, at) => Math.floor(start + at * step));
  return chosen.flatMap((at) => list[at % list.length] ?? []);
}
