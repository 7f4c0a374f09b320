/**
 * A scenario on Linux itself: its conversation is held there, from host to host, beside the model's. Compared are, on each host, what left and where, what
 * processes got, conntrack's state, and each rule that was met.
 */
import type { AskedKernel } from '../src/kernel/client.ts';
import { BARE_HOST } from '../src/kernel/host-spec.ts';
import { converseOnLinux, goOnWithLinux, type LinuxExchange } from '../src/kernel/linux-conversation.ts';
import { LinuxWorld } from '../src/kernel/linux-world.ts';
import type { Backend, Refusal } from '../src/kernel/protocol.ts';
import { converse } from '../src/network/converse.ts';
import { machineOf } from '../src/netfilter/traverse.ts';
import { PLAIN } from '../src/report/paint.ts';
import { tracedInWorld, tracedOnHost, type Traced } from '../src/report/trace.ts';
import { linuxLine, printWord, type Twin } from '../src/report/twin.ts';
import { readScenario, run, type Scenario } from './scenario.ts';

/** All in which Linux differs from the model, or cannot be asked; for people. The answers that no line of the file asks for are heard too. */
export function differences(kernel: AskedKernel, scenario: Scenario): string[] {
  if (scenario.after !== undefined) return differencesOfLines(kernel, scenario);
  const [one, two] = scenario.network.hosts;
  const only = two === undefined ? one : undefined;
  const world = worldOnLinux(kernel, scenario, '');
  return complaints(traced(scenario), converseOnLinux(world, scenario.conversation, only?.name));
}

/** The same of the lines alone, each sent once: an answer that no line asks for would be remembered by what comes after it. */
export function differencesOfLines(kernel: AskedKernel, scenario: Scenario): string[] {
  const [first, ...later] = chainOf(scenario);
  if (first === undefined) return [];
  // The rules of a chain change while its connections stay: nobody else shall meet them.
  const world = worldOnLinux(kernel, { ...first, backend: scenario.backend }, scenario.path);
  world.flush();
  let exchanges = goOnWithLinux(world, first.conversation);
  for (const next of later) {
    world.reload(rulesetsOf(next));
    exchanges = goOnWithLinux(world, next.conversation);
  }
  const lines = tracedInWorld(run(scenario).exchanges).map(({ answer: _, ...line }) => line);
  return complaints(lines, exchanges);
}

/** What Linux says to rules, where it does not load them. */
export const refusalOnLinux = (kernel: AskedKernel, text: string, backend: Backend): Refusal | undefined =>
  kernel.runCase(kernel.world(backend, [BARE_HOST]), { [BARE_HOST.name]: { text4: text } }, []).refused;

const worldOnLinux = (kernel: AskedKernel, scenario: Scenario, variant: string): LinuxWorld =>
  new LinuxWorld(kernel, {
    network: scenario.network,
    rulesets: rulesetsOf(scenario),
    backend: scenario.backend,
    variant,
  });

/** The scenarios whose connections are still there, the first one first, and then itself. */
function chainOf(scenario: Scenario): Scenario[] {
  const { after, backend } = scenario;
  return after === undefined ? [scenario] : [...chainOf({ ...readScenario(after), backend }), scenario];
}

const rulesetsOf = ({ rules }: Scenario) => new Map([...rules].map(([host, { rulesets }]) => [host, rulesets]));

/** What the command `trace` shows of it. */
function traced(scenario: Scenario): readonly Traced[] {
  const { network, rules, backend, conversation } = scenario;
  const [only, other] = network.hosts;
  if (only === undefined || other !== undefined) return tracedInWorld(run(scenario).exchanges);
  const machine = machineOf(only, rules.get(only.name)?.rulesets ?? [], backend);
  return tracedOnHost(converse(machine, conversation), only.name);
}

function complaints(lines: readonly Traced[], exchanges: readonly LinuxExchange[]): string[] {
  return lines.flatMap(({ line, hops, answer }, at) => {
    const exchange = exchanges[at];
    if (exchange?.line !== line) return [`line ${line}: Linux has had another line`];
    const linux = linuxLine(exchange, hops, answer);
    return Object.entries(linux).flatMap(([what, twin]: [string, Twin]) =>
      twin.word === 'agrees' ? [] : [`line ${line}, ${what}: ${printWord(twin, VERSION, PLAIN, '').join('\n')}`],
    );
  });
}

const VERSION = { kernel: 'here', iptables: 'iptables' };
