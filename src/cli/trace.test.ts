import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
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
  const code = await nfverdict(['trace', ...words], io);
  return { code, ...io.written };
}

const METADATA = 'tcp 10.10.10.2:40000 > 169.254.169.254:80 in vnet0';
const ON = ['-d', 'd.yaml'];
const JSON_FORMAT = ['--format', 'json'];

const packetsOf = (stdout: string) => traceSchema.parse(JSON.parse(stdout)).packets;

test('the way to the metadata service, and the reply from 169.254.169.254:80', async () => {
  const { code, stdout, stderr } = await run(['host1.rules', METADATA, ...ON]);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toBe(`host1: tcp 10.10.10.2:40000 > 169.254.169.254:80 in vnet0
  PREROUTING  in br100 (port vnet0)
    nat PREROUTING rule 1               nova-compute-PREROUTING  host1.rules:22
    nat PREROUTING rule 2               nova-network-PREROUTING  host1.rules:23
    nat nova-network-PREROUTING rule 1  DNAT  host1.rules:38
      now tcp 10.10.10.2:40000 > 192.168.1.90:8775
  INPUT  in br100 (port vnet0)
    filter INPUT rule 1                 nova-compute-INPUT  host1.rules:67
    filter INPUT rule 2                 nova-network-INPUT  host1.rules:68
    filter INPUT rule 3                 nova-api-INPUT  host1.rules:69
    filter nova-api-INPUT rule 1        ACCEPT  host1.rules:78
    nat INPUT policy                    ACCEPT
  delivered tcp 10.10.10.2:40000 > 192.168.1.90:8775  NEW
  the reply to it: tcp 192.168.1.90:8775 > 10.10.10.2:40000 flags SA seq 5000 ack 1001
    OUTPUT  out br100
      filter OUTPUT rule 1               nova-filter-top  host1.rules:74
      filter nova-filter-top rule 1      nova-compute-local  host1.rules:90
      filter nova-compute-local rule 1   nova-compute-inst-1  host1.rules:88
      filter nova-compute-inst-1 rule 2  ACCEPT  host1.rules:82
    forwarded br100 vnet0 tcp 169.254.169.254:80 > 10.10.10.2:40000 flags SA seq 5000 ack 1001  ESTABLISHED

1 packet: 1 delivered
`);
});

test('the same as data', async () => {
  const { stdout } = await run(['-', METADATA, ...ON, ...JSON_FORMAT], { '-': FILES['host1.rules'] });
  const [packet] = packetsOf(stdout);
  expect(packet).toMatchObject({
    packet: METADATA,
    fate: { kind: 'delivered', packet: 'tcp 10.10.10.2:40000 > 192.168.1.90:8775' },
    state: 'NEW',
    reply: {
      fate: { kind: 'forwarded', oif: 'br100', port: 'vnet0' },
      state: 'ESTABLISHED',
    },
  });
  expect(packet?.steps.find(({ target }) => target === 'DNAT')).toMatchObject({
    hook: 'PREROUTING',
    table: 'nat',
    chain: 'nova-network-PREROUTING',
    rule: 1,
    line: 38,
    iif: 'br100',
  });
  expect(packet?.reply?.fate.packet).toMatch(/^tcp 169\.254\.169\.254:80 > 10\.10\.10\.2:40000 /);
  expect(JSON.parse(stdout)).toMatchObject({ host: 'host1', inputs: [{ path: 'd.yaml' }, { path: 'stdin' }] });
});

const CONVERSATION = `# a visitor
icmp 203.0.113.7 > 192.168.1.233 in wlan0
> forwarded br100 vnet0 icmp 203.0.113.7 > 10.10.10.2
reply
> forwarded wlan0
flush
tcp 203.0.113.7:40000 > 192.168.1.233:22 in wlan0
> dropped
reply
`;

