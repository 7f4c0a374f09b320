/** Sentences in lines that fit a screen. */

/** The width of a report, the same everywhere: a report is also compared, and mailed. */
export const WIDTH = 100;

/**
 * Breaks text at its blanks into lines of at most `width` columns; the first follows `first`, the others are indented by `hanging` blanks. A word that is longer
 * than a line, such as a path, stands alone.
 */
export function wrap(text: string, first = '', hanging = first.length, width = WIDTH): string[] {
  const lines: string[] = [];
  const indent = ' '.repeat(hanging);
  let line = first;
  let empty = true;
  for (const word of text.split(' ')) {
    if (!empty && line.length + 1 + word.length > width) {
      lines.push(line);
      line = indent;
      empty = true;
    }
    line += empty ? word : ` ${word}`;
    empty = false;
  }
  lines.push(line);
  return lines;
}
