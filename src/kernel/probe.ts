/** What this machine has of what the kernel judge needs. Everything is really tried: a list of versions would say less. */
import { spawnSync } from 'node:child_process';
import { release } from 'node:os';
import { defaultMode, openKernel, type Kernel, type KernelMode } from './client.ts';
import type { Backend, HostSpec, Wire } from './protocol.ts';

export interface Probe {
  /** How namespaces are got; absent where they are not. */
  readonly mode?: KernelMode;
  readonly wire?: Wire;
  /** The backends of iptables that load a ruleset here. Empty: there is no kernel to ask. */
  readonly backends: readonly Backend[];
  /** bridge-nf-call-iptables exists: bridged frames can meet iptables. */
  readonly bridgeNetfilter: boolean;
  readonly missing: readonly Missing[];
  /** `6.18.44`, and what each backend's iptables says of itself. */
  readonly kernel: string;
  readonly iptables: Readonly<Partial<Record<Backend, string>>>;
}

export interface Missing {
  readonly what: string;
  /** What was said when it was tried. */
  readonly why: string;
  /** How to get it. */
  readonly get: string;
}

/** The least host that shows it all: a device, a bridge with a port. */
const HOST: HostSpec = {
  name: 'probe',
  devices: [{ name: 'eth0', mac: '02:00:00:00:00:01' }],
  bridges: [
    {
      name: 'br0',
      mac: '02:00:00:00:00:02',
      ports: [{ name: 'tap0', mac: '02:00:00:00:00:03', hairpin: false, flood: true }],
    },
  ],
  addresses: [{ dev: 'eth0', address: '10.0.0.1/24', scope: 'global' }],
  routes: [],
  neighbours: [],
  sysctl: { 'net.bridge.bridge-nf-call-iptables': 1 },
  sets: [],
  ipv6: false,
};

const RULESET = '*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m state --state NEW -j ACCEPT\nCOMMIT\n';
/** udp 10.0.0.2:5000 > 10.0.0.1:5001 */
const FRAME = '02000000000102000000000908004500001c00010000401166ce0a0000020a00000113881389000800' + '00';

const NO_KERNEL = { backends: [], bridgeNetfilter: false, iptables: {}, kernel: release() } as const;

/** Tries namespaces, wires and both backends. About 0.3 s. */
export function probeKernel(): Probe {
  if (process.platform !== 'linux') {
    const why = `this is ${process.platform}`;
    return { ...NO_KERNEL, missing: [{ what: 'Linux', why, get: 'a Linux machine, or a virtual one' }] };
  }
  const missing: Missing[] = [];
  const modes: readonly KernelMode[] = defaultMode() === 'root' ? ['root'] : ['userns', 'sudo'];
  for (const mode of modes) {
    let kernel: Kernel | undefined;
    try {
      kernel = openKernel({ mode });
      const found = probeBackends(kernel);
      if (found.backends.length > 0) return { ...found, mode, missing: found.missing };
      missing.push(...found.missing);
    } catch (error) {
      missing.push(explain(mode, error));
    } finally {
      kernel?.close();
    }
  }
  return { ...NO_KERNEL, missing };
}

function probeBackends(kernel: Kernel): Omit<Probe, 'mode'> {
  const backends: Backend[] = [];
  const missing: Missing[] = [];
  const iptables: Partial<Record<Backend, string>> = {};
  let wire: Wire | undefined;
  let bridgeNetfilter = true;
  for (const backend of ['legacy', 'nft'] as const) {
    const get = `iptables with its ${backend} variant (Debian, Ubuntu: apt-get install iptables), and a kernel with ${
      backend === 'legacy' ? 'ip_tables' : 'nf_tables'
    }`;
    try {
      const world = kernel.world(backend, [HOST]);
      wire = world.wire;
      bridgeNetfilter &&= !world.warnings.some((warning) => warning.includes('bridge-nf'));
      const answer = kernel.runCase(world, { probe: { text4: RULESET } }, [
        { host: 'probe', dev: 'eth0', frame: FRAME },
      ]);
      const step = answer.steps[0];
      if (answer.refused !== undefined) missing.push({ what: `iptables-${backend}`, why: answer.refused.message, get });
      else if (step?.local.length !== 1 || step.trace.length === 0) {
        missing.push({ what: `iptables-${backend}`, why: 'a packet was not delivered with its trace', get });
      } else {
        backends.push(backend);
        iptables[backend] = iptablesVersion(backend);
      }
    } catch (error) {
      // A helper that has ended ends the probe of this mode; what it says of a backend concerns the backend.
      if (error instanceof Error && error.message.includes('the helper ended')) throw error;
      missing.push({ what: `iptables-${backend}`, why: error instanceof Error ? error.message : String(error), get });
    }
  }
  return { ...(wire === undefined ? {} : { wire }), backends, bridgeNetfilter, missing, iptables, kernel: release() };
}

/** What a backend's iptables says of itself: `iptables v1.8.9 (nf_tables)`. */
export const iptablesVersion = (backend: Backend): string =>
  spawnSync(`iptables-${backend}`, ['-V'], { encoding: 'utf8' }).stdout.trim() || 'unknown';

function explain(mode: KernelMode, error: unknown): Missing {
  const why = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
  if (/koffi/.test(why)) {
    return { what: 'koffi', why, get: 'npm install koffi (an optional dependency; it has builds for glibc and musl)' };
  }
  if (/ENOENT|it said nothing/.test(why)) return { what: 'unshare', why, get: 'util-linux 2.32 or newer' };
  return {
    what: mode === 'userns' ? 'user namespaces' : mode === 'sudo' ? 'sudo without a password' : 'network namespaces',
    why,
    get:
      mode === 'userns'
        ? 'sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0, or run as root; in Docker: --privileged'
        : 'run as root; in Docker: --privileged',
  };
}

let available: Probe | undefined;

/**
 * What tests may ask: probed once, and told in one line. With KERNEL=required in the environment a machine without a kernel judge, or
 * with one backend only, is an error, so that a skip cannot pass for a success.
 */
export function availableKernel(): Probe {
  if (available !== undefined) return available;
  const probe = probeKernel();
  if (process.env['KERNEL'] === 'required' && probe.backends.length < 2) {
    throw new Error(`KERNEL=required, and ${printProbe(probe)}`);
  }
  if (probe.backends.length === 0) process.stderr.write(`${printProbe(probe)}: tests that ask it are skipped\n`);
  available = probe;
  return probe;
}

/** One line that says what there is, or what is not and why. */
export function printProbe(probe: Probe): string {
  const missing = probe.missing.map(({ what, why }) => `${what}: ${why}`).join('; ');
  if (probe.backends.length === 0) return `kernel judge: none (${missing})`;
  const parts = [probe.backends.join(' and '), probe.wire, `as ${probe.mode}`, `Linux ${probe.kernel}`];
  return `kernel judge: ${parts.join(', ')}${missing === '' ? '' : ` (without ${missing})`}`;
}
