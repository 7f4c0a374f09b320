/**
 * The laws over time: what has to hold of an operation on a running cloud, of its end and of every state on the way there. They compare rulesets as lines
 * of iptables-save; what the lines mean, the other laws say.
 */
import { printAddress, printPrefix, type Family } from '../address/address.ts';
import type { Deployment, Instance, Network, Release } from '../deployment/deployment.ts';
import { hostNamed, serves } from '../deployment/placement.ts';
import { isSince, RELEASES } from '../deployment/release.ts';
import type { Operation } from '../deployment/schema.ts';
import { printArrival, printPacket } from '../packet/notation.ts';
import type { Law } from './law.ts';
import { flowsThatGoOn, type FlowGoneOn, type Taken } from './living-flows.ts';
import { prefixOf } from './vocabulary/chain.ts';
import { notApplicable } from './vocabulary/claims.ts';

/** The tables of one kernel and family: each one's lines, `*TABLE` to `COMMIT`, rules with their counters where they have counted. */
export type TableLines = ReadonlyMap<string, readonly string[]>;
/** All hosts, both families. */
export type Kernels = ReadonlyMap<string, Readonly<Record<Family, TableLines>>>;

/** One operation on a cloud. */
export interface History {
  readonly operation: Operation;
  readonly before: Kernels;
  /** Each write that followed, by the name of the service (or `operator`). */
  readonly writes: readonly Write[];
  readonly after: Kernels;
  /** The database before it, and after. */
  readonly earlier: Deployment;
  readonly deployment: Deployment;
  /** The networks that were there once. */
  readonly former: readonly Network[];
  /** The ids of instances that were there once. */
  readonly formerIds: readonly number[];
  /** The ids of instances that did not run when their nova-compute started, and that it has had no reason to filter since. */
  readonly leftAlone: readonly number[];
  /** What the kernels held before the operation that this one undoes, if it undoes one. */
  readonly undone?: Kernels;
  /** What every kernel would hold if all that the database asks for were applied to hosts that had only the operator's rules. */
  readonly settled: () => Kernels;
  /** What every kernel holds when each service applies again what it has in memory. */
  readonly again: () => Kernels;
}

export interface Write {
  readonly host: string;
  readonly by: string;
  readonly before: Readonly<Record<Family, TableLines>>;
  readonly after: Readonly<Record<Family, TableLines>>;
}

export interface TimeBreach {
  readonly host: string;
  readonly message: string;
  readonly kind: 'missing' | 'left over' | 'reordered' | 'doubled' | 'goes on';
  /** `filter -A CHAIN ...`; of a flow its first packet. */
  readonly line: string;
  /** `goes on`: which flow, and under which rules. */
  readonly flow?: FlowGoneOn;
}

interface KnownTimeFailure {
  readonly releases: readonly Release[] | 'all';
  /** The regression, of the list in nova's history. */
  readonly bug: string;
  readonly because: string;
  readonly where: (breach: TimeBreach, history: History) => boolean;
}

export interface TimeLaw extends Omit<Law, 'knownFailures' | 'claims' | 'kind'> {
  readonly knownFailures: readonly KnownTimeFailure[];
  /** All that contradicts it in one operation. */
  readonly breaches: (history: History) => readonly TimeBreach[];
}

/** The mark of a breach in a release; undefined where there is none. */
export const markOf = (law: TimeLaw, breach: TimeBreach, history: History): KnownTimeFailure | undefined =>
  law.knownFailures.find(
    ({ releases, where }) =>
      (releases === 'all' || releases.includes(history.deployment.release)) && where(breach, history),
  );

/** What a release is known to break, as `LAW (bug)`: then it does. */
export const marksOf = (release: Release): readonly string[] =>
  TIME_LAWS.flatMap(({ id, knownFailures }) =>
    knownFailures
      .filter(({ releases }) => releases === 'all' || releases.includes(release))
      .map(({ bug }) => `${id} (${bug})`),
  );

const FAMILIES: readonly Family[] = [4, 6];

const uncounted = (line: string): string => line.replace(/^\[\d+:\d+\] /, '');

