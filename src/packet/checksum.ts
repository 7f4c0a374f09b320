/** Checksums of the transport protocols. */

/** The ones' complement sum of 16-bit words (RFC 1071), not yet inverted; an odd last octet counts as a high one. */
export function onesSum(octets: Uint8Array, start = 0): number {
  let sum = start;
  for (let at = 0; at < octets.length; at += 2) {
    sum += ((octets[at] ?? 0) << 8) | (octets[at + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

/** The Internet checksum as it stands in a header. */
export const internetChecksum = (octets: Uint8Array, start = 0): number => ~onesSum(octets, start) & 0xffff;

/** CRC-32C (Castagnoli) table for the reflected polynomial 0x82f63b78. */
const CRC32C = Uint32Array.from({ length: 256 }, (_, octet) => {
  let crc = octet;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc >>> 0;
});

/** The checksum of SCTP (RFC 9260 appendix A), which stands in the header with its lowest octet first. */
export function crc32c(octets: Uint8Array): number {
  let crc = 0xffffffff;
  for (const octet of octets) crc = (CRC32C[(crc ^ octet) & 255] ?? 0) ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
