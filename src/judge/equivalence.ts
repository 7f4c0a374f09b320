/** Do two rulesets treat packets alike? Tried on aimed packets; the first that is treated otherwise, if one is found. */
import { POSTURES, type Posture } from '../claim/claim.ts';
import type { Network } from '../network/network.ts';
import { answer, freshWorld, isReached, send, worldOf, type End, type Way, type World } from '../network/walk.ts';
import type { Backend } from '../netfilter/skb.ts';
import { printPacket } from '../packet/notation.ts';
import type { Arrival, ConntrackState, Entry } from '../packet/packet.ts';
import { anyPattern } from '../packet/pattern.ts';
import { samplerOf } from '../packet/sample.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { aimOf } from './aim.ts';
import { hardenedRuleset } from './hardened.ts';
import { randomFrom } from './random.ts';

export type Rulesets = ReadonlyMap<string, readonly Ruleset[]>;

export interface Unlike {
  readonly host: string;
  readonly arrival: Arrival;
  readonly posture: Posture;
  readonly before: string;
  readonly after: string;
}

export interface EquivalenceInput {
  readonly network: Network;
  readonly before: Rulesets;
  readonly after: Rulesets;
  readonly backend: Backend;
  /** Packets in each posture. */
  readonly packets: number;
  readonly seed: number;
}

const describeEnd = (end: End): string =>
  isReached(end)
    ? `${end.kind} ${end.kind === 'process' ? end.host : `${end.at.host}:${end.at.interface}`} ${printPacket(end.packet)}`
    : end.kind;

const describe = (way: Way | undefined): string => way?.ends.map(describeEnd).sort().join('; ') ?? 'nobody answers';

/** Where a packet, and the answer to it, come to: the fate that a user sees. */
export function fateOf(world: World, host: string, arrival: Arrival): string {
  const fresh = freshWorld(world);
  const way = send(fresh, host, arrival);
  const reached = way.ends.find(isReached);
  return `${describe(way)} <- ${reached === undefined ? '' : describe(answer(fresh, reached))}`;
}

/** Most packets as conntrack finds them; the states that one packet alone cannot be in are asserted. */
const STATES: readonly (ConntrackState | undefined)[] = [
  undefined,
  undefined,
  undefined,
  undefined,
  'ESTABLISHED',
  'RELATED',
  'INVALID',
  'UNTRACKED',
];

export function firstUnlike(input: EquivalenceInput): Unlike | undefined {
  const { network, before, after, backend } = input;
  const aim = aimOf([...before.values(), ...after.values()].flat());
  const stations = network.stations.flatMap(({ addresses }) => addresses);
  const own = network.hosts.flatMap((host) =>
    host.interfaces.flatMap(({ addresses }) => addresses.map(({ address }) => address)),
  );
  const entries = entriesOf(network);
  const families = [...new Set([...before.values()].flat().map(({ family }) => family))];
  const draw = families.map((family) =>
    samplerOf(
      { boxes: [anyPattern(family)] },
      { addresses: [...aim.addresses, ...stations, ...own], ports: aim.ports, entries: [{ kind: 'local' }] },
    ),
  );
  for (const posture of POSTURES) {
    const inPosture = (rulesets: Rulesets): World =>
      worldOf(
        network,
        posture === 'as-given'
          ? rulesets
          : new Map([...rulesets].map(([host, own]) => [host, own.map(hardenedRuleset)])),
        backend,
      );
    const [old, young] = [inPosture(before), inPosture(after)];
    const random = randomFrom(input.seed);
    for (let i = 0; i < input.packets; i++) {
      const sampler = draw[random() % draw.length];
      const place = entries[random() % entries.length];
      const state = STATES[random() % STATES.length];
      if (sampler === undefined || place === undefined) continue;
      const { packet } = sampler(random);
      const arrival: Arrival = { packet, entry: place.entry, ...(state === undefined ? {} : { state }) };
      const wasSo = fateOf(old, place.host, arrival);
      const isSo = fateOf(young, place.host, arrival);
      if (wasSo !== isSo) return { host: place.host, arrival, posture, before: wasSo, after: isSo };
    }
  }
  return undefined;
}

/** Every way into every host. */
const entriesOf = (network: Network): { host: string; entry: Entry }[] =>
  network.hosts.flatMap((host) => {
    const ports = host.bridges.flatMap((bridge) => bridge.ports.map(({ name }) => name));
    const bridges = new Set(host.bridges.map(({ name }) => name));
    const devices = host.interfaces.map(({ name }) => name).filter((name) => name !== 'lo' && !bridges.has(name));
    return [
      ...[...ports, ...devices].map((name) => ({ host: host.name, entry: { kind: 'in' as const, interface: name } })),
      { host: host.name, entry: { kind: 'local' as const } },
    ];
  });
