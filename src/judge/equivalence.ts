/**
 * Does a mistake change what becomes of any packet? Tried on aimed packets; the first that is treated otherwise, if one is found.
 *
 * What becomes of the packets without a mistake is found once, with the rules that each met, and compared with many mistakes. A packet is sent again only where the mistake can show (Mutant.shows): both walks
 * are the same, step by step, until one comes to the place of the mistake.
 */
import type { Family } from '../address/address.ts';
import { POSTURES, type Posture } from '../claim/claim.ts';
import { conditionOf } from '../invariant/vocabulary/rule-set.ts';
import type { Network } from '../network/network.ts';
import { worldOf, type Way, type World } from '../network/walk.ts';
import type { Journey, Step } from '../netfilter/journey.ts';
import { compileMatch } from '../netfilter/match.ts';
import { makePacket, type Arrival, type ConntrackState, type Entry, type Packet } from '../packet/packet.ts';
import { anyPattern } from '../packet/pattern.ts';
import { samplerOf, type Aim, type Random } from '../packet/sample.ts';
import type { Rule, Ruleset, TableName } from '../ruleset/rule.ts';
import { aimOf, aimOfRules } from './aim.ts';
import { exchange, fateOf, fateText } from './fate.ts';
import { glimpse, isTold } from './glimpse.ts';
import { hardenedRuleset } from './hardened.ts';
import { mutantsOf, rulesIn, type Mutant } from './mutation.ts';
import { hashText, randomFrom } from './random.ts';

export type Rulesets = ReadonlyMap<string, readonly Ruleset[]>;

export interface Unlike {
  readonly host: string;
  readonly arrival: Arrival;
  readonly posture: Posture;
  readonly before: string;
  readonly after: string;
}

export interface TrialsInput {
  readonly network: Network;
  readonly rulesets: Rulesets;
  /** Packets in each posture; for each rule that is changed, more that come near it. */
  readonly packets: number;
  readonly seed: number;
}

interface Trial {
  readonly host: string;
  readonly arrival: Arrival;
  /** A hash of what became of it: there are many, and the text can be had again. */
  readonly fate: number;
}

/** The packets of one posture, and which of them met what: a chain, or a rule that matched. */
interface Pool {
  readonly world: World;
  readonly trials: Trial[];
  readonly met: Map<string, number[]>;
  /** Every time that a packet came into a chain, and the step by which it did: it is as the chain's rules see it. */
  readonly entered: Map<string, Entered[]>;
  /** Those whose steps do not tell all that they met. */
  readonly untold: number[];
}

interface Entered {
  readonly trial: number;
  readonly step: Step;
}

export const chainKey = (host: string, family: Family, table: string, chain: string): string =>
  `${host} ${family} ${table} ${chain}`;

/** More packets for each rule, made from such as come through its chain. */
const NEAR_EACH_RULE = 1000;

export class Trials {
  readonly #network: Network;
  readonly #rulesets: Rulesets;
  readonly #seed: number;
  readonly #entries: readonly Place[];
  readonly #named: Required<Pick<Aim, 'addresses' | 'ports'>>;
  readonly #pools: Readonly<Record<Posture, Pool>>;
  /** The rules that packets have been aimed at. */
  readonly #aimed = new Set<string>();

