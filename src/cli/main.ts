#!/usr/bin/env node
/** The command `nfverdict`: what stands on the command line becomes the options of one command. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { Posture } from '../claim/claim.ts';
import type { Backend } from '../netfilter/skb.ts';
import { COULD_NOT_ANSWER } from './failure.ts';
import { nodeIo } from './io.ts';
import { OutputList, TOOL, type Colour } from './output.ts';

const whole = (text: string): number => {
  const value = Number(text);
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('expected a whole number.');
  return value;
};

const positive = (text: string): number => {
  const value = whole(text);
  if (value === 0) throw new InvalidArgumentError('expected a number of at least 1.');
  return value;
};

const seconds = (text: string): number => {
  const [, value, unit] = /^(\d{1,7}(?:\.\d{1,3})?)(ms|s|m)?$/.exec(text) ?? [];
  if (value === undefined) throw new InvalidArgumentError('expected a time such as 30s.');
  return Number(value) * (unit === 'ms' ? 0.001 : unit === 'm' ? 60 : 1);
};

const listed = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** Every command that reports has these; `--format` and `--output` go in pairs. */
function reporting(command: Command, outputs: OutputList): Command {
  return command
    .addOption(
      new Option('--format <format>', 'text or json; several times for several').argParser((value) => {
        outputs.format(value);
        return value;
      }),
    )
    .addOption(
      new Option('--output <file>', 'where the format before it goes (default: stdout)').argParser((value) => {
        outputs.file(value);
        return value;
      }),
    )
    .addOption(new Option('--color <when>', 'colours').choices(['auto', 'always', 'never']).default('auto'));
}

const backendOption = (): Option =>
  new Option('--backend <backend>', 'whose Linux, where they differ').choices(['legacy', 'nft']).default('nft');

interface Common {
  readonly color: Colour;
  readonly backend: Backend;
  readonly sets?: string;
}

export function program(exit: (code: number) => void): Command {
  const outputs = new OutputList();
  const main = new Command('nfverdict')
    .description('What happens to the packets: the rules of a nova-network host, judged packet by packet.')
    .version(TOOL.version)
    .showHelpAfterError('(nfverdict help COMMAND explains a command)')
    .exitOverride();

  reporting(
    main
      .command('check')
      .description('every law on a deployment; without a ruleset, on the rules that nova itself would write')
      .argument('[rulesets...]', '[HOST=]FILE, or HOST/6=FILE for ip6tables')
      .requiredOption('-d, --deployment <file>', 'the deployment file')
      .option('--invariant <glob>', 'only laws whose id matches; several times for several', listed)
      .option('--seed <n>', 'of the samples', whole, 1)
      .option('--runs <n>', 'samples of each claim', positive, 50)
      .option('--time-limit <time>', 'such as 30s; what is not reached then is undecided', seconds)
      .addOption(
        new Option('--fail-on <severity>', 'what makes exit code 1').choices(['error', 'warning']).default('error'),
      )
      .addOption(backendOption())
      .option('--sets <file>', 'ipset save output')
      .option('-v, --verbose', 'every finding, and the rules that no claim met')
      .option('-q, --quiet', 'no assumptions, no progress'),
    outputs,
  ).action(
    async (
      rulesets: string[],
      options: Common & {
        deployment: string;
        invariant?: string[];
        seed: number;
        runs: number;
        timeLimit?: number;
        failOn: 'error' | 'warning';
        verbose?: boolean;
        quiet?: boolean;
      },
    ) => {
      const { runCheck } = await import('./check.ts');
      const { invariant, verbose, quiet, ...rest } = options;
      exit(
        runCheck(
          {
            ...rest,
            rulesets,
            invariants: invariant ?? [],
            outputs: outputs.list,
            verbose: verbose === true,
            quiet: quiet === true,
            now: () => performance.now(),
          },
          nodeIo,
        ),
      );
    },
  );

  reporting(
    main
      .command('trace')
      .description('a packet through one host: each rule that matched, each rewriting, the fate, and the reply')
      .argument('<ruleset>', "the host's ruleset; - is stdin")
      .argument('[packets...]', "'PROTOCOL SADDR[:SPORT] > DADDR[:DPORT] in INTERFACE' each, or reply, or flush")
      .option('--packets <file>', 'a conversation instead, a packet a line')
      .option('-d, --deployment <file>', 'the deployment that the host is of')
      .option('--host <file>', 'or a host file')
      .option('--name <host>', 'which host of the deployment')
      .option('--expect <fate>', 'exit 1 when a packet ends otherwise')
      .addOption(
        new Option('--posture <posture>', 'hardened: with policies DROP')
          .choices(['as-given', 'hardened'])
          .default('as-given'),
      )
      .addOption(backendOption())
      .option('--sets <file>', 'ipset save output'),
    outputs,
  ).action(
    async (
      ruleset: string,
      packetLines: string[],
      options: Common & {
        packets?: string;
        deployment?: string;
        host?: string;
        name?: string;
        expect?: string;
        posture: Posture;
      },
    ) => {
      const { runTrace } = await import('./trace.ts');
      exit(runTrace({ ...options, ruleset, packetLines, outputs: outputs.list }, nodeIo));
    },
  );

  main
    .command('generate')
    .description("the reference: the rules that nova's services would have written")
    .argument('<deployment>', 'the deployment file')
    .option('--host <name>', 'needed when there are several')
    .addOption(new Option('--family <family>', 'IPv4 or IPv6').choices(['4', '6']))
    .option('--service <name>', 'only what this service applies')
    .option('--output <dir>', 'writes HOST.rules and HOST.v6.rules there')
    .action(
      async (deployment: string, options: { host?: string; family?: '4' | '6'; service?: string; output?: string }) => {
        const { runGenerate } = await import('./generate.ts');
        const { family, ...rest } = options;
        exit(
          runGenerate(
            { deployment, ...rest, ...(family === undefined ? {} : { family: family === '6' ? 6 : 4 }) },
            nodeIo,
          ),
        );
      },
    );

  main
    .command('format')
    .description("a ruleset in iptables-save's own spelling")
    .argument('<ruleset>', 'the file; - is stdin')
    .action(async (ruleset: string) => {
      const { runFormat } = await import('./format.ts');
      exit(runFormat({ ruleset }, nodeIo));
    });

  reporting(
    main.command('invariants').description('the laws; with an id, one explained').argument('[id]', 'a law'),
    outputs,
  ).action(async (id: string | undefined, options: Common) => {
    const { runInvariants } = await import('./invariants.ts');
    exit(runInvariants({ ...options, outputs: outputs.list, ...(id === undefined ? {} : { id }) }, nodeIo));
  });

  return main;
}

try {
  await program((code) => {
    process.exitCode = code;
  }).parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : COULD_NOT_ANSWER;
  else {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = COULD_NOT_ANSWER;
  }
}
