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

/** Alphabets for these rulesets, on these hosts or, without one, on any. */
export function alphabetsOf(rulesets: readonly Ruleset[], hosts: readonly Host[], more: MoreNames = {}): Alphabets {
  const devices = new Set(more.devices ?? []);
  const macs = new Set<string>();
  forEachMatch(rulesets, (match) => {
    if (match.kind === 'in' || match.kind === 'out') devices.add(match.name);
    else if (match.kind === 'mac') macs.add(match.mac);
    else if (match.kind === 'physdev')
      for (const port of [match.in, match.out]) if (port !== undefined) devices.add(port.value);
  });
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

/** The ports of bridges that rules ask for, by name or by the start of it. */
export function portsNamed(rulesets: readonly Ruleset[]): readonly string[] {
  const named = new Set<string>();
  forEachMatch(rulesets, (match) => {
    if (match.kind === 'in' || match.kind === 'out') named.add(match.name);
    else if (match.kind === 'physdev')
      for (const port of [match.in, match.out]) if (port !== undefined) named.add(port.value);
  });
  return [...named];
}

/** Devices of the IP layer, and ports of bridges. */
export const devicesOf = (host: Host): readonly string[] => [
  ...host.interfaces.map(({ name }) => name),
  ...host.bridges.flatMap(({ ports }) => ports.map(({ name }) => name)),
];

/** Each match once: rulesets may have chains in common (ruleset/known.ts), and rules of equal text have their list of matches (ruleset/plain.ts). */
function forEachMatch(rulesets: readonly Ruleset[], see: (match: Match) => void): void {
  const chains = new Set<readonly Rule[]>();
  const lists = new Set<readonly Match[]>();
  for (const ruleset of rulesets)
    for (const table of ruleset.tables.values())
      for (const { rules } of table.chains.values()) if (rules.length > 0) chains.add(rules);
  for (const rules of chains) for (const { matches } of rules) lists.add(matches);
  for (const matches of lists) matches.forEach(see);
}
