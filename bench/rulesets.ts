/** What is measured: rulesets of any size, the same text for the same seed. */
import { printAddress } from '../src/address/address.ts';
import { randomFrom } from '../src/judge/random.ts';
import type { Random } from '../src/packet/sample.ts';

const pick = <T>(random: Random, list: readonly [T, ...T[]]): T => list[random() % list.length] ?? list[0];
export const between = (random: Random, from: number, to: number): number => from + (random() % (to - from + 1));

/** What one rule of a security group lets in. */
export interface GroupRule {
  readonly source?: { readonly address: number; readonly length: number };
  readonly protocol: 'tcp' | 'udp' | 'icmp';
  readonly ports?: { readonly from: number; readonly to: number };
}

const PORTS: readonly [number, ...number[]] = [22, 25, 53, 80, 110, 143, 443, 993, 3306, 5432, 6379, 8080, 8443, 9200];

function somePorts(random: Random): { readonly from: number; readonly to: number } {
  if (random() % 3 > 0) {
    const port = pick(random, PORTS);
    return { from: port, to: port };
  }
  const from = between(random, 1024, 60000);
  return { from, to: from + between(random, 1, 500) };
}

function someNetwork(random: Random, lengths: readonly [number, ...number[]]): { address: number; length: number } {
  const length = pick(random, lengths);
  return { address: (random() & (0xffffffff << (32 - length))) >>> 0, length };
}

export function groupRule(random: Random): GroupRule {
  const source = random() % 4 === 0 ? undefined : someNetwork(random, [8, 16, 20, 24, 24, 28, 32, 32]);
  const kind = random() % 10;
  return {
    ...(source && { source }),
    protocol: kind < 2 ? 'icmp' : kind < 8 ? 'tcp' : 'udp',
    ...(kind < 2 ? {} : { ports: somePorts(random) }),
  };
}

function ruleText({ source, protocol, ports }: GroupRule): string {
  const from = source === undefined ? '' : `-s ${printAddress(source.address)}/${source.length} `;
  if (ports === undefined) return `${from}-p ${protocol} -j ACCEPT`;
  const range = ports.from === ports.to ? `${ports.from}` : `${ports.from}:${ports.to}`;
  return `${from}-p ${protocol} -m ${protocol} --dport ${range} -j ACCEPT`;
}

/** The n-th instance's fixed address: 10.0.0.2 and on. */
export const instanceAddress = (index: number): number => 0x0a000002 + index;

/** Rules of an instance's chain besides those of its groups, and the rule that leads there. */
const RULES_OF_INSTANCE = 7;
/** One to three groups of one to seven rules. */
const MEAN_GROUP_RULES = 7.8;
/** Rules of a host without instances. */
const RULES_OF_HOST = 13;

/** How many instances make up about so many rules. */
export const instancesFor = (rules: number): number =>
  Math.max(1, Math.round((rules - RULES_OF_HOST) / (RULES_OF_INSTANCE + MEAN_GROUP_RULES)));

export interface NovaShape {
  readonly text: string;
  readonly rules: number;
  /** What the groups of each instance let in: the topology, from which a proof is made without the rules. */
  readonly instances: readonly (readonly GroupRule[])[];
}

/** The filter table of a compute host with so many instances, in the shape in which nova-compute leaves it; eight instances for each security group. */
export function novaRuleset(count: number, seed: number): NovaShape {
  const random = randomFrom(seed);
  const groups = Array.from({ length: Math.ceil(count / 8) + 2 }, () =>
    Array.from({ length: between(random, 1, 7) }, () => groupRule(random)),
  );
  const instances = Array.from({ length: count }, () => {
    const own = Array.from({ length: between(random, 1, 3) }, () => groups[random() % groups.length] ?? []);
    return [...new Set(own)].flat();
  });
  const dispatch: string[] = [];
  const chains: string[] = [];
  const rules: string[] = [];
  for (const [index, admitted] of instances.entries()) {
    const chain = `nova-compute-inst-${index + 1}`;
    chains.push(`:${chain} - [0:0]`);
    dispatch.push(`-A nova-compute-local -d ${printAddress(instanceAddress(index))}/32 -j ${chain}`);
    for (const rule of [
      '-m state --state INVALID -j DROP',
      '-m state --state RELATED,ESTABLISHED -j ACCEPT',
      '-j nova-compute-provider',
      '-s 10.0.0.1/32 -p udp -m udp --sport 67 --dport 68 -j ACCEPT',
      '-s 10.0.0.0/24 -j ACCEPT',
      ...new Set(admitted.map(ruleText)),
      '-j nova-compute-sg-fallback',
    ])
      rules.push(`-A ${chain} ${rule}`);
  }
  const head = [
    '-A INPUT -j nova-compute-INPUT',
    '-A FORWARD -j nova-filter-top',
    '-A FORWARD -j nova-compute-FORWARD',
    '-A OUTPUT -j nova-filter-top',
    '-A OUTPUT -j nova-compute-OUTPUT',
    '-A nova-compute-FORWARD -i br100 -j ACCEPT',
    '-A nova-compute-FORWARD -o br100 -j ACCEPT',
    '-A nova-compute-INPUT -i br100 -p udp -m udp --dport 67 -j ACCEPT',
    '-A nova-compute-provider -s 198.51.100.0/24 -p tcp -m tcp --dport 25 -j DROP',
    '-A nova-compute-provider -s 203.0.113.66/32 -j DROP',
    '-A nova-compute-provider -p udp -m udp --dport 1900 -j DROP',
    '-A nova-compute-sg-fallback -j DROP',
    '-A nova-filter-top -j nova-compute-local',
  ];
  const own = ['FORWARD', 'INPUT', 'OUTPUT', 'local', 'provider', 'sg-fallback'].map(
    (name) => `:nova-compute-${name} - [0:0]`,
  );
  const declared = [':INPUT ACCEPT [0:0]', ':FORWARD ACCEPT [0:0]', ':OUTPUT ACCEPT [0:0]', ':nova-filter-top - [0:0]'];
  const lines = ['*filter', ...declared, ...own, ...chains, ...head, ...dispatch, ...rules, 'COMMIT'];
  return { text: `${lines.join('\n')}\n`, rules: head.length + dispatch.length + rules.length, instances };
}

