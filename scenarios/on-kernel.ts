/**
 * A scenario on Linux itself: every packet that the model sends to a host goes to that host's namespace as well, and what becomes of it is
 * compared: what left and where, what processes got, conntrack's state, and each rule that was met.
 */
import type { Kernel } from '../src/kernel/client.ts';
import { comparePlayed, type Difference } from '../src/kernel/compare.ts';
import type { Played } from '../src/kernel/dialogue.ts';
import { hostSpec } from '../src/kernel/host-spec.ts';
import type { Host } from '../src/host/host.ts';
import type { HostSpec } from '../src/kernel/protocol.ts';
import type { Machine } from '../src/netfilter/traverse.ts';
import { transportHeaderLength } from '../src/packet/length.ts';
import { makePacket, type Packet } from '../src/packet/packet.ts';
import { encodePacket } from '../src/packet/wire.ts';
import { BUILT_IN_CHAINS, type TableName } from '../src/ruleset/rule.ts';
import { readScenario, rulesOf, run, type Scenario } from './scenario.ts';

/** All in which the kernel differs from the model. What it refused to load is a difference of its own. */
export function differences(kernel: Kernel, scenario: Scenario): Difference[] {
  const chain = [withAllTables(scenario)];
  for (let { after } = scenario; after !== undefined; after = chain[0]?.after)
    chain.unshift(withAllTables({ ...readScenario(after), backend: scenario.backend }));
  const world = kernel.world(scenario.backend, scenario.network.hosts.map(specFor(chain)));
  return chain.flatMap((one, at) => {
    const { world: model, exchanges } = run(one);
    return one.network.hosts.flatMap((host): Difference[] => {
      const { rulesets = [], text4 = '', text6 = '' } = one.rules.get(host.name) ?? {};
      const texts = { text4, text6 };
      const machine = model.machines.get(host.name);
      const { refused } = kernel.runCase(world, { [host.name]: texts }, [], at > 0);
      if (refused !== undefined) return [{ what: 'load', at: -1, packet: '', model: [], kernel: [refused.message] }];
      if (machine === undefined) return [];
      const played = one.conversation.items.flatMap((item): Played[] => {
        if (item.kind === 'flush') return [{ sent: { kind: 'flush' } }];
        const hops = exchanges.find(({ line }) => line === item.line)?.way?.hops ?? [];
        return hops
          .filter((hop) => hop.host === host.name)
          .map(({ entry, journey }) => ({
            sent: { kind: 'packet', arrival: { packet: journey.packet, entry }, octets: octetsOf(one, journey.packet) },
            journey,
          }));
      });
      const { difference } = comparePlayed(
        { host, backend: one.backend, texts, moves: [] },
        rulesets,
        machine,
        played,
        {
          identification: () => 0,
          tellsStates: () => world.states,
          load: () => undefined,
          send: (steps) => kernel.runCase(world, {}, steps, true).steps,
        },
      );
      return difference === undefined ? [] : [difference];
    });
  });
}

/**
 * nf_tables lets go of a removed rule, and so of conntrack, only some time after the restore (nf_tables_trans_destroy_work, up to 0.1 s here):
 * scenarios in which conntrack is off have a world of their own, told apart by a sysctl that changes nothing.
 */
const specFor =
  (chain: readonly Scenario[]) =>
  (host: Host): HostSpec => {
    const spec = hostSpec(host);
    const tracked = chain.some((scenario) => [...run(scenario).world.machines.values()].some(tracks));
    return tracked ? spec : { ...spec, sysctl: { ...spec.sysctl, 'net.ipv4.ip_default_ttl': 64 } };
  };

const tracks = ({ rules }: Machine): boolean => [...rules.values()].some(({ conntrack }) => conntrack);

/** The kernel has every table, and its trace tells of each: so shall the model. A table that the rules do not name is empty there. */
function withAllTables(scenario: Scenario): Scenario {
  const complete = (text = ''): string =>
    ALL_TABLES.filter((table) => !text.includes(`*${table}\n`))
      .map(
        (table) => `*${table}\n${BUILT_IN_CHAINS[table].map((chain) => `:${chain} ACCEPT [0:0]\n`).join('')}COMMIT\n`,
      )
      .reduce((whole, table) => whole + table, text);
  return {
    ...scenario,
    rules: new Map(
      [...scenario.rules].map(([host, { stem, text4, text6 }]) => [
        host,
        rulesOf(stem, complete(text4), complete(text6)),
      ]),
    ),
  };
}

const ALL_TABLES: readonly TableName[] = ['raw', 'mangle', 'nat', 'filter'];

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
