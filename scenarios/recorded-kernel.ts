/**
 * A kernel that was asked once: what it answered is kept, and said again where there is no kernel. Whoever asks must ask the same as then: each request is known by its
 * digest, so a recording of other rules, another host or other packets is not mistaken for one of these.
 */
import { createHash } from 'node:crypto';
import type { AskedKernel } from '../src/kernel/client.ts';
import type { Backend, CaseAnswer, KernelStep, Refusal, WorldAnswer } from '../src/kernel/protocol.ts';
import { lengthened, shortened } from '../src/kernel/recording.ts';

/** A request and what was answered to it. */
export interface RecordedAnswer {
  /** The digest of the request. */
  readonly asked: string;
  /** To the request of a world; its number means nothing here. */
  readonly world?: Omit<WorldAnswer, 'world'>;
  /** To a case: what was observed of its steps. */
  readonly steps?: CaseAnswer['steps'];
  /** To a case whose rules are not loaded. */
  readonly refused?: Refusal;
}

/** What a kernel answered to all that one scenario asks, in order. */
export interface RecordedScenario {
  /** Its packets or rules file. */
  readonly path: string;
  readonly answers: readonly RecordedAnswer[];
}

/** A file of them: of one kernel and one iptables. */
export interface RecordedScenarios {
  readonly kernel: string;
  readonly iptables: string;
  readonly backend: Backend;
  readonly scenarios: readonly RecordedScenario[];
}

const digest = (request: unknown): string =>
  createHash('sha256').update(JSON.stringify(request)).digest('hex').slice(0, 16);

/** A kernel that keeps in `answers` what `kernel` says. */
export const recordingKernel = (kernel: AskedKernel, answers: RecordedAnswer[]): AskedKernel => ({
  world(backend, hosts) {
    const answer = kernel.world(backend, hosts);
    const { world: _, ...world } = answer;
    answers.push({ asked: digest({ backend, hosts }), world });
    return answer;
  },
  runCase(world, hosts, steps, keep = false) {
    const answer = kernel.runCase(world, hosts, steps, keep);
    const { refused } = answer;
    answers.push({
      asked: digest({ hosts, steps, keep }),
      ...(answer.steps.length === 0 ? {} : { steps: answer.steps.map(shortened) }),
      ...(refused === undefined ? {} : { refused }),
    });
    return answer;
  },
});

/** A kernel that says again what is recorded. It throws when it is asked something else, or more, than then. */
export function replayedKernel(answers: readonly RecordedAnswer[]): AskedKernel {
  const left = [...answers];
  const answerTo = (request: unknown): RecordedAnswer => {
    const answer = left.shift();
    if (answer?.asked !== digest(request)) {
      const number = answers.length - left.length;
      throw new Error(
        answer === undefined
          ? `the kernel was asked ${answers.length} things, and is now asked one more`
          : `the kernel was asked something else then: request ${number} of ${answers.length}`,
      );
    }
    return answer;
  };
  return {
    world(backend, hosts) {
      const { world } = answerTo({ backend, hosts });
      if (world === undefined) throw new Error('there is no answer to the request of a world');
      return { world: 0, ...world };
    },
    runCase(_, hosts, steps, keep = false) {
      const { steps: observed = [], refused } = answerTo({ hosts, steps, keep });
      return {
        steps: observed.map((observation) => lengthened(observation, hostOf(steps))),
        ...(refused === undefined ? {} : { refused }),
      };
    },
  };
}

/** Packets are sent to one host at a time. */
const hostOf = (steps: readonly KernelStep[]): string =>
  steps.flatMap((step) => ('host' in step ? [step.host] : [])).at(-1) ?? '';
