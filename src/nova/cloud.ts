/**
 * A running cloud: nova's database, its processes, and the kernels that they and an operator write into. Each operation is done as the release does it:
 * which service hears of it on which host, what it changes in its memory, and every restore that follows.
 */
import type { Address, Family } from '../address/address.ts';
import type { Bug } from '../deployment/bug.ts';
import { step, type State } from '../deployment/complete.ts';
import type { Deployment, DeploymentHost, FloatingIp, Instance, Network } from '../deployment/deployment.ts';
import { hostNamed, hostOfFloatingIp, membersOf, networkLabelled, serves } from '../deployment/placement.ts';
import { deploymentOfFile } from '../deployment/read.ts';
import type { Operation } from '../deployment/schema.ts';
import { applied } from './apply.ts';
import {
  addFallback,
  addInstance,
  addProvider,
  hasRuleWithoutProtocol,
  networksOf,
  plug,
  removeInstance,
} from './compute.ts';
import { dictOrder } from './dict-order.ts';
import { kernelTables, withCounters, withRuleFirst, type KernelTables } from './kernel.ts';
import { addMetadataAccept } from './metadata.ts';
import { addFloatingIp, addNetwork, addStartUpRules, removeFloatingIp, removeNetwork } from './network.ts';
import { isSilent, newProcess, settledProcess, type Process } from './process.ts';
import { profileOf, type Profile } from './profile.ts';
import { settledKernel } from './settled.ts';

/** Both families of one host. */
export type HostKernel = Readonly<Record<Family, KernelTables>>;

/** A write into a host's kernel: by a service, or by its operator. */
export interface Write {
  readonly host: string;
  readonly by: string;
  readonly before: HostKernel;
  readonly after: HostKernel;
}

/** ip6tables is nova's with use_ipv6 only. */
const familiesOf = (host: DeploymentHost): readonly Family[] => (host.flags.use_ipv6 ? [4, 6] : [4]);

export class Cloud {
  private state: State;
  private readonly profile: Profile;
  private readonly kernels = new Map<string, HostKernel>();
  private readonly processes = new Map<string, Map<string, Process>>();
  /** The networks whose dnsmasq runs on a host: it outlives nova-network. */
  private readonly dnsmasqs = new Set<string>();
  /** The host that the database names for a floating IP. */
  private readonly floatHosts = new Map<Address, string>();
  private written: Write[] = [];
  /** The id of the instance that came last. */
  private newest: number | undefined;

  /** A cloud in which everything that the file asks for has been done. */
  constructor(state: State) {
    this.state = state;
    const { deployment } = state;
    this.profile = profileOf(deployment);
    for (const host of deployment.hosts) {
      this.kernels.set(host.name, { 4: settledKernel(deployment, host, 4), 6: settledKernel(deployment, host, 6) });
      const processes = host.services.flatMap(
        (service) => settledProcess(this.profile, deployment, host, service) ?? [],
      );
      for (const process of processes) {
        process.memory.markWritten();
        process.hasApplied = true;
      }
      this.processes.set(host.name, new Map(processes.map((process) => [process.service, process])));
      for (const network of deployment.networks)
        if (serves(host, network)) this.dnsmasqs.add(`${host.name} ${network.label}`);
    }
    for (const floatingIp of deployment.floatingIps) {
      const host = hostOfFloatingIp(deployment, floatingIp);
      if (host !== undefined) this.floatHosts.set(floatingIp.address, host.name);
    }
  }

  /** The cloud of a deployment file, after its operations. */
  static after({ past, path }: Deployment): Cloud {
    if (past === undefined) throw new Error('a deployment without operations is no cloud in time');
    const cloud = new Cloud({ file: past.file, deployment: deploymentOfFile(past.file, path) });
    for (const operation of past.operations) cloud.perform(operation);
    return cloud;
  }

  /** The database. */
  get deployment(): Deployment {
    return this.state.deployment;
  }

