/** What two rulesets make of one packet, and of the conversation that it begins: told by what the model's journeys show, with no set of packets anywhere. */
import type { Host } from '../host/host.ts';
import type { Exit, Journey } from '../netfilter/journey.ts';
import type { Backend } from '../netfilter/skb.ts';
import { arrive, machineOf, type Machine } from '../netfilter/traverse.ts';
import { answerTo } from '../network/converse.ts';
import type { Arrival, Packet } from '../packet/packet.ts';
import { laterThan, type Turn } from '../packet/reply.ts';
import { printTarget } from '../ruleset/print.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import type { ChangeClass } from '../space/table-difference.ts';

/** A conversation whose last packet fares otherwise. */
export interface Told {
  readonly turns: readonly Turn[];
  readonly alive: boolean;
  readonly classes: readonly ChangeClass[];
}

/** What is told of a packet, as one text. */
export const classKey = (told: readonly Told[]): string =>
  told
    .map(({ turns, alive, classes }) => `${alive ? 'alive ' : ''}${turns.join(' ')}: ${[...classes].sort().join()}`)
    .sort()
    .join('\n');

export interface Faring {
  readonly told: readonly Told[];
  /** Something on the way is not known, or is not followed: copies. */
  readonly doubtful: boolean;
  readonly journeys: readonly Journey[];
}

const TALKS: readonly (readonly Turn[])[] = [
  ['packet', 'packet'],
  ['packet', 'reply'],
  ['packet', 'reply', 'later'],
  ['packet', 'reply', 'later', 'reply'],
];

const targetOf = (ruleset: Ruleset, { table, chain, rule }: Journey['steps'][number]): string => {
  const found =
    typeof rule === 'number' ? ruleset.tables.get(table)?.chains.get(chain)?.rules[rule - 1]?.target : undefined;
  return found === undefined ? '' : printTarget(found);
};

const logsOf = (ruleset: Ruleset, { steps }: Journey): string =>
  steps
    .filter(({ target }) => target === 'LOG' || target === 'NFLOG')
    .map((step) => `${step.hook} ${targetOf(ruleset, step)}`)
    .join('\n');

interface Copy {
  readonly place: string;
  readonly packet: Packet;
}

const copiesOf = ({ exits, deliveries }: Journey): readonly Copy[] => [
  ...exits.map(({ oif, port, frame, packet }: Exit) => ({ place: `${oif} ${port ?? ''} ${frame.dmac}`, packet })),
  ...deliveries.map((packet) => ({ place: 'here', packet })),
];

const endpoint = ({ place, packet }: Copy): string =>
  `${place === 'here'} ${packet.daddr} ${packet.protocol} ${packet.dport}.${packet.type}.${packet.code}`;
const source = ({ packet }: Copy): string => `${packet.saddr} ${packet.sport} ${packet.id}`;
const rest = ({ packet }: Copy): string => `${packet.ttl} ${packet.mark}`;

/** The classes of the command's own words, of one packet. */
export function classesOf(was: Journey, is: Journey, old: Ruleset, now: Ruleset): readonly ChangeClass[] {
  const logged: readonly ChangeClass[] = logsOf(old, was) === logsOf(now, is) ? [] : ['logged'];
  const [before, after] = [copiesOf(was), copiesOf(is)];
  const keys = (copies: readonly Copy[], of: (copy: Copy) => string): readonly string[] => copies.map(of).sort();
  const same = (of: (copy: Copy) => string): boolean => keys(before, of).join('\n') === keys(after, of).join('\n');
  if (before.length === 0 && after.length === 0) {
    const refusal = (journey: Journey, ruleset: Ruleset): string => {
      const last = journey.steps.at(-1);
      return journey.fate.kind === 'rejected' && last !== undefined ? targetOf(ruleset, last) : 'dropped';
    };
    return [...(refusal(was, old) === refusal(is, now) ? [] : (['refusal'] as const)), ...logged];
  }
  const [reached, reaches] = [keys(before, endpoint), keys(after, endpoint)];
  const moved: readonly ChangeClass[] = [
    ...(reaches.some((one) => !reached.includes(one)) ? (['widened'] as const) : []),
    ...(reached.some((one) => !reaches.includes(one)) ? (['narrowed'] as const) : []),
  ];
  if (moved.length > 0) return [...moved, ...logged];
  const other: readonly ChangeClass[] = [
    ...(same((copy) => `${endpoint(copy)} ${source(copy)}`) ? [] : (['retranslated'] as const)),
    ...(same(({ place }) => place) ? [] : (['rerouted'] as const)),
  ];
  if (other.length > 0) return [...other, ...logged];
  return [...(same(rest) ? [] : (['marked'] as const)), ...logged];
}

