/** What a space remembers from table to table: a chain that stands in two rulesets, or is met at two hooks, is made once. */
import { compileTarget, type Action } from '../netfilter/compile.ts';
import type { Chain, Rule, TableName, Target } from '../ruleset/rule.ts';
import type { Node } from './diagram.ts';
import { areSameRules } from './rule-names.ts';

/** What stands in a chain, as far as its surroundings need to know. */
export interface Summary {
  /** The chains that its rules jump or go to, in order. */
  readonly calls: readonly string[];
  /** Some rule changes packets and lets them go on. */
  readonly changes: boolean;
  /** Some rule does nothing to a packet of which outcomes tell, unless it is asked for. */
  readonly continues: boolean;
  readonly translates: boolean;
}

/** Where a chain was made, and of what. */
export interface Making {
  readonly table: TableName;
  readonly rules: readonly Rule[];
  /** What the rules' jumps and gotos lead to, in order. */
  readonly called: readonly Node[];
  /** What stands for a packet that is accepted. */
  readonly accepted: Node;
}

interface Made extends Making {
  readonly node: Node;
}

/** The chains of one table that are the same to whoever comes to them, with all that they call. */
interface Settled {
  readonly accepted: Node;
  readonly nodes: Map<string, Node>;
}

export class MadeChains {
  /** By target, or by its name where that says all. */
  readonly #actions = new Map<Target | string | undefined, Action>();
  readonly #summaries = new Map<Chain, Summary>();
  /** By the chain's name. */
  readonly #made = new Map<string, Made[]>();
  readonly #settled = new Map<ReadonlyMap<string, Chain>, Settled[]>();

  actionOf(target: Target | undefined): Action {
    // The same to a packet as it is written; there are many of them, and each is another object.
    if (target?.kind === 'jump' || target?.kind === 'goto') return target;
    if (target?.kind === 'DNAT' || target?.kind === 'SNAT') return { kind: 'nat', target };
    const key =
      target?.kind === 'ACCEPT' || target?.kind === 'DROP' || target?.kind === 'RETURN' ? target.kind : target;
    let action = this.#actions.get(key);
    if (action === undefined) {
      action = compileTarget(target);
      this.#actions.set(key, action);
    }
    return action;
  }

  summaryOf(chain: Chain): Summary {
    const known = this.#summaries.get(chain);
    if (known !== undefined) return known;
    const calls: string[] = [];
    let changes = false;
    let continues = false;
    let translates = false;
    for (const { target } of chain.rules) {
      const action = this.actionOf(target);
      if (action.kind === 'jump' || action.kind === 'goto') calls.push(action.chain);
      else if (action.kind === 'continue') continues = true;
      else if (action.kind === 'nat') translates = true;
      else changes ||= CHANGES.has(action.kind);
    }
    const summary = { calls, changes, continues, translates };
    this.#summaries.set(chain, summary);
    return summary;
  }

  /** By name those of a table's chains that have been made and need not be looked at again, at whichever hook. */
  settledOf(chains: ReadonlyMap<string, Chain>, accepted: Node): Map<string, Node> {
    let list = this.#settled.get(chains);
    if (list === undefined) {
      list = [];
      this.#settled.set(chains, list);
    }
    const known = list.find((one) => one.accepted === accepted);
    if (known !== undefined) return known.nodes;
    const nodes = new Map<string, Node>();
    list.push({ accepted, nodes });
    return nodes;
  }

  find(name: string, making: Making): Node | undefined {
    return this.#made.get(name)?.find((one) => isSameMaking(one, making))?.node;
  }

  add(name: string, making: Making, node: Node): void {
    const list = this.#made.get(name);
    if (list === undefined) this.#made.set(name, [{ ...making, node }]);
    else list.push({ ...making, node });
  }
}

function isSameMaking(one: Making, other: Making): boolean {
  if (one.table !== other.table || one.accepted !== other.accepted || one.called.length !== other.called.length)
    return false;
  for (let index = 0; index < one.called.length; index++) if (one.called[index] !== other.called[index]) return false;
  return areSameRules(one.rules, other.rules);
}

/** Actions that change a packet and let it go on. */
export const CHANGES: ReadonlySet<Action['kind']> = new Set(['mark', 'connmark', 'ttl', 'untrack']);
