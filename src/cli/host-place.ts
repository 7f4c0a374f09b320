/** The one host that a command is about: of a host file, or of a deployment. */
import type { Family } from '../address/address.ts';
import { assumptionsOf } from '../deployment/assumption.ts';
import { networkOf } from '../deployment/world.ts';
import { nearest } from '../diagnostic/nearest.ts';
import type { Host } from '../host/host.ts';
import { parseIpsets } from '../ruleset/ipset.ts';
import { UsageError } from './failure.ts';
import type { WorldInputs } from './world-input.ts';

export interface HostOptions {
  readonly deployment?: string;
  readonly host?: string;
  /** Which host of the deployment. */
  readonly name?: string;
  readonly sets?: string;
}

export interface HostPlace {
  readonly host: Host;
  readonly assumptions: readonly string[];
}

/** All hosts of the deployment, or the one of the host file; undefined where neither is given. Throws UsageError and what files throw. */
export function hostPlaces(
  { deployment, host, name, sets }: HostOptions,
  inputs: WorldInputs,
): readonly HostPlace[] | undefined {
  if (host !== undefined && deployment !== undefined) throw new UsageError('give -d or --host, not both');
  const known = sets === undefined ? undefined : parseIpsets(inputs.text(sets), sets === '-' ? 'stdin' : sets);
  const withSets = (own: Host): Host => (known === undefined ? own : { ...own, sets: known });
  const places = ((): readonly HostPlace[] | undefined => {
    if (host !== undefined) return [{ host: inputs.host(host), assumptions: ['neighbours always resolve'] }];
    if (deployment === undefined) return undefined;
    const read = inputs.deployment(deployment);
    return networkOf(read).hosts.map((own) => ({ host: own, assumptions: assumptionsOf(read) }));
  })();
  if (places === undefined && (name !== undefined || sets !== undefined))
    throw new UsageError(`${name === undefined ? '--sets' : '--name'} says something of a host: give -d or --host`);
  const all = places?.map((place) => ({ ...place, host: withSets(place.host) }));
  if (all === undefined || name === undefined) return all;
  const found = all.filter((place) => place.host.name === name);
  if (found.length > 0) return found;
  const names = all.map((place) => place.host.name);
  const near = nearest(name, names);
  throw new UsageError(
    `there is no host ${name}: ${near === undefined ? `there are ${names.join(', ')}` : `did you mean ${near}?`}`,
  );
}

/** The one host that is meant. */
export function onlyHost(places: readonly HostPlace[]): HostPlace {
  const [first, second] = places;
  if (first === undefined) throw new UsageError('the deployment has no host');
  if (second !== undefined)
    throw new UsageError(`which host is the ruleset of? --name ${places.map(({ host }) => host.name).join(' or ')}`);
  return first;
}

/** The name of a host's ruleset in a directory, as `generate --output` writes it. */
export const rulesetFile = (host: string, family: Family): string => `${host}${family === 6 ? '.v6' : ''}.rules`;
