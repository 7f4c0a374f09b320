/**
 * The difference of a host's rulesets says what the model says, packet by packet: of one packet for each box of the refinement, and of the conversations that packets of each region begin. The hosts are small,
 * and so are their rules, of which one is changed: what they make of all packets fits into a test's time.
 */
import fc from 'fast-check';
import { expect } from 'vitest';
import { at, INDEX } from '../src/arbitrary/choice.ts';
import type { Family } from '../src/address/address.ts';
import type { Host } from '../src/host/host.ts';
import { readHost } from '../src/host/read.ts';
import { HostChecks } from '../src/judge/host-check.ts';
import { parseRuleset } from '../src/ruleset/parse.ts';
import { KnownRules } from '../src/ruleset/known.ts';
import type { TableName } from '../src/ruleset/rule.ts';
import { SpaceLimitError } from '../src/space/diagram.ts';
import { CHANGE_CLASSES } from '../src/space/table-difference.ts';
import { law, type Seen } from './support/law.ts';

const GATE = `name: gate
interfaces:
  - { name: eth0, addresses: [198.51.100.1/24, 192.0.2.10/32, "2001:db8::1/64"] }
  - { name: eth1, addresses: [10.0.0.1/24, "2001:db8:1::1/64"] }
gateway: 198.51.100.254
`;

const BRIDGE = `name: gate
interfaces:
  - { name: eth0, addresses: [198.51.100.1/24, "2001:db8::1/64"] }
  - { name: br0, addresses: [10.0.0.1/24, "2001:db8:1::1/64"] }
bridges:
  - { name: br0, ports: [vnet0, vnet1] }
gateway: 198.51.100.254
`;

const HOSTS: readonly Host[] = [GATE, GATE, BRIDGE].map((text) => readHost(text, 'host.yaml'));

/** Rules that packets meet, by table, in words of both families: INNER is a machine behind the host, OTHER another, HOST the host itself. */
const RULES: readonly (readonly [TableName, string])[] = [
  ['filter', '-A INPUT -p tcp -m tcp --dport 22 -j DROP'],
  ['filter', '-A INPUT -p udp -j REJECT'],
  ['filter', '-A INPUT -p udp -j DROP'],
  ['filter', '-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT'],
  ['filter', '-A FORWARD -d INNER -p tcp -m tcp --dport 80 -j ACCEPT'],
  ['filter', '-A FORWARD -d INNER -j DROP'],
  ['filter', '-A FORWARD -m conntrack --ctdir REPLY -j DROP'],
  ['filter', '-A FORWARD -p tcp -j LOG --log-prefix "seen "'],
  ['filter', '-A FORWARD -p tcp -j NFQUEUE --queue-num 1'],
  ['filter', '-A OUTPUT -m conntrack --ctstate ESTABLISHED -j DROP'],
  ['filter', '-A OUTPUT -d OTHER -j DROP'],
  ['mangle', '-A PREROUTING -p tcp -j MARK --set-xmark 0x5/0xffffffff'],
  ['mangle', '-A FORWARD -m mark --mark 0x5 -j DROP'],
  ['nat', '-A PREROUTING -d HOST -p tcp -m tcp --dport 80 -j DNAT --to-destination INNER'],
  ['nat', '-A PREROUTING -d HOST -p tcp -m tcp --dport 80 -j DNAT --to-destination OTHER'],
  ['nat', '-A POSTROUTING -s INNER -o eth0 -j SNAT --to-source HOST'],
  ['nat', '-A POSTROUTING -d INNER -p udp -j SNAT --to-source OTHER'],
  ['raw', '-A PREROUTING -p udp -j NOTRACK'],
  ['filter', '-A FORWARD -p tcp -m string --string "x" --algo bm -j DROP'],
  ['filter', '-A FORWARD -d INNER -j REJECT'],
];

const WORDS: Readonly<Record<Family, Readonly<Record<'INNER' | 'OTHER' | 'HOST', string>>>> = {
  4: { INNER: '10.0.0.2', OTHER: '10.0.0.3', HOST: '198.51.100.1' },
  6: { INNER: '2001:db8:1::2', OTHER: '2001:db8:1::3', HOST: '2001:db8::1' },
};

const CHAINS: Readonly<Record<Exclude<TableName, 'security'>, readonly string[]>> = {
  raw: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
};

