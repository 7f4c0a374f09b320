/** `trace --kernel`: the same packets asked of Linux. Skipped where there is none. */
import { readFileSync } from 'node:fs';
import { afterEach, expect, test, vi } from 'vitest';
import { Kernel } from '../kernel/client.ts';
import { availableKernel } from '../kernel/probe.ts';
import { traceSchema } from '../report/trace-schema.ts';
import { nfverdict } from './main.ts';
import { memoryIo } from './memory-io.ts';

const scenario = (file: string): string => readFileSync(new URL(`../../scenarios/${file}`, import.meta.url), 'utf8');

const FILES = {
  'd.yaml': scenario('article/cloud/deployment.yaml'),
  'host1.rules': scenario('article/cloud/host1.rules'),
};
const HOSTS = ['api1', 'net1', 'compute1', 'compute2'];
const SEVERAL: Readonly<Record<string, string>> = {
  'd.yaml': scenario('article/several-hosts/deployment.yaml'),
  ...Object.fromEntries(HOSTS.map((host) => [`${host}.rules`, scenario(`article/several-hosts/${host}.rules`)])),
};

async function run(words: readonly string[], files: Readonly<Record<string, string>> = {}) {
  const io = memoryIo({ ...FILES, ...files });
  const code = await nfverdict(['trace', '-d', 'd.yaml', '--kernel', ...words], io);
  return { code, ...io.written };
}

const { backends } = availableKernel();
const [backend = 'nft'] = backends;
const onLinux = test.skipIf(backends.length === 0);
const WITH = ['--backend', backend];

const METADATA = 'tcp 10.10.10.2:40000 > 169.254.169.254:80 in vnet0';
const packetsOf = (stdout: string) => traceSchema.parse(JSON.parse(stdout)).packets;

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

onLinux('both traces side by side, of the packet and of its reply, and one word', async () => {
  const { code, stdout, stderr } = await run([...WITH, 'host1.rules', METADATA]);
  expect([code, stderr]).toEqual([0, '']);
  const lines = stdout.split('\n');
  expect(lines).toContain('  = nat nova-network-PREROUTING rule 1  DNAT  host1.rules:38');
  expect(lines).toContain('  = delivered tcp 10.10.10.2:40000 > 192.168.1.90:8775  NEW');
  expect(lines.filter((line) => /^ {2,4}Linux \S+, iptables .*: agrees$/.test(line))).toHaveLength(2);
  expect(lines.filter((line) => /^ *[-+] /.test(line))).toEqual([]);
  expect(lines.at(-2)).toMatch(/^1 packet: 1 delivered; Linux \S+: 2 agree$/);
});

onLinux('the same as data: what Linux did, in the form of the model’s own', async () => {
  const { stdout } = await run([...WITH, 'host1.rules', METADATA, '--format', 'json']);
  const [packet] = packetsOf(stdout);
  expect(packet?.kernel).toMatchObject({ word: 'agrees', state: 'NEW', fate: packet?.fate });
  expect(packet?.kernel?.iptables).toMatch(/^iptables v/);
  const places = (steps: readonly { chain: string; rule: unknown; line?: number | undefined }[] = []) =>
    steps.map(({ chain, rule, line }) => [chain, rule, line]);
  expect(places(packet?.kernel?.steps)).toEqual(places(packet?.steps));
  expect(packet?.reply?.kernel).toMatchObject({ word: 'agrees', fate: packet?.reply?.fate });
});

