/**
 * Several hosts to compare the model with the kernel on: a random deployment with the reference's rules, changed here and there, with random rules among them; and
 * packets from its instances, from outside and from its hosts, over as many hosts as they take, with answers, retransmissions and errors about them.
 */
import fc from 'fast-check';
import { familyOf, isLinkLocal, isLoopback, parseAddress, type Address, type Family } from '../address/address.ts';
import type { Deployment } from '../deployment/deployment.ts';
import { networkOf } from '../deployment/world.ts';
import { finished, trackingOf, type Comparing } from '../kernel/compare.ts';
import {
  comparingWays,
  withAllTables,
  type HostComparison,
  type NetworkOracle,
  type NetworkRules,
  type Sent,
} from '../kernel/network-compare.ts';
import type { Backend } from '../kernel/protocol.ts';
import { flush } from '../netfilter/traverse.ts';
import { arrivalFrom, isReached, send, worldOf, type Way, type World } from '../network/walk.ts';
import { endOf } from '../network/world-conversation.ts';
import type { Network } from '../network/network.ts';
import { rulesetTextFor } from '../nova/ruleset.ts';
import {
  GRE,
  TCP,
  UDP,
  hasPorts,
  icmpOf,
  isIcmpError,
  makePacket,
  type Arrival,
  type Packet,
} from '../packet/packet.ts';
import { replyTo } from '../packet/reply.ts';
import { quotable } from '../netfilter/reject.ts';
import { parseRuleset, type ParsedRuleset } from '../ruleset/parse.ts';
import { printRuleBody } from '../ruleset/print.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { INDEX, at } from './choice.ts';
import { deploymentArb } from './deployment.ts';
import { arbitraryRuleset, type GeneratedRule } from './ruleset.ts';

/** A deployment for many cases: a world of it costs the kernel judge as much as many cases do. */
export const sampleDeployment = (seed: number): Deployment => {
  const [deployment] = fc.sample(deploymentArb(), { seed, numRuns: 1 });
  if (deployment === undefined) throw new Error('a sample of one has one');
  return deployment;
};

type Edit = readonly ['delete' | 'repeat' | 'swap', index: number];

type NetworkMove =
  | { readonly kind: 'send'; readonly from: number; readonly to: number; readonly transport: readonly number[] }
  | { readonly kind: 'reply' | 'again' | 'error' | 'flush' };

export interface NetworkCase {
  readonly family: Family;
  /** What is changed in the hosts' rules, in turn. */
  readonly edits: readonly (readonly Edit[])[];
  /** Random rules, which the hosts have as well, in turn. */
  readonly rules: readonly (readonly GeneratedRule[])[];
  readonly moves: readonly NetworkMove[];
}

const MOVE: fc.Arbitrary<NetworkMove> = fc.oneof(
  {
    arbitrary: fc.record({
      kind: fc.constant('send' as const),
      from: INDEX,
      to: INDEX,
      transport: fc.array(INDEX, { minLength: 4, maxLength: 4 }),
    }),
    weight: 6,
  },
  { arbitrary: fc.constant<NetworkMove>({ kind: 'reply' }), weight: 5 },
  { arbitrary: fc.constant<NetworkMove>({ kind: 'again' }), weight: 1 },
  { arbitrary: fc.constant<NetworkMove>({ kind: 'error' }), weight: 1 },
  { arbitrary: fc.constant<NetworkMove>({ kind: 'flush' }), weight: 1 },
);

/** Cases on the network of a deployment. */
export const arbitraryNetworkCase = (family: Family): fc.Arbitrary<NetworkCase> =>
  fc.record({
    family: fc.constant(family),
    edits: fc.array(
      fc.array(fc.tuple(fc.constantFrom('delete' as const, 'repeat' as const, 'swap' as const), INDEX), {
        maxLength: 3,
      }),
      { maxLength: 4 },
    ),
    rules: fc.array(
      arbitraryRuleset(family, 4).map(({ rules }) => rules),
      { maxLength: 4 },
    ),
    moves: fc.array(MOVE, { minLength: 1, maxLength: 24, size: 'max' }),
  });

/** The text with some of its rules deleted, said twice, or swapped with the next. */
function edited(text: string, edits: readonly Edit[]): string {
  const lines = text.split('\n');
  for (const [what, index] of edits) {
    const rules = lines.flatMap((line, number) => (line.startsWith('-A ') ? [number] : []));
    if (rules.length === 0) break;
    const number = at(rules, index);
    const line = lines[number] ?? '';
    const next = lines[number + 1] ?? '';
    if (what === 'delete') lines.splice(number, 1);
    else if (what === 'repeat') lines.splice(number, 0, line);
    else if (next.startsWith('-A ')) lines.splice(number, 2, next, line);
  }
  return lines.join('\n');
}

