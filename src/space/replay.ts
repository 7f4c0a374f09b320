/** A witness, replayed by the model that defines what is right: the walk of one packet through the chains of one table. */
import type { CompiledChain, CompiledRule } from '../netfilter/compile.ts';
import { ChainsOnDemand } from '../netfilter/on-demand.ts';
import type { Skb } from '../netfilter/skb.ts';
import { walkTable } from '../netfilter/walk.ts';
import { printTarget } from '../ruleset/print.ts';
import type { Ruleset, TableName } from '../ruleset/rule.ts';
import { SpaceLimitError } from './diagram.ts';
import type { Outcome } from './outcome.ts';

/** How a table ended for one packet, and the rule that decided. */
export interface Replayed {
  readonly kind: 'accepted' | 'dropped' | 'rejected' | 'undecided';
  readonly with?: string;
  readonly translation?: string;
  readonly path: string;
  readonly table: TableName;
  /** Absent where the ruleset has no such table. */
  readonly chain?: string;
  readonly rule?: number | 'policy';
  readonly line?: number;
  readonly target?: string;
  /** The rules that it met, and the policy, in order. */
  readonly steps: readonly ReplayedStep[];
  /** Where it could not be decided: the line of the first rule that asked for what is not known. */
  readonly unknownAt?: number;
}

export interface ReplayedStep {
  readonly chain: string;
  readonly rule: number | 'policy';
  readonly line?: number;
  readonly target: string;
}

/** Where each chain calls the next one twice, one packet alone meets twice as many rules with each of them. */
const MOST_STEPS = 1 << 18;

export class Replay {
  readonly #ruleset: Ruleset;
  /** A packet or two meet few chains of many. */
  readonly #onDemand: ReadonlyMap<TableName, ChainsOnDemand>;

  constructor(ruleset: Ruleset) {
    this.#ruleset = ruleset;
    this.#onDemand = new Map(
      [...ruleset.tables.values()].map(({ name, chains }) => [name, new ChainsOnDemand(chains)]),
    );
  }

  /** A table's chains, compiled as they are asked for; undefined where the ruleset has no such table. */
  chainsOf(table: TableName): Pick<ReadonlyMap<string, CompiledChain>, 'get'> | undefined {
    return this.#onDemand.get(table);
  }

  /** Leaves `skb` as it is. Throws SpaceLimitError. Other chains may stand in the place of the table's own. */
  walk(
    table: TableName,
    skb: Skb,
    chains: Pick<ReadonlyMap<string, CompiledChain>, 'get'> | undefined = this.chainsOf(table),
  ): Replayed {
    const { path } = this.#ruleset;
    if (chains === undefined) return { kind: 'accepted', path, table, steps: [] };
    const steps: ReplayedStep[] = [];
    let translation: string | undefined;
    const asked: CompiledRule[] = [];
    const tracked =
      skb.tracked?.kind === 'flow' ? { ...skb.tracked, connection: { ...skb.tracked.connection } } : skb.tracked;
    const verdict = walkTable(
      table,
      chains,
      skb.hook,
      { ...skb, tracked },
      {
        assume: (rule) => {
          asked.push(rule);
          return false;
        },
        record: (_table, chain, rule, line, target) => {
          if (steps.length === MOST_STEPS)
            throw new SpaceLimitError(
              `a packet meets more than ${MOST_STEPS} rules: chains call others again and again`,
            );
          steps.push({ chain, rule, target, ...(line === undefined ? {} : { line }) });
        },
        translateTo: (target) => {
          translation = printTarget(target);
          return true;
        },
      },
    );
    const kind = ({ accept: 'accepted', drop: 'dropped', reject: 'rejected', unknown: 'undecided' } as const)[
      verdict.kind
    ];
    const last: Partial<ReplayedStep> = steps.at(-1) ?? {};
    const line = last.line ?? this.#ruleset.tables.get(table)?.chains.get(last.chain ?? '')?.line;
    const unknownAt = asked[0]?.line ?? (verdict.kind === 'unknown' ? verdict.line : undefined);
    return {
      kind: asked.length > 0 ? 'undecided' : kind,
      ...(verdict.kind === 'reject' ? { with: verdict.with } : {}),
      ...(translation === undefined ? {} : { translation }),
      path,
      table,
      ...last,
      ...(line === undefined ? {} : { line }),
      steps,
      ...(unknownAt === undefined ? {} : { unknownAt }),
    };
  }
}

/** The replay ends as the diagram says. */
export const isAsSaid = (replayed: Replayed, said: Outcome): boolean =>
  replayed.kind === said.kind && replayed.with === said.with && replayed.translation === said.rewritten.translation;
