/**
 * Every scenario on the kernel of this machine, where it has one: the model and Linux agree on each packet and each rule. With KERNEL=required on both
 * backends, else on the faster one of those that the scenario is about.
 */
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openKernel, type Kernel } from '../src/kernel/client.ts';
import { availableKernel } from '../src/kernel/probe.ts';
import { differences, refusalOnLinux } from './on-kernel.ts';
import { filesEnding, loadingScenarios, read, readScenario } from './scenario.ts';

const probe = availableKernel();
const thorough = process.env['KERNEL'] === 'required';
let kernel: Kernel;
beforeAll(() => {
  if (probe.backends.length > 0) kernel = openKernel();
});
afterAll(() => {
  if (probe.backends.length > 0) kernel.close();
});

describe.each(filesEnding('.packets'))('%s', (path) => {
  const scenario = readScenario(path);
  for (const backend of thorough ? scenario.backends : scenario.backends.slice(-1))
    test.skipIf(!probe.backends.includes(backend))(`on Linux with ${backend}: ${scenario.title}`, () => {
      expect(differences(kernel, { ...scenario, backend })).toEqual([]);
    });
});

describe.each(probe.backends)('%s', (backend) => {
  test.each(loadingScenarios())('on Linux: $path: $title', ({ text, refused }) => {
    const refusal = refusalOnLinux(kernel, text, backend);
    expect(refusal !== undefined).toBe(refused[backend].length > 0);
  });

  test.skipIf(probe.mode === 'sudo').each(filesEnding('.saved'))('on Linux: %s is what a save prints', (path) => {
    const input = read(path.replace(/\.saved$/, '.rules'));
    const program = `iptables-${backend}-restore && iptables-${backend}-save`;
    const { stdout } = spawnSync('unshare', [probe.mode === 'root' ? '-n' : '-Urn', 'sh', '-c', program], {
      input,
      encoding: 'utf8',
      env: { ...process.env, XTABLES_LOCKFILE: '/proc/self/stat' },
    });
    expect(tablesOf(stdout)).toEqual(tablesOf(read(path)));
  });
});

/** Each table's text, without comments: their order means nothing. */
const tablesOf = (saved: string): string[] =>
  saved
    .replace(/^#.*\n/gm, '')
    .split('COMMIT\n')
    .sort();