  get current(): State {
    return this.state;
  }

  kernelOf(host: string, family: Family): KernelTables {
    return this.kernels.get(host)?.[family] ?? new Map();
  }

  snapshot(): ReadonlyMap<string, HostKernel> {
    return new Map(this.kernels);
  }

  /** Does it; returns every write that followed, in order. Throws OperationError, with nothing done, for what nova refuses. */
  perform(operation: Operation): readonly Write[] {
    const before = this.state.deployment;
    this.state = step(this.state, operation);
    this.written = [];
    this.react(operation, before);
    return this.written;
  }

  /** What the kernels would hold if every service that has applied anything applied it once more: nothing comes of it here. */
  reapplied(): ReadonlyMap<string, HostKernel> {
    return new Map(
      this.deployment.hosts.map((host) => {
        let kernel = this.kernel(host);
        for (const { hasApplied, memory } of this.processesOn(host))
          for (const family of hasApplied ? familiesOf(host) : [])
            for (const tables of applied(kernel[family], memory, host, family, this.profile))
              kernel = { ...kernel, [family]: tables };
        return [host.name, kernel];
      }),
    );
  }

  /** Packets pass: every rule and policy of a host has counted 7. */
  count(hostName: string): void {
    const kernel = this.kernel(this.hostCalled(hostName));
    this.kernels.set(hostName, { 4: withCounters(kernel[4]), 6: withCounters(kernel[6]) });
  }

  private react(operation: Operation, before: Deployment): void {
    const { deployment } = this;
    const {
      'network-create': created,
      boot,
      terminate,
      'add-fixed-ip': added,
      'secgroup-add-rule': opened,
      'secgroup-delete-rule': closed,
      migrate,
      start,
      restart,
      refresh,
      'operator-insert': inserted,
    } = operation;
    const member = operation['add-secgroup'] ?? operation['remove-secgroup'];
    if (created !== undefined) {
      const network = networkLabelled(deployment, created.label);
      for (const host of deployment.hosts)
        if (network !== undefined && serves(host, network)) this.setUpNetwork(host, network);
    } else if (boot !== undefined) {
      const instance = deployment.instances.find(({ id }) => before.instances.every((other) => other.id !== id));
      if (instance !== undefined) this.boot(instance, before);
    } else if (terminate !== undefined) {
      const instance = before.instances.find(({ name }) => name === terminate);
      if (instance !== undefined) this.terminate(instance, before);
    } else if (added !== undefined) {
      const instance = this.instanceCalled(added.instance);
      this.setUpNetworksOf(instance);
      this.refreshMembersOf(instance.securityGroups);
      this.rebuild([instance]);
    } else if (opened !== undefined || closed !== undefined) {
      this.rebuild(membersOf(deployment, (opened ?? closed)?.secgroup ?? ''));
    } else if (member !== undefined) {
      this.rebuild([this.instanceCalled(member.instance)]);
      this.refreshMembersOf([member.secgroup]);
    } else if (migrate !== undefined) {
      this.migrate(this.instanceCalled(migrate.instance), before);
    } else if (start !== undefined) {
      const instance = this.instanceCalled(start);
      this.filter(this.hostCalled(instance.host), instance);
    } else if (restart !== undefined) {
      this.restart(this.hostCalled(restart.host), restart.service);
    } else if (refresh !== undefined) {
      const host = this.hostCalled(refresh.host);
      if (refresh.instance != null) this.rebuildOn(host, [this.instanceCalled(refresh.instance)]);
      else this.rebuildOn(host, [...(this.computeOn(host)?.filtered.values() ?? [])]);
    } else if (inserted !== undefined) {
      const host = this.hostCalled(inserted.host);
      const kernel = this.kernel(host);
      this.write(host, 'operator', {
        ...kernel,
        4: withRuleFirst(kernel[4], inserted.table ?? 'filter', inserted.rule),
      });
      // A13: what was to disassociate it came too late, and found nothing.
    } else if (operation['floating-release'] === undefined || !this.has('A13')) this.moveFloats(before);
  }

