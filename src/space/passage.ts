/**
 * The way of all packets through the chains of a table whose rules change and log none of them: which packets come to each rule, and whether they would fare
 * otherwise in its chain without it. Then they would fare otherwise altogether, or nobody would see it. Only where the chain lets them go on in one case, and not
 * in the other, it depends on the chains that call it; those are asked, and where they cannot tell, probe.ts asks the whole table.
 *
 * Chains are gone through from those that call to those that are called, so that all that comes into a chain is known. Within one, rules are halved
 * again and again: what comes to a half and some rule of it is for, and what becomes of that behind the half. So a chain of many rules costs little more
 * than its diagram does.
 */
import type { Address } from '../address/address.ts';
import type { Action, NatTarget } from '../netfilter/compile.ts';
import { calledBy } from '../ruleset/calls.ts';
import { printTarget } from '../ruleset/print.ts';
import type { Chain, HookName, Rule } from '../ruleset/rule.ts';
import { FALL, NO, RETURN, terminal, YES, type Diagrams, type Node, type PairOperation } from './diagram.ts';
import { destinationOf } from './dispatch.ts';
import { addressOfWords, rangeOf, single } from './layout.ts';
import type { ProbedRule, Values } from './probe.ts';
import { CHANGES } from './rule-bodies.ts';
import type { Space } from './space.ts';

/** Whether packets would fare otherwise without a rule. `open`: the chains that call its own do not tell. */
export type Mattering = 'yes' | 'no' | 'open';

/** Of more rules than these only the packets are followed that some of them is for: so a long chain costs little for each of its rules. */
const SHORT = 16;

/** So many calls are asked about one rule. */
const MOST_CALLS = 50;

/** Rules that stand next to each other. */
interface Span {
  /** The packets that some of them is for. */
  readonly set: Node;
  /** What they make of every packet, FALL where none decides. */
  readonly node: Node;
  /** Two halves, or one rule by its number. */
  readonly halves?: readonly [Span, Span];
  readonly rule?: number;
  /** How many rules. */
  readonly length: number;
}

interface ReachedChain {
  readonly chain: Chain;
  /** The number of its first rule. */
  readonly first: number;
  readonly span: Span | undefined;
  /** What comes in, in parts. */
  readonly entering: Node[];
  /** All of it is for this destination, which the sets of its rules then do not tell. */
  destination?: Address;
  /** Some rule of it is open, or of a chain that it calls. */
  isOpen: boolean;
}

/** A rule that calls, and what becomes of packets that it calls for: as it is, and otherwise. */
interface Call {
  readonly number: number;
  readonly does: Node;
  readonly without: Node;
  /** All of them are for this destination, which the diagrams then do not tell. */
  readonly destination: Address | undefined;
}

/** What a table is, to a passage. */
export interface Passed {
  readonly space: Space;
  readonly rules: readonly ProbedRule[];
  readonly chains: ReadonlyMap<string, Chain>;
  /** The packets that come to each built-in chain; no packet is in two of them. */
  readonly domains: ReadonlyMap<HookName, Node>;
  /** Rules that are taken out. */
  readonly without: ReadonlySet<number>;
}

export class Passage {
  readonly #passed: Passed;
  readonly #diagrams: Diagrams;
  readonly #reached = new Map<string, ReachedChain>();
  /** By rule the packets that it is for, and those of them that come to it. */
  readonly #sets: Int32Array;
  readonly #hits: Int32Array;
  readonly #mattering: Mattering[];
  /** Of rules that call: what becomes of those packets behind it. */
  readonly #behind: Int32Array;
  /** By chain the rules that call it, and the chains that lead to it. */
  readonly #callers = new Map<string, number[]>();
  readonly #leading = new Map<string, ReadonlySet<string>>();
  readonly #differ: PairOperation;
  readonly #decidedOtherwise: PairOperation;
  readonly #decides: (node: Node) => Node;
  readonly #candidates = new Map<Chain, (at: Address) => readonly number[]>();

