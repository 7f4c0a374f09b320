/**
 * Rulesets of typed rules, aimed at the landmarks of the generated hosts: every match and target that the model claims, in the tables and hooks in
 * which iptables takes them, in built-in chains and in chains that those call. A few are rulesets that a restore refuses.
 */
import fc from 'fast-check';
import { maskOf, widthOf, type Address, type Family } from '../address/address.ts';
import type { PortRange } from '../address/ports.ts';
import { ACK, DCCP, FIN, ICMP, ICMPV6, PSH, RST, SCTP, SYN, TCP, UDP, UDPLITE, URG, icmpOf } from '../packet/packet.ts';
import { printRuleBody } from '../ruleset/print.ts';
import type {
  ConntrackStateName,
  ConntrackStatusName,
  HookName,
  Match,
  MaskedAddress,
  NatRange,
  RawOption,
  RejectWith,
  TableName,
  Target,
} from '../ruleset/rule.ts';
import { BUILT_IN_CHAINS } from '../ruleset/rule.ts';
import { LANDMARKS, MACS, type Landmarks } from './host.ts';

/** A chain that rules are put in: a built-in one, or the first or second of the chains that it calls. */
interface Place {
  readonly table: TableName;
  readonly hook: HookName;
  readonly depth: 0 | 1 | 2;
}

const nameOf = ({ hook, depth }: Place): string => (depth === 0 ? hook : `${hook.toLowerCase()}-${depth}`);

const TABLES: readonly TableName[] = ['raw', 'mangle', 'nat', 'filter'];

const PLACES: readonly Place[] = TABLES.flatMap((table) =>
  BUILT_IN_CHAINS[table].flatMap((hook) =>
    ([0, 1, 2] as const).flatMap((depth): Place[] =>
      // Most rules where most rules are: the filter and nat tables' own chains.
      Array<Place>(depth === 0 ? (table === 'filter' || table === 'nat' ? 4 : 2) : 1).fill({ table, hook, depth }),
    ),
  ),
);

/** Ports that packets of generated conversations have, so that a rule has a chance. */
export const PORTS = [22, 53, 80, 8775, 511, 1000, 5000, 40000, 40001] as const;

const arbitraryPort = (): fc.Arbitrary<number> =>
  fc.oneof(
    { arbitrary: fc.constantFrom(...PORTS), weight: 8 },
    { arbitrary: fc.integer({ min: 0, max: 65535 }), weight: 1 },
  );

const arbitraryPortRange = (): fc.Arbitrary<PortRange> =>
  fc.oneof(
    arbitraryPort().map((port) => ({ from: port, to: port })),
    fc.tuple(arbitraryPort(), arbitraryPort()).map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) })),
  );

/** Every address that means something here. */
export const landmarkAddresses = (marks: Landmarks): readonly Address[] => [
  ...marks.instances,
  marks.stranger,
  marks.bridge,
  marks.host,
  ...marks.floating,
  marks.third,
  marks.thirdMachine,
  marks.client,
  marks.outside,
  marks.gateway,
  marks.metadata,
  ...marks.odd,
];

const arbitraryAddress = (family: Family): fc.Arbitrary<Address> =>
  fc.constantFrom(...landmarkAddresses(LANDMARKS[family]));

const maskedWith = (family: Family, address: Address, length: number): MaskedAddress => {
  const mask = maskOf(family, length);
  return {
    address:
      typeof address === 'number' && typeof mask === 'number' ? (address & mask) >>> 0 : BigInt(address) & BigInt(mask),
    mask,
  };
};

/** Mostly a network that somebody would write, now and then one of any length, or a mask with holes. */
const arbitraryNetwork = (family: Family): fc.Arbitrary<MaskedAddress> =>
  fc
    .tuple(
      arbitraryAddress(family),
      fc.oneof(
        {
          arbitrary: fc.constantFrom(...(family === 4 ? [32, 32, 24, 16, 30, 8] : [128, 128, 64, 48, 126])),
          weight: 8,
        },
        { arbitrary: fc.integer({ min: 1, max: widthOf(family) }), weight: 1 },
      ),
      fc.tuple(fc.nat({ max: 11 }), fc.nat({ max: widthOf(family) - 1 })),
    )
    .map(([address, length, [holed, hole]]) => {
      const network = maskedWith(family, address, length);
      return holed === 11 ? withHole(network, widthOf(family) - 1 - hole) : network;
    });