  private has = (bug: Bug): boolean => this.profile.bugs.has(bug);

  // nova-network

  /** _setup_network_on_host: when a network is made, and again for every instance that gets an address of it. */
  private setUpNetwork(host: DeploymentHost, network: Network): void {
    const process = this.processWith(host, 'network');
    if (process === undefined) return;
    const dnsmasq = `${host.name} ${network.label}`;
    addNetwork(process.memory, network, host, this.profile, { again: this.dnsmasqs.has(dnsmasq) });
    this.dnsmasqs.add(dnsmasq);
    this.apply(host, process);
  }

  /** _teardown_network_on_host: what the host no longer serves since the instance is gone. */
  private tearDownNetworksOf(instance: Instance, before: Deployment): void {
    const host = this.hostCalled(instance.host);
    const process = this.processWith(host, 'network');
    if (process === undefined) return;
    for (const network of networksOf(before, instance)) {
      const now = networkLabelled(this.deployment, network.label);
      if (!serves(host, network) || now === undefined || serves(host, now)) continue;
      removeNetwork(process.memory, network, host, this.profile);
      this.dnsmasqs.delete(`${host.name} ${network.label}`);
      this.apply(host, process);
    }
  }

  private setUpNetworksOf(instance: Instance): void {
    for (const network of networksOf(this.deployment, instance)) {
      const host = this.hostCalled(network.multiHost ? instance.host : (network.host ?? instance.host));
      if (serves(host, network)) this.setUpNetwork(host, network);
    }
  }

  /** What changed about floating IPs: the old rules go first, where the database says that they are. */
  private moveFloats(before: Deployment): void {
    const old = new Map(before.floatingIps.map((floatingIp) => [floatingIp.address, floatingIp]));
    for (const floatingIp of this.deployment.floatingIps) {
      const was = old.get(floatingIp.address);
      if (was?.fixedIp === floatingIp.fixedIp) continue;
      // A12: of two requests at once the second knew nothing of the first.
      const isUnseen = this.has('A12') && floatingIp.fixedIp !== undefined;
      if (was?.fixedIp !== undefined && !isUnseen) this.unbind(was);
      if (floatingIp.fixedIp !== undefined) this.bind(floatingIp);
    }
  }

  private bind(floatingIp: FloatingIp): void {
    const host = hostOfFloatingIp(this.deployment, floatingIp);
    const process = host && this.processWith(host, 'network');
    if (host === undefined || process === undefined) return;
    this.floatHosts.set(floatingIp.address, host.name);
    // A18: the command that binds the address failed before any rule was asked for, and nobody said so.
    if (this.has('A18')) return;
    addFloatingIp(process.memory, floatingIp, this.profile);
    this.apply(host, process);
  }

  private unbind(floatingIp: FloatingIp): void {
    const name = this.floatHosts.get(floatingIp.address);
    const host = name === undefined ? undefined : hostNamed(this.deployment, name);
    const process = host && this.processWith(host, 'network');
    if (host === undefined || process === undefined) return;
    removeFloatingIp(process.memory, floatingIp, this.profile);
    this.floatHosts.delete(floatingIp.address);
    this.apply(host, process);
  }

  // nova-compute

  private boot(instance: Instance, before: Deployment): void {
    this.newest = instance.id;
    this.setUpNetworksOf(instance);
    this.moveFloats(before);
    this.refreshMembersOf(instance.securityGroups);
    this.filter(this.hostCalled(instance.host), instance);
  }

  /** prepare_instance_filter, with what comes before it. */
  private filter(host: DeploymentHost, instance: Instance): void {
    const process = this.computeOn(host);
    if (process === undefined) return;
    const { memory } = process;
    plug(memory, this.deployment, host, instance, this.profile);
    if (addProvider(memory, host, this.profile)) this.apply(host, process);
    process.filtered.set(instance.id, instance);
    addInstance(memory, this.deployment, host, instance, this.profile);
    this.apply(host, process);
  }

