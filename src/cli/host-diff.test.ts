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

/** The lines of the first conversation that is shown. */
const conversation = (stdout: string): string[] =>
  (/^ {4}witness {2}(.*(?:\n {13}.*)+)$/m.exec(stdout)?.[1] ?? '').split('\n').map((line) => line.trim());

test('other rules that do the same on this host are no difference, though tables differ', () => {
  const same = RULES.replace(
    '-A FORWARD -i eth1 -j ACCEPT',
    '-A FORWARD -i eth1 -s 0.0.0.0/1 -j ACCEPT\n-A FORWARD -i eth1 -j ACCEPT',
  )
    .replace('-d 10.0.0.0/29 -p tcp', '-o eth1 -d 10.0.0.0/29 -p tcp')
    .replace('--to-source 192.0.2.10\n', '--to-source 192.0.2.10\n-A POSTROUTING -o eth7 -j MASQUERADE\n');
  const ended = diff(same);
  expect(ended).toMatchObject({ code: 0, stderr: '' });
  expect(ended.stdout).toMatch(/ {2}no difference\n\nno difference\n$/);
});

test('a port that is opened is an exposure, with a packet and both rules', () => {
  const { code, stdout } = diff(RULES.replace('--dport 22 -j', '--dport 22:23 -j'));
  // Answers to what came from port 23 came in at port 23 as well.
  expect(classes(stdout)).toEqual(['widened', 'stateful  the answer']);
  expect(stdout).toMatch(/ {4}exposed {2}tcp .*10\.0\.0\.1,.*:23 \(this host\) {2}to {2}any 203\.0\.113\.0\/28 {2}by /);
  expect(stdout).toMatch(/ {4}size {5}16 sources, .* destinations, 3 ways in\n/);
  expect(stdout).toContain('    witness  tcp 203.0.113.7:1024 > 10.0.0.1:23 in eth0\n');
  expect(stdout).toMatch(/old: {3}dropped\n +old:12 \(filter INPUT policy DROP\)\n/);
  expect(stdout).toMatch(
    /new: {3}delivered tcp .*\n +new:15 \(filter INPUT rule 1\) {2}-A INPUT -s 203\.0\.113\.0\/28/,
  );
  expect(stdout).not.toContain('mistake of ours');
  expect(code).toBe(1);
});

test('who is newly reached is told of packets that begin no flow, too', () => {
  const invalid = RULES.replace(
    '-A FORWARD -i eth0',
    '-A FORWARD -m state --state INVALID -j DROP\n-A FORWARD -i eth0',
  );
  const { stdout } = diff(RULES, { within: 'tcp any > 10.0.0.3:8080 in eth0' }, { old: invalid });
  expect(classes(stdout)).toEqual(['widened']);
  expect(stdout).toContain('    exposed  tcp 10.0.0.3:8080 (eth1)  to  any !0.0.0.0  by eth0\n');
});

test('a DNAT that moves to another machine is widened and narrowed', () => {
  const { stdout } = diff(RULES.replace('10.0.0.2:8080', '10.0.0.3:8080'));
  expect(classes(stdout)).toEqual(['widened, narrowed']);
  expect(stdout).toContain('    exposed  tcp 10.0.0.3:8080 (eth1)  to  any !0.0.0.0  by eth0,eth1\n');
  expect(stdout).toMatch(/old: {3}forwarded eth1 tcp 203\.0\.113\.7:1024 > 10\.0\.0\.2:8080 ttl 63/);
});

test('each class is told', () => {
  expect(classes(diff(RULES.replace('--to-source 192.0.2.10', '--to-source 192.0.2.11')).stdout)).toEqual([
    'retranslated',
  ]);
  // Its flows that were alive are cut, and so are those from that port.
  expect(classes(diff(RULES.replace('-s 203.0.113.0/28', '-s 203.0.113.0/29')).stdout)).toEqual([
    'narrowed',
    'stateful  the answer',
    'stateful  what its sender says when it has been answered',
  ]);
  expect(
    classes(diff(RULES.replace('-A FORWARD -i eth1', '-A FORWARD -p udp -j REJECT\n-A FORWARD -i eth1')).stdout),
  ).toEqual(['narrowed', 'refusal']);
  const marked = RULES.replace(
    ':FORWARD ACCEPT [0:0]\nCOMMIT',
    ':FORWARD ACCEPT [0:0]\n-A FORWARD -i eth1 -j MARK --set-xmark 0x1/0xffffffff\nCOMMIT',
  );
  const asked = { within: 'udp any > any in eth1' };
  const ended = diff(marked, asked);
  expect(ended).toMatchObject({ code: 0, stderr: '' });
  expect(classes(ended.stdout)[0]).toBe('marked');
  expect(diff(marked, { ...asked, failOn: ['marked'] }).code).toBe(1);
});

