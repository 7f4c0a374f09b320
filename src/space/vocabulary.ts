/** The names that rulesets and a host tell apart: what the alphabets of a layout are made of. */
import type { Host } from '../host/host.ts';
import type { Match } from '../ruleset/rule.ts';
import type { Alphabets } from './layout.ts';
import { Names } from './names.ts';
import { entryKey, OTHER_ENTRIES } from './packet-set.ts';

/** The device by which a host sends to itself. */
export const LOOPBACK = 'lo';

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

/** Adds what a match names. */
export function addNames(match: Match, devices: Set<string>, macs: Set<string>): void {
  if (match.kind === 'in' || match.kind === 'out') devices.add(match.name);
  else if (match.kind === 'mac') macs.add(match.mac);
  else if (match.kind === 'physdev')
    for (const port of [match.in, match.out]) if (port !== undefined) devices.add(port.value);
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
