/** The rulesets of a command line: `[HOST[/4|/6]=]FILE` words. */
import type { Family } from '../address/address.ts';
import type { Deployment } from '../deployment/deployment.ts';
import { nearest } from '../diagnostic/nearest.ts';
import { rulesetTextFor } from '../nova/ruleset.ts';
import { withHiddenChains } from '../ruleset/hidden.ts';
import { readRuleset } from '../ruleset/parse.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { TABLES } from '../ruleset/tables.ts';
import { UsageError } from './failure.ts';
import type { Inputs } from './input.ts';

/** One of them: which host and family it is of, and the file as it stands on the command line. */
export interface GivenRuleset {
  readonly host: string;
  readonly file: string;
  readonly ruleset: Ruleset;
}

export interface Rulesets {
  /** By host; a host without any is not judged. */
  readonly byHost: ReadonlyMap<string, readonly Ruleset[]>;
  /** The words that they came from; empty for the reference's own. */
  readonly given: readonly GivenRuleset[];
}

/** Reads each word's file. `HOST=` may be left out where there is one host; a word without a family has `family`. Throws UsageError, FileError, InputError. */
export function givenRulesets(
  words: readonly string[],
  hosts: readonly string[],
  inputs: Inputs,
  family: Family = 4,
): Rulesets {
  const byHost = new Map<string, Ruleset[]>();
  const given = words.map((word): GivenRuleset => {
    // A path with a slash before its `=` names no host.
    const [, named, namedFamily, namedFile] = /^([^=/]+)(?:\/([46]))?=(.*)$/s.exec(word) ?? [];
    const host = named ?? (hosts.length === 1 ? hosts[0] : undefined);
    if (host === undefined)
      throw new UsageError(`which host is ${word} of? write HOST=${word}, where HOST is one of ${hosts.join(', ')}`);
    if (!hosts.includes(host)) {
      const near = nearest(host, hosts);
      throw new UsageError(
        `there is no host ${host} in the deployment: ${near === undefined ? `there are ${hosts.join(', ')}` : `did you mean ${near}?`}`,
      );
    }
    const of: Family = namedFamily === undefined ? family : namedFamily === '6' ? 6 : 4;
    const own = byHost.get(host) ?? [];
    if (own.some((ruleset) => ruleset.family === of))
      throw new UsageError(`${host} has two rulesets for IPv${of}; HOST/6=FILE is for ip6tables`);
    const file = namedFile ?? word;
    const ruleset = withHiddenChains(inputs.ruleset(file, of));
    byHost.set(host, [...own, ruleset]);
    return { host, file, ruleset };
  });
  return { byHost, given };
}

/** What nova itself would have written: IPv6 only where it writes any. */
export const referenceRulesets = (deployment: Deployment): Rulesets => ({
  given: [],
  byHost: new Map(
    deployment.hosts.map((host) => {
      const families: readonly Family[] = host.flags.use_ipv6 ? [4, 6] : [4];
      return [
        host.name,
        families.map((family) =>
          readRuleset(rulesetTextFor(deployment, host, family), {
            path: `${host.name}${family === 6 ? '.v6' : ''}.rules`,
            family,
          }),
        ),
      ];
    }),
  ),
});

/** What is taken as given of the rulesets themselves, a sentence each. */
export function rulesetAssumptions({ given, byHost }: Rulesets): string[] {
  if (given.length > 0) return given.flatMap(({ ruleset }) => textAssumptions(ruleset));
  const names = [...byHost.values()].flat().map(({ path }) => path);
  return [
    `no ruleset was given: ${names.join(', ')} ${names.length === 1 ? 'is' : 'are'} what \`nfverdict generate\` writes`,
  ];
}

/** A text says nothing of the tables that are not in it, and a kernel may have rules there all the same. */
function textAssumptions({ path, tables, endsOpen }: Ruleset): string[] {
  const absent = TABLES.filter((name) => !tables.has(name));
  const hiddenAt = new Map(
    [...tables.values()].flatMap(({ chains }) =>
      [...chains.values()].flatMap(({ hidden }) =>
        hidden === undefined ? [] : [[hidden.because, hidden.line] as const],
      ),
    ),
  );
  return [
    ...(absent.length === 0
      ? []
      : [
          `${path}: judged from this text only, which has no table ${absent.join(', ')}: no rules there, policy ACCEPT`,
        ]),
    ...[...hiddenAt].map(([because, line]) => `${path}:${line}: ${because}; what meets it is undecided`),
    ...(endsOpen ? [`${path}: ends without COMMIT, as if it had been cut off: read as if COMMIT stood there`] : []),
  ];
}
