/** What comes from a ruleset or a deployment is printed with its control characters made visible: a report cannot be made to lie by one. */
export const printable = (text: string): string =>
  // Control characters, and the marks that change a line's direction.
  text.replace(/[\p{Cc}\p{Bidi_Control}]/gu, (character) => {
    const code = character.charCodeAt(0);
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
