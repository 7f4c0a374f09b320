import { describe, expect, test } from 'vitest';
import { InputError, printDiagnostic } from '../diagnostic/diagnostic.ts';
import { textsOf } from './lines.ts';
import { parseRuleset, readRuleset } from './parse.ts';
import { printRuleset } from './print.ts';
import type { Family } from '../address/address.ts';

const lines = (...all: string[]): string => all.map((line) => `${line}\n`).join('');
const filter = (...body: string[]): string => lines('*filter', ...body, 'COMMIT');
const parse = (text: string, family?: Family) => parseRuleset(text, { path: 'x', ...(family && { family }) });
const errors = (text: string): string[] => parse(text).diagnostics.map(printDiagnostic);

/** What a good text says after a restore and a save, without the chains that every filter table has. */
const saved = (text: string): string[] => {
  const { ruleset, diagnostics } = parse(text);
  expect(diagnostics.map(printDiagnostic)).toEqual([]);
  return printRuleset(ruleset)
    .split('\n')
    .filter((line) => line !== '' && !/^:(INPUT|FORWARD|OUTPUT) ACCEPT \[0:0\]$/.test(line));
};

describe('the file', () => {
  test('chains are saved in the order of hooks and names, rules chain by chain', () => {
    const text = filter(
      ':zz - [1:2]',
      ':OUTPUT DROP [3:4]',
      ':aa - [0:0]',
      ':INPUT ACCEPT',
      ':B - [0:0]',
      '-A aa -j zz',
      '-A INPUT -j zz',
      '-A zz -j RETURN',
      '-A INPUT -j aa',
    );
    expect(saved(text)).toEqual([
      '*filter',
      ':OUTPUT DROP [3:4]',
      ':B - [0:0]',
      ':aa - [0:0]',
      ':zz - [1:2]',
      '-A INPUT -j zz',
      '-A INPUT -j aa',
      '-A aa -j zz',
      '-A zz -j RETURN',
      'COMMIT',
    ]);
  });

  test('declared chains come first in a table, in the order of declaration, then those that nobody declared', () => {
    const { ruleset } = parse(filter(':zz - [0:0]', ':OUTPUT ACCEPT', ':aa - [0:0]', '-N new'));
    const chains = [...(ruleset.tables.get('filter')?.chains.values() ?? [])];
    expect(chains.map(({ name, line }) => [name, line])).toEqual([
      ['zz', 2],
      ['OUTPUT', 3],
      ['aa', 4],
      ['INPUT', undefined],
      ['FORWARD', undefined],
      ['new', undefined],
    ]);
  });

  test('every line is kept, and every rule knows its own', () => {
    const text = '# saved\n\n*filter\n:a - [0:0]\n-A INPUT  -j a\nCOMMIT';
    const { ruleset } = parse(text);
    expect(ruleset.remarks.map(({ kind, line }) => `${line} ${kind}`)).toEqual(['1 comment', '3 table']);
    const textAt = textsOf(ruleset);
    expect(text.split('\n').map((_, index) => textAt(index + 1))).toEqual(text.split('\n'));
    expect(textAt(7)).toBe('');
    const rule = ruleset.tables.get('filter')?.chains.get('INPUT')?.rules[0];
    expect([rule?.line, textAt(rule?.line ?? 0)]).toEqual([5, '-A INPUT  -j a']);
  });

  test('a last COMMIT or line end may be missing', () => {
    const whole = ['*filter', '-A INPUT -j ACCEPT', 'COMMIT'];
    expect(saved('*filter\n-A INPUT -j ACCEPT\nCOMMIT')).toEqual(whole);
    expect(saved('*filter\n-A INPUT -j ACCEPT\n')).toEqual(whole);
    expect(saved('*filter\n-A INPUT -j ACCEPT')).toEqual(whole);
  });

  test('line ends of Windows and blanks around a line do no harm', () => {
    expect(saved('*filter \r\n  :INPUT  DROP  [1:2]\r\n\t-A INPUT -j ACCEPT \r\n COMMIT \r\n')).toEqual([
      '*filter',
      ':INPUT DROP [1:2]',
      '-A INPUT -j ACCEPT',
      'COMMIT',
    ]);
  });

  test('a second section of a table replaces the first, but for its policies', () => {
    const text = filter(':INPUT DROP [0:0]', ':a - [0:0]', '-A INPUT -j a') + filter('-A OUTPUT -j ACCEPT');
    expect(saved(text)).toEqual(['*filter', ':INPUT DROP [0:0]', '-A OUTPUT -j ACCEPT', 'COMMIT']);
  });

  test('tables are saved in the order of the text', () => {
    const text = lines('*nat', 'COMMIT', '*filter', 'COMMIT', '*raw', 'COMMIT');
    expect([...parse(text).ruleset.tables.keys()]).toEqual(['nat', 'filter', 'raw']);
  });

  test('an empty text is an empty ruleset', () => {
    expect(saved('')).toEqual([]);
    expect(saved('# nothing\n')).toEqual([]);
  });

  test('a policy DROP of a nat chain loads', () => {
    const { ruleset } = parse(lines('*nat', ':PREROUTING DROP [0:0]', 'COMMIT'));
    expect(ruleset.tables.get('nat')?.chains.get('PREROUTING')?.policy).toBe('DROP');
  });

  test('a built-in chain may be declared without a policy, and another table’s is a chain like any other', () => {
    const text = lines('*nat', ':INPUT - [0:0]', ':FORWARD - [0:0]', '-A OUTPUT -j FORWARD', 'COMMIT');
    expect(saved(text)).toContain(':FORWARD - [0:0]');
  });
});

