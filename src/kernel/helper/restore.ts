/**
 * Loading rulesets: iptables-restore kept running, one process for each namespace and family, because starting one costs ten times
 * what a load does. With `-v` it echoes comment lines, so a comment that comes back says that all before it is committed.
 * A refused ruleset ends the process, with its reason; the next load starts another.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  AF_UNIX,
  EAGAIN,
  EINTR,
  MSG_DONTWAIT,
  POLLIN,
  POLLOUT,
  SOCK_CLOEXEC,
  SOCK_STREAM,
  checked,
  closeDescriptor,
  errnoName,
  libc,
} from './libc.ts';
import type { Namespace } from './namespace.ts';
import type { Backend, Refusal } from '../protocol.ts';

const EMPTY_TABLES: Readonly<Record<string, readonly string[]>> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
};

/** The tables that `text` does not name, empty: a restore leaves a table that it does not name as it was. */
function emptyTables(text: string): string {
  const named = new Set(Array.from(text.matchAll(/^\*(\w+)/gm), (found) => found[1]));
  return Object.entries(EMPTY_TABLES)
    .filter(([table]) => !named.has(table))
    .map(([table, chains]) => [`*${table}`, ...chains.map((name) => `:${name} ACCEPT`), 'COMMIT', ''].join('\n'))
    .join('');
}

const endsCommitted = (text: string): boolean => {
  const last = text
    .split('\n')
    .map((line) => line.trim())
    .findLast((line) => line !== '' && !line.startsWith('#'));
  return last === undefined || last === 'COMMIT';
};

const countLines = (text: string): number => text.split('\n').length - 1;

// Each process locks a file of its own: two namespaces have nothing to wait for, and an ordinary user may not write to /run.
const ENVIRONMENT = { ...process.env, XTABLES_LOCKFILE: '/proc/self/stat', LC_ALL: 'C' };

export class Restore {
  readonly #host: string;
  readonly #family: 4 | 6;
  readonly #namespace: Namespace;
  readonly #program: string;
  #child: ChildProcess | undefined;
  #fd = -1;
  #errors = -1;
  #acknowledged = 0;
  /** Lines that the running process has read: its messages count from its start. */
  #linesBefore = 0;
  #loaded: string | undefined;

  constructor(host: string, namespace: Namespace, backend: Backend, family: 4 | 6) {
    this.#host = host;
    this.#family = family;
    this.#namespace = namespace;
    this.#program = `${family === 4 ? 'iptables' : 'ip6tables'}-${backend}-restore`;
  }

