/** A table while its commands are carried out, one after the other, as iptables-restore carries them out. */
import { nearest } from '../diagnostic/nearest.ts';
import { quoteText } from '../diagnostic/quote.ts';
import type { Command, Demand, ReadRule } from './command.ts';
import { readPosition } from './command.ts';
import type { PlainRule } from './plain.ts';
import { ruleOf, type Known } from './known.ts';
import { lineOf } from './lines.ts';
import { printRuleBody } from './print.ts';
import { RuleList } from './rule-list.ts';
import type { Chain, Counters, Rule, Table, TableName } from './rule.ts';
import { BUILT_IN_CHAINS } from './rule.ts';
import type { Token } from './tokens.ts';
import { fail } from './tokens.ts';

export type Policy = 'ACCEPT' | 'DROP';

/** What the checks of the finished table need to know of a rule besides what it says. */
export interface Origin {
  readonly demands: readonly Demand[];
  /** The chain that it jumps to, as the chain itself: it may be renamed later. Without a token the chain's name is the end of the rule's line. */
  readonly jump?: { readonly chain: DraftChain; readonly token?: Token };
}

/** Where the name stands of the chain that a rule jumps to. */
export function jumpToken({ source }: DraftTable, { line, target }: Rule, token: Token | undefined): Token {
  const name = target?.kind === 'jump' || target?.kind === 'goto' ? target.chain : '';
  return token ?? { text: name, column: lineOf(source, line).length - name.length + 1 };
}

/** Verdicts after which the kernel looks at no further rule of the chain when the rule has no match (mark_source_chains). */
const isUnconditionalEnd = ({ matches, target }: Rule): boolean =>
  matches.length === 0 &&
  (target?.kind === 'ACCEPT' ||
    target?.kind === 'DROP' ||
    target?.kind === 'RETURN' ||
    (target?.kind === 'unmodelled' && target.name === 'QUEUE'));

/** What the rules of one table came from; most have nothing to tell, or only where they jump to, which their target tells. */
class Origins {
  private readonly origins = new Map<Rule, Origin>();
  private readonly chains: ReadonlyMap<string, DraftChain>;

  constructor(chains: ReadonlyMap<string, DraftChain>) {
    this.chains = chains;
  }

  of(rule: Rule): Origin | undefined {
    const { target } = rule;
    if (this.origins.size > 0) {
      const known = this.origins.get(rule);
      if (known !== undefined) return known;
    }
    return target?.kind === 'jump' ? this.chains.get(target.chain)?.jumpedTo : undefined;
  }

  set(rule: Rule, origin: Origin): void {
    if (origin.jump !== undefined || origin.demands.length > 0) this.origins.set(rule, origin);
  }
}

const NO_DEMANDS: readonly Demand[] = [];

/** Numbers that stand for texts, so that rules compare as fast as numbers do. */
class Bodies {
  private readonly origins: Origins;
  private readonly numbers = new Map<string, number>();
  private readonly rules = new Map<Rule, number>();
  private readonly chains = new Map<DraftChain, number>();

  constructor(origins: Origins) {
    this.origins = origins;
  }

  /** The same number for two rules that test and do the same. Where a rule jumps to is the chain's number, not its name. */
  of(rule: Rule): number {
    const known = this.rules.get(rule);
    if (known !== undefined) return known;
    const { matches, target } = rule;
    const jump = this.origins.of(rule)?.jump;
    const number = this.numberOf(
      jump === undefined
        ? printRuleBody(rule)
        : `${target?.kind ?? ''} ${this.chainNumber(jump.chain)} ${printRuleBody({ matches })}`,
    );
    this.rules.set(rule, number);
    return number;
  }

  private numberOf(body: string): number {
    const known = this.numbers.get(body);
    if (known !== undefined) return known;
    this.numbers.set(body, this.numbers.size);
    return this.numbers.size - 1;
  }

  private chainNumber(chain: DraftChain): number {
    const known = this.chains.get(chain);
    if (known !== undefined) return known;
    this.chains.set(chain, this.chains.size);
    return this.chains.size - 1;
  }
}

