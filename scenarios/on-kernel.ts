/**
 * A scenario on Linux itself: its conversation is held there, from host to host, beside the model's. Compared are, on each host, what left and where, what
 * processes got, conntrack's state, and each rule that was met.
 */
import type { Kernel } from '../src/kernel/client.ts';
import { converseOnLinux, goOnWithLinux, type LinuxExchange } from '../src/kernel/linux-conversation.ts';
import { LinuxWorld } from '../src/kernel/linux-world.ts';
import { converse } from '../src/network/converse.ts';
import { machineOf } from '../src/netfilter/traverse.ts';
import { PLAIN } from '../src/report/paint.ts';
import { tracedInWorld, tracedOnHost, type Traced } from '../src/report/trace.ts';
import { linuxLine, printWord, type Twin } from '../src/report/twin.ts';
import { readScenario, run, type Scenario } from './scenario.ts';

/** All in which Linux differs from the model, or cannot be asked; for people. */
export function differences(kernel: Kernel, scenario: Scenario): string[] {
  const { backend, conversation, path } = scenario;
  const [first, ...later] = chainOf(scenario);
  if (first === undefined) return [];
  // The rules of a chain change while its connections stay: nobody else shall meet them.
  const variant = later.length === 0 ? '' : path;
  const world = new LinuxWorld(kernel, { network: first.network, rulesets: rulesetsOf(first), backend, variant });
  if (later.length === 0) {
    const [one, two] = scenario.network.hosts;
    const only = two === undefined ? one : undefined;
    return complaints(traced(scenario), converseOnLinux(world, conversation, only?.name));
  }
  world.flush();
  goOnWithLinux(world, first.conversation);
  let exchanges: readonly LinuxExchange[] = [];
  for (const next of later) {
    world.reload(rulesetsOf(next));
    exchanges = goOnWithLinux(world, next.conversation);
  }
  // An answer that no line of the file asks for would be remembered by what comes after it.
  const asked = tracedInWorld(run(scenario).exchanges).map(({ answer: _, ...line }) => line);
  return complaints(asked, exchanges);
}

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