/** A value made of a table's lines, which never change, kept as long as they are. */
function perTable<T>(
  make: (table: string, lines: readonly string[]) => T,
): (table: string, lines: readonly string[]) => T {
  const known = new WeakMap<readonly string[], T>();
  return (table, lines) => {
    const kept = known.get(lines);
    if (kept !== undefined) return kept;
    const made = make(table, lines);
    known.set(lines, made);
    return made;
  };
}

/** `filter -A CHAIN ...` for each rule and `filter :CHAIN` for each chain of nova's. */
const linesOf = perTable((table, lines) =>
  lines.flatMap((line) => {
    if (line.startsWith(':nova-')) return [`${table} ${line.slice(0, line.indexOf(' '))}`];
    const rule = uncounted(line);
    return rule.startsWith('-A ') ? [`${table} ${rule}`] : [];
  }),
);

const setOf = perTable((table, lines): ReadonlySet<string> => new Set(linesOf(table, lines)));

const NOTHING: readonly string[] = [];

/** Each table that is not the very same in both: what only the first has, and what only the second. */
function compareTables(
  a: TableLines | undefined,
  b: TableLines | undefined,
  visit: (only: string, of: 'a' | 'b') => void,
): void {
  for (const table of new Set([...(a?.keys() ?? []), ...(b?.keys() ?? [])])) {
    const [first, second] = [a?.get(table) ?? NOTHING, b?.get(table) ?? NOTHING];
    if (first === second) continue;
    const [mine, others] = [setOf(table, first), setOf(table, second)];
    for (const line of mine) if (!others.has(line)) visit(line, 'a');
    for (const line of others) if (!mine.has(line)) visit(line, 'b');
  }
}

const has = (tables: TableLines | undefined, line: string): boolean => {
  const table = line.slice(0, line.indexOf(' '));
  return setOf(table, tables?.get(table) ?? NOTHING).has(line);
};

/** Both families of a host. */
function compare(
  a: Readonly<Record<Family, TableLines>> | undefined,
  b: Readonly<Record<Family, TableLines>> | undefined,
  visit: (only: string, of: 'a' | 'b') => void,
): void {
  for (const family of FAMILIES) if (a?.[family] !== b?.[family]) compareTables(a?.[family], b?.[family], visit);
}

const chainIn = (line: string): string => line.split(' ')[2] ?? '';

/** D14: the jump of inst-10 is gone with inst-1. */
const isPrefixLoss = ({ kind, line }: TimeBreach, { deployment, formerIds }: History): boolean => {
  const id = / -j nova-compute-inst-(\d+)$/.exec(line)?.[1];
  if (kind === 'doubled' || id === undefined || !chainIn(line).endsWith('-local')) return false;
  return [...formerIds, ...deployment.instances.map((instance) => instance.id)].some(
    (other) => `${other}` !== id && id.startsWith(`${other}`),
  );
};

const PREFIX_LOSS: KnownTimeFailure = {
  releases: 'all',
  bug: 'D14',
  because:
    'removing inst-1 removes every rule whose text contains "-j nova-compute-inst-1", so the jumps to inst-10 to inst-19 too; nothing adds them again until those are refreshed',
  where: isPrefixLoss,
};

/** By its bridge, its VLAN, its range, or an address of nova's in that. */
const namesNetwork = (line: string, { bridge, vlan, cidr, vpnPrivateAddress: vpn, dhcpServer }: Network): boolean =>
  [bridge, ...(vlan === undefined ? [] : [`vlan${vlan}`]), printPrefix(cidr)]
    .concat([vpn, dhcpServer].flatMap((address) => (address === undefined ? [] : [`${printAddress(address)}/32`])))
    .concat(vpn === undefined ? [] : [`${printAddress(vpn)}:1194`])
    .some((word) => ` ${line} `.includes(` ${word} `));

const FORMER_NETWORK: KnownTimeFailure = {
  releases: 'all',
  bug: 'network-delete',
  because: 'deleting a network changes no rule: what nova-network wrote for it stays until it starts again',
  where: ({ kind, line }, { former }) =>
    kind === 'left over' && / -A nova-network/.test(line) && former.some((network) => namesNetwork(line, network)),
};

