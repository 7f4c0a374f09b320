/** What the rules of security groups promise. */
import { subtractRanges } from '../address/ranges.ts';
import type { PacketsClaim } from '../claim/claim.ts';
import type { Deployment, Instance, SecurityGroupRule } from '../deployment/deployment.ts';
import { keptFor } from '../deployment/kept.ts';
import { groupsOf } from '../deployment/placement.ts';
import { intersectSets, setOf, subtractSets, unionSets } from '../packet/pattern.ts';
import type { Law, LawContext } from './law.ts';
import { admittedBy, memberAddresses, only } from './vocabulary/admission.ts';
import { edgesOf, floatsOf } from './vocabulary/addresses.ts';
import { claimsOr, notApplicable } from './vocabulary/claims.ts';
import { dropped, nearOf, reached, towards, visits } from './vocabulary/visit.ts';

const RELATION = 'it compares two deployments: a ruleset alone cannot show it';

/** A rule that names a group, with that name. */
interface GroupRule {
  readonly rule: SecurityGroupRule;
  readonly group: string;
}

const groupRulesOf = ({ deployment }: LawContext, instance: Instance): readonly GroupRule[] =>
  groupsOf(deployment, instance)
    .flatMap(({ rules }) => rules)
    .flatMap((rule) => (rule.group === undefined ? [] : [{ rule, group: rule.group }]));

const membersOnly: Law = {
  id: 'security-group/members-only',
  kind: 'packets',
  severity: 'error',
  statement:
    'A rule that names a source group admits exactly the fixed addresses of its members. (Members behind a floating IP on another host arrive as that address and are not admitted.)',
  source:
    'nova/virt/firewall.py IptablesFirewallDriver.instance_rules: one rule for each fixed address of the grantee group’s instances',
  requires: 'an instance, on a host with nova-compute, one of whose groups has a rule for a group',
  brokenBy: 'A member’s rule missing from an instance’s chain, or one for an address that is no member’s.',
  knownFailures: [],
  claims: (context) => claimsOr('no instance’s group has a rule for a source group', membersClaims(context)),
};

/** The fixed addresses of a group's members, and those who are almost members: their neighbours, and the members' floating IPs. */
const membersOf = keptFor((deployment: Deployment, group: string) => {
  const addresses = memberAddresses(deployment, group, 4);
  const members = only(...addresses);
  const floats = addresses.flatMap((address) => floatsOf(deployment, address)).map((float) => float.address);
  return { members, almost: subtractRanges(only(...edgesOf(members), ...floats), members) };
});

function membersClaims(context: LawContext): readonly PacketsClaim[] {
  const near = nearOf(context, 4);
  return visits(context, 4)
    .flat()
    .flatMap((visit) => {
      const { fixed, approach } = visit;
      return groupRulesOf(context, fixed.instance).flatMap(({ rule, group }) => {
        const { members, almost } = membersOf(context.deployment, group);
        const { protocol, fromPort, toPort } = rule;
        const asked = [protocol ?? 'any protocol', fromPort, toPort].filter((word) => word !== undefined).join(' ');
        // The same rule for anybody: its protocol, ports and types.
        const anybody = admittedBy(
          context.deployment,
          {
            ...(protocol === undefined ? {} : { protocol }),
            ...(fromPort === undefined ? {} : { fromPort }),
            ...(toPort === undefined ? {} : { toPort }),
          },
          4,
        );
        const fresh = intersectSets(towards('NEW', fixed.address, approach.possible), anybody);
        const strangers = subtractSets(subtractSets(fresh, setOf({ family: 4, saddr: members })), visit.accepted);
        return [
          ...reached(
            visit,
            {
              state: 'NEW',
              set: intersectSets(
                towards('NEW', fixed.address, approach.sources),
                admittedBy(context.deployment, rule, 4),
              ),
              which: `${asked}, from a member of ${group}`,
            },
            near,
          ),
          dropped(
            visit,
            {
              state: 'NEW',
              // Those who are almost members stand apart, so that samples meet them.
              set: unionSets(intersectSets(strangers, setOf({ family: 4, saddr: almost })), strangers),
              which: `${asked}, from no member of ${group} and not admitted otherwise`,
            },
            near,
          ),
        ];
      });
    });
}

const orderIrrelevant: Law = {
  id: 'security-group/order-irrelevant',
  kind: 'relation',
  severity: 'error',
  statement: 'Permuting the rules of a group, or the groups, changes no packet’s fate.',
  source: 'nova/virt/firewall.py IptablesFirewallDriver.instance_rules: every rule of a group is an ACCEPT',
  brokenBy: 'A rule of a group that refuses.',
  knownFailures: [],
  claims: () => notApplicable(RELATION),
};

const monotone: Law = {
  id: 'security-group/monotone',
  kind: 'relation',
  severity: 'error',
  statement: 'Adding a rule to a group never refuses what was accepted.',
  source: 'nova/virt/firewall.py IptablesFirewallDriver.instance_rules: every rule of a group is an ACCEPT',
  brokenBy: 'A rule of a group that refuses.',
  knownFailures: [],
  claims: () => notApplicable(RELATION),
};

export const SECURITY_GROUP_LAWS: readonly Law[] = [membersOnly, orderIrrelevant, monotone];
