/**
 * `npm run diff-mutants`: does `diff` tell of every small mistake in the rulesets of the fixtures (judge/mutation.ts) what the model says, packet by packet? Table by table (judge/table-check.ts) and on the whole
 * way through the host (judge/host-check.ts): each witness must fare otherwise, and on one packet for each box of the common refinement the difference must say what the model says.
 * Prints what disagrees, a line for each ruleset, and last the sums; exits with 1 if anything disagrees.
 */
import { parseArgs } from 'node:util';
import { HostChecks } from '../judge/host-check.ts';
import { mutantsOf, OTHER_INTERFACE } from '../judge/mutation.ts';
import { checkTables } from '../judge/table-check.ts';
import { sectionName } from '../report/mutants.ts';
import { CLOUDS, cloudOf } from './book.ts';
import { nodeIo } from './io.ts';

const { values } = parseArgs({
  options: {
    cloud: { type: 'string', multiple: true, default: [...CLOUDS] },
    /** HOST or HOST/6, as `check` names rulesets. */
    host: { type: 'string', multiple: true },
    /** `tables`, which is quick, or `host`; both where neither is said. */
    only: { type: 'string' },
    /** Of so many packets that are in no region conversations are held, for each mistake. */
    conversations: { type: 'string', default: '16' },
    /** I/N: only every Nth mistake, from the Ith. */
    part: { type: 'string', default: '0/1' },
  },
});

const [part = 0, parts = 1] = values.part.split('/').map(Number);
const sums = () => ({
  ...{ mistakes: 0, wrong: 0 },
  tables: { boxes: 0, without: 0, differing: 0, replayed: 0 },
  host: { boxes: 0, without: 0, differing: 0, regions: 0, replayed: 0, held: 0, otherwise: 0 },
});
type Sums = ReturnType<typeof sums>;
const add = <T extends Record<string, number>>(to: T, own: Record<keyof T, unknown>): void => {
  for (const key of Object.keys(to) as (keyof T)[]) (to[key] as number) += Number(own[key]);
};
const printed = ({ mistakes, wrong, tables, host }: Sums): string =>
  [
    `${mistakes} mistakes`,
    ...(values.only === 'host'
      ? []
      : [
          `tables: ${tables.boxes} boxes, ${tables.differing} fare otherwise, ${tables.without} without a packet, ${tables.replayed} witnesses`,
        ]),
    ...(values.only === 'tables'
      ? []
      : [
          `host: ${host.boxes} boxes, ${host.differing} fare otherwise, ${host.without} without a packet, ${host.regions} regions, ${host.replayed} witnesses, ` +
            `${host.held} conversations, ${host.otherwise} go otherwise`,
        ]),
    `${wrong} disagreements`,
  ].join('; ');

const total = sums();
let [rulesets, number] = [0, 0];
for (const cloud of values.cloud) {
  const { network, rulesets: all } = cloudOf(cloud);
  for (const host of network.hosts)
    for (const old of all.get(host.name) ?? []) {
      if (values.host?.includes(old.family === 4 ? host.name : `${host.name}/6`) === false) continue;
      const own = sums();
      const options = {
        backend: 'nft',
        devices: [OTHER_INTERFACE],
        conversations: Number(values.conversations),
      } as const;
      const checks = new HostChecks(host, old, options);
      for (const mutant of mutantsOf(old)) {
        if (number++ % parts !== part) continue;
        if (nodeIo.stderrIsTTY) nodeIo.stderr(`\r\u001b[K${cloud} ${host.name}: ${own.mistakes} mistakes`);
        const wrong: string[] = [];
        if (values.only !== 'host') {
          const found = checkTables(old, mutant.ruleset, 'nft');
          add(own.tables, { ...found });
          wrong.push(...found.wrong);
        }
        if (values.only !== 'tables') {
          const found = checks.of(mutant.ruleset);
          add(own.host, { ...found });
          wrong.push(...found.wrong);
        }
        own.mistakes++;
        own.wrong += wrong.length;
        for (const sentence of wrong)
          nodeIo.stdout(`${old.path}:${mutant.line} ${mutant.change}\n  ${mutant.text}\n  ${sentence}\n`);
      }
      rulesets++;
      total.mistakes += own.mistakes;
      total.wrong += own.wrong;
      add(total.tables, own.tables);
      add(total.host, own.host);
      if (nodeIo.stderrIsTTY) nodeIo.stderr('\r\u001b[K');
      nodeIo.stdout(`${sectionName(cloud, host.name, old.family)}: ${printed(own)}\n`);
    }
}

nodeIo.stdout(`all ${rulesets} rulesets: ${printed(total)}\n`);
process.exitCode = total.wrong === 0 ? 0 : 1;
