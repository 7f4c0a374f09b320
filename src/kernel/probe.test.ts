import { expect, test } from 'vitest';
import { printProbe, probeKernel } from './probe.ts';

test('the probe finds a kernel, or says what is missing and how to get it', () => {
  const probe = probeKernel();
  for (const { what, why, get } of probe.missing) expect([what, why, get]).not.toContain('');
  if (probe.backends.length === 0) expect(probe.missing).not.toEqual([]);
  else expect(probe.mode).toBeDefined();
  expect(printProbe(probe)).toMatch(/^kernel judge: /);
});
