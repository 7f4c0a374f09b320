import { expect, test } from 'vitest';
import { parseConversation, printConversation } from './conversation.ts';
import type { Outcome } from './fate.ts';
import { fateMatches, parseFate, printFate, printOutcome } from './fate.ts';
import { parsePacket } from './notation.ts';

const FILE = `# vm1 fetches its metadata
tcp 10.10.10.2:40000 > 169.254.169.254:80 in vnet0   # a SYN
> forwarded wlan0 tcp 10.10.10.2 > 192.168.1.90:8775 ttl 63

reply
  > forwarded br100 vnet0
flush
icmp 192.168.1.1 > 10.10.10.2 type port-unreachable quotes 2 in wlan0\r
`;

test('a conversation keeps its order, its line numbers and what is expected', () => {
  const conversation = parseConversation(FILE, 'f');
  expect(conversation.items.map(({ kind, line }) => `${line} ${kind}`)).toEqual([
    '2 packet',
    '5 reply',
    '7 flush',
    '8 packet',
  ]);
  expect(conversation.items[1]).toMatchObject({ expected: { line: 6, fate: { oif: 'br100', port: 'vnet0' } } });
  const printed = printConversation(conversation);
  expect(printed).toContain('\n> forwarded wlan0 tcp 10.10.10.2 > 192.168.1.90:8775 ttl 63\n');
  expect(parseConversation(printed, 'f')).toEqual(conversation);
});

test('one bad line does not hide the next, nor is it reported twice', () => {
  const bad =
    'tpc 1.2.3.4:1 > 1.2.3.4:2 in a\n> droped\nreply now\n> dropped\nicmp 1.2.3.4 > 1.2.3.4 type 3 quotes 1 in a\n  > forwarded a b c\n';
  expect(() => parseConversation(bad, 'f')).toThrow(
    expect.objectContaining({
      message: [
        'f:1:1: unknown protocol `tpc`, did you mean tcp?',
        'f:2:3: unknown fate `droped`, did you mean dropped?',
        'f:3:1: expected nothing after reply',
        'f:6:19: expected a packet after the interface and its bridge port, read `c`',
      ].join('\n'),
    }) as unknown,
  );
});

test.each([
  ['> dropped', 'f:1:1: expected a packet or a reply on the line before what is expected of it'],
  ['flsuh', 'f:1:1: unknown word `flsuh`, did you mean flush?'],
  ['10.0.0.1 > 10.0.0.2', 'f:1:1: unknown protocol `10.0.0.1`, expected tcp, udp, icmp, icmpv6, ... or a number 0-255'],
  ['reply', 'f:1:1: reply to what? expected a packet on a line before'],
  ['icmp 1.2.3.4 > 1.2.3.4 type 3 quotes 9 in a', 'f:1:31: there is no packet on line 9 before this one'],
  [
    'gre 1.2.3.4 > 1.2.3.4 in a\n> dropped\n> dropped',
    'f:3:1: what is expected of line 1 is already written on line 2',
  ],
  ['gre 1.2.3.4 > 1.2.3.4 in a\n> dropped eth0', 'f:2:11: expected nothing after dropped, read `eth0`'],
  [
    'gre 1.2.3.4 > 1.2.3.4 in a\n> delivered eth0',
    'f:2:13: expected a packet (a delivered one leaves by no interface), read `eth0`',
  ],
  [
    'gre 1.2.3.4 > 1.2.3.4 in a\n> delivered tcp any > any in b',
    'f:2:27: in is said of a packet that arrives, not of where it ends',
  ],
  ['gre 1.2.3.4 > 1.2.3.4 in a\n> delivered tcp any > any tl 3', 'f:2:27: unknown key `tl`, did you mean ttl?'],
])('a mistake is named with its place: %s', (text, message) => {
  expect(() => parseConversation(text, 'f')).toThrow(expect.objectContaining({ message }) as unknown);
});

const left = parsePacket('tcp 192.168.1.233:40000 > 203.0.113.7:22 flags SA ttl 63');
const forwarded: Outcome = { kind: 'forwarded', oif: 'br100', port: 'vnet0', packet: left };

test.each([
  'forwarded',
  'forwarded br100',
  'forwarded br100 vnet0',
  'forwarded tcp any > any',
  'forwarded br100 tcp any > 203.0.113.0/24:22',
  'forwarded br100 vnet0 tcp 192.168.1.233 > any flags SA ttl 63',
  'forwarded any any > any',
])('what is not written is not compared: %s', (text) => {
  expect(fateMatches(parseFate(text), forwarded)).toBe(true);
  expect(printFate(parseFate(text))).toBe(text);
});

test.each([
  'delivered',
  'forwarded wlan0',
  'forwarded br100 vnet1',
  'forwarded udp any > any',
  'forwarded br100 tcp any > any:23',
  'forwarded tcp any > any flags S',
  'forwarded tcp any > any ttl 64',
  'forwarded tcp any > any dmac 00:00:00:00:00:01',
  'forwarded icmp any > any quotes (tcp any > any)',
  'forwarded any :: > any',
])('what is written is compared: %s', (text) => {
  expect(fateMatches(parseFate(text), forwarded)).toBe(false);
});

test('an outcome prints as an expectation that it meets', () => {
  const error = parsePacket('icmp 10.0.0.1 > 10.0.0.2 type 3 code 3 quotes (udp 10.0.0.2:1 > 10.0.0.9:53 payload 9)');
  const fragment = parsePacket('gre 10.0.0.1:9 > 10.0.0.2:9 frag 3');
  for (const packet of [left, error, fragment]) {
    for (const outcome of [{ ...forwarded, packet }, { kind: 'delivered', packet } as const]) {
      expect(fateMatches(parseFate(printOutcome(outcome)), outcome)).toBe(true);
    }
  }
  expect(printOutcome({ kind: 'dropped' })).toBe('dropped');
});
