/** Laws that compare two deployments: what an operator may change in security groups without, or only with, a certain effect. */
import { INDEX, at } from '../src/arbitrary/choice.ts';
import { deploymentFileArb } from '../src/arbitrary/deployment.ts';
import type { DeploymentText } from '../src/deployment/schema.ts';
import { fixedAddresses } from '../src/invariant/vocabulary/addresses.ts';
import { freshWorld, isReached, send, type End } from '../src/network/walk.ts';
import { fateOf } from '../src/judge/fate.ts';
import { randomFrom } from '../src/judge/random.ts';
import { printArrival, printPacket } from '../src/packet/notation.ts';
import type { Arrival, Entry } from '../src/packet/packet.ts';
import { setOf } from '../src/packet/pattern.ts';
import { samplerOf } from '../src/packet/sample.ts';
import { DEPLOYMENT, prepare, type Prepared } from './support/deployment.ts';
import { law, type Seen } from './support/law.ts';

const PACKETS = 24;

type Groups = NonNullable<DeploymentText['security_groups']>;
type Rule = NonNullable<Groups[string]>[number];

interface Sent {
  readonly host: string;
  readonly arrival: Arrival;
}

/** Packets to instances, from everywhere, aimed at what their groups say. */
function packetsFor({ deployment, network, aim }: Prepared, seed: number): readonly Sent[] {
  const random = randomFrom(seed);
  const fixed = ([4, 6] as const).flatMap((family) => fixedAddresses(deployment, family));
  if (fixed.length === 0) return [];
  const ports = deployment.securityGroups
    .flatMap(({ rules }) => rules.flatMap(({ fromPort, toPort }) => [fromPort ?? 0, toPort ?? 0]))
    .flatMap((port) => [port, port + 1])
    .filter((port) => port >= 0 && port <= 65535);
  return Array.from({ length: PACKETS }, (_, count): Sent | undefined => {
    const { address, host } = at(fixed, random());
    const sampler = samplerOf(
      setOf({ family: typeof address === 'number' ? 4 : 6, daddr: [{ from: address, to: address }] }),
      {
        addresses: [...aim.addresses, ...fixed.map((other) => other.address)],
        ports,
      },
    );
    const found = network.hosts.find(({ name }) => name === host.name);
    const entries = entriesOf(found?.interfaces.map(({ name }) => name) ?? [], found?.bridges ?? []);
    const drawn = sampler?.(random);
    // One in four is a later packet of a flow.
    const state = count % 4 === 3 ? { state: 'ESTABLISHED' as const } : {};
    return drawn && { host: host.name, arrival: { packet: drawn.packet, entry: at(entries, random()), ...state } };
  }).filter((sent) => sent !== undefined);
}

function entriesOf(
  devices: readonly string[],
  bridges: readonly { readonly name: string; readonly ports: readonly { readonly name: string }[] }[],
): readonly Entry[] {
  const names = bridges.map(({ name }) => name);
  const ports = bridges.flatMap((bridge) => bridge.ports.map(({ name }) => name));
  const wires = [...ports, ...devices.filter((name) => name !== 'lo' && !names.includes(name))];
  return [{ kind: 'local' }, ...wires.map((name): Entry => ({ kind: 'in', interface: name }))];
}

/** The list turned by so many places, and round the other way for an odd number. */
function permuted<T>(list: readonly T[], by: number): T[] {
  const start = list.length === 0 ? 0 : by % list.length;
  const turned = [...list.slice(start), ...list.slice(0, start)];
  return by % 2 === 1 ? turned.reverse() : turned;
}

const withGroups = (file: DeploymentText, groups: Groups): DeploymentText => ({ ...file, security_groups: groups });

function tell(text: string, seen: Seen): void {
  if (text.includes('instance')) seen('an instance is reached');
  else seen('no instance is reached');
}

const COVER = { 'an instance is reached': { atLeast: 25 }, 'no instance is reached': { atLeast: 25 } } as const;

law<[DeploymentText, number]>(
  'security-group/order-irrelevant',
  [deploymentFileArb(), INDEX],
  (file, by, seen) => {
    const groups = Object.entries(file.security_groups ?? {});
    const shuffled: DeploymentText = {
      ...withGroups(
        file,
        Object.fromEntries(permuted(groups, by).map(([name, rules]) => [name, permuted(rules ?? [], by >> 3)])),
      ),
      instances: (file.instances ?? []).map((instance) => ({
        ...instance,
        security_groups: permuted(instance.security_groups ?? [], by >> 6),
      })),
    };
    const before = prepare(file);
    const after = prepare(shuffled);
    if (groups.some(([, rules]) => (rules ?? []).length > 1)) seen('rules are permuted');
    for (const { host, arrival } of packetsFor(before, by)) {
      const was = fateOf(before.worlds['as-given'], host, arrival);
      const is = fateOf(after.worlds['as-given'], host, arrival);
      tell(was, seen);
      if (was !== is)
        throw new Error(
          `${printArrival(arrival)}, entering ${host}\n- ${was}\n+ ${is}\nthe order of ${JSON.stringify(shuffled.security_groups)}`,
        );
    }
    return true;
  },
  { runs: 40, stored: DEPLOYMENT, cover: { ...COVER, 'rules are permuted': { atLeast: 30 } } },
);

/** A rule to add: everything, a protocol, a port, a group's members, one address. */
function addedRule(file: DeploymentText, index: number): Rule {
  const names = Object.keys(file.security_groups ?? {});
  const rules: readonly Rule[] = [
    { cidr: '0.0.0.0/0' },
    { protocol: 'tcp', from_port: 22, to_port: 22, cidr: '0.0.0.0/0' },
    { protocol: 'icmp', from_port: -1, to_port: -1, cidr: '0.0.0.0/0' },
    { protocol: 'udp', from_port: 1, to_port: 65535, cidr: '203.0.113.0/24' },
    ...(names.length > 0 ? [{ group: at(names, index >> 4) }] : []),
    { cidr: '::/0' },
  ];
  return at(rules, index);
}

const describe = (end: End): readonly string[] =>
  isReached(end) ? [`${end.kind} ${'name' in end ? (end.name ?? '') : ''} as ${printPacket(end.packet)}`] : [];

law<[DeploymentText, number]>(
  'security-group/monotone',
  [deploymentFileArb(), INDEX],
  (file, index, seen) => {
    const groups = file.security_groups ?? {};
    const names = Object.keys(groups);
    if (names.length === 0) return true;
    const name = at(names, index);
    const rule = addedRule(file, index >> 2);
    const own = groups[name] ?? [];
    const place = (index >> 6) % (own.length + 1);
    const before = prepare(file);
    const after = prepare(withGroups(file, { ...groups, [name]: [...own.slice(0, place), rule, ...own.slice(place)] }));
    for (const { host, arrival } of packetsFor(before, index)) {
      const ends = ({ worlds }: Prepared): readonly string[] =>
        send(freshWorld(worlds['as-given']), host, arrival).ends.flatMap(describe);
      const [was, is] = [ends(before), ends(after)];
      tell(was.join('; '), seen);
      if (is.length > was.length) seen('the rule admits more');
      const lost = was.filter((end) => !is.includes(end));
      if (lost.length > 0)
        throw new Error(
          `${printArrival(arrival)}, entering ${host}, no longer comes to ${lost.join('; ')}\nwith ${JSON.stringify(rule)} in ${name}`,
        );
    }
    return true;
  },
  { runs: 60, stored: DEPLOYMENT, cover: { ...COVER, 'the rule admits more': { atLeast: 5 } } },
);
