/**
 * Text from an input as a message shows it: in quotation marks, cut after 40 characters, with everything that could
 * play tricks on a terminal (control characters, bidirectional marks, lone surrogates) written as an escape.
 */
export function quoteText(text: string): string {
  const cut = text.length > 40 ? `${text.slice(0, 40)}...` : text;
  const escaped = cut.replace(
    /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
  return `\`${escaped}\``;
}
