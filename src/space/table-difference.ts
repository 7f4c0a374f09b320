/**
 * What changed for packets between two rulesets of one family, table by table and hook by hook, for any packet on any host: exact, and nothing is
 * guessed about where packets come from or go to.
 */
import type { Ranges } from '../address/ranges.ts';
import { STAGES, tablesAt } from '../netfilter/hooks.ts';
import type { Backend } from '../netfilter/skb.ts';
import { ANY_ENTRY, nameSetHas, sameEntry, type PacketSet } from '../packet/pattern.ts';
import { printTarget } from '../ruleset/print.ts';
import type { HookName, Ruleset, TableName } from '../ruleset/rule.ts';
import type { Chains } from './chain.ts';
import { FALL, NO, terminal, valueOf, YES, type Node } from './diagram.ts';
import { NOT_SEEN, single, stateNumber, type Layout } from './layout.ts';
import { IDENTITY, isAlive, type Outcome, type TtlStep } from './outcome.ts';
import { fromSet } from './packet-set.ts';
import { RulePlaces } from './rule-names.ts';
import { Space } from './space.ts';
import { readBothWays } from './target-reading.ts';
import { touchedDestinations } from './touched.ts';
import { countUnchanged } from './unchanged.ts';
import { LOOPBACK } from './vocabulary.ts';

/**
 * What a difference means to a packet (docs of the command `diff`). `undecided`: a target that is not modelled is met on one side only, or one of another text on
 * the other.
 */
export const CHANGE_CLASSES = [
  'widened',
  'narrowed',
  'retranslated',
  'rerouted',
  'refusal',
  'stateful',
  'marked',
  'logged',
  'undecided',
] as const;
export type ChangeClass = (typeof CHANGE_CLASSES)[number];

/** Where a packet is written of, or marked, it still fares as before. */
export const isSlight = (one: ChangeClass): boolean => one === 'logged' || one === 'marked';

/** Packets that fare otherwise for one reason. */
export interface Region {
  readonly hook: HookName;
  readonly table: TableName;
  readonly classes: readonly ChangeClass[];
  /** The rules that changed, by name: of the old ruleset and of the new one. Neither: the same rules in another order, or a policy. */
  readonly removed?: string;
  readonly added?: string;
  readonly packets: Node;
  /** All that the hook could meet. */
  readonly possible: Node;
  /** What the table makes of these packets, on either side. */
  readonly old: Node;
  readonly now: Node;
}

export interface TableDifference {
  readonly space: Space;
  readonly regions: readonly Region[];
  /** The rules of either side by name. */
  readonly before: RulePlaces;
  readonly after: RulePlaces;
  /** Rules of the new ruleset that stand in the old one, too. */
  readonly unchangedRules: number;
}

export interface DifferenceOptions {
  readonly backend: Backend;
  /** Only packets of this set; entries of it are interfaces that packets come in by. */
  readonly within?: PacketSet;
  readonly limit?: number;
}

const HOOKS = Object.keys(STAGES) as readonly HookName[];

/** Exact: no region means that no packet fares otherwise. Throws SpaceLimitError. */
export function tableDifference(old: Ruleset, now: Ruleset, options: DifferenceOptions): TableDifference {
  const { backend, within, limit } = options;
  const space = new Space([old, now], {
    family: now.family,
    backend,
    more: { devices: within?.boxes.flatMap(({ entry }) => entry.in.names) ?? [] },
    eachReading: true,
    ...(limit === undefined ? {} : { limit }),
  });
  const [before, after] = [new RulePlaces(old), new RulePlaces(now)];
  const regions = HOOKS.flatMap((hook) =>
    tablesAt(hook).flatMap((table) => {
      if (!old.tables.has(table) && !now.tables.has(table)) return [];
      const domain = space.layout.diagrams.and(
        possible(space.layout, hook, table),
        within === undefined ? YES : atHook(space.layout, within),
      );
      return regionsOf(space, { old, now, before, after }, hook, table, domain);
    }),
  );
  return { space, regions, before, after, unchangedRules: countUnchanged(space.chains, old, now) };
}

/** A set of packets at a hook: where they enter is the device that they came in by. */
export function atHook(layout: Layout, set: PacketSet): Node {
  const { devices } = layout.alphabets;
  const boxes = set.boxes.map((box) => {
    const held: number[] = [];
    for (let number = 0; number <= devices.max; number++) {
      const name = devices.nameOf(number);
      if (name === '' ? nameSetHas(box.entry.local, '') : nameSetHas(box.entry.in, name)) held.push(number);
    }
    const packets = fromSet(layout, { boxes: [{ ...box, entry: ANY_ENTRY }] });
    const entering = layout.chooseValues('iif', held, YES, NO);
    return layout.diagrams.and(packets, sameEntry(box.entry, ANY_ENTRY) ? YES : entering);
  });
  return layout.diagrams.orAll(boxes);
}

