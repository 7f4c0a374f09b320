/**
 * Matches over all packets at once: the set of those that meet a rule. The same meaning, case for case, as netfilter/match.ts, whose sources are named
 * there; a match that the model does not know is an unknown of its own, and both its answers are followed.
 */
import { familyOf } from '../address/address.ts';
import { intersectRanges, normalizeRanges, subtractRanges, type Ranges } from '../address/ranges.ts';
import { portRangeContains, type PortRange } from '../address/ports.ts';
import type { Host, IpSet, IpSetEntry, IpSetField } from '../host/host.ts';
import { isOfAddressTypes } from '../host/route.ts';
import { DCCP, ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE } from '../packet/packet.ts';
import type { AddressRange, ConntrackStateName, MaskedAddress, Match, Negatable, TcpFlags } from '../ruleset/rule.ts';
import { printMatch } from '../ruleset/print.ts';
import {
  IPV6_HEADER_FLAGS,
  IPV6_HEADER_PORTS,
  areComparedAsOne,
  isTranslated,
  translatedFlags,
  translatedPort,
} from '../netfilter/nft-reading.ts';
import type { Backend } from '../netfilter/skb.ts';
import { NO, YES, type Node } from './diagram.ts';
import { addressRuns } from './host-addresses.ts';
import {
  LAST_FLOW_STATE,
  NOT_SEEN,
  maskedRanges,
  single,
  stateNumber,
  type AddressField,
  type Field,
  type Layout,
} from './layout.ts';

/** Where rules stand, and of which host. */
export interface Scene {
  readonly backend: Backend;
  /** Absent: any host; what kind an address is to it is then unknown. */
  readonly host?: Host;
  /** False: packets are whole, as they are wherever conntrack is on. */
  readonly parts: boolean;
  /** Where there are several hosts: what is not known on one is another unknown on the next. */
  readonly where?: string;
}

/** A test of one field: `inside`, which tests later levels only, for the packets that pass, and the terminal `outside` for others. */
interface Test {
  readonly level: number;
  readonly within: (inside: Node, outside: Node) => Node;
  /** Of a field of numbers: those that pass. */
  readonly numbers?: { readonly field: Field; readonly held: Ranges<number> };
}

type Part = Test | Node;

const isMisreadAs = (field: 'sport' | 'dport', { value, not }: Negatable<PortRange>): boolean =>
  portRangeContains(value, IPV6_HEADER_PORTS[field]) !== not;

/** The values of the octet of flags that `--tcp-flags` accepts. */
const flagsOf = ({ value: { mask, compare } }: Negatable<TcpFlags>) =>
  (compare & ~mask) === 0 ? maskedRanges(compare, mask, 255) : [];

const PORT_PROTOCOLS = [TCP, UDP, DCCP, SCTP, UDPLITE];
const PORT_PROTOCOL_RANGES = normalizeRanges(PORT_PROTOCOLS.map((protocol) => ({ from: protocol, to: protocol })));
const INVALID = stateNumber('INVALID');
const IPV4_HEADER = 20;

export class Conditions {
  readonly #layout: Layout;
  readonly #scene: Scene;
  readonly #kinds = new Map<string, Node>();
  /** Of matches that are all known, by what they lead to: rules of equal text share their list of matches (ruleset/plain.ts). */
  readonly #known = new Map<number, Map<readonly Match[], Node>>();
  #unknowns = 0;

  constructor(layout: Layout, scene: Scene) {
    this.#layout = layout;
    this.#scene = scene;
  }

  /** The packets that meet all matches. `place` names what is not known: the same place and text are the same unknown. */
  all(matches: readonly Match[], place: UnknownPlace): Node {
    return this.leaf(matches, place, YES, NO);
  }

