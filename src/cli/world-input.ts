/** Deployment and host files of a command line, read. */
import type { Deployment } from '../deployment/deployment.ts';
import { readDeployment } from '../deployment/read.ts';
import { printDiagnostic } from '../diagnostic/diagnostic.ts';
import type { Host } from '../host/host.ts';
import { readHost } from '../host/read.ts';
import { printable } from '../report/printable.ts';
import { Inputs } from './input.ts';

export class WorldInputs extends Inputs {
  /** Its warnings go to stderr. Throws FileError and InputError. */
  deployment(path: string): Deployment {
    const { deployment, warnings } = readDeployment(this.text(path), path === '-' ? 'stdin' : path);
    for (const warning of warnings) this.io.stderr(`warning: ${printable(printDiagnostic(warning))}\n`);
    return deployment;
  }

  /** Throws FileError and InputError. */
  host(path: string): Host {
    return readHost(this.text(path), path === '-' ? 'stdin' : path);
  }
}
