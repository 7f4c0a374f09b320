#!/usr/bin/env node
/**
 * `npm run kernel:laws`: the laws of random deployments, tried by the model and by Linux on the same packets. Like `npm run kernel` it judges the model. A case is
 * decided by the seed and its number, so a campaign that was stopped goes on with `--from`.
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import { deploymentOf } from '../deployment/read.ts';
import type { DeploymentText } from '../deployment/schema.ts';
import { networkOf } from '../deployment/world.ts';
import { LAWS } from '../invariant/laws.ts';
import { lawsOnLinux } from '../judge/laws-on-linux.ts';
import { openKernel, type Kernel } from '../kernel/client.ts';
import { printProbe, probeKernel } from '../kernel/probe.ts';
import type { Backend } from '../kernel/protocol.ts';
import { referenceRulesets } from './ruleset-words.ts';

interface Options {
  readonly cases: number;
  readonly seed: number;
  readonly from: number;
  readonly claims: number;
  readonly packets: number;
  readonly backend: Backend;
}

const whole = (text: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('expected a whole number.');
  return Number(text);
};

/** What a law has come to, over all cases. */
interface Total {
  packets: number;
  notAsked: number;
  violated: number;
  differences: number;
}

async function campaign(kernel: Kernel, options: Options): Promise<number> {
  const { default: fc } = await import('fast-check');
  const { deploymentFileArb } = await import('../arbitrary/deployment.ts');
  const { cases, seed, from, claims, packets, backend } = options;
  const totals = new Map<string, Total>();
  const start = performance.now();
  for (let number = from; number < from + cases; number++) {
    const [file] = fc.sample(deploymentFileArb(), { seed: (seed * 1_000_003 + number) | 0, numRuns: 1 });
    if (file === undefined) continue;
    const { deployment } = deploymentOf(file, 'deployment.yaml');
    const { byHost: rulesets } = referenceRulesets(deployment);
    const given = { deployment, network: networkOf(deployment), rulesets, backend, laws: LAWS };
    for (const one of lawsOnLinux(kernel, { ...given, claims, packets, seed: number })) {
      const total = totals.get(one.law.id) ?? { packets: 0, notAsked: 0, violated: 0, differences: 0 };
      totals.set(one.law.id, {
        packets: total.packets + one.packets,
        notAsked: total.notAsked + one.notAsked,
        violated: total.violated + one.violated,
        differences: total.differences + one.differences.length,
      });
      tell(one.law.id, one.differences, { number, seed, file });
    }
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${number - from + 1}/${cases} deployments`);
  }
  if (process.stderr.isTTY) process.stderr.write('\r\u001b[K');
  const rate = (cases * 1000) / (performance.now() - start);
  return printTotals(totals, `${cases} deployments with ${backend}, ${rate.toFixed(1)} a second`);
}

/** The differences of one law in one case, and the deployment behind the first of them. */
function tell(
  id: string,
  differences: readonly string[],
  { number, seed, file }: { number: number; seed: number; file: DeploymentText },
): void {
  if (differences.length === 0) return;
  process.stdout.write(
    `${id}: case ${number} of seed ${seed} (again: --seed ${seed} --from ${number} --cases 1)\n${differences.join('\n')}\n${JSON.stringify(file)}\n\n`,
  );
}

function printTotals(totals: ReadonlyMap<string, Total>, head: string): number {
  const count = (key: keyof Total): number => [...totals.values()].reduce((sum, total) => sum + total[key], 0);
  for (const [id, { packets, notAsked, violated, differences }] of totals)
    process.stdout.write(
      `${`${packets}`.padStart(8)}  ${id}${notAsked === 0 ? '' : `, ${notAsked} not asked`}${violated === 0 ? '' : `, ${violated} violated in both`}${differences === 0 ? '' : `, ${differences} DIFFER`}\n`,
    );
  process.stdout.write(
    `${head}: ${count('packets')} packets, ${count('notAsked')} not asked, ${count('differences')} differences\n`,
  );
  return count('differences') === 0 ? 0 : 1;
}

const program = new Command('npm run kernel:laws --')
  .description('the laws of random deployments, tried by the model and by Linux on the same packets')
  .option('--cases <n>', 'how many deployments', whole, 20)
  .option('--seed <n>', 'decides them', whole, 1)
  .option('--from <n>', 'the number of the first', whole, 0)
  .option('--claims <n>', 'of each law, at most', whole, 6)
  .option('--packets <n>', 'of each claim', whole, 4)
  .addOption(new Option('--backend <backend>', 'whose rules').choices(['legacy', 'nft']).default('legacy'))
  .action(async (options: Options) => {
    const probe = probeKernel();
    process.stderr.write(`${printProbe(probe)}\n`);
    if (!probe.backends.includes(options.backend)) {
      process.exitCode = 2;
      return;
    }
    const kernel = openKernel(probe.mode === undefined ? {} : { mode: probe.mode });
    try {
      process.exitCode = await campaign(kernel, options);
    } finally {
      kernel.close();
    }
  });

await program.parseAsync();
