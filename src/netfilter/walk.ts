/**
 * The walk of one packet through the chains of one table: the small-step semantics of iptables.
 *
 * Source: net/ipv4/netfilter/ip_tables.c (ipt_do_table); the rules have the names of Iptables_Semantics. Observed facts S13, S27.
 */
import type { HookName, RejectWith, TableName } from '../ruleset/rule.ts';
import type { CompiledChain, CompiledRule, NatTarget } from './compile.ts';
import type { Skb } from './skb.ts';

/** What a table says of a packet. Only `accept` lets it go on to the next table. */
export type Verdict =
  | { readonly kind: 'accept' }
  | { readonly kind: 'drop'; readonly line?: number }
  | { readonly kind: 'reject'; readonly with: RejectWith; readonly line: number }
  | { readonly kind: 'unknown'; readonly because: string; readonly line: number };

export const ACCEPTED: Verdict = { kind: 'accept' };

/** What the walk needs of the world around it. */
export interface Surroundings {
  /** A match could not be decided: which reading is taken this time. */
  assume(rule: CompiledRule): boolean;
  /** A rule matched, or a policy decided. */
  record(table: TableName, chain: string, rule: number | 'policy', line: number | undefined, target: string): void;
  /** A NAT target: decides the flow's mapping. False where there is no address to map to. */
  translateTo(target: NatTarget): boolean;
}

interface Frame {
  readonly chain: CompiledChain;
  next: number;
}

/** Walks `chain`, a built-in one of `table`, and whatever it calls. Calls are a list, not the machine's stack: no ruleset can overflow it. */
export function walkTable(
  table: TableName,
  chains: Pick<ReadonlyMap<string, CompiledChain>, 'get'>,
  hook: HookName,
  skb: Skb,
  around: Surroundings,
): Verdict {
  const builtIn = chains.get(hook);
  if (builtIn === undefined) return ACCEPTED;
  if (builtIn.hidden !== undefined) return { kind: 'unknown', ...builtIn.hidden };
  let frame: Frame = { chain: builtIn, next: 0 };
  const callers: Frame[] = [];

  for (;;) {
    const rule = frame.chain.rules[frame.next];
    if (rule === undefined) {
      // call_return: the end of a called chain goes on after the jump; of the built-in one (or of a chain that it went to): the policy.
      const caller = callers.pop();
      if (caller === undefined) return policy(table, builtIn, around);
      frame = caller;
      continue;
    }
    frame.next++;
    const truth = rule.test(skb);
    const matched = (): void => {
      around.record(table, frame.chain.name, rule.number, rule.line, rule.label);
    };
    if (skb.hotdrop) {
      // To nft a module's refusal is the rule's own verdict (nft_match_eval); legacy leaves without a word.
      if (skb.backend === 'nft') matched();
      return { kind: 'drop', line: rule.line };
    }
    // nomatch
    if (truth === false || (truth === undefined && !around.assume(rule))) continue;

    const { action } = rule;
    switch (action.kind) {
      case 'accept':
        matched();
        return ACCEPTED;
      case 'drop':
        matched();
        return { kind: 'drop', line: rule.line };
      case 'reject':
        matched();
        return { kind: 'reject', with: action.with, line: rule.line };
      case 'nat':
        if (!around.translateTo(action.target)) {
          matched();
          return { kind: 'drop', line: rule.line };
        }
        matched();
        return ACCEPTED;
      case 'unknown':
        matched();
        return { kind: 'unknown', because: action.because, line: rule.line };
      case 'return': {
        matched();
        const caller = callers.pop();
        if (caller === undefined) return policy(table, builtIn, around);
        frame = caller;
        break;
      }
      case 'jump':
      case 'goto': {
        matched();
        const called = chains.get(action.chain);
        if (called === undefined)
          return { kind: 'unknown', because: `there is no chain ${action.chain}`, line: rule.line };
        if (action.kind === 'jump') callers.push(frame);
        if (callers.length > MAX_DEPTH)
          return { kind: 'unknown', because: 'chains call each other without end', line: rule.line };
        frame = { chain: called, next: 0 };
        break;
      }
      case 'mark':
        skb.packet = { ...skb.packet, mark: ((skb.packet.mark & ~action.value.mask) ^ action.value.value) >>> 0 };
        matched();
        break;
      case 'connmark':
        connmark(skb, action.target);
        matched();
        break;
      case 'ttl':
        skb.packet = { ...skb.packet, ttl: newTtl(skb.packet.ttl, action.operation, action.value) };
        matched();
        break;
      case 'untrack':
        // Only a packet that has no mark of conntrack yet can be kept from it (xt_CT: xt_ct_target); INVALID is none.
        if (skb.answering !== true && (skb.tracked === undefined || skb.tracked.state === 'INVALID'))
          skb.tracked = { kind: 'none', state: 'UNTRACKED' };
        matched();
        break;
      case 'continue':
        matched();
        break;
    }
  }
}

/** A restore refuses loops that can be reached, so only rulesets that no kernel would take come this deep. */
const MAX_DEPTH = 10_000;

function policy(table: TableName, chain: CompiledChain, around: Surroundings): Verdict {
  const decided = chain.policy ?? 'ACCEPT';
  around.record(table, chain.name, 'policy', undefined, decided);
  return decided === 'ACCEPT' ? ACCEPTED : { kind: 'drop' };
}

function newTtl(ttl: number, operation: 'set' | 'inc' | 'dec', value: number): number {
  if (operation === 'set') return value;
  return Math.min(255, Math.max(0, operation === 'inc' ? ttl + value : ttl - value));
}

type ConnmarkTarget = Extract<CompiledRule['action'], { kind: 'connmark' }>['target'];

/** xt_connmark: connmark_tg. */
function connmark(skb: Skb, { operation, value, ctmask, nfmask }: ConnmarkTarget): void {
  if (skb.tracked?.kind !== 'flow') return;
  const { connection } = skb.tracked;
  switch (operation) {
    case 'set':
      connection.mark = ((connection.mark & ~value.mask) ^ value.value) >>> 0;
      break;
    case 'save':
      connection.mark = ((connection.mark & ~ctmask) ^ (skb.packet.mark & nfmask)) >>> 0;
      break;
    case 'restore':
      skb.packet = {
        ...skb.packet,
        mark: ((skb.packet.mark & ~nfmask) ^ (connection.mark & ctmask)) >>> 0,
      };
      break;
  }
}
