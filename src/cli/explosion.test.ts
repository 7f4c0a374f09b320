/**
 * Rulesets whose packets fare in more and more ways with each rule, or that are large in one respect. Whatever the shape, a command ends with an answer or says in a sentence that it has none: never without
 * memory, and never with a stack trace.
 */
import { expect, test } from 'vitest';
import { randomFrom } from '../judge/random.ts';
import type { Random } from '../packet/sample.ts';
import { runDiff } from './diff.ts';
import { runExpect } from './expect.ts';
import { runLint } from './lint.ts';
import { memoryIo, type MemoryIo } from './memory-io.ts';

interface Shape {
  readonly what: string;
  readonly family?: 6;
  readonly table?: 'mangle' | 'nat';
  readonly size: number;
  /** User-defined chains. */
  readonly chains?: (index: number) => string;
  /** Rules that stand before the others. */
  readonly first?: string;
  readonly rules: (index: number, random: Random, size: number) => readonly string[];
  /** It is too much even for the limit that commands have. */
  readonly explodes?: true;
}

const pick = <T>(random: Random, ...list: readonly T[]): T | undefined => list[random() % list.length];
const address = (random: Random): string => `10.${random() % 256}.${random() % 256}.${random() % 256}`;
const network = (random: Random): string => `${address(random)}/${pick(random, 9, 12, 16, 20, 24, 32)}`;
const address6 = (random: Random): string =>
  `2001:db8:${[0, 1, 2].map(() => (random() % 65536).toString(16)).join(':')}::1`;
const network6 = (random: Random): string => `${address6(random)}/${pick(random, 34, 40, 48, 64, 128)}`;
const port = (random: Random): number => 1 + (random() % 65535);
const ports = (random: Random): string => `${random() % 30000}:${30000 + (random() % 30000)}`;
const verdict = (random: Random): string => `-j ${pick(random, 'ACCEPT', 'DROP')}`;
const hex = (value: number): string => `0x${(value >>> 0).toString(16)}`;
/** A test that holds or not whatever the other tests of the list say. */
const independent = (index: number): string =>
  [
    `-s 0.0.0.0/${hexMask(index)}`,
    `-d 0.0.0.0/${hexMask(index)}`,
    `-i eth${index}`,
    `-o eth${index}`,
    `-m ttl --ttl-gt ${index}`,
    `-p tcp -m tcp --dport ${index}:${60000 - index}`,
  ][index % 6] ?? '';
const hexMask = (index: number): string => `0.0.0.${1 << (index % 8)}`;
/** Each chain calls the next one twice: 2^n ways. */
const twice = (index: number, size: number, last: string, tests: readonly [string, string]): readonly string[] =>
  index === size - 1 ? [`-A c${index} ${last}`] : tests.map((test) => `-A c${index} ${test}-j c${index + 1}`);

