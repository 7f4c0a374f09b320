/**
 * The kernel, asked: starts the helper process and speaks to it. Every call blocks until its answer is there, because those who ask
 * (properties of fast-check) are synchronous, and because the kernel is: what a packet does is done when its injection returns.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AF_UNIX, SOCK_CLOEXEC, SOCK_STREAM, checked, closeDescriptor, libc } from './helper/libc.ts';
import type {
  Answer,
  Backend,
  CaseAnswer,
  HostSpec,
  KernelStep,
  Request,
  RulesetTexts,
  Wire,
  WorldAnswer,
} from './protocol.ts';

/** How the helper gets to own network namespaces: as root, in a user namespace of its own, or through sudo without a password. */
export type KernelMode = 'root' | 'userns' | 'sudo';

const LAUNCHERS: Readonly<Record<KernelMode, readonly [string, ...string[]]>> = {
  root: ['unshare', '-n', '--kill-child'],
  userns: ['unshare', '-Urn', '--kill-child'],
  sudo: ['sudo', '-n', 'unshare', '-n', '--kill-child'],
};

export const defaultMode = (): KernelMode => (process.getuid?.() === 0 ? 'root' : 'userns');

/** The judge itself is broken (a process died, a trace message was lost): never a verdict about a packet. */
export class KernelFailure extends Error {
  constructor(message: string) {
    super(`kernel judge: ${message}`);
    this.name = 'KernelFailure';
  }
}

export interface KernelOptions {
  readonly mode?: KernelMode;
  readonly wire?: Wire;
}

/** How many worlds the helper keeps; beyond that the one that was used longest ago is closed. */
const KEPT_WORLDS = 24;

/**
 * Questions that may wait for the helper, and their octets: less than a socket holds, for two sides that both write what the other does not read wait forever.
 */
const WAITING = { questions: 64, octets: 1 << 16 };

/** A question, and the line that answers it once that has been read. */
interface Asked {
  readonly octets: number;
  line?: string;
}

/** A running helper. Make it with `openKernel`, and close it. */
export class Kernel {
  readonly #child: ChildProcess;
  readonly #wire: Wire | undefined;
  readonly #worlds = new Map<string, WorldAnswer>();
  #millisecondsForWorlds = 0;
  #requests: number;
  #answers: number;
  #errors: number;
  #unread: Buffer = Buffer.alloc(0);
  /** Questions whose answers have not been read, in their order. */
  readonly #asked: Asked[] = [];
  readonly #chunk = Buffer.alloc(1 << 16);

