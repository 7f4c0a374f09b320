/** Lives of which it is known what goes wrong in which release: there it does, and nothing else does. Together they meet every mark of the laws over time. */
import { afterAll, describe, expect, test } from 'vitest';
import { liveThrough, type Watcher } from '../../src/arbitrary/life.ts';
import { knownLives } from '../../src/cli/known-lives.ts';
import type { Release } from '../../src/deployment/deployment.ts';
import { isSince, RELEASES } from '../../src/deployment/release.ts';
import type { FlowGoneOn } from '../../src/invariant/living-flows.ts';
import { marksOf } from '../../src/invariant/over-time.ts';
import { openKernel } from '../../src/kernel/client.ts';
import { isAsked } from '../../src/kernel/linux-conversation.ts';
import { LinuxWorld, type LinuxWay } from '../../src/kernel/linux-world.ts';
import { availableKernel } from '../../src/kernel/probe.ts';
import type { Backend } from '../../src/kernel/protocol.ts';
import { answerFrom, isReached } from '../../src/network/walk.ts';
import type { Arrival } from '../../src/packet/packet.ts';

const lives = knownLives();

for (const life of lives)
  test.each(RELEASES)(`${life.name} in %s`, (release) => {
    const met = new Set<string>();
    const watcher: Watcher = {
      marked: (mark) => met.add(mark),
      unmarked: (law, { message }) => {
        throw new Error(`${law.id}: ${message}`);
      },
    };
    liveThrough(life.in(release), watcher, life.counting);
    expect([...met].sort()).toEqual(life.marks.filter((mark) => marksOf(release).includes(mark)).sort());
  });

test('every mark of every release is met', () => {
  const met = new Set(lives.flatMap(({ marks }) => marks));
  const known = new Set(RELEASES.flatMap(marksOf));
  expect([...known].filter((mark) => !met.has(mark))).toEqual([]);
  expect([...met].filter((mark) => !known.has(mark))).toEqual([]);
});

const { backends, mode } = availableKernel();

/** The flows that go on in any of the lives, in a release: what the model says of conntrack, Linux is asked about. */
function flowsIn(release: Release): readonly FlowGoneOn[] {
  const found: FlowGoneOn[] = [];
  for (const life of lives)
    liveThrough(
      life.in(release),
      {
        marked: (_, { flow }) => {
          if (flow !== undefined) found.push(flow);
        },
        unmarked: () => undefined,
      },
      false,
    );
  return found;
}

describe.runIf(backends.length > 0)('Linux lets it go on', () => {
  const kernel = openKernel(mode === undefined ? {} : { mode });
  afterAll(() => {
    kernel.close();
  });

  const said = (world: LinuxWorld, { packet, entry, ...rest }: Arrival): LinuxWay => {
    const way = world.send(entry.host ?? '', { packet, entry, ...rest });
    if (!isAsked(way)) throw new Error(way.notAsked);
    expect(way.hops.filter(({ difference }) => difference !== undefined)).toEqual([]);
    return way;
  };

  const endsOf = ({ ends }: LinuxWay): unknown =>
    ends.map((end) => (isReached(end) ? [end.kind, end.packet.saddr, end.packet.daddr, end.packet.dport] : end.kind));

  describe.each(backends)('%s', (backend: Backend) => {
    test.each(RELEASES)('%s', (release) => {
      const flows = flowsIn(release);
      expect(new Set(flows.map(({ taken }) => taken)).size).toBe(isSince(release, 'grizzly') ? 3 : 2);
      for (const { network, before, then, opening, later, end } of flows) {
        const world = new LinuxWorld(kernel, { network, rulesets: before, backend });
        world.flush();
        const [first] = said(world, opening).ends;
        const reply = first && answerFrom(network, first);
        if (reply === undefined) throw new Error('nobody answers');
        said(world, { ...reply.arrival, entry: { ...reply.arrival.entry, host: reply.host } });
        world.reload(then);
        const { saddr, daddr, dport } = end.packet;
        expect(endsOf(said(world, later))).toEqual([[end.kind, saddr, daddr, dport]]);
        // And it could not begin so.
        world.flush();
        expect(endsOf(said(world, opening))).not.toEqual([[end.kind, saddr, daddr, dport]]);
      }
    });
  });
});
