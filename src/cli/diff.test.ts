import { expect, test } from 'vitest';
import { diffSchema } from '../report/diff-schema.ts';
import { runDiff, type DiffOptions } from './diff.ts';
import { FileError, type Io } from './io.ts';

const RULES = `*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -d 192.0.2.10/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.2:8080
COMMIT
*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:web - [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -s 198.51.100.0/28 -p tcp -m tcp --dport 22 -j ACCEPT
-A FORWARD -m state --state RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -d 10.0.0.0/24 -j web
-A FORWARD -m string --algo bm --string evil -j REJECT --reject-with icmp-port-unreachable
-A web -p tcp -m multiport --dports 80,443 -j ACCEPT
-A web -p icmp -m icmp --icmp-type 8 -j LOG --log-prefix "ping "
-A web -p icmp -m icmp --icmp-type 8 -j ACCEPT
COMMIT
`;

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function diff(now: string, options: Partial<DiffOptions> = {}, old = RULES): Ended {
  let stdout = '';
  let stderr = '';
  const io: Io = {
    stdout: (written) => (stdout += written),
    stderr: (written) => (stderr += written),
    readFile: (path) => {
      if (path === 'old') return old;
      if (path === 'new') return now;
      throw new FileError(`cannot read ${path}`);
    },
    writeFile: () => undefined,
    env: {},
    isTTY: false,
    stderrIsTTY: false,
  };
  const code = runDiff(
    {
      old: 'old',
      now: 'new',
      ignore: [],
      failOn: [],
      backend: 'nft',
      outputs: [{ format: 'text' }],
      color: 'never',
      ...options,
    },
    io,
  );
  return { code, stdout, stderr };
}

test('spelling, order without effect and factoring are no difference', () => {
  const rewritten = RULES.replace('-s 198.51.100.0/28 -p tcp -m tcp --dport 22 -j ACCEPT', '-j ssh')
    .replace(':web - [0:0]', ':web - [0:0]\n:ssh - [0:0]')
    .replace(
      '-A web -p tcp -m multiport --dports 80,443 -j ACCEPT',
      [
        '-A web -p tcp -m tcp --dport 443 -j ACCEPT',
        '-A web -p tcp -m tcp --dport 80 -j ACCEPT',
        '-A ssh -p udp -j RETURN',
        '-A ssh ! -s 198.51.100.8/29 -g half',
        '-A ssh -p tcp -m tcp --dport 22 -j ACCEPT',
        '-A half -s 198.51.100.0/29 -p tcp -m tcp --dport 22 -j ACCEPT',
      ].join('\n'),
    )
    .replace(':ssh', ':half - [0:0]\n:ssh');
  const { code, stdout } = diff(rewritten);
  expect(stdout).toContain('no difference');
  expect(code).toBe(0);
});

test('one port opened to one /28 is found, with a packet, the rules and exit code 1', () => {
  const { code, stdout } = diff(RULES.replace('--dport 22 -j ACCEPT', '--dport 22:23 -j ACCEPT'));
  expect(stdout).toContain('+ widened  filter INPUT');
  expect(stdout).toContain('packets  tcp 198.51.100.0/28 > any:23 state !ESTABLISHED,RELATED\n');
  expect(stdout).toContain('witness  tcp 198.51.100.1:1024 > 198.51.100.7:23 in eth0 state NEW');
  expect(stdout).toContain('old:   dropped  old:9 (filter INPUT policy)');
  expect(stdout).toContain('new:   accepted  new:14 (filter INPUT rule 2)');
  expect(stdout).not.toContain('mistake of ours');
  expect(code).toBe(1);
});

const classOf = (now: string): string => /^[+~?-] (\S+)/m.exec(diff(now).stdout)?.[1] ?? 'none';

