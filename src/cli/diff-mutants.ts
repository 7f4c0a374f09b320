/**
 * `npm run diff-mutants`: does `diff` tell of every small mistake in the rulesets of the fixtures (judge/mutation.ts) what the model says, packet by packet? Prints what
 * disagrees, and exits with 1 if anything does.
 */
import { parseArgs } from 'node:util';
import { checkDifference } from '../judge/difference-check.ts';
import { mutantsOf } from '../judge/mutation.ts';
import { CLOUDS, cloudOf } from './book.ts';
import { nodeIo } from './io.ts';

const { values } = parseArgs({
  options: {
    cloud: { type: 'string', multiple: true, default: [...CLOUDS] },
    packets: { type: 'string', default: '40' },
    seed: { type: 'string', default: '1' },
    part: { type: 'string', default: '0/1' },
  },
});

const [part = 0, parts = 1] = values.part.split('/').map(Number);
const sums = { mutants: 0, without: 0, regions: 0, replayed: 0, asked: 0, differing: 0, wrong: 0 };
let number = 0;

for (const cloud of values.cloud) {
  const { network, rulesets } = cloudOf(cloud);
  for (const host of network.hosts)
    for (const old of rulesets.get(host.name) ?? [])
      for (const mutant of mutantsOf(old)) {
        if (number++ % parts !== part) continue;
        const subject = { host, old, now: mutant.ruleset, backend: 'nft' as const, seed: Number(values.seed) + number };
        const found = checkDifference({ ...subject, packets: Number(values.packets) });
        sums.mutants++;
        if (found.regions === 0) sums.without++;
        sums.regions += found.regions;
        sums.replayed += found.replayed;
        sums.asked += found.asked;
        sums.differing += found.differing;
        sums.wrong += found.wrong.length;
        for (const sentence of found.wrong)
          nodeIo.stdout(`${old.path}:${mutant.line} ${mutant.change}\n  ${mutant.text}\n  ${sentence}\n`);
      }
}

nodeIo.stdout(
  `${sums.mutants} mutants, ${sums.without} of which no packet fares otherwise; ${sums.regions} regions, ${sums.replayed} witnesses walked; ` +
    `${sums.asked} packets asked, ${sums.differing} of which fare otherwise; ${sums.wrong} disagree\n`,
);
process.exitCode = sums.wrong === 0 ? 0 : 1;
