/**
 * The tables and sockets of one namespace with which its packets are watched. Nothing of the ruleset under test is touched: the
 * switch and the sink are a table of our own.
 *
 * - The switch: `meta nftrace set 1` at priority -500 of PREROUTING and OUTPUT, before any table of iptables (raw is -300). ip_tables
 *   then reports each rule through the logger of the family, which is nfnetlink_log group 0 here; nf_tables through its own group.
 * - Two empty chains just behind conntrack: the event of their policy says what conntrack makes of the packet (Linux 6.16), and no `ct`
 *   expression switches conntrack on, as asking for the state in a rule would (S1).
 * - At the same place of OUTPUT, no redirect of IPv6 leaves: no sysctl forbids them, and Linux sends as many a second as it likes (ip6_forward).
 * - The sink: `log group 7 drop` at hook INPUT, priority INT_MAX: behind everything, so that the packet counts as delivered and no
 *   process, and no "port unreachable", ever answers it. Conntrack confirms at the same priority, and of equal priorities the later
 *   registration runs first (net/netfilter/core.c, nf_hook_entries_grow): therefore this table is made before any ruleset is.
 */
import { AF_INET, AF_INET6 } from './libc.ts';
import {
  NETLINK_NETFILTER,
  NLM_F_ACK,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NetlinkSocket,
  attribute,
  be16,
  be32,
  message,
  nested,
  netfilterHead,
  readAttributes,
  readBe32,
  readString,
  splitDatagram,
  zeroTerminated,
  type Message,
} from './netlink.ts';
import { makeFlow } from './flow.ts';
import type { Backend, Delivery, FlowSpec, SeenState, TraceEvent } from '../protocol.ts';

/** Our own table: its events are never reported. */
const TABLE = 'nfverdict';
/** Not one that rules send their own packets to: what comes there counts as delivered. */
const SINK_GROUP = 31_013;
const TRACE_GROUP = 0;

/** What legacy's TRACE says (ip_tables.c trace_packet). A rule's own words may not look like this: the prefix of an NFLOG that did would be taken for a step. */
const TRACE_PREFIX = /^TRACE: ((?:raw|mangle|nat|filter|security):[^:]+:(?:policy|rule|return):\d+) ?$/;

// include/uapi/linux/netfilter/nfnetlink.h, nf_tables.h, nfnetlink_log.h
const SUBSYS_CTNETLINK = 1;
const SUBSYS_ULOG = 4;
const SUBSYS_NFTABLES = 10;
const BATCH_BEGIN = 0x10;
const BATCH_END = 0x11;
const NFT_NEWTABLE = (SUBSYS_NFTABLES << 8) | 0;
const NFT_NEWCHAIN = (SUBSYS_NFTABLES << 8) | 3;
const NFT_NEWRULE = (SUBSYS_NFTABLES << 8) | 6;
const NFT_GETRULE = (SUBSYS_NFTABLES << 8) | 7;
const NFT_DELRULE = (SUBSYS_NFTABLES << 8) | 8;
const ULOG_CONFIG = (SUBSYS_ULOG << 8) | 1;
const CT_DELETE = (SUBSYS_CTNETLINK << 8) | 2;
const GROUP_NFTRACE = 9;
const NFPROTO_INET = 1;
const NF_PREROUTING = 0;
const NF_INPUT = 1;
const NF_OUTPUT = 3;
const NF_ACCEPT = 1;
const NF_DROP = 0;
const META_NFTRACE = 12;
const META_NFPROTO = 15;
const CMP_EQ = 0;
const NETWORK_HEADER = 1;
const TRANSPORT_HEADER = 2;
const NFPROTO_IPV6 = 10;
const HOP_BY_HOP = 0;
const ICMPV6 = 58;
const ND_REDIRECT = 137;
/** NF_IP_PRI_CONNTRACK + 1. */
const AFTER_CONNTRACK = -199;
/** NF_IP_PRI_RAW - 1. */
const BEFORE_RAW = -301;

const chain = (name: string, hook: number, priority: number): Message =>
  message(
    NFT_NEWCHAIN,
    NLM_F_CREATE | NLM_F_ACK,
    netfilterHead(NFPROTO_INET),
    attribute(1, zeroTerminated(TABLE)),
    attribute(3, zeroTerminated(name)),
    nested(4, attribute(1, be32(hook)), attribute(2, be32(priority))),
    attribute(5, be32(NF_ACCEPT)),
    attribute(7, zeroTerminated('filter')),
  );

