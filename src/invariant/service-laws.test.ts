/** The laws about services, floating IPs and translation: they hold of nova's rulesets but where they are known not to, and a small change breaks each. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { POSTURES, type Claim, type Posture } from '../claim/claim.ts';
import { readDeployment } from '../deployment/read.ts';
import { networkOf } from '../deployment/world.ts';
import { checkLaws } from '../judge/check.ts';
import { hardenedRuleset } from '../judge/hardened.ts';
import { judgeClaim } from '../judge/judge.ts';
import { worldOf, type World } from '../network/walk.ts';
import { isEmptySet } from '../packet/pattern.ts';
import { readRuleset } from '../ruleset/parse.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { API_LAWS } from './api.ts';
import { DHCP_LAWS } from './dhcp.ts';
import { DMZ_LAWS } from './dmz.ts';
import { DNS_LAWS } from './dns.ts';
import { FIXED_LAWS } from './fixed.ts';
import { FLOATING_IP_LAWS } from './floating-ip.ts';
import { HOST_LAWS } from './host.ts';
import type { Law, LawContext } from './law.ts';
import { METADATA_LAWS } from './metadata.ts';
import { OUTSIDE_LAWS } from './outside.ts';
import { TRANSLATION_LAWS } from './translation.ts';

const LAWS: readonly Law[] = [
  ...METADATA_LAWS,
  ...FIXED_LAWS,
  ...DMZ_LAWS,
  ...OUTSIDE_LAWS,
  ...FLOATING_IP_LAWS,
  ...DHCP_LAWS,
  ...DNS_LAWS,
  ...API_LAWS,
  ...HOST_LAWS,
  ...TRANSLATION_LAWS,
];

interface Cloud extends LawContext {
  readonly rulesets: ReadonlyMap<string, readonly Ruleset[]>;
  readonly worlds: Readonly<Record<Posture, World>>;
}

/** A cloud of scenarios/, with one change in its deployment or in one of its rulesets. */
function readCloud(
  name: string,
  change?: { readonly file: string; readonly from: string; readonly to: string },
): Cloud {
  const folder = new URL(`../../scenarios/${name}/`, import.meta.url);
  const read = (file: string): string => {
    const text = readFileSync(new URL(file, folder), 'utf8');
    if (change?.file !== file) return text;
    expect(text.split(change.from)).toHaveLength(2);
    return text.replace(change.from, () => change.to);
  };
  const { deployment } = readDeployment(read('deployment.yaml'), 'deployment.yaml');
  const network = networkOf(deployment);
  const rulesets = new Map<string, Ruleset[]>();
  for (const file of readdirSync(folder).filter((entry) => entry.endsWith('.rules'))) {
    const family = file.endsWith('.v6.rules') ? 6 : 4;
    const host = file.slice(0, file.indexOf('.'));
    rulesets.set(host, [...(rulesets.get(host) ?? []), readRuleset(read(file), { path: file, family })]);
  }
  const hardened = new Map([...rulesets].map(([host, own]) => [host, own.map(hardenedRuleset)]));
  return {
    deployment,
    network,
    rulesets,
    worlds: { 'as-given': worldOf(network, rulesets), hardened: worldOf(network, hardened) },
  };
}

const ARTICLE = readCloud('article/cloud');
const SECOND = readCloud('second-cloud');
const CLOUDS = [ARTICLE, SECOND];

const claimsOf = (law: Law, context: LawContext): readonly Claim[] => {
  const applies = law.claims(context);
  return applies.kind === 'claims' ? applies.claims : [];
};

const isKnownToFail = (law: Law, claim: Claim, context: LawContext): boolean =>
  law.knownFailures.some(
    ({ releases, where }) =>
      (releases === 'all' || releases.includes(context.deployment.release)) && (where?.(claim, context) ?? true),
  );

/** `CLAIM (POSTURE): RESULT` of each claim that does not end as it should. */
function surprises(law: Law, cloud: Cloud, runs: number): string[] {
  return claimsOf(law, cloud).flatMap((claim) => {
    const expected = isKnownToFail(law, claim, cloud) ? 'violated' : 'holds';
    if (claim.kind === 'ruleset') {
      const ruleset = cloud.rulesets.get(claim.host)?.find(({ family }) => family === claim.family);
      const breaches = ruleset === undefined ? [{ message: 'there is no ruleset' }] : claim.breaches(ruleset);
      return breaches.map(({ message }) => `${claim.says}: ${message}`);
    }
    return (claim.postures ?? POSTURES).flatMap((posture) => {
      const { result, message = '' } = judgeClaim(cloud.worlds[posture], claim, posture, { runs, seed: 1 });
      const isExpected = result === expected || (result === 'vacuous' && isEmptySet(claim.set));
      return isExpected ? [] : [`${claim.says} (${posture}): ${result} ${message}`];
    });
  });
}

