/**
 * Rules that do nothing: those that no packet meets, those without which every packet would fare the same, and chains that no packet enters. Exact, over
 * all packets and all hooks; what is not modelled is read both ways, and a rule is idle only where it is so in each reading.
 */
import { compileTarget } from '../netfilter/compile.ts';
import { tablesAt } from '../netfilter/hooks.ts';
import type { Backend } from '../netfilter/skb.ts';
import { BUILT_IN_CHAINS, type Chain, type HookName, type Ruleset, type TableName } from '../ruleset/rule.ts';
import { Covering } from './covering.ts';
import { Probe, type ProbedRule } from './probe.ts';
import { Space } from './space.ts';

/** A rule by its number from 1, or a whole chain, or its policy. */
export interface RulePlace {
  readonly path: string;
  /** Absent for a chain that is declared nowhere. */
  readonly line?: number;
  readonly table: TableName;
  readonly chain: string;
  readonly rule?: number | 'policy';
}

/**
 * - `contradiction`: no packet is for this rule, wherever it stands: its matches exclude each other, or the hook.
 * - `covered`: rules before it take every packet that it is for.
 * - `not-entered`: the packets that come to its chain are none that it is for.
 * - `empty`: it calls a chain that does nothing.
 * - `same-without`: what comes behind it does the same to its packets.
 * - `unused`: no rule calls this chain.
 * - `unreached`: the rules that call this chain are met by no packet.
 */
export type IdleReason =
  'contradiction' | 'covered' | 'not-entered' | 'empty' | 'same-without' | 'unused' | 'unreached';

export interface IdleFinding {
  readonly kind: 'never-matches' | 'no-effect' | 'unused-chain' | 'unreached-chain';
  readonly because: IdleReason;
  readonly at: RulePlace;
  /** What takes its packets, does the same, or calls it, in the order of the text. */
  readonly by: readonly RulePlace[];
  /** There are more of them, or they were not looked for. */
  readonly more: boolean;
}

export interface IdleRules {
  readonly findings: readonly IdleFinding[];
  readonly rules: number;
  readonly chains: number;
}

export interface IdleOptions {
  readonly backend: Backend;
  /** Most edges of diagrams that are kept. */
  readonly limit?: number;
}

/** In the order of the text. Throws SpaceLimitError. */
export function idleRules(ruleset: Ruleset, { backend, limit }: IdleOptions): IdleRules {
  const findings: IdleFinding[] = [];
  let rules = 0;
  let chains = 0;
  for (const table of ruleset.tables.values()) {
    const space = new Space([ruleset], {
      family: ruleset.family,
      backend,
      ...(limit === undefined ? {} : { limit }),
    });
    findings.push(...idleInTable(space, ruleset, table.name));
    chains += table.chains.size;
    for (const chain of table.chains.values()) rules += chain.rules.length;
  }
  findings.sort((a, b) => (a.at.line ?? 0) - (b.at.line ?? 0));
  return { findings, rules, chains };
}

function idleInTable(space: Space, ruleset: Ruleset, table: TableName): readonly IdleFinding[] {
  const chains = ruleset.tables.get(table)?.chains ?? new Map<string, Chain>();
  const hooks = BUILT_IN_CHAINS[table].filter((hook) => chains.has(hook) && tablesAt(hook).includes(table));
  const probe = new Probe(space, ruleset, { table, hooks });
  const { met, mattering } = probe.collect();
  const calls = callsOf(probe);
  const entered = (chain: Chain): boolean =>
    chain.policy !== undefined || (calls.get(chain.name) ?? []).some((call) => met.has(call));
  const covering = new Covering(probe, hooks, calls);
  const findings: IdleFinding[] = [];
  for (const chain of chains.values()) {
    if (entered(chain)) continue;
    const callers = calls.get(chain.name) ?? [];
    const isUnused = callers.length === 0;
    findings.push({
      kind: isUnused ? 'unused-chain' : 'unreached-chain',
      because: isUnused ? 'unused' : 'unreached',
      at: covering.chainPlace(chain.name),
      ...covering.listed(callers.map((number) => covering.place(number))),
    });
  }
  const standing = [...probe.rules.entries()].filter(([, { chain }]) => entered(chain));
  const dead = standing.filter(([number]) => !met.has(number));
  for (const [number, probed] of dead)
    findings.push({ kind: 'never-matches', at: covering.place(number), ...covering.ofDead(number, probed) });
  const suspects = standing.filter(
    ([number, { rule }]) => met.has(number) && !mattering.has(number) && compileTarget(rule.target).kind !== 'continue',
  );
  findings.push(...withoutEffect(space, { ruleset, table, hooks, dead, suspects }, covering));
  return findings;
}

/** By chain the numbers of the rules that jump or go to it. */
function callsOf({ rules }: Probe): ReadonlyMap<string, readonly number[]> {
  const calls = new Map<string, number[]>();
  for (const [number, { rule }] of rules.entries()) {
    if (rule.target?.kind !== 'jump' && rule.target?.kind !== 'goto') continue;
    const own = calls.get(rule.target.chain);
    if (own === undefined) calls.set(rule.target.chain, [number]);
    else own.push(number);
  }
  return calls;
}

interface Suspicion {
  readonly ruleset: Ruleset;
  readonly table: TableName;
  readonly hooks: readonly HookName[];
  readonly dead: readonly (readonly [number, ProbedRule])[];
  readonly suspects: readonly (readonly [number, ProbedRule])[];
}

/**
 * Of two equal rules the second is met by no packet, and the first has no effect as long as the second stands there. So a rule must also be without
 * effect when those are gone that no packet meets.
 */
function withoutEffect(
  space: Space,
  { ruleset, table, hooks, dead, suspects }: Suspicion,
  covering: Covering,
): readonly IdleFinding[] {
  if (suspects.length === 0) return [];
  const gone = new Set(dead.map(([number]) => number));
  const again = gone.size === 0 ? undefined : new Probe(space, ruleset, { table, hooks }, gone).collect().mattering;
  return suspects
    .filter(([number]) => again?.has(number) !== true)
    .map(([number, probed]) => ({
      kind: 'no-effect',
      at: covering.place(number),
      ...covering.ofIdle(number, probed, gone),
    }));
}
