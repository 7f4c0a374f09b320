/** The way of all packets through a host has each packet's way in it, and no other. */
import { expect } from 'vitest';
import { at, INDEX } from '../src/arbitrary/choice.ts';
import { worldCase, type WorldCase } from '../src/arbitrary/world.ts';
import type { Link } from '../src/network/network.ts';
import type { Journey } from '../src/netfilter/journey.ts';
import { arrive, machineOf } from '../src/netfilter/traverse.ts';
import { printArrival } from '../src/packet/notation.ts';
import { isIcmpError, type Arrival, type Packet } from '../src/packet/packet.ts';
import type { Cell } from '../src/space/cell.ts';
import { YES } from '../src/space/diagram.ts';
import { Ground } from '../src/space/ground.ts';
import { pointOfArrival, portsOf, type Point } from '../src/space/point.ts';
import { memberAt, type Value } from '../src/space/value.ts';
import { devicesOf } from '../src/space/vocabulary.ts';
import { WaySpace, type CellEnd } from '../src/space/way.ts';
import { wellFormed } from '../src/space/well-formed.ts';
import { law, type Seen } from './support/law.ts';
import { storedCase } from './support/case.ts';
import { addressOfWords, type AddressField } from '../src/space/layout.ts';

const isWhole = ({ packet }: Arrival): boolean =>
  packet.fragment === undefined && !packet.badsum && packet.quoted === undefined && !isIcmpError(packet);

/** What a cell says of one packet: its value now, or the range of which the kernel chooses. */
function valueNow({ layout }: Ground, value: Value, point: Point): { from: number | bigint; to: number | bigint } {
  if (value.kind === 'any') return value;
  if (value.kind === 'is') return { from: value.value, to: value.value };
  if (value.kind === 'each') {
    const own = value.values[memberAt(layout.diagrams.evaluate(value.by, point.at))];
    return { from: own ?? -1, to: own ?? -1 };
  }
  if (value.field.endsWith('addr')) {
    const words = layout
      .wordLevels(value.field as AddressField)
      .map((level, index) => point.at(level) + (value.plus[index] ?? 0));
    const address = addressOfWords(layout.family, words);
    return { from: address, to: address };
  }
  const number = point.at(layout.level(value.field)) + (value.plus[0] ?? 0);
  return { from: number, to: number };
}

/** A packet looks as a cell says. */
function looksSo(ground: Ground, { header, mark }: Cell, packet: Packet, point: Point): boolean {
  const { sport, dport } = portsOf(packet);
  const has = (value: Value, seen: number | bigint): boolean => {
    const { from, to } = valueNow(ground, value, point);
    return from <= seen && seen <= to;
  };
  return (
    has(header.saddr, packet.saddr) &&
    has(header.daddr, packet.daddr) &&
    has(header.sport, sport) &&
    has(header.dport, dport) &&
    has(header.ttl, packet.ttl) &&
    mark === packet.mark
  );
}

const placeOf = (end: Extract<CellEnd, { kind: 'reached' }>): string =>
  end.place.kind === 'process' ? 'process' : end.place.at.interface;

function expectAlike(ground: Ground, journey: Journey, ends: readonly CellEnd[], point: Point, told: string): void {
  const reached = ends.filter((end) => end.kind === 'reached');
  const met = [
    ...journey.deliveries.map((packet) => ({ place: 'process', packet })),
    ...journey.exits.map(({ oif, port, packet }) => ({ place: port ?? oif, packet })),
  ];
  const left = [...reached];
  for (const { place, packet } of met) {
    const index = left.findIndex((end) => placeOf(end) === place && looksSo(ground, end.cell, packet, point));
    expect(index, `${told}: it came to ${place}, where no cell has it`).toBeGreaterThanOrEqual(0);
    left.splice(index, 1);
  }
  expect(left.map(placeOf), `${told}: it came nowhere else`).toEqual([]);
  if (met.length === 0)
    expect(
      ends.map(({ kind }) => kind),
      told,
    ).toContain(journey.fate.kind);
}