test.each(LAWS.map((law) => [law.id, law] as const))('%s holds, but where it is known to fail', (_id, law) => {
  expect(surprises(law, ARTICLE, 16)).toEqual([]);
  expect(surprises(law, SECOND, 3)).toEqual([]);
});

test('every law but the one about running hosts speaks of packets or of a text of one of the clouds', () => {
  const silent = LAWS.filter((law) =>
    CLOUDS.every((cloud) => claimsOf(law, cloud).every((claim) => claim.kind === 'packets' && isEmptySet(claim.set))),
  );
  expect(silent.map(({ id }) => id)).toEqual(['floating-ip/bound-on-interface']);
});

test('no two claims of a law say the same', () => {
  for (const cloud of CLOUDS)
    for (const law of LAWS) {
      const said = claimsOf(law, cloud).map(({ says }) => says);
      expect(said.filter((says, at) => said.indexOf(says) !== at)).toEqual([]);
    }
});

test('a law is deterministic', () => {
  const text = (law: Law): string =>
    JSON.stringify(law.claims(ARTICLE), (_key, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value));
  for (const law of LAWS) expect(text(law)).toBe(text(law));
});

const NAT = '-A nova-network';
const INPUT = '-A nova-network-INPUT -i br100 -p';

/** A law, a change that breaks it, and the chain that is named. */
const BREAKS: readonly (readonly [
  law: string,
  cloud: string,
  file: string,
  from: string,
  to: string,
  chain: string,
])[] = [
  [
    'metadata/reaches-api',
    'article/cloud',
    'host1.rules',
    '--dport 80 -j DNAT',
    '--dport 81 -j DNAT',
    'nova-network-PREROUTING',
  ],
  [
    'metadata/reaches-api',
    'article/cloud',
    'host1.rules',
    '-d 169.254.169.254/32 -p tcp',
    '-d 169.254.169.255/32 -p tcp',
    'nova-network-PREROUTING',
  ],
  ['metadata/reaches-api', 'article/cloud', 'host1.rules', ':8775\n', ':8776\n', 'nova-network-PREROUTING'],
  [
    'metadata/keeps-fixed-source',
    'second-cloud',
    'net1.rules',
    `${NAT}-POSTROUTING -s 10.20.0.0/16 -d 172.16.0.10/32 -j ACCEPT\n`,
    '',
    'nova-network-POSTROUTING',
  ],
  [
    'metadata/nothing-else-redirected',
    'article/cloud',
    'host1.rules',
    '--dport 80 -j DNAT',
    '--dport 80:81 -j DNAT',
    'nova-network-PREROUTING',
  ],
  [
    'metadata/nothing-else-redirected',
    'article/cloud',
    'host1.rules',
    '-p tcp -m tcp --dport 80 -j DNAT --to-destination 192.168.1.90:8775',
    '-j DNAT --to-destination 192.168.1.90',
    'nova-network-PREROUTING',
  ],
  [
    'metadata/only-from-instances',
    'second-cloud',
    'net1.rules',
    ':FORWARD DROP',
    ':FORWARD ACCEPT',
    'nova-network-PREROUTING',
  ],
  [
    'fixed/not-translated-inside',
    'article/cloud',
    'host1.rules',
    `${NAT}-POSTROUTING -s 10.0.0.0/8 -d 10.0.0.0/8 -m conntrack ! --ctstate DNAT -j ACCEPT\n`,
    '',
    'nova-network-POSTROUTING',
  ],
  [
    'dmz/not-translated',
    'second-cloud',
    'net1.rules',
    '-d 203.0.113.0/24 -j ACCEPT',
    '-d 203.0.113.0/25 -j ACCEPT',
    'nova-network-POSTROUTING',
  ],
  [
    'outside/snat-to-routing-source',
    'second-cloud',
    'net1.rules',
    '-d 203.0.113.0/24 -j ACCEPT',
    '-d 203.0.112.0/23 -j ACCEPT',
    'nova-network-snat',
  ],
  [
    'outside/snat-to-routing-source',
    'article/cloud',
    'host1.rules',
    '-s 10.0.0.0/8 -j SNAT',
    '-s 10.0.0.0/9 -j SNAT',
    'nova-network-snat',
  ],
  [
    'outside/reply-comes-back',
    'second-cloud',
    'net1.rules',
    '-j SNAT --to-source 192.0.2.20\n',
    '-j SNAT --to-source 192.0.2.21\n',
    'nova-network-snat',
  ],
  [
    'outside/no-fixed-leak',
    'second-cloud',
    'net1.rules',
    `${NAT}-snat -s 10.20.0.0/16 -j SNAT --to-source 192.0.2.20\n`,
    '',
    'nova-network-snat',
  ],
  [
    'floating-ip/round-trip',
    'article/cloud',
    'host1.rules',
    `${NAT}-PREROUTING -d 192.168.1.233/32 -j DNAT`,
    `${NAT}-PREROUTING -d 192.168.1.232/32 -j DNAT`,
    'nova-network-PREROUTING',
  ],
  [
    'floating-ip/outbound-appears-as-floating',
    'article/cloud',
    'host1.rules',
    `${NAT}-snat -j nova-network-float-snat\n`,
    '',
    'nova-network-float-snat',
  ],
  [
    'floating-ip/from-host',
    'article/cloud',
    'host1.rules',
    `${NAT}-OUTPUT -d 192.168.1.233/32 -j DNAT --to-destination 10.10.10.2\n`,
    '',
    'nova-network-OUTPUT',
  ],
  [
    'floating-ip/reached-from-inside',
    'article/cloud',
    'host1.rules',
    '-m conntrack ! --ctstate DNAT ',
    '',
    'nova-network-float-snat',
  ],
  [
    'floating-ip/no-cross-talk',
    'second-cloud',
    'net1.rules',
    `${NAT}-PREROUTING -d 192.0.2.101/32 -j DNAT --to-destination 10.20.1.2\n`,
    `${NAT}-PREROUTING -d 192.0.2.101/32 -j DNAT --to-destination 10.20.1.3\n`,
    'nova-network-PREROUTING',
  ],
  [
    'floating-ip/silent-when-free',
    'second-cloud',
    'net1.rules',
    `${NAT}-PREROUTING -d 192.0.2.101/32 `,
    `${NAT}-PREROUTING -d 192.0.2.103/32 -j DNAT --to-destination 10.20.1.4\n${NAT}-PREROUTING -d 192.0.2.101/32 `,
    'nova-network-PREROUTING',
  ],
  [
    'dhcp/served',
    'article/cloud',
    'host1.rules',
    `${INPUT} udp -m udp --dport 67 -j ACCEPT\n`,
    '',
    'nova-network-INPUT',
  ],
  [
    'dhcp/served',
    'article/cloud',
    'host1.rules',
    `${INPUT} tcp -m tcp --dport 67 -j ACCEPT\n`,
    '',
    'nova-network-INPUT',
  ],
  [
    'dhcp/served',
    'second-cloud',
    'compute1.rules',
    '-A nova-compute-inst-1 -s 10.20.1.1/32 ',
    '-A nova-compute-inst-1 ',
    'nova-compute-inst-1',
  ],
  [
    'dns/served',
    'article/cloud',
    'host1.rules',
    `${INPUT} udp -m udp --dport 53 -j ACCEPT\n`,
    '',
    'nova-network-INPUT',
  ],
  [
    'dns/served',
    'second-cloud',
    'net1.rules',
    '-A nova-network-INPUT -i br101 -p tcp -m tcp --dport 53',
    '-A nova-network-INPUT -i eth4 -p tcp -m tcp --dport 53',
    'nova-network-INPUT',
  ],
  [
    'api/reachable',
    'second-cloud',
    'api1.rules',
    '-A nova-api-INPUT -d 172.16.0.10/32 -p tcp -m tcp --dport 8775 -j ACCEPT\n',
    '',
    'nova-api-INPUT',
  ],
  ['host/closed-to-instances', 'second-cloud', 'net1.rules', ':INPUT DROP', ':INPUT ACCEPT', 'INPUT'],
  [
    'host/opens-only-services',
    'article/cloud',
    'host1.rules',
    `${INPUT} udp -m udp --dport 67`,
    '-A nova-network-INPUT -p udp -m udp --dport 67',
    'INPUT',
  ],
  [
    'host/opens-only-services',
    'article/cloud',
    'host1.rules',
    '-A nova-api-INPUT -d 192.168.1.90/32 ',
    '-A nova-api-INPUT ',
    'INPUT',
  ],
  [
    'translation/only-what-is-named',
    'article/cloud',
    'host1.rules',
    `${NAT}-PREROUTING -d 192.168.1.233/32 -j DNAT`,
    `${NAT}-PREROUTING -d 192.168.1.232/31 -j DNAT`,
    'nova-network-PREROUTING',
  ],
  [
    'translation/only-what-is-named',
    'article/cloud',
    'host1.rules',
    '-A nova-network-snat -s 10.0.0.0/8 -j',
    '-A nova-network-snat -s 10.0.0.0/7 -j',
    'nova-network-PREROUTING',
  ],
];