const isSlight = (classes: readonly ChangeClass[]): boolean =>
  classes.every((one) => one === 'marked' || one === 'logged');

/** The journeys of a conversation, the last packet under `last`'s rules; undefined where somebody has nothing to say, or a packet did not get to just one. */
function held(begin: Machine, last: Machine, first: Arrival, turns: readonly Turn[]): readonly Journey[] | undefined {
  const journeys: Journey[] = [];
  let machine = begin;
  let reply: Packet | undefined;
  for (const [index, turn] of turns.entries()) {
    const before = journeys.at(-1);
    if (before !== undefined && copiesOf(before).length !== 1) return undefined;
    if (index === turns.length - 1) machine = { ...last, memories: machine.memories };
    const later = reply === undefined ? undefined : laterThan(first.packet, reply);
    const arrival: Arrival | undefined =
      turn === 'packet' ? first : turn === 'reply' ? before && answerTo(before) : later && { ...first, packet: later };
    if (arrival === undefined) return undefined;
    if (turn === 'reply') reply = arrival.packet;
    journeys.push(arrive(machine, arrival));
  }
  return journeys;
}

export function faring(
  { host, old, now, backend }: { host: Host; old: Ruleset; now: Ruleset; backend: Backend },
  first: Arrival,
): Faring {
  const machine = (ruleset: Ruleset): Machine => machineOf(host, [ruleset], backend);
  const talk = (turns: readonly Turn[], begin: Ruleset, end: Ruleset): readonly Journey[] | undefined => {
    const own = machine(begin);
    return held(own, begin === end ? own : machine(end), first, turns);
  };
  const told: Told[] = [];
  const journeys: Journey[] = [];
  const slight = new Set<string>();
  let doubtful = false;
  /** Whether the last packet fares otherwise, and not slightly. */
  const compare = (turns: readonly Turn[], alive: boolean): 'alike' | 'different' | 'over' => {
    const [before, after] = [talk(turns, old, old), talk(turns, alive ? old : now, now)];
    const [was, is] = [before?.at(-1), after?.at(-1)];
    if (before === undefined || after === undefined || was === undefined || is === undefined) return 'over';
    journeys.push(...before, ...after);
    if ([...before, ...after].some(({ fate }) => fate.kind === 'undecided')) doubtful = true;
    const isOfFlow = turns.at(-1) === 'packet' || was.state === 'ESTABLISHED' || is.state === 'ESTABLISHED';
    if (!isOfFlow) return 'over';
    const found = classesOf(was, is, old, now);
    if (found.length === 0) return 'alike';
    if (isSlight(found)) {
      if (!slight.has(found.join())) told.push({ turns, alive, classes: found });
      slight.add(found.join());
      return 'alike';
    }
    const classes: readonly ChangeClass[] =
      turns.length === 1 ? found : ['stateful', ...found.filter((one) => one === 'logged')];
    told.push({ turns, alive, classes });
    return 'different';
  };
  const firstIs = compare(['packet'], false);
  const opened = [old, now].some((ruleset) => arrive(machine(ruleset), first).state === 'NEW');
  let isTold = firstIs === 'different';
  const goOn = (alive: boolean, talks: readonly (readonly Turn[])[]): void => {
    for (const turns of talks) {
      const end = compare(turns, alive);
      if (end === 'different') {
        isTold = true;
        return;
      }
      if (end === 'over' && turns.length > 1 && turns[1] !== 'packet') return;
    }
  };
  if (opened && firstIs !== 'different') goOn(false, TALKS);
  if (opened && (firstIs === 'different' || !isTold)) goOn(true, TALKS.slice(firstIs === 'different' ? 1 : 0));
  return { told, doubtful, journeys };
}
