/**
 * How a process writes its table into a kernel that others write into as well: by editing the text of iptables-save line by
 * line (nova/network/linux_net.py IptablesManager._modify_rules; the steps are those of the source).
 */
import type { Flags } from '../deployment/deployment.ts';
import { UnsupportedError } from '../diagnostic/diagnostic.ts';
import { withoutCounters, withoutRuleCounters } from './kernel.ts';
import type { MemoryTable } from './memory.ts';
import type { Profile } from './profile.ts';

/** The operator's patterns (iptables_top_regex, iptables_bottom_regex; since Grizzly, before: empty). */
export type Patterns = Pick<Flags, 'iptables_top_regex' | 'iptables_bottom_regex'>;

/** The lines of one table, `*TABLE` to `COMMIT`, as they are to be restored after `table` was applied to `current`. */
export function mergeTable(
  current: readonly string[],
  table: MemoryTable,
  profile: Profile,
  patterns: Patterns,
): string[] {
  const saved = profile.keepsCounters ? current : current.map(withoutCounters);
  // Any line that contains the binary's name goes: also other processes' whose name begins alike, and operators' comments.
  let lines = saved.filter((line) => !line.includes(table.binary));
  const insertAt = afterChains(lines);
  const top: string[] = [];
  for (const rule of table.rules.filter((candidate) => candidate.top)) {
    const own = table.lineOf(rule);
    // Of equal lines the last will win, so copies of rules that belong at the top are taken out beforehand.
    const isCopy = profile.topFirst
      ? (line: string): boolean => line.includes(own)
      : (line: string): boolean => line === own;
    const last = lines.findLast(isCopy);
    lines = lines.filter((line) => !isCopy(line));
    // With -c the copy is put back as it was, so that its counters survive.
    top.push(profile.topFirst ? (last ?? own) : own);
  }
  const others = table.rules.filter((rule) => !rule.top).map((rule) => table.lineOf(rule));
  const operatorsTop = matching(lines, patterns.iptables_top_regex);
  lines = lines.filter((line) => !operatorsTop.includes(line));
  lines = [
    ...lines.slice(0, insertAt),
    ...[...table.wrapped].map((name) => `:${table.binary}-${name} - [0:0]`),
    ...[...table.unwrapped].map((name) => `:${name} - [0:0]`),
    ...operatorsTop,
    ...(profile.topFirst ? [...top, ...others] : inOrderOfAddition(table)),
    ...lines.slice(insertAt),
  ];
  const operatorsBottom = matching(lines, patterns.iptables_bottom_regex);
  if (operatorsBottom.length > 0) {
    lines = lines.filter((line) => !operatorsBottom.includes(line));
    lines.splice(lines.length - 1, 0, ...operatorsBottom);
  }
  return lastOfEach(lines);
}

const inOrderOfAddition = (table: MemoryTable): string[] => table.rules.map((rule) => table.lineOf(rule));

/** The index of the first line after the first block of chain declarations; the last line's when there is none. */
function afterChains(lines: readonly string[]): number {
  const first = lines.findIndex((line) => line.startsWith(':'));
  if (first < 0) return Math.max(0, lines.length - 1);
  const after = lines.findIndex((line, index) => index > first && !line.startsWith(':'));
  return after < 0 ? lines.length - 1 : after;
}

/** Each line once, where it stands last; counters make no difference. */
function lastOfEach(lines: readonly string[]): string[] {
  const last = new Map(lines.map((line, index) => [withoutRuleCounters(line), index]));
  return lines.filter((line, index) => last.get(withoutRuleCounters(line)) === index);
}

/** The rules, with their counters before them, that a pattern fits from their beginning on. */
function matching(lines: readonly string[], pattern: string): string[] {
  if (pattern === '') return [];
  const parts = partsOf(pattern);
  return lines.filter((line) => {
    if (!withoutRuleCounters(line).startsWith('-A ')) return false;
    return fits(line.startsWith('[') ? line : `[0:0] ${line}`, parts);
  });
}

/**
 * A pattern as the texts that follow each other with anything between. Of Python's expressions this much is read: text, `.*`, `^` at the beginning,
 * and `\` before a character that is meant as it stands. The rest of them could take exponential time on a file that nobody vouches for.
 */
function partsOf(pattern: string): string[] {
  const parts: string[] = [];
  const text = pattern.startsWith('^') ? pattern.slice(1) : pattern;
  let part = '';
  for (let at = 0; at < text.length; at++) {
    const character = text.charAt(at);
    if (text.startsWith('.*', at)) {
      parts.push(part);
      part = '';
      at++;
    } else if (character === '\\' && at + 1 < text.length) part += text.charAt(++at);
    else if ('.*+?[](){}|^$'.includes(character))
      throw new UnsupportedError(
        `the pattern ${JSON.stringify(pattern)}: ${character} is not read: text, .* and \\ before a character are`,
      );
    else part += character;
  }
  return [...parts, part];
}

function fits(line: string, [start = '', ...rest]: readonly string[]): boolean {
  if (!line.startsWith(start)) return false;
  let at = start.length;
  for (const part of rest) {
    const found = line.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return true;
}
