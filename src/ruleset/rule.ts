/**
 * A ruleset as written: what an iptables-save (or ip6tables-save) text says, with nothing lost and nothing yet understood.
 * `netfilter/` compiles these rules; only there do they mean something.
 */
import type { Address, Family } from '../address/address.ts';
import type { Mac } from '../address/mac.ts';
import type { PortRange } from '../address/ports.ts';

/** Which of iptables' two variants puts rules into the kernel: ip_tables, or nf_tables. They differ in what they refuse and in a few matches. */
export type Backend = 'legacy' | 'nft';

export type TableName = 'raw' | 'mangle' | 'nat' | 'filter' | 'security';
export type HookName = 'PREROUTING' | 'INPUT' | 'FORWARD' | 'OUTPUT' | 'POSTROUTING';

/** The built-in chains of each table, in the order in which iptables-save prints them. */
export const BUILT_IN_CHAINS: Readonly<Record<TableName, readonly HookName[]>> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  security: ['INPUT', 'FORWARD', 'OUTPUT'],
};

export interface Counters {
  readonly packets: bigint;
  readonly bytes: bigint;
}

/** A whole ruleset of one family. `tables` is what a restore of the text would leave in the kernel. */
export interface Ruleset {
  /** The file it came from, for messages. */
  readonly path: string;
  readonly family: Family;
  readonly tables: ReadonlyMap<TableName, Table>;
  /** The text itself (lines.ts finds a line of it). */
  readonly text: string;
  /** Its comments and the lines that open tables, in order: what hidden.ts reads. */
  readonly remarks: readonly Remark[];
  /** There is no COMMIT behind its last statement. */
  readonly endsOpen: boolean;
}

export interface Remark {
  readonly kind: 'comment' | 'table';
  readonly text: string;
  readonly line: number;
}

export interface Table {
  readonly name: TableName;
  readonly line: number;
  /** In the order of declaration. */
  readonly chains: ReadonlyMap<string, Chain>;
}

export interface Chain {
  readonly name: string;
  /** Where it is declared; absent for one that only a `-N` command or the program made. */
  readonly line?: number;
  /** Built-in chains have a policy, user-defined ones have none. */
  readonly policy?: 'ACCEPT' | 'DROP';
  readonly counters?: Counters;
  readonly rules: readonly Rule[];
  /** Only of built-in chains (hidden.ts): the text is known not to show all that hangs at this hook. Why, and the line that tells. */
  readonly hidden?: Hidden;
}

export interface Hidden {
  readonly because: string;
  readonly line: number;
}

export interface Rule {
  /** The number of its line, which lines.ts has: a ruleset has more rules than anybody asks for the text of. */
  readonly line: number;
  readonly counters?: Counters;
  /** In the order in which they are tested. */
  readonly matches: readonly Match[];
  /** Absent: the rule only counts. */
  readonly target?: Target;
}

/** A value that `!` may stand before. */
export interface Negatable<T> {
  readonly not: boolean;
  readonly value: T;
}

/** Address and mask, as `-s 10.0.0.0/255.0.255.0` may leave bits out anywhere. */
export interface MaskedAddress {
  readonly address: Address;
  readonly mask: Address;
}

/** `value/mask` of a mark. */
export interface MaskedMark {
  readonly value: number;
  readonly mask: number;
}

export interface AddressRange {
  readonly from: Address;
  readonly to: Address;
}

export type StateName = 'NEW' | 'ESTABLISHED' | 'RELATED' | 'INVALID' | 'UNTRACKED';
export type ConntrackStateName = StateName | 'SNAT' | 'DNAT';
export type ConntrackStatusName = 'NONE' | 'EXPECTED' | 'SEEN_REPLY' | 'ASSURED' | 'CONFIRMED';

/** `-m addrtype` type names (xt_addrtype, RTN_* of the routing table). */
export type AddressTypeName =
  | 'UNSPEC'
  | 'UNICAST'
  | 'LOCAL'
  | 'BROADCAST'
  | 'ANYCAST'
  | 'MULTICAST'
  | 'BLACKHOLE'
  | 'UNREACHABLE'
  | 'PROHIBIT'
  | 'THROW'
  | 'NAT'
  | 'XRESOLVE';

