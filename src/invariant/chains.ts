/** How nova's chains hang in the built-in ones: what every other promise stands on. */
import { printAddress, type Family } from '../address/address.ts';
import type { Breach, RulesetClaim } from '../claim/claim.ts';
import type { Deployment, DeploymentHost } from '../deployment/deployment.ts';
import { translates } from '../deployment/placement.ts';
import { isSince } from '../deployment/release.ts';
import { intersectSets, isEmptySet, setOf, subtractSets, unionSets, type PacketSet } from '../packet/pattern.ts';
import { calledBy } from '../ruleset/calls.ts';
import type { Ruleset, TableName, Target } from '../ruleset/rule.ts';
import type { Law, LawContext } from './law.ts';
import { accepted, only } from './vocabulary/admission.ts';
import { prefixesOf } from './vocabulary/chain.ts';
import { claimsOr } from './vocabulary/claims.ts';
import { both, conditionOf, type Condition } from './vocabulary/rule-set.ts';
import { breachAt, isUnconditional, rulesIn, rulesOf, type Placed } from './vocabulary/text.ts';
import { guardedAddresses } from './vocabulary/visit.ts';

const FILTER_TOP = 'nova-filter-top';
const POSTROUTING_BOTTOM = 'nova-postrouting-bottom';

/** The prefixes of all services of a host that weave the fabric: every one that applies rules at all. */
const weavers = (host: DeploymentHost, deployment: Deployment): readonly string[] =>
  prefixesOf(host, ...(translates(deployment, host) ? (['network'] as const) : []), 'compute', 'metadata', 'fabric');

const familiesOf = (host: DeploymentHost): readonly Family[] => (host.flags.use_ipv6 ? [4, 6] : [4]);

const onEachHost = (
  { deployment }: LawContext,
  says: (host: DeploymentHost, family: Family) => string,
  breaches: (ruleset: Ruleset, host: DeploymentHost) => readonly Breach[],
): readonly RulesetClaim[] =>
  deployment.hosts
    .filter((host) => weavers(host, deployment).length > 0)
    .flatMap((host) =>
      familiesOf(host).map((family) => ({
        kind: 'ruleset',
        says: says(host, family),
        host: host.name,
        family,
        breaches: (ruleset) => breaches(ruleset, host),
      })),
    );

const fabricHooked: Law = {
  id: 'chains/fabric-hooked',
  kind: 'ruleset',
  severity: 'error',
  statement:
    'Each wrapped built-in chain is entered from its built-in; no rule before nova-filter-top decides a packet that an instance chain decides otherwise; nova-postrouting-bottom follows every BIN-POSTROUTING; in BIN-snat the jump to float-snat precedes any SNAT.',
  source: 'The article, "Chains created when nova-network starts"; nova/network/linux_net.py IptablesManager.__init__',
  requires: 'a service that applies rules',
  brokenBy: 'The jump to nova-filter-top moved behind another rule of FORWARD, or a wrapped chain’s jump removed.',
  knownFailures: [
    {
      releases: 'all',
      because:
        'an apply removes every line that contains its own name: nova-api takes the chains of nova-api-metadata and the like along',
      where: (claim, { deployment }) =>
        deployment.hosts.some((host) => host.name === claim.host && hasSwallowedName(host, deployment)),
    },
  ],
  claims: (context) =>
    claimsOr(
      'no service of nova applies rules here',
      onEachHost(
        context,
        (host, family) => `the chains of nova are hooked into the ${wordOf(family)} tables of ${host.name}`,
        (ruleset, host) => [
          ...unhooked(ruleset, host, context.deployment),
          ...disordered(ruleset, host, context.deployment),
          ...forestalled(ruleset, host, context),
        ],
      ),
    ),
};

const wordOf = (family: Family): string => (family === 4 ? 'IPv4' : 'IPv6');

/** A service that applied after one whose name contains its own. */
const hasSwallowedName = (host: DeploymentHost, deployment: Deployment): boolean =>
  weavers(host, deployment).some((name, at, all) => all.slice(0, at).some((earlier) => earlier.includes(name)));

interface Hook {
  readonly table: TableName;
  readonly from: string;
  readonly to: string;
}

