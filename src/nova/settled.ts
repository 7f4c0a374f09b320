/** A kernel as it is once everything that a deployment asks for has been applied, whatever went before. */
import type { Family } from '../address/address.ts';
import type { Deployment, DeploymentHost } from '../deployment/deployment.ts';
import { applied } from './apply.ts';
import { kernelTables, type KernelTables } from './kernel.ts';
import { settledProcess } from './process.ts';
import { profileOf } from './profile.ts';

/** The kernel's tables once each service has everything in memory that the deployment asks of it, and has applied it once. */
export function settledKernel(
  deployment: Deployment,
  host: DeploymentHost,
  family: Family,
  services: readonly string[] = host.services,
): KernelTables {
  const profile = profileOf(deployment);
  let kernel = kernelTables(host.rules.get(family) ?? '', `${deployment.path}: ${host.name}`, family);
  if (family === 6 && !host.flags.use_ipv6) return kernel;
  for (const service of services) {
    const process = settledProcess(profile, deployment, host, service);
    if (process !== undefined)
      for (const after of applied(kernel, process.memory, host, family, profile)) kernel = after;
  }
  return kernel;
}
