/**
 * What the client and the helper process say to each other: one JSON document a line, one answer for one request, in order.
 * The helper reports raw facts only; `normalize.ts` says what they mean. Types only: both sides import them and nothing else
 * is shared.
 */

export type Backend = 'legacy' | 'nft';

/** How frames get in and out of a namespace: a TAP device, or AF_PACKET on the far end of a veth pair. */
export type Wire = 'tap' | 'packet';

/** One host, in the words of `ip`: everything is text that the kernel's own tools accept. */
export interface HostSpec {
  readonly name: string;
  /** Physical devices; `lo` and bridges are not among them. Each has a wire. */
  readonly devices: readonly DeviceSpec[];
  readonly bridges: readonly BridgeSpec[];
  readonly addresses: readonly { readonly dev: string; readonly address: string; readonly scope: string }[];
  /** Arguments of `ip route add`, in the order in which they win. */
  readonly routes: readonly string[];
  readonly neighbours: readonly NeighbourSpec[];
  /**
   * IPv4: a machine that is no neighbour above and is asked for by ARP becomes one, with this MAC prefix (two octets, in hex) before the four octets of
   * its address. Its packet, which waited for that, leaves at once, and no ARP request is an exit. Absent: the request is the exit.
   */
  readonly assumedMacPrefix?: string;
  /** By the name that `sysctl` prints. */
  readonly sysctl: Readonly<Record<string, number>>;
  /** Lines of `ipset restore`. */
  readonly sets: readonly string[];
  /** True when the host has IPv6: without it every device has `disable_ipv6`, and no MLD or ND noise. */
  readonly ipv6: boolean;
  /** Tells apart worlds of the same host that must not be one. */
  readonly variant?: string;
}

export interface DeviceSpec {
  readonly name: string;
  readonly mac: string;
}

export interface BridgeSpec {
  readonly name: string;
  readonly mac: string;
  readonly ports: readonly (DeviceSpec & { readonly hairpin: boolean; readonly flood: boolean })[];
}

/** A permanent neighbour entry and, with `port`, the forwarding entry of the bridge that `dev` is. */
export interface NeighbourSpec {
  readonly address: string;
  readonly mac: string;
  readonly dev: string;
  readonly port?: string;
}

/** One namespace per host. Rules of the two backends would both run in one namespace, so a world has one backend. */
export interface WorldRequest {
  readonly op: 'world';
  readonly backend: Backend;
  readonly wire?: Wire;
  readonly hosts: readonly HostSpec[];
}

export interface WorldAnswer {
  readonly world: number;
  readonly wire: Wire;
  /** The kernel says what conntrack makes of a packet (Linux 6.16). */
  readonly states: boolean;
  /** What could not be set up and matters only to some cases: a sysctl that this kernel has not. */
  readonly warnings: readonly string[];
}

/** iptables-save texts by family. Tables that a text does not name are emptied. */
export interface RulesetTexts {
  readonly text4?: string;
  readonly text6?: string;
}

export type KernelStep =
  /** A frame arrives on a device or a bridge port. */
  | { readonly host: string; readonly dev: string; readonly frame: string }
  /** A process of the host sends a packet, IP header included, from a raw socket. */
  | { readonly host: string; readonly local: string; readonly mark?: number }
  /** Conntrack forgets everything, on one host or on all. */
  | { readonly flush: true; readonly host?: string }
  /** The rules change; connections stay. */
  | ({ readonly host: string; readonly restore: true } & RulesetTexts)
  /** conntrack is told of a flow. */
  | { readonly host: string; readonly flow: FlowSpec }
  /** From now on conntrack leaves every packet alone, or no longer. */
  | { readonly host: string; readonly untracked: boolean }
  /** A permanent neighbour appears. */
  | ({ readonly host: string; readonly neighbour: true } & NeighbourSpec);

/** A flow's addresses and ports in one direction. For icmp `sport` is the identifier and `dport` type * 256 + code. */
export interface FlowTuple {
  readonly protocol: number;
  readonly saddr: string;
  readonly daddr: string;
  readonly sport: number;
  readonly dport: number;
}

