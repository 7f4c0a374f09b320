/** Sets of packets between their two forms: the boxes of the SET notation (packet/pattern.ts), and diagrams. */
import type { Ranges } from '../address/ranges.ts';
import { intersectRanges, normalizeRanges, subtractRanges } from '../address/ranges.ts';
import { CONNTRACK_STATES, DCCP, icmpOf, SCTP, TCP, UDP, UDPLITE } from '../packet/packet.ts';
import type { NameSet, PacketSet, Pattern } from '../packet/pattern.ts';
import {
  ANY_ENTRY,
  ANY_OCTET,
  entrySetOf,
  nameSet,
  nameSetHas,
  patternOf,
  sameEntry,
  simplifySet,
} from '../packet/pattern.ts';
import { parseSet } from '../packet/set-notation.ts';
import type { Origin } from '../packet/reader.ts';
import { mergeBoxes, partsOf, type Box } from './box.ts';
import { NO, YES, type Node } from './diagram.ts';
import { NOT_SEEN, type AddressField, type Field, type Layout } from './layout.ts';
import type { Names } from './names.ts';

const PORT_PROTOCOLS: Ranges<number> = normalizeRanges(
  [TCP, UDP, DCCP, SCTP, UDPLITE].map((value) => ({ from: value, to: value })),
);

/** How an entry is named in the alphabet of entries. */
export const entryKey = (kind: 'in' | 'local', name: string): string => `${kind} ${name}`;

/** Both kinds have names that nobody lists. */
export const OTHER_ENTRIES: readonly string[] = ['in +', 'local +'];

/** The names of entries that a set speaks of, for the alphabet of entries. */
export const entriesNamed = (set: PacketSet): readonly string[] =>
  set.boxes.flatMap(({ entry }) =>
    (['in', 'local'] as const).flatMap((kind) => entry[kind].names.map((name) => entryKey(kind, name))),
  );

type Transports = Map<Ranges<number>, { readonly box: Pattern; readonly node: Node }>;

/** What a layout has been told of the lists in boxes, by the lists themselves: sets of many claims have the same ones. */
interface Kept {
  /** By protocols and ports: of all that a box says beside its addresses, the last box, and its diagram. */
  readonly transports: Map<Ranges<number>, Transports>;
  /** By sources, and by what their packets are besides. */
  readonly sources: Map<Ranges, Map<Node, Node>>;
}

const keptOf = new WeakMap<Layout, Kept>();

function valueAt<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

/** The diagram of a set: its boxes of the layout's family, and of those packets only these. Fields that sets do not speak of are free. */
export function fromSet(layout: Layout, set: PacketSet, within: Node = YES): Node {
  const { diagrams } = layout;
  const kept: Kept = keptOf.get(layout) ?? {
    transports: new Map<Ranges<number>, Transports>(),
    sources: new Map<Ranges, Map<Node, Node>>(),
  };
  keptOf.set(layout, kept);
  // Boxes of the same addresses are put together first: what is said of the addresses, which may be long, is then said once.
  const alike = new Map<Ranges, Map<Ranges, Node[]>>();
  for (const box of set.boxes) {
    if (box.family !== layout.family) continue;
    const bySource = valueAt(alike, box.daddr, () => new Map<Ranges, Node[]>());
    valueAt(bySource, box.saddr, (): Node[] => []).push(withoutAddresses(layout, box, kept));
  }
  const among = (field: AddressField, ranges: Ranges, node: Node): Node => {
    if (node === NO) return NO;
    const isBelow = diagrams.levelOf(node) > Math.max(...layout.wordLevels(field));
    return ranges.length === 1 && isBelow
      ? layout.chooseAddresses(field, ranges, node, NO)
      : diagrams.and(layout.addresses(field, ranges), node);
  };
  const from = (saddr: Ranges, node: Node): Node =>
    valueAt(
      valueAt(kept.sources, saddr, () => new Map<Node, Node>()),
      node,
      () => among('saddr', saddr, node),
    );
  return diagrams.orAll(
    [...alike].map(([daddr, bySource]) => {
      // What has many edges comes last: all that is put together with it has as many.
      const few: Node[] = [];
      const many: Node[] = [];
      for (const [saddr, boxes] of bySource)
        (saddr.length > 1 ? many : few).push(from(saddr, diagrams.and(diagrams.orAll(boxes), within)));
      return among('daddr', daddr, diagrams.or(diagrams.orAll(few), diagrams.orAll(many)));
    }),
  );
}

