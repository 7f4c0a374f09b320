/** Of small mistakes in the rulesets of the fixtures, the difference on the host tells what the model says, packet by packet. `npm run diff-mutants` asks of all of them. */
import { expect } from 'vitest';
import { at, INDEX } from '../src/arbitrary/choice.ts';
import { CLOUDS, cloudOf } from '../src/cli/book.ts';
import { checkDifference } from '../src/judge/difference-check.ts';
import { mutantsOf } from '../src/judge/mutation.ts';
import { law, type Seen } from './support/law.ts';

const clouds = CLOUDS.map(cloudOf);

law<[number, number, number, number]>(
  'space/a-mutants-difference-is-what-the-model-says',
  [INDEX, INDEX, INDEX, INDEX],
  (whichCloud, whichHost, whichMutant, seed, seen: Seen) => {
    const { network, rulesets } = at(clouds, whichCloud);
    const host = at(network.hosts, whichHost);
    const own = rulesets.get(host.name) ?? [];
    if (own.length === 0) return true;
    const old = at(own, whichMutant);
    // Small numbers are drawn more often than others, and the first rules are all alike.
    const mutant = at([...mutantsOf(old)], Math.imul(whichMutant + 1, 0x9e3779b1) >>> 0);
    const found = checkDifference({ host, old, now: mutant.ruleset, backend: 'nft', packets: 12, seed });
    seen(found.regions > 0 ? 'different' : 'same');
    if (found.replayed > 0) seen('witness');
    expect(found.wrong, `${old.path}:${mutant.line} ${mutant.change}`).toEqual([]);
    return true;
  },
  { runs: 8, cover: { different: { atLeast: 20 }, same: { atLeast: 0 }, witness: { atLeast: 20 } } },
);
