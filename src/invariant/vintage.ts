/** Laws that some releases keep and others do not: each came with the mending of a bug, and is about the text of a ruleset. */
import { printPrefix, type Family } from '../address/address.ts';
import type { Breach, RulesetClaim } from '../claim/claim.ts';
import type { Deployment, DeploymentHost, Network } from '../deployment/deployment.ts';
import { dhcpServerFor, serves } from '../deployment/placement.ts';
import { isSince, RELEASES } from '../deployment/release.ts';
import { calledBy } from '../ruleset/calls.ts';
import { readRuleset } from '../ruleset/parse.ts';
import { printRuleBody } from '../ruleset/print.ts';
import type { Ruleset, TableName } from '../ruleset/rule.ts';
import type { Law, LawContext } from './law.ts';
import { prefixesOf } from './vocabulary/chain.ts';
import { claimsOr } from './vocabulary/claims.ts';
import { breachAt, rulesIn } from './vocabulary/text.ts';
import { isRestricted } from './vocabulary/ways.ts';

const claimOf = (
  host: DeploymentHost,
  family: Family,
  says: string,
  breaches: (ruleset: Ruleset) => readonly Breach[],
): RulesetClaim => ({ kind: 'ruleset', says, host: host.name, family, breaches });

const bodies = (ruleset: Ruleset, table: TableName, chain: string): readonly string[] =>
  rulesIn(ruleset, table, chain).map(({ rule }) => printRuleBody(rule));

/** Every network with a dnsmasq, and the host that it runs on. */
const dnsmasqs = ({ hosts, networks }: Deployment): { readonly host: DeploymentHost; readonly network: Network }[] =>
  hosts.flatMap((host) =>
    networks
      .filter((network) => serves(host, network) && dhcpServerFor(network, host.name) !== undefined)
      .map((network) => ({ host, network })),
  );

const checksumsFilled: Law = {
  id: 'dhcp/checksums-filled',
  kind: 'ruleset',
  severity: 'warning',
  statement: 'Each bridge with a dnsmasq has exactly one rule that fills in the checksums of its answers.',
  source: 'nova/network/linux_net.py _add_dhcp_mangle_rule (901a3dacb6, a6dd0cdf0a, 0ca33df566; bugs 1029430, 1335193)',
  requires: 'a network that a host with nova-network serves by DHCP',
  brokenBy: 'The CHECKSUM rule of mangle removed: guests that check drop what dnsmasq sends them.',
  knownFailures: [
    {
      releases: RELEASES.filter((release) => !isSince(release, 'folsom-2012.2.4')),
      because: 'no table mangle is written (C4)',
    },
    {
      releases: RELEASES.filter((release) => isSince(release, 'folsom-2012.2.4') && release !== 'rocky'),
      because: 'only multi_host networks have the rule (C4)',
      where: (claim) => claim.says.endsWith('(single host)'),
    },
  ],
  claims: ({ deployment }) =>
    claimsOr(
      'no host with nova-network serves a network by DHCP',
      dnsmasqs(deployment).map(({ host, network }) => {
        const chain = `${prefixesOf(host, 'network')[0] ?? ''}-POSTROUTING`;
        const wanted = `-o ${network.bridge} -p udp -m udp --dport 68 -j CHECKSUM --checksum-fill`;
        return claimOf(
          host,
          4,
          `DHCP answers by ${network.bridge} of ${host.name} have their checksums filled in${network.multiHost ? '' : ' (single host)'}`,
          (ruleset) => {
            const count = bodies(ruleset, 'mangle', chain).filter((body) => body === wanted).length;
            return count === 1 ? [] : [{ message: `${chain} has ${count} rules "${wanted}"`, table: 'mangle', chain }];
          },
        );
      }),
    ),
};

const onlyListed: Law = {
  id: 'bridge/only-listed',
  kind: 'ruleset',
  severity: 'error',
  statement:
    'With a forward_bridge_interface that is not `all` a bridge forwards to and from each listed interface and within itself, and nothing else: in this order.',
  source: 'nova/network/linux_net.py get_gateway_rules (7965336617, 905b784cd2)',
  requires: 'a forward_bridge_interface without `all` (since grizzly)',
  brokenBy: 'A rule for one of the interfaces removed, or an ACCEPT for the whole bridge before them.',
  knownFailures: [],
  claims: ({ deployment }) =>
    claimsOr(
      'every forward_bridge_interface is `all`',
      deployment.hosts
        .filter((host) => isRestricted(host))
        .flatMap((host) =>
          deployment.networks
            .filter((network) => serves(host, network) && network.gateway !== undefined)
            .map((network) => listedClaim(host, network)),
        ),
    ),
};

