/** What is wrong with an input, where, and what would be right. Positions count from 1. */
export interface Diagnostic {
  readonly path: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

export const printDiagnostic = (diagnostic: Diagnostic): string =>
  `${diagnostic.path}:${diagnostic.line}:${diagnostic.column}: ${diagnostic.message}`;

/** Thrown by readers of input: all that is wrong with it, so that one bad line does not hide the next. */
export class InputError extends Error {
  readonly diagnostics: readonly Diagnostic[];
  constructor(diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map(printDiagnostic).join('\n'));
    this.name = 'InputError';
    this.diagnostics = diagnostics;
  }
}

/** Thrown where an input is good but asks for what is not built yet: as clear an end as an InputError, exit code 2. */
export class UnsupportedError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UnsupportedError';
  }
}