const expression = (name: string, ...data: readonly Buffer[]): Buffer =>
  nested(1, attribute(1, zeroTerminated(name)), nested(2, ...data));

const rule = (chainName: string, ...expressions: readonly Buffer[]): Message =>
  message(
    NFT_NEWRULE,
    NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK,
    netfilterHead(NFPROTO_INET),
    attribute(1, zeroTerminated(TABLE)),
    attribute(2, zeroTerminated(chainName)),
    nested(4, ...expressions),
  );

const allRulesOf = (chainName: string): Message =>
  message(
    NFT_DELRULE,
    NLM_F_ACK,
    netfilterHead(NFPROTO_INET),
    attribute(1, zeroTerminated(TABLE)),
    attribute(2, zeroTerminated(chainName)),
  );

const SET_NFTRACE = [
  expression('immediate', attribute(1, be32(1)), nested(2, attribute(1, Buffer.from([1])))),
  expression('meta', attribute(2, be32(META_NFTRACE)), attribute(3, be32(1))),
];

const DROP = expression('immediate', attribute(1, be32(0)), nested(2, nested(2, attribute(1, be32(NF_DROP)))));

const LOG_AND_DROP = [expression('log', attribute(1, be16(SINK_GROUP)), attribute(4, be16(1))), DROP];

/** Register 1 has this octet. */
const isOctet = (octet: number): Buffer =>
  expression('cmp', attribute(1, be32(1)), attribute(2, be32(CMP_EQ)), nested(3, attribute(1, Buffer.from([octet]))));

const octetIs = (header: number, offset: number, octet: number): readonly Buffer[] => [
  expression(
    'payload',
    attribute(1, be32(1)),
    attribute(2, be32(header)),
    attribute(3, be32(offset)),
    attribute(4, be32(1)),
  ),
  isOctet(octet),
];

const IS_IPV6 = [expression('meta', attribute(1, be32(1)), attribute(2, be32(META_NFPROTO))), isOctet(NFPROTO_IPV6)];

/** What a host says of the groups that it has joined (mld_sendpack), which may come some time after it has: the only packets here with hop-by-hop options. */
const DROP_REPORTS = [...IS_IPV6, ...octetIs(NETWORK_HEADER, 6, HOP_BY_HOP), DROP];

/** What ndisc_send_redirect makes, and no process here: with hop limit 255. */
const DROP_REDIRECTS = [
  ...IS_IPV6,
  ...octetIs(NETWORK_HEADER, 6, ICMPV6),
  ...octetIs(NETWORK_HEADER, 7, 255),
  ...octetIs(TRANSPORT_HEADER, 0, ND_REDIRECT),
  DROP,
];

const batch = (...messages: readonly Message[]): Message[] => [
  message(BATCH_BEGIN, 0, netfilterHead(0, SUBSYS_NFTABLES)),
  ...messages,
  message(BATCH_END, 0, netfilterHead(0, SUBSYS_NFTABLES)),
];

const logConfig = (family: number, group: number, ...attributes: readonly Buffer[]): Message =>
  message(ULOG_CONFIG, NLM_F_ACK, netfilterHead(family, group), ...attributes);

const PF_BIND = attribute(1, Buffer.from([3]));
const BIND = attribute(1, Buffer.from([1]));

/** Binds a socket to an NFLOG group: whole packets, each at once. */
function bindGroup(socket: NetlinkSocket, group: number): void {
  socket.request(
    `NFLOG group ${group}`,
    logConfig(0, group, BIND),
    // struct nfulnl_msg_config_mode: the whole packet, NFULNL_COPY_PACKET.
    logConfig(0, group, attribute(2, Buffer.concat([be32(0xffff), Buffer.from([2, 0])]))),
    logConfig(0, group, attribute(5, be32(1))),
    // One message a buffer: a smaller one is charged less to the socket.
    logConfig(0, group, attribute(3, be32(4096))),
  );
}

/** Where nf_tables keeps rules by handle, to say which one of its chain an event is about. */
type RuleIndex = Map<string, number>;

const ruleKey = (family: number, table: string, chainName: string, handle: string): string =>
  `${family} ${table} ${chainName} ${handle}`;

/** The watch over one namespace. Make it inside, before any ruleset is loaded. */
export class Tracing {
  readonly #host: string;
  readonly #backend: Backend;
  readonly #names: ReadonlyMap<number, string>;
  readonly #control: NetlinkSocket;
  readonly #nftrace: NetlinkSocket;
  /** ip_tables speaks through it; nf_tables does not. */
  readonly #nflog: NetlinkSocket | undefined;
  readonly #sink: NetlinkSocket;
  #rules: RuleIndex = new Map();
  /** Absent: the chains for it are not made yet. */
  #isUntracked: boolean | undefined;