const SHAPES: readonly Shape[] = [
  {
    what: 'flat rules that overlap',
    size: 300,
    rules: (_, random) => [
      `-A FORWARD -s ${network(random)} -d ${network(random)} -p tcp -m tcp --dport ${ports(random)} ${verdict(random)}`,
    ],
  },
  {
    what: 'flat IPv6 rules that overlap',
    family: 6,
    size: 300,
    rules: (_, random) => [
      `-A FORWARD -s ${network6(random)} -d ${network6(random)} -p tcp -m tcp --dport ${ports(random)} ${verdict(random)}`,
    ],
  },
  {
    what: 'chains that call the next one twice',
    size: 60,
    chains: (index) => `c${index}`,
    first: '-A FORWARD -j c0',
    rules: (index, _, size) => twice(index, size, '-p tcp -m tcp --dport 22 -j ACCEPT', ['-s 10.0.0.0/8 ', '']),
  },
  {
    what: 'chains that call the next one twice and log at the end',
    size: 14,
    explodes: true,
    chains: (index) => `c${index}`,
    first: '-A FORWARD -j c0',
    rules: (index, _, size) => twice(index, size, '-j LOG --log-prefix x', ['', '']),
  },
  {
    what: 'chains that call the next one twice and change the ttl at the end',
    table: 'mangle',
    size: 9,
    chains: (index) => `c${index}`,
    first: '-A FORWARD -j c0',
    rules: (index, _, size) => twice(index, size, '-j TTL --ttl-inc 1', ['-p tcp ', '']),
  },
  {
    what: 'marks that are set under independent tests',
    table: 'mangle',
    size: 14,
    rules: (index) => [`-A FORWARD ${independent(index)} -j MARK --set-xmark ${hex(1 << index)}/${hex(1 << index)}`],
  },
  {
    what: 'marks that are tested and set',
    table: 'mangle',
    size: 60,
    rules: (index, random) => [
      `-A FORWARD -s ${network(random)} -m mark --mark ${hex(1 << (index % 31))}/${hex(1 << (index % 31))} -j MARK --set-xmark ${hex(1 << ((index + 7) % 31))}/${hex(1 << ((index + 7) % 31))}`,
    ],
  },
  {
    what: 'marks that are saved and restored',
    table: 'mangle',
    size: 8,
    rules: (index, random) => [
      `-A FORWARD -s ${network(random)} -j CONNMARK --restore-mark --nfmask ${hex(1 << (index % 31))} --ctmask ${hex(1 << ((index + 3) % 31))}`,
      `-A FORWARD -d ${network(random)} -j MARK --set-xmark ${hex(random() % 256)}/0xff`,
      `-A FORWARD -i eth${index} -j CONNMARK --save-mark --nfmask 0xffff --ctmask 0xffff`,
    ],
  },
  {
    what: 'log entries under independent tests',
    size: 12,
    rules: (index) => [`-A FORWARD ${independent(index)} -j LOG --log-prefix "p${index} "`],
  },
  {
    what: 'many steps of the ttl',
    table: 'mangle',
    size: 30,
    rules: (index, random) => [
      `-A FORWARD -s ${network(random)} -j TTL --ttl-${index % 2 === 0 ? 'inc' : 'dec'} ${1 + (random() % 9)}`,
    ],
  },
  {
    what: 'lists of fifteen ports',
    size: 150,
    rules: (_, random) => [
      `-A FORWARD -s ${network(random)} -p tcp -m multiport --${pick(random, 'sports', 'dports', 'ports')} ${Array.from({ length: 15 }, () => port(random)).join()} ${verdict(random)}`,
    ],
  },
  {
    what: 'interfaces',
    size: 150,
    rules: (_, random, size) => [
      `-A FORWARD -i eth${random() % size} ! -o tap${random() % size} -s ${network(random)} ${verdict(random)}`,
    ],
  },
  {
    what: 'ports of bridges',
    size: 150,
    rules: (_, random, size) => [
      `-A FORWARD -d ${network(random)} -m physdev --physdev-in tap${random() % size} --physdev-out vnet${random() % size} --physdev-is-bridged ${verdict(random)}`,
    ],
  },
  {
    what: 'icmp types and codes',
    size: 300,
    rules: (_, random) => [
      `-A FORWARD -s ${network(random)} -p icmp -m icmp --icmp-type ${random() % 255}/${random() % 256} ${verdict(random)}`,
    ],
  },
  {
    what: 'Ethernet addresses',
    size: 300,
    rules: (index, random) => [
      `-A FORWARD -s ${network(random)} -p tcp -m mac ${pick(random, '', '! ')}--mac-source 02:00:00:00:00:${(index % 256).toString(16).padStart(2, '0')} -m tcp --dport ${ports(random)} ${verdict(random)}`,
    ],
  },
  {
    what: 'tcp flags',
    size: 200,
    rules: (_, random) => {
      const mask = ['FIN', 'SYN', 'RST', 'PSH', 'ACK', 'URG'].filter(() => random() % 2 === 0);
      const set = mask.filter(() => random() % 2 === 0);
      return [
        `-A FORWARD -s ${network(random)} -p tcp -m tcp --tcp-flags ${mask.join() || 'NONE'} ${set.join() || 'NONE'} ${verdict(random)}`,
      ];
    },
  },
  {
    what: 'pools of addresses to translate to',
    table: 'nat',
    size: 200,
    rules: (index, random) => [
      `-A PREROUTING -d ${address(random)}/32 -p tcp -m tcp --dport ${port(random)} -j DNAT --to-destination 192.168.${index % 256}.1-192.168.${index % 256}.200:1000-2000`,
      `-A POSTROUTING -s ${network(random)} -j SNAT --to-source 172.16.${index % 256}.1-172.16.${index % 256}.200`,
    ],
  },
  {
    what: 'chains that are gone to by destination',
    size: 1000,
    chains: (index) => `g${index}`,
    rules: (index, random) => [
      `-A FORWARD -d 10.0.${index >> 8}.${index & 255}/32 -g g${index}`,
      `-A g${index} -s ${network(random)} -j RETURN`,
      `-A g${index} -p tcp -m tcp --dport ${port(random)} ${verdict(random)}`,
    ],
  },
  {
    what: 'matches that are not modelled',
    size: 40,
    rules: (index, random) => [
      `-A FORWARD -s ${network(random)} -m string --string "s${index}" --algo bm --to 65535 ${verdict(random)}`,
    ],
  },
  {
    what: 'masks with holes',
    size: 5,
    rules: (_, random) => [
      `-A FORWARD -s ${address(random)}/0.255.255.0 -d ${address(random)}/85.0.85.0 ${verdict(random)}`,
    ],
  },
  {
    what: 'addresses of connections',
    size: 40,
    rules: (_, random) => [
      `-A FORWARD -m conntrack --ctstate ${pick(random, 'NEW', 'ESTABLISHED', 'NEW,DNAT', 'SNAT')} --ctorigsrc ${network(random)} --ctreplsrc ${network(random)} ${verdict(random)}`,
    ],
  },
];

