/**
 * Connection tracking told what to think: a flow that nobody opened, so that a packet is ESTABLISHED or RELATED, and packets that it leaves alone. Nothing of the ruleset under
 * test is touched: the flow comes through ctnetlink (include/uapi/linux/netfilter/nfnetlink_conntrack.h), the other is a chain of our own table.
 */
import {
  NLM_F_ACK,
  NLM_F_CREATE,
  attribute,
  be16,
  be32,
  message,
  nested,
  netfilterHead,
  type Message,
  type NetlinkSocket,
} from './netlink.ts';
import { AF_INET, AF_INET6 } from './libc.ts';
import { addressBytes } from './octets.ts';
import type { FlowSpec, FlowTuple } from '../protocol.ts';

/** NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_NEW. */
const CT_NEW = 1 << 8;
const CTA = { original: 1, reply: 2, status: 3, protoinfo: 4, timeout: 7, natDestination: 13, master: 14 } as const;
const NLM_F_EXCL = 0x200;

const IPS_SEEN_REPLY = 2;
const IPS_ASSURED = 4;
const IPS_CONFIRMED = 8;

const ICMP = 1;
const TCP = 6;
const ICMPV6 = 58;

const isIpv6 = ({ saddr }: FlowTuple): boolean => saddr.includes(':');

function tupleAttribute(type: number, tuple: FlowTuple): Buffer {
  const [source, destination] = [addressBytes(tuple.saddr), addressBytes(tuple.daddr)];
  const { protocol, sport, dport } = tuple;
  const icmp = protocol === ICMP ? 4 : protocol === ICMPV6 ? 7 : undefined;
  // An icmp's identifier, type and code, where others have ports.
  const ends =
    icmp === undefined
      ? [attribute(2, be16(sport)), attribute(3, be16(dport))]
      : [
          attribute(icmp, be16(sport)),
          attribute(icmp + 1, Buffer.from([dport >> 8])),
          attribute(icmp + 2, Buffer.from([dport & 255])),
        ];
  const first = isIpv6(tuple) ? 3 : 1;
  return nested(
    type,
    nested(1, attribute(first, source), attribute(first + 1, destination)),
    nested(2, attribute(1, Buffer.from([protocol])), ...ends),
  );
}

/** TCP_CONNTRACK_ESTABLISHED, and no look at windows: nobody has seen this connection's numbers. */
const TCP_ESTABLISHED = nested(
  CTA.protoinfo,
  nested(1, attribute(1, Buffer.from([3])), attribute(4, Buffer.from([8, 8])), attribute(5, Buffer.from([8, 8]))),
);

/** Translated to where it goes anyway: with that both ends are decided, and the nat chains are not asked. */
const notTranslated = (original: FlowTuple): Buffer =>
  nested(CTA.natDestination, attribute(isIpv6(original) ? 4 : 1, addressBytes(original.daddr)));

function flowMessage({ original, reply, seenReply }: FlowSpec, master?: FlowTuple): Message {
  return message(
    CT_NEW,
    NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK,
    netfilterHead(isIpv6(original) ? AF_INET6 : AF_INET),
    tupleAttribute(CTA.original, original),
    tupleAttribute(CTA.reply, reply),
    attribute(CTA.status, be32(IPS_CONFIRMED | (seenReply ? IPS_SEEN_REPLY | IPS_ASSURED : 0))),
    attribute(CTA.timeout, be32(600)),
    ...(original.protocol === TCP ? [TCP_ESTABLISHED] : []),
    notTranslated(original),
    ...(master === undefined ? [] : [tupleAttribute(CTA.master, master)]),
  );
}

/** Makes the flow; one that another flow has expected comes with that one. */
export function makeFlow(socket: NetlinkSocket, flow: FlowSpec): void {
  if (!flow.expected) {
    socket.request('a flow', flowMessage(flow));
    return;
  }
  const [saddr, daddr] = isIpv6(flow.original)
    ? (['2001:db8::1', '2001:db8::2'] as const)
    : (['192.0.2.1', '192.0.2.2'] as const);
  const master = { protocol: TCP, saddr, daddr, sport: 1, dport: 1 };
  const back = { ...master, saddr: master.daddr, daddr: master.saddr };
  socket.request('the flow that expects one', flowMessage({ original: master, reply: back, seenReply: true }));
  socket.request('an expected flow', flowMessage(flow, master));
}
