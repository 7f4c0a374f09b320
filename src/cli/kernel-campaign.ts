#!/usr/bin/env node
/**
 * `npm run kernel`: random cases, played in the model and in Linux, until one differs or so many agree. Not a command of nfverdict: it judges the model, not a
 * ruleset.
 */
import { writeFileSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Campaign } from '../arbitrary/campaign.ts';
import type { RecordedHost } from '../arbitrary/host.ts';
import { KernelFailure, openKernel, type Kernel } from '../kernel/client.ts';
import { exitCodeOf, mergeReports, printReport } from '../kernel/campaign-report.ts';
import { compareCase, liveOracle, printDifference, type Oracle } from '../kernel/compare.ts';
import { printProbe, probeKernel, type Probe } from '../kernel/probe.ts';
import type { Backend } from '../kernel/protocol.ts';
import { RecordingOracle, type RecordedCase, type RecordedFile } from '../kernel/recording.ts';
import { readRecording, readReport } from './campaign-files.ts';
import { answering, COULD_NOT_ANSWER } from './failure.ts';
import { nodeIo } from './io.ts';

interface Options {
  readonly cases: number;
  readonly seed?: number;
  readonly from: number;
  readonly backend: Backend;
  readonly family: '4' | '6' | 'both';
  readonly record?: string;
  readonly replay?: string;
  readonly report?: string;
  readonly merge?: readonly string[];
}

const whole = (text: string): number => {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('expected a whole number.');
  return Number(text);
};

const say = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

const writeJson = (file: string, value: unknown): void => {
  writeFileSync(file, `${JSON.stringify(value, undefined, 1)}\n`);
};

function merge(options: Options, files: readonly string[]): number {
  const merged = mergeReports(files.map(readReport));
  say(printReport(merged));
  if (options.report !== undefined) writeJson(options.report, merged);
  return exitCodeOf(merged);
}

/** A line that changes while it goes on, for somebody who watches. */
function progress({ cases, differences, speed, next, options }: Campaign): void {
  if (!process.stderr.isTTY) return;
  process.stderr.write(
    `\r${next - options.from} of ${options.cases} cases, ${cases} agree, ${differences.length} differences, ${speed.rate.toFixed(1)} cases/s `,
  );
}

async function campaign(options: Options, kernel: Kernel, probe: Probe): Promise<number> {
  const { Campaign } = await import('../arbitrary/campaign.ts');
  const seed = options.seed ?? Math.floor(Math.random() * 1_000_000);
  const running = new Campaign({ ...options, seed, recording: options.record !== undefined }, kernel);
  const stop = new AbortController();
  process.once('SIGINT', () => {
    stop.abort();
  });
  let failure: KernelFailure | undefined;
  try {
    while (!running.isDone && !stop.signal.aborted) {
      const difference = running.step();
      if (difference !== undefined) say(`\n${difference}\n`);
      progress(running);
      // Signals come between two chunks.
      await setImmediate();
    }
  } catch (error) {
    if (!(error instanceof KernelFailure)) throw error;
    failure = error;
  }
  if (process.stderr.isTTY) process.stderr.write('\n');
  const report = running.report({ kernel: probe.kernel, iptables: probe.iptables[options.backend] ?? '' });
  say(printReport(report));
  if (options.report !== undefined) writeJson(options.report, report);
  if (!running.isDone) {
    const left = options.from + options.cases - running.next;
    if (failure !== undefined) process.stderr.write(`${failure.message}\n`);
    say(`stopped; to go on: --seed ${seed} --from ${running.next} --cases ${left} --backend ${options.backend}`);
    return COULD_NOT_ANSWER;
  }
  const { rate, helperRate, share } = report.speed;
  say(
    `${rate.toFixed(1)} cases/s, ${(100 * share).toFixed(0)} % of the ${helperRate.toFixed(1)} of the kernel's helper alone (sampled)`,
  );
  if (options.record !== undefined) writeRecording(options.record, running.recorded, options.backend, probe);
  return exitCodeOf(report);
}

/** Plays recorded cases again on the kernel of this machine. */
function replay(options: Options, file: string, oracle: Oracle, probe: Probe): number {
  const cases = readRecording(file);
  const recording = new RecordingOracle(oracle);
  let differing = 0;
  const recorded = cases.map(({ one, given }) => {
    const { difference } = compareCase(given, recording);
    if (difference !== undefined) {
      differing++;
      say(`${one.title ?? ''}\n${given.texts.text4 ?? given.texts.text6 ?? ''}${printDifference(difference)}\n`);
    }
    return { ...(one.title === undefined ? {} : { title: one.title }), ...recording.record(given, one.host) };
  });
  say(`${cases.length} recorded cases, ${differing} differences: Linux ${probe.kernel}`);
  if (options.record !== undefined)
    writeRecording(options.record, recorded, cases[0]?.given.backend ?? 'legacy', probe);
  return differing === 0 ? 0 : 1;
}

/** A case a line: a person may look for one, and a change of one is a change of one line. */
function writeRecording(
  file: string,
  recorded: readonly RecordedCase<RecordedHost>[],
  backend: Backend,
  probe: Probe,
): void {
  const head: Omit<RecordedFile<RecordedHost>, 'cases'> = {
    kernel: probe.kernel,
    iptables: probe.iptables[backend] ?? '',
  };
  const lines = recorded.map((one) => JSON.stringify(one));
  writeFileSync(file, `${JSON.stringify(head).slice(0, -1)},"cases":[\n${lines.join(',\n')}\n]}\n`);
}

async function main(): Promise<number> {
  const command = new Command('kernel')
    .description('compare the model with Linux on random cases')
    .addOption(new Option('--cases <n>', 'how many').argParser(whole).default(1000))
    .addOption(new Option('--seed <n>', 'which (default: drawn, and told)').argParser(whole))
    .addOption(new Option('--from <n>', 'go on from this case of the seed').argParser(whole).default(0))
    .addOption(new Option('--backend <backend>', 'of iptables').choices(['legacy', 'nft']).default('legacy'))
    .addOption(new Option('--family <family>', 'of addresses').choices(['4', '6', 'both']).default('both'))
    .addOption(
      new Option('--record <file>', 'write small cases that cover every class, with what the kernel made of them'),
    )
    .addOption(new Option('--replay <file>', 'play recorded cases again; with --record, write them anew'))
    .addOption(new Option('--report <file>', 'write counts and differences as JSON'))
    .addOption(new Option('--merge <files...>', 'only add up the reports of several campaigns'));
  const options = command.parse().opts<Options>();
  const { merge: reports, replay: recording } = options;
  if (reports !== undefined) return answering(nodeIo, () => merge(options, reports));
  const probe = probeKernel();
  if (!probe.backends.includes(options.backend)) {
    process.stderr.write(`${printProbe(probe)}\n`);
    for (const { what, get } of probe.missing) process.stderr.write(`  ${what}: ${get}\n`);
    return COULD_NOT_ANSWER;
  }
  const kernel = openKernel(probe.mode === undefined ? {} : { mode: probe.mode });
  try {
    return recording === undefined
      ? await campaign(options, kernel, probe)
      : answering(nodeIo, () => replay(options, recording, liveOracle(kernel), probe));
  } finally {
    kernel.close();
  }
}

process.exitCode = await main();
