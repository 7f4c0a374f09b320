/** What a comparison has met: classes of rules, packets and fates, counted, so that a campaign can say what its agreement is worth. */
import type { Journey } from '../netfilter/journey.ts';
import type { Match, Ruleset } from '../ruleset/rule.ts';
import type { Comparison } from './compare.ts';
import { FLOORS } from './floors.ts';

/** How often each class was met, by its name: `match conntrack`, `fate forwarded`. */
export type Coverage = Map<string, number>;

const count = (coverage: Coverage, name: string): void => {
  coverage.set(name, (coverage.get(name) ?? 0) + 1);
};

/** Adds what one comparison has met. A match counts when its rule matched, not when it was only asked. */
export function addCoverage(coverage: Coverage, { played, difference, refused, rulesets }: Comparison): void {
  if (refused === true) count(coverage, 'load refused');
  if (difference !== undefined) return;
  for (const { sent, journey } of played) {
    if (sent.kind === 'flush') count(coverage, 'move flush');
    if (sent.kind === 'flush' || journey === undefined) continue;
    const { entry, packet } = sent.arrival;
    count(coverage, entry.kind === 'local' ? 'entry local' : `entry ${entry.interface}`);
    count(coverage, `protocol ${packet.protocol}`);
    if (packet.fragment !== undefined) count(coverage, 'packet fragment');
    if (packet.badsum) count(coverage, 'packet badsum');
    if (packet.quoted !== undefined) count(coverage, 'packet quoting');
    addJourney(coverage, journey, rulesets);
    for (const consequence of journey.consequences) {
      count(coverage, `consequence ${consequence.fate.kind}`);
      addJourney(coverage, consequence, rulesets);
    }
  }
}

function addJourney(coverage: Coverage, journey: Journey, rulesets: readonly Ruleset[]): void {
  const { packet, state, fate, steps, exits } = journey;
  count(coverage, `state ${state}`);
  count(coverage, `fate ${fate.kind}`);
  if (exits.length > 1) count(coverage, 'fate flooded');
  if (journey.fresh !== undefined || exits.some((exit) => exit.fresh !== undefined)) count(coverage, 'nat random');
  if (jumpsAtMost(steps) >= DEEP) count(coverage, `chain ${DEEP} deep`);
  for (const { hook, table, chain, rule, target, physout, packet: at } of steps) {
    count(coverage, `hook ${hook} ${table}`);
    if (physout !== undefined) count(coverage, 'path bridged');
    if (at.saddr !== packet.saddr || at.daddr !== packet.daddr) count(coverage, 'nat translated');
    if (rule === 'policy') count(coverage, `policy ${target}`);
    if (typeof rule !== 'number') continue;
    const written = rulesets
      .find(({ family }) => family === packet.family)
      ?.tables.get(table)
      ?.chains.get(chain)?.rules[rule - 1];
    count(coverage, `target ${written?.target?.kind ?? 'none'}`);
    for (const match of written?.matches ?? []) for (const name of namesOf(match)) count(coverage, `match ${name}`);
  }
}

/** nft takes three more. */
const DEEP = 12;

/** The longest row of chains of which each called the next. */
function jumpsAtMost(steps: Journey['steps']): number {
  let [row, most] = [0, 0];
  let called: string | undefined;
  for (const { chain, target, rule } of steps) {
    row = rule !== 'policy' && chain === called ? row + 1 : 0;
    called = target;
    most = Math.max(most, row);
  }
  return most;
}

/** A match by its kind; one that asks several things by each of them. */
function namesOf(match: Match): readonly string[] {
  switch (match.kind) {
    case 'conntrack':
    case 'physdev':
    case 'addrtype':
    case 'iprange':
      return Object.entries(match).flatMap(([name, asked]: [string, unknown]) =>
        name === 'kind' ? [] : [`${match.kind} ${name}${isNegated(asked) ? ' negated' : ''}`],
      );
    default:
      return [`${match.kind}${isNegated(match) ? ' negated' : ''}`];
  }
}

const isNegated = (asked: unknown): boolean =>
  typeof asked === 'object' && asked !== null && 'not' in asked && asked.not === true;

/** Two campaigns' counts as one's. */
export function mergeCoverage(into: Coverage, other: Iterable<readonly [string, number]>): void {
  for (const [name, number] of other) into.set(name, (into.get(name) ?? 0) + number);
}

const CHANCE = 3;

/** The classes that a campaign of so many cases has met less often than it should, with both numbers. */
export const tooRare = (coverage: Coverage, cases: number): readonly string[] =>
  Object.entries(FLOORS).flatMap(([perThousand, names]) => {
    // What is to be met a few times only may by chance not be met at all.
    const floor = Math.floor((Number(perThousand) * cases) / 1000) - CHANCE;
    return names.flatMap((name) => {
      const met = coverage.get(name) ?? 0;
      return met < floor ? [`${name}: ${met}, expected ${floor} at least`] : [];
    });
  });

/** A table of classes, a line a class, the rarest of each kind last. */
export const printCoverage = (coverage: Coverage): string =>
  [...coverage]
    .sort(([a, m], [b, n]) => kindOf(a).localeCompare(kindOf(b)) || n - m || a.localeCompare(b))
    .map(([name, number]) => `${`${number}`.padStart(9)}  ${name}`)
    .join('\n');

const kindOf = (name: string): string => name.slice(0, name.indexOf(' '));