/** The same network, but that one bit does not count. */
function withHole({ address, mask }: MaskedAddress, bit: number): MaskedAddress {
  if (typeof address === 'bigint' || typeof mask === 'bigint') {
    const rest = ~(1n << BigInt(bit));
    return { address: BigInt(address) & rest, mask: BigInt(mask) & rest };
  }
  const rest = ~(1 << bit);
  return { address: (address & rest) >>> 0, mask: (mask & rest) >>> 0 };
}

const negated = fc.boolean();
const rarely = fc.integer({ min: 0, max: 3 }).map((value) => value === 3);
const negatable = <T>(value: fc.Arbitrary<T>) => fc.record({ not: rarely, value });

const DEVICES = ['br100', 'eth0', 'eth2', 'lo', 'eth+', 'br+', '+', 'vnet0'] as const;

const STATES = ['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED'] as const;
const CT_STATES: readonly ConntrackStateName[] = [...STATES, 'SNAT', 'DNAT'];
const CT_STATUSES: readonly ConntrackStatusName[] = ['NONE', 'EXPECTED', 'SEEN_REPLY', 'ASSURED', 'CONFIRMED'];

const FLAG_MASKS = [
  { mask: SYN | ACK | RST | FIN, compare: SYN },
  { mask: SYN | ACK, compare: SYN | ACK },
  { mask: ACK, compare: ACK },
  { mask: RST, compare: RST },
  { mask: FIN | URG | PSH, compare: FIN },
  { mask: 0x3f, compare: 0 },
];

const octet = fc.nat({ max: 255 });

const optional = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined });

/** An object without the fields that are undefined. */
function present<T extends object>(fields: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>;
  };
}

/** The matches that hang on a protocol, with the protocol before them. */
function arbitraryProtocolMatches(family: Family): fc.Arbitrary<readonly Match[]> {
  const icmp = icmpOf(family);
  const protocol = (number: number): Match => ({ kind: 'protocol', not: false, protocol: number });
  const ports = { sport: optional(negatable(arbitraryPortRange())), dport: optional(negatable(arbitraryPortRange())) };
  const multiport = fc
    .record({
      kind: fc.constant('multiport' as const),
      which: fc.constantFrom('sports' as const, 'dports' as const, 'ports' as const),
      not: rarely,
      // A range counts as two of the fifteen that there may be.
      ports: fc.array(arbitraryPortRange(), { minLength: 1, maxLength: 7 }),
    })
    .map((match): Match => match);
  const withOptional = (number: number, matches: fc.Arbitrary<readonly Match[]>) =>
    matches.map((list) => [protocol(number), ...list]);
  const types = family === 4 ? [8, 0, 3, 11, 5, 13] : [128, 129, 1, 2, 3, 135];
  return fc.oneof(
    { arbitrary: fc.constant([] as readonly Match[]), weight: 8 },
    {
      arbitrary: withOptional(
        TCP,
        fc
          .record({
            ...ports,
            flags: optional(
              negatable(
                fc.oneof(
                  { arbitrary: fc.constantFrom(...FLAG_MASKS), weight: 4 },
                  { arbitrary: fc.record({ mask: fc.nat({ max: 63 }), compare: fc.nat({ max: 63 }) }), weight: 1 },
                ),
              ),
            ),
            option: rarely.map((is) => (is ? { not: true, value: 5 } : undefined)),
          })
          .map((fields): Match[] => [{ kind: 'tcp', ...present(fields) }]),
      ),
      weight: 4,
    },
    {
      arbitrary: withOptional(
        UDP,
        fc.record(ports).map((fields): Match[] => [{ kind: 'udp', ...present(fields) }]),
      ),
      weight: 4,
    },
    {
      arbitrary: withOptional(
        icmp,
        fc
          .tuple(
            negatable(
              fc.record({
                type: fc.oneof({ arbitrary: fc.constantFrom(...types), weight: 6 }, { arbitrary: octet, weight: 1 }),
                codes: fc.oneof(
                  {
                    arbitrary: fc.constantFrom({ from: 0, to: 255 }, { from: 0, to: 0 }, { from: 3, to: 3 }),
                    weight: 6,
                  },
                  { arbitrary: octet.map((code) => ({ from: code, to: code })), weight: 1 },
                ),
              }),
            ),
            fc.integer({ min: 0, max: 59 }),
          )
          // `-m icmp` without a type is refused: once in a while.
          .map(([value, rare]): Match[] => [
            { kind: icmp === ICMP ? 'icmp' : 'icmp6', ...(rare === 59 ? {} : { value }) },
          ]),
      ),
      weight: 4,
    },
    {
      arbitrary: withOptional(
        SCTP,
        fc.record(ports).map((fields): Match[] => [{ kind: 'sctp', ...present(fields) }]),
      ),
      weight: 1,
    },
    {
      arbitrary: fc
        .tuple(fc.constantFrom(TCP, UDP, TCP, UDP, TCP, UDP, SCTP, UDPLITE, DCCP), multiport)
        .map(([number, match]) => [protocol(number), match]),
      weight: 3,
    },
    {
      arbitrary: fc
        .tuple(
          fc.oneof(
            { arbitrary: fc.constantFrom(TCP, UDP, ICMP, ICMPV6, SCTP, 47), weight: 4 },
            { arbitrary: fc.integer({ min: 1, max: 255 }), weight: 1 },
          ),
          negated,
        )
        .map(([number, not]): readonly Match[] => [{ kind: 'protocol', not, protocol: number }]),
      weight: 3,
    },
  );
}