  constructor({ network, rulesets, packets, seed }: TrialsInput) {
    this.#network = network;
    this.#rulesets = rulesets;
    this.#seed = seed;
    this.#entries = placesOf(network);
    const aim = aimOf([...rulesets.values()].flat());
    const stations = network.stations.flatMap(({ addresses }) => addresses);
    const own = network.hosts.flatMap((host) =>
      host.interfaces.flatMap(({ addresses }) => addresses.map(({ address }) => address)),
    );
    this.#named = { addresses: [...aim.addresses, ...stations, ...own], ports: aim.ports };
    const families = [...new Set([...rulesets.values()].flat().map(({ family }) => family))];
    const samplers = families.flatMap(
      (family) => samplerOf({ boxes: [anyPattern(family)] }, { ...this.#named, entries: [{ kind: 'local' }] }) ?? [],
    );
    const random = randomFrom(seed);
    const drawn = Array.from({ length: packets }, () => this.#draw(pick(samplers, random)(random).packet, random));
    this.#pools = {
      'as-given': poolOf(network, rulesets, 'as-given'),
      hardened: poolOf(network, rulesets, 'hardened'),
    };
    for (const posture of POSTURES) for (const { host, arrival } of drawn) tryOut(this.#pools[posture], host, arrival);
  }

  #draw(packet: Packet, random: Random): { host: string; arrival: Arrival } {
    const { host, entry } = pick(this.#entries, random);
    const state = stateDrawn(random);
    return { host, arrival: { packet, entry, ...(state === undefined ? {} : { state }) } };
  }

  /** How many packets, in each posture, could show a mistake, and were sent: undefined where one does. */
  firstUnlike(host: string, ruleset: Ruleset, mutant: Mutant): Unlike | undefined {
    this.#aimAt(host, ruleset, mutant);
    const after = withMutant(this.#rulesets, host, ruleset, mutant);
    const chain = chainKey(host, ruleset.family, mutant.table, mutant.chain);
    const own = ruleKey(chain, mutant.rule);
    const keys = { matched: own, acted: actedKey(own) };
    const [before, now] = [ruleset, mutant.ruleset].map(
      (version) => rulesIn(version, mutant.table, mutant.chain)[mutant.rule - 1],
    );
    for (const posture of POSTURES) {
      const pool = this.#pools[posture];
      const world = worldIn(this.#network, after, posture);
      const met =
        mutant.shows === 'entered'
          ? affected(pool.entered.get(chain) ?? [], before, now)
          : pool.met.get(keys[mutant.shows]);
      const concerned = new Set([...(met ?? []), ...pool.untold]);
      for (const at of concerned) {
        const trial = pool.trials[at];
        if (trial === undefined) continue;
        const { host: sentTo, arrival, fate } = trial;
        const isSo = fateOf(world, sentTo, arrival);
        if (hashText(isSo) !== fate)
          return { host: sentTo, arrival, posture, before: fateOf(pool.world, sentTo, arrival), after: isSo };
      }
    }
    return undefined;
  }

  /** Adds packets that come through the rule's chain, and have what the rule asks for, or what one of its mistakes does, or what is just beside. */
  #aimAt(host: string, ruleset: Ruleset, { table, chain, rule: number }: Mutant): void {
    const key = chainKey(host, ruleset.family, table, chain);
    const aimedAt = ruleKey(key, number);
    if (this.#aimed.has(aimedAt)) return;
    this.#aimed.add(aimedAt);
    const versions = [ruleset, ...versionsOf(ruleset, table, chain, number)].flatMap(
      (version) => rulesIn(version, table, chain)[number - 1] ?? [],
    );
    const near = aimOfRules(versions);
    const random = randomFrom(this.#seed ^ hashText(aimedAt));
    const samplers = versions.flatMap(
      (version) => samplerOf(conditionOf(version.matches, ruleset.family).set, { ...this.#named, ...near }) ?? [],
    );
    for (const posture of POSTURES) {
      const pool = this.#pools[posture];
      const parents = [...(pool.met.get(aimedAt) ?? []), ...(pool.met.get(key) ?? [])];
      if (parents.length === 0 || samplers.length === 0) continue;
      for (let count = 0; count < NEAR_EACH_RULE; count++) {
        const parent = pool.trials[pick(parents, random)];
        if (parent === undefined) continue;
        const asked = pick(samplers, random)(random).packet;
        const packet = crossed(parent.arrival.packet, asked, near, random);
        const state = random() % 4 === 0 ? stateDrawn(random) : parent.arrival.state;
        const { entry } = parent.arrival;
        tryOut(pool, parent.host, { packet, entry, ...(state === undefined ? {} : { state }) });
      }
    }
  }
}

/** The rulesets of all hosts with a mistake in one. */
export function withMutant(rulesets: Rulesets, host: string, ruleset: Ruleset, mutant: Mutant): Rulesets {
  const own = (rulesets.get(host) ?? []).map((other) => (other === ruleset ? mutant.ruleset : other));
  return new Map([...rulesets, [host, own]]);
}

/** A rule that decided the packet, or ended its chain for it, or leads to one that decided it. */
const actedKey = (rule: string): string => `${rule} acted`;

/** Targets that end a packet's walk through a table. */
const EFFECTS: ReadonlySet<string> = new Set([
  'ACCEPT',
  'DROP',
  'REJECT',
  'DNAT',
  'SNAT',
  'MASQUERADE',
  'REDIRECT',
  'NETMAP',
]);
const NO_EFFECT: ReadonlySet<string> = new Set(['', 'LOG', 'NFLOG', 'CHECKSUM']);

const ruleKey = (chain: string, number: number): string => `${chain} ${number}`;

const worldIn = (network: Network, rulesets: Rulesets, posture: Posture): World =>
  worldOf(
    network,
    posture === 'as-given' ? rulesets : new Map([...rulesets].map(([host, own]) => [host, own.map(hardenedRuleset)])),
  );

const poolOf = (network: Network, rulesets: Rulesets, posture: Posture): Pool => ({
  world: worldIn(network, rulesets, posture),
  trials: [],
  met: new Map(),
  entered: new Map(),
  untold: [],
});

const addTo = <T>(lists: Map<string, T[]>, key: string, value: T): void => {
  const known = lists.get(key);
  if (known === undefined) lists.set(key, [value]);
  else known.push(value);
};

/** Of the packets that came into a chain those for which one of its rules, with a match changed, may answer otherwise than before. */
function affected(entered: readonly Entered[], before: Rule | undefined, now: Rule | undefined): readonly number[] {
  const all = (): number[] => entered.map(({ trial }) => trial);
  if (before === undefined || now === undefined) return all();
  const changed = before.matches.findIndex((match, index) => match !== now.matches[index]);
  const [was, is] = [before.matches[changed], now.matches[changed]];
  if (was === undefined || is === undefined || !isTold(was)) return all();
  const others = before.matches.filter((match, index) => index !== changed && isTold(match)).map(compileMatch);
  const [wasTrue, isTrue] = [compileMatch(was), compileMatch(is)];
  return entered.flatMap(({ trial, step }) => {
    // What a rule of the chain itself has translated is shown as it is then.
    if (EFFECTS.has(step.target) && step.table === 'nat') return [trial];
    const skb = glimpse(step);
    const asked = others.every((test) => test(skb) !== false);
    return asked && wasTrue(skb) !== isTrue(skb) ? [trial] : [];
  });
}

function tryOut(pool: Pool, host: string, arrival: Arrival): void {
  const { way, reply } = exchange(pool.world, host, arrival);
  const at = pool.trials.push({ host, arrival, fate: hashText(fateText({ way, ...(reply && { reply }) })) }) - 1;
  const ways = reply === undefined ? [way] : [way, reply];
  if (ways.some(isUntold)) pool.untold.push(at);
  for (const key of new Set(ways.flatMap((one) => [...metOn(one)]))) addTo(pool.met, key, at);
  for (const one of ways) for (const [key, step] of enteredOn(one)) addTo(pool.entered, key, { trial: at, step });
}

/** Each coming into a chain: by the jump to it, or, of a built-in one, by what was done in it. */
function* enteredOn(way: Way): Generator<readonly [string, Step]> {
  for (const { host, journey } of way.hops)
    for (const { packet, steps } of withConsequences(journey))
      for (const step of steps) {
        const { table, hook, chain, target, rule } = step;
        if (chain === hook) yield [chainKey(host, packet.family, table, chain), step];
        if (typeof rule === 'number' && !EFFECTS.has(target) && !NO_EFFECT.has(target) && target !== 'RETURN')
          yield [chainKey(host, packet.family, table, target), step];
      }
}

/** The chains that a packet came through, the rules that it matched, and those that did something to it (`actedKey`), at every host. */
export function* metOn(way: Way): Generator<string> {
  for (const { host, journey } of way.hops)
    for (const { packet, steps } of withConsequences(journey)) {
      /** The jumps on the way to where the packet is. */
      const callers: { readonly called: string; readonly key: string }[] = [];
      for (const { table, chain, rule, target } of steps) {
        const here = chainKey(host, packet.family, table, chain);
        yield here;
        while (callers.length > 0 && callers.at(-1)?.called !== here) callers.pop();
        if (typeof rule !== 'number') continue;
        const key = ruleKey(here, rule);
        yield key;
        const called = chainKey(host, packet.family, table, target);
        if (NO_EFFECT.has(target)) continue;
        if (target === 'RETURN') yield actedKey(key);
        else if (EFFECTS.has(target))
          for (const acting of [key, ...callers.map((caller) => caller.key)]) yield actedKey(acting);
        else {
          // A chain in which nothing matched is known by the jump to it.
          yield called;
          callers.push({ called, key });
        }
      }
    }
}

function withConsequences(journey: Journey): readonly Journey[] {
  return [journey, ...journey.consequences.flatMap(withConsequences)];
}

/**
 * Where more than one reading was followed only the first one's steps are told; a match that drops a packet itself (hotdrop) leaves no step; and a rule that changes a packet and lets it go on is
 * not followed here.
 */
const isUntold = (way: Way): boolean =>
  way.hops.some(({ journey }) =>
    withConsequences(journey).some(
      ({ fate, steps }) =>
        fate.kind === 'undecided' ||
        (fate.line !== undefined && !steps.some(({ line }) => line === fate.line)) ||
        steps.some(({ target }) => ALTERING.has(target)),
    ),
  );

const ALTERING: ReadonlySet<string> = new Set(['MARK', 'CONNMARK', 'CT', 'NOTRACK', 'TTL', 'HL']);

const versionsOf = (ruleset: Ruleset, table: TableName, chain: string, number: number): Ruleset[] =>
  [...mutantsOf(ruleset)].flatMap((other) =>
    other.table === table && other.chain === chain && other.rule === number ? [other.ruleset] : [],
  );

/** Each header of one or the other; and, half the time, one value of those that are near. */
function crossed(
  parent: Packet,
  asked: Packet,
  near: Required<Pick<Aim, 'addresses' | 'ports'>>,
  random: Random,
): Packet {
  const { family } = parent;
  const transport = random() % 2 === 0 ? parent : asked;
  const { protocol, sport, dport, flags, type, code } = transport;
  const fields: Packet = {
    ...makePacket({ family, saddr: parent.saddr, daddr: parent.daddr, protocol }),
    sport,
    dport,
    flags,
    type,
    code,
    id: transport.id,
    saddr: random() % 2 === 0 ? parent.saddr : asked.saddr,
    daddr: random() % 2 === 0 ? parent.daddr : asked.daddr,
  };
  const address = near.addresses[random() % Math.max(1, near.addresses.length)];
  const port = near.ports[random() % Math.max(1, near.ports.length)];
  switch (random() % 8) {
    case 0:
      return address === undefined ? fields : { ...fields, saddr: address };
    case 1:
      return address === undefined ? fields : { ...fields, daddr: address };
    case 2:
      return port === undefined || sport === 0 ? fields : { ...fields, sport: port };
    case 3:
      return port === undefined || dport === 0 ? fields : { ...fields, dport: port };
    default:
      return fields;
  }
}

/** Most packets as conntrack finds them; the states that one packet alone cannot be in are asserted. */
const STATES: readonly (ConntrackState | undefined)[] = [
  undefined,
  undefined,
  undefined,
  undefined,
  'ESTABLISHED',
  'RELATED',
  'INVALID',
  'UNTRACKED',
];

const stateDrawn = (random: Random): ConntrackState | undefined => STATES[random() % STATES.length];

function pick<T>(list: readonly T[], random: Random): T {
  const chosen = list[random() % list.length];
  if (chosen === undefined) throw new RangeError('nothing to pick from');
  return chosen;
}

interface Place {
  readonly host: string;
  readonly entry: Entry;
}

/** Every way into every host. */
const placesOf = (network: Network): Place[] =>
  network.hosts.flatMap((host) => {
    const ports = host.bridges.flatMap((bridge) => bridge.ports.map(({ name }) => name));
    const bridges = new Set(host.bridges.map(({ name }) => name));
    const devices = host.interfaces.map(({ name }) => name).filter((name) => name !== 'lo' && !bridges.has(name));
    return [
      ...[...ports, ...devices].map((name) => ({ host: host.name, entry: { kind: 'in' as const, interface: name } })),
      { host: host.name, entry: { kind: 'local' as const } },
    ];
  });