export class DraftChain {
  name: string;
  line: number | undefined;
  policy: Policy | undefined;
  counters: Counters | undefined;
  /** How many rules jump or go here. */
  references = 0;
  /** What there is to tell of a plain rule that jumps here. */
  readonly jumpedTo: Origin = { demands: NO_DEMANDS, jump: { chain: this } };
  readonly rules = new RuleList<Rule>();
  /** How many rules have each body; only kept once a command asks. */
  private counts: Map<number, number> | undefined;
  private readonly origins: Origins;
  private readonly bodies: Bodies;

  constructor(
    { origins, bodies }: { readonly origins: Origins; readonly bodies: Bodies },
    name: string,
    line: number | undefined,
    policy: Policy | undefined,
  ) {
    this.origins = origins;
    this.bodies = bodies;
    this.name = name;
    this.line = line;
    this.policy = policy;
  }

  /** How many rules a packet can come to: those up to the first that ends the chain for every packet. */
  reachable(): number {
    const end = this.rules.findIndex(isUnconditionalEnd);
    return end < 0 ? this.rules.length : end + 1;
  }

  /** Inserts before the rule at `index`, from 0; at the end when there is none. */
  insert(index: number, rule: Rule): void {
    this.rules.insert(index, rule);
    this.count(rule, 1);
  }

  removeAt(index: number): void {
    const removed = this.rules.removeAt(index);
    if (removed !== undefined) this.count(removed, -1);
  }

  flush(): void {
    for (const rule of this.rules) this.count(rule, -1);
    this.rules.clear();
  }

  /** The first rule that tests and does the same, from 0; -1 if there is none. Counters make no difference. */
  findSame(rule: Rule): number {
    if (this.counts === undefined) {
      this.counts = new Map();
      for (const one of this.rules) this.tally(this.counts, one, 1);
    }
    const body = this.bodies.of(rule);
    return (this.counts.get(body) ?? 0) === 0 ? -1 : this.rules.findIndex((one) => this.bodies.of(one) === body);
  }

  private count(rule: Rule, by: 1 | -1): void {
    const { target } = rule;
    if (target?.kind === 'jump' || target?.kind === 'goto') {
      const jump = this.origins.of(rule)?.jump;
      if (jump) jump.chain.references += by;
    }
    if (this.counts !== undefined) this.tally(this.counts, rule, by);
  }

  private tally(counts: Map<number, number>, rule: Rule, by: 1 | -1): void {
    const body = this.bodies.of(rule);
    counts.set(body, (counts.get(body) ?? 0) + by);
  }
}

const BUILT_IN_TARGETS = ['ACCEPT', 'DROP', 'RETURN', 'QUEUE'];

export class DraftTable {
  readonly name: TableName;
  readonly line: number;
  /** What it is read from. */
  readonly source: { readonly text: string };
  /** Absent where only one ruleset is read. */
  readonly known: Known | undefined;
  readonly chains = new Map<string, DraftChain>();
  readonly origins = new Origins(this.chains);
  readonly bodies = new Bodies(this.origins);
  /** Some chain has another name than rules that jump to it were given. */
  private isRenamed = false;

  /** `before` is what an earlier section of the text left: its policies stay, its rules and chains go. */
  constructor(
    name: TableName,
    line: number,
    { source, known, before }: Pick<DraftTable, 'source' | 'known'> & { readonly before: DraftTable | undefined },
  ) {
    this.name = name;
    this.line = line;
    this.source = source;
    this.known = known;
    for (const builtIn of BUILT_IN_CHAINS[name]) {
      this.chains.set(
        builtIn,
        new DraftChain(this, builtIn, undefined, before?.chains.get(builtIn)?.policy ?? 'ACCEPT'),
      );
    }
  }

  /** `:CHAIN POLICY [packets:bytes]`. */
  declare(name: Token, policy: Token, counters: Counters | undefined, line: number): void {
    const builtIn = this.isBuiltIn(name.text);
    const existing = this.chains.get(name.text);
    if (!builtIn) this.add(name, line);
    else if (existing !== undefined) existing.line ??= line;
    const chain = this.chains.get(name.text);
    if (chain !== undefined && counters !== undefined) chain.counters = counters;
    if (policy.text !== '-') this.setPolicy(name, policy);
  }