  /** unfilter_instance. */
  private unfilter(host: DeploymentHost, instance: Instance): void {
    const process = this.computeOn(host);
    if (process?.filtered.delete(instance.id) !== true) return;
    removeInstance(process.memory, instance);
    this.apply(host, process);
  }

  private terminate(instance: Instance, before: Deployment): void {
    this.moveFloats(before);
    // D21: the address was free before the groups forgot it.
    if (!this.has('D21')) this.refreshMembersOf(instance.securityGroups);
    this.tearDownNetworksOf(instance, before);
    this.unfilter(this.hostCalled(instance.host), instance);
  }

  /** The new host is made ready before the old one forgets. Floating IPs go along since Grizzly, if the network is multi_host at all. */
  private migrate(instance: Instance, before: Deployment): void {
    const old = before.instances.find(({ id }) => id === instance.id) ?? instance;
    const floats = this.deployment.floatingIps.filter(
      ({ address, fixedIp }) =>
        this.floatHosts.has(address) && instance.vifs.some(({ fixedIps }) => fixedIps.some((own) => own === fixedIp)),
    );
    this.setUpNetworksOf(instance);
    this.filter(this.hostCalled(instance.host), instance);
    this.unfilter(this.hostCalled(old.host), instance);
    this.tearDownNetworksOf(old, before);
    if (!this.profile.movesFloats) return;
    for (const floatingIp of floats) {
      if (hostOfFloatingIp(this.deployment, floatingIp)?.name === this.floatHosts.get(floatingIp.address)) continue;
      const was = before.floatingIps.find(({ address }) => address === floatingIp.address);
      if (was !== undefined) this.unbind(was);
      this.bind(floatingIp);
    }
  }

  /** refresh_security_group_members: the instances in whose groups a rule names one of these. */
  private refreshMembersOf(all: readonly string[]): void {
    // D22: of an instance's groups the last was told of.
    const groups = this.has('D22') ? all.slice(-1) : all;
    const naming = this.deployment.securityGroups.filter(({ rules }) =>
      rules.some(({ group }) => group !== undefined && groups.includes(group)),
    );
    if (naming.length === 0) return;
    this.rebuild(
      this.deployment.instances.filter(({ securityGroups }) =>
        naming.some(({ name }) => securityGroups.includes(name)),
      ),
    );
  }

  /** Each of these instances, or everything on their hosts. */
  private rebuild(instances: readonly Instance[]): void {
    // D27: the refresh ended with an error.
    if (this.has('D27')) return;
    const hosts = new Set(instances.map(({ host }) => host));
    for (const host of this.deployment.hosts) {
      if (!hosts.has(host.name)) continue;
      const here = instances.filter((instance) => instance.host === host.name);
      if (this.profile.refreshes === 'instances') for (const instance of here) this.rebuildOn(host, [instance]);
      else this.rebuildOn(host, [...(this.computeOn(host)?.filtered.values() ?? [])]);
    }
  }

  /** do_refresh_security_group_rules: each chain removed and made again, then one apply. */
  private rebuildOn(host: DeploymentHost, instances: readonly Instance[]): void {
    const process = this.computeOn(host);
    if (process === undefined) return;
    const wanted = instances.filter(({ id }) => process.filtered.has(id)).map(({ id }) => id);
    for (const id of dictOrder(wanted)) {
      const instance = this.deployment.instances.find((candidate) => candidate.id === id);
      if (instance === undefined) continue;
      // D2: so did the first rule without a protocol, and with it the refresh.
      if (this.has('D2') && hasRuleWithoutProtocol(this.deployment, instance)) return;
      // D23: and one that comes while the instance is being built.
      if (this.has('D23') && id === this.newest) return;
      removeInstance(process.memory, instance);
      // D19: another thread applied in between.
      if (this.has('D19')) this.apply(host, process);
      addInstance(process.memory, this.deployment, host, instance, this.profile);
    }
    if (wanted.length > 0) this.apply(host, process);
  }

