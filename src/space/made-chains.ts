/** What a space remembers from table to table: a chain that stands in two rulesets, or is met at two hooks, is made once. */
import { compileTarget, type Action } from '../netfilter/compile.ts';
import type { Rule, Target } from '../ruleset/rule.ts';
import type { Node } from './diagram.ts';
import { areSameRules } from './rule-names.ts';

interface Made {
  readonly rules: readonly Rule[];
  /** What the rules' jumps and gotos lead to, in order. */
  readonly called: readonly Node[];
  readonly node: Node;
}

export class MadeChains {
  readonly #actions = new Map<Target | undefined, Action>();
  readonly #made = new Map<string, Made[]>();

  actionOf(target: Target | undefined): Action {
    let action = this.#actions.get(target);
    if (action === undefined) {
      action = compileTarget(target);
      this.#actions.set(target, action);
    }
    return action;
  }

  find(key: string, rules: readonly Rule[], called: readonly Node[]): Node | undefined {
    return this.#made
      .get(key)
      ?.find(
        (one) =>
          one.called.length === called.length &&
          one.called.every((node, index) => node === called[index]) &&
          areSameRules(one.rules, rules),
      )?.node;
  }

  add(key: string, made: Made): void {
    const list = this.#made.get(key);
    if (list === undefined) this.#made.set(key, [made]);
    else list.push(made);
  }
}
