/** What a comparison has met: classes of rules, packets and fates, counted, so that a campaign can say what its agreement is worth. */
import type { Journey } from '../netfilter/journey.ts';
import type { Match, Ruleset } from '../ruleset/rule.ts';
import type { Comparison } from './compare.ts';
import { MEANS } from './means.ts';

/** In how many cases each class was met, by its name: `match conntrack`, `fate forwarded`. A case counts once, what it meets often it owes to one draw. */
export type Coverage = Map<string, number>;

/** Counts one more case, of which these are the classes. */
export function addCoverage(coverage: Coverage, classes: Iterable<string>): void {
  for (const name of new Set(classes)) coverage.set(name, (coverage.get(name) ?? 0) + 1);
}

/** The classes that one comparison has met. A match is met when its rule matched, not when it was only asked. */
export function classesOf({ played, difference, refused, rulesets }: Comparison): ReadonlySet<string> {
  const classes = new Set<string>();
  if (refused === true) classes.add('load refused');
  if (difference !== undefined) return classes;
  for (const { sent, journey } of played) {
    if (sent.kind === 'flush') classes.add('move flush');
    if (sent.kind === 'flush' || journey === undefined) continue;
    const { entry, packet } = sent.arrival;
    classes.add(entry.kind === 'local' ? 'entry local' : `entry ${entry.interface}`);
    classes.add(`protocol ${packet.protocol}`);
    if (packet.fragment !== undefined) classes.add('packet fragment');
    if (packet.badsum) classes.add('packet badsum');
    if (packet.quoted !== undefined) classes.add('packet quoting');
    addJourney(classes, journey, rulesets);
    for (const consequence of journey.consequences) {
      classes.add(`consequence ${consequence.fate.kind}`);
      addJourney(classes, consequence, rulesets);
    }
  }
  return classes;
}

function addJourney(classes: Set<string>, journey: Journey, rulesets: readonly Ruleset[]): void {
  const { packet, state, fate, steps, exits } = journey;
  classes.add(`state ${state}`);
  classes.add(`fate ${fate.kind}`);
  if (exits.length > 1) classes.add('fate flooded');
  if (journey.fresh !== undefined || exits.some((exit) => exit.fresh !== undefined)) classes.add('nat random');
  if (jumpsAtMost(steps) >= DEEP) classes.add(`chain ${DEEP} deep`);
  for (const { hook, table, chain, rule, target, physout, packet: at } of steps) {
    classes.add(`hook ${hook} ${table}`);
    if (physout !== undefined) classes.add('path bridged');
    if (at.saddr !== packet.saddr || at.daddr !== packet.daddr) classes.add('nat translated');
    if (rule === 'policy') classes.add(`policy ${target}`);
    if (typeof rule !== 'number') continue;
    const written = rulesets
      .find(({ family }) => family === packet.family)
      ?.tables.get(table)
      ?.chains.get(chain)?.rules[rule - 1];
    classes.add(`target ${written?.target?.kind ?? 'none'}`);
    for (const match of written?.matches ?? []) for (const name of namesOf(match)) classes.add(`match ${name}`);
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

/** A generator that has lost nothing falls below a floor once in so many classes and campaigns. */
const CHANCE = 1e-6;

/** Of what is met `mean` times on average, each time by itself (Poisson): the most that it does not fall below by chance. */
export function floorOf(mean: number): number {
  let term = Math.exp(-mean);
  // Too small for a number: five deviations are as rare.
  if (term === 0) return Math.floor(mean - 5 * Math.sqrt(mean));
  let floor = 0;
  for (let less = term; less < CHANCE; less += term) {
    floor++;
    term *= mean / floor;
  }
  return floor;
}

/** The classes that a campaign of so many cases has met in fewer of them than it should, with both numbers. */
export const tooRare = (coverage: Coverage, cases: number): readonly string[] =>
  Object.entries(MEANS).flatMap(([perThousand, names]) => {
    const floor = floorOf((Number(perThousand) * cases) / 1000);
    return names.flatMap((name) => {
      const met = coverage.get(name) ?? 0;
      return met < floor ? [`${name}: in ${met} cases, expected ${floor} at least`] : [];
    });
  });

/** A table of classes, a line a class, the rarest of each kind last. */
export const printCoverage = (coverage: Coverage): string =>
  [
    '    cases  with',
    ...[...coverage]
      .sort(([a, m], [b, n]) => kindOf(a).localeCompare(kindOf(b)) || n - m || a.localeCompare(b))
      .map(([name, number]) => `${`${number}`.padStart(9)}  ${name}`),
  ].join('\n');

const kindOf = (name: string): string => name.slice(0, name.indexOf(' '));
