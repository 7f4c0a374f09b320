/** What a command may touch outside of itself: the one door to files, streams and environment. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { shellWord } from './shell-word.ts';

export interface Io {
  /** Results. */
  readonly stdout: (text: string) => void;
  /** Progress, warnings and errors. */
  readonly stderr: (text: string) => void;
  /** A whole file; `-` is standard input. Throws FileError. */
  readonly readFile: (path: string) => string | Uint8Array;
  /** Writes a whole file and the directories on the way to it. Throws FileError. */
  readonly writeFile: (path: string, text: string) => void;
  /** The names of the files in a folder; undefined for what is none. Absent: there are no folders. */
  readonly listFolder?: (path: string) => readonly string[] | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** True where results go to a terminal, and may be coloured. */
  readonly isTTY: boolean;
  /** True where stderr is a terminal, and a progress line may be redrawn. */
  readonly stderrIsTTY: boolean;
  /** How the program is called from here, for commands that a report offers to paste; `nfverdict` unless given. */
  readonly command?: string;
}

/** A file that cannot be read or written. */
export class FileError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FileError';
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or directory',
  EACCES: 'permission denied',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of its path is no directory',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left',
};

function fileError(verb: string, path: string, error: unknown): FileError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const shown = path === '-' ? 'standard input' : path;
  return new FileError(`cannot ${verb} ${shown}: ${REASONS[code] ?? (code === '' ? String(error) : code)}`);
}

/**
 * By its name where it was started by its name, as an installed or linked package is; else by its file. Not `npx`, which in a working tree installs and builds
 * the tree into a cache of its own first.
 */
function commandOf(started: string): string {
  if (basename(started) === 'nfverdict') return 'nfverdict';
  const file = relative(process.cwd(), fileURLToPath(new URL('main.js', import.meta.url)));
  return `node ${shellWord(file)}`;
}

/** mkdir -p. Not mkdirSync's own `recursive`, which under /proc never returns (Node 20). */
function makeFolder(path: string): void {
  const missing: string[] = [];
  for (let folder = resolve(path); !existsSync(folder); folder = dirname(folder)) missing.unshift(folder);
  for (const folder of missing) mkdirSync(folder);
}

/** The process's own streams, files and environment. */
export const nodeIo: Io = {
  stdout: (text) => {
    process.stdout.write(text);
  },
  stderr: (text) => {
    process.stderr.write(text);
  },
  readFile: (path) => {
    try {
      return readFileSync(path === '-' ? 0 : path);
    } catch (error) {
      throw fileError('read', path, error);
    }
  },
  writeFile: (path, text) => {
    try {
      makeFolder(dirname(path));
      writeFileSync(path, text);
    } catch (error) {
      throw fileError('write', path, error);
    }
  },
  listFolder: (path) => {
    try {
      return statSync(path).isDirectory() ? readdirSync(path) : undefined;
    } catch {
      // Reading it as a file tells what is wrong.
      return undefined;
    }
  },
  env: process.env,
  isTTY: process.stdout.isTTY,
  stderrIsTTY: process.stderr.isTTY,
  command: commandOf(process.argv[1] ?? ''),
};
