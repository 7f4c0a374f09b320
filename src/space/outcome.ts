/** What becomes of a packet, as terminals of diagrams: each outcome is kept once. */
import type { Address } from '../address/address.ts';
import type { Range } from '../address/ranges.ts';
import type { RejectWith } from '../ruleset/rule.ts';
import { FIRST_FREE_TERMINAL, MOST_EDGES, SpaceLimitError, terminal, valueOf, type Node } from './diagram.ts';

/** A mark as a function of the two marks that a packet came with: (own & `own`) ^ (other & `other`) ^ `xor`. */
export interface Affine {
  readonly own: number;
  readonly other: number;
  readonly xor: number;
}

export interface TtlStep {
  readonly operation: 'set' | 'inc' | 'dec';
  readonly value: number;
}

/** Values that the packet ends with; a field that is not named is as it was. Of a range the kernel chooses. */
export interface Rewritten {
  readonly saddr?: Address;
  readonly daddr?: Address;
  readonly sport?: Range<number>;
  readonly dport?: Range<number>;
  readonly mark?: Affine;
  readonly ctmark?: Affine;
  readonly ttl?: readonly TtlStep[];
  readonly untracked?: true;
  /** The NAT target as written, where only a table is asked and no host. */
  readonly translation?: string;
}

export interface Outcome {
  /** `accepted`: by a table, where only that is asked. The others are fates (netfilter/journey.ts). */
  readonly kind: 'accepted' | 'delivered' | 'forwarded' | 'dropped' | 'rejected' | 'undecided';
  readonly with?: RejectWith;
  readonly oif?: string;
  readonly port?: string;
  /** Why, where no rule says it. */
  readonly reason?: string;
  /** The rule that decided, where that was asked: see RuleNames. */
  readonly rule?: string;
  readonly rewritten: Rewritten;
  /** The rules that logged it, where that was asked: by name, or as what they write. */
  readonly logged: readonly string[];
}

export const IDENTITY: Affine = { own: 0xffffffff, other: 0, xor: 0 };

/** The mark that `after` makes of what `own` and `other` make of a packet's marks. */
export const composed = (after: Affine, own: Affine, other: Affine): Affine => ({
  own: ((own.own & after.own) ^ (other.other & after.other)) >>> 0,
  other: ((own.other & after.own) ^ (other.own & after.other)) >>> 0,
  xor: ((own.xor & after.own) ^ (other.xor & after.other) ^ after.xor) >>> 0,
});

/** An outcome takes the room of so many edges, and each of its entries as well. */
const EDGES_FOR_OUTCOME = 30;

export class Outcomes {
  readonly #list: Outcome[] = [];
  readonly #numbers = new Map<string, number>();
  /** Outcomes and entries of their lists that may still be kept. */
  #left: number;

  /** `limit`: the room that they may take, in edges of diagrams. */
  constructor(limit = MOST_EDGES) {
    this.#left = limit / EDGES_FOR_OUTCOME;
  }

  /** Throws SpaceLimitError. */
  node(outcome: Omit<Outcome, 'rewritten' | 'logged'> & Partial<Pick<Outcome, 'rewritten' | 'logged'>>): Node {
    const whole: Outcome = { rewritten: {}, logged: [], ...outcome };
    const key = keyOf(whole);
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#list.length;
      this.#left -= 1 + whole.logged.length + (whole.rewritten.ttl?.length ?? 0);
      if (this.#left < 0)
        throw new SpaceLimitError(
          `packets fare in too many ways to keep them apart: ${number} of them are known, and the last has ${whole.logged.length} log entries`,
        );
      this.#list.push(whole);
      this.#numbers.set(key, number);
    }
    return terminal(FIRST_FREE_TERMINAL + number);
  }

  /** The outcome of a terminal; undefined for one that is none. */
  of(node: Node): Outcome | undefined {
    return this.#list[valueOf(node) - FIRST_FREE_TERMINAL];
  }

  /** A function of outcomes as one of terminals; what is no outcome stays. */
  mapper(map: (outcome: Outcome) => Outcome): (node: Node) => Node {
    return (node) => {
      const outcome = this.of(node);
      if (outcome === undefined) return node;
      const mapped = map(outcome);
      return mapped === outcome ? node : this.node(mapped);
    };
  }
}

/** Fields in one order, whatever they were made in. No text of theirs has a line's end in it. */
function keyOf({ kind, with: how, oif, port, reason, rule, rewritten, logged }: Outcome): string {
  const { saddr, daddr, sport, dport, mark, ctmark, ttl, untracked, translation } = rewritten;
  const texts: readonly unknown[] = [
    kind,
    how,
    oif,
    port,
    reason,
    rule,
    saddr,
    daddr,
    sport && `${sport.from} ${sport.to}`,
    dport && `${dport.from} ${dport.to}`,
    mark && affineKey(mark),
    ctmark && affineKey(ctmark),
    ttl?.map(({ operation, value }) => `${operation} ${value}`).join(),
    untracked,
    translation,
    ...logged,
  ];
  return texts.join('\n');
}

const affineKey = ({ own, other, xor }: Affine): string => `${own} ${other} ${xor}`;

/** The packet goes on or has arrived: what has been rewritten is seen by somebody. */
export const isAlive = ({ kind }: Outcome): boolean =>
  kind === 'accepted' || kind === 'delivered' || kind === 'forwarded';

const isIdentity = ({ own, other, xor }: Affine): boolean => own === 0xffffffff && other === 0 && xor === 0;

/** The outcome of a packet whose marks had been changed so before. */
export function markedBefore(outcome: Outcome, mark: Affine, ctmark: Affine): Outcome {
  if (!isAlive(outcome)) return outcome;
  const { mark: markAfter, ctmark: ctmarkAfter, ...rest } = outcome.rewritten;
  const one = composed(markAfter ?? IDENTITY, mark, ctmark);
  const other = composed(ctmarkAfter ?? IDENTITY, ctmark, mark);
  return {
    ...outcome,
    rewritten: {
      ...rest,
      ...(isIdentity(one) ? {} : { mark: one }),
      ...(isIdentity(other) ? {} : { ctmark: other }),
    },
  };
}
