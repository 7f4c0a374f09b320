import { expect, test } from 'vitest';
import { cornerPackets } from './corner.ts';
import { printPacket } from './notation.ts';
import { parseSet } from './set-notation.ts';

const cornersOf = (text: string): readonly string[] => cornerPackets(parseSet(text)).map(printPacket);

test('the corners of a set are its lowest and its highest packet, and the ends of each range with everything else as usual', () => {
  expect(cornersOf('tcp 10.0.0.2-10.0.0.9 > 192.0.2.1:80,443-445 flags S')).toEqual([
    'tcp 10.0.0.2:0 > 192.0.2.1:80',
    'tcp 10.0.0.9:65535 > 192.0.2.1:445',
    'tcp 10.0.0.2:1024 > 192.0.2.1:80',
    'tcp 10.0.0.9:1024 > 192.0.2.1:80',
    'tcp 10.0.0.2:1024 > 192.0.2.1:443',
    'tcp 10.0.0.2:1024 > 192.0.2.1:445',
  ]);
});

test('a hole in a range has two edges', () => {
  const corners = cornersOf('udp !192.0.2.0/24 > 10.0.0.1:53');
  expect(corners).toContain('udp 192.0.1.255:1024 > 10.0.0.1:53');
  expect(corners).toContain('udp 192.0.3.0:1024 > 10.0.0.1:53');
});

test('each corner is a packet of the set, and no field that a protocol has not is one', () => {
  expect(cornersOf('icmp any > 10.0.0.1 type 8')).toEqual([
    'icmp 0.0.0.0 > 10.0.0.1',
    'icmp 255.255.255.255 > 10.0.0.1 code 255',
    'icmp 203.0.113.7 > 10.0.0.1',
  ]);
});
