/** `npm run releases`: writes docs/releases.md, which law holds in which release, with the shortest counterexample where it does not. */
import { fileURLToPath } from 'node:url';
import type { Deployment, Release } from '../deployment/deployment.ts';
import { readDeployment } from '../deployment/read.ts';
import { RELEASES } from '../deployment/release.ts';
import { networkOf } from '../deployment/world.ts';
import { POSTURES } from '../claim/claim.ts';
import { LAWS } from '../invariant/laws.ts';
import type { Law } from '../invariant/law.ts';
import { OVER_TIME_LAWS } from '../invariant/over-time.ts';
import { aimOf } from '../judge/aim.ts';
import { hardenedRuleset } from '../judge/hardened.ts';
import { judgeClaim } from '../judge/judge.ts';
import { printArrival } from '../packet/notation.ts';
import { worldOf } from '../network/walk.ts';
import { printReleases, type Cell, type Column } from '../report/release-book.ts';
import { nodeIo } from './io.ts';
import { knownLives } from './known-lives.ts';
import { referenceRulesets } from './ruleset-words.ts';

const CLOUDS = ['article/cloud', 'second-cloud', 'modes/vlan', 'modes/multi-host', 'modes/loopback-metadata'] as const;

/** Claims of one law that are judged on one cloud, and packets of each: the book shows, properties search. */
const CLAIMS = 10;
const PACKETS = 3;

const textOf = (cloud: string): string =>
  String(nodeIo.readFile(fileURLToPath(new URL(`../../scenarios/${cloud}/deployment.yaml`, import.meta.url))));

/** What the laws of one moment say of a release's rules in the clouds of the book. */
export function columnOf(release: Release): Column {
  const cells = new Map<string, Cell>();
  for (const cloud of CLOUDS) {
    const text = textOf(cloud).replace(/^release: \S+/m, `release: ${release}`);
    const { deployment } = readDeployment(text, `scenarios/${cloud}/deployment.yaml`);
    judgeCloud(cloud, deployment, cells);
  }
  return { release, cells };
}

function judgeCloud(cloud: string, deployment: Deployment, cells: Map<string, Cell>): void {
  const network = networkOf(deployment);
  const { byHost } = referenceRulesets(deployment);
  const hardened = new Map([...byHost].map(([host, given]) => [host, given.map(hardenedRuleset)]));
  const worlds = { 'as-given': worldOf(network, byHost), hardened: worldOf(network, hardened) };
  const aim = aimOf([...byHost.values()].flat());
  for (const law of LAWS.filter(({ kind }) => kind !== 'relation')) {
    const applies = law.claims({ deployment, network });
    if (applies.kind === 'not-applicable') continue;
    const step = Math.max(1, Math.ceil(applies.claims.length / CLAIMS));
    for (const claim of applies.claims.filter((_, at) => at % step === 0)) {
      if (claim.kind === 'ruleset') {
        const ruleset = byHost.get(claim.host)?.find(({ family }) => family === claim.family);
        const breach = ruleset && claim.breaches(ruleset)[0];
        record(cells, law, breach && `${claim.host} of ${cloud}: ${breach.message}`);
        continue;
      }
      for (const posture of claim.postures ?? POSTURES) {
        const {
          result,
          message = '',
          witness,
        } = judgeClaim(worlds[posture], claim, posture, {
          runs: PACKETS,
          seed: 1,
          aim,
        });
        if (result === 'vacuous') continue;
        const packet = witness === undefined ? '' : `\`${printArrival(witness.arrival)}\` on `;
        record(
          cells,
          law,
          result === 'holds' ? undefined : `${packet}${claim.host} of ${cloud} (${posture}): ${message}`,
        );
      }
    }
  }
}

/** A law holds as long as nothing has spoken against it; of counterexamples the shortest is kept. */
function record(cells: Map<string, Cell>, { id }: Law, against: string | undefined): void {
  const known = cells.get(id);
  if (against === undefined) {
    if (known === undefined) cells.set(id, { holds: true });
  } else if (known?.against === undefined || against.length < known.against.length)
    cells.set(id, { holds: false, against });
}

/** What the laws over time say: of the lives of scenarios/lives, which meet every mark, the shortest that breaks each. */
async function overTime(release: Release, cells: Map<string, Cell>): Promise<void> {
  const { liveThrough } = await import('../arbitrary/life.ts');
  for (const law of OVER_TIME_LAWS) record(cells, law, undefined);
  for (const { name, in: within, counting } of knownLives())
    liveThrough(
      within(release),
      {
        marked: (mark, breach, operations) => {
          const law = OVER_TIME_LAWS.find(({ id }) => mark.startsWith(`${id} `));
          const story = operations()
            .map((operation) => `\`${operation}\``)
            .join(', ');
          if (law !== undefined) record(cells, law, `${breach.message}, in scenarios/lives/${name} after ${story}`);
        },
        unmarked: (law, { message }, operations) => {
          throw new Error([`${law.id}: ${message}`, ...operations()].join('\n'));
        },
      },
      counting,
    );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const columns: Column[] = [];
  for (const release of RELEASES) {
    const { cells } = columnOf(release);
    const all = new Map(cells);
    await overTime(release, all);
    columns.push({ release, cells: all });
  }
  const path = fileURLToPath(new URL('../../docs/releases.md', import.meta.url));
  nodeIo.writeFile(path, printReleases(LAWS, columns));
}