onLinux('a packet is followed on Linux from host to host, and its reply back', async () => {
  const rulesets = HOSTS.map((host) => `${host}=${host}.rules`);
  const packet = 'tcp 10.10.10.2:40000 > 169.254.169.254:80 in compute1:vnet0';
  const { code, stdout } = await run([...WITH, ...rulesets, packet, '--format', 'json'], SEVERAL);
  expect(code).toBe(0);
  const [traced] = packetsOf(stdout);
  expect(traced?.kernel?.hops?.map(({ host }) => host)).toEqual(['compute1', 'net1', 'api1']);
  expect(traced?.reply?.kernel?.hops?.map(({ host }) => host)).toEqual(['api1', 'net1', 'compute1']);
  expect(traced?.kernel?.fate).toMatchObject({
    kind: 'delivered',
    packet: expect.stringContaining(':8775') as unknown,
  });
  expect([traced?.kernel?.word, traced?.reply?.kernel?.word]).toEqual(['agrees', 'agrees']);
});

onLinux('what Linux cannot be asked is said of each packet, with the reason, and makes exit code 3', async () => {
  const packets = [
    METADATA.replace('vnet0', 'br100'),
    `${METADATA} mark 0x1`,
    'gre 10.10.10.2 > 169.254.169.254 in vnet0 state INVALID',
    `${METADATA} state INVALID`,
  ];
  const words = packets.flatMap((packet) => [packet, 'flush']);
  const { code, stdout } = await run([...WITH, 'host1.rules', ...words, METADATA, '--format', 'json']);
  expect(code).toBe(3);
  expect(packetsOf(stdout).map(({ kernel }) => [kernel?.word, kernel?.because?.slice(0, 30)])).toEqual([
    ['not-asked', 'it enters by the bridge br100 '],
    ['not-asked', 'no wire carries a mark'],
    ['not-asked', 'nothing makes Linux see this p'],
    ['agrees', undefined],
    ['agrees', undefined],
  ]);
});

onLinux('what the model does not know Linux does, and there is nothing to compare', async () => {
  const unknown = `*filter\n:INPUT DROP [0:0]\n-A INPUT -m statistic --mode nth --every 1 --packet 0 -j ACCEPT\nCOMMIT\n`;
  const { code, stdout } = await run([...WITH, 'r', 'udp 10.10.10.2:5 > 10.10.10.1:53 in vnet0'], { r: unknown });
  expect(code).toBe(3);
  expect(stdout).toMatch(/Linux \S+, iptables .*: undecided: /);
  expect(stdout).toContain('\n  + delivered udp 10.10.10.2:5 > 10.10.10.1:53');
});

onLinux('where Linux does otherwise both sides are shown, and the exit code is 1', async () => {
  // A Linux that takes ACCEPT for DROP stands in for a model that is wrong.
  const runCase = Object.getOwnPropertyDescriptor(Kernel.prototype, 'runCase')?.value as Kernel['runCase'];
  vi.spyOn(Kernel.prototype, 'runCase').mockImplementation(function (this: Kernel, world, hosts, steps, keep) {
    const wrong = Object.entries(hosts).map(([name, { text4 = '' }]) => [
      name,
      { text4: text4.replace(/^\*filter$.*?^COMMIT$/ms, (filter) => filter.replaceAll('-j ACCEPT', '-j DROP')) },
    ]);
    return runCase.call(this, world, Object.fromEntries(wrong), steps, keep);
  });
  const { code, stdout } = await run([...WITH, 'host1.rules', METADATA]);
  expect(code).toBe(1);
  expect(stdout).toContain('\n  - delivered tcp 10.10.10.2:40000 > 192.168.1.90:8775');
  expect(stdout).toMatch(/\n {2}\+ dropped {2}NEW/);
  expect(stdout).toMatch(/Linux \S+, iptables .*: differs\n {4}in deliveries on host1:\n {6}- delivered: tcp /);
  expect(stdout.trimEnd()).toMatch(/1 packet: 1 delivered; Linux \S+: 2 differ$/);
});

test('where there is no kernel to ask one line says why, and the exit code is 2', async () => {
  vi.stubEnv('PATH', '/nowhere');
  const { code, stdout, stderr } = await run(['host1.rules', METADATA]);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(/^kernel judge: none \(.*\n$/);
  expect(stderr.split('\n')).toHaveLength(2);
});