/** A match that stands alone, for rules at `place`. */
function arbitraryMatch(family: Family): fc.Arbitrary<Match> {
  const marks = LANDMARKS[family];
  const address = (kind: 'source' | 'destination') =>
    fc.record({ kind: fc.constant(kind), not: rarely, value: arbitraryNetwork(family) }).map((match): Match => match);
  const device = (kind: 'in' | 'out') =>
    fc.record({ kind: fc.constant(kind), not: rarely, name: fc.constantFrom(...DEVICES) }).map((match): Match => match);
  const conntrack = fc
    .record({
      ctstate: optional(negatable(fc.uniqueArray(fc.constantFrom(...CT_STATES), { minLength: 1, maxLength: 3 }))),
      ctdir: optional(fc.constantFrom('ORIGINAL' as const, 'REPLY' as const)),
      ctstatus: optional(negatable(fc.uniqueArray(fc.constantFrom(...CT_STATUSES), { minLength: 1, maxLength: 2 }))),
      ctproto: optional(negatable(fc.constantFrom(TCP, UDP, icmpOf(family)))),
      ctorigsrc: optional(negatable(arbitraryNetwork(family))),
      ctorigdst: optional(negatable(arbitraryNetwork(family))),
      ctreplsrc: optional(negatable(arbitraryNetwork(family))),
      ctrepldst: optional(negatable(arbitraryNetwork(family))),
      ctorigsrcport: optional(negatable(arbitraryPortRange())),
      ctorigdstport: optional(negatable(arbitraryPortRange())),
      ctreplsrcport: optional(negatable(arbitraryPortRange())),
      ctrepldstport: optional(negatable(arbitraryPortRange())),
      which: fc.integer({ min: 0, max: 20 }),
    })
    // One test a rule, ctstate most often, or two: a conjunction of many would never match.
    .map(({ which, ...fields }): Match => {
      const names = Object.keys(fields).filter((name) => fields[name as keyof typeof fields] !== undefined);
      const name = which < 12 && fields.ctstate !== undefined ? 'ctstate' : names[which % Math.max(1, names.length)];
      if (name === undefined) return { kind: 'conntrack', ctstate: { not: false, value: ['NEW'] } };
      const second = which % 5 === 0 ? (names[(which * 3) % names.length] ?? name) : name;
      return {
        kind: 'conntrack',
        [name]: fields[name as keyof typeof fields],
        [second]: fields[second as keyof typeof fields],
      };
    });
  const portNames = ['vnet0', 'vnet1', 'vnet+', 'eth1'] as const;
  const physdev = fc
    .record({
      in: optional(negatable(fc.constantFrom(...portNames))),
      out: optional(negatable(fc.constantFrom(...portNames))),
      isIn: optional(fc.record({ not: rarely })),
      isOut: optional(fc.record({ not: rarely })),
      isBridged: optional(fc.record({ not: rarely })),
      which: fc.nat({ max: 4 }),
    })
    .map(({ which, ...fields }): Match => {
      const names = Object.keys(fields).filter((name) => fields[name as keyof typeof fields] !== undefined);
      const name = names[which % Math.max(1, names.length)];
      if (name === undefined) return { kind: 'physdev', isBridged: { not: false } };
      const second = which === 4 ? (names[0] ?? name) : name;
      return {
        kind: 'physdev',
        [name]: fields[name as keyof typeof fields],
        [second]: fields[second as keyof typeof fields],
      };
    });
  const addresses = landmarkAddresses(marks);
  const rangeOf = fc
    .tuple(fc.constantFrom(...addresses), fc.constantFrom(...addresses))
    .map(([a, b]) => (a < b ? { from: a, to: b } : { from: b, to: a }));
  // IPv6 knows no broadcasts, and ip6tables refuses to ask for them.
  const common = ['UNICAST', 'LOCAL', 'MULTICAST', ...(family === 4 ? (['BROADCAST'] as const) : [])] as const;
  const addressTypes = fc.oneof(
    { arbitrary: fc.constantFrom(...common), weight: 12 },
    { arbitrary: fc.constantFrom('UNSPEC', 'ANYCAST', 'BLACKHOLE', 'UNREACHABLE', 'PROHIBIT', 'THROW'), weight: 1 },
  );
  return fc.oneof(
    { arbitrary: address('source'), weight: 6 },
    { arbitrary: address('destination'), weight: 6 },
    { arbitrary: device('in'), weight: 4 },
    { arbitrary: device('out'), weight: 4 },
    {
      arbitrary: fc
        .record({
          kind: fc.constant('state' as const),
          not: rarely,
          states: fc.uniqueArray(fc.constantFrom(...STATES), { minLength: 1, maxLength: 3 }),
        })
        .map((match): Match => match),
      weight: 4,
    },
    { arbitrary: conntrack, weight: 6 },
    { arbitrary: physdev, weight: 2 },
    {
      arbitrary: fc
        .record({
          kind: fc.constantFrom('mark' as const, 'connmark' as const),
          not: rarely,
          value: fc.record({
            value: fc.constantFrom(0, 1, 2, 3, 0x80000001),
            mask: fc.constantFrom(0xffffffff, 0xffffffff, 1, 3, 0x80000000, 0),
          }),
        })
        .map(({ kind, not, value }): Match => ({
          kind,
          not,
          value: { ...value, value: (value.value & value.mask) >>> 0 },
        })),
      weight: 3,
    },
    {
      arbitrary: fc
        .record({
          source: optional(negatable(rangeOf)),
          destination: optional(negatable(rangeOf)),
        })
        .map(({ source, destination }): Match =>
          source === undefined && destination === undefined
            ? { kind: 'iprange', source: { not: false, value: { from: marks.instances[0], to: marks.instances[1] } } }
            : { kind: 'iprange', ...present({ source, destination }) },
        ),
      weight: 2,
    },
    {
      arbitrary: fc
        .record({ kind: fc.constant('mac' as const), not: rarely, mac: fc.constantFrom(MACS.instance0, MACS.client) })
        .map((match): Match => match),
      weight: 1,
    },
    {
      arbitrary: fc
        .record({
          which: fc.constantFrom('source' as const, 'destination' as const),
          types: negatable(fc.uniqueArray(addressTypes, { minLength: 1, maxLength: 2 })),
          limit: fc.constantFrom(undefined, undefined, undefined, 'in' as const, 'out' as const),
        })
        .map(({ which, types, limit }): Match => ({
          kind: 'addrtype',
          [which]: types,
          ...(limit === undefined ? {} : { limit }),
        })),
      weight: 2,
    },
    {
      arbitrary: fc
        .record({
          kind: fc.constant('pkttype' as const),
          not: rarely,
          type: fc.constantFrom(
            'unicast' as const,
            'broadcast' as const,
            'multicast' as const,
            'unicast' as const,
            'broadcast' as const,
            'otherhost' as const,
          ),
        })
        .map((match): Match => match),
      weight: 1,
    },
    {
      arbitrary: fc
        .record({
          kind: fc.constant('length' as const),
          not: rarely,
          range: fc.constantFrom(
            { from: 0, to: 40 },
            { from: 28, to: 28 },
            { from: 48, to: 48 },
            { from: 0, to: 65535 },
            { from: 41, to: 65535 },
          ),
        })
        .map((match): Match => match),
      weight: 1,
    },
    {
      arbitrary: fc
        .record({
          test: fc.constantFrom('eq' as const, 'ne' as const, 'lt' as const, 'gt' as const),
          value: fc.constantFrom(64, 63, 2, 1, 0, 255),
        })
        .map(({ test, value }): Match => ({ kind: family === 4 ? 'ttl' : 'hl', test, value })),
      weight: 1,
    },
    ...(family === 4 ? [{ arbitrary: negated.map((not): Match => ({ kind: 'fragment', not })), weight: 1 }] : []),
    { arbitrary: fc.constantFrom('a comment', 'nova').map((text): Match => ({ kind: 'comment', text })), weight: 1 },
  );
}

