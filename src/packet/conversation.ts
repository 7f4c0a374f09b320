/**
 * A packets file: a conversation on one world, a packet a line.
 *
 * `PACKET` in the packet notation with where it enters · `reply`: the answer of whoever got the last packet · `flush`: conntrack is
 * emptied · `> FATE`: what is expected of the packet or reply before it · `# text`, also behind a line's own text: a comment.
 */
import { InputError } from '../diagnostic/diagnostic.ts';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { nearest } from '../diagnostic/nearest.ts';
import { quoteText } from '../diagnostic/quote.ts';
import type { ExpectedFate } from './fate.ts';
import { parseFate, printFate } from './fate.ts';
import { parseArrival, printArrival } from './notation.ts';
import type { Arrival } from './packet.ts';
import { parseProtocol } from './protocol.ts';

/** An expectation, and the line that it stands on. */
export interface Expectation {
  readonly line: number;
  readonly fate: ExpectedFate;
}

export type ConversationItem =
  | { readonly kind: 'packet'; readonly line: number; readonly arrival: Arrival; readonly expected?: Expectation }
  | { readonly kind: 'reply'; readonly line: number; readonly expected?: Expectation }
  | { readonly kind: 'flush'; readonly line: number };

export interface Conversation {
  readonly path: string;
  /** In the order of the file. `Arrival.quotes` is the line of an earlier packet or reply of it. */
  readonly items: readonly ConversationItem[];
}

/** Reads a packets file. Throws one InputError with all that is wrong in it, a message for each bad line. */
export function parseConversation(text: string, path: string): Conversation {
  const items: ConversationItem[] = [];
  const diagnostics: Diagnostic[] = [];
  const quotable = new Set<number>();
  text.split('\n').forEach((written, index) => {
    const content = withoutComment(written).trimEnd();
    const words = content.trimStart();
    if (words === '') return;
    try {
      readLine(items, quotable, words, { path, line: index + 1, column: content.length - words.length + 1 });
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      diagnostics.push(...error.diagnostics);
      // Something that may be quoted and expected of stands in for a packet that cannot be read, so that it is reported just once.
      if (!words.startsWith('>')) items.push({ kind: 'reply', line: index + 1 });
    }
    const last = items.at(-1);
    if (last !== undefined && last.kind !== 'flush') quotable.add(last.line);
  });
  if (diagnostics.length > 0) throw new InputError(diagnostics);
  return { path, items };
}

/** A comment begins at a `#` at the start of a word. */
export function withoutComment(line: string): string {
  for (let at = line.indexOf('#'); at >= 0; at = line.indexOf('#', at + 1)) {
    if (at === 0 || /\s/.test(line[at - 1] ?? '')) return line.slice(0, at);
  }
  return line;
}

function readLine(
  items: ConversationItem[],
  quotable: ReadonlySet<number>,
  text: string,
  origin: Omit<Diagnostic, 'message'>,
): void {
  const { line } = origin;
  if (text === 'reply') {
    if (quotable.size === 0) {
      throw new InputError([{ ...origin, message: 'reply to what? expected a packet on a line before' }]);
    }
    items.push({ kind: 'reply', line });
  } else if (text === 'flush') items.push({ kind: 'flush', line });
  else if (text.startsWith('>')) {
    const last = items.at(-1);
    if (last === undefined || last.kind === 'flush') {
      throw new InputError([
        { ...origin, message: 'expected a packet or a reply on the line before what is expected of it' },
      ]);
    }
    if (last.expected !== undefined) {
      const message = `what is expected of line ${last.line} is already written on line ${last.expected.line}`;
      throw new InputError([{ ...origin, message }]);
    }
    const fate = parseFate(text.slice(1), { ...origin, column: origin.column + 1 });
    items[items.length - 1] = { ...last, expected: { line, fate } };
  } else {
    const word = /^\S+/.exec(text)?.[0] ?? '';
    const meant = nearest(word, ['reply', 'flush']);
    if (meant !== undefined && parseProtocol(word) === undefined) {
      const message =
        word === meant ? `expected nothing after ${word}` : `unknown word ${quoteText(word)}, did you mean ${meant}?`;
      throw new InputError([{ ...origin, message }]);
    }
    const arrival = parseArrival(text, origin);
    const { quotes } = arrival;
    if (quotes !== undefined && !quotable.has(quotes)) {
      const column = origin.column + text.indexOf('quotes');
      throw new InputError([{ ...origin, column, message: `there is no packet on line ${quotes} before this one` }]);
    }
    items.push({ kind: 'packet', line, arrival });
  }
}

/** The conversation as a packets file, each item on its own line where it can be: line numbers that are quoted stay true. */
export function printConversation(conversation: Conversation): string {
  const lines: string[] = [];
  const put = (line: number, text: string) => {
    while (lines.length < line - 1) lines.push('');
    lines.push(text);
  };
  for (const item of conversation.items) {
    put(item.line, item.kind === 'packet' ? printArrival(item.arrival) : item.kind);
    if (item.kind !== 'flush' && item.expected !== undefined) {
      put(item.expected.line, `> ${printFate(item.expected.fate)}`);
    }
  }
  return lines.map((line) => `${line}\n`).join('');
}
