/** A service of nova on a host: what it keeps in memory, and what it begins with. */
import type { Deployment, DeploymentHost, Instance } from '../deployment/deployment.ts';
import { floatingIpsOn, instancesOn, serves, translates } from '../deployment/placement.ts';
import { roleOf, type ServiceRole } from '../deployment/service.ts';
import { addFallback, addInstance, addProvider, plug } from './compute.ts';
import { Memory } from './memory.ts';
import { addMetadataAccept } from './metadata.ts';
import { addFloatingIp, addNetwork, addStartUpRules } from './network.ts';
import type { Profile } from './profile.ts';

export interface Process {
  readonly service: string;
  readonly role: ServiceRole;
  readonly memory: Memory;
  /** False while it has applied nothing since it started. */
  hasApplied: boolean;
  /** nova-compute: the instances that it filters, by id, in the order in which it came to know them. */
  readonly filtered: Map<number, Instance>;
}

export const newProcess = (service: string, profile: Profile): Process => ({
  service,
  role: roleOf(service),
  memory: new Memory(service, profile),
  hasApplied: false,
  filtered: new Map(),
});

/** True for a service that never applies a rule on this host. */
export const isSilent = (deployment: Deployment, host: DeploymentHost, service: string): boolean =>
  roleOf(service) === 'none' || (roleOf(service) === 'network' && !translates(deployment, host));

/** A service that has everything in memory that the deployment asks of it; undefined for one that never applies a rule there. */
export function settledProcess(
  profile: Profile,
  deployment: Deployment,
  host: DeploymentHost,
  service: string,
): Process | undefined {
  if (isSilent(deployment, host, service)) return undefined;
  const process = newProcess(service, profile);
  const { memory } = process;
  switch (process.role) {
    case 'metadata':
      addMetadataAccept(memory, host, profile);
      break;
    case 'network':
      addStartUpRules(memory, host, profile);
      for (const network of deployment.networks) if (serves(host, network)) addNetwork(memory, network, host, profile);
      for (const floatingIp of floatingIpsOn(deployment, host)) addFloatingIp(memory, floatingIp, profile);
      break;
    case 'compute': {
      addFallback(memory, profile);
      const instances = instancesOn(deployment, host);
      if (instances.length > 0) addProvider(memory, host, profile);
      for (const instance of instances) {
        plug(memory, deployment, host, instance, profile);
        addInstance(memory, deployment, host, instance, profile);
        process.filtered.set(instance.id, instance);
      }
      break;
    }
    case 'fabric':
    case 'none':
  }
  return process;
}