  /** `names` are the devices of the namespace by interface index. */
  constructor(host: string, backend: Backend, names: ReadonlyMap<number, string>) {
    this.#host = host;
    this.#backend = backend;
    this.#names = names;
    this.#control = new NetlinkSocket(NETLINK_NETFILTER);
    this.#control.request(
      'the table of the trace',
      ...batch(
        message(
          NFT_NEWTABLE,
          NLM_F_CREATE | NLM_F_ACK,
          netfilterHead(NFPROTO_INET),
          attribute(1, zeroTerminated(TABLE)),
        ),
        chain('sink', NF_INPUT, 0x7fffffff),
        rule('sink', ...LOG_AND_DROP),
        chain('prerouting', NF_PREROUTING, -500),
        rule('prerouting', ...SET_NFTRACE),
        chain('output', NF_OUTPUT, -500),
        rule('output', ...DROP_REPORTS),
        rule('output', ...DROP_REDIRECTS),
        rule('output', ...SET_NFTRACE),
        chain('state-prerouting', NF_PREROUTING, AFTER_CONNTRACK),
        chain('state-output', NF_OUTPUT, AFTER_CONNTRACK),
      ),
    );
    this.#sink = new NetlinkSocket(NETLINK_NETFILTER);
    bindGroup(this.#sink, SINK_GROUP);
    this.#nftrace = new NetlinkSocket(NETLINK_NETFILTER, 1 << (GROUP_NFTRACE - 1));
    if (backend === 'legacy') {
      this.#nflog = new NetlinkSocket(NETLINK_NETFILTER);
      for (const family of [AF_INET, AF_INET6]) {
        this.#nflog.request('NFLOG as logger of the family', logConfig(family, 0, PF_BIND));
      }
      bindGroup(this.#nflog, TRACE_GROUP);
    }
  }

  /** The descriptors that become readable when there is something to collect. */
  get descriptors(): readonly number[] {
    return this.#sockets.map((socket) => socket.fd);
  }

  flushConntrack(): void {
    this.#control.request('conntrack flush', message(CT_DELETE, NLM_F_ACK, netfilterHead(0)));
  }

  /** conntrack takes the flow for one that it knows. */
  makeFlow(flow: FlowSpec): void {
    makeFlow(this.#control, flow);
  }

  /** Whether conntrack leaves every packet alone: by `notrack` in chains of our own just before raw, made when they are first needed. */
  setUntracked(isUntracked: boolean): void {
    if (isUntracked === (this.#isUntracked ?? false)) return;
    const chains = [
      chain('untrack-prerouting', NF_PREROUTING, BEFORE_RAW),
      chain('untrack-output', NF_OUTPUT, BEFORE_RAW),
    ];
    const names = ['untrack-prerouting', 'untrack-output'];
    const change = isUntracked
      ? [...(this.#isUntracked === undefined ? chains : []), ...names.map((name) => rule(name, expression('notrack')))]
      : names.map((name) => allRulesOf(name));
    this.#control.request('what conntrack leaves alone', ...batch(...change));
    this.#isUntracked = isUntracked;
  }

  /** Reads which rule has which handle; to be called after each change of an nft ruleset. */
  readRules(): void {
    if (this.#backend === 'legacy') return;
    const rules: RuleIndex = new Map();
    const counts = new Map<string, number>();
    for (const family of [AF_INET, AF_INET6]) {
      this.#control.dump('rules', message(NFT_GETRULE, NLM_F_DUMP, netfilterHead(family)), (body) => {
        const attributes = readAttributes(body, 4);
        const table = readString(attributes.get(1)) ?? '';
        const chainName = readString(attributes.get(2)) ?? '';
        const place = (counts.get(`${family} ${table} ${chainName}`) ?? 0) + 1;
        counts.set(`${family} ${table} ${chainName}`, place);
        rules.set(ruleKey(family, table, chainName, attributes.get(3)?.toString('hex') ?? ''), place);
      });
    }
    this.#rules = rules;
  }

  /** Takes what the kernel has said since the last call. */
  collect(seen: Collected): void {
    for (const body of bodies(this.#nftrace, SUBSYS_NFTABLES)) {
      const event = this.#nftEvent(body);
      if (event.table !== TABLE) {
        if (this.#backend === 'nft') seen.trace.push(event);
      } else if (event.chain.startsWith('state-') && (event.iif ?? event.oif) !== undefined) {
        // Of the events of one chain only the first describes the packet.
        seen.states.push({
          host: this.#host,
          hook: event.chain === 'state-output' ? 'OUTPUT' : 'PREROUTING',
          ...present('state', event.ctState),
        });
      }
    }
    if (this.#nflog !== undefined) {
      for (const body of bodies(this.#nflog, SUBSYS_ULOG)) seen.trace.push(...this.#legacyEvents(body));
    }
    for (const body of bodies(this.#sink, SUBSYS_ULOG)) seen.local.push(this.#delivery(body));
  }

  close(): void {
    for (const socket of [this.#control, ...this.#sockets]) socket.close();
  }

  get #sockets(): NetlinkSocket[] {
    return [this.#nftrace, this.#sink, ...(this.#nflog === undefined ? [] : [this.#nflog])];
  }

  #device(attribute: Buffer | undefined): string | undefined {
    const index = readBe32(attribute);
    return index === undefined || index === 0 ? undefined : (this.#names.get(index) ?? `if${index}`);
  }

  // The attributes are those of nfulnl_attr_type.
  /** One, or none where a rule's own NFLOG has said it: that comes to the same group. */
  #legacyEvents(body: Buffer): TraceEvent[] {
    const attributes = readAttributes(body, 4);
    const [, prefix] = TRACE_PREFIX.exec(readString(attributes.get(10)) ?? '') ?? [];
    if (prefix === undefined) return [];
    return [
      {
        kind: 'legacy',
        host: this.#host,
        prefix,
        hook: attributes.get(1)?.readUInt8(2) ?? 0,
        mark: readBe32(attributes.get(2)) ?? 0,
        ...present('iif', this.#device(attributes.get(4))),
        ...present('oif', this.#device(attributes.get(5))),
        ...present('physin', this.#device(attributes.get(6))),
        ...present('physout', this.#device(attributes.get(7))),
        packet: attributes.get(9)?.toString('hex') ?? '',
      },
    ];
  }

  #delivery(body: Buffer): Delivery {
    const attributes = readAttributes(body, 4);
    return {
      host: this.#host,
      packet: attributes.get(9)?.toString('hex') ?? '',
      mark: readBe32(attributes.get(2)) ?? 0,
      ...present('iif', this.#device(attributes.get(4))),
      ...present('physin', this.#device(attributes.get(6))),
    };
  }

  // The attributes are those of nft_trace_attributes.
  #nftEvent(body: Buffer): TraceEvent & { readonly kind: 'nft' } {
    const attributes = readAttributes(body, 4);
    const family = body.readUInt8(0);
    const table = readString(attributes.get(1)) ?? '';
    const chainName = readString(attributes.get(2)) ?? '';
    const handle = attributes.get(3)?.toString('hex');
    const verdict = attributes.get(5);
    const verdictParts = verdict === undefined ? undefined : readAttributes(verdict);
    return {
      kind: 'nft',
      host: this.#host,
      family,
      type: (['unknown', 'policy', 'return', 'rule'] as const)[readBe32(attributes.get(4)) ?? 0] ?? 'unknown',
      table,
      chain: chainName,
      ...present('rule', handle === undefined ? undefined : this.#rules.get(ruleKey(family, table, chainName, handle))),
      ...present('verdict', verdictParts?.get(1)?.readInt32BE(0)),
      ...present('jump', readString(verdictParts?.get(2))),
      ...present('policy', readBe32(attributes.get(16))),
      id: readBe32(attributes.get(6)) ?? 0,
      mark: readBe32(attributes.get(14)) ?? 0,
      ...present('iif', this.#device(attributes.get(10))),
      ...present('oif', this.#device(attributes.get(12))),
      ...present('ctState', readBe32(attributes.get(21))),
      ...present('network', attributes.get(8)?.toString('hex')),
      ...present('transport', attributes.get(9)?.toString('hex')),
    };
  }
}

/** What was seen, by kind; `collect` adds to it. */
export interface Collected {
  readonly local: Delivery[];
  readonly trace: TraceEvent[];
  readonly states: SeenState[];
}

/** The messages of `subsystem` that wait at `socket`. */
function* bodies(socket: NetlinkSocket, subsystem: number): Generator<Buffer> {
  for (let datagram = socket.receive(); datagram !== undefined; datagram = socket.receive()) {
    for (const { type, body } of splitDatagram(datagram)) if (type >> 8 === subsystem) yield body;
  }
}

/** `{ [name]: value }`, or nothing when there is no value. */
function present<K extends string, V>(name: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [name]: value } as Partial<Record<K, V>>);
}