/** The table's text, and the same without its rule in the middle. */
function texts({ table, family, size, chains, first, rules }: Shape): readonly [string, string] {
  const random = randomFrom(size);
  const builtIn = {
    filter: ['INPUT', 'FORWARD', 'OUTPUT'],
    nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
    mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  }[table ?? 'filter'];
  const numbers = Array.from({ length: size }, (_, index) => index);
  const own = [...(first === undefined ? [] : [first]), ...numbers.flatMap((index) => rules(index, random, size))];
  const text = (lines: readonly string[]): string =>
    [
      `# Generated by ip${family === 6 ? '6' : ''}tables-save v1.8.9`,
      `*${table ?? 'filter'}`,
      ...builtIn.map((name) => `:${name} ACCEPT [0:0]`),
      ...(chains === undefined ? [] : numbers.map((index) => `:${chains(index)} - [0:0]`)),
      ...lines,
      'COMMIT',
      '',
    ].join('\n');
  return [text(own), text(own.filter((_, index) => index !== own.length >> 1))];
}

/** What each command does with a shape. */
function run(shape: Shape, limit?: number): readonly (readonly [command: string, code: number, io: MemoryIo])[] {
  const [old, now] = texts(shape);
  const [saddr, daddr] = shape.family === 6 ? ['2001:db8::1', '2001:db8::2'] : ['10.0.0.1', '10.0.0.2'];
  const claims = `tcp ${saddr} > ${daddr}:22 in eth0 => dropped\n`;
  const common = {
    backend: 'legacy' as const,
    outputs: [{ format: 'text' as const }],
    color: 'never' as const,
    ...(limit === undefined ? {} : { limit }),
  };
  const ended = (command: string, end: (io: MemoryIo) => number): readonly [string, number, MemoryIo] => {
    const io = memoryIo({ old, now, claims });
    return [command, end(io), io];
  };
  return [
    ended('diff', (io) => runDiff({ ...common, old: 'old', now: 'now', ignore: [], failOn: [] }, io)),
    ended('lint', (io) => runLint({ ...common, ruleset: 'old' }, io)),
    ended('expect', (io) => runExpect({ ...common, ruleset: 'old', claims: 'claims' }, io)),
  ];
}

const SENTENCE = /^undecided: [^\n]{20,200}\n$/;

const NAMED = SHAPES.map((shape) => [shape.what, shape] as const);

test.each(NAMED)('%s: an answer, or a sentence that says why there is none', (_, shape) => {
  for (const [command, code, { written }] of run(shape)) {
    const isUndecided = code === 3 && written.stdout === '';
    expect([command, written.stderr]).toEqual([command, isUndecided ? expect.stringMatching(SENTENCE) : '']);
    expect([0, 1, 3], command).toContain(code);
    if (shape.explodes === true && command !== 'expect') expect([command, isUndecided]).toEqual([command, true]);
  }
});

/** Of edges: fewer than any of the shapes needs. */
const LOW = 20;

test.each(NAMED)('%s: too much where the limit is low', (_, shape) => {
  for (const [command, code, { written }] of run(shape, LOW)) {
    // No claim asks for another table than the filter.
    if (command === 'expect' && shape.table !== undefined) continue;
    expect([command, code, written.stdout]).toEqual([command, 3, '']);
    expect(written.stderr).toMatch(SENTENCE);
  }
});