describe('commands', () => {
  test('do what iptables does', () => {
    const text = filter(
      '-N foo',
      '-A INPUT -j foo',
      '-I INPUT -s 1.1.1.1',
      '-I INPUT 2 -s 2.2.2.2',
      '-I INPUT 4 -s 4.4.4.4',
      '-R INPUT 1 -s 9.9.9.9',
      '-D INPUT -s 2.2.2.2',
      '-P OUTPUT DROP',
      '-E foo bar',
      '-A bar -j ACCEPT',
    );
    expect(saved(text)).toEqual([
      '*filter',
      ':OUTPUT DROP [0:0]',
      ':bar - [0:0]',
      '-A INPUT -s 9.9.9.9/32',
      '-A INPUT -j bar',
      '-A INPUT -s 4.4.4.4/32',
      '-A bar -j ACCEPT',
      'COMMIT',
    ]);
  });

  test('a jump is to the chain that had the name when it was read', () => {
    const lines = [':a - [0:0]', '-A INPUT -j a', '-E a b', '-N a', '-A OUTPUT -j a', '-A a -j b'];
    expect(saved(filter(...lines))).toEqual([
      '*filter',
      ':a - [0:0]',
      ':b - [0:0]',
      '-A INPUT -j b',
      '-A OUTPUT -j a',
      '-A a -j b',
      'COMMIT',
    ]);
    expect(errors(filter(...lines, '-X b'))).toEqual(['x:8:4: rules still jump to chain `b`: it cannot be deleted']);
  });

  test('flush, delete and zero', () => {
    expect(saved(filter('-N foo', '-A INPUT -j foo', '-F', '-X', '-Z', '-L', '-S'))).toEqual(['*filter', 'COMMIT']);
    expect(saved(filter(':foo - [0:0]', '-A foo', '-F foo', '-X foo'))).toEqual(['*filter', 'COMMIT']);
    expect(saved(filter('-A INPUT', '-A INPUT -j DROP', '-D INPUT 1'))).toEqual([
      '*filter',
      '-A INPUT -j DROP',
      'COMMIT',
    ]);
  });

  test('long names, and the beginnings of them that fit only one', () => {
    expect(
      saved(filter('--new-chain a', '--append INPUT --jump a', '--ins INPUT --goto a', '--policy OUTPUT DROP')),
    ).toEqual(['*filter', ':OUTPUT DROP [0:0]', ':a - [0:0]', '-A INPUT -g a', '-A INPUT -j a', 'COMMIT']);
  });

  test('several addresses make several rules of one line, inserted ones in the reverse order', () => {
    const text = filter('-A INPUT -s 1.1.1.1,1.1.1.2 -d 2.2.2.1,2.2.2.2', '-I INPUT -s 3.3.3.1,3.3.3.2');
    expect(saved(text)).toEqual([
      '*filter',
      '-A INPUT -s 3.3.3.2/32',
      '-A INPUT -s 3.3.3.1/32',
      '-A INPUT -s 1.1.1.1/32 -d 2.2.2.1/32',
      '-A INPUT -s 1.1.1.1/32 -d 2.2.2.2/32',
      '-A INPUT -s 1.1.1.2/32 -d 2.2.2.1/32',
      '-A INPUT -s 1.1.1.2/32 -d 2.2.2.2/32',
      'COMMIT',
    ]);
  });

  test('counters in brackets and with -c are kept', () => {
    expect(saved(filter('[1:2] -A INPUT -j ACCEPT', '[3:4]-A INPUT', '-A INPUT -c 5 6', '-A INPUT'))).toEqual([
      '*filter',
      '[1:2] -A INPUT -j ACCEPT',
      '[3:4] -A INPUT',
      '[5:6] -A INPUT',
      '-A INPUT',
      'COMMIT',
    ]);
  });

  test('lines for the other family are skipped', () => {
    const text = filter('-4 -A INPUT -s 10.0.0.1', '-6 -A INPUT -s 2001:db8::1', '-A INPUT -6 -j nosuch');
    expect(printRuleset(parse(text, 4).ruleset)).toContain('-A INPUT -s 10.0.0.1/32\n');
    expect(printRuleset(parse(text, 4).ruleset)).not.toContain('2001');
    expect(printRuleset(parse(filter('-4 -A INPUT -s 10.0.0.1', '-6 -A INPUT -s ::1'), 6).ruleset)).toContain(
      '::1/128',
    );
  });
});

