/**
 * The hosts of a network on Linux, each in a namespace of its own, and beside each the model's machine with the same rules. A packet is followed on Linux: what leaves one
 * host arrives at the next as Linux sent it. On every host the model is given the same packet, and what is not the same is told. So a difference stands where it
 * arises, and does not spoil what comes after it.
 */
import { zeroAddress } from '../address/address.ts';
import { bridgeOfPort, interfaceOf, sysctlOf, type Host } from '../host/host.ts';
import type { FreshField, Journey } from '../netfilter/journey.ts';
import { arrive, flush, machineOf, type Machine } from '../netfilter/traverse.ts';
import type { Network } from '../network/network.ts';
import { follow, type Hop, type Way } from '../network/walk.ts';
import type { Arrival, Packet } from '../packet/packet.ts';
import { encodeFrame, encodePacket } from '../packet/wire.ts';
import { printRuleset } from '../ruleset/print.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { emptyRuleset, withAllTables } from '../ruleset/tables.ts';
import { bringAbout } from './assertion.ts';
import { KernelFailure, type AskedKernel } from './client.ts';
import { compareOne, observedState, trackingOf, unknownNeighbours, type Found } from './compare.ts';
import { fragmentOctets } from './fragment-octets.ts';
import { hostSpec } from './host-spec.ts';
import { observedJourney } from './observed-journey.ts';
import type { Backend, KernelStep, Observation, RulesetTexts, WorldAnswer } from './protocol.ts';
import { settle, type Substitution } from './substitution.ts';

export interface LinuxSubject {
  readonly network: Network;
  /** By host; a host without any filters nothing. */
  readonly rulesets: ReadonlyMap<string, readonly Ruleset[]>;
  readonly backend: Backend;
  /** Worlds of the same hosts that must not be one: other rules for each. */
  readonly variant?: string;
}

/** One host on the way, with what the model made of the same packet there. */
export interface LinuxHop extends Hop {
  readonly model: Journey;
  /** Absent: the model did the same, packet for packet and rule for rule, or does not know. */
  readonly difference?: Found;
}

export interface LinuxWay extends Way {
  readonly hops: readonly LinuxHop[];
}

/** A packet that Linux cannot be asked about, and why. */
export interface NotAsked {
  readonly notAsked: string;
}

/** Rules that Linux does not load: another one than the model accepts. */
export class NotLoaded extends Error {
  readonly host: string;
  constructor(host: string, message: string) {
    super(message);
    this.name = 'NotLoaded';
    this.host = host;
  }
}

interface Twin {
  readonly host: Host;
  readonly given: readonly Ruleset[];
  /** With every table, as the kernel has them. */
  readonly complete: readonly Ruleset[];
  readonly machine: Machine;
}

/** What is left in namespaces of those who had them before. */
interface Left {
  /** Hosts where conntrack leaves every packet alone. */
  readonly untracked: Set<string>;
  /** Of the IP identification: the kernel keeps fragments over a flush. */
  identification: number;
}

/** By the world as the client has it. */
const leftIn = new WeakMap<WorldAnswer, Left>();

export class LinuxWorld {
  readonly network: Network;
  readonly #kernel: AskedKernel;
  readonly #world: WorldAnswer;
  readonly #backend: Backend;
  #twins: ReadonlyMap<string, Twin>;
  /** Nothing has been sent since the last flush. */
  #isFresh = false;
  readonly #left: Left;