const TORN_DOWN: KnownTimeFailure = {
  releases: RELEASES.filter((release) => isSince(release, 'grizzly')),
  bug: 'teardown',
  because:
    'a network that is torn down on a host loses each of its rules once: what was added with every instance stays in grizzly, and what translates its range does since havana',
  where: ({ kind, line, host: name }, { deployment }) => {
    const host = hostNamed(deployment, name);
    if (kind !== 'left over' || host?.flags.teardown_unused_network_gateway !== true) return false;
    return deployment.networks.some(
      (network) =>
        network.multiHost && !serves(host, network) && / -A nova-network/.test(line) && namesNetwork(line, network),
    );
  },
};

const COMPUTE_KEEPS: KnownTimeFailure = {
  releases: 'all',
  bug: 'unplug',
  because: 'nova-compute never takes back what it has accepted for a bridge, or made for its first instance',
  where: ({ kind, line }) =>
    kind === 'left over' && / (-A nova-compute-(FORWARD|INPUT) |:nova-compute-provider$)/.test(line),
};

const isNetworkStart = (restart: Operation['restart']): boolean => restart?.service === 'nova-network';
const isComputeStart = (restart: Operation['restart']): boolean => restart?.service === 'nova-compute';

const BEFORE_GRIZZLY: readonly Release[] = ['essex', 'folsom-2', 'folsom', 'folsom-2012.2.4'];

const NONE_WRITTEN: KnownTimeFailure = {
  releases: ['essex'],
  bug: '-s None',
  because:
    'the chain of an instance on a network without a DHCP server has a rule with -s None: no restore of nova-compute’s filter table succeeds as long as it is there',
  where: ({ host, line }, { deployment }) =>
    / nova-(compute-|filter-top|postrouting-bottom)|:nova-/.test(line) &&
    deployment.instances.some(
      (instance) =>
        instance.host === host &&
        instance.vifs.some(({ network }) =>
          deployment.networks.some(({ label, manager }) => label === network && manager === 'FlatManager'),
        ),
    ),
};

const SINCE_FOLSOM: readonly Release[] = RELEASES.filter((release) => isSince(release, 'folsom'));

const FLOAT_STAYS: KnownTimeFailure = {
  releases: BEFORE_GRIZZLY,
  bug: 'A16',
  because: 'with multi_host a migration leaves the floating IP’s rules on the old host, and the new one gets none',
  where: ({ kind, host, line }, { deployment }) => {
    const moved = deployment.floatingIps.find(({ address }) =>
      ` ${line} `.replaceAll('/', ' ').includes(` ${printAddress(address)} `),
    );
    const home = deployment.instances.find(({ vifs }) =>
      vifs.some(({ network, fixedIps }) => {
        const { multiHost = false } = deployment.networks.find(({ label }) => label === network) ?? {};
        return multiHost && fixedIps.some((own) => own === moved?.fixedIp);
      }),
    )?.host;
    return home !== undefined && (kind === 'missing' ? host === home : kind === 'left over' && host !== home);
  },
};

const LOST_ON_HUP: KnownTimeFailure = {
  releases: ['essex'],
  bug: 'C2',
  because: 'nova-network that starts again only sends its dnsmasq a HUP, and does not accept its ports again',
  where: ({ kind, line }) => kind === 'missing' && / -A nova-network-INPUT .*--dport (67|53) /.test(line),
};

const FORWARD_EMPTY: KnownTimeFailure = {
  releases: ['essex', 'folsom-2'],
  bug: 'D16',
  because:
    'nova-compute that starts again does not plug in the interfaces of running instances, nor accept for their bridges',
  where: ({ kind, line }) => kind === 'missing' && / -A nova-compute-FORWARD /.test(line),
};

const FIRST_FLOAT: KnownTimeFailure = {
  releases: 'all',
  bug: 'float order',
  because:
    'of several floating IPs of one fixed address the one that was associated first shows, until nova-network starts again: then it is the first of the database',
  where: ({ kind, line }) => kind === 'reordered' && chainIn(line).endsWith('-float-snat'),
};

