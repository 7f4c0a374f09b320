/**
 * Cases with what a real kernel made of them, as JSON: where there is no kernel to ask, the model is compared with these. Packets are in the packet notation, so
 * that a person can read what a case is about; what the kernel said is as it said it.
 */
import { parseAddress, printAddress } from '../address/address.ts';
import type { Host } from '../host/host.ts';
import { parseArrival, printArrival } from '../packet/notation.ts';
import type { Arrival } from '../packet/packet.ts';
import type { Case, Oracle, Pending, Recording } from './compare.ts';
import type { Change, Move } from './dialogue.ts';
import type { Backend, KernelStep, Observation, RulesetTexts, TraceEvent } from './protocol.ts';

/** A file of recorded cases: of one kernel and one iptables. `T` describes the host. */
export interface RecordedFile<T> {
  readonly kernel: string;
  readonly iptables: string;
  readonly cases: readonly RecordedCase<T>[];
}

export interface RecordedCase<T> {
  /** What it shows, in a sentence, where it is kept for that. */
  readonly title?: string;
  readonly host: T;
  readonly backend: Backend;
  readonly texts: RulesetTexts;
  readonly moves: readonly RecordedMove[];
  readonly refused?: Recording['refused'];
  /** What was observed of each request in turn. */
  readonly runs: readonly (readonly Observation[])[];
}

export type RecordedMove =
  | { readonly packet: string }
  | { readonly fragments: string; readonly size: number }
  | { readonly again: Change }
  | { readonly follow: { readonly flags: number; readonly payload: number } }
  | { readonly error: { readonly type: number; readonly code: number; readonly by?: string } }
  | 'reply'
  | 'flush';

export function recordMove(move: Move): RecordedMove {
  switch (move.kind) {
    case 'packet':
      return { packet: printArrival(move.arrival) };
    case 'fragments':
      return { fragments: printArrival(move.arrival), size: move.size };
    case 'again':
      return { again: move.change ?? {} };
    case 'follow':
      return { follow: { flags: move.flags, payload: move.payload } };
    case 'error': {
      const { type, code, by } = move;
      return { error: { type, code, ...(by === undefined ? {} : { by: printAddress(by) }) } };
    }
    case 'reply':
    case 'flush':
      return move.kind;
  }
}

const arrivalOf = (text: string): Arrival => parseArrival(text, { path: 'recording', line: 1, column: 1 });

export function readMove(move: RecordedMove): Move {
  if (typeof move === 'string') return { kind: move };
  if ('packet' in move) return { kind: 'packet', arrival: arrivalOf(move.packet) };
  if ('fragments' in move) return { kind: 'fragments', arrival: arrivalOf(move.fragments), size: move.size };
  if ('again' in move) return { kind: 'again', change: move.again };
  if ('follow' in move) return { kind: 'follow', ...move.follow };
  const { type, code, by } = move.error;
  const address = by === undefined ? undefined : parseAddress(by);
  return { kind: 'error', type, code, ...(address === undefined ? {} : { by: address }) };
}

/** An oracle that remembers what another one said. */
export class RecordingOracle implements Oracle {
  readonly #oracle: Oracle;
  #refused: Recording['refused'];
  #runs: (readonly Observation[])[] = [];

  constructor(oracle: Oracle) {
    this.#oracle = oracle;
  }

  /** The last case, with what was said of it. */
  record<T>(given: Case, host: T): RecordedCase<T> {
    return {
      host,
      backend: given.backend,
      texts: given.texts,
      moves: given.moves.map(recordMove),
      ...(this.#refused === undefined ? {} : { refused: this.#refused }),
      runs: this.#runs.map((run) => run.map(shortened)),
    };
  }

  tellsStates(): boolean {
    return this.#oracle.tellsStates();
  }

  identification(): number {
    return this.#oracle.identification();
  }

  load(given: Pick<Case, 'host' | 'backend' | 'texts'>, variant: string): Pending<Recording['refused']> {
    this.#runs = [];
    this.#refused = undefined;
    const answer = this.#oracle.load(given, variant);
    return () => (this.#refused = answer());
  }

  send(steps: readonly KernelStep[]): Pending<readonly Observation[]> {
    const answer = this.#oracle.send(steps);
    return () => {
      const observations = answer();
      if (!areNeighbours(steps)) this.#runs.push(observations);
      return observations;
    };
  }
}

/** Neighbours are made known, and nothing is observed of that. */
const areNeighbours = (steps: readonly KernelStep[]): boolean =>
  steps.length > 0 && steps.every((step) => 'neighbour' in step);

/** The recorded case, and an oracle that says again what the kernel said. It throws when the model sends something else than then. */
export function replayed<T>(
  recorded: RecordedCase<T>,
  hostOf: (host: T) => Host,
): { readonly given: Case; readonly oracle: Oracle } {
  const host = hostOf(recorded.host);
  const given = { host, backend: recorded.backend, texts: recorded.texts, moves: recorded.moves.map(readMove) };
  const runs = [...recorded.runs];
  const oracle: Oracle = {
    tellsStates: () => true,
    identification: () => 1,
    load: () => () => recorded.refused,
    send: (steps) => {
      if (areNeighbours(steps)) return () => [];
      const run = runs.shift();
      if (run?.length !== steps.length) {
        throw new Error(`the recording has ${run?.length ?? 'no'} observations where ${steps.length} are asked for`);
      }
      return () => run.map((observation) => lengthened(observation, host.name));
    },
  };
  return { given, oracle };
}

/** In a trace most packets are the same as in the line before. */
const SAME = '=';

/**
 * The observation of one host as it is kept: without the host's name, a packet that has not changed is not said again, and the numbers that tell packets apart count
 * from 0, so that the same is recorded again but for what the kernel draws at random.
 */
export function shortened(observation: Observation): Observation {
  const packets = new Map<string, string>();
  const short = (part: string, octets: string): string => {
    const isSame = packets.get(part) === octets;
    packets.set(part, octets);
    return isSame ? SAME : octets;
  };
  const ids = [...new Set(observation.trace.flatMap((event) => (event.kind === 'nft' ? [event.id] : [])))];
  const trace = observation.trace.map((event) => {
    const said = withPacket({ ...event, host: '' }, short);
    return said.kind === 'nft' ? { ...said, id: ids.indexOf(said.id) } : said;
  });
  return { ...observation, trace };
}

/** The observation of `host` that was shortened. */
export function lengthened(observation: Observation, host: string): Observation {
  const packets = new Map<string, string>();
  const long = (part: string, octets: string): string => {
    if (octets !== SAME) packets.set(part, octets);
    return packets.get(part) ?? '';
  };
  return { ...observation, trace: observation.trace.map((event) => withPacket({ ...event, host }, long)) };
}

/** The event with each part of its packet, in hex, changed by `change`. */
function withPacket(event: TraceEvent, change: (part: string, octets: string) => string): TraceEvent {
  if (event.kind === 'legacy') return { ...event, packet: change('packet', event.packet) };
  const { network, transport } = event;
  return {
    ...event,
    ...(network === undefined ? {} : { network: change('network', network) }),
    ...(transport === undefined ? {} : { transport: change('transport', transport) }),
  };
}
