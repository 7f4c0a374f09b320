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

// eslint-disable-next-line no-control-regex -- it is what is looked for
const CONTROL = /[\0-\x08\x0a-\x1f\x7f]/;
// eslint-disable-next-line no-control-regex
const CONTROL_BUT_NEWLINE = /[\0-\x08\x0b-\x1f\x7f]/;

/** Throws a Fault for a line that no text has: one without end, or with control characters. */
function checkLine(line: string, hasControls: boolean): void {
  if (line.length > MAX_LINE_LENGTH) {
    throw new Fault(1, `this line has ${line.length} characters: expected at most ${MAX_LINE_LENGTH}`);
  }
  if (!hasControls) return;
  const control = CONTROL.exec(line);
  if (control === null) return;
  const name = `U+${line.charCodeAt(control.index).toString(16).toUpperCase().padStart(4, '0')}`;
  throw new Fault(control.index + 1, `a control character (${name}): expected text`);
}

const startsOf = new WeakMap<{ readonly text: string }, readonly number[]>();

/** A line of a text by its number from 1; '' where it has not so many. Where the lines are is found out when one is first asked for. */
export function lineOf(of: { readonly text: string }, line: number): string {
  const { text } = of;
  let starts = startsOf.get(of);
  if (starts === undefined) {
    const found = [0];
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', end + 1)) found.push(end + 1);
    startsOf.set(of, (starts = found));
  }
  const start = starts[line - 1] ?? text.length;
  const end = (starts[line] ?? text.length + 1) - 1;
  return text.slice(start, end > start && text[end - 1] === '\r' ? end - 1 : end);
}

/** The lines of a text by their numbers, without the blanks around them. */
export const textsOf =
  (of: { readonly text: string }): ((line: number) => string) =>
  (line) =>
    lineOf(of, line).trim();

/** More than a person reads; a text with so many errors is something else, and is not read to its end. */
const MAX_COMPLAINTS = 100;

/** A longer file is no ruleset that a kernel would take in a sensible time. */
const MAX_LINES = 1_000_000;

/** Everything that is wrong with one text. */
export class Complaints {
  private readonly path: string;
  private readonly found: Diagnostic[] = [];

  constructor(path: string) {
    this.path = path;
  }

  add(line: number, column: number, message: string): void {
    if (this.found.length <= MAX_COMPLAINTS) this.found.push({ path: this.path, line, column, message });
  }

  /** Has every line read that can be one, up to where there is no use in it. A Fault that is thrown is kept, and the next line is read. */
  readLines(text: string, read: (line: string, number: number) => void): void {
    if (this.isBinary(text)) return;
    // Asked once of the whole text: hardly any has them, or the line ends of Windows.
    const hasControls = CONTROL_BUT_NEWLINE.test(text);
    let number = 0;
    for (const line of linesOf(text)) {
      number++;
      if (number > MAX_LINES) {
        this.add(number, 1, `more than ${MAX_LINES} lines: the rest is not read`);
        return;
      }
      if (this.found.length >= MAX_COMPLAINTS) {
        this.add(number, 1, `${MAX_COMPLAINTS} errors above: the rest is not read`);
        return;
      }
      try {
        checkLine(line, hasControls);
        read(line, number);
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        this.add(number, error.column, error.message);
      }
    }
  }

  /** A text with a NUL is no text: one complaint says so, and there is no use in reading it. */
  private isBinary(text: string): boolean {
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
    return this.found.sort((a, b) => a.line - b.line || a.column - b.column);
  }
}
