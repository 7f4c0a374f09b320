import { readFileSync, readdirSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { KernelFailure, openKernel } from './client.ts';
import { availableKernel } from './probe.ts';
import type { HostSpec } from './protocol.ts';

const probe = availableKernel();

const HOST: HostSpec = {
  name: 'net',
  devices: [{ name: 'eth0', mac: '02:00:00:00:01:01' }],
  bridges: [],
  addresses: [{ dev: 'eth0', address: '10.0.0.1/24', scope: 'global' }],
  routes: [],
  neighbours: [],
  sysctl: {},
  sets: [],
  ipv6: false,
};

interface Running {
  readonly pid: number;
  readonly parent: number;
  readonly name: string;
}

/** Every process, with its parent. */
function processes(): Running[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
        const [state = '', parent = ''] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
        // A zombie is a process that has ended.
        return state === 'Z'
          ? []
          : [{ pid: Number(name), parent: Number(parent), name: stat.slice(0, stat.lastIndexOf(')') + 1) }];
      } catch {
        return [];
      }
    });
}

function descendants(of: number): Running[] {
  const all = processes();
  const found: Running[] = [];
  for (let generation = [of]; generation.length > 0;) {
    const children = all.filter(({ parent }) => generation.includes(parent));
    found.push(...children);
    generation = children.map(({ pid }) => pid);
  }
  return found;
}

async function gone(pids: readonly number[]): Promise<boolean> {
  // The kernel takes its time with devices and namespaces on a machine that is busy.
  for (let tries = 0; tries < 500; tries++) {
    const alive = new Set(processes().map(({ pid }) => pid));
    if (pids.every((pid) => !alive.has(pid))) return true;
    await setTimeout(20);
  }
  return false;
}

// A namespace lives in nothing but the descriptors and processes of the helper: when those are gone, so is it.
test.skipIf(probe.backends.length === 0).each(['unshare', 'node', 'iptables'])(
  'killing %s leaves no process behind, and a second helper works',
  async (victim) => {
    const backend = probe.backends[0] ?? 'legacy';
    const kernel = openKernel(probe.mode === undefined ? {} : { mode: probe.mode });
    kernel.runCase(kernel.world(backend, [HOST]), { net: { text4: '*filter\nCOMMIT\n' } }, []);
    const family = descendants(kernel.pid);
    const own = [kernel.pid, ...family.map(({ pid }) => pid)];
    const target =
      victim === 'unshare' ? kernel.pid : (family.find(({ name }) => name.includes(`(${victim}`))?.pid ?? kernel.pid);
    expect(family.length).toBeGreaterThanOrEqual(2);
    process.kill(target, 'SIGKILL');
    if (victim === 'iptables') {
      // Its end is noticed at the next load, as the judge's failure, not as a verdict on the rules; then another is started.
      const load = (text4: string): void => {
        kernel.runCase(kernel.world(backend, [HOST]), { net: { text4 } }, []);
      };
      expect(() => {
        load('*raw\nCOMMIT\n');
      }).toThrow(KernelFailure);
      load('*mangle\nCOMMIT\n');
      kernel.close();
    } else {
      expect(await gone([target])).toBe(true);
      expect(() => kernel.world('nft', [HOST])).toThrow(KernelFailure);
    }
    expect(await gone(own)).toBe(true);
    const second = openKernel();
    expect(second.world(backend, [HOST]).warnings).toEqual([]);
    second.close();
  },
);

test.skipIf(probe.backends.length === 0)('a closed kernel leaves no process behind', async () => {
  const kernel = openKernel();
  kernel.world(probe.backends[0] ?? 'legacy', [HOST]);
  const own = [kernel.pid, ...descendants(kernel.pid).map(({ pid }) => pid)];
  kernel.close();
  expect(await gone(own)).toBe(true);
});