/** What conntrack may have said of the packets that come to a table at a hook. */
function statesAt(layout: Layout, hook: HookName, table: TableName): Node {
  const inStates = (ranges: Ranges<number>): Node => layout.chooseNumbers('ct', ranges, YES, NO);
  // The nat table is asked for the first packet of a flow, which may be RELATED to another.
  if (table === 'nat') return inStates([...single(stateNumber('NEW')), ...single(stateNumber('RELATED'))]);
  if (table !== 'raw') return inStates([{ from: 0, to: NOT_SEEN - 1 }]);
  const notSeen = inStates(single(NOT_SEEN));
  const { devices } = layout.alphabets;
  const looped = devices.numberOf(LOOPBACK);
  // What a host sends to itself has been seen when it comes back in. Space names its device where rules of raw ask for that.
  if (hook !== 'PREROUTING' || !devices.isExact(looped)) return notSeen;
  return layout.diagrams.ifThenElse(layout.chooseNumbers('iif', single(looped), YES, NO), YES, notSeen);
}

/** Packets as the kernel passes them to a table at a hook: the devices that the hook has, and what conntrack has said by then. */
export function possible(layout: Layout, hook: HookName, table: TableName): Node {
  const { diagrams, alphabets } = layout;
  const none = single(alphabets.devices.numberOf(''));
  const absent = (field: 'iif' | 'oif' | 'physin' | 'physout'): Node => layout.chooseNumbers(field, none, YES, NO);
  const present = (field: 'iif' | 'oif'): Node => layout.chooseNumbers(field, none, NO, YES);
  const comesIn = hook === 'PREROUTING' || hook === 'INPUT' || hook === 'FORWARD';
  const goesOut = hook === 'FORWARD' || hook === 'OUTPUT' || hook === 'POSTROUTING';
  const parts = [
    statesAt(layout, hook, table),
    comesIn ? present('iif') : hook === 'OUTPUT' ? absent('iif') : YES,
    goesOut ? present('oif') : absent('oif'),
    ...(hook === 'OUTPUT' ? [absent('physin')] : []),
    ...(goesOut && hook !== 'OUTPUT' ? [] : [absent('physout')]),
  ];
  return parts.reduce((one, other) => diagrams.and(one, other), YES);
}

interface Sides {
  readonly old: Ruleset;
  readonly now: Ruleset;
  readonly before: RulePlaces;
  readonly after: RulePlaces;
}

/** What one table of one side makes of every packet; `deciding` names the rules. */
export function verdictsOf(
  space: Space,
  ruleset: Ruleset,
  { hook, table, ...asked }: { readonly hook: HookName; readonly table: TableName; readonly within?: Node },
  deciding: boolean,
): Node {
  const next = space.outcomes.node({ kind: 'accepted', ...(deciding ? { rule: `${table} without rules` } : {}) });
  return space.table(
    ruleset,
    table,
    hook,
    { deciding, logs: true, ...asked },
    {
      next,
      translate: (target, rule) =>
        space.outcomes.node({
          kind: 'accepted',
          ...(deciding ? { rule } : {}),
          rewritten: { translation: printTarget(target) },
        }),
    },
  );
}

interface Change {
  readonly change: ChangeClass;
  /** Packets to which the two outcomes are the same after all. */
  readonly except: Node;
  readonly removed?: string;
  readonly added?: string;
}

function regionsOf(space: Space, sides: Sides, hook: HookName, table: TableName, domain: Node): readonly Region[] {
  const { diagrams } = space.layout;
  const chainsOf = ({ tables }: Ruleset): Chains | undefined => tables.get(table)?.chains;
  const touched = touchedDestinations(space, hook, [chainsOf(sides.old), chainsOf(sides.now)]);
  if (touched === NO) return [];
  const asked = { hook, table, ...(touched === YES ? {} : { within: touched }) };
  // Without the rules' names equal functions are one node, and most tables have not changed.
  const [plainOld, plainNew] = [sides.old, sides.now].map((side) => verdictsOf(space, side, asked, false));
  if (plainOld === plainNew || plainOld === undefined || plainNew === undefined) return [];
  const unlike = diagrams.pairing((a, b) => (a === b ? NO : YES), NO);
  const changed = diagrams.and(diagrams.and(domain, touched), diagrams.pair(unlike, plainOld, plainNew));
  if (changed === NO) return [];
  const changes: Change[] = [];
  const numbers = new Map<string, number>();
  const pairing = diagrams.pairing((a, b) => {
    const [one, other] = [space.outcomes.of(terminal(a)), space.outcomes.of(terminal(b))];
    if (one === undefined || other === undefined) return NO;
    const change = changeOf(one, other, sides);
    if (change === undefined) return NO;
    const except = change === 'marked' ? sameMarks(space.layout, one, other) : NO;
    const found: Change = { change, except, ...changedRules(one, other, change, sides) };
    const key = `${found.change} ${except}\n${found.removed ?? ''}\n${found.added ?? ''}`;
    let number = numbers.get(key);
    if (number === undefined) {
      number = changes.push(found) - 1;
      numbers.set(key, number);
    }
    return terminal(number + 1);
  }, NO);
  const [old, now] = [sides.old, sides.now].map((side) =>
    diagrams.guard(changed, verdictsOf(space, side, { hook, table, within: changed }, true)),
  );
  const pairs = diagrams.pair(pairing, old ?? FALL, now ?? FALL);
  const flows = space.layout.chooseNumbers(
    'ct',
    [{ from: stateNumber('ESTABLISHED'), to: stateNumber('RELATED') }],
    YES,
    NO,
  );
  const regions = [...diagrams.setsOf(pairs)].flatMap(([node, all]): readonly Region[] => {
    const found = changes[valueOf(node) - 1];
    if (found === undefined) return [];
    const { change, except, ...rules } = found;
    const packets = diagrams.less(all, except);
    if (packets === NO) return [];
    // Where only packets of flows that exist fare otherwise, it is their state that matters.
    const isNew = diagrams.less(packets, flows) !== NO;
    const classes: readonly ChangeClass[] =
      isNew || isSlight(change) || change === 'undecided' ? [change] : ['stateful'];
    return [
      {
        hook,
        table,
        classes,
        ...rules,
        packets,
        possible: possible(space.layout, hook, table),
        old: plainOld,
        now: plainNew,
      },
    ];
  });
  return space.readings === undefined
    ? regions
    : readBothWays(
        space.layout,
        space.readings,
        regions,
        ({ classes }) => classes.every(isSlight),
        (region): Region => ({ ...region, classes: ['undecided'] }),
      );
}

