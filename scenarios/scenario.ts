/**
 * Scenarios: packets files on worlds, as files that a network engineer reads. `X.packets` is run on the nearest `deployment.yaml` or
 * `host.yaml` at or above its folder, with the rules of `X.rules` and `X.v6.rules` beside it (a world of one host), else of the nearest `HOST.rules` and
 * `HOST.v6.rules`, else with those that the reference generates.
 *
 * The first comment of a packets file is the sentence that it shows. Of the comments before its first packet two mean something more:
 * `# backend: legacy` or `nft`, where the two differ, and `# after: FILE.packets`: the connections of that file are still there when this one begins.
 *
 * `X.trace` is the printed journey of `X.packets`, `X.saved` what iptables-save prints once `X.rules` is loaded. Rules that begin with a
 * sentence of their own are about loading: `# refused` stands above each line that is refused, `# refused by nft` or `by legacy` where only that one does so.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readHost } from '../src/host/read.ts';
import { networkOf } from '../src/deployment/world.ts';
import { readDeployment } from '../src/deployment/read.ts';
import type { Deployment } from '../src/deployment/deployment.ts';
import type { Backend } from '../src/netfilter/skb.ts';
import type { Network } from '../src/network/network.ts';
import { worldOf, type World } from '../src/network/walk.ts';
import { converseInWorld, type WorldExchange } from '../src/network/world-conversation.ts';
import { rulesetTextFor } from '../src/nova/ruleset.ts';
import { parseConversation, type Conversation } from '../src/packet/conversation.ts';
import { readRuleset } from '../src/ruleset/parse.ts';
import type { Ruleset } from '../src/ruleset/rule.ts';

/** This folder. */
export const ROOT = dirname(fileURLToPath(import.meta.url));

/** The files below `folder` (this one by default) whose names end so, in order, relative to this one. */
export const filesEnding = (ending: string, folder = ROOT): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith(ending))
    .map((path) => relative(ROOT, join(folder, path)))
    .sort();

export const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

/** One host's rules, as text and as read. */
export interface HostRules {
  /** The path of its files, without `.rules` or `.v6.rules`; that of the packets where the reference makes them. */
  readonly stem: string;
  readonly text4?: string;
  readonly text6?: string;
  readonly rulesets: readonly Ruleset[];
}

export interface Scenario {
  readonly path: string;
  /** The sentence that it shows. */
  readonly title: string;
  readonly backend: Backend;
  /** The backends that behave so: both, unless the file names one. */
  readonly backends: readonly Backend[];
  /** The scenario whose connections are still there. */
  readonly after?: string;
  readonly conversation: Conversation;
  /** The deployment.yaml or host.yaml. */
  readonly place: string;
  readonly network: Network;
  readonly rules: ReadonlyMap<string, HostRules>;
}

/** The comment lines at the head of a file, without their `#`. */
export function headComments(text: string): string[] {
  const lines = text.split('\n');
  const end = lines.findIndex((line) => !line.startsWith('#'));
  return lines.slice(0, end < 0 ? lines.length : end).map((line) => line.slice(1).trim());
}

const directive = (comments: readonly string[], name: string): string | undefined =>
  comments
    .find((comment) => comment.startsWith(`${name}: `))
    ?.slice(name.length + 2)
    .trim();

const BACKENDS: readonly Backend[] = ['nft', 'legacy'];

function backendsOf(path: string, comments: readonly string[]): readonly [Backend, ...Backend[]] {
  const named = directive(comments, 'backend');
  if (named === undefined) return ['nft', 'legacy'];
  const backend = BACKENDS.find((candidate) => candidate === named);
  if (backend === undefined) throw new Error(`${path}: backend: ${named}: expected ${BACKENDS.join(' or ')}`);
  return [backend];
}

/** What a file is about: the hosts and, for a deployment, what nova would write there. */
interface Place {
  readonly folder: string;
  readonly network: Network;
  readonly deployment?: Deployment;
}

const places = new Map<string, Place>();

/** The place of a file at `path`: the nearest deployment.yaml or host.yaml. */
export function placeOf(path: string): Place {
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const place = places.get(folder) ?? readPlace(folder);
    if (place !== undefined) {
      places.set(folder, place);
      return place;
    }
    if (folder === '.') throw new Error(`${path}: there is no deployment.yaml or host.yaml beside or above it`);
  }
}

