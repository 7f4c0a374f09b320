/** What a space remembers from table to table: a chain that stands in two rulesets, or is met at two hooks, is made once. */
import { compileTarget, type Action } from '../netfilter/compile.ts';
import type { Chain, Rule, TableName, Target } from '../ruleset/rule.ts';
import { CallGraph } from './call-graph.ts';
import type { Node } from './diagram.ts';
import { areSameRules } from './rule-names.ts';

/** Of a chain that has not been made. No node is so small. */
const UNMADE = -0x80000000;

const ACCEPTS = compileTarget({ kind: 'ACCEPT' });
const DROPS = compileTarget({ kind: 'DROP' });

/** Where a chain was made, and of what. */
export interface Making {
  readonly table: TableName;
  readonly rules: readonly Rule[];
  /** What the rules' jumps and gotos lead to, in order. */
  readonly called: readonly Node[];
  /** What stands for a packet that is accepted. */
  readonly accepted: Node;
}

interface Made {
  readonly making: Making;
  readonly node: Node;
  /** Made of a chain of the same name before. */
  readonly before: Made | undefined;
}

/** Nodes by the numbers of chains, as many as there are now. */
export class NodesByChain {
  readonly #nodes: Int32Array;

  constructor(chains: number) {
    this.#nodes = new Int32Array(chains).fill(UNMADE);
  }

  get(chain: number): Node | undefined {
    const node = this.#nodes[chain];
    return node === UNMADE ? undefined : node;
  }

  /** Of all of these; undefined where one has not been made. */
  getAll(chains: readonly number[]): readonly Node[] | undefined {
    const nodes: Node[] = [];
    for (const chain of chains) {
      const node = this.get(chain);
      if (node === undefined) return undefined;
      nodes.push(node);
    }
    return nodes;
  }

  has(chain: number): boolean {
    return this.get(chain) !== undefined;
  }

  set(chain: number, node: Node): void {
    this.#nodes[chain] = node;
  }
}

/** The chains of one table that are the same to whoever comes to them, with all that they call. */
interface Settled {
  readonly accepted: Node;
  readonly nodes: NodesByChain;
}

export class MadeChains {
  readonly #actions = new Map<Target | undefined, Action>();
  readonly #numbers = new Map<string, number>();
  /** A version of a table that nobody asks for any more need not be kept. */
  readonly #graphs = new WeakMap<ReadonlyMap<string, Chain>, CallGraph>();
  /** By the chain's number: the last. */
  readonly #made: (Made | undefined)[] = [];
  readonly #settled = new WeakMap<CallGraph, Settled[]>();

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

  graphOf(chains: ReadonlyMap<string, Chain>): CallGraph {
    let graph = this.#graphs.get(chains);
    if (graph === undefined) {
      graph = new CallGraph(chains, this.#numbers, (target) => this.actionOf(target));
      this.#graphs.set(chains, graph);
    }
    return graph;
  }

  /** Those of a table's chains that have been made and need not be looked at again, at whichever hook. */
  settledOf(graph: CallGraph, accepted: Node): NodesByChain {
    const list = this.#settled.get(graph) ?? [];
    this.#settled.set(graph, list);
    const known = list.find((one) => one.accepted === accepted);
    if (known !== undefined) return known.nodes;
    const nodes = new NodesByChain(graph.size);
    list.push({ accepted, nodes });
    return nodes;
  }

  find(chain: number, making: Making): Node | undefined {
    for (let made = this.#made[chain]; made !== undefined; made = made.before)
      if (isSameMaking(made.making, making)) return made.node;
    return undefined;
  }

  add(chain: number, making: Making, node: Node): void {
    while (this.#made.length <= chain) this.#made.push(undefined);
    this.#made[chain] = { making, node, before: this.#made[chain] };
  }
}

function isSameMaking(one: Making, other: Making): boolean {
  if (one.table !== other.table || one.accepted !== other.accepted || one.called.length !== other.called.length)
    return false;
  for (let index = 0; index < one.called.length; index++) if (one.called[index] !== other.called[index]) return false;
  return areSameRules(one.rules, other.rules);
}
