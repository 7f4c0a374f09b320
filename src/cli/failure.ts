/** How a command ends when it cannot answer (cli.md, exit codes). */
import { InputError, UnsupportedError } from '../diagnostic/diagnostic.ts';
import { printable } from '../report/printable.ts';
import { SpaceLimitError } from '../space/diagram.ts';
import { FileError, type Io } from './io.ts';

/** Bad usage, unreadable or unparsable input. */
export const COULD_NOT_ANSWER = 2;

/** A command line that asks for what cannot be, where only the command can tell. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'UsageError';
  }
}

/** Runs a command; what is wrong with its input goes to stderr as sentences, never as a stack trace, and the exit code is 2. */
export function answering(io: Io, run: () => number): number {
  try {
    return run();
  } catch (error) {
    if (
      error instanceof InputError ||
      error instanceof UnsupportedError ||
      error instanceof FileError ||
      error instanceof UsageError
    ) {
      // A message may quote its file.
      io.stderr(`${error.message.split('\n').map(printable).join('\n')}\n`);
      return COULD_NOT_ANSWER;
    }
    throw error;
  }
}

/** Something that is not modelled mattered, or the answer would have cost too much. */
export const UNDECIDED = 3;

/** Runs what works on all packets at once; where that outgrows its limit a sentence on stderr says so, and the exit code is 3. */
export function undecidedWhereTooLarge(io: Io, run: () => number): number {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof SpaceLimitError)) throw error;
    io.stderr(`undecided: ${error.message}\n`);
    return UNDECIDED;
  }
}
