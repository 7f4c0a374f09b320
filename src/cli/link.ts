/** The last step of `prepare`: makes the built command executable, and `npx nfverdict` work in a checkout as it does where the package is installed. */
import { chmodSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('main.js', import.meta.url));
chmodSync(main, 0o755);

const bin = fileURLToPath(new URL('../../node_modules/.bin', import.meta.url));
// npx looks here before it looks anywhere else; npm itself links only what a package depends on.
if (existsSync(join(bin, '..'))) {
  mkdirSync(bin, { recursive: true });
  rmSync(join(bin, 'nfverdict'), { force: true });
  symlinkSync('../../dist/cli/main.js', join(bin, 'nfverdict'));
}