const REJECTS: Readonly<Record<Family, readonly RejectWith[]>> = {
  4: [
    'icmp-port-unreachable',
    'icmp-net-unreachable',
    'icmp-host-unreachable',
    'icmp-proto-unreachable',
    'icmp-net-prohibited',
    'icmp-host-prohibited',
    'icmp-admin-prohibited',
    'tcp-reset',
  ],
  6: [
    'icmp6-no-route',
    'icmp6-adm-prohibited',
    'icmp6-addr-unreachable',
    'icmp6-port-unreachable',
    'icmp6-policy-fail',
    'icmp6-reject-route',
    'tcp-reset',
  ],
};

/** A target with what it demands of the rule: a protocol, for ports and resets. */
interface Choice {
  readonly target: Target | undefined;
  readonly demands?: 'ports' | 'tcp' | 'syn';
}

/** Where NAT sends to: somebody's address, with or without ports. */
function arbitraryNatRange(family: Family, source: boolean): fc.Arbitrary<NatRange> {
  const marks = LANDMARKS[family];
  const addresses: readonly Address[] = source
    ? [...marks.floating, marks.host, marks.third]
    : [...marks.instances, marks.host, marks.bridge, marks.thirdMachine, marks.client, ...marks.odd.slice(0, 1)];
  const address = fc.constantFrom(...addresses).map((one) => ({ from: one, to: one }));
  const ports = fc.constantFrom<PortRange>({ from: 8775, to: 8775 }, { from: 22, to: 22 }, { from: 2000, to: 2003 });
  const flag = rarely.map((is): Pick<NatRange, 'persistent'> => (is ? { persistent: true } : {}));
  return fc.oneof(
    { arbitrary: fc.tuple(address, flag).map(([addresses, more]) => ({ addresses, ...more })), weight: 8 },
    { arbitrary: fc.record({ addresses: address, ports }), weight: 6 },
    { arbitrary: ports.map((range) => ({ ports: range })), weight: 2 },
    // Sources only: what the kernel chose for a destination is told by nothing but the quotation where the packet then ends in an error.
    ...(source
      ? [
          {
            arbitrary: fc
              .tuple(address, fc.constantFrom<Partial<NatRange>>({ random: true }, { randomFully: true }))
              .map(([addresses, more]) => ({ addresses, ...more })),
            weight: 1,
          },
        ]
      : []),
  );
}