function listedClaim(host: DeploymentHost, { bridge }: Network): RulesetClaim {
  const { forward_bridge_interface: interfaces, iptables_drop_action: refused } = host.flags;
  const chain = `${prefixesOf(host, 'network')[0] ?? ''}-FORWARD`;
  const wanted = [
    ...interfaces.flatMap((name) => [`-i ${bridge} -o ${name} -j ACCEPT`, `-i ${name} -o ${bridge} -j ACCEPT`]),
    `-i ${bridge} -o ${bridge} -j ACCEPT`,
    `-i ${bridge} -j ${refused}`,
    `-o ${bridge} -j ${refused}`,
  ];
  return claimOf(
    host,
    4,
    `${bridge} of ${host.name} forwards only to ${interfaces.join(', ')} and itself`,
    (ruleset) => {
      const own = rulesIn(ruleset, 'filter', chain).filter(({ rule }) => {
        const body = printRuleBody(rule);
        return ` ${body} `.includes(` ${bridge} `) && !body.includes('--physdev');
      });
      const at = wanted.findIndex((body, index) => own[index] === undefined || printRuleBody(own[index].rule) !== body);
      const instead = at < 0 ? own[wanted.length] : own[at];
      if (at < 0 && instead === undefined) return [];
      if (instead === undefined) return [{ message: `${chain} lacks "${wanted[at] ?? ''}"`, table: 'filter', chain }];
      return [breachAt(instead, at < 0 ? 'this rule is one too many' : `"${wanted[at] ?? ''}" should stand here`)];
    },
  );
}

/** Each host with nova-compute, and the chains of its instances. */
function onInstanceChains(
  { deployment }: LawContext,
  family: Family,
  says: string,
  breaches: (ruleset: Ruleset, prefix: string, id: number) => readonly Breach[],
): RulesetClaim[] {
  return deployment.hosts.flatMap((host) => {
    const [prefix] = prefixesOf(host, 'compute');
    const ids = deployment.instances.filter((instance) => instance.host === host.name).map(({ id }) => id);
    if (prefix === undefined || ids.length === 0 || (family === 6 && !host.flags.use_ipv6)) return [];
    return [
      claimOf(host, family, `${says} on ${host.name}`, (ruleset) => ids.flatMap((id) => breaches(ruleset, prefix, id))),
    ];
  });
}

const providerFirst: Law = {
  id: 'instance-chain/provider-before-groups',
  kind: 'ruleset',
  severity: 'error',
  statement:
    'In an instance’s chain the provider’s rules, which only refuse, come before every rule that accepts NEW packets.',
  source: 'nova/virt/firewall.py instance_rules (d47886e165, 0bcb15317f); the chain is gone since Mitaka',
  requires: 'an instance on a host with nova-compute, of a release with a provider chain',
  brokenBy: 'The jump to the provider’s chain removed, or moved behind a group’s rule.',
  knownFailures: [],
  claims: (context) =>
    claimsOr(
      'no instance, or no provider chain in this release',
      context.deployment.release === 'rocky'
        ? []
        : onInstanceChains(context, 4, 'what the provider refuses no group admits', (ruleset, prefix, id) => {
            const rules = rulesIn(ruleset, 'filter', `${prefix}-inst-${id}`);
            const accept = rules.find(
              ({ rule }) => rule.target?.kind === 'ACCEPT' && !rule.matches.some(({ kind }) => kind === 'state'),
            );
            const provider = rules.find(({ rule }) => calledBy(rule) === `${prefix}-provider`);
            if (provider === undefined && rules.length > 0)
              return [
                { message: `inst-${id} does not ask the provider`, table: 'filter', chain: `${prefix}-inst-${id}` },
              ];
            return accept !== undefined && provider !== undefined && accept.number < provider.number
              ? [breachAt(accept, 'it accepts before the provider is asked')]
              : [];
          }),
    ),
};

const typesHonoured: Law = {
  id: 'ipv6/types-honoured',
  kind: 'ruleset',
  severity: 'warning',
  statement: 'A group’s IPv6 rule for one icmp type admits that type only.',
  source: 'What a user wants; nova/virt/firewall.py instance_rules compares the protocol after it has renamed it',
  requires: 'use_ipv6, and a group with an IPv6 rule for an icmp type',
  brokenBy: 'What every release writes: "-p ipv6-icmp -j ACCEPT" without the type.',
  knownFailures: [
    {
      releases: 'all',
      because: '`icmp` has become `icmpv6` when nova asks whether it is `icmp`, and so has a type (D5)',
    },
  ],
  claims: (context) =>
    claimsOr(
      'no group has an IPv6 rule for an icmp type',
      context.deployment.securityGroups.some((group) => typed(group.rules).length > 0)
        ? onInstanceChains(context, 6, 'each icmp type is admitted by itself', (ruleset, prefix, id) => {
            const instance = context.deployment.instances.find((candidate) => candidate.id === id);
            const rules = context.deployment.securityGroups
              .filter(({ name }) => instance?.securityGroups.includes(name))
              .flatMap((group) => typed(group.rules));
            return rulesIn(ruleset, 'filter', `${prefix}-inst-${id}`)
              .filter(({ rule }) =>
                rules.some(({ cidr }) => {
                  const source = cidr === undefined || cidr.length === 0 ? '' : `-s ${printPrefix(cidr)} `;
                  return printRuleBody(rule) === `${source}-p ipv6-icmp -j ACCEPT`;
                }),
              )
              .map((placed) => breachAt(placed, 'it admits every type of icmp'));
          })
        : [],
    ),
};

