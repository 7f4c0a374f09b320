/** All packets of one family and what rulesets make of them: the diagrams of several rulesets over one layout, so that they can be compared. */
import type { Family } from '../address/address.ts';
import type { Host } from '../host/host.ts';
import type { Backend } from '../netfilter/skb.ts';
import type { HookName, Ruleset, TableName } from '../ruleset/rule.ts';
import { TableSpace, type TableContext, type TableOptions } from './chain.ts';
import { Conditions } from './condition.ts';
import type { Node } from './diagram.ts';
import { Effects } from './effect.ts';
import { Layout } from './layout.ts';
import { MadeChains } from './made-chains.ts';
import { Outcomes } from './outcome.ts';
import { RuleBodies } from './rule-bodies.ts';
import { TargetReadings } from './target-reading.ts';
import { alphabetsOf, LOOPBACK, type MoreNames } from './vocabulary.ts';

/** What asks for the flow of a packet, or what conntrack says of it. */
const OF_CONNTRACK: ReadonlySet<string> = new Set(['state', 'conntrack', 'connmark', 'CONNMARK']);

/** Rules of raw ask for it: only of what the host sends to itself has conntrack said anything by then. */
const asksLooped = ({ tables }: Ruleset): boolean =>
  [...(tables.get('raw')?.chains.values() ?? [])].some(({ rules }) =>
    rules.some(
      ({ matches, target }) =>
        OF_CONNTRACK.has(target?.kind ?? '') || matches.some(({ kind }) => OF_CONNTRACK.has(kind)),
    ),
  );

export interface SpaceOptions {
  readonly family: Family;
  readonly backend: Backend;
  /** Absent: any host. */
  readonly host?: Host;
  /** Parts of packets are told apart, too. */
  readonly parts?: boolean;
  readonly more?: MoreNames;
  /** Targets that are not modelled are read every way. */
  readonly eachReading?: boolean;
  /** Most edges of diagrams that are kept. */
  readonly limit?: number;
}

export class Space {
  readonly backend: Backend;
  readonly layout: Layout;
  readonly conditions: Conditions;
  readonly outcomes: Outcomes;
  readonly effects: Effects;
  readonly bodies: RuleBodies;
  readonly chains: MadeChains;
  readonly readings: TargetReadings | undefined;

  /** For these rulesets, whose names it knows, and no others. */
  constructor(
    rulesets: readonly Ruleset[],
    { family, backend, host, parts = false, more, limit, eachReading = false }: SpaceOptions,
  ) {
    this.backend = backend;
    this.bodies = new RuleBodies(family, rulesets);
    this.chains = new MadeChains(this.bodies);
    const named = [...(more?.devices ?? []), ...(rulesets.some(asksLooped) ? [LOOPBACK] : [])];
    const hosts = host === undefined ? [] : [host];
    this.layout = new Layout(family, alphabetsOf(this.bodies.names, hosts, { ...more, devices: named }), limit);
    this.conditions = new Conditions(this.layout, { backend, parts, ...(host === undefined ? {} : { host }) });
    this.outcomes = new Outcomes(limit);
    this.effects = new Effects(this.layout, this.outcomes);
    if (eachReading) this.readings = new TargetReadings(this.layout);
  }

  /** What one table of a ruleset makes of every packet at a hook; `context.next` where there is no such table. Throws SpaceLimitError. */
  table(ruleset: Ruleset, table: TableName, hook: HookName, options: TableOptions, context: TableContext): Node {
    const chains = ruleset.tables.get(table)?.chains;
    if (chains === undefined) return context.next;
    return new TableSpace(this, { table, hook, chains }, options, context).node();
  }
}