  constructor(options: KernelOptions = {}) {
    this.#wire = options.wire;
    const [program, ...launcherArgs] = LAUNCHERS[options.mode ?? defaultMode()];
    const args = [...launcherArgs, process.execPath, helperProgram()];
    const pairs = [socketPair(), socketPair(), socketPair()] as const;
    const [requests, answers, errors] = pairs;
    // A process group of its own: an interrupt at the terminal is for whoever asks, who may still want to say what he knows.
    this.#child = spawn(program, args, { stdio: [requests[1], answers[1], errors[1]], detached: true });
    this.#child.on('error', () => {
      // The end of its output tells it, with more words.
    });
    this.#child.unref();
    for (const [, theirs] of pairs) closeDescriptor(theirs);
    this.#requests = requests[0];
    this.#answers = answers[0];
    this.#errors = errors[0];
  }

  /** The process at the top of the helper's: 0 when it could not be started. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /**
   * The world of these hosts, made when it is not there yet. Worlds are kept: a case costs a load of its rules, a new world costs
   * 50 ms (TAP) to a second (veth).
   */
  world(backend: Backend, hosts: readonly HostSpec[]): WorldAnswer {
    const request: Request = {
      op: 'world',
      backend,
      hosts,
      ...(this.#wire === undefined ? {} : { wire: this.#wire }),
    };
    const key = JSON.stringify(request);
    const known = this.#worlds.get(key);
    if (known !== undefined) {
      // A Map remembers the order of insertion: put back at the end, it is the last to go.
      this.#worlds.delete(key);
      this.#worlds.set(key, known);
      return known;
    }
    for (const [oldest, { world }] of this.#worlds) {
      if (this.#worlds.size < KEPT_WORLDS) break;
      this.#ask({ op: 'close', world });
      this.#worlds.delete(oldest);
    }
    while (this.#asked.length > 0) this.#readNext();
    const start = performance.now();
    const made = this.#ask(request) as WorldAnswer;
    this.#millisecondsForWorlds += performance.now() - start;
    this.#worlds.set(key, made);
    return made;
  }

  /** What the helper took to make worlds. */
  get millisecondsForWorlds(): number {
    return this.#millisecondsForWorlds;
  }

  /** Loads the rulesets, forgets all connections (unless `keep`), and runs the steps. Throws KernelFailure when the judge is broken. */
  runCase(
    world: WorldAnswer,
    hosts: Readonly<Record<string, RulesetTexts>>,
    steps: readonly KernelStep[],
    keep = false,
  ): CaseAnswer {
    return this.beginCase(world, hosts, steps, keep)();
  }

  /** The same, without waiting for the answer: it is there when it is called for. */
  beginCase(
    world: WorldAnswer,
    hosts: Readonly<Record<string, RulesetTexts>>,
    steps: readonly KernelStep[],
    keep = false,
  ): () => CaseAnswer {
    return this.#begin({ op: 'case', world: world.world, hosts, steps, keep }) as () => CaseAnswer;
  }

  /** Ends the helper and everything that it owns. */
  close(): void {
    for (const fd of [this.#requests, this.#answers, this.#errors]) if (fd >= 0) closeDescriptor(fd);
    this.#requests = this.#answers = this.#errors = -1;
    this.#worlds.clear();
  }

  #ask(request: Request): Answer {
    return this.#begin(request)();
  }

  #begin(request: Request): () => Answer {
    if (this.#requests < 0) throw new KernelFailure('is closed');
    const bytes = Buffer.from(`${JSON.stringify(request)}\n`);
    while (this.#mayNotWrite(bytes.length)) this.#readNext();
    try {
      for (let at = 0; at < bytes.length;) at += writeSync(this.#requests, bytes, at);
    } catch {
      // It has ended: reading says so, and why.
    }
    const asked: Asked = { octets: bytes.length };
    this.#asked.push(asked);
    return () => {
      while (asked.line === undefined) this.#readNext();
      const answer = JSON.parse(asked.line) as Answer;
      if ('failure' in answer) throw new KernelFailure(answer.failure);
      return answer;
    };
  }

  #mayNotWrite(octets: number): boolean {
    const waiting = this.#asked.reduce((sum, asked) => sum + asked.octets, octets);
    return this.#asked.length > 0 && (waiting > WAITING.octets || this.#asked.length >= WAITING.questions);
  }

  /** Waits for the next answer. */
  #readNext(): void {
    const line = this.#readLine();
    const asked = this.#asked.shift();
    if (asked !== undefined) asked.line = line;
  }

  #readLine(): string {
    const parts: Buffer[] = [];
    for (let part = this.#unread; ; part = this.#readPart()) {
      const end = part.indexOf(10);
      if (end < 0) {
        parts.push(part);
        continue;
      }
      parts.push(part.subarray(0, end));
      this.#unread = part.subarray(end + 1);
      return Buffer.concat(parts).toString('utf8');
    }
  }

  #readPart(): Buffer {
    const size = readOrEnd(this.#answers, this.#chunk);
    if (size === 0) throw new KernelFailure(this.#lastWords());
    return Buffer.from(this.#chunk.subarray(0, size));
  }

  #lastWords(): string {
    let words = '';
    for (;;) {
      const size = readOrEnd(this.#errors, this.#chunk);
      if (size === 0) break;
      words += this.#chunk.toString('utf8', 0, size);
    }
    this.close();
    const lines = words.split('\n').filter((line) => line.trim() !== '');
    const telling = lines.find((line) => /error|unshare:|sudo:/i.test(line)) ?? lines[0];
    return `the helper ended: ${telling?.trim() ?? 'it said nothing'}`;
  }
}

/** What those who send packets ask of a kernel: a real one, or what is recorded of one. */
export type AskedKernel = Pick<Kernel, 'world' | 'runCase'>;

/** Starts a helper. Close it when done; a helper whose client is gone ends by itself. */
export const openKernel = (options: KernelOptions = {}): Kernel => new Kernel(options);

function readOrEnd(fd: number, chunk: Buffer): number {
  try {
    return readSync(fd, chunk);
  } catch {
    // ECONNRESET: it was killed with something unread.
    return 0;
  }
}

function socketPair(): readonly [number, number] {
  const pair = Buffer.alloc(8);
  checked(libc().socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 'socketpair');
  return [pair.readInt32LE(0), pair.readInt32LE(4)];
}

/**
 * The helper as a program that `node` can run. Beside a compiled client it is compiled too. Beside the source (tests) its few files are
 * compiled here, once for each state of the source, so that nobody tests yesterday's build.
 */
function helperProgram(): string {
  const here = dirname(fileURLToPath(import.meta.url));
  const compiled = join(here, 'helper', 'main.js');
  if (import.meta.url.endsWith('.js') && existsSync(compiled)) return compiled;
  const source = join(here, 'helper');
  const files = readdirSync(source)
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => ({ name, text: readFileSync(join(source, name), 'utf8') }));
  const digest = createHash('sha256').update(JSON.stringify(files)).digest('hex').slice(0, 16);
  const cache = join(here, '..', '..', 'node_modules', '.cache', 'nfverdict');
  const target = join(cache, `helper-${digest}`);
  if (!existsSync(target)) {
    const typescript = createRequire(import.meta.url)('typescript') as typeof import('typescript');
    mkdirSync(cache, { recursive: true });
    const draft = mkdtempSync(join(cache, 'draft-'));
    for (const { name, text } of files) {
      const { outputText } = typescript.transpileModule(text, {
        compilerOptions: {
          target: typescript.ScriptTarget.ES2023,
          module: typescript.ModuleKind.ESNext,
          verbatimModuleSyntax: true,
          rewriteRelativeImportExtensions: true,
        },
      });
      writeFileSync(join(draft, name.replace(/\.ts$/, '.js')), outputText);
    }
    writeFileSync(join(draft, 'package.json'), '{"type":"module"}');
    try {
      renameSync(draft, target);
    } catch {
      // Another thread or process has made the same meanwhile.
      rmSync(draft, { recursive: true });
    }
  }
  return join(target, 'main.js');
}