/** A flow that nobody opened, without any translation. */
export interface FlowSpec {
  readonly original: FlowTuple;
  readonly reply: FlowTuple;
  /** Packets of both directions are ESTABLISHED; else the next one of the original direction opens it. */
  readonly seenReply: boolean;
  /** Another flow has expected it: what opens it is RELATED. */
  readonly expected?: boolean;
}

export interface CaseRequest {
  readonly op: 'case';
  readonly world: number;
  /** Rulesets to load first, per host; a host that is not named keeps what it has. */
  readonly hosts: Readonly<Record<string, RulesetTexts>>;
  /** Go on with the connections of the case before: no flush first. */
  readonly keep?: boolean;
  readonly steps: readonly KernelStep[];
}

export interface CaseAnswer {
  readonly steps: readonly Observation[];
  /** Rules that were refused. Then there are no steps. */
  readonly refused?: Refusal;
}

/** What iptables-restore said, and what it left with. */
export interface Refusal {
  readonly host: string;
  readonly family: 4 | 6;
  readonly message: string;
  /** The line of the text, where the message names one. */
  readonly line?: number;
}

export interface CloseRequest {
  readonly op: 'close';
  readonly world: number;
}

export type Request = WorldRequest | CaseRequest | CloseRequest;
/** `failure` is a broken oracle (a lost trace message, a device that will not come up), never a verdict. */
export type Answer = WorldAnswer | CaseAnswer | { readonly closed: number } | { readonly failure: string };

/** Everything that one step made happen. */
export interface Observation {
  readonly exits: readonly { readonly host: string; readonly dev: string; readonly frame: string }[];
  readonly local: readonly Delivery[];
  readonly trace: readonly TraceEvent[];
  readonly states: readonly SeenState[];
  /** errno of the send of a local packet, by name where it is a common one: a drop in OUTPUT is EPERM. */
  readonly errno?: string;
  readonly refused?: Refusal;
}

/** What a process of the host would have received: taken off behind conntrack's confirm at the end of INPUT. */
export interface Delivery {
  readonly host: string;
  readonly packet: string;
  readonly mark: number;
  readonly iif?: string;
  readonly physin?: string;
}

/** What conntrack made of a packet as it passed PREROUTING or OUTPUT: one a packet and pass, in order. */
export interface SeenState {
  readonly host: string;
  readonly hook: 'PREROUTING' | 'OUTPUT';
  /**
   * NF_CT_STATE_BIT: 2 ESTABLISHED, 4 RELATED, 8 NEW, 64 UNTRACKED. Absent for INVALID, where conntrack is off, and before
   * Linux 6.16.
   */
  readonly state?: number;
}

export type TraceEvent = LegacyEvent | NftEvent;

/** One line of the TRACE of ip_tables (net/ipv4/netfilter/ip_tables.c, trace_packet), through NFLOG. */
export interface LegacyEvent {
  readonly kind: 'legacy';
  readonly host: string;
  /** `filter:FORWARD:rule:3` */
  readonly prefix: string;
  readonly hook: number;
  readonly mark: number;
  readonly iif?: string;
  readonly oif?: string;
  readonly physin?: string;
  readonly physout?: string;
  /** The IP packet as it was when the rule matched, before its target. */
  readonly packet: string;
}

/** One NFT_MSG_TRACE (net/netfilter/nf_tables_trace.c). */
export interface NftEvent {
  readonly kind: 'nft';
  readonly host: string;
  readonly family: number;
  readonly type: 'policy' | 'return' | 'rule' | 'unknown';
  readonly table: string;
  readonly chain: string;
  /** The rule's place in its chain, from 1. Absent: no rule, or one that is not in the chain any more. */
  readonly rule?: number;
  /** NF_DROP 0, NF_ACCEPT 1; NFT_CONTINUE -1, NFT_BREAK -2, NFT_JUMP -3, NFT_GOTO -4, NFT_RETURN -5. */
  readonly verdict?: number;
  readonly jump?: string;
  readonly policy?: number;
  /** Identifies the skb, within one step. */
  readonly id: number;
  readonly mark: number;
  readonly iif?: string;
  readonly oif?: string;
  readonly ctState?: number;
  /** IP header and the first octets behind it; only on the first event of each base chain. */
  readonly network?: string;
  readonly transport?: string;
}