/** The text with rules in front of a table's own. */
function withRules(text: string, rules: readonly GeneratedRule[]): string {
  const lines = text.split('\n');
  for (const rule of rules.toReversed()) {
    const table = lines.indexOf(`*${rule.table}`);
    const named = [rule.chain, ...(rule.target !== undefined && 'chain' in rule.target ? [rule.target.chain] : [])];
    const start = lines.findIndex((line, number) => number > table && (line.startsWith('-A ') || line === 'COMMIT'));
    const known = lines.slice(table, start);
    const declared = named
      .filter(
        (chain, number) => named.indexOf(chain) === number && !known.some((line) => line.startsWith(`:${chain} `)),
      )
      .map((chain) => `:${chain} - [0:0]`);
    const { matches, target } = rule;
    const body = printRuleBody({ matches, ...(target === undefined ? {} : { target }) });
    lines.splice(start, 0, ...declared, `-A ${rule.chain} ${body}`.trimEnd());
  }
  return lines.join('\n');
}

interface Place {
  readonly host: string;
  readonly arrival: Pick<Arrival, 'entry'>;
  readonly saddr: Address;
  readonly smac?: string;
}

const OUTSIDE: Readonly<Record<Family, readonly string[]>> = {
  4: ['203.0.113.9', '192.0.2.77', '198.18.0.9'],
  6: ['2001:db8:ffff::9', '2001:db8:ffff::77'],
};

const outsiders = (family: Family): Address[] => OUTSIDE[family].flatMap((text) => parseAddress(text) ?? []);

/** Everybody who can send: instances, the world behind each wire that leads there, the hosts themselves. */
function placesOf(network: Network, family: Family): Place[] {
  const instances = network.stations.flatMap(({ at: where, addresses, mac }): Place[] =>
    'link' in where
      ? []
      : addresses
          .filter((address) => familyOf(address) === family)
          .map((saddr) => ({
            host: where.host,
            arrival: { entry: { kind: 'in', host: where.host, interface: where.interface } },
            saddr,
            smac: mac,
          })),
  );
  const outside = network.links
    .filter((link) => link.outside)
    .flatMap(({ attachments }) =>
      attachments.flatMap(({ host, interface: name }) =>
        outsiders(family).map((saddr): Place => ({
          host,
          arrival: { entry: { kind: 'in', host, interface: name } },
          saddr,
        })),
      ),
    );
  const processes = network.hosts.flatMap(({ name, interfaces }) =>
    interfaces.flatMap(({ addresses }) =>
      addresses
        .filter(({ address }) => familyOf(address) === family && !isLoopback(address) && !isLinkLocal(address))
        .map(({ address }): Place => ({
          host: name,
          arrival: { entry: { kind: 'local', host: name } },
          saddr: address,
        })),
    ),
  );
  return [...instances, ...instances, ...outside, ...processes];
}

function destinationsOf(network: Network, deployment: Deployment, family: Family): Address[] {
  const all = [
    ...network.stations.flatMap(({ addresses }) => addresses),
    ...network.hosts.flatMap(({ interfaces }) =>
      interfaces.flatMap(({ addresses }) => addresses.map((own) => own.address)),
    ),
    ...deployment.floatingIps.map(({ address }) => address),
    ...outsiders(family),
    ...['169.254.169.254', '10.128.0.4'].flatMap((text) => parseAddress(text) ?? []),
  ];
  return all.filter((address) => familyOf(address) === family && !isLoopback(address) && !isLinkLocal(address));
}

const PORTS = [22, 80, 53, 67, 68, 8775, 443, 1000, 40000];

function transportOf(family: Family, [kind = 0, sport = 0, dport = 0, flags = 0]: readonly number[]) {
  const protocol = at([TCP, TCP, UDP, UDP, icmpOf(family), GRE], kind);
  const ports = hasPorts(protocol) ? { sport: at([40000, 40001, ...PORTS], sport), dport: at(PORTS, dport) } : {};
  return {
    protocol,
    ...ports,
    ...(protocol === TCP ? { flags: at([2, 2, 2, 2, 16, 18, 4], flags) } : {}),
    ...(protocol === GRE ? { payload: 8 } : {}),
  };
}

/** Rules of one host and family, read. */
interface Rules extends ParsedRuleset {
  readonly text: string;
}

const readRules = (text: string, family: Family): Rules => ({
  ...parseRuleset(text, { path: family === 4 ? 'rules' : 'rules6', family }),
  text,
});

/** What all cases on one deployment have in common. */
export interface NetworkSubject {
  readonly deployment: Deployment;
  readonly network: Network;
  /** The reference's rules of each host, with every table. */
  readonly rules: readonly Readonly<Record<Family, Rules>>[];
}

