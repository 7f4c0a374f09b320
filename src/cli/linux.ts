/** Linux as judge, for the commands that ask it: opened where there is one, and one line says why not where there is none. */
import { release } from 'node:os';
import { KernelFailure, defaultMode, openKernel, type Kernel, type KernelMode } from '../kernel/client.ts';
import { BARE_HOST } from '../kernel/host-spec.ts';
import { LinuxWorld, NotLoaded, type LinuxSubject } from '../kernel/linux-world.ts';
import { iptablesVersion, printProbe, probeKernel } from '../kernel/probe.ts';
import type { Backend } from '../kernel/protocol.ts';
import type { LinuxVersion } from '../report/twin.ts';
import { UsageError } from './failure.ts';

export interface Linux {
  readonly version: LinuxVersion;
  /** Namespaces for these hosts, with their rules. Throws UsageError for rules that Linux does not load. */
  readonly world: (subject: Omit<LinuxSubject, 'backend'>) => LinuxWorld;
}

/** Opens the kernel of this machine for as long as `use` runs. Throws UsageError with the reason where there is none, or where it breaks. */
export function withLinux<T>(backend: Backend, use: (linux: Linux) => T): T {
  const kernel = openedKernel(backend);
  try {
    return use({
      version: { kernel: release(), iptables: iptablesVersion(backend) },
      world: (subject) => loaded(kernel, { ...subject, backend }),
    });
  } catch (error) {
    if (error instanceof KernelFailure) throw new UsageError(error.message);
    throw error;
  } finally {
    kernel.close();
  }
}

function loaded(kernel: Kernel, subject: LinuxSubject): LinuxWorld {
  try {
    return new LinuxWorld(kernel, subject);
  } catch (error) {
    if (!(error instanceof NotLoaded)) throw error;
    throw new UsageError(
      `kernel judge: Linux does not load the rules of ${error.host} that the model accepts: ${error.message}`,
    );
  }
}

/** A helper that makes namespaces; the first way to get them that works. */
function openedKernel(backend: Backend): Kernel {
  const modes: readonly KernelMode[] = defaultMode() === 'root' ? ['root'] : ['userns', 'sudo'];
  for (const mode of modes) {
    const kernel = openedAs(mode, backend);
    if (kernel !== undefined) return kernel;
  }
  // Nothing works: each thing that is needed is tried, to say which is missing.
  const probe = probeKernel();
  const missing = probe.backends.length === 0 ? probe : { ...probe, backends: [] };
  throw new UsageError(`${printProbe(missing)}; without --kernel the model answers alone`);
}

function openedAs(mode: KernelMode, backend: Backend): Kernel | undefined {
  let kernel: Kernel | undefined;
  try {
    kernel = openKernel({ mode });
    const { refused } = kernel.runCase(kernel.world(backend, [BARE_HOST]), { [BARE_HOST.name]: { text4: '' } }, []);
    if (refused === undefined) return kernel;
  } catch {
    // The probe says what is wrong.
  }
  kernel?.close();
  return undefined;
}
