/**
 * The files of a command line, read: text that must be UTF-8, and each file remembered with its hash for the report. What is read through schemas is in
 * world-input.ts: a command that needs no such file need not load their readers.
 */
import { createHash } from 'node:crypto';
import type { Family } from '../address/address.ts';
import { InputError } from '../diagnostic/diagnostic.ts';
import type { Input } from '../report/document.ts';
import { readRuleset } from '../ruleset/parse.ts';
import { KnownRules } from '../ruleset/known.ts';
import type { Backend, Ruleset } from '../ruleset/rule.ts';
import { FileError, type Io } from './io.ts';

/** Where the first octet stands that is no UTF-8, counted in lines and columns. */
function firstBadOctet(octets: Uint8Array): { line: number; column: number } {
  let good = 0;
  let bad = octets.length;
  // Bisection over prefixes: the longest one that decodes ends where the trouble starts.
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(octets.subarray(0, middle), { stream: true });
      good = middle;
    } catch {
      bad = middle;
    }
  }
  const before = new TextDecoder().decode(octets.subarray(0, good));
  const lineStart = before.lastIndexOf('\n') + 1;
  return { line: before.split('\n').length, column: before.length - lineStart + 1 };
}

export class Inputs {
  protected readonly io: Io;
  readonly #backend: Backend | undefined;
  readonly #read: Input[] = [];
  readonly #known = new KnownRules();

  /** `backend` is the variant that is to take the rules; absent where it does not matter. */
  constructor(io: Io, backend?: Backend) {
    this.io = io;
    this.#backend = backend;
  }

  /** What has been read so far, for the head of a document. */
  get list(): readonly Input[] {
    return this.#read;
  }

  /** A text file; `-` is standard input. Throws FileError, and InputError for octets that are no text. */
  text(path: string): string {
    if (path === '-' && this.#read.some((input) => input.path === 'stdin'))
      throw new FileError('standard input can be read only once: give one of the two files by its name');
    const content = this.io.readFile(path);
    const octets = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    const shown = path === '-' ? 'stdin' : path;
    this.#read.push({ path: shown, sha256: createHash('sha256').update(octets).digest('hex') });
    if (typeof content === 'string') return content;
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(octets);
    } catch (error) {
      if (error instanceof RangeError) throw error;
      throw new InputError([
        { path: shown, ...firstBadOctet(octets), message: 'this is no UTF-8 text: expected a text file' },
      ]);
    }
  }

  ruleset(path: string, family?: Family): Ruleset {
    return readRuleset(this.text(path), {
      path: path === '-' ? 'stdin' : path,
      known: this.#known,
      ...(family === undefined ? {} : { family }),
      ...(this.#backend === undefined ? {} : { backend: this.#backend }),
    });
  }
}