  /** Loads `text`, with every table that it does not name empty. Says what was refused; undefined when all was taken. */
  load(text: string): Refusal | undefined {
    // The kernel keeps what it has been given: the same text again would only cost time.
    if (text === this.#loaded) return undefined;
    this.#loaded = undefined;
    const whole = text === '' || text.endsWith('\n') ? text : `${text}\n`;
    const refusal = endsCommitted(whole) ? this.#loadRunning(whole) : this.#loadOnce(whole);
    if (refusal === undefined) this.#loaded = text;
    return refusal;
  }

  close(): void {
    for (const fd of [this.#fd, this.#errors]) if (fd >= 0) closeDescriptor(fd);
    this.#fd = -1;
    this.#errors = -1;
    this.#child?.unref();
    this.#child = undefined;
  }

  #loadRunning(text: string): Refusal | undefined {
    if (this.#child === undefined) this.#start();
    const sent = `${text}${emptyTables(text)}`;
    const acknowledgement = `# ack ${++this.#acknowledged}`;
    const answer = this.#exchange(Buffer.from(`${sent}${acknowledgement}\n`, 'latin1'), acknowledgement);
    const before = this.#linesBefore;
    this.#linesBefore += countLines(sent) + 1;
    if (answer.acknowledged) return undefined;
    this.close();
    return this.#refusal(answer.text, before);
  }

  /** A text that stops inside a table: only the end of input makes iptables-restore say so. */
  #loadOnce(text: string): Refusal | undefined {
    this.close();
    const result = this.#namespace.run(() =>
      spawnSync(this.#program, [], { input: text, env: ENVIRONMENT, encoding: 'latin1' }),
    );
    if (result.error !== undefined) throw result.error;
    return result.status === 0 ? undefined : this.#refusal(result.stderr, 0);
  }

  #start(): void {
    const [input, inputOfChild] = socketPair();
    const [errors, errorsOfChild] = socketPair();
    this.#child = this.#namespace.run(() =>
      spawn('stdbuf', ['-oL', this.#program, '-v'], {
        stdio: [inputOfChild, inputOfChild, errorsOfChild],
        env: ENVIRONMENT,
      }),
    );
    closeDescriptor(inputOfChild);
    closeDescriptor(errorsOfChild);
    this.#child.on('error', () => {
      // A program that is not there: the end of its socket tells it, and `exchange` says so.
    });
    this.#fd = input;
    this.#errors = errors;
    this.#linesBefore = 0;
  }

  /** Writes all of `sent` and reads up to the acknowledgement or the end, whichever is ready: it writes while it reads, and so do we. */
  #exchange(sent: Buffer, acknowledgement: string): { acknowledged: boolean; text: string } {
    const { poll, sendto, recv, errno } = libc();
    const chunk = Buffer.alloc(1 << 16);
    const descriptor = Buffer.alloc(8);
    descriptor.writeInt32LE(this.#fd, 0);
    let rest = sent;
    let tail = '';
    for (;;) {
      descriptor.writeInt16LE(rest.length > 0 ? POLLIN | POLLOUT : POLLIN, 4);
      if (poll(descriptor, 1, -1) < 0 && errno() !== EINTR) throw new Error(`poll: ${errnoName(errno())}`);
      const ready = descriptor.readInt16LE(6);
      if ((ready & POLLOUT) !== 0 && rest.length > 0) {
        const size = sendto(this.#fd, rest, rest.length, MSG_DONTWAIT, null, 0);
        // It may have ended already: what it said waits to be read.
        rest = size < 0 ? (errno() === EAGAIN ? rest : Buffer.alloc(0)) : rest.subarray(size);
      }
      if ((ready & ~POLLOUT) === 0) continue;
      const size = recv(this.#fd, chunk, chunk.length, MSG_DONTWAIT);
      if (size < 0 && errno() === EAGAIN) continue;
      if (size <= 0) return { acknowledged: false, text: this.#readErrors(0) };
      tail = (tail + chunk.toString('latin1', 0, size)).slice(-200);
      if (tail.endsWith(`${acknowledgement}\n`)) {
        // Warnings of a load that went well.
        this.#readErrors(MSG_DONTWAIT);
        return { acknowledged: true, text: '' };
      }
    }
  }

  #readErrors(flags: number): string {
    const chunk = Buffer.alloc(1 << 16);
    let text = '';
    for (;;) {
      const size = libc().recv(this.#errors, chunk, chunk.length, flags);
      if (size <= 0) return text;
      text += chunk.toString('latin1', 0, size);
    }
  }

  #refusal(output: string, before: number): Refusal {
    const message = output
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('Try `') && !line.startsWith('# Warning'))
      .join('\n');
    if (message === '') throw new Error(`${this.#program} ended without a word: is it installed, and stdbuf?`);
    // Not iptables-restore's words but stdbuf's: there is no such program.
    if (message.startsWith('stdbuf:')) throw new Error(message);
    const found = /line:? (\d+)/.exec(message);
    const line = found?.[1] === undefined ? undefined : Number(found[1]) - before;
    return { host: this.#host, family: this.#family, message, ...(line === undefined || line < 1 ? {} : { line }) };
  }
}

function socketPair(): [number, number] {
  const pair = Buffer.alloc(8);
  checked(libc().socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 'socketpair');
  return [pair.readInt32LE(0), pair.readInt32LE(4)];
}
