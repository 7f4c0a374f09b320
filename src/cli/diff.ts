/** `nfverdict diff`: what changed for packets. */
import type { Backend } from '../netfilter/skb.ts';
import { parseSet } from '../packet/set-notation.ts';
import { differenceDocument, printDifference, type Difference, type ShownRegion } from '../report/diff.ts';
import { printDocument } from '../report/document.ts';
import { printable } from '../report/printable.ts';
import { withHiddenChains } from '../ruleset/hidden.ts';
import { textsOf } from '../ruleset/lines.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { describe } from '../space/description.ts';
import { isAsSaid, Replay } from '../space/replay.ts';
import {
  CHANGE_CLASSES,
  tableDifference,
  type ChangeClass,
  type Region,
  type TableDifference,
} from '../space/table-difference.ts';
import { pointOfSkb } from '../space/point.ts';
import { sizeOf } from '../space/region-size.ts';
import { witnessAt } from '../space/witness.ts';
import { answering, UNDECIDED, undecidedWhereTooLarge, UsageError } from './failure.ts';
import { Inputs } from './input.ts';
import type { Io } from './io.ts';
import { TOOL, writeOutputs, type OutputOptions } from './output.ts';
import { rulesetPairs } from './ruleset-pairs.ts';

export interface DiffOptions extends OutputOptions {
  readonly old: string;
  readonly now: string;
  readonly deployment?: string;
  readonly host?: string;
  /** Which host of the deployment. */
  readonly name?: string;
  readonly sets?: string;
  readonly within?: string;
  readonly ignore: readonly string[];
  readonly failOn: readonly string[];
  readonly backend: Backend;
  /** Most edges of diagrams that are kept, where each table is compared (space.ts). */
  readonly limit?: number;
  /** Each witness is sent through Linux as well. */
  readonly confirm?: boolean;
}

/** What counts unless something else is asked for. */
export const COUNTING: readonly ChangeClass[] = CHANGE_CLASSES.filter(
  (one) => one !== 'logged' && one !== 'marked' && one !== 'undecided',
);

/** Throws UsageError for a word that is no class. */
export function classesOf(option: string, words: readonly string[]): readonly ChangeClass[] {
  return words.map((word) => {
    const found = CHANGE_CLASSES.find((one) => one === word);
    if (found === undefined)
      throw new UsageError(`${option} ${word}: there is no such class, expected one of ${CHANGE_CLASSES.join(', ')}`);
    return found;
  });
}

/** The exit code: of a difference that counts, of one that nobody can tell, of none. */
export function codeOf(
  regions: readonly (readonly ChangeClass[])[],
  counting: readonly ChangeClass[],
  isPartial: boolean,
): number {
  if (regions.some((classes) => classes.some((one) => counting.includes(one)))) return 1;
  return isPartial || regions.some((classes) => classes.includes('undecided')) ? UNDECIDED : 0;
}

/** For any host: table by table. */
export const runDiff = (options: DiffOptions, io: Io): number =>
  answering(io, () => {
    const ignored = classesOf('--ignore', options.ignore);
    const counting = options.failOn.length === 0 ? COUNTING : classesOf('--fail-on', options.failOn);
    if (options.confirm === true)
      throw new UsageError('--confirm sends packets through a host of that kind: give it with -d or --host');
    if (options.name !== undefined || options.sets !== undefined)
      throw new UsageError(
        `--${options.name === undefined ? 'sets' : 'name'} says something of a host: give -d or --host`,
      );
    const within = options.within === undefined ? undefined : parseSet(options.within);
    const inputs = new Inputs(io, options.backend);
    const { pairs, missing, areFolders } = rulesetPairs(options.old, options.now, io);
    const read = pairs.map((pair) => {
      const now = withHiddenChains(inputs.ruleset(pair.now, pair.family));
      return { now, old: withHiddenChains(inputs.ruleset(pair.old, now.family)) };
    });
    return undecidedWhereTooLarge(io, () => {
      const differences = read.map(({ old, now }): Difference => {
        const difference = tableDifference(old, now, {
          backend: options.backend,
          ...(within === undefined ? {} : { within }),
          ...(options.limit === undefined ? {} : { limit: options.limit }),
        });
        return {
          old: old.path,
          now: now.path,
          regions: shownRegions(difference, { old, now, ignored, backend: options.backend }),
          unchangedRules: difference.unchangedRules,
        };
      });
      writeOutputs(io, options, {
        text: (paint) =>
          [
            ...differences.map((one) => printDifference(one, paint)),
            ...missing.map((said) => `${printable(said)}\n`),
          ].join(areFolders ? '\n' : ''),
        json: () =>
          printDocument(
            'diff',
            {
              tool: TOOL,
              inputs: inputs.list,
              assumptions: ['any host: each table at each hook, for every packet that the hook could meet'],
            },
            differenceDocument(differences, missing),
          ),
      });
      return codeOf(
        differences.flatMap(({ regions }) => regions.map(({ classes }) => classes)),
        counting,
        missing.length > 0,
      );
    });
  });

function shownRegions(
  { space, regions, before, after }: TableDifference,
  {
    old,
    now,
    ignored,
    backend,
  }: {
    readonly old: Ruleset;
    readonly now: Ruleset;
    readonly ignored: readonly ChangeClass[];
    readonly backend: Backend;
  },
): readonly ShownRegion[] {
  const { layout, outcomes } = space;
  const [replayOld, replayNow] = [new Replay(old), new Replay(now)];
  const [oldText, nowText] = [textsOf(old), textsOf(now)];
  const show = (region: Region): ShownRegion => {
    const { hook, table, classes, packets } = region;
    const removed = region.removed === undefined ? undefined : before.get(region.removed);
    const added = region.added === undefined ? undefined : after.get(region.added);
    const { boxes, more } = describe(layout, packets, region.possible);
    const witness = witnessAt(layout, packets, { hook, backend });
    const base = {
      hook,
      table,
      classes,
      packets: boxes,
      more,
      size: sizeOf(layout, packets),
      ...(removed === undefined ? {} : { removed, removedText: oldText(removed.line) }),
      ...(added === undefined ? {} : { added, addedText: nowText(added.line) }),
    };
    if (witness === undefined) return base;
    const point = pointOfSkb(layout, witness.skb);
    const said = [region.old, region.now].map((node) => outcomes.of(layout.diagrams.evaluate(node, point.at)));
    const replayed = [replayOld.walk(table, witness.skb), replayNow.walk(table, witness.skb)] as const;
    const isKnown = witness.supposes.length === 0 && replayed.every(({ kind }) => kind !== 'undecided');
    const confirmed = isKnown
      ? replayed.every((one, index) => {
          const outcome = said[index];
          return outcome !== undefined && isAsSaid(one, outcome);
        })
      : null;
    return { ...base, witness: { skb: witness.skb, old: replayed[0], now: replayed[1], confirmed } };
  };
  const order = (region: Region): number => CHANGE_CLASSES.indexOf(region.classes[0] ?? 'undecided');
  const sized = regions
    .filter(({ classes }) => !classes.every((one) => ignored.includes(one)))
    .map((region) => ({ region, size: layout.diagrams.count(region.packets) }));
  // New exposures first, the widest first.
  sized.sort((a, b) => order(a.region) - order(b.region) || (a.size > b.size ? -1 : a.size < b.size ? 1 : 0));
  return sized.map(({ region }) => show(region));
}
