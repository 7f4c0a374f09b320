/** A ruleset as understood: each rule compiled once, into a predicate and an action. Packets never meet the text. */
import { match as when, P } from 'ts-pattern';
import { printTarget } from '../ruleset/print.ts';
import type { Chain, Hidden, MaskedMark, RejectWith, Rule, Ruleset, TableName, Target } from '../ruleset/rule.ts';
import { compileMatch, every, unknownBecause, type Predicate } from './match.ts';

export type NatTarget = Extract<Target, { kind: 'DNAT' | 'SNAT' | 'MASQUERADE' | 'REDIRECT' | 'NETMAP' }>;

export type Action =
  | { readonly kind: 'accept' | 'drop' | 'return' | 'continue' | 'untrack' }
  | { readonly kind: 'jump' | 'goto'; readonly chain: string }
  | { readonly kind: 'reject'; readonly with: RejectWith }
  | { readonly kind: 'nat'; readonly target: NatTarget }
  | { readonly kind: 'mark'; readonly value: MaskedMark }
  | { readonly kind: 'connmark'; readonly target: Extract<Target, { kind: 'CONNMARK' }> }
  | { readonly kind: 'ttl'; readonly operation: 'set' | 'inc' | 'dec'; readonly value: number }
  | { readonly kind: 'unknown'; readonly because: string };

export interface CompiledRule {
  /** From 1. */
  readonly number: number;
  readonly line: number;
  readonly test: Predicate;
  readonly action: Action;
  /** The target as written; empty for none. */
  readonly label: string;
  /** Why `test` may answer that it does not know. */
  readonly because: string;
}

export interface CompiledChain {
  readonly name: string;
  readonly policy?: 'ACCEPT' | 'DROP';
  readonly rules: readonly CompiledRule[];
  /** Nobody knows what becomes of a packet here. */
  readonly hidden?: Hidden;
}

export interface CompiledRuleset {
  readonly tables: ReadonlyMap<TableName, ReadonlyMap<string, CompiledChain>>;
  /** Some rule needs connection tracking, so it is on (S1). */
  readonly conntrack: boolean;
  /** Some rule's match or target is not modelled, or some chain is known not to be shown. */
  readonly hasUnknown: boolean;
}

/** Targets that change nothing of which the model speaks: the packet goes on to the next rule. */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  'AUDIT',
  'CLASSIFY',
  'CONNSECMARK',
  'DSCP',
  'ECN',
  'HMARK',
  'IDLETIMER',
  'LED',
  'RATEEST',
  'SECMARK',
  'TOS',
  'TRACE',
  'ULOG',
]);

/** Kinds of targets that are alike. */
const JUMP = P.union('jump', 'goto');
const UNSEEN = P.union('LOG', 'NFLOG', 'CHECKSUM', 'TCPMSS');
const NAT = P.union('DNAT', 'SNAT', 'MASQUERADE', 'REDIRECT', 'NETMAP');
const HOPS = P.union('TTL', 'HL');

/** Named by its whole text: with other options it is another unknown. */
const notModelled = (target: Target): Action => ({
  kind: 'unknown',
  because: `${printTarget(target)} is not modelled`,
});

export const compileTarget = (target: Target | undefined): Action =>
  when(target)
    .returnType<Action>()
    .with(undefined, () => ({ kind: 'continue' }))
    .with({ kind: 'ACCEPT' }, () => ({ kind: 'accept' }))
    .with({ kind: 'DROP' }, () => ({ kind: 'drop' }))
    .with({ kind: 'RETURN' }, () => ({ kind: 'return' }))
    .with({ kind: JUMP }, ({ kind, chain }) => ({ kind, chain }))
    .with({ kind: 'REJECT' }, (reject) => ({ kind: 'reject', with: reject.with }))
    .with({ kind: UNSEEN }, () => ({ kind: 'continue' }))
    .with({ kind: NAT }, (nat) => ({ kind: 'nat', target: nat }))
    .with({ kind: 'MARK' }, ({ value }) => ({ kind: 'mark', value }))
    .with({ kind: 'CONNMARK' }, (connmark) => ({ kind: 'connmark', target: connmark }))
    .with({ kind: 'NOTRACK' }, () => ({ kind: 'untrack' }))
    .with({ kind: 'CT' }, (target) =>
      target.notrack
        ? { kind: 'untrack' }
        : target.options.some((option) => option.name !== 'ctevents' && option.name !== 'expevents')
          ? notModelled(target)
          : { kind: 'continue' },
    )
    .with({ kind: HOPS }, ({ operation, value }) => ({ kind: 'ttl', operation, value }))
    .with({ kind: 'unmodelled' }, (unmodelled) =>
      WITHOUT_EFFECT.has(unmodelled.name) ? { kind: 'continue' } : notModelled(unmodelled),
    )
    .exhaustive();

