/**
 * Flows that are alive when an operation takes away what let them begin, and what becomes of them: connection tracking keeps what was decided of a flow,
 * whatever the rules say by then (S4).
 */
import { printAddress, printPrefix, type Family } from '../address/address.ts';
import { subtractRanges } from '../address/ranges.ts';
import type { Deployment, Instance, SecurityGroupRule } from '../deployment/deployment.ts';
import { groupsOf } from '../deployment/placement.ts';
import { networkOf } from '../deployment/world.ts';
import { copyMachine, type Machine } from '../netfilter/traverse.ts';
import type { Network } from '../network/network.ts';
import {
  answer,
  freshWorld,
  isReached,
  send,
  worldOf,
  type End,
  type Reached,
  type Way,
  type World,
} from '../network/walk.ts';
import { TCP, type Arrival } from '../packet/packet.ts';
import { intersectSets, setOf, type PacketSet } from '../packet/pattern.ts';
import { laterThan } from '../packet/reply.ts';
import { leastPacket } from '../packet/sample.ts';
import { parseRuleset } from '../ruleset/parse.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import type { LawContext } from './law.ts';
import type { History, Kernels, TableLines, Write } from './over-time.ts';
import { admittedBy, only } from './vocabulary/admission.ts';
import {
  associatedFloats,
  everySubnet,
  fixedAddresses,
  floatsOf,
  unicast,
  type AssociatedFloat,
  type FixedAddress,
} from './vocabulary/addresses.ts';
import { opening } from './vocabulary/claims.ts';
import { outwardEntries, portOf, type EntryPoint } from './vocabulary/entries.ts';
import { gatewayOf } from './vocabulary/ways.ts';

/** What an operation takes away: an association, the host of one (its instance has moved), or what a group admits to an instance. */
export type Taken = 'association' | 'place' | 'rule';

/** A flow that had begun before the operation, as what is taken away let it. */
export interface LivingFlow {
  readonly taken: Taken;
  /** What its sender says first, and when it has been answered. Entries name the host. */
  readonly opening: Arrival;
  readonly later: Arrival;
  /** Where its first packet came to. */
  readonly end: Reached;
}

/** Rules of every host, both families. */
export type HostRules = ReadonlyMap<string, readonly Ruleset[]>;

/** A flow that goes on under rules that would not let it begin. */
export interface FlowGoneOn extends LivingFlow {
  /** The hosts as they are after the operation. */
  readonly network: Network;
  /** The rules under which it began, and those under which it goes on. */
  readonly before: HostRules;
  readonly then: HostRules;
  /** The way of its later packet there. */
  readonly way: Way;
}

/** A flow to begin. */
interface Opening {
  readonly taken: Taken;
  readonly arrival: Arrival;
  /** The instance that sends it; absent: somebody outside. */
  readonly sender?: Instance;
}

interface Begun extends LivingFlow {
  /** What the hosts remember of it. */
  readonly world: World;
}

/** Of each flow that goes on though it could not begin as it did, the first state on the way, or the end, in which it does. */
export function flowsThatGoOn({ earlier, deployment, before, writes, after }: History): readonly FlowGoneOn[] {
  const losses = lossesOf(earlier, deployment);
  if (losses.length === 0) return [];
  const context = { deployment: earlier, network: networkOf(earlier) };
  const openings = losses.flatMap((loss) => openingsBy(context, loss));
  const begun = worldUnder(context.network, before);
  const network = networkOf(deployment);
  const end = worldUnder(network, after);
  // What can begin in the end was not taken away.
  const refused = openings
    .flatMap((one) => begin(begun, one) ?? [])
    .flatMap((flow) => fromItsPort(flow, earlier, deployment) ?? [])
    .filter((flow) => !beginsIn(end, flow));
  const found = new Map<Begun, FlowGoneOn>();
  for (const kernels of refused.length === 0 ? [] : statesOf(before, writes, after)) {
    const world = worldUnder(network, kernels);
    for (const flow of refused) {
      const way = found.has(flow) || beginsIn(world, flow) ? undefined : wayOnIn(world, flow);
      if (way === undefined) continue;
      const { world: _, ...own } = flow;
      found.set(flow, { ...own, network, before: rulesOf(before), then: rulesOf(kernels), way });
    }
  }
  return [...found.values()];
}

// What is taken away

/** What the database gives no more. */
type Loss =
  | { readonly taken: 'association' | 'place'; readonly float: AssociatedFloat }
  | { readonly taken: 'rule'; readonly grant: Grant; readonly target: FixedAddress };