  private isBuiltIn(name: string): boolean {
    return (BUILT_IN_CHAINS[this.name] as readonly string[]).includes(name);
  }

  private add(name: Token, line: number | undefined): void {
    if (name.text === '') fail(name, 'a chain without a name');
    if (name.text.length > 28) {
      fail(name, `the chain name ${quoteText(name.text)} is too long: expected at most 28 characters`);
    }
    if (BUILT_IN_TARGETS.includes(name.text)) fail(name, `${name.text} is a target: no chain can have its name`);
    const existing = this.chains.get(name.text);
    if (existing !== undefined) {
      const where = existing.line === undefined ? '' : `, declared in line ${existing.line}`;
      fail(name, `table ${this.name} already has a chain ${quoteText(name.text)}${where}`);
    }
    this.chains.set(name.text, new DraftChain(this, name.text, line, undefined));
  }

  private setPolicy(name: Token, policy: Token): void {
    const chain = this.find(name);
    if (!this.isBuiltIn(name.text)) {
      fail(policy, `${quoteText(name.text)} is no built-in chain of table ${this.name} and has no policy: expected -`);
    }
    if (policy.text !== 'ACCEPT' && policy.text !== 'DROP') {
      fail(policy, `${quoteText(policy.text)} is no policy: expected ACCEPT or DROP`);
    }
    chain.policy = policy.text;
  }

  private find(name: Token): DraftChain {
    const chain = this.chains.get(name.text);
    if (chain !== undefined) return chain;
    const near = nearest(name.text, this.chains.size > 1000 ? [] : this.chains.keys());
    fail(
      name,
      `table ${this.name} has no chain ${quoteText(name.text)} by now` +
        (near === undefined ? `: expected a line :${name.text} before this one` : `: did you mean ${near}?`),
    );
  }

  private draft(read: ReadRule, line: number): Rule[] {
    const jump = read.jump && { chain: this.find(read.jump), token: read.jump };
    return read.bodies.map((matches) => {
      const rule: Rule = {
        line,
        ...(read.counters && { counters: read.counters }),
        matches,
        ...(read.target && { target: read.target }),
      };
      this.origins.set(rule, { demands: read.demands, ...(jump && { jump }) });
      return rule;
    });
  }

  /** Appends a plain rule; false, with nothing done, where it jumps to a chain that is not there or not the user's. */
  append(chain: DraftChain, read: PlainRule, line: number, counters: Counters | undefined): boolean {
    const { jump } = read;
    const called = jump === undefined ? undefined : this.chains.get(jump);
    if (jump !== undefined && (called === undefined || this.isBuiltIn(jump))) return false;
    const rule =
      counters === undefined
        ? (this.known?.rule(read, line) ?? ruleOf(read, line))
        : { ...ruleOf(read, line), counters };
    if (called !== undefined && this.isRenamed) this.origins.set(rule, called.jumpedTo);
    chain.insert(chain.rules.length, rule);
    return true;
  }

  /** Carries out one command. Throws a Fault when iptables would refuse it. */
  execute(command: Command, line: number): void {
    switch (command.kind) {
      case 'append': {
        const chain = this.find(command.chain);
        for (const rule of this.draft(command.rule, line)) chain.insert(chain.rules.length, rule);
        return;
      }
      case 'insert': {
        const chain = this.find(command.chain);
        const index = readPosition(command.position, chain.rules.length + 1) - 1;
        for (const rule of this.draft(command.rule, line)) chain.insert(index, rule);
        return;
      }
      case 'replace': {
        const chain = this.find(command.chain);
        const index = readPosition(command.position, chain.rules.length) - 1;
        const [rule, second] = this.draft(command.rule, line);
        if (rule === undefined || second !== undefined) {
          fail(command.position, 'a replacement with several addresses: expected one rule');
        }
        chain.removeAt(index);
        chain.insert(index, rule);
        return;
      }
      case 'delete':
      case 'check': {
        const chain = this.find(command.chain);
        for (const rule of this.draft(command.rule, line)) {
          const index = chain.findSame(rule);
          if (index < 0) {
            fail(command.chain, `chain ${quoteText(chain.name)} has no such rule: ${quoteText(printRuleBody(rule))}`);
          }
          if (command.kind === 'delete') chain.removeAt(index);
        }
        return;
      }
      case 'delete-numbered': {
        const chain = this.find(command.chain);
        chain.removeAt(readPosition(command.position, chain.rules.length) - 1);
        return;
      }
      case 'flush':
        for (const chain of command.chain ? [this.find(command.chain)] : this.chains.values()) chain.flush();
        return;
      case 'zero':
        this.zero(command.chain, command.position);
        return;
      case 'new-chain':
        this.add(command.chain, undefined);
        return;
      case 'delete-chain':
        this.deleteChains(command.chain);
        return;
      case 'rename-chain':
        this.rename(command.chain, command.name);
        return;
      case 'policy': {
        if (this.name === 'nat' && command.policy.text === 'DROP') {
          fail(command.policy, 'DROP cannot be used in table nat: filter in table filter');
        }
        this.setPolicy(command.chain, command.policy);
        const chain = this.find(command.chain);
        chain.counters = command.counters;
        return;
      }
      case 'none':
        return;
    }
  }

