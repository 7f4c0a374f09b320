/**
 * What a rule that changes a packet makes of everything that comes behind it: the same function, of the packet as it was before.
 *
 * Source: netfilter/walk.ts, whose cases these are.
 */
import type { Action } from '../netfilter/compile.ts';
import { YES, NO, type Move, type Node, type Substitution } from './diagram.ts';
import { LAST_FLOW_STATE, NOT_SEEN, single, stateNumber, type Layout, type MarkField } from './layout.ts';
import { IDENTITY, isAlive, markedBefore, type Affine, type Outcomes } from './outcome.ts';

type ConnmarkTarget = Extract<Action, { kind: 'connmark' }>['target'];

export class Effects {
  readonly #layout: Layout;
  readonly #outcomes: Outcomes;
  readonly #known = new Map<string, Substitution>();

  constructor(layout: Layout, outcomes: Outcomes) {
    this.#layout = layout;
    this.#outcomes = outcomes;
  }

  /** `after`, in front of which `action` is done. */
  before(action: Action, rule: string, after: Node): Node {
    switch (action.kind) {
      case 'mark':
        return this.#affine(after, 'mark', action.value.value, action.value.mask);
      case 'connmark':
        return this.#layout.diagrams.ifThenElse(this.#flow(), this.#connmark(action.target, after), after);
      case 'ttl':
        return this.#ttl(action.operation, action.value, after);
      case 'untrack':
        return this.#untrack(after);
      default:
        return this.#logged(rule, after);
    }
  }

  #once(key: string, make: () => Substitution): Substitution {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#known.set(key, made);
    return made;
  }

  #flow(): Node {
    return this.#layout.chooseNumbers('ct', [{ from: 0, to: LAST_FLOW_STATE }], YES, NO);
  }

  /** mark = (mark & ~mask) ^ value: a bit of the mask becomes the value's, any other is turned over where the value has it. */
  #affine(after: Node, field: MarkField, value: number, mask: number): Node {
    const { diagrams } = this.#layout;
    const made = this.#once(`${field} ${value}/${mask}`, () => {
      const moves = new Map<number, Move>();
      for (let bit = 0; bit < 32; bit++) {
        const one = (value >>> bit) & 1;
        if (((mask >>> bit) & 1) === 1) moves.set(this.#layout.bitLevel(field, bit), one);
        else if (one === 1) moves.set(this.#layout.bitLevel(field, bit), (old) => 1 - old);
      }
      const affine: Affine = { own: ~mask >>> 0, other: 0, xor: value >>> 0 };
      const [mark, ctmark] = field === 'mark' ? [affine, IDENTITY] : [IDENTITY, affine];
      return diagrams.substitution(
        moves,
        this.#outcomes.mapper((outcome) => markedBefore(outcome, mark, ctmark)),
      );
    });
    return diagrams.substitute(made, after);
  }

  /** xt_connmark: one mark is made of the other. */
  #connmark({ operation, value, ctmask, nfmask }: ConnmarkTarget, after: Node): Node {
    if (operation === 'set') return this.#affine(after, 'ctmark', value.value, value.mask);
    const [to, from, kept, taken]: [MarkField, MarkField, number, number] =
      operation === 'save' ? ['ctmark', 'mark', ~ctmask >>> 0, nfmask] : ['mark', 'ctmark', ~nfmask >>> 0, ctmask];
    const { diagrams } = this.#layout;
    const support = new Set(diagrams.supportOf(after));
    const affine: Affine = { own: kept, other: taken, xor: 0 };
    const [mark, ctmark] = to === 'mark' ? [affine, IDENTITY] : [IDENTITY, affine];
    let node = diagrams.substitute(
      this.#once(`${operation} ${ctmask} ${nfmask}`, () =>
        diagrams.mapping(this.#outcomes.mapper((outcome) => markedBefore(outcome, mark, ctmark))),
      ),
      after,
    );
    for (let bit = 0; bit < 32; bit++) {
      const level = this.#layout.bitLevel(to, bit);
      if (!support.has(level)) continue;
      const keeps = ((kept >>> bit) & 1) === 1;
      const takes = ((taken >>> bit) & 1) === 1;
      // What the bit becomes where the other mark's bit is 0, and where it is 1.
      const zero = keeps ? node : diagrams.restrict(node, level, 0);
      const one = keeps ? diagrams.substitute(this.#flip(level), node) : diagrams.restrict(node, level, 1);
      const other = diagrams.choose(this.#layout.bitLevel(from, bit), single(1), YES, NO);
      node = takes ? diagrams.ifThenElse(other, one, zero) : zero;
    }
    return node;
  }

  #flip(level: number): Substitution {
    return this.#once(`flip ${level}`, () =>
      this.#layout.diagrams.substitution(new Map([[level, (old: number) => 1 - old]])),
    );
  }

  #ttl(operation: 'set' | 'inc' | 'dec', value: number, after: Node): Node {
    const { diagrams } = this.#layout;
    const move: Move =
      operation === 'set'
        ? value
        : (old) => Math.min(255, Math.max(0, operation === 'inc' ? old + value : old - value));
    const made = this.#once(`ttl ${operation} ${value}`, () =>
      diagrams.substitution(
        new Map([[this.#layout.level('ttl'), move]]),
        this.#outcomes.mapper((outcome) => {
          if (!isAlive(outcome)) return outcome;
          const later = outcome.rewritten.ttl ?? [];
          // Whatever it was before, a later "set" decides.
          if (later[0]?.operation === 'set') return outcome;
          return { ...outcome, rewritten: { ...outcome.rewritten, ttl: [{ operation, value }, ...later] } };
        }),
      ),
    );
    return diagrams.substitute(made, after);
  }

  /** Only a packet that has no mark of conntrack can be kept from it; INVALID is none, and a packet that the host sends to itself may come so to raw again. */
  #untrack(after: Node): Node {
    const { diagrams } = this.#layout;
    const made = this.#once('untrack', () =>
      diagrams.substitution(
        new Map([[this.#layout.level('ct'), stateNumber('UNTRACKED')]]),
        this.#outcomes.mapper((outcome) =>
          outcome.kind === 'accepted' ? { ...outcome, rewritten: { ...outcome.rewritten, untracked: true } } : outcome,
        ),
      ),
    );
    const unmarked = this.#layout.chooseNumbers(
      'ct',
      [...single(stateNumber('INVALID')), ...single(NOT_SEEN)],
      YES,
      NO,
    );
    return diagrams.ifThenElse(unmarked, diagrams.substitute(made, after), after);
  }

  #logged(rule: string, after: Node): Node {
    const { diagrams } = this.#layout;
    const made = this.#once(`log ${rule}`, () =>
      diagrams.mapping(this.#outcomes.mapper((outcome) => ({ ...outcome, logged: [rule, ...outcome.logged] }))),
    );
    return diagrams.substitute(made, after);
  }
}
