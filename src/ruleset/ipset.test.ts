import { expect, test } from 'vitest';
import { parseAddress } from '../address/address.ts';
import { InputError } from '../diagnostic/diagnostic.ts';
import type { IpSetField } from './ipset.ts';
import { parseIpsets } from './ipset.ts';

const fields = (text: string, name: string): (readonly IpSetField[])[] =>
  parseIpsets(text, 's')
    .get(name)
    ?.entries.map((entry) => entry.fields) ?? [];

const addresses = (from: string, to: string): IpSetField => ({
  kind: 'address',
  from: parseAddress(from) ?? 0,
  to: parseAddress(to) ?? 0,
});

const errors = (text: string): string => {
  try {
    parseIpsets(text, 's');
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
  return '';
};

test('reads what ipset save prints', () => {
  const text = [
    'create blocked hash:net family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x5e5b2a1d',
    'add blocked 10.0.0.0/8',
    'add blocked 10.1.0.0/16 nomatch',
    'create web hash:ip,port family inet6 hashsize 1024 maxelem 65536 timeout 300 counters comment',
    'add web 2001:db8::1,tcp:80 timeout 12 packets 1 bytes 2 comment "the \\"front\\" end"',
    'add web 2001:db8::1,icmpv6:ping',
    '',
  ].join('\n');
  const sets = parseIpsets(text, 's');
  expect([...sets.keys()]).toEqual(['blocked', 'web']);
  expect(sets.get('blocked')).toEqual({
    name: 'blocked',
    type: 'hash:net',
    entries: [
      { fields: [addresses('10.0.0.0', '10.255.255.255')], nomatch: false },
      { fields: [addresses('10.1.0.0', '10.1.255.255')], nomatch: true },
    ],
  });
  expect(fields(text, 'web')).toEqual([
    [addresses('2001:db8::1', '2001:db8::1'), { kind: 'port', protocol: 6, from: 80, to: 80 }],
    [addresses('2001:db8::1', '2001:db8::1'), { kind: 'port', protocol: 58, from: 128 * 256, to: 128 * 256 }],
  ]);
});

test('reads the fields of every set type', () => {
  const entry = (type: string, text: string): (readonly IpSetField[])[] =>
    fields(`create x ${type}\nadd x ${text}`, 'x');
  const one = addresses('10.0.0.1', '10.0.0.1');
  const net = addresses('10.0.0.0', '10.0.0.255');
  const mac: IpSetField = { kind: 'mac', mac: 'fa:16:3e:00:00:01' };
  const udp: IpSetField = { kind: 'port', protocol: 17, from: 5, to: 9 };
  expect(entry('bitmap:ip range 10.0.0.0/24', '10.0.0.0-10.0.0.255')).toEqual([[net]]);
  expect(entry('bitmap:ip,mac range 10.0.0.0/24', '10.0.0.1,FA:16:3E:00:00:01')).toEqual([[one, mac]]);
  expect(entry('bitmap:ip,mac range 10.0.0.0/24', '10.0.0.1')).toEqual([[one]]);
  expect(entry('bitmap:port range 0-1024', '5-9')).toEqual([[{ kind: 'port', from: 5, to: 9 }]]);
  expect(entry('hash:ip netmask 24', '10.0.0.7')).toEqual([[net]]);
  expect(entry('hash:ip bitmask 255.255.255.0', '10.0.0.7')).toEqual([[net]]);
  expect(entry('hash:mac', 'fa:16:3e:00:00:01')).toEqual([[mac]]);
  expect(entry('hash:ip,mac', '10.0.0.1,fa:16:3e:00:00:01')).toEqual([[one, mac]]);
  expect(entry('hash:net,net', '10.0.0.0/24,10.0.0.1')).toEqual([[net, one]]);
  expect(entry('hash:net,port', '10.0.0.0/24,udp:5-9')).toEqual([[net, udp]]);
  expect(entry('hash:ip,port', '10.0.0.1,gre:0')).toEqual([[one, { kind: 'port', protocol: 47, from: 0, to: 0 }]]);
  expect(entry('hash:ip,port', '10.0.0.1,80')).toEqual([[one, { kind: 'port', protocol: 6, from: 80, to: 80 }]]);
  expect(entry('hash:ip,port', '10.0.0.1,icmp:3/1')).toEqual([
    [one, { kind: 'port', protocol: 1, from: 769, to: 769 }],
  ]);
  expect(entry('hash:ip,port,ip', '10.0.0.1,udp:5-9,10.0.0.1')).toEqual([[one, udp, one]]);
  expect(entry('hash:net,port,net', '10.0.0.0/24,udp:5-9,10.0.0.1')).toEqual([[net, udp, one]]);
  expect(entry('hash:ip,mark', '10.0.0.1,0x10')).toEqual([[one, { kind: 'mark', value: 16 }]]);
  expect(entry('hash:ip,mark markmask 0xf', '10.0.0.1,0x13')).toEqual([[one, { kind: 'mark', value: 3, mask: 15 }]]);
  expect(entry('hash:net,iface', '10.0.0.0/24,eth0')).toEqual([[net, { kind: 'interface', name: 'eth0' }]]);
  expect(entry('hash:net,iface', '10.0.0.0/24,physdev:vnet0')).toEqual([
    [net, { kind: 'interface', name: 'vnet0', physdev: true }],
  ]);
  expect(entry('list:set size 8', 'y')).toEqual([[{ kind: 'interface', name: 'y' }]]);
});

test('flushes and destroys, as a restored file may ask', () => {
  const text =
    'create a hash:ip\nadd a 10.0.0.1\nflush a\nadd a 10.0.0.2 -exist\ncreate b hash:ip\ndestroy b\nCOMMIT\n';
  const sets = parseIpsets(text, 's');
  expect([...sets.keys()]).toEqual(['a']);
  expect(sets.get('a')?.entries).toEqual([{ fields: [addresses('10.0.0.2', '10.0.0.2')], nomatch: false }]);
});

test('says what is wrong and where', () => {
  expect(
    errors(
      [
        'create a hash:up',
        'add b 10.0.0.1',
        'create c hash:ip famly inet',
        'create d hash:ip,port',
        'add d 10.0.0.1',
        'add d 10.0.0.1,tcp:70000',
        'add d 2001:db8::1,tcp:7',
        'add d 10.0.0.1,tcp:9-5 nomatch',
        'swap a b',
      ].join('\n'),
    ).split('\n'),
  ).toEqual([
    's:1:10: `hash:up` is no set type: did you mean hash:ip?',
    's:2:5: no set `b` is created by now',
    's:3:18: unknown option `famly`: did you mean family?',
    's:5:7: `10.0.0.1` has 1 parts: hash:ip,port has 2',
    's:6:20: `70000` is no port: expected a number from 0 to 65535 or a service name',
    's:7:7: `2001:db8::1` is no IPv4 address',
    's:8:20: the port range `9-5` is empty: its end is before its start',
    's:9:1: `swap` is no command that is read here: expected create, add, flush or destroy',
  ]);
});
