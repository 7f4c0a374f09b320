import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { UnsupportedError } from '../diagnostic/diagnostic.ts';
import { readDeployment } from '../deployment/read.ts';
import { rulesetTextFor } from './ruleset.ts';

const scenarios = new URL('../../scenarios/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, scenarios), 'utf8');

const ARTICLE = read('article/cloud/deployment.yaml');
const SECOND = read('second-cloud/deployment.yaml');

const rulesetOf = (text: string, name: string, family: 4 | 6 = 4, service?: string): string => {
  const { deployment } = readDeployment(text, 'd.yaml');
  const host = deployment.hosts.find((candidate) => candidate.name === name);
  if (host === undefined) throw new Error(`no host ${name}`);
  return rulesetTextFor(deployment, host, family, service === undefined ? {} : { service });
};

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');
const rules = (text: string): string[] => lines(text).filter((line) => !line.startsWith(':'));
const chains = (text: string): string[] => lines(text).filter((line) => line.startsWith(':'));

test('the article’s cloud has the ruleset that nova’s own folsom-2 code made, line for line', () => {
  const expected = read('article/cloud/host1.rules');
  const made = rulesetOf(ARTICLE, 'host1');
  expect(rules(made)).toEqual(rules(expected));
  expect(chains(made).sort()).toEqual(chains(expected).sort());
});

// Written by `nfverdict generate scenarios/second-cloud/deployment.yaml --output scenarios/second-cloud`, then read by a person, and accepted by both
// iptables-restore programs.
test.each(['api1', 'net1', 'compute1', 'compute2'])(
  'the second cloud’s %s has the rulesets that were reviewed',
  (host) => {
    expect(rulesetOf(SECOND, host, 4)).toBe(read(`second-cloud/${host}.rules`));
    expect(rulesetOf(SECOND, host, 6)).toBe(read(`second-cloud/${host}.v6.rules`));
  },
);

/** One chain’s rules, without `-A CHAIN`. */
const chain = (text: string, name: string): string[] =>
  lines(text)
    .filter((line) => line.startsWith(`-A ${name} `))
    .map((line) => line.slice(`-A ${name} `.length));

const oneHost = (services: string, more = ''): string => `hosts:
  - name: a
    services: [${services}]
    interfaces: [{ name: eth0, addresses: [192.0.2.1/24] }]
${more}networks: [{ label: n, cidr: 10.1.0.0/24 }]
instances: [{ id: 1, host: a, fixed_ips: [10.1.0.2] }]
`;

test('who applied last stands first, and the shared chains keep their places', () => {
  const text = rulesetOf(oneHost('nova-compute, nova-api, nova-network'), 'a');
  expect(chain(text, 'INPUT')).toEqual(['-j nova-network-INPUT', '-j nova-api-INPUT', '-j nova-compute-INPUT']);
  expect(chain(text, 'FORWARD')[0]).toBe('-j nova-filter-top');
  expect(chain(text.slice(text.indexOf('*filter')), 'OUTPUT')[0]).toBe('-j nova-filter-top');
  expect(chain(text, 'POSTROUTING').at(-1)).toBe('-j nova-postrouting-bottom');
});

test('an operator’s rules stay behind nova’s, in their order, and equal ones become one', () => {
  const rules = `    rules: |
      *filter
      :INPUT DROP [7:70]
      [5:50] -A INPUT -s 192.0.2.7 -j DROP
      [5:50] -A INPUT -i lo -j ACCEPT
      [6:60] -A INPUT -s 192.0.2.7 -j DROP
      COMMIT
`;
  const text = rulesetOf(oneHost('nova-network', rules), 'a');
  expect(chain(text, 'INPUT')).toEqual(['-j nova-network-INPUT', '-i lo -j ACCEPT', '-s 192.0.2.7/32 -j DROP']);
  expect(text).toContain(':INPUT DROP [0:0]');
});

test('an operator’s rule that names a service in its comment is taken for that service’s', () => {
  const rules = `    rules: |
      *filter
      -A INPUT -i lo -m comment --comment "for nova-network" -j ACCEPT
      COMMIT
`;
  expect(rulesetOf(oneHost('nova-compute', rules), 'a')).toContain('for nova-network');
  expect(rulesetOf(oneHost('nova-network', rules), 'a')).not.toContain('for nova-network');
});

test('nova-api takes away what nova-api-metadata wrote, whose name is cut to 16 characters', () => {
  const first = rulesetOf(oneHost('nova-api-metadata'), 'a');
  expect(chain(first, 'nova-api-metadat-INPUT')).toHaveLength(1);
  expect(rulesetOf(oneHost('nova-api-metadata, nova-api'), 'a')).not.toContain('nova-api-metadat');
  const other = rulesetOf(oneHost('nova-api, nova-api-metadata'), 'a');
  expect(chain(other, 'nova-api-INPUT')).toHaveLength(1);
  expect(chain(other, 'nova-api-metadat-INPUT')).toHaveLength(1);
});

test('a service that writes no rule leaves the host as it was', () => {
  const text = rulesetOf(oneHost('nova-scheduler'), 'a');
  expect(text).toBe('*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n');
});

test('a network without a gateway forwards nothing where nova-network serves it', () => {
  const text = rulesetOf(oneHost('nova-network').replace('/24 }]', '/24, gateway: null }]'), 'a');
  expect(chain(text, 'nova-network-FORWARD')).toEqual(['-i br100 -j DROP', '-o br100 -j DROP']);
});

test('with multi_host nova-compute forwards nothing, and instances lease from their own host', () => {
  const text = rulesetOf(oneHost('nova-network, nova-compute').replace('/24 }]', '/24, multi_host: true }]'), 'a');
  expect(chain(text, 'nova-compute-FORWARD')).toEqual([]);
  expect(chain(text, 'nova-network-FORWARD')).toHaveLength(2);
  expect(chain(text, 'nova-compute-inst-1')).toContain('-s 10.1.0.3/32 -p udp -m udp --sport 67 --dport 68 -j ACCEPT');
});

test('IPv6 is written with use_ipv6 only', () => {
  expect(rules(rulesetOf(ARTICLE, 'host1', 6))).toEqual(['*filter', 'COMMIT']);
  const text = rulesetOf(ARTICLE.replace('flags:', 'flags:\n  use_ipv6: true'), 'host1', 6);
  expect(chain(text, 'nova-compute-inst-1').at(-1)).toBe('-j nova-compute-sg-fallback');
  expect(text).not.toContain('*nat');
});

/** What the group rules `rules` (YAML, a flow sequence's items) become in an instance’s chain. */
const groupRules = (rules: string, family: 4 | 6 = 4): string[] => {
  const text = `flags: { use_ipv6: true, allow_same_net_traffic: false }
hosts: [{ name: a, services: [nova-compute], interfaces: [{ name: eth0, addresses: [192.0.2.1/24] }] }]
networks: [{ label: n, cidr: 10.1.0.0/24, host: null }]
security_groups: { default: [${rules}], none: [] }
instances: [{ id: 1, host: a, fixed_ips: [10.1.0.2] }]
`;
  // Before them: INVALID, ESTABLISHED, provider, and for IPv4 the DHCP server; after them the fallback.
  return chain(rulesetOf(text, 'a', family), 'nova-compute-inst-1').slice(family === 4 ? 4 : 3, -1);
};

test.each([
  ['{}', ['-j ACCEPT']],
  ['{ cidr: 192.0.2.9/24 }', ['-s 192.0.2.0/24 -j ACCEPT']],
  ['{ protocol: tcp, from_port: 22, to_port: 22 }', ['-p tcp -m tcp --dport 22 -j ACCEPT']],
  ['{ protocol: UDP, from_port: 22, to_port: 23 }', ['-p udp -m multiport --dports 22:23 -j ACCEPT']],
  ['{ protocol: tcp, group: default }', ['-s 10.1.0.2/32 -p tcp -m multiport --dports 1:65535 -j ACCEPT']],
  ['{ protocol: icmp }', ['-p icmp -j ACCEPT']],
  ['{ protocol: icmp, from_port: -1, to_port: 3 }', ['-p icmp -j ACCEPT']],
  ['{ protocol: icmp, from_port: 0, to_port: 0 }', ['-p icmp -m icmp --icmp-type 0/0 -j ACCEPT']],
  ['{ protocol: ICMP, from_port: 8, to_port: -1 }', ['-p icmp -m icmp --icmp-type 8 -j ACCEPT']],
  ['{ group: none }', []],
  ['{ cidr: "::/0" }', []],
  [
    '{ protocol: icmp }, { protocol: tcp, from_port: 1, to_port: 1 }, { protocol: icmp }',
    ['-p tcp -m tcp --dport 1 -j ACCEPT', '-p icmp -j ACCEPT'],
  ],
])('the group rule %s becomes %j', (rule, expected) => {
  expect(groupRules(rule)).toEqual(expected);
});

test.each([
  ['{ cidr: "::/0" }', ['-j ACCEPT']],
  [
    '{ protocol: icmp, from_port: 128, to_port: 0, cidr: "2001:db8::/32" }',
    ['-s 2001:db8::/32 -p ipv6-icmp -j ACCEPT'],
  ],
  [
    '{ protocol: tcp, from_port: 22, to_port: 22, cidr: "2001:db8::1/128" }',
    ['-s 2001:db8::1/128 -p tcp -m tcp --dport 22 -j ACCEPT'],
  ],
  ['{ group: default }', []],
  ['{}', []],
])('the IPv6 group rule %s becomes %j', (rule, expected) => {
  expect(groupRules(rule, 6)).toEqual(expected);
});

const managed = (manager: string, release = 'folsom'): string =>
  oneHost('nova-network, nova-compute').replace('/24 }]', `/24, manager: ${manager} }]`) + `release: ${release}\n`;

test('in Flat mode there is nova-compute’s chain and nothing else: no DHCP, no translation, no bridge', () => {
  const text = rulesetOf(managed('FlatManager'), 'a');
  expect(text).not.toContain('nova-network');
  expect(chain(text, 'nova-compute-FORWARD')).toEqual([]);
  expect(chain(text, 'nova-compute-inst-1')).toEqual([
    '-m state --state INVALID -j DROP',
    '-m state --state RELATED,ESTABLISHED -j ACCEPT',
    '-j nova-compute-provider',
    '-s 10.1.0.0/24 -j ACCEPT',
    '-j nova-compute-sg-fallback',
  ]);
});

test('in VLAN mode each project’s network has a bridge of its own, and a way to its VPN instance', () => {
  const text = rulesetOf(
    managed('VlanManager').replace(
      'manager: VlanManager }',
      'manager: VlanManager }, { label: m, cidr: 10.1.1.0/24, manager: VlanManager }',
    ),
    'a',
  );
  expect(chain(text, 'nova-network-FORWARD')).toEqual([
    '-i br100 -j ACCEPT',
    '-o br100 -j ACCEPT',
    '-d 10.1.0.2/32 -p udp -m udp --dport 1194 -j ACCEPT',
    '-i br101 -j ACCEPT',
    '-o br101 -j ACCEPT',
    '-d 10.1.1.2/32 -p udp -m udp --dport 1194 -j ACCEPT',
  ]);
  const dnat = '-d 192.0.2.1/32 -p udp -m udp --dport 1001 -j DNAT --to-destination 10.1.1.2:1194';
  expect(chain(text, 'nova-network-PREROUTING')).toContain(dnat);
  expect(chain(text, 'nova-network-OUTPUT')).toContain(dnat);
});

test('nova’s own manager drives Quantum’s networks until Folsom, and then nothing of nova-network runs', () => {
  const before = rulesetOf(managed('QuantumManager', 'folsom-2'), 'a');
  expect(chain(before, 'nova-network-INPUT')).toHaveLength(4);
  const after = rulesetOf(managed('QuantumManager'), 'a');
  expect(after).not.toContain('nova-network');
  expect(chain(after, 'nova-compute-inst-1')).toContain('-s 10.1.0.1/32 -p udp -m udp --sport 67 --dport 68 -j ACCEPT');
});

test('an instance of Essex on a network without a DHCP server costs the host its filter table', () => {
  const { deployment, warnings } = readDeployment(managed('FlatManager', 'essex'), 'd.yaml');
  expect(warnings.map(({ message }) => message).join()).toContain('-s None');
  expect(rulesetTextFor(deployment, deployment.hosts[0] ?? raise(), 4)).not.toContain('nova-compute');
});

const raise = (): never => {
  throw new Error('there is a host');
};

test('from Folsom on counters of others survive an apply', () => {
  const rules = `    rules: |
      *filter
      :INPUT DROP [7:70]
      [5:50] -A INPUT -i lo -j ACCEPT
      COMMIT
`;
  expect(rulesetOf(`${oneHost('nova-network', rules)}release: folsom\n`, 'a')).toContain(':INPUT DROP [7:70]');
  expect(rulesetOf(`${oneHost('nova-network', rules)}release: essex\n`, 'a')).toContain(':INPUT DROP [0:0]');
});

test('an operator’s lines go to the top and to the bottom where their patterns say so', () => {
  const rules = `    rules: |
      *filter
      -A INPUT -i lo -j ACCEPT
      -A INPUT -i eth9 -j ACCEPT
      COMMIT
`;
  const flags = 'flags: { iptables_top_regex: ".*-i eth9", iptables_bottom_regex: ".*-i lo" }\nrelease: grizzly\n';
  const text = rulesetOf(`${oneHost('nova-network', rules)}${flags}`, 'a');
  expect(chain(text, 'INPUT')).toEqual(['-i eth9 -j ACCEPT', '-j nova-network-INPUT', '-i lo -j ACCEPT']);
  const unread = flags.replace('.*-i eth9', '(a+)+$');
  expect(() => rulesetOf(`${oneHost('nova-network', rules)}${unread}`, 'a')).toThrow(UnsupportedError);
});
