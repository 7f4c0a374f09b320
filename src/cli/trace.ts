/** `nfverdict trace`: a packet, or a conversation, through one host's rules. */
import type { Family } from '../address/address.ts';
import type { Posture } from '../claim/claim.ts';
import { assumptionsOf } from '../deployment/assumption.ts';
import { networkOf } from '../deployment/world.ts';
import { nearest } from '../diagnostic/nearest.ts';
import { bridgeOfPort, interfaceOf, type Host } from '../host/host.ts';
import { hardenedRuleset } from '../judge/hardened.ts';
import { machineOf } from '../netfilter/traverse.ts';
import type { Backend } from '../netfilter/skb.ts';
import { converse, type Exchange } from '../network/converse.ts';
import { parseConversation, type Conversation } from '../packet/conversation.ts';
import { fateMatches, parseFate, type ExpectedFate } from '../packet/fate.ts';
import { printTrace, traceDocument } from '../report/trace.ts';
import { printDocument } from '../report/document.ts';
import { parseIpsets } from '../ruleset/ipset.ts';
import { answering, UsageError } from './failure.ts';
import { Inputs } from './input.ts';
import type { Io } from './io.ts';
import { TOOL, writeOutputs, type OutputOptions } from './output.ts';

export interface TraceOptions extends OutputOptions {
  readonly ruleset: string;
  /** Packets on the command line: the lines of a conversation. */
  readonly packetLines: readonly string[];
  /** A packets file. */
  readonly packets?: string;
  readonly deployment?: string;
  readonly host?: string;
  /** Which host of the deployment. */
  readonly name?: string;
  readonly expect?: string;
  readonly backend: Backend;
  readonly sets?: string;
  readonly posture: Posture;
}

export const runTrace = (options: TraceOptions, io: Io): number =>
  answering(io, () => {
    const inputs = new Inputs(io);
    const conversation = conversationOf(options, inputs);
    const family = familyOfConversation(conversation);
    const ruleset = inputs.ruleset(options.ruleset, family);
    const { host, assumptions } = hostOf(options, inputs);
    checkEntries(conversation, host);
    const expected = options.expect === undefined ? undefined : parseFate(options.expect);
    const rules = options.posture === 'hardened' ? hardenedRuleset(ruleset) : ruleset;
    const exchanges = converse(machineOf(host, [rules], options.backend), conversation);
    const subject = { host: host.name, path: ruleset.path };
    writeOutputs(io, options, {
      text: (paint) => printTrace(exchanges, subject, paint),
      json: () =>
        printDocument('trace', { tool: TOOL, inputs: inputs.list, assumptions }, traceDocument(exchanges, subject)),
    });
    return exitCode(exchanges, expected);
  });

function conversationOf(options: TraceOptions, inputs: Inputs): Conversation {
  const { packets, packetLines } = options;
  if (packets !== undefined && packetLines.length > 0)
    throw new UsageError('packets come either from the command line or from --packets, not from both');
  const conversation =
    packets === undefined
      ? parseConversation(packetLines.join('\n'), 'packet')
      : parseConversation(inputs.text(packets), packets === '-' ? 'stdin' : packets);
  if (conversation.items.length === 0) throw new UsageError('there is no packet to trace');
  return conversation;
}

function familyOfConversation({ items, path }: Conversation): Family {
  const families = new Set(items.flatMap((item) => (item.kind === 'packet' ? [item.arrival.packet.family] : [])));
  const [family] = families;
  if (family === undefined) throw new UsageError(`${path}: there is no packet to trace`);
  if (families.size > 1)
    throw new UsageError(`${path}: a ruleset is of one family, the packets are of both: trace them apart`);
  return family;
}

function hostOf(options: TraceOptions, inputs: Inputs): { host: Host; assumptions: readonly string[] } {
  const { host, assumptions } = namedHost(options, inputs);
  if (options.sets === undefined) return { host, assumptions };
  return { host: { ...host, sets: parseIpsets(inputs.text(options.sets), options.sets) }, assumptions };
}

function namedHost(options: TraceOptions, inputs: Inputs): { host: Host; assumptions: readonly string[] } {
  if (options.host !== undefined) {
    if (options.deployment !== undefined) throw new UsageError('give -d or --host, not both');
    return { host: inputs.host(options.host), assumptions: ['neighbours always resolve'] };
  }
  if (options.deployment === undefined)
    throw new UsageError('which host? give its deployment with -d FILE, or a host file with --host FILE');
  const deployment = inputs.deployment(options.deployment);
  const { hosts } = networkOf(deployment);
  const names = hosts.map((host) => host.name);
  const { name } = options;
  const host = name === undefined && hosts.length === 1 ? hosts[0] : hosts.find((candidate) => candidate.name === name);
  if (host === undefined) {
    if (name === undefined) throw new UsageError(`which host? --name is one of ${names.join(', ')}`);
    const near = nearest(name, names);
    throw new UsageError(
      `there is no host ${name}${near === undefined ? `: there are ${names.join(', ')}` : `; did you mean ${near}?`}`,
    );
  }
  return { host, assumptions: assumptionsOf(deployment) };
}

/** An entry that the host does not have would silently be taken for some other interface. */
function checkEntries({ items, path }: Conversation, host: Host): void {
  const known = [
    ...host.interfaces.map(({ name }) => name),
    ...host.bridges.flatMap((bridge) => bridge.ports.map(({ name }) => name)),
  ];
  for (const item of items) {
    if (item.kind !== 'packet') continue;
    const { entry } = item.arrival;
    if (entry.host !== undefined && entry.host !== host.name)
      throw new UsageError(`${path}:${item.line}: the packet enters ${entry.host}, but the host is ${host.name}`);
    if (entry.kind === 'local') continue;
    if (interfaceOf(host, entry.interface) === undefined && bridgeOfPort(host, entry.interface) === undefined) {
      const near = nearest(entry.interface, known);
      throw new UsageError(
        `${path}:${item.line}: ${host.name} has no interface or bridge port ${entry.interface}: ${near === undefined ? `there are ${known.join(', ')}` : `did you mean ${near}?`}`,
      );
    }
  }
}

function exitCode(exchanges: readonly Exchange[], expected: ExpectedFate | undefined): number {
  const fates = exchanges.map((exchange) => {
    const fate = exchange.journey?.fate;
    const wanted = [exchange.expected?.fate, exchange.kind === 'packet' ? expected : undefined].filter(
      (candidate) => candidate !== undefined,
    );
    const undecided = fate?.kind === 'undecided' && !wanted.some(({ kind }) => kind === 'undecided');
    const otherwise = !undecided && wanted.some((candidate) => fate === undefined || !fateMatches(candidate, fate));
    return { undecided, otherwise };
  });
  if (fates.some(({ otherwise }) => otherwise)) return 1;
  return fates.some(({ undecided }) => undecided) ? 3 : 0;
}
