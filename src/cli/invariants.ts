/** `nfverdict invariants`: the laws, listed or one explained. */
import { nearest } from '../diagnostic/nearest.ts';
import { LAWS } from '../invariant/laws.ts';
import type { Law } from '../invariant/law.ts';
import { printDocument } from '../report/document.ts';
import type { Paint } from '../report/paint.ts';
import { wrap } from '../report/wrap.ts';
import { answering, UsageError } from './failure.ts';
import type { Io } from './io.ts';
import { TOOL, writeOutputs, type OutputOptions } from './output.ts';

export interface InvariantsOptions extends OutputOptions {
  readonly id?: string;
}

export const runInvariants = (options: InvariantsOptions, io: Io): number =>
  answering(io, () => {
    const { id } = options;
    const laws = id === undefined ? LAWS : [lawCalled(id)];
    writeOutputs(io, options, {
      text: (paint) => (id === undefined ? listing(laws, paint) : laws.map((law) => explanation(law, paint)).join('')),
      json: () =>
        printDocument('invariants', { tool: TOOL, inputs: [], assumptions: [] }, { invariants: laws.map(lawDocument) }),
    });
    return 0;
  });

function lawCalled(id: string): Law {
  const law = LAWS.find((candidate) => candidate.id === id);
  if (law !== undefined) return law;
  const near = nearest(
    id,
    LAWS.map((candidate) => candidate.id),
  );
  throw new UsageError(
    `no law is called ${id}${near === undefined ? '; `nfverdict invariants` lists them' : `: did you mean ${near}?`}`,
  );
}

const listing = (laws: readonly Law[], paint: Paint): string =>
  laws
    .map((law) => {
      const [first = '', ...rest] = wrap(
        `${law.severity === 'warning' ? '(warning) ' : ''}${law.statement}`,
        `${law.id.padEnd(ID_WIDTH)} `,
      );
      return [paint.bold(first.slice(0, ID_WIDTH)) + first.slice(ID_WIDTH), ...rest, ''].join('\n');
    })
    .join('');

const ID_WIDTH = 38;

function explanation(law: Law, paint: Paint): string {
  const lines = [
    paint.bold(law.id),
    ...wrap(law.statement, '  '),
    '',
    `  kind       ${law.kind}`,
    `  severity   ${law.severity}`,
    ...wrap(law.source, '  source     '),
    ...(law.requires === undefined ? [] : wrap(law.requires, '  requires   ')),
    ...wrap(law.brokenBy, '  broken by  '),
    ...law.knownFailures.flatMap(({ releases, because }) =>
      wrap(`known to fail in ${releases === 'all' ? 'every release' : releases.join(', ')}: ${because}`, '  ', 13),
    ),
  ];
  return `${lines.join('\n')}\n`;
}

const lawDocument = (law: Law): object => ({
  id: law.id,
  kind: law.kind,
  severity: law.severity,
  statement: law.statement,
  source: law.source,
  ...(law.requires === undefined ? {} : { requires: law.requires }),
  brokenBy: law.brokenBy,
  knownFailures: law.knownFailures.map(({ releases, because }) => ({ releases, because })),
});
