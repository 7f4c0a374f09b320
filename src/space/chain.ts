/**
 * The chains of a table over all packets at once: what netfilter/walk.ts does to one, case for case.
 *
 * A chain is the function of its rules, the first that decides first. Those are put together as a balanced tree, so that a change of one rule costs
 * little; a chain is made once, however often it is called. Rules that change a packet and let it go on (MARK, TTL, LOG) cannot be put together so: what
 * comes behind them is made first, and then seen through the change. Everything is made from the end to the beginning.
 */
import type { Address } from '../address/address.ts';
import type { Action, NatTarget } from '../netfilter/compile.ts';
import type { Chain, HookName, Rule, TableName } from '../ruleset/rule.ts';
import { printMatch, printTarget } from '../ruleset/print.ts';
import type { CallGraph } from './call-graph.ts';
import type { Conditions, UnknownPlace } from './condition.ts';
import { ACCEPT, FALL, NO, RETURN, SpaceLimitError, YES, type Node } from './diagram.ts';
import { destinationOf, dispatched, type AddressCase } from './dispatch.ts';
import type { Effects } from './effect.ts';
import type { Layout } from './layout.ts';
import type { Outcomes } from './outcome.ts';
import { NodesByNumber, type MadeChains } from './made-chains.ts';
import { CHANGES, IS_FOR_ONE, NO_CHAIN, RETURNS, TRANSLATES, type RuleBodies } from './rule-bodies.ts';
import { ruleNames } from './rule-names.ts';
import type { TargetReadings } from './target-reading.ts';

/** How a table is asked. */
export interface TableOptions {
  /** Terminals name the rule that decided. Only where accepted packets end with the table. */
  readonly deciding: boolean;
  /** LOG and NFLOG are told; `all`: whatever a rule does to a packet without deciding, even where the model has no words for it. */
  readonly logs: boolean | 'all';
  /** What is put in a rule's place, FALL where it does nothing: `body` is what it does to the packets of `set`, `otherwise` what would happen to them behind it. */
  readonly instead?: (rule: Rule, set: Node, body: Node, otherwise: Node) => Node;
  /** What a chain without effects makes of every packet, where that is known: FALL where it lets them go on. */
  readonly made?: (chain: string) => Node | undefined;
  /** Only these packets are asked for: of others the answer may be wrong. Only their destinations count. */
  readonly within?: Node;
}

/** The rules of one family by table: what a ruleset's file holds. */
export type Chains = ReadonlyMap<string, Chain>;

/** Chains called within chains called: deeper than this nobody writes them, and each level costs the machine's stack. */
const MAX_DEPTH = 256;
/** Chains that change packets are made for each thing that can come behind them: twice as often with each chain that calls the next one twice. */
const MOST_WAYS = 1 << 18;

/** What the table's surroundings make of its verdicts. */
export interface TableContext {
  /** What happens to a packet that the table lets go on. */
  readonly next: Node;
  /** What a NAT target makes of a packet. */
  readonly translate?: (target: NatTarget, rule: string) => Node;
}

