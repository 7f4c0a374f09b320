/** `nfverdict trace`: a packet, or a conversation, through one host's rules or through several hosts. */
import type { Family } from '../address/address.ts';
import type { Posture } from '../claim/claim.ts';
import { assumptionsOf } from '../deployment/assumption.ts';
import type { Deployment } from '../deployment/deployment.ts';
import { networkOf } from '../deployment/world.ts';
import { InputError, type Diagnostic } from '../diagnostic/diagnostic.ts';
import { nearest } from '../diagnostic/nearest.ts';
import { bridgeOfPort, interfaceOf, type Host } from '../host/host.ts';
import { hardenedRuleset } from '../judge/hardened.ts';
import { machineOf } from '../netfilter/traverse.ts';
import type { Backend } from '../netfilter/skb.ts';
import { converse } from '../network/converse.ts';
import type { Network } from '../network/network.ts';
import { worldOf } from '../network/walk.ts';
import { converseInWorld } from '../network/world-conversation.ts';
import type { Entry } from '../packet/packet.ts';
import { parseProtocol } from '../packet/protocol.ts';
import { parseConversation, type Conversation } from '../packet/conversation.ts';
import { fateMatches, parseFate, type ExpectedFate } from '../packet/fate.ts';
import {
  printTrace,
  summaryOf,
  traceDocument,
  tracedInWorld,
  tracedOnHost,
  type Traced,
  type TraceSubject,
} from '../report/trace.ts';
import { printDocument } from '../report/document.ts';
import { parseIpsets } from '../ruleset/ipset.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { converseOnLinux } from '../kernel/linux-conversation.ts';
import { linuxLine, type Word } from '../report/twin.ts';
import { answering, UsageError } from './failure.ts';
import { withLinux, type Linux } from './linux.ts';
import { WorldInputs } from './world-input.ts';
import type { Io } from './io.ts';
import { printAssumptions, TOOL, writeOutputs, type OutputOptions } from './output.ts';
import { givenRulesets, referenceRulesets, rulesetAssumptions, type Rulesets } from './ruleset-words.ts';

export interface TraceOptions extends OutputOptions {
  /** Rulesets, `[HOST[/6]=]FILE` each, then packets: the lines of a conversation. */
  readonly words: readonly string[];
  /** A packets file, in place of packet words. */
  readonly packets?: string;
  readonly deployment?: string;
  readonly host?: string;
  /** Which host of the deployment: only that one is looked at. */
  readonly name?: string;
  readonly expect?: string;
  readonly backend: Backend;
  readonly sets?: string;
  readonly posture: Posture;
  /** Linux is asked about the same packets. */
  readonly kernel: boolean;
  readonly verbose: boolean;
  readonly quiet: boolean;
}

export const runTrace = (options: TraceOptions, io: Io): number =>
  answering(io, () => {
    const inputs = new WorldInputs(io, options.backend);
    const { rulesetWords, packetWords } = splitWords(options.words);
    const conversation = conversationOf(options, packetWords, inputs);
    const expected =
      options.expect === undefined ? undefined : parseFate(options.expect, { path: '--expect', line: 1, column: 1 });
    const place = placeOf(options, inputs);
    checkEntries(conversation, place);
    const names = place.network.hosts.map((host) => host.name);
    const family = familyOf(conversation);
    const rulesets =
      rulesetWords.length === 0
        ? reference(place, options)
        : givenRulesets(rulesetWords, names, inputs, rulesetWords.length === 1 ? family : undefined);
    const followed = follow(conversation.conversation, place, rulesets, options);
    const { traced, subject } = options.kernel
      ? withLinux(options.backend, (linux) => askLinux(followed, conversation.conversation, place, linux))
      : followed;
    const assumptions = [...place.assumptions, ...rulesetAssumptions(rulesets)];
    writeOutputs(io, options, {
      text: (paint) =>
        options.quiet
          ? `${summaryOf(traced, subject.linux)}\n`
          : (options.verbose ? printAssumptions(assumptions, paint) : '') + printTrace(traced, subject, paint),
      json: () =>
        printDocument('trace', { tool: TOOL, inputs: inputs.list, assumptions }, traceDocument(traced, subject)),
    });
    return exitCode(traced, expected);
  });

/** The words from the first packet on are packets; a packet has a `>`, or begins with a protocol as `tcp 10.0.0.1` does. */
function splitWords(words: readonly string[]): { rulesetWords: readonly string[]; packetWords: readonly string[] } {
  const first = words.findIndex(isPacketWord);
  return first < 0
    ? { rulesetWords: words, packetWords: [] }
    : { rulesetWords: words.slice(0, first), packetWords: words.slice(first) };
}