/** The world behind each device. */
const wireAt = (host: string, name: string): Link => ({
  name,
  attachments: [{ host, interface: name }],
  outside: true,
});

const stored = storedCase<[number]>();

const COVER = {
  delivered: { atLeast: 8 },
  forwarded: { atLeast: 8 },
  dropped: { atLeast: 8 },
  translated: { atLeast: 4 },
  bridged: { atLeast: 4 },
  rejected: { atLeast: 1 },
  'in doubt': { atLeast: 1 },
  'undecided by sets': { atLeast: 0 },
} as const;

function tell(journey: Journey, seen: Seen): void {
  if (journey.fate.kind !== 'undecided') seen(journey.fate.kind);
  const [exit] = journey.exits;
  if (exit?.port !== undefined) seen('bridged');
  const end = exit?.packet ?? journey.deliveries[0];
  if (end !== undefined && (end.daddr !== journey.packet.daddr || end.saddr !== journey.packet.saddr))
    seen('translated');
}

law<[WorldCase, number]>(
  'space/the-way-of-all-packets-is-the-way-of-each',
  [worldCase({ rules: 30, moves: 8, loose: true, unmodelled: 2 }), INDEX],
  (drawn, draw, seen) => {
    const arrivals = drawn.moves.flatMap((move) => ('arrival' in move ? [move.arrival] : [])).filter(isWhole);
    const [first] = arrivals;
    if (first === undefined) return true;
    const { family } = first.packet;
    const { host, rulesets, backend } = drawn;
    const network = { hosts: [host], links: devicesOf(host).map((name) => wireAt(host.name, name)), stations: [] };
    const ofFamily = rulesets.filter((own) => own.family === family);
    const ground = new Ground({ family, backend, network, rulesets: ofFamily, joins: true });
    const ways = new WaySpace(ground, new Map([[host.name, rulesets]]));
    const { layout } = ground;
    const all = wellFormed(layout);
    const chosen = at(arrivals, draw);
    for (const arrival of [first, chosen]) {
      const { packet, entry, state } = arrival;
      if (packet.family !== family) continue;
      const ends = ways.send(host.name, entry, all, {
        mark: packet.mark,
        smac: packet.smac ?? '',
        dmac: packet.dmac ?? '',
        ...(state === undefined ? {} : { state }),
      });
      for (const other of arrivals) {
        // Whatever enters there, with the same mark and frame.
        const same = { ...other.packet, mark: packet.mark };
        const { smac: _smac, dmac: _dmac, ...bare } = same;
        const framed = {
          ...bare,
          ...(packet.smac === undefined ? {} : { smac: packet.smac }),
          ...(packet.dmac === undefined ? {} : { dmac: packet.dmac }),
        };
        const sent: Arrival = { packet: framed, entry, ...(state === undefined ? {} : { state }) };
        const point = pointOfArrival(layout, sent);
        const journey = arrive(machineOf(host, rulesets, backend), sent);
        tell(journey, seen);
        const told = `${printArrival(sent)} ${journey.fate.kind} ${journey.fate.reason ?? ''}`;
        if (journey.fate.kind === 'undecided') seen('in doubt');
        // Each reading of what is not known has a way of its own.
        for (const reading of [0, 1, draw]) {
          const valueAt = (level: number): number =>
            level < layout.floor ? point.at(level) : (reading >> ((level - layout.floor) % 16)) & 1;
          const own = ends.filter(({ cell }) => layout.diagrams.evaluate(cell.region, valueAt) === YES);
          if (own.some(({ kind }) => kind === 'undecided')) seen('undecided by sets');
          else if (journey.fate.kind !== 'undecided') expectAlike(ground, journey, own, point, told);
        }
      }
    }
    return true;
  },
  { cover: COVER, runs: 60, stored },
);
