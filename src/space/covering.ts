/** Why a rule does nothing: the rules that take its packets before it, or do the same behind it, found packet by packet until none is left. */
import type { Chain, HookName } from '../ruleset/rule.ts';
import { NO, YES, type Diagrams, type Node } from './diagram.ts';
import type { IdleReason, RulePlace } from './idle-rules.ts';
import type { Probe, ProbedRule, Values } from './probe.ts';
import { Replay } from './replay.ts';
import { possible } from './table-difference.ts';
import { witnessAt } from './witness.ts';

/** So many places are told of one rule. */
const MOST_PLACES = 50;
/** For so many rules without effect it is looked for what does the same. */
const MOST_WALKED = 200;

export interface Explained {
  readonly because: IdleReason;
  readonly by: readonly RulePlace[];
  readonly more: boolean;
}

type Listed = Pick<Explained, 'by' | 'more'>;

export class Covering {
  readonly #probe: Probe;
  readonly #hooks: readonly HookName[];
  readonly #calls: ReadonlyMap<string, readonly number[]>;
  readonly #entering = new Map<string, Node>();
  readonly #firsts = new Map<string, number>();
  #replay: Replay | undefined;
  #walked = 0;

  /** `calls`: by chain the rules that jump or go to it. */
  constructor(probe: Probe, hooks: readonly HookName[], calls: ReadonlyMap<string, readonly number[]>) {
    this.#probe = probe;
    this.#hooks = hooks;
    this.#calls = calls;
    for (const [number, { chain, index }] of probe.rules.entries())
      if (index === 0) this.#firsts.set(chain.name, number);
  }

