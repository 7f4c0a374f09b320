/** The model's trace and Linux's side by side: each line marked with whose it is. */
import type { Found } from '../kernel/compare.ts';
import type { LinuxExchange } from '../kernel/linux-conversation.ts';
import { isAsked } from '../kernel/linux-conversation.ts';
import type { LinuxHop, LinuxWay, NotAsked } from '../kernel/linux-world.ts';
import type { Journey, Step } from '../netfilter/journey.ts';
import { printOutcome } from '../packet/fate.ts';
import type { Paint } from './paint.ts';
import { printable } from './printable.ts';

/** What a comparison with Linux came to. `undecided`: the model does not know, so that there is nothing to compare. */
export type Word = 'agrees' | 'differs' | 'undecided' | 'not-asked';

/** Which Linux was asked. */
export interface LinuxVersion {
  readonly kernel: string;
  readonly iptables: string;
}

/** Something of one packet or `reply` line that is not the same on Linux. */
export interface LinuxDifference extends Found {
  readonly host: string;
}

/** What Linux says of one packet: beside what the model says of it. */
export interface Twin {
  readonly word: Word;
  /** Why Linux was not asked, or there is nothing to compare. */
  readonly because?: string;
  readonly hops: readonly LinuxHop[];
  /** Where it ended, of all hops. */
  readonly last?: Journey;
  readonly differences: readonly LinuxDifference[];
}

/** The model's side, as it is printed: the journeys of one packet. */
export type ModelHops = readonly { readonly host: string; readonly journey: Journey }[];

/** Compares a passage on Linux with the journeys that the model shows. Undefined where neither has anybody who sends it. */
export function twinOf(passage: LinuxWay | NotAsked | undefined, model: ModelHops, last?: Journey): Twin | undefined {
  if (passage === undefined) {
    const [first] = model;
    if (first === undefined) return undefined;
    const difference: LinuxDifference = {
      host: first.host,
      what: 'fate',
      model: model.map(({ journey }) => printOutcome(journey.fate)),
      kernel: ['nobody sends it'],
    };
    return { word: 'differs', hops: [], differences: [difference] };
  }
  if (!isAsked(passage)) return { word: 'not-asked', because: passage.notAsked, hops: [], differences: [] };
  const { hops } = passage;
  const ended = last ?? hops.at(-1)?.journey;
  const differences = hops.flatMap(({ host, difference }): LinuxDifference[] =>
    difference === undefined ? [] : [{ host, ...difference }],
  );
  const doubtful = [...hops.map((hop) => hop.model), ...model.map(({ journey }) => journey)].find(
    ({ fate }) => fate.kind === 'undecided',
  );
  const base = { hops, ...(ended === undefined ? {} : { last: ended }) };
  if (differences.length === 0 && doubtful !== undefined)
    return { word: 'undecided', because: doubtful.fate.reason ?? 'the model does not know', ...base, differences };
  const found = differences.length === 0 ? otherWay(model, hops) : undefined;
  const all = found === undefined ? differences : [found];
  return { word: all.length === 0 ? 'agrees' : 'differs', ...base, differences: all };
}

/** The hops were compared one by one, on the packets that Linux sent; what the model shows is its own way, from its own packets. */
function otherWay(model: ModelHops, hops: readonly LinuxHop[]): LinuxDifference | undefined {
  for (let at = 0; at < Math.max(model.length, hops.length); at++) {
    const [ours, theirs] = [model[at], hops[at]];
    const print = (hop: { host: string; journey: Journey } | undefined): string =>
      hop === undefined ? 'nothing' : `${hop.host}: ${placeOf(hop.journey)}`;
    const [left, right] = [print(ours), print(theirs)];
    if (left !== right) return { host: (theirs ?? ours)?.host ?? '', what: 'fate', model: [left], kernel: [right] };
  }
  return undefined;
}

/** Where it ended: the packets have been compared, but for what the kernel chooses at random. */
const placeOf = ({ fate: { kind, oif, port } }: Journey): string =>
  [kind, oif, port].filter((part) => part !== undefined).join(' ');

/** What Linux says of each line, and of the answer to it. */
export interface LinuxLine {
  readonly twin?: Twin;
  readonly answer?: Twin;
}

/** What Linux said of a line of a conversation, beside the model's hops of the same line. */
export function linuxLine(
  { passage, last, answer }: LinuxExchange,
  model: ModelHops,
  modelAnswer: ModelHops | undefined,
): LinuxLine {
  const twin = twinOf(passage, model, last);
  const answered = answerTwin(answer, modelAnswer, twin);
  return {
    ...(twin === undefined ? {} : { twin }),
    ...(answered === undefined ? {} : { answer: answered }),
  };
}

