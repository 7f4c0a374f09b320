/** What changed for packets between two rulesets, as text and as JSON. */
import type { Skb } from '../netfilter/skb.ts';
import { printPacket } from '../packet/notation.ts';
import type { Replayed } from '../space/replay.ts';
import type { Place } from '../space/rule-names.ts';
import type { RegionSize } from '../space/region-size.ts';
import type { ChangeClass } from '../space/table-difference.ts';
import type { HookName, TableName } from '../ruleset/rule.ts';
import { countsOf, SIGNS } from './classes.ts';
import type { Paint } from './paint.ts';
import { addressWords, inAll } from './size.ts';
import { printable } from './printable.ts';

export interface ShownWitness {
  readonly skb: Skb;
  readonly old: Replayed;
  readonly now: Replayed;
  /** The model, packet by packet, says the same; null where it cannot: something is not modelled. */
  readonly confirmed: boolean | null;
}

export interface ShownRegion {
  readonly hook: HookName;
  readonly table: TableName;
  readonly classes: readonly ChangeClass[];
  readonly removed?: Place;
  readonly added?: Place;
  /** The rules' text. */
  readonly removedText?: string;
  readonly addedText?: string;
  readonly packets: readonly string[];
  readonly more: boolean;
  readonly size: RegionSize;
  readonly witness?: ShownWitness;
}

export interface Difference {
  readonly old: string;
  readonly now: string;
  readonly regions: readonly ShownRegion[];
  readonly unchangedRules: number;
}

const MOST_LINES = 8;

export const printWitness = ({ packet, iif, oif, physin, physout, tracked, hook }: Skb): string =>
  [
    printPacket(packet),
    iif === undefined ? (hook === 'OUTPUT' ? 'local' : '') : `in ${printable(iif)}`,
    oif === undefined ? '' : `out ${printable(oif)}`,
    physin === undefined ? '' : `physdev-in ${printable(physin)}`,
    physout === undefined ? '' : `physdev-out ${printable(physout)}`,
    tracked === undefined ? '' : `state ${tracked.state}`,
  ]
    .filter((word) => word !== '')
    .join(' ');

export const fateWords = ({ kind, with: how, translation }: Replayed): string =>
  [kind, ...(how === undefined ? [] : [`with ${how}`]), ...(translation === undefined ? [] : [translation])].join(' ');

export const whereOf = ({ path, table, chain, rule, line }: Replayed): string =>
  chain === undefined
    ? `no table ${table}`
    : `${line === undefined ? printable(path) : `${printable(path)}:${line}`} (${table} ${printable(chain)} ${rule === 'policy' ? 'policy' : `rule ${rule ?? ''}`})`;

/** Where rules stand that ask for what is not known, the first on each side. */
const unmodelledOf = ({ old, now }: ShownWitness): readonly RulePoint[] =>
  [old, now].flatMap(({ path, unknownAt }) => (unknownAt === undefined ? [] : [{ path, line: unknownAt }]));

export interface RulePoint {
  readonly path: string;
  readonly line: number;
}

/** What is said of a packet whose fate turns on rules that are not modelled. */
export const dependsOn = (rules: readonly RulePoint[]): string =>
  rules.length === 0
    ? 'it depends on something that is not modelled'
    : `it depends on ${rules.map(({ path, line }) => `${printable(path)}:${line}`).join(' and ')}, not modelled`;

function printRegion(region: ShownRegion, paint: Paint): string[] {
  const [main = 'undecided'] = region.classes;
  const colour = main === 'widened' ? paint.bad : main === 'undecided' ? paint.doubtful : paint.bold;
  const lines = [
    `${colour(`${SIGNS[main]} ${region.classes.join(', ')}`)}  ${region.table} ${region.hook}`,
    ...[
      ['removed', region.removed, region.removedText] as const,
      ['added', region.added, region.addedText] as const,
    ].flatMap(([what, place, text]) =>
      place === undefined
        ? []
        : [`    ${what.padEnd(8)} ${printable(text ?? '')}  ${paint.dim(`${printable(place.path)}:${place.line}`)}`],
    ),
    ...region.packets
      .slice(0, MOST_LINES)
      .map((box, index) => `    ${(index === 0 ? 'packets' : '').padEnd(8)} ${printable(box)}`),
  ];
  const rest = region.packets.length - MOST_LINES;
  if (rest > 0 || region.more)
    lines.push(`             and ${region.more ? 'more than ' : ''}${Math.max(rest, 1)} more boxes`);
  lines.push(`    size     ${addressWords(region.size)}`);
  const { witness } = region;
  if (witness === undefined) return lines;
  lines.push(`    witness  ${printWitness(witness.skb)}`);
  lines.push(`      old:   ${fateWords(witness.old)}  ${paint.dim(whereOf(witness.old))}`);
  lines.push(`      new:   ${fateWords(witness.now)}  ${paint.dim(whereOf(witness.now))}`);
  if (witness.confirmed === false)
    lines.push(
      `      ${paint.bad('the model does not confirm this packet: please report it, it is a mistake of ours')}`,
    );
  if (witness.confirmed === null) lines.push(`      ${paint.doubtful(dependsOn(unmodelledOf(witness)))}`);
  return lines;
}