test('a packets file: an entry for each packet and reply, expectations compared', async () => {
  const words = ['host1.rules', '--packets', 'c', ...ON];
  const { code, stdout } = await run([...words, ...JSON_FORMAT], { c: CONVERSATION });
  expect(code).toBe(0);
  expect(packetsOf(stdout).map(({ line, fate, asExpected }) => [line, fate.kind, asExpected])).toEqual([
    [2, 'forwarded', true],
    [4, 'forwarded', true],
    [7, 'dropped', true],
    [9, 'dropped', undefined],
  ]);
  const other = await run(words, { c: CONVERSATION.replace('> dropped', '> delivered') });
  expect(other.code).toBe(1);
  expect(other.stdout).toContain('  expected: delivered\n');
  expect(other.stdout.endsWith('\n4 packets: 2 forwarded, 1 dropped, 1 unanswered; 1 otherwise than expected\n')).toBe(
    true,
  );
});

test('packets on the command line are a conversation as well', async () => {
  const { stdout } = await run(['host1.rules', METADATA, 'reply', 'flush', 'reply', ...ON, ...JSON_FORMAT]);
  expect(packetsOf(stdout).map(({ state }) => state)).toEqual(['NEW', 'ESTABLISHED', 'NEW']);
});

test('--expect decides the exit code, and undecided is 3', async () => {
  const expecting = async (fate: string, rules = 'host1.rules') =>
    (await run([rules, METADATA, ...ON, '--expect', fate], { x: unknown })).code;
  const unknown = FILES['host1.rules'].replace(
    '-d 169.254.169.254/32',
    '-m recent --name a --rcheck --rsource -d 169.254.169.254/32',
  );
  expect(await expecting('delivered')).toBe(0);
  expect(await expecting('delivered tcp 10.10.10.2:40000 > 192.168.1.90:8775')).toBe(0);
  expect(await expecting('delivered tcp 10.10.10.2:40000 > 192.168.1.90:80')).toBe(1);
  expect(await expecting('dropped')).toBe(1);
  expect(await expecting('delivered', 'x')).toBe(3);
  expect(await expecting('undecided', 'x')).toBe(0);
  expect((await run(['x', METADATA, ...ON], { x: unknown })).code).toBe(3);
});

test('--posture hardened drops what no rule accepts', async () => {
  const packet = 'tcp 203.0.113.7:40000 > 192.168.1.90:22 in wlan0';
  expect((await run(['host1.rules', packet, ...ON, '--expect', 'delivered'])).code).toBe(0);
  expect((await run(['host1.rules', packet, ...ON, '--expect', 'dropped', '--posture', 'hardened'])).code).toBe(0);
});

test('--sets gives sets their content; without it they are unknown', async () => {
  const files = {
    r: '*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m set --match-set bad src -j DROP\nCOMMIT\n',
    s: 'create bad hash:ip family inet\nadd bad 203.0.113.7\n',
  };
  const words = ['r', 'icmp 203.0.113.7 > 192.168.1.90 in wlan0', ...ON];
  expect((await run(words, files)).code).toBe(3);
  expect((await run([...words, '--sets', 's', '--expect', 'dropped'], files)).code).toBe(0);
});

test('without a ruleset it is the reference, and -v says what is taken as given', async () => {
  const { code, stdout } = await run([METADATA, ...ON, '-v', '--expect', 'delivered']);
  expect(code).toBe(0);
  expect(stdout).toContain('assumed: no ruleset was given: host1.rules is what `nfverdict generate` writes\n');
  expect((await run(['host1.rules', METADATA, ...ON, '-q'])).stdout).toBe('1 packet: 1 delivered\n');
});

test('a packet is followed over several hosts, and its reply back', async () => {
  const given = HOSTS.map((host) => `${host}=${host}.rules`);
  const packet = 'tcp 10.10.10.2:40000 > 169.254.169.254:80 in compute1:vnet0';
  const { code, stdout } = await run([...given, packet, ...ON, ...JSON_FORMAT], SEVERAL);
  expect(code).toBe(0);
  const [traced] = packetsOf(stdout);
  expect(traced?.hops?.map(({ host }) => host)).toEqual(['compute1', 'net1', 'api1']);
  expect(traced?.fate.kind).toBe('delivered');
  expect(traced?.reply?.hops?.map(({ host }) => host)).toEqual(['api1', 'net1', 'compute1']);
  expect(traced?.reply?.fate.packet).toMatch(/^tcp 169\.254\.169\.254:80 > 10\.10\.10\.2:40000 /);
  const { stdout: text } = await run([...given.slice(1), packet, ...ON], SEVERAL);
  expect(text).toContain('\n  on net1, as tcp 10.10.10.2:40000 > 169.254.169.254:80\n');
  expect(text).toContain(
    '\n  on api1, as tcp 10.10.10.2:40000 > 172.16.0.10:8775 ttl 63 (no ruleset of it was given: it filters nothing)\n',
  );
});

