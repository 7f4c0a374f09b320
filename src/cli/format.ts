/** `nfverdict format`: a ruleset in iptables-save's canonical spelling. */
import { printRuleset } from '../ruleset/print.ts';
import { answering } from './failure.ts';
import { Inputs } from './input.ts';
import type { Io } from './io.ts';

export const runFormat = (options: { readonly ruleset: string }, io: Io): number =>
  answering(io, () => {
    io.stdout(printRuleset(new Inputs(io).ruleset(options.ruleset)));
    return 0;
  });