  /** One terminal for the packets that meet all matches, and another for the others: NO, or FALL. */
  leaf(matches: readonly Match[], place: UnknownPlace, inside: Node, outside: Node): Node {
    const known = this.#knownOf(inside, outside);
    const node = known.get(matches);
    if (node !== undefined) return node;
    const before = this.#unknowns;
    const parts: Part[] = [];
    for (const match of matches) parts.push(...this.#parts(match, place));
    const made = this.#conjunction(parts, inside, outside);
    if (this.#unknowns === before) known.set(matches, made);
    return made;
  }

  #knownOf(inside: Node, outside: Node): Map<readonly Match[], Node> {
    // There are two terminals outside.
    const key = outside === NO ? 2 * inside : 2 * inside + 1;
    let known = this.#known.get(key);
    if (known === undefined) {
      known = new Map();
      this.#known.set(key, known);
    }
    return known;
  }

  /** How often something was met that is not known; what was made in between depends on its place. */
  get unknowns(): number {
    return this.#unknowns;
  }

  /**
   * The packets that these matches drop, whatever the rule says (an IPv4 tcp fragment at offset 1 at legacy's module, S24): those that the matches before
   * the tcp header's let through.
   */
  dropped(matches: readonly Match[], place: UnknownPlace): Node {
    if (!this.#scene.parts || this.#layout.family === 6) return NO;
    const { diagrams } = this.#layout;
    const at = matches.findIndex((match) => match.kind === 'tcp' && this.#isByModule(match));
    if (at < 0) return NO;
    const before = this.all(matches.slice(0, at), place);
    const possible = diagrams.substitute(
      diagrams.mapping((node) => (node === NO ? NO : YES), this.#layout.floor),
      before,
    );
    return diagrams.and(possible, diagrams.and(this.#numbers('protocol', [TCP]), this.#numbers('part', [1])));
  }

  #conjunction(parts: readonly Part[], inside = YES, outside = NO): Node {
    const { diagrams } = this.#layout;
    const nodes: Node[] = [];
    /** One of each level, the lowest first: from there on they are put one above the other. */
    const byLevel: Test[] = [];
    for (const part of parts) {
      if (typeof part === 'number') {
        nodes.push(part);
        continue;
      }
      let at = 0;
      while ((byLevel[at]?.level ?? -1) > part.level) at++;
      const other = byLevel[at];
      if (other?.level !== part.level) byLevel.splice(at, 0, part);
      // A second test of a field cannot be put above the first: two of numbers are one, any other is a set of its own.
      else if (other.numbers === undefined || part.numbers === undefined) nodes.push(part.within(YES, NO));
      else byLevel[at] = this.#held(part.numbers.field, intersectRanges(other.numbers.held, part.numbers.held));
    }
    const node = byLevel.reduce((below, test) => test.within(below, outside), inside);
    return nodes.reduce((one, set) => (outside === NO ? diagrams.and(set, one) : diagrams.guard(set, one)), node);
  }

  // --- single fields -----------------------------------------------------------------------------------------------------------------

  #field(field: Field, ranges: Ranges<number>, not: boolean): Test {
    const layout = this.#layout;
    const all = (): Ranges<number> => [{ from: 0, to: layout.diagrams.maxOf(layout.level(field)) }];
    return this.#held(field, not ? subtractRanges(all(), ranges) : ranges);
  }

  #held(field: Field, held: Ranges<number>): Test {
    const layout = this.#layout;
    return {
      level: layout.level(field),
      within: (inside, outside) => layout.chooseNumbers(field, held, inside, outside),
      numbers: { field, held },
    };
  }

  #values(field: Field, values: readonly number[], not = false): Test {
    const [only] = values;
    const ranges =
      values.length === 1 && only !== undefined
        ? single(only)
        : normalizeRanges(values.map((value) => ({ from: value, to: value })));
    return this.#field(field, ranges, not);
  }

  #numbers(field: Field, values: readonly number[]): Node {
    return this.#values(field, values).within(YES, NO);
  }

  #masked(field: AddressField, { address, mask }: MaskedAddress, not: boolean): Test {
    const layout = this.#layout;
    const level = layout.level(field);
    if (familyOf(address) !== layout.family) return { level, within: (inside, outside) => (not ? inside : outside) };
    return {
      level,
      within: (inside, outside) =>
        not
          ? layout.chooseMasked(field, address, mask, outside, inside)
          : layout.chooseMasked(field, address, mask, inside, outside),
    };
  }

