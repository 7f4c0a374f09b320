/** The way of a packet through one host: which hooks it can meet, how it ends, and what does not bear on it. */
import { expect } from 'vitest';
import { isMulticast } from '../src/address/address.ts';
import { isGroupMac } from '../src/address/mac.ts';
import { INDEX } from '../src/arbitrary/choice.ts';
import { arbitraryConversation } from '../src/arbitrary/conversation.ts';
import { printMove } from '../src/arbitrary/move.ts';
import { readable } from '../src/arbitrary/readable.ts';
import { worldCase, type WorldCase } from '../src/arbitrary/world.ts';
import { bridgeOfPort, type Host } from '../src/host/host.ts';
import { play, type Move, type Played } from '../src/kernel/dialogue.ts';
import { endingOf } from '../src/netfilter/ending.ts';
import type { Journey, Step } from '../src/netfilter/journey.ts';
import { arrive, copyMachine, flush, machineOf, type Machine } from '../src/netfilter/traverse.ts';
import { printArrival } from '../src/packet/notation.ts';
import { TCP, isLaterFragment, type Arrival, type Entry, type Packet } from '../src/packet/packet.ts';
import type { HookName, TableName } from '../src/ruleset/rule.ts';
import { storedCase } from './support/case.ts';
import { expectSame, journeysOf, playWith, transcriptOf } from './support/ending.ts';
import { COVER, NAT_TARGETS, tellKinds } from './support/kind.ts';
import { law } from './support/law.ts';

const RUNS = 300;
const CASES = worldCase({ loose: true, rules: 30, moves: 8 });
const stored = storedCase<[]>();

/** One stay at a hook: the tables that were visited there, in order. */
interface Stay {
  readonly hook: HookName;
  readonly tables: readonly TableName[];
  /** The port that a bridged copy is to leave by. */
  readonly by: string;
}

/** A flooded frame is at FORWARD and POSTROUTING once for each port that it leaves by; what the host sends to every node, twice at POSTROUTING. */
function staysOf(steps: readonly Step[]): readonly Stay[] {
  const stays: { hook: HookName; tables: TableName[]; by: string }[] = [];
  for (const { hook, table, physout = '' } of steps) {
    const last = stays.at(-1);
    const order = TABLES_AT[hook];
    const goesOn = order.indexOf(table) >= order.indexOf(last?.tables.at(-1) ?? table);
    if (last?.hook === hook && last.by === physout && goesOn) {
      if (last.tables.at(-1) !== table) last.tables.push(table);
    } else stays.push({ hook, tables: [table], by: physout });
  }
  return stays;
}

/** The order of the priorities in include/uapi/linux/netfilter_ipv4.h, as observed (S9): said here once more, so that a slip in hooks.ts shows. */
const TABLES_AT: Readonly<Record<HookName, readonly TableName[]>> = {
  PREROUTING: ['raw', 'mangle', 'nat'],
  INPUT: ['mangle', 'filter', 'nat'],
  FORWARD: ['mangle', 'filter'],
  OUTPUT: ['raw', 'mangle', 'nat', 'filter'],
  POSTROUTING: ['mangle', 'nat'],
};

/** Where a packet can come to from a hook. */
const NEXT: Readonly<Record<HookName, readonly HookName[]>> = {
  PREROUTING: ['INPUT', 'FORWARD'],
  INPUT: [],
  FORWARD: ['POSTROUTING'],
  OUTPUT: ['POSTROUTING'],
  POSTROUTING: ['PREROUTING'],
};

const LETTERS: Readonly<Record<HookName, string>> = {
  PREROUTING: 'P',
  INPUT: 'I',
  FORWARD: 'F',
  OUTPUT: 'O',
  POSTROUTING: 'S',
};

/** The diagram of hooks.ts as a language of hooks, for each way in; a packet that is stopped leaves the rest out. */
function isAllowed(word: string, entry: Entry, host: Host): boolean {
  // A broadcast of the host's own goes round by loopback and out (ip_mc_output; ip6_finish_output2, behind POSTROUTING): two copies at POSTROUTING.
  if (entry.kind === 'local') return /^(O(S(PI?)?S?|SS(PI?)?)?)?$/.test(word);
  if (bridgeOfPort(host, entry.interface) === undefined) return /^(P(I|FS?)?)?$/.test(word);
  return /^(P(FS?)*I?)?$/.test(word);
}

/** The hooks that a packet has been at, in full, by where it came out. */
const WHOLE = [
  ['a routed packet', /^PFS$/],
  ['a delivered packet', /^PI$/],
  ['a packet of the host’s own that leaves', /^OS$/],
  ['a packet of the host to itself', /^OSPI$/],
  ['a bridged frame', /^PFS$/],
  ['a flooded frame', /^P((FS)+I|(FS){2,})$/],
] as const;