function arbitraryTarget(family: Family): fc.Arbitrary<(place: Place) => Choice> {
  const verdicts = fc.constantFrom('ACCEPT' as const, 'DROP' as const, 'RETURN' as const);
  const mask = fc.constantFrom(0xffffffff, 0xffffffff, 1, 2, 0x80000000, 0);
  const mark = fc.record({ value: fc.constantFrom(0, 1, 2, 3, 0x80000001), mask });
  return fc
    .record({
      kind: fc.nat({ max: 25 }),
      verdict: verdicts,
      reject: fc.constantFrom(...REJECTS[family]),
      sourceRange: arbitraryNatRange(family, true),
      destinationRange: arbitraryNatRange(family, false),
      ports: fc.constantFrom<PortRange | undefined>(
        undefined,
        undefined,
        { from: 8775, to: 8775 },
        { from: 2000, to: 2003 },
      ),
      netmap: fc.constantFrom(
        maskedWith(family, LANDMARKS[family].instances[0], widthOf(family) - 8),
        maskedWith(family, LANDMARKS[family].third, widthOf(family) - 8),
      ),
      mark,
      ctmask: mask,
      nfmask: mask,
      operation: fc.constantFrom('set' as const, 'save' as const, 'restore' as const),
      ttl: fc.record({
        operation: fc.constantFrom('set' as const, 'inc' as const, 'dec' as const),
        value: fc.constantFrom(1, 2, 60),
      }),
    })
    .map((choice) => (place: Place) => chooseTarget(place, family, choice));
}