export class TableSpace {
  readonly #layout: Layout;
  readonly #conditions: Conditions;
  readonly #outcomes: Outcomes;
  readonly #effects: Effects;
  /** Absent: a target that is not modelled ends the walk, and no more is known. */
  readonly #readings: TargetReadings | undefined;
  readonly #table: TableName;
  readonly #hook: HookName;
  /** Its chains, which are asked for by their numbers. */
  readonly #graph: CallGraph;
  readonly #options: TableOptions;
  readonly #context: TableContext;
  /** ACCEPT, or at once what becomes of such a packet where that is one thing. */
  readonly #accept: Node;
  /** What becomes of a packet that is dropped, where no rule is named: asked for as often as there are such rules. */
  #dropped: Node | undefined;
  readonly #chainsMade: MadeChains;
  readonly #pure: NodesByNumber;
  readonly #ordinals = new Map<Chain, ReadonlyMap<Rule, ReadonlyMap<string, number>>>();
  readonly #effectful = new Set<number>();
  readonly #continued = new Map<string, Node>();
  /** By chain, where only some packets are asked for: of each rule, whether none of them comes to it. */
  readonly #passedBy = new Map<Chain, Uint8Array>();
  /** Chains that another table space has made already, with all that they call; undefined where each is made anew. */
  readonly #settled: NodesByNumber | undefined;
  readonly #bodies: RuleBodies;
  /** What rules come to, by what they say, where it is the same wherever they stand. */
  #leaves: NodesByNumber | undefined;
  /** By the hash of what its rules say, the last chain that has been made. */
  readonly #twins = new Map<number, number>();
  /** The rule that is being looked at. */
  #chainAt: Chain | undefined;
  #ruleAt: Rule | undefined;
  readonly #place: UnknownPlace = { name: (text) => this.#nameOfUnknown(text) };
  readonly #returnFalls: (node: Node) => Node;
  readonly #fallReturns: (node: Node) => Node;

  constructor(
    space: {
      readonly layout: Layout;
      readonly conditions: Conditions;
      readonly outcomes: Outcomes;
      readonly effects: Effects;
      readonly chains: MadeChains;
      readonly readings?: TargetReadings | undefined;
    },
    at: { readonly table: TableName; readonly hook: HookName; readonly chains: Chains },
    options: TableOptions,
    context: TableContext,
  ) {
    this.#layout = space.layout;
    this.#conditions = space.conditions;
    this.#outcomes = space.outcomes;
    this.#effects = space.effects;
    this.#chainsMade = space.chains;
    this.#readings = space.readings;
    this.#table = at.table;
    this.#hook = at.hook;
    this.#bodies = space.chains.bodies;
    this.#graph = space.chains.graphOf(at.chains);
    this.#pure = new NodesByNumber(this.#graph.size);
    this.#options = options;
    this.#context = context;
    this.#accept = this.#outcomes.of(context.next) === undefined ? ACCEPT : context.next;
    // Whose terminals name rules, or are told by whoever asks, is made anew.
    const isShared = !options.deciding && options.instead === undefined && options.within === undefined;
    this.#settled = isShared ? space.chains.settledOf(this.#graph, this.#accept) : undefined;
    const { diagrams } = this.#layout;
    const returnFalls = diagrams.mapping((node) => (node === RETURN ? FALL : node));
    const fallReturns = diagrams.mapping((node) => (node === FALL ? RETURN : node));
    this.#returnFalls = (node) => diagrams.substitute(returnFalls, node);
    this.#fallReturns = (node) => diagrams.substitute(fallReturns, node);
  }

  /** What becomes of every packet that meets the table here, or at another hook where nothing depends on the place. */
  node(hook = this.#hook): Node {
    const start = this.#bodies.numberOf(hook);
    const builtIn = this.#graph.chainAt(start);
    if (builtIn === undefined) return this.#context.next;
    const { diagrams } = this.#layout;
    const accepts = (builtIn.policy ?? 'ACCEPT') === 'ACCEPT';
    const policy = this.#options.deciding ? { rule: `${this.#table} ${builtIn.name} policy` } : {};
    if (builtIn.hidden !== undefined)
      return this.#inEachReading(
        `${this.#table} ${builtIn.name} is hidden`,
        this.#outcomes.node({ kind: 'undecided', reason: builtIn.hidden.because, ...policy }),
        this.#accepted(policy),
      );
    const end = accepts ? this.#accepted(policy) : this.#outcomes.node({ kind: 'dropped', ...policy });
    this.#plan(start);
    if (this.#effectful.has(start)) return this.#continuedBy(builtIn.name, end, 0);
    const rules = this.#pure.get(start) ?? FALL;
    return diagrams.over(this.#thenNext(rules), end);
  }

  #thenNext(node: Node): Node {
    return this.#accept === ACCEPT ? this.#layout.diagrams.then(node, this.#context.next) : node;
  }

