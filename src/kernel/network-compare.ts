/**
 * The model against Linux where several hosts are on a packet's way. Each host has a namespace; the model is the wire between them: what it says arrives at a host is
 * what the kernel gets there, and what that host makes of it is compared, host by host.
 */
import type { Host } from '../host/host.ts';
import type { Machine } from '../netfilter/traverse.ts';
import type { Way, World } from '../network/walk.ts';
import type { Packet } from '../packet/packet.ts';
import { encodePacket } from '../packet/wire.ts';
import { BUILT_IN_CHAINS, type Ruleset } from '../ruleset/rule.ts';
import { TABLES } from '../ruleset/tables.ts';
import { comparingPlayed, type Case, type Comparing, type Comparison, type Oracle, type Pending } from './compare.ts';
import type { Played } from './dialogue.ts';
import { hostSpec } from './host-spec.ts';
import type { BegunKernel } from './meter.ts';
import { together } from './overlap.ts';
import { RecordingOracle, type RecordedCase } from './recording.ts';
import type { Backend, HostSpec, KernelStep, Observation, Refusal, RulesetTexts, WorldAnswer } from './protocol.ts';

/** Hosts with their rules, complete (`withAllTables`). */
export interface NetworkRules {
  readonly backend: Backend;
  readonly hosts: readonly Host[];
  readonly texts: ReadonlyMap<string, RulesetTexts>;
}

/** What was sent, one after the other, and the way that it took in the model. */
export type Sent = Way | 'flush';

/** What one host made of all that came to it. */
export interface HostComparison extends Comparison {
  readonly host: Host;
  /** The same, to be played again on that host alone. */
  record<T>(host: T): RecordedCase<T>;
}

/** Who answers for the kernels of several hosts. */
export interface NetworkOracle {
  /** Loads the rules on all hosts, and forgets all connections; what is refused. */
  load(rules: NetworkRules, variant: (host: string) => string): Pending<Refusal | undefined>;
  tellsStates(): boolean;
  identification(): number;
  send(steps: readonly KernelStep[]): Pending<readonly Observation[]>;
}

/** The kernel itself. */
export function liveNetworkOracle(kernel: BegunKernel): NetworkOracle {
  let world: WorldAnswer | undefined;
  let cases = 0;
  return {
    tellsStates: () => world?.states === true,
    identification: () => 1 + (cases++ % 0xfff0),
    load({ backend, hosts, texts }, variant) {
      const specs = hosts.map((host): HostSpec => ({ ...hostSpec(host), variant: variant(host.name) }));
      world = kernel.world(backend, specs);
      const named = [...texts].map(([host, { text4 = '', text6 = '' }]) => [host, { text4, text6 }] as const);
      const answer = kernel.beginCase(world, Object.fromEntries(named), []);
      return () => answer().refused;
    },
    send(steps) {
      if (world === undefined) throw new Error('no world has been loaded');
      const answer = kernel.beginCase(world, {}, steps, true);
      return () => answer().steps;
    },
  };
}

/**
 * Compares what the model made of `sent` in `world` with what the kernels of the hosts make of it. The rules are loaded already. A host that nothing came to is
 * left out.
 */
export function comparingWays(
  rules: NetworkRules,
  rulesetsOf: (host: string) => readonly Ruleset[],
  world: World,
  sent: readonly Sent[],
  oracle: NetworkOracle,
): Comparing<readonly HostComparison[]> {
  const id = oracle.identification();
  const one: Oracle = {
    identification: () => id,
    tellsStates: () => oracle.tellsStates(),
    load: () => () => undefined,
    send: (steps) => oracle.send(steps),
  };
  return together(
    rules.hosts.flatMap((host) => {
      const machine = world.machines.get(host.name);
      const played = playedAt(host.name, sent, (packet) => encodePacket(packet, { id }));
      if (machine === undefined || played.every(({ sent: { kind } }) => kind === 'flush')) return [];
      const moves = played.map(({ sent: one }): Case['moves'][number] =>
        one.kind === 'flush' ? { kind: 'flush' } : { kind: 'packet', arrival: one.arrival },
      );
      const given: Case = { host, backend: rules.backend, texts: rules.texts.get(host.name) ?? {}, moves };
      return [comparingAt(given, rulesetsOf(host.name), machine, played, one)];
    }),
  );
}

function* comparingAt(
  given: Case,
  rulesets: readonly Ruleset[],
  machine: Machine,
  played: readonly Played[],
  oracle: Oracle,
): Comparing<HostComparison> {
  const recording = new RecordingOracle(oracle);
  const comparison = yield* comparingPlayed(given, rulesets, machine, played, recording);
  return { ...comparison, host: given.host, record: (described) => recording.record(given, described) };
}

/** What came to one host. */
const playedAt = (host: string, sent: readonly Sent[], encode: (packet: Packet) => Uint8Array): readonly Played[] =>
  sent.flatMap((one): Played[] =>
    one === 'flush'
      ? [{ sent: { kind: 'flush' } }]
      : one.hops
          .filter((hop) => hop.host === host)
          .map(({ entry, journey }) => ({
            sent: { kind: 'packet', arrival: { packet: journey.packet, entry }, octets: encode(journey.packet) },
            journey,
          })),
  );

/** The text with every table that it does not name, empty: so is what the kernel has, and its trace tells of each. */
export const withAllTables = (text = ''): string =>
  TABLES.filter((table) => !text.includes(`*${table}\n`))
    .map((table) => `*${table}\n${BUILT_IN_CHAINS[table].map((chain) => `:${chain} ACCEPT [0:0]\n`).join('')}COMMIT\n`)
    .reduce((whole, table) => whole + table, text);