test('answers that are no longer let in are shown by a conversation', () => {
  const { stdout, code } = diff(RULES.replace('--state RELATED,ESTABLISHED', '--state RELATED'));
  expect(classes(stdout)).toEqual(['stateful  the answer']);
  expect(conversation(stdout)).toEqual(['tcp 203.0.113.7:1024 > 198.51.100.7:1 in eth1', 'reply  # ESTABLISHED']);
  expect(stdout).toMatch(/old: {3}forwarded eth0 tcp 198\.51\.100\.7:1 > 203\.0\.113\.7:1024 flags SA/);
  expect(stdout).toMatch(/new: {3}dropped\n +new:13 \(filter FORWARD policy DROP\)/);
  expect(stdout).not.toContain('mistake of ours');
  expect(code).toBe(1);
});

test('a flow that is alive meets the new rules after it has begun under the old ones', () => {
  const { stdout } = diff(RULES.replace('-s 203.0.113.0/28', '-s 203.0.113.0/29'));
  const alive = stdout.slice(stdout.indexOf('flows alive at the moment of the change'));
  expect(conversation(alive)).toEqual([
    'tcp 203.0.113.8:1024 > 10.0.0.1:22 in eth0',
    'reply',
    '# from here on under the new rules',
    'tcp 203.0.113.8:1024 > 10.0.0.1:22 flags A seq 1001 ack 5001 in eth0  # ESTABLISHED',
  ]);
});

