/** THE REFERENCE: what each host's kernel holds after nova's services applied their rules. */
import type { Family } from '../address/address.ts';
import type { Deployment, DeploymentHost } from '../deployment/deployment.ts';
import { hostOfFloatingIp, instancesOn, serves, translates } from '../deployment/placement.ts';
import { roleOf } from '../deployment/service.ts';
import { applied } from './apply.ts';
import { addFallback, addInstance, addProvider, plug } from './compute.ts';
import { emptyTable, kernelTables, printKernel, type KernelTables } from './kernel.ts';
import { Memory } from './memory.ts';
import { addMetadataAccept } from './metadata.ts';
import { addFloatingIp, addNetwork, addStartUpRules } from './network.ts';
import { profileOf, type Profile } from './profile.ts';

/**
 * The ruleset of one host and family in iptables-save's spelling, without its `#` lines: what an operator had there, then each service's
 * rules in the order in which the services applied them (only `service`'s when it is given).
 */
export function rulesetTextFor(
  deployment: Deployment,
  host: DeploymentHost,
  family: Family,
  options: { readonly service?: string } = {},
): string {
  const services = options.service === undefined ? host.services : [options.service];
  const kernel = settledKernel(deployment, host, family, services);
  // A kernel that nobody wrote to lets everything pass: said in one table.
  return printKernel(kernel.size === 0 ? new Map([['filter', emptyTable('filter')]]) : kernel);
}

/** The kernel's tables once each service has everything in memory that the deployment asks of it, and has applied it once. */
export function settledKernel(
  deployment: Deployment,
  host: DeploymentHost,
  family: Family,
  services: readonly string[] = host.services,
): KernelTables {
  const profile = profileOf(deployment.release);
  let kernel = kernelTables(host.rules.get(family) ?? '', `${deployment.path}: ${host.name}`, family);
  if (family === 6 && !host.flags.use_ipv6) return kernel;
  for (const service of services) {
    const memory = settledMemory(profile, deployment, host, service);
    if (memory !== undefined) for (const after of applied(kernel, memory, host, family, profile)) kernel = after;
  }
  return kernel;
}

/** What `service` keeps in memory on `host`; undefined for one that never applies a rule there. */
function settledMemory(
  profile: Profile,
  deployment: Deployment,
  host: DeploymentHost,
  service: string,
): Memory | undefined {
  const memory = new Memory(service, profile);
  switch (roleOf(service)) {
    case 'none':
      return undefined;
    case 'fabric':
      break;
    case 'metadata':
      addMetadataAccept(memory, host, profile);
      break;
    case 'network':
      if (!translates(deployment, host)) return undefined;
      addStartUpRules(memory, host, profile);
      for (const network of deployment.networks) if (serves(host, network)) addNetwork(memory, network, host, profile);
      for (const floatingIp of deployment.floatingIps)
        if (hostOfFloatingIp(deployment, floatingIp) === host) addFloatingIp(memory, floatingIp, profile);
      break;
    case 'compute': {
      addFallback(memory);
      const instances = instancesOn(deployment, host);
      if (instances.length > 0) addProvider(memory, host, profile);
      for (const instance of instances) {
        plug(memory, deployment, host, instance);
        addInstance(memory, deployment, host, instance, profile);
      }
    }
  }
  return memory;
}
