import { expect, test } from 'vitest';
import { printAddress } from '../address/address.ts';
import { printArrival } from './notation.ts';
import { setHolds } from './pattern.ts';
import type { Random } from './sample.ts';
import { leastPacket, sampleArrival, samplerOf } from './sample.ts';
import { parseSet } from './set-notation.ts';

/** xorshift32. */
function randomFrom(seed: number): Random {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

test.each([
  ['any any > any', 'tcp 203.0.113.7:1024 > 198.51.100.7:1 in eth0'],
  ['!tcp any > 10.10.10.0/24', 'udp 203.0.113.7:1024 > 10.10.10.1:1 in eth0'],
  ['icmp 10.10.10.2 > any local', 'icmp 10.10.10.2 > 198.51.100.7 local'],
  [
    'tcp !203.0.113.0/24 > 10.10.10.2:80-90,22 in vnet0 state NEW,INVALID',
    'tcp 1.0.0.1:1024 > 10.10.10.2:22 in vnet0 state NEW',
  ],
  ['tcp any:0-80 > 127.0.0.0/8,224.0.0.1:0 flags !S', 'tcp 203.0.113.7:1 > 127.0.0.0:0 flags SA in eth0'],
  ['gre 10.0.0.1 > 10.0.0.1', 'gre 10.0.0.1 > 10.0.0.1 in eth0'],
  ['any 10.0.0.1 > 10.0.0.0/31 in !eth0', 'tcp 10.0.0.1:1024 > 10.0.0.0:1 in eth1'],
  [
    'udp any > any:53 | tcp any > ::1:22 | tcp any > [2001:db8::9]:22',
    'udp 203.0.113.7:1024 > 198.51.100.7:53 in eth0',
  ],
] as const)('the least packet is one that a person would write: %s', (text, expected) => {
  expect(printArrival(leastPacket(parseSet(text)) ?? expect.fail('empty'))).toBe(expected);
});

test('an empty set has no packets', () => {
  expect(leastPacket(parseSet('none'))).toBeUndefined();
  expect(sampleArrival(parseSet('none'), randomFrom(1))).toBeUndefined();
  expect(sampleArrival(parseSet('44 any > ::1'), randomFrom(1))).toBeUndefined();
});

test('samples are of the set, hit its edges and what is named, and follow from the seed', () => {
  const set = parseSet(
    'tcp 10.10.10.0/24 > any:1-1024,8080 in vnet0,vnet1 state NEW | udp any > 10.10.10.2,10.10.10.9 in !wlan0',
  );
  const floating = 0xc0a801e9;
  const aim = { addresses: [floating, 5n], ports: [22, 9999], entries: [{ kind: 'in', interface: 'vnet1' }] as const };
  const draw = (seed: number) => {
    const random = randomFrom(seed);
    const sampler = samplerOf(set, aim) ?? expect.fail('empty');
    return Array.from({ length: 2000 }, () => sampler(random));
  };
  const arrivals = draw(7);
  expect(arrivals.every((arrival) => setHolds(set, arrival))).toBe(true);
  expect(draw(7)).toEqual(arrivals);
  expect(draw(8)).not.toEqual(arrivals);
  const tcp = arrivals.filter(({ packet }) => packet.protocol === 6);
  const ports = new Set(tcp.map(({ packet }) => packet.dport));
  for (const port of [1, 2, 22, 1023, 1024, 8080]) expect(ports).toContain(port);
  expect(ports).not.toContain(9999);
  const destinations = new Set(tcp.map(({ packet }) => printAddress(packet.daddr)));
  expect(destinations).toContain('192.168.1.233');
  expect(new Set(arrivals.map(({ entry }) => (entry.kind === 'in' ? entry.interface : '')))).toEqual(
    new Set(['vnet1']),
  );
  expect(new Set(tcp.map(({ state }) => state))).toEqual(new Set(['NEW']));
});
