/** Rules that say nothing which the others do not say. */
import type { Family } from '../address/address.ts';
import { intersectRanges, normalizeRanges, type Ranges } from '../address/ranges.ts';
import type { Breach } from '../claim/claim.ts';
import type { DeploymentHost } from '../deployment/deployment.ts';
import { isEmptySet, setCovers, setsOverlap } from '../packet/pattern.ts';
import { calledBy } from '../ruleset/calls.ts';
import { BUILT_IN_CHAINS, type HookName, type Rule, type Ruleset, type TableName } from '../ruleset/rule.ts';
import type { Law } from './law.ts';
import { only } from './vocabulary/admission.ts';
import { prefixesOf } from './vocabulary/chain.ts';
import { claimsOr } from './vocabulary/claims.ts';
import { anyCondition, both, conditionOf, type Condition } from './vocabulary/rule-set.ts';
import { breachAt, rulesIn, rulesOf, type Placed } from './vocabulary/text.ts';

const noDeadRule: Law = {
  id: 'ruleset/no-dead-rule',
  kind: 'ruleset',
  severity: 'warning',
  statement:
    'Each rule with a verdict that nova writes decides some packet in some posture; a dead one is named with what covers it.',
  source: 'What an operator wants: nova’s services write each for themselves, and what one says another may have said',
  requires: 'a service that applies rules',
  brokenBy:
    'A rule written twice, or one behind a rule that covers it: in the article the exemption of a dmz_cidr inside fixed_range.',
  knownFailures: [
    {
      releases: 'all',
      because:
        'nova-network and nova-compute both accept what a bridge forwards, and the DHCP server is inside the subnet that is accepted as a whole',
    },
  ],
  claims: ({ deployment }) =>
    claimsOr(
      'no service of nova applies rules here',
      deployment.hosts.flatMap((host) => {
        const prefixes = writers(host);
        if (prefixes.length === 0) return [];
        const families: readonly Family[] = host.flags.use_ipv6 ? [4, 6] : [4];
        return families.map((family) => ({
          kind: 'ruleset',
          says: `each rule of nova's in the ${family === 4 ? 'IPv4' : 'IPv6'} tables of ${host.name} decides some packet`,
          host: host.name,
          family,
          breaches: (ruleset) => deadRules(ruleset, prefixes),
        }));
      }),
    ),
};

const writers = (host: DeploymentHost): readonly string[] =>
  prefixesOf(host, 'network', 'compute', 'metadata', 'fabric');

/** A rule with a verdict as a packet meets it in one hook: by one way of jumps. */
interface Meeting {
  readonly placed: Placed;
  readonly condition: Condition;
  /** False where a RETURN or goto before it may have led packets past it. */
  readonly certain: boolean;
}

const VERDICTS: ReadonlySet<string> = new Set([
  'ACCEPT',
  'DROP',
  'REJECT',
  'DNAT',
  'SNAT',
  'MASQUERADE',
  'REDIRECT',
  'NETMAP',
]);

const hasVerdict = ({ target }: Rule): boolean => target !== undefined && VERDICTS.has(target.kind);

/** More ways of jumps than this are not followed: then nothing is said of the table. */
const MOST_MEETINGS = 20_000;

/** The rules of a hook in the order in which packets meet them; undefined where there are too many, or no end. */
function meetingsOf(ruleset: Ruleset, table: TableName, hook: HookName): readonly Meeting[] | undefined {
  const met: Meeting[] = [];
  interface Frame {
    readonly rules: readonly Placed[];
    readonly asked: Condition;
    next: number;
    certain: boolean;
  }
  const stack: Frame[] = [
    { rules: rulesIn(ruleset, table, hook), asked: anyCondition(ruleset.family), next: 0, certain: true },
  ];
  let steps = 0;
  for (let frame = stack.at(-1); frame !== undefined; frame = stack.at(-1)) {
    if (++steps > MOST_MEETINGS) return undefined;
    const placed = frame.rules[frame.next++];
    if (placed === undefined) {
      stack.pop();
      // What left the chain early goes on behind the jump like everything else.
      continue;
    }
    const { rule } = placed;
    const condition = both(frame.asked, conditionOf(rule.matches, ruleset.family));
    if (hasVerdict(rule)) met.push({ placed, condition, certain: frame.certain });
    const called = calledBy(rule);
    if (called !== undefined)
      stack.push({
        rules: rulesIn(ruleset, table, called),
        asked: condition,
        next: 0,
        certain: frame.certain && rule.target?.kind === 'jump',
      });
    // A goto does not come back; what is not modelled may decide anything.
    const diverts =
      rule.target?.kind === 'RETURN' || rule.target?.kind === 'goto' || rule.target?.kind === 'unmodelled';
    if (diverts) for (const open of rule.target.kind === 'RETURN' ? [frame] : stack) open.certain = false;
  }
  return met;
}

