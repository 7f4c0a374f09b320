/** Reads a deployment file. */
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { readSource, sourceOf } from '../diagnostic/yaml.ts';
import { completeDeployment } from './complete.ts';
import type { Deployment } from './deployment.ts';
import { deploymentSchema, type DeploymentText } from './schema.ts';

/**
 * The deployment that `text` (YAML or JSON) describes, complete. Throws InputError with everything that is wrong with it; what nova
 * would ignore, or what leaves something without effect, comes back as warnings. `path` is for messages.
 */
export function readDeployment(
  text: string | Uint8Array,
  path: string,
): { readonly deployment: Deployment; readonly warnings: readonly Diagnostic[] } {
  return completeDeployment(readSource(text, path, deploymentSchema), path);
}

/** The same for a file that is a value already, as generators and programs make it. */
export function deploymentOf(
  file: DeploymentText,
  path: string,
): { readonly deployment: Deployment; readonly warnings: readonly Diagnostic[] } {
  return completeDeployment(sourceOf(file, path, deploymentSchema), path);
}
