/**
 * `npm run diff-mutants`: does `diff` tell of every small mistake in the rulesets of the fixtures (judge/mutation.ts) what the model says, packet by packet? Table by table on one packet for each box in which the old rules
 * make one thing of packets and the new ones one (judge/table-check.ts), and on the whole host on every witness and on packets drawn (judge/difference-check.ts). Prints what disagrees, and exits with 1 if anything does.
 */
import { parseArgs } from 'node:util';
import { checkDifference } from '../judge/difference-check.ts';
import { mutantsOf } from '../judge/mutation.ts';
import { checkTables } from '../judge/table-check.ts';
import { sectionName } from '../report/mutants.ts';
import { CLOUDS, cloudOf } from './book.ts';
import { nodeIo } from './io.ts';

const { values } = parseArgs({
  options: {
    cloud: { type: 'string', multiple: true, default: [...CLOUDS] },
    /** HOST or HOST/6, as `check` names rulesets. */
    host: { type: 'string', multiple: true },
    packets: { type: 'string', default: '12' },
    seed: { type: 'string', default: '1' },
    part: { type: 'string', default: '0/1' },
  },
});

const [part = 0, parts = 1] = values.part.split('/').map(Number);
const sums = () => ({
  mutants: 0,
  ...{ boxes: 0, boxesDiffering: 0, without: 0, tableWitnesses: 0 },
  ...{ same: 0, regions: 0, replayed: 0, asked: 0, differing: 0 },
  wrong: 0,
});
type Sums = ReturnType<typeof sums>;
const add = (to: Sums, own: Sums): void => {
  for (const key of Object.keys(to) as (keyof Sums)[]) to[key] += own[key];
};
const printed = (of: Sums): string =>
  `${of.mutants} mutants; tables: ${of.boxes} boxes, a packet of each, ${of.boxesDiffering} of which fare otherwise (${of.without} without a packet), ${of.tableWitnesses} witnesses walked; ` +
  `host: ${of.same} without a difference, ${of.regions} regions, ${of.replayed} witnesses walked, ${of.asked} packets, ${of.differing} of which fare otherwise; ${of.wrong} disagree`;

const total = sums();
let number = 0;
for (const cloud of values.cloud) {
  const { network, rulesets } = cloudOf(cloud);
  for (const host of network.hosts)
    for (const old of rulesets.get(host.name) ?? []) {
      if (values.host?.includes(old.family === 4 ? host.name : `${host.name}/6`) === false) continue;
      const own = sums();
      for (const mutant of mutantsOf(old)) {
        if (number++ % parts !== part) continue;
        if (nodeIo.stderrIsTTY) nodeIo.stderr(`\r\u001b[K${cloud} ${host.name}: ${own.mutants} mutants`);
        const tables = checkTables(old, mutant.ruleset, 'nft');
        const subject = { host, old, now: mutant.ruleset, backend: 'nft' as const, seed: Number(values.seed) + number };
        const found = checkDifference({ ...subject, packets: Number(values.packets) });
        const wrong = [...tables.wrong, ...found.wrong];
        add(own, {
          mutants: 1,
          boxes: tables.boxes,
          boxesDiffering: tables.differing,
          without: tables.without,
          tableWitnesses: tables.replayed,
          same: found.regions === 0 ? 1 : 0,
          regions: found.regions,
          replayed: found.replayed,
          asked: found.asked,
          differing: found.differing,
          wrong: wrong.length,
        });
        for (const sentence of wrong)
          nodeIo.stdout(`${old.path}:${mutant.line} ${mutant.change}\n  ${mutant.text}\n  ${sentence}\n`);
      }
      add(total, own);
      if (nodeIo.stderrIsTTY) nodeIo.stderr('\r\u001b[K');
      nodeIo.stdout(`${sectionName(cloud, host.name, old.family)}: ${printed(own)}\n`);
    }
}

nodeIo.stdout(`all: ${printed(total)}\n`);
process.exitCode = total.wrong === 0 ? 0 : 1;
