/** The lives of scenarios/lives: operations of which it is known what goes wrong in which release. */
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import type { Deployment, Release } from '../deployment/deployment.ts';
import { deploymentOf } from '../deployment/read.ts';
import type { DeploymentText } from '../deployment/schema.ts';
import { readSource } from '../diagnostic/yaml.ts';
import { nodeIo } from './io.ts';

export interface KnownLife {
  readonly name: string;
  readonly in: (release: Release) => Deployment;
  /** Packets pass before each operation. */
  readonly counting: boolean;
  /** `LAW (bug)`: met in every release that the mark names. */
  readonly marks: readonly string[];
}

const CLOUD = z.record(z.string(), z.unknown());
const LIFE = z.strictObject({
  cloud: CLOUD.optional(),
  counting: z.literal(true).optional(),
  operations: z.array(CLOUD).min(1),
  marks: z.array(z.string()).min(1),
});

const FOLDER = fileURLToPath(new URL('../../scenarios/lives/', import.meta.url));
const BASE = 'cloud.yaml';

const textOf = (name: string): string => String(nodeIo.readFile(`${FOLDER}${name}`));

export function knownLives(): readonly KnownLife[] {
  const base = readSource(textOf(BASE), BASE, CLOUD).value;
  return (nodeIo.listFolder?.(FOLDER) ?? [])
    .filter((name) => name.endsWith('.yaml') && name !== BASE)
    .sort()
    .map((name) => {
      const { cloud, counting = false, operations, marks } = readSource(textOf(name), name, LIFE).value;
      const within = (release: Release): Deployment =>
        deploymentOf({ ...base, ...cloud, release, operations } as unknown as DeploymentText, name).deployment;
      return { name, in: within, counting, marks };
    });
}
