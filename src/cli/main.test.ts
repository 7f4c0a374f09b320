/** The command line as a stranger meets it: usage, bad input, exit codes. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { invariantsSchema } from '../report/check-schema.ts';
import { nfverdict } from './main.ts';
import { memoryIo } from './memory-io.ts';

const scenario = (file: string): string => readFileSync(new URL(`../../scenarios/${file}`, import.meta.url), 'utf8');

const ARTICLE = scenario('article/cloud/deployment.yaml');
const RULES = scenario('article/cloud/host1.rules');

async function run(words: readonly string[], files: Readonly<Record<string, string | Uint8Array>> = {}) {
  const io = memoryIo({ 'd.yaml': ARTICLE, 'host1.rules': RULES, ...files });
  const code = await nfverdict(words, io);
  return { code, ...io.written };
}

const lineOf = (text: string, part: string): number => text.split('\n').findIndex((line) => line.includes(part)) + 1;

const MEGABYTES = 4_000_000;

/** Each bad ruleset of a stranger, and where and what the error says. */
const BAD_RULESETS: Readonly<Record<string, readonly [text: string | Uint8Array, message: string]>> = {
  'a truncated file': [
    RULES.slice(0, RULES.indexOf('REROUTING -d 169.254.169.254')),
    `bad:${lineOf(RULES, 'REROUTING -d 169.254.169.254')}:`,
  ],
  'a binary file': [Uint8Array.from([0x2a, 0x0a, 0x7f, 0x45, 0xff, 0xfe]), 'bad:2:3: this is no UTF-8 text'],
  'text with NUL': ['*filter\n:INPUT\u0000 ACCEPT\nCOMMIT\n', 'bad:2:'],
  'an unknown option': [RULES.replace('--dport 80 ', '--frobnicate 3 '), `bad:${lineOf(RULES, '--dport 80 ')}:`],
  'a jump loop': [
    '*filter\n:INPUT ACCEPT [0:0]\n:a - [0:0]\n:b - [0:0]\n-A INPUT -j a\n-A a -j b\n-A b -j a\nCOMMIT\n',
    'bad:7:9: this jump closes a loop that INPUT reaches: a -> b -> a\n',
  ],
  'a very long line': [
    `*filter\n-A INPUT ${'-s 1.2.3.4 '.repeat(MEGABYTES / 11)}\nCOMMIT\n`,
    'bad:2:1: this line has ',
  ],
};

const BAD_DEPLOYMENTS: Readonly<Record<string, readonly [text: string, message: string]>> = {
  'a floating IP on an unknown instance': [
    ARTICLE.replace('fixed_ip: 10.10.10.2', 'fixed_ip: 10.10.10.9'),
    `bad:${lineOf(ARTICLE, 'fixed_ip: 10.10.10.2')}:41: floating_ips[0].fixed_ip: 10.10.10.9 is no instance's address\n`,
  ],
  'overlapping networks': [
    ARTICLE.replace(
      'security_groups:',
      '  - { label: other, manager: FlatDHCPManager, cidr: 10.10.10.128/25, bridge: br200, host: host1 }\nsecurity_groups:',
    ),
    `bad:${lineOf(ARTICLE, 'security_groups:')}:53: networks[1].cidr: 10.10.10.128/25 overlaps 10.10.10.0/24 of mynet on host1\n`,
  ],
  'an address twice': [
    ARTICLE.replace('fixed_ips: [10.10.10.2]', 'fixed_ips: [10.10.10.2, 10.10.10.2]'),
    `bad:${lineOf(ARTICLE, 'fixed_ips:')}:`,
  ],
  'a file that is no YAML': ['hosts: [', 'bad:'],
  'a very long line': [`release: ${'x'.repeat(MEGABYTES)}\n`, 'bad:1:'],
};

const expectClearError = (ended: { code: number; stdout: string; stderr: string }, message: string): void => {
  expect([ended.code, ended.stdout]).toEqual([2, '']);
  expect(ended.stderr.startsWith(message), ended.stderr.slice(0, 300)).toBe(true);
  expect(ended.stderr).toMatch(/^bad:\d+:\d+: .{10,}/);
  expect(ended.stderr).not.toMatch(/\n\s+at |node_modules|\.js:/);
  expect(ended.stderr.length).toBeLessThan(2000);
};

test.each(Object.entries(BAD_RULESETS))(
  '%s is a clear error of every command that reads rulesets',
  async (_name, [text, message]) => {
    const files = { bad: text };
    expectClearError(await run(['format', 'bad'], files), message);
    expectClearError(await run(['check', 'bad', '-d', 'd.yaml'], files), message);
    expectClearError(await run(['trace', 'bad', 'icmp 10.10.10.2 > 8.8.8.8 in vnet0', '-d', 'd.yaml'], files), message);
  },
);

test.each(Object.entries(BAD_DEPLOYMENTS))(
  '%s is a clear error of every command that reads deployments',
  async (_name, [text, message]) => {
    const files = { bad: text };
    expectClearError(await run(['generate', 'bad'], files), message);
    expectClearError(await run(['check', '-d', 'bad'], files), message);
    expectClearError(await run(['trace', 'icmp 10.10.10.2 > 8.8.8.8 in vnet0', '-d', 'bad'], files), message);
  },
);

test('standard input is called so', async () => {
  expect(await run(['format', '-'], { '-': '*filter\n-A NOWHERE -j DROP\nCOMMIT\n' })).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^stdin:2:4: /) as string,
  });
  expect((await run(['generate', '-'], { '-': ARTICLE })).code).toBe(0);
});

test('format prints what iptables-save would', async () => {
  const { code, stdout } = await run(['format', 'x'], {
    x: '*filter\n:INPUT ACCEPT\n-I INPUT -j ACCEPT -s 10.1.2.3/8 --protocol tcp --dport 22:\nCOMMIT',
  });
  expect(code).toBe(0);
  expect(stdout).toBe(
    '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22:65535 -j ACCEPT\nCOMMIT\n',
  );
});

test.each([
  [[], /^Usage: nfverdict /],
  [['chekc'], /^error: unknown command 'chekc'\n\(Did you mean check\?\)/],
  [['check', '-d', 'd.yaml', '--frob'], /^error: unknown option '--frob'/],
  [['check'], /^error: required option '-d, --deployment <file>' not specified\n/],
  [['check', '-d', 'd.yaml', '--backend', 'ebtables'], /Allowed choices are legacy, nft/],
  [['generate'], /^error: missing required argument 'deployment'\n/],
])('bad usage %j: a sentence, exit code 2', async (words, message) => {
  const { code, stdout, stderr } = await run(words);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(message);
});

test('help and version are results', async () => {
  for (const words of [['--help'], ['help', 'trace'], ['check', '--help'], ['--version']]) {
    const { code, stdout, stderr } = await run(words);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout.length).toBeGreaterThan(4);
  }
});

test('the laws are listed, and one is explained', async () => {
  const { stdout } = await run(['invariants']);
  expect(stdout).toContain('metadata/reaches-api ');
  expect(stdout.split('\n').filter((line) => line.length > 100)).toEqual([]);
  const one = await run(['invariants', 'metadata/reaches-api']);
  expect(one.code).toBe(0);
  expect(one.stdout).toContain('  broken by  ');
  const { stdout: json } = await run(['invariants', '--format', 'json']);
  expect(invariantsSchema.parse(JSON.parse(json)).invariants.length).toBeGreaterThan(20);
  expect(await run(['invariants', 'metadata/reach-api'])).toMatchObject({
    code: 2,
    stderr: 'no law is called metadata/reach-api: did you mean metadata/reaches-api?\n',
  });
});
