/**
 * The model agrees with Linux: random rules and conversations, played in both. `npm run kernel` does the same at length. Where there is no kernel to ask, this is
 * skipped, and scenarios/recorded.test.ts compares with what a kernel once said.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { arbitraryKernelCase, caseOf } from '../src/arbitrary/kernel-case.ts';
import { openKernel, type Kernel } from '../src/kernel/client.ts';
import { compareCase, liveOracle, printDifference, type Oracle } from '../src/kernel/compare.ts';
import { addCoverage, type Coverage } from '../src/kernel/coverage.ts';
import { availableKernel } from '../src/kernel/probe.ts';
import type { Backend } from '../src/kernel/protocol.ts';

const probe = availableKernel();
let kernel: Kernel;
beforeAll(() => {
  if (probe.backends.length > 0) kernel = openKernel(probe.mode === undefined ? {} : { mode: probe.mode });
});
afterAll(() => {
  if (probe.backends.length > 0) kernel.close();
});

/** KERNEL_CASES sets how many legacy cases are tried; nft, whose rules load a hundred times slower, gets a seventh. */
const LEGACY_CASES = Number(process.env['KERNEL_CASES'] ?? 42);
const SEED = Number(process.env['SEED'] ?? 20_121_122);

/** What must have been met in any campaign worth the name. */
const CLASSES = [
  'state NEW',
  'state ESTABLISHED',
  'fate forwarded',
  'fate delivered',
  'fate dropped',
  'hook FORWARD filter',
  'hook OUTPUT raw',
  'nat translated',
  'path bridged',
];

function agree(backend: Backend, family: 4 | 6, cases: number): Coverage {
  const oracle = liveOracle(kernel);
  const coverage: Coverage = new Map();
  let said = '';
  fc.assert(
    fc.property(arbitraryKernelCase(family), (drawn) => {
      const comparison = compareCase(caseOf(drawn, backend), oracle);
      if (comparison.difference === undefined) {
        addCoverage(coverage, comparison);
        return true;
      }
      said = `${drawn.ruleset.text}${printDifference(comparison.difference)}`;
      return false;
    }),
    {
      seed: SEED,
      numRuns: cases,
      reporter: (run) => {
        if (run.failed)
          throw new Error(
            `${said}${run.errorInstance instanceof Error ? (run.errorInstance.stack ?? '') : ''}\nseed ${run.seed}, path ${run.counterexamplePath ?? ''}`,
          );
      },
    },
  );
  return coverage;
}

test.skipIf(!probe.backends.includes('legacy'))('kernel/the-model-agrees-with-iptables-legacy', () => {
  const coverage = agree('legacy', 4, LEGACY_CASES);
  for (const name of CLASSES) expect(coverage.get(name) ?? 0, name).toBeGreaterThan(0);
});

test.skipIf(!probe.backends.includes('legacy'))('kernel/the-model-agrees-with-ip6tables-legacy', () => {
  agree('legacy', 6, Math.ceil(LEGACY_CASES / 3));
});

test.skipIf(!probe.backends.includes('nft'))('kernel/the-model-agrees-with-iptables-nft', () => {
  agree('nft', 4, Math.ceil(LEGACY_CASES / 7));
});

test.skipIf(!probe.backends.includes('nft'))('kernel/the-model-agrees-with-ip6tables-nft', () => {
  agree('nft', 6, Math.ceil(LEGACY_CASES / 14));
});

test.skipIf(!probe.backends.includes('legacy'))('kernel/a-wrong-model-is-caught', () => {
  const live = liveOracle(kernel);
  // The model is given other rules than the kernel: it takes DROP for ACCEPT.
  const wrong: Oracle = {
    ...live,
    load: (given, tracked) =>
      live.load({ ...given, texts: { text4: (given.texts.text4 ?? '').replaceAll('-j ACCEPT', '-j DROP') } }, tracked),
  };
  const result = fc.check(
    fc.property(
      arbitraryKernelCase(4, 6, 4),
      (drawn) => compareCase(caseOf(drawn, 'legacy'), wrong).difference === undefined,
    ),
    { seed: SEED, numRuns: 100 },
  );
  expect(result.failed).toBe(true);
  // What is left of it after shrinking says what is wrong: one rule, which accepts.
  const [smallest] = result.counterexample ?? [];
  expect(smallest?.ruleset.rules.length).toBeLessThanOrEqual(2);
  expect(smallest?.ruleset.text).toContain('-j ACCEPT');
});