  get #diagrams(): Diagrams {
    return this.#probe.space.layout.diagrams;
  }

  place(number: number): RulePlace {
    const { ruleset, table, rules } = this.#probe;
    const probed = rules[number];
    if (probed === undefined) throw new RangeError(`there is no rule ${number}`);
    const { chain, index, rule } = probed;
    return { path: ruleset.path, line: rule.line, table, chain: chain.name, rule: index + 1 };
  }

  chainPlace(name: string): RulePlace {
    const { ruleset, table } = this.#probe;
    const line = this.#chain(name)?.line;
    return { path: ruleset.path, ...(line === undefined ? {} : { line }), table, chain: name };
  }

  #policyPlace(name: string): RulePlace {
    return { ...this.chainPlace(name), rule: 'policy' };
  }

  #chain(name: string): Chain | undefined {
    return this.#probe.ruleset.tables.get(this.#probe.table)?.chains.get(name);
  }

  /** In the order of the text, each once. */
  listed(places: readonly RulePlace[], more = false): Listed {
    const byKey = new Map(places.map((place) => [`${place.line ?? ''} ${place.chain} ${place.rule ?? ''}`, place]));
    const sorted = [...byKey.values()].sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
    return { by: sorted.slice(0, MOST_PLACES), more: more || sorted.length > MOST_PLACES };
  }

  /** Why no packet meets a rule of a chain that packets enter. */
  ofDead(number: number, probed: ProbedRule): Explained {
    const places: RulePlace[] = [];
    let more = false;
    let isAskedFor = false;
    let isFor = false;
    const { name } = probed.chain;
    // A built-in chain is met at one hook alone.
    const ownHook = this.#hooks.filter((hook) => hook === name);
    for (const hook of ownHook.length > 0 ? ownHook : this.#hooks) {
      const own = this.#probe.matching(probed);
      isFor ||= this.#diagrams.and(this.#domain(hook), own) !== NO;
      let rest = this.#diagrams.and(this.#enteringOf(hook, name), own);
      isAskedFor ||= rest !== NO;
      for (let turn = 0; rest !== NO && turn < MOST_PLACES; turn++) {
        const at = valuesIn(this.#diagrams, rest);
        const taker = this.#taker(hook, number, new Set(this.#probe.traceAt(hook, at)), at);
        if (taker === undefined) break;
        places.push(this.place(taker));
        rest = this.#withoutThoseOf(taker, hook, rest);
      }
      more ||= rest !== NO;
    }
    if (isAskedFor) return { because: 'covered', ...this.listed(places, more) };
    if (!isFor) return { because: 'contradiction', by: [], more: false };
    const callers = (this.#calls.get(name) ?? []).map((caller) => this.place(caller));
    return { because: 'not-entered', ...this.listed(callers) };
  }

  /** What makes a rule needless that packets meet; `gone` are the rules that no packet meets. */
  ofIdle(number: number, probed: ProbedRule, gone: ReadonlySet<number>): Explained {
    const { target } = probed.rule;
    if (target?.kind === 'jump' && this.#isEmpty(target.chain, gone))
      return { because: 'empty', by: [this.chainPlace(target.chain)], more: false };
    if (this.#walked++ >= MOST_WALKED) return { because: 'same-without', by: [], more: true };
    const places: RulePlace[] = [];
    let more = false;
    for (const hook of this.#hooks) {
      const own = this.#diagrams.and(this.#enteringOf(hook, probed.chain.name), this.#probe.matching(probed));
      let rest = this.#probe.meeting(hook, number, own);
      for (let turn = 0; rest !== NO && turn < MOST_PLACES; turn++) {
        const decider = this.#deciderWithout(probed, hook, rest, gone);
        if (decider === undefined) break;
        if (decider === 'policy') {
          places.push(this.#policyPlace(hook));
          rest = NO;
        } else {
          places.push(this.place(decider));
          rest = this.#withoutThoseOf(decider, hook, rest);
        }
      }
      more ||= rest !== NO;
    }
    return { because: 'same-without', ...this.listed(places, more) };
  }

  #isEmpty(chain: string, gone: ReadonlySet<number>): boolean {
    const first = this.#firsts.get(chain);
    const count = this.#chain(chain)?.rules.length ?? 0;
    return first === undefined || Array.from({ length: count }, (_, index) => first + index).every((n) => gone.has(n));
  }

  #domain(hook: HookName): Node {
    const { space, table } = this.#probe;
    return possible(space.layout, hook, table);
  }

  /** The packets that a rule takes, or would take if no rule before it did. */
  #withoutThoseOf(taker: number, hook: HookName, rest: Node): Node {
    const probed = this.#probe.rules[taker];
    if (probed === undefined) return rest;
    const own = this.#diagrams.and(this.#enteringOf(hook, probed.chain.name), this.#probe.matching(probed));
    return this.#diagrams.less(rest, own);
  }

  /** The packets that the calls let into a chain, whatever the rules before them do. No recursion: chains may be nested deep. */
  #enteringOf(hook: HookName, name: string): Node {
    const keyOf = (chain: string): string => `${hook} ${chain}`;
    const open = [name];
    const begun = new Set<string>();
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      if (this.#entering.has(keyOf(top))) {
        open.pop();
        continue;
      }
      const callers = (this.#calls.get(top) ?? []).flatMap((number) => this.#probe.rules[number] ?? []);
      if (!begun.has(top)) {
        begun.add(top);
        // A chain that is begun already calls itself: no packet comes in by that call alone.
        const missing = callers.map(({ chain }) => chain.name).filter((chain) => !begun.has(chain));
        open.push(...new Set(missing.filter((chain) => !this.#entering.has(keyOf(chain)))));
        continue;
      }
      open.pop();
      const byCalls = callers.map((caller) =>
        this.#diagrams.and(this.#entering.get(keyOf(caller.chain.name)) ?? NO, this.#probe.matching(caller)),
      );
      const own = top === hook ? this.#domain(hook) : NO;
      this.#entering.set(keyOf(top), this.#diagrams.orAll([own, ...byCalls]));
    }
    return this.#entering.get(keyOf(name)) ?? NO;
  }

  /** The rule that keeps a packet from a later one. */
  #taker(hook: HookName, from: number, trace: ReadonlySet<number>, at: Values): number | undefined {
    const { rules } = this.#probe;
    const seen = new Set<number>();
    for (let number = from; ;) {
      const probed = rules[number];
      if (probed === undefined || seen.has(number)) return undefined;
      seen.add(number);
      const last = this.#lastMet(probed.chain.name, probed.index, trace);
      if (last !== undefined) return this.#innermost(last, trace);
      // It does not come into the chain at all, though a call would let it in.
      const caller = (this.#calls.get(probed.chain.name) ?? []).find((one) => this.#isLetInBy(one, hook, at));
      if (caller === undefined) return undefined;
      number = caller;
    }
  }

  #isLetInBy(caller: number, hook: HookName, at: Values): boolean {
    const probed = this.#probe.rules[caller];
    return (
      probed !== undefined &&
      this.#diagrams.evaluate(this.#enteringOf(hook, probed.chain.name), at) === YES &&
      this.#diagrams.evaluate(this.#probe.matching(probed), at) === YES
    );
  }

  /** Of a chain's first `count` rules the last one that the packet meets. */
  #lastMet(chain: string, count: number, trace: ReadonlySet<number>): number | undefined {
    const first = this.#firsts.get(chain);
    if (first === undefined) return undefined;
    const own = [...trace].filter((number) => first <= number && number < first + count);
    return own.length === 0 ? undefined : Math.max(...own);
  }

  /** The rule itself, or the last one that is met in the chain that it calls. */
  #innermost(from: number, trace: ReadonlySet<number>): number {
    const seen = new Set<number>();
    let number = from;
    while (!seen.has(number)) {
      seen.add(number);
      const target = this.#probe.rules[number]?.rule.target;
      if (target?.kind !== 'jump' && target?.kind !== 'goto') return number;
      const called = this.#chain(target.chain)?.rules.length ?? 0;
      const last = this.#lastMet(target.chain, called, trace);
      if (last === undefined) return number;
      number = last;
    }
    return number;
  }

  /** What decides about one of these packets where a rule is not there; the model answers, packet by packet. */
  #deciderWithout(
    { chain, index }: ProbedRule,
    hook: HookName,
    packets: Node,
    gone: ReadonlySet<number>,
  ): number | 'policy' | undefined {
    const { space, table } = this.#probe;
    const witness = witnessAt(space.layout, packets, { hook, backend: space.backend });
    if (witness === undefined) return undefined;
    const isThere = (name: string, number: number): boolean =>
      !(name === chain.name && number === index + 1) && !gone.has((this.#firsts.get(name) ?? 0) + number - 1);
    this.#replay ??= new Replay(this.#probe.ruleset);
    const chains = this.#replay.chainsOf(table);
    const walked = this.#replay.walk(table, witness.skb, {
      get: (name) => {
        const own = chains?.get(name);
        return own && { ...own, rules: own.rules.filter(({ number }) => isThere(name, number)) };
      },
    });
    if (walked.rule === 'policy') return 'policy';
    const first = this.#firsts.get(walked.chain ?? '');
    return first === undefined || walked.rule === undefined ? undefined : first + walked.rule - 1;
  }
}

/** One point of a set that is not empty; levels that do not matter are 0. */
function valuesIn(diagrams: Diagrams, set: Node): Values {
  const values = new Map<number, number>();
  for (let node = set; node >= 0;) {
    let from = 0;
    let next = NO;
    for (const { hi, to } of diagrams.edgesOf(node)) {
      if (to !== NO) {
        values.set(diagrams.levelOf(node), from);
        next = to;
        break;
      }
      from = hi + 1;
    }
    node = next;
  }
  return (level) => values.get(level) ?? 0;
}
