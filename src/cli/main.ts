#!/usr/bin/env node
/** The command `nfverdict`: what stands on the command line becomes the options of one command. */
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { Posture } from '../claim/claim.ts';
import type { Backend } from '../netfilter/skb.ts';
import { COULD_NOT_ANSWER } from './failure.ts';
import { nodeIo, type Io } from './io.ts';
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

const verboseOption = (says: string): Option => new Option('-v, --verbose', says);
const quietOption = (says: string): Option => new Option('-q, --quiet', says);

interface Common {
  readonly color: Colour;
  readonly backend: Backend;
  readonly sets?: string;
  readonly verbose?: boolean;
  readonly quiet?: boolean;
}

/** The whole command line. Each command gives its exit code to `exit`; what is wrong with the command line itself is thrown as CommanderError. */
function program(io: Io, exit: (code: number) => void): Command {
  const outputs = new OutputList();
  const main = new Command('nfverdict')
    .description('What happens to the packets: the rules of a nova-network host, judged packet by packet.')
    .version(TOOL.version)
    .showHelpAfterError('(nfverdict help COMMAND explains a command)')
    .configureOutput({
      writeOut: io.stdout,
      writeErr: io.stderr,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .exitOverride();

  reporting(
    main
      .command('check')
      .description('every law on a deployment; without a ruleset, on the rules that nova itself would write')
      .argument('[rulesets...]', '[HOST=]FILE, or HOST/6=FILE for ip6tables')
      .requiredOption('-d, --deployment <file>', 'the deployment file')
      .option('--invariant <glob>', 'only laws whose id matches; several times for several', listed)
      .option('--seed <n>', 'of the samples', whole, 1)
      .option(
        '--runs <n>',
        'samples of each claim besides its proof (default: only of those that cannot be proved)',
        positive,
      )
      .option('--time-limit <time>', 'such as 30s; what is not reached then is undecided', seconds)
      .addOption(
        new Option('--fail-on <severity>', 'what makes exit code 1').choices(['error', 'warning']).default('error'),
      )
      .addOption(backendOption())
      .option('--sets <file>', 'ipset save output')
      .option('--kernel', 'test the claims on Linux as well, with real packets in namespaces of its own')
      .addOption(verboseOption('every finding, also of warnings, and the rules that no claim met'))
      .addOption(quietOption('no assumptions, no progress')),
    outputs,
  ).action(
    async (
      rulesets: string[],
      options: Common & {
        deployment: string;
        invariant?: string[];
        seed: number;
        runs?: number;
        timeLimit?: number;
        failOn: 'error' | 'warning';
        kernel?: boolean;
      },
    ) => {
      const { runCheck } = await import('./check.ts');
      const { invariant, verbose, quiet, kernel, ...rest } = options;
      exit(
        runCheck(
          {
            ...rest,
            rulesets,
            invariants: invariant ?? [],
            kernel: kernel === true,
            outputs: outputs.list,
            verbose: verbose === true,
            quiet: quiet === true,
            now: () => performance.now(),
          },
          io,
        ),
      );
    },
  );

  reporting(
    main
      .command('trace')
      .description('a packet on its way: each rule that matched, each rewriting, the fate, and the reply')
      .usage("[options] [[HOST=]RULESET...] 'PACKET'... | --packets FILE")
      .argument(
        '[words...]',
        "rulesets as for check (- is stdin; none: nova's own), then packets: 'PROTOCOL SADDR[:SPORT] > DADDR[:DPORT] in [HOST:]INTERFACE', 'reply', 'flush'",
      )
      .option('--packets <file>', 'a conversation in place of packets, a packet a line')
      .option('-d, --deployment <file>', 'the deployment that the packet enters')
      .option('--host <file>', 'or a host file: that host alone')
      .option('--name <host>', 'only this host of the deployment')
      .option('--expect <fate>', 'exit 1 when a packet ends otherwise')
      .addOption(
        new Option('--posture <posture>', 'hardened: with policies DROP')
          .choices(['as-given', 'hardened'])
          .default('as-given'),
      )
      .addOption(backendOption())
      .option('--sets <file>', 'ipset save output')
      .option('--kernel', 'ask Linux as well: the same packets through namespaces of its own; exit 1 where it differs')
      .addOption(verboseOption('also what is taken as given'))
      .addOption(quietOption('only the last line')),
    outputs,
  ).action(
    async (
      words: string[],
      options: Common & {
        packets?: string;
        deployment?: string;
        host?: string;
        name?: string;
        expect?: string;
        posture: Posture;
        kernel?: boolean;
      },
    ) => {
      const { runTrace } = await import('./trace.ts');
      const { verbose, quiet, kernel, ...rest } = options;
      const flags = { verbose: verbose === true, quiet: quiet === true, kernel: kernel === true };
      exit(runTrace({ ...rest, ...flags, words, outputs: outputs.list }, io));
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
          runGenerate({ deployment, ...rest, ...(family === undefined ? {} : { family: family === '6' ? 6 : 4 }) }, io),
        );
      },
    );

  reporting(
    main
      .command('diff')
      .description(
        'what changed for packets: exactly those that fare otherwise, one of each kind, and the rules that decided',
      )
      .argument('<old>', 'a ruleset, or a folder of them')
      .argument('<new>', 'and what it has become; - is stdin')
      .option('-d, --deployment <file>', 'the deployment that the host is of')
      .option('--host <file>', 'or a host file: the whole way through that host is compared')
      .option(
        '--name <host>',
        'which host of the deployment; with two folders all are compared, HOST.rules and HOST.v6.rules each',
      )
      .option('--within <set>', "only packets of this set: 'tcp any > 10.0.0.0/8 in eth0'")
      .option('--ignore <class>', 'leaves out a class of differences; several times for several', listed)
      .option(
        '--fail-on <class>',
        'what makes exit code 1; several times for several (default: all but logged and marked)',
        listed,
      )
      .option('--confirm', 'sends each packet that is shown through Linux, under the old rules and the new')
      .addOption(backendOption())
      .option('--sets <file>', 'ipset save output'),
    outputs,
  ).action(
    async (
      old: string,
      now: string,
      options: Common & {
        deployment?: string;
        host?: string;
        name?: string;
        confirm?: boolean;
        within?: string;
        ignore?: readonly string[];
        failOn?: readonly string[];
      },
    ) => {
      const { ignore = [], failOn = [], ...rest } = options;
      const given = { ...rest, old, now, ignore, failOn, outputs: outputs.list };
      if (options.deployment === undefined && options.host === undefined) {
        const { runDiff } = await import('./diff.ts');
        exit(runDiff(given, io));
      } else {
        const { runHostDiff } = await import('./host-diff.ts');
        exit(runHostDiff(given, io));
      }
    },
  );

  main
    .command('format')
    .description("a ruleset in iptables-save's own spelling")
    .argument('<ruleset>', 'the file; - is stdin')
    .action(async (ruleset: string) => {
      const { runFormat } = await import('./format.ts');
      exit(runFormat({ ruleset }, io));
    });

  reporting(
    main
      .command('expect')
      .description('your own claims about your packets, proved for every packet or broken by one')
      .argument('<ruleset>', 'a ruleset')
      .argument('<claims>', "a file, a line each: 'SET [out INTERFACE] [at HOOK] => FATE'; - is stdin")
      .option('-d, --deployment <file>', 'the deployment that the host is of')
      .option('--host <file>', 'or a host file')
      .option('--name <host>', 'which host of the deployment')
      .addOption(backendOption())
      .option('--sets <file>', 'ipset save output'),
    outputs,
  ).action(
    async (
      ruleset: string,
      claims: string,
      options: Common & { deployment?: string; host?: string; name?: string },
    ) => {
      const { runExpect } = await import('./expect.ts');
      exit(runExpect({ ...options, ruleset, claims, outputs: outputs.list }, io));
    },
  );

  reporting(
    main
      .command('lint')
      .description('rules that can never match or have no effect, and what covers them')
      .argument('<ruleset>', 'the file; - is stdin')
      .addOption(backendOption()),
    outputs,
  ).action(async (ruleset: string, options: Common) => {
    const { runLint } = await import('./lint.ts');
    exit(runLint({ ...options, ruleset, outputs: outputs.list }, io));
  });

  reporting(
    main.command('invariants').description('the laws; with an id, one explained').argument('[id]', 'a law'),
    outputs,
  ).action(async (id: string | undefined, options: Common) => {
    const { runInvariants } = await import('./invariants.ts');
    exit(runInvariants({ ...options, outputs: outputs.list, ...(id === undefined ? {} : { id }) }, io));
  });

  return main;
}

/** Runs a command line (without `node` and the program's name); resolves to the exit code. Nothing but `io` is touched. */
export async function nfverdict(words: readonly string[], io: Io): Promise<number> {
  let code = COULD_NOT_ANSWER;
  try {
    const main = program(io, (ended) => {
      code = ended;
    });
    await main.parseAsync(words, { from: 'user' });
    return code;
  } catch (error) {
    // Commander has said what is wrong, or printed the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : COULD_NOT_ANSWER;
    io.stderr(`${error instanceof Error ? error.message : String(error)}\n`);
    return COULD_NOT_ANSWER;
  }
}

/** Whether this file is the program: npm starts it by a link. */
function isEntry(): boolean {
  try {
    return realpathSync(process.argv[1] ?? '') === fileURLToPath(import.meta.url);
  } catch {
    return false;
  }
}

if (isEntry()) {
  // A reader that has seen enough, such as `head`, closes its end: no error of ours.
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
    });
  process.exitCode = await nfverdict(process.argv.slice(2), nodeIo);
}
