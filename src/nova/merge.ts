/**
 * How a process writes its table into a kernel that others write into as well: by editing the text of `iptables-save -t TABLE` line by
 * line (nova/network/linux_net.py IptablesManager._modify_rules, Essex to folsom-2; the steps are those of the source).
 */
import type { MemoryTable } from './memory.ts';

/** The lines of one table, `*TABLE` to `COMMIT`, as they are to be restored after `table` was applied to `current`. */
export function mergeTable(current: readonly string[], table: MemoryTable): string[] {
  // Any line that contains the binary's name goes: also other processes' whose name begins alike, and operators' comments.
  let lines = current.filter((line) => !line.includes(table.binary));
  const insertAt = afterChains(lines);
  const own = table.rules.map((rule) => table.lineOf(rule));
  // Of equal lines the last will win, so copies of rules that belong at the top are taken out beforehand.
  const top = new Set(table.rules.filter((rule) => rule.top).map((rule) => table.lineOf(rule)));
  lines = lines.filter((line) => !top.has(line.trim()));
  lines.splice(
    insertAt,
    0,
    ...[...table.wrapped].map((name) => `:${table.binary}-${name} - [0:0]`),
    ...[...table.unwrapped].map((name) => `:${name} - [0:0]`),
    ...own,
  );
  return lastOfEach(lines);
}

/** The index of the first line after the first block of chain declarations; the last line's when there is none. */
function afterChains(lines: readonly string[]): number {
  const first = lines.findIndex((line) => line.startsWith(':'));
  if (first < 0) return Math.max(0, lines.length - 1);
  const after = lines.findIndex((line, index) => index > first && !line.startsWith(':'));
  return after < 0 ? lines.length - 1 : after;
}

/** Each line once, where it stands last. */
function lastOfEach(lines: readonly string[]): string[] {
  const last = new Map(lines.map((line, index) => [line.trim(), index]));
  return lines.filter((line, index) => last.get(line.trim()) === index);
}
