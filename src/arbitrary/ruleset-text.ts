/**
 * Rulesets as texts: good ones in all the spellings that iptables-restore takes (short and long options, negation before or after the option,
 * the target first or last, names and numbers, needless blanks and quotes, several commands), and texts that somebody broke.
 */
import fc from 'fast-check';
import type { Family } from '../address/address.ts';

/** One way to write each of several options of a rule, together with what must stand before it. */
type Fragment = fc.Arbitrary<readonly string[]>;

const words = (...alternatives: string[]): Fragment => fc.constantFrom(...alternatives).map((text) => text.split(' '));

/** `NAME VALUE`, sometimes with `!` before the name, or after it as old versions wrote. */
const negatable = (names: readonly string[], values: fc.Arbitrary<string>): Fragment =>
  fc.tuple(fc.constantFrom(...names), values, fc.constantFrom('', '', 'before', 'after')).map(([name, value, not]) => {
    const module = name.split(' ');
    const option = module.pop() ?? '';
    if (not === 'before') return [...module, '!', option, value];
    return not === 'after' ? [...module, option, '!', value] : [...module, option, value];
  });

const ADDRESSES: Readonly<Record<Family, readonly string[]>> = {
  4: ['10.0.0.1', '10.1.2.3/8', '192.168.1.1/255.255.255.0', '172.16.5.4/255.0.255.0', '10.1/16', '169.254.169.254/32'],
  6: ['2001:db8::1', '2001:DB8:0::7/64', 'fe80::/10', '::ffff:10.0.0.1', '2001:db8::/ffff:ffff::', '::10.0.0.1'],
};
const PORTS = ['22', 'ssh', '1:1024', ':53', '1024:', '0x50', '010', '0:65535'] as const;
/** udp takes no hexadecimal numbers. */
const DECIMAL_PORTS = PORTS.filter((port) => !port.startsWith('0x'));
const DEVICES = ['eth0', 'eth+', 'br100', 'lo', 'vnet0', '+'] as const;
const STATES = ['NEW', 'ESTABLISHED,RELATED', 'related,new', 'INVALID', 'UNTRACKED,NEW,ESTABLISHED'] as const;
const MARKS = ['1', '0x10/0xff', '010', '0xffffffff', '5/5'] as const;

const from = (values: readonly string[]): fc.Arbitrary<string> => fc.constantFrom(...values);

/** Words that need quotes as often as not; never longer than what iptables keeps. */
const text: fc.Arbitrary<string> = fc
  .array(fc.constantFrom('nova', 'a', ' ', '"', '\\', "'", 'ö', '-', '!', '$x', '%s', ';'), {
    minLength: 1,
    maxLength: 6,
  })
  .map((parts) => `"${parts.join('').replace(/["\\]/g, '\\$&')}"`);

const protocolFragment = (family: Family): Fragment =>
  fc.oneof(
    fc
      .tuple(
        fc.constantFrom('tcp', '6', 'TCP'),
        fc.array(negatable(['--dport', '--destination-port', '--sport', '--source-p'], from(PORTS)), { maxLength: 1 }),
        fc.constantFrom('', '-m tcp', '--match tcp'),
        words('', '', '--syn', '--tcp-flags SYN,ACK,FIN SYN', '! --tcp-flags ALL NONE', '--tcp-option 7'),
      )
      .map(([protocol, ports, match, flags]) => ['-p', protocol, ...match.split(' '), ...ports.flat(), ...flags]),
    fc
      .tuple(negatable(['--dport', '--sport'], from(DECIMAL_PORTS)), fc.constantFrom('', '-m udp'))
      .map(([ports, match]) => ['--protocol', 'udp', ...match.split(' '), ...ports]),
    words('-p tcp -m multiport --dports 22,80:90', '-p udp -m multiport ! --sports 53,67', '-p sctp --dport 5'),
    family === 4
      ? words('-p icmp --icmp-type ping', '-p icmp --icmp-type 3/4', '-p 1 -m icmp ! --icmp-type any', '-p icmp')
      : words('-p icmpv6 --icmpv6-type echo-request', '-p 58 -m icmp6 --icmpv6-type 1/0', '-p ipv6-icmp'),
    words('! -p udp', '-p gre', '-p 200', '! -p 17', '-p all'),
  );