test.each(BREAKS)('%s is broken in %s by a change of %s', (id, name, file, from, to, chain) => {
  const law = LAWS.find((candidate) => candidate.id === id);
  if (law === undefined) throw new Error(`there is no law ${id}`);
  const { deployment, network, rulesets } = readCloud(name, { file, from, to });
  const input = { deployment, network, rulesets, laws: [law], backend: 'nft' as const, runs: 24, seed: 1 };
  const known = claimsOf(law, { deployment, network }).filter((claim) =>
    isKnownToFail(law, claim, { deployment, network }),
  );
  const broken = checkLaws(input).findings.filter(
    ({ result, claim }) => result === 'violated' && !known.some(({ says }) => says === claim),
  );
  expect(broken.length).toBeGreaterThan(0);
  expect(broken.map(({ location }) => location?.chain)).toContain(chain);
});

test('every law has a change that breaks it, or is broken as it stands', () => {
  const shown = new Set(BREAKS.map(([id]) => id));
  const broken = (law: Law): boolean =>
    CLOUDS.some((cloud) => claimsOf(law, cloud).some((claim) => isKnownToFail(law, claim, cloud)));
  const unshown = LAWS.filter((law) => !shown.has(law.id) && !broken(law));
  expect(unshown.map(({ id }) => id)).toEqual(['floating-ip/bound-on-interface']);
});