/** What it means that a packet has another outcome; undefined where it means nothing. */
function changeOf(old: Outcome, now: Outcome, { before, after }: Sides): ChangeClass | undefined {
  if (old.kind === 'undecided' || now.kind === 'undecided')
    return old.kind === now.kind && old.reason === now.reason ? undefined : 'undecided';
  if (isAlive(old) !== isAlive(now)) return isAlive(now) ? 'widened' : 'narrowed';
  if (!isAlive(now)) {
    if (old.kind !== now.kind || old.with !== now.with) return 'refusal';
  } else {
    if (old.rewritten.translation !== now.rewritten.translation) return 'retranslated';
    if (old.rewritten.untracked !== now.rewritten.untracked) return 'stateful';
    if (marksOf(old) !== marksOf(now)) return 'marked';
  }
  // A log entry says what was written, not where its rule stands.
  const entries = (names: readonly string[], rules: RulePlaces): string =>
    names.map((name) => rules.targetOf(name)).join('\n');
  return entries(old.logged, before) === entries(now.logged, after) ? undefined : 'logged';
}

const marksOf = ({ rewritten: { mark, ctmark, ttl } }: Outcome): string => JSON.stringify([mark, ctmark, ttl]);

/** The packets whose marks and ttl both outcomes leave the same, though they come to it in different ways. */
function sameMarks(layout: Layout, one: Outcome, other: Outcome): Node {
  const { diagrams } = layout;
  let same = YES;
  for (const [field, against] of [
    ['mark', 'ctmark'],
    ['ctmark', 'mark'],
  ] as const) {
    const [left, right] = [one.rewritten[field] ?? IDENTITY, other.rewritten[field] ?? IDENTITY];
    for (let bit = 0; bit < 32; bit++) {
      const differs = (a: number, b: number): boolean => (((a ^ b) >>> bit) & 1) === 1;
      const set = (of: 'mark' | 'ctmark'): Node => diagrams.choose(layout.bitLevel(of, bit), single(1), YES, NO);
      const own = differs(left.own, right.own) ? set(field) : NO;
      const others = differs(left.other, right.other) ? set(against) : NO;
      // The two results of this bit differ where an odd number of these holds.
      const odd = diagrams.or(diagrams.less(own, others), diagrams.less(others, own));
      same = diagrams.and(same, differs(left.xor, right.xor) ? odd : diagrams.not(odd));
    }
  }
  const alike: number[] = [];
  for (let ttl = 0; ttl < 256; ttl++)
    if (ttlAfter(ttl, one.rewritten.ttl ?? []) === ttlAfter(ttl, other.rewritten.ttl ?? [])) alike.push(ttl);
  return diagrams.and(same, layout.chooseValues('ttl', alike, YES, NO));
}

const ttlAfter = (ttl: number, steps: readonly TtlStep[]): number =>
  steps.reduce(
    (now, { operation, value }) =>
      operation === 'set' ? value : Math.min(255, Math.max(0, operation === 'inc' ? now + value : now - value)),
    ttl,
  );

/** The rule that decided on one side and is not in the other ruleset. */
function changedRules(
  old: Outcome,
  now: Outcome,
  change: ChangeClass,
  { before, after }: Sides,
): Omit<Change, 'change' | 'except'> {
  const gone = (name: string | undefined, others: RulePlaces): name is string =>
    name !== undefined && !others.has(name) && !name.endsWith(' policy');
  if (change === 'logged') {
    const [removed] = old.logged.filter((name) => !now.logged.includes(name));
    const [added] = now.logged.filter((name) => !old.logged.includes(name));
    return { ...(removed === undefined ? {} : { removed }), ...(added === undefined ? {} : { added }) };
  }
  const removed = gone(old.rule, after) ? old.rule : undefined;
  const added = gone(now.rule, before) ? now.rule : undefined;
  return { ...(removed === undefined ? {} : { removed }), ...(added === undefined ? {} : { added }) };
}