/** The target as a rule's text has it. */
export function labelOf(target: Target | undefined): string {
  if (target === undefined) return '';
  if (target.kind === 'jump' || target.kind === 'goto') return target.chain;
  return target.kind === 'unmodelled' ? target.name : target.kind;
}

/** True when a rule makes the kernel switch conntrack on: its match or target takes a reference (nf_ct_netns_get). */
function needsConntrack(rule: Rule): boolean {
  const tracked: ReadonlySet<string> = new Set(['connbytes', 'connlabel', 'connlimit', 'helper', 'cluster']);
  return (
    rule.matches.some(
      (match) =>
        match.kind === 'state' ||
        match.kind === 'conntrack' ||
        match.kind === 'connmark' ||
        (match.kind === 'unmodelled' && tracked.has(match.module)),
    ) ||
    when(rule.target)
      .with({ kind: P.union('DNAT', 'SNAT', 'MASQUERADE', 'REDIRECT', 'NETMAP', 'CONNMARK') }, () => true)
      // xt_ct_tg_check returns before it asks for conntrack when all it does is to untrack.
      .with({ kind: 'CT' }, ({ notrack }) => !notrack)
      .with({ kind: 'unmodelled', name: P.union('SYNPROXY', 'CONNSECMARK', 'CLUSTERIP') }, () => true)
      .otherwise(() => false)
  );
}

const compileRule = (rule: Rule, number: number): CompiledRule => ({
  number,
  line: rule.line,
  test: every(rule.matches.map(compileMatch)),
  action: compileTarget(rule.target),
  label: labelOf(rule.target),
  because: rule.matches.map(unknownBecause).find((reason) => reason !== undefined) ?? '',
});

/** Rules that have been compiled: the same chain may stand in several rulesets, with another policy. */
const known = new WeakMap<readonly Rule[], readonly CompiledRule[]>();

function compileRules(rules: readonly Rule[]): readonly CompiledRule[] {
  const made = known.get(rules) ?? rules.map((rule, index) => compileRule(rule, index + 1));
  known.set(rules, made);
  return made;
}

const compileChain = (chain: Chain): CompiledChain => ({
  name: chain.name,
  ...(chain.policy === undefined ? {} : { policy: chain.policy }),
  ...(chain.hidden === undefined ? {} : { hidden: chain.hidden }),
  rules: compileRules(chain.rules),
});

/** True when the rules switch connection tracking on. Rules that nobody sees may need it, and translate. */
export const tracksConnections = ({ tables }: Ruleset): boolean =>
  [...tables.values()].some(({ chains }) =>
    [...chains.values()].some(({ rules, hidden }) => hidden !== undefined || rules.some(needsConntrack)),
  );

export function compileRuleset(ruleset: Ruleset): CompiledRuleset {
  const tables = new Map(
    [...ruleset.tables.values()].map((table) => [
      table.name,
      new Map([...table.chains.values()].map((chain) => [chain.name, compileChain(chain)])),
    ]),
  );
  const chains = [...tables.values()].flatMap((table) => [...table.values()]);
  return {
    tables,
    conntrack: tracksConnections(ruleset),
    hasUnknown: chains.some(
      (chain) =>
        chain.hidden !== undefined || chain.rules.some((rule) => rule.because !== '' || rule.action.kind === 'unknown'),
    ),
  };
}