/** One chain of rules that overlap in source, destination and port: nothing separates them. */
export function flatRuleset(count: number, seed: number): string {
  const random = randomFrom(seed);
  const ranges = Array.from({ length: 40 }, () => somePorts(random));
  const lines = Array.from({ length: count }, () => {
    const source = printAddress((0x0a000000 | (random() & 0xffff00)) >>> 0);
    const destination = printAddress((0xac100000 | (random() & 0xfff00)) >>> 0);
    const [from, to] = [pick(random, [12, 16, 20, 24]), pick(random, [14, 18, 22, 24])];
    const protocol = pick(random, ['tcp', 'udp']);
    const ports = ranges[random() % ranges.length] ?? { from: 80, to: 80 };
    const target = random() % 2 === 0 ? 'ACCEPT' : 'DROP';
    return `-A FORWARD -s ${source}/${from} -d ${destination}/${to} -p ${protocol} -m ${protocol} --dport ${ports.from}:${ports.to} -j ${target}`;
  });
  const head = ['*filter', ':INPUT ACCEPT [0:0]', ':FORWARD DROP [0:0]', ':OUTPUT ACCEPT [0:0]'];
  return `${[...head, ...lines, 'COMMIT'].join('\n')}\n`;
}

/** A rule of an instance for ports alone. */
const CHANGEABLE = / -m (?:tcp|udp) --dport \d+(?::\d+)? -j (?:ACCEPT|DROP)$/;

/** The same text but for one rule, the first behind this part of the text, which is for the next port, too. */
export function oneRuleChanged(text: string, behind: number): string {
  const lines = text.split('\n');
  const at = lines.findIndex((line, index) => index > lines.length * behind && CHANGEABLE.test(line));
  const changed = (lines[at] ?? '').replace(
    /--dport (\d+)(?::(\d+))?/,
    (_, from: string, to?: string) => `--dport ${from}:${Number(to ?? from) + 1}`,
  );
  return lines.map((line, index) => (index === at ? changed : line)).join('\n');
}

/** A ruleset that means the same: 30 % of its networks and port ranges are cut in two, and each tenth rule is repeated where it can no longer match. */
export function rewritten(text: string, seed: number): string {
  const random = randomFrom(seed);
  const lines = text.split('\n').flatMap((line): readonly string[] => {
    if (!/-j (?:ACCEPT|DROP)$/.test(line)) return [line];
    const cut = random() % 10 < 3 ? halves(line) : [line];
    return random() % 10 === 0 ? [...cut, ...cut] : cut;
  });
  return lines.join('\n');
}

/** A rule as two, of which each is for a half of its ports or of its sources. */
function halves(line: string): readonly string[] {
  const range = /--dport (\d+):(\d+)/.exec(line);
  if (range !== null) {
    const [from, to] = [Number(range[1]), Number(range[2])];
    const middle = (from + to) >>> 1;
    if (from < to)
      return [`${from}:${middle}`, `${middle + 1}:${to}`].map((half) => line.replace(range[0], `--dport ${half}`));
  }
  const prefix = /-s (\d+)\.(\d+)\.(\d+)\.(\d+)\/(\d+)/.exec(line);
  const [a = 0, b = 0, c = 0, d = 0, length = 32] = (prefix ?? []).slice(1).map(Number);
  if (prefix === null || length === 32) return [line];
  const address = ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
  const half = 2 ** (31 - length);
  return [address, address + half].map((one) => line.replace(prefix[0], `-s ${printAddress(one)}/${length + 1}`));
}
