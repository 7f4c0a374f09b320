/** What changed for packets of whole hosts, as text and as JSON. */
import type { Journey } from '../netfilter/journey.ts';
import { printOutcome } from '../packet/fate.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import type { WayRegion } from '../space/host-difference.ts';
import { partingKey, partingOf, type Decider, type Parting } from '../space/parting.ts';
import type { ChangeClass } from '../space/table-difference.ts';
import { linesOf, type WayWitness } from '../space/way-witness.ts';
import { countsOf, SIGNS } from './classes.ts';
import { dependsOn, type RulePoint } from './diff.ts';
import { addressWords, greatest, inAll, waysWords } from './size.ts';
import type { Paint } from './paint.ts';
import { printable } from './printable.ts';
import { fateDocument } from './trace.ts';

/** One host's rules of one family, before and after. */
export interface HostChange {
  readonly host: string;
  readonly old: Ruleset;
  readonly now: Ruleset;
  readonly regions: readonly WayRegion[];
}

export interface HostDifferences {
  readonly changes: readonly HostChange[];
  /** What could not be compared, a sentence each. */
  readonly missing: readonly string[];
}

/** Regions that the same two rules make. */
interface Group extends Parting {
  readonly regions: readonly WayRegion[];
}

const MOST_LINES = 8;
const MOST_EXPOSED = 12;

const partingIn = ({ old, now }: HostChange, { witness }: Pick<WayRegion, 'witness'>): Parting =>
  witness === undefined ? {} : partingOf(witness, old, now);

/** What a reader is told of at once: the same change by the same two rules, wherever the packets come in. */
const groupKey = ({ classes, state, turns, alive }: WayRegion, parting: Parting): string =>
  [classes.filter((one) => one !== 'logged').join(), state ?? '', turns.join(), alive, partingKey(parting)].join('\n');

function grouped(change: HostChange): readonly Group[] {
  const groups = new Map<string, Group>();
  for (const region of change.regions) {
    const deciding = partingIn(change, region);
    const key = groupKey(region, deciding);
    const known = groups.get(key);
    groups.set(key, { ...deciding, ...known, regions: [...(known?.regions ?? []), region] });
  }
  return [...groups.values()];
}

const classesOf = ({ regions }: Group): readonly ChangeClass[] => [
  ...new Set(regions.flatMap(({ classes }) => classes)),
];

const entryWords = ({ entry }: WayRegion): string => (entry.kind === 'in' ? entry.interface : 'local');

/** Boxes with the ways in of each. */
function boxesOf(regions: readonly WayRegion[]): readonly string[] {
  const entries = new Map<string, Set<string>>();
  for (const region of regions)
    for (const box of region.boxes) {
      const own = entries.get(box) ?? new Set();
      entries.set(box, own.add(entryWords(region)));
    }
  const state = regions[0]?.state;
  return [...entries].map(([box, names]) => {
    const devices = [...names].filter((name) => name !== 'local');
    const words = [
      box,
      ...(devices.length > 0 ? [`in ${devices.join(',')}`] : []),
      ...(names.has('local') ? ['local'] : []),
      ...(state === undefined ? [] : [`state ${state}`]),
    ];
    return words.join(' ');
  });
}

