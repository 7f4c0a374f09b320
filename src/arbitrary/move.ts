/** The moves of a dialogue as text, a move a line: what counterexamples print and stored ones are read from. */
import { parseAddress, printAddress } from '../address/address.ts';
import { InputError } from '../diagnostic/diagnostic.ts';
import { quoteText } from '../diagnostic/quote.ts';
import type { Move } from '../kernel/dialogue.ts';
import { parseArrival, printArrival } from '../packet/notation.ts';
import { numberOf, parseFlags, printFlags } from '../packet/reader.ts';

/** `PACKET`, `fragments SIZE PACKET`, `reply`, `again [KEY VALUE]...`, `follow FLAGS PAYLOAD`, `error TYPE CODE [by ADDRESS]` or `flush`. */
export function printMove(move: Move): string {
  switch (move.kind) {
    case 'packet':
      return printArrival(move.arrival);
    case 'fragments':
      return `fragments ${move.size} ${printArrival(move.arrival)}`;
    case 'reply':
    case 'flush':
      return move.kind;
    case 'again':
      return ['again', ...Object.entries(move.change ?? {}).map(([key, value]) => `${key} ${value}`)].join(' ');
    case 'follow':
      return `follow ${printFlags(move.flags)} ${move.payload}`;
    case 'error':
      return `error ${move.type} ${move.code}${move.by === undefined ? '' : ` by ${printAddress(move.by)}`}`;
  }
}

type Change = NonNullable<Extract<Move, { kind: 'again' }>['change']>;

const CHANGES = ['flags', 'seq', 'ack', 'payload', 'ttl', 'dport', 'sport'] as const;

/** The inverse of `printMove`. Throws InputError. */
export function parseMove(text: string, path: string, line: number): Move {
  const fail = (): never => {
    throw new InputError([{ path, line, column: 1, message: `${quoteText(text)} is no move` }]);
  };
  const [word = '', ...rest] = text.split(' ');
  const number = (at: number, max: number): number => numberOf(rest[at] ?? '', max) ?? fail();
  const origin = { path, line, column: 1 };
  switch (word) {
    case 'fragments':
      return { kind: 'fragments', size: number(0, 65535), arrival: parseArrival(rest.slice(1).join(' '), origin) };
    case 'reply':
    case 'flush':
      return rest.length > 0 ? fail() : { kind: word };
    case 'again': {
      const change: { -readonly [K in keyof Change]: Change[K] } = {};
      for (let at = 0; at < rest.length; at += 2) {
        const key = CHANGES.find((candidate) => candidate === rest[at]);
        if (key !== undefined) change[key] = number(at + 1, key === 'seq' || key === 'ack' ? 0xffffffff : 65535);
        else if (rest[at] === 'badsum') change.badsum = rest[at + 1] === 'true';
        else fail();
      }
      return rest.length === 0 ? { kind: 'again' } : { kind: 'again', change };
    }
    case 'follow':
      return { kind: 'follow', flags: parseFlags(rest[0] ?? '') ?? fail(), payload: number(1, 65535) };
    case 'error': {
      const by = rest[2] === 'by' ? (parseAddress(rest[3] ?? '') ?? fail()) : undefined;
      return { kind: 'error', type: number(0, 255), code: number(1, 255), ...(by === undefined ? {} : { by }) };
    }
    default:
      return { kind: 'packet', arrival: parseArrival(text, origin) };
  }
}
