/** A command's surroundings in memory: for tests, and for programs that run a command without files. */
import { FileError, type Io } from './io.ts';

export interface MemoryIo extends Io {
  /** What has been written so far. */
  readonly written: { stdout: string; stderr: string; readonly files: Map<string, string> };
}

/** `files` by their paths; `-` is standard input. What is not there is asked of `fallback`, which throws FileError as `Io.readFile` does. */
export function memoryIo(
  files: Readonly<Record<string, string | Uint8Array>>,
  surroundings: Partial<Pick<Io, 'env' | 'isTTY' | 'stderrIsTTY'>> & { readonly fallback?: Io['readFile'] } = {},
): MemoryIo {
  const written = { stdout: '', stderr: '', files: new Map<string, string>() };
  const { fallback, ...rest } = surroundings;
  return {
    written,
    stdout: (text) => {
      written.stdout += text;
    },
    stderr: (text) => {
      written.stderr += text;
    },
    readFile: (path) => {
      const content = files[path];
      if (content !== undefined) return content;
      if (fallback !== undefined) return fallback(path);
      throw new FileError(`cannot read ${path}: there is no such file or directory`);
    },
    writeFile: (path, text) => {
      written.files.set(path, text);
    },
    listFolder: (path) => {
      const inside = Object.keys(files).filter((file) => file.startsWith(`${path}/`));
      return inside.length === 0 ? undefined : inside.map((file) => file.slice(path.length + 1));
    },
    env: {},
    isTTY: false,
    stderrIsTTY: false,
    ...rest,
  };
}
