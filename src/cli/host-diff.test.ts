import { expect, test } from 'vitest';
import { diffSchema } from '../report/diff-schema.ts';
import type { DiffOptions } from './diff.ts';
import { runDiff } from './diff.ts';
import { runHostDiff } from './host-diff.ts';
import { memoryIo } from './memory-io.ts';

const HOST = `name: gate
interfaces:
  - { name: eth0, addresses: [198.51.100.1/24, 192.0.2.10/32, 192.0.2.11/32] }
  - { name: eth1, addresses: [10.0.0.1/24] }
gateway: 198.51.100.254
`;

const RULES = `*mangle
:PREROUTING ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -d 192.0.2.10/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.2:8080
-A POSTROUTING -s 10.0.0.0/24 -o eth0 -j SNAT --to-source 192.0.2.10
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -s 203.0.113.0/28 -p tcp -m tcp --dport 22 -j ACCEPT
-A FORWARD -m state --state RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -i eth0 -d 10.0.0.0/29 -p tcp -m tcp --dport 8080 -j ACCEPT
-A FORWARD -i eth1 -j ACCEPT
COMMIT
`;

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function diff(now: string, options: Partial<DiffOptions> = {}, files: Readonly<Record<string, string>> = {}): Ended {
  const io = memoryIo({ 'host.yaml': HOST, old: RULES, new: now, ...files });
  const given: DiffOptions = {
    old: 'old',
    now: 'new',
    host: 'host.yaml',
    ignore: [],
    failOn: [],
    backend: 'nft',
    outputs: [{ format: 'text' }],
    color: 'never',
    ...options,
  };
  const code = runHostDiff(given, io);
  return { code, ...io.written };
}

/** The classes of what changed, each once. */
const classes = (stdout: string): string[] => [...stdout.matchAll(/^[+~?-] (.*)$/gm)].map(([, words = '']) => words);

test('other rules that do the same on this host are no difference, though tables differ', () => {
  const same = RULES.replace(
    '-A FORWARD -i eth1 -j ACCEPT',
    '-A FORWARD -i eth1 -s 0.0.0.0/1 -j ACCEPT\n-A FORWARD -i eth1 -j ACCEPT',
  )
    .replace('-d 10.0.0.0/29 -p tcp', '-o eth1 -d 10.0.0.0/29 -p tcp')
    .replace('--to-source 192.0.2.10\n', '--to-source 192.0.2.10\n-A POSTROUTING -o eth7 -j MASQUERADE\n');
  expect(diff(same)).toMatchObject({ code: 0, stderr: '' });
  expect(diff(same).stdout).toMatch(/ {2}no difference\n\nno difference\n$/);
});

test('a port that is opened is an exposure, with a packet and both rules', () => {
  const { code, stdout } = diff(RULES.replace('--dport 22 -j', '--dport 22:23 -j'));
  expect(classes(stdout)).toEqual(['widened']);
  expect(stdout).toContain('  exposed  tcp 10.0.0.1:23 (this host)  to  tcp 203.0.113.0/28 > ');
  expect(stdout).toContain('    witness  tcp 203.0.113.7:1024 > 10.0.0.1:23 in eth0\n');
  expect(stdout).toMatch(/old: {3}dropped\n +old:12 \(filter INPUT policy DROP\)\n/);
  expect(stdout).toMatch(
    /new: {3}delivered tcp .*\n +new:15 \(filter INPUT rule 1\) {2}-A INPUT -s 203\.0\.113\.0\/28/,
  );
  expect(stdout).not.toContain('mistake of ours');
  expect(code).toBe(1);
});

test('a DNAT that moves to another machine is widened and narrowed', () => {
  const { stdout } = diff(RULES.replace('10.0.0.2:8080', '10.0.0.3:8080'));
  expect(classes(stdout)).toEqual(['widened, narrowed']);
  expect(stdout).toContain('  exposed  tcp 10.0.0.3:8080 (eth1)  to  tcp ');
  expect(stdout).toMatch(/old: {3}forwarded eth1 tcp 203\.0\.113\.7:1024 > 10\.0\.0\.2:8080 ttl 63/);
});

