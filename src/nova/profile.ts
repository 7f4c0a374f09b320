/** What a release of nova writes: one record a release, so that the next one is this one with differences. */
import type { Deployment, DeploymentHost, ManagerName, Release } from '../deployment/deployment.ts';
import type { ServiceRole } from '../deployment/service.ts';
import { UnsupportedError } from '../diagnostic/diagnostic.ts';
import { addComputeRules } from './compute.ts';
import { mergeTable } from './merge.ts';
import { Memory, type MemoryTable } from './memory.ts';
import { addMetadataAccept } from './metadata.ts';
import { addNetworkRules } from './network.ts';

export interface Profile {
  readonly managers: readonly ManagerName[];
  /** The chains and rules that every process of the release begins with. */
  readonly newMemory: (service: string) => Memory;
  /** What a service adds to them, by what it does. */
  readonly rules: Readonly<
    Partial<Record<ServiceRole, (memory: Memory, deployment: Deployment, host: DeploymentHost) => void>>
  >;
  /** How a table in memory is written into what the kernel has. */
  readonly merge: (current: readonly string[], table: MemoryTable) => string[];
}

const FOLSOM_2: Profile = {
  managers: ['FlatDHCPManager'],
  newMemory: (service) => new Memory(service),
  rules: {
    network: addNetworkRules,
    compute: addComputeRules,
    metadata: (memory, _, host) => {
      addMetadataAccept(memory, host);
    },
  },
  merge: mergeTable,
};

const PROFILES: Readonly<Partial<Record<Release, Profile>>> = { 'folsom-2': FOLSOM_2 };

/** The profile that writes this deployment's rules. Throws UnsupportedError for a release or a manager that is not built yet. */
export function profileFor(deployment: Deployment): Profile {
  const { release, path } = deployment;
  const profile = PROFILES[release];
  if (profile === undefined) {
    const built = Object.keys(PROFILES).join(', ');
    throw new UnsupportedError(`${path}: the reference does not write release ${release} yet: it writes ${built}`);
  }
  for (const { label, manager } of deployment.networks)
    if (!profile.managers.includes(manager)) {
      const built = profile.managers.join(', ');
      throw new UnsupportedError(
        `${path}: network ${label}: the reference does not write ${manager} yet: it writes ${built}`,
      );
    }
  return profile;
}
