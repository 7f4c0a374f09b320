/** Of small mistakes in the rulesets of the fixtures the difference tells what the model says, packet by packet. `npm run diff-mutants` asks of all of them. */
import { expect } from 'vitest';
import { at, INDEX } from '../src/arbitrary/choice.ts';
import { CLOUDS, cloudOf } from '../src/cli/book.ts';
import type { Host } from '../src/host/host.ts';
import { HostChecks } from '../src/judge/host-check.ts';
import { mutantsOf, OTHER_INTERFACE, type Mutant } from '../src/judge/mutation.ts';
import { checkTables } from '../src/judge/table-check.ts';
import { STAGES, tablesAt } from '../src/netfilter/hooks.ts';
import type { HookName, Ruleset } from '../src/ruleset/rule.ts';
import { NO, YES } from '../src/space/diagram.ts';
import { Space } from '../src/space/space.ts';
import { verdictsOf } from '../src/space/table-difference.ts';
import { touchedDestinations } from '../src/space/touched.ts';
import { law, type Seen } from './support/law.ts';

const subjects = CLOUDS.map(cloudOf).flatMap(({ network, rulesets }) =>
  network.hosts.flatMap((host) => (rulesets.get(host.name) ?? []).map((old) => ({ host, old }))),
);

const HOOKS = Object.keys(STAGES) as readonly HookName[];

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

law<[number, number]>(
  'space/what-is-not-touched-fares-as-before',
  [INDEX, INDEX],
  (whichSubject, whichMutant, seen: Seen) => {
    const { old } = at(subjects, whichSubject);
    const { ruleset: now } = mutantAt(old, whichMutant);
    const space = new Space([old, now], { family: old.family, backend: 'nft', eachReading: true });
    const { diagrams } = space.layout;
    const unlike = diagrams.pairing((a, b) => (a === b ? NO : YES), NO);
    for (const hook of HOOKS)
      for (const table of tablesAt(hook)) {
        const chains = [old, now].map(({ tables }) => tables.get(table)?.chains);
        const touched = touchedDestinations(space, hook, [chains[0], chains[1]]);
        const [before, after] = [old, now].map((side) => verdictsOf(space, side, { hook, table }, false));
        const changed = diagrams.pair(unlike, before ?? NO, after ?? NO);
        if (changed !== NO) seen(touched === YES ? 'everywhere' : 'somewhere');
        if (touched === NO) seen('nowhere');
        expect(diagrams.less(changed, touched), `${hook} ${table}`).toBe(NO);
      }
    return true;
  },
  {
    runs: 200,
    cover: {
      nowhere: { atLeast: 90 },
      somewhere: { atLeast: 10 },
      everywhere: { atLeast: 5 },
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
