/**
 * Capture files in classic pcap format (draft-ietf-opsawg-pcap): a header of 24 octets, then for each packet a header of 16 octets
 * and its octets. Written little-endian with microseconds; read in either byte order, with microseconds or nanoseconds.
 */

/** Packets begin with an Ethernet header, or with an IPv4 or IPv6 header. */
export const LINKTYPE_ETHERNET = 1;
export const LINKTYPE_RAW = 101;
export type LinkType = typeof LINKTYPE_ETHERNET | typeof LINKTYPE_RAW;

export interface Capture {
  readonly linkType: LinkType;
  readonly packets: readonly CapturedPacket[];
}

export interface CapturedPacket {
  /** Microseconds since 1970. */
  readonly time: number;
  readonly octets: Uint8Array;
  /** How long it was on the wire, where the capture cut it. */
  readonly length?: number;
}

export interface NotACapture {
  readonly reason: string;
}

const MICROSECONDS = 0xa1b2c3d4;
const NANOSECONDS = 0xa1b23c4d;
const FILE_HEADER = 24;
const PACKET_HEADER = 16;
const LONGEST_PACKET = 262144;

export function writePcap({ linkType, packets }: Capture): Uint8Array {
  const size = packets.reduce((sum, { octets }) => sum + PACKET_HEADER + octets.length, FILE_HEADER);
  const file = new Uint8Array(size);
  const view = new DataView(file.buffer);
  view.setUint32(0, MICROSECONDS, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, LONGEST_PACKET, true);
  view.setUint32(20, linkType, true);
  let at = FILE_HEADER;
  for (const { time, octets, length } of packets) {
    view.setUint32(at, Math.floor(time / 1e6), true);
    view.setUint32(at + 4, time % 1e6, true);
    view.setUint32(at + 8, octets.length, true);
    view.setUint32(at + 12, length ?? octets.length, true);
    file.set(octets, at + PACKET_HEADER);
    at += PACKET_HEADER + octets.length;
  }
  return file;
}

/** Reads a capture; a reason when the file is none, or of link layers that are not known here, or cut within a packet. */
export function readPcap(file: Uint8Array): Capture | NotACapture {
  if (file.length < FILE_HEADER) return { reason: 'too short for a pcap file' };
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const little = [MICROSECONDS, NANOSECONDS].includes(view.getUint32(0, true));
  const magic = view.getUint32(0, little);
  if (magic !== MICROSECONDS && magic !== NANOSECONDS) {
    const next =
      magic === 0x0a0d0d0a ? ': this is pcapng, which `tcpdump -r IN -w OUT` or editcap turns into pcap' : '';
    return { reason: `no pcap file${next}` };
  }
  // The upper bits of the field are about the frame check sequence.
  const linkType = view.getUint32(20, little) & 0xffff;
  if (linkType !== LINKTYPE_ETHERNET && linkType !== LINKTYPE_RAW) {
    return { reason: `link type ${linkType} is neither Ethernet (1) nor raw IP (101)` };
  }
  const packets: CapturedPacket[] = [];
  let at = FILE_HEADER;
  while (at < file.length) {
    if (file.length < at + PACKET_HEADER) return { reason: `cut short in the header of packet ${packets.length + 1}` };
    const fraction = view.getUint32(at + 4, little);
    const captured = view.getUint32(at + 8, little);
    const length = view.getUint32(at + 12, little);
    const start = at + PACKET_HEADER;
    if (captured > file.length - start) return { reason: `cut short in packet ${packets.length + 1}` };
    packets.push({
      time: view.getUint32(at, little) * 1e6 + (magic === NANOSECONDS ? Math.floor(fraction / 1000) : fraction),
      octets: Uint8Array.from(file.subarray(start, start + captured)),
      ...(length !== captured && { length }),
    });
    at = start + captured;
  }
  return { linkType, packets };
}
