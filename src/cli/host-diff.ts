/** `nfverdict diff` with -d or --host: what changed for packets on their whole way through a host, or host by host. */
import type { Host } from '../host/host.ts';
import { parseSet } from '../packet/set-notation.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { withHiddenChains } from '../ruleset/hidden.ts';
import { textsOf } from '../ruleset/lines.ts';
import { printDocument } from '../report/document.ts';
import {
  hostDifferenceDocument,
  printHostDifferences,
  type HostChange,
  type HostDifferences,
} from '../report/host-diff.ts';
import { hostDifference, seenOf, type WayRegion } from '../space/host-difference.ts';
import { HostWays } from '../space/host-ways.ts';
import { answering, undecidedWhereTooLarge, UsageError } from './failure.ts';
import { classesOf, codeOf, COUNTING, type DiffOptions } from './diff.ts';
import { hostPlaces, type HostPlace } from './host-place.ts';
import type { Io } from './io.ts';
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
          const ways = new HostWays(place.host, { family: now.family, backend: options.backend, rulesets: [old, now] });
          const all = hostDifference(ways, old, now, within === undefined ? {} : { within });
          const regions = all.filter(({ classes }) => !classes.every((one) => ignored.includes(one)));
          return {
            host: place.host.name,
            old,
            now,
            oldText: textsOf(old),
            nowText: textsOf(now),
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
  const network = { hosts: [host], links: [], stations: [] };
  const [before, after] = (['old', 'new'] as const).map((variant) =>
    linux.world({ network, rulesets: new Map([[host.name, [variant === 'old' ? old : now]]]), variant }),
  );
  return regions.map((region) => {
    const { witness } = region;
    if (witness === undefined || before === undefined || after === undefined) return region;
    before.flush();
    after.flush();
    const [was, is] = [before.arrive(host.name, witness.arrival), after.arrive(host.name, witness.arrival)];
    const refused = 'notAsked' in was ? was.notAsked : 'notAsked' in is ? is.notAsked : undefined;
    if (refused !== undefined || 'notAsked' in was || 'notAsked' in is)
      return {
        ...region,
        witness: { ...witness, confirmed: null, onLinux: `Linux cannot be asked: ${refused ?? ''}` },
      };
    const agrees = was.difference === undefined && is.difference === undefined;
    const differs = seenOf(was.journey) !== seenOf(is.journey);
    const fates = `${was.journey.fate.kind}, then ${is.journey.fate.kind}`;
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