interface TargetChoice {
  readonly kind: number;
  readonly verdict: 'ACCEPT' | 'DROP' | 'RETURN';
  readonly reject: RejectWith;
  readonly sourceRange: NatRange;
  readonly destinationRange: NatRange;
  readonly ports: PortRange | undefined;
  readonly netmap: MaskedAddress;
  readonly mark: { readonly value: number; readonly mask: number };
  readonly ctmask: number;
  readonly nfmask: number;
  readonly operation: 'set' | 'save' | 'restore';
  readonly ttl: { readonly operation: 'set' | 'inc' | 'dec'; readonly value: number };
}

const SET_MSS: RawOption = { not: false, name: 'set-mss', values: ['1360'] };

const withPorts = (target: Target, to: NatRange): Choice =>
  to.ports === undefined ? { target } : { target, demands: 'ports' };

function chooseTarget(place: Place, family: Family, choice: TargetChoice): Choice {
  const { kind } = choice;
  // A chain that calls the next one: without such rules the deeper chains are never met.
  if (place.depth < 2 && kind < 6) {
    const chain = nameOf({ ...place, depth: place.depth === 0 ? 1 : 2 });
    return { target: { kind: kind === 5 ? 'goto' : 'jump', chain } };
  }
  if (kind < 8) return { target: undefined };
  if (kind === 8) return { target: { kind: 'LOG', options: [] } };
  if (kind === 9)
    return {
      target: {
        kind: 'CONNMARK',
        operation: choice.operation,
        value: choice.mark,
        ctmask: choice.ctmask,
        nfmask: choice.nfmask,
      },
    };
  if (kind === 24) return { target: { kind: 'NFLOG', options: [] } };
  if (place.table === 'nat') return natTarget(place, choice);
  if (kind < 16) return { target: { kind: choice.verdict === 'DROP' && kind > 12 ? 'ACCEPT' : choice.verdict } };
  if (place.table === 'raw')
    return {
      target:
        kind < 19
          ? { kind: 'CT', notrack: true, options: [] }
          : kind === 19
            ? { kind: 'NOTRACK' }
            : { kind: 'MARK', value: choice.mark },
    };
  if (place.table === 'mangle') {
    if (kind < 20) return { target: { kind: 'MARK', value: choice.mark } };
    if (kind === 25) return { target: { kind: 'CHECKSUM' } };
    if (kind === 23) return { target: { kind: 'TCPMSS', options: [SET_MSS] }, demands: 'syn' };
    return { target: { kind: family === 4 ? 'TTL' : 'HL', ...choice.ttl } };
  }
  if (kind < 19) return { target: { kind: choice.verdict } };
  return choice.reject === 'tcp-reset'
    ? { target: { kind: 'REJECT', with: choice.reject }, demands: 'tcp' }
    : { target: { kind: 'REJECT', with: choice.reject } };
}