  /** Undefined for a table whose rules do something to packets that go on, or whose chains call others that are not there, or each other. */
  static of(passed: Passed): Passage | undefined {
    const { space, rules, chains, domains } = passed;
    const acts = ({ target }: Rule): boolean => {
      const { kind } = space.bodies.actionOf(target);
      return CHANGES.has(kind) || (kind === 'continue' && target !== undefined);
    };
    if (rules.some(({ rule }) => acts(rule))) return undefined;
    const graph = space.chains.graphOf(chains);
    const { order, isWhole } = graph.callsFirst([...domains.keys()].map((hook) => space.bodies.numberOf(hook)));
    return isWhole
      ? new Passage(
          passed,
          order.flatMap((number) => graph.chainAt(number) ?? []),
        )
      : undefined;
  }

  private constructor(passed: Passed, order: readonly Chain[]) {
    this.#passed = passed;
    const { diagrams } = passed.space.layout;
    this.#diagrams = diagrams;
    this.#sets = new Int32Array(passed.rules.length).fill(NO);
    this.#hits = new Int32Array(passed.rules.length).fill(NO);
    this.#behind = new Int32Array(passed.rules.length).fill(NO);
    this.#mattering = passed.rules.map(() => 'no');
    const differ = (does: number, behind: number): boolean => does !== behind && terminal(does) !== FALL;
    this.#differ = diagrams.pairing((does, behind) => (differ(does, behind) ? YES : NO), NO);
    this.#decidedOtherwise = diagrams.pairing(
      (does, behind) => (differ(does, behind) && terminal(does) !== RETURN && terminal(behind) !== RETURN ? YES : NO),
      NO,
    );
    const decides = diagrams.mapping((node) => (node === FALL ? NO : YES));
    this.#decides = (node) => diagrams.substitute(decides, node);
    const firsts = new Map<Chain, number>();
    for (const [number, { chain, index }] of passed.rules.entries()) if (index === 0) firsts.set(chain, number);
    for (const [number, { rule }] of passed.rules.entries()) {
      const called = calledBy(rule);
      const known = this.#callers.get(called ?? '');
      if (known !== undefined) known.push(number);
      else if (called !== undefined) this.#callers.set(called, [number]);
    }
    for (const chain of order) this.#make(chain, firsts.get(chain) ?? 0);
    for (const chain of order.toReversed()) this.#pass(chain.name);
    for (const reached of this.#reached.values()) reached.isOpen = this.#hasOpen(reached);
  }

  /** The packets of a set of one hook that come to a rule and that it is for. */
  meeting(number: number, within: Node): Node {
    const hit = this.#hits[number] ?? NO;
    const destination = this.#reached.get(this.#passed.rules[number]?.chain.name ?? '')?.destination;
    return this.#diagrams.and(within, destination === undefined ? hit : this.#only(destination, hit));
  }

  isMet(number: number): boolean {
    return this.#hits[number] !== NO;
  }

  matteringOf(number: number): Mattering {
    return this.#mattering[number] ?? 'no';
  }

