/** A life of a cloud: operations on the reference, every write judged by the laws over time. fast-check runs random ones as commands; a deployment file is one too. */
import type fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { printAddress, printPrefix, type Address, type Prefix } from '../address/address.ts';
import type { Deployment, Instance, ManagerName, Network, Release } from '../deployment/deployment.ts';
import { OperationError } from '../deployment/operation.ts';
import { deploymentOf, deploymentOfFile } from '../deployment/read.ts';
import { deploymentSchema, type Operation } from '../deployment/schema.ts';
import {
  markOf,
  TIME_LAWS,
  type History,
  type Kernels,
  type TimeBreach,
  type TimeLaw,
} from '../invariant/over-time.ts';
import { Cloud } from '../nova/cloud.ts';
import { settledKernel } from '../nova/settled.ts';
import { beginningOf, inverseOf, operationTextFor, type Beginning, type Drawn } from './lifecycle.ts';

/** The operations so far, each as a deployment file has it. */
export type Story = () => readonly string[];

/** Who watches a life. */
export interface Watcher {
  /** A breach that is known: `LAW (bug)`, the operations that led to it, and what the last of them did. */
  readonly marked?: (mark: string, breach: TimeBreach, story: Story, history: History) => void;
  /** One that is not. */
  readonly unmarked: (law: TimeLaw, breach: TimeBreach, story: Story) => void;
  /** Something of a kind that lives are to meet. */
  readonly seen?: (kind: LifeKind) => void;
}

/** What is known of the cloud without its kernels: its database. */
export interface Model {
  deployment: Deployment;
}

export interface Real {
  readonly cloud: Cloud;
  readonly former: Network[];
  readonly formerIds: Set<number>;
  /** Instances that did not run when their nova-compute started, and that it has not filtered since. */
  readonly leftAlone: Set<number>;
  readonly watcher: Watcher;
  readonly done: Operation[];
  /** Before the last operation: its database, and what the kernels held. */
  last?: { readonly before: Deployment; readonly kernels: Kernels };
}

const MANAGER_NAMES = [
  'FlatManager',
  'FlatDHCPManager',
  'VlanManager',
  'QuantumManager',
] as const satisfies ManagerName[];

const OPERATIONS = [
  'network-create',
  'network-delete',
  'boot',
  'terminate',
  'add-fixed-ip',
  'floating-create',
  'floating-allocate',
  'floating-associate',
  'floating-disassociate',
  'floating-release',
  'secgroup-create',
  'secgroup-delete',
  'secgroup-add-rule',
  'secgroup-delete-rule',
  'add-secgroup',
  'remove-secgroup',
  'migrate',
  'stop',
  'reboot',
  'restart',
  'refresh',
  'operator-insert',
] as const satisfies (keyof Operation)[];

/**
 * In how many of a hundred lives at least something of a kind is to be met (half of what is usual, or less): under which manager a life is lived, what is done, what is refused, and what
 * is seen on the way.
 */
export const LIFE_FLOORS = {
  ...record(MANAGER_NAMES, (name) => `manager ${name}` as const, 12),
  'three hosts': 12,
  multi_host: 8,
  IPv6: 10,
  cloudpipe: 2,
  'operator before nova': 30,
  ...record(OPERATIONS, (name) => `operation ${name}` as const, 5),
  'restart nova-api': 5,
  'restart nova-network': 5,
  'restart nova-compute': 5,
  'restart nova-api-metadata': 1.5,
  'refresh of one': 5,
  'refresh of all': 5,
  'migration with a floating IP': 0.3,
  'taken back': 10,
  'operation start': 2,
  refused: 20,
  'a state on the way': 40,
} as const satisfies Readonly<Record<string, number>>;

export type LifeKind = keyof typeof LIFE_FLOORS;

function record<T extends string, K extends string>(
  names: readonly T[],
  key: (name: T) => K,
  floor: number,
): Readonly<Record<K, number>> {
  return Object.fromEntries(names.map((name) => [key(name), floor])) as Record<K, number>;
}

const OPERATION = deploymentSchema.shape.operations.unwrap().unwrap().element;

export class Step implements fc.Command<Model, Real> {
  readonly drawn: Drawn;
  constructor(drawn: Drawn) {
    this.drawn = drawn;
  }

  check({ deployment }: Readonly<Model>): boolean {
    return operationTextFor(deployment, this.drawn) !== undefined;
  }

