/**
 * Claims about packets of any host: what the filter table does at its hooks to every packet of a set. Exact; what is not modelled is read both ways, and a
 * claim holds or is broken only where it is so in each reading.
 */
import type { ExpectedFate } from '../packet/fate.ts';
import type { FilterHook, WrittenClaim } from '../packet/claims.ts';
import { nameSetHas, type EntrySet } from '../packet/pattern.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import type { Backend } from '../netfilter/skb.ts';
import { describe } from './description.ts';
import { NO, YES, type Node } from './diagram.ts';
import type { Outcome } from './outcome.ts';
import { Replay, type Replayed } from './replay.ts';
import { Space } from './space.ts';
import { atHook, possible } from './table-difference.ts';
import { wellFormed, withoutSaying } from './well-formed.ts';
import { witnessAt, type Witness } from './witness.ts';

export type ClaimResult = 'proved' | 'broken' | 'undecided' | 'vacuous';

/** What breaks a claim at a hook, or leaves it undecided there. */
export interface Breach {
  readonly result: 'broken' | 'undecided';
  readonly hook: FilterHook;
  /** The exact set, in boxes. */
  readonly packets: readonly string[];
  readonly more: boolean;
  readonly witness?: Witness;
  /** The witness as the model walks it, packet by packet. */
  readonly replayed?: Replayed;
  /** The model says of the witness what the proof says; null where it depends on what is not modelled. */
  readonly confirmed: boolean | null;
}

export interface JudgedAtTables {
  readonly claim: WrittenClaim;
  readonly result: ClaimResult;
  readonly hooks: readonly FilterHook[];
  readonly breaches: readonly Breach[];
}

/** The hooks at which packets of a claim can be met. */
export function hooksOf({ set, out, at, fate }: WrittenClaim): readonly FilterHook[] {
  const comesIn = set.boxes.some(({ entry }) => entry.in.not || entry.in.names.length > 0);
  const isLocal = set.boxes.some(({ entry }) => hasLocal(entry));
  const met: FilterHook[] = [
    ...(comesIn && out === undefined && fate.kind !== 'forwarded' ? (['INPUT'] as const) : []),
    ...(comesIn && fate.kind !== 'delivered' ? (['FORWARD'] as const) : []),
    ...(isLocal && fate.kind !== 'delivered' ? (['OUTPUT'] as const) : []),
  ];
  return at === undefined ? met : met.filter((hook) => at.includes(hook));
}

const hasLocal = ({ local }: EntrySet): boolean => nameSetHas(local, '');

const isAsClaimed = ({ kind }: ExpectedFate, outcome: Outcome): boolean =>
  kind === 'delivered' || kind === 'forwarded' ? outcome.kind === 'accepted' : outcome.kind === kind;

const replayedAsClaimed = ({ kind }: ExpectedFate, replayed: Replayed): boolean =>
  kind === 'delivered' || kind === 'forwarded' ? replayed.kind === 'accepted' : replayed.kind === kind;

export class TableClaims {
  readonly #space: Space;
  readonly #ruleset: Ruleset;
  readonly #replay: Replay;
  readonly #verdicts = new Map<FilterHook, Node>();
  readonly #wellFormed: Node;

  /** For these claims, whose interfaces it knows. */
  constructor(ruleset: Ruleset, claims: readonly WrittenClaim[], backend: Backend, limit?: number) {
    const devices = claims.flatMap(({ set, out }) => [
      ...set.boxes.flatMap(({ entry }) => entry.in.names),
      ...(out?.names ?? []),
    ]);
    this.#ruleset = ruleset;
    this.#space = new Space([ruleset], {
      family: ruleset.family,
      backend,
      more: { devices },
      ...(limit === undefined ? {} : { limit }),
    });
    this.#replay = new Replay(ruleset);
    this.#wellFormed = wellFormed(this.#space.layout);
  }

  /** Throws SpaceLimitError. */
  judge(claim: WrittenClaim): JudgedAtTables {
    const hooks = hooksOf(claim);
    const judged = hooks.map((hook) => this.#atHook(claim, hook));
    const breaches = judged.flatMap(({ breach }) => breach ?? []);
    const result = breaches.some((breach) => breach.result === 'broken')
      ? 'broken'
      : breaches.length > 0
        ? 'undecided'
        : judged.every(({ claimed }) => claimed === NO)
          ? 'vacuous'
          : 'proved';
    return { claim, result, hooks, breaches };
  }

  #verdict(hook: FilterHook): Node {
    const known = this.#verdicts.get(hook);
    if (known !== undefined) return known;
    const next = this.#space.outcomes.node({ kind: 'accepted' });
    const made = this.#space.table(this.#ruleset, 'filter', hook, { deciding: false, logs: false }, { next });
    this.#verdicts.set(hook, made);
    return made;
  }

  #domain({ set, out }: Pick<WrittenClaim, 'set' | 'out'>, hook: FilterHook): Node {
    const { layout } = this.#space;
    const { diagrams, alphabets } = layout;
    const { devices } = alphabets;
    const leaving =
      out === undefined
        ? YES
        : layout.chooseValues(
            'oif',
            Array.from({ length: devices.max + 1 }, (_, number) => number).filter(
              (number) => devices.nameOf(number) !== '' && nameSetHas(out, devices.nameOf(number)),
            ),
            YES,
            NO,
          );
    return [this.#wellFormed, atHook(layout, set), leaving].reduce(
      (one, other) => diagrams.and(one, other),
      possible(layout, hook, 'filter'),
    );
  }

  #atHook(claim: WrittenClaim, hook: FilterHook): { readonly claimed: Node; readonly breach?: Breach } {
    const { layout, outcomes } = this.#space;
    const { diagrams } = layout;
    const claimed = this.#domain(claim, hook);
    const where = (holds: (outcome: Outcome) => boolean): Node =>
      diagrams.substitute(
        diagrams.mapping((node) => {
          const outcome = outcomes.of(node);
          return outcome !== undefined && holds(outcome) ? YES : NO;
        }),
        this.#verdict(hook),
      );
    const isUndecided = ({ kind }: Outcome): boolean => kind === 'undecided';
    const bad = diagrams.and(
      claimed,
      where((outcome) => !isUndecided(outcome) && !isAsClaimed(claim.fate, outcome)),
    );
    const inEveryReading = diagrams.substitute(
      diagrams.mapping((node) => (node === YES ? YES : NO), layout.floor),
      bad,
    );
    if (inEveryReading !== NO) return { claimed, breach: this.#breach('broken', claim, hook, inEveryReading) };
    const doubtful = diagrams.or(bad, diagrams.and(claimed, where(isUndecided)));
    return doubtful === NO ? { claimed } : { claimed, breach: this.#breach('undecided', claim, hook, doubtful) };
  }

  #breach(result: 'broken' | 'undecided', { fate }: WrittenClaim, hook: FilterHook, packets: Node): Breach {
    const { layout, backend } = this.#space;
    const { boxes, more } = describe(
      layout,
      withoutSaying(layout, this.#wellFormed, packets),
      possible(layout, hook, 'filter'),
    );
    const witness = witnessAt(layout, packets, { hook, backend });
    const replayed = witness && this.#replay.walk('filter', witness.skb);
    const confirmed =
      replayed === undefined || replayed.kind === 'undecided' || result === 'undecided'
        ? null
        : !replayedAsClaimed(fate, replayed);
    return {
      result,
      hook,
      packets: boxes,
      more,
      confirmed,
      ...(witness === undefined ? {} : { witness }),
      ...(replayed === undefined ? {} : { replayed }),
    };
  }
}
