import { expect, test } from 'vitest';
import { parseMove, printMove } from './move.ts';

test.each([
  'udp 10.0.0.2:5000 > 10.0.0.3:53 in vnet0',
  'icmp 10.0.0.1 > 10.0.0.2 type 3 code 3 quotes (udp 10.0.0.2:5000 > 10.0.0.3:53) local',
  'fragments 32 udp 10.0.0.2:5000 > 10.0.0.3:53 payload 100 in vnet0',
  'reply',
  'flush',
  'again',
  'again ttl 1',
  'again flags 4 payload 20',
  'follow PA 10',
  'follow - 0',
  'error 3 3',
  'error 1 4 by 2001:db8::1',
])('%s is a move', (text) => {
  expect(printMove(parseMove(text, 'moves', 1))).toBe(text);
});

test.each(['reply twice', 'again ttl', 'again id 7', 'follow X 0', 'error 3', 'error 3 300', 'fragments', 'nothing'])(
  '%s is no move, and the message says where it stands',
  (text) => {
    expect(() => parseMove(text, 'moves', 7)).toThrow(/^moves:7:\d+: /);
  },
);