  run(model: Model, real: Real): void {
    const text = operationTextFor(model.deployment, this.drawn);
    if (text === undefined) return;
    const operation = OPERATION.parse(text);
    if (this.drawn.which % 5 === 1) countPackets(real.cloud);
    const before = model.deployment;
    perform(model, real, operation, this.drawn.what % 8 === 0);
    const inverse = this.drawn.which % 4 === 1 ? inverseOf(operation, before) : undefined;
    if (inverse !== undefined && real.done.at(-1) === operation) perform(model, real, inverse, false);
  }

  toString(): string {
    return `${this.drawn.kind}/${this.drawn.which}/${this.drawn.what}`;
  }
}

/** A step as it prints. */
export function stepOf(text: string): Step {
  const [, kind, which, what] = /^(\d+)\/(\d+)\/(\d+)$/.exec(text) ?? [];
  if (kind === undefined) throw new Error(`${text} is no step`);
  return new Step({ kind: Number(kind), which: Number(which), what: Number(what) });
}

const countPackets = (cloud: Cloud): void => {
  for (const { name } of cloud.deployment.hosts) cloud.count(name);
};

/** One operation, judged. `thorough`: also against a cloud that is written in one go. */
function perform(model: Model, real: Real, operation: Operation, thorough: boolean): void {
  const { cloud, former, watcher } = real;
  const before = cloud.snapshot();
  const database = cloud.deployment;
  const deleted = database.networks.find(({ label }) => label === operation['network-delete']);
  let writes;
  try {
    writes = cloud.perform(operation);
  } catch (error) {
    // What nova refuses changes nothing.
    if (!(error instanceof OperationError)) throw error;
    watcher.seen?.('refused');
    return;
  }
  const undone = takesBack(real, operation) ? real.last?.kernels : undefined;
  real.done.push(operation);
  real.last = { before: database, kernels: before };
  model.deployment = cloud.deployment;
  if (deleted !== undefined) former.push(deleted);
  for (const instance of cloud.deployment.instances) {
    real.formerIds.add(instance.id);
    const filtered = isFilteredBy(operation, instance);
    if (filtered === true) real.leftAlone.delete(instance.id);
    if (filtered === false) real.leftAlone.add(instance.id);
  }
  for (const kind of kindsOf(operation, database, writes.length)) watcher.seen?.(kind);
  if (undone !== undefined) watcher.seen?.('taken back');
  judge(
    real,
    {
      operation,
      before,
      writes,
      after: cloud.snapshot(),
      earlier: database,
      deployment: cloud.deployment,
      former,
      formerIds: [...real.formerIds],
      leftAlone: [...real.leftAlone],
      ...(undone === undefined ? {} : { undone }),
      settled: kept(() => settledKernels(cloud.deployment)),
      again: kept(() => cloud.reapplied()),
    },
    thorough,
  );
}

/** Whether nova-compute filters an instance because of an operation, or forgets it; undefined where it does neither. */
function isFilteredBy(
  { boot, start, migrate, restart }: Operation,
  { name, host, isStopped }: Instance,
): boolean | undefined {
  if (restart?.service === 'nova-compute' && restart.host === host) return !isStopped;
  return [boot?.name, start, migrate?.instance].includes(name) ? true : undefined;
}

const kept = <T>(make: () => T): (() => T) => {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
};

/** Whether an operation undoes the one before. */
function takesBack({ done, last }: Real, operation: Operation): boolean {
  const previous = done.at(-1);
  if (previous === undefined || last === undefined) return false;
  return isDeepStrictEqual(inverseOf(previous, last.before), operation);
}

function* kindsOf(
  operation: Operation,
  { instances, floatingIps, networks }: Deployment,
  writes: number,
): Generator<LifeKind> {
  for (const name of OPERATIONS) if (operation[name] !== undefined) yield `operation ${name}`;
  if (operation.start !== undefined) yield 'operation start';
  const { restart, refresh, boot, migrate } = operation;
  for (const service of ['nova-api', 'nova-network', 'nova-compute', 'nova-api-metadata'] as const)
    if (restart?.service === service) yield `restart ${service}`;
  if (refresh !== undefined) yield refresh.instance == null ? 'refresh of all' : 'refresh of one';
  if (networks.some(({ vpnPrivateAddress: vpn }) => vpn !== undefined && boot?.fixed_ips?.includes(vpn) === true))
    yield 'cloudpipe';
  const moved = instances.find(({ name }) => name === migrate?.instance)?.vifs.flatMap(({ fixedIps }) => fixedIps);
  if (floatingIps.some(({ fixedIp }) => fixedIp !== undefined && moved?.includes(fixedIp) === true))
    yield 'migration with a floating IP';
  if (writes > 1) yield 'a state on the way';
}

