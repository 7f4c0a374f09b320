/** A packet's way over several hosts, in the networks of random deployments with the reference's rules. */
import { expect } from 'vitest';
import { isLinkLocal, type Address } from '../src/address/address.ts';
import { sysctlOf } from '../src/host/host.ts';
import { INDEX, at } from '../src/arbitrary/choice.ts';
import { deploymentFileArb } from '../src/arbitrary/deployment.ts';
import type { DeploymentText } from '../src/deployment/schema.ts';
import { randomFrom } from '../src/judge/random.ts';
import type { Attachment, Network, Station } from '../src/network/network.ts';
import { answer, copyWorld, freshWorld, isReached, send, type Way } from '../src/network/walk.ts';
import { printArrival, printPacket } from '../src/packet/notation.ts';
import type { Arrival, Packet } from '../src/packet/packet.ts';
import { setOf } from '../src/packet/pattern.ts';
import { samplerOf } from '../src/packet/sample.ts';
import { DEPLOYMENT, prepare, type Prepared } from './support/deployment.ts';
import { printWay } from './support/ending.ts';
import { law } from './support/law.ts';

const PACKETS = 16;

interface Sent {
  readonly host: string;
  readonly arrival: Arrival;
  /** The instance that sends it, where one does. */
  readonly by?: Station;
}

/** What instances and hosts send of their own, with their own addresses, to everybody who has one here and to the world. */
function packetsFrom({ deployment, network, aim }: Prepared, seed: number): readonly Sent[] {
  const random = randomFrom(seed);
  const floating = deployment.floatingIps.map(({ address }) => address);
  const instances = network.stations.filter(({ kind, at: where }) => kind === 'instance' && 'host' in where);
  const addresses = [
    ...network.stations.flatMap((station) => station.addresses),
    ...network.hosts.flatMap(({ interfaces }) =>
      interfaces.flatMap((own) => own.addresses.map(({ address }) => address)),
    ),
    ...aim.addresses,
  ];
  const draw = (saddr: Address): Packet | undefined =>
    samplerOf(setOf({ family: typeof saddr === 'number' ? 4 : 6, saddr: [{ from: saddr, to: saddr }] }), {
      addresses,
      ports: aim.ports,
    })?.(random).packet;
  return Array.from({ length: PACKETS }, (_, count): readonly Sent[] => {
    if (count % 4 === 3 || instances.length === 0) {
      const host = at(network.hosts, random());
      // A link-local address means nothing without its device, which an entry `local` does not name; a floating IP is its instance's, and
      // what conntrack does not know is answered there.
      const own = host.interfaces
        .flatMap((device) => device.addresses.map(({ address }) => address))
        .filter((address) => !isLinkLocal(address) && !floating.includes(address));
      const packet = draw(at(own, random()));
      return packet === undefined ? [] : [{ host: host.name, arrival: { packet, entry: { kind: 'local' } } }];
    }
    const by = at(instances, random());
    if (!('host' in by.at)) return [];
    const packet = draw(at(by.addresses, random()));
    if (packet === undefined) return [];
    const arrival: Arrival = { packet: { ...packet, smac: by.mac }, entry: { kind: 'in', interface: by.at.interface } };
    return [{ host: by.at.host, arrival, by }];
  }).flat();
}

const areOnOneLink = ({ links }: Network, one: Attachment, other: Attachment): boolean =>
  links.some(({ attachments }) =>
    [one, other].every((end) =>
      attachments.some((known) => known.host === end.host && known.interface === end.interface),
    ),
  );

/** Each hop but the first goes on where an exit of an earlier one ended, with that packet. */
function expectContinuous(network: Network, way: Way): void {
  way.hops.slice(1).forEach(({ host, entry, journey }, index) => {
    if (entry.kind !== 'in') throw new Error(`a process of ${host} cannot go on with a packet`);
    const here: Attachment = { host, interface: entry.interface };
    const { smac: _smac, dmac: _dmac, ...packet } = journey.packet;
    const from = way.hops
      .slice(0, index + 1)
      .some((hop) =>
        hop.journey.exits.some(
          (exit) =>
            areOnOneLink(network, { host: hop.host, interface: exit.port ?? exit.oif }, here) &&
            printPacket({ ...exit.packet, mark: 0 }) === printPacket(packet) &&
            exit.frame.dmac === journey.packet.dmac,
        ),
      );
    expect(from, [`hop ${index + 2} comes from nowhere`, ...printWay(way)].join('\n')).toBe(true);
  });
}

const holdersOf = ({ hosts, stations }: Network, address: Address): number =>
  hosts.filter(({ interfaces }) => interfaces.some((own) => own.addresses.some((one) => one.address === address)))
    .length + stations.filter(({ addresses }) => addresses.includes(address)).length;

