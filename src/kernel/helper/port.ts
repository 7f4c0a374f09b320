/** The wire of one device: frames written to it arrive on the device, frames that the device sends can be read from it. */
import { htons } from './octets.ts';
import {
  AF_PACKET,
  EAGAIN,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDWR,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  checked,
  closeDescriptor,
  errnoName,
  libc,
} from './libc.ts';

// include/uapi/linux/if_tun.h, if_packet.h, if_ether.h
const TUNSETIFF = 0x400454ca;
const IFF_TAP = 0x0002;
const IFF_NO_PI = 0x1000;
const SOL_PACKET = 263;
const PACKET_IGNORE_OUTGOING = 23;
const ETH_P_ALL = 3;

const FRAME = Buffer.alloc(1 << 16);

export class Port {
  readonly name: string;
  readonly fd: number;

  constructor(name: string, fd: number) {
    this.name = name;
    this.fd = fd;
  }

  /** The kernel works the frame off before this returns: every hook has run, and what came of it waits to be read. */
  send(frame: Buffer): void {
    checked(libc().write(this.fd, frame, frame.length), `write to ${this.name}`);
  }

  /** The next frame that the device has sent; undefined when there is none. */
  receive(): string | undefined {
    const { read, errno } = libc();
    const size = read(this.fd, FRAME, FRAME.length);
    if (size > 0) return FRAME.toString('hex', 0, size);
    if (size === 0 || errno() === EAGAIN) return undefined;
    throw new Error(`read from ${this.name}: ${errnoName(errno())}`);
  }

  close(): void {
    closeDescriptor(this.fd);
  }
}

/** Makes the TAP device `name` in the namespace that we are in. */
export function openTap(name: string): Port {
  const fd = checked(libc().open('/dev/net/tun', O_RDWR | O_NONBLOCK | O_CLOEXEC, 0), 'open /dev/net/tun');
  const request = Buffer.alloc(40);
  request.write(name, 0, 15, 'latin1');
  request.writeUInt16LE(IFF_TAP | IFF_NO_PI, 16);
  if (libc().ioctl(fd, TUNSETIFF, request) < 0) {
    const reason = errnoName(libc().errno());
    closeDescriptor(fd);
    throw new Error(`TUNSETIFF ${name}: ${reason}`);
  }
  return new Port(name, fd);
}

/** A raw socket on the device `device` of the namespace that we are in. */
export function openPacketSocket(name: string, device: string): Port {
  const { socket, bind, setsockopt, if_nametoindex } = libc();
  const fd = checked(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL)), 'socket(AF_PACKET)');
  const one = Buffer.from([1, 0, 0, 0]);
  checked(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, one, 4), 'PACKET_IGNORE_OUTGOING');
  const address = Buffer.alloc(20);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeUInt16BE(ETH_P_ALL, 2);
  address.writeInt32LE(if_nametoindex(device), 4);
  checked(bind(fd, address, address.length), `bind to ${device}`);
  return new Port(name, fd);
}
