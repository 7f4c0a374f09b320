/** The laws of packets: their notation, their octets, their files. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { arrivalArb, packetArb } from '../src/arbitrary/packet.ts';
import { InputError } from '../src/diagnostic/diagnostic.ts';
import { parseConversation } from '../src/packet/conversation.ts';
import { fateMatches, parseFate, printFate, printOutcome } from '../src/packet/fate.ts';
import { packetLength } from '../src/packet/length.ts';
import { parseArrival, parsePacket, printArrival, printPacket } from '../src/packet/notation.ts';
import type { Packet } from '../src/packet/packet.ts';
import { isPart, makePacket } from '../src/packet/packet.ts';
import { LINKTYPE_RAW, readPcap, writePcap } from '../src/packet/pcap.ts';
import { parseSet } from '../src/packet/set-notation.ts';
import { decodeFrame, decodePacket, encodeFragments, encodeFrame, encodePacket } from '../src/packet/wire.ts';

const runs = (numRuns: number) => ({ seed: 20120705, numRuns });

test('a packet reads back from its notation, which is canonical', () => {
  fc.assert(
    fc.property(arrivalArb(), (arrival) => {
      const text = printArrival(arrival);
      expect(parseArrival(text)).toEqual({ ...arrival });
      expect(printArrival(parseArrival(text))).toBe(text);
      expect(parsePacket(printPacket(arrival.packet))).toEqual({ ...arrival.packet });
    }),
    runs(400),
  );
});

test('the notation is minimal: no key can be left out', () => {
  fc.assert(
    fc.property(packetArb(), (packet) => {
      const words = printPacket({ ...packet, badsum: false })
        .replace(/ quotes \(.*\)/, '')
        .split(' ');
      for (let key = 4; key < words.length; key += 2) {
        const shorter = words.toSpliced(key, 2).join(' ');
        let read: Packet | undefined;
        try {
          read = parsePacket(shorter);
        } catch (error) {
          if (!(error instanceof InputError)) throw error;
        }
        expect(read === undefined ? '' : printPacket(read)).not.toBe(words.join(' '));
      }
    }),
    runs(150),
  );
});

/** What octets can say of a packet. */
function onTheWire({ smac: _smac, dmac: _dmac, ...packet }: Packet): Packet {
  return { ...packet, mark: 0 };
}

test('a packet reads back from its octets, as long as it says', () => {
  fc.assert(
    fc.property(packetArb(), (packet) => {
      const octets = encodePacket(packet, { id: 7 });
      expect(decodePacket(octets)).toEqual(onTheWire(packet));
      expect(octets.length).toBe(packetLength(packet));
      const framed = { ...packet, smac: 'fa:16:3e:00:00:01', dmac: 'ff:ff:ff:ff:ff:ff' };
      expect(decodeFrame(encodeFrame(framed))).toEqual({ ...framed, mark: 0 });
    }),
    runs(400),
  );
});

test('one flipped bit of a transport header or payload is a wrong checksum or another packet', () => {
  fc.assert(
    fc.property(packetArb({ plain: true }), fc.nat(0xffff), fc.nat(7), (packet, place, bit) => {
      const octets = encodePacket(packet);
      const start = packet.family === 4 ? 20 : 40;
      fc.pre(octets.length > start);
      const at = start + (place % (octets.length - start));
      octets[at] = (octets[at] ?? 0) ^ (1 << bit);
      const read = decodePacket(octets);
      // Protocols without a checksum here have no fields either, and a UDP checksum of 0 means that there is none.
      const unprotected = ![6, 17, 132, 136, packet.family === 4 ? 1 : 58].includes(packet.protocol);
      const noChecksum = packet.protocol === 17 && octets[start + 6] === 0 && octets[start + 7] === 0;
      if (!unprotected && !noChecksum && !('reason' in read)) expect(read.badsum).toBe(true);
    }),
    runs(500),
  );
});

test('fragments say where they belong and make up the packet', () => {
  fc.assert(
    fc.property(packetArb(), fc.integer({ min: 40, max: 600 }), (packet, size) => {
      fc.pre(!isPart(packet));
      const { fragment: _fragment, ...whole } = packet;
      const octets = encodePacket(whole);
      const header = packet.family === 4 ? 20 : 40;
      let end = 0;
      for (const part of encodeFragments(whole, size)) {
        const read = decodePacket(part);
        // The last fragment may be shorter than the ports that would stand in it.
        if ('reason' in read) continue;
        const skipped = packet.family === 4 ? 20 : 48;
        const offset = (read.fragment?.offset ?? 0) * 8;
        expect([...part.subarray(skipped)]).toEqual([
          ...octets.subarray(header + offset, header + offset + part.length - skipped),
        ]);
        end = offset + part.length - skipped;
      }
      expect(octets.length - header - end).toBeLessThan(4);
    }),
    runs(100),
  );
});

