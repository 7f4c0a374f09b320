/** What Linux 6.18 with ipset 7.17 said of each packet: sent to an address of the loopback device, counted by a rule for each set. */
import { expect, test } from 'vitest';
import { parsePacket } from '../packet/notation.ts';
import { parseIpsets } from '../ruleset/ipset.ts';
import { setContains } from './ipset.ts';
import type { Skb } from './skb.ts';

const sets = parseIpsets(
  `create s hash:net family inet hashsize 1024 maxelem 65536
add s 10.1.0.0/16 nomatch
add s 10.1.2.0/24
add s 10.0.0.0/8
create p hash:ip,port family inet hashsize 1024 maxelem 65536
add p 127.0.0.1,udp:53
add p 127.0.0.1,icmp:echo-request
create i hash:net,iface family inet hashsize 1024 maxelem 65536
add i 127.0.0.0/8,lo
create l list:set size 8
add l s
add l p
`,
  'sets',
);

const ASKED = ['s dst', 's src', 'p dst,dst', 'p src,src', 'l dst', 'l dst,dst', 'i dst,src', 'i src,dst'] as const;

test.each([
  ['icmp 10.1.2.3 > 10.1.2.3', ['s dst', 's src', 'l dst', 'l dst,dst']],
  ['icmp 10.1.3.3 > 10.1.3.3', []],
  ['icmp 10.2.0.1 > 10.2.0.1', ['s dst', 's src', 'l dst', 'l dst,dst']],
  ['icmp 127.0.0.1 > 127.0.0.1', ['p dst,dst', 'p src,src', 'l dst,dst', 'i dst,src']],
  ['udp 127.0.0.1:40000 > 127.0.0.1:53', ['p dst,dst', 'l dst,dst', 'i dst,src']],
  ['udp 127.0.0.1:40000 > 127.0.0.1:54', ['i dst,src']],
])('%s is in the sets that Linux finds it in', (packet, expected) => {
  const skb: Skb = {
    host: { name: 'h', interfaces: [], bridges: [], routes: [], neighbours: [], sysctl: new Map(), sets },
    backend: 'legacy',
    packet: parsePacket(packet),
    hook: 'INPUT',
    iif: 'lo',
    framed: false,
    packetType: 'unicast',
    hotdrop: false,
  };
  const found = ASKED.filter((asked) => {
    const [name = '', directions = ''] = asked.split(' ');
    const set = sets.get(name);
    return set !== undefined && setContains(set, directions.split(',') as ('src' | 'dst')[], skb, sets) === true;
  });
  expect(found).toEqual(expected);
});

test('a set of a set that nobody described is unknown', () => {
  const [list] = parseIpsets('create l list:set size 8\n', 'sets').values();
  const withStranger = list && {
    ...list,
    entries: [{ nomatch: false, fields: [{ kind: 'interface' as const, name: 'x' }] }],
  };
  const skb = { packet: parsePacket('icmp 1.1.1.1 > 2.2.2.2') } as Skb;
  expect(withStranger && setContains(withStranger, ['src'], skb, new Map())).toBeUndefined();
});
