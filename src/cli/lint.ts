/** `nfverdict lint`: rules that can never match or have no effect, and what covers them. */
import type { Backend } from '../netfilter/skb.ts';
import { printDocument } from '../report/document.ts';
import { lintDocument, printLint, type LintSubject } from '../report/lint.ts';
import { withHiddenChains } from '../ruleset/hidden.ts';
import { textsOf } from '../ruleset/lines.ts';
import { idleRules } from '../space/idle-rules.ts';
import { answering, undecidedWhereTooLarge } from './failure.ts';
import { Inputs } from './input.ts';
import type { Io } from './io.ts';
import { TOOL, writeOutputs, type OutputOptions } from './output.ts';

export interface LintOptions extends OutputOptions {
  readonly ruleset: string;
  readonly backend: Backend;
  /** Most edges of diagrams that are kept (space.ts). */
  readonly limit?: number;
}

const ASSUMPTIONS = [
  'any host: each table at each hook, for every packet that the hook could meet',
  'counters are no effect: a rule without a target is never called needless',
];

export const runLint = (options: LintOptions, io: Io): number =>
  answering(io, () => {
    const inputs = new Inputs(io, options.backend);
    const ruleset = withHiddenChains(inputs.ruleset(options.ruleset));
    return undecidedWhereTooLarge(io, () => {
      const subject: LintSubject = {
        path: ruleset.path,
        textAt: textsOf(ruleset),
        ...idleRules(ruleset, {
          backend: options.backend,
          ...(options.limit === undefined ? {} : { limit: options.limit }),
        }),
      };
      writeOutputs(io, options, {
        text: (paint) => printLint(subject, paint),
        json: () =>
          printDocument('lint', { tool: TOOL, inputs: inputs.list, assumptions: ASSUMPTIONS }, lintDocument(subject)),
      });
      return subject.findings.length > 0 ? 1 : 0;
    });
  });
