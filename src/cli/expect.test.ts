import { expect, test } from 'vitest';
import { expectSchema } from '../report/expect-schema.ts';
import { runExpect, type ExpectOptions } from './expect.ts';
import { memoryIo } from './memory-io.ts';

const RULES = `*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:web - [0:0]
-A INPUT -m state --state RELATED,ESTABLISHED -j ACCEPT
-A INPUT -s 198.51.100.0/28 -p tcp -m tcp --dport 22 -j ACCEPT
-A FORWARD -m state --state RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -d 10.0.0.0/24 -o eth1 -j web
-A FORWARD -p udp -m string --algo bm --string evil -j REJECT --reject-with icmp-port-unreachable
-A web -p tcp -m multiport --dports 80,443 -j ACCEPT
COMMIT
`;

const HOST = `name: gate
interfaces:
  - { name: eth0, addresses: [198.51.100.1/24, 192.0.2.10/32] }
  - { name: eth1, addresses: [10.0.0.1/24] }
gateway: 198.51.100.254
`;

const NAT = `*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A PREROUTING -d 192.0.2.10/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.2:8080
-A POSTROUTING -s 10.0.0.0/24 -o eth0 -j SNAT --to-source 192.0.2.10
COMMIT
`;

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function judged(claims: readonly string[], rules = RULES, options: Partial<ExpectOptions> = {}): Ended {
  const io = memoryIo({ rules, claims: claims.map((line) => `${line}\n`).join(''), 'host.yaml': HOST });
  const code = runExpect(
    { ruleset: 'rules', claims: 'claims', backend: 'nft', outputs: [{ format: 'text' }], color: 'never', ...options },
    io,
  );
  return { code, ...io.written };
}

test('a claim about any host has to hold at each hook that its packets can meet', () => {
  const { code, stdout } = judged([
    '# who may come in',
    'tcp 198.51.100.0/28 > any:22 in eth0 => delivered',
    'tcp any > 10.0.0.0/24:443 in eth0 out eth1 => forwarded   # the web',
    'any any > any local => forwarded',
    'tcp !198.51.100.0/28 > any:22 in eth0 state NEW => dropped',
  ]);
  expect(stdout).toContain('in eth0 => delivered  claims:2  INPUT\n');
  expect(stdout).toContain('=> dropped  claims:5  INPUT, FORWARD\n');
  expect(stdout).toContain('\n4 claims: 4 proved\n');
  expect(code).toBe(0);
});

test('what breaks a claim is told exactly, with a packet, its trace and the rule that decided', () => {
  const { code, stdout } = judged(['tcp any > any:22 in eth0 state NEW at INPUT => dropped']);
  expect(stdout).toContain('FAIL       tcp any > any:22 in eth0 state NEW at INPUT => dropped  claims:1  INPUT\n');
  expect(stdout).toContain('    packets  tcp 198.51.100.0/28 > any:22 in eth0 state NEW\n');
  expect(stdout).toContain('    witness  tcp 198.51.100.1:1024 > 198.51.100.7:22 in eth0 state NEW\n');
  expect(stdout).toContain('      filter INPUT rule 2  ACCEPT  rules:7\n    accepted  rules:7 (filter INPUT rule 2)\n');
  expect(code).toBe(1);
});

test('without a state the packets of flows that exist are meant, too', () => {
  expect(judged(['tcp any > any:23 in eth0 at INPUT => dropped']).stdout).toContain('state ESTABLISHED,RELATED');
});

test('what is not modelled leaves a claim undecided, with its line', () => {
  const { code, stdout } = judged(['udp any > any:53 in eth0 at FORWARD state NEW => dropped']);
  expect(code).toBe(2);
  expect(stdout).toBe('');
  const asked = judged(['udp any > any:53 in eth0 state NEW at FORWARD => dropped']);
  expect(asked.stdout).toContain('undecided  udp any > any:53');
  expect(asked.stdout).toMatch(/it depends on {2}-A FORWARD -p udp -m string .* rules:10\n/);
  expect(asked.code).toBe(3);
});

test('a claim about no packet says nothing', () => {
  const { code, stdout } = judged(['none => dropped']);
  expect(stdout).toContain('vacuous    none => dropped');
  expect(code).toBe(0);
});

test('on a host a claim is about the whole way', () => {
  const { code, stdout } = judged(
    [
      'tcp 203.0.113.0/24 > 192.0.2.10:80 in eth0 => forwarded eth1 tcp any > 10.0.0.2:8080',
      'tcp 10.0.0.2 > 203.0.113.0/24:443 in eth1 => forwarded eth0 tcp 192.0.2.10 > any:443',
      'tcp 203.0.113.0/24 > 198.51.100.1:22 in eth0 => delivered',
      'icmp 10.0.0.2 > 203.0.113.0/24 in eth1 => forwarded eth0 icmp 192.0.2.11 > any',
    ],
    NAT,
    { host: 'host.yaml' },
  );
  expect(stdout).toContain('4 claims: 3 proved, 1 broken');
  expect(stdout).toContain('    witness  icmp 10.0.0.2 > 203.0.113.1 in eth1\n');
  expect(stdout).toMatch(/forwarded eth0 icmp 192\.0\.2\.10 > 203\.0\.113\.1 ttl 63/);
  expect(stdout).not.toContain('mistake of ours');
  expect(code).toBe(1);
});

