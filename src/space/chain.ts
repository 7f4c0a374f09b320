/**
 * The chains of a table over all packets at once: what netfilter/walk.ts does to one, case for case.
 *
 * A chain is the function of its rules, the first that decides first. Those are put together as a balanced tree, so that a change of one rule costs
 * little; a chain is made once, however often it is called. Rules that change a packet and let it go on (MARK, TTL, LOG) cannot be put together so: what
 * comes behind them is made first, and then seen through the change. Everything is made from the end to the beginning.
 */
import { compileTarget, type Action, type NatTarget } from '../netfilter/compile.ts';
import type { Chain, HookName, Rule, TableName } from '../ruleset/rule.ts';
import { printMatch, printRuleBody } from '../ruleset/print.ts';
import type { Conditions, UnknownPlace } from './condition.ts';
import { ACCEPT, FALL, NO, RETURN, SpaceLimitError, type Node } from './diagram.ts';
import type { Effects } from './effect.ts';
import type { Layout } from './layout.ts';
import type { Outcomes } from './outcome.ts';

/** How a table is asked. */
export interface TableOptions {
  /** Terminals name the rule that decided. Only where accepted packets end with the table. */
  readonly deciding: boolean;
  /** LOG and NFLOG are told; `all`: whatever a rule does to a packet without deciding, even where the model has no words for it. */
  readonly logs: boolean | 'all';
  /** What is put in a rule's place, FALL where it does nothing: `body` is what it does to the packets of `set`, `otherwise` what would happen to them behind it. */
  readonly instead?: (rule: Rule, set: Node, body: Node, otherwise: Node) => Node;
}

/** The rules of one family by table: what a ruleset's file holds. */
export type Chains = ReadonlyMap<string, Chain>;

/** A rule's name, the same in two rulesets where table, chain and text are: `filter FORWARD -s 10.0.0.1 -j ACCEPT`, and which of several. */
export const ruleName = (table: TableName, chain: string, text: string, occurrence: number): string =>
  `${table} ${chain} ${text}${occurrence === 0 ? '' : ` #${occurrence + 1}`}`;

/** Chains called within chains called: deeper than this nobody writes them, and each level costs the machine's stack. */
const MAX_DEPTH = 256;

/** What the table's surroundings make of its verdicts. */
export interface TableContext {
  /** What happens to a packet that the table lets go on. */
  readonly next: Node;
  /** What a NAT target makes of a packet. */
  readonly translate?: (target: NatTarget, rule: string) => Node;
}

interface NamedRule {
  readonly rule: Rule;
  readonly name: string;
  readonly action: Action;
}

export class TableSpace {
  readonly #layout: Layout;
  readonly #conditions: Conditions;
  readonly #outcomes: Outcomes;
  readonly #effects: Effects;
  readonly #table: TableName;
  readonly #hook: HookName;
  readonly #chains: Chains;
  readonly #options: TableOptions;
  readonly #context: TableContext;
  readonly #rules = new Map<string, readonly NamedRule[]>();
  readonly #pure = new Map<string, Node>();
  readonly #ordinals = new Map<string, ReadonlyMap<Rule, ReadonlyMap<string, number>>>();
  readonly #effectful = new Map<string, boolean>();
  readonly #continued = new Map<string, Node>();
  readonly #returnFalls: (node: Node) => Node;
  readonly #fallReturns: (node: Node) => Node;

  constructor(
    space: {
      readonly layout: Layout;
      readonly conditions: Conditions;
      readonly outcomes: Outcomes;
      readonly effects: Effects;
    },
    at: { readonly table: TableName; readonly hook: HookName; readonly chains: Chains },
    options: TableOptions,
    context: TableContext,
  ) {
    this.#layout = space.layout;
    this.#conditions = space.conditions;
    this.#outcomes = space.outcomes;
    this.#effects = space.effects;
    this.#table = at.table;
    this.#hook = at.hook;
    this.#chains = at.chains;
    this.#options = options;
    this.#context = context;
    const { diagrams } = this.#layout;
    const returnFalls = diagrams.mapping((node) => (node === RETURN ? FALL : node));
    const fallReturns = diagrams.mapping((node) => (node === FALL ? RETURN : node));
    this.#returnFalls = (node) => diagrams.substitute(returnFalls, node);
    this.#fallReturns = (node) => diagrams.substitute(fallReturns, node);
  }

