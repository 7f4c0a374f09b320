/**
 * Matches, as understood: each match of a rule becomes a predicate over a packet on its way.
 *
 * The answer is of Kleene's logic: true, false, or undefined where the model does not know. Source: net/ipv4/netfilter/ip_tables.c (ip_packet_match) and
 * net/netfilter/xt_*.c, one function each; observed facts S5, S16, S17, S22-S24, S29.
 */
import { match as when, P } from 'ts-pattern';
import { familyOf, maskAddress, type Address } from '../address/address.ts';
import { portRangeContains, type PortRange } from '../address/ports.ts';
import { isOfAddressTypes } from '../host/route.ts';
import { TCP, hasPorts, type Packet } from '../packet/packet.ts';
import { packetLength } from '../packet/length.ts';
import type {
  AddressRange,
  ConntrackStateName,
  ConntrackStatusName,
  MaskedAddress,
  Match,
  Negatable,
  TcpFlags,
} from '../ruleset/rule.ts';
import type { Connection } from './conntrack.ts';
import { setContains } from './ipset.ts';
import { areComparedAsOne, isTranslated, misread, translatedFlags, translatedPort } from './nft-reading.ts';
import type { Skb } from './skb.ts';

export type Truth = boolean | undefined;
export type Predicate = (skb: Skb) => Truth;

const not = (truth: Truth): Truth => (truth === undefined ? undefined : !truth);

/** `! test` or `test`. */
const negated = (negate: boolean, test: Predicate): Predicate => (negate ? (skb) => not(test(skb)) : test);

/** All must hold: false as soon as one fails, unknown when none fails but one is unknown. */
export function every(tests: readonly Predicate[]): Predicate {
  const [first, second] = tests;
  if (first === undefined) return () => true;
  if (second === undefined) return first;
  return (skb) => {
    let truth: Truth = true;
    for (const test of tests) {
      const answer = test(skb);
      if (answer === false) return false;
      if (answer === undefined) truth = undefined;
    }
    return truth;
  };
}

const optional = <T>(value: Negatable<T> | undefined, test: (value: T) => Predicate): Predicate[] =>
  value === undefined ? [] : [negated(value.not, test(value.value))];

const inMaskedAddress = (masked: MaskedAddress, address: Address): boolean =>
  familyOf(masked.address) === familyOf(address) && maskAddress(address, masked.mask) === masked.address;

const inRange = (range: AddressRange, address: Address): boolean =>
  familyOf(range.from) === familyOf(address) && range.from <= address && address <= range.to;

/** An interface name against a pattern whose trailing `+` is a wildcard; no device is the empty name (S22). */
function interfaceTest(pattern: string): (name: string | undefined) => boolean {
  if (!pattern.endsWith('+')) return (name) => (name ?? '') === pattern;
  const start = pattern.slice(0, -1);
  return (name) => (name ?? '').startsWith(start);
}

const isLaterFragment = (packet: Packet): boolean => packet.fragment !== undefined && packet.fragment.offset > 0;

/** xt_tcpudp: a later fragment has no header and does not match; a tcp fragment at offset 1 is dropped outright, in IPv4, whose offsets are counted in eights (S24). */
function moduleTest(test: (packet: Packet) => boolean): Predicate {
  return (skb) => {
    const { packet } = skb;
    if (!isLaterFragment(packet)) return test(packet);
    if (packet.family === 4 && packet.protocol === TCP && packet.fragment?.offset === 1) skb.hotdrop = true;
    return false;
  };
}

/** What a later fragment holds before what is called its payload: where a careless reader finds ports. */
const LATER_OCTETS = 4;

/** nft's own instructions compare whatever octets they find in a later fragment, if there are enough of them (S24). */
function translatedTest(octets: number, test: (packet: Packet) => boolean): Predicate {
  return ({ packet }) =>
    isLaterFragment(packet)
      ? (packet.family === 6 || LATER_OCTETS + packet.payload >= octets) && test(misread(packet))
      : test(packet);
}

/** A negated header test still needs a header to look at. */
const headerTest = <T>(
  value: Negatable<T> | undefined,
  octets: number,
  test: (value: T, packet: Packet) => boolean,
): Predicate[] =>
  value === undefined ? [] : [translatedTest(octets, (packet) => test(value.value, packet) !== value.not)];

const holds = <T>(value: Negatable<T> | undefined, test: (value: T) => boolean): boolean =>
  value === undefined || test(value.value) !== value.not;

type Ports = Negatable<PortRange> | undefined;

