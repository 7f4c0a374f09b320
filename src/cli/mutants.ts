/**
 * `npm run mutants`: how good the laws are. Every small mistake in the rulesets of a fixture (judge/mutation.ts) must break a law, or change no packet's fate. Prints what survives, and
 * exits with 1 when a mistake changes a fate and breaks no law.
 */
import { parseArgs } from 'node:util';
import { LAWS } from '../invariant/laws.ts';
import { firstUnlike } from '../judge/equivalence.ts';
import { MutantJudge } from '../judge/mutant-judge.ts';
import { mutantsOf, type Mutant } from '../judge/mutation.ts';
import { printArrival } from '../packet/notation.ts';
import { CLOUDS, cloudOf } from './book.ts';
import { nodeIo } from './io.ts';

const { values } = parseArgs({
  options: {
    cloud: { type: 'string', multiple: true, default: [...CLOUDS] },
    runs: { type: 'string', default: '50' },
    packets: { type: 'string', default: '100000' },
    seed: { type: 'string', default: '1' },
    host: { type: 'string' },
    part: { type: 'string', default: '0/1' },
    write: { type: 'string' },
  },
});

const [part = 0, parts = 1] = values.part.split('/').map(Number);
const report: string[] = [];
let missed = 0;

const say = (line: string): void => {
  report.push(line);
  nodeIo.stdout(`${line}\n`);
};

for (const cloud of values.cloud) {
  const fixture = cloudOf(cloud);
  const { network, rulesets } = fixture;
  const seed = Number(values.seed);
  const judge = new MutantJudge(
    fixture,
    LAWS.filter(({ severity }) => severity === 'error'),
    Number(values.runs),
    seed,
  );
  let all = 0;
  let killed = 0;
  const survivors: { host: string; mutant: Mutant }[] = [];
  for (const [host, own] of rulesets) {
    if (values.host !== undefined && values.host !== host) continue;
    for (const ruleset of own)
      for (const mutant of mutantsOf(ruleset)) {
        if (all++ % parts !== part) continue;
        const finding = judge.brokenBy(host, ruleset, mutant);
        if (finding === undefined) {
          const unlike = firstUnlike({
            network,
            before: rulesets,
            after: judge.rulesetsWith(host, ruleset, mutant),
            backend: 'nft',
            packets: Number(values.packets),
            seed,
          });
          const place = `${host}:${mutant.line} ${mutant.table} ${mutant.chain} rule ${mutant.rule}: ${mutant.change}`;
          if (unlike === undefined) survivors.push({ host, mutant });
          else {
            missed++;
            say(
              `MISSED ${place}\n  ${mutant.text}\n  ${unlike.host}: ${printArrival(unlike.arrival)} (${unlike.posture})\n    before ${unlike.before}\n    after  ${unlike.after}`,
            );
          }
        } else killed++;
        if (nodeIo.stderrIsTTY)
          nodeIo.stderr(
            `\r\u001b[K${cloud}: ${all} mutants, ${killed} break a law, ${survivors.length} change nothing, ${missed} missed`,
          );
      }
  }
  if (nodeIo.stderrIsTTY) nodeIo.stderr('\r\u001b[K');
  say(
    `## ${cloud}\n\n${killed + survivors.length + missed} mutants: ${killed} break a law, ${survivors.length} change the fate of no packet that was tried, ${missed} missed\n`,
  );
  for (const { host, mutant } of survivors)
    say(`- \`${host}\` ${mutant.table} ${mutant.chain} rule ${mutant.rule}, ${mutant.change}: \`${mutant.text}\``);
  say('');
}

if (values.write !== undefined) nodeIo.writeFile(values.write, `${report.join('\n')}\n`);
process.exitCode = missed === 0 ? 0 : 1;