/** Which jumps the fabric has (IptablesManager.__init__; mangle since 901a3dacb6). IPv6 has filter only. */
function hooksOf(host: DeploymentHost, family: Family, deployment: Deployment): readonly Hook[] {
  const mangle = isSince(deployment.release, 'folsom-2012.2.4');
  const wrapped = (table: TableName, chains: readonly string[]) => (prefix: string) =>
    chains.map((from) => ({ table, from, to: `${prefix}-${from}` }));
  const prefixes = weavers(host, deployment);
  const filter: readonly Hook[] = [
    ...prefixes.flatMap(wrapped('filter', ['INPUT', 'OUTPUT', 'FORWARD'])),
    ...['FORWARD', 'OUTPUT'].map((from): Hook => ({ table: 'filter', from, to: FILTER_TOP })),
    ...prefixes.map((prefix): Hook => ({ table: 'filter', from: FILTER_TOP, to: `${prefix}-local` })),
  ];
  if (family === 6) return filter;
  return [
    ...filter,
    ...prefixes.flatMap(wrapped('nat', ['PREROUTING', 'OUTPUT', 'POSTROUTING'])),
    { table: 'nat', from: 'POSTROUTING', to: POSTROUTING_BOTTOM },
    ...prefixes.flatMap((prefix): readonly Hook[] => [
      { table: 'nat', from: POSTROUTING_BOTTOM, to: `${prefix}-snat` },
      { table: 'nat', from: `${prefix}-snat`, to: `${prefix}-float-snat` },
    ]),
    ...(mangle ? prefixes.flatMap(wrapped('mangle', ['POSTROUTING'])) : []),
  ];
}

function unhooked(ruleset: Ruleset, host: DeploymentHost, deployment: Deployment): readonly Breach[] {
  const hooks = hooksOf(host, ruleset.family, deployment);
  return hooks.flatMap(({ table, from, to }): readonly Breach[] => {
    if (ruleset.tables.get(table)?.chains.has(to) !== true)
      return [{ message: `there is no chain ${to} in ${table}`, table, chain: to }];
    const rules = rulesIn(ruleset, table, from);
    const jumps = rules.filter(({ rule }) => calledBy(rule) === to);
    if (jumps.some(({ rule }) => isUnconditional(rule))) return [];
    const [partial] = jumps;
    if (partial !== undefined) return [breachAt(partial, `only some packets go from ${from} to ${to}`)];
    const message = `${from} does not jump to ${to}`;
    const wanted = new Set(hooks.filter((hook) => hook.table === table && hook.from === from).map((hook) => hook.to));
    const instead = rules.find(({ rule, number }) => {
      const called = calledBy(rule);
      const again = rules.some((other) => other.number < number && calledBy(other.rule) === called);
      return isUnconditional(rule) && (called === undefined || !wanted.has(called) || again);
    });
    return [
      instead === undefined
        ? { message, table, chain: from }
        : breachAt(instead, `${message}, and this rule is in its place`),
    ];
  });
}

function disordered(ruleset: Ruleset, host: DeploymentHost, deployment: Deployment): readonly Breach[] {
  const breaches: Breach[] = [];
  const postrouting = rulesIn(ruleset, 'nat', 'POSTROUTING');
  const bottom = postrouting.find(({ rule }) => calledBy(rule) === POSTROUTING_BOTTOM);
  for (const prefix of weavers(host, deployment)) {
    const wrapped = `${prefix}-POSTROUTING`;
    const late = postrouting.find(({ rule }) => calledBy(rule) === wrapped);
    if (bottom !== undefined && late !== undefined && late.number > bottom.number)
      breaches.push(
        breachAt(late, `${wrapped} comes after ${POSTROUTING_BOTTOM}: what it exempts is already translated`),
      );
    const snat = rulesIn(ruleset, 'nat', `${prefix}-snat`);
    const floating = snat.find(({ rule }) => calledBy(rule) === `${prefix}-float-snat`);
    const general = snat.find(({ rule: { target } }) => target?.kind === 'SNAT' || target?.kind === 'MASQUERADE');
    if (floating !== undefined && general !== undefined && general.number < floating.number)
      breaches.push(breachAt(general, `it comes before ${prefix}-float-snat: floating IPs do not show outside`));
  }
  return breaches;
}

