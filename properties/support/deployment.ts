/** Deployments made ready to be judged: their network, the reference's rulesets, worlds in both postures. */
import { z } from 'zod';
import { hardenedRuleset } from '../../src/judge/hardened.ts';
import { aimOf } from '../../src/judge/aim.ts';
import type { Posture } from '../../src/claim/claim.ts';
import type { Deployment } from '../../src/deployment/deployment.ts';
import { deploymentOf } from '../../src/deployment/read.ts';
import type { DeploymentText } from '../../src/deployment/schema.ts';
import { networkOf } from '../../src/deployment/world.ts';
import type { Network } from '../../src/network/network.ts';
import { worldOf, type World } from '../../src/network/walk.ts';
import { rulesetTextFor } from '../../src/nova/ruleset.ts';
import { readRuleset } from '../../src/ruleset/parse.ts';
import type { Ruleset } from '../../src/ruleset/rule.ts';
import type { Codec } from './codec.ts';

export interface Prepared {
  readonly deployment: Deployment;
  readonly network: Network;
  readonly rulesets: ReadonlyMap<string, readonly Ruleset[]>;
  readonly worlds: Readonly<Record<Posture, World>>;
  readonly aim: ReturnType<typeof aimOf>;
}

/** The rulesets of all hosts, both families. */
export const rulesetsFor = (deployment: Deployment): ReadonlyMap<string, readonly Ruleset[]> =>
  new Map(
    deployment.hosts.map((host) => [
      host.name,
      ([4, 6] as const).map((family) =>
        readRuleset(rulesetTextFor(deployment, host, family), { path: `${host.name}, IPv${family}`, family }),
      ),
    ]),
  );

/** Laws draw the same deployments, one law after the other: what was prepared lately is kept. */
const PREPARED = new Map<string, Prepared>();
const KEPT = 200;

export function prepare(file: DeploymentText): Prepared {
  const key = JSON.stringify(file);
  const known = PREPARED.get(key);
  if (known !== undefined) return known;
  const { deployment } = deploymentOf(file, 'deployment.yaml');
  const network = networkOf(deployment);
  const rulesets = rulesetsFor(deployment);
  const hardened = new Map([...rulesets].map(([host, given]) => [host, given.map(hardenedRuleset)]));
  const prepared: Prepared = {
    deployment,
    network,
    rulesets,
    worlds: { 'as-given': worldOf(network, rulesets), hardened: worldOf(network, hardened) },
    aim: aimOf([...rulesets.values()].flat()),
  };
  const [oldest] = PREPARED.keys();
  if (PREPARED.size >= KEPT && oldest !== undefined) PREPARED.delete(oldest);
  PREPARED.set(key, prepared);
  return prepared;
}

/** A deployment's file and naturals, stored as they are. What a stored file says is checked as any file is. */
export const DEPLOYMENT: Codec<[DeploymentText, number]> = {
  write: ([file, start]) => [JSON.parse(JSON.stringify(file)) as unknown, start],
  read: ([file, start]) => {
    deploymentOf(file as DeploymentText, 'regression');
    return [file as DeploymentText, z.int().min(0).parse(start)];
  },
};
