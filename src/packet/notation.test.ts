import { expect, test } from 'vitest';
import { parseArrival, parsePacket, printArrival, printPacket } from './notation.ts';
import { makePacket, TCP } from './packet.ts';

const messageExactly = (message: string) => expect.objectContaining({ message }) as unknown as Error;

const CANONICAL = [
  'tcp 10.10.10.2:40000 > 169.254.169.254:80 in vnet0',
  'icmp 203.0.113.7 > 192.168.1.233 id 77 in wlan0',
  'udp 192.168.1.90:53 > 10.10.10.2:5353 local',
  'tcp [2001:db8::1]:1 > [2001:db8::2]:22 flags SA seq 7 ack 9 ttl 1 mark 0x1f in host1:br100 state NEW',
  'tcp 10.0.0.1:1 > 10.0.0.2:2 flags - in eth0',
  'icmpv6 fe80::1 > ff02::1 type 135 in eth0',
  'icmp 10.0.0.1 > 10.0.0.2 type 3 code 3 quotes 4 in eth0',
  'icmp 10.0.0.1 > 10.0.0.2 type 3 code 3 quotes (udp 10.0.0.2:1 > 10.0.0.9:53 ttl 63 payload 20) ttl 60 in eth0',
  'udp 10.0.0.1:0 > 10.0.0.2:0 payload 12 badsum smac fa:16:3e:00:00:01 dmac ff:ff:ff:ff:ff:ff local host1:',
  'udp 10.0.0.1:5 > 10.0.0.2:53 frag 0+ in eth0',
  'udp 10.0.0.1 > 10.0.0.2 payload 4 frag 185 in eth0',
  'gre 10.0.0.1:1 > 10.0.0.2:0 frag 1+ in eth0',
  'gre 10.0.0.1 > 10.0.0.2 local',
  '99 10.0.0.1 > 10.0.0.2 local state UNTRACKED',
  'sctp [2001:db8::1]:1 > [2001:db8::2]:2 frag 0 local',
];

test.each(CANONICAL)('canonical text prints as it is read: %s', (text) => {
  expect(printArrival(parseArrival(text))).toBe(text);
});

test.each([
  ['TCP 10.0.0.1:1>10.0.0.2:2 flags s in eth0', 'tcp 10.0.0.1:1 > 10.0.0.2:2 in eth0'],
  ['6 10.0.0.1:1 > 10.0.0.2:2 in eth0 seq 1000 ttl 64', 'tcp 10.0.0.1:1 > 10.0.0.2:2 in eth0'],
  ['tcp 10.0.0.1:1 > 10.0.0.2:2 flags AS in eth0', 'tcp 10.0.0.1:1 > 10.0.0.2:2 flags SA in eth0'],
  ['icmp 10.0.0.1 > 10.0.0.2 type ping in eth0', 'icmp 10.0.0.1 > 10.0.0.2 in eth0'],
  ['icmp 10.0.0.1 > 10.0.0.2 type Port-Unreachable in eth0', 'icmp 10.0.0.1 > 10.0.0.2 type 3 code 3 in eth0'],
  ['ipv6-icmp ::1 > ::2 type echo-reply state new local', 'icmpv6 ::1 > ::2 type 129 local state NEW'],
])('other spellings come to the canonical one: %s', (text, canonical) => {
  expect(printArrival(parseArrival(text))).toBe(canonical);
});

test('defaults are those of the notation', () => {
  expect(parsePacket('tcp 1.2.3.4:5 > 6.7.8.9:10')).toEqual(
    makePacket({
      family: 4,
      saddr: 0x01020304,
      daddr: 0x06070809,
      protocol: TCP,
      sport: 5,
      dport: 10,
      flags: 2,
      seq: 1000,
    }),
  );
  expect(parsePacket('icmp 1.2.3.4 > 6.7.8.9 type 3').id).toBe(0);
  expect(parsePacket('udp 1.2.3.4 > 6.7.8.9 frag 3')).toMatchObject({ sport: 0, fragment: { offset: 3, more: false } });
  expect(printPacket(parsePacket('tcp 1.2.3.4 > 6.7.8.9 frag 3'))).toBe('tcp 1.2.3.4 > 6.7.8.9 frag 3');
});

