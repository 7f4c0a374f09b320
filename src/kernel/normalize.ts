/**
 * From the kernel's raw trace to the model's own form: a step for each rule that matched and each policy that decided, of the packet that was sent
 * and, apart, of each packet that the host made because of it. Pure.
 *
 * What the raw trace is not: the word of a legacy line is not what it says (an unconditional ACCEPT in a built-in chain is called `policy`), so only
 * table, chain and number count, and a number beyond the last rule is the policy or the end of the chain; nf_tables reports a rule after its
 * expressions have run, so a REJECT's own packet comes before the rule that made it.
 */
import { labelOf } from '../netfilter/compile.ts';
import type { Step } from '../netfilter/journey.ts';
import { decodePacket } from '../packet/wire.ts';
import { BUILT_IN_CHAINS, type HookName, type Ruleset, type TableName } from '../ruleset/rule.ts';
import type { LegacyEvent, NftEvent, TraceEvent } from './protocol.ts';

/** A step as the kernel tells it. The packet is the one that met the rule, before its target; nf_tables tells it once a chain. */
export type ObservedStep = Omit<Step, 'packet'> & { readonly packet?: Step['packet'] };

export interface ObservedTrace {
  readonly steps: readonly ObservedStep[];
  /** What happened to packets that the host itself made: resets, icmp errors. */
  readonly consequences: readonly (readonly ObservedStep[])[];
}

/** What the rules of one host are, by family: the trace names them by number. */
export type Rulesets = readonly Ruleset[];

/**
 * The trace of one step. `local`: the packet was sent by the host itself, so the first OUTPUT is its own.
 */
export function normalizeTrace(events: readonly TraceEvent[], rulesets: Rulesets, local: boolean): ObservedTrace {
  const legacy = events.filter((event) => event.kind === 'legacy');
  const steps =
    legacy.length > 0
      ? legacy.flatMap((event) => legacyStep(event, rulesets))
      : nftSteps(
          events.filter((event) => event.kind === 'nft'),
          rulesets,
          local,
        );
  return splitConsequences(steps, local);
}

const HOOKS: readonly HookName[] = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'];

const isTable = (name: string): name is TableName => name in BUILT_IN_CHAINS;

const familyOfPacket = (hex: string | undefined): 4 | 6 => (hex?.startsWith('6') === true ? 6 : 4);

function chainOf(rulesets: Rulesets, family: 4 | 6, table: TableName, name: string) {
  return rulesets
    .find((ruleset) => ruleset.family === family)
    ?.tables.get(table)
    ?.chains.get(name);
}

/** What a step says beyond its place: the rule's line and target, or the policy. */
function described(rulesets: Rulesets, family: 4 | 6, table: TableName, name: string, place: number) {
  const chain = chainOf(rulesets, family, table, name);
  const rule = chain?.rules[place - 1];
  if (rule !== undefined) return { rule: place, line: rule.line, target: labelOf(rule.target) };
  return { rule: 'policy' as const, target: chain?.policy ?? 'ACCEPT' };
}

const isBuiltIn = (table: TableName, chain: string): boolean =>
  (BUILT_IN_CHAINS[table] as readonly string[]).includes(chain);

/** nf_tables tells the IPv6 header and what is behind the extension headers, but not those: of a fragment nothing can be read. */
const isFragment6 = (network: string): boolean => network.startsWith('6') && network.slice(12, 14) === '2c';

/** One packet passes many rules: a trace says the same octets again and again. */
let latest: { readonly hex: string; readonly mark: number; readonly packet: Step['packet'] } | undefined;

function decoded(hex: string | undefined, mark: number): { readonly packet?: Step['packet'] } {
  if (hex === undefined) return {};
  if (latest?.hex === hex && latest.mark === mark) return { packet: latest.packet };
  const packet = decodePacket(Buffer.from(hex, 'hex'));
  if ('reason' in packet) return {};
  latest = { hex, mark, packet: { ...packet, mark } };
  return { packet: latest.packet };
}

function legacyStep(event: LegacyEvent, rulesets: Rulesets): ObservedStep[] {
  const [table = '', chain = '', , number = ''] = event.prefix.split(':');
  const hook = HOOKS[event.hook];
  if (!isTable(table) || hook === undefined) throw new Error(`a trace line that nobody knows: ${event.prefix}`);
  const step = described(rulesets, familyOfPacket(event.packet), table, chain, Number(number));
  // The end of a user's chain decides nothing: its caller goes on.
  if (step.rule === 'policy' && !isBuiltIn(table, chain)) return [];
  const { iif, oif, physin, physout } = event;
  return [
    {
      hook,
      table,
      chain,
      ...step,
      ...(iif === undefined ? {} : { iif }),
      ...(oif === undefined ? {} : { oif }),
      ...(physin === undefined ? {} : { physin }),
      ...(physout === undefined ? {} : { physout }),
      ...decoded(event.packet, event.mark),
    },
  ];
}

/** One run of a packet through one base chain: what its first event tells of devices and packet holds for all. */
interface BaseRun {
  readonly hook: HookName;
  readonly iif?: string;
  readonly oif?: string;
}