/** Legacy's reading of a tcp or udp match, and nft's where it has one of its own. */
const byBackend = (
  match: Extract<Match, { kind: 'tcp' | 'udp' }>,
  more: (packet: Packet) => boolean,
  translated: readonly Predicate[],
): Predicate => {
  const { sport, dport } = match;
  const byModule = moduleTest(
    (packet) =>
      holds(sport, (range) => portRangeContains(range, packet.sport)) &&
      holds(dport, (range) => portRangeContains(range, packet.dport)) &&
      more(packet),
  );
  if (!isTranslated(match)) return byModule;
  const byNft = every([...portTests(translatedPort(sport), translatedPort(dport)), ...translated]);
  return (skb) => (skb.backend === 'nft' ? byNft : byModule)(skb);
};

/** nft's reading of ports. */
function portTests(sport: Ports, dport: Ports): Predicate[] {
  if (areComparedAsOne(sport, dport))
    return [translatedTest(4, (packet) => packet.sport !== sport?.value.from || packet.dport !== dport?.value.from)];
  return [
    ...headerTest(sport, 2, (range, packet) => portRangeContains(range, packet.sport)),
    ...headerTest(dport, 4, (range, packet) => portRangeContains(range, packet.dport)),
  ];
}

const unfragmented =
  (test: (packet: Packet) => boolean): Predicate =>
  (skb) =>
    !isLaterFragment(skb.packet) && test(skb.packet);

const portsTest = (which: 'sports' | 'dports' | 'ports', ranges: readonly PortRange[]) => {
  const listed = (port: number): boolean => ranges.some((range) => portRangeContains(range, port));
  return (packet: Packet): boolean =>
    hasPorts(packet.protocol) &&
    ((which !== 'dports' && listed(packet.sport)) || (which !== 'sports' && listed(packet.dport)));
};

/** The connection of a packet, where it has one. */
const connectionOf = (skb: Skb): Connection | undefined =>
  skb.tracked?.kind === 'flow' ? skb.tracked.connection : undefined;

/** The states that a packet is in at once: its own, and SNAT or DNAT. Without conntrack's verdict it is INVALID (S29). */
export function statesOf(skb: Skb): ReadonlySet<ConntrackStateName> {
  const states = new Set<ConntrackStateName>([skb.tracked?.state ?? 'INVALID']);
  const connection = connectionOf(skb);
  if (connection?.sourceNat === true) states.add('SNAT');
  if (connection?.destinationNat === true) states.add('DNAT');
  return states;
}

function inStates(names: readonly ConntrackStateName[]): Predicate {
  const wanted = new Set(names);
  return (skb) => {
    if (wanted.has(skb.tracked?.state ?? 'INVALID')) return true;
    const connection = connectionOf(skb);
    return (
      connection !== undefined &&
      ((connection.sourceNat && wanted.has('SNAT')) || (connection.destinationNat && wanted.has('DNAT')))
    );
  };
}

const ofConnection =
  (test: (connection: Connection, skb: Skb) => boolean): Predicate =>
  (skb) => {
    const connection = connectionOf(skb);
    return connection !== undefined && test(connection, skb);
  };

const hasStatus = (names: readonly ConntrackStatusName[], connection: Connection): boolean =>
  names.some((name) =>
    when(name)
      .with('SEEN_REPLY', () => connection.seenReply)
      .with('ASSURED', () => connection.assured)
      .with('CONFIRMED', () => connection.confirmed)
      // No helpers, so nothing is ever expected; NONE is an empty mask, which nothing meets.
      .with(P.union('EXPECTED', 'NONE'), () => false)
      .exhaustive(),
  );

type ConntrackMatch = Extract<Match, { kind: 'conntrack' }>;

