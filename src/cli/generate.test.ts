import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { runGenerate, type GenerateOptions } from './generate.ts';
import { FileError, type Io } from './io.ts';

const cloud = new URL('../../scenarios/article/cloud/', import.meta.url);
const ARTICLE = readFileSync(new URL('deployment.yaml', cloud), 'utf8');
const TWO_HOSTS = ARTICLE.replace(
  'networks:',
  '  - { name: host2, interfaces: [{ name: eth0, addresses: [192.0.2.1/24] }] }\nnetworks:',
);

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly files: ReadonlyMap<string, string>;
}

function generate(text: string, options: Omit<GenerateOptions, 'deployment'> = {}): Ended {
  const files = new Map<string, string>();
  let stdout = '';
  let stderr = '';
  const io: Io = {
    stdout: (written) => (stdout += written),
    stderr: (written) => (stderr += written),
    readFile: (path) => {
      if (path !== 'd.yaml') throw new FileError(`cannot read ${path}`);
      return text;
    },
    writeFile: (path, written) => files.set(path, written),
    env: {},
    isTTY: false,
    stderrIsTTY: false,
  };
  const code = runGenerate({ deployment: 'd.yaml', ...options }, io);
  return { code, stdout, stderr, files };
}

test('stdout is one ruleset, and nothing else', () => {
  const { code, stdout, stderr } = generate(ARTICLE);
  expect(code).toBe(0);
  expect(stderr).toBe('');
  expect(stdout).toMatch(/^\*nat\n[^]*\nCOMMIT\n$/);
  expect(stdout).toContain('-A nova-network-snat -s 10.0.0.0/8 -j SNAT --to-source 192.168.1.90\n');
});

test('with --output every host has a file for each family', () => {
  const { code, stdout, files } = generate(TWO_HOSTS, { output: 'out' });
  expect(code).toBe(0);
  expect(stdout).toBe('');
  expect([...files.keys()]).toEqual(['out/host1.rules', 'out/host1.v6.rules', 'out/host2.rules', 'out/host2.v6.rules']);
  expect(files.get('out/host2.rules')).toBe(
    '*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n',
  );
});

test('--service shows what one service writes', () => {
  const { stdout } = generate(ARTICLE, { service: 'nova-api' });
  expect(stdout).toContain('-A nova-api-INPUT ');
  expect(stdout).not.toContain('nova-compute');
});

test('several hosts need a choice, and a wrong one is told', () => {
  expect(generate(TWO_HOSTS)).toMatchObject({ code: 2, stderr: '--host is missing: d.yaml has host1, host2\n' });
  expect(generate(TWO_HOSTS, { host: 'hots1' })).toMatchObject({
    code: 2,
    stderr: 'there is no host `hots1` in the deployment: did you mean host1?\n',
  });
  expect(generate(ARTICLE, { service: 'nova-volume' }).stderr).toContain('there is no service `nova-volume`');
});

test('a deployment that is wrong ends with its errors and code 2', () => {
  const { code, stdout, stderr } = generate(ARTICLE.replace('fixed_ip: 10.10.10.2', 'fixed_ip: 10.9.9.9'));
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toBe("d.yaml:38:41: floating_ips[0].fixed_ip: 10.9.9.9 is no instance's address\n");
});

test('what the reference does not read is said, and nothing is written', () => {
  const text = ARTICLE.replace('release: folsom-2', 'release: grizzly').replace(
    'flags:',
    "flags:\n  iptables_top_regex: '(a+)+'",
  );
  const { code, files, stderr } = generate(text, { output: 'out' });
  expect(code).toBe(2);
  expect(files.size).toBe(0);
  expect(stderr).toContain('( is not read: text, .* and');
});

test('a warning does not stop it', () => {
  const { code, stderr } = generate(ARTICLE.replace('flags:', 'flags:\n  share_dhcp_address: true'));
  expect(code).toBe(0);
  expect(stderr).toBe('warning: d.yaml:5:23: flags.share_dhcp_address: nova of folsom-2 has no such flag\n');
});