function answerTwin(
  answer: LinuxExchange['answer'],
  model: ModelHops | undefined,
  twin: Twin | undefined,
): Twin | undefined {
  // Nobody answers in the model, nor on Linux; or Linux has not had the packet.
  if (model === undefined && (answer === undefined || !isAsked(answer))) return undefined;
  const compared = twinOf(answer, model ?? []);
  if (compared === undefined || twin?.word !== 'undecided' || compared.word === 'agrees') return compared;
  const because = 'the model does not know where the packet itself ends';
  return { ...compared, word: 'undecided', because, differences: [] };
}

/** `=` both, `-` the model alone, `+` Linux alone. */
export type Mark = '=' | '-' | '+';

export interface MarkedStep {
  readonly mark: Mark;
  readonly step: Step;
}

const keyOf = ({ hook, table, chain, rule, target, iif, oif }: Step): string =>
  [hook, table, chain, rule, target, iif ?? '', oif ?? ''].join(' ');

/** More steps than this on either side are not aligned but told one side after the other: alignment takes their product. */
const LONGEST = 400;

/** Both traces in one, in order: a longest common subsequence, the rest from the model before the rest from Linux. */
export function alignSteps(model: readonly Step[], linux: readonly Step[]): MarkedStep[] {
  const [ours, theirs] = [model.map(keyOf), linux.map(keyOf)];
  const alike = ours.length === theirs.length && ours.every((key, at) => key === theirs[at]);
  if (alike) return model.map((step) => ({ mark: '=', step }));
  if (Math.max(ours.length, theirs.length) > LONGEST)
    return [
      ...model.map((step): MarkedStep => ({ mark: '-', step })),
      ...linux.map((step): MarkedStep => ({ mark: '+', step })),
    ];
  const lengths = ours.map(() => theirs.map(() => 0));
  const common = (i: number, j: number): number => lengths[i]?.[j] ?? 0;
  for (let i = ours.length - 1; i >= 0; i--)
    for (let j = theirs.length - 1; j >= 0; j--) {
      const row = lengths[i];
      if (row !== undefined)
        row[j] = ours[i] === theirs[j] ? common(i + 1, j + 1) + 1 : Math.max(common(i + 1, j), common(i, j + 1));
    }
  const marked: MarkedStep[] = [];
  let [i, j] = [0, 0];
  for (;;) {
    const [left, right] = [model[i], linux[j]];
    if (left === undefined && right === undefined) return marked;
    if (left !== undefined && right !== undefined && ours[i] === theirs[j]) {
      marked.push({ mark: '=', step: left });
      i++;
      j++;
    } else if (left !== undefined && (right === undefined || common(i + 1, j) >= common(i, j + 1))) {
      marked.push({ mark: '-', step: left });
      i++;
    } else if (right !== undefined) {
      marked.push({ mark: '+', step: right });
      j++;
    }
  }
}

const wordOf = ({ word }: Twin, paint: Paint): string =>
  word === 'agrees' ? paint.good(word) : word === 'differs' ? paint.bad(word) : paint.doubtful(word.replace('-', ' '));

/** The word, why where there is a why, and both sides of each difference. */
export function printWord(twin: Twin, { kernel, iptables }: LinuxVersion, paint: Paint, indent: string): string[] {
  const why = twin.because === undefined ? '' : `: ${printable(twin.because)}`;
  const lines = [`${indent}Linux ${kernel}, ${iptables}: ${wordOf(twin, paint)}${why}`];
  for (const { host, what, model, kernel: linux } of twin.differences) {
    lines.push(`${indent}  in ${what} on ${printable(host)}:`);
    for (let at = 0; at < Math.max(model.length, linux.length); at++) {
      const [ours, theirs] = [model[at], linux[at]];
      if (ours === theirs) lines.push(`${indent}    = ${printable(ours ?? '')}`);
      else {
        if (ours !== undefined) lines.push(`${indent}    - ${printable(ours)}`);
        if (theirs !== undefined) lines.push(`${indent}    + ${printable(theirs)}`);
      }
    }
  }
  return lines;
}

/** How many packets and replies agree, for the last line. */
export function summaryOfTwins(lines: readonly LinuxLine[], { kernel }: LinuxVersion): string {
  const counts = new Map<Word, number>();
  for (const { twin, answer } of lines)
    for (const one of [twin, answer]) if (one !== undefined) counts.set(one.word, (counts.get(one.word) ?? 0) + 1);
  const words = [...counts].map(([word, count]) => `${count} ${VERBS[word](count)}`);
  return `Linux ${kernel}: ${words.length === 0 ? 'nothing to ask' : words.join(', ')}`;
}

const VERBS: Readonly<Record<Word, (count: number) => string>> = {
  agrees: (count) => (count === 1 ? 'agrees' : 'agree'),
  differs: (count) => (count === 1 ? 'differs' : 'differ'),
  undecided: () => 'undecided',
  'not-asked': () => 'not asked',
};
