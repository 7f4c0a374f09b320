/** What each release writes for the article's cloud and not folsom-2, and the other way round: differences.txt, as nova-network's source has it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { readDeployment } from '../../src/deployment/read.ts';
import { RELEASES } from '../../src/deployment/release.ts';
import { readSource } from '../../src/diagnostic/yaml.ts';
import { rulesetTextFor } from '../../src/nova/ruleset.ts';
import { ROOT, read } from '../scenario.ts';

const FILE = 'releases/differences.txt';

/** The article's deployment, in one of its variants: each shows what another part of a release does. */
const VARIANTS: readonly (readonly [name: string, change: (text: string) => string])[] = [
  ['the article’s cloud', (text) => text],
  ['with dmz_cidr left to the release', (text) => text.replace(/^ {2}dmz_cidr.*\n/m, '')],
  ['with metadata_host 127.0.0.1', (text) => text.replace('metadata_host: 192.168.1.90', 'metadata_host: 127.0.0.1')],
  ['with multi_host', (text) => text.replace('    host: host1 # who', '    multi_host: true # who')],
  [
    'with a rule for TCP',
    (text) =>
      text.replace('{ protocol: icmp, from_port: -1, to_port: -1', '{ protocol: TCP, from_port: 22, to_port: 22'),
  ],
  [
    'with VlanManager',
    (text) => text.replace('manager: FlatDHCPManager', 'manager: VlanManager').replace('    bridge: br100\n', ''),
  ],
  [
    'with QuantumManager',
    (text) =>
      text
        .replace('manager: FlatDHCPManager', 'manager: QuantumManager')
        .replace(/^ {2}- \{ address: 192.168.1.233.*\n/m, '  []\n'),
  ],
  [
    'with force_snat_range',
    (text) => text.replace('  fixed_range', '  force_snat_range: [198.51.100.0/24]\n  fixed_range'),
  ],
  [
    'with force_snat_range and a gateway elsewhere',
    (text) =>
      text
        .replace('  fixed_range', '  force_snat_range: [198.51.100.0/24]\n  fixed_range')
        .replace('    bridge: br100', '    gateway: 10.10.10.254\n    dhcp_server: 10.10.10.1\n    bridge: br100'),
  ],
  [
    'with forward_bridge_interface wlan0',
    (text) => text.replace('  fixed_range', '  forward_bridge_interface: [wlan0]\n  fixed_range'),
  ],
  [
    'with iptables_drop_action REJECT and no gateway',
    (text) =>
      text
        .replace('  fixed_range', '  iptables_drop_action: REJECT\n  fixed_range')
        .replace('    bridge: br100', '    gateway: null\n    dhcp_server: 10.10.10.1\n    bridge: br100'),
  ],
  [
    'with multi_host and share_dhcp_address',
    (text) =>
      text
        .replace('  fixed_range', '  share_dhcp_address: true\n  fixed_range')
        .replace('    host: host1 # who', '    multi_host: true # who'),
  ],
];

const article = read('article/cloud/deployment.yaml');

/** `nat -A CHAIN ...` and `nat :CHAIN`, in the order of the ruleset. */
const known = new Map<string, string[]>();

function linesOf(text: string, release: string): string[] {
  const key = `${release} ${text}`;
  const lines = known.get(key) ?? readLines(text, release);
  known.set(key, lines);
  return lines;
}

function readLines(text: string, release: string): string[] {
  const { deployment } = readDeployment(text.replace(/^release: \S+/m, `release: ${release}`), 'article');
  const [host] = deployment.hosts;
  if (host === undefined) throw new Error('the article has a host');
  let table = '';
  return rulesetTextFor(deployment, host, 4)
    .split('\n')
    .flatMap((line) => {
      if (line.startsWith('*')) table = line.slice(1);
      return /^[:-]/.test(line) ? [`${table} ${line.replace(/ \[0:0\]$/, '')}`] : [];
    });
}

function difference(text: string, release: string): string[] {
  const [before, after] = [linesOf(text, 'folsom-2'), linesOf(text, release)];
  return [
    ...before.filter((line) => !after.includes(line)).map((line) => `  - ${line}`),
    ...after.filter((line) => !before.includes(line)).map((line) => `  + ${line}`),
  ];
}

test('for every release the article’s cloud differs from folsom-2’s as it is known to', () => {
  const lines = RELEASES.filter((release) => release !== 'folsom-2').flatMap((release) => [
    release,
    ...VARIANTS.flatMap(([name, change]) => {
      const text = change(article);
      if (name !== 'the article’s cloud') expect(text, name).not.toBe(article);
      const own = difference(text, release);
      const plain = difference(article, release);
      const more = name === 'the article’s cloud' ? own : own.filter((line) => !plain.includes(line));
      return more.length === 0 ? [] : [`  ${name}`, ...more.map((line) => `  ${line}`)];
    }),
    '',
  ]);
  const text = `# What a release writes (+) that folsom-2 does not, and the other way round (-). Of a variant: what the plain cloud has not.\n\n${lines.join('\n')}`;
  if (process.env['UPDATE'] === '1') writeFileSync(join(ROOT, FILE), text);
  expect(read(FILE)).toBe(text);
});

/** rows.yaml, which people write from nova's source: what the plain cloud has, and in which releases. */
const WRITERS = new Map(
  readSource(
    read('releases/rows.yaml'),
    'rows.yaml',
    z.array(
      z.object({
        cloud: z.unknown().optional(),
        family: z.unknown().optional(),
        releases: z.unknown().optional(),
        has: z.record(z.string(), z.union([z.literal('all'), z.array(z.string())])),
      }),
    ),
  )
    .value.filter(
      ({ cloud, family, releases }) => cloud === undefined && family === undefined && releases === undefined,
    )
    .flatMap(({ has }) => Object.entries(has))
    .map(([line, writers]) => [line.replace(/ \[0:0\]$/, ''), writers === 'all' ? [...RELEASES] : writers]),
);

test.each(RELEASES)('each difference of %s is one that rows.yaml says, and it says no other', (release) => {
  const [before, after] = [linesOf(article, 'folsom-2'), linesOf(article, release)];
  const said = [...WRITERS];
  expect(after.filter((line) => !before.includes(line)).sort()).toEqual(
    said.flatMap(([line, by]) => (by.includes(release) && !by.includes('folsom-2') ? [line] : [])).sort(),
  );
  expect(before.filter((line) => !after.includes(line)).sort()).toEqual(
    said.flatMap(([line, by]) => (!by.includes(release) && by.includes('folsom-2') ? [line] : [])).sort(),
  );
});
