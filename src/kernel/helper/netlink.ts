/** Netlink: messages and attributes as bytes, and the socket (RFC 3549; include/uapi/linux/netlink.h). Host byte order is little endian. */
import {
  AF_NETLINK,
  EAGAIN,
  ENOBUFS,
  MSG_DONTWAIT,
  SOCK_CLOEXEC,
  SOCK_RAW,
  SOL_SOCKET,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  checked,
  closeDescriptor,
  errnoName,
  libc,
} from './libc.ts';

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

export const NLM_F_REQUEST = 1;
export const NLM_F_ACK = 4;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_DUMP = 0x300;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;

const HEADER = 16;
const align = (size: number): number => (size + 3) & ~3;

export const be16 = (value: number): Buffer => {
  const buffer = Buffer.alloc(2);
  buffer.writeUInt16BE(value);
  return buffer;
};

export const be32 = (value: number): Buffer => {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value >>> 0);
  return buffer;
};

/** A string as netlink wants it: with its terminating zero. */
export const zeroTerminated = (text: string): Buffer => Buffer.from(`${text}\0`, 'latin1');

export function attribute(type: number, value: Buffer): Buffer {
  const buffer = Buffer.alloc(align(4 + value.length));
  buffer.writeUInt16LE(4 + value.length, 0);
  buffer.writeUInt16LE(type, 2);
  value.copy(buffer, 4);
  return buffer;
}

export const nested = (type: number, ...attributes: readonly Buffer[]): Buffer =>
  attribute(type | NLA_F_NESTED, Buffer.concat(attributes));

/** struct nfgenmsg, the head of every nfnetlink message. */
export const netfilterHead = (family: number, resource = 0): Buffer =>
  Buffer.concat([Buffer.from([family, 0]), be16(resource)]);

export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly body: Buffer;
}

export const message = (type: number, flags: number, ...body: readonly Buffer[]): Message => ({
  type,
  flags: flags | NLM_F_REQUEST,
  body: Buffer.concat(body),
});

/** The attributes of a message body by type; of a type that comes twice, the last. */
export function readAttributes(body: Buffer, offset = 0): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  for (let at = offset; at + 4 <= body.length;) {
    const size = body.readUInt16LE(at);
    if (size < 4) break;
    attributes.set(body.readUInt16LE(at + 2) & NLA_TYPE_MASK, body.subarray(at + 4, at + size));
    at += align(size);
  }
  return attributes;
}

export const readString = (value: Buffer | undefined): string | undefined => {
  if (value === undefined) return undefined;
  const end = value.indexOf(0);
  return value.toString('latin1', 0, end < 0 ? value.length : end);
};

export const readBe32 = (value: Buffer | undefined): number | undefined => value?.readUInt32BE(0);

// Larger than any message of ours: packets are at most one MTU, dumps come in pieces of at most 32 KiB.
const RECEIVE = Buffer.alloc(1 << 17);

const sockaddr = (groups: number): Buffer => {
  const buffer = Buffer.alloc(12);
  buffer.writeUInt16LE(AF_NETLINK, 0);
  buffer.writeUInt32LE(groups >>> 0, 8);
  return buffer;
};

/** A netlink socket of the namespace in which it is made. */
export class NetlinkSocket {
  readonly fd: number;
  #sequence = 0;

  /** `groups` is the bit mask of the multicast groups to join. */
  constructor(protocol: number, groups = 0) {
    this.fd = checked(libc().socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), 'socket(AF_NETLINK)');
    checked(libc().bind(this.fd, sockaddr(groups), 12), 'bind(AF_NETLINK)');
    // A trace is many small messages, each of which is charged as a page: a long chain would not fit the default.
    const size = Buffer.alloc(4);
    size.writeInt32LE(32 << 20);
    if (libc().setsockopt(this.fd, SOL_SOCKET, SO_RCVBUFFORCE, size, 4) < 0) {
      checked(libc().setsockopt(this.fd, SOL_SOCKET, SO_RCVBUF, size, 4), 'setsockopt(SO_RCVBUF)');
    }
  }

  close(): void {
    closeDescriptor(this.fd);
  }

  /** Sends messages as one datagram and waits for the acknowledgement of each that asks for one; throws on the first error. */
  request(what: string, ...messages: readonly Message[]): void {
    const awaited = new Set(this.#send(what, messages));
    let failed: string | undefined;
    while (awaited.size > 0) {
      const datagram = this.receive();
      if (datagram === undefined) throw new Error(`${what}: ${failed ?? 'netlink did not answer'}`);
      for (const { type, sequence, body } of splitDatagram(datagram)) {
        if (type !== NLMSG_ERROR) continue;
        const errno = -body.readInt32LE(0);
        if (errno !== 0) failed ??= errnoName(errno);
        awaited.delete(sequence);
        // An error that belongs to the whole batch carries the number of its first message, which asked for no answer.
        if (errno !== 0 && awaited.size > 0 && messages.length > 1) throw new Error(`${what}: ${errnoName(errno)}`);
      }
    }
    if (failed !== undefined) throw new Error(`${what}: ${failed}`);
  }

  /** Sends one dump request and hands over the body of every answer. */
  dump(what: string, request: Message, each: (body: Buffer) => void): void {
    this.#send(what, [request]);
    for (;;) {
      const datagram = this.receive();
      if (datagram === undefined) throw new Error(`${what}: netlink did not answer`);
      for (const { type, body } of splitDatagram(datagram)) {
        if (type === NLMSG_DONE) return;
        if (type === NLMSG_ERROR) throw new Error(`${what}: ${errnoName(-body.readInt32LE(0))}`);
        each(body);
      }
    }
  }

  /** The next datagram that waits, valid until the next call; undefined when there is none. */
  receive(): Buffer | undefined {
    const size = libc().recv(this.fd, RECEIVE, RECEIVE.length, MSG_DONTWAIT);
    if (size >= 0) return RECEIVE.subarray(0, size);
    const errno = libc().errno();
    if (errno === EAGAIN) return undefined;
    throw new Error(errno === ENOBUFS ? 'netlink lost messages (ENOBUFS)' : `recv(AF_NETLINK): ${errnoName(errno)}`);
  }

  #send(what: string, messages: readonly Message[]): number[] {
    const awaited: number[] = [];
    const parts = messages.map(({ type, flags, body }) => {
      const head = Buffer.alloc(HEADER);
      const sequence = ++this.#sequence;
      if ((flags & NLM_F_ACK) !== 0) awaited.push(sequence);
      head.writeUInt32LE(HEADER + body.length, 0);
      head.writeUInt16LE(type, 4);
      head.writeUInt16LE(flags, 6);
      head.writeUInt32LE(sequence, 8);
      return Buffer.concat([head, body, Buffer.alloc(align(body.length) - body.length)]);
    });
    const datagram = Buffer.concat(parts);
    checked(libc().sendto(this.fd, datagram, datagram.length, 0, sockaddr(0), 12), what);
    return awaited;
  }
}

/** The messages of a datagram. */
export function* splitDatagram(datagram: Buffer): Generator<{ type: number; sequence: number; body: Buffer }> {
  for (let at = 0; at + HEADER <= datagram.length;) {
    const size = datagram.readUInt32LE(at);
    if (size < HEADER) return;
    yield {
      type: datagram.readUInt16LE(at + 4),
      sequence: datagram.readUInt32LE(at + 8),
      body: datagram.subarray(at + HEADER, at + size),
    };
    at += align(size);
  }
}
