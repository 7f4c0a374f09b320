/** THE REFERENCE: what each host's kernel holds after nova's services applied their rules. */
import type { Family } from '../address/address.ts';
import type { Deployment, DeploymentHost } from '../deployment/deployment.ts';
import { roleOf } from '../deployment/service.ts';
import { readRuleset } from '../ruleset/parse.ts';
import { printRuleset } from '../ruleset/print.ts';
import { BUILT_IN_CHAINS, type TableName } from '../ruleset/rule.ts';
import type { Memory } from './memory.ts';
import { profileFor, type Profile } from './profile.ts';

/** A kernel's tables as iptables-save prints them: each one's lines, `*TABLE` to `COMMIT`. */
type KernelTables = ReadonlyMap<TableName, readonly string[]>;

/** iptables-save prints its tables in no meaningful order: here always in this one. */
const TABLE_ORDER: readonly TableName[] = ['raw', 'mangle', 'nat', 'filter', 'security'];

/**
 * The ruleset of one host and family in iptables-save's spelling, without its `#` lines: what an operator had there, then each service's
 * rules in the order in which the services applied them (only `service`'s when it is given). Throws UnsupportedError for a release or manager
 * that is not built yet.
 */
export function rulesetTextFor(
  deployment: Deployment,
  host: DeploymentHost,
  family: Family,
  options: { readonly service?: string } = {},
): string {
  const profile = profileFor(deployment);
  const path = `${deployment.path}: ${host.name}`;
  const services = options.service === undefined ? host.services : [options.service];
  let kernel = inKernelSpelling(host.rules.get(family) ?? '', path, family);
  for (const service of services) {
    const memory = memoryOf(profile, deployment, host, service);
    if (memory !== undefined && (family === 4 || host.flags.use_ipv6))
      kernel = apply(profile, kernel, memory, path, family);
  }
  // A kernel that nobody wrote to lets everything pass: said in one table.
  if (kernel.size === 0) kernel = new Map([['filter', emptyTable('filter')]]);
  return printTables(kernel);
}

/** What `service` keeps in memory on `host`; undefined for a service that never applies a rule. */
function memoryOf(profile: Profile, deployment: Deployment, host: DeploymentHost, service: string): Memory | undefined {
  const role = roleOf(service);
  if (role === 'none') return undefined;
  const memory = profile.newMemory(service);
  profile.rules[role]?.(memory, deployment, host);
  return memory;
}

/** One save and one restore for each table of the process (IptablesManager.apply). */
function apply(profile: Profile, kernel: KernelTables, memory: Memory, path: string, family: Family): KernelTables {
  const merged = new Map(kernel);
  for (const [name, table] of memory.tablesOf(family)) {
    // Asked to save a table that is not there, iptables-save loads its module.
    const saved = (kernel.get(name) ?? emptyTable(name)).map(withoutCounters);
    merged.set(name, profile.merge(saved, table));
  }
  return inKernelSpelling(printTables(merged), path, family);
}

const emptyTable = (name: TableName): string[] => [
  `*${name}`,
  ...BUILT_IN_CHAINS[name].map((chain) => `:${chain} ACCEPT [0:0]`),
  'COMMIT',
];

/** folsom-2 saves and restores without `-c`: whatever was counted is forgotten. */
const withoutCounters = (line: string): string =>
  line.startsWith(':') ? line.replace(/ \[\d+:\d+\]$/, ' [0:0]') : line.replace(/^\[\d+:\d+\] /, '');

/** A restore and a save: canonical options, chains and rules in the kernel's order. */
function inKernelSpelling(text: string, path: string, family: Family): KernelTables {
  const ruleset = readRuleset(text, { path, family });
  return new Map(
    [...ruleset.tables].map(([name, table]) => {
      const alone = printRuleset({ ...ruleset, tables: new Map([[name, table]]) });
      return [name, alone.trimEnd().split('\n')];
    }),
  );
}

const printTables = (tables: KernelTables): string =>
  TABLE_ORDER.flatMap((name) => tables.get(name) ?? [])
    .map((line) => `${line}\n`)
    .join('');
