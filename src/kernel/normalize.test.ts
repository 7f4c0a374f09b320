import { expect, test } from 'vitest';
import { readRuleset } from '../ruleset/parse.ts';
import { normalizeTrace, type ObservedStep } from './normalize.ts';
import type { LegacyEvent, NftEvent, TraceEvent } from './protocol.ts';

const rules = readRuleset(
  `*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -p udp -j DNAT --to-destination 10.10.10.2
COMMIT
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:local - [0:0]
-A FORWARD -j ACCEPT
-A INPUT -j local
-A INPUT -j REJECT --reject-with icmp-port-unreachable
-A local -p tcp -j RETURN
COMMIT
`,
  { path: 'rules', family: 4 },
);

/** udp 10.10.10.2:5000 > 192.168.0.7:5001 */
const PACKET = '4500001c000100004011a6150a0a0a02c0a800071388138900080000';

const legacy = (prefix: string, more: Partial<LegacyEvent> = {}): LegacyEvent => ({
  kind: 'legacy',
  host: 'net',
  prefix,
  hook: ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'].indexOf(prefix.split(':')[1] ?? ''),
  mark: 0,
  packet: PACKET,
  ...more,
});

const short = ({ hook, table, chain, rule, target }: ObservedStep): string =>
  `${hook} ${table} ${chain} ${rule} ${target}`;

const told = (events: readonly TraceEvent[], local = false): { steps: string[]; consequences: string[][] } => {
  const { steps, consequences } = normalizeTrace(events, [rules], local);
  return { steps: steps.map(short), consequences: consequences.map((one) => one.map(short)) };
};

test('an unconditional rule that is called a policy is a rule, and the number behind the last is the policy', () => {
  expect(told([legacy('filter:FORWARD:policy:1'), legacy('filter:FORWARD:policy:2')]).steps).toEqual([
    'FORWARD filter FORWARD 1 ACCEPT',
    'FORWARD filter FORWARD policy DROP',
  ]);
});

test('the end of a called chain is no step, a RETURN in it is one', () => {
  const events = [
    legacy('filter:INPUT:rule:1'),
    legacy('filter:local:rule:1', { hook: 1 }),
    legacy('filter:local:return:2', { hook: 1 }),
    legacy('filter:INPUT:rule:2'),
  ];
  expect(told(events).steps).toEqual([
    'INPUT filter INPUT 1 local',
    'INPUT filter local 1 RETURN',
    'INPUT filter INPUT 2 REJECT',
  ]);
});

test('a step has its line, its devices and the packet with its mark', () => {
  const [step] = normalizeTrace(
    [legacy('nat:PREROUTING:rule:1', { iif: 'br100', physin: 'vnet0', mark: 7 })],
    [rules],
    false,
  ).steps;
  expect(step).toMatchObject({ line: 3, iif: 'br100', physin: 'vnet0', packet: { sport: 5000, dport: 5001, mark: 7 } });
});

test('what the host sends because of a packet stands apart, and what floods on after it does not', () => {
  const events = [
    legacy('filter:FORWARD:rule:1', { iif: 'br100', oif: 'br100' }),
    legacy('raw:OUTPUT:policy:1', { oif: 'br100' }),
    legacy('filter:OUTPUT:policy:1', { oif: 'br100' }),
    legacy('mangle:POSTROUTING:policy:1', { oif: 'br100' }),
    legacy('mangle:FORWARD:policy:1', { iif: 'br100', oif: 'br100' }),
  ];
  expect(told(events)).toEqual({
    steps: ['FORWARD filter FORWARD 1 ACCEPT', 'FORWARD mangle FORWARD policy ACCEPT'],
    consequences: [
      [
        'OUTPUT raw OUTPUT policy ACCEPT',
        'OUTPUT filter OUTPUT policy ACCEPT',
        'POSTROUTING mangle POSTROUTING policy ACCEPT',
      ],
    ],
  });
});

test('what the host sends itself is not such a consequence', () => {
  const events = [legacy('raw:OUTPUT:policy:1', { oif: 'lo' }), legacy('raw:PREROUTING:policy:1', { iif: 'lo' })];
  expect(told(events, true)).toEqual({
    steps: ['OUTPUT raw OUTPUT policy ACCEPT', 'PREROUTING raw PREROUTING policy ACCEPT'],
    consequences: [],
  });
});

const nft = (table: string, chain: string, id: number, more: Partial<NftEvent> = {}): NftEvent => ({
  kind: 'nft',
  host: 'net',
  family: 2,
  type: 'rule',
  table,
  chain,
  id,
  mark: 0,
  ...more,
});

const first = { network: PACKET.slice(0, 40), transport: PACKET.slice(40) };

test('an nft event without a rule is the end of a chain, and one in a called chain belongs to the hook that called', () => {
  const events = [
    nft('filter', 'INPUT', 1, { rule: 1, verdict: -3, jump: 'local', iif: 'br100', ...first }),
    nft('filter', 'local', 1, { rule: 1, verdict: -5 }),
    nft('filter', 'local', 1, { verdict: -1 }),
    nft('filter', 'INPUT', 1, { type: 'policy', policy: 1 }),
  ];
  expect(told(events).steps).toEqual([
    'INPUT filter INPUT 1 local',
    'INPUT filter local 1 RETURN',
    'INPUT filter INPUT policy ACCEPT',
  ]);
});

test('a REJECT that nft tells of after its answer is put before it, one without an answer stays', () => {
  const rejected = (id: number): NftEvent => nft('filter', 'INPUT', id, { rule: 2, iif: 'br100', ...first });
  const answer = [
    nft('raw', 'OUTPUT', 9, { type: 'policy', oif: 'br100', ...first }),
    nft('mangle', 'POSTROUTING', 9, { type: 'policy', oif: 'br100', ...first }),
  ];
  const mangle = (id: number): NftEvent => nft('mangle', 'INPUT', id, { type: 'policy', iif: 'br100', ...first });
  expect(told([mangle(1), ...answer, rejected(1)])).toEqual({
    steps: ['INPUT mangle INPUT policy ACCEPT', 'INPUT filter INPUT 2 REJECT'],
    consequences: [['OUTPUT raw OUTPUT policy ACCEPT', 'POSTROUTING mangle POSTROUTING policy ACCEPT']],
  });
  expect(told([mangle(1), rejected(1)]).steps).toEqual([
    'INPUT mangle INPUT policy ACCEPT',
    'INPUT filter INPUT 2 REJECT',
  ]);
});