function isPacketWord(word: string): boolean {
  const [first = '', second] = word.trim().split(/\s+/, 2);
  return (
    word.includes('>') ||
    ['reply', 'flush'].includes(word) ||
    (second !== undefined && parseProtocol(first) !== undefined)
  );
}

/** A conversation, and its text for positions in it. */
interface Spoken {
  readonly conversation: Conversation;
  readonly lines: readonly string[];
}

function conversationOf({ packets }: TraceOptions, words: readonly string[], inputs: WorldInputs): Spoken {
  if (packets !== undefined && words.length > 0)
    throw new UsageError('packets come either from the command line or from --packets, not from both');
  const text = packets === undefined ? words.join('\n') : inputs.text(packets);
  const conversation = parseConversation(text, packets === undefined ? 'packet' : packets === '-' ? 'stdin' : packets);
  if (!conversation.items.some((item) => item.kind === 'packet'))
    throw new UsageError(
      packets === undefined
        ? "there is no packet to trace: expected a word such as 'tcp 10.0.0.2:40000 > 10.0.0.1:80 in eth0', or --packets FILE"
        : `${conversation.path}: there is no packet to trace`,
    );
  return { conversation, lines: text.split('\n') };
}

/** The family of the packets, where it is one. */
function familyOf({ conversation }: Spoken): Family | undefined {
  const families = new Set(
    conversation.items.flatMap((item) => (item.kind === 'packet' ? [item.arrival.packet.family] : [])),
  );
  const [family] = families;
  return families.size === 1 ? family : undefined;
}

/** Where packets enter: a network, or one host alone, whose neighbours are not looked at. */
interface EntryPlace {
  readonly network: Network;
  /** The only host that is looked at. */
  readonly only?: Host;
  readonly deployment?: Deployment;
  readonly assumptions: readonly string[];
}

function placeOf(options: TraceOptions, inputs: WorldInputs): EntryPlace {
  const { sets } = options;
  const place = namedPlace(options, inputs);
  if (sets === undefined) return place;
  const known = parseIpsets(inputs.text(sets), sets === '-' ? 'stdin' : sets);
  const withSets = (host: Host): Host => ({ ...host, sets: known });
  return {
    ...place,
    network: { ...place.network, hosts: place.network.hosts.map(withSets) },
    ...(place.only === undefined ? {} : { only: withSets(place.only) }),
  };
}

function namedPlace(options: TraceOptions, inputs: WorldInputs): EntryPlace {
  if (options.host !== undefined) {
    if (options.deployment !== undefined) throw new UsageError('give -d or --host, not both');
    const only = inputs.host(options.host);
    if (options.name !== undefined && options.name !== only.name)
      throw new UsageError(`there is no host ${options.name}: the host file is of ${only.name}`);
    return {
      only,
      network: { hosts: [only], links: [], stations: [] },
      assumptions: ['neighbours always resolve'],
    };
  }
  if (options.deployment === undefined)
    throw new UsageError('which host? give its deployment with -d FILE, or a host file with --host FILE');
  const deployment = inputs.deployment(options.deployment);
  const network = networkOf(deployment);
  const { name } = options;
  const assumptions = assumptionsOf(deployment);
  const [first, second] = network.hosts;
  const only = name === undefined ? (second === undefined ? first : undefined) : hostCalled(name, network.hosts);
  return only === undefined
    ? { network, deployment, assumptions }
    : { network: { ...network, hosts: [only] }, only, deployment, assumptions };
}

function hostCalled(name: string, hosts: readonly Host[]): Host {
  const host = hosts.find((candidate) => candidate.name === name);
  if (host !== undefined) return host;
  const names = hosts.map((candidate) => candidate.name);
  const near = nearest(name, names);
  throw new UsageError(
    `there is no host ${name} in the deployment: ${near === undefined ? `there are ${names.join(', ')}` : `did you mean ${near}?`}`,
  );
}

function reference({ deployment, only }: EntryPlace, options: TraceOptions): Rulesets {
  if (deployment === undefined)
    throw new UsageError(
      `which rules? expected a ruleset of ${only?.name ?? options.host ?? 'the host'} before the packets`,
    );
  const { given, byHost } = referenceRulesets(deployment);
  return { given, byHost: new Map([...byHost].filter(([host]) => only === undefined || host === only.name)) };
}

interface Followed {
  readonly traced: readonly Traced[];
  readonly subject: TraceSubject;
  /** By host, in the posture asked for. */
  readonly rules: ReadonlyMap<string, readonly Ruleset[]>;
}

