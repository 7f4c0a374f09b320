/**
 * What Linux did with a packet, in the words in which the model tells its own: a journey of steps, exits and deliveries. So a packet can be followed from
 * host to host on Linux, and judged, by the same functions. Pure.
 */
import { bridgeOfPort, type Host } from '../host/host.ts';
import type { Exit, Fate, Journey, Step } from '../netfilter/journey.ts';
import { isIcmpError, RST, TCP, type ConntrackState, type Packet } from '../packet/packet.ts';
import { decodeFrame, decodePacket } from '../packet/wire.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { joinFragments } from './fragment-join.ts';
import { normalizeTrace, type ObservedStep } from './normalize.ts';
import type { Observation } from './protocol.ts';

/** What was sent, and what was seen of it. */
export interface Observed {
  readonly host: Host;
  /** The host's rules, as they were given: policies of tables that they do not name are no steps. */
  readonly rulesets: readonly Ruleset[];
  /** The packet as it was sent, with the frame's addresses. */
  readonly packet: Packet;
  readonly local: boolean;
  /** conntrack is on, and puts fragments together. */
  readonly tracked: boolean;
  /** UNTRACKED also where the kernel does not tell. */
  readonly state: ConntrackState;
  readonly observation: Observation;
}

export function observedJourney(observed: Observed): Journey {
  const { host, rulesets, packet, local, state, observation } = observed;
  const { steps, consequences } = normalizeTrace(observation.trace, rulesets, local);
  const allExits = exitsOf(observed);
  const allDeliveries = observation.local.flatMap((delivery) => {
    const decoded = decodePacket(Buffer.from(delivery.packet, 'hex'));
    return 'reason' in decoded ? [] : [{ ...decoded, mark: delivery.mark }];
  });
  const isAnswer = (other: Packet): boolean => isMadeBecauseOf(packet, other);
  const exits = allExits.filter((exit) => !isAnswer(exit.packet));
  const deliveries = allDeliveries.filter((delivery) => !isAnswer(delivery));
  const own = stepsOf(steps, host, rulesets, packet);
  const made = consequencesOf(
    consequences.map((one) => stepsOf(one, host, rulesets, packet)),
    allExits.filter((exit) => isAnswer(exit.packet)),
    allDeliveries.filter(isAnswer),
  );
  return {
    packet,
    state,
    steps: own,
    fate: fateOf({ exits, deliveries, steps: own, observation }),
    exits,
    deliveries,
    consequences: made,
  };
}

/** An icmp error or a reset, where the packet itself was none: no error is sent about an error, and no reset in answer to one. */
const isMadeBecauseOf = (packet: Packet, other: Packet): boolean =>
  (isIcmpError(other) && !isIcmpError(packet)) ||
  (isReset(other) && !isReset(packet)) ||
  // A packet never changes its protocol on its way.
  other.protocol !== packet.protocol;

const isReset = ({ protocol, flags }: Packet): boolean => protocol === TCP && (flags & RST) !== 0;

function exitsOf({ host, packet, tracked, observation }: Observed): Exit[] {
  const frames = observation.exits
    .filter((exit) => exit.host === host.name)
    .map(({ dev, frame }) => ({ dev, octets: Buffer.from(frame, 'hex') }));
  // A fragment that nobody reassembles leaves as it came.
  const whole = packet.fragment !== undefined && !tracked ? frames : joinFragments(frames);
  return whole.flatMap(({ dev, octets }) => {
    const decoded = decodeFrame(octets);
    if ('reason' in decoded) return [];
    const { smac = '', dmac = '', ...left } = decoded;
    const bridge = bridgeOfPort(host, dev);
    return [
      { oif: bridge?.name ?? dev, ...(bridge === undefined ? {} : { port: dev }), packet: left, frame: { smac, dmac } },
    ];
  });
}

/**
 * The kernel tells of the packet before a rule's target, and not at every rule: what is missing is as it was at the step before. Legacy tells of every step, nf_tables once
 * a chain.
 */
function stepsOf(
  steps: readonly ObservedStep[],
  host: Host,
  rulesets: readonly Ruleset[],
  packet: Packet,
): readonly Step[] {
  const { smac: _smac, dmac: _dmac, ...bare } = packet;
  let seen: Packet = bare;
  return steps
    .map((step): Step => {
      seen = step.packet ?? seen;
      return { ...withoutStrangePorts(step, host), packet: seen };
    })
    .filter(
      ({ rule, table }) =>
        rule !== 'policy' || rulesets.some((ruleset) => ruleset.family === seen.family && ruleset.tables.has(table)),
    );
}

/** NFLOG names the device itself as bridge port of a packet that came in by none. */
function withoutStrangePorts({ physin, ...step }: ObservedStep, host: Host): ObservedStep {
  return physin === undefined || bridgeOfPort(host, physin) === undefined ? step : { ...step, physin };
}

/** Which packet left because of which trace nobody says: they are told in the order in which they were seen. */
function consequencesOf(
  traces: readonly (readonly Step[])[],
  exits: readonly Exit[],
  deliveries: readonly Packet[],
): Journey[] {
  const count = Math.max(traces.length, exits.length + deliveries.length);
  return Array.from({ length: count }, (_, at): Journey[] => {
    const steps = traces[at] ?? [];
    const exit = exits[at];
    const delivery = exit === undefined ? deliveries[at - exits.length] : undefined;
    const packet = steps[0]?.packet ?? exit?.packet ?? delivery;
    if (packet === undefined) return [];
    const ends = {
      exits: exit === undefined ? [] : [exit],
      deliveries: delivery === undefined ? [] : [delivery],
    };
    const fate = fateOf({ ...ends, steps });
    return [{ packet, state: 'RELATED', steps, fate, ...ends, consequences: [] }];
  }).flat();
}

interface Ended {
  readonly exits: readonly Exit[];
  readonly deliveries: readonly Packet[];
  readonly steps: readonly Step[];
  readonly observation?: Observation;
}

function fateOf({ exits, deliveries, steps, observation }: Ended): Fate {
  const [delivered] = deliveries;
  if (delivered !== undefined) return { kind: 'delivered', packet: delivered };
  const [exit] = exits;
  if (exit !== undefined) {
    const port = exits.length === 1 && exit.port !== undefined ? { port: exit.port } : {};
    return { kind: 'forwarded', oif: exit.oif, ...port, packet: exit.packet };
  }
  const last = steps.at(-1);
  const line = last?.line === undefined ? {} : { line: last.line };
  if (last?.target === 'REJECT') return { kind: 'rejected', ...line };
  if (last?.target === 'DROP') return { kind: 'dropped', ...line };
  const after = last === undefined ? 'before any rule' : `after ${last.hook}`;
  const errno = observation?.errno === undefined ? '' : `, and the process was told ${observation.errno}`;
  return { kind: 'dropped', reason: `by Linux itself, ${after}${errno}` };
}
