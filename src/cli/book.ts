/** `npm run book`: writes docs/laws.md. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { networkOf } from '../deployment/world.ts';
import { LAWS } from '../invariant/laws.ts';
import { breakLaw, showLaw } from '../judge/exhibit.ts';
import type { Cloud } from '../judge/mutant-judge.ts';
import { printBook, type Chapter } from '../report/book.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { WorldInputs } from './world-input.ts';
import { nodeIo } from './io.ts';

/** A cloud of scenarios/: its deployment, and HOST.rules and HOST.v6.rules beside it. */
export function cloudOf(name: string): Cloud {
  const folder = fileURLToPath(new URL(`../../scenarios/${name}`, import.meta.url));
  const inputs = new WorldInputs(nodeIo);
  const deployment = inputs.deployment(join(folder, 'deployment.yaml'));
  const rulesets = new Map<string, Ruleset[]>();
  for (const file of readdirSync(folder)
    .filter((entry) => entry.endsWith('.rules'))
    .sort()) {
    const [, host = '', v6] = /^(.*?)(\.v6)?\.rules$/.exec(file) ?? [];
    rulesets.set(host, [...(rulesets.get(host) ?? []), inputs.ruleset(join(folder, file), v6 === undefined ? 4 : 6)]);
  }
  return { name, deployment, network: networkOf(deployment), rulesets };
}

/** The two clouds that the laws are shown on. */
export const CLOUDS = ['article/cloud', 'second-cloud'] as const;

export function chaptersOn(clouds: readonly Cloud[]): Chapter[] {
  return LAWS.map((law) => {
    const shown = showLaw(law, clouds);
    const broken = breakLaw(law, clouds);
    return { law, ...(shown === undefined ? {} : { shown }), ...(broken === undefined ? {} : { broken }) };
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const path = fileURLToPath(new URL('../../docs/laws.md', import.meta.url));
  nodeIo.writeFile(path, printBook(chaptersOn(CLOUDS.map(cloudOf))));
}