/** Rules that stand before nova-filter-top and may take a packet from an instance's chain that decides it otherwise. */
function forestalled(ruleset: Ruleset, host: DeploymentHost, context: LawContext): readonly Breach[] {
  const guarded = guardedAddresses(context, ruleset.family).filter((fixed) => fixed.host === host);
  const promises = guarded.map((fixed) => ({
    fixed,
    all: setOf({ family: ruleset.family, daddr: only(fixed.address) }),
    accepts: chainAccepts(accepted(context.deployment, fixed.instance, ruleset.family), ruleset.family),
  }));
  return ['FORWARD', 'OUTPUT'].flatMap((hook) =>
    decidedBefore(ruleset, hook).flatMap(({ placed, condition }) => {
      const { target } = placed.rule;
      if (target === undefined) return [];
      const verdict = target.kind === 'ACCEPT' ? 'accepts' : 'drops';
      const spoilt = promises.find(({ fixed, all, accepts }) => {
        if (!mayLeadTo(condition, hook, fixed.network.bridge)) return false;
        const taken = intersectSets(condition.set, all);
        return !isEmptySet(target.kind === 'ACCEPT' ? subtractSets(taken, accepts) : intersectSets(taken, accepts));
      });
      if (spoilt === undefined) return [];
      const { address, instance } = spoilt.fixed;
      return [
        breachAt(
          placed,
          `before ${FILTER_TOP} it ${verdict} packets to ${printAddress(address)} that the chain of ${instance.name} decides otherwise`,
        ),
      ];
    }),
  );
}

/** By state: NEW and UNTRACKED as the groups say, what belongs to a flow always, INVALID never. */
const chainAccepts = (welcome: PacketSet, family: Family): PacketSet =>
  unionSets(
    intersectSets(welcome, setOf({ family, states: ['NEW', 'UNTRACKED'] })),
    setOf({ family, states: ['ESTABLISHED', 'RELATED'] }),
  );

/** What asks for a device is about the instance only if packets to it leave by its bridge; a packet of the host's own came in by none. */
const mayLeadTo = ({ devices }: Condition, hook: string, bridge: string): boolean =>
  devices.every(({ kind, not, name }) => {
    if (kind === 'in') return hook === 'FORWARD' || not;
    const same = name.endsWith('+') ? bridge.startsWith(name.slice(0, -1)) : name === bridge;
    return same !== not;
  });

interface Decision {
  readonly placed: Placed;
  readonly condition: Condition;
}

const decides = (target: Target | undefined): boolean =>
  target?.kind === 'ACCEPT' || target?.kind === 'DROP' || target?.kind === 'REJECT';

/** The rules that can end a packet's way through a built-in chain before it comes to nova-filter-top: its own and those of the chains that it calls before. */
function decidedBefore(ruleset: Ruleset, hook: string): readonly Decision[] {
  const rules = rulesIn(ruleset, 'filter', hook);
  const top = rules.findIndex(({ rule }) => calledBy(rule) === FILTER_TOP && isUnconditional(rule));
  return rules.slice(0, Math.max(top, 0)).flatMap((first) => {
    const found: Decision[] = [];
    const asked = conditionOf(first.rule.matches, ruleset.family);
    const seen = new Set<string>();
    const pending: Decision[] = [{ placed: first, condition: asked }];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const { rule } = next.placed;
      if (decides(rule.target)) found.push(next);
      const called = calledBy(rule);
      if (called === undefined || seen.has(called)) continue;
      seen.add(called);
      // Of the jumps on the way only the first one's condition counts: more would be taken for possible, never less.
      for (const placed of rulesIn(ruleset, 'filter', called))
        pending.push({ placed, condition: both(asked, conditionOf(placed.rule.matches, ruleset.family)) });
    }
    return found;
  });
}

const LONGEST_NAME = 28;

const noDanglingJump: Law = {
  id: 'chains/no-dangling-jump',
  kind: 'ruleset',
  severity: 'error',
  statement:
    'Every jump and goto has its chain; there is no loop; names are at most 28 characters long; every instance chain ends in the fallback.',
  source:
    'net/ipv4/netfilter/ip_tables.c mark_source_chains and XT_EXTENSION_MAXNAMELEN; nova/virt/firewall.py IptablesFirewallDriver.instance_rules',
  requires: 'a service that applies rules',
  brokenBy: 'The last rule of an instance’s chain, or the DROP of the fallback, removed.',
  knownFailures: [],
  claims: (context) =>
    claimsOr(
      'no service of nova applies rules here',
      onEachHost(
        context,
        (host, family) =>
          `the ${wordOf(family)} chains of ${host.name} end where they should, and call each other without loops`,
        (ruleset, host) => [
          ...misnamed(ruleset),
          ...dangling(ruleset),
          ...looping(ruleset),
          ...openEnded(ruleset, host),
        ],
      ),
    ),
};