const matchFragment = (family: Family): Fragment =>
  fc.oneof(
    negatable(['-m state --state', '-m conntrack --ctstate'], from(STATES)),
    negatable(['-m mark --mark', '-m connmark --mark'], from(MARKS)),
    negatable(['-m conntrack --ctorigdst', '-m conntrack --ctreplsrc'], from(ADDRESSES[family])).map((all) =>
      all.map((word) => (word.endsWith('/255.0.255.0') ? '10.0.0.0/8' : word)),
    ),
    text.map((comment) => ['-m', 'comment', '--comment', comment]),
    words(
      family === 4 ? '-m addrtype --dst-type LOCAL,broadcast' : '-m addrtype --src-type local',
      '-m length --length 10:',
      '-m pkttype ! --pkt-type host',
      '-m physdev ! --physdev-in vnet+ --physdev-is-bridged',
      '-m conntrack --ctproto tcp --ctdir reply --ctstatus SEEN_REPLY,ASSURED',
      '-m limit --limit 5/sec --limit-b 7',
      '-m recent --update --seconds 60 --name ssh',
      '-m helper --helper "a b"',
      '-m set --match-set blocked src,dst --return-nomatch',
      '-m owl --wings 2 ! --feathers "grey and white"',
      family === 4 ? '-m ttl --ttl 5' : '-m hl ! --hl-eq 5',
      family === 4 ? '-m iprange --src-range 10.0.0.1-10.0.0.9' : '-m iprange ! --dst-range 2001:db8::1-2001:db8::9',
    ).map(joinQuoted),
  );

/** Words that were split inside of quotes are one again. */
function joinQuoted(all: readonly string[]): readonly string[] {
  const joined: string[] = [];
  let open = false;
  for (const word of all) {
    if (open) joined.push(`${joined.pop() ?? ''} ${word}`);
    else joined.push(word);
    if ((word.split('"').length - 1) % 2 === 1) open = !open;
  }
  return joined;
}

const common: readonly string[] = ['-j ACCEPT', '-j RETURN', '--jump ACCEPT', '-j LOG', ''];
const NAT_TARGETS: Readonly<Record<Family, readonly string[]>> = {
  4: [
    '-j DNAT --to 10.0.0.2',
    '-j DNAT --to-destination 10.0.0.2-10.0.0.9',
    '-j NETMAP --to 10.0.0.0/24',
    '-j REDIRECT',
  ],
  6: [
    '-j DNAT --to 2001:db8::2',
    '-j DNAT --to-destination [2001:db8::2]',
    '-j NETMAP --to 2001:db8::/64',
    '-j REDIRECT',
  ],
};
const TARGETS: Readonly<Record<string, readonly string[]>> = {
  filter: ['-j DROP', '-j REJECT', '-j NFLOG --nflog-group 3', '-j LOG --log-prefix "drop: " --log-level debug'],
  nat: [],
  mangle: [
    '-j MARK --set-mark 1/2',
    '-j CONNMARK --save-mark',
    '-j MARK --or-mark 4',
    '-j TOS --set-tos 0x10/0x3f',
    '-j DROP',
  ],
  raw: ['-j NOTRACK', '-j CT --notrack', '-j CT --zone 5 --ctevents new', '-j DROP', '-j TRACE'],
};
const CHAINS: Readonly<Record<string, readonly string[]>> = {
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  nat: ['PREROUTING', 'OUTPUT'],
  mangle: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  raw: ['PREROUTING', 'OUTPUT'],
};
/** User-defined chains; a rule jumps only to a later one, so that there is no loop. */
const USER_CHAINS = ['zeta', 'nova-compute-local', 'a.b'] as const;

interface RuleChoice {
  readonly chain: number;
  readonly counters: string;
  readonly parts: readonly (readonly string[])[];
  readonly target: number;
  readonly targetFirst: boolean;
  readonly blank: string;
}

const ruleChoice = (family: Family): fc.Arbitrary<RuleChoice> =>
  fc.record({
    chain: fc.nat(31),
    counters: fc.constantFrom('', '', '[0:0] ', '[12:3456] '),
    parts: fc
      .tuple(
        fc.array(negatable(['-s', '--source', '--src'], from(ADDRESSES[family])), { maxLength: 1 }),
        fc.array(negatable(['-d', '--destination', '--dst'], from(ADDRESSES[family])), { maxLength: 1 }),
        fc.array(protocolFragment(family), { maxLength: 1 }),
        fc.array(matchFragment(family), { maxLength: 2 }),
      )
      .map((all) => all.flat()),
    target: fc.nat(1000),
    targetFirst: fc.boolean(),
    blank: fc.constantFrom(' ', ' ', '  ', '\t'),
  });

