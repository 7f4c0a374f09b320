/** The laws about instances, their chains and their bridges: they hold of nova's rulesets, and a small change breaks each. */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Family } from '../address/address.ts';
import { readDeployment } from '../deployment/read.ts';
import { networkOf } from '../deployment/world.ts';
import { checkLaws, type Finding } from '../judge/check.ts';
import { isEmptySet } from '../packet/pattern.ts';
import { rulesetTextFor } from '../nova/ruleset.ts';
import { readRuleset } from '../ruleset/parse.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { APPLY_LAWS } from './apply.ts';
import { BRIDGE_LAWS } from './bridge.ts';
import { CHAIN_LAWS } from './chains.ts';
import { INSTANCE_CHAIN_LAWS } from './instance-chain.ts';
import { IPV6_LAWS } from './ipv6.ts';
import type { Law, LawContext } from './law.ts';
import { RULESET_LAWS } from './ruleset.ts';
import { SECURITY_GROUP_LAWS } from './security-group.ts';
import { SPOOF_LAWS } from './spoof.ts';
import { TENANT_LAWS } from './tenant.ts';

const LAWS: readonly Law[] = [
  ...CHAIN_LAWS,
  ...INSTANCE_CHAIN_LAWS,
  ...SECURITY_GROUP_LAWS,
  ...TENANT_LAWS,
  ...BRIDGE_LAWS,
  ...SPOOF_LAWS,
  ...IPV6_LAWS,
  ...APPLY_LAWS,
  ...RULESET_LAWS,
];

interface Cloud extends LawContext {
  /** By file name: the text of each ruleset. */
  readonly texts: ReadonlyMap<string, string>;
}

function readCloud(name: string, edit: (deployment: string) => string = (text) => text): Cloud {
  const folder = new URL(`../../scenarios/${name}/`, import.meta.url);
  const read = (file: string) => readFileSync(new URL(file, folder), 'utf8');
  const { deployment } = readDeployment(edit(read('deployment.yaml')), 'deployment.yaml');
  const files = readdirSync(folder).filter((file) => file.endsWith('.rules'));
  return { deployment, network: networkOf(deployment), texts: new Map(files.map((file) => [file, read(file)])) };
}

const ARTICLE = readCloud('article/cloud');
const SECOND = readCloud('second-cloud');
const CLOUDS = [ARTICLE, SECOND];

function rulesetsOf(texts: Cloud['texts']): ReadonlyMap<string, readonly Ruleset[]> {
  const rulesets = new Map<string, Ruleset[]>();
  for (const [file, text] of texts) {
    const family: Family = file.endsWith('.v6.rules') ? 6 : 4;
    const host = file.slice(0, file.indexOf('.'));
    rulesets.set(host, [...(rulesets.get(host) ?? []), readRuleset(text, { path: file, family })]);
  }
  return rulesets;
}

const check = (cloud: Cloud, laws: readonly Law[], runs: number): readonly Finding[] =>
  checkLaws({ ...cloud, rulesets: rulesetsOf(cloud.texts), laws, backend: 'nft', runs, seed: 1 }).findings;

const lawOf = (id: string): Law => {
  const law = LAWS.find((candidate) => candidate.id === id);
  if (law === undefined) throw new Error(`there is no law ${id}`);
  return law;
};

/** The cloud with one ruleset changed: `from` stands there exactly once. */
function edited(cloud: Cloud, file: string, from: string, to: string): Cloud {
  const text = cloud.texts.get(file) ?? '';
  expect(text.split(from)).toHaveLength(2);
  return { ...cloud, texts: new Map([...cloud.texts, [file, text.replace(from, () => to)]]) };
}

const brief = ({ law, result, claim, message }: Finding): string => `${law.id} ${result}: ${claim ?? ''} ${message}`;

/** Their known failures need services or comments that neither cloud has. */
const KEPT_HERE: ReadonlySet<string> = new Set(['chains/fabric-hooked', 'apply/keeps-others']);

test.each([
  ['the article’s cloud', ARTICLE, 40],
  ['the second cloud', SECOND, 4],
] as const)('the laws hold of %s', (_name, cloud, runs) => {
  const kept = LAWS.filter(({ knownFailures, id }) => knownFailures.length === 0 || KEPT_HERE.has(id));
  const findings = check(cloud, kept, runs);
  expect(findings.filter(({ result }) => !['holds', 'not-applicable'].includes(result)).map(brief)).toEqual([]);
});

