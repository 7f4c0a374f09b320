/**
 * What rules say, by number. Of a large ruleset most rules say what others say, and those share what they were read into (ruleset/plain.ts): what has been made of one is found for
 * the others by a number, without looking at any of them. Each rule is looked at once.
 */
import type { Family } from '../address/address.ts';
import { compileTarget, type Action } from '../netfilter/compile.ts';
import type { Chain, Match, Rule, Ruleset, Target } from '../ruleset/rule.ts';
import { destinationOf } from './dispatch.ts';
import { addNames, type RuleNames } from './vocabulary.ts';

/** Actions that change a packet and let it go on. */
export const CHANGES: ReadonlySet<Action['kind']> = new Set(['mark', 'connmark', 'ttl', 'untrack']);

/** No chain has this number. */
export const NO_CHAIN = -1;
/** No rule says what has this number. */
const NO_BODY = -1;

/** What a rule does, as far as those that come to its chain need to know: bits. */
export const CHANGES_PACKETS = 1;
export const CONTINUES = 2;
export const TRANSLATES = 4;
/** It leaves its chain. */
export const RETURNS = 8;
/** It is for one destination, and asks for nothing else. */
export const IS_FOR_ONE = 16;

const ACCEPTS = compileTarget({ kind: 'ACCEPT' });
const DROPS = compileTarget({ kind: 'DROP' });

function bitsOf({ kind }: Action): number {
  if (kind === 'continue') return CONTINUES;
  if (kind === 'nat') return TRANSLATES;
  if (kind === 'return' || kind === 'goto') return RETURNS;
  return CHANGES.has(kind) ? CHANGES_PACKETS : 0;
}

export class RuleBodies {
  readonly #family: Family;
  readonly #devices = new Set<string>();
  readonly #macs = new Set<string>();
  readonly #actions = new Map<Target | undefined, Action>();
  /** A chain's name has the same number in every table: so it is found again in another ruleset. */
  readonly #chains = new Map<string, number>();
  /** By the matches: the first body that has them. */
  readonly #bodies = new Map<readonly Match[], number>();
  /** By body: its matches, its target, what it does, the chain that it leads to, and the next that has the same matches. */
  readonly #matchesOf: (readonly Match[])[] = [];
  readonly #targetOf: (Target | undefined)[] = [];
  readonly #bitsOf: number[] = [];
  readonly #calledBy: number[] = [];
  readonly #next: number[] = [];
  /** A version of a table that nobody asks for any more need not be kept. */
  readonly #tables = new WeakMap<ReadonlyMap<string, Chain>, Int32Array>();

  /** `rulesets`: whose names are to be known. Others are added as they are asked for. */
  constructor(family: Family, rulesets: readonly Ruleset[] = []) {
    this.#family = family;
    for (const { tables } of rulesets) for (const { chains } of tables.values()) this.of(chains);
  }

  /** What has been named so far. */
  get names(): RuleNames {
    return { devices: this.#devices, macs: this.#macs };
  }

  /** All bodies have smaller numbers. */
  get size(): number {
    return this.#next.length;
  }

  /** The bodies of all rules of a table, chain by chain. */
  of(chains: ReadonlyMap<string, Chain>): Int32Array {
    const known = this.#tables.get(chains);
    if (known !== undefined) return known;
    let count = 0;
    for (const { rules } of chains.values()) count += rules.length;
    const bodies = new Int32Array(count);
    let at = 0;
    for (const { rules } of chains.values()) for (const rule of rules) bodies[at++] = this.#bodyOf(rule);
    this.#tables.set(chains, bodies);
    return bodies;
  }

  #bodyOf(rule: Rule): number {
    const { matches, target } = rule;
    const first = this.#bodies.get(matches) ?? NO_BODY;
    let last = NO_BODY;
    for (let body = first; body !== NO_BODY; body = this.#next[body] ?? NO_BODY) {
      if (this.#targetOf[body] === target) return body;
      last = body;
    }
    const body = this.#added(rule);
    if (last === NO_BODY) this.#bodies.set(matches, body);
    else this.#next[last] = body;
    return body;
  }

  #added(rule: Rule): number {
    const { matches, target } = rule;
    for (const match of matches) addNames(match, this.#devices, this.#macs);
    const action = this.actionOf(target);
    this.#matchesOf.push(matches);
    this.#targetOf.push(target);
    this.#calledBy.push(action.kind === 'jump' || action.kind === 'goto' ? this.numbered(action.chain) : NO_CHAIN);
    this.#bitsOf.push(bitsOf(action) | (destinationOf(this.#family, rule) === undefined ? 0 : IS_FOR_ONE));
    return this.#next.push(NO_BODY) - 1;
  }

  /** What a target is. */
  actionOf(target: Target | undefined): Action {
    switch (target?.kind) {
      // There are many of these, and there is nothing to look up.
      case 'ACCEPT':
        return ACCEPTS;
      case 'DROP':
        return DROPS;
      case 'jump':
      case 'goto':
        return target;
      case 'DNAT':
      case 'SNAT':
        return { kind: 'nat', target };
      default:
        return this.#compiled(target);
    }
  }

  #compiled(target: Target | undefined): Action {
    let action = this.#actions.get(target);
    if (action === undefined) {
      action = compileTarget(target);
      this.#actions.set(target, action);
    }
    return action;
  }

  /** What the rules of this body say. */
  saidBy(body: number): Pick<Rule, 'matches' | 'target'> {
    const target = this.#targetOf[body];
    return { matches: this.#matchesOf[body] ?? [], ...(target === undefined ? {} : { target }) };
  }

  /** The bits of what the rule does. */
  bitsOf(body: number): number {
    return this.#bitsOf[body] ?? 0;
  }

  /** The chain that it jumps or goes to, or NO_CHAIN. */
  calledBy(body: number): number {
    return this.#calledBy[body] ?? NO_CHAIN;
  }

  /** A chain's number, which it is given where it has none. */
  numbered(chain: string): number {
    const known = this.#chains.get(chain);
    if (known !== undefined) return known;
    this.#chains.set(chain, this.#chains.size);
    return this.#chains.size - 1;
  }

  /** NO_CHAIN for a name that nobody has given or called. */
  numberOf(chain: string): number {
    return this.#chains.get(chain) ?? NO_CHAIN;
  }

  /** All numbers of chains are below. */
  get chains(): number {
    return this.#chains.size;
  }
}
