/** `nfverdict generate`: the reference's rulesets of a deployment. */
import { join } from 'node:path';
import type { Family } from '../address/address.ts';
import type { Deployment, DeploymentHost } from '../deployment/deployment.ts';
import { nearest } from '../diagnostic/nearest.ts';
import { quoteText } from '../diagnostic/quote.ts';
import { rulesetTextFor } from '../nova/ruleset.ts';
import { UsageError, answering } from './failure.ts';
import { WorldInputs } from './world-input.ts';
import type { Io } from './io.ts';

export interface GenerateOptions {
  /** The deployment file. */
  readonly deployment: string;
  /** Needed on stdout when there are several; with `output` absent means all. */
  readonly host?: string;
  /** On stdout IPv4 unless given; with `output` both. */
  readonly family?: Family;
  /** Only what this service applies. */
  readonly service?: string;
  /** The directory for HOST.rules and HOST.v6.rules. */
  readonly output?: string;
}

/** Writes the rulesets and returns the exit code. */
export const runGenerate = (options: GenerateOptions, io: Io): number =>
  answering(io, () => {
    const deployment = new WorldInputs(io).deployment(options.deployment);
    const hosts = chosenHosts(deployment, options);
    const service = options.service === undefined ? {} : { service: options.service };
    const { output } = options;
    if (output === undefined) {
      for (const host of hosts) io.stdout(rulesetTextFor(deployment, host, options.family ?? 4, service));
      return 0;
    }
    const families: readonly Family[] = options.family === undefined ? [4, 6] : [options.family];
    // All are made before the first is written: a deployment that cannot be generated leaves no half of it behind.
    const files = hosts.flatMap((host) =>
      families.map((family) => ({
        path: join(output, `${host.name}${family === 6 ? '.v6' : ''}.rules`),
        text: rulesetTextFor(deployment, host, family, service),
      })),
    );
    for (const { path, text } of files) io.writeFile(path, text);
    return 0;
  });

function chosenHosts(deployment: Deployment, options: GenerateOptions): readonly DeploymentHost[] {
  const { hosts } = deployment;
  const names = hosts.map((host) => host.name);
  const chosen = options.host === undefined ? hosts : hosts.filter((host) => host.name === options.host);
  if (options.host !== undefined && chosen.length === 0) throw new UsageError(unknown('host', options.host, names));
  if (options.output === undefined && chosen.length > 1)
    throw new UsageError(`--host is missing: ${deployment.path} has ${names.join(', ')}`);
  const { service } = options;
  const services = [...new Set(chosen.flatMap((host) => host.services))];
  if (service !== undefined && !services.includes(service)) throw new UsageError(unknown('service', service, services));
  return service === undefined ? chosen : chosen.filter((host) => host.services.includes(service));
}

function unknown(kind: string, name: string, known: readonly string[]): string {
  const near = nearest(name, known);
  const hint = near === undefined ? `there are ${known.join(', ')}` : `did you mean ${near}?`;
  return `there is no ${kind} ${quoteText(name)} in the deployment${known.length === 0 ? '' : `: ${hint}`}`;
}