describe('the dialect that nova and neutron write', () => {
  test('target before matches, long options, short forms of them', () => {
    expect(
      saved(
        lines(
          '*nat',
          ':nova-PREROUTING - [0:0]',
          '-A nova-PREROUTING -j DNAT --to 10.0.0.1:80 -d 1.1.1.1/32 -p tcp --dport 80',
          '-A nova-PREROUTING --in-interface eth0 -j DNAT --to-dest 10.0.0.1',
          'COMMIT',
        ),
      ).slice(-3),
    ).toEqual([
      '-A nova-PREROUTING -d 1.1.1.1/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.0.0.1:80',
      '-A nova-PREROUTING -i eth0 -j DNAT --to-destination 10.0.0.1',
      'COMMIT',
    ]);
  });

  test('! after the option, as old versions had it', () => {
    expect(saved(filter('-A FORWARD -s ! 10.0.0.1 -i ! eth0 -p ! tcp', '-A FORWARD -p tcp --dport ! 22'))).toEqual([
      '*filter',
      '-A FORWARD ! -s 10.0.0.1/32 ! -i eth0 ! -p tcp',
      '-A FORWARD -p tcp -m tcp ! --dport 22',
      'COMMIT',
    ]);
    expect(errors(filter('-A FORWARD ! -s ! 10.0.0.1'))).toEqual(['x:2:17: two ! for --source: expected one']);
  });

  test('-s 0.0.0.0/0 in an IPv6 ruleset is every address', () => {
    const { ruleset, diagnostics } = parse(filter('-A INPUT -s 0.0.0.0/0 -d 2001:db8::1'), 6);
    expect(diagnostics).toEqual([]);
    expect(printRuleset(ruleset)).toContain('-A INPUT -d 2001:db8::1/128\n');
  });
});

describe('what no list knows', () => {
  test('an unknown module keeps its options as they are written', () => {
    const text = filter('-A INPUT -m geoip ! --src-cc DE,FR --flag -m ndpi --all "a b" -j ACCEPT');
    expect(saved(text)).toContain('-A INPUT -m geoip ! --src-cc DE,FR --flag -m ndpi --all "a b" -j ACCEPT');
  });

  test('options of modules without a model keep their order and spelling, under their full names', () => {
    expect(
      saved(
        filter('-A INPUT -m recent --rdest --set', '-A INPUT -m hashlimit --hashlimit-name x --hashlimit 5/minute'),
      ),
    ).toEqual([
      '*filter',
      '-A INPUT -m recent --rdest --set',
      '-A INPUT -m hashlimit --hashlimit-name x --hashlimit-upto 5/minute',
      'COMMIT',
    ]);
  });

  test('a chain hides a target of the same name', () => {
    const { ruleset } = parse(filter(':LOG - [0:0]', '-A INPUT -j LOG'));
    expect(ruleset.tables.get('filter')?.chains.get('INPUT')?.rules[0]?.target).toEqual({ kind: 'jump', chain: 'LOG' });
  });
});