law<[DeploymentText, number]>(
  'network/every-hop-goes-on-where-another-ended',
  [deploymentFileArb(), INDEX],
  (file, seed, seen) => {
    const context = prepare(file);
    const world = freshWorld(context.worlds['as-given']);
    for (const { host, arrival } of packetsFrom(context, seed)) {
      const way = send(world, host, arrival);
      expectContinuous(context.network, way);
      expect(way.hops[0]?.host).toBe(host);
      for (const { journey } of way.hops) {
        const isGone = journey.exits.length + journey.deliveries.length === 0;
        expect(isGone).toBe(journey.fate.kind !== 'delivered' && journey.fate.kind !== 'forwarded');
      }
      const lost = way.hops.filter(({ journey }) => journey.exits.length + journey.deliveries.length === 0);
      expect(way.ends.filter((end) => !isReached(end)).length).toBeGreaterThanOrEqual(lost.length);
      const delivered = way.hops.flatMap(({ journey }) => journey.deliveries);
      expect(way.ends.filter(({ kind }) => kind === 'process').length).toBe(delivered.length);
      if (way.hops.length > 1) seen('several hosts');
      for (const { kind } of way.ends) if (kind !== 'undecided') seen(kind);
      if (way.ends.length > 1) seen('several copies');
    }
    return true;
  },
  {
    runs: 80,
    stored: DEPLOYMENT,
    cover: {
      'several hosts': { atLeast: 20 },
      'several copies': { atLeast: 10 },
      process: { atLeast: 40 },
      instance: { atLeast: 20 },
      outside: { atLeast: 30 },
      dropped: { atLeast: 30 },
      rejected: { atLeast: 0 },
    },
  },
);

/** A host that bridges past its rules has not seen the flow: it may translate the answer as a flow of its own, to whoever that then reaches. */
const wasBridgedUnseen = ({ hosts }: Network, way: Way): boolean =>
  way.hops.some(
    ({ host, entry }) =>
      entry.kind === 'in' &&
      hosts.some(
        (one) =>
          one.name === host &&
          one.bridges.some(({ ports }) => ports.some(({ name }) => name === entry.interface)) &&
          sysctlOf(one, 'net.bridge.bridge-nf-call-iptables') === 0,
      ),
  );

law<[DeploymentText, number]>(
  'network/no-instance-or-host-gets-the-answer-but-who-asked',
  [deploymentFileArb(), INDEX],
  (file, seed, seen) => {
    const context = prepare(file);
    for (const { host, arrival, by } of packetsFrom(context, seed)) {
      const world = freshWorld(context.worlds['as-given']);
      const way = send(world, host, arrival);
      // Whoever gets a broadcast answers from an address of his own, which a mirrored packet cannot show.
      const [first, copy] = way.ends;
      const back = first === undefined || copy !== undefined ? undefined : answer(copyWorld(world), first);
      if (back === undefined) continue;
      // With multi_host every host has the gateway's address, and answers go to the nearest.
      if (holdersOf(context.network, arrival.packet.saddr) > 1) continue;
      for (const end of back.ends.filter(isReached)) {
        // A host that has no route to a fixed network sends the answer into the world.
        if (end.kind === 'outside') continue;
        const isSender =
          by === undefined
            ? end.kind === 'process' && end.host === host
            : end.kind === 'instance' && end.name === by.name;
        if (isSender) seen('the sender has it');
        else if (wasBridgedUnseen(context.network, way)) seen('bridged unseen');
        else
          throw new Error(
            [`${printArrival(arrival)}, entering ${host}`, ...printWay(way), 'its answer:', ...printWay(back)].join(
              '\n',
            ),
          );
      }
      seen('answered');
      if (way.hops.length > 1) seen('over several hosts');
    }
    return true;
  },
  {
    runs: 80,
    stored: DEPLOYMENT,
    cover: {
      answered: { atLeast: 80 },
      'the sender has it': { atLeast: 80 },
      'over several hosts': { atLeast: 25 },
      'bridged unseen': { atLeast: 0 },
    },
  },
);

law<[DeploymentText, number]>(
  'network/the-same-packets-take-the-same-way',
  [deploymentFileArb(), INDEX],
  (file, seed, seen) => {
    const { worlds, ...context } = prepare(file);
    const one = freshWorld(worlds['as-given']);
    const other = freshWorld(worlds['as-given']);
    for (const { host, arrival } of packetsFrom({ worlds, ...context }, seed)) {
      const copy = copyWorld(one);
      const way = printWay(send(one, host, arrival));
      expect(printWay(send(other, host, arrival))).toEqual(way);
      expect(printWay(send(copy, host, arrival)), 'of a copy').toEqual(way);
      // What the copy sees from now on is no business of the others.
      send(copy, host, arrival);
      if (way.length > 2) seen('a way');
    }
    return true;
  },
  { runs: 40, stored: DEPLOYMENT, cover: { 'a way': { atLeast: 30 } } },
);