test('an icmp error about a flow is shown with the flow', () => {
  const { stdout } = diff(RULES.replace('--state RELATED,ESTABLISHED', '--state ESTABLISHED'));
  expect(classes(stdout)).toEqual(['stateful']);
  expect(conversation(stdout)[1]).toMatch(/^icmp .* quotes 1 in eth0 {2}# RELATED$/);
});

test('what is logged is a class of its own, whatever else happens', () => {
  const log = '-A FORWARD -i eth1 -p udp -j LOG --log-prefix "out "\n';
  const logged = diff(RULES.replace('-A FORWARD -i eth1 -j', `${log}-A FORWARD -i eth1 -j`));
  expect(classes(logged.stdout)).toEqual(['logged']);
  expect(logged.code).toBe(0);
  const moved = RULES.replace('-A FORWARD -i eth1 -j', '-A FORWARD -j out\n-A FORWARD -i eth1 -j').replace(
    ':OUTPUT ACCEPT [0:0]',
    `:OUTPUT ACCEPT [0:0]\n:out - [0:0]\n${log.replace('FORWARD', 'out')}`.trimEnd(),
  );
  // Where the rule stands is no matter.
  expect(
    diff(moved, {}, { old: RULES.replace('-A FORWARD -i eth1 -j', `${log}-A FORWARD -i eth1 -j`) }).stdout,
  ).toMatch(/no difference\n$/);
  const dropped = diff(
    RULES.replace('-A FORWARD -i eth1 -j', `${log}-A FORWARD -i eth1 -p udp -j DROP\n-A FORWARD -i eth1 -j`),
  );
  expect(classes(dropped.stdout)).toContain('narrowed, logged');
});

test('a set limits what is compared, and a class can be left out', () => {
  const opened = RULES.replace('--dport 22 -j', '--dport 22:23 -j');
  expect(diff(opened, { within: 'tcp any > any:22 in eth0' }).code).toBe(0);
  expect(diff(opened, { within: 'tcp any > any in eth1' }).stdout).toContain('in eth1');
  const within = 'tcp 203.0.113.0/24 > 10.0.0.1:22-23 in eth0';
  expect(diff(opened, { ignore: ['widened'] }).code).toBe(1);
  expect(diff(opened, { within, ignore: ['widened', 'stateful'] }).code).toBe(0);
  expect(diff(opened, { within, failOn: ['narrowed'] }).code).toBe(0);
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

test('a target that is not modelled is another unknown with other options', () => {
  const queue = (number: number): string =>
    RULES.replace(
      '-A FORWARD -i eth1',
      `-A FORWARD -i eth1 -p udp -j NFQUEUE --queue-num ${number}\n-A FORWARD -i eth1`,
    );
  expect(diff(queue(1), { within: 'udp any > any in eth1' }, { old: queue(1) }).code).toBe(0);
  const { code, stdout } = diff(queue(2), { within: 'udp any > any in eth1' }, { old: queue(1) });
  expect(classes(stdout)).toEqual(['undecided']);
  expect(stdout).toMatch(/old: {3}undecided .*\n +old:18 \(filter FORWARD rule 3\) .*--queue-num 1\n/);
  expect(stdout).toMatch(/new: {3}undecided .*\n +new:18 \(filter FORWARD rule 3\) .*--queue-num 2\n/);
  expect(code).toBe(3);
});

test('packets that come to the same unknown in another shape are undecided', () => {
  const queued = RULES.replace('-A FORWARD -m state', '-A FORWARD -j NFQUEUE --queue-num 1\n-A FORWARD -m state');
  const moved = queued.replace('10.0.0.2:8080', '10.0.0.3:8080');
  const asked = { within: 'tcp any > 192.0.2.10:80 in eth0' };
  expect(diff(queued, asked, { old: queued }).code).toBe(0);
  expect(diff(moved, asked, { old: queued })).toMatchObject({ code: 3, stderr: '' });
});

test('packets that sets follow on neither side are undecided, unless the rules are the same to every packet', () => {
  // The kernel chooses one of the two, and only one is let through.
  const chosen = RULES.replace('10.0.0.2:8080', '10.0.0.2-10.0.0.3:8080').replace('-d 10.0.0.0/29', '-d 10.0.0.2/32');
  const other = chosen.replace('-d 10.0.0.2/32', '-d 10.0.0.3/32');
  const asked = { within: 'tcp 203.0.113.0/24 > 192.0.2.10:80 in eth0' };
  const { code, stdout } = diff(other, asked, { old: chosen });
  expect(classes(stdout)).toEqual(['undecided']);
  expect(code).toBe(3);
  const same = chosen.replace('-A FORWARD -i eth1', '-A FORWARD -i eth1 -s 10.0.0.2/32 -j ACCEPT\n-A FORWARD -i eth1');
  expect(diff(same, asked, { old: chosen }).code).toBe(0);
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

test('a target that is not modelled may end the walk, accept, or let the packet go on, and what lies behind is looked at each way', () => {
  const queued = RULES.replace(
    '-A FORWARD -i eth1',
    '-A FORWARD -i eth1 -p udp -j NFQUEUE --queue-num 1\n-A FORWARD -i eth1',
  );
  const asked = { within: 'udp any > any in eth1' };
  // If it goes on.
  const behind = diff(queued.replace('-A FORWARD -i eth1 -j ACCEPT', '-A FORWARD -i eth1 -j DROP'), asked, {
    old: queued,
  });
  expect(classes(behind.stdout)).toEqual(['undecided']);
  expect(behind.stdout).toContain('it depends on old:18 and new:18, not modelled\n');
  expect(behind.code).toBe(3);
  // If it accepts: the next table.
  const translated = diff(queued.replace('--to-source 192.0.2.10', '--to-source 192.0.2.11'), asked, { old: queued });
  expect(classes(translated.stdout)).toContain('undecided');
  expect(translated.code).toBe(3);
  expect(diff(queued, asked, { old: queued }).code).toBe(0);
});

test('an IPv6 host is told of in its own words', () => {
  const host = HOST.replace('10.0.0.1/24]', '10.0.0.1/24, "2001:db8:1::1/64"]').replace(
    'addresses: [198.51.100.1/24,',
    'addresses: ["2001:db8::1/64", 198.51.100.1/24,',
  );
  const rules = (ports: string): string =>
    `*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A FORWARD -d 2001:db8:1::2/128 -p tcp -m tcp --dport ${ports} -j ACCEPT\nCOMMIT\n`;
  const files = { 'host.yaml': host, 'a/gate.v6.rules': rules('80'), 'b/gate.v6.rules': rules('80:81') };
  const { code, stdout } = diff('', { old: 'a', now: 'b' }, files);
  expect(stdout).toContain('    exposed  tcp [2001:db8:1::2]:81 (eth1)  to  any');
  expect(stdout).not.toContain('::/0');
  expect(stdout).toMatch(/witness {2}tcp \[2001:db8:1::7\]:1024 > \[2001:db8:1::2\]:81 in eth1\n/);
  expect(stdout).not.toContain('mistake of ours');
  expect(code).toBe(1);
});

test.each(['-j NFQUEUE --queue-num 1', '-m string --string "x" --algo bm -j ACCEPT'])(
  'what is said of the answer is undecided where the first packet may be lost at %s',
  (unknown) => {
    const old = RULES.replace(
      '-A FORWARD -i eth0 -d 10.0.0.0/29 -p tcp -m tcp --dport 8080 -j ACCEPT',
      `-A FORWARD -i eth0 ${unknown}`,
    );
    const now = old.replace('--state RELATED,ESTABLISHED -j ACCEPT', '--state RELATED,ESTABLISHED -j DROP');
    const { stdout, code } = diff(now, { within: 'tcp any:1024 > 10.0.0.2:80 in eth0' }, { old });
    expect([...stdout.matchAll(/^[+~?-] (\S+) {2}(.*)$/gm)].map(([, ...words]) => words)).toEqual([
      ['undecided', 'the answer'],
    ]);
    expect(stdout.match(/^ {4}witness /gm)).toHaveLength(1);
    expect(stdout).toContain('it depends on old:17 and new:17, not modelled\n');
    expect(code).toBe(3);
  },
);
