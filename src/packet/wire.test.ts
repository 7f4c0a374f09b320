import { expect, test } from 'vitest';
import { parsePacket, printPacket } from './notation.ts';
import { LINKTYPE_ETHERNET, readPcap, writePcap } from './pcap.ts';
import { decodeFrame, decodePacket, encodeFragments, encodePacket } from './wire.ts';

const hex = (octets: Uint8Array): string => Buffer.from(octets).toString('hex');
const unhex = (text: string): Uint8Array => Buffer.from(text, 'hex');

/** tcpdump 4.99 finds every checksum of these correct, and Linux 6.18 takes them: its conntrack, which sums them up, says NEW. */
const OCTETS = [
  ['udp 10.0.0.1:1 > 10.0.0.2:53', '4500001c00000000401166cf0a0000010a000002000100350008eba5'],
  [
    'tcp 10.10.10.2:40000 > 169.254.169.254:80',
    '4500002800000000400612c80a0a0a02a9fea9fe9c400050000003e8000000005002ffffa7610000',
  ],
  ['icmp 10.0.0.1 > 10.0.0.2', '4500001c00000000400166df0a0000010a0000020800f7fd00010001'],
  [
    'sctp 10.0.0.1:1 > 10.0.0.2:2',
    '4500003400000000408466440a0000010a000002000100020000000015d4cc5501000014000000010000ffff0001000100000001',
  ],
  [
    'icmpv6 2001:db8::1 > 2001:db8::2 payload 3',
    '60000000000b3a4020010db800000000000000000000000120010db80000000000000000000000028000244300010001000000',
  ],
] as const;

test.each(OCTETS)('%s has the octets that Linux takes', (text, octets) => {
  expect(hex(encodePacket(parsePacket(text)))).toBe(octets);
  expect(decodePacket(unhex(octets))).toEqual(parsePacket(text));
});

test.each(OCTETS)('%s with a wrong checksum differs in its checksum alone', (text, octets) => {
  const bad = encodePacket(parsePacket(`${text} badsum`));
  const differing = bad.filter((octet, at) => octet !== unhex(octets)[at]).length;
  expect(differing).toBeGreaterThan(0);
  expect(differing).toBeLessThanOrEqual(2);
  expect(decodePacket(bad)).toMatchObject({ badsum: true });
});

/** What Linux 6.18 sent in answer: a reset, an echo reply, and icmp errors (a closed port, REJECT), as AF_PACKET saw them. */
test.each([
  [
    '4500002800004000400626bc0a0900010a0900020051000700000000000003e950140000977b0000',
    'tcp 10.9.0.1:81 > 10.9.0.2:7 flags RA seq 0 ack 1001',
  ],
  [
    '450000217c9000004001ea370a0900010a0900020000fff7000700010000000000',
    'icmp 10.9.0.1 > 10.9.0.2 type 0 id 7 payload 5',
  ],
  [
    '600650da0014064020010db800000000000000000000000120010db80000000000000000000000020051000800000000000003e9501400005b8f0000',
    'tcp [2001:db8::1]:81 > [2001:db8::2]:8 flags RA seq 0 ack 1001',
  ],
  [
    '45c000507d0600004001e8d20a0900010a0900020303a5ae000000004500003400000000408466320a0900020a09000100070063000000003cc2190a01000014000000010000ffff0001000100000001',
    'icmp 10.9.0.1 > 10.9.0.2 type 3 code 3 quotes (sctp 10.9.0.2:7 > 10.9.0.1:99)',
  ],
  [
    '45c000387d1100004001e8df0a0900010a090002030d1121000000004500001c00000000401166bd0a0900020a090001000700620008eb60',
    'icmp 10.9.0.1 > 10.9.0.2 type 3 code 13 quotes (udp 10.9.0.2:7 > 10.9.0.1:98)',
  ],
  [
    // Behind a hop-by-hop header.
    '6000000000240001fe80000000000000000000fffe000001ff0200000000000000000000000000163a000502000001008f0072070000000104000000ff0200000000000000000001ff000001',
    'icmpv6 fe80::ff:fe00:1 > ff02::16 type 143 ttl 1 payload 20',
  ],
])('what Linux sends is read: %s', (octets, text) => {
  const read = decodePacket(unhex(octets));
  expect('reason' in read ? read.reason : printPacket(read)).toBe(text);
});