test.each([
  ['', '1:1: expected a protocol (tcp, udp, icmp, ... or a number), the text ends here'],
  ['tpc 1.2.3.4:1 > 1.2.3.4:2', '1:1: unknown protocol `tpc`, did you mean tcp?'],
  [
    'tcp 1.2.3:1 > 1.2.3.4:2',
    '1:5: expected the source address, as 10.0.0.1, 10.0.0.1:80, 2001:db8::1 or [2001:db8::1]:80, read `1.2.3:1`',
  ],
  ['tcp 1.2.3.4:99999 > 1.2.3.4:2', '1:13: expected a port 0-65535 after the address, read `99999`'],
  ['tcp 1.2.3.4:1 1.2.3.4:2', '1:15: expected `>` and the destination, read `1.2.3.4:2`'],
  ['tcp 1.2.3.4 > 1.2.3.4:2 in eth0', '1:5: tcp needs a source port: 1.2.3.4:PORT'],
  ['tcp ::1 > [::1]:2 in eth0', '1:5: tcp needs a source port: [::1]:PORT'],
  ['tcp 1.2.3.4:1 > [::1]:2 in eth0', '1:17: the source is an IPv4 address, read `[::1]:2`'],
  ['gre 1.2.3.4:1 > 1.2.3.4:2 in eth0', '1:5: gre has no ports'],
  ['icmp ::1 > ::2 in eth0', '1:1: these are IPv6 addresses, whose icmp is `icmpv6`'],
  ['44 ::1 > ::2 in eth0', '1:1: 44 is an extension header of IPv6, no protocol that a packet ends in'],
  ['tcp 1.2.3.4:1 > 1.2.3.4:2 sate NEW', '1:27: unknown key `sate`, did you mean state?'],
  ['tcp 1.2.3.4:1 > 1.2.3.4:2 state NWE in eth0', '1:33: unknown state `NWE`, did you mean NEW?'],
  [
    'tcp 1.2.3.4:1 > 1.2.3.4:2 flags XY in eth0',
    '1:33: expected tcp flags (letters of FSRPAUEC, or - for none), read `XY`',
  ],
  ['tcp 1.2.3.4:1 > 1.2.3.4:2 ttl 256 in eth0', '1:31: expected ttl (a number 0-255), read `256`'],
  [
    'tcp 1.2.3.4:1 > 1.2.3.4:2 in',
    '1:29: expected an interface, as eth0 or host1:eth0 (at most 15 characters), the text ends here',
  ],
  ['tcp 1.2.3.4:1 > 1.2.3.4:2 ttl 1 ttl 2', '1:33: ttl is written twice'],
  ['tcp 1.2.3.4:1 > 1.2.3.4:2 type 8 in eth0', '1:27: tcp has no type'],
  [
    'tcp 1.2.3.4:1 > 1.2.3.4:2',
    '1:26: where does the packet enter? expected `in INTERFACE`, or `local` for one made by the host',
  ],
  ['tcp 1.2.3.4:1 > 1.2.3.4:2 in a local', '1:32: a packet enters `in` or is `local`, not both'],
  ['icmp 1.2.3.4 > 1.2.3.4 type 3 id 4 in a', '1:31: icmp type 3 has no id'],
  [
    'icmp 1.2.3.4 > 1.2.3.4 quotes 4 in a',
    '1:24: icmp type 8 quotes no packet: only errors do, as `type port-unreachable` or `type time-exceeded`',
  ],
  ['icmp 1.2.3.4 > 1.2.3.4 type pingg in a', '1:29: unknown icmp type `pingg`, did you mean ping?'],
  ['icmp 1.2.3.4 > 1.2.3.4 type 3 quotes (tcp 1.2.3.4:1 > 1.2.3.4:2 in a', '1:65: a quoted packet has no in'],
  [
    'icmp 1.2.3.4 > 1.2.3.4 type 3 quotes (tcp 1.2.3.4:1 > 1.2.3.4:2',
    '1:64: expected `)` after the quoted packet, the text ends here',
  ],
  [
    'udp 1.2.3.4:1 > 1.2.3.4:2 payload 65508 local',
    '1:27: this packet would have 65536 octets, an IPv4 packet has at most 65535 octets',
  ],
  ['udp 1.2.3.4 > 1.2.3.4 frag 1 badsum local', '1:30: a fragment has no checksum of its own'],
  [
    'tcp 1.2.3.4 > 1.2.3.4 frag 1 flags S local',
    '1:30: a fragment with an offset has no transport header, so no flags',
  ],
  ['udp 1.2.3.4:1 > 1.2.3.4:2 frag 0 local', '1:27: `frag 0` without + is a whole packet: leave it out'],
])('a mistake is named with its place: %s', (text, message) => {
  expect(() => parseArrival(text)).toThrow(messageExactly(`argument:${message}`));
});

test('a packet by itself has no entry', () => {
  expect(() => parsePacket('tcp 1.2.3.4:1 > 1.2.3.4:2 in eth0', { path: 'f', line: 3, column: 11 })).toThrow(
    'f:3:37: in is said of a packet that arrives, not of this one',
  );
});

test('quotes may not nest without end', () => {
  const open = 'icmp 1.2.3.4 > 1.2.3.4 type 3 quotes (';
  expect(() => parseArrival(open.repeat(2000))).toThrow('packets are quoted more than 4 deep');
});