  // All services

  /** Its memory is gone, and what the kernel has stays until the new process applies. */
  private restart(host: DeploymentHost, service: string): void {
    if (isSilent(this.deployment, host, service)) return;
    const process = newProcess(service, this.profile);
    this.processes.get(host.name)?.set(service, process);
    const { memory } = process;
    switch (process.role) {
      case 'network':
        this.startNetwork(host, process);
        break;
      case 'compute':
        addFallback(memory, this.profile);
        for (const instance of this.deployment.instances) {
          // D17: what does not run is left alone, and a soft reboot will not ask.
          if (instance.host !== host.name || instance.isStopped) continue;
          if (this.profile.plugsOnStart) plug(memory, this.deployment, host, instance, this.profile);
          if (addProvider(memory, host, this.profile)) this.apply(host, process);
          process.filtered.set(instance.id, instance);
          addInstance(memory, this.deployment, host, instance, this.profile);
          this.apply(host, process);
        }
        break;
      case 'metadata':
        addMetadataAccept(memory, host, this.profile);
        this.apply(host, process);
        break;
      case 'fabric':
      case 'none':
        this.apply(host, process);
    }
  }

  private startNetwork(host: DeploymentHost, process: Process): void {
    const applyEach = (): void => {
      if (!this.profile.startsAtOnce) this.apply(host, process);
    };
    addStartUpRules(process.memory, host, this.profile);
    applyEach();
    for (const network of this.deployment.networks)
      if (serves(host, network)) {
        const again = this.dnsmasqs.has(`${host.name} ${network.label}`);
        addNetwork(process.memory, network, host, this.profile, { again });
        this.dnsmasqs.add(`${host.name} ${network.label}`);
        applyEach();
      }
    // A15: floating IPs were nobody's by then; B8: their chains were not there yet.
    for (const floatingIp of this.has('A15') || this.has('B8') ? [] : this.deployment.floatingIps)
      if (this.floatHosts.get(floatingIp.address) === host.name) {
        addFloatingIp(process.memory, floatingIp, this.profile);
        applyEach();
      }
    this.apply(host, process);
  }

  private apply(host: DeploymentHost, process: Process): void {
    const { service, memory } = process;
    if (this.profile.duplicates === 'skipped' && !memory.isDirty) return;
    for (const family of familiesOf(host)) {
      const kernel = this.kernel(host)[family];
      for (const tables of applied(kernel, memory, host, family, this.profile))
        this.write(host, service, { ...this.kernel(host), [family]: tables });
    }
    memory.markWritten();
    process.hasApplied = true;
  }

  private write(host: DeploymentHost, by: string, after: HostKernel): void {
    this.written.push({ host: host.name, by, before: this.kernel(host), after });
    this.kernels.set(host.name, after);
  }

  private kernel(host: DeploymentHost): HostKernel {
    return this.kernels.get(host.name) ?? { 4: kernelTables('', host.name, 4), 6: kernelTables('', host.name, 6) };
  }

  private processesOn = (host: DeploymentHost): readonly Process[] => [
    ...(this.processes.get(host.name)?.values() ?? []),
  ];

  private processWith = (host: DeploymentHost, role: Process['role']): Process | undefined =>
    this.processesOn(host).find((process) => process.role === role);

  private computeOn = (host: DeploymentHost): Process | undefined => this.processWith(host, 'compute');

  private hostCalled(name: string): DeploymentHost {
    const host = hostNamed(this.deployment, name);
    if (host === undefined) throw new Error(`the deployment has no host ${name}`);
    return host;
  }

  private instanceCalled(name: string): Instance {
    const instance = this.deployment.instances.find((candidate) => candidate.name === name);
    if (instance === undefined) throw new Error(`the deployment has no instance ${name}`);
    return instance;
  }
}
