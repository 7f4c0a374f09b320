/**
 * The system calls that Node has no name for, through koffi (prebuilt, so nothing is compiled). Every function returns what
 * libc returns, -1 for an error; `errno()` then says which.
 *
 * koffi is an optional dependency: it is loaded on first use, so that a machine without it can still import this module.
 */
import { createRequire } from 'node:module';

export interface Libc {
  readonly unshare: (flags: number) => number;
  readonly setns: (fd: number, type: number) => number;
  readonly open: (path: string, flags: number, mode: number) => number;
  readonly close: (fd: number) => number;
  readonly read: (fd: number, buffer: Buffer, size: number) => number;
  readonly write: (fd: number, buffer: Buffer, size: number) => number;
  readonly ioctl: (fd: number, request: number, argument: Buffer) => number;
  readonly socket: (domain: number, type: number, protocol: number) => number;
  readonly socketpair: (domain: number, type: number, protocol: number, pair: Buffer) => number;
  readonly bind: (fd: number, address: Buffer, size: number) => number;
  readonly setsockopt: (fd: number, level: number, name: number, value: Buffer, size: number) => number;
  readonly sendto: (
    fd: number,
    buffer: Buffer,
    size: number,
    flags: number,
    address: Buffer | null,
    addressSize: number,
  ) => number;
  readonly recv: (fd: number, buffer: Buffer, size: number, flags: number) => number;
  readonly poll: (descriptors: Buffer, count: number, milliseconds: number) => number;
  readonly if_nametoindex: (name: string) => number;
  readonly errno: () => number;
}

const SIGNATURES = [
  'int unshare(int flags)',
  'int setns(int fd, int type)',
  'int open(const char *path, int flags, int mode)',
  'int close(int fd)',
  'long read(int fd, void *buffer, size_t size)',
  'long write(int fd, const void *buffer, size_t size)',
  'int ioctl(int fd, unsigned long request, void *argument)',
  'int socket(int domain, int type, int protocol)',
  'int socketpair(int domain, int type, int protocol, void *pair)',
  'int bind(int fd, const void *address, unsigned int size)',
  'int setsockopt(int fd, int level, int name, const void *value, unsigned int size)',
  'long sendto(int fd, const void *buffer, size_t size, int flags, const void *address, unsigned int address_size)',
  'long recv(int fd, void *buffer, size_t size, int flags)',
  'int poll(void *descriptors, unsigned long count, int milliseconds)',
  'unsigned int if_nametoindex(const char *name)',
];

let loaded: Libc | undefined;

/** The functions; throws when koffi is not installed or has no build for this machine. */
export function libc(): Libc {
  if (loaded !== undefined) return loaded;
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const library = koffi.load(null);
  const functions = Object.fromEntries(
    SIGNATURES.map((signature): [string, unknown] => {
      const bound: unknown = library.func(signature);
      return [/(\w+)\(/.exec(signature)?.[1] ?? signature, bound];
    }),
  );
  loaded = { ...functions, errno: () => koffi.errno() } as unknown as Libc;
  return loaded;
}

// include/uapi/asm-generic and linux/: the same on x86_64, arm64 and riscv64, which are what koffi has builds for and we ran on.
export const CLONE_NEWNET = 0x40000000;
export const O_RDONLY = 0;
export const O_RDWR = 2;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_BRIDGE = 7;
export const AF_INET6 = 10;
export const AF_NETLINK = 16;
export const AF_PACKET = 17;
export const SOCK_STREAM = 1;
export const SOCK_RAW = 3;
export const SOCK_CLOEXEC = 0o2000000;
export const SOCK_NONBLOCK = 0o4000;
export const SOL_SOCKET = 1;
export const SO_RCVBUFFORCE = 33;
export const SO_RCVBUF = 8;
export const SO_BROADCAST = 6;
export const SO_MARK = 36;
export const MSG_DONTWAIT = 0x40;
export const POLLIN = 1;
export const POLLOUT = 4;

export const EINTR = 4;
export const EAGAIN = 11;
export const ENOBUFS = 105;

const NAMES: Readonly<Record<number, string>> = {
  1: 'EPERM',
  2: 'ENOENT',
  11: 'EAGAIN',
  13: 'EACCES',
  16: 'EBUSY',
  17: 'EEXIST',
  19: 'ENODEV',
  22: 'EINVAL',
  90: 'EMSGSIZE',
  95: 'EOPNOTSUPP',
  97: 'EAFNOSUPPORT',
  99: 'EADDRNOTAVAIL',
  100: 'ENETDOWN',
  101: 'ENETUNREACH',
  105: 'ENOBUFS',
  111: 'ECONNREFUSED',
  113: 'EHOSTUNREACH',
};

/** `EPERM` for 1; the number itself where it is none of the common ones. */
export const errnoName = (errno: number): string => NAMES[errno] ?? `errno ${errno}`;

/** The result of a call that must not fail; throws with what was tried. */
export function checked(result: number, what: string): number {
  if (result < 0) throw new Error(`${what}: ${errnoName(libc().errno())}`);
  return result;
}

/** Closes a descriptor; one that is closed already is no error. */
export const closeDescriptor = (fd: number): void => {
  libc().close(fd);
};