  /** The numbers of the rules that a packet meets at a hook, in order. */
  traceAt(hook: HookName, at: Values): readonly number[] {
    const { layout, bodies } = this.#passed.space;
    const daddr = addressOfWords(
      layout.family,
      layout.wordLevels('daddr').map((level) => at(level)),
    );
    const trace: number[] = [];
    const open: { readonly rules: readonly number[]; next: number }[] = [];
    const enter = (name: string): void => {
      const reached = this.#reached.get(name);
      if (reached !== undefined) open.push({ rules: this.#candidatesOf(reached)(daddr), next: 0 });
    };
    enter(hook);
    for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
      const number = top.rules[top.next++];
      const action = number === undefined ? undefined : bodies.actionOf(this.#passed.rules[number]?.rule.target);
      if (number === undefined || action === undefined) open.pop();
      else if (this.#diagrams.evaluate(this.#sets[number] ?? NO, at) === YES) {
        trace.push(number);
        if (action.kind === 'goto' || action.kind === 'return') open.pop();
        if (action.kind === 'jump' || action.kind === 'goto') enter(action.chain);
        else if (action.kind !== 'return' && action.kind !== 'continue' && action.kind !== 'unknown') return trace;
      }
    }
    return trace;
  }

  /** The rules of a chain that a packet to a destination could meet: those that are for another one alone are many. */
  #candidatesOf({ chain, first }: ReachedChain): (at: Address) => readonly number[] {
    const known = this.#candidates.get(chain);
    if (known !== undefined) return known;
    const others: number[] = [];
    const byDestination = new Map<Address, number[]>();
    for (const [index, rule] of chain.rules.entries()) {
      const destination = destinationOf(this.#passed.space.layout.family, rule);
      const own = destination === undefined ? others : (byDestination.get(destination) ?? []);
      own.push(first + index);
      if (destination !== undefined) byDestination.set(destination, own);
    }
    const made = (at: Address): readonly number[] => {
      const own = byDestination.get(at);
      return own === undefined ? others : [...others, ...own].sort((a, b) => a - b);
    };
    this.#candidates.set(chain, made);
    return made;
  }

  // --- from those that are called to those that call -----------------------------------------------------------------------------------

  #make(chain: Chain, first: number): void {
    const spans = chain.rules.map((rule, index) => this.#spanOf(chain, rule, first + index));
    const span = this.#joined(spans);
    this.#reached.set(chain.name, { chain, first, span, entering: [], isOpen: false });
  }

  #spanOf(chain: Chain, rule: Rule, number: number): Span {
    if (this.#passed.without.has(number)) return { set: NO, node: FALL, rule: number, length: 1 };
    const { conditions, bodies } = this.#passed.space;
    const set = conditions.all(rule.matches, { name: (text) => `${chain.name} rule ${number}: ${text}` });
    this.#sets[number] = set;
    const body = this.#bodyOf(bodies.actionOf(rule.target), number);
    // At a hook the policy is what a packet comes to that is returned.
    const node = chain.policy === undefined ? body : this.#diagrams.returning(body, this.#endOf(chain));
    return { set, node: this.#diagrams.guard(set, node), rule: number, length: 1 };
  }

  #joined(spans: readonly Span[]): Span | undefined {
    let row = spans;
    while (row.length > 1) {
      const next: Span[] = [];
      for (let index = 0; index < row.length; index += 2) {
        const [left, right] = [row[index], row[index + 1]];
        if (left === undefined) continue;
        if (right === undefined) next.push(left);
        else
          next.push({
            set: this.#diagrams.or(left.set, right.set),
            node: this.#diagrams.over(left.node, right.node),
            halves: [left, right],
            length: left.length + right.length,
          });
      }
      row = next;
    }
    return row[0];
  }

  /** What a rule does to its packets. */
  #bodyOf(action: Action, number: number): Node {
    const { outcomes } = this.#passed.space;
    switch (action.kind) {
      case 'accept':
        return outcomes.node({ kind: 'accepted' });
      case 'drop':
        return outcomes.node({ kind: 'dropped' });
      case 'reject':
        return outcomes.node({ kind: 'rejected', with: action.with });
      case 'nat':
        return this.#translated(action.target);
      case 'return':
        return RETURN;
      case 'jump':
        return this.#returnFalls(this.#reached.get(action.chain)?.span?.node ?? FALL);
      case 'goto':
        return this.#fallReturns(this.#reached.get(action.chain)?.span?.node ?? FALL);
      case 'unknown':
        // Nobody knows whether it lets them go on.
        return this.#diagrams.ifThenElse(
          this.#unknown(`whether rule ${number} decides`),
          outcomes.node({ kind: 'undecided', reason: action.because }),
          FALL,
        );
      default:
        return FALL;
    }
  }