/** `-m pkttype` names: how the frame was addressed (PACKET_* of linux/if_packet.h). A host drops otherhost frames before any hook. */
export type PacketTypeName = 'unicast' | 'broadcast' | 'multicast' | 'otherhost';

/** An icmp type with a range of codes; type 255 with codes 0-255 is `any`. */
export interface IcmpType {
  readonly type: number;
  readonly codes: PortRange;
}

/** tcp's own header tests: `--tcp-flags MASK COMPARE`. */
export interface TcpFlags {
  readonly mask: number;
  readonly compare: number;
}

/**
 * One option of a match or target that the model does not know, as written: `! --uid-owner 1000` has the name `uid-owner`. An abbreviated
 * or alternative name is replaced by the one that iptables-save prints.
 */
export interface RawOption {
  readonly not: boolean;
  readonly name: string;
  readonly values: readonly string[];
}

export type Match =
  | { readonly kind: 'source' | 'destination'; readonly not: boolean; readonly value: MaskedAddress }
  /** Interface names; a trailing `+` is a wildcard. */
  | { readonly kind: 'in' | 'out'; readonly not: boolean; readonly name: string }
  | { readonly kind: 'protocol'; readonly not: boolean; readonly protocol: number }
  | { readonly kind: 'fragment'; readonly not: boolean }
  | {
      readonly kind: 'tcp';
      readonly sport?: Negatable<PortRange>;
      readonly dport?: Negatable<PortRange>;
      readonly flags?: Negatable<TcpFlags>;
      readonly option?: Negatable<number>;
    }
  /** Also udplite, with its own protocol number in the rule's `-p`. */
  | { readonly kind: 'udp'; readonly sport?: Negatable<PortRange>; readonly dport?: Negatable<PortRange> }
  | {
      readonly kind: 'sctp';
      readonly sport?: Negatable<PortRange>;
      readonly dport?: Negatable<PortRange>;
      /** `--chunk-types` is kept as written and not modelled. */
      readonly chunks?: RawOption;
    }
  | { readonly kind: 'icmp' | 'icmp6'; readonly value?: Negatable<IcmpType> }
  | {
      readonly kind: 'multiport';
      readonly which: 'sports' | 'dports' | 'ports';
      readonly not: boolean;
      readonly ports: readonly PortRange[];
    }
  | {
      readonly kind: 'iprange';
      readonly source?: Negatable<AddressRange>;
      readonly destination?: Negatable<AddressRange>;
    }
  | { readonly kind: 'state'; readonly not: boolean; readonly states: readonly StateName[] }
  | {
      readonly kind: 'conntrack';
      readonly ctstate?: Negatable<readonly ConntrackStateName[]>;
      readonly ctproto?: Negatable<number>;
      readonly ctorigsrc?: Negatable<MaskedAddress>;
      readonly ctorigdst?: Negatable<MaskedAddress>;
      readonly ctreplsrc?: Negatable<MaskedAddress>;
      readonly ctrepldst?: Negatable<MaskedAddress>;
      readonly ctorigsrcport?: Negatable<PortRange>;
      readonly ctorigdstport?: Negatable<PortRange>;
      readonly ctreplsrcport?: Negatable<PortRange>;
      readonly ctrepldstport?: Negatable<PortRange>;
      readonly ctstatus?: Negatable<readonly ConntrackStatusName[]>;
      readonly ctdir?: 'ORIGINAL' | 'REPLY';
      /** Seconds; the model has no clock, so a test of it is undecided. */
      readonly ctexpire?: Negatable<PortRange>;
    }
  | { readonly kind: 'mac'; readonly not: boolean; readonly mac: Mac }
  | { readonly kind: 'mark' | 'connmark'; readonly not: boolean; readonly value: MaskedMark }
  | {
      readonly kind: 'addrtype';
      readonly source?: Negatable<readonly AddressTypeName[]>;
      readonly destination?: Negatable<readonly AddressTypeName[]>;
      readonly limit?: 'in' | 'out';
    }
  | {
      readonly kind: 'physdev';
      readonly in?: Negatable<string>;
      readonly out?: Negatable<string>;
      /** `--physdev-is-in`: the value says nothing more, so `{ not }` alone. */
      readonly isIn?: { readonly not: boolean };
      readonly isOut?: { readonly not: boolean };
      readonly isBridged?: { readonly not: boolean };
    }
  | { readonly kind: 'pkttype'; readonly not: boolean; readonly type: PacketTypeName }
  | { readonly kind: 'comment'; readonly text: string }
  | { readonly kind: 'length'; readonly not: boolean; readonly range: PortRange }
  | { readonly kind: 'ttl' | 'hl'; readonly test: 'eq' | 'ne' | 'lt' | 'gt'; readonly value: number }
  | {
      readonly kind: 'set';
      readonly not: boolean;
      readonly name: string;
      readonly directions: readonly ('src' | 'dst')[];
      /** Further options (`--return-nomatch`, counters): kept, not modelled. */
      readonly more: readonly RawOption[];
    }
  /** A match that parses but is not modelled: whether it holds is unknown. */
  | { readonly kind: 'unmodelled'; readonly module: string; readonly options: readonly RawOption[] };

