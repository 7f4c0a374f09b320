/** A packet on its way, with what the kernel carries along with it: struct sk_buff and struct nf_hook_state in one. */
import type { Host } from '../host/host.ts';
import type { Packet } from '../packet/packet.ts';
import type { Backend, HookName, TableName } from '../ruleset/rule.ts';
import type { Tracked } from './conntrack.ts';

export type { Backend } from '../ruleset/rule.ts';

export interface Skb {
  readonly host: Host;
  readonly backend: Backend;
  packet: Packet;
  /** Absent until conntrack has seen the packet, and for ever where it is off. */
  tracked?: Tracked | undefined;
  /** It answers a packet that is not tracked, and so bears conntrack's mark without a flow (nf_conntrack_attach): no rule can keep it from conntrack. */
  answering?: boolean;
  /** Devices of the hook that it is in; absent where the kernel passes none. */
  hook: HookName;
  iif?: string | undefined;
  oif?: string | undefined;
  /** Bridge ports (nf_bridge_info): `physin` from when it came in through a bridge, `physout` while it is bridged. */
  physin?: string | undefined;
  physout?: string | undefined;
  /** IPv6: the device that its route leads to, where a bridge has translated it; the IP layer takes it for the one that it came in by (ip6_rcv_core). */
  cameBy?: string | undefined;
  /** It arrived in a frame: it has a MAC header, and a packet type. */
  framed: boolean;
  packetType: 'unicast' | 'broadcast' | 'multicast';
  /** A match found the packet broken: it is dropped, whatever the rule says (legacy, S24). */
  hotdrop: boolean;
}

/** Something that the model does not know about a packet: which rule asked. */
export interface Question {
  readonly table: TableName;
  readonly chain: string;
  readonly rule: number;
  readonly line: number;
  readonly what: string;
}
