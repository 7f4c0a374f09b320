import { expect, test } from 'vitest';
import { countPackets, sameSet } from './pattern.ts';
import { parseSet, printSet } from './set-notation.ts';

test.each([
  'tcp any > 10.10.10.0/24:1-1024,8080 in wlan0 state NEW',
  'any any > any',
  'any 0.0.0.0/0 > 0.0.0.0/0',
  'any any > 10.0.0.0/8 | any any > 2001:db8::/32',
  'none',
  'tcp,udp !10.0.0.0/8,192.168.0.0/16 > 203.0.113.7:53 in !wlan0',
  'tcp 10.0.0.0/8,!10.10.10.2:!22 > any',
  '!tcp any > 10.0.0.1-10.0.0.9',
  'tcp [2001:db8::/32]:1-9 > [!2001:db8::1]:80',
  'tcp any > 10.0.0.1 flags S/FSRA',
  'tcp any > 10.0.0.1 flags S,SA',
  'tcp any > 10.0.0.1 flags !S/FSRA',
  'tcp any > 10.0.0.1 flags -',
  'icmp any > any type 3 code 1,3',
  'icmp 10.0.0.1 > any type !8',
  'icmpv6 any > any type 128,129',
  'any any > 10.0.0.1:53',
  'udp 10.0.0.1 > any local',
  'udp 10.0.0.1 > any in host1:eth0,host2:eth0 local host1: state !INVALID',
  'udp 10.0.0.1 > any in any',
  'udp 10.0.0.1 > any local any',
  '47,50-51 10.0.0.1 > any',
])('a set prints as it is read: %s', (text) => {
  expect(printSet(parseSet(text))).toBe(text.replace('47,50-51', 'gre,esp,ah'));
});

test.each([
  ['tcp any > 10.0.0.0/25,10.0.0.128/25:0-65535', 'tcp any > 10.0.0.0/24'],
  ['tcp 0.0.0.0/0 > 10.10.10.1/24', 'tcp any > 10.10.10.0/24'],
  ['tcp any > 10.0.0.1:1-79,81-65535', 'tcp any > 10.0.0.1:!0,80'],
  ['6,udp any > 10.0.0.1 state new,related,invalid,untracked', 'tcp,udp any > 10.0.0.1 state !ESTABLISHED'],
  ['icmp any > 10.0.0.1 type port-unreachable', 'icmp any > 10.0.0.1 type 3 code 3'],
  ['icmp any > any type echo-request,pong', 'icmp any > any type 0,8'],
  ['icmp,icmpv6 any > any type ping', 'icmp any > any type 8 | icmpv6 any > any type 128'],
  ['any any > 10.0.0.1 flags S', 'tcp any > 10.0.0.1 flags S'],
  ['any any > any type 8', 'icmp any > any type 8 | icmpv6 any > any type 8'],
  ['udp any > any:53 | udp any > 10.0.0.1:53', 'udp any > any:53'],
  ['tcp 10.0.0.0/8,!10.0.0.0/8 > any', 'none'],
])('a set prints in its shortest form: %s', (text, canonical) => {
  const printed = printSet(parseSet(text));
  expect(printed).toBe(canonical);
  expect(sameSet(parseSet(printed), parseSet(text))).toBe(true);
});

test.each([
  ['tpc any > any', '1:1: unknown protocol `tpc`, did you mean tcp?'],
  ['tcp any > 10.0.0/24', '1:11: expected an address, a prefix, a range FROM-TO or `any`, read `10.0.0/24`'],
  ['tcp any > 10.0.0.1,::1', '1:11: IPv4 and IPv6 addresses are mixed in one list'],
  ['tcp 10.0.0.1 > ::1', '1:16: the sources are IPv4, read `::1`'],
  ['tcp any > any:80-22', '1:15: expected ports 0-65535 (22, 1-1024, a list of them, or !), read `80-22`'],
  ['udp any > any flags S', '1:21: udp has no flags'],
  ['icmp any > any:80', '1:12: icmp has no ports'],
  ['icmp ::1 > any', '1:1: these are IPv6 addresses, whose icmp is `icmpv6`'],
  ['tcp any > any state NEWW', '1:21: unknown state `NEWW`, did you mean NEW?'],
  ['tcp any > any stat NEW', '1:15: unknown key `stat`, did you mean state?'],
  ['tcp any > any |', '1:16: expected a protocol (tcp, udp, icmp, ..., any or a number), the text ends here'],
])('a mistake is named with its place: %s', (text, message) => {
  expect(() => parseSet(text)).toThrow(expect.objectContaining({ message: `argument:${message}` }) as unknown);
});

test.each([
  ['tcp 10.0.0.1:1 > 10.0.0.0/30:80 flags S', 4n],
  ['gre 10.0.0.1 > 10.0.0.2 | gre 10.0.0.1 > 10.0.0.0/30 in eth0', 4n],
  ['udp 10.0.0.1 > 10.0.0.2', 1n << 32n],
  ['tcp 10.0.0.1 > 10.0.0.2', 1n << 40n],
  ['icmp 10.0.0.1 > 10.0.0.2', 1n << 16n],
  ['none', 0n],
  ['esp ::1 > any', 1n << 128n],
])('headers are counted, each once: %s', (text, count) => {
  expect(countPackets(parseSet(text))).toBe(count);
});