test('each law says something of one of the clouds', () => {
  const silent = LAWS.filter(({ kind }) => kind !== 'relation').filter((law) =>
    CLOUDS.every((cloud) => {
      const applies = law.claims(cloud);
      return (
        applies.kind === 'not-applicable' ||
        applies.claims.every((claim) => claim.kind === 'packets' && isEmptySet(claim.set))
      );
    }),
  );
  expect(silent.map(({ id }) => id)).toEqual([]);
});

test('no two claims of a law say the same', () => {
  for (const cloud of CLOUDS)
    for (const law of LAWS) {
      const applies = law.claims(cloud);
      const said = applies.kind === 'claims' ? applies.claims.map(({ says }) => says) : [];
      expect(said.filter((says, at) => said.indexOf(says) !== at)).toEqual([]);
    }
});

const CHAIN = '-A nova-compute-inst-1';
const TOP = '-A FORWARD -j nova-filter-top\n';

/** A law, a change that breaks it, and the chain that is named. */
const BREAKS: readonly (readonly [law: string, cloud: Cloud, file: string, from: string, to: string, chain: string])[] =
  [
    ['chains/fabric-hooked', ARTICLE, 'host1.rules', '-A FORWARD -j nova-api-FORWARD\n', '', 'FORWARD'],
    [
      'chains/fabric-hooked',
      ARTICLE,
      'host1.rules',
      '-A INPUT -j nova-network-INPUT',
      '-A INPUT -p tcp -j nova-network-INPUT',
      'INPUT',
    ],
    ['chains/fabric-hooked', ARTICLE, 'host1.rules', TOP, `-A FORWARD -i wlan0 -j ACCEPT\n${TOP}`, 'FORWARD'],
    ['chains/fabric-hooked', ARTICLE, 'host1.rules', TOP, `-A FORWARD -p icmp -j DROP\n${TOP}`, 'FORWARD'],
    [
      'chains/fabric-hooked',
      ARTICLE,
      'host1.rules',
      `${TOP}-A FORWARD -j nova-compute-FORWARD\n`,
      `-A FORWARD -j nova-compute-FORWARD\n${TOP}`,
      'nova-compute-FORWARD',
    ],
    [
      'chains/fabric-hooked',
      ARTICLE,
      'host1.rules',
      '-A POSTROUTING -j nova-api-POSTROUTING\n-A POSTROUTING -j nova-postrouting-bottom\n',
      '-A POSTROUTING -j nova-postrouting-bottom\n-A POSTROUTING -j nova-api-POSTROUTING\n',
      'POSTROUTING',
    ],
    [
      'chains/fabric-hooked',
      ARTICLE,
      'host1.rules',
      '-A nova-network-snat -j nova-network-float-snat\n-A nova-network-snat -s 10.0.0.0/8 -j SNAT --to-source 192.168.1.90\n',
      '-A nova-network-snat -s 10.0.0.0/8 -j SNAT --to-source 192.168.1.90\n-A nova-network-snat -j nova-network-float-snat\n',
      'nova-network-snat',
    ],
    [
      'chains/no-dangling-jump',
      ARTICLE,
      'host1.rules',
      `${CHAIN} -j nova-compute-sg-fallback\n`,
      '',
      'nova-compute-inst-1',
    ],
    [
      'chains/no-dangling-jump',
      ARTICLE,
      'host1.rules',
      '-A nova-compute-sg-fallback -j DROP',
      '-A nova-compute-sg-fallback -p tcp -j DROP',
      'nova-compute-sg-fallback',
    ],
    [
      'chains/no-dangling-jump',
      SECOND,
      'compute1.v6.rules',
      '-A nova-compute-sg-fallback -j DROP\n',
      '',
      'nova-compute-sg-fallback',
    ],
    [
      'instance-chain/guards-every-address',
      ARTICLE,
      'host1.rules',
      '-d 10.10.10.2/32 -j nova-compute-inst-1',
      '-d 10.10.10.2/31 -j nova-compute-inst-1',
      'nova-compute-local',
    ],
    [
      'instance-chain/guards-every-address',
      SECOND,
      'compute2.rules',
      '-A nova-compute-local -d 10.20.1.5/32 -j nova-compute-inst-11\n',
      '',
      'nova-compute-local',
    ],
    [
      'instance-chain/guards-every-address',
      SECOND,
      'compute2.rules',
      '-d 10.20.1.5/32 -j nova-compute-inst-11',
      '-d 10.20.1.5/32 -j nova-compute-inst-2',
      'nova-compute-local',
    ],
    [
      'instance-chain/drops-strangers',
      ARTICLE,
      'host1.rules',
      '-A nova-compute-sg-fallback -j DROP',
      '-A nova-compute-sg-fallback -j ACCEPT',
      'nova-compute-inst-1',
    ],
    [
      'instance-chain/admits-exactly',
      ARTICLE,
      'host1.rules',
      `${CHAIN} -s 10.10.10.0/24 -j ACCEPT`,
      `${CHAIN} -s 10.10.10.0/25 -j ACCEPT`,
      'nova-compute-sg-fallback',
    ],
    [
      'instance-chain/admits-exactly',
      SECOND,
      'compute1.rules',
      '-s 10.20.1.1/32 -p udp -m udp --sport 67 --dport 68',
      '-s 10.20.1.1/32 -p udp -m udp --dport 68',
      'nova-compute-inst-1',
    ],
    [
      'instance-chain/admits-exactly',
      SECOND,
      'compute1.rules',
      '--icmp-type 8/0',
      '--icmp-type 8',
      'nova-compute-inst-1',
    ],
    [
      'instance-chain/admits-established',
      ARTICLE,
      'host1.rules',
      '--state RELATED,ESTABLISHED',
      '--state ESTABLISHED',
      'nova-compute-sg-fallback',
    ],
    [
      'instance-chain/drops-invalid',
      ARTICLE,
      'host1.rules',
      `${CHAIN} -m state --state INVALID -j DROP\n`,
      '',
      'nova-compute-inst-1',
    ],
    [
      'instance-chain/forwarded-and-local',
      ARTICLE,
      'host1.rules',
      '-A OUTPUT -j nova-filter-top\n',
      '',
      'nova-compute-inst-1',
    ],
    [
      'security-group/members-only',
      SECOND,
      'compute1.rules',
      '-A nova-compute-inst-10 -s 10.20.1.5/32 -j ACCEPT\n',
      '',
      'nova-compute-sg-fallback',
    ],
    [
      'security-group/members-only',
      SECOND,
      'compute2.rules',
      '-s 10.20.1.5/32 -p tcp -m tcp --dport 5432',
      '-s 192.0.2.101/32 -p tcp -m tcp --dport 5432',
      'nova-compute-sg-fallback',
    ],
    [
      'tenant/isolated',
      SECOND,
      'compute1.rules',
      `${CHAIN} -p tcp -m tcp --dport 443 -j ACCEPT`,
      `${CHAIN} -j ACCEPT`,
      'nova-compute-inst-1',
    ],
    [
      'bridge/forwards-both-ways',
      SECOND,
      'net1.rules',
      '-A nova-network-FORWARD -o br101 -j ACCEPT\n',
      '',
      'nova-network-FORWARD',
    ],
    [
      'bridge/forwards-both-ways',
      SECOND,
      'net1.rules',
      '-A nova-network-FORWARD -i br100 -j ACCEPT\n',
      '',
      'nova-network-FORWARD',
    ],
    [
      'bridge/forwards-both-ways',
      ARTICLE,
      'host1.rules',
      '-A nova-compute-FORWARD -i br100 -j ACCEPT',
      '-A nova-compute-FORWARD -i wlan0 -j ACCEPT',
      'nova-compute-FORWARD',
    ],
    [
      'bridge/forwards-to-strangers',
      ARTICLE,
      'host1.rules',
      '-A nova-compute-FORWARD -o br100 -j ACCEPT',
      '-A nova-compute-FORWARD -o br100 -j DROP',
      'nova-compute-FORWARD',
    ],
    [
      'ipv6/parity',
      SECOND,
      'compute1.v6.rules',
      `${CHAIN} -s 2001:db8::/32 -p ipv6-icmp`,
      `${CHAIN} -s 2001:db8::/31 -p ipv6-icmp`,
      'nova-compute-inst-1',
    ],
    ['apply/keeps-others', SECOND, 'net1.rules', '-A INPUT -i lo -j ACCEPT\n', '', 'INPUT'],
    ['apply/keeps-others', SECOND, 'compute1.v6.rules', ':INPUT DROP [0:0]', ':INPUT ACCEPT [0:0]', 'INPUT'],
    [
      'apply/keeps-others',
      SECOND,
      'net1.rules',
      '-A INPUT -i lo -j ACCEPT\n-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT\n',
      '-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -i lo -j ACCEPT\n',
      'INPUT',
    ],
    [
      'ruleset/no-dead-rule',
      SECOND,
      'compute1.rules',
      `${CHAIN} -p tcp -m tcp --dport 80 -j ACCEPT\n`,
      `${CHAIN} -p tcp -m tcp --dport 80 -j ACCEPT\n${CHAIN} -s 10.0.0.0/8 -p tcp -m tcp --dport 80 -j ACCEPT\n`,
      'nova-compute-inst-1',
    ],
  ];