test('a frame is read without its padding', () => {
  const padding = '00'.repeat(18);
  const frame = unhex(`020000000001fa163e0000010800${OCTETS[0][1]}${padding}`);
  const read = decodeFrame(frame);
  expect('reason' in read ? read.reason : printPacket(read)).toBe(
    'udp 10.0.0.1:1 > 10.0.0.2:53 smac fa:16:3e:00:00:01 dmac 02:00:00:00:00:01',
  );
});

test.each([
  ['', 'no octets'],
  ['50', 'IP version 5'],
  ['4500001c0000', 'the IPv4 header is cut short'],
  ['4500001c00000000401166ce0a0000010a000002000100350008eba5', 'the IPv4 header checksum is wrong'],
  ['4500001c00000000401166cf0a0000010a000002000100', 'the header of protocol 17 is cut short'],
])('octets that are no packet have a reason: %s', (octets, reason) => {
  expect(decodePacket(unhex(octets))).toEqual({ reason });
});

test('a checksum that is left to the network card is not wrong', () => {
  // The sum of the pseudo header alone: 0a00 + 0001 + 0a00 + 0002 + 17 + 8.
  const unfinished = OCTETS[0][1].slice(0, -4) + (0x1400 + 3 + 17 + 8).toString(16);
  expect(decodePacket(unhex(unfinished))).toMatchObject({ badsum: false });
});

test('an icmp error quotes as much as Linux does', () => {
  const long = (error: string, quoted: string) => encodePacket(parsePacket(`${error} quotes (${quoted} payload 1400)`));
  expect(long('icmp 10.0.0.1 > 10.0.0.2 type 3 code 3', 'udp 10.0.0.2:1 > 10.0.0.1:2')).toHaveLength(576);
  expect(long('icmpv6 ::1 > ::2 type 1 code 4', 'udp [::2]:1 > [::1]:2')).toHaveLength(1280);
});

test('a packet is cut into fragments that share its identification', () => {
  const parts = encodeFragments(parsePacket('udp 10.0.0.1:5 > 10.0.0.2:53 payload 3000'), 1487, { id: 0x4d });
  expect(parts.map((octets) => octets.length)).toEqual([1500, 1500, 68]);
  expect(parts.map((octets) => hex(octets.subarray(4, 8)))).toEqual(['004d2000', '004d20b9', '004d0172']);
  const read = parts.map((octets) => decodePacket(octets));
  expect(read.map((packet) => ('reason' in packet ? packet.reason : printPacket(packet)))).toEqual([
    'udp 10.0.0.1:5 > 10.0.0.2:53 payload 1472 frag 0+',
    'udp 10.0.0.1 > 10.0.0.2 payload 1476 frag 185+',
    'udp 10.0.0.1 > 10.0.0.2 payload 44 frag 370',
  ]);
});

test('captures of either byte order and resolution are read, others have a reason', () => {
  const octets = unhex('0102');
  const written = writePcap({ linkType: LINKTYPE_ETHERNET, packets: [{ time: 1_000_002, octets, length: 60 }] });
  expect(hex(written)).toBe(
    [
      'd4c3b2a1',
      '02000400',
      '00000000',
      '00000000',
      '00000400',
      '01000000',
      '01000000',
      '02000000',
      '02000000',
      '3c000000',
      '0102',
    ].join(''),
  );
  const big = unhex('a1b23c4d00020004000000000000000000040000000000010000000100000bb8000000020000003c0102');
  expect(readPcap(big)).toEqual({
    linkType: 1,
    packets: [{ time: 1_000_003, octets: Uint8Array.of(1, 2), length: 60 }],
  });
  expect(readPcap(unhex('0a0d0d0a'.padEnd(48, '0')))).toMatchObject({
    reason: expect.stringContaining('pcapng') as string,
  });
  expect(readPcap(written.with(20, 9))).toMatchObject({
    reason: 'link type 9 is neither Ethernet (1) nor raw IP (101)',
  });
  expect(readPcap(written.subarray(0, 30))).toMatchObject({ reason: 'cut short in the header of packet 1' });
});