describe('the family', () => {
  test.each([
    [6, '# Generated by ip6tables-save v1.8.9 on Thu Jan  1'],
    [4, '# Generated by iptables-save v1.8.9 (nf_tables) on Thu Jan  1'],
    [6, '-A INPUT -s 2001:db8::/32 -j ACCEPT'],
    [6, '[0:0] -A INPUT ! -d ::1'],
    [6, '-A INPUT -p ipv6-icmp'],
    [6, '-A INPUT -m icmp6 --icmpv6-type 1'],
    [6, '-A INPUT -j REJECT --reject-with icmp6-no-route'],
    [6, '-A PREROUTING -p tcp -j DNAT --to-destination [2001:db8::1]:80'],
    [4, '-A INPUT -s 10.0.0.1'],
    [4, '-A INPUT -m mac --mac-source 00:11:22:33:44:55'],
    [4, '-A INPUT -m comment --comment "-s 2001:db8::1"'],
    [4, '-6 -A INPUT -s 2001:db8::1'],
    [4, '-A INPUT -j ACCEPT'],
  ] as const)('is %i for %s', (family, line) => {
    expect(parse(lines('*filter', line, 'COMMIT')).ruleset.family).toBe(family);
  });
});

describe('errors say where, what was read, and what was expected', () => {
  const declare = (name: string): string => `:${name} - [0:0]`;
  test.each<[string, string, ...string[]]>([
    ['x:1:2: `filtre` is no table: did you mean filter?', '*filtre', 'nonsense', 'COMMIT'],
    ['x:1:1: a line outside of a table: expected *TABLE, such as *filter', '-A INPUT -j ACCEPT'],
    ['x:1:1: COMMIT outside of a table', 'COMMIT'],
    ['x:2:1: a new table inside of table filter: expected COMMIT before it', '*filter', '*nat', 'COMMIT'],
    ['x:2:1: no command in this line: expected -A CHAIN or another one, found `-j`', '*filter', '-j ACCEPT'],
    ['x:2:1: `COMM` stands where an option was expected', '*filter', 'COMM'],
    [
      'x:2:4: table filter has no chain `foo` by now: expected a line :foo before this one',
      '*filter',
      '-A foo -j DROP',
    ],
    [
      'x:3:4: table filter has no chain `nova-loca` by now: did you mean nova-local?',
      '*filter',
      declare('nova-local'),
      '-A nova-loca',
    ],
    [
      'x:2:13: `foo` is neither a target nor a chain that table filter has by now',
      '*filter',
      '-A INPUT -j foo',
      declare('foo'),
    ],
    [
      'x:2:13: `ACCPET` is neither a target nor a chain that table filter has by now: did you mean ACCEPT?',
      '*filter',
      '-A INPUT -j ACCPET',
    ],
    [
      'x:2:2: the chain name `aaaaaaaaaaaaaaaaaaaaaaaaaaaaa` is too long: expected at most 28 characters',
      '*filter',
      declare('a'.repeat(29)),
    ],
    ['x:3:2: table filter already has a chain `a`, declared in line 2', '*filter', declare('a'), declare('a')],
    ['x:2:2: ACCEPT is a target: no chain can have its name', '*filter', declare('ACCEPT')],
    ['x:2:8: `REJECT` is no policy: expected ACCEPT or DROP', '*filter', ':INPUT REJECT [0:0]'],
    ['x:2:6: `foo` is no built-in chain of table filter and has no policy: expected -', '*filter', ':foo ACCEPT [0:0]'],
    ['x:2:2: chain `foo` without a policy: expected :NAME POLICY or :NAME -', '*filter', ':foo'],
    ['x:2:15: `[0:x]` is no pair of counters: expected [PACKETS:BYTES]', '*filter', ':INPUT ACCEPT [0:x]'],
    [
      'x:2:1: `[0 -A INPUT -j ACCEPT` is no pair of counters: expected [PACKETS:BYTES]',
      '*filter',
      '[0 -A INPUT -j ACCEPT',
    ],
    [
      'x:2:10: unknown option `--dport` here: expected -m dccp or -m sctp or -m tcp or -m udp before it',
      '*filter',
      '-A INPUT --dport 22',
    ],
    ['x:2:13: unknown match `contrack`: did you mean conntrack?', '*filter', '-A INPUT -m contrack --ctstate NEW'],
    ['x:2:27: `ESTABLISED` is no state: did you mean ESTABLISHED?', '*filter', '-A INPUT -m state --state ESTABLISED'],
    [
      'x:2:35: this quote is never closed: expected another " in the line',
      '*filter',
      '-A INPUT -m comment --comment abc "def',
    ],
    [
      'x:2:13: tcp is only for packets of its own protocol: expected -p tcp in the rule',
      '*filter',
      '-A INPUT -m tcp --dport 1',
    ],
    ['x:2:10: -p needs a value, found the end of the line', '*filter', '-A INPUT -p'],
    ['x:2:10: -o cannot be used in INPUT: the packet has no outgoing interface there', '*filter', '-A INPUT -o eth0'],
    [
      'x:2:13: DNAT cannot be used in table filter: expected nat',
      '*filter',
      '-A INPUT -j DNAT --to-destination 1.1.1.1',
    ],
    [
      'x:2:19: DNAT cannot be used in POSTROUTING: expected PREROUTING, OUTPUT',
      '*nat',
      '-A POSTROUTING -j DNAT --to-destination 1.1.1.1',
    ],
    [
      'x:3:9: SNAT cannot be used in `a`, which OUTPUT reaches: expected INPUT, POSTROUTING',
      '*nat',
      declare('a'),
      '-A a -j SNAT --to-source 1.1.1.1',
      '-A OUTPUT -j a',
    ],
    ['x:2:18: DROP cannot be used in table nat: filter in table filter', '*nat', '-A PREROUTING -j DROP'],
    ['x:2:15: DROP cannot be used in table nat: filter in table filter', '*nat', '-P PREROUTING DROP'],
    ['x:2:13: REJECT cannot be used in table mangle: expected filter', '*mangle', '-A INPUT -j REJECT'],
    [
      'x:3:9: this jump closes a loop that INPUT reaches: a -> a',
      '*filter',
      declare('a'),
      '-A a -j a',
      '-A INPUT -j a',
    ],
    [
      'x:5:9: this jump closes a loop that INPUT reaches: a -> b -> a',
      '*filter',
      declare('a'),
      declare('b'),
      '-A a -g b',
      '-A b -g a',
      '-A INPUT -j a',
    ],
    ['x:2:13: OUTPUT is a built-in chain: no rule can jump to it', '*filter', '-A INPUT -j OUTPUT'],
    ['x:2:10: there is no rule `9`: expected 1 to 1', '*filter', '-I INPUT 9 -j ACCEPT'],
    ['x:2:10: there is no rule `1`: expected no number, the chain is empty', '*filter', '-D INPUT 1'],
    ['x:2:4: chain `INPUT` has no such rule: `-j DROP`', '*filter', '-D INPUT -j DROP'],
    ['x:4:4: rules still jump to chain `a`: it cannot be deleted', '*filter', declare('a'), '-A INPUT -j a', '-X a'],
    ['x:4:4: chain `a` still has rules: it cannot be deleted', '*filter', declare('a'), '-A a', '-X a'],
    ['x:2:4: INPUT is a built-in chain: it cannot be deleted', '*filter', '-X INPUT'],
    ['x:2:10: a second command: the line already has -A', '*filter', '-A INPUT -A OUTPUT'],
    [
      'x:2:13: `2001:db8::1` is an IPv6 address in an IPv4 ruleset',
      '*filter',
      '-A INPUT -s 2001:db8::1',
      '# Generated by iptables-save',
    ],
    ['x:2:13: `example.org` is no IPv4 address (host names are not looked up)', '*filter', '-A INPUT -s example.org'],
    ['x:2:3: a control character (U+0001): expected text', '*filter', '-A\u0001 INPUT'],
    ['x:2:5: a NUL character: this file is no text', '*filter', '-A I\0NPUT'],
  ])('%s', (expected, ...text) => {
    const found = parseRuleset(lines(...text), { path: 'x', family: 4 }).diagnostics.map(printDiagnostic);
    expect(found).toEqual([expected]);
  });

  test('one bad line does not hide the next', () => {
    const text = filter('-A INPUT -s 10.0.0.256', '-A INPUT -j ACCEPT', '-A INPUT --nosuch', ':INPUT FOO');
    expect(errors(text).map((line) => line.slice(0, 7))).toEqual(['x:2:13:', 'x:4:10:', 'x:5:8: ']);
    expect(parse(text).ruleset.tables.get('filter')?.chains.get('INPUT')?.rules).toHaveLength(1);
  });

  test('reading stops after a hundred errors and says so', () => {
    const found = errors(`*filter\n${'--nosuch\n'.repeat(1000)}`);
    expect(found).toHaveLength(101);
    expect(found.at(-1)).toBe('x:102:1: 100 errors above: the rest is not read');
  });

  test('readRuleset throws all of them at once', () => {
    const text = filter('-A INPUT -s 10.0.0.256', '-A INPUT --nosuch');
    expect(() => readRuleset(text, { path: 'x' })).toThrow(InputError);
    expect(() => readRuleset(text, { path: 'x' })).toThrow(/x:2:13: .*\nx:3:10: /);
    expect(readRuleset(filter('-A INPUT'), { path: 'x' }).path).toBe('x');
  });
});

