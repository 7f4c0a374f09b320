/** What one packet met on its way through one host: the trace that all three judges speak. */
import type { Mac } from '../address/mac.ts';
import type { ConntrackState, Packet } from '../packet/packet.ts';
import type { HookName, TableName } from '../ruleset/rule.ts';

/**
 * One thing that happened in a chain. There is a step for each rule that matched, and for each policy or end of chain that
 * decided. Rules are numbered from 1, as `iptables -L --line-numbers` and TRACE count them.
 */
export interface Step {
  readonly hook: HookName;
  readonly table: TableName;
  readonly chain: string;
  readonly rule: number | 'policy' | 'end';
  /** The rule's line in its file. */
  readonly line?: number;
  /** The target as written: `DNAT`, `nova-compute-local`, `ACCEPT`; empty for a rule without one. */
  readonly target: string;
  /** Devices as the hook sees them: absent where the kernel passes none. */
  readonly iif?: string;
  readonly oif?: string;
  readonly physin?: string;
  readonly physout?: string;
  /** The packet as it is when the rule has been applied. */
  readonly packet: Packet;
}

export type FateKind = 'delivered' | 'forwarded' | 'dropped' | 'rejected' | 'undecided';

/**
 * How it ended. `delivered`: to a process of this host. `forwarded`: it left by `oif`, whoever made it. `rejected`: dropped, and the sender was told.
 * Of a frame that was flooded this is the summary; `Journey.exits` has every copy.
 */
export interface Fate {
  readonly kind: FateKind;
  readonly oif?: string;
  /** The bridge port that it left by. */
  readonly port?: string;
  /** The packet as it was delivered or left. */
  readonly packet?: Packet;
  /** Why, in words, where no rule says it: `martian source`, `TTL exceeded`, `unknown match at line 12`. */
  readonly reason?: string;
  /** The line of the rule that decided or, when undecided, that could not be decided. */
  readonly line?: number;
}

/** A packet that left the host. */
export interface Exit {
  readonly oif: string;
  readonly port?: string;
  readonly packet: Packet;
  /** The frame that carries it. */
  readonly frame: { readonly smac: Mac; readonly dmac: Mac };
  /** Fields whose value the kernel chose at random: the model's value is one of many, fresh and in this range. */
  readonly fresh?: readonly FreshField[];
}

export interface FreshField {
  readonly field: 'saddr' | 'daddr' | 'sport' | 'dport' | 'id';
  readonly from: Packet['saddr'];
  readonly to: Packet['saddr'];
}

export interface Journey {
  /** The packet as it came in, with the link-layer addresses that it was given. */
  readonly packet: Packet;
  /** What connection tracking made of it; UNTRACKED also where conntrack is off. */
  readonly state: ConntrackState;
  readonly steps: readonly Step[];
  readonly fate: Fate;
  readonly exits: readonly Exit[];
  /** What processes of the host received. */
  readonly deliveries: readonly Packet[];
  /** What the kernel chose at random for the flow: fields whose value in the steps and deliveries is one of many. */
  readonly fresh?: readonly FreshField[];
  /** Packets that the host itself made because of this one: a REJECT's reset or icmp error, a TTL exceeded. */
  readonly consequences: readonly Journey[];
}
