/** What became of somebody's own claims, as text and as JSON. */
import { printArrival } from '../packet/notation.ts';
import type { WrittenClaim } from '../packet/claims.ts';
import type { ReplayedStep, Replayed } from '../space/replay.ts';
import type { JudgedOnHost, WayBreach } from '../space/host-claim.ts';
import type { Breach, ClaimResult, JudgedAtTables } from '../space/table-claim.ts';
import { replayDocument, fateWords, locationOf, printWitness, whereOf } from './diff.ts';
import { fateDocument, journeyDocument, printJourney } from './trace.ts';
import type { Paint } from './paint.ts';
import { printable } from './printable.ts';

export type Judged =
  | { readonly kind: 'tables'; readonly judged: JudgedAtTables }
  | { readonly kind: 'host'; readonly judged: JudgedOnHost };

export interface ExpectSubject {
  /** Of the claims. */
  readonly path: string;
  readonly rulesetPath: string;
  /** Absent: any host. */
  readonly host?: string;
  readonly claims: readonly Judged[];
  /** A line of the ruleset, as written. */
  readonly textAt: (line: number) => string;
}

const MOST_BOXES = 8;

const WORDS: Readonly<Record<ClaimResult, string>> = {
  proved: 'ok',
  broken: 'FAIL',
  undecided: 'undecided',
  vacuous: 'vacuous',
};

const colourOf = (result: ClaimResult, paint: Paint): ((text: string) => string) =>
  ({ proved: paint.good, broken: paint.bad, undecided: paint.doubtful, vacuous: paint.doubtful })[result];

export function printExpect(subject: ExpectSubject, paint: Paint): string {
  const { path, rulesetPath, host } = subject;
  const lines = [
    paint.bold(`${printable(rulesetPath)}, as ${printable(path)} claims`),
    host === undefined
      ? 'any host: a claim has to hold at each hook that such a packet can meet, in the table filter; no deployment or host file was given'
      : `${printable(host)}: the whole way through the host; packets open a flow unless a state is written, and have a ttl to be sent on`,
    '',
  ];
  for (const { kind, judged } of subject.claims) {
    const { claim, result } = judged;
    const at = kind === 'tables' && judged.hooks.length > 0 ? `  ${paint.dim(judged.hooks.join(', '))}` : '';
    lines.push(
      `${colourOf(result, paint)(WORDS[result].padEnd(9))}  ${printable(claim.text)}  ${paint.dim(`${printable(path)}:${claim.line}`)}${at}`,
    );
    if (result === 'vacuous')
      lines.push(
        `    no packet${kind === 'host' ? ' that opens a flow, or has the state that is written,' : ''} is so: it says nothing`,
      );
    if (kind === 'tables') for (const breach of judged.breaches) lines.push(...printBreach(breach, subject, paint));
    else for (const breach of judged.breaches) lines.push(...printWayBreach(breach, subject, paint));
  }
  lines.push('', summaryOf(subject.claims));
  return `${lines.join('\n')}\n`;
}

const boxLines = (packets: readonly string[], more: boolean): string[] => {
  const lines = packets
    .slice(0, MOST_BOXES)
    .map((box, index) => `    ${(index === 0 ? 'packets' : '').padEnd(8)} ${printable(box)}`);
  const rest = packets.length - MOST_BOXES;
  return rest > 0 || more
    ? [...lines, `             and ${more ? 'more than ' : ''}${Math.max(rest, 1)} more boxes`]
    : lines;
};

const doubt = (confirmed: boolean | null, paint: Paint): string[] =>
  confirmed === false
    ? [`    ${paint.bad('the model does not confirm this packet: please report it, it is a mistake of ours')}`]
    : [];

function printBreach(breach: Breach, { textAt, rulesetPath }: ExpectSubject, paint: Paint): string[] {
  const { result, hook, packets, more, witness, replayed, confirmed } = breach;
  const lines = [`    ${result === 'broken' ? 'not so' : 'not known'} at ${hook}:`, ...boxLines(packets, more)];
  if (witness !== undefined) lines.push(`    witness  ${printWitness(witness.skb)}`);
  if (replayed !== undefined) {
    lines.push(...replayed.steps.map((step) => `      ${stepText(step, rulesetPath, paint)}`));
    lines.push(`    ${fateWords(replayed)}  ${paint.dim(whereOf(replayed))}`);
  }
  lines.push(...doubt(confirmed, paint));
  if (result === 'undecided' && replayed?.unknownAt !== undefined)
    lines.push(
      `    it depends on  ${printable(textAt(replayed.unknownAt))}  ${paint.dim(`${printable(rulesetPath)}:${replayed.unknownAt}`)}`,
    );
  return lines;
}

