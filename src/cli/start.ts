/** `npm start`, the main job: the article's cloud, every law's result, and where to go next. */
import { fileURLToPath } from 'node:url';
import { relative } from 'node:path';
import { runCheck } from './check.ts';
import { nodeIo } from './io.ts';

const cloud = (file: string): string =>
  relative(process.cwd(), fileURLToPath(new URL(`../../scenarios/article/cloud/${file}`, import.meta.url)));

const deployment = cloud('deployment.yaml');
const rules = cloud('host1.rules');

const command = nodeIo.command ?? 'nfverdict';

nodeIo.stdout(`The cloud of the article: ${deployment}, with the rules that nova wrote for it: ${rules}\n\n`);
const code = runCheck(
  {
    rulesets: [rules],
    deployment,
    invariants: [],
    seed: 1,
    failOn: 'error',
    backend: 'nft',
    kernel: false,
    verbose: false,
    quiet: false,
    outputs: [{ format: 'text' }],
    color: 'auto',
    now: () => performance.now(),
  },
  nodeIo,
);
nodeIo.stdout(`
Where to go next
  ${command} trace ${rules} 'tcp 10.10.10.2:40000 > 169.254.169.254:80 in vnet0' -d ${deployment}
      what happens to one packet, and to its answer
  ${command} check YOUR.rules -d YOUR-DEPLOYMENT.yaml
      the same laws on your own host
  ${command} invariants
      the laws; docs/laws.md has each with a packet that shows it
  npm test
      the laws over random deployments, and the model against its own laws
`);
process.exitCode = code;