  private zero(name: Token | undefined, position: Token | undefined): void {
    if (name === undefined) {
      for (const chain of this.chains.values()) chain.counters = undefined;
      return;
    }
    const chain = this.find(name);
    if (position === undefined) chain.counters = undefined;
    else readPosition(position, chain.rules.length);
  }

  private deleteChains(name: Token | undefined): void {
    if (name !== undefined) {
      const chain = this.find(name);
      if (this.isBuiltIn(name.text)) fail(name, `${name.text} is a built-in chain: it cannot be deleted`);
      if (chain.rules.length > 0) fail(name, `chain ${quoteText(name.text)} still has rules: it cannot be deleted`);
      if (chain.references > 0) fail(name, `rules still jump to chain ${quoteText(name.text)}: it cannot be deleted`);
      this.chains.delete(name.text);
      return;
    }
    for (const chain of [...this.chains.values()]) {
      if (!this.isBuiltIn(chain.name) && chain.rules.length === 0 && chain.references === 0)
        this.chains.delete(chain.name);
    }
  }

  private rename(old: Token, name: Token): void {
    const chain = this.find(old);
    if (this.isBuiltIn(old.text)) fail(old, `${old.text} is a built-in chain: it cannot be renamed`);
    this.add(name, undefined);
    if (!this.isRenamed) this.keepJumps();
    this.chains.delete(old.text);
    chain.name = name.text;
    this.chains.set(name.text, chain);
    this.isRenamed = true;
  }

  /** From here on a name may be that of another chain than it was. */
  private keepJumps(): void {
    for (const chain of this.chains.values())
      for (const rule of chain.rules) {
        const origin = this.origins.of(rule);
        if (origin !== undefined) this.origins.set(rule, origin);
      }
  }

  /** The table as its readers see it: declared chains first, in the order of declaration. */
  finish(): Table {
    const declared = [...this.chains.values()].filter((chain) => chain.line !== undefined);
    declared.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
    const others = [...this.chains.values()].filter((chain) => chain.line === undefined);
    const chains = new Map<string, Chain>();
    for (const chain of [...declared, ...others]) chains.set(chain.name, this.finishChain(chain));
    return { name: this.name, line: this.line, chains };
  }

  private finishChain(chain: DraftChain): Chain {
    const rules = chain.rules.toArray();
    const finished: Chain = {
      name: chain.name,
      ...(chain.line === undefined ? {} : { line: chain.line }),
      ...(chain.policy && { policy: chain.policy }),
      ...(chain.counters && { counters: chain.counters }),
      rules: this.isRenamed ? rules.map((rule) => finishRule(rule, this.origins)) : rules,
    };
    return this.known?.chain(this.name, finished) ?? finished;
  }
}

/** Gives a jump the name that its chain has in the end. */
function finishRule(rule: Rule, origins: Origins): Rule {
  const { target } = rule;
  if (target?.kind !== 'jump' && target?.kind !== 'goto') return rule;
  const chain = origins.of(rule)?.jump?.chain.name ?? target.chain;
  return chain === target.chain ? rule : { ...rule, target: { kind: target.kind, chain } };
}
