/** What changed for packets of whole hosts, as text and as JSON. */
import type { Journey, Step } from '../netfilter/journey.ts';
import { printAddress } from '../address/address.ts';
import { printOutcome } from '../packet/fate.ts';
import { printArrival } from '../packet/notation.ts';
import { hasPorts } from '../packet/packet.ts';
import { printProtocol } from '../packet/protocol.ts';
import { joinEndpoint } from '../packet/reader.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import type { WayRegion } from '../space/host-difference.ts';
import type { ChangeClass } from '../space/table-difference.ts';
import { SIGNS } from './diff.ts';
import type { Paint } from './paint.ts';
import { printable } from './printable.ts';
import { fateDocument } from './trace.ts';

/** One host's rules of one family, before and after. */
export interface HostChange {
  readonly host: string;
  readonly old: Ruleset;
  readonly now: Ruleset;
  readonly regions: readonly WayRegion[];
  /** A line of each side's text, as written. */
  readonly oldText: (line: number) => string;
  readonly nowText: (line: number) => string;
}

export interface HostDifferences {
  readonly changes: readonly HostChange[];
  /** What could not be compared, a sentence each. */
  readonly missing: readonly string[];
}

/** A rule, or a policy, that a packet met on one side only. */
interface Decider {
  readonly path: string;
  readonly step: Step;
  /** Of the rule, or where the chain with the policy is declared. */
  readonly line?: number;
  readonly text: string;
}

/** Regions that the same two rules make. */
interface Group {
  readonly classes: readonly ChangeClass[];
  readonly regions: readonly WayRegion[];
  readonly old?: Decider;
  readonly now?: Decider;
}

const MOST_LINES = 8;
const MOST_EXPOSED = 12;

const ruleKey = ({ hook, table, chain, rule, target }: Step, text: string): string =>
  `${hook} ${table} ${chain} ${text === '' ? `${rule}` : text} ${target}`;

/** Where the two ways part: the first rules that are not the same. */
function deciders(
  { old: before, now: after, oldText, nowText }: HostChange,
  { witness }: WayRegion,
): { readonly old?: Decider; readonly now?: Decider } {
  if (witness === undefined) return {};
  const textOf = (step: Step, textAt: (line: number) => string): string =>
    step.line === undefined ? '' : textAt(step.line);
  const [was, is] = [witness.old.steps, witness.now.steps];
  let at = 0;
  while (at < was.length && at < is.length) {
    const [one, other] = [was[at], is[at]];
    if (one === undefined || other === undefined) break;
    if (ruleKey(one, textOf(one, oldText)) !== ruleKey(other, textOf(other, nowText))) break;
    at++;
  }
  const decider = (
    steps: readonly Step[],
    { path, tables }: Ruleset,
    textAt: (line: number) => string,
  ): Decider | undefined => {
    const step = steps[at] ?? steps.at(-1);
    if (step === undefined) return undefined;
    const line = step.line ?? tables.get(step.table)?.chains.get(step.chain)?.line;
    return { path, step, text: textOf(step, textAt), ...(line === undefined ? {} : { line }) };
  };
  const [old, now] = [decider(was, before, oldText), decider(is, after, nowText)];
  return { ...(old === undefined ? {} : { old }), ...(now === undefined ? {} : { now }) };
}

const deciderKey = (decider: Decider | undefined): string =>
  decider === undefined ? '' : `${decider.step.table} ${decider.step.chain} ${decider.step.rule}`;

function grouped(change: HostChange): readonly Group[] {
  const groups = new Map<string, Group>();
  for (const region of change.regions) {
    const { old, now } = deciders(change, region);
    const key = [region.classes.join(), region.state ?? '', deciderKey(old), deciderKey(now)].join('\n');
    const known = groups.get(key);
    groups.set(key, {
      classes: region.classes,
      regions: [...(known?.regions ?? []), region],
      ...(known?.old === undefined ? (old === undefined ? {} : { old }) : { old: known.old }),
      ...(known?.now === undefined ? (now === undefined ? {} : { now }) : { now: known.now }),
    });
  }
  return [...groups.values()];
}

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

function printDecider(word: string, journey: Journey, decider: Decider | undefined, paint: Paint): string[] {
  const { fate } = journey;
  const why = fate.reason === undefined ? '' : `  (${printable(fate.reason)})`;
  const lines = [`      ${word}   ${printable(printOutcome(fate))}${why}`];
  if (decider === undefined) return lines;
  const { path, step, line, text } = decider;
  const where = line === undefined ? printable(path) : `${printable(path)}:${line}`;
  const rule = step.rule === 'policy' ? `policy ${step.target}` : `rule ${step.rule}`;
  lines.push(
    `             ${paint.dim(`${where} (${step.table} ${printable(step.chain)} ${rule})`)}${text === '' || step.rule === 'policy' ? '' : `  ${printable(text)}`}`,
  );
  return lines;
}