/** Lines of a service on a host where a service runs whose name is a part of its own. */
const SWALLOWED_NAME: KnownTimeFailure = {
  releases: 'all',
  bug: 'swallowed name',
  because:
    'an apply removes every line that contains its own name, also as a part of another: nova-api takes the chains and rules of nova-api-metadata along',
  where: ({ host, line }, { deployment }) =>
    line.includes(prefixOf('nova-api-metadata')) && servicesOn(deployment, host).includes('nova-api'),
};

const SWALLOWED_COMMENT: KnownTimeFailure = {
  releases: 'all',
  bug: 'swallowed comment',
  because: 'an apply removes every line that contains its own name, also an operator’s whose comment names it',
  where: ({ kind, host, line }, { deployment }) => {
    const comment = / --comment (?:"([^"]*)"|(\S+))/.exec(line);
    const said = comment?.[1] ?? comment?.[2];
    return (
      kind === 'missing' &&
      said !== undefined &&
      servicesOn(deployment, host).some((service) => said.includes(prefixOf(service)))
    );
  },
};

/** The id of the instance whose chain a line is about. */
const chainIdIn = (line: string): number | undefined => {
  const [, id] = /nova-compute-inst-(\d+)( |$)/.exec(line) ?? [];
  return id === undefined ? undefined : Number(id);
};

/** D17: the chain of an instance that nova-compute has not seen stays as an earlier process wrote it, until the first apply takes it away. */
const LEFT_ALONE: KnownTimeFailure = {
  releases: 'all',
  bug: 'D17',
  because:
    'an instance that is stopped when nova-compute starts is not filtered then, and a soft reboot, which lets it run again, does not see to it',
  where: ({ kind, host, line }, { deployment, leftAlone }) => {
    const id = chainIdIn(line);
    if (id !== undefined) return leftAlone.includes(id);
    return (
      kind === 'missing' &&
      / -A nova-compute-(FORWARD|INPUT) |:nova-compute-provider$/.test(line) &&
      deployment.instances.some((instance) => instance.host === host && leftAlone.includes(instance.id))
    );
  },
};

const servicesOn = ({ hosts }: Deployment, host: string): readonly string[] =>
  hosts.find(({ name }) => name === host)?.services ?? [];

const equalsScratch: TimeLaw = {
  id: 'change/incremental-equals-scratch',
  severity: 'error',
  statement:
    'After any operation each kernel holds what the database asks for, as if it had been written in one go: no rule is missing, none is left over, and where order decides it is the same.',
  source: 'nova/network/linux_net.py IptablesManager: what a process has in memory is the whole of what it wants',
  brokenBy: 'An operation that removes more than it should, or less.',
  knownFailures: [
    NONE_WRITTEN,
    PREFIX_LOSS,
    FORMER_NETWORK,
    TORN_DOWN,
    COMPUTE_KEEPS,
    FLOAT_STAYS,
    LOST_ON_HUP,
    FORWARD_EMPTY,
    FIRST_FLOAT,
    SWALLOWED_NAME,
    LEFT_ALONE,
  ],
  breaches: ({ after, settled }) => {
    const found: TimeBreach[] = [];
    for (const [host, wanted] of settled()) {
      const kernel = after.get(host);
      compare(kernel, wanted, (line, of) => {
        if (of === 'b') found.push({ host, kind: 'missing', line, message: `${host} lacks ${line}` });
        else if (!isOperators(line))
          found.push({ host, kind: 'left over', line, message: `${host} still has ${line}` });
      });
      found.push(...reordered(host, kernel?.[4], wanted[4]));
    }
    return found;
  },
};

/** Rules that an operator has put into built-in chains are none of nova's, whatever their comments name. */
const isOperators = (line: string): boolean => !/(^| )(:|-A |-j )nova-/.test(line);