test('each class is told', () => {
  expect(classes(diff(RULES.replace('--to-source 192.0.2.10', '--to-source 192.0.2.11')).stdout)).toEqual([
    'retranslated',
  ]);
  expect(classes(diff(RULES.replace('-s 203.0.113.0/28', '-s 203.0.113.0/29')).stdout)).toEqual(['narrowed']);
  expect(
    classes(
      diff(RULES.replace('-A FORWARD -m state --state RELATED,ESTABLISHED', '-A FORWARD -m state --state ESTABLISHED'))
        .stdout,
    ),
  ).toEqual(['stateful']);
  expect(
    classes(diff(RULES.replace('-A FORWARD -i eth1', '-A FORWARD -p udp -j REJECT\n-A FORWARD -i eth1')).stdout),
  ).toEqual(['narrowed', 'refusal']);
  const marked = RULES.replace(
    ':FORWARD ACCEPT [0:0]\nCOMMIT',
    ':FORWARD ACCEPT [0:0]\n-A FORWARD -i eth1 -j MARK --set-xmark 0x1/0xffffffff\nCOMMIT',
  );
  const asked = diff(marked);
  expect(new Set(classes(asked.stdout))).toEqual(new Set(['marked', 'stateful']));
  expect(diff(marked, { failOn: ['marked'] }).code).toBe(1);
});

test('a set limits what is compared, and a class can be left out', () => {
  const opened = RULES.replace('--dport 22 -j', '--dport 22:23 -j');
  expect(diff(opened, { within: 'tcp any > any:22 in eth0' }).code).toBe(0);
  expect(diff(opened, { within: 'tcp any > any in eth1' }).stdout).toContain('in eth1');
  expect(diff(opened, { ignore: ['widened'] }).code).toBe(0);
});

test('what is not modelled is the same on both sides where its text is', () => {
  const unknown = RULES.replace(
    '-A FORWARD -i eth1',
    '-A FORWARD -m string --algo bm --string evil -j DROP\n-A FORWARD -i eth1',
  );
  const io = memoryIo({
    'host.yaml': HOST,
    old: unknown,
    new: unknown.replace('-i eth1 -j', '-i eth1 -m comment --comment x -j'),
  });
  const given = { old: 'old', now: 'new', host: 'host.yaml', ignore: [], failOn: [], backend: 'nft' as const };
  expect(runHostDiff({ ...given, outputs: [{ format: 'text' }], color: 'never' }, io)).toBe(0);
});

test('it is no difference how many copies of a packet are lost', () => {
  // Of a broadcast the host gets a copy itself: both are dropped behind, or the packet before there are two.
  const chains = '*mangle\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n';
  const behind = `${chains}-A POSTROUTING -d 10.0.0.255/32 -j DROP\nCOMMIT\n`;
  const before = `${chains}-A OUTPUT -d 10.0.0.255/32 -j DROP\nCOMMIT\n`;
  expect(diff(before, { within: 'udp 10.0.0.1 > 10.0.0.255 local' }, { old: behind }).code).toBe(0);
});

test('two folders are compared host by host, and what stands in one of them only is told', () => {
  const files = {
    'a/gate.rules': RULES,
    'b/gate.rules': RULES.replace('--dport 22 -j', '--dport 22:23 -j'),
    'a/gate.v6.rules': '*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n',
  };
  const { code, stdout } = diff('', { old: 'a', now: 'b' }, files);
  expect(stdout).toContain('gate: a/gate.rules -> b/gate.rules');
  expect(stdout).toContain('gate.v6.rules is not in b: not compared');
  expect(code).toBe(1);
  const { 'b/gate.rules': _changed, ...same } = files;
  expect(diff('', { old: 'a', now: 'b' }, { ...same, 'b/gate.rules': RULES }).code).toBe(3);
  expect(diff('', { old: 'a', now: 'new' }, files).stderr).toContain('a is a folder');
  expect(diff('', { old: 'a', now: 'b' }, { 'a/other.rules': RULES, 'b/other.rules': RULES }).stderr).toContain(
    'other.rules is of no host: there are gate',
  );
  const io = memoryIo(files);
  const given = { old: 'a', now: 'b', ignore: [], failOn: [], backend: 'nft' as const };
  expect(runDiff({ ...given, outputs: [{ format: 'text' }], color: 'never' }, io)).toBe(1);
  expect(io.written.stdout).toContain('a/gate.rules -> b/gate.rules');
  expect(io.written.stdout).toContain('gate.v6.rules is not in b: not compared');
});

test('JSON has regions with the witness and both rules', () => {
  const { stdout } = diff(RULES.replace('--dport 22 -j', '--dport 22:23 -j'), { outputs: [{ format: 'json' }] });
  const document = diffSchema.parse(JSON.parse(stdout));
  expect(document.regions[0]).toMatchObject({
    host: 'gate',
    classes: ['widened'],
    witness: { oldFate: { kind: 'dropped' }, newFate: { kind: 'delivered' }, confirmed: true },
    old: { path: 'old', table: 'filter', chain: 'INPUT', rule: 'policy' },
    new: { path: 'new', line: 15, table: 'filter', chain: 'INPUT', rule: 1 },
  });
});
