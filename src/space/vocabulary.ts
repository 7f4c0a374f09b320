/** The names that rulesets and a host tell apart: what the alphabets of a layout are made of. */
import type { Host } from '../host/host.ts';
import type { Match, Rule, Ruleset } from '../ruleset/rule.ts';
import type { Alphabets } from './layout.ts';
import { Names } from './names.ts';
import { entryKey, OTHER_ENTRIES } from './packet-set.ts';

/** What else is named: entries as `entryKey` has them. */
export interface MoreNames {
  readonly entries?: Iterable<string>;
  readonly devices?: Iterable<string>;
}

/** What rules ask for by its name, or by the start of it. */
export interface RuleNames {
  /** Devices, and ports of bridges. */
  readonly devices: ReadonlySet<string>;
  readonly macs: ReadonlySet<string>;
}

export function namedBy(rulesets: readonly Ruleset[]): RuleNames {
  const devices = new Set<string>();
  const macs = new Set<string>();
  // Rules of equal text share their list of matches (ruleset/plain.ts).
  const seen = new Set<readonly Match[]>();
  for (const rules of ruleListsOf(rulesets))
    for (const { matches } of rules) {
      if (seen.has(matches)) continue;
      seen.add(matches);
      for (const match of matches) {
        if (match.kind === 'in' || match.kind === 'out') devices.add(match.name);
        else if (match.kind === 'mac') macs.add(match.mac);
        else if (match.kind === 'physdev')
          for (const port of [match.in, match.out]) if (port !== undefined) devices.add(port.value);
      }
    }
  return { devices, macs };
}

/** Alphabets for what rules name, on these hosts or, without one, on any. */
export function alphabetsOf(named: RuleNames, hosts: readonly Host[], more: MoreNames = {}): Alphabets {
  const devices = new Set([...(more.devices ?? []), ...named.devices]);
  const macs = new Set(named.macs);
  const own = hosts.flatMap(devicesOf);
  for (const device of own) devices.add(device);
  for (const set of hosts.flatMap(({ sets }) => [...sets.values()])) {
    for (const { fields } of set.entries) {
      for (const field of fields) {
        if (field.kind === 'mac') macs.add(field.mac);
        if (field.kind === 'interface') devices.add(field.wildcard === true ? `${field.name}+` : field.name);
      }
    }
  }
  const entries =
    hosts.length === 0
      ? OTHER_ENTRIES
      : [...own.map((device) => entryKey('in', device)), entryKey('local', ''), ...(more.entries ?? [])];
  return { devices: new Names(devices), macs: new Names(macs), entries: new Names(entries) };
}

/** Devices of the IP layer, and ports of bridges. */
export const devicesOf = (host: Host): readonly string[] => [
  ...host.interfaces.map(({ name }) => name),
  ...host.bridges.flatMap(({ ports }) => ports.map(({ name }) => name)),
];

/** Each list once: rulesets may have chains in common (ruleset/known.ts). */
function ruleListsOf(rulesets: readonly Ruleset[]): ReadonlySet<readonly Rule[]> {
  const lists = new Set<readonly Rule[]>();
  for (const ruleset of rulesets)
    for (const table of ruleset.tables.values()) for (const { rules } of table.chains.values()) lists.add(rules);
  return lists;
}
