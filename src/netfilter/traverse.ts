/**
 * The specification's entry: a host with its rules, a packet in, its journey out.
 *
 * What the model does not know it reads both ways. A fate that is the same in every reading is decided; one that is not is `undecided`, with the
 * line of the rule that was asked, and from then on the host is in several possible states at once, all of which later packets meet.
 */
import type { Family } from '../address/address.ts';
import type { Host } from '../host/host.ts';
import { printOutcome } from '../packet/fate.ts';
import type { Arrival } from '../packet/packet.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { compileRuleset, type CompiledRule, type CompiledRuleset } from './compile.ts';
import { Conntrack } from './conntrack.ts';
import { Fragments } from './fragments.ts';
import type { Fate, Journey } from './journey.ts';
import { Passage, type Memory } from './passage.ts';
import type { Backend } from './skb.ts';

/** A host that packets can be sent through. It remembers its flows from one to the next. */
export interface Machine {
  readonly host: Host;
  readonly backend: Backend;
  readonly rules: ReadonlyMap<Family, CompiledRuleset>;
  /** What it may remember: one memory, unless something undecided has happened; none when there were too many possibilities to keep. */
  memories: readonly Memory[];
}

export function machineOf(host: Host, rulesets: readonly Ruleset[], backend: Backend = 'nft'): Machine {
  const rules = new Map(rulesets.map((ruleset) => [ruleset.family, compileRuleset(ruleset)]));
  return { host, backend, rules, memories: [freshMemory()] };
}

const freshMemory = (): Memory => ({ conntrack: new Conntrack(), fragments: new Fragments() });

const copyMemory = (memory: Memory): Memory => ({
  conntrack: memory.conntrack.copy(),
  fragments: memory.fragments.copy(),
});

/** A machine of its own with the same memory: what happens to one does not reach the other. The compiled rules are shared. */
export const copyMachine = (machine: Machine): Machine => ({ ...machine, memories: machine.memories.map(copyMemory) });

/** The same host and rules, having seen nothing yet. */
export const freshMachine = (machine: Machine): Machine => ({ ...machine, memories: [freshMemory()] });

/** `conntrack -F`: forgets every flow, and with it every doubt. */
export function flush(machine: Machine): void {
  machine.memories = [freshMemory()];
}

/** More readings than this of one packet, or more possible states of a host, are not followed: the fate is then undecided. */
const MAX_READINGS = 64;

/** Sends a packet through: its journey, and what the machine remembers of it. */
export function arrive(machine: Machine, arrival: Arrival): Journey {
  const [only] = machine.memories;
  const knowsAll = machine.rules.get(arrival.packet.family)?.hasUnknown !== true;
  if (only !== undefined && machine.memories.length === 1 && knowsAll)
    return pass(machine, only, arrival, new Reading([])).journey;
  return arriveInDoubt(machine, arrival);
}

interface Outcome {
  readonly journey: Journey;
  readonly memory: Memory;
  readonly asked: readonly CompiledRule[];
  /** The answers that were given to what was asked. */
  readonly answers: readonly boolean[];
}

function pass(machine: Machine, memory: Memory, { packet, entry, state }: Arrival, reading: Reading): Outcome {
  const { host, backend, rules } = machine;
  const passage = new Passage({ host, backend, rules, memory, readings: reading }, packet.family);
  return { journey: passage.run(packet, entry, state), memory, asked: reading.asked, answers: reading.answers };
}

/** One way to answer the questions of one packet: as given, then no. */
class Reading {
  readonly answers: boolean[];
  readonly asked: CompiledRule[] = [];
  constructor(answers: readonly boolean[]) {
    this.answers = [...answers];
  }
  next(rule: CompiledRule): boolean {
    const at = this.asked.length;
    this.asked.push(rule);
    this.answers[at] ??= false;
    return this.answers[at];
  }
}

/** The next reading after this one, counting in binary over the questions that were asked; undefined after the last. */
function nextAnswers(reading: Reading): readonly boolean[] | undefined {
  const last = reading.answers.lastIndexOf(false, reading.asked.length - 1);
  return last < 0 || reading.asked.length === 0 ? undefined : [...reading.answers.slice(0, last), true];
}

function arriveInDoubt(machine: Machine, arrival: Arrival): Journey {
  const outcomes: Outcome[] = [];
  let complete = true;
  for (const memory of machine.memories) {
    let answers: readonly boolean[] | undefined = [];
    while (answers !== undefined && complete) {
      const reading: Reading = new Reading(answers);
      outcomes.push(pass(machine, copyMemory(memory), arrival, reading));
      answers = nextAnswers(reading);
      if (outcomes.length >= MAX_READINGS && answers !== undefined) complete = false;
    }
  }
  machine.memories = complete ? distinctMemories(outcomes.map((outcome) => outcome.memory)) : [];
  const [first] = outcomes;
  if (first === undefined) return lostTrack(machine, arrival);
  const alike = outcomes.every((outcome) => endsAlike(outcome.journey, first.journey));
  if (alike && complete) return first.journey;
  const unlike = outcomes.find((outcome) => !endsAlike(outcome.journey, first.journey));
  // The first question that is answered otherwise where it ends otherwise: the one that matters.
  const rule = unlike?.asked[unlike.answers.indexOf(true)] ?? first.asked[0];
  const fate: Fate =
    first.journey.fate.kind === 'undecided'
      ? first.journey.fate
      : {
          kind: 'undecided',
          reason:
            rule === undefined
              ? 'an earlier packet of the conversation was undecided'
              : complete
                ? `${rule.because}: ${inWords(first, unlike)} if it does not match, ${inWords(unlike ?? first, first)} if it does`
                : `${rule.because}; there are too many such rules to follow every reading`,
          ...(rule === undefined ? {} : { line: rule.line }),
        };
  return { ...first.journey, fate };
}

/** A fate by its kind, or with the packet where the other reading's is of the same kind. */
const inWords = ({ journey: { fate } }: Outcome, other: Outcome | undefined): string =>
  fate.kind === other?.journey.fate.kind ? printOutcome(fate) : fate.kind;

function distinctMemories(memories: readonly Memory[]): readonly Memory[] {
  const distinct = new Map(
    memories.map((memory) => [`${memory.conntrack.fingerprint()}\n\n${memory.fragments.fingerprint()}`, memory]),
  );
  return distinct.size > MAX_READINGS ? [] : [...distinct.values()];
}

/** Too much has been undecided for anything to be said of what follows. */
function lostTrack(machine: Machine, arrival: Arrival): Journey {
  const outcome = pass(machine, freshMemory(), arrival, new Reading([]));
  return { ...outcome.journey, fate: { kind: 'undecided', reason: 'too many earlier packets were undecided' } };
}

/** The same fate, and the same copies out and in. */
function endsAlike(a: Journey, b: Journey): boolean {
  return describeEnd(a) === describeEnd(b);
}

const describeEnd = (journey: Journey): string =>
  JSON.stringify(
    [
      journey.fate.kind,
      journey.exits.map(({ oif, port, packet }) => [oif, port, packet]),
      journey.deliveries,
      journey.consequences.map((consequence) => describeEnd(consequence)),
    ],
    (_key, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value),
  );