function withoutAddresses(layout: Layout, box: Pattern, { transports }: Kept): Node {
  const byPorts = valueAt(transports, box.dport, (): Transports => new Map());
  const last = byPorts.get(box.protocol);
  if (last !== undefined && BESIDE_ADDRESSES.every((field) => last.box[field] === box[field])) return last.node;
  const node = transportOf(layout, box);
  byPorts.set(box.protocol, { box, node });
  return node;
}

const BESIDE_ADDRESSES = ['protocol', 'dport', 'sport', 'flags', 'type', 'code', 'entry', 'states'] as const;

function transportOf(layout: Layout, box: Pattern): Node {
  let node = YES;
  const numbers = (field: Field, ranges: Ranges<number>): void => {
    node = layout.chooseNumbers(field, ranges, node, NO);
  };
  // Anywhere says nothing.
  if (!sameEntry(box.entry, ANY_ENTRY)) numbers('entry', entryNumbers(layout.alphabets.entries, box));
  numbers('flags', box.flags);
  numbers('sport', box.sport);
  const { type, code } = box;
  if (type.length === 1 && code.length === 1 && isAll(type) && isAll(code)) numbers('dport', box.dport);
  else numbers('dport', typeCodes(type, code));
  numbers('protocol', box.protocol);
  // What conntrack has not seen yet is in no state, so a set of all states leaves the level free.
  if (box.states.length < CONNTRACK_STATES.length)
    node = layout.chooseValues(
      'ct',
      box.states.map((state) => CONNTRACK_STATES.indexOf(state)),
      node,
      NO,
    );
  return node;
}

const isAll = (ranges: Ranges<number>): boolean => ranges[0]?.from === 0 && ranges[0].to === ANY_OCTET[0]?.to;

export const typeCodes = (types: Ranges<number>, codes: Ranges<number>): Ranges<number> =>
  normalizeRanges(
    types.flatMap(({ from, to }) =>
      isAll(codes)
        ? [{ from: from * 256, to: to * 256 + 255 }]
        : Array.from({ length: to - from + 1 }, (_, index) => (from + index) * 256).flatMap((base) =>
            codes.map((code) => ({ from: base + code.from, to: base + code.to })),
          ),
    ),
  );

function entryNumbers(entries: Names, { entry }: Pattern): Ranges<number> {
  const held: number[] = [];
  for (let number = 0; number <= entries.max; number++) {
    const name = entries.nameOf(number);
    const kind = name.startsWith('in ') ? 'in' : name.startsWith('local ') ? 'local' : undefined;
    if (kind !== undefined && nameSetHas(entry[kind], name.slice(kind.length + 1))) held.push(number);
  }
  return normalizeRanges(held.map((value) => ({ from: value, to: value })));
}

/** A box of a diagram, in the notation's fields, and whether that says all of it: marks, devices and the like have no place in a set. */
export interface ReadBox {
  readonly patterns: readonly Pattern[];
  readonly complete: boolean;
}

const SET_FIELDS: ReadonlySet<string> = new Set([
  'daddr',
  'saddr',
  'protocol',
  'dport',
  'sport',
  'flags',
  'entry',
  'ct',
]);

