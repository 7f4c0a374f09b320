/** Which tables the packets of a proof met on their ways: to tell, without another proof, that a change of the rules does not matter to it. */
import type { Host } from '../host/host.ts';
import type { HookName, Ruleset, TableName } from '../ruleset/rule.ts';
import type { Cell } from './cell.ts';
import type { Node } from './diagram.ts';
import type { Ground, Meeting } from './ground.ts';
import { HostPath } from './host-path.ts';
import type { RulesChange } from './rules-change.ts';

export class Meetings {
  readonly #cells = new Map<string, Cell[]>();

  add({ host, table, hook, cell }: Meeting): void {
    const place = placeOf(host, table, hook);
    const known = this.#cells.get(place);
    if (known === undefined) this.#cells.set(place, [cell]);
    else known.push(cell);
  }

  at(host: Host, table: TableName, hook: HookName): readonly Cell[] {
    return this.#cells.get(placeOf(host, table, hook)) ?? [];
  }
}

const placeOf = (host: Host, table: TableName, hook: HookName): string => `${host.name} ${table} ${hook}`;

/** A change of the rules of one host. */
export class ChangeToMeet {
  readonly #ground: Ground;
  readonly #host: Host;
  readonly #path: HostPath;
  readonly #change: RulesChange;
  /** By table and hook, the packets of the change for cells of which as much is known. */
  readonly #known = new Map<string, Map<string, Node>>();

  /** `ruleset`: the rules before the change. */
  constructor(ground: Ground, host: Host, ruleset: Ruleset, change: RulesChange) {
    this.#ground = ground;
    this.#host = host;
    this.#path = new HostPath(ground.host(host, ruleset));
    this.#change = change;
  }

  /** Of packets that were followed those, as they were sent, of which some table made something else; undefined: of which that cannot be told. */
  met(meetings: Meetings): Node | undefined {
    if (this.#change.kind === 'all') return undefined;
    const { diagrams } = this.#ground.layout;
    return diagrams.orAll(
      this.#change.tables.flatMap(({ table, hook, packets }) => {
        const known = this.#knownAt(table, hook);
        return meetings.at(this.#host, table, hook).map((cell) => this.#path.meeting(cell, packets, known));
      }),
    );
  }

  #knownAt(table: TableName, hook: HookName): Map<string, Node> {
    const place = `${table} ${hook}`;
    const known = this.#known.get(place) ?? new Map<string, Node>();
    this.#known.set(place, known);
    return known;
  }
}
