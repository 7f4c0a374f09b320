/**
 * One line of a ruleset cut into words, exactly as iptables-restore cuts it (iptables/xshared.c, add_param_to_argv): blanks separate,
 * a double quote opens a part in which blanks count and a backslash takes the next character as it is, and the closing quote ends the
 * word. Single quotes and backslashes outside of double quotes are ordinary characters.
 */

/** A word, and the column (from 1) of its first character; for a quoted one that is its quote. */
export interface Token {
  readonly text: string;
  readonly column: number;
}

/** What is wrong with one line: thrown while the line is read, caught by `parseRuleset` and reported with the line's number. */
export class Fault extends Error {
  readonly column: number;
  constructor(column: number, message: string) {
    super(message);
    this.name = 'Fault';
    this.column = column;
  }
}

/** Reports what is wrong with `token`. */
export function fail(token: Token, message: string): never {
  throw new Fault(token.column, message);
}

/** iptables/xshared.c: MAX_ARGC and the size of struct xt_param_buf. */
const MAX_WORDS = 254;
const MAX_WORD_LENGTH = 1023;

const isBlank = (character: string | undefined): boolean => character === ' ' || character === '\t';

/** The words of `line` from the character at index `start`. Throws a Fault for an open quote and for too much of anything. */
export function tokenize(line: string, start = 0): Token[] {
  const tokens: Token[] = [];
  let text = '';
  let begin = -1;
  const push = (): void => {
    if (tokens.length >= MAX_WORDS) {
      throw new Fault(begin + 1, `too many words in one line: expected at most ${MAX_WORDS}`);
    }
    if (text.length > MAX_WORD_LENGTH) {
      throw new Fault(begin + 1, `this word has ${text.length} characters: expected at most ${MAX_WORD_LENGTH}`);
    }
    tokens.push({ text, column: begin + 1 });
    text = '';
    begin = -1;
  };
  let i = start;
  while (i < line.length) {
    const character = line[i] ?? '';
    if (character === '"') {
      if (begin < 0) begin = i;
      const quote = i;
      for (i++; line[i] !== '"'; i++) {
        if (line[i] === '\\') i++;
        if (i >= line.length) throw new Fault(quote + 1, 'this quote is never closed: expected another " in the line');
        text += line[i] ?? '';
      }
      push();
    } else if (isBlank(character)) {
      if (begin >= 0) push();
    } else {
      if (begin < 0) begin = i;
      text += character;
    }
    i++;
  }
  if (begin >= 0) push();
  return tokens;
}

/** libxtables/xtables.c, xtables_save_string: what needs no quotes, and what is escaped inside them. */
const NEEDS_NO_QUOTES = /^[-_0-9A-Za-z]+$/;

/** Prints a text as iptables-save prints comments and prefixes: bare when it is one plain word, else quoted. */
export const printText = (text: string): string => (NEEDS_NO_QUOTES.test(text) ? text : printQuoted(text));

/** Prints a text in quotes whatever it is. */
export const printQuoted = (text: string): string => `"${text.replace(/["'\\]/g, '\\$&')}"`;

/** Prints any word so that `tokenize` reads it back: in quotes only where it could not stand bare. */
export const printWord = (text: string): string =>
  text === '' || /[\s"]/.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : text;