/** Where NAT sends: addresses, ports, or both. `--to-destination 10.0.0.1-10.0.0.9:1000-2000`. */
export interface NatRange {
  readonly addresses?: AddressRange;
  readonly ports?: PortRange;
  /** `:1000-2000/500`: the port range is shifted from this base. */
  readonly base?: number;
  readonly random?: boolean;
  readonly randomFully?: boolean;
  readonly persistent?: boolean;
}

export type RejectWith =
  | 'icmp-net-unreachable'
  | 'icmp-host-unreachable'
  | 'icmp-proto-unreachable'
  | 'icmp-port-unreachable'
  | 'icmp-net-prohibited'
  | 'icmp-host-prohibited'
  | 'icmp-admin-prohibited'
  | 'tcp-reset'
  | 'icmp6-no-route'
  | 'icmp6-adm-prohibited'
  | 'icmp6-addr-unreachable'
  | 'icmp6-port-unreachable'
  | 'icmp6-policy-fail'
  | 'icmp6-reject-route';

export type Target =
  | { readonly kind: 'ACCEPT' | 'DROP' | 'RETURN' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string }
  | { readonly kind: 'REJECT'; readonly with: RejectWith }
  /** Options in the order and spelling of iptables-save; they change no packet. */
  | { readonly kind: 'LOG' | 'NFLOG'; readonly options: readonly RawOption[] }
  | { readonly kind: 'DNAT' | 'SNAT' | 'MASQUERADE' | 'REDIRECT'; readonly to: NatRange }
  | { readonly kind: 'NETMAP'; readonly to: MaskedAddress }
  /** mark = (mark & ~mask) ^ value: every option of MARK comes down to this, and iptables-save prints it so. */
  | { readonly kind: 'MARK'; readonly value: MaskedMark }
  | {
      readonly kind: 'CONNMARK';
      readonly operation: 'set' | 'save' | 'restore';
      /** set: ctmark = (ctmark & ~mask) ^ value. save and restore: `ctmask` and `nfmask`. */
      readonly value: MaskedMark;
      readonly ctmask: number;
      readonly nfmask: number;
    }
  /** `--notrack` is modelled; zone, helper, events and the rest are kept in `options` and are not. */
  | { readonly kind: 'CT'; readonly notrack: boolean; readonly options: readonly RawOption[] }
  | { readonly kind: 'NOTRACK' }
  | { readonly kind: 'CHECKSUM' }
  | { readonly kind: 'TCPMSS'; readonly options: readonly RawOption[] }
  | { readonly kind: 'TTL' | 'HL'; readonly operation: 'set' | 'inc' | 'dec'; readonly value: number }
  /** A target that parses but is not modelled: what it decides is unknown. */
  | { readonly kind: 'unmodelled'; readonly name: string; readonly options: readonly RawOption[] };