test.each(BREAKS)('%s is broken by a change (%#)', (id, cloud, file, from, to, chain) => {
  const broken = edited(cloud, file, from, to);
  const findings = check(broken, [lawOf(id)], 8).filter(({ result }) => result === 'violated');
  expect(findings.map(({ location }) => location?.chain)).toContain(chain);
});

test('every law has a change that breaks it', () => {
  const broken = new Set(BREAKS.map(([id]) => id));
  const without = LAWS.filter(({ kind, id }) => kind !== 'relation' && !broken.has(id)).map(({ id }) => id);
  // These nova's own rulesets break.
  expect(without).toEqual(['bridge/not-translated', 'spoof/source-owned']);
});

test('what comes before nova-filter-top may decide what the chains decide in the same way', () => {
  const harmless = [
    '-A FORWARD -m state --state RELATED,ESTABLISHED -j ACCEPT',
    '-A FORWARD -m conntrack --ctstate INVALID -j DROP',
    '-A FORWARD -o tun0 -j ACCEPT',
    '-A FORWARD -d 10.10.11.0/24 -j DROP',
    '-A FORWARD -s 10.10.10.0/24 -m state --state NEW -j ACCEPT',
    '-A FORWARD -p tcp -j LOG',
  ].join('\n');
  const cloud = edited(ARTICLE, 'host1.rules', TOP, `${harmless}\n${TOP}`);
  expect(check(cloud, CHAIN_LAWS, 1).map(({ result }) => result)).toEqual(['holds', 'holds']);
});

