/** `nfverdict diff` with -d or --host: what changed for packets on their whole way through a host, or host by host. */
import type { Host } from '../host/host.ts';
import { parseSet } from '../packet/set-notation.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { withHiddenChains } from '../ruleset/hidden.ts';
import { printDocument } from '../report/document.ts';
import {
  hostDifferenceDocument,
  printHostDifferences,
  type HostChange,
  type HostDifferences,
} from '../report/host-diff.ts';
import { hostDifference, type WayRegion } from '../space/host-difference.ts';
import { HostWays } from '../space/host-ways.ts';
import { looksOf, type WayWitness } from '../space/way-witness.ts';
import { answering, undecidedWhereTooLarge, UsageError } from './failure.ts';
import { classesOf, codeOf, COUNTING, type DiffOptions } from './diff.ts';
import { hostPlaces, type HostPlace } from './host-place.ts';
import type { Io } from './io.ts';
import type { Journey } from '../netfilter/journey.ts';
import { hold } from '../network/converse.ts';
import type { LinuxWorld } from '../kernel/linux-world.ts';
import { withLinux, type Linux } from './linux.ts';
import { TOOL, writeOutputs } from './output.ts';
import { rulesetPairs, type RulesetPair } from './ruleset-pairs.ts';
import { WorldInputs } from './world-input.ts';

export const runHostDiff = (options: DiffOptions, io: Io): number =>
  answering(io, () => {
    const ignored = classesOf('--ignore', options.ignore);
    const counting = options.failOn.length === 0 ? COUNTING : classesOf('--fail-on', options.failOn);
    const within = options.within === undefined ? undefined : parseSet(options.within);
    const inputs = new WorldInputs(io, options.backend);
    const places = hostPlaces(options, inputs) ?? [];
    const { pairs, missing, areFolders } = rulesetPairs(options.old, options.now, io);
    const asked = pairs.map((pair) => ({ pair, place: placeOf(pair, places) }));
    const read = asked.map(({ pair, place }) => {
      const now = withHiddenChains(inputs.ruleset(pair.now, pair.family));
      return { place, now, old: withHiddenChains(inputs.ruleset(pair.old, now.family)) };
    });
    return undecidedWhereTooLarge(io, () => {
      const compare = (linux?: Linux): readonly HostChange[] =>
        read.map(({ place, old, now }) => {
          const ways = new HostWays(place.host, {
            family: now.family,
            backend: options.backend,
            rulesets: [old, now],
            logs: true,
            eachReading: true,
          });
          const all = hostDifference(ways, old, now, within === undefined ? {} : { within });
          const regions = all.filter(({ classes }) => !classes.every((one) => ignored.includes(one)));
          return {
            host: place.host.name,
            old,
            now,
            regions: linux === undefined ? regions : confirmed(linux, place.host, old, now, regions),
          };
        });
      const changes = options.confirm === true ? withLinux(options.backend, compare) : compare();
      const unseen = areFolders ? notThere(places, pairs, missing) : missing;
      const shown: HostDifferences = { changes, missing: unseen };
      writeOutputs(io, options, {
        text: (paint) => printHostDifferences(shown, paint),
        json: () =>
          printDocument(
            'diff',
            {
              tool: TOOL,
              inputs: inputs.list,
              assumptions: [...new Set(places.flatMap((place) => place.assumptions))],
            },
            hostDifferenceDocument(shown),
          ),
      });
      return codeOf(
        changes.flatMap(({ regions }) => regions.map(({ classes }) => classes)),
        counting,
        unseen.length > 0,
      );
    });
  });

/** The host that a pair of rulesets is of. */
function placeOf({ name }: RulesetPair, places: readonly HostPlace[]): HostPlace {
  const names = places.map(({ host }) => host.name);
  if (name === undefined) {
    const [first, second] = places;
    if (first === undefined) throw new UsageError('the deployment has no host');
    if (second === undefined) return first;
    throw new UsageError(`which host are the rulesets of? --name ${names.join(' or ')}, or two folders of HOST.rules`);
  }
  const found = places.find(({ host }) => host.name === name);
  if (found === undefined) throw new UsageError(`${name}.rules is of no host: there are ${names.join(', ')}`);
  return found;
}

/** Hosts without rules in either folder. */
const notThere = (
  places: readonly HostPlace[],
  pairs: readonly RulesetPair[],
  missing: readonly string[],
): readonly string[] => [
  ...missing,
  ...places
    .map(({ host }) => host.name)
    .filter((name) => !pairs.some((pair) => pair.name === name) && !missing.some((said) => said.startsWith(`${name}.`)))
    .map((name) => `${name} has no ruleset in either folder: not compared`),
];

/** Each witness sent through Linux under the old rules, and under the new. */
function confirmed(
  linux: Linux,
  host: Host,
  old: Ruleset,
  now: Ruleset,
  regions: readonly WayRegion[],
): readonly WayRegion[] {
  const rulesets = { old: new Map([[host.name, [old]]]), new: new Map([[host.name, [now]]]) };
  const network = { hosts: [host], links: [], stations: [] };
  const worlds = new Map<string, LinuxWorld>();
  /** A flow that is alive meets other rules than it began under. */
  const worldOf = (variant: 'old' | 'new' | 'changing'): LinuxWorld => {
    const begin = rulesets[variant === 'changing' ? 'old' : variant];
    const known = worlds.get(variant) ?? linux.world({ network, rulesets: begin, variant });
    worlds.set(variant, known);
    if (variant === 'changing') known.reload(begin);
    known.flush();
    return known;
  };
  const said = (witness: WayWitness, variant: 'old' | 'new' | 'changing'): OnLinux => {
    const world = worldOf(variant);
    let refused: string | undefined;
    let agrees = true;
    const held = hold(witness.words, (arrival, index) => {
      if (variant === 'changing' && index === witness.words.length - 1) world.reload(rulesets.new);
      const hop = world.arrive(host.name, arrival);
      if ('notAsked' in hop) {
        refused = hop.notAsked;
        return undefined;
      }
      agrees &&= hop.difference === undefined;
      return hop.journey;
    });
    const last = held.length === witness.words.length ? held.at(-1)?.journey : undefined;
    return { agrees, ...(last === undefined ? {} : { last }), ...(refused === undefined ? {} : { refused }) };
  };
  return regions.map((region) => {
    const { witness } = region;
    if (witness === undefined) return region;
    const was = said(witness, 'old');
    const is = said(witness, witness.alive ? 'changing' : 'new');
    const refused = was.refused ?? is.refused;
    if (refused !== undefined)
      return { ...region, witness: { ...witness, confirmed: null, onLinux: `Linux cannot be asked: ${refused}` } };
    const agrees = was.agrees && is.agrees;
    const differs = looksOn(was, old) !== looksOn(is, now);
    const fates = `${was.last?.fate.kind ?? 'nobody answers'}, then ${is.last?.fate.kind ?? 'nobody answers'}`;
    return {
      ...region,
      witness: {
        ...witness,
        confirmed: agrees && differs,
        onLinux: `Linux ${linux.version.kernel}: ${fates}${agrees ? '' : ', otherwise than the model'}`,
      },
    };
  });
}

/** What became of a conversation on Linux. */
interface OnLinux {
  /** The model said so of every packet. */
  readonly agrees: boolean;
  /** Absent where it broke off. */
  readonly last?: Journey;
  readonly refused?: string;
}

const looksOn = ({ last }: OnLinux, ruleset: Ruleset): string => (last === undefined ? '' : looksOf(last, ruleset));