  #unknown(name: string): Node {
    const { layout } = this.#passed.space;
    return this.#diagrams.choose(layout.unknown(name), single(1), YES, NO);
  }

  #translated(target: NatTarget): Node {
    return this.#passed.space.outcomes.node({ kind: 'accepted', rewritten: { translation: printTarget(target) } });
  }

  #returnFalls(node: Node): Node {
    return this.#diagrams.returning(node, FALL);
  }

  #fallReturns(node: Node): Node {
    return this.#diagrams.over(node, RETURN);
  }

  // --- from those that call to those that are called -----------------------------------------------------------------------------------

  #pass(name: string): void {
    const reached = this.#reached.get(name);
    if (reached?.span === undefined) return;
    const { diagrams } = this.#passed.space.layout;
    const domain = this.#passed.domains.get(name as HookName) ?? NO;
    const entering = diagrams.orAll([domain, ...reached.entering]);
    reached.entering.length = 0;
    const destination = this.#onlyDestination(entering);
    const end = this.#endOf(reached.chain);
    if (destination === undefined) this.#passSpan(reached, reached.span, entering, end);
    else {
      reached.destination = destination;
      this.#passSpan(reached, reached.span, this.#at(destination, entering), end);
    }
  }

  /** Behind the last rule of a chain. */
  #endOf({ policy }: Chain): Node {
    return policy === undefined
      ? RETURN
      : this.#passed.space.outcomes.node({ kind: policy === 'ACCEPT' ? 'accepted' : 'dropped' });
  }

  /** `coming` is what comes to the first of the rules, `behind` what becomes of it behind the last of them. As deep as a number of rules can be halved. */
  #passSpan(reached: ReachedChain, { set, node, halves, rule, length }: Span, coming: Node, behind: Node): void {
    const diagrams = this.#diagrams;
    const own = length === 1 || length > SHORT ? diagrams.and(coming, this.#inChain(reached, set)) : coming;
    if (own === NO) return;
    if (rule !== undefined) this.#passRule(reached, rule, { node: this.#inChain(reached, node), hit: own, behind });
    if (halves === undefined) return;
    const rest = length > SHORT ? diagrams.guard(own, behind) : behind;
    const [left, right] = halves;
    this.#passSpan(reached, left, own, diagrams.over(this.#inChain(reached, right.node), rest));
    this.#passSpan(reached, right, diagrams.less(own, this.#decides(this.#inChain(reached, left.node))), rest);
  }

  #passRule(
    reached: ReachedChain,
    number: number,
    { node, hit, behind }: { readonly node: Node; readonly hit: Node; readonly behind: Node },
  ): void {
    const diagrams = this.#diagrams;
    this.#hits[number] = hit;
    const { rule } = this.#passed.rules[number] ?? {};
    const called = rule && calledBy(rule);
    if (called !== undefined) {
      const entering = reached.destination === undefined ? hit : this.#only(reached.destination, hit);
      this.#reached.get(called)?.entering.push(entering);
      this.#behind[number] = rule?.target?.kind === 'goto' ? this.#endOf(reached.chain) : behind;
    }
    const does = diagrams.guard(hit, node);
    if (diagrams.somewhere(this.#decidedOtherwise, does, behind)) this.#mattering[number] = 'yes';
    else if (diagrams.somewhere(this.#differ, does, behind)) {
      const without = diagrams.guard(hit, behind);
      this.#mattering[number] = this.#askCallers(reached, diagrams.over(does, without), without);
    }
  }

  /** Packets that a chain does one thing to with a rule and another without it: what that is to the chains that lead to it. */
  #askCallers(changed: ReachedChain, does: Node, without: Node): Mattering {
    const diagrams = this.#diagrams;
    const open: Call[] = [];
    const askCallersOf = ({ chain }: ReachedChain, told: Omit<Call, 'number'>): void => {
      for (const number of this.#callers.get(chain.name)?.slice(0, MOST_CALLS + 1) ?? [])
        if (this.#hits[number] !== NO) open.push({ number, ...told });
    };
    askCallersOf(changed, { does, without, destination: changed.destination });
    let isTold = true;
    let calls = 0;
    for (let call = open.pop(); call !== undefined; call = open.pop()) {
      const { number, destination } = call;
      const caller = this.#reached.get(this.#passed.rules[number]?.chain.name ?? '');
      if (caller === undefined || calls++ === MOST_CALLS) return 'open';
      const both = destination ?? caller.destination;
      if (caller.destination !== undefined && caller.destination !== both) continue;
      if (this.#callsAgain(caller, number, { changed, destination: both })) {
        isTold = false;
        continue;
      }
      const seen = (node: Node, own: Address | undefined): Node =>
        both === undefined || own !== undefined ? node : this.#at(both, node);
      const hit = seen(this.#hits[number] ?? NO, caller.destination);
      const behind = seen(this.#behind[number] ?? NO, caller.destination);
      const inCaller = (node: Node): Node => diagrams.guard(hit, diagrams.returning(seen(node, destination), behind));
      const told = { does: inCaller(call.does), without: inCaller(call.without), destination: both };
      if (diagrams.somewhere(this.#decidedOtherwise, told.does, told.without)) return 'yes';
      if (diagrams.somewhere(this.#differ, told.does, told.without)) askCallersOf(caller, told);
    }
    return isTold ? 'no' : 'open';
  }

  /** Behind this rule a packet may come into the chain again: then what becomes of it there depends on the chain, too. */
  #callsAgain(
    { chain }: ReachedChain,
    number: number,
    { changed, destination }: { readonly changed: ReachedChain; readonly destination: Address | undefined },
  ): boolean {
    const { rule, index = 0 } = this.#passed.rules[number] ?? {};
    const { layout } = this.#passed.space;
    if (rule?.target?.kind === 'goto') return false;
    const leading = this.#leadingTo(changed.chain.name);
    for (let next = index + 1; next < chain.rules.length; next++) {
      const behind = chain.rules[next];
      if (behind === undefined || !leading.has(calledBy(behind) ?? '')) continue;
      if (destination === undefined || (destinationOf(layout.family, behind) ?? destination) === destination)
        return true;
    }
    return false;
  }

  /** The chain itself, and those from which packets come to it. */
  #leadingTo(name: string): ReadonlySet<string> {
    const known = this.#leading.get(name);
    if (known !== undefined) return known;
    const leading = new Set([name]);
    for (const one of leading)
      for (const number of this.#callers.get(one) ?? []) leading.add(this.#passed.rules[number]?.chain.name ?? '');
    this.#leading.set(name, leading);
    return leading;
  }

  /** What a chain makes of every packet: RETURN where its rules let it go on. Only of chains in which nothing is open, nor in those that they call. */
  settledNode(name: string): Node | undefined {
    const reached = this.#reached.get(name);
    return reached === undefined || reached.isOpen ? undefined : this.#returnFalls(reached.span?.node ?? FALL);
  }

  #hasOpen({ chain, first }: ReachedChain): boolean {
    return chain.rules.some(
      (rule, index) =>
        this.#mattering[first + index] === 'open' || this.#reached.get(calledBy(rule) ?? '')?.isOpen === true,
    );
  }

  // --- one destination -----------------------------------------------------------------------------------------------------------------

  /** The destination of a set whose packets all have the same. */
  #onlyDestination(set: Node): Address | undefined {
    const { layout } = this.#passed.space;
    const words: number[] = [];
    let at = set;
    for (const level of layout.wordLevels('daddr')) {
      if (this.#diagrams.levelOf(at) !== level) return undefined;
      let from = 0;
      let only: { readonly word: number; readonly to: Node } | undefined;
      for (const { hi, to } of this.#diagrams.edgesOf(at)) {
        if (to !== NO) {
          if (only !== undefined || hi !== from) return undefined;
          only = { word: hi, to };
        }
        from = hi + 1;
      }
      if (only === undefined) return undefined;
      words.push(only.word);
      at = only.to;
    }
    return addressOfWords(layout.family, words);
  }

  #only(destination: Address, node: Node): Node {
    return this.#passed.space.layout.chooseAddresses('daddr', [rangeOf(destination)], node, NO);
  }

  #at(destination: Address, node: Node): Node {
    return this.#passed.space.layout.restrictAddress(node, 'daddr', destination);
  }

  #inChain({ destination }: ReachedChain, node: Node): Node {
    return destination === undefined ? node : this.#at(destination, node);
  }
}
