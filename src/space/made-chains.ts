/** What a space remembers from table to table: a chain that stands in two rulesets, or is met at two hooks, is made once. */
import type { Chain, Rule, TableName } from '../ruleset/rule.ts';
import { CallGraph } from './call-graph.ts';
import type { Node } from './diagram.ts';
import type { RuleBodies } from './rule-bodies.ts';
import { areSameRules } from './rule-names.ts';

/** Of what has not been made. No node is so small. */
const UNMADE = -0x80000000;

/** Where a chain was made, of what, and what came of it. There are as many as chains. */
interface Made {
  readonly table: TableName;
  readonly rules: readonly Rule[];
  /** What the rules' jumps and gotos lead to, in order. */
  readonly called: readonly Node[];
  /** What stands for a packet that is accepted. */
  readonly accepted: Node;
  readonly node: Node;
  /** Made of a chain of the same name before. */
  readonly before: Made | undefined;
}

export type Making = Pick<Made, 'table' | 'rules' | 'called' | 'accepted'>;

/** Nodes by the numbers of chains, or of what rules say, as many as there are now. */
export class NodesByNumber {
  readonly #nodes: Int32Array;

  constructor(size: number) {
    this.#nodes = new Int32Array(size).fill(UNMADE);
  }

  get(number: number): Node | undefined {
    const node = this.#nodes[number];
    return node === UNMADE ? undefined : node;
  }

  /** Of all of these; undefined where one has not been made. */
  getAll(numbers: readonly number[]): readonly Node[] | undefined {
    const nodes = numbers.map((number) => this.#nodes[number] ?? UNMADE);
    return nodes.includes(UNMADE) ? undefined : nodes;
  }

  has(number: number): boolean {
    return this.get(number) !== undefined;
  }

  set(number: number, node: Node): void {
    this.#nodes[number] = node;
  }
}

/** The chains of one table that are the same to whoever comes to them, with all that they call. */
interface Settled {
  readonly accepted: Node;
  readonly nodes: NodesByNumber;
}

export class MadeChains {
  readonly bodies: RuleBodies;
  /** A version of a table that nobody asks for any more need not be kept. */
  readonly #graphs = new WeakMap<ReadonlyMap<string, Chain>, CallGraph>();
  /** By the chain's number: the last. */
  readonly #made: (Made | undefined)[] = [];
  readonly #settled = new WeakMap<CallGraph, Settled[]>();

  constructor(bodies: RuleBodies) {
    this.bodies = bodies;
  }

  graphOf(chains: ReadonlyMap<string, Chain>): CallGraph {
    let graph = this.#graphs.get(chains);
    if (graph === undefined) {
      graph = new CallGraph(chains, this.bodies);
      this.#graphs.set(chains, graph);
    }
    return graph;
  }

  /** Those of a table's chains that have been made and need not be looked at again, at whichever hook. */
  settledOf(graph: CallGraph, accepted: Node): NodesByNumber {
    const list = this.#settled.get(graph) ?? [];
    this.#settled.set(graph, list);
    const known = list.find((one) => one.accepted === accepted);
    if (known !== undefined) return known.nodes;
    const nodes = new NodesByNumber(graph.size);
    list.push({ accepted, nodes });
    return nodes;
  }

  find(chain: number, making: Making): Node | undefined {
    for (let made = this.#made[chain]; made !== undefined; made = made.before)
      if (isSameMaking(made, making)) return made.node;
    return undefined;
  }

  add(chain: number, { table, rules, called, accepted }: Making, node: Node): void {
    while (this.#made.length <= chain) this.#made.push(undefined);
    this.#made[chain] = { table, rules, called, accepted, node, before: this.#made[chain] };
  }
}

function isSameMaking(one: Making, other: Making): boolean {
  if (one.table !== other.table || one.accepted !== other.accepted || one.called.length !== other.called.length)
    return false;
  for (let index = 0; index < one.called.length; index++) if (one.called[index] !== other.called[index]) return false;
  return areSameRules(one.rules, other.rules);
}
