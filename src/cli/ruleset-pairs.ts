/** Two rulesets, or two folders of rulesets that have the same names. */
import type { Family } from '../address/address.ts';
import { UsageError } from './failure.ts';
import type { Io } from './io.ts';

export interface RulesetPair {
  /** The file's name without `.rules` or `.v6.rules`; absent where two files were given. */
  readonly name?: string;
  readonly family?: Family;
  readonly old: string;
  readonly now: string;
}

export interface RulesetPairs {
  readonly pairs: readonly RulesetPair[];
  /** What stands in one folder only, a sentence each. */
  readonly missing: readonly string[];
  readonly areFolders: boolean;
}

/** Throws UsageError for a file and a folder, and for folders without rulesets. */
export function rulesetPairs(old: string, now: string, io: Io): RulesetPairs {
  const [before, after] = [old, now].map((path) => (path === '-' ? undefined : io.listFolder?.(path)));
  if (before === undefined && after === undefined) return { pairs: [{ old, now }], missing: [], areFolders: false };
  if (before === undefined || after === undefined)
    throw new UsageError(`${before === undefined ? now : old} is a folder: give two rulesets, or two folders of them`);
  const rulesets = (names: readonly string[]): readonly string[] =>
    names.filter((name) => name.endsWith('.rules')).sort();
  const [left, right] = [rulesets(before), rulesets(after)];
  if (left.length + right.length === 0)
    throw new UsageError(
      `there is no HOST.rules in ${old} or ${now}: expected files as \`generate --output\` writes them`,
    );
  const pairs = left
    .filter((name) => right.includes(name))
    .map((name): RulesetPair => {
      const is6 = name.endsWith('.v6.rules');
      return {
        name: name.slice(0, is6 ? -'.v6.rules'.length : -'.rules'.length),
        family: is6 ? 6 : 4,
        old: `${old}/${name}`,
        now: `${now}/${name}`,
      };
    });
  const missing = [
    ...left.filter((name) => !right.includes(name)).map((name) => `${name} is not in ${now}: not compared`),
    ...right.filter((name) => !left.includes(name)).map((name) => `${name} is not in ${old}: not compared`),
  ];
  return { pairs, missing, areFolders: true };
}