function nftSteps(events: readonly NftEvent[], rulesets: Rulesets, local: boolean): ObservedStep[] {
  const told: Told[] = [];
  const runs = new Map<string, BaseRun>();
  for (const event of events) {
    const { table, chain, iif, oif, family, id } = event;
    if (!isTable(table)) throw new Error(`an event of a table that nobody knows: ${table}`);
    const key = `${id} ${table}`;
    const hook = HOOKS.find((name) => name === chain);
    // The first event of a base chain describes the packet: its devices at least, for some have no network header to show.
    if (hook !== undefined && (event.network !== undefined || iif !== undefined || oif !== undefined)) {
      runs.set(key, { hook, ...(iif === undefined ? {} : { iif }), ...(oif === undefined ? {} : { oif }) });
    }
    const run = runs.get(key);
    if (run === undefined) throw new Error(`an event of a chain that no base chain called: ${table} ${chain}`);
    const isPolicy = event.type === 'policy';
    // An event without a rule is the end of a chain.
    if (!isPolicy && event.rule === undefined) continue;
    const version = family === 10 ? 6 : 4;
    const step: ObservedStep = {
      table,
      chain,
      ...run,
      ...described(rulesets, version, table, chain, isPolicy ? Infinity : (event.rule ?? 0)),
      ...decoded(headersOf(event), event.mark),
    };
    if (step.target === 'REJECT') insertBeforeItsAnswer(told, { step, id }, local);
    else told.push({ step, id });
  }
  return told.map(({ step }) => step);
}

const headersOf = ({ network, transport = '' }: NftEvent): string | undefined =>
  network === undefined || isFragment6(network) ? undefined : network + transport;

/** A step with the number of the packet that it is told of. */
interface Told {
  readonly step: ObservedStep;
  readonly id: number;
}

/**
 * nf_tables tells of a REJECT when the packet that it sends is already through OUTPUT and POSTROUTING: the step belongs before those. Where nothing was
 * sent it stays.
 */
function insertBeforeItsAnswer(told: Told[], rejecting: Told, local: boolean): void {
  // mangle has told of the same packet just before. What it sends may be refused in turn, and be told of with the answer to that.
  const own = told.findLastIndex(({ id }) => id === rejecting.id);
  const starts = told.flatMap(({ step }, at) => (isStart(step, told[at - 1]?.step) ? [at] : []));
  const start = own < 0 ? (starts.length > (local ? 1 : 0) ? starts.at(-1) : undefined) : starts.find((at) => at > own);
  const answered = start !== undefined && told.slice(start).every(({ step }) => follows(step));
  told.splice(answered ? start : told.length, 0, rejecting);
}

/** raw is the first table of OUTPUT, and always tells its policy at least. */
const isStart = (step: ObservedStep, before: ObservedStep | undefined): boolean =>
  step.hook === 'OUTPUT' && step.table === 'raw' && !(before?.hook === 'OUTPUT' && before.table === 'raw');

/** What can come after OUTPUT on one packet's way: out, or round by loopback. */
const follows = (step: ObservedStep): boolean =>
  step.hook === 'OUTPUT' ||
  (step.hook === 'POSTROUTING' && (step.iif === undefined || step.iif === 'lo')) ||
  ((step.hook === 'PREROUTING' || step.hook === 'INPUT') && step.iif === 'lo');

/** What one packet met, as far as it has been told. */
interface Way {
  readonly steps: ObservedStep[];
  /** It has come round: by `lo`, or by the device by which it went to everybody. */
  loop?: string | undefined;
}

function splitConsequences(steps: readonly ObservedStep[], local: boolean): ObservedTrace {
  const main: Way = { steps: [] };
  const consequences: Way[] = [];
  let current = main;
  steps.forEach((step, at) => {
    const before = steps[at - 1];
    if (isStart(step, before) && !(local && at === 0)) {
      current = { steps: [] };
      consequences.push(current);
    } else if (at > 0 && isReturn(step, before)) {
      // What comes back by the device that it went out by does so in the order in which it went, but only when all that was under way is done.
      current = [main, ...consequences].find((way) => comesBackBy(way, step.iif)) ?? current;
      current.loop = step.iif;
    } else if (!follows(step) && !(current.loop !== undefined && isArriving(step, current.loop))) current = main;
    current.steps.push(step);
  });
  return { steps: main.steps, consequences: consequences.map((way) => way.steps) };
}

function comesBackBy({ steps, loop }: Way, iif: string | undefined): boolean {
  const last = steps.at(-1);
  return loop === undefined && last?.hook === 'POSTROUTING' && last.oif === iif;
}

const isArriving = (step: ObservedStep, iif: string): boolean =>
  (step.hook === 'PREROUTING' || step.hook === 'INPUT') && step.iif === iif;

/** A packet arrives: raw is the first table of PREROUTING, too. What was sent arrives only at the very beginning; the rest comes back. */
const isReturn = (step: ObservedStep, before: ObservedStep | undefined): boolean =>
  step.hook === 'PREROUTING' && step.table === 'raw' && !(before?.hook === 'PREROUTING' && before.table === 'raw');