const tablesOf = (ruleset: Ruleset): readonly TableName[] => [...ruleset.tables.keys()];

const misnamed = (ruleset: Ruleset): readonly Breach[] =>
  [...ruleset.tables.values()].flatMap((table) =>
    [...table.chains.values()]
      .filter(({ name }) => name.length > LONGEST_NAME)
      .map(({ name, line }) => ({
        message: `the name ${name} has ${name.length} characters, and the kernel takes ${LONGEST_NAME}`,
        table: table.name,
        chain: name,
        ...(line === undefined ? {} : { line }),
      })),
  );

const dangling = (ruleset: Ruleset): readonly Breach[] =>
  tablesOf(ruleset).flatMap((table) =>
    rulesOf(ruleset, table).flatMap((placed) => {
      const called = calledBy(placed.rule);
      if (called === undefined || ruleset.tables.get(table)?.chains.has(called) === true) return [];
      return [breachAt(placed, `there is no chain ${called} in ${table}`)];
    }),
  );

/** Chains are taken away as long as there is one that calls none of those that are left: what cannot be taken away is in a loop, or calls into one. */
function looping(ruleset: Ruleset): readonly Breach[] {
  return tablesOf(ruleset).flatMap((table) => {
    const calls = rulesOf(ruleset, table).flatMap((placed) => {
      const to = calledBy(placed.rule);
      return to === undefined ? [] : [{ placed, to }];
    });
    const callers = new Map<string, string[]>();
    const open = new Map<string, number>();
    for (const { placed, to } of calls) {
      const known = callers.get(to);
      if (known === undefined) callers.set(to, [placed.chain]);
      else known.push(placed.chain);
      open.set(placed.chain, (open.get(placed.chain) ?? 0) + 1);
    }
    const done = [...new Set(calls.map(({ to }) => to))].filter((chain) => !open.has(chain));
    for (let next = done.pop(); next !== undefined; next = done.pop())
      for (const caller of callers.get(next) ?? []) {
        const left = (open.get(caller) ?? 0) - 1;
        if (left > 0) open.set(caller, left);
        else {
          open.delete(caller);
          done.push(caller);
        }
      }
    const first = calls.find(({ placed, to }) => open.has(placed.chain) && open.has(to));
    return first === undefined ? [] : [breachAt(first.placed, `the jump to ${first.to} leads into a loop`)];
  });
}

/** Instance chains whose last rule is not the jump to the fallback, and a fallback that does not drop everything. */
function openEnded(ruleset: Ruleset, host: DeploymentHost): readonly Breach[] {
  const breaches: Breach[] = [];
  for (const prefix of prefixesOf(host, 'compute')) {
    const fallback = `${prefix}-sg-fallback`;
    const chains = [...(ruleset.tables.get('filter')?.chains.keys() ?? [])].filter((name) =>
      name.startsWith(`${prefix}-inst-`),
    );
    for (const chain of chains) {
      const last = rulesIn(ruleset, 'filter', chain).at(-1);
      if (last === undefined) breaches.push({ message: `${chain} is empty`, table: 'filter', chain });
      else if (calledBy(last.rule) !== fallback || !isUnconditional(last.rule))
        breaches.push(breachAt(last, `${chain} does not end in ${fallback}`));
    }
    const [first] = rulesIn(ruleset, 'filter', fallback);
    if (first === undefined) {
      if (chains.length > 0) breaches.push({ message: `${fallback} drops nothing`, table: 'filter', chain: fallback });
    } else if (first.rule.target?.kind !== 'DROP' || !isUnconditional(first.rule))
      breaches.push(breachAt(first, `${fallback} does not drop whatever comes`));
  }
  return breaches;
}

export const CHAIN_LAWS: readonly Law[] = [fabricHooked, noDanglingJump];