/** Where a rule or policy stands, and the rule. */
function printRule({ path, step, line, name }: Decider, paint: Paint): string {
  const where = line === undefined ? printable(path) : `${printable(path)}:${line}`;
  const rule = step.rule === 'policy' ? `policy ${step.target}` : `rule ${step.rule}`;
  const place = paint.dim(`${where} (${step.table} ${printable(step.chain)} ${rule})`);
  const text = name.slice(`${step.table} `.length).replace(/ #[0-9]+$/, '');
  return `${place}${typeof step.rule === 'number' ? `  -A ${printable(text)}` : ''}`;
}

function printDecider(word: string, { fate }: Journey, decider: Decider | undefined, paint: Paint): string[] {
  const why = fate.reason === undefined ? '' : `  (${printable(fate.reason)})`;
  const lines = [`      ${word}   ${printable(printOutcome(fate))}${why}`];
  return decider === undefined ? lines : [...lines, `             ${printRule(decider, paint)}`];
}

const LAST_WORDS = new Map([
  ['packet', ''],
  ['packet packet', 'the packet when it comes again, unanswered'],
  ['packet reply', 'the answer'],
  ['packet reply later', 'what its sender says when it has been answered'],
  ['packet reply later reply', 'the answer to what its sender says then'],
]);

function printGroup(group: Group, paint: Paint): string[] {
  const { regions, old, now } = group;
  const classes = classesOf(group);
  const [main = 'undecided'] = classes;
  const colour = main === 'widened' ? paint.bad : main === 'undecided' ? paint.doubtful : paint.bold;
  const boxes = boxesOf(regions);
  const what = LAST_WORDS.get(regions[0]?.turns.join(' ') ?? '') ?? '';
  const lines = [`${colour(`${SIGNS[main]} ${classes.join(', ')}`)}${what === '' ? '' : `  ${what}`}`];
  lines.push(
    ...boxes
      .slice(0, MOST_LINES)
      .map((box, index) => `    ${(index === 0 ? 'packets' : '').padEnd(8)} ${printable(box)}`),
  );
  const rest = boxes.length - MOST_LINES;
  const more = regions.some((region) => region.more);
  if (rest > 0 || more) lines.push(`             and ${more ? 'more than ' : ''}${Math.max(rest, 1)} more boxes`);
  lines.push(`    size     ${sizeWords(regions)}`);
  const witness = regions.find((region) => region.witness !== undefined)?.witness;
  if (witness === undefined) return lines;
  lines.push(
    ...linesOf(witness).map((line, index) => `    ${(index === 0 ? 'witness' : '').padEnd(8)} ${printable(line)}`),
  );
  lines.push(...printDecider('old:', witness.old, old, paint), ...printDecider('new:', witness.now, now, paint));
  if (witness.confirmed === false)
    lines.push(`      ${paint.bad('this is not confirmed: please report it, it is a mistake of ours')}`);
  if (witness.confirmed === null) lines.push(`      ${paint.doubtful(dependsOn(unmodelledOf(witness, old, now)))}`);
  if (witness.onLinux !== undefined) lines.push(`      ${witness.onLinux}`);
  return lines;
}

/** Where rules stand that could not be decided. */
const unmodelledOf = (
  witness: WayWitness,
  old: Pick<Decider, 'path'> | undefined,
  now: Pick<Decider, 'path'> | undefined,
): readonly RulePoint[] =>
  [
    { path: old?.path, fate: witness.old.fate },
    { path: now?.path, fate: witness.now.fate },
  ].flatMap(({ path, fate: { kind, line } }) =>
    path === undefined || kind !== 'undecided' || line === undefined ? [] : [{ path, line }],
  );

const sizeWords = (regions: readonly WayRegion[]): string =>
  `${addressWords(greatest(regions.map(({ size }) => size)))}, ${waysWords(new Set(regions.map(entryWords)).size)}`;

/** Of changes that touch much, a line each: what each does in all. */
function printInAll(groups: readonly Group[], paint: Paint): string[] {
  const byRule = new Map<string, { readonly rule: Decider | undefined; readonly groups: Group[] }>();
  for (const group of groups) {
    const rule = changedIn(group);
    const known = byRule.get(rule?.name ?? '') ?? { rule, groups: [] };
    known.groups.push(group);
    byRule.set(rule?.name ?? '', known);
  }
  const lines = [...byRule.values()].flatMap(({ rule, groups: own }) => {
    const words = inAll(
      own.map((group) => ({
        classes: classesOf(group),
        size: greatest(group.regions.map(({ size }) => size)),
        boxes: group.regions.some(({ more }) => more) ? Infinity : boxesOf(group.regions).length,
      })),
    );
    return words === undefined ? [] : [`  ${rule === undefined ? 'no rule' : printRule(rule, paint)}`, `    ${words}`];
  });
  return lines.length === 0 ? [] : ['changes that touch much, in all:', ...lines, ''];
}

/** The rule that is in one ruleset only, where there is one. */
const changedIn = ({ old, now }: Group): Decider | undefined =>
  now?.isChanged === true ? now : old?.isChanged === true ? old : (now ?? old);

/** Who is newly reached, by the rule that changed, each machine and port once, by the widest source. */
function exposures(groups: readonly Group[], paint: Paint): string[] {
  const byRule = new Map<string, { readonly rule: Decider | undefined; readonly ends: Map<string, Way[]> }>();
  for (const group of groups)
    for (const region of group.regions)
      for (const { endpoints, by = 'this host', sources } of region.exposed) {
        const rule = changedIn(group);
        const known = byRule.get(rule?.name ?? '') ?? { rule, ends: new Map<string, Way[]>() };
        byRule.set(rule?.name ?? '', known);
        const way = { sources, entry: entryWords(region) };
        for (const endpoint of endpoints) {
          const end = `${endpoint} (${by})`;
          known.ends.set(end, [...(known.ends.get(end) ?? []), way]);
        }
      }
  const lines = [...byRule.values()].flatMap(({ rule, ends }) => {
    const shown = [...ends].slice(0, MOST_EXPOSED).map(([end, ways]) => {
      const [widest] = ways;
      const [first = 'any', ...others] = widest?.sources ?? [];
      const by = [...new Set(ways.map(({ entry }) => entry))].join(',');
      const from = `${first}${others.length > 0 ? ` and ${others.length} more` : ''}`;
      return `    ${paint.bad('exposed')}  ${printable(end)}  ${paint.dim('to')}  ${printable(from)}  ${paint.dim(`by ${printable(by)}`)}`;
    });
    const rest = ends.size - MOST_EXPOSED;
    return [
      ...(rule === undefined ? [] : [`  ${printRule(rule, paint)}`]),
      ...(rest > 0 ? [`    ${ends.size} endpoints, the first of them:`] : []),
      ...shown,
    ];
  });
  return lines.length === 0 ? [] : ['newly exposed, by the rule that changed:', ...lines, ''];
}

interface Way {
  readonly sources: readonly string[];
  readonly entry: string;
}

export function printHostDifferences({ changes, missing }: HostDifferences, paint: Paint): string {
  const lines = [
    'whole hosts: every packet that enters there or is made there, with a ttl to be sent on, and the conversation that it begins',
    'what is said of packets leaves out those that routing refuses, and of those that open a flow that they can',
    '',
  ];
  for (const change of changes) {
    const groups = grouped(change);
    lines.push(paint.bold(`${printable(change.host)}: ${printable(change.old.path)} -> ${printable(change.now.path)}`));
    lines.push(...printInAll(groups, paint), ...exposures(groups, paint));
    const isAlive = ({ regions }: Group): boolean => regions[0]?.alive === true;
    const alive = groups.filter(isAlive);
    lines.push(...groups.filter((group) => !isAlive(group)).flatMap((group) => [...printGroup(group, paint), '']));
    if (alive.length > 0)
      lines.push(paint.bold('flows alive at the moment of the change, that began under the old rules:'), '');
    lines.push(...alive.flatMap((group) => [...printGroup(group, paint), '']));
    if (groups.length === 0) lines.push('  no difference', '');
  }
  for (const sentence of missing) lines.push(paint.doubtful(printable(sentence)));
  lines.push(summaryOf(changes));
  return `${lines.join('\n')}\n`;
}

function summaryOf(changes: readonly HostChange[]): string {
  const regions = changes.flatMap((change) => change.regions);
  const found = [...countsOf(regions)].map(([one, count]) => `${count} ${one}`).join(', ');
  const hosts = changes.length === 1 ? '' : `${changes.length} rulesets: `;
  return `${hosts}${found === '' ? 'no difference' : found}`;
}

const locationOf = (decider: Decider): object => ({
  path: decider.path,
  ...(decider.line === undefined ? {} : { line: decider.line }),
  table: decider.step.table,
  chain: decider.step.chain,
  rule: decider.step.rule,
});

const witnessDocument = (witness: WayWitness, { old, now }: Parting): object => {
  const [only, second] = linesOf(witness);
  const unmodelled = witness.confirmed === null ? unmodelledOf(witness, old, now) : [];
  return {
    ...(second === undefined ? { packet: only } : { conversation: linesOf(witness) }),
    oldFate: fateDocument(witness.old.fate),
    newFate: fateDocument(witness.now.fate),
    confirmed: witness.confirmed,
    ...(unmodelled.length === 0 ? {} : { dependsOn: unmodelled }),
    ...(witness.onLinux === undefined ? {} : { onLinux: witness.onLinux }),
  };
};

export const hostDifferenceDocument = ({ changes, missing }: HostDifferences): object => ({
  summary: Object.fromEntries(countsOf(changes.flatMap(({ regions }) => regions))),
  ...(missing.length === 0 ? {} : { missing }),
  regions: changes.flatMap((change) =>
    change.regions.map((region) => {
      const { classes, boxes, more, state, witness, turns, alive, size, exposed } = region;
      const parting = partingIn(change, region);
      const { old, now } = parting;
      return {
        host: change.host,
        classes,
        entry: entryWords(region),
        ...(state === undefined ? {} : { state }),
        ...(turns.length === 1 ? {} : { turns }),
        ...(alive ? { alive } : {}),
        packets: boxes,
        ...(more ? { morePackets: true } : {}),
        size: { sources: `${size.sources}`, destinations: `${size.destinations}` },
        ...(exposed.length === 0 ? {} : { exposed }),
        ...(witness === undefined ? {} : { witness: witnessDocument(witness, parting) }),
        ...(old === undefined ? {} : { old: locationOf(old) }),
        ...(now === undefined ? {} : { new: locationOf(now) }),
      };
    }),
  ),
});
