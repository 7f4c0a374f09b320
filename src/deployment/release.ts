/** The releases of nova that a deployment file can name, oldest first. */
import type { Release } from './deployment.ts';

export const RELEASES = [
  'essex',
  'folsom-2',
  'folsom',
  'folsom-2012.2.4',
  'grizzly',
  'havana',
  'rocky',
] as const satisfies readonly Release[];

/** The seed article's: code between 2012-04-15 and 2012-09-10 (nova-network.md section 7). */
export const DEFAULT_RELEASE: Release = 'folsom-2';

/** True when `release` is `from` or newer. */
export const isSince = (release: Release, from: Release): boolean =>
  RELEASES.indexOf(release) >= RELEASES.indexOf(from);