const typed = (rules: Deployment['securityGroups'][number]['rules']): Deployment['securityGroups'][number]['rules'] =>
  rules.filter(
    ({ protocol, fromPort, cidr }) =>
      protocol?.toLowerCase() === 'icmp' &&
      fromPort !== undefined &&
      fromPort !== -1 &&
      typeof cidr?.address === 'bigint',
  );

const honoursPatterns: Law = {
  id: 'apply/honours-patterns',
  kind: 'ruleset',
  severity: 'error',
  statement: 'An operator’s rules that iptables_top_regex fits stand before nova’s in their chain.',
  source: 'nova/network/linux_net.py IptablesManager._modify_rules (5d6546a2b1, bug 1116562)',
  requires: 'an iptables_top_regex (since grizzly), and a host whose operator has rules',
  brokenBy: 'One of the operator’s rules moved behind a jump of nova’s.',
  knownFailures: [],
  claims: ({ deployment }) =>
    claimsOr(
      'no iptables_top_regex with an operator’s rules',
      deployment.hosts.flatMap((host) => {
        const text = host.rules.get(4);
        // The last of what follows a `.*` is text that the rule has: the shape that people write.
        const wanted = host.flags.iptables_top_regex.split('.*').at(-1) ?? '';
        if (text === undefined || wanted === '') return [];
        return [
          claimOf(host, 4, `what matches iptables_top_regex stands first on ${host.name}`, (ruleset) => {
            const before = readRuleset(text, { path: host.name, family: 4 });
            return [...before.tables.values()].flatMap((table) =>
              [...table.chains.values()].flatMap((chain) =>
                chain.rules.flatMap((rule): readonly Breach[] => {
                  const body = printRuleBody(rule);
                  if (!body.includes(wanted)) return [];
                  const now = rulesIn(ruleset, table.name, chain.name);
                  const own = now.find((placed) => printRuleBody(placed.rule) === body);
                  const novas = now.find((placed) => calledBy(placed.rule)?.startsWith('nova-') === true);
                  return own !== undefined && novas !== undefined && own.number > novas.number
                    ? [breachAt(own, 'it should stand before nova’s')]
                    : [];
                }),
              ),
            );
          }),
        ];
      }),
    ),
};

const keepsDuplicates: Law = {
  id: 'apply/keeps-duplicates',
  kind: 'ruleset',
  severity: 'warning',
  statement: 'A rule that an operator has twice in a chain is there twice after nova’s services applied theirs.',
  source: 'What an operator wants: of two equal rules with `-m limit` or `-m statistic` both count',
  requires: 'a host whose operator has a rule twice',
  brokenBy: 'What every release does: of equal lines the last is kept.',
  knownFailures: [{ releases: 'all', because: 'equal lines of a table are merged (F9)' }],
  claims: ({ deployment }) =>
    claimsOr(
      'no operator has a rule twice',
      deployment.hosts.flatMap((host) => {
        const text = host.rules.get(4);
        if (text === undefined) return [];
        const before = readRuleset(text, { path: host.name, family: 4 });
        const twice = [...before.tables.values()].flatMap((table) =>
          [...table.chains.values()].flatMap(({ name, rules }) => {
            const all = rules.map(printRuleBody);
            return all
              .filter((body, at) => all.indexOf(body) < at)
              .map((body) => ({ table: table.name, chain: name, body }));
          }),
        );
        if (twice.length === 0) return [];
        return [
          claimOf(host, 4, `what the operator of ${host.name} has twice is there twice`, (ruleset) =>
            twice
              .filter(
                ({ table, chain, body }) => bodies(ruleset, table, chain).filter((own) => own === body).length < 2,
              )
              .map(({ table, chain, body }) => ({ message: `"-A ${chain} ${body}" is there once`, table, chain })),
          ),
        ];
      }),
    ),
};

/** In the order of the book of laws. */
export const VINTAGE_LAWS: readonly Law[] = [
  checksumsFilled,
  onlyListed,
  providerFirst,
  typesHonoured,
  honoursPatterns,
  keepsDuplicates,
];