const stepText = ({ chain, rule, line, target }: ReplayedStep, path: string, paint: Paint): string =>
  [
    `filter ${printable(chain)} ${rule === 'policy' ? 'policy' : `rule ${rule}`}`,
    target === '' ? '(no target)' : printable(target),
    ...(line === undefined ? [] : [paint.dim(`${printable(path)}:${line}`)]),
  ].join('  ');

function printWayBreach(breach: WayBreach, { textAt, rulesetPath }: ExpectSubject, paint: Paint): string[] {
  const { result, entry, state, packets, more, arrival, journey, confirmed } = breach;
  const way = `${entry.kind === 'in' ? `in ${printable(entry.interface)}` : 'local'}${state === undefined ? '' : ` state ${state}`}`;
  const lines = [`    ${result === 'broken' ? 'not so' : 'not known'} ${way}:`, ...boxLines(packets, more)];
  if (arrival !== undefined) lines.push(`    witness  ${printable(printArrival(arrival))}`);
  if (journey !== undefined) lines.push(...printJourney(journey, rulesetPath, paint, '      '));
  lines.push(...doubt(confirmed, paint));
  if (result === 'undecided' && journey?.fate.line !== undefined)
    lines.push(
      `    it depends on  ${printable(textAt(journey.fate.line))}  ${paint.dim(`${printable(rulesetPath)}:${journey.fate.line}`)}`,
    );
  return lines;
}

const counted = (claims: readonly Judged[], result: ClaimResult): number =>
  claims.filter(({ judged }) => judged.result === result).length;

function summaryOf(claims: readonly Judged[]): string {
  const parts = (['proved', 'broken', 'undecided', 'vacuous'] as const).flatMap((result) => {
    const count = counted(claims, result);
    return count === 0 ? [] : [`${count} ${result}`];
  });
  return `${claims.length} ${claims.length === 1 ? 'claim' : 'claims'}: ${parts.join(', ')}`;
}

const breachDocument = (
  { result, hook, packets, more, witness, replayed, confirmed }: Breach,
  path: string,
): object => ({
  result,
  hook,
  packets,
  ...(more ? { morePackets: true } : {}),
  ...(witness === undefined || replayed === undefined
    ? {}
    : {
        witness: {
          packet: printWitness(witness.skb),
          fate: replayDocument(replayed),
          trace: replayed.steps.map((step) => ({ table: 'filter', ...step })),
          confirmed,
        },
        decidedBy: locationOf(replayed),
        ...unknownOf(replayed, path),
      }),
});

const unknownOf = ({ unknownAt }: Replayed, path: string): object =>
  unknownAt === undefined ? {} : { unknown: { path, line: unknownAt } };

function wayBreachDocument(breach: WayBreach, path: string): object {
  const { result, entry, state, packets, more, arrival, journey, confirmed } = breach;
  return {
    result,
    entry: entry.kind === 'in' ? `in ${entry.interface}` : 'local',
    ...(state === undefined ? {} : { state }),
    packets,
    ...(more ? { morePackets: true } : {}),
    ...(arrival === undefined || journey === undefined
      ? {}
      : {
          witness: {
            packet: printArrival(arrival),
            fate: fateDocument(journey.fate),
            journey: journeyDocument(journey),
            confirmed,
          },
          ...decidedOnWay(journey, path),
        }),
  };
}

/** The last rule or policy that it met. */
function decidedOnWay({ steps, fate }: NonNullable<WayBreach['journey']>, path: string): object {
  const last = steps.at(-1);
  if (fate.kind === 'undecided' && fate.line !== undefined) return { unknown: { path, line: fate.line } };
  if (last === undefined) return {};
  const { table, chain, rule, line } = last;
  return { decidedBy: { path, ...(line === undefined ? {} : { line }), table, chain, rule } };
}

export function expectDocument({ path, rulesetPath, host, claims }: ExpectSubject): object {
  const of = ({ claim, result }: { claim: WrittenClaim; result: ClaimResult }): object => ({
    path,
    line: claim.line,
    claim: claim.text,
    result,
  });
  return {
    ...(host === undefined ? {} : { host }),
    summary: {
      proved: counted(claims, 'proved'),
      broken: counted(claims, 'broken'),
      undecided: counted(claims, 'undecided'),
      vacuous: counted(claims, 'vacuous'),
    },
    claims: claims.map(({ kind, judged }) =>
      kind === 'tables'
        ? {
            ...of(judged),
            hooks: judged.hooks,
            breaches: judged.breaches.map((breach) => breachDocument(breach, rulesetPath)),
          }
        : { ...of(judged), breaches: judged.breaches.map((breach) => wayBreachDocument(breach, rulesetPath)) },
    ),
  };
}
