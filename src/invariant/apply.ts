/** What nova leaves alone when it writes into a kernel that others write into as well. */
import type { Breach, RulesetClaim } from '../claim/claim.ts';
import type { DeploymentHost } from '../deployment/deployment.ts';
import { calledBy } from '../ruleset/calls.ts';
import { readRuleset } from '../ruleset/parse.ts';
import { printRuleBody } from '../ruleset/print.ts';
import type { Chain, Rule, Ruleset, TableName } from '../ruleset/rule.ts';
import type { Law } from './law.ts';
import { prefixesOf } from './vocabulary/chain.ts';
import { claimsOr } from './vocabulary/claims.ts';
import { breachAt, rulesIn } from './vocabulary/text.ts';

const keepsOthers: Law = {
  id: 'apply/keeps-others',
  kind: 'ruleset',
  severity: 'error',
  statement:
    'What an operator had on a host before nova is still there after its services applied their rules: every rule in its chain, in the same order, and the policies.',
  source:
    'nova/network/linux_net.py IptablesManager._modify_rules: the block of a service goes before the lines that it found',
  requires: 'a host whose operator has rules of their own',
  brokenBy: 'A rule of the operator’s changed or removed, or two of them swapped.',
  knownFailures: [
    {
      releases: 'all',
      because: 'an apply removes every line that contains the name of its service, if only in a comment',
      where: (claim, { deployment }) =>
        deployment.hosts.some(
          (host) =>
            host.name === claim.host &&
            writers(host).some((name) => host.rules.get(claim.family)?.includes(name) === true),
        ),
    },
  ],
  claims: ({ deployment }) => claimsOr('no host’s operator has rules of their own', deployment.hosts.flatMap(keptOn)),
};

const writers = (host: DeploymentHost): readonly string[] =>
  prefixesOf(host, 'network', 'compute', 'metadata', 'fabric');

const keptOn = (host: DeploymentHost): readonly RulesetClaim[] =>
  [...host.rules].map(([family, text]) => ({
    kind: 'ruleset',
    says: `the IPv${family} rules that the operator of ${host.name} had are still there`,
    host: host.name,
    family,
    breaches: (ruleset) =>
      lost(readRuleset(text, { path: `the rules of ${host.name}`, family }), ruleset, isOrdered(host)),
  }));

/** From Grizzly on an operator can have lines moved to the top or the bottom. */
const isOrdered = ({ flags }: DeploymentHost): boolean =>
  flags.iptables_top_regex === '' && flags.iptables_bottom_regex === '';

const lost = (before: Ruleset, after: Ruleset, ordered: boolean): readonly Breach[] =>
  [...before.tables.values()].flatMap((table) =>
    [...table.chains.values()].flatMap((chain) => lostOf(table.name, chain, after, ordered)),
  );

function lostOf(table: TableName, before: Chain, ruleset: Ruleset, ordered: boolean): readonly Breach[] {
  const { name, policy } = before;
  const after = ruleset.tables.get(table)?.chains.get(name);
  if (after === undefined)
    return before.rules.length === 0 && policy !== 'DROP'
      ? []
      : [{ message: `the operator’s chain ${name} is gone from ${table}`, table, chain: name }];
  const breaches: Breach[] = [];
  if (policy !== after.policy)
    breaches.push({
      message: `the operator’s policy of ${name} was ${policy ?? 'none'}, and is ${after.policy ?? 'none'}`,
      table,
      chain: name,
      ...(after.line === undefined ? {} : { line: after.line }),
    });
  // Of equal lines an apply keeps the last one.
  const now = rulesIn(ruleset, table, name);
  const places = new Map(now.map((placed) => [printRuleBody(placed.rule), placed]));
  const wanted = [...new Map(before.rules.map((rule, at) => [printRuleBody(rule), at]))].sort(([, a], [, b]) => a - b);
  const known = new Set(wanted.map(([text]) => text));
  const strangers = now.filter(({ rule }) => !known.has(printRuleBody(rule)) && !isNovas(rule));
  let behind = 0;
  for (const [text] of wanted) {
    const placed = places.get(text);
    if (placed === undefined) {
      const message = `the operator’s rule "-A ${name} ${text}" is gone`;
      const at = strangers.findIndex(({ number }) => number > behind);
      const [instead] = at < 0 ? [] : strangers.splice(at, 1);
      breaches.push(
        instead === undefined
          ? { message, table, chain: name }
          : breachAt(instead, `${message}, and this one is in its place`),
      );
      behind = instead?.number ?? behind;
    } else {
      if (ordered && placed.number < behind) breaches.push(breachAt(placed, 'the operator had this rule further down'));
      behind = Math.max(behind, placed.number);
    }
  }
  return breaches;
}

/** The jumps that nova puts into built-in chains. */
const isNovas = (rule: Rule): boolean => calledBy(rule)?.startsWith('nova-') === true;

export const APPLY_LAWS: readonly Law[] = [keepsOthers];
