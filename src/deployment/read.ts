/** Reads a deployment file. */
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { readSource, sourceOf } from '../diagnostic/yaml.ts';
import { completeDeployment, completeFile } from './complete.ts';
import type { Deployment } from './deployment.ts';
import { deploymentSchema, type DeploymentFile, type DeploymentText } from './schema.ts';

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

/** What a file that was read before says, which is known to be good. */
export const deploymentOfFile = (file: DeploymentFile, path: string): Deployment => {
  const refuse = (_: unknown, message: string): never => {
    throw new Error(message);
  };
  return completeFile(file, path, { error: refuse, warning: () => undefined });
};

/** The same for a file that is a value already, as generators and programs make it. */
export function deploymentOf(
  file: DeploymentText,
  path: string,
): { readonly deployment: Deployment; readonly warnings: readonly Diagnostic[] } {
  return completeDeployment(sourceOf(file, path, deploymentSchema), path);
}
