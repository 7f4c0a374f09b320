/** What the groups of the second cloud admit, as nova translates their rules. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { Family } from '../../address/address.ts';
import type { Deployment, Release, SecurityGroupRule } from '../../deployment/deployment.ts';
import { readDeployment } from '../../deployment/read.ts';
import { sameSet } from '../../packet/pattern.ts';
import { parseSet, printSet } from '../../packet/set-notation.ts';
import { accepted, admitted, admittedBy } from './admission.ts';

const text = readFileSync(new URL('../../../scenarios/second-cloud/deployment.yaml', import.meta.url), 'utf8');
const { deployment } = readDeployment(text, 'deployment.yaml');

const instance = (name: string) => {
  const found = deployment.instances.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`there is no instance ${name}`);
  return found;
};

const SETS: readonly (readonly [name: string, family: Family, set: string])[] = [
  ['web1', 4, 'tcp any > 0.0.0.0/0:80 | tcp any > 0.0.0.0/0:443 | icmp 203.0.113.0/24 > any type 8 code 0'],
  ['web1', 6, 'tcp any > [::/0]:80 | icmpv6 2001:db8::/32 > any'],
  [
    'db1',
    4,
    'tcp 10.20.1.2,10.20.1.3,10.20.2.3,10.20.1.5 > any:5432 | icmp 10.20.1.2,10.20.1.3,10.20.2.3,10.20.1.5 > any | udp 10.20.2.0/24 > any:1000-2000',
  ],
  ['db1', 6, 'none'],
  ['lab1', 4, 'any 198.51.100.0/24 > any | any 10.20.2.2,10.20.2.3,10.20.1.5 > any | icmp any > any type 3'],
  ['lab1', 6, 'udp 2001:db8:99::/48 > any:53'],
];

test.each(SETS)('the groups of %s admit of IPv%i: %s', (name, family, set) => {
  const found = admitted(deployment, instance(name), family);
  expect(sameSet(found, parseSet(set)), printSet(found)).toBe(true);
});

test('a chain accepts the DHCP server and, where nova is told so, the subnet', () => {
  const web1 = instance('web1');
  const server = 'udp 10.20.1.1:67 > any:68';
  const groups = 'tcp any > 0.0.0.0/0:80 | tcp any > 0.0.0.0/0:443 | icmp 203.0.113.0/24 > any type 8 code 0';
  expect(sameSet(accepted(deployment, web1, 4), parseSet(`${server} | ${groups}`))).toBe(true);
  const { deployment: friendly } = readDeployment(
    text.replace('allow_same_net_traffic: false', 'allow_same_net_traffic: true'),
    'deployment.yaml',
  );
  const set = `any 10.20.1.0/24 > any | ${groups}`;
  expect(sameSet(accepted(friendly, web1, 4), parseSet(set))).toBe(true);
});

const of = (release: Release): Deployment => ({ ...deployment, release });
const any = { address: 0, length: 0 };
const RULES: readonly (readonly [rule: SecurityGroupRule, release: Release, family: Family, set: string])[] = [
  [{ protocol: 'TCP', fromPort: 22, toPort: 22, cidr: any }, 'folsom-2', 4, 'tcp any > 0.0.0.0/0:22'],
  [{ protocol: 'TCP', fromPort: 22, toPort: 22, cidr: any }, 'essex', 4, 'tcp 0.0.0.0/0 > 0.0.0.0/0'],
  [{ protocol: 'ICMP', fromPort: 8, toPort: 0, cidr: any }, 'essex', 4, 'icmp any > any'],
  [{ protocol: 'icmp', fromPort: -1, toPort: 5, cidr: any }, 'folsom-2', 4, 'icmp any > any'],
  [{ protocol: 'icmp', fromPort: 0, toPort: -1, cidr: any }, 'folsom-2', 4, 'icmp any > any type 0'],
  [{ protocol: 'udp', fromPort: 1, toPort: 65535, cidr: any }, 'folsom-2', 4, 'udp any > 0.0.0.0/0:1-65535'],
  [{ protocol: 'udp', fromPort: 1, toPort: 65535, cidr: any }, 'folsom-2', 6, 'none'],
  [{ group: 'nobody' }, 'folsom-2', 4, 'none'],
  [{ group: 'web' }, 'folsom-2', 6, 'none'],
];

test.each(RULES)('the rule %j admits in %s of IPv%i: %s', (rule, release, family, set) => {
  const found = admittedBy(of(release), rule, family);
  expect(sameSet(found, parseSet(set)), printSet(found)).toBe(true);
});