test('a loop that no hook comes to, and a name that is too long, are found', () => {
  const long = 'nova-compute-a-name-of-thirty-ch';
  const looping = edited(
    ARTICLE,
    'host1.rules',
    ':nova-filter-top - [0:0]\n',
    ':nova-filter-top - [0:0]\n:round - [0:0]\n:about - [0:0]\n:before - [0:0]\n',
  );
  const cloud = edited(
    looping,
    'host1.rules',
    TOP,
    `${TOP}-A before -j round\n-A round -j about\n-A about -g round\n-A about -j nova-filter-top\n`,
  );
  const messages = (findings: readonly Finding[]) =>
    findings.filter(({ result }) => result === 'violated').map(({ message }) => message);
  expect(messages(check(cloud, CHAIN_LAWS, 1))).toEqual(['the jump to about leads into a loop']);
  const claims = lawOf('chains/no-dangling-jump').claims(ARTICLE);
  const [ruleset] = rulesetsOf(ARTICLE.texts).get('host1') ?? [];
  const [claim] = claims.kind === 'claims' ? claims.claims : [];
  if (ruleset === undefined || claim?.kind !== 'ruleset')
    throw new Error('the article has a ruleset and a claim about it');
  const filter = ruleset.tables.get('filter');
  if (filter === undefined) throw new Error('the article has a filter table');
  const named = { ...filter, chains: new Map([...filter.chains, [long, { name: long, rules: [] }]]) };
  const breaches = claim.breaches({ ...ruleset, tables: new Map([...ruleset.tables, ['filter', named]]) });
  expect(breaches).toMatchObject([{ table: 'filter', chain: long }]);
});

test('nova leaves sources to others, and translates flooded frames', () => {
  for (const cloud of CLOUDS)
    expect(check(cloud, SPOOF_LAWS, 2).some(({ result }) => result === 'violated')).toBe(true);
  const law = lawOf('bridge/not-translated');
  const [known] = law.knownFailures;
  const applies = law.claims(ARTICLE);
  const claims = applies.kind === 'claims' ? applies.claims : [];
  const failing = claims.filter((claim) => known?.where?.(claim, ARTICLE) === true).map(({ says }) => says);
  const failed = check(ARTICLE, [law], 60).map(({ claim }) => claim);
  expect(failing).toEqual(['flooded frames of myserver by host1 vnet0 arrive from 10.10.10.2']);
  expect([...new Set(failed)]).toEqual(failing);
  expect(check(SECOND, [law], 8).map(({ result }) => result)).toEqual(['holds', 'holds']);
});