test('--name looks at one host of several', async () => {
  const { code, stdout } = await run(
    [
      'net1.rules',
      'tcp 10.10.10.2:40000 > 169.254.169.254:80 in eth0',
      ...ON,
      '--name',
      'net1',
      '--expect',
      'forwarded eth1',
    ],
    SEVERAL,
  );
  expect(code).toBe(0);
  expect(stdout.startsWith('net1: tcp ')).toBe(true);
});

test('a host file is a host alone', async () => {
  const host = 'name: box\ninterfaces: [{ name: eth0, addresses: [192.0.2.1/24] }]\n';
  const files = { 'h.yaml': host, 'r.rules': '*filter\n:INPUT DROP [0:0]\nCOMMIT\n' };
  const { code, stderr } = await run(
    ['r.rules', 'icmp 192.0.2.2 > 192.0.2.1 in eth0', '--host', 'h.yaml', '--expect', 'dropped'],
    files,
  );
  expect([code, stderr]).toEqual([0, '']);
  expect((await run(['icmp 192.0.2.2 > 192.0.2.1 in eth0', '--host', 'h.yaml'], files)).stderr).toBe(
    'which rules? expected a ruleset of box before the packets\n',
  );
});

test.each([
  [['host1.rules', METADATA], 'which host? give its deployment with -d FILE, or a host file with --host FILE\n'],
  [
    ['host1.rules', ...ON],
    "there is no packet to trace: expected a word such as 'tcp 10.0.0.2:40000 > 10.0.0.1:80 in eth0', or --packets FILE\n",
  ],
  [['host1.rules', 'tcp 10.10.10.2', ...ON], 'packet:1:15: expected `>` and the destination'],
  [
    ['host1.rules', 'icmp 10.10.10.2 > 8.8.8.8 in vnet9', ...ON],
    'packet:1:27: host1 has no interface or bridge port vnet9: did you mean vnet0?\n',
  ],
  [
    ['host1.rules', METADATA, ...ON, '--expect', 'lost'],
    '--expect:1:1: unknown fate `lost`, expected one of delivered, forwarded, dropped, rejected, undecided\n',
  ],
  [['-', METADATA, '-d', '-'], 'standard input can be read only once: give one of the two files by its name\n'],
  [
    ['host1.rules', METADATA, ...ON, '--name', 'host2'],
    'there is no host host2 in the deployment: did you mean host1?\n',
  ],
  [
    ['host1.rules', '--packets', 'c', METADATA, ...ON],
    'packets come either from the command line or from --packets, not from both\n',
  ],
])('%j could not be answered', async (words, message) => {
  const { code, stdout, stderr } = await run(words, { '-': FILES['d.yaml'], c: CONVERSATION });
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr.startsWith(message), stderr).toBe(true);
});

test('with several hosts a packet says which one it enters', async () => {
  const { code, stderr } = await run(['icmp 10.10.10.2 > 10.10.10.3 in vnet0', ...ON], SEVERAL);
  expect(code).toBe(2);
  expect(stderr).toBe(
    'packet:1:30: which host does it enter? expected `in HOST:INTERFACE` or `local HOST:`, where HOST is one of api1, net1, compute1, compute2; or --name HOST\n',
  );
});

test('a packet is in the state that is asserted of it, whatever conntrack would say', async () => {
  const { code, stdout } = await run([
    'host1.rules',
    'icmp 10.10.10.9 > 10.10.10.2 in eth0 state INVALID',
    ...ON,
    ...JSON_FORMAT,
  ]);
  expect(code).toBe(0);
  const [packet] = packetsOf(stdout);
  expect(packet?.state).toBe('INVALID');
  expect(packet?.fate.kind).toBe('dropped');
  expect(packet?.steps.at(-1)).toMatchObject({ chain: 'nova-compute-inst-1', rule: 1, target: 'DROP' });
});