  /** Makes the namespaces and loads the rules. Throws NotLoaded, and KernelFailure where the judge itself is broken. */
  constructor(kernel: AskedKernel, { network, rulesets, backend, variant = '' }: LinuxSubject) {
    this.network = network;
    this.#kernel = kernel;
    this.#backend = backend;
    this.#twins = new Map(
      network.hosts.map((host) => [host.name, twinOf(host, rulesets.get(host.name) ?? [], backend)]),
    );
    const specs = [...this.#twins.values()].map(({ host, machine }) => ({
      ...hostSpec(host),
      variant: `${variant} ${trackingOf(machine)}`,
    }));
    this.#world = kernel.world(backend, specs);
    this.#left = leftIn.get(this.#world) ?? { untracked: new Set(), identification: 0 };
    leftIn.set(this.#world, this.#left);
    this.#load();
  }

  /** Other rules for the same hosts; connections stay, and so does conntrack's being on or off. Throws as the constructor does. */
  reload(rulesets: LinuxSubject['rulesets']): void {
    const before = this.#twins;
    this.#twins = new Map(
      this.network.hosts.map((host) => {
        const twin = twinOf(host, rulesets.get(host.name) ?? [], this.#backend);
        twin.machine.memories = before.get(host.name)?.machine.memories ?? [];
        return [host.name, twin];
      }),
    );
    this.#load();
  }

  #load(): void {
    const texts = Object.fromEntries([...this.#twins].map(([name, { given }]) => [name, textsOf(given)]));
    const { refused } = this.#kernel.runCase(this.#world, texts, [], true);
    if (refused === undefined) return;
    const { host, family, line, message } = refused;
    const text = family === 6 ? texts[host]?.text6 : texts[host]?.text4;
    const written = line === undefined ? undefined : text?.split('\n')[line - 1];
    throw new NotLoaded(host, `${message}${written === undefined ? '' : `, at \`${written.trim()}\``}`);
  }

  /** Forgets every connection. */
  flush(): void {
    this.#isFresh = false;
    this.#left.identification = (this.#left.identification + 1) & 0xffff;
    for (const { machine } of this.#twins.values()) flush(machine);
  }

  /** Follows a packet on Linux; the hosts remember it. `datagrams`: other packets of the conversation, among which the rest of a fragment's datagram is. */
  send(host: string, arrival: Arrival, datagrams: readonly Packet[] = []): LinuxWay | NotAsked {
    const notAsked = this.#whyNotAsked(host, arrival);
    if (notAsked !== undefined) return { notAsked };
    const hops: LinuxHop[] = [];
    const { ends } = follow(this.network, host, arrival, (name, arriving) => {
      const twin = this.#twins.get(name);
      if (twin === undefined) return undefined;
      const hop = this.#arrive(twin, arriving, datagrams);
      hops.push(hop);
      return hop.journey;
    });
    return { hops, ends };
  }

  /** What becomes of a packet on one host, and no further. */
  arrive(host: string, arrival: Arrival, datagrams: readonly Packet[] = []): LinuxHop | NotAsked {
    const notAsked = this.#whyNotAsked(host, arrival);
    if (notAsked !== undefined) return { notAsked };
    return this.#arrive(this.#twin(host), arrival, datagrams);
  }

  #twin(name: string): Twin {
    const twin = this.#twins.get(name);
    if (twin === undefined) throw new KernelFailure(`there is no host ${name}`);
    return twin;
  }

  #whyNotAsked(name: string, arrival: Arrival): string | undefined {
    const twin = this.#twins.get(name);
    if (twin === undefined) return `there is no host ${name}`;
    const { host, machine } = twin;
    const { entry, packet, state } = arrival;
    if (bringAbout(machine, arrival) === undefined)
      return `nothing makes Linux see this packet in state ${state ?? ''}, which is asserted of it`;
    if (entry.kind === 'local') return undefined;
    const port = bridgeOfPort(host, entry.interface);
    if (port === undefined) {
      if (host.bridges.some(({ name: bridge }) => bridge === entry.interface))
        return `it enters by the bridge ${entry.interface} itself, which has no wire: name one of its ports`;
      if (entry.interface === 'lo') return 'nothing arrives by lo but what the host itself has sent: say `local`';
      if (interfaceOf(host, entry.interface) === undefined) return `there is no interface ${entry.interface}`;
    } else if (
      sysctlOf(host, 'net.bridge.bridge-nf-call-iptables') !== 0 &&
      this.#world.warnings.some((warning) => warning.includes('bridge-nf'))
    )
      return 'the kernel here has no bridge-nf-call-iptables (br_netfilter is not loaded)';
    if (packet.mark !== 0) return 'no wire carries a mark';
    return undefined;
  }

  #arrive(twin: Twin, asserted: Arrival, datagrams: readonly Packet[]): LinuxHop {
    const { host, given, complete, machine } = twin;
    const { entry, state } = asserted;
    const { packet, flow, untracked = false } = bringAbout(machine, asserted) ?? { packet: asserted.packet };
    const arrival = { ...asserted, packet };
    const local = entry.kind === 'local';
    const tracked = machine.rules.get(packet.family)?.conntrack === true;
    const model = arrive(machine, arrival);
    const octets = local
      ? octetsFromProcess(packet, model.packet, this.#left.identification)
      : fragmentOctets(packet, datagrams, this.#left.identification);
    const step: KernelStep = local
      ? { host: host.name, local: hex(octets), mark: packet.mark }
      : { host: host.name, dev: entry.interface, frame: hex(headOf(model.packet)) + hex(octets) };
    const observation = this.#ask(host, [
      ...unknownNeighbours(host, [{ sent: { kind: 'packet', arrival, octets }, journey: model }]),
      ...this.#untrack(host, untracked),
      ...(flow === undefined ? [] : [{ host: host.name, flow }]),
      step,
    ]);
    const substitutions: Substitution[] = [];
    const difference =
      model.fate.kind === 'undecided'
        ? undefined
        : compareOne(
            {
              given: { host, backend: this.#backend },
              rulesets: complete,
              machine,
              substitutions,
              oracle: { tellsStates: () => this.#world.states },
              journey: model,
              observation,
            },
            local,
          );
    settle(machine.memories, substitutions);
    const journey = observedJourney({
      host,
      rulesets: given,
      packet: model.packet,
      local,
      tracked,
      state: observedState(observation, { local, tracked }) ?? state ?? model.state,
      observation,
    });
    return {
      host: host.name,
      entry,
      journey: withFresh(journey, model),
      model,
      ...(difference === undefined ? {} : { difference }),
    };
  }

  /** What was said last stays said. */
  #untrack({ name }: Host, untracked: boolean): KernelStep[] {
    if (this.#left.untracked.has(name) === untracked) return [];
    if (untracked) this.#left.untracked.add(name);
    else this.#left.untracked.delete(name);
    return [{ host: name, untracked }];
  }

  #ask(host: Host, steps: readonly KernelStep[]): Observation {
    const all: KernelStep[] = this.#isFresh ? [...steps] : [{ flush: true }, ...steps];
    this.#isFresh = true;
    const observation = this.#kernel.runCase(this.#world, {}, all, true).steps.at(-1);
    if (observation === undefined) throw new KernelFailure(`nothing was observed on ${host.name}`);
    return observation;
  }
}

const hex = (octets: Uint8Array): string => Buffer.from(octets).toString('hex');

/**
 * What a process writes to a raw socket. Where it names no source the kernel fills one in, but not into the checksum: that is made for the source that the model expects, and is
 * wrong where Linux takes another.
 */
function octetsFromProcess(packet: Packet, expected: Packet, id: number): Uint8Array {
  const isUnnamed = packet.family === 4 && packet.saddr === zeroAddress(4);
  const octets = encodePacket(isUnnamed ? { ...packet, saddr: expected.saddr } : packet, { id });
  if (isUnnamed) octets.fill(0, IPV4_SOURCE, IPV4_SOURCE + 4);
  return octets;
}

/** Where the source address stands in an IPv4 header. */
const IPV4_SOURCE = 12;

const headOf = (packet: Packet): Uint8Array => {
  const { smac = '', dmac = '' } = packet;
  return encodeFrame({ ...packet, smac, dmac }).subarray(0, 14);
};

function twinOf(host: Host, given: readonly Ruleset[], backend: Backend): Twin {
  const complete = ([4, 6] as const).map((family) =>
    withAllTables(given.find((ruleset) => ruleset.family === family) ?? emptyRuleset(family)),
  );
  return { host, given, complete, machine: machineOf(host, complete, backend) };
}

function textsOf(rulesets: readonly Ruleset[]): RulesetTexts {
  const text = (family: 4 | 6): string | undefined => {
    const ruleset = rulesets.find((candidate) => candidate.family === family);
    return ruleset && printRuleset(ruleset);
  };
  const [text4, text6] = [text(4), text(6)];
  return { ...(text4 === undefined ? {} : { text4 }), ...(text6 === undefined ? {} : { text6 }) };
}

/** What the kernel chose at random nobody sees from outside; the model knows which fields those are. */
function withFresh(journey: Journey, model: Journey): Journey {
  const freshAt = (oif: string, port: string | undefined): readonly FreshField[] | undefined =>
    model.exits.find((exit) => exit.oif === oif && exit.port === port)?.fresh;
  return {
    ...journey,
    exits: journey.exits.map((exit) => {
      const fresh = freshAt(exit.oif, exit.port);
      return fresh === undefined ? exit : { ...exit, fresh };
    }),
  };
}