describe('what the kernel takes', () => {
  test('a loop that no built-in chain reaches', () => {
    expect(errors(filter(':a - [0:0]', '-A a -j a'))).toEqual([]);
  });

  test('a loop behind a rule that ends the chain for every packet', () => {
    expect(errors(filter(':a - [0:0]', '-A a -j a', '-A INPUT -j ACCEPT', '-A INPUT -j a'))).toEqual([]);
    expect(errors(filter(':a - [0:0]', '-A a -j a', '-A INPUT -p tcp -j ACCEPT', '-A INPUT -j a'))).toHaveLength(1);
  });

  test('forty nested chains', () => {
    const names = Array.from({ length: 40 }, (_, i) => `c${i}`);
    const jumps = names.slice(1).map((name, i) => `-A c${i} -j ${name}`);
    expect(errors(filter(...names.map((name) => `:${name} - [0:0]`), '-A INPUT -j c0', ...jumps))).toEqual([]);
  });

  test('-i in a chain that POSTROUTING reaches', () => {
    expect(errors(lines('*nat', ':a - [0:0]', '-A a -i eth0', '-A POSTROUTING -j a', 'COMMIT'))).toEqual([]);
  });
});

describe('meaning that iptables-save loses is kept', () => {
  test.each(['-A FORWARD ! -i +', '-A FORWARD -p tcp -m tcp ! --dport 0:65535'])('%s', (rule) => {
    expect(saved(filter(rule))).toContain(rule);
  });
});

