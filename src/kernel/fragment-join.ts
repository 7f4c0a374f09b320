/** Frames with the fragments of one datagram, put together again: the model lets a reassembled packet leave whole. */
import { internetChecksum } from '../packet/checksum.ts';

export interface Frame {
  readonly dev: string;
  readonly octets: Buffer;
}

const FRAME_HEADER = 14;
const FRAGMENT = 44;

/** What a frame carries of a fragmented packet. */
interface Part {
  readonly more: boolean;
  /** Where the packet's own octets begin. */
  readonly body: number;
  readonly family: 4 | 6;
}

function partOf({ octets }: Frame): Part | undefined {
  const type = octets.length < FRAME_HEADER + 20 ? 0 : octets.readUInt16BE(12);
  if (type === 0x0800) {
    const bits = octets.readUInt16BE(FRAME_HEADER + 6);
    // Offset and MF; DF is neither.
    if ((bits & 0x3fff) === 0) return undefined;
    return { more: (bits & 0x2000) !== 0, body: FRAME_HEADER + 20, family: 4 };
  }
  if (type !== 0x86dd || octets[FRAME_HEADER + 6] !== FRAGMENT) return undefined;
  return { more: ((octets[FRAME_HEADER + 43] ?? 0) & 1) !== 0, body: FRAME_HEADER + 48, family: 6 };
}

/** The frames with fragments that came in a row joined, the last one first to say that it is the last. What never ends is left as it is. */
export function joinFragments(frames: readonly Frame[]): Frame[] {
  const whole: Frame[] = [];
  let parts: { readonly frame: Frame; readonly part: Part }[] = [];
  for (const frame of frames) {
    const part = partOf(frame);
    if (part === undefined) {
      whole.push(frame);
      continue;
    }
    parts.push({ frame, part });
    if (part.more) continue;
    whole.push(join(parts));
    parts = [];
  }
  return [...whole, ...parts.map(({ frame }) => frame)];
}

function join(parts: readonly { readonly frame: Frame; readonly part: Part }[]): Frame {
  const [first] = parts;
  if (first === undefined) throw new RangeError('no fragments to join');
  const { frame, part } = first;
  const body = Buffer.concat(parts.map((one) => one.frame.octets.subarray(one.part.body)));
  const head = Buffer.from(frame.octets.subarray(0, FRAME_HEADER + (part.family === 4 ? 20 : 40)));
  const ip = head.subarray(FRAME_HEADER);
  if (part.family === 4) {
    ip.writeUInt16BE(ip.length + body.length, 2);
    ip.writeUInt16BE(0, 6);
    ip.writeUInt16BE(0, 10);
    ip.writeUInt16BE(internetChecksum(ip), 10);
  } else {
    ip.writeUInt16BE(body.length, 4);
    // The fragment header says what the packet carries.
    ip.writeUInt8(frame.octets[FRAME_HEADER + 40] ?? 0, 6);
  }
  return { dev: frame.dev, octets: Buffer.concat([head, body]) };
}
