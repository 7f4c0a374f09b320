/** Cases as stored regressions hold them: the host's file, the rules and the moves, a line each. */
import { z } from 'zod';
import { parseMove, printMove } from '../../src/arbitrary/move.ts';
import { makeCase, type WorldCase } from '../../src/arbitrary/world.ts';
import { printHost } from '../../src/host/print.ts';
import { readHost } from '../../src/host/read.ts';
import { readRuleset } from '../../src/ruleset/parse.ts';
import type { Codec } from './codec.ts';

const LINES = z.array(z.string());
const CASE = z.strictObject({
  host: LINES,
  backend: z.enum(['legacy', 'nft']),
  rules: z.array(z.strictObject({ family: z.union([z.literal(4), z.literal(6)]), text: LINES })),
  moves: LINES,
});

const linesOf = (text: string): string[] => text.trimEnd().split('\n');
const textOf = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');

const writeCase = ({ host, backend, texts, moves }: WorldCase): z.output<typeof CASE> => ({
  host: linesOf(printHost(host)),
  backend,
  rules: texts.map(({ family, text }) => ({ family, text: linesOf(text) })),
  moves: moves.map(printMove),
});

function readCase(plain: unknown): WorldCase {
  const { host, backend, rules, moves } = CASE.parse(plain);
  const texts = rules.map(({ family, text }) => ({ family, text: textOf(text) }));
  // A line that a restore refuses is an error in a file that a person has reviewed.
  for (const { family, text } of texts) readRuleset(text, { path: 'regression', family });
  return makeCase({
    host: readHost(textOf(host), 'regression'),
    backend,
    texts,
    moves: moves.map((move, index) => parseMove(move, 'regression', index + 1)),
  });
}

/** A case with naturals behind it, which say where in the case something is done. */
export const storedCase = <N extends number[]>(): Codec<[WorldCase, ...N]> => ({
  write: ([first, ...rest]) => [writeCase(first), ...rest],
  read: ([first, ...rest]) => [readCase(first), ...z.array(z.int().min(0)).parse(rest)] as [WorldCase, ...N],
});
