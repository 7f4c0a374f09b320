/**
 * Network namespaces. A socket stays in the namespace that it was made in, so the helper enters one only to make sockets, to
 * write sysctls and to start children, and comes back in the same synchronous block: no other thread ever sees it.
 */
import { CLONE_NEWNET, O_CLOEXEC, O_RDONLY, checked, closeDescriptor, libc } from './libc.ts';

// The thread's own: /proc/self is that of the main thread, which need not be the one that runs this.
const OWN = '/proc/thread-self/ns/net';

const openOwn = (): number => checked(libc().open(OWN, O_RDONLY | O_CLOEXEC, 0), `open ${OWN}`);

export class Namespace {
  readonly #fd: number;

  /** Makes an empty namespace. It lives as long as a descriptor, a socket or a process is in it. */
  constructor() {
    const home = openOwn();
    try {
      checked(libc().unshare(CLONE_NEWNET), 'unshare(CLONE_NEWNET)');
      this.#fd = openOwn();
      checked(libc().setns(home, CLONE_NEWNET), 'setns');
    } finally {
      closeDescriptor(home);
    }
  }

  /** Runs `action` inside. It must be synchronous. */
  run<T>(action: () => T): T {
    const home = openOwn();
    try {
      checked(libc().setns(this.#fd, CLONE_NEWNET), 'setns');
      return action();
    } finally {
      checked(libc().setns(home, CLONE_NEWNET), 'setns');
      closeDescriptor(home);
    }
  }

  /** A name by which `ip` in any namespace finds this one. */
  get path(): string {
    return `/proc/${process.pid}/fd/${this.#fd}`;
  }

  close(): void {
    closeDescriptor(this.#fd);
  }
}
