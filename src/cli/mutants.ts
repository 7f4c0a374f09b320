/**
 * `npm run mutants`: how good the laws are. Every small mistake in the rulesets of the two clouds (judge/mutation.ts) must break a law, or change no packet's fate; both are proved. Prints what changes a fate and breaks no
 * law, and exits with 1 if anything does. Writes docs/mutants.md, a section as soon as its ruleset is done; `--host` goes on with one of them.
 */
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { LAWS } from '../invariant/laws.ts';
import { alikeBecause } from '../judge/alike.ts';
import { Comparisons } from '../judge/equivalence.ts';
import { judgeOf } from '../judge/mutant-judge.ts';
import { mutantsOf } from '../judge/mutation.ts';
import {
  addMutant,
  mutantLine,
  NO_MUTANTS,
  printMissed,
  printSums,
  sectionName,
  sumsOf,
  withSection,
  type JudgedMutant,
} from '../report/mutants.ts';
import { CLOUDS, cloudOf } from './book.ts';
import { nodeIo } from './io.ts';

const { values } = parseArgs({
  options: {
    cloud: { type: 'string', multiple: true, default: [...CLOUDS] },
    /** HOST or HOST/6, as `check` names rulesets. */
    host: { type: 'string', multiple: true },
    write: { type: 'string', default: fileURLToPath(new URL('../../docs/mutants.md', import.meta.url)) },
  },
});

const errors = LAWS.filter(({ severity }) => severity === 'error');
let total = NO_MUTANTS;
let rulesetCount = 0;

for (const name of values.cloud) {
  const cloud = cloudOf(name);
  const judge = judgeOf(cloud, errors);
  for (const [host, own] of cloud.rulesets)
    for (const ruleset of own) {
      const word = ruleset.family === 4 ? host : `${host}/6`;
      if (values.host?.includes(word) === false) continue;
      const comparisons = new Comparisons(cloud.network, host, ruleset);
      const judged: JudgedMutant[] = [];
      for (const mutant of mutantsOf(ruleset)) {
        if (nodeIo.stderrIsTTY) nodeIo.stderr(`\r\u001b[K${name} ${word}: ${judged.length} mistakes`);
        const broken = judge.brokenBy(host, mutant.ruleset);
        const comparison = broken?.arrival === undefined ? comparisons.with(mutant.ruleset) : undefined;
        const because = alikeBecause(ruleset, mutant);
        judged.push({
          line: mutantLine(mutant),
          ...(broken === undefined ? {} : { broken }),
          ...(comparison === undefined ? {} : { comparison }),
          ...(because === undefined ? {} : { because }),
        });
      }
      if (nodeIo.stderrIsTTY) nodeIo.stderr('\r\u001b[K');
      const sums = sumsOf(judged);
      total = addMutant(total, sums);
      rulesetCount++;
      const section = sectionName(name, host, ruleset.family);
      nodeIo.stdout(`${printMissed(section, judged)}${section}: ${printSums(sums)}\n`);
      if (sums.missed > 0) continue;
      const document = nodeIo.readFile(values.write).toString();
      nodeIo.writeFile(values.write, withSection(document, section, judged));
    }
}

nodeIo.stdout(`all ${rulesetCount} rulesets: ${printSums(total)}\n`);
process.exitCode = total.missed > 0 ? 1 : 0;