  #accepted(by: { readonly rule?: string }): Node {
    return this.#options.deciding ? this.#outcomes.node({ kind: 'accepted', ...by }) : this.#context.next;
  }

  #actionOf(rule: Rule): Action {
    return this.#bodies.actionOf(rule.target);
  }

  /** Only made where somebody sees it. */
  #nameOf(chain: Chain, index: number): string {
    return ruleNames(this.#table, chain)[index] ?? '';
  }

  /** What is told of a rule that logs: it, where rules are named, or else only what it writes. */
  #entryOf(chain: Chain, index: number, { target }: Rule): string {
    const { deciding, logs } = this.#options;
    return deciding || logs === 'all' || target === undefined ? this.#nameOf(chain, index) : printTarget(target);
  }

  #named(chain: Chain, index: number): { readonly rule?: string } {
    return this.#options.deciding ? { rule: this.#nameOf(chain, index) } : {};
  }

  /** Makes the chains that can be made beforehand, those that are called before those that call. */
  #plan(start: number): void {
    const graph = this.#graph;
    const { order } = graph.callsFirst([start], (chain) => this.#isMade(chain));
    if (this.#settled !== undefined) this.#leaves = new NodesByNumber(this.#bodies.size);
    if (this.#options.within !== undefined) this.#passBy(order, this.#options.within);
    for (const number of order) {
      const chain = graph.chainAt(number);
      if (chain === undefined) continue;
      const passedBy = this.#passedBy.get(chain);
      if (this.#options.within !== undefined && passedBy === undefined) continue;
      const called = graph.callsOf(number);
      const isEffectful =
        (graph.changesSome(number) ||
          (graph.continuesSome(number) && this.#options.logs !== false) ||
          (this.#effectful.size > 0 && called.some((one) => this.#effectful.has(one)))) &&
        chain.rules.some((rule, index) => passedBy?.[index] !== 1 && this.#changes(rule));
      if (isEffectful) this.#effectful.add(number);
      else this.#pure.set(number, this.#chainOf(number, chain, called));
    }
  }

  /** The chain need not be looked at: it has been made, here or elsewhere. */
  #isMade(chain: number): boolean {
    if (this.#pure.has(chain) || this.#effectful.has(chain)) return true;
    const node = this.#settled?.get(chain) ?? this.#options.made?.(this.#graph.chainAt(chain)?.name ?? '');
    if (node === undefined) return false;
    this.#pure.set(chain, node);
    return true;
  }

  /** Marks the rules that none of the packets can come to, by their destinations, which no rule of a table changes. */
  #passBy(order: readonly number[], within: Node): void {
    const { diagrams } = this.#layout;
    const graph = this.#graph;
    const below = this.#layout.wordLevels('daddr').length + this.#layout.level('daddr');
    const destinations = diagrams.mapping((node) => (node === NO ? NO : YES), below);
    const reached = new Map<number, Node>();
    const first = order.at(-1);
    if (first !== undefined) reached.set(first, diagrams.substitute(destinations, within));
    for (const number of order.toReversed()) {
      const here = reached.get(number);
      const chain = graph.chainAt(number);
      if (here === undefined || chain === undefined) continue;
      const passedBy = new Uint8Array(chain.rules.length);
      this.#passedBy.set(chain, passedBy);
      for (const [index, rule] of chain.rules.entries()) {
        const only = destinationOf(this.#layout.family, rule);
        // Of a dispatch most are soon passed by.
        if (only !== undefined && this.#layout.restrictAddress(here, 'daddr', only) === NO) {
          passedBy[index] = 1;
          continue;
        }
        const met = diagrams.substitute(destinations, diagrams.and(here, this.#setOf(chain, rule)));
        if (met === NO && diagrams.and(here, this.#brokenOf(chain, rule)) === NO) passedBy[index] = 1;
        else {
          const called = this.#bodies.calledBy(graph.bodyOf(number, index));
          if (called !== NO_CHAIN) reached.set(called, diagrams.or(reached.get(called) ?? NO, met));
        }
      }
    }
  }

  /** The rule changes a packet and lets it go on, or calls a chain that does. */
  #changes(rule: Rule): boolean {
    const action = this.#actionOf(rule);
    if (action.kind === 'jump' || action.kind === 'goto')
      return this.#effectful.size > 0 && this.#effectful.has(this.#bodies.numberOf(action.chain));
    return CHANGES.has(action.kind) || this.#logs(rule, action);
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

  /** The same where nothing but FALL is behind it. */
  #leafOf(chain: Chain, rule: Rule, body: Node): Node {
    const { deciding, instead } = this.#options;
    // The set need not be made first of what leads to one terminal, which other rules of that text lead to as well.
    if (deciding || instead !== undefined || body >= 0) return this.#leaf(rule, this.#setOf(chain, rule), body, FALL);
    this.#chainAt = chain;
    this.#ruleAt = rule;
    return this.#conditions.leaf(rule.matches, this.#place, body, FALL);
  }

  #nameOfUnknown(text: string): string {
    const [chain, rule] = [this.#chainAt, this.#ruleAt];
    if (chain === undefined || rule === undefined) return text;
    const ordinal = this.#ordinalsOf(chain).get(rule)?.get(text) ?? 0;
    return `${this.#table} ${this.#hook} ${chain.name}: ${text}${ordinal === 0 ? '' : ` #${ordinal + 1}`}`;
  }

  /** Of each rule's matches, how many rules before it in its chain have the same: equal texts are told apart by their order. */
  #ordinalsOf(chain: Chain): ReadonlyMap<Rule, ReadonlyMap<string, number>> {
    const known = this.#ordinals.get(chain);
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
    this.#ordinals.set(chain, ordinals);
    return ordinals;
  }

  /** The packets that a rule is for. */
  #setOf(chain: Chain, rule: Rule): Node {
    this.#chainAt = chain;
    this.#ruleAt = rule;
    return this.#conditions.all(rule.matches, this.#place);
  }

  /** Those that it drops merely by looking at them. */
  #brokenOf(chain: Chain, rule: Rule): Node {
    this.#chainAt = chain;
    this.#ruleAt = rule;
    return this.#conditions.dropped(rule.matches, this.#place);
  }

  /** A chain without effects: FALL where none of its rules decides. `calls`: the chains that they lead to. */
  #chainOf(number: number, chain: Chain, calls: readonly number[]): Node {
    const graph = this.#graph;
    const settled = graph.translatesSome(number) ? undefined : this.#settled;
    const called = settled === undefined ? undefined : this.#pure.getAll(calls);
    if (settled === undefined || called === undefined) return this.#madeOf(number, chain);
    const making = { table: this.#table, rules: chain.rules, called, accepted: this.#accept };
    const known = this.#chainsMade.find(number, making);
    const before = this.#unknowns;
    const node = known ?? this.#asTwin(number) ?? this.#madeOf(number, chain);
    // What is not known is so at this hook.
    if (this.#unknowns !== before) return node;
    if (known === undefined) this.#chainsMade.add(number, making, node);
    this.#twins.set(graph.hashOf(number), number);
    if (!graph.changesSome(number) && !graph.continuesSome(number) && calls.every((one) => settled.has(one)))
      settled.set(number, node);
    return node;
  }

  /** What has been made of a chain whose rules say the same: machines of one group have such. */
  #asTwin(number: number): Node | undefined {
    const twin = this.#twins.get(this.#graph.hashOf(number));
    return twin !== undefined && this.#graph.saySame(number, twin) ? this.#pure.get(twin) : undefined;
  }

  /** How often something was met that is not known. */
  get #unknowns(): number {
    return this.#conditions.unknowns + (this.#readings?.met ?? 0);
  }

  #madeOf(number: number, chain: Chain): Node {
    const { table, returns } = this.#runOf(number, chain, 0, chain.rules.length);
    return returns ? this.#returnFalls(table) : table;
  }

  #madeBefore(name: string): Node {
    return this.#pure.get(this.#bodies.numberOf(name)) ?? this.#missing(name);
  }

  /** What a rule without effects decides about the packets that it is for. */
  #deciding(chain: Chain, index: number, action: Action): Node {
    switch (action.kind) {
      case 'accept':
        return this.#options.deciding
          ? this.#outcomes.node({ kind: 'accepted', ...this.#named(chain, index) })
          : this.#accept;
      case 'drop':
        if (this.#options.deciding) return this.#outcomes.node({ kind: 'dropped', ...this.#named(chain, index) });
        return (this.#dropped ??= this.#outcomes.node({ kind: 'dropped' }));
      case 'reject':
        return this.#outcomes.node({ kind: 'rejected', with: action.with, ...this.#named(chain, index) });
      case 'return':
        return RETURN;
      case 'jump':
        return this.#madeBefore(action.chain);
      case 'goto':
        return this.#fallReturns(this.#madeBefore(action.chain));
      case 'unknown':
        return this.#inEachReading(
          this.#nameOfTarget(chain, index),
          this.#outcomes.node({ kind: 'undecided', reason: action.because, ...this.#named(chain, index) }),
          this.#accepted(this.#named(chain, index)),
        );
      case 'nat': {
        const name = this.#options.deciding || this.#options.logs ? this.#nameOf(chain, index) : '';
        return this.#context.translate?.(action.target, name) ?? this.#accept;
      }
      default:
        return FALL;
    }
  }

  /** A target that is not modelled, where it is read every way. */
  #inEachReading(name: string, ends: Node, accepts: Node): Node {
    return this.#readings?.node(name, { ends, goesOn: FALL, accepts }) ?? ends;
  }

  /** Equal targets of a chain are told apart by their order. */
  #nameOfTarget({ name, rules }: Chain, index: number): string {
    const text = (rule: Rule | undefined): string => (rule?.target === undefined ? '' : printTarget(rule.target));
    const own = text(rules[index]);
    const before = rules.slice(0, index).filter((rule) => text(rule) === own).length;
    return `${this.#table} ${this.#hook} ${name}: ${own}${before === 0 ? '' : ` #${before + 1}`}`;
  }

  #missing(chain: string): Node {
    const isThere = this.#graph.chainAt(this.#bodies.numberOf(chain)) !== undefined;
    return this.#outcomes.node({
      kind: 'undecided',
      reason: isThere ? 'chains call each other without end' : `there is no chain ${chain}`,
    });
  }

  /** A chain with effects, in front of what happens behind it. */
  #continuedBy(name: string, after: Node, depth: number): Node {
    const number = this.#bodies.numberOf(name);
    const chain = this.#graph.chainAt(number);
    if (chain === undefined) return this.#missing(name);
    if (depth > MAX_DEPTH)
      throw new SpaceLimitError(`chains that change packets are called more than ${MAX_DEPTH} deep`);
    const key = `${after} ${name}`;
    const known = this.#continued.get(key);
    if (known !== undefined) return known;
    if (this.#continued.size > MOST_WAYS)
      throw new SpaceLimitError(`there are more than ${MOST_WAYS} ways through the chains that change packets`);
    const { diagrams } = this.#layout;
    const { rules } = chain;
    const passedBy = this.#passedBy.get(chain);
    let rest = after;
    let end = rules.length;
    const close = (start: number): void => {
      const { table, returns } = this.#runOf(number, chain, start, end);
      const returned = returns ? diagrams.returning(table, after) : table;
      rest = diagrams.over(this.#thenNext(returned), rest);
    };
    for (let index = rules.length - 1; index >= 0; index--) {
      const rule = rules[index];
      if (rule === undefined || passedBy?.[index] === 1 || !this.#changes(rule)) continue;
      close(index + 1);
      end = index;
      const action = this.#actionOf(rule);
      const set = this.#setOf(chain, rule);
      const broken = this.#brokenOf(chain, rule);
      const body =
        action.kind === 'jump'
          ? this.#continuedBy(action.chain, rest, depth + 1)
          : action.kind === 'goto'
            ? this.#continuedBy(action.chain, after, depth + 1)
            : this.#effects.before(action, action.kind === 'continue' ? this.#entryOf(chain, index, rule) : '', rest);
      rest = diagrams.over(this.#leaf(rule, set, body, rest), rest);
      if (broken !== NO) rest = diagrams.ifThenElse(broken, this.#brokenAt(chain, index), rest);
    }
    close(0);
    this.#continued.set(key, rest);
    return rest;
  }

  #brokenAt(chain: Chain, index: number): Node {
    return this.#outcomes.node({ kind: 'dropped', ...this.#named(chain, index) });
  }

  /** The rules without effects from `start` to before `end`; RETURN is left in, where there is any. */
  #runOf(
    number: number,
    chain: Chain,
    start: number,
    end: number,
  ): { readonly table: Node; readonly returns: boolean } {
    const { diagrams } = this.#layout;
    const passedBy = this.#passedBy.get(chain);
    const leaves: Node[] = [];
    let returns = false;
    for (let index = start; index < end; index++) {
      if (passedBy?.[index] === 1) continue;
      const body = this.#graph.bodyOf(number, index);
      const bits = this.#bodies.bitsOf(body);
      const dispatch = (bits & IS_FOR_ONE) === 0 ? undefined : this.#dispatchAt(chain, index, end);
      if (dispatch !== undefined) {
        returns ||= dispatch.returns;
        leaves.push(dispatch.node);
        index = dispatch.last;
        continue;
      }
      returns ||= (bits & RETURNS) !== 0;
      const known = this.#leaves?.get(body);
      if (known !== undefined) {
        if (known !== FALL) leaves.push(known);
        continue;
      }
      const rule = chain.rules[index];
      if (rule === undefined) continue;
      const before = this.#unknowns;
      const leaf = this.#leafOf(chain, rule, this.#deciding(chain, index, this.#actionOf(rule)));
      const broken = this.#brokenOf(chain, rule);
      if (broken !== NO) leaves.push(diagrams.guard(broken, this.#brokenAt(chain, index)));
      if (leaf !== FALL) leaves.push(leaf);
      if (broken === NO && this.#unknowns === before && this.#isSameEverywhere(body)) this.#leaves?.set(body, leaf);
    }
    return { table: diagrams.overAll(leaves), returns };
  }

  /** What a rule leads to has been made, and asks for no name of the rule. */
  #isSameEverywhere(body: number): boolean {
    const called = this.#bodies.calledBy(body);
    return (this.#bodies.bitsOf(body) & TRANSLATES) === 0 && (called === NO_CHAIN || this.#pure.has(called));
  }

  /** Rules of a chain from this one on that are each for another destination; the last of them. Undefined where they are put together as others are. */
  #dispatchAt(
    chain: Chain,
    start: number,
    end: number,
  ): { readonly node: Node; readonly returns: boolean; readonly last: number } | undefined {
    if (this.#options.instead !== undefined) return undefined;
    const { rules } = chain;
    const layout = this.#layout;
    const passedBy = this.#passedBy.get(chain);
    const cases: AddressCase[] = [];
    const seen = new Set<Address>();
    let returns = false;
    let index = start;
    for (; index < end; index++) {
      const rule = rules[index];
      const address = destinationOf(layout.family, rule);
      if (rule === undefined || address === undefined || seen.has(address)) break;
      if (passedBy?.[index] === 1) continue;
      const action = this.#actionOf(rule);
      returns ||= action.kind === 'return' || action.kind === 'goto';
      seen.add(address);
      cases.push([address, this.#deciding(chain, index, action)]);
    }
    return cases.length < 2 ? undefined : { node: dispatched(layout, 'daddr', cases), returns, last: index - 1 };
  }
}
