import { expect, test } from 'vitest';
import { Meter, type MeteredKernel } from './meter.ts';
import type { KernelStep, WorldAnswer } from './protocol.ts';

const WORLD: WorldAnswer = { world: 1, wire: 'tap', states: true, warnings: [] };

/** Remembers what it is asked, and has spent a second on worlds. */
function kernel(asked: (readonly KernelStep[])[]): MeteredKernel {
  return {
    millisecondsForWorlds: 1000,
    world: () => WORLD,
    beginCase: (_world, _hosts, steps) => {
      asked.push(steps);
      return () => ({ steps: [] });
    },
  };
}

test('one case in twenty is asked again, with all that it asked, and stands for the others', () => {
  const asked: (readonly KernelStep[])[] = [];
  const meter = new Meter(kernel(asked));
  for (let at = 0; at < 40; at++) {
    meter.beginCase(WORLD, { host1: {} }, []);
    meter.beginCase(WORLD, {}, [{ flush: true, host: `${at}` }], true);
  }
  expect(asked).toHaveLength(80);
  expect(meter.milliseconds).toBe(1000);
  meter.measure();
  expect(asked.slice(80)).toEqual([[], [{ flush: true, host: '0' }], [], [{ flush: true, host: '20' }]]);
  expect(meter.milliseconds).toBeGreaterThan(1000);
  meter.measure();
  expect(asked).toHaveLength(84);
});