/** Where order decides: an instance's chain, and the floating IPs of one fixed address. */
function reordered(host: string, kernel: TableLines | undefined, wanted: TableLines): TimeBreach[] {
  const found: TimeBreach[] = [];
  const chains = (tables: TableLines | undefined, table: string, of: RegExp): Map<string, string[]> => {
    const grouped = new Map<string, string[]>();
    for (const line of linesOf(table, tables?.get(table) ?? [])) {
      const key = of.exec(line)?.[0];
      if (key !== undefined) grouped.set(key, [...(grouped.get(key) ?? []), line]);
    }
    return grouped;
  };
  for (const [table, of] of [
    ['filter', / -A nova-compute-inst-\d+ /],
    ['nat', / -A nova-network-float-snat -s \S+ /],
  ] as const) {
    if (kernel?.get(table) === wanted.get(table)) continue;
    const [is, should] = [chains(kernel, table, of), chains(wanted, table, of)];
    for (const [key, lines] of should) {
      const have = (is.get(key) ?? []).filter((line) => lines.includes(line));
      const expected = lines.filter((line) => have.includes(line));
      const at = expected.findIndex((line, index) => have[index] !== line);
      const first = expected[at];
      if (first !== undefined)
        found.push({ host, kind: 'reordered', line: first, message: `${host} has ${first} in another place` });
    }
  }
  return found;
}

const noWindow: TimeLaw = {
  id: 'change/no-window',
  severity: 'error',
  statement:
    'No state on the way accepts more than before or after, or less than both: every rule that is there before and after is there all the time, and none appears that is in neither.',
  source: 'nova/network/linux_net.py IptablesManager.apply: each restore replaces a whole table; laws of time',
  brokenBy: 'Chains that are taken away in one apply and brought back in the next.',
  knownFailures: [
    {
      releases: 'all',
      bug: 'D15',
      because:
        'nova-compute that starts again applies after each instance, and the first apply removes the chains of all the others: they are open until their turn comes',
      where: ({ kind, line }, { operation, deployment }) => {
        if (kind !== 'missing' || !line.includes('nova-compute-')) return false;
        if (isComputeStart(operation.restart)) return true;
        // A process that found nothing to filter when it started applies for the first time with the next instance, whose chain may be an earlier process's.
        const { boot, migrate, start } = operation;
        if ((boot ?? migrate ?? start) === undefined) return false;
        const next = deployment.instances.find(({ name }) => [boot?.name, migrate?.instance, start].includes(name));
        return / -A nova-compute-(FORWARD|INPUT) /.test(line) || (next !== undefined && chainIdIn(line) === next.id);
      },
    },
    // Before, all of a host are rebuilt by one apply.
    { ...PREFIX_LOSS, releases: SINCE_FOLSOM },
    {
      releases: RELEASES.filter((release) => release !== 'rocky'),
      bug: 'F13',
      because:
        'nova-network that starts again applies after each network and each floating IP: until its turn comes each is unreachable',
      where: ({ kind, line }, { operation }) =>
        kind === 'missing' && line.includes('nova-network-') && isNetworkStart(operation.restart),
    },
  ],
  breaches: ({ before, writes, after }) => {
    const found: TimeBreach[] = [];
    for (const [host, start] of before) {
      const own = writes.filter((write) => write.host === host);
      // What the last write leaves is the end itself.
      for (const { after: state } of own.slice(0, -1)) {
        const end = after.get(host);
        for (const family of FAMILIES) {
          const [first, now, last] = [start[family], state[family], end?.[family]];
          if (now === first || now === last) continue;
          compareTables(first, now, (line, of) => {
            if (of === 'a' && has(last, line))
              found.push({ host, kind: 'missing', line, message: `on the way ${host} lacks ${line}` });
            if (of === 'b' && !has(last, line))
              found.push({ host, kind: 'left over', line, message: `on the way ${host} has ${line}` });
          });
        }
      }
    }
    return found;
  },
};

const idempotent: TimeLaw = {
  id: 'apply/idempotent',
  severity: 'error',
  statement: 'A service that applies again what it has applied changes no rule.',
  source: 'nova/network/linux_net.py IptablesManager._modify_rules; 5161d6c002, bug 1097999',
  brokenBy: 'A merge that adds what is there already, or forgets what it has moved.',
  knownFailures: [SWALLOWED_NAME, SWALLOWED_COMMENT],
  breaches: ({ after, again }) => {
    const found: TimeBreach[] = [];
    for (const [host, kernel] of again())
      compare(after.get(host), kernel, (line, of) => {
        found.push(
          of === 'a'
            ? { host, kind: 'missing', line, message: `applying again takes ${line} from ${host}` }
            : { host, kind: 'doubled', line, message: `applying again gives ${line} to ${host}` },
        );
      });
    return found;
  },
};

