/** A life of a cloud as fast-check runs it: commands on the reference, every write judged by the laws over time. */
import type fc from 'fast-check';
import { beginningOf, inverseOf, operationTextFor, type Beginning, type Drawn } from './lifecycle.ts';
import type { Deployment, Network, Release } from '../deployment/deployment.ts';
import { OperationError } from '../deployment/operation.ts';
import { deploymentOf } from '../deployment/read.ts';
import { deploymentSchema, type Operation } from '../deployment/schema.ts';
import { markOf, TIME_LAWS, type History, type Kernels } from '../invariant/over-time.ts';
import { Cloud } from '../nova/cloud.ts';
import { settledKernel } from '../nova/settled.ts';

/** What is known of the cloud without its kernels: its database. */
export interface Model {
  deployment: Deployment;
}

export interface Real {
  readonly cloud: Cloud;
  readonly former: Network[];
  readonly formerIds: Set<number>;
  /** Called with `LAW (bug)` for each breach that is known, and with the story of one that is not. */
  readonly marked: (mark: string) => void;
  readonly unmarked: (story: string) => void;
  readonly done: Operation[];
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
    if (this.drawn.which % 5 === 1) for (const { name } of model.deployment.hosts) real.cloud.count(name);
    const before = model.deployment;
    const kernels = real.cloud.snapshot();
    perform(model, real, operation, this.drawn.what % 8 === 0);
    const inverse = this.drawn.which % 4 === 1 ? inverseOf(operation, before) : undefined;
    if (inverse !== undefined && real.done.at(-1) === operation) perform(model, real, inverse, false, kernels);
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

/** One operation, judged. `thorough`: also against a cloud that is written in one go. */
function perform(model: Model, real: Real, operation: Operation, thorough: boolean, undone?: Kernels): void {
  const { cloud, former } = real;
  const before = cloud.snapshot();
  const deleted = cloud.deployment.networks.find(({ label }) => label === operation['network-delete']);
  let writes;
  try {
    writes = cloud.perform(operation);
  } catch (error) {
    // What nova refuses changes nothing.
    if (error instanceof OperationError) return;
    throw error;
  }
  real.done.push(operation);
  model.deployment = cloud.deployment;
  if (deleted !== undefined) former.push(deleted);
  for (const { id } of cloud.deployment.instances) real.formerIds.add(id);
  judge(
    real,
    {
      operation,
      before,
      writes,
      after: cloud.snapshot(),
      deployment: cloud.deployment,
      former,
      formerIds: [...real.formerIds],
      ...(undone === undefined ? {} : { undone }),
      settled: once(() => settledKernels(cloud.deployment)),
      again: once(() => {
        for (const { name } of cloud.deployment.hosts) cloud.reapply(name);
        return cloud.snapshot();
      }),
    },
    thorough,
  );
}

const once = <T>(make: () => T): (() => T) => {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
};

const settledKernels = (deployment: Deployment): Kernels =>
  new Map(
    deployment.hosts.map((host) => [
      host.name,
      { 4: settledKernel(deployment, host, 4), 6: settledKernel(deployment, host, 6) },
    ]),
  );

/** The laws that need another cloud to compare with: judged now and then. */
const THOROUGH: ReadonlySet<string> = new Set([
  'change/incremental-equals-scratch',
  'apply/idempotent',
  'group/running-and-future-alike',
]);

function judge(real: Real, history: History, thorough: boolean): void {
  for (const law of TIME_LAWS) {
    if (!thorough && THOROUGH.has(law.id)) continue;
    for (const breach of law.breaches(history)) {
      const mark = markOf(law, breach, history);
      if (mark !== undefined) real.marked(`${law.id} (${mark.bug})`);
      else
        real.unmarked(
          [`${law.id}: ${breach.message}`, ...real.done.map((operation) => printOperation(operation))].join('\n'),
        );
    }
  }
}

const printOperation = (operation: Operation): string =>
  JSON.stringify(operation, (_, value: unknown) => (typeof value === 'bigint' ? `${value}` : value));

/** The cloud that a life begins with, and what is known of it. */
export function begin(
  beginning: Beginning,
  release: Release,
  marked: (mark: string) => void,
  unmarked: (story: string) => void = (story) => {
    throw new Error(story);
  },
): { readonly model: Model; readonly real: Real } {
  const { deployment } = deploymentOf(
    { ...beginningOf(beginning, release), operations: [{ 'floating-create': { range: '198.51.100.248/29' } }] },
    'life',
  );
  const cloud = Cloud.after(deployment);
  return {
    model: { deployment: cloud.deployment },
    real: {
      cloud,
      former: [],
      formerIds: new Set(deployment.instances.map(({ id }) => id)),
      marked,
      unmarked,
      done: [],
    },
  };
}