/** conntrack_mt: without a connection the state is all that is asked. A rule that does not ask for it does not match then, negated or not. */
function conntrackTest(match: ConntrackMatch): Predicate {
  const ct = <T>(value: Negatable<T> | undefined, test: (value: T, connection: Connection) => boolean): Predicate[] =>
    value === undefined ? [] : [ofConnection((connection) => test(value.value, connection) !== value.not)];
  const { ctdir, ctstate } = match;
  const ofFlow = every([
    ...(ctdir === undefined
      ? []
      : [((skb) => skb.tracked?.kind === 'flow' && skb.tracked.direction === ctdir) satisfies Predicate]),
    ...ct(match.ctproto, (protocol, { original }) => original.protocol === protocol),
    ...ct(match.ctorigsrc, (address, { original }) => inMaskedAddress(address, original.saddr)),
    ...ct(match.ctorigdst, (address, { original }) => inMaskedAddress(address, original.daddr)),
    ...ct(match.ctreplsrc, (address, { reply }) => inMaskedAddress(address, reply.saddr)),
    ...ct(match.ctrepldst, (address, { reply }) => inMaskedAddress(address, reply.daddr)),
    ...ct(match.ctorigsrcport, (range, { original }) => portRangeContains(range, original.sport)),
    ...ct(match.ctorigdstport, (range, { original }) => portRangeContains(range, original.dport)),
    ...ct(match.ctreplsrcport, (range, { reply }) => portRangeContains(range, reply.sport)),
    ...ct(match.ctrepldstport, (range, { reply }) => portRangeContains(range, reply.dport)),
    ...ct(match.ctstatus, hasStatus),
    ...(match.ctexpire === undefined ? [] : [((skb) => (hasFlow(skb) ? undefined : false)) satisfies Predicate]),
  ]);
  if (ctstate === undefined) return ofFlow;
  return every([...optional(ctstate, inStates), (skb) => !hasFlow(skb) || ofFlow(skb)]);
}

const hasFlow = (skb: Skb): boolean => connectionOf(skb) !== undefined;

type PhysdevMatch = Extract<Match, { kind: 'physdev' }>;

/**
 * physdev_mt. A packet that came through no bridge meets only negated tests. One that did and is not bridged on has no port to leave by: then `--physdev-out`
 * does not match even negated, and without a port that it came in by `--physdev-in` is not asked.
 */
function physdevTest(match: PhysdevMatch): Predicate {
  const { isBridged, isIn, isOut } = match;
  const given = [isBridged, isIn, isOut, match.in, match.out].filter((test) => test !== undefined);
  const onlyNegated = given.every((test) => test.not);
  const is = (flag: { not: boolean } | undefined, port: string | undefined): boolean =>
    flag === undefined || (port !== undefined) !== flag.not;
  const portIn = match.in === undefined ? undefined : interfaceTest(match.in.value);
  const portOut = match.out === undefined ? undefined : interfaceTest(match.out.value);
  return ({ physin, physout }) => {
    if (physin === undefined && physout === undefined) return onlyNegated;
    if (!is(isBridged, physout) || !is(isIn, physin) || !is(isOut, physout)) return false;
    if (portIn !== undefined && physin !== undefined && portIn(physin) === match.in?.not) return false;
    return portOut === undefined || (physout !== undefined && portOut(physout) !== match.out?.not);
  };
}

type AddrtypeMatch = Extract<Match, { kind: 'addrtype' }>;

function addrtypeTest(match: AddrtypeMatch): Predicate {
  const device = (skb: Skb): string | undefined =>
    match.limit === undefined ? undefined : match.limit === 'in' ? skb.iif : skb.oif;
  const side = (value: AddrtypeMatch['source'], of: (packet: Packet) => Address): Predicate[] => {
    if (value === undefined) return [];
    return [(skb) => isOfAddressTypes(skb.host, of(skb.packet), value.value, device(skb)) !== value.not];
  };
  return every([...side(match.source, (packet) => packet.saddr), ...side(match.destination, (packet) => packet.daddr)]);
}