law<[WorldCase]>(
  'netfilter/only-the-hooks-of-the-diagram-in-its-order',
  [CASES],
  (drawn, seen) => {
    const played = playWith(drawn, drawn.rulesets);
    for (const { sent, journey } of played) {
      if (sent.kind === 'flush' || journey === undefined) continue;
      const stays = staysOf(journey.steps);
      const word = stays.map(({ hook }) => LETTERS[hook]).join('');
      const { entry } = sent.arrival;
      expect(isAllowed(word, entry, drawn.host), `${word} of ${endingOf(journey)}`).toBe(true);
      stays.forEach(({ hook, tables, by }, at) => {
        // Only nat is not visited by every packet; only the last hook of a packet, or of a flooded frame's copy, may be left early.
        const all = TABLES_AT[hook].filter((table) => table !== 'nat' || tables.includes('nat'));
        const next = stays[at + 1];
        const isLast = next === undefined || next.by !== by || !NEXT[hook].includes(next.hook);
        expect(tables).toEqual(isLast ? all.slice(0, tables.length) : all);
      });
      for (const { hook, iif, oif } of journey.steps) {
        expect([iif !== undefined, oif !== undefined], hook).toEqual([
          hook === 'PREROUTING' ||
            hook === 'INPUT' ||
            hook === 'FORWARD' ||
            (hook === 'POSTROUTING' && iif !== undefined),
          hook === 'FORWARD' || hook === 'OUTPUT' || hook === 'POSTROUTING',
        ]);
      }
      for (const consequence of journey.consequences) {
        const hooks = staysOf(consequence.steps).map(({ hook }) => LETTERS[hook]);
        expect(isAllowed(hooks.join(''), { kind: 'local' }, drawn.host), hooks.join('')).toBe(true);
      }
      const isBridged = journey.steps.some((step) => step.physout !== undefined);
      for (const [kind, pattern] of WHOLE)
        if (pattern.test(word) && isBridged === (kind === 'a bridged frame' || kind === 'a flooded frame')) seen(kind);
    }
    return true;
  },
  {
    runs: RUNS,
    stored,
    cover: {
      'a routed packet': { atLeast: 25 },
      'a delivered packet': { atLeast: 20 },
      'a packet of the host’s own that leaves': { atLeast: 15 },
      'a packet of the host to itself': { atLeast: 4 },
      'a bridged frame': { atLeast: 4 },
      'a flooded frame': { atLeast: 2 },
    },
  },
);

/** Frames for many go on and up: the last rule may have dropped one of the copies, and the other is lost without a rule. */
const isForMany = ({ daddr, dmac }: Packet): boolean => isMulticast(daddr) || (dmac !== undefined && isGroupMac(dmac));

/** Without a rule's line, a reason in words or a policy nobody could say why. */
function expectExplained({ packet, fate, steps, deliveries, exits }: Journey): void {
  const last = steps.at(-1);
  const isSomewhere = deliveries.length + exits.length > 0;
  switch (fate.kind) {
    case 'delivered':
      expect(deliveries).toContain(fate.packet);
      break;
    case 'forwarded':
      expect(deliveries).toEqual([]);
      expect(exits.map(({ packet }) => packet)).toContain(fate.packet);
      break;
    case 'dropped':
      expect(isSomewhere).toBe(false);
      if (fate.reason !== undefined) {
        expect(fate.reason).not.toBe('it went nowhere');
        expect(fate.line).toBeUndefined();
        if (last?.rule !== 'policy' && !isForMany(packet)) expect(last?.target).not.toBe('DROP');
      } else if (fate.line !== undefined) {
        expect(last?.line).toBe(fate.line);
        expect(last?.target === 'DROP' || NAT_TARGETS.has(last?.target ?? '')).toBe(true);
      } else expect([last?.rule, last?.target]).toEqual(['policy', 'DROP']);
      break;
    case 'rejected':
      expect(isSomewhere).toBe(false);
      expect([last?.target, last?.line]).toEqual(['REJECT', fate.line]);
      break;
    case 'undecided':
      expect(fate.reason).toBeDefined();
      break;
  }
}

