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
import { worldOf, type Way } from '../network/walk.ts';
import { printRuleset } from '../ruleset/print.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { printReleases, shorter, type Cell, type Column, type Counterexample } from '../report/release-book.ts';
import { printTimeTrace, printWay } from '../report/time-trace.ts';
import { nodeIo } from './io.ts';
import { knownLives } from './known-lives.ts';
import { referenceRulesets } from './ruleset-words.ts';

const CLOUDS: readonly (readonly [name: string, file: string])[] = [
  ...['article/cloud', 'second-cloud', 'modes/vlan', 'modes/multi-host', 'modes/loopback-metadata'].map(
    (name): [string, string] => [name, `${name}/deployment.yaml`],
  ),
  ['releases/restricted.yaml', 'releases/restricted.yaml'],
];

/** Claims of one law that are judged on one cloud, and packets of each: the book shows, properties search. */
const CLAIMS = 10;
const PACKETS = 3;

const textOf = (file: string): string =>
  String(nodeIo.readFile(fileURLToPath(new URL(`../../scenarios/${file}`, import.meta.url))));

/** What the laws of one moment say of a release's rules in the clouds of the book. */
export function columnOf(release: Release): Column {
  const cells = new Map<string, Cell>();
  for (const [cloud, file] of CLOUDS) {
    const text = textOf(file).replace(/^release: \S+/m, `release: ${release}`);
    const { deployment } = readDeployment(text, `scenarios/${file}`);
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
  for (const law of LAWS) {
    const applies = law.claims({ deployment, network });
    if (applies.kind === 'not-applicable') {
      absent(cells, law, applies.because);
      continue;
    }
    const step = Math.max(1, Math.ceil(applies.claims.length / CLAIMS));
    for (const claim of applies.claims.filter((_, at) => at % step === 0)) {
      if (claim.kind === 'ruleset') {
        const ruleset = byHost.get(claim.host)?.find(({ family }) => family === claim.family);
        const breach = ruleset && claim.breaches(ruleset)[0];
        if (breach === undefined) holds(cells, law);
        else
          fails(cells, law, {
            text: `${claim.host} of ${cloud}: ${breach.message}`,
            trace:
              breach.line === undefined || ruleset === undefined ? [] : linesAround(ruleset, breach.line, claim.host),
          });
        continue;
      }
      for (const posture of claim.postures ?? POSTURES) {
        const settings = { runs: PACKETS, seed: 1, aim };
        const { result, message = '', witness } = judgeClaim(worlds[posture], claim, posture, settings);
        if (result === 'vacuous') absent(cells, law, `no packet is of any of its claims`);
        else if (result === 'holds') holds(cells, law);
        else {
          const packet = witness === undefined ? '' : `\`${printArrival(witness.arrival)}\` on `;
          fails(cells, law, {
            text: `${packet}${claim.host} of ${cloud} (${posture}): ${message}`,
            trace: witness === undefined ? [] : [...printWay(witness.way), ...printReply(witness.reply)],
          });
        }
      }
    }
  }
}

const printReply = (reply: Way | undefined): readonly string[] =>
  reply === undefined ? [] : ['the reply to it', ...printWay(reply)];

/** The rule that a breach of the text is about. */
const linesAround = (ruleset: Ruleset, line: number, host: string): readonly string[] => {
  const [text] = printRuleset(ruleset)
    .split('\n')
    .slice(line - 1, line);
  return text === undefined ? [] : [`${host}${ruleset.family === 6 ? '.v6' : ''}.rules:${line}  ${text}`];
};

/** A law holds as long as nothing has spoken against it. */
function holds(cells: Map<string, Cell>, { id }: Law): void {
  if (cells.get(id)?.result !== 'fails') cells.set(id, { result: 'holds' });
}

/** Of counterexamples the shortest is kept. */
function fails(cells: Map<string, Cell>, { id }: Law, against: Counterexample): void {
  const known = cells.get(id);
  cells.set(id, { result: 'fails', against: shorter(known?.result === 'fails' ? known.against : undefined, against) });
}

/** It says nothing as long as it has said nothing of any cloud. */
function absent(cells: Map<string, Cell>, { id }: Law, because: string): void {
  if (!cells.has(id)) cells.set(id, { result: 'n/a', because });
}

/** What the laws over time say: of the lives of scenarios/lives, which meet every mark, the shortest that breaks each. */
async function overTime(release: Release, cells: Map<string, Cell>): Promise<void> {
  const { liveThrough } = await import('../arbitrary/life.ts');
  for (const law of OVER_TIME_LAWS) cells.set(law.id, { result: 'holds' });
  for (const { name, in: within, counting } of knownLives())
    liveThrough(
      within(release),
      {
        marked: (mark, breach, operations, history) => {
          const law = OVER_TIME_LAWS.find(({ id }) => mark.startsWith(`${id} `));
          const story = operations()
            .map((operation) => `\`${operation}\``)
            .join(', ');
          if (law !== undefined)
            fails(cells, law, {
              text: `${breach.message}, in scenarios/lives/${name} after ${story}`,
              trace: printTimeTrace(breach, history),
            });
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
