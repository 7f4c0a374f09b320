import { expect, test } from 'vitest';
import type { Backend } from '../netfilter/skb.ts';
import { lintSchema } from '../report/lint-schema.ts';
import { runLint } from './lint.ts';
import { memoryIo } from './memory-io.ts';
import type { Format } from './output.ts';

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function lint(text: string, format: Format = 'text', backend: Backend = 'nft'): Ended {
  const io = memoryIo({ rules: text });
  const code = runLint({ ruleset: 'rules', backend, outputs: [{ format }], color: 'never' }, io);
  return { code, ...io.written };
}

const filter = (...rules: string[]): string =>
  ['*filter', ':INPUT DROP [0:0]', ':FORWARD DROP [0:0]', ':OUTPUT ACCEPT [0:0]', ...rules, 'COMMIT', ''].join('\n');

/** `KIND BECAUSE LINE <- LINES` of each finding. */
function found(text: string): string[] {
  const { stdout, stderr } = lint(text, 'json');
  expect(stderr).toBe('');
  return lintSchema
    .parse(JSON.parse(stdout))
    .findings.map(({ kind, because, location, by }) =>
      `${kind} ${because} ${location.line ?? '-'} <- ${by.map(({ line }) => line ?? '-').join(' ')}`.trim(),
    );
}

test('a ruleset in which each rule does something has no finding', () => {
  const { code, stdout } = lint(filter('-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT', '-A INPUT -i lo -j ACCEPT'));
  expect(stdout).toBe('rules: 2 rules in 3 chains, and each rule does something\n');
  expect(code).toBe(0);
});

test('a rule that several rules cover together is told with all of them', () => {
  const text = filter(
    '-A INPUT -s 10.0.0.0/25 -j ACCEPT',
    '-A INPUT -s 10.0.0.128/25 -j ACCEPT',
    '-A INPUT -s 192.0.2.1/32 -j ACCEPT',
    '-A INPUT -s 10.0.0.0/24 -p tcp -m tcp --dport 22 -j DROP',
  );
  expect(found(text)).toEqual(['never-matches covered 8 <- 5 6']);
  const { code, stdout } = lint(text);
  expect(code).toBe(1);
  expect(stdout).toContain('never matches  filter INPUT rule 4  rules:8\n    -A INPUT -s 10.0.0.0/24');
  expect(stdout).toContain('    rules:5  filter INPUT rule 1  -A INPUT -s 10.0.0.0/25 -j ACCEPT\n');
  expect(stdout).toContain('rules: 4 rules in 3 chains: 1 never matches\n');
});

test('what covers a rule may stand in a chain that is called before it, or before the call of its own', () => {
  expect(
    found(
      filter(
        ':early - [0:0]',
        ':late - [0:0]',
        '-A INPUT -p udp -j DROP',
        '-A INPUT -j early',
        '-A INPUT -j late',
        '-A early -p tcp -m tcp --dport 1:1023 -j REJECT',
        '-A late -p tcp -m tcp --dport 22 -j ACCEPT',
        '-A late -p udp -m udp --dport 53 -j ACCEPT',
        '-A late -p icmp -j ACCEPT',
      ),
    ),
  ).toEqual(['never-matches covered 11 <- 10', 'never-matches covered 12 <- 7']);
});

test('a RETURN covers what stands behind it', () => {
  expect(
    found(
      filter(
        ':web - [0:0]',
        '-A INPUT -j web',
        '-A web ! -s 10.0.0.0/8 -j RETURN',
        '-A web -p tcp -j ACCEPT',
        '-A web -s 192.0.2.0/24 -j ACCEPT',
      ),
    ),
  ).toEqual(['never-matches covered 9 <- 7']);
});

test('matches that exclude each other, or the hook, or the way into the chain', () => {
  expect(
    found(
      filter(
        ':tcp - [0:0]',
        '-A INPUT -p tcp -j tcp',
        '-A INPUT -m state --state NEW -m state --state ESTABLISHED -j ACCEPT',
        '-A tcp -p udp -j ACCEPT',
        '-A tcp -j ACCEPT',
      ),
    ),
  ).toEqual(['never-matches contradiction 7 <-', 'never-matches not-entered 8 <- 6']);
});

test('a rule without which the same happens is told with what does it', () => {
  expect(
    found(
      filter(
        ':empty - [0:0]',
        '-A INPUT -s 10.0.0.1/32 -j ACCEPT',
        '-A INPUT -j empty',
        '-A INPUT -s 10.0.0.0/8 -j ACCEPT',
        '-A INPUT -p udp -j DROP',
        '-A OUTPUT -d 192.0.2.1/32 -j ACCEPT',
      ),
    ),
  ).toEqual([
    'no-effect same-without 6 <- 8',
    'no-effect empty 7 <- 5',
    'no-effect same-without 9 <- 2',
    'no-effect same-without 10 <- 4',
  ]);
});

test('of two equal rules only the second is needless', () => {
  expect(found(filter('-A INPUT -s 10.0.0.1/32 -j ACCEPT', '-A INPUT -s 10.0.0.1/32 -j ACCEPT'))).toEqual([
    'never-matches covered 6 <- 5',
  ]);
});

test('a chain that nobody calls, and one that is only called by a rule that never matches', () => {
  expect(
    found(
      filter(
        ':unused - [0:0]',
        ':behind - [0:0]',
        '-A INPUT -j DROP',
        '-A INPUT -p tcp -j behind',
        '-A behind -j ACCEPT',
        '-A unused -j ACCEPT',
      ),
    ),
  ).toEqual(['unused-chain unused 5 <-', 'unreached-chain unreached 6 <- 8', 'never-matches covered 8 <- 7']);
});

