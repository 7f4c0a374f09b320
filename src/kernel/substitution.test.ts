import { describe, expect, test } from 'vitest';
import { parseArrival, printArrival } from '../packet/notation.ts';
import { parseAddress } from '../address/address.ts';
import { substituted, type Substitution } from './substitution.ts';

const at = { path: 'test', line: 1, column: 1 };
const address = (text: string) => parseAddress(text) ?? 0;

/** A choice in the flow of 192.0.2.10 with 172.16.0.9. */
const chosen = (protocol: number, model: number, kernel: number, peerPort = 0): Substitution => ({
  protocol,
  address: address('192.0.2.10'),
  peer: address('172.16.0.9'),
  peerPort,
  model,
  kernel,
});

const named = (text: string, choice: Substitution): string => {
  const arrival = parseArrival(`${text} in eth0`, at);
  return printArrival({ ...arrival, packet: substituted(arrival.packet, [choice]) }).replace(/ in eth0$/, '');
};

describe('what the kernel chose stands for what the model chose', () => {
  test.each([
    ['icmp 192.0.2.10 > 172.16.0.9 id 7', 'icmp 192.0.2.10 > 172.16.0.9 id 900'],
    ['icmp 172.16.0.9 > 192.0.2.10 type 0 id 7', 'icmp 172.16.0.9 > 192.0.2.10 type 0 id 900'],
    ['icmp 192.0.2.10 > 172.16.0.9 id 8', 'icmp 192.0.2.10 > 172.16.0.9 id 8'],
    ['icmp 192.0.2.10 > 172.16.0.1 id 7', 'icmp 192.0.2.10 > 172.16.0.1 id 7'],
    [
      'icmp 10.0.0.2 > 172.16.0.9 type 3 code 3 quotes (icmp 172.16.0.9 > 10.0.0.2 type 0 id 7)',
      'icmp 10.0.0.2 > 172.16.0.9 type 3 code 3 quotes (icmp 172.16.0.9 > 10.0.0.2 type 0 id 900)',
    ],
  ])('identifiers: %s', (ours, theirs) => {
    expect(named(ours, chosen(1, 7, 900))).toBe(theirs);
  });

  test.each([
    ['udp 192.0.2.10:7 > 172.16.0.9:53', 'udp 192.0.2.10:900 > 172.16.0.9:53'],
    ['udp 172.16.0.9:53 > 192.0.2.10:7', 'udp 172.16.0.9:53 > 192.0.2.10:900'],
    ['udp 192.0.2.10:7 > 172.16.0.9:54', 'udp 192.0.2.10:7 > 172.16.0.9:54'],
    [
      'icmp 192.0.2.1 > 192.0.2.10 type 3 code 3 quotes (udp 192.0.2.10:7 > 10.0.0.2:80)',
      'icmp 192.0.2.1 > 192.0.2.10 type 3 code 3 quotes (udp 192.0.2.10:900 > 10.0.0.2:80)',
    ],
  ])('ports: %s', (ours, theirs) => {
    expect(named(ours, chosen(17, 7, 900, 53))).toBe(theirs);
  });
});