  /** What becomes of every packet that meets the table here, or at another hook where nothing depends on the place. */
  node(hook = this.#hook): Node {
    const builtIn = this.#chains.get(hook);
    if (builtIn === undefined) return this.#context.next;
    const { diagrams } = this.#layout;
    const accepts = (builtIn.policy ?? 'ACCEPT') === 'ACCEPT';
    const policy = this.#named(`${this.#table} ${builtIn.name} policy`);
    if (builtIn.hidden !== undefined)
      return this.#outcomes.node({ kind: 'undecided', reason: builtIn.hidden.because, ...policy });
    const end = accepts ? this.#accepted(policy) : this.#outcomes.node({ kind: 'dropped', ...policy });
    this.#plan(builtIn.name);
    if (this.#effectful.get(builtIn.name) === true) return this.#continuedBy(builtIn.name, end, 0);
    const rules = this.#pure.get(builtIn.name) ?? FALL;
    return diagrams.over(diagrams.then(rules, this.#context.next), end);
  }

  #named(rule: string): { readonly rule?: string } {
    return this.#options.deciding ? { rule } : {};
  }

  #accepted(by: { readonly rule?: string }): Node {
    return this.#options.deciding ? this.#outcomes.node({ kind: 'accepted', ...by }) : this.#context.next;
  }

  #rulesOf(chain: Chain): readonly NamedRule[] {
    const known = this.#rules.get(chain.name);
    if (known !== undefined) return known;
    const seen = new Map<string, number>();
    const rules = chain.rules.map((rule): NamedRule => {
      const action = compileTarget(rule.target);
      // Names are only made where somebody sees them.
      if (!this.#options.deciding && !this.#logs(rule, action)) return { rule, name: '', action };
      const body = ruleBody(rule);
      const occurrence = seen.get(body) ?? 0;
      seen.set(body, occurrence + 1);
      return {
        rule,
        name: ruleName(this.#table, chain.name, body, occurrence),
        action,
      };
    });
    this.#rules.set(chain.name, rules);
    return rules;
  }

  /** Makes the chains that can be made beforehand, those that are called before those that call. No recursion: chains may be many. */
  #plan(start: string): void {
    const open: { readonly name: string; readonly calls: readonly string[]; next: number }[] = [];
    const state = new Map<string, 'open' | 'done'>();
    const enter = (name: string): void => {
      const chain = this.#chains.get(name);
      if (chain === undefined || state.has(name) || this.#effectful.has(name)) return;
      state.set(name, 'open');
      const calls = this.#rulesOf(chain).flatMap(({ action }) =>
        action.kind === 'jump' || action.kind === 'goto' ? [action.chain] : [],
      );
      open.push({ name, calls, next: 0 });
    };
    enter(start);
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const call = top.calls[top.next++];
      if (call !== undefined) {
        enter(call);
        continue;
      }
      open.pop();
      state.set(top.name, 'done');
      const chain = this.#chains.get(top.name);
      if (chain === undefined) continue;
      const rules = this.#rulesOf(chain);
      const isEffectful = rules.some(({ action, rule }) => this.#changes(action, rule));
      this.#effectful.set(top.name, isEffectful);
      if (!isEffectful) this.#pure.set(top.name, this.#chainOf(chain, rules));
    }
  }

  /** The rule changes a packet and lets it go on, or calls a chain that does. */
  #changes(action: Action, rule: Rule): boolean {
    switch (action.kind) {
      case 'mark':
      case 'connmark':
      case 'ttl':
      case 'untrack':
        return true;
      case 'jump':
      case 'goto':
        return this.#effectful.get(action.chain) === true;
      case 'continue':
        return this.#logs(rule, action);
      default:
        return false;
    }
  }