test('on a host what is not modelled leaves a claim undecided, with its line', () => {
  const { code, stdout } = judged(['udp 203.0.113.9 > 10.0.0.7:53 in eth0 => dropped'], RULES, { host: 'host.yaml' });
  expect(stdout).toMatch(/it depends on {2}-A FORWARD -p udp -m string .* rules:10\n/);
  expect(code).toBe(3);
});

test('JSON says the same', () => {
  const { stdout } = judged(['tcp any > any:22 in eth0 state NEW at INPUT => dropped'], RULES, {
    outputs: [{ format: 'json' }],
  });
  expect(expectSchema.parse(JSON.parse(stdout))).toMatchObject({
    schema: 'nfverdict/expect-v1',
    summary: { proved: 0, broken: 1, undecided: 0, vacuous: 0 },
    claims: [
      {
        line: 1,
        result: 'broken',
        breaches: [
          {
            hook: 'INPUT',
            packets: ['tcp 198.51.100.0/28 > any:22 in eth0 state NEW'],
            witness: { fate: { kind: 'accepted' }, trace: [{ chain: 'INPUT', rule: 2, line: 7 }], confirmed: true },
            decidedBy: { path: 'rules', line: 7, table: 'filter', chain: 'INPUT', rule: 2 },
          },
        ],
      },
    ],
  });
});

test('JSON of a host has the whole journey', () => {
  const { stdout } = judged(['icmp 10.0.0.2 > 203.0.113.0/24 in eth1 => dropped'], NAT, {
    host: 'host.yaml',
    outputs: [{ format: 'json' }],
  });
  const { host, claims } = expectSchema.parse(JSON.parse(stdout));
  expect(host).toBe('gate');
  expect(claims[0]?.breaches[0]).toMatchObject({
    entry: 'in eth1',
    witness: { fate: { kind: 'forwarded', oif: 'eth0' }, confirmed: true },
    decidedBy: { line: 5, table: 'nat', chain: 'POSTROUTING', rule: 1 },
  });
});

test('all that is wrong in a claims file is told at once, with its place', () => {
  const { code, stderr } = judged([
    'tcp any > any:22 in eth0 => dropd',
    'tcp any > any:xx => dropped',
    'tcp any > any',
    'any any > any at INPT => dropped',
    '  any any > any out eth0,,x => dropped',
  ]);
  expect(code).toBe(2);
  expect(stderr.split('\n').map((line) => line.slice(0, line.indexOf(' ')))).toEqual([
    'claims:1:29:',
    'claims:2:15:',
    'claims:3:14:',
    'claims:4:18:',
    'claims:5:21:',
    '',
  ]);
  expect(judged(['# nothing']).stderr).toBe('claims:1:1: there is no claim: expected lines `SET => FATE`\n');
});

test('what only a host can answer is refused without one, and the other way round', () => {
  expect(judged(['any any > any => forwarded eth0']).stderr).toContain('claims:1:18: by which interface');
  expect(judged(['any any > any local => delivered']).stderr).toContain('claims:1:24: without a host');
  expect(judged(['any ::1 > any => dropped']).stderr).toContain('claims:1:1: these are packets of IPv6');
  const onHost = judged(
    ['any any > any in eth9 => dropped', 'any any > any => delivered any any > any payload 3'],
    RULES,
    {
      host: 'host.yaml',
    },
  );
  expect(onHost.stderr).toContain('claims:1:1: gate has no interface or bridge port eth9');
  expect(onHost.stderr).toContain('claims:2:18: payload: a claim about all packets cannot say this of them');
});

test('what a host sends to itself comes to raw again, and is kept from conntrack there if conntrack has found it INVALID', () => {
  // As Linux has it with either backend (`trace --kernel 'icmp 10.0.0.1 > 10.0.0.1 type 0 local'`).
  const rules = `*raw
:PREROUTING ACCEPT [0:0]
-A PREROUTING -i lo -j CT --notrack
COMMIT
*filter
:INPUT DROP [0:0]
-A INPUT -m conntrack --ctstate UNTRACKED -j REJECT
COMMIT
`;
  const { code, stdout } = judged(
    ['icmp 10.0.0.1 > 10.0.0.1 state INVALID local => rejected', 'icmp 10.0.0.1 > 10.0.0.1 type 8 local => dropped'],
    rules,
    { host: 'host.yaml' },
  );
  expect(stdout).toContain('\n2 claims: 2 proved\n');
  expect(code).toBe(0);
});
