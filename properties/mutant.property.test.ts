/** Every small mistake in the rulesets of the two clouds breaks a law, or is listed with the reason why it changes nothing. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { at, INDEX } from '../src/arbitrary/choice.ts';
import { CLOUDS, cloudOf } from '../src/cli/book.ts';
import { LAWS } from '../src/invariant/laws.ts';
import { alikeBecause } from '../src/judge/alike.ts';
import { MutantJudge } from '../src/judge/mutant-judge.ts';
import { mutantsOf } from '../src/judge/mutation.ts';
import { mutantLine, reasonsIn, sectionName, UNEXPLAINED } from '../src/report/mutants.ts';
import { law } from './support/law.ts';

const LISTED = reasonsIn(readFileSync(new URL('../docs/mutants.md', import.meta.url), 'utf8'));
const ERRORS = LAWS.filter(({ severity }) => severity === 'error');

/** As the campaign judges (src/cli/mutants.ts), but for the scouts. */
const [RUNS, SEED, SCOUTS] = [50, 1, 8];

const clouds = CLOUDS.map((name) => {
  const cloud = cloudOf(name);
  const rulesets = [...cloud.rulesets].flatMap(([host, own]) =>
    own.map((ruleset) => ({ host, ruleset, section: sectionName(name, host, ruleset.family) })),
  );
  const mistakes = rulesets.flatMap((place) =>
    [...mutantsOf(place.ruleset)].map((mutant) => ({ ...place, mutant, line: mutantLine(mutant) })),
  );
  let judge: MutantJudge | undefined;
  return { name, rulesets, mistakes, judge: () => (judge ??= new MutantJudge(cloud, ERRORS, RUNS, SEED, SCOUTS)) };
});

test('each ruleset has its list, of mistakes that there are, and each is explained', () => {
  const sections = clouds.flatMap(({ rulesets }) => rulesets.map(({ section }) => section));
  expect([...LISTED.keys()].sort()).toEqual(sections.sort());
  for (const [section, reasons] of LISTED) {
    const possible = new Set(
      clouds.flatMap(({ mistakes }) => mistakes).flatMap((one) => (one.section === section ? [one.line] : [])),
    );
    expect([...reasons].filter(([line, reason]) => !possible.has(line) || reason === UNEXPLAINED)).toEqual([]);
  }
});

law<[number, number]>(
  'judge/every-mistake-breaks-a-law-or-is-listed',
  [INDEX, INDEX],
  (which, index, seen) => {
    const cloud = at(clouds, which);
    const { host, ruleset, section, mutant, line } = at(cloud.mistakes, index);
    const isListed = LISTED.get(section)?.has(line) === true;
    const broken = isListed ? undefined : cloud.judge().brokenBy(host, ruleset, mutant);
    seen(isListed ? 'listed' : 'breaks a law');
    if (!isListed && broken === undefined)
      throw new Error(`${section}:${mutant.line} ${line} breaks no law, and docs/mutants.md does not list it`);
    // What the text alone shows to change nothing may still be a fabric that a law asks for, but no packet shows it.
    if (broken?.arrival !== undefined && alikeBecause(ruleset, mutant) !== undefined)
      throw new Error(`${section}:${mutant.line} ${line} is said to change nothing, and breaks ${broken.law.id}`);
    return true;
  },
  { runs: 12, cover: { 'breaks a law': { atLeast: 40 }, listed: { atLeast: 0 } } },
);
