/** Chains that are compiled when a packet comes to them, and their rules when they are tested: for the walk of a packet or two through a large ruleset. */
import type { Chain, Rule } from '../ruleset/rule.ts';
import { compileTarget, labelOf, type Action, type CompiledChain, type CompiledRule } from './compile.ts';
import { compileMatch, every, unknownBecause, type Predicate } from './match.ts';

class RuleOnDemand implements CompiledRule {
  readonly number: number;
  readonly #rule: Rule;
  #test: Predicate | undefined;
  #action: Action | undefined;

  constructor(rule: Rule, number: number) {
    this.#rule = rule;
    this.number = number;
  }

  get line(): number {
    return this.#rule.line;
  }

  get test(): Predicate {
    return (this.#test ??= every(this.#rule.matches.map(compileMatch)));
  }

  get action(): Action {
    return (this.#action ??= compileTarget(this.#rule.target));
  }

  get label(): string {
    return labelOf(this.#rule.target);
  }

  get because(): string {
    return this.#rule.matches.map(unknownBecause).find((reason) => reason !== undefined) ?? '';
  }
}

export class ChainsOnDemand {
  readonly #chains: ReadonlyMap<string, Chain>;
  readonly #compiled = new Map<string, CompiledChain>();

  constructor(chains: ReadonlyMap<string, Chain>) {
    this.#chains = chains;
  }

  get(name: string): CompiledChain | undefined {
    const known = this.#compiled.get(name);
    const chain = this.#chains.get(name);
    if (known !== undefined || chain === undefined) return known;
    const compiled: CompiledChain = {
      name: chain.name,
      ...(chain.policy === undefined ? {} : { policy: chain.policy }),
      ...(chain.hidden === undefined ? {} : { hidden: chain.hidden }),
      rules: chain.rules.map((rule, index) => new RuleOnDemand(rule, index + 1)),
    };
    this.#compiled.set(name, compiled);
    return compiled;
  }
}