const settledKernels = (deployment: Deployment): Kernels =>
  new Map(
    deployment.hosts.map((host) => [
      host.name,
      { 4: settledKernel(deployment, host, 4), 6: settledKernel(deployment, host, 6) },
    ]),
  );

/** The laws that need another cloud to compare with: of random lives they are judged now and then. */
const THOROUGH: ReadonlySet<string> = new Set([
  'change/incremental-equals-scratch',
  'apply/idempotent',
  'group/running-and-future-alike',
]);

function judge({ watcher, done }: Real, history: History, thorough: boolean): void {
  const story = kept(() => done.map(printOperation));
  for (const law of TIME_LAWS) {
    if (!thorough && THOROUGH.has(law.id)) continue;
    for (const breach of law.breaches(history)) {
      const mark = markOf(law, breach, history);
      if (mark === undefined) watcher.unmarked(law, breach, story);
      else watcher.marked?.(`${law.id} (${mark.bug})`, breach, story, history);
    }
  }
}

/** An operation as a deployment file has it, on one line. */
export const printOperation = (operation: Operation): string =>
  JSON.stringify(operation, (key, value: unknown) => {
    if (isPrefix(value)) return printPrefix(value);
    if (!/^(address|fixed_ips?|floating-.*|gateway|gateway_v6|dhcp_server|vpn_.*_address)$/.test(key)) return value;
    if (Array.isArray(value)) return value.map((one) => (isAddress(one) ? printAddress(one) : (one as unknown)));
    return isAddress(value) ? printAddress(value) : value;
  });

const isAddress = (value: unknown): value is Address => typeof value === 'number' || typeof value === 'bigint';

const isPrefix = (value: unknown): value is Prefix =>
  typeof value === 'object' && value !== null && 'address' in value && isAddress(value.address) && 'length' in value;

export interface Life {
  readonly model: Model;
  readonly real: Real;
}

const lifeOf = (cloud: Cloud, watcher: Watcher): Life => ({
  model: { deployment: cloud.deployment },
  real: {
    cloud,
    former: [],
    formerIds: new Set(cloud.deployment.instances.map(({ id }) => id)),
    leftAlone: new Set(),
    watcher,
    done: [],
  },
});

/** The cloud that a life begins with, and what is known of it. */
export function begin(beginning: Beginning, release: Release, watcher: Watcher): Life {
  const { deployment } = deploymentOf(
    { ...beginningOf(beginning, release), operations: [{ 'floating-create': { range: '198.51.100.248/29' } }] },
    'life',
  );
  const [network] = deployment.networks;
  if (network !== undefined) watcher.seen?.(`manager ${network.manager}`);
  if (network?.multiHost === true) watcher.seen?.('multi_host');
  if (beginning.hasIpv6) watcher.seen?.('IPv6');
  if (beginning.hasOperator) watcher.seen?.('operator before nova');
  if (beginning.hosts === 2) watcher.seen?.('three hosts');
  return lifeOf(Cloud.after(deployment), watcher);
}

/** A random life from its beginning to its end: the operations that nova did. */
export function live(
  beginning: Beginning,
  drawn: readonly Drawn[],
  release: Release,
  watcher: Watcher,
): readonly Operation[] {
  const { model, real } = begin(beginning, release, watcher);
  for (const step of drawn.map((one) => new Step(one))) if (step.check(model)) step.run(model, real);
  return real.done;
}

/** The operations of a deployment file, each judged by every law; `counting`: packets pass before each. Throws OperationError where nova refuses one. */
export function liveThrough({ past, path }: Deployment, watcher: Watcher, counting: boolean): void {
  if (past === undefined) throw new Error('a deployment without operations is no life');
  const cloud = new Cloud({ file: past.file, deployment: deploymentOfFile(past.file, path) });
  const { model, real } = lifeOf(cloud, {
    ...watcher,
    seen: (kind) => {
      if (kind === 'refused') throw new OperationError(`nova refuses one of the operations of ${path}`);
      watcher.seen?.(kind);
    },
  });
  for (const operation of past.operations) {
    if (counting) countPackets(cloud);
    perform(model, real, operation, true);
  }
}