test('each class is told', () => {
  expect(classOf(RULES.replace('-A INPUT -s 198.51.100.0/28', '-A INPUT -s 198.51.100.0/29'))).toBe('narrowed');
  expect(classOf(RULES.replace('10.0.0.2:8080', '10.0.0.3:8080'))).toBe('retranslated');
  expect(classOf(RULES.replace('icmp-port-unreachable', 'icmp-host-prohibited'))).toBe('refusal');
  expect(
    classOf(RULES.replace('-A INPUT -m state --state RELATED,ESTABLISHED', '-A INPUT -m state --state RELATED')),
  ).toBe('stateful');
  expect(classOf(RULES.replace('"ping "', '"pong "'))).toBe('logged');
  expect(
    classOf(RULES.replace('-A web -p tcp', '-A web -p tcp -j MARK --set-xmark 0x1/0xffffffff\n-A web -p tcp')),
  ).toBe('marked');
});

test.each([
  ['logged', '-A FORWARD -m state --state RELATED,ESTABLISHED -j LOG\n'],
  ['logged', '-A FORWARD -m state --state RELATED -j LOG --log-prefix "related "\n'],
])('what is only %s of flows that exist is no other fate of theirs: %s', (word, rule) => {
  const now = RULES.replace('-A FORWARD', `${rule}-A FORWARD`);
  expect(classOf(now)).toBe(word);
  expect(diff(now).code).toBe(0);
});

test('what is only marked of flows that exist is no other fate of theirs', () => {
  const mangle = (rules: string): string =>
    `*mangle\n:PREROUTING ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n${rules}COMMIT\n`;
  const now = mangle('-A FORWARD -m state --state ESTABLISHED -j MARK --set-xmark 0x1/0xffffffff\n');
  const { code, stdout } = diff(now, {}, mangle(''));
  expect(stdout).toMatch(/marked/);
  expect(code).toBe(0);
});

test('logged and marked do not count unless asked for, and a class can be left out', () => {
  const logged = RULES.replace('"ping "', '"pong "');
  expect(diff(logged).code).toBe(0);
  expect(diff(logged, { failOn: ['logged'] }).code).toBe(1);
  expect(diff(logged, { ignore: ['logged'] }).stdout).toContain('no difference');
  expect(diff(RULES, { ignore: ['loged'] })).toMatchObject({ code: 2, stdout: '' });
});

test('a set limits what is compared', () => {
  const now = RULES.replace('--dport 22 -j ACCEPT', '--dport 22:23 -j ACCEPT');
  expect(diff(now, { within: 'udp any > any' }).stdout).toContain('no difference');
  expect(diff(now, { within: 'tcp any > any in wlan0' }).stdout).toContain('in wlan0 state NEW');
  expect(diff(now, { within: 'tcp any > any local' }).stdout).toContain('no difference');
});

test('what is not modelled is the same on both sides where its text is', () => {
  const other = RULES.replace('--string evil', '--string good');
  const { code, stdout } = diff(other);
  expect(stdout).toContain('it depends on old:17 and new:17, not modelled\n');
  expect(code).toBe(1);
  const moved = diff(RULES.replace('-A FORWARD -d 10.0.0.0/24 -j web\n', '-A FORWARD -j web -d 10.0.0.0/24\n'));
  expect(moved.stdout).toContain('no difference');
});

test('a packet that conntrack is kept from is told, though no state is known yet', () => {
  const raw = (rule: string): string => `*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n${rule}COMMIT\n`;
  const { stdout } = diff(raw('-A PREROUTING -p udp -m udp --dport 53 -j CT --notrack\n'), {}, raw(''));
  expect(stdout).toContain('~ stateful  raw PREROUTING');
  expect(stdout).toContain('packets  udp 0.0.0.0/0 > 0.0.0.0/0:53\n');
  expect(stdout).toContain('witness  udp 203.0.113.7:1024 > 198.51.100.7:53 in eth0\n');
});

test('JSON has regions with witness and both rules', () => {
  const { stdout } = diff(RULES.replace(':FORWARD DROP', ':FORWARD ACCEPT'), { outputs: [{ format: 'json' }] });
  const document = diffSchema.parse(JSON.parse(stdout));
  expect(document.schema).toBe('nfverdict/diff-v1');
  expect(document.regions[0]).toMatchObject({
    classes: ['widened'],
    hook: 'FORWARD',
    table: 'filter',
    old: { path: 'old', line: 10, table: 'filter', chain: 'FORWARD', rule: 'policy' },
  });
});

