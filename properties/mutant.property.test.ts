/** Every small mistake in the rulesets of the two clouds breaks a law, or is listed because it changes no packet's fate. `npm run mutants` proves it of all of them. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { at, INDEX } from '../src/arbitrary/choice.ts';
import { CLOUDS, cloudOf } from '../src/cli/book.ts';
import { LAWS } from '../src/invariant/laws.ts';
import { alikeBecause } from '../src/judge/alike.ts';
import { checkLaws } from '../src/judge/check.ts';
import { Comparisons } from '../src/judge/equivalence.ts';
import { judgeOf, type MutantJudge } from '../src/judge/mutant-judge.ts';
import { mutantsOf } from '../src/judge/mutation.ts';
import { mutantLine, reasonsIn, sectionName } from '../src/report/mutants.ts';
import { law } from './support/law.ts';

const LISTED = reasonsIn(readFileSync(new URL('../docs/mutants.md', import.meta.url), 'utf8'));
const ERRORS = LAWS.filter(({ severity }) => severity === 'error');

const clouds = CLOUDS.map((name) => {
  const cloud = cloudOf(name);
  const rulesets = [...cloud.rulesets].flatMap(([host, own]) =>
    own.map((ruleset) => ({ host, ruleset, section: sectionName(name, host, ruleset.family) })),
  );
  const mistakes = rulesets.flatMap((place) =>
    [...mutantsOf(place.ruleset)].map((mutant) => ({ ...place, mutant, line: mutantLine(mutant) })),
  );
  let judge: MutantJudge | undefined;
  const { network } = cloud;
  return { name, whole: cloud, network, rulesets, mistakes, judge: () => (judge ??= judgeOf(cloud, ERRORS)) };
});

test('each ruleset has its list, of mistakes that there are', () => {
  const sections = clouds.flatMap(({ rulesets }) => rulesets.map(({ section }) => section));
  expect([...LISTED.keys()].sort()).toEqual(sections.sort());
  for (const [section, reasons] of LISTED) {
    const possible = new Set(
      clouds.flatMap(({ mistakes }) => mistakes).flatMap((one) => (one.section === section ? [one.line] : [])),
    );
    expect([...reasons].filter(([line, reason]) => !possible.has(line) || reason === '')).toEqual([]);
  }
});

test.each(clouds)(
  'check tells of $name that no claim depends on the rules of which the deletion is listed',
  (cloud) => {
    const unusedRules = checkLaws({ ...cloud.whole, laws: ERRORS, backend: 'nft', seed: 1 }).unusedRules();
    const listed = cloud.mistakes.filter(
      ({ section, line, mutant }) => mutant.change === 'deleted' && LISTED.get(section)?.has(line) === true,
    );
    expect(unusedRules.map(({ path, line }) => `${path}:${line}`)).toEqual(
      listed.map(({ ruleset, mutant }) => `${ruleset.path}:${mutant.line}`),
    );
    expect(unusedRules).not.toEqual([]);
  },
);

law<[number, number]>(
  'judge/every-mistake-breaks-a-law-or-is-listed',
  [INDEX, INDEX],
  (which, index, seen) => {
    const { network, mistakes, judge } = at(clouds, which);
    // Small numbers are drawn more often than others, and the first rules are all alike.
    const { host, ruleset, section, mutant, line } = at(mistakes, Math.imul(index + 1, 0x9e3779b1) >>> 0);
    const isListed = LISTED.get(section)?.has(line) === true;
    const told = `${section}:${mutant.line} ${line}`;
    const broken = judge().brokenBy(host, mutant.ruleset);
    seen(isListed ? 'listed' : broken?.arrival === undefined ? 'breaks a law about the text' : 'breaks a law');
    expect(broken === undefined, told).toBe(isListed);
    const changes = (): boolean => new Comparisons(network, host, ruleset).with(mutant.ruleset).kind === 'changed';
    if (isListed) expect(changes(), told).toBe(false);
    // What the text alone shows to change nothing may still be a fabric that a law asks for, but no packet shows it.
    if (alikeBecause(ruleset, mutant) !== undefined) {
      expect(broken?.arrival, told).toBeUndefined();
      expect(changes(), told).toBe(false);
    }
    return true;
  },
  {
    runs: 40,
    cover: { 'breaks a law': { atLeast: 40 }, 'breaks a law about the text': { atLeast: 0 }, listed: { atLeast: 0 } },
  },
);