function natTarget({ hook }: Place, choice: TargetChoice): Choice {
  const { kind, ports } = choice;
  if (kind < 12) return { target: { kind: choice.verdict === 'DROP' ? 'RETURN' : choice.verdict } };
  if (kind === 12) return { target: { kind: 'NETMAP', to: choice.netmap } };
  const other: NatRange = ports === undefined ? {} : { ports };
  if (hook === 'PREROUTING' || hook === 'OUTPUT') {
    return kind < 15
      ? withPorts({ kind: 'REDIRECT', to: other }, other)
      : withPorts({ kind: 'DNAT', to: choice.destinationRange }, choice.destinationRange);
  }
  return kind < 15 && hook === 'POSTROUTING'
    ? withPorts({ kind: 'MASQUERADE', to: other }, other)
    : withPorts({ kind: 'SNAT', to: choice.sourceRange }, choice.sourceRange);
}

/** One rule and where it stands. */
export interface GeneratedRule {
  readonly table: TableName;
  readonly chain: string;
  readonly matches: readonly Match[];
  readonly target?: Target;
}

const SYNS: readonly Match[] = [
  { kind: 'protocol', not: false, protocol: TCP },
  { kind: 'tcp', flags: { not: false, value: { mask: SYN | RST, compare: SYN } } },
];

function arbitraryRule(family: Family): fc.Arbitrary<GeneratedRule> {
  return fc
    .record({
      place: fc.constantFrom(...PLACES),
      protocolMatches: arbitraryProtocolMatches(family),
      matches: fc.oneof<fc.MaybeWeightedArbitrary<readonly Match[]>[]>(
        { arbitrary: fc.constant([]), weight: 3 },
        { arbitrary: fc.array(arbitraryMatch(family), { minLength: 1, maxLength: 2 }), weight: 4 },
      ),
      target: arbitraryTarget(family),
      asIs: fc.integer({ min: 0, max: 59 }).map((value) => value === 59),
    })
    .map(({ place, protocolMatches, matches, target, asIs }) => {
      const { target: chosen, demands } = target(place);
      const protocol =
        demands === 'syn'
          ? SYNS
          : demands === undefined ||
              protocolMatches.some(
                (match) => match.kind === (demands === 'tcp' ? 'tcp' : 'udp') || match.kind === 'tcp',
              )
            ? protocolMatches
            : ([{ kind: 'protocol', not: false, protocol: demands === 'tcp' ? TCP : UDP }] as const);
      // What a built-in chain of this hook would refuse is left out, but for a few rules: refusing is a thing to compare, too.
      const allowed = asIs ? matches : matches.filter((match) => isAllowed(match, place));
      const ordered = [...allowed.filter(isBasic), ...protocol, ...allowed.filter((match) => !isBasic(match))];
      return {
        table: place.table,
        chain: nameOf(place),
        matches: unique(ordered),
        ...(chosen === undefined ? {} : { target: chosen }),
      };
    });
}

const isBasic = (match: Match): boolean => ['source', 'destination', 'in', 'out', 'fragment'].includes(match.kind);

/** A second `-s`, `-i` or the like would be refused by iptables itself. */
function unique(matches: readonly Match[]): Match[] {
  const seen = new Set<string>();
  return matches.filter((match) => {
    if (seen.has(match.kind)) return false;
    seen.add(match.kind);
    return true;
  });
}

function isAllowed(match: Match, place: Place): boolean {
  const { hook, depth } = place;
  switch (match.kind) {
    case 'in':
      return depth > 0 || (hook !== 'OUTPUT' && hook !== 'POSTROUTING');
    case 'out':
      return depth > 0 || (hook !== 'PREROUTING' && hook !== 'INPUT');
    case 'addrtype':
      // addrtype_mt_checkentry_v1: no device that the hook has not.
      return match.limit === undefined || isAllowed({ kind: match.limit, not: false, name: '' }, place);
    case 'mac':
      return hook === 'PREROUTING' || hook === 'INPUT' || hook === 'FORWARD';
    case 'physdev':
      // `--physdev-out` and `--physdev-is-out` are for packets that are leaving (xt_physdev: physdev_mt_check).
      return (
        !(hook === 'OUTPUT' || hook === 'PREROUTING' || hook === 'INPUT') ||
        (match.out === undefined && match.isOut === undefined && hook !== 'OUTPUT')
      );
    default:
      return true;
  }
}