test('dead rules are named with what covers them', () => {
  const dead = check(ARTICLE, RULESET_LAWS, 1).map(({ location, message }) => [location?.line, message]);
  expect(dead).toEqual([
    [36, 'nova-network-POSTROUTING rule 3 (line 37) says the same of every packet'],
    [84, 'nova-compute-inst-1 rule 5 (line 85) says the same of every packet'],
    [93, 'nova-compute-FORWARD rule 1 (line 79) takes every packet before it'],
    [94, 'nova-compute-FORWARD rule 2 (line 80) takes every packet before it'],
  ]);
});

test('bridged frames are claimed only where iptables sees them', () => {
  const unfiltered = readCloud('article/cloud', (text) =>
    text.replace('net.bridge.bridge-nf-call-iptables: 1', 'net.bridge.bridge-nf-call-iptables: 0'),
  );
  const entries = (cloud: Cloud) => {
    const applies = lawOf('instance-chain/drops-strangers').claims(cloud);
    const claims = applies.kind === 'claims' ? applies.claims : [];
    return claims.flatMap((claim) =>
      claim.kind !== 'packets' ? [] : claim.entry.kind === 'local' ? ['local'] : [claim.entry.interface],
    );
  };
  expect([...new Set(entries(ARTICLE))]).toEqual(['wlan0', 'eth0', 'local']);
  expect([...new Set(entries(unfiltered))]).toEqual(['wlan0', 'local']);
});

test('an operator’s rule that names a service is taken for the service’s own', () => {
  const cloud = readCloud('second-cloud', (text) =>
    text.replace('operators by the management network', 'let in before nova-network'),
  );
  const law = lawOf('apply/keeps-others');
  const applies = law.claims(cloud);
  const claims = applies.kind === 'claims' ? applies.claims : [];
  const known = claims.filter((claim) => law.knownFailures.some(({ where }) => where?.(claim, cloud) === true));
  expect(known.map(({ host }) => host)).toEqual(['net1']);
  const net1 = cloud.deployment.hosts.find(({ name }) => name === 'net1');
  if (net1 === undefined) throw new Error('the second cloud has a host net1');
  const written = new Map([...cloud.texts, ['net1.rules', rulesetTextFor(cloud.deployment, net1, 4)]]);
  const findings = check({ ...cloud, texts: written }, [law], 1).map(({ host, result }) => [host, result]);
  expect(findings).toEqual([['net1', 'violated']]);
});

test('a service whose name another’s contains takes its chains along', () => {
  const cloud = readCloud('article/cloud', (text) =>
    text.replace('[nova-api, nova-network, nova-compute]', '[nova-api-metadata, nova-network, nova-compute, nova-api]'),
  );
  const law = lawOf('chains/fabric-hooked');
  const [host] = cloud.deployment.hosts;
  if (host === undefined) throw new Error('the article has a host');
  const texts = new Map([['host1.rules', rulesetTextFor(cloud.deployment, host, 4)]]);
  const gone = check({ ...cloud, texts }, [law], 1).map(({ message }) => message);
  expect(gone).toContain('there is no chain nova-api-metadat-INPUT in filter');
  const applies = law.claims(cloud);
  const [claim] = applies.kind === 'claims' ? applies.claims : [];
  expect(claim !== undefined && law.knownFailures[0]?.where?.(claim, cloud)).toBe(true);
  expect(claim !== undefined && law.knownFailures[0]?.where?.(claim, ARTICLE)).toBe(false);
});

test('a changed jump, and a changed rule of the operator, are named with their lines', () => {
  const lines = (cloud: Cloud, id: string) => check(cloud, [lawOf(id)], 1).map(({ location }) => location?.line);
  const lineOf = (cloud: Cloud, file: string, start: string) =>
    (cloud.texts.get(file) ?? '').split('\n').findIndex((line) => line.startsWith(start)) + 1;
  const jump = edited(ARTICLE, 'host1.rules', '-A INPUT -j nova-api-INPUT', '-A INPUT -j RETURN');
  expect(lines(jump, 'chains/fabric-hooked')).toEqual([lineOf(jump, 'host1.rules', '-A INPUT -j RETURN')]);
  const again = edited(ARTICLE, 'host1.rules', '-A INPUT -j nova-api-INPUT', '-A INPUT -j nova-compute-INPUT');
  expect(lines(again, 'chains/fabric-hooked')).toEqual([lineOf(ARTICLE, 'host1.rules', '-A INPUT -j nova-api-INPUT')]);
  const port = edited(SECOND, 'compute1.rules', '-p tcp -m tcp --dport 22', '-p tcp -m tcp --dport 23');
  expect(lines(port, 'apply/keeps-others')).toEqual([lineOf(port, 'compute1.rules', '-A INPUT -i eth2')]);
});
