/** The names that nova gives to chains. Laws name the chain where a promise is kept; whether it is kept is judged by packets. */
import type { ChainName } from '../../claim/claim.ts';
import type { Deployment, DeploymentHost, Instance } from '../../deployment/deployment.ts';
import { hostNamed } from '../../deployment/placement.ts';
import { roleOf, type ServiceRole } from '../../deployment/service.ts';

/** The prefix of a service's chains: the name of its script, cut to 16 characters (094c7695e8). */
export const prefixOf = (service: string): string => service.slice(0, 16);

/** The prefixes of the services of a host that play one of the roles, in the order of the deployment file. */
export const prefixesOf = (host: DeploymentHost, ...roles: readonly ServiceRole[]): readonly string[] => [
  ...new Set(host.services.filter((service) => roles.includes(roleOf(service))).map(prefixOf)),
];

/** A chain of the service that plays `role` on a host. */
export const chainOf = (host: DeploymentHost, role: ServiceRole, table: string, name: string): ChainName => ({
  table,
  chain: `${prefixesOf(host, role)[0] ?? `nova-${role}`}-${name}`,
});

/** The chain of an instance. */
export const instanceChain = (deployment: Deployment, instance: Instance): ChainName => {
  const host = hostNamed(deployment, instance.host);
  const name = `inst-${instance.id}`;
  return host === undefined
    ? { table: 'filter', chain: `nova-compute-${name}` }
    : chainOf(host, 'compute', 'filter', name);
};