/** The rules of these numbers; one that the numbers say twice stands once. */
function textOf(numbers: readonly number[], family: Family): string {
  const rules = [...new Set(numbers.map((number) => number % RULES.length))].map((number) => at(RULES, number));
  return Object.entries(CHAINS)
    .map(([table, chains]) =>
      [
        `*${table}`,
        ...chains.map((chain) => `:${chain} ACCEPT [0:0]`),
        ...rules.flatMap(([own, rule]) =>
          own === table ? [rule.replace(/INNER|OTHER|HOST/g, (word) => WORDS[family][word as 'INNER'])] : [],
        ),
        'COMMIT',
        '',
      ].join('\n'),
    )
    .join('');
}

/** Rules that refuse the same packets, each in another way. */
const REFUSING = [
  ['-A INPUT -p udp -j DROP', '-A INPUT -p udp -j REJECT'],
  ['-A FORWARD -d INNER -j DROP', '-A FORWARD -d INNER -j REJECT'],
].map((pair) => pair.map((text) => RULES.findIndex(([, rule]) => rule === text)));

/** The numbers of the rules before and after: one rule is in front of the others, or behind them, or in the place of one; or refuses packets in another way. */
function edited(numbers: readonly number[], other: number, edit: number): readonly (readonly number[])[] {
  switch (edit) {
    case 0:
      return [numbers, [other, ...numbers]];
    case 1:
      return [numbers, [...numbers, other]];
    case 2:
      return [numbers, [other, ...numbers.slice(1)]];
    default: {
      const pair = at(REFUSING, other);
      return (other % 4 < 2 ? pair : pair.toReversed()).map((one) => [
        one,
        ...numbers.filter((own) => !pair.includes(own)),
      ]);
    }
  }
}

/** More edges of diagrams are not kept: what needs them is left out, and must be rare. */
const LIMIT = 3_000_000;

law<[number, number, readonly number[], number, number]>(
  'space/a-packet-is-in-the-difference-of-a-host-iff-its-conversation-differs',
  [
    INDEX,
    fc.nat({ max: 3 }),
    fc.array(fc.noBias(fc.nat({ max: RULES.length - 1 })), { minLength: 1, maxLength: 4 }),
    fc.noBias(fc.nat({ max: RULES.length - 1 })),
    fc.oneof({ weight: 7, arbitrary: fc.nat({ max: 2 }) }, { weight: 1, arbitrary: fc.constant(3) }),
  ],
  (which, six, numbers, other, edit, seen: Seen) => {
    const host = at(HOSTS, which);
    const family = six === 3 ? 6 : 4;
    const texts = edited(numbers, other, edit).map((own) => textOf(own, family));
    const known = new KnownRules();
    const [old, now] = texts.map(
      (text, index) => parseRuleset(text, { path: index === 0 ? 'old' : 'new', family, known }).ruleset,
    );
    if (old === undefined || now === undefined) return true;
    const found = ((): ReturnType<HostChecks['of']> | undefined => {
      try {
        return new HostChecks(host, old, { backend: 'nft', conversations: 8, others: [now], limit: LIMIT }).of(now);
      } catch (error) {
        if (error instanceof SpaceLimitError) return undefined;
        throw error;
      }
    })();
    if (found === undefined) {
      seen('too large');
      return true;
    }
    const { told, boxes, without, differing, otherwise, wrong } = found;
    if (boxes > without) seen('boxes');
    seen(told.length > 0 ? 'different' : 'same');
    for (const { classes, alive, turns } of told) {
      for (const one of classes) seen(one);
      if (alive) seen('alive');
      if (turns.length > 1) seen('conversation');
    }
    if (differing > 0) seen('packet differs');
    if (otherwise > 0) seen('conversation differs');
    expect(wrong, texts.join('\n')).toEqual([]);
    return true;
  },
  {
    runs: 28,
    cover: {
      'too large': { atLeast: 0 },
      boxes: { atLeast: 90 },
      same: { atLeast: 3 },
      different: { atLeast: 60 },
      'packet differs': { atLeast: 40 },
      conversation: { atLeast: 20 },
      'conversation differs': { atLeast: 30 },
      alive: { atLeast: 4 },
      ...Object.fromEntries(CHANGE_CLASSES.map((one) => [one, { atLeast: one === 'rerouted' ? 0 : 1 }])),
    },
  },
);