/** The lines that a writer finds and that are not its own, in their order. The shared jumps move with each apply. */
const foreignTo = (binary: string, longer: readonly string[], lines: readonly string[]): readonly string[] =>
  lines.filter(
    (line) =>
      (!line.includes(binary) || isOperators(line) || longer.some((other) => line.includes(other))) &&
      /^(:|-A|\[)/.test(line) &&
      !/(-j |:)nova-(filter-top|postrouting-bottom)( |$)/.test(line),
  );

/** Of equal lines the last. */
const once = (lines: readonly string[]): readonly string[] => {
  const last = new Map(lines.map((line, at) => [line, at]));
  return lines.filter((line, at) => last.get(line) === at);
};

/** What a write did to the lines of others, table by table. */
function onForeign(
  { host, by, before, after }: Write,
  { deployment }: History,
  visit: (table: string, was: readonly string[], is: readonly string[]) => void,
): void {
  if (by === 'operator') return;
  const binary = prefixOf(by);
  const longer = (deployment.hosts.find(({ name }) => name === host)?.services ?? [])
    .map(prefixOf)
    .filter((other) => other !== binary && other.includes(binary));
  for (const family of FAMILIES)
    for (const [table, lines] of before[family]) {
      const now = after[family].get(table);
      if (now !== lines) visit(table, foreignTo(binary, longer, lines), foreignTo(binary, longer, now ?? []));
    }
}

const keepsOthersOverTime: TimeLaw = {
  id: 'change/keeps-others',
  severity: 'error',
  statement:
    'A write by one service leaves every line of the others and of the operator as it was, in their order (of equal lines one).',
  source: 'nova/network/linux_net.py IptablesManager._modify_rules: only lines with the service’s own name are removed',
  brokenBy: 'A service whose name is part of another’s; a comment that names a service.',
  knownFailures: [SWALLOWED_NAME, SWALLOWED_COMMENT],
  breaches: (history) => {
    const found: TimeBreach[] = [];
    for (const write of history.writes)
      onForeign(write, history, (table, ...lines) => {
        const [was = [], is = []] = lines.map((own) => once(own.map((line) => line.replace(/ ?\[\d+:\d+\] ?/g, ''))));
        const { host, by } = write;
        const there = new Set(is);
        const lost = was.find((line) => !there.has(line));
        const old = new Set(was);
        const kept = is.filter((line) => old.has(line));
        const moved = was.find((line, index) => kept[index] !== line);
        if (lost !== undefined)
          found.push({
            host,
            kind: 'missing',
            line: `${table} ${lost}`,
            message: `${by} of ${host} takes away ${lost}`,
          });
        else if (moved !== undefined)
          found.push({
            host,
            kind: 'reordered',
            line: `${table} ${moved}`,
            message: `${by} of ${host} moves ${moved}`,
          });
      });
    return found;
  },
};

const keepsCounters: TimeLaw = {
  id: 'apply/keeps-counters',
  severity: 'error',
  statement: 'A write by one service leaves the counters of rules and policies that are not its own as they were.',
  source: 'nova/network/linux_net.py: iptables-save -c and iptables-restore -c (d141e64de9)',
  brokenBy: 'A save or a restore without -c.',
  knownFailures: [
    {
      releases: ['essex', 'folsom-2'],
      bug: 'F3',
      because: 'tables are saved and restored without -c: every apply sets every counter to zero',
      where: () => true,
    },
    { ...SWALLOWED_NAME, releases: SINCE_FOLSOM },
    { ...SWALLOWED_COMMENT, releases: SINCE_FOLSOM },
  ],
  breaches: (history) => {
    const found: TimeBreach[] = [];
    for (const write of history.writes)
      onForeign(write, history, (table, was, is) => {
        const counted = (line: string): boolean => /(^| )\[[1-9]\d*:\d+\]/.test(line);
        const lost = was.find((line) => counted(line) && !is.includes(line));
        const { host, by } = write;
        if (lost !== undefined)
          found.push({ host, kind: 'missing', line: `${table} ${lost}`, message: `${by} of ${host} forgets ${lost}` });
      });
    return found;
  },
};

const restartRestores: TimeLaw = {
  id: 'restart/restores',
  severity: 'error',
  statement: 'A service that starts again brings back every rule that was there and that the database asks for.',
  source: 'nova/network/manager.py init_host, nova/compute/manager.py init_host',
  brokenBy: 'A start that does not do what was done when the network was set up, or the instance booted.',
  knownFailures: [LOST_ON_HUP, FORWARD_EMPTY, SWALLOWED_NAME, LEFT_ALONE],
  breaches: ({ operation, before, after, settled }) => {
    if (operation.restart === undefined) return [];
    const { host } = operation.restart;
    const found: TimeBreach[] = [];
    const wanted = settled().get(host);
    for (const family of FAMILIES)
      compareTables(before.get(host)?.[family], after.get(host)?.[family], (line, of) => {
        if (of === 'a' && has(wanted?.[family], line))
          found.push({
            host,
            kind: 'missing',
            line,
            message: `${host} lost ${line} when ${operation.restart?.service ?? 'it'} started`,
          });
      });
    return found;
  },
};

const guardedAtAllTimes: TimeLaw = {
  id: 'change/guards-every-address',
  severity: 'error',
  statement:
    'At the end of every operation each live address has exactly one jump, to its own instance’s chain, on the host where the instance lives.',
  source: 'nova/virt/firewall.py add_filters_for_instance; the law instance-chain/guards-every-address, over time',
  brokenBy: 'The removal of one instance’s chain that takes the jumps to another’s along.',
  knownFailures: [NONE_WRITTEN, PREFIX_LOSS, LEFT_ALONE],
  breaches: ({ deployment, after }) =>
    deployment.instances.flatMap((instance) => guardBreaches(deployment, instance, after)),
};

function guardBreaches(deployment: Deployment, instance: Instance, after: Kernels): TimeBreach[] {
  const host = deployment.hosts.find(({ name }) => name === instance.host);
  if (host?.services.includes('nova-compute') !== true) return [];
  const families = host.flags.use_ipv6 ? FAMILIES : FAMILIES.slice(0, 1);
  return families.flatMap((family) => {
    const lines = linesOf('filter', after.get(host.name)?.[family].get('filter') ?? []);
    return instance.vifs
      .flatMap(({ fixedIps }) => fixedIps)
      .filter((address) => (typeof address === 'number') === (family === 4))
      .flatMap((address): TimeBreach[] => {
        const line = `filter -A nova-compute-local -d ${printAddress(address)}/${family === 4 ? 32 : 128} -j nova-compute-inst-${instance.id}`;
        const count = lines.filter((other) => other === line).length;
        if (count === 1) return [];
        return [
          {
            host: host.name,
            kind: count === 0 ? 'missing' : 'doubled',
            line,
            message: `${printAddress(address)} of ${instance.name} has ${count} jumps to its chain on ${host.name}`,
          },
        ];
      });
  });
}

const runningAndFuture: TimeLaw = {
  id: 'group/running-and-future-alike',
  severity: 'error',
  statement:
    'The chain of an instance that runs has the rules that it would get if it were booted now, with the groups and members that there are.',
  source:
    'The article: "The new rules are automatically enforced for all running instances and instances launched from then on"',
  brokenBy: 'A change of a group, or of its members, that some instance does not hear of.',
  knownFailures: [LEFT_ALONE],
  breaches: ({ deployment, after, settled }) => {
    const found: TimeBreach[] = [];
    for (const [host, wanted] of settled())
      compare(after.get(host), wanted, (line, of) => {
        const id = / -A nova-compute-inst-(\d+) /.exec(line)?.[1];
        if (id === undefined || !deployment.instances.some((instance) => `${instance.id}` === id)) return;
        found.push(
          of === 'b'
            ? { host, kind: 'missing', line, message: `the running instance on ${host} lacks ${line}` }
            : { host, kind: 'left over', line, message: `the running instance on ${host} still has ${line}` },
        );
      });
    return found;
  },
};

const undoes: TimeLaw = {
  id: 'undo/undoes',
  severity: 'error',
  statement:
    'An association that is taken back, a rule of a group that is deleted again, a group that is left again: each leaves every rule as it was before.',
  source: 'nova/network/linux_net.py remove_floating_forward; nova/virt/firewall.py refresh_instance_security_rules',
  brokenBy: 'A removal that does not find what was added, or finds more.',
  knownFailures: [PREFIX_LOSS, SWALLOWED_COMMENT],
  breaches: ({ undone, after }) => {
    const found: TimeBreach[] = [];
    for (const [host, kernel] of undone ?? [])
      compare(kernel, after.get(host), (line, of) => {
        found.push(
          of === 'a'
            ? { host, kind: 'missing', line, message: `${host} lost ${line}` }
            : { host, kind: 'left over', line, message: `${host} still has ${line}` },
        );
      });
    return found;
  },
};

/** Nothing of nova’s calls conntrack: what was decided of a flow when it began is decided for as long as it lives. */
const keptBy = (
  taken: Taken,
  releases: KnownTimeFailure['releases'],
  bug: string,
  because: string,
): KnownTimeFailure => ({
  releases,
  bug,
  because,
  where: ({ flow }) => flow?.taken === taken,
});

const flowsFollow: TimeLaw = {
  id: 'change/flows-follow',
  severity: 'warning',
  statement:
    'What an operation takes away it takes from flows that are alive as well: when an association is ended or moved, an instance moves, or a group admits no more what it did, a flow that could not begin any more as it began does not go on, in no state on the way and not at the end.',
  source: 'nova 5fb947208e (2013-04), where connections broke on what conntrack had kept of an instance that was moved',
  brokenBy: 'Anything but a deletion of the conntrack entries: rules are asked about a flow’s first packet only.',
  knownFailures: [
    keptBy(
      'association',
      'all',
      'A24, association',
      'no release deletes entries of conntrack: flows to and from a floating IP keep its translation when it is disassociated, or associated with another',
    ),
    keptBy(
      'place',
      RELEASES.filter((release) => isSince(release, 'grizzly')),
      'A24, migration',
      'with multi_host a floating IP goes along with its instance since Grizzly, and the entries of its flows stay on the host that it leaves',
    ),
    keptBy(
      'rule',
      'all',
      'A24, group',
      'no release deletes entries of conntrack: an instance chain accepts what is ESTABLISHED before it asks the groups, so a rule or member that is gone keeps its flows',
    ),
  ],
  breaches: (history) =>
    flowsThatGoOn(history).map((flow): TimeBreach => {
      const { opening, later, end } = flow;
      const line = printArrival(opening);
      const to = end.kind === 'process' ? `a process of ${end.host}` : (end.name ?? 'somebody outside');
      return {
        host: opening.entry.host ?? '',
        kind: 'goes on',
        line,
        message: `${line} could not begin any more, and ${printArrival(later)} still comes to ${to} as ${printPacket(end.packet)}`,
        flow,
      };
    }),
};

/** In the order of the book of laws. */
export const TIME_LAWS: readonly TimeLaw[] = [
  equalsScratch,
  noWindow,
  idempotent,
  keepsOthersOverTime,
  keepsCounters,
  restartRestores,
  guardedAtAllTimes,
  runningAndFuture,
  undoes,
  flowsFollow,
];

const OVER_TIME = 'it compares moments of a running cloud: properties/lifecycle.property.test.ts';

/** The same as laws among laws: of one moment they say nothing. */
export const OVER_TIME_LAWS: readonly Law[] = TIME_LAWS.map(({ knownFailures, breaches: _, ...law }) => ({
  ...law,
  kind: 'relation',
  knownFailures: knownFailures.map(({ releases, bug, because }) => ({ releases, because: `${because} (${bug})` })),
  claims: () => notApplicable(OVER_TIME),
}));