/** Of changes that touch much, a line each: what each does in all. */
function printInAll(regions: readonly ShownRegion[], paint: Paint): string[] {
  const byChange = new Map<string, ShownRegion[]>();
  for (const region of regions) {
    const key = `${region.removed?.line ?? ''} ${region.added?.line ?? ''}`;
    byChange.set(key, [...(byChange.get(key) ?? []), region]);
  }
  const lines = [...byChange.values()].flatMap((own) => {
    const words = inAll(
      own.map(({ classes, size, packets, more }) => ({ classes, size, boxes: more ? Infinity : packets.length })),
    );
    const [{ removed, added, removedText, addedText } = {}] = own;
    const change = [
      ...(removed === undefined
        ? []
        : [`removed ${printable(removedText ?? '')}  ${paint.dim(`${printable(removed.path)}:${removed.line}`)}`]),
      ...(added === undefined
        ? []
        : [`added ${printable(addedText ?? '')}  ${paint.dim(`${printable(added.path)}:${added.line}`)}`]),
    ].join(', ');
    return words === undefined
      ? []
      : [`  ${change === '' ? 'other order, or another policy' : change}`, `    ${words}`];
  });
  return lines.length === 0 ? [] : ['changes that touch much, in all:', ...lines, ''];
}

export function printDifference({ old, now, regions, unchangedRules }: Difference, paint: Paint): string {
  const lines = [
    paint.bold(`${printable(old)} -> ${printable(now)}`),
    'any host: each table is compared for every packet that its hook could meet; no deployment or host file was given',
    '',
    ...printInAll(regions, paint),
    ...regions.flatMap((region) => [...printRegion(region, paint), '']),
  ];
  lines.push(`${summaryOf(regions)}; ${unchangedRules} rules unchanged`);
  return `${lines.join('\n')}\n`;
}

const summaryOf = (regions: readonly ShownRegion[]): string =>
  regions.length === 0 ? 'no difference' : [...countsOf(regions)].map(([one, count]) => `${count} ${one}`).join(', ');

export const replayDocument = (replayed: Replayed): object => {
  const { path, table, chain, rule, line, steps, unknownAt, ...fate } = replayed;
  return fate;
};

export const locationOf = ({ path, table, chain, rule, line }: Replayed): object => ({
  path,
  ...(line === undefined ? {} : { line }),
  table,
  ...(chain === undefined ? {} : { chain, rule }),
});

/** `missing`: what could not be compared, a sentence each. */
export const differenceDocument = (differences: readonly Difference[], missing: readonly string[] = []): object => ({
  summary: {
    ...Object.fromEntries(countsOf(differences.flatMap(({ regions }) => regions))),
    unchangedRules: differences.reduce((sum, { unchangedRules }) => sum + unchangedRules, 0),
  },
  ...(missing.length === 0 ? {} : { missing }),
  regions: differences
    .flatMap(({ regions }) => regions)
    .map(({ hook, table, classes, removed, added, packets, more, size, witness }) => ({
      classes,
      hook,
      table,
      packets,
      ...(more ? { morePackets: true } : {}),
      size: { sources: `${size.sources}`, destinations: `${size.destinations}` },
      ...(witness === undefined
        ? {}
        : {
            witness: {
              packet: printWitness(witness.skb),
              oldFate: replayDocument(witness.old),
              newFate: replayDocument(witness.now),
              confirmed: witness.confirmed,
              ...(witness.confirmed === null ? { dependsOn: unmodelledOf(witness) } : {}),
            },
            old: locationOf(witness.old),
            new: locationOf(witness.now),
          }),
      ...(removed === undefined ? {} : { removed }),
      ...(added === undefined ? {} : { added }),
    })),
});
