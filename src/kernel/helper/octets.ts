/** Octets of addresses and frames. The helper imports nothing of the model: it stays a program that only reports. */

export const htons = (value: number): number => ((value & 255) << 8) | (value >> 8);

export const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');

/** An IPv4 or IPv6 address as its 4 or 16 octets. */
export function addressBytes(text: string): Buffer {
  if (!text.includes(':')) return Buffer.from(text.split('.').map(Number));
  // An IPv4 tail counts as two groups.
  const tail = /(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  const groups = (part: string): number[] => (part === '' ? [] : part.split(':').map((group) => parseInt(group, 16)));
  const whole =
    tail === null
      ? text
      : text.slice(0, tail.index) +
        [Number(tail[1]) * 256 + Number(tail[2]), Number(tail[3]) * 256 + Number(tail[4])]
          .map((group) => group.toString(16))
          .join(':');
  const [head = '', rest] = whole.split('::');
  const before = groups(head);
  const after = rest === undefined ? [] : groups(rest);
  const all = [...before, ...Array<number>(8 - before.length - after.length).fill(0), ...after];
  const bytes = Buffer.alloc(16);
  all.forEach((group, index) => bytes.writeUInt16BE(group, index * 2));
  return bytes;
}

/** Whom an ARP request in this frame (hex) asks for: IPv4 address and its octets in hex; undefined for other frames. */
export function arpTarget(frame: string): { readonly address: string; readonly hex: string } | undefined {
  if (!frame.startsWith('0806', 24) || !frame.startsWith('0001', 40)) return undefined;
  const hex = frame.slice(76, 84);
  return { address: [...Buffer.from(hex, 'hex')].join('.'), hex };
}

/** The internet checksum (RFC 1071) of `bytes`. */
export function internetChecksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/**
 * A frame that every machine delivers to itself: UDP from 0.0.0.0 to 255.255.255.255, as a DHCP client's is. Whoever sees it behind
 * the sink knows that the way in is open; `number` says which way it was.
 */
export function canaryFrame(number: number): Buffer {
  const ip = Buffer.from('45000022000000004011000000000000ffffffff', 'hex');
  ip.writeUInt16BE(internetChecksum(ip), 10);
  // Discard port, no checksum (0 means none in UDP over IPv4), four octets to know it by.
  const udp = Buffer.concat([Buffer.from('00090009000e0000', 'hex'), CANARY, Buffer.from([number >> 8, number & 255])]);
  return Buffer.concat([Buffer.from('ffffffffffff0200000000fe0800', 'hex'), ip, udp]);
}

const CANARY = Buffer.from('feedc0de', 'hex');

export const isCanary = (hex: string): boolean => hex.includes('feedc0de');

/** The number of a canary that was delivered; undefined for another packet. */
export const canaryNumber = (packet: string): number | undefined => {
  const at = packet.indexOf('feedc0de');
  return at < 0 ? undefined : parseInt(packet.slice(at + 8, at + 12), 16);
};

/** A frame that no protocol reads (EtherType 0x88b5 is for experiments): sent by a device, it shows that the way out is open. */
export const canaryOut = (): Buffer =>
  Buffer.concat([Buffer.from('ffffffffffff0200000000fe88b5', 'hex'), CANARY, Buffer.alloc(46)]);