test('what is not modelled is never guessed', () => {
  // It may let the packet pass, and a limit lets some pass; a target that is not known may let it go on.
  expect(
    found(
      filter(
        '-A INPUT -m string --algo bm --string evil -j DROP',
        '-A INPUT -m limit --limit 1/sec -j ACCEPT',
        '-A INPUT -j TARPIT',
        '-A INPUT -p tcp -j ACCEPT',
        '-A INPUT -m string --algo bm --string evil -p tcp -m tcp --dport 22 -j ACCEPT',
      ),
    ),
  ).toEqual(['never-matches covered 9 <- 8']);
});

test('what is written to a log is an effect, and so is keeping packets from it; counting is none', () => {
  expect(
    found(
      filter(
        '-A INPUT -s 10.0.0.1/32',
        '-A INPUT -s 10.0.0.1/32 -j DROP',
        '-A INPUT -j LOG --log-prefix "in "',
        '-A OUTPUT -p tcp -m tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu',
      ),
    ),
  ).toEqual([]);
});

test('every table at each of its hooks', () => {
  const text = [
    '*raw',
    ':PREROUTING ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    '-A PREROUTING -i eth0 -m state --state ESTABLISHED -j ACCEPT',
    '-A OUTPUT -p udp -j CT --notrack',
    'COMMIT',
    '*nat',
    ':PREROUTING ACCEPT [0:0]',
    ':OUTPUT ACCEPT [0:0]',
    ':POSTROUTING ACCEPT [0:0]',
    ':both - [0:0]',
    '-A PREROUTING -j both',
    '-A OUTPUT -j both',
    '-A both -i eth0 -d 192.0.2.1/32 -j DNAT --to-destination 10.0.0.1',
    '-A both -d 192.0.2.1/32 -j DNAT --to-destination 10.0.0.2',
    '-A both -d 192.0.2.1/32 -i eth1 -j ACCEPT',
    'COMMIT',
    '',
  ].join('\n');
  expect(found(text)).toEqual(['never-matches contradiction 4 <-', 'never-matches covered 16 <- 15']);
});

test('alike findings are told together', () => {
  const rules = Array.from({ length: 20 }, (_, index) => `-A INPUT -s 10.0.0.${index}/32 -j ACCEPT`);
  const { stdout } = lint(filter('-A INPUT -s 10.0.0.0/8 -j ACCEPT', ...rules));
  expect(stdout.match(/never matches {2}/g)).toHaveLength(5);
  expect(stdout).toContain('and 15 more, for the same reason:');
});

test('long chains, deep chains and many chains need no recursion', () => {
  const names = Array.from({ length: 60 }, (_, index) => `c${index}`);
  const wide = Array.from({ length: 500 }, (_, index) => `10.0.${index >> 8}.${index & 255}/32`);
  const { stdout, stderr, code } = lint(
    filter(
      ...names.map((name) => `:${name} - [0:0]`),
      ...wide.map((_, index) => `:w${index} - [0:0]`),
      '-A INPUT -j c0',
      ...names.map((name, index) => `-A ${name} -s 10.0.0.${index}/32 -j ACCEPT`),
      ...names.slice(1).map((name, index) => `-A c${index} -j ${name}`),
      '-A c59 -s 10.0.0.7/32 -j DROP',
      ...wide.map((address, index) => `-A OUTPUT -d ${address} -j w${index}`),
      ...wide.map((_, index) => `-A w${index} -p tcp -m tcp --dport 25 -j DROP`),
      ...wide.map((address) => `-A OUTPUT -d ${address} -p tcp -m tcp --dport 25 -j DROP`),
    ),
    'text',
    // nft follows no more than 15 jumps.
    'legacy',
  );
  expect(stderr).toBe('');
  expect(stdout).toContain('rules: 1621 rules in 563 chains: 501 never match\n');
  expect(code).toBe(1);
});

test('bad input is said with its place', () => {
  expect(lint('*filter\n-A INPUT -j\nCOMMIT\n')).toMatchObject({ code: 2, stdout: '' });
});

test('what a host sends to itself conntrack has seen when raw meets it again', () => {
  // As Linux has it: `trace --kernel` of 'icmp 10.0.0.1 > 10.0.0.1 type 8 local' under the first rule says dropped, NEW.
  const raw = (...rules: readonly string[]): string =>
    ['*raw', ':PREROUTING ACCEPT [0:0]', ':OUTPUT ACCEPT [0:0]', ...rules, 'COMMIT', ''].join('\n');
  expect(found(raw('-A PREROUTING -m conntrack --ctstate NEW -j DROP'))).toEqual([]);
  expect(found(raw('-A PREROUTING -i lo -m conntrack --ctstate NEW -j DROP'))).toEqual([]);
  expect(found(raw('-A PREROUTING -m connmark --mark 0x1 -j DROP'))).toEqual([]);
  expect(found(raw('-A PREROUTING -i eth0 -m conntrack --ctstate NEW -j DROP'))).toEqual([
    'never-matches contradiction 4 <-',
  ]);
  expect(found(raw('-A OUTPUT -m conntrack --ctstate NEW -j DROP'))).toEqual(['never-matches contradiction 4 <-']);
});