/** Compiles one match. Called once a rule, never per packet. */
export function compileMatch(match: Match): Predicate {
  return when(match)
    .returnType<Predicate>()
    .with(
      { kind: 'source' },
      ({ not: negate, value }) =>
        (skb) =>
          inMaskedAddress(value, skb.packet.saddr) !== negate,
    )
    .with(
      { kind: 'destination' },
      ({ not: negate, value }) =>
        (skb) =>
          inMaskedAddress(value, skb.packet.daddr) !== negate,
    )
    .with({ kind: 'in' }, ({ not: negate, name }) => {
      const test = interfaceTest(name);
      return (skb) => test(skb.iif) !== negate;
    })
    .with({ kind: 'out' }, ({ not: negate, name }) => {
      const test = interfaceTest(name);
      return (skb) => test(skb.oif) !== negate;
    })
    .with({ kind: 'protocol' }, ({ not: negate, protocol }) =>
      // 0 is `all`, which is no test.
      protocol === 0 ? () => true : (skb) => (skb.packet.protocol === protocol) !== negate,
    )
    .with(
      { kind: 'fragment' },
      ({ not: negate }) =>
        (skb) =>
          isLaterFragment(skb.packet) !== negate,
    )
    .with({ kind: 'tcp' }, (match) => {
      const { flags, option } = match;
      const areSet = ({ mask, compare }: TcpFlags, packet: Packet): boolean => (packet.flags & mask) === compare;
      return byBackend(
        match,
        // The model's segments carry no tcp options.
        (packet) => holds(flags, (wanted) => areSet(wanted, packet)) && (option === undefined || option.not),
        headerTest(translatedFlags(flags), 14, areSet),
      );
    })
    .with({ kind: 'udp' }, (match) => byBackend(match, () => true, []))
    .with({ kind: 'sctp' }, ({ sport, dport, chunks }) =>
      every([
        unfragmented(
          (packet) =>
            (sport === undefined || portRangeContains(sport.value, packet.sport) !== sport.not) &&
            (dport === undefined || portRangeContains(dport.value, packet.dport) !== dport.not),
        ),
        ...(chunks === undefined ? [] : [(() => undefined) satisfies Predicate]),
      ]),
    )
    .with({ kind: 'icmp' }, ({ value }) =>
      unfragmented(
        ({ type, code }) =>
          value === undefined ||
          (value.value.type === 255 || (value.value.type === type && portRangeContains(value.value.codes, code))) !==
            value.not,
      ),
    )
    .with({ kind: 'icmp6' }, ({ value }) =>
      unfragmented(
        ({ type, code }) =>
          value === undefined ||
          (value.value.type === type && portRangeContains(value.value.codes, code)) !== value.not,
      ),
    )
    .with({ kind: 'multiport' }, ({ which, not: negate, ports }) => {
      const test = portsTest(which, ports);
      return unfragmented((packet) => test(packet) !== negate);
    })
    .with({ kind: 'iprange' }, ({ source, destination }) =>
      every([
        ...optional(source, (range) => (skb) => inRange(range, skb.packet.saddr)),
        ...optional(destination, (range) => (skb) => inRange(range, skb.packet.daddr)),
      ]),
    )
    .with({ kind: 'state' }, ({ not: negate, states }) => {
      const wanted = new Set<string>(states);
      return (skb) => wanted.has(skb.tracked?.state ?? 'INVALID') !== negate;
    })
    .with({ kind: 'conntrack' }, conntrackTest)
    .with(
      { kind: 'mac' },
      ({ not: negate, mac }) =>
        // Without a MAC header there is nothing to compare, negated or not (xt_mac).
        (skb) =>
          skb.framed && (skb.packet.smac === mac) !== negate,
    )
    .with(
      { kind: 'mark' },
      ({ not: negate, value }) =>
        (skb) =>
          ((skb.packet.mark & value.mask) >>> 0 === value.value) !== negate,
    )
    .with({ kind: 'connmark' }, ({ not: negate, value }) =>
      ofConnection((connection) => ((connection.mark & value.mask) >>> 0 === value.value) !== negate),
    )
    .with({ kind: 'addrtype' }, addrtypeTest)
    .with({ kind: 'physdev' }, physdevTest)
    .with(
      { kind: 'pkttype' },
      ({ not: negate, type }) =>
        (skb) =>
          (skb.packetType === type) !== negate,
    )
    .with({ kind: 'comment' }, () => () => true)
    .with(
      { kind: 'length' },
      ({ not: negate, range }) =>
        (skb) =>
          portRangeContains(range, packetLength(skb.packet)) !== negate,
    )
    .with({ kind: P.union('ttl', 'hl') }, ({ test, value }) =>
      when(test)
        .returnType<Predicate>()
        .with('eq', () => (skb) => skb.packet.ttl === value)
        .with('ne', () => (skb) => skb.packet.ttl !== value)
        .with('lt', () => (skb) => skb.packet.ttl < value)
        .with('gt', () => (skb) => skb.packet.ttl > value)
        .exhaustive(),
    )
    .with({ kind: 'set' }, (set) => (skb) => {
      if (set.more.length > 0) return undefined;
      const known = skb.host.sets.get(set.name);
      const truth = known === undefined ? undefined : setContains(known, set.directions, skb, skb.host.sets);
      return set.not ? not(truth) : truth;
    })
    .with({ kind: 'unmodelled' }, () => () => undefined)
    .exhaustive();
}

/** Why a match may be unknown, in the user's words; undefined when it never is. */
export function unknownBecause(match: Match): string | undefined {
  switch (match.kind) {
    case 'unmodelled':
      return `-m ${match.module} is not modelled`;
    case 'set':
      return match.more.length > 0
        ? `-m set --match-set ${match.name} has options that are not modelled`
        : `the content of ipset ${match.name} is not known`;
    case 'sctp':
      return match.chunks === undefined ? undefined : '--chunk-types is not modelled';
    case 'conntrack':
      return match.ctexpire === undefined ? undefined : '--ctexpire needs a clock, which the model has not';
    default:
      return undefined;
  }
}