function follow(
  conversation: Conversation,
  { network, only }: EntryPlace,
  { byHost }: Rulesets,
  { posture, backend }: TraceOptions,
): Followed {
  const postured = (rulesets: readonly Ruleset[]): readonly Ruleset[] =>
    posture === 'hardened' ? rulesets.map(hardenedRuleset) : rulesets;
  const pathOf = (host: string, family: Family): string | undefined =>
    byHost.get(host)?.find((ruleset) => ruleset.family === family)?.path;
  const rules = new Map([...byHost].map(([host, rulesets]) => [host, postured(rulesets)]));
  if (only !== undefined) {
    const exchanges = converse(machineOf(only, rules.get(only.name) ?? [], backend), conversation);
    return { traced: tracedOnHost(exchanges, only.name), subject: { host: only.name, pathOf }, rules };
  }
  const exchanges = converseInWorld(worldOf(network, rules, backend), conversation);
  return { traced: tracedInWorld(exchanges), subject: { pathOf }, rules };
}

/** The same conversation, held with Linux. */
function askLinux(
  { traced, subject, rules }: Followed,
  conversation: Conversation,
  { network, only }: EntryPlace,
  linux: Linux,
): Pick<Followed, 'traced' | 'subject'> {
  const alone = only === undefined ? network : { hosts: [only], links: [], stations: [] };
  const exchanges = converseOnLinux(linux.world({ network: alone, rulesets: rules }), conversation, only?.name);
  return {
    subject: { ...subject, linux: linux.version },
    traced: traced.map((line, at) => {
      const exchange = exchanges[at];
      return exchange === undefined ? line : { ...line, linux: linuxLine(exchange, line.hops, line.answer) };
    }),
  };
}

/** An entry that no host has would silently be taken for some other interface. All of them are told. */
function checkEntries({ conversation, lines }: Spoken, { network, only }: EntryPlace): void {
  const diagnostics: Diagnostic[] = [];
  for (const item of conversation.items) {
    if (item.kind !== 'packet') continue;
    const { entry } = item.arrival;
    const message = wrongEntry(entry, network.hosts, only);
    if (message === undefined) continue;
    const text = lines[item.line - 1] ?? '';
    // Where its `in` or `local` stands: no address holds such a word.
    const column = Math.max(0, text.search(/\s(?:in|local)(?=\s|$)/) + 1) + 1;
    diagnostics.push({ path: conversation.path, line: item.line, column, message });
  }
  if (diagnostics.length > 0) throw new InputError(diagnostics);
}

function wrongEntry(entry: Entry, hosts: readonly Host[], only: Host | undefined): string | undefined {
  const names = hosts.map(({ name }) => name);
  if (only !== undefined && entry.host !== undefined && entry.host !== only.name)
    return `the packet enters ${entry.host}, but the host is ${only.name}`;
  if (only === undefined && entry.host === undefined)
    return `which host does it enter? expected \`in HOST:INTERFACE\` or \`local HOST:\`, where HOST is one of ${names.join(', ')}; or --name HOST`;
  const host = only ?? hosts.find(({ name }) => name === entry.host);
  if (host === undefined) return `there is no host ${entry.host ?? ''}: there are ${names.join(', ')}`;
  if (entry.kind === 'local') return undefined;
  const name = entry.interface;
  if (interfaceOf(host, name) !== undefined || bridgeOfPort(host, name) !== undefined) return undefined;
  const known = [
    ...new Set([
      ...host.interfaces.map((candidate) => candidate.name),
      ...host.bridges.flatMap((bridge) => bridge.ports.map((port) => port.name)),
    ]),
  ];
  const near = nearest(name, known);
  return `${host.name} has no interface or bridge port ${name}: ${near === undefined ? `there are ${known.join(', ')}` : `did you mean ${near}?`}`;
}

/** The words of the packets and of their answers. */
const wordsOf = ({ linux }: Traced): readonly (Word | undefined)[] => [linux?.twin?.word, linux?.answer?.word];

/** A difference from Linux is a wrong verdict, whatever was expected; what Linux could not be asked is not decided. */
function exitCode(traced: readonly Traced[], expected: ExpectedFate | undefined): number {
  const fates = traced.map(({ kind, last, hops, ...line }) => {
    const fate = last?.fate;
    const wanted = [line.expected?.fate, kind === 'packet' ? expected : undefined].filter(
      (candidate) => candidate !== undefined,
    );
    const unknown = hops.some(({ journey }) => journey.fate.kind === 'undecided');
    const undecided = unknown && !wanted.some((candidate) => candidate.kind === 'undecided');
    const otherwise = !undecided && wanted.some((candidate) => fate === undefined || !fateMatches(candidate, fate));
    return { undecided, otherwise };
  });
  const words = traced.flatMap(wordsOf);
  if (fates.some(({ otherwise }) => otherwise) || words.includes('differs')) return 1;
  return fates.some(({ undecided }) => undecided) || words.includes('not-asked') ? 3 : 0;
}