function deadRules(ruleset: Ruleset, prefixes: readonly string[]): readonly Breach[] {
  const destinations = translatedTo(ruleset);
  return [...ruleset.tables.values()].flatMap(({ name: table }) => {
    const ofHooks = BUILT_IN_CHAINS[table].map((hook) => ({ hook, met: meetingsOf(ruleset, table, hook) }));
    if (ofHooks.some(({ met }) => met === undefined)) return [];
    return rulesOf(ruleset, table).flatMap((placed) => {
      const isNovas = prefixes.some((prefix) => placed.chain.startsWith(`${prefix}-`));
      if (!isNovas || !hasVerdict(placed.rule)) return [];
      const reasons: string[] = [];
      for (const { hook, met = [] } of ofHooks)
        for (const [at, meeting] of met.entries()) {
          if (meeting.placed.rule !== placed.rule) continue;
          const reason = deadBecause(met, at, table, hook, destinations, ruleset);
          if (reason === undefined) return [];
          reasons.push(reason);
        }
      return [breachAt(placed, reasons[0] ?? `no packet comes to ${placed.chain}`)];
    });
  });
}

const nameOf = ({ chain, number, rule }: Placed): string => `${chain} rule ${number} (line ${rule.line})`;

/** Why one meeting decides no packet; undefined where it may decide one. */
function deadBecause(
  met: readonly Meeting[],
  at: number,
  table: TableName,
  hook: HookName,
  destinations: Ranges | undefined,
  ruleset: Ruleset,
): string | undefined {
  const own = met[at];
  if (own === undefined || isEmptySet(own.condition.set)) return 'no packet matches it and the jumps that lead to it';
  const before = met
    .slice(0, at)
    .find((other) => other.certain && covers(other.condition, own.condition, destinations));
  if (before !== undefined) return `${nameOf(before.placed)} takes every packet before it`;
  for (const after of met.slice(at + 1)) {
    if (!mayMeet(after.condition, own.condition)) continue;
    if (!sameVerdict(after.placed.rule, own.placed.rule)) return undefined;
    // Two rules that say the same: one of them is needed, and it is this one.
    const covered = covers(own.condition, after.condition, destinations);
    if (!covered && after.certain && covers(after.condition, own.condition, destinations))
      return `${nameOf(after.placed)} says the same of every packet`;
  }
  // The policies of filter INPUT and FORWARD are DROP in one posture, so an ACCEPT decides there.
  const varies = table === 'filter' && (hook === 'INPUT' || hook === 'FORWARD');
  const policy = ruleset.tables.get(table)?.chains.get(hook)?.policy ?? 'ACCEPT';
  return !varies && own.placed.rule.target?.kind === policy && own.certain && !isCalledFurther(met, at)
    ? `the policy of ${hook} says the same of every packet`
    : undefined;
}

/** True when other rules of the hook may still be met: then the policy does not decide alone. */
const isCalledFurther = (met: readonly Meeting[], at: number): boolean =>
  met.slice(at + 1).some((after) => {
    const own = met[at];
    return (
      own !== undefined && mayMeet(after.condition, own.condition) && !sameVerdict(after.placed.rule, own.placed.rule)
    );
  });

const textOf = (value: unknown): string =>
  JSON.stringify(value, (_key, inner: unknown) => (typeof inner === 'bigint' ? `${inner}n` : inner));

const sameVerdict = (a: Rule, b: Rule): boolean => textOf(a.target) === textOf(b.target);

/** True when every packet of `inner` is one of `outer`. */
function covers(outer: Condition, inner: Condition, destinations: Ranges | undefined): boolean {
  const devices = new Set(inner.devices.map(textOf));
  return (
    outer.devices.every((device) => devices.has(textOf(device))) &&
    outer.rest.every((asked) => inner.rest.includes(asked)) &&
    (outer.translated === undefined ||
      outer.translated === inner.translated ||
      (!outer.translated && isNoTarget(inner, destinations))) &&
    setCovers(outer.set, inner.set)
  );
}

/** No packet of the condition was sent to where it goes by a DNAT. */
const isNoTarget = ({ set }: Condition, destinations: Ranges | undefined): boolean =>
  destinations !== undefined && set.boxes.every((box) => intersectRanges(box.daddr, destinations).length === 0);

/** False where no packet meets both. */
function mayMeet(a: Condition, b: Condition): boolean {
  const apart = a.devices.some((one) =>
    b.devices.some(
      (other) =>
        one.kind === other.kind &&
        (one.not === other.not
          ? !one.not && one.name !== other.name && !one.name.endsWith('+') && !other.name.endsWith('+')
          : one.name === other.name),
    ),
  );
  const contrary = a.translated !== undefined && b.translated !== undefined && a.translated !== b.translated;
  return !apart && !contrary && setsOverlap(a.set, b.set);
}

/** The addresses that the ruleset's DNAT rules send to; undefined where that is not known. */
function translatedTo(ruleset: Ruleset): Ranges | undefined {
  const found: Ranges[number][] = [];
  for (const { rule } of rulesOf(ruleset, 'nat')) {
    const { target } = rule;
    if (target?.kind === 'NETMAP' || target?.kind === 'unmodelled') return undefined;
    // Seen in POSTROUTING only on its way from a local process to loopback.
    if (target?.kind === 'REDIRECT') found.push(...only(0x7f000001));
    if (target?.kind === 'DNAT') {
      if (target.to.addresses === undefined) return undefined;
      found.push(target.to.addresses);
    }
  }
  return normalizeRanges(found);
}

export const RULESET_LAWS: readonly Law[] = [noDeadRule];
