/** THE REFERENCE: what each host's kernel holds after nova's services applied their rules. */
import type { Family } from '../address/address.ts';
import type { Deployment, DeploymentHost } from '../deployment/deployment.ts';
import { Cloud } from './cloud.ts';
import { emptyTable, printKernel } from './kernel.ts';
import { settledKernel } from './settled.ts';

/**
 * The ruleset of one host and family in iptables-save's spelling, without its `#` lines: what an operator had there, then each service's
 * rules in the order in which the services applied them (only `service`'s when it is given), then what the deployment's operations make of them.
 */
export function rulesetTextFor(
  deployment: Deployment,
  host: DeploymentHost,
  family: Family,
  options: { readonly service?: string } = {},
): string {
  const { service } = options;
  const kernel =
    service !== undefined
      ? settledKernel(deployment, host, family, [service])
      : deployment.past === undefined
        ? settledKernel(deployment, host, family)
        : Cloud.after(deployment).kernelOf(host.name, family);
  // A kernel that nobody wrote to lets everything pass: said in one table.
  return printKernel(kernel.size === 0 ? new Map([['filter', emptyTable('filter')]]) : kernel);
}