function readPlace(folder: string): Place | undefined {
  const [deploymentFile, hostFile] = [join(folder, 'deployment.yaml'), join(folder, 'host.yaml')];
  if (existsSync(join(ROOT, deploymentFile))) {
    const { deployment } = readDeployment(read(deploymentFile), deploymentFile);
    return { folder, network: networkOf(deployment), deployment };
  }
  if (!existsSync(join(ROOT, hostFile))) return undefined;
  return { folder, network: { hosts: [readHost(read(hostFile), hostFile)], links: [], stations: [] } };
}

const scenarios = new Map<string, Scenario>();

/** The scenario of a packets file; each is read once. */
export function readScenario(path: string): Scenario {
  const known = scenarios.get(path) ?? readNewScenario(path);
  scenarios.set(path, known);
  return known;
}

function readNewScenario(path: string): Scenario {
  const text = read(path);
  const comments = headComments(text);
  const [title = path] = comments;
  const place = placeOf(path);
  const backends = backendsOf(path, comments);
  const after = directive(comments, 'after');
  return {
    path,
    title,
    backend: backends[0],
    backends,
    ...(after === undefined ? {} : { after: join(dirname(path), after) }),
    conversation: parseConversation(text, path),
    place: join(place.folder, place.deployment === undefined ? 'host.yaml' : 'deployment.yaml'),
    network: place.network,
    rules: new Map(place.network.hosts.map(({ name }) => [name, rulesFor(path, place, name)])),
  };
}

function rulesFor(path: string, { folder: top, network, deployment }: Place, name: string): HostRules {
  const own = path.replace(/\.packets$/, '');
  if (network.hosts.length === 1 && hasRules(own)) return rulesAt(own);
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    const named = join(folder, name);
    if (hasRules(named)) return rulesAt(named);
    if (folder === top) break;
  }
  const host = deployment?.hosts.find((candidate) => candidate.name === name);
  if (deployment === undefined || host === undefined) throw new Error(`${path}: there are no rules for ${name}`);
  const text4 = rulesetTextFor(deployment, host, 4);
  const withSix = host.flags.use_ipv6 || host.rules.has(6);
  return rulesOf(path, text4, withSix ? rulesetTextFor(deployment, host, 6) : undefined);
}

const hasRules = (stem: string): boolean =>
  existsSync(join(ROOT, `${stem}.rules`)) || existsSync(join(ROOT, `${stem}.v6.rules`));

function rulesAt(stem: string): HostRules {
  const text = (path: string): string | undefined => (existsSync(join(ROOT, path)) ? read(path) : undefined);
  return rulesOf(stem, text(`${stem}.rules`), text(`${stem}.v6.rules`));
}

/** One host's rules from their texts; `stem` is for messages. */
export function rulesOf(stem: string, text4: string | undefined, text6: string | undefined): HostRules {
  return {
    stem,
    ...(text4 === undefined ? {} : { text4 }),
    ...(text6 === undefined ? {} : { text6 }),
    rulesets: [
      ...(text4 === undefined ? [] : [readRuleset(text4, { path: `${stem}.rules`, family: 4 })]),
      ...(text6 === undefined ? [] : [readRuleset(text6, { path: `${stem}.v6.rules`, family: 6 })]),
    ],
  };
}

/** The scenario's world, with the connections of the scenario that it comes after. */
function worldFor(scenario: Scenario): World {
  const rulesets = new Map([...scenario.rules].map(([host, { rulesets: own }]) => [host, own]));
  const world = worldOf(scenario.network, rulesets, scenario.backend);
  if (scenario.after === undefined) return world;
  const before = run({ ...readScenario(scenario.after), backend: scenario.backend }).world;
  for (const [name, machine] of world.machines) machine.memories = before.machines.get(name)?.memories ?? [];
  return world;
}

/** Runs a scenario in the model. */
export function run(scenario: Scenario): { readonly world: World; readonly exchanges: readonly WorldExchange[] } {
  const world = worldFor(scenario);
  return { world, exchanges: converseInWorld(world, scenario.conversation) };
}

/** A ruleset that shows what loads and what does not. */
export interface LoadingScenario {
  readonly path: string;
  readonly title: string;
  readonly text: string;
  /** The lines that each backend refuses. */
  readonly refused: Readonly<Record<Backend, readonly number[]>>;
}

/** The rules files that begin with a sentence. */
export const loadingScenarios = (): LoadingScenario[] =>
  filesEnding('.rules').flatMap((path) => {
    const text = read(path);
    const [title] = headComments(text);
    if (title === undefined) return [];
    const lines = text.split('\n');
    const refusedBy = (backend: Backend): number[] =>
      lines.flatMap((line, index) => (line === '# refused' || line === `# refused by ${backend}` ? [index + 2] : []));
    return { path, title, text, refused: { legacy: refusedBy('legacy'), nft: refusedBy('nft') } };
  });
