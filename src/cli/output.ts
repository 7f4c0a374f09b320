/** Where results go, in which format, and whether in colour. */
import { readFileSync } from 'node:fs';
import { COLOURED, PLAIN, type Paint } from '../report/paint.ts';
import { printable } from '../report/printable.ts';
import { wrap } from '../report/wrap.ts';
import type { Io } from './io.ts';
import { UsageError } from './failure.ts';

export const FORMATS = ['text', 'json'] as const;
export type Format = (typeof FORMATS)[number];

/** `--format F [--output FILE]`, as often as one likes: a format without a file goes to stdout. */
export interface Output {
  readonly format: Format;
  readonly path?: string;
}

export type Colour = 'auto' | 'always' | 'never';

export interface OutputOptions {
  readonly outputs: readonly Output[];
  readonly color: Colour;
}

/** Collects `--format` and `--output` in the order in which they stand on the command line. */
export class OutputList {
  #outputs: Output[] = [];

  format(value: string): void {
    const format = FORMATS.find((candidate) => candidate === value);
    if (format === undefined) throw new UsageError(`there is no format ${value}: expected ${FORMATS.join(' or ')}`);
    this.#outputs.push({ format });
  }

  file(path: string): void {
    const last = this.#outputs.at(-1);
    if (last === undefined || last.path !== undefined) this.#outputs.push({ format: 'text', path });
    else this.#outputs[this.#outputs.length - 1] = { ...last, path };
  }

  get list(): readonly Output[] {
    return this.#outputs.length === 0 ? [{ format: 'text' }] : this.#outputs;
  }
}

/** NO_COLOR (no-color.org) and the terminal decide, unless --color does. */
function paintFor(io: Io, color: Colour, toFile: boolean): Paint {
  if (color === 'always') return COLOURED;
  if (color === 'never' || toFile) return PLAIN;
  return io.isTTY && (io.env['NO_COLOR'] ?? '') === '' ? COLOURED : PLAIN;
}

/** What is taken as given: the head of a report. */
export const printAssumptions = (sentences: readonly string[], paint: Paint): string =>
  sentences
    .flatMap((sentence) => wrap(printable(sentence), 'assumed: '))
    .map((line) => `${paint.dim(line)}\n`)
    .join('') + '\n';

/** Writes each output asked for. Throws UsageError for two that would get mixed up on stdout. */
export function writeOutputs(
  io: Io,
  { outputs, color }: OutputOptions,
  render: { readonly text: (paint: Paint) => string; readonly json: () => string },
): void {
  if (outputs.filter(({ path }) => path === undefined).length > 1)
    throw new UsageError('two formats cannot both go to stdout: give all but one an --output FILE');
  for (const { format, path } of outputs) {
    const text = format === 'json' ? render.json() : render.text(paintFor(io, color, path !== undefined));
    if (path === undefined) io.stdout(text);
    else io.writeFile(path, text);
  }
}

interface PackageFile {
  readonly name: string;
  readonly version: string;
}

/** Name and version, from the package's own file. */
export const TOOL: PackageFile = (() => {
  const { name, version } = JSON.parse(
    readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
  ) as PackageFile;
  return { name, version };
})();