const VARIANTS: readonly (readonly [says: string, law: string, from: string, to: string, because: string])[] = [
  [
    'no floating IP',
    'floating-ip/round-trip',
    'fixed_ip: 10.10.10.2, ',
    '',
    'no floating IP is associated and bound on a host with nova-network',
  ],
  [
    'no nova-api',
    'api/reachable',
    'services: [nova-api, ',
    'services: [',
    'no host with nova-api has metadata_host as an address of its own',
  ],
  [
    'no nova-api',
    'metadata/reaches-api',
    'services: [nova-api, ',
    'services: [',
    'no instance reaches a nova-network that leads to a metadata server',
  ],
  [
    'no dmz',
    'dmz/not-translated',
    'dmz_cidr: [10.128.0.0/24]',
    'dmz_cidr: []',
    'no host with nova-network has a dmz_cidr',
  ],
  ['no nova-network', 'fixed/not-translated-inside', ', nova-network,', ',', 'no host runs nova-network'],
];

test.each(VARIANTS)('with %s %s does not apply', (_says, id, from, to, because) => {
  const cloud = readCloud('article/cloud', { file: 'deployment.yaml', from, to });
  expect(LAWS.find((law) => law.id === id)?.claims(cloud)).toEqual({ kind: 'not-applicable', because });
});

test('where nobody runs nova-network, nothing is to be translated', () => {
  const cloud = readCloud('article/cloud', { file: 'deployment.yaml', from: ', nova-network,', to: ',' });
  const said = TRANSLATION_LAWS.flatMap((law) => claimsOf(law, cloud));
  expect(said.filter(({ kind }) => kind === 'packets')).not.toHaveLength(0);
});

test('with an IPv6 metadata_host nova-api is reached at it', () => {
  const law = LAWS.find(({ id }) => id === 'api/reachable');
  const said = law === undefined ? [] : claimsOf(law, readCloud('modes/metadata-over-ipv6'));
  const packets = said.flatMap((claim) => (claim.kind === 'packets' ? [claim] : []));
  expect(packets.length).toBeGreaterThan(0);
  for (const { set } of packets) expect(set.boxes.map(({ family }) => family)).toEqual([6]);
});
