/**
 * A packet's way through several hosts: from its sender, hop by hop, to where it ends; and the way of the answer.
 * Between hosts a frame goes where its MAC is, as a switch that has learnt every station would send it.
 */
import { isGroupMac } from '../address/mac.ts';
import { bridgeOfPort, interfaceOf } from '../host/host.ts';
import { bridgeDecision } from '../host/link.ts';
import type { Exit, FreshField, Journey } from '../netfilter/journey.ts';
import { arrive, copyMachine, freshMachine, machineOf, type Machine } from '../netfilter/traverse.ts';
import type { Backend } from '../netfilter/skb.ts';
import type { Arrival, ConntrackState, Entry, Packet } from '../packet/packet.ts';
import { replyTo } from '../packet/reply.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import type { Attachment, Link, Network, Station } from './network.ts';

/** A network whose hosts have rules, and remember. */
export interface World {
  readonly network: Network;
  readonly machines: ReadonlyMap<string, Machine>;
}

export const worldOf = (
  network: Network,
  rulesets: ReadonlyMap<string, readonly Ruleset[]>,
  backend: Backend = 'nft',
): World => ({
  network,
  machines: new Map(network.hosts.map((host) => [host.name, machineOf(host, rulesets.get(host.name) ?? [], backend)])),
});

const withMachines = (world: World, change: (machine: Machine) => Machine): World => ({
  ...world,
  machines: new Map([...world.machines].map(([name, machine]) => [name, change(machine)])),
});

export const copyWorld = (world: World): World => withMachines(world, copyMachine);

/** The same hosts and rules, having seen nothing yet. */
export const freshWorld = (world: World): World => withMachines(world, freshMachine);

export interface Hop {
  readonly host: string;
  readonly entry: Entry;
  readonly journey: Journey;
}

/** Where a packet, or one copy of it, comes to its end: it reaches somebody, or is lost on a host. */
export type End = Reached | Lost;

export type Reached =
  | { readonly kind: 'process'; readonly host: string; readonly packet: Packet }
  | {
      readonly kind: 'instance' | 'outside';
      /** The station's name; absent for a machine outside that nobody named. */
      readonly name?: string;
      /** Where it left the last host. */
      readonly at: Attachment;
      readonly packet: Packet;
      readonly fresh?: readonly FreshField[];
    };

export interface Lost {
  readonly kind: 'dropped' | 'rejected' | 'undecided';
  readonly host: string;
  readonly reason?: string;
  readonly line?: number;
  /** It left the host, for an address behind the interface that is nobody's here. */
  readonly left?: { readonly at: Attachment; readonly packet: Packet; readonly fresh?: readonly FreshField[] };
}

export const isReached = (end: End): end is Reached =>
  end.kind === 'process' || end.kind === 'instance' || end.kind === 'outside';

export interface Way {
  readonly hops: readonly Hop[];
  readonly ends: readonly End[];
}

/** A packet that goes round for ever is given up after so many hosts (its TTL would end it as well). */
const MAX_HOPS = 16;

export interface Pending {
  readonly host: string;
  readonly packet: Packet;
  readonly entry: Entry;
  readonly state?: ConntrackState;
}

/** What one host makes of a packet that arrives there; undefined where there is no such host. */
export type Arriving = (host: string, arrival: Arrival) => Journey | undefined;

/** Sends a packet on its way; the machines remember it. */
export const send = (world: World, host: string, arrival: Arrival): Way =>
  follow(world.network, host, arrival, (name, arriving) => {
    const machine = world.machines.get(name);
    return machine && arrive(machine, arriving);
  });

/** Follows a packet, and every copy of it, from host to host, whoever says what becomes of it on each. */
export function follow(network: Network, host: string, arrival: Arrival, arriving: Arriving): Way {
  const hops: Hop[] = [];
  const ends: End[] = [];
  const pending: Pending[] = [{ ...arrival, host }];
  for (let next = pending.shift(); next !== undefined; next = pending.shift()) {
    const here = next.host;
    if (hops.length >= MAX_HOPS) {
      ends.push({ kind: 'dropped', host: here, reason: 'it goes round in circles' });
      break;
    }
    const journey = arriving(here, next);
    if (journey === undefined) {
      ends.push({ kind: 'dropped', host: here, reason: `there is no host ${here}` });
      continue;
    }
    hops.push({ host: here, entry: next.entry, journey });
    for (const packet of journey.deliveries) ends.push({ kind: 'process', host: here, packet });
    if (journey.fate.kind === 'undecided') {
      const { reason, line } = journey.fate;
      ends.push({
        kind: 'undecided',
        host: here,
        ...(reason === undefined ? {} : { reason }),
        ...(line === undefined ? {} : { line }),
      });
      continue;
    }
    for (const exit of journey.exits) {
      const onward = afterExit(network, here, exit);
      pending.push(...onward.arrivals);
      ends.push(...onward.ends);
    }
    if (journey.deliveries.length === 0 && journey.exits.length === 0) {
      const { reason, line } = journey.fate;
      ends.push({
        kind: journey.fate.kind === 'rejected' ? 'rejected' : 'dropped',
        host: here,
        ...(reason === undefined ? {} : { reason }),
        ...(line === undefined ? {} : { line }),
      });
    }
  }
  return { hops, ends };
}

const isAt = (attachment: Attachment, host: string, name: string): boolean =>
  attachment.host === host && attachment.interface === name;

