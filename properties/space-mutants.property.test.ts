/** Of small mistakes in the rulesets of the fixtures the difference tells what the model says, packet by packet. `npm run diff-mutants` asks of all of them. */
import { expect } from 'vitest';
import { at, INDEX } from '../src/arbitrary/choice.ts';
import { CLOUDS, cloudOf } from '../src/cli/book.ts';
import type { Host } from '../src/host/host.ts';
import { HostChecks } from '../src/judge/host-check.ts';
import { mutantsOf, OTHER_INTERFACE, type Mutant } from '../src/judge/mutation.ts';
import { checkTables } from '../src/judge/table-check.ts';
import type { Ruleset } from '../src/ruleset/rule.ts';
import { law, type Seen } from './support/law.ts';

const subjects = CLOUDS.map(cloudOf).flatMap(({ network, rulesets }) =>
  network.hosts.flatMap((host) => (rulesets.get(host.name) ?? []).map((old) => ({ host, old }))),
);

/** Small numbers are drawn more often than others, and the first rules are all alike. */
const mutantAt = (old: Ruleset, which: number): Mutant =>
  at([...mutantsOf(old)], Math.imul(which + 1, 0x9e3779b1) >>> 0);

law<[number, number]>(
  'space/a-mutants-difference-of-tables-is-what-the-model-says',
  [INDEX, INDEX],
  (whichSubject, whichMutant, seen: Seen) => {
    const { old } = at(subjects, whichSubject);
    const { ruleset, line, change } = mutantAt(old, whichMutant);
    const { boxes, differing, replayed, wrong } = checkTables(old, ruleset, 'nft');
    if (boxes > 0) seen('boxes');
    seen(differing > 0 ? 'different' : 'same');
    if (replayed > 0) seen('witness');
    expect(wrong, `${old.path}:${line} ${change}`).toEqual([]);
    return true;
  },
  {
    runs: 40,
    cover: {
      boxes: { atLeast: 90 },
      different: { atLeast: 40 },
      same: { atLeast: 5 },
      witness: { atLeast: 40 },
    },
  },
);

const known = new Map<Ruleset, HostChecks>();
function checksOf({ host, old }: { readonly host: Host; readonly old: Ruleset }): HostChecks {
  const options = { backend: 'nft', devices: [OTHER_INTERFACE], conversations: 8 } as const;
  const checks = known.get(old) ?? new HostChecks(host, old, options);
  known.set(old, checks);
  return checks;
}

law<[number, number]>(
  'space/a-mutants-difference-is-what-the-model-says',
  [INDEX, INDEX],
  (whichSubject, whichMutant, seen: Seen) => {
    const subject = at(subjects, whichSubject);
    const { ruleset, line, change } = mutantAt(subject.old, whichMutant);
    const { boxes, without, regions, replayed, otherwise, wrong } = checksOf(subject).of(ruleset);
    if (boxes > without) seen('boxes');
    seen(regions > 0 ? 'different' : 'same');
    if (replayed > 0) seen('witness');
    if (otherwise > 0) seen('conversation differs');
    expect(wrong, `${subject.old.path}:${line} ${change}`).toEqual([]);
    return true;
  },
  {
    runs: 8,
    cover: {
      boxes: { atLeast: 100 },
      different: { atLeast: 20 },
      same: { atLeast: 5 },
      witness: { atLeast: 20 },
      'conversation differs': { atLeast: 20 },
    },
  },
);
