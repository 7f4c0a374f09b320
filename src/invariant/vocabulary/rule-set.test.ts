/** A rule as a set of packets is what the rule means to the netfilter model. */
import { expect, test } from 'vitest';
import type { Family } from '../../address/address.ts';
import { compileMatch } from '../../netfilter/match.ts';
import type { Skb } from '../../netfilter/skb.ts';
import type { Arrival } from '../../packet/packet.ts';
import { anyPattern, setHolds, type Pattern } from '../../packet/pattern.ts';
import { samplerOf } from '../../packet/sample.ts';
import { readRuleset } from '../../ruleset/parse.ts';
import type { Match } from '../../ruleset/rule.ts';
import { conditionOf } from './rule-set.ts';

function matchesOf(options: string, family: Family): readonly Match[] {
  const text = `*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD ${options} -j ACCEPT\nCOMMIT\n`;
  const ruleset = readRuleset(text, { path: 'rule', family });
  return ruleset.tables.get('filter')?.chains.get('FORWARD')?.rules[0]?.matches ?? [];
}

const host = { name: 'h', interfaces: [], bridges: [], routes: [], neighbours: [], sysctl: new Map(), sets: new Map() };

/** What the model says of a packet in FORWARD whose state is said, not found. */
function modelSays(matches: readonly Match[], { packet, state }: Arrival): boolean {
  const skb: Skb = {
    host,
    backend: 'nft',
    packet,
    tracked: { kind: 'none', state: state === 'INVALID' ? 'INVALID' : 'UNTRACKED' },
    hook: 'FORWARD',
    framed: false,
    packetType: 'unicast',
    hotdrop: false,
  };
  return matches.every((match) => compileMatch(match)(skb) === true);
}

/** Numerical Recipes' generator, its better bits first. */
function randomNumbers(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state ^ (state >>> 16)) >>> 0;
  };
}

const RULES: readonly (readonly [Family, string])[] = [
  [4, '-s 10.10.10.0/24'],
  [4, '! -s 10.10.10.0/24 -d 10.10.10.2/32'],
  [4, '-p tcp'],
  [4, '! -p tcp'],
  [4, '-p tcp -m tcp --sport 1000:2000 ! --dport 22'],
  [4, '-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN'],
  [4, '-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN'],
  [4, '-p udp -m udp --sport 67 --dport 68'],
  [4, '-p icmp -m icmp --icmp-type 8/0'],
  [4, '-p icmp -m icmp ! --icmp-type 3'],
  [4, '-p icmp -m icmp --icmp-type any'],
  [4, '-p tcp -m multiport --dports 22,80:90'],
  [4, '-p tcp -m multiport ! --sports 22'],
  [4, '-p udp -m multiport --ports 53'],
  [4, '-m iprange --src-range 10.10.10.2-10.10.10.9 ! --dst-range 10.0.0.0-10.0.0.9'],
  [4, '-m state --state INVALID'],
  [4, '-m conntrack ! --ctstate INVALID,NEW'],
  [4, '-m comment --comment "anything"'],
  [6, '-s 2001:db8::/32 -p ipv6-icmp'],
  [6, '-p ipv6-icmp -m icmp6 --icmpv6-type 128/0'],
  [6, '-p ipv6-icmp -m icmp6 ! --icmpv6-type 135'],
];

test.each(RULES)('of IPv%i, %s is the same to both', (family, options) => {
  const matches = matchesOf(options, family);
  const { set, rest, devices } = conditionOf(matches, family);
  expect([rest, devices]).toEqual([[], []]);
  // Packets from the rule itself, and from anywhere: of both, some match and some do not.
  const wide: Pattern = { ...anyPattern(family), states: ['INVALID', 'UNTRACKED'] };
  const near = set.boxes.map((box): Pattern => ({ ...box, states: ['INVALID', 'UNTRACKED'] }));
  const aim = {
    addresses: set.boxes.flatMap(({ saddr, daddr }) => [...saddr, ...daddr].flatMap(({ from, to }) => [from, to])),
    ports: [22, 23, 53, 67, 68, 79, 80, 90, 91, 999, 1000, 2000, 2001],
    entries: [{ kind: 'in' as const, interface: 'eth0' }],
  };
  const random = randomNumbers();
  let held = 0;
  for (const boxes of [[wide], near]) {
    const draw = samplerOf({ boxes }, aim);
    for (let tries = 0; tries < 200; tries++) {
      const arrival = draw?.(random);
      if (arrival === undefined) throw new Error('the set is empty');
      const holds = setHolds(set, arrival);
      expect(holds).toBe(modelSays(matches, arrival));
      if (holds) held++;
    }
  }
  expect(held).toBeGreaterThan(20);
});

test('what no set tells is kept apart', () => {
  const asked = conditionOf(matchesOf('-i br+ -o eth0 -m mark --mark 0x1 -m conntrack ! --ctstate DNAT', 4), 4);
  expect(asked.devices).toMatchObject([
    { kind: 'in', name: 'br+' },
    { kind: 'out', name: 'eth0' },
  ]);
  expect(asked.rest).toHaveLength(1);
  expect(asked.translated).toBe(false);
  expect(conditionOf(matchesOf('-s 10.0.0.0/255.0.255.0', 4), 4).rest).toHaveLength(1);
});
