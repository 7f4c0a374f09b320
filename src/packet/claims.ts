/**
 * A claims file: what somebody says of their packets, a line each.
 *
 * `SET [out IFACE,...] [at HOOK,...] => FATE`: every packet of the set (the SET notation) ends so (the notation of fates). `out`: those that leave by these
 * interfaces, `!` all but them; `at`: what becomes of them at these hooks. `# text`, also behind a claim: a comment.
 */
import { InputError, type Diagnostic } from '../diagnostic/diagnostic.ts';
import { nearest } from '../diagnostic/nearest.ts';
import { quoteText } from '../diagnostic/quote.ts';
import { withoutComment } from './conversation.ts';
import { parseFate, type ExpectedFate } from './fate.ts';
import { nameSet, type NameSet, type PacketSet } from './pattern.ts';
import { isInterfaceName, type Origin } from './reader.ts';
import { parseSet } from './set-notation.ts';

/** Hooks at which the filter table stands. */
export const FILTER_HOOKS = ['INPUT', 'FORWARD', 'OUTPUT'] as const;
export type FilterHook = (typeof FILTER_HOOKS)[number];

export interface WrittenClaim {
  readonly line: number;
  /** Where the set and the fate begin. */
  readonly setColumn: number;
  readonly fateColumn: number;
  readonly text: string;
  readonly set: PacketSet;
  readonly out?: NameSet;
  readonly at?: readonly FilterHook[];
  readonly fate: ExpectedFate;
}

/** Throws one InputError with all that is wrong, a message for each bad line; a file without a claim is wrong, too. */
export function parseClaims(text: string, path: string): readonly WrittenClaim[] {
  const claims: WrittenClaim[] = [];
  const diagnostics: Diagnostic[] = [];
  const lines = text.split('\n');
  for (const [index, written] of lines.entries()) {
    const content = withoutComment(written).trimEnd();
    const words = content.trimStart();
    if (words === '') continue;
    try {
      claims.push(readClaim(words, { path, line: index + 1, column: content.length - words.length + 1 }));
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      diagnostics.push(...error.diagnostics);
    }
  }
  if (diagnostics.length > 0) throw new InputError(diagnostics);
  if (claims.length === 0)
    throw new InputError([{ path, line: 1, column: 1, message: 'there is no claim: expected lines `SET => FATE`' }]);
  return claims;
}

const ARROW = '=>';

function readClaim(text: string, origin: Origin): WrittenClaim {
  const arrow = text.indexOf(ARROW);
  if (arrow < 0)
    throw new InputError([
      { ...origin, column: origin.column + text.length, message: `expected ${ARROW} and a fate behind the set` },
    ]);
  const { body, out, at } = readTail(text.slice(0, arrow), origin);
  // A parser that finds too little says so where its text ends.
  const set = parseSet(body, origin);
  const after = arrow + ARROW.length;
  const fateAt = after + (text.slice(after).search(/\S/) < 0 ? 0 : text.slice(after).search(/\S/));
  const fateColumn = origin.column + fateAt;
  return {
    line: origin.line,
    setColumn: origin.column,
    fateColumn,
    text,
    set,
    ...(out === undefined ? {} : { out }),
    ...(at === undefined ? {} : { at }),
    fate: parseFate(text.slice(fateAt), { ...origin, column: fateColumn }),
  };
}

/** `out` and `at` stand last, each once. */
function readTail(text: string, origin: Origin): { body: string; out?: NameSet; at?: readonly FilterHook[] } {
  let body = text.trimEnd();
  let out: NameSet | undefined;
  let at: readonly FilterHook[] | undefined;
  for (;;) {
    const [, before = '', blank = '', key, value = ''] = /^(.*?)(\s+)(out|at)\s+(\S+)$/.exec(body) ?? [];
    if (key === undefined) break;
    const keyOrigin = { ...origin, column: origin.column + before.length + blank.length };
    if ((key === 'out' ? out : at) !== undefined)
      throw new InputError([{ ...keyOrigin, message: `${key} is written twice` }]);
    const valueOrigin = { ...origin, column: origin.column + body.length - value.length };
    if (key === 'out') out = readOut(value, valueOrigin);
    else at = readHooks(value, valueOrigin);
    body = before;
  }
  return { body, ...(out === undefined ? {} : { out }), ...(at === undefined ? {} : { at }) };
}

function readOut(text: string, origin: Origin): NameSet {
  const not = text.startsWith('!');
  const names = (not ? text.slice(1) : text).split(',');
  const wrong = names.find((name) => !isInterfaceName(name));
  if (wrong !== undefined)
    throw new InputError([
      { ...origin, message: `expected interfaces (eth0, a list of them, or !), read ${quoteText(wrong)}` },
    ]);
  return nameSet(names, not);
}

const readHooks = (text: string, origin: Origin): readonly FilterHook[] =>
  text.split(',').map((word) => {
    const hook = FILTER_HOOKS.find((candidate) => candidate === word);
    if (hook !== undefined) return hook;
    const meant = nearest(word, FILTER_HOOKS);
    const hint = meant === undefined ? `expected ${FILTER_HOOKS.join(', ')}` : `did you mean ${meant}?`;
    throw new InputError([{ ...origin, message: `unknown hook ${quoteText(word)}, ${hint}` }]);
  });
