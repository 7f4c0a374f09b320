/**
 * What the groups of each instance admit, proved of the rules for every packet: the diagram of the rules, asked for one destination, is the same node as
 * the one that is made here from the topology alone.
 */
import type { Node } from '../src/space/diagram.ts';
import { NO, YES } from '../src/space/diagram.ts';
import type { Layout } from '../src/space/layout.ts';
import { NOT_SEEN, single, stateNumber } from '../src/space/layout.ts';
import type { Space } from '../src/space/space.ts';
import { ICMP, TCP, UDP } from '../src/packet/packet.ts';
import { instanceAddress, type GroupRule, type NovaShape } from './rulesets.ts';

const NUMBERS = { tcp: TCP, udp: UDP, icmp: ICMP } as const;

interface Test {
  readonly source?: { readonly address: number; readonly length: number };
  readonly protocol?: number;
  readonly sport?: number;
  readonly ports?: { readonly from: number; readonly to: number };
}

function packets(layout: Layout, { source, protocol, sport, ports }: Test): Node {
  let node = YES;
  if (sport !== undefined) node = layout.chooseNumbers('sport', single(sport), node, NO);
  if (ports !== undefined) node = layout.chooseNumbers('dport', [ports], node, NO);
  if (protocol !== undefined) node = layout.chooseNumbers('protocol', single(protocol), node, NO);
  if (source === undefined) return node;
  const range = { from: source.address, to: source.address + 2 ** (32 - source.length) - 1 };
  return layout.chooseAddresses('saddr', [range], node, NO);
}

/** How many instances admit anything else than their groups say. `verdicts` is what FORWARD makes of every packet. */
export function unproved(space: Space, verdicts: Node, { instances }: NovaShape): number {
  const { layout, outcomes } = space;
  const { diagrams } = layout;
  const accepted = outcomes.node({ kind: 'accepted' });
  const dropped = outcomes.node({ kind: 'dropped' });
  const provider = diagrams.orAll([
    packets(layout, { source: { address: 0xc6336400, length: 24 }, protocol: TCP, ports: { from: 25, to: 25 } }),
    packets(layout, { source: { address: 0xcb007142, length: 32 } }),
    packets(layout, { protocol: UDP, ports: { from: 1900, to: 1900 } }),
  ]);
  const always = diagrams.or(
    packets(layout, {
      source: { address: 0x0a000001, length: 32 },
      protocol: UDP,
      sport: 67,
      ports: { from: 68, to: 68 },
    }),
    packets(layout, { source: { address: 0x0a000000, length: 24 } }),
  );
  const known = new Map<GroupRule, Node>();
  const setOf = (rule: GroupRule): Node => {
    const made = known.get(rule) ?? packets(layout, { ...rule, protocol: NUMBERS[rule.protocol] });
    known.set(rule, made);
    return made;
  };
  const answers = [{ from: stateNumber('ESTABLISHED'), to: stateNumber('RELATED') }];
  const invalid = layout.chooseValues('ct', [stateNumber('INVALID'), NOT_SEEN], YES, NO);
  return instances.filter((rules, index) => {
    const admitted = diagrams.less(diagrams.orAll([always, ...rules.map(setOf)]), provider);
    const fresh = diagrams.ifThenElse(admitted, accepted, dropped);
    const expected = diagrams.ifThenElse(
      invalid,
      dropped,
      diagrams.ifThenElse(layout.chooseNumbers('ct', answers, YES, NO), accepted, fresh),
    );
    return layout.restrictAddress(verdicts, 'daddr', instanceAddress(index)) !== expected;
  }).length;
}