/** A ruleset as text, with what it was made of. */
export interface GeneratedRuleset {
  readonly family: Family;
  readonly rules: readonly GeneratedRule[];
  /** Built-in chains whose policy is DROP: `filter FORWARD`. */
  readonly drops: readonly string[];
  readonly text: string;
}

/** Policies that are not ACCEPT; one of nat loads, and drops (S27). */
const arbitraryDrops = (): fc.Arbitrary<readonly string[]> =>
  fc.oneof(
    { arbitrary: fc.constant([]), weight: 4 },
    {
      arbitrary: fc.subarray(
        ['filter FORWARD', 'filter INPUT', 'filter OUTPUT', 'mangle FORWARD', 'nat POSTROUTING', 'nat PREROUTING'],
        { maxLength: 2 },
      ),
      weight: 1,
    },
  );

export const arbitraryRuleset = (family: Family = 4, maxRules = 24): fc.Arbitrary<GeneratedRuleset> =>
  fc
    .record({ rules: fc.array(arbitraryRule(family), { maxLength: maxRules, size: 'max' }), drops: arbitraryDrops() })
    .map(({ rules: drawn, drops }) => {
      const rules = withSameLengths(drawn);
      return { family, rules, drops, text: printGenerated(rules, drops) };
    });

/** TCPMSS gives a SYN without an mss one, which is four octets longer: the model's segments have no tcp options, and no rule may ask for the length then. */
const withSameLengths = (rules: readonly GeneratedRule[]): readonly GeneratedRule[] =>
  rules.some(({ target }) => target?.kind === 'TCPMSS')
    ? rules.filter(({ matches }) => matches.every(({ kind }) => kind !== 'length'))
    : rules;

/** Chains of which each calls the next, about as deep as nft follows (15). */
export const arbitraryLadder = (): fc.Arbitrary<readonly GeneratedRule[]> =>
  fc
    .record({
      place: fc.constantFrom(...PLACES.filter(({ depth }) => depth === 0)),
      depth: fc.integer({ min: 12, max: 17 }),
      goto: fc.nat({ max: 60 }),
      isUpsideDown: fc.boolean(),
    })
    .map(({ place, depth, goto, isUpsideDown }) => {
      const { table, hook } = place;
      const chains = [hook, ...Array.from({ length: depth }, (_, index) => `rung-${index + 1}`)];
      const rules = chains.slice(1).map((chain, index): GeneratedRule => ({
        table,
        chain: chains[index] ?? hook,
        matches: [],
        target: { kind: index === goto ? 'goto' : 'jump', chain },
      }));
      return isUpsideDown ? rules.reverse() : rules;
    });

/** The text as iptables-save would print it, but for counters: the four tables, their chains, the rules. */
export function printGenerated(rules: readonly GeneratedRule[], drops: readonly string[] = []): string {
  return TABLES.flatMap((table) => {
    const own = rules.filter((rule) => rule.table === table);
    const builtIn: readonly string[] = BUILT_IN_CHAINS[table];
    const named = own.flatMap(({ chain, target }) => [
      chain,
      ...(target?.kind === 'jump' || target?.kind === 'goto' ? [target.chain] : []),
    ]);
    const users = [...new Set(named)].filter((chain) => !builtIn.includes(chain));
    return [
      `*${table}`,
      ...builtIn.map((chain) => `:${chain} ${drops.includes(`${table} ${chain}`) ? 'DROP' : 'ACCEPT'} [0:0]`),
      ...users.map((chain) => `:${chain} - [0:0]`),
      ...own.map(({ chain, ...rule }) => `-A ${chain} ${printRuleBody(ruleBody(rule))}`.trimEnd()),
      'COMMIT',
    ];
  })
    .map((line) => `${line}\n`)
    .join('');
}

const ruleBody = ({
  matches,
  target,
}: Omit<GeneratedRule, 'chain'>): { matches: readonly Match[]; target?: Target } => ({
  matches,
  ...(target === undefined ? {} : { target }),
});