test('a capture file reads back', () => {
  const captured = packetArb().map((packet) => encodePacket(packet));
  fc.assert(
    fc.property(fc.array(fc.tuple(captured, fc.nat(2 ** 31)), { maxLength: 5 }), (packets) => {
      const capture = { linkType: LINKTYPE_RAW, packets: packets.map(([octets, time]) => ({ time, octets })) } as const;
      const file = writePcap(capture);
      expect(readPcap(file)).toEqual(capture);
      if (packets.length > 0) expect(readPcap(file.subarray(0, -1))).toHaveProperty('reason');
    }),
    runs(50),
  );
});

test('any octets are a packet or a reason, never an exception', () => {
  const mutated = fc
    .tuple(packetArb(), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), fc.nat(2000))
    .map(([packet, changes, cut]) => {
      const octets = encodePacket(packet).subarray(0, cut);
      for (const [at, value] of changes) if (octets.length > 0) octets[at % octets.length] = value;
      return octets;
    });
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 120 })), (octets) => {
      for (const read of [decodePacket(octets), decodeFrame(octets)]) {
        if (!('reason' in read)) expect(() => printPacket(read)).not.toThrow();
      }
      readPcap(octets);
    }),
    runs(400),
  );
});

test('an outcome prints as an expectation that it meets, and that prints as it is read', () => {
  const outcome = fc.tuple(packetArb(), fc.nat(3)).map(([packet, kind]) => {
    if (kind === 3) return { kind: 'delivered', packet } as const;
    return { kind: 'forwarded', oif: 'br100', ...(kind > 0 && { port: 'vnet0' }), packet } as const;
  });
  fc.assert(
    fc.property(outcome, (value) => {
      const expected = parseFate(printOutcome(value));
      expect(fateMatches(expected, value)).toBe(true);
      expect(printFate(parseFate(printFate(expected)))).toBe(printFate(expected));
      const other = makePacket({ ...value.packet, ttl: (value.packet.ttl + 1) % 256 });
      if (value.packet.ttl !== 64) expect(fateMatches(expected, { ...value, packet: other })).toBe(false);
    }),
    runs(200),
  );
});

/** Any UTF-16, lone surrogates too. */
const anyText = fc.array(fc.nat(0xffff), { maxLength: 60 }).map((units) => String.fromCharCode(...units));

test('any text is read or refused with its place, never anything else', () => {
  const mutated = fc
    .tuple(
      arrivalArb(),
      fc.nat(400),
      fc.constantFrom('', '(', ')', '>', '|', '!', ',', ':', '[', ' ', '/', '-', '\u0000', '9'.repeat(50)),
    )
    .map(([arrival, at, inserted]) => {
      const text = printArrival(arrival);
      const place = at % (text.length + 1);
      return text.slice(0, place) + inserted + text.slice(place + 1);
    });
  fc.assert(
    fc.property(fc.oneof(mutated, anyText), (text) => {
      for (const read of [
        parseArrival,
        parsePacket,
        parseSet,
        parseFate,
        (all: string) => parseConversation(all, 'f'),
      ]) {
        try {
          read(text);
        } catch (error) {
          expect(error).toBeInstanceOf(InputError);
          for (const { line, column } of (error as InputError).diagnostics) {
            expect(line).toBeGreaterThan(0);
            expect(column).toBeGreaterThan(0);
          }
        }
      }
    }),
    runs(150),
  );
});

test('a false law shrinks to the simplest packet that breaks it', () => {
  const falseLaws = [
    [(packet: Packet) => packet.dport !== 80, 'tcp 10.10.10.2:22 > 10.10.10.3:80'],
    [(packet: Packet) => packet.fragment === undefined, 'tcp 10.10.10.2:22 > 10.10.10.3:22 frag 0+'],
    [(packet: Packet) => packet.family === 4, 'tcp [2001:db8::2]:22 > [2001:db8::3]:22'],
    [
      (packet: Packet) => packet.quoted === undefined,
      'icmp 10.10.10.2 > 10.10.10.3 type 3 quotes (tcp 10.10.10.2:22 > 10.10.10.3:22)',
    ],
  ] as const;
  for (const [law, simplest] of falseLaws) {
    const found = fc.check(fc.property(packetArb(), law), runs(1000));
    expect(found.counterexample?.map(printPacket)).toEqual([simplest]);
    expect(fc.stringify(found.counterexample?.[0])).toBe(simplest);
  }
});

test('a long line is read in linear time', () => {
  for (const piece of ['(', '10.0.0.1,', '>', 'quotes (', '!', '[', 'a', ' # ', ': ', '\nreply']) {
    const text = piece.repeat(10_000);
    const start = performance.now();
    for (const read of [parseArrival, parseSet, parseFate, (all: string) => parseConversation(all, 'f')]) {
      for (const long of [text, `tcp ${text} > ${text}`, `tcp 10.0.0.1:1 > 10.0.0.2:2 ${text}`]) {
        try {
          read(long);
        } catch (error) {
          expect(error).toBeInstanceOf(InputError);
        }
      }
    }
    expect(performance.now() - start).toBeLessThan(20_000);
  }
});
