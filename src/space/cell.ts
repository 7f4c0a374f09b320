/** Packets that have fared alike so far: a region of what can be sent, and what its packets look like now. */
import type { Mac } from '../address/mac.ts';
import type { Skb } from '../netfilter/skb.ts';
import type { Direction } from '../netfilter/tuple.ts';
import type { ConntrackState } from '../packet/packet.ts';
import type { Turn } from '../packet/reply.ts';
import type { Node } from './diagram.ts';
import { fieldValue, valueKey, type Value } from './value.ts';

/** The header fields that a packet's way may change. The protocol never changes. */
export interface Header {
  readonly saddr: Value;
  readonly daddr: Value;
  /** Of icmp `sport` is the identifier, and `dport` type and code (layout.ts). */
  readonly sport: Value;
  readonly dport: Value;
  readonly flags: Value;
  readonly ttl: Value;
  readonly length: Value;
}

export const AS_SENT: Header = {
  saddr: fieldValue('saddr'),
  daddr: fieldValue('daddr'),
  sport: fieldValue('sport'),
  dport: fieldValue('dport'),
  flags: fieldValue('flags'),
  ttl: fieldValue('ttl'),
  length: fieldValue('length'),
};

/** Addresses and ports, by which a flow is known. */
export type Ends = Pick<Header, 'saddr' | 'daddr' | 'sport' | 'dport'>;

export const endsOf = ({ saddr, daddr, sport, dport }: Header): Ends => ({ saddr, daddr, sport, dport });

/** netfilter/conntrack.ts's Connection, of all packets of a cell at once. */
export interface Flow {
  readonly host: string;
  /** As the packet came, and as it leaves once it is translated; answers come to the inverse of that. */
  readonly original: Ends;
  readonly translated: Ends;
  readonly sourceNat: boolean;
  readonly destinationNat: boolean;
  readonly sourceDone: boolean;
  readonly destinationDone: boolean;
  readonly confirmed: boolean;
  readonly seenReply: boolean;
  readonly assured: boolean;
  readonly mark: number;
  /** The packets of the conversation, from 0, that conntrack has taken for its own. */
  readonly heard: readonly number[];
  /** Somebody said that it was there: nothing is known of how it began. */
  readonly asserted?: true;
}

export type Tracking =
  | { readonly kind: 'none'; readonly state: 'INVALID' | 'UNTRACKED' }
  | { readonly kind: 'flow'; readonly state: ConntrackState; readonly direction: Direction; readonly flow: Flow };

/** A packet of a conversation, as the host that it entered took it. */
export interface Said {
  readonly turn: Turn;
  /** It came from outside, so that its checksum was looked at. */
  readonly arrived: boolean;
}

/** What a packet is to the conversation that it belongs to. */
export interface Talk extends Said {
  /** In their order. */
  readonly before: readonly Said[];
  /** It came to this only if something that is not modelled let the packets before it through, or led them there. */
  readonly supposed?: boolean;
}

/** Who sent a frame: the machine that has this address on a device, or one whose address is known. */
export type Sender = Mac | { readonly dev: string; readonly saddr: Value };

export interface Cell {
  readonly region: Node;
  readonly header: Header;
  readonly mark: number;
  readonly tracked?: Tracking | undefined;
  /** The state was asserted, and holds at every hook of this host. */
  readonly asserted?: boolean | undefined;
  readonly iif?: string | undefined;
  readonly oif?: string | undefined;
  readonly physin?: string | undefined;
  /** Each of its packets has come in by one of these ports of a bridge, which no rule tells apart: `physin` is one of them. */
  readonly ports?: ReadonlySet<string> | undefined;
  readonly physout?: string | undefined;
  /** Skb's: the device that its route leads to, where a bridge has translated it. */
  readonly cameBy?: string | undefined;
  readonly framed: boolean;
  readonly packetType: Skb['packetType'];
  readonly smac: Sender;
  /** Of machines that nobody knows one stands for all. */
  readonly dmac: Mac;
  /** The flows that hosts remember of it. */
  readonly flows: readonly Flow[];
  /** It is an answer: of messages, or of packets with ports. */
  readonly answers?: 'icmp' | 'other' | undefined;
  /** What was said before it, where it is not the first packet of a conversation. */
  readonly talk?: Talk | undefined;
  /** What has been written of it in the log, where that was asked: hooks, and targets as written. */
  readonly logged?: readonly string[];
  /** It has been sent to several ports: others of it are on their way. */
  readonly copied?: boolean;
}

/** Packets as they are sent, of which nobody knows anything. */
export const sentAs = (region: Node): Cell => ({
  region,
  header: AS_SENT,
  mark: 0,
  framed: false,
  packetType: 'unicast',
  smac: '',
  dmac: '',
  flows: [],
});

export const headerKey = (header: Header): string =>
  [header.saddr, header.daddr, header.sport, header.dport, header.flags, header.ttl, header.length]
    .map(valueKey)
    .join(' ');