function lossesOf(earlier: Deployment, now: Deployment): readonly Loss[] {
  const losses: Loss[] = [];
  const associated = new Map(associatedFloats(now).map((float) => [float.address, float]));
  for (const float of associatedFloats(earlier)) {
    const { fixed, host } = associated.get(float.address) ?? {};
    if (fixed?.address !== float.fixed.address) losses.push({ taken: 'association', float });
    else if (host?.name !== float.host.name) losses.push({ taken: 'place', float });
  }
  const instances = new Map(now.instances.map((instance) => [instance.id, instance]));
  for (const target of fixedAddresses(earlier)) {
    const instance = instances.get(target.instance.id);
    if (instance === undefined) continue;
    const kept = new Set(grantsOf(now, instance).map(({ key }) => key));
    for (const grant of grantsOf(earlier, target.instance))
      if (!kept.has(grant.key)) losses.push({ taken: 'rule', grant, target });
  }
  return losses;
}

const openingsBy = (context: LawContext, loss: Loss): readonly Opening[] =>
  loss.taken === 'rule' ? byGrant(context, loss.grant, loss.target) : throughFloat(context, loss.float, loss.taken);

/** A rule of a group with a source of its own; of a rule for a group, one member's address. */
interface Grant {
  readonly key: string;
  readonly rule: SecurityGroupRule;
  readonly member?: FixedAddress;
}

const grantsOf = (deployment: Deployment, instance: Instance): readonly Grant[] =>
  groupsOf(deployment, instance).flatMap(({ rules }) =>
    rules.flatMap((rule): Grant[] => {
      const { protocol = 'any', fromPort = '', toPort = '', cidr, group } = rule;
      const what = `${protocol} ${fromPort} ${toPort}`;
      if (group === undefined) return [{ key: `${what} ${cidr === undefined ? 'any' : printPrefix(cidr)}`, rule }];
      return fixedAddresses(deployment)
        .filter((fixed) => fixed.instance.securityGroups.includes(group))
        .map((member) => ({ key: `${what} ${printAddress(member.address)}`, rule, member }));
    }),
  );

const CLIENT = 0xcb007107;
const HTTP = 80;

/** To the floating IP from outside, by each rule that lets anybody in, and from its instance to somebody outside. */
function throughFloat(
  context: LawContext,
  { address, fixed, host }: AssociatedFloat,
  taken: Taken,
): readonly Opening[] {
  const inward = grantsOf(context.deployment, fixed.instance).flatMap(({ rule, member }) =>
    member === undefined ? fromOutside(context, host.name, rule, address, taken) : [],
  );
  const abroad = setOf({
    family: 4,
    saddr: only(fixed.address),
    daddr: only(CLIENT),
    protocol: only(TCP),
    dport: only(HTTP),
  });
  return [...inward, ...openingAt(portOf(fixed), abroad, taken, fixed.instance)];
}

/** From whom a grant is for to the address and its floating IPs. */
function byGrant(context: LawContext, { rule, member }: Grant, target: FixedAddress): readonly Opening[] {
  const { deployment } = context;
  if (member !== undefined) {
    const set = setOf({ family: 4, saddr: only(member.address), daddr: only(target.address) });
    return openingAt(portOf(member), intersectSets(admittedBy(deployment, rule, 4), set), 'rule', member.instance);
  }
  const gateway = gatewayOf(context, target);
  return [
    ...(gateway === undefined ? [] : fromOutside(context, gateway.name, rule, target.address, 'rule')),
    ...floatsOf(deployment, target.address).flatMap(({ host, address }) =>
      fromOutside(context, host.name, rule, address, 'rule'),
    ),
  ];
}

/** From an address that is on no subnet of the cloud, by the first way into the host that the world is behind. */
function fromOutside(
  { deployment, network }: LawContext,
  host: string,
  rule: SecurityGroupRule,
  to: FixedAddress['address'],
  taken: Taken,
): readonly Opening[] {
  const family: Family = 4;
  const saddr = subtractRanges(unicast(family), everySubnet(deployment, family));
  const set = intersectSets(admittedBy(deployment, rule, family), setOf({ family, saddr, daddr: only(to) }));
  return outwardEntries(network, host)
    .slice(0, 1)
    .flatMap((entry) => openingAt(entry, set, taken));
}

function openingAt({ host, entry }: EntryPoint, set: PacketSet, taken: Taken, sender?: Instance): readonly Opening[] {
  const packet = leastPacket(opening(set))?.packet;
  if (packet === undefined) return [];
  const arrival: Arrival = { packet, entry: { ...entry, host } };
  return [sender === undefined ? { taken, arrival } : { taken, arrival, sender }];
}

