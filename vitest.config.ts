import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** The longest, which would otherwise go on by themselves when all others have ended: a fresh checkout sorts by the size of a file. */
const LONG = [
  'properties/lifecycle.property.test.ts',
  'scenarios/regressions/regressions.test.ts',
  'properties/host-difference.property.test.ts',
  'src/cli/check.test.ts',
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification): boolean => LONG.some((name) => moduleId.endsWith(name));
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

// The model is pure, so test files may share one process: threads without isolation start three times faster.
export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'properties/**/*.property.test.ts', 'scenarios/**/*.test.ts'],
    pool: 'threads',
    isolate: false,
    maxWorkers: 2,
    testTimeout: 120_000,
    sequence: { sequencer: LongestFirst },
  },
});