  #between(field: AddressField, { value, not }: Negatable<AddressRange>): Test {
    const layout = this.#layout;
    const level = layout.level(field);
    if (familyOf(value.from) !== layout.family || value.from > value.to)
      return { level, within: (inside, outside) => (not ? inside : outside) };
    return {
      level,
      within: (inside, outside) =>
        not
          ? layout.chooseAddresses(field, [value], outside, inside)
          : layout.chooseAddresses(field, [value], inside, outside),
    };
  }

  #device(field: 'iif' | 'oif', pattern: string, not: boolean): Test {
    return this.#values(field, this.#layout.alphabets.devices.matching(pattern), not);
  }

  #or(...parts: readonly Part[]): Node {
    return this.#layout.diagrams.orAll(parts.map((part) => (typeof part === 'number' ? part : part.within(YES, NO))));
  }

  #not(part: Node): Node {
    return this.#layout.diagrams.not(part);
  }

  /** What the model does not know: true or false. */
  #unknown(match: Match, { name }: UnknownPlace): Node {
    this.#unknowns++;
    const layout = this.#layout;
    const where = this.#scene.where === undefined ? '' : `${this.#scene.where} `;
    return layout.diagrams.choose(layout.unknown(`${where}${name(printMatch(match))}`), single(1), YES, NO);
  }

  #whole(): readonly Part[] {
    return this.#scene.parts ? [this.#values('part', [0])] : [];
  }

  #isByModule(match: Extract<Match, { kind: 'tcp' | 'udp' }>): boolean {
    return this.#scene.backend === 'legacy' || !isTranslated(match);
  }

  /** xt_tcpudp: what has no header does not match. */
  #byModule(match: Extract<Match, { kind: 'tcp' | 'udp' }>): readonly Part[] {
    const { sport, dport } = match;
    const { flags, option } = match.kind === 'tcp' ? match : {};
    return [
      ...this.#whole(),
      ...(sport === undefined ? [] : [this.#field('sport', [sport.value], sport.not)]),
      ...(dport === undefined ? [] : [this.#field('dport', [dport.value], dport.not)]),
      ...(flags === undefined ? [] : [this.#field('flags', flagsOf(flags), flags.not)]),
      // The model's segments carry no tcp options.
      ...(option === undefined || option.not ? [] : [NO]),
    ];
  }

  /** nft's own instructions. */
  #translated(match: Extract<Match, { kind: 'tcp' | 'udp' }>): readonly Part[] {
    const flags = translatedFlags(match.kind === 'tcp' ? match.flags : undefined);
    const ports = this.#ports(translatedPort(match.sport), translatedPort(match.dport));
    return [...ports, ...(flags === undefined ? [] : [this.#flags(flags)])];
  }

  /**
   * nft's test of the transport header. A later fragment has none, and what nft takes for one is compared (S24): in IPv4 `later4`, if there are so many octets, in
   * IPv6 `later6` (netfilter/nft-reading.ts).
   */
  #header(octets: number, whole: Part, later4: Part, later6: Part): Part {
    if (!this.#scene.parts) return whole;
    const isWhole = this.#values('part', [0]);
    const ofWhole = this.#conjunction([whole, isWhole.within(YES, NO)]);
    const isLater = this.#values('part', [0], true).within(YES, NO);
    const longEnough = this.#field('length', [{ from: IPV4_HEADER + octets, to: 65535 }], false);
    const ofLater = this.#conjunction(
      this.#layout.family === 4 ? [later4, isLater, longEnough.within(YES, NO)] : [later6, isLater],
    );
    return this.#layout.diagrams.or(ofWhole, ofLater);
  }

  #ports(sport: Negatable<PortRange> | undefined, dport: Negatable<PortRange> | undefined): readonly Part[] {
    if (sport !== undefined && dport !== undefined && areComparedAsOne(sport, dport)) {
      const either = this.#or(this.#field('sport', [sport.value], true), this.#field('dport', [dport.value], true));
      return [this.#header(4, either, either, isMisreadAs('sport', sport) || isMisreadAs('dport', dport) ? YES : NO)];
    }
    return [
      ...(sport === undefined ? [] : [this.#port('sport', 2, sport)]),
      ...(dport === undefined ? [] : [this.#port('dport', 4, dport)]),
    ];
  }

  #port(field: 'sport' | 'dport', octets: number, port: Negatable<PortRange>): Part {
    const part = this.#field(field, [port.value], port.not);
    return this.#header(octets, part, part, isMisreadAs(field, port) ? YES : NO);
  }

  /** As `-m conntrack` and `-m state` name states; what conntrack has not seen is INVALID to them (S29). */
  #inStates(names: readonly ConntrackStateName[]): readonly Part[] {
    const own = names.flatMap((name) =>
      name === 'SNAT' || name === 'DNAT' ? [] : name === 'INVALID' ? [INVALID, NOT_SEEN] : [stateNumber(name)],
    );
    const test = this.#values('ct', own);
    const translated = [
      ...(names.includes('SNAT') ? [this.#numbers('sourceNat', [1])] : []),
      ...(names.includes('DNAT') ? [this.#numbers('destinationNat', [1])] : []),
    ];
    if (translated.length === 0) return [test];
    return [this.#or(test, this.#ofFlow(this.#or(...translated)))];
  }

  #ofFlow(part: Part): Node {
    const { diagrams } = this.#layout;
    const flow = this.#field('ct', [{ from: 0, to: LAST_FLOW_STATE }], false).within(YES, NO);
    return diagrams.and(flow, typeof part === 'number' ? part : part.within(YES, NO));
  }

  // --- matches -----------------------------------------------------------------------------------------------------------------------

  #parts(match: Match, place: UnknownPlace): readonly Part[] {
    switch (match.kind) {
      case 'source':
        return [this.#masked('saddr', match.value, match.not)];
      case 'destination':
        return [this.#masked('daddr', match.value, match.not)];
      case 'in':
        return [this.#device('iif', match.name, match.not)];
      case 'out':
        return [this.#device('oif', match.name, match.not)];
      case 'protocol':
        return match.protocol === 0 ? [] : [this.#values('protocol', [match.protocol], match.not)];
      case 'fragment':
        if (!this.#scene.parts) return match.not ? [] : [NO];
        return [this.#values('part', [0], !match.not)];
      case 'tcp':
      case 'udp':
        return this.#isByModule(match) ? this.#byModule(match) : this.#translated(match);
      case 'sctp': {
        const { sport, dport, chunks } = match;
        return [
          ...this.#whole(),
          ...(sport === undefined ? [] : [this.#field('sport', [sport.value], sport.not)]),
          ...(dport === undefined ? [] : [this.#field('dport', [dport.value], dport.not)]),
          ...(chunks === undefined ? [] : [this.#unknown(match, place)]),
        ];
      }
      case 'icmp': {
        const { value } = match;
        return [
          this.#values('protocol', [ICMP]),
          ...this.#whole(),
          ...(value === undefined
            ? []
            : value.value.type === 255
              ? value.not
                ? [NO]
                : []
              : [this.#typeCode(value.value.type, value.value.codes, value.not)]),
        ];
      }
      case 'icmp6': {
        const { value } = match;
        return [
          this.#values('protocol', [ICMPV6]),
          ...this.#whole(),
          ...(value === undefined ? [] : [this.#typeCode(value.value.type, value.value.codes, value.not)]),
        ];
      }
      case 'multiport': {
        const ranges = normalizeRanges(match.ports);
        const listed = [
          this.#held('protocol', PORT_PROTOCOL_RANGES),
          match.which === 'ports'
            ? this.#or(this.#field('sport', ranges, false), this.#field('dport', ranges, false))
            : this.#field(match.which === 'sports' ? 'sport' : 'dport', ranges, false),
        ];
        return [...this.#whole(), ...(match.not ? [this.#not(this.#conjunction(listed))] : listed)];
      }
      case 'iprange': {
        const { source, destination } = match;
        return [
          ...(source === undefined ? [] : [this.#between('saddr', source)]),
          ...(destination === undefined ? [] : [this.#between('daddr', destination)]),
        ];
      }
      case 'state': {
        const held = this.#inStates(match.states);
        return match.not ? [this.#not(this.#conjunction(held))] : held;
      }
      case 'conntrack':
        return this.#conntrack(match, place);
      case 'mac':
        return [
          this.#values('framed', [1]),
          this.#values('smac', this.#layout.alphabets.macs.matching(match.mac), match.not),
        ];
      case 'mark': {
        const held = this.#layout.chooseMark('mark', match.value.value, match.value.mask, YES, NO);
        return [match.not ? this.#not(held) : held];
      }
      case 'connmark': {
        const held = this.#layout.chooseMark('ctmark', match.value.value, match.value.mask, YES, NO);
        return [this.#ofFlow(match.not ? this.#not(held) : held)];
      }
      case 'addrtype':
        return this.#addrtype(match, place);
      case 'physdev':
        return this.#physdev(match);
      case 'pkttype': {
        const { type, not } = match;
        return [this.#values('packetType', type === 'otherhost' ? [] : [PACKET_TYPES.indexOf(type)], not)];
      }
      case 'comment':
        return [];
      case 'length':
        return [this.#field('length', [match.range], match.not)];
      case 'ttl':
      case 'hl':
        return [this.#ttl(match.test, match.value)];
      case 'set': {
        const known = match.more.length > 0 ? undefined : this.#scene.host?.sets.get(match.name);
        const held = known === undefined ? undefined : this.#ipset(known, match.directions);
        if (held === undefined) return [this.#unknown(match, place)];
        return [match.not ? this.#not(held) : held];
      }
      case 'unmodelled':
        return [this.#unknown(match, place)];
    }
  }

  #ttl(test: 'eq' | 'ne' | 'lt' | 'gt', value: number): Test {
    switch (test) {
      case 'eq':
        return this.#values('ttl', [value]);
      case 'ne':
        return this.#values('ttl', [value], true);
      case 'lt':
        return this.#field('ttl', value === 0 ? [] : [{ from: 0, to: value - 1 }], false);
      case 'gt':
        return this.#field('ttl', value >= 255 ? [] : [{ from: value + 1, to: 255 }], false);
    }
  }

  #flags(flags: Negatable<TcpFlags>): Part {
    const { value, not } = flags;
    const { mask, compare } = value;
    const held = flagsOf(flags);
    const octet = { address: BigInt(compare) << IPV6_HEADER_FLAGS, mask: BigInt(mask) << IPV6_HEADER_FLAGS };
    const later6 =
      this.#layout.family === 4 || held.length === 0 ? (not ? YES : NO) : this.#masked('saddr', octet, not);
    return this.#header(14, this.#field('flags', held, not), (compare === 0) !== not ? YES : NO, later6);
  }

  #typeCode(type: number, codes: PortRange, not: boolean): Part {
    return this.#field('dport', [{ from: type * 256 + codes.from, to: type * 256 + Math.min(255, codes.to) }], not);
  }

  /** Without a flow the state is all that is asked; a rule that does not ask for it does not match then. */
  #conntrack(match: Extract<Match, { kind: 'conntrack' }>, place: UnknownPlace): readonly Part[] {
    const { ctstate, ctdir, ctproto, ctstatus } = match;
    const address = (field: AddressField, value: Negatable<MaskedAddress> | undefined) =>
      value === undefined ? [] : [this.#masked(field, value.value, value.not)];
    const port = (field: Field, value: Negatable<PortRange> | undefined) =>
      value === undefined ? [] : [this.#field(field, [value.value], value.not)];
    const ofFlow = [
      ...(ctdir === undefined ? [] : [this.#values('reply', [ctdir === 'REPLY' ? 1 : 0])]),
      ...(ctproto === undefined ? [] : [this.#values('origProtocol', [ctproto.value], ctproto.not)]),
      ...address('origSaddr', match.ctorigsrc),
      ...address('origDaddr', match.ctorigdst),
      ...address('replySaddr', match.ctreplsrc),
      ...address('replyDaddr', match.ctrepldst),
      ...port('origSport', match.ctorigsrcport),
      ...port('origDport', match.ctorigdstport),
      ...port('replySport', match.ctreplsrcport),
      ...port('replyDport', match.ctrepldstport),
      ...(ctstatus === undefined
        ? []
        : [ctstatus.not ? this.#not(this.#status(ctstatus.value)) : this.#status(ctstatus.value)]),
      ...(match.ctexpire === undefined ? [] : [this.#unknown(match, place)]),
    ];
    if (ctstate === undefined) return ofFlow.map((part) => this.#ofFlow(part));
    const states = this.#conjunction(this.#inStates(ctstate.value));
    const flowless = this.#not(this.#ofFlow(YES));
    return [ctstate.not ? this.#not(states) : states, ...ofFlow.map((part) => this.#or(flowless, part))];
  }

  #status(names: readonly string[]): Node {
    return this.#or(
      ...(names.includes('SEEN_REPLY') ? [this.#values('seenReply', [1])] : []),
      ...(names.includes('ASSURED') ? [this.#values('assured', [1])] : []),
      ...(names.includes('CONFIRMED') ? [this.#values('confirmed', [1])] : []),
    );
  }

  /** A packet that came through no bridge meets only negated tests; one that is not bridged on has no port to leave by, negated or not. */
  #physdev(match: Extract<Match, { kind: 'physdev' }>): readonly Part[] {
    const { diagrams, alphabets } = this.#layout;
    const none = alphabets.devices.numberOf('');
    const given = [match.isBridged, match.isIn, match.isOut, match.in, match.out].filter((test) => test !== undefined);
    const outside = diagrams.and(this.#numbers('physin', [none]), this.#numbers('physout', [none]));
    const is = (field: Field, flag: { not: boolean } | undefined) =>
      flag === undefined ? [] : [this.#values(field, [none], !flag.not)];
    const ports = (value: Negatable<string>, absent: boolean): Ranges<number> => {
      const named = alphabets.devices.matching(value.value).filter((number) => number !== none);
      const all = Array.from({ length: alphabets.devices.max + 1 }, (_, number) => number).filter(
        (number) => number !== none && named.includes(number) !== value.not,
      );
      return normalizeRanges((absent ? [none, ...all] : all).map((number) => ({ from: number, to: number })));
    };
    const through = this.#conjunction([
      ...is('physout', match.isBridged),
      ...is('physin', match.isIn),
      ...is('physout', match.isOut),
      ...(match.in === undefined ? [] : [this.#field('physin', ports(match.in, true), false)]),
      ...(match.out === undefined ? [] : [this.#field('physout', ports(match.out, false), false)]),
    ]);
    return [diagrams.ifThenElse(outside, given.every((test) => test.not) ? YES : NO, through)];
  }

  // --- what the host knows -------------------------------------------------------------------------------------------------------------

  #addrtype(match: Extract<Match, { kind: 'addrtype' }>, place: UnknownPlace): readonly Part[] {
    const { host } = this.#scene;
    if (host === undefined) return [this.#unknown(match, place)];
    const side = (field: AddressField, value: typeof match.source): readonly Part[] => {
      if (value === undefined) return [];
      const held = this.#kindOf(host, field, value.value, match.limit);
      return [value.not ? this.#not(held) : held];
    };
    return [...side('saddr', match.source), ...side('daddr', match.destination)];
  }

  #kindOf(host: Host, field: AddressField, types: readonly string[], limit: 'in' | 'out' | undefined): Node {
    const layout = this.#layout;
    const key = `${field} ${types.join()} ${limit ?? ''}`;
    const known = this.#kinds.get(key);
    if (known !== undefined) return known;
    const runs = addressRuns(host, layout.family);
    const on = (device: string | undefined): Node =>
      layout.chooseAddresses(
        field,
        normalizeRanges(runs.filter(({ from }) => isOfAddressTypes(host, from, types, device))),
        YES,
        NO,
      );
    let node = on(undefined);
    if (limit !== undefined) {
      const { devices } = layout.alphabets;
      for (let number = 0; number <= devices.max; number++) {
        const name = devices.nameOf(number);
        if (name === '') continue;
        const here = this.#numbers(limit === 'in' ? 'iif' : 'oif', [number]);
        node = layout.diagrams.ifThenElse(here, on(name), node);
      }
    }
    this.#kinds.set(key, node);
    return node;
  }

  /** netfilter/ipset.ts: the most specific entry decides, of equals the last; sets of sets hold what one of theirs holds. */
  #ipset(set: IpSet, directions: readonly ('src' | 'dst')[]): Node | undefined {
    const { host } = this.#scene;
    const { diagrams } = this.#layout;
    if (set.type === 'list:set') {
      const members: Node[] = [];
      for (const entry of set.entries) {
        const [member] = entry.fields;
        if (member?.kind !== 'interface') continue;
        const named = host?.sets.get(member.name);
        const held = named === undefined || named.type === 'list:set' ? undefined : this.#ipset(named, directions);
        if (held === undefined) return undefined;
        members.push(held);
      }
      return diagrams.orAll(members);
    }
    const fields = set.type.slice(set.type.indexOf(':') + 1).split(',');
    if (directions.length < fields.length) return NO;
    const byWidth = set.entries
      .map((entry) => ({ entry, width: specificity(entry) }))
      .sort((a, b) => a.width - b.width);
    if (!byWidth.some(({ entry }) => entry.nomatch))
      return diagrams.orAll(byWidth.map(({ entry }) => this.#entry(entry, directions)));
    let node = NO;
    for (const { entry } of byWidth)
      node = diagrams.ifThenElse(this.#entry(entry, directions), entry.nomatch ? NO : YES, node);
    return node;
  }

  #entry(entry: IpSetEntry, directions: readonly ('src' | 'dst')[]): Node {
    return this.#conjunction(
      entry.fields.flatMap((field, index) => this.#entryField(field, (directions[index] ?? 'src') === 'src')),
    );
  }

  #entryField(field: IpSetField, source: boolean): readonly Part[] {
    switch (field.kind) {
      case 'address':
        return [
          this.#between(source ? 'saddr' : 'daddr', { not: false, value: { from: field.from, to: field.to } }).within(
            YES,
            NO,
          ),
        ];
      case 'port': {
        const protocols = field.protocol === undefined ? [TCP, UDP] : [field.protocol];
        const listed = { from: field.from, to: field.to };
        const withPorts = protocols.filter((protocol) => PORT_PROTOCOLS.includes(protocol));
        const icmp = protocols.filter((protocol) => protocol === ICMP || protocol === ICMPV6);
        const others = protocols.filter(
          (protocol) => !withPorts.includes(protocol) && protocol !== ICMP && protocol !== ICMPV6,
        );
        return [
          ...this.#whole(),
          this.#or(
            this.#conjunction([
              this.#values('protocol', withPorts),
              this.#field(source ? 'sport' : 'dport', [listed], false),
            ]),
            // Type and code stand in the destination's level, whichever end is asked for.
            this.#conjunction([this.#values('protocol', icmp), this.#field('dport', [listed], false)]),
            listed.from === 0 ? this.#numbers('protocol', others) : NO,
          ),
        ];
      }
      case 'mac':
        return [
          this.#numbers('framed', [1]),
          this.#numbers(source ? 'smac' : 'dmac', this.#layout.alphabets.macs.matching(field.mac)),
        ];
      case 'mark':
        return [this.#layout.chooseMark('mark', field.value, field.mask ?? 0xffffffff, YES, NO)];
      case 'interface': {
        if (field.physdev === true) return [NO];
        const { devices } = this.#layout.alphabets;
        const none = devices.numberOf('');
        const named = devices.matching(field.wildcard === true ? `${field.name}+` : field.name);
        return [
          this.#numbers(
            source ? 'iif' : 'oif',
            named.filter((number) => number !== none),
          ),
        ];
      }
    }
  }
}

const PACKET_TYPES = ['unicast', 'broadcast', 'multicast'];

/** The smaller the range, the more specific (netfilter/ipset.ts). */
const specificity = (entry: IpSetEntry): number =>
  entry.fields.reduce(
    (total, field) =>
      field.kind === 'address' ? total + 128 - (BigInt(field.to) - BigInt(field.from)).toString(2).length : total,
    0,
  );

/** Where a match stands that may not be known. */
export interface UnknownPlace {
  /** The unknown's name, by the match's text. */
  readonly name: (text: string) => string;
}
