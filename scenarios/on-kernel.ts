/**
 * A scenario on Linux itself: every packet that the model sends to a host goes to that host's namespace as well, and what becomes of it is
 * compared: what left and where, what processes got, conntrack's state, and each rule that was met.
 */
import type { Difference } from '../src/kernel/compare.ts';
import {
  compareWays,
  isTracking,
  withAllTables,
  type NetworkOracle,
  type Sent,
} from '../src/kernel/network-compare.ts';
import { transportHeaderLength } from '../src/packet/length.ts';
import { makePacket, type Packet } from '../src/packet/packet.ts';
import { encodePacket } from '../src/packet/wire.ts';
import { readScenario, rulesOf, run, type Scenario } from './scenario.ts';

/** All in which the kernel differs from the model. What it refused to load is a difference of its own. */
export function differences(oracle: NetworkOracle, scenario: Scenario): Difference[] {
  const chain = [withAllTablesOf(scenario)];
  for (let { after } = scenario; after !== undefined; after = chain[0]?.after)
    chain.unshift(withAllTablesOf({ ...readScenario(after), backend: scenario.backend }));
  // One world for all of them: whoever comes after goes on with the connections.
  const tracking = new Set(
    chain.flatMap((one) => [...run(one).world.machines.values()].filter(isTracking).map(({ host }) => host.name)),
  );
  return chain.flatMap((one, at): Difference[] => {
    const { world, exchanges } = run(one);
    const { backend, network, rules } = one;
    const given = { backend, hosts: network.hosts, texts: rules };
    const refused = oracle.load(given, (host) => tracking.has(host), at > 0);
    if (refused !== undefined) return [{ what: 'load', at: -1, packet: '', model: [], kernel: [refused.message] }];
    const sent = one.conversation.items.flatMap((item): Sent[] => {
      if (item.kind === 'flush') return ['flush'];
      const way = exchanges.find(({ line }) => line === item.line)?.way;
      return way === undefined ? [] : [way];
    });
    return compareWays(
      given,
      (host) => rules.get(host)?.rulesets ?? [],
      world,
      sent,
      oracle,
      (packet) => octetsOf(one, packet),
    ).flatMap(({ difference }) => difference ?? []);
  });
}

/** The kernel has every table, and its trace tells of each: so shall the model. */
function withAllTablesOf(scenario: Scenario): Scenario {
  return {
    ...scenario,
    rules: new Map(
      [...scenario.rules].map(([host, { stem, text4, text6 }]) => [
        host,
        rulesOf(stem, withAllTables(text4), withAllTables(text6)),
      ]),
    ),
  };
}

/** One for all packets: the fragments of a datagram have it in common. */
const IP_ID = 0x1234;
const IPV4_HEADER = 20;

/**
 * A packet on the wire. A first fragment has the checksum of its whole datagram: of the fragments that the conversation sends with its
 * addresses, whose octets are all zero.
 */
function octetsOf(scenario: Scenario, packet: Packet): Uint8Array {
  const { fragment, family, protocol, saddr, daddr } = packet;
  const octets = encodePacket(packet, { id: IP_ID });
  if (family !== 4 || fragment?.offset !== 0) return octets;
  const last = scenario.conversation.items
    .flatMap((item) => (item.kind === 'packet' ? [item.arrival.packet] : []))
    .find(
      (other) =>
        other.fragment?.more === false &&
        other.protocol === protocol &&
        other.saddr === saddr &&
        other.daddr === daddr &&
        other.sport + other.dport === 0,
    );
  if (last?.fragment === undefined) return octets;
  const end = last.fragment.offset * 8 + transportHeaderLength(last) + last.payload;
  const { fragment: _, ...head } = packet;
  const whole = encodePacket(makePacket({ ...head, payload: end - transportHeaderLength({ protocol }) }));
  octets.set(whole.subarray(IPV4_HEADER, octets.length), IPV4_HEADER);
  return octets;
}