  #logs({ target }: Rule, action: Action): boolean {
    const { logs } = this.#options;
    if (logs === false || action.kind !== 'continue' || target === undefined) return false;
    return logs === 'all' || target.kind === 'LOG' || target.kind === 'NFLOG';
  }

  /** What a rule does to the packets that it is for, FALL elsewhere. */
  #leaf(rule: Rule, set: Node, body: Node, otherwise: Node): Node {
    return this.#options.instead?.(rule, set, body, otherwise) ?? this.#layout.diagrams.guard(set, body);
  }

  #place(chain: Chain, { rule }: NamedRule): UnknownPlace {
    return {
      name: (text) => {
        const ordinal = this.#ordinalsOf(chain).get(rule)?.get(text) ?? 0;
        return `${this.#table} ${this.#hook} ${chain.name}: ${text}${ordinal === 0 ? '' : ` #${ordinal + 1}`}`;
      },
    };
  }

  /** Of each rule's matches, how many rules before it in its chain have the same: equal texts are told apart by their order. */
  #ordinalsOf(chain: Chain): ReadonlyMap<Rule, ReadonlyMap<string, number>> {
    const known = this.#ordinals.get(chain.name);
    if (known !== undefined) return known;
    const counts = new Map<string, number>();
    const ordinals = new Map(
      chain.rules.map((rule) => {
        const texts = new Set(rule.matches.map(printMatch));
        const own = new Map([...texts].map((text) => [text, counts.get(text) ?? 0]));
        for (const [text, count] of own) counts.set(text, count + 1);
        return [rule, own];
      }),
    );
    this.#ordinals.set(chain.name, ordinals);
    return ordinals;
  }

  /** The packets that a rule is for, and those that it drops merely by looking at them. */
  #test(chain: Chain, named: NamedRule): { readonly set: Node; readonly broken: Node } {
    const place = this.#place(chain, named);
    return {
      set: this.#conditions.all(named.rule.matches, place),
      broken: this.#conditions.dropped(named.rule.matches, place),
    };
  }

  /** A chain without effects: FALL where none of its rules decides. */
  #chainOf(chain: Chain, rules: readonly NamedRule[]): Node {
    const { table, returns } = this.#runOf(chain, rules);
    return returns ? this.#returnFalls(table) : table;
  }

  /** What a rule without effects decides about the packets that it is for. */
  #deciding({ action, name }: NamedRule): Node {
    const named = this.#named(name);
    switch (action.kind) {
      case 'accept':
        return this.#options.deciding ? this.#outcomes.node({ kind: 'accepted', ...named }) : ACCEPT;
      case 'drop':
        return this.#outcomes.node({ kind: 'dropped', ...named });
      case 'reject':
        return this.#outcomes.node({ kind: 'rejected', with: action.with, ...named });
      case 'return':
        return RETURN;
      case 'jump':
      case 'goto': {
        const called = this.#pure.get(action.chain) ?? this.#missing(action.chain);
        return action.kind === 'jump' ? called : this.#fallReturns(called);
      }
      case 'unknown':
        return this.#outcomes.node({ kind: 'undecided', reason: action.because, ...named });
      case 'nat':
        return this.#context.translate?.(action.target, name) ?? ACCEPT;
      default:
        return FALL;
    }
  }

  #missing(chain: string): Node {
    return this.#outcomes.node({
      kind: 'undecided',
      reason: this.#chains.has(chain) ? 'chains call each other without end' : `there is no chain ${chain}`,
    });
  }

  /** A chain with effects, in front of what happens behind it. */
  #continuedBy(name: string, after: Node, depth: number): Node {
    const chain = this.#chains.get(name);
    if (chain === undefined) return this.#missing(name);
    if (depth > MAX_DEPTH)
      throw new SpaceLimitError(`chains that change packets are called more than ${MAX_DEPTH} deep`);
    const key = `${after} ${name}`;
    const known = this.#continued.get(key);
    if (known !== undefined) return known;
    const { diagrams } = this.#layout;
    const rules = this.#rulesOf(chain);
    let rest = after;
    let run: NamedRule[] = [];
    const close = (): void => {
      if (run.length === 0) return;
      const { table, returns } = this.#runOf(chain, run.reverse());
      const returned = returns ? diagrams.returning(table, after) : table;
      rest = diagrams.over(diagrams.then(returned, this.#context.next), rest);
      run = [];
    };
    for (const named of [...rules].reverse()) {
      const { action, rule } = named;
      if (!this.#changes(action, rule)) {
        run.push(named);
        continue;
      }
      close();
      const { set, broken } = this.#test(chain, named);
      const body =
        action.kind === 'jump'
          ? this.#continuedBy(action.chain, rest, depth + 1)
          : action.kind === 'goto'
            ? this.#continuedBy(action.chain, after, depth + 1)
            : this.#effects.before(action, named.name, rest);
      rest = diagrams.over(this.#leaf(rule, set, body, rest), rest);
      if (broken !== NO)
        rest = diagrams.ifThenElse(broken, this.#outcomes.node({ kind: 'dropped', ...this.#named(named.name) }), rest);
    }
    close();
    this.#continued.set(key, rest);
    return rest;
  }

  /** Rules without effects; RETURN is left in, where there is any. */
  #runOf(chain: Chain, rules: readonly NamedRule[]): { readonly table: Node; readonly returns: boolean } {
    const { diagrams } = this.#layout;
    const leaves: Node[] = [];
    for (const named of rules) {
      const { set, broken } = this.#test(chain, named);
      const leaf = this.#leaf(named.rule, set, this.#deciding(named), FALL);
      if (broken !== NO)
        leaves.push(diagrams.guard(broken, this.#outcomes.node({ kind: 'dropped', ...this.#named(named.name) })));
      if (leaf !== FALL) leaves.push(leaf);
    }
    const returns = rules.some(({ action }) => action.kind === 'return' || action.kind === 'goto');
    return { table: diagrams.overAll(leaves), returns };
  }
}

/** A rule's text without its chain, in one spelling. */
export const ruleBody = (rule: Rule): string => printRuleBody(rule);