/** Who is plugged in where. */
interface Plugs {
  /** Stations by the port that they are on, and by the link. */
  readonly stations: ReadonlyMap<string, readonly Station[]>;
  readonly outside: ReadonlyMap<string, readonly Station[]>;
  readonly links: ReadonlyMap<string, readonly Link[]>;
}

const plugKey = (host: string, name: string): string => `${host} ${name}`;

const plugs = new WeakMap<Network, Plugs>();

function plugsOf(network: Network): Plugs {
  const known = plugs.get(network);
  if (known !== undefined) return known;
  const put = <T>(map: Map<string, T[]>, key: string, value: T): void => {
    const list = map.get(key);
    if (list === undefined) map.set(key, [value]);
    else if (!list.includes(value)) list.push(value);
  };
  const [stations, outside, links] = [
    new Map<string, Station[]>(),
    new Map<string, Station[]>(),
    new Map<string, Link[]>(),
  ];
  for (const station of network.stations) {
    if ('host' in station.at) put(stations, plugKey(station.at.host, station.at.interface), station);
    else put(outside, station.at.link, station);
  }
  for (const link of network.links)
    for (const attachment of link.attachments) put(links, plugKey(attachment.host, attachment.interface), link);
  const made = { stations, outside, links };
  plugs.set(network, made);
  return made;
}

/** Where a frame goes on from a host: other hosts, and ends. */
export interface Onward {
  readonly arrivals: readonly Pending[];
  readonly ends: readonly End[];
}

/** What becomes of a frame that leaves a host: it arrives at others, and ends at stations or outside. */
export function afterExit(network: Network, host: string, exit: Exit): Onward {
  const at: Attachment = { host, interface: exit.port ?? exit.oif };
  const end = (kind: 'instance' | 'outside', name?: string): End => ({
    kind,
    at,
    packet: exit.packet,
    ...(name === undefined ? {} : { name }),
    ...(exit.fresh === undefined ? {} : { fresh: exit.fresh }),
  });
  const { dmac } = exit.frame;
  const group = isGroupMac(dmac);
  const onPort = plugsOf(network).stations.get(plugKey(host, at.interface)) ?? [];
  if (onPort.length > 0) {
    const listening = onPort.filter((station) => group || station.mac === dmac);
    // A flooded copy reaches ports whose machine it is not for; that machine ignores it.
    return { arrivals: [], ends: listening.map((station) => end('instance', station.name)) };
  }
  const links = plugsOf(network).links.get(plugKey(host, at.interface)) ?? [];
  const arrivals: Pending[] = [];
  const ends: End[] = [];
  for (const link of links) {
    for (const other of link.attachments) {
      if (isAt(other, host, at.interface) || !takes(network, other, dmac)) continue;
      arrivals.push({
        host: other.host,
        entry: { kind: 'in', host: other.host, interface: other.interface },
        packet: { ...exit.packet, mark: 0, smac: exit.frame.smac, dmac },
      });
    }
    const named = (plugsOf(network).outside.get(link.name) ?? []).filter((station) => station.mac === dmac);
    ends.push(...named.map((station) => end('outside', station.name)));
    if (link.outside && named.length === 0 && (arrivals.length === 0 || group)) ends.push(end('outside'));
  }
  if (arrivals.length === 0 && ends.length === 0 && !group)
    ends.push(
      links.some((link) => link.outside) || links.length === 0
        ? end('outside')
        : {
            kind: 'dropped',
            host,
            reason: `nobody behind ${at.interface} has the address ${dmac}`,
            left: { at, packet: exit.packet, ...(exit.fresh === undefined ? {} : { fresh: exit.fresh }) },
          },
    );
  return { arrivals, ends };
}

/** True when a host takes in a frame at this attachment: for its own MAC, a group, or one of its stations behind a bridge. */
function takes(network: Network, attachment: Attachment, dmac: string): boolean {
  const host = network.hosts.find((candidate) => candidate.name === attachment.host);
  if (host === undefined) return false;
  if (isGroupMac(dmac)) return true;
  const bridge = bridgeOfPort(host, attachment.interface);
  if (bridge === undefined) return interfaceOf(host, attachment.interface)?.mac === dmac;
  const decision = bridgeDecision(host, bridge, dmac);
  return decision.kind === 'up' || (decision.kind === 'port' && decision.port !== attachment.interface);
}

/** The arrival of a packet that an end sends back the way it was reached. */
export function arrivalFrom(network: Network, end: Reached, packet: Packet): { host: string; arrival: Arrival } {
  if (end.kind === 'process') return { host: end.host, arrival: { packet, entry: { kind: 'local', host: end.host } } };
  const { host, interface: name } = end.at;
  const station = network.stations.find((candidate) => candidate.name === end.name);
  const smac = station === undefined ? {} : { smac: station.mac };
  return { host, arrival: { packet: { ...packet, ...smac }, entry: { kind: 'in', host, interface: name } } };
}

/** The answer of whoever got the packet, as it sets out; undefined where nobody would answer. */
export function answerFrom(network: Network, end: End): { host: string; arrival: Arrival } | undefined {
  if (!isReached(end)) return undefined;
  const reply = replyTo(end.packet);
  return reply && arrivalFrom(network, end, reply);
}

/** Sends the answer of whoever got the packet; undefined where nobody would answer. */
export function answer(world: World, end: End): Way | undefined {
  const answered = answerFrom(world.network, end);
  return answered && send(world, answered.host, answered.arrival);
}