function printGroup({ classes, regions, old, now }: Group, paint: Paint): string[] {
  const [main = 'undecided'] = classes;
  const colour = main === 'widened' ? paint.bad : main === 'undecided' ? paint.doubtful : paint.bold;
  const boxes = boxesOf(regions);
  const lines = [colour(`${SIGNS[main]} ${classes.join(', ')}`)];
  lines.push(
    ...boxes
      .slice(0, MOST_LINES)
      .map((box, index) => `    ${(index === 0 ? 'packets' : '').padEnd(8)} ${printable(box)}`),
  );
  const rest = boxes.length - MOST_LINES;
  const more = regions.some((region) => region.more);
  if (rest > 0 || more) lines.push(`             and ${more ? 'more than ' : ''}${Math.max(rest, 1)} more boxes`);
  const witness = regions.find((region) => region.witness !== undefined)?.witness;
  if (witness === undefined) return lines;
  lines.push(`    witness  ${printable(printArrival(witness.arrival))}`);
  lines.push(...printDecider('old:', witness.old, old, paint), ...printDecider('new:', witness.now, now, paint));
  if (witness.confirmed === false)
    lines.push(`      ${paint.bad('this packet is not confirmed: please report it, it is a mistake of ours')}`);
  if (witness.confirmed === null) lines.push(`      ${paint.doubtful('it depends on something that is not modelled')}`);
  if (witness.onLinux !== undefined) lines.push(`      ${witness.onLinux}`);
  return lines;
}

/** Who is newly reached, each machine and port once, by the widest source. */
function exposures(change: HostChange, paint: Paint): string[] {
  const ways = new Map<string, string[]>();
  for (const { classes, witness, boxes, entry } of change.regions) {
    const fate = witness?.now.fate;
    if (!classes.includes('widened') || fate?.packet === undefined) continue;
    const { protocol, family, daddr, dport } = fate.packet;
    const port = hasPorts(protocol) ? `${dport}` : undefined;
    const end = `${printProtocol(protocol, family)} ${joinEndpoint(printAddress(daddr), port)}`;
    const by = fate.kind === 'delivered' ? 'this host' : [fate.oif, fate.port].filter(Boolean).join(' ');
    const key = `${end} (${by})`;
    const way = `${boxes[0] ?? ''} ${entry.kind === 'in' ? `in ${entry.interface}` : 'local'}`;
    ways.set(key, [...(ways.get(key) ?? []), way]);
  }
  const lines = [...ways].map(([end, from]) => {
    const rest = from.length - 1;
    const more = rest > 0 ? paint.dim(` and ${rest} more`) : '';
    return `  ${paint.bad('exposed')}  ${printable(end)}  ${paint.dim('to')}  ${printable(from[0] ?? '')}${more}`;
  });
  const rest = lines.length - MOST_EXPOSED;
  return [
    ...lines.slice(0, MOST_EXPOSED),
    ...(rest > 0 ? [`  and ${rest} more`] : []),
    ...(lines.length > 0 ? [''] : []),
  ];
}

export function printHostDifferences({ changes, missing }: HostDifferences, paint: Paint): string {
  const lines = [
    'the whole way through each host, of every packet that enters there or is made there, and has a ttl to be sent on;',
    'what is logged is compared without -d and --host only',
    '',
  ];
  for (const change of changes) {
    lines.push(
      paint.bold(`${printable(change.host)}: ${printable(change.old.path)} -> ${printable(change.now.path)}`),
      ...exposures(change, paint),
    );
    const groups = grouped(change);
    const alive = groups.filter(({ regions }) => regions[0]?.state !== undefined);
    const first = groups.filter(({ regions }) => regions[0]?.state === undefined);
    lines.push(...first.flatMap((group) => [...printGroup(group, paint), '']));
    if (alive.length > 0) lines.push(paint.bold('flows alive at the moment of the change:'));
    lines.push(...alive.flatMap((group) => [...printGroup(group, paint), '']));
    if (groups.length === 0) lines.push('  no difference', '');
  }
  for (const sentence of missing) lines.push(paint.doubtful(printable(sentence)));
  lines.push(summaryOf(changes));
  return `${lines.join('\n')}\n`;
}

function counts(changes: readonly HostChange[]): ReadonlyMap<ChangeClass, number> {
  const found = new Map<ChangeClass, number>();
  for (const { regions } of changes)
    for (const { classes } of regions) for (const one of classes) found.set(one, (found.get(one) ?? 0) + 1);
  return found;
}

function summaryOf(changes: readonly HostChange[]): string {
  const found = [...counts(changes)].map(([one, count]) => `${count} ${one}`).join(', ');
  const hosts = changes.length === 1 ? '' : `${changes.length} rulesets: `;
  return `${hosts}${found === '' ? 'no difference' : found}`;
}

const locationOf = (decider: Decider | undefined): object | undefined =>
  decider && {
    path: decider.path,
    ...(decider.line === undefined ? {} : { line: decider.line }),
    table: decider.step.table,
    chain: decider.step.chain,
    rule: decider.step.rule,
  };

export const hostDifferenceDocument = ({ changes, missing }: HostDifferences): object => ({
  summary: Object.fromEntries(counts(changes)),
  ...(missing.length === 0 ? {} : { missing }),
  regions: changes.flatMap((change) =>
    change.regions.map((region) => {
      const { classes, boxes, more, state, witness } = region;
      const { old, now } = deciders(change, region);
      return {
        host: change.host,
        classes,
        entry: entryWords(region),
        ...(state === undefined ? {} : { state }),
        packets: boxes,
        ...(more ? { morePackets: true } : {}),
        ...(witness === undefined
          ? {}
          : {
              witness: {
                packet: printArrival(witness.arrival),
                oldFate: fateDocument(witness.old.fate),
                newFate: fateDocument(witness.now.fate),
                confirmed: witness.confirmed,
                ...(witness.onLinux === undefined ? {} : { onLinux: witness.onLinux }),
              },
            }),
        ...(old === undefined ? {} : { old: locationOf(old) }),
        ...(now === undefined ? {} : { new: locationOf(now) }),
      };
    }),
  ),
});