test('what depends on too much at once is left undecided, with exit code 3', () => {
  const rules = Array.from({ length: 1100 }, (_, index) => `-A FORWARD -m recent --name r${index} --rcheck -j ACCEPT`);
  const text = (own: readonly string[]): string =>
    ['*filter', ':INPUT ACCEPT', ':FORWARD DROP', ':OUTPUT ACCEPT', ...own, 'COMMIT', ''].join('\n');
  const ended = diff(text(rules), {}, text(rules.slice(1)));
  expect(ended.code).toBe(3);
  expect(ended.stderr).toMatch(/^undecided: the fate of packets depends on more than 1000 things at once/);
});

test('bad input is said with its place, and what only a host can answer is refused', () => {
  expect(diff('*filter\n-A INPUT -j\nCOMMIT\n')).toMatchObject({ code: 2, stdout: '' });
  expect(diff(RULES, { confirm: true }).stderr).toContain('give it with -d or --host');
  expect(diff(RULES, { name: 'host1' }).stderr).toContain('--name says something of a host');
});

test('a target that is not modelled is another unknown with other options, and the same with the same', () => {
  const queue = (number: number): string =>
    RULES.replace('-A FORWARD -d', `-A FORWARD -p udp -j NFQUEUE --queue-num ${number}\n-A FORWARD -d`);
  expect(diff(queue(1), {}, queue(1)).code).toBe(0);
  const { code, stdout } = diff(queue(2), {}, queue(1));
  expect(stdout).toContain('? undecided  filter FORWARD');
  expect(stdout).toMatch(/old: {3}undecided {2}old:16 \(filter FORWARD rule 2\)\n/);
  expect(stdout).toMatch(/new: {3}undecided {2}new:16 \(filter FORWARD rule 2\)\n/);
  expect(code).toBe(3);
});

test('a rule behind a target that is not modelled matters if the walk goes on: that is undecided, with the line', () => {
  const queued = (port: number): string =>
    RULES.replace('-A INPUT -s', '-A INPUT -p tcp -j NFQUEUE --queue-num 1\n-A INPUT -s').replace(
      '--dport 22',
      `--dport ${port}`,
    );
  const { code, stdout } = diff(queued(23), {}, queued(22));
  expect(stdout).toContain('? undecided  filter INPUT');
  expect(stdout).toMatch(/added +-A INPUT -s 198\.51\.100\.0\/28 -p tcp -m tcp --dport 23 -j ACCEPT {2}new:15\n/);
  expect(stdout).toContain('it depends on old:14 and new:14, not modelled\n');
  expect(stdout).not.toContain('widened');
  expect(code).toBe(3);
  // What does not meet it is decided.
  const rest = diff(queued(22).replace(':INPUT DROP', ':INPUT ACCEPT'), {}, queued(22));
  expect(rest.stdout).toContain('+ widened  filter INPUT\n    packets  !tcp ');
  expect(rest.code).toBe(1);
});

test('a change that touches much is said in a line first', () => {
  const hosts = Array.from(
    { length: 20 },
    (_, index) => `-A web -d 10.0.0.${index * 2}/32 -p tcp -m tcp --dport ${9000 + index} -j ACCEPT`,
  );
  const old = RULES.replace('-A web -p tcp', `-A web -s 192.0.2.0/24 -j DROP\n${hosts.join('\n')}\n-A web -p tcp`);
  const { stdout } = diff(old.replace('-A web -s 192.0.2.0/24 -j DROP\n', ''), {}, old);
  expect(stdout).toMatch(
    /given\n\nchanges that touch much, in all:\n {2}removed -A web -s 192\.0\.2\.0\/24 -j DROP.*\n {4}widened 1, refusal 1: up to 256 sources, 256 destinations\n\n\+ widened/,
  );
  expect(stdout).toMatch(/ {4}size {5}256 sources, \d+ destinations\n/);
});