describe('hostile texts', () => {
  const time = (text: string): { milliseconds: number; found: string[] } => {
    const start = performance.now();
    const found = errors(text);
    return { milliseconds: performance.now() - start, found };
  };

  test('a line without end is one error', () => {
    const { milliseconds, found } = time(`*filter\n-A INPUT -s ${'1'.repeat(100_000_000)}\nCOMMIT\n`);
    expect(found).toEqual(['x:2:1: this line has 100000012 characters: expected at most 10239']);
    expect(milliseconds).toBeLessThan(10_000);
  });

  test('a long loop is found without recursion', () => {
    const size = 5_000;
    const chains = Array.from({ length: size }, (_, i) => `:c${i} - [0:0]`);
    const jumps = Array.from({ length: size }, (_, i) => `-A c${i} -j c${(i + 1) % size}`);
    const { milliseconds, found } = time(filter(...chains, '-A INPUT -j c0', ...jumps));
    expect(found).toEqual([
      `x:${2 * size + 2}:13: this jump closes a loop that INPUT reaches: c0 -> c1 -> c2 -> c3 -> ... -> c4997 -> c4998 -> c4999 -> c0`,
    ]);
    expect(milliseconds).toBeLessThan(10_000);
  });

  test('insertions into the middle take linear time', () => {
    const { milliseconds, found } = time(
      filter('-A INPUT', '-A INPUT', ...Array<string>(10_000).fill('-I INPUT 2 -j DROP')),
    );
    expect(found).toEqual([]);
    expect(milliseconds).toBeLessThan(10_000);
  });
});
