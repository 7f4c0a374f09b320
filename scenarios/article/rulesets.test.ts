import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { rulesetTextFor } from '../../src/nova/ruleset.ts';
import { ROOT, filesEnding, placeOf, read } from '../scenario.ts';

/** `cloud` has what nova's own code made, with its chains in another order: src/nova compares with that. */
const folders = ['article', 'modes']
  .flatMap((top) => filesEnding('deployment.yaml', join(ROOT, top)))
  .map(dirname)
  .filter((folder) => !folder.endsWith('/cloud'));

test.each(folders)('%s has the rulesets that the reference generates', (folder) => {
  const { deployment } = placeOf(join(folder, 'deployment.yaml'));
  for (const host of deployment?.hosts ?? []) {
    const path = join(folder, `${host.name}.rules`);
    const generated = deployment === undefined ? '' : rulesetTextFor(deployment, host, 4);
    if (process.env['UPDATE'] === '1') writeFileSync(join(ROOT, path), generated);
    expect(read(path)).toBe(generated);
    const sixth = join(folder, `${host.name}.v6.rules`);
    if (deployment === undefined || !existsSync(join(ROOT, sixth))) continue;
    const generated6 = rulesetTextFor(deployment, host, 6);
    if (process.env['UPDATE'] === '1') writeFileSync(join(ROOT, sixth), generated6);
    expect(read(sixth)).toBe(generated6);
  }
});
