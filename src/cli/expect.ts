/** `nfverdict expect`: somebody's own claims about their packets, proved for every packet or broken by one. */
import { InputError, type Diagnostic } from '../diagnostic/diagnostic.ts';
import { nearest } from '../diagnostic/nearest.ts';
import type { Host } from '../host/host.ts';
import type { Backend } from '../netfilter/skb.ts';
import { parseClaims, type WrittenClaim } from '../packet/claims.ts';
import type { ExpectedPacket } from '../packet/fate.ts';
import { printDocument } from '../report/document.ts';
import { expectDocument, printExpect, type ExpectSubject, type Judged } from '../report/expect.ts';
import { withHiddenChains } from '../ruleset/hidden.ts';
import { textsOf } from '../ruleset/lines.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { judgeOnHost } from '../space/host-claim.ts';
import { HostWays } from '../space/host-ways.ts';
import { hooksOf, TableClaims } from '../space/table-claim.ts';
import { devicesOf } from '../space/vocabulary.ts';
import { answering, UNDECIDED, undecidedWhereTooLarge } from './failure.ts';
import { hostPlaces, onlyHost, type HostOptions } from './host-place.ts';
import { WorldInputs } from './world-input.ts';
import type { Io } from './io.ts';
import { TOOL, writeOutputs, type OutputOptions } from './output.ts';

export interface ExpectOptions extends OutputOptions, HostOptions {
  readonly ruleset: string;
  readonly claims: string;
  readonly backend: Backend;
  /** Most edges of diagrams that are kept, where each table is asked (space.ts). */
  readonly limit?: number;
}

export const runExpect = (options: ExpectOptions, io: Io): number =>
  answering(io, () => {
    const inputs = new WorldInputs(io, options.backend);
    const path = options.claims === '-' ? 'stdin' : options.claims;
    const claims = parseClaims(inputs.text(options.claims), path);
    const ruleset = withHiddenChains(inputs.ruleset(options.ruleset));
    const places = hostPlaces(options, inputs);
    const place = places && onlyHost(places);
    const wrong = claims.flatMap((claim) => complaints(claim, path, ruleset, place?.host));
    if (wrong.length > 0) throw new InputError(wrong);
    return undecidedWhereTooLarge(io, () => {
      const { backend, limit } = options;
      const judged =
        place === undefined ? atTables(ruleset, claims, backend, limit) : onHost(place.host, ruleset, claims, backend);
      const subject: ExpectSubject = {
        path,
        rulesetPath: ruleset.path,
        claims: judged,
        textAt: textsOf(ruleset),
        ...(place === undefined ? {} : { host: place.host.name }),
      };
      const assumptions = place?.assumptions ?? [
        'any host: each claim at each hook of the table filter that its packets can meet',
      ];
      writeOutputs(io, options, {
        text: (paint) => printExpect(subject, paint),
        json: () => printDocument('expect', { tool: TOOL, inputs: inputs.list, assumptions }, expectDocument(subject)),
      });
      const results = judged.map((one) => one.judged.result);
      if (results.includes('broken')) return 1;
      return results.includes('undecided') ? UNDECIDED : 0;
    });
  });

function atTables(
  ruleset: Ruleset,
  claims: readonly WrittenClaim[],
  backend: Backend,
  limit: number | undefined,
): readonly Judged[] {
  const tables = new TableClaims(ruleset, claims, backend, limit);
  return claims.map((claim) => ({ kind: 'tables', judged: tables.judge(claim) }));
}

function onHost(host: Host, ruleset: Ruleset, claims: readonly WrittenClaim[], backend: Backend): readonly Judged[] {
  const ways = new HostWays(host, { family: ruleset.family, backend, rulesets: [ruleset] });
  return claims.map((claim) => ({ kind: 'host', judged: judgeOnHost(ways, ruleset, claim) }));
}

/** What is well written and cannot be asked here. */
function complaints(
  claim: WrittenClaim,
  path: string,
  ruleset: Ruleset,
  host: Host | undefined,
): readonly Diagnostic[] {
  const { fate, set, setColumn, fateColumn, line } = claim;
  const found: Diagnostic[] = [];
  const complain = (column: number, message: string): void => void found.push({ path, line, column, message });
  if (set.boxes.every(({ family }) => family !== ruleset.family) && set.boxes.length > 0)
    complain(
      setColumn,
      `these are packets of IPv${ruleset.family === 4 ? 6 : 4}, and ${ruleset.path} is of IPv${ruleset.family}`,
    );
  if (fate.kind === 'undecided') complain(fateColumn, 'undecided is no fate that can be claimed');
  if (host === undefined) {
    if (fate.oif !== undefined || fate.packet !== undefined)
      complain(
        fateColumn,
        'by which interface and as what a packet leaves depends on the host: give -d or --host, or write `out INTERFACE` behind the set',
      );
    if (found.length === 0 && set.boxes.length > 0 && hooksOf(claim).length === 0)
      complain(
        fateColumn,
        fate.kind === 'delivered'
          ? 'without a host it is only known at INPUT what is delivered, and these packets do not come there'
          : 'these packets come to no hook that is asked',
      );
    return found;
  }
  if (claim.out !== undefined || claim.at !== undefined)
    complain(setColumn, '`out` and `at` are for claims about any host: on this one write where the packets end');
  const names = devicesOf(host);
  for (const name of new Set(set.boxes.flatMap(({ entry }) => entry.in.names)))
    if (!names.includes(name)) {
      const near = nearest(name, names);
      complain(
        setColumn,
        `${host.name} has no interface or bridge port ${name}: ${near === undefined ? `there are ${names.join(', ')}` : `did you mean ${near}?`}`,
      );
    }
  if (fate.packet !== undefined) {
    const unasked = notAsked(fate.packet);
    if (unasked.length > 0)
      complain(fateColumn, `${unasked.join(', ')}: a claim about all packets cannot say this of them`);
  }
  return found;
}

/** What can be said of one packet only. */
const notAsked = ({ exact, quoted }: ExpectedPacket): readonly string[] => [
  ...Object.keys(exact).filter((field) => field !== 'ttl' && field !== 'mark'),
  ...(quoted === undefined ? [] : ['quotes']),
];
