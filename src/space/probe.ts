/**
 * A table of which each rule is asked about at once: one more level, below the packet's fields, says of which rule something is asked and what. There
 * the diagram leads to what becomes of the packet where nothing is asked, to what would become of it without that rule, and to HIT where the packet
 * meets the rule. So all deletions of one rule are one diagram, and the trace of every packet is in it. Where no rule changes packets, most rules need not be
 * asked about: passage.ts.
 */
import type { NatTarget } from '../netfilter/compile.ts';
import { printTarget } from '../ruleset/print.ts';
import type { Chain, HookName, Rule, Ruleset, TableName } from '../ruleset/rule.ts';
import { TableSpace } from './chain.ts';
import { FALL, NO, RETURN, terminal, YES, type Node, type PairOperation, type Substitution } from './diagram.ts';
import { single } from './layout.ts';
import { Passage } from './passage.ts';
import type { Space } from './space.ts';
import { possible } from './table-difference.ts';

/** No outcome is this terminal: the packet meets the rule. */
const HIT = YES;
/** In a question: here the answer is that the packet meets it. */
const MET = RETURN;

/** A rule where it stands. */
export interface ProbedRule {
  readonly chain: Chain;
  /** From 0. */
  readonly index: number;
  readonly rule: Rule;
}

/** What the packets of one hook say of the rules, by their numbers. */
export interface Findings {
  /** Some packet meets the rule. */
  readonly met: Set<number>;
  /** Some packet would fare otherwise without it. */
  readonly mattering: Set<number>;
}

/** The value of each level. */
export type Values = (level: number) => number;

export class Probe {
  readonly space: Space;
  readonly ruleset: Ruleset;
  readonly table: TableName;
  readonly rules: readonly ProbedRule[];
  readonly #numbers = new Map<Rule, number>();
  readonly #level: number;
  readonly #nodes = new Map<HookName, Node>();
  readonly #without: ReadonlySet<number>;
  readonly #domains = new Map<HookName, Node>();
  readonly #asking: PairOperation;
  #made: TableSpace | undefined;
  readonly #inSomeReading: Substitution;
  readonly #matching = new Map<Rule, Node>();
  readonly #hooks: readonly HookName[];
  /** Answers most questions where no rule changes packets. */
  readonly #passage: Passage | undefined;
  /** The rules that are asked about in the diagram; undefined for all. */
  readonly #open: ReadonlySet<number> | undefined;

  /** `without`: rules that are taken out altogether. */
  constructor(
    space: Space,
    ruleset: Ruleset,
    { table, hooks }: { readonly table: TableName; readonly hooks: readonly HookName[] },
    without: ReadonlySet<number> = new Set(),
  ) {
    this.space = space;
    this.ruleset = ruleset;
    this.table = table;
    this.#without = without;
    const chains = [...(ruleset.tables.get(table)?.chains.values() ?? [])];
    this.rules = chains.flatMap((chain) => chain.rules.map((rule, index) => ({ chain, index, rule })));
    for (const [number, { rule }] of this.rules.entries()) this.#numbers.set(rule, number);
    const { diagrams, floor } = space.layout;
    this.#inSomeReading = diagrams.mapping((node) => (node === NO ? NO : YES), floor);
    this.#asking = diagrams.pairing((asked, does) =>
      terminal(asked) === YES ? terminal(does) : terminal(asked) === MET ? HIT : FALL,
    );
    this.#level = space.layout.unknown(`which rule of ${table}`, 2 * this.rules.length);
    this.#hooks = hooks;
    const byName = ruleset.tables.get(table)?.chains ?? new Map<string, Chain>();
    const isShown = (hook: HookName): boolean => byName.get(hook)?.hidden === undefined;
    this.#passage = Passage.of({
      space,
      rules: this.rules,
      chains: byName,
      domains: new Map(hooks.filter(isShown).map((hook) => [hook, this.#possible(hook)])),
      without,
    });
    const passage = this.#passage;
    this.#open = passage && new Set([...this.rules.keys()].filter((number) => passage.matteringOf(number) === 'open'));
  }

  numberOf(rule: Rule): number {
    return this.#numbers.get(rule) ?? -1;
  }

  /** What becomes of each packet that the hook can meet, with the question; of any other nothing is asked. Throws SpaceLimitError. */
  node(hook: HookName): Node {
    const known = this.#nodes.get(hook);
    if (known !== undefined) return known;
    const made = this.#tableSpace(hook).node(hook);
    this.#nodes.set(hook, made);
    return made;
  }

  /** One for all hooks: their diagrams never meet, so it does not matter that they have the same unknowns. */
  #tableSpace(hook: HookName): TableSpace {
    if (this.#made !== undefined) return this.#made;
    const { space, table } = this;
    const { outcomes } = space;
    const chains = this.ruleset.tables.get(table)?.chains ?? new Map<string, Chain>();
    const instead = (rule: Rule, set: Node, body: Node, otherwise: Node): Node =>
      this.#asked(rule, set, body, otherwise);
    const translate = (target: NatTarget): Node =>
      outcomes.node({ kind: 'accepted', rewritten: { translation: printTarget(target) } });
    this.#made = new TableSpace(
      space,
      { table, hook, chains },
      { deciding: false, logs: 'all', instead, made: (name) => this.#passage?.settledNode(name) },
      { next: outcomes.node({ kind: 'accepted' }), translate },
    );
    return this.#made;
  }