function ruleLine(table: string, family: Family, choice: RuleChoice): string {
  const builtIn = CHAINS[table] ?? [];
  const chains = [...builtIn, ...USER_CHAINS];
  const chain = chains[choice.chain % chains.length] ?? 'INPUT';
  const user = (USER_CHAINS as readonly string[]).indexOf(chain);
  const jumps = USER_CHAINS.slice(user + 1).flatMap((name) => [`-j ${name}`, `-g ${name}`]);
  const targets = [...common, ...jumps, ...(TARGETS[table] ?? []), ...(table === 'nat' ? NAT_TARGETS[family] : [])];
  const target = joinQuoted((targets[choice.target % targets.length] ?? '').split(' '));
  const body = choice.targetFirst ? [...target, ...choice.parts.flat()] : [...choice.parts.flat(), ...target];
  return choice.counters + ['-A', chain, ...body].filter((word) => word !== '').join(choice.blank);
}

/** One table of a good ruleset. */
const tableText = (family: Family): fc.Arbitrary<string> =>
  fc
    .record({
      table: fc.constantFrom('filter', 'nat', 'mangle', 'raw'),
      policy: fc.constantFrom('ACCEPT', 'DROP'),
      rules: fc.array(ruleChoice(family), { maxLength: 8 }),
      device: fc.constantFrom(...DEVICES),
      close: fc.constantFrom('COMMIT', 'COMMIT', 'COMMIT '),
    })
    .map(({ table, policy, rules, device, close }) =>
      [
        `*${table}`,
        `:OUTPUT ${policy} [1:2]`,
        ...USER_CHAINS.map((name) => `:${name} - [0:0]`),
        ...rules.map((rule) => ruleLine(table, family, rule)),
        `-I OUTPUT -o ${device} -j RETURN`,
        close,
      ].join('\n'),
    );

export interface RulesetText {
  readonly family: Family;
  readonly text: string;
}

/** A ruleset that iptables-restore takes. */
export const rulesetTextArb = (): fc.Arbitrary<RulesetText> =>
  fc
    .constantFrom<Family>(4, 6)
    .chain((family) =>
      fc
        .array(tableText(family), { maxLength: 3 })
        .map((tables) => ({ family, text: tables.map((table) => `${table}\n`).join('# next\n\n') })),
    );

/** What somebody does to a text: where, how much, and what comes in instead. */
interface Damage {
  readonly at: number;
  readonly length: number;
  readonly kind: 'delete' | 'duplicate' | 'insert' | 'truncate' | 'swap';
  readonly insert: string;
}

const TOKENS = [
  '!',
  '"',
  '\\',
  ' ',
  '\n',
  '-m',
  '-p',
  '-A',
  '--dport',
  ':',
  '*nat',
  'COMMIT',
  '[',
  ']',
  '/',
  '99999',
  '\t',
  '\r',
  '#',
];

const damageArb = (): fc.Arbitrary<Damage> =>
  fc.record({
    at: fc.nat(4000),
    length: fc.oneof(fc.nat(3), fc.nat(300)),
    kind: fc.constantFrom('delete', 'duplicate', 'insert', 'insert', 'truncate', 'swap'),
    insert: fc.oneof(
      fc.constantFrom(...TOKENS),
      fc.string({ maxLength: 8 }),
      fc.string({ unit: 'binary', maxLength: 4 }),
    ),
  });

function damaged(whole: string, { at, length, kind, insert }: Damage): string {
  const start = at % (whole.length + 1);
  const before = whole.slice(0, start);
  const cut = whole.slice(start, start + length);
  const after = whole.slice(start + length);
  switch (kind) {
    case 'delete':
      return before + after;
    case 'duplicate':
      return before + cut + cut + after;
    case 'insert':
      return before + insert + cut + after;
    case 'truncate':
      return before;
    case 'swap':
      return before + insert + after;
  }
}

/** A good ruleset after a few damages, or no ruleset at all. */
export const brokenRulesetTextArb = (): fc.Arbitrary<string> =>
  fc.oneof(
    {
      arbitrary: fc
        .tuple(rulesetTextArb(), fc.array(damageArb(), { minLength: 1, maxLength: 4 }))
        .map(([{ text: whole }, damages]) => damages.reduce(damaged, whole)),
      weight: 8,
    },
    { arbitrary: fc.string({ unit: 'binary', maxLength: 200 }), weight: 1 },
    {
      arbitrary: fc
        .array(fc.constantFrom(...TOKENS, 'filter', 'INPUT', '-j'), { maxLength: 60 })
        .map((all) => all.join(' ')),
      weight: 1,
    },
  );
