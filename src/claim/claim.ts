/**
 * What can be claimed of a network. A claim is data: the judges (the netfilter model, the all-packets engine, Linux itself) take the same one.
 */
import type { Address, Family } from '../address/address.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import type { Attachment } from '../network/network.ts';
import type { ConntrackState } from '../packet/packet.ts';
import type { PacketSet } from '../packet/pattern.ts';

/** As given, or the same rulesets with the policies of filter INPUT and FORWARD set to DROP. */
export type Posture = 'as-given' | 'hardened';
export const POSTURES: readonly Posture[] = ['as-given', 'hardened'];

/**
 * "Every packet of this set, entering here, in this state, ends so - and the answer to it ends so." An ending is judged by where copies of the packet come to
 * an end in the whole network, not by what one chain says.
 */
export interface PacketsClaim {
  readonly kind: 'packets';
  /** The claim as a sentence in the present tense: "ping from outside to 192.168.1.233 reaches myserver". */
  readonly says: string;
  /** The host that the packets enter. */
  readonly host: string;
  readonly entry: { readonly kind: 'in'; readonly interface: string } | { readonly kind: 'local' };
  readonly family: Family;
  /** Addresses, protocol, ports, ... of the packets as they enter. Boxes name no entry and no state: those are said here. */
  readonly set: PacketSet;
  /**
   * The state in which conntrack sees it. NEW is brought about (nothing came before), unless a flow cannot be opened so; the others are asserted, or
   * brought about by a conversation where a judge can only do that.
   */
  readonly state: ConntrackState;
  readonly ending: Ending;
  /** Of the answer that whoever was reached sends. Only together with an ending `reaches`. */
  readonly reply?: Ending;
  /** The chain in which nova keeps this promise: what is named when no rule decided. */
  readonly chain?: ChainName;
  /** Absent: both. */
  readonly postures?: readonly Posture[];
  /** Values worth trying inside the set, beyond its own boundaries: addresses and ports that rules name. */
  readonly near?: { readonly addresses?: readonly Address[]; readonly ports?: readonly number[] };
}

export interface ChainName {
  readonly table: string;
  readonly chain: string;
}

/** Somebody that a packet can come to. */
export type Place =
  | { readonly kind: 'process'; readonly host: string }
  | { readonly kind: 'instance'; readonly name: string }
  /** Beyond an interface of a host; a named machine, or anybody. */
  | { readonly kind: 'outside'; readonly name?: string; readonly at?: Attachment };

export type Ending =
  /** One copy comes to the place, as the image says. Other copies (of a broadcast) do not matter. */
  | { readonly kind: 'reaches'; readonly place: Place; readonly as?: Image }
  /** No copy comes to the place (with this image, where one is given); absent place: to nobody at all. */
  | { readonly kind: 'never-reaches'; readonly place?: Place; readonly as?: Image }
  /** Wherever copies come to, or leave for nobody that is known, they look so. Nothing is claimed of those that are dropped. */
  | { readonly kind: 'whatever-is-reached'; readonly as: Image; readonly place?: Place }
  /** One copy leaves this host by this interface or bridge port, whoever is there or not: for addresses of which nothing is known but where they would be. */
  | { readonly kind: 'leaves'; readonly by: Attachment; readonly as?: Image };

/**
 * What a packet looks like where it ends. `original`: as it was sent. In a reply `original` is mirrored: the source of the answer is the
 * destination that the sender had used, and so on. A field that is left out may be anything.
 */
export interface Image {
  readonly saddr?: Wanted<Address>;
  readonly daddr?: Wanted<Address>;
  /** Ports of tcp and udp; the identifier of icmp counts as `sport`. */
  readonly sport?: Wanted<number>;
  readonly dport?: Wanted<number>;
}

export type Wanted<T> =
  | 'original'
  | { readonly is: T }
  | { readonly isNot: T }
  | { readonly within: readonly { readonly from: T; readonly to: T }[] };

/** A claim about the text of a host's ruleset. */
export interface RulesetClaim {
  readonly kind: 'ruleset';
  readonly says: string;
  readonly host: string;
  readonly family: Family;
  /** All that contradicts it; nothing when it holds. */
  breaches(ruleset: Ruleset): readonly Breach[];
}

export interface Breach {
  readonly message: string;
  readonly table?: string;
  readonly chain?: string;
  /** From 1, and its line in the file. */
  readonly rule?: number;
  readonly line?: number;
}

export type Claim = PacketsClaim | RulesetClaim;
