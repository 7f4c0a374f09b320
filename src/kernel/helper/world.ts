/** A world of hosts, and the running of cases in it. */
import { EINTR, POLLIN, errnoName, libc } from './libc.ts';
import type { Namespace } from './namespace.ts';
import { canaryFrame, canaryNumber, canaryOut, isCanary } from './octets.ts';
import { SimulatedHost } from './simulated-host.ts';
import type { Collected } from './tracing.ts';
import type { CaseAnswer, CaseRequest, KernelStep, Observation, Wire, WorldRequest } from '../protocol.ts';

/** How long a fresh device may take until packets pass. A veth pair waits up to a second for its carrier. */
const READY_WITHIN_MS = 10_000;

interface Seen extends Collected {
  readonly exits: { host: string; dev: string; frame: string }[];
}

export class World {
  readonly #hosts: ReadonlyMap<string, SimulatedHost>;
  readonly #descriptors: Buffer;
  readonly #count: number;

  constructor(request: WorldRequest, wire: Wire, base: Namespace) {
    const hosts = new Map<string, SimulatedHost>();
    this.#hosts = hosts;
    try {
      for (const spec of request.hosts) hosts.set(spec.name, new SimulatedHost(spec, request.backend, wire, base));
      const descriptors = [...hosts.values()].flatMap((host) => host.descriptors);
      this.#count = descriptors.length;
      this.#descriptors = Buffer.alloc(8 * descriptors.length);
      descriptors.forEach((fd, i) => {
        this.#descriptors.writeInt32LE(fd, 8 * i);
        this.#descriptors.writeInt16LE(POLLIN, 8 * i + 4);
      });
      this.#awaitReady();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  get warnings(): string[] {
    return [...this.#hosts.values()].flatMap((host) => host.warnings);
  }

  runCase(request: CaseRequest): CaseAnswer {
    for (const [name, texts] of Object.entries(request.hosts)) {
      const refused = this.#host(name).load(texts);
      if (refused !== undefined) return { steps: [], refused };
    }
    if (request.keep !== true) for (const host of this.#hosts.values()) host.tracing.flushConntrack();
    // What came on its own since the last case (there should be nothing) belongs to no step.
    this.#collect();
    return { steps: request.steps.map((step) => this.#runStep(step)) };
  }

  close(): void {
    for (const host of this.#hosts.values()) host.close();
  }

  #host(name: string): SimulatedHost {
    const host = this.#hosts.get(name);
    if (host === undefined) throw new Error(`the world has no host ${name}`);
    return host;
  }

  #runStep(step: KernelStep): Observation {
    if ('flush' in step) {
      const hosts = step.host === undefined ? this.#hosts.values() : [this.#host(step.host)];
      for (const host of hosts) host.tracing.flushConntrack();
      return this.#collect();
    }
    const host = this.#host(step.host);
    if ('frame' in step) host.port(step.dev).send(Buffer.from(step.frame, 'hex'));
    else if ('local' in step) {
      const errno = host.sendLocal(Buffer.from(step.local, 'hex'), step.mark ?? 0);
      return { ...this.#collect(), ...(errno === undefined ? {} : { errno }) };
    } else if ('restore' in step) {
      const refused = host.load(step);
      return { ...this.#collect(), ...(refused === undefined ? {} : { refused }) };
    } else if ('flow' in step) host.tracing.makeFlow(step.flow);
    else if ('untracked' in step) host.tracing.setUntracked(step.untracked);
    else host.addNeighbour(step);
    return this.#collect();
  }

  /** Reads everything that waits. Injection is synchronous, so what does not wait now will never come. */
  #collect(milliseconds = 0): Seen {
    const seen: Seen = { exits: [], local: [], trace: [], states: [] };
    while (this.#anyReadable(milliseconds)) {
      for (const host of this.#hosts.values()) {
        for (const port of host.ports) {
          for (let frame = port.receive(); frame !== undefined; frame = port.receive()) {
            if (!host.answerArp(port.name, frame)) seen.exits.push({ host: host.name, dev: port.name, frame });
          }
        }
        host.tracing.collect(seen);
      }
    }
    return seen;
  }

  #anyReadable(milliseconds: number): boolean {
    const { poll, errno } = libc();
    const ready = poll(this.#descriptors, this.#count, milliseconds);
    if (ready < 0 && errno() !== EINTR) throw new Error(`poll: ${errnoName(errno())}`);
    return ready !== 0;
  }

  /**
   * Sends canaries through every device, in and out, until two rounds in a row lost none: a device that is up may still have no
   * carrier, no queue, or a bridge port that does not forward yet, and the first packets would be lost without a word.
   */
  #awaitReady(): void {
    const outlets: { readonly send: () => void; readonly expects: readonly string[]; readonly close: () => void }[] =
      [];
    for (const host of this.#hosts.values()) {
      const devices = host.spec.devices.map(({ name }) => ({ name, ports: [name] }));
      const bridges = host.spec.bridges.map(({ name, ports }) => ({ name, ports: ports.map((port) => port.name) }));
      for (const { name, ports } of [...devices, ...bridges]) {
        const outlet = host.openOutlet(name);
        outlets.push({
          send: () => {
            // A device that is not up yet refuses (ENETDOWN): the next round tries again.
            const frame = canaryOut();
            libc().write(outlet.fd, frame, frame.length);
          },
          expects: ports.map((port) => `${host.name} out ${port}`),
          close: () => {
            outlet.close();
          },
        });
      }
    }
    const deadline = performance.now() + READY_WITHIN_MS;
    try {
      for (let clean = 0; clean < 2;) {
        const missing = this.#canaryRound(outlets);
        clean = missing.size === 0 ? clean + 1 : 0;
        if (missing.size > 0 && performance.now() > deadline) {
          throw new Error(`no packet passes: ${[...missing].join(', ')}`);
        }
      }
    } finally {
      for (const outlet of outlets) outlet.close();
    }
    // What the devices said while they came up.
    this.#collect(1);
  }

  #canaryRound(outlets: readonly { readonly send: () => void; readonly expects: readonly string[] }[]): Set<string> {
    this.#collect();
    const missing = new Set<string>();
    for (const outlet of outlets) {
      outlet.send();
      for (const expected of outlet.expects) missing.add(expected);
    }
    const ways: string[] = [];
    for (const host of this.#hosts.values()) {
      for (const port of host.ports) {
        port.send(canaryFrame(ways.length));
        ways.push(`${host.name} in ${port.name}`);
      }
    }
    for (const way of ways) missing.add(way);
    const seen = this.#collect(2);
    for (const exit of seen.exits) if (isCanary(exit.frame)) missing.delete(`${exit.host} out ${exit.dev}`);
    for (const delivery of seen.local) {
      const number = canaryNumber(delivery.packet);
      if (number !== undefined) missing.delete(ways[number] ?? '');
    }
    return missing;
  }
}