export function networkSubject(deployment: Deployment): NetworkSubject {
  const rules = deployment.hosts.map((host) => {
    const of = (family: Family): Rules => readRules(withAllTables(rulesetTextFor(deployment, host, family)), family);
    return { 4: of(4), 6: of(6) };
  });
  return { deployment, network: networkOf(deployment), rules };
}

/** Rules and model of a case, ready to be played. */
interface Setting {
  readonly deployment: Deployment;
  readonly rules: NetworkRules;
  readonly rulesets: ReadonlyMap<string, readonly Ruleset[]>;
  /** The model refuses none of the rules. */
  readonly loads: boolean;
  readonly world: World;
}

function settingOf(subject: NetworkSubject, { family, edits, rules }: NetworkCase, backend: Backend): Setting {
  const { deployment, network } = subject;
  const changed = subject.rules.map((own, index) => {
    const text = withRules(edited(own[family].text, edits[index] ?? []), rules[index] ?? []);
    return text === own[family].text ? own : { ...own, [family]: readRules(text, family) };
  });
  const byHost = new Map(deployment.hosts.map(({ name }, index) => [name, at(changed, index)]));
  const rulesets = new Map([...byHost].map(([host, own]) => [host, [own[4].ruleset, own[6].ruleset]]));
  const texts = new Map([...byHost].map(([host, own]) => [host, { text4: own[4].text, text6: own[6].text }]));
  return {
    deployment,
    rules: { backend, hosts: network.hosts, texts },
    rulesets,
    loads: changed.every((own) => own[4].diagnostics.length + own[6].diagnostics.length === 0),
    world: worldOf(network, rulesets, backend),
  };
}

/** Says what is sent in a case, packet by packet, as the model plays it. */
function play({ deployment, world }: Setting, { family, moves }: NetworkCase): Sent[] {
  const { network } = world;
  const places = placesOf(network, family);
  const destinations = destinationsOf(network, deployment, family);
  const sent: Sent[] = [];
  let last: { readonly way: Way; readonly host: string; readonly arrival: Arrival } | undefined;
  const go = (host: string, arrival: Arrival): void => {
    const way = send(world, host, arrival);
    sent.push(way);
    last = { way, host, arrival };
  };
  for (const move of moves) {
    if (move.kind === 'flush') {
      for (const machine of world.machines.values()) flush(machine);
      sent.push('flush');
    } else if (move.kind === 'send') {
      if (places.length === 0 || destinations.length === 0) continue;
      const { host, arrival, saddr, smac } = at(places, move.from);
      const packet = makePacket({
        family,
        saddr,
        daddr: at(destinations, move.to),
        ...transportOf(family, move.transport),
        ...(smac === undefined ? {} : { smac }),
      });
      go(host, { ...arrival, packet });
    } else if (last !== undefined) {
      if (move.kind === 'again') {
        go(last.host, last.arrival);
        continue;
      }
      const end = endOf(last.way);
      if (end === undefined || !isReached(end)) continue;
      const answer = move.kind === 'reply' ? replyTo(end.packet) : errorAbout(end.packet);
      if (answer === undefined) continue;
      const { host, arrival } = arrivalFrom(network, end, answer);
      go(host, arrival);
    }
  }
  return sent;
}

function errorAbout(packet: Packet): Packet | undefined {
  if (isIcmpError(packet)) return undefined;
  const { family, saddr, daddr } = packet;
  const type = family === 4 ? { type: 3, code: 3 } : { type: 1, code: 4 };
  return makePacket({
    family,
    saddr: daddr,
    daddr: saddr,
    protocol: icmpOf(family),
    ...type,
    id: 0,
    quoted: quotable(packet),
  });
}

/** Plays a case in both; what each host that something came to made of it. Rules that are refused say nothing: cases of one host compare what is. */
export const compareNetworkCase = (
  subject: NetworkSubject,
  drawn: NetworkCase,
  backend: Backend,
  oracle: NetworkOracle,
): readonly HostComparison[] => finished(comparingNetworkCase(subject, drawn, backend, oracle));

/** The same with pauses. */
export function* comparingNetworkCase(
  subject: NetworkSubject,
  drawn: NetworkCase,
  backend: Backend,
  oracle: NetworkOracle,
): Comparing<readonly HostComparison[]> {
  const setting = settingOf(subject, drawn, backend);
  const { rules, rulesets, loads, world } = setting;
  const played = loads ? play(setting, drawn) : undefined;
  yield 'load';
  const loaded = oracle.load(rules, (host) => {
    const machine = world.machines.get(host);
    return machine === undefined ? '' : trackingOf(machine);
  });
  // Rules that do not load would not be played.
  if (played === undefined && loaded() !== undefined) return [];
  const comparisons = yield* comparingWays(
    rules,
    (host) => rulesets.get(host) ?? [],
    world,
    played ?? play(setting, drawn),
    oracle,
  );
  return loaded() === undefined ? comparisons : [];
}