// What becomes of it

/** Undefined where it does not begin: nobody is reached, or the answer does not come back. */
function begin(
  under: World,
  { taken, arrival, sender }: Opening,
): (Begun & { readonly sender?: Instance }) | undefined {
  const world = freshWorld(under);
  const end = onlyEnd(send(world, arrival.entry.host ?? '', arrival).ends);
  const answered = end && onlyEnd(answer(world, end)?.ends ?? []);
  if (end === undefined || answered === undefined) return undefined;
  const { packet } = answered;
  const isHeard =
    packet.saddr === arrival.packet.daddr &&
    packet.daddr === arrival.packet.saddr &&
    answered.kind === (sender === undefined ? 'outside' : 'instance');
  const later = { ...arrival, packet: laterThan(arrival.packet, packet) };
  return isHeard
    ? { taken, opening: arrival, later, end, world, ...(sender === undefined ? {} : { sender }) }
    : undefined;
}

const onlyEnd = (ends: readonly End[]): Reached | undefined => {
  const [end, other] = ends;
  return end !== undefined && other === undefined && isReached(end) ? end : undefined;
};

/** The flow as its sender goes on with it, who may have moved; undefined where it is gone. */
function fromItsPort(
  flow: Begun & { readonly sender?: Instance },
  earlier: Deployment,
  now: Deployment,
): Begun | undefined {
  const { sender, opening: first } = flow;
  if (sender === undefined) return flow;
  const was = fixedAddresses(earlier).find(({ address }) => address === first.packet.saddr);
  const is = fixedAddresses(now).find(({ address, instance }) => address === was?.address && instance.id === sender.id);
  if (is === undefined) return undefined;
  const { host, entry } = portOf(is);
  const at = (arrival: Arrival): Arrival => ({ ...arrival, entry: { ...entry, host } });
  return { ...flow, opening: at(first), later: at(flow.later) };
}

const beginsIn = (world: World, { opening: first, end }: Begun): boolean =>
  send(freshWorld(world), first.entry.host ?? '', first).ends.some((other) => isSameEnd(other, end));

/** The way of its later packet, where that comes to the same end. */
function wayOnIn(world: World, { later, end, world: remembered }: Begun): Way | undefined {
  const machines = [...world.machines].map(([name, machine]): [string, Machine] => {
    const memories = remembered.machines.get(name)?.memories ?? [];
    return [name, copyMachine({ ...machine, memories })];
  });
  const going = { ...world, machines: new Map(machines) };
  const way = send(going, later.entry.host ?? '', later);
  return way.ends.some((other) => isSameEnd(other, end)) ? way : undefined;
}

/** The same machine gets it from the same sender. */
const isSameEnd = (a: End, b: Reached): boolean =>
  isReached(a) &&
  a.kind === b.kind &&
  nameOf(a) === nameOf(b) &&
  (['saddr', 'daddr', 'sport', 'dport'] as const).every((field) => a.packet[field] === b.packet[field]);

const nameOf = (end: Reached): string | undefined => (end.kind === 'process' ? end.host : end.name);

// Kernels

/** What the kernels held after each write, and at the end. */
function* statesOf(before: Kernels, writes: readonly Write[], after: Kernels): Generator<Kernels> {
  const now = new Map(before);
  for (const { host, after: written } of writes.slice(0, -1)) {
    now.set(host, written);
    yield new Map(now);
  }
  yield after;
}

type BothFamilies = Readonly<Record<Family, TableLines>>;

/** As iptables-save's text is written here everywhere. */
const TABLE_ORDER = ['raw', 'mangle', 'nat', 'filter', 'security'];

/** Kernels are kept from state to state where nobody writes. */
const RULES = new WeakMap<BothFamilies, readonly Ruleset[]>();

function rulesIn(host: string, kernel: BothFamilies): readonly Ruleset[] {
  const known = RULES.get(kernel);
  if (known !== undefined) return known;
  const rulesets = ([4, 6] as const).map((family) => {
    const text = TABLE_ORDER.flatMap((name) => kernel[family].get(name) ?? [])
      .map((line) => `${line}\n`)
      .join('');
    return parseRuleset(text, { path: `${host}.${family === 6 ? 'v6.' : ''}rules`, family }).ruleset;
  });
  RULES.set(kernel, rulesets);
  return rulesets;
}

const rulesOf = (kernels: Kernels): HostRules =>
  new Map([...kernels].map(([host, kernel]) => [host, rulesIn(host, kernel)]));

const worldUnder = (network: Network, kernels: Kernels): World => worldOf(network, rulesOf(kernels));