  #asked(rule: Rule, set: Node, body: Node, otherwise: Node): Node {
    const number = this.numberOf(rule);
    if (this.#without.has(number)) return FALL;
    const { diagrams } = this.space.layout;
    const isUnknown = this.space.bodies.actionOf(rule.target).kind === 'unknown';
    const does = isUnknown ? this.#either(number, body, otherwise) : body;
    const { chain } = this.rules[number] ?? {};
    const asked = chain?.policy === undefined ? set : diagrams.and(set, this.#possible(chain.name as HookName));
    if (this.#open?.has(number) === false) return diagrams.guard(asked, does);
    const question = diagrams.node(this.#level, [
      ...(number === 0 ? [] : [{ hi: 2 * number - 1, to: YES }]),
      { hi: 2 * number, to: NO },
      { hi: 2 * number + 1, to: MET },
      { hi: 2 * this.rules.length, to: YES },
    ]);
    return diagrams.pair(this.#asking, diagrams.ifThenElse(asked, question, NO), does);
  }

  /** What can come to a built-in chain. */
  #possible(hook: HookName): Node {
    const known = this.#domains.get(hook) ?? possible(this.space.layout, hook, this.table);
    this.#domains.set(hook, known);
    return known;
  }

  /** Nobody knows whether such a target lets the packet go on. */
  #either(number: number, body: Node, otherwise: Node): Node {
    const { diagrams } = this.space.layout;
    const unknown = this.space.layout.unknown(`whether rule ${number} of ${this.table} decides`);
    return diagrams.ifThenElse(diagrams.choose(unknown, single(1), YES, NO), body, otherwise);
  }

  /** What the packets of all hooks say of all rules. */
  collect(): Findings {
    const found: Findings = { met: new Set(), mattering: new Set() };
    for (const number of this.#passage === undefined ? [] : this.rules.keys()) {
      if (this.#passage?.isMet(number) === true) found.met.add(number);
      if (this.#passage?.matteringOf(number) === 'yes') found.mattering.add(number);
    }
    if (this.#open?.size !== 0) for (const hook of this.#hooks) this.#collectAt(hook, found);
    return found;
  }

  #collectAt(hook: HookName, { met, mattering }: Findings): void {
    const { diagrams } = this.space.layout;
    const last = 2 * this.rules.length;
    for (const node of diagrams.reachable(this.node(hook))) {
      if (node < 0 || diagrams.levelOf(node) !== this.#level) continue;
      const edges = diagrams.edgesOf(node);
      const usual = edges.at(-1)?.to;
      let from = 0;
      for (const { hi, to } of edges) {
        if (to !== usual) this.#read(from, Math.min(hi, last - 1), to, met, mattering);
        from = hi + 1;
      }
    }
  }

  #read(from: number, to: number, end: Node, met: Set<number>, mattering: Set<number>): void {
    const isHit = this.#holdsHit(end);
    for (let value = from; value <= to; value++) {
      if (value % 2 === 0) mattering.add(value / 2);
      else if (isHit) met.add((value - 1) / 2);
    }
  }

  /** In one of the readings of what is not known. */
  #holdsHit(end: Node): boolean {
    return end === HIT || (end >= 0 && this.space.layout.diagrams.terminalsOf(end).includes(HIT));
  }

  /** The numbers of the rules that a packet meets at a hook. */
  traceAt(hook: HookName, point: Values): readonly number[] {
    if (this.#passage !== undefined) return this.#passage.traceAt(hook, point);
    const { diagrams } = this.space.layout;
    const node = diagrams.evaluate(this.node(hook), point, this.#level);
    if (node < 0 || diagrams.levelOf(node) !== this.#level) return [];
    const trace: number[] = [];
    let from = 0;
    for (const { hi, to } of diagrams.edgesOf(node)) {
      if (to < 0 ? to === HIT : diagrams.evaluate(to, point) === HIT)
        for (let value = from; value <= hi; value++) trace.push((value - 1) / 2);
      from = hi + 1;
    }
    return trace;
  }

  /** The packets of a set that meet a rule, in some reading. */
  meeting(hook: HookName, number: number, within: Node): Node {
    const { diagrams } = this.space.layout;
    if (this.#passage !== undefined)
      return diagrams.substitute(this.#inSomeReading, this.#passage.meeting(number, within));
    const met = diagrams.mapping((node) => (this.#hits(node, number) ? YES : NO), this.#level);
    return diagrams.substitute(met, diagrams.guard(within, this.node(hook)));
  }

  #hits(node: Node, number: number): boolean {
    const { diagrams } = this.space.layout;
    if (node < 0 || diagrams.levelOf(node) !== this.#level) return false;
    return this.#holdsHit(diagrams.evaluate(node, () => 2 * number + 1, this.#level + 1));
  }

  /** The packets that a rule is for as they come to it, in some reading. */
  matching({ rule }: ProbedRule): Node {
    const { layout, conditions } = this.space;
    const known = this.#matching.get(rule);
    if (known !== undefined) return known;
    const set = conditions.all(rule.matches, { name: (text) => `whether ${text} holds` });
    const made = layout.diagrams.substitute(this.#inSomeReading, set);
    this.#matching.set(rule, made);
    return made;
  }
}
