/** A word that a POSIX shell takes as it stands: quoted where it holds more than letters, digits and harmless signs. */
export const shellWord = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