export function patternsOf(layout: Layout, box: Box): ReadBox {
  const { family } = layout;
  const numbers = (field: Field): Ranges<number> | undefined => box.fields.get(field) as Ranges<number> | undefined;
  const protocol = numbers('protocol') ?? ANY_OCTET;
  const [dport, sport, flags, ct] = [numbers('dport'), numbers('sport'), numbers('flags'), numbers('ct')];
  const entry = numbers('entry');
  const saddr = box.fields.get('saddr');
  const daddr = box.fields.get('daddr');
  const base = {
    family,
    ...(saddr !== undefined && { saddr }),
    ...(daddr !== undefined && { daddr }),
    // What conntrack has not seen is in none of the states that a set can name.
    ...(ct !== undefined &&
      ct[0]?.from !== NOT_SEEN && { states: CONNTRACK_STATES.filter((_, state) => hasNumber(ct, state)) }),
    ...(entry !== undefined && { entry: entrySetOfNumbers(layout.alphabets.entries, entry) }),
  };
  // A box may be of protocols that have ports and of others: what a field says is said of those that have it.
  const patterns: (Pattern | undefined)[] = [];
  if (dport === undefined && sport === undefined && flags === undefined)
    patterns.push(patternOf({ ...base, protocol }));
  else {
    const tcp = [{ from: TCP, to: TCP }];
    const icmp = [{ from: icmpOf(family), to: icmpOf(family) }];
    const ports = { ...(dport !== undefined && { dport }), ...(sport !== undefined && { sport }) };
    if (flags === undefined)
      patterns.push(patternOf({ ...base, ...ports, protocol: intersectRanges(protocol, PORT_PROTOCOLS) }));
    else {
      patterns.push(patternOf({ ...base, ...ports, flags, protocol: intersectRanges(protocol, tcp) }));
      patterns.push(
        patternOf({ ...base, ...ports, protocol: subtractRanges(intersectRanges(protocol, PORT_PROTOCOLS), tcp) }),
      );
    }
    for (const piece of typesOf(dport))
      patterns.push(patternOf({ ...base, ...piece, protocol: intersectRanges(protocol, icmp) }));
    patterns.push(patternOf({ ...base, protocol: subtractRanges(subtractRanges(protocol, PORT_PROTOCOLS), icmp) }));
  }
  const complete =
    [...box.fields.keys()].every((field) => SET_FIELDS.has(field)) && box.marks.size === 0 && box.unknowns.size === 0;
  return { patterns: patterns.filter((pattern) => pattern !== undefined), complete };
}

const hasNumber = (ranges: Ranges<number>, value: number): boolean =>
  ranges.some(({ from, to }) => from <= value && value <= to);

/** Values type * 256 + code as boxes of types and codes. */
function typesOf(values: Ranges<number> | undefined): readonly { type?: Ranges<number>; code?: Ranges<number> }[] {
  if (values === undefined) return [{}];
  const codes = new Map<string, { types: { from: number; to: number }[]; code: Ranges<number> }>();
  for (let type = 0; type < 256; type++) {
    const own = intersectRanges(values, [{ from: type * 256, to: type * 256 + 255 }]).map(({ from, to }) => ({
      from: from - type * 256,
      to: to - type * 256,
    }));
    if (own.length === 0) continue;
    const key = own.map(({ from, to }) => `${from}-${to}`).join();
    const group = codes.get(key) ?? { types: [], code: own };
    group.types.push({ from: type, to: type });
    codes.set(key, group);
  }
  return [...codes.values()].map(({ types, code }) => ({ type: normalizeRanges(types), code }));
}

function entrySetOfNumbers(entries: Names, numbers: Ranges<number>): Pattern['entry'] {
  const of = (kind: 'in' | 'local'): NameSet => {
    const listed: string[] = [];
    const missing: string[] = [];
    let others = false;
    for (let number = 0; number <= entries.max; number++) {
      const name = entries.nameOf(number);
      if (!name.startsWith(`${kind} `)) continue;
      const isHeld = hasNumber(numbers, number);
      if (!entries.isExact(number)) others = isHeld;
      else if (isHeld) listed.push(name.slice(kind.length + 1));
      else missing.push(name.slice(kind.length + 1));
    }
    return others ? nameSet(missing, true) : nameSet(listed);
  };
  const set = { in: of('in'), local: of('local') };
  return set.in.not || set.local.not || set.in.names.length + set.local.names.length > 0 ? set : entrySetOf([]);
}

/** The set of a diagram's boxes. What it says of fields that sets have not is left out (`patternsOf` tells). */
export function toSet(layout: Layout, node: Node): PacketSet {
  const boxes = mergeBoxes([...partsOf(layout, node)].map(({ box }) => box));
  return simplifySet({ boxes: boxes.flatMap((box) => patternsOf(layout, box).patterns) });
}

/** The SET notation, read into a diagram. Throws InputError. */
export const readSet = (layout: Layout, text: string, origin?: Origin): Node => fromSet(layout, parseSet(text, origin));