law<[WorldCase]>(
  'netfilter/every-packet-ends-somewhere-and-the-trace-says-why',
  [worldCase({ loose: true, rules: 30, moves: 8, unmodelled: 2 })],
  (drawn, seen) => {
    const journeys = journeysOf(playWith(drawn, drawn.rulesets));
    const all = (list: readonly Journey[]): readonly Journey[] =>
      list.flatMap((journey) => [journey, ...all(journey.consequences)]);
    for (const journey of all(journeys)) {
      const { packet, fate } = journey;
      // A tcp fragment that begins inside the header is dropped by whoever looks for ports, and no rule has matched (S24).
      if (packet.protocol === TCP && isLaterFragment(packet) && fate.kind === 'dropped') continue;
      // What a flooded frame's copies ended as is more than one fate can say.
      if (
        journey.steps.some(({ hook }) => hook === 'FORWARD') &&
        new Set(journey.steps.map(({ physout }) => physout)).size > 2
      )
        continue;
      expectExplained(journey);
      if (fate.kind === 'dropped' && fate.reason !== undefined) seen('dropped for another reason');
      if (fate.kind === 'dropped' && fate.reason === undefined && fate.line === undefined) seen('dropped by a policy');
      if (fate.kind === 'rejected') seen('rejected');
      if (fate.kind === 'undecided') seen('undecided');
    }
    if (journeys.some(({ consequences }) => consequences.length > 0)) seen('the host answers');
    tellKinds(journeys, seen);
    return true;
  },
  {
    runs: RUNS,
    stored,
    cover: {
      ...COVER,
      'dropped for another reason': { atLeast: 15 },
      'dropped by a policy': { atLeast: 3 },
      rejected: { atLeast: 4 },
      undecided: { atLeast: 2 },
      'the host answers': { atLeast: 8 },
    },
  },
);

law<[WorldCase]>(
  'netfilter/the-same-packets-meet-the-same-fates',
  [worldCase({ loose: true, rules: 30, moves: 8, unmodelled: 1 })],
  (drawn, seen) => {
    const played = playWith(drawn, drawn.rulesets);
    expect(playWith(drawn, drawn.rulesets)).toEqual(played);
    const machine = machineOf(drawn.host, drawn.rulesets, drawn.backend);
    play(machine, drawn.moves);
    flush(machine);
    expect(play(machine, drawn.moves), 'after conntrack -F').toEqual(played);
    tellKinds(journeysOf(played), seen);
    return true;
  },
  { runs: 200, stored, cover: COVER },
);

law<[WorldCase, number]>(
  'netfilter/a-copy-of-a-machine-lives-its-own-life',
  [worldCase({ loose: true, rules: 30, moves: 12 }), INDEX],
  (drawn, where, seen) => {
    const { host, rulesets, backend, moves } = drawn;
    const fresh = () => machineOf(host, rulesets, backend);
    // Packet by packet, so that a datagram may be cut between its fragments.
    const arrivals = play(fresh(), moves).flatMap(({ sent }) => (sent.kind === 'packet' ? [sent.arrival] : []));
    const cut = where % (arrivals.length + 1);
    const sendAll = (machine: Machine, some: readonly Arrival[]): readonly string[] =>
      some.map((arrival) => `${printArrival(arrival)} => ${endingOf(arrive(machine, arrival))}`);
    const begun = (): Machine => {
      const machine = fresh();
      sendAll(machine, arrivals.slice(0, cut));
      return machine;
    };
    const rest = arrivals.slice(cut);
    const expected = sendAll(begun(), rest);

    const original = begun();
    const copy = copyMachine(original);
    const third = copyMachine(original);
    expectSame(expected, sendAll(copy, rest), 'the copy');
    sendAll(copy, arrivals);
    flush(third);
    expectSame(expected, sendAll(original, rest), 'the original');
    if (expected.join('\n') !== sendAll(third, rest).join('\n')) seen('memory matters');
    if (rest.length > 0 && rest.length < arrivals.length) seen('something before and behind');
    if (rest[0] !== undefined && isLaterFragment(rest[0].packet)) seen('cut between fragments');
    return true;
  },
  {
    runs: RUNS,
    stored: storedCase<[number]>(),
    cover: {
      'memory matters': { atLeast: 2 },
      'something before and behind': { atLeast: 30 },
      'cut between fragments': { atLeast: 0.6 },
    },
  },
);

/** Moves of the other family, beside those of the case. `conntrack -F` is of both families. */
const OTHERS = arbitraryConversation(6, 8).map((moves) =>
  readable(
    moves.filter(({ kind }) => kind !== 'flush'),
    (list) => list.map(printMove).join('\n'),
  ),
);

law<[WorldCase, Move[]]>(
  'netfilter/the-families-do-not-meet',
  [worldCase({ family: 4, both: true, loose: true, rules: 30, moves: 8 }), OTHERS],
  ({ host, rulesets, backend, moves }, others, seen) => {
    const machine = machineOf(host, rulesets, backend);
    const four = transcriptOf(play(machine, moves));
    const six: readonly Played[] = play(machine, others);
    const fourAgain = transcriptOf(play(machine, moves));
    const only = (family: 4 | 6) =>
      machineOf(
        host,
        rulesets.filter((ruleset) => ruleset.family === family),
        backend,
      );
    const of4 = only(4);
    expectSame(transcriptOf(play(of4, moves)), four, 'IPv4');
    expectSame(transcriptOf(play(of4, moves)), fourAgain, 'IPv4 again');
    expectSame(transcriptOf(play(only(6), others)), transcriptOf(six), 'IPv6');
    tellKinds(journeysOf(six), seen);
    return true;
  },
  { runs: 200, cover: { ...COVER, ESTABLISHED: { atLeast: 5 } } },
);
