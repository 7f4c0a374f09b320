/**
 * `npm run mutants`: how good the laws are. Every small mistake in the rulesets of the two clouds (judge/mutation.ts) must break a law, or change no packet's fate. Prints what is missed and
 * writes what changes nothing to docs/mutants.md; exits with 1 when a mistake changes a fate and breaks no law.
 */
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { LAWS } from '../invariant/laws.ts';
import { alikeBecause } from '../judge/alike.ts';
import { Trials } from '../judge/equivalence.ts';
import { MutantJudge } from '../judge/mutant-judge.ts';
import { mutantsOf } from '../judge/mutation.ts';
import { printArrival } from '../packet/notation.ts';
import { mutantLine, sectionName, withSection, type Survivor } from '../report/mutants.ts';
import { CLOUDS, cloudOf } from './book.ts';
import { nodeIo } from './io.ts';

const { values } = parseArgs({
  options: {
    cloud: { type: 'string', multiple: true, default: [...CLOUDS] },
    /** HOST or HOST/6, as `check` names rulesets. */
    host: { type: 'string', multiple: true },
    runs: { type: 'string', default: '50' },
    packets: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    write: { type: 'string', default: fileURLToPath(new URL('../../docs/mutants.md', import.meta.url)) },
  },
});

const seed = Number(values.seed);
let anyMissed = false;

for (const cloud of values.cloud) {
  const fixture = cloudOf(cloud);
  const { network, rulesets } = fixture;
  const errors = LAWS.filter(({ severity }) => severity === 'error');
  const judge = new MutantJudge(fixture, errors, Number(values.runs), seed);
  const trials = new Trials({ network, rulesets, packets: Number(values.packets), seed });
  for (const [host, own] of rulesets)
    for (const ruleset of own) {
      const word = ruleset.family === 4 ? host : `${host}/6`;
      if (values.host?.includes(word) === false) continue;
      const survivors: Survivor[] = [];
      let [all, killed, missed] = [0, 0, 0];
      for (const mutant of mutantsOf(ruleset)) {
        all++;
        if (nodeIo.stderrIsTTY) nodeIo.stderr(`\r\u001b[K${cloud} ${word}: ${all} mistakes, ${missed} missed`);
        if (judge.brokenBy(host, ruleset, mutant) !== undefined) {
          killed++;
          continue;
        }
        const line = mutantLine(mutant);
        const because = alikeBecause(ruleset, mutant);
        const unlike = because === undefined ? trials.firstUnlike(host, ruleset, mutant) : undefined;
        if (unlike === undefined) {
          survivors.push({ line, ...(because === undefined ? {} : { because }) });
          continue;
        }
        missed++;
        nodeIo.stdout(
          `MISSED ${cloud} ${word}:${mutant.line} ${line}\n  ${unlike.host}: ${printArrival(unlike.arrival)} (${unlike.posture})\n    before ${unlike.before}\n    after  ${unlike.after}\n`,
        );
      }
      if (nodeIo.stderrIsTTY) nodeIo.stderr('\r\u001b[K');
      nodeIo.stdout(
        `${cloud} ${word}: ${all} mistakes, ${killed} break a law, ${survivors.length} change the fate of no packet that was tried, ${missed} missed\n`,
      );
      anyMissed ||= missed > 0;
      if (missed > 0) continue;
      const document = nodeIo.readFile(values.write).toString();
      const name = sectionName(cloud, host, ruleset.family);
      nodeIo.writeFile(values.write, withSection(document, { name, all, killed, survivors }));
    }
}

process.exitCode = anyMissed ? 1 : 0;
