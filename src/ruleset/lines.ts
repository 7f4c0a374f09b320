/** What readers of line by line formats share: the lines of a text, and the list of what is wrong with them. */
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { Fault } from './tokens.ts';

/** The lines of a text without their ends, `\n` or `\r\n`. The last may have none. */
export function* linesOf(text: string): Generator<string> {
  let start = 0;
  for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', start)) {
    yield text.slice(start, text[end - 1] === '\r' && end > start ? end - 1 : end);
    start = end + 1;
  }
  if (start < text.length) yield text.slice(start, text.endsWith('\r') ? text.length - 1 : text.length);
}

/** iptables-restore and ipset read a line into a buffer of this many octets with its end (iptables/iptables-restore.c). */
const MAX_LINE_LENGTH = 10_239;

/** Throws a Fault for a line that no text has: one without end, or with control characters. */
export function checkLine(line: string): void {
  if (line.length > MAX_LINE_LENGTH) {
    throw new Fault(1, `this line has ${line.length} characters: expected at most ${MAX_LINE_LENGTH}`);
  }
  for (let i = 0; i < line.length; i++) {
    const code = line.charCodeAt(i);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) {
      const name = `U+${code.toString(16).toUpperCase().padStart(4, '0')}`;
      throw new Fault(i + 1, `a control character (${name}): expected text`);
    }
  }
}

/** Enough for a person; a text with more errors is something else. */
const MAX_DIAGNOSTICS = 100;

/** Everything that is wrong with one text. */
export class Complaints {
  private readonly path: string;
  private readonly found: Diagnostic[] = [];
  private unshown = 0;

  constructor(path: string) {
    this.path = path;
  }

  add(line: number, column: number, message: string): void {
    if (this.found.length < MAX_DIAGNOSTICS) this.found.push({ path: this.path, line, column, message });
    else this.unshown++;
  }

  /** Does what reads `line`, and keeps the Fault that it throws. */
  during(line: number, read: () => void): void {
    try {
      read();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.add(line, error.column, error.message);
    }
  }

  /** A text with a NUL is no text: one complaint says so, and there is no use in reading it. */
  isBinary(text: string): boolean {
    const index = text.indexOf('\0');
    if (index < 0) return false;
    let line = 1;
    let start = 0;
    for (let end = text.indexOf('\n'); end >= 0 && end < index; end = text.indexOf('\n', start)) {
      line++;
      start = end + 1;
    }
    this.add(line, index - start + 1, 'a NUL character: this file is no text');
    return true;
  }

  /** In the order of the text. */
  list(): readonly Diagnostic[] {
    const sorted = this.found.sort((a, b) => a.line - b.line || a.column - b.column);
    const last = sorted.at(-1);
    if (last === undefined || this.unshown === 0) return sorted;
    return [...sorted, { ...last, message: `${this.unshown} more errors are not shown` }];
  }
}
