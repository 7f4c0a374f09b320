import { afterAll, beforeAll, expect, test } from 'vitest';
import { openKernel, type Kernel } from './client.ts';
import { availableKernel } from './probe.ts';
import type { HostSpec, LegacyEvent, NftEvent } from './protocol.ts';

const probe = availableKernel();
const without = (backend: 'legacy' | 'nft'): boolean => !probe.backends.includes(backend);
let kernel: Kernel;
beforeAll(() => {
  if (probe.backends.length > 0) kernel = openKernel();
});
afterAll(() => {
  if (probe.backends.length > 0) kernel.close();
});

const HOST: HostSpec = {
  name: 'net',
  devices: [{ name: 'eth0', mac: '02:00:00:00:01:01' }],
  bridges: [
    {
      name: 'br100',
      mac: '02:00:00:00:01:02',
      ports: [{ name: 'vnet0', mac: '02:00:00:00:01:03', hairpin: false, flood: true }],
    },
  ],
  addresses: [
    { dev: 'eth0', address: '192.168.1.90/16', scope: 'global' },
    { dev: 'br100', address: '10.10.10.1/24', scope: 'global' },
  ],
  routes: [],
  neighbours: [
    { address: '10.10.10.2', mac: 'fa:16:3e:00:00:02', dev: 'br100', port: 'vnet0' },
    { address: '192.168.0.7', mac: '02:00:00:00:09:07', dev: 'eth0' },
  ],
  sysctl: { 'net.bridge.bridge-nf-call-iptables': 1 },
  sets: [],
  ipv6: false,
};

// udp 10.10.10.2:5000 > 192.168.0.7:5001, ttl 64, no payload and no udp checksum, from the instance to its gateway.
const FRAME = '020000000102fa163e00000208004500001c000100004011a6150a0a0a02c0a800071388138900080000';

const RULES = `*nat
:PREROUTING ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
-A POSTROUTING -s 10.10.10.0/24 -o eth0 -j SNAT --to-source 192.168.1.90
COMMIT
*filter
:FORWARD ACCEPT [0:0]
-A FORWARD -m state --state NEW
-A FORWARD -i br100 -j ACCEPT
COMMIT
`;

test.skipIf(without('legacy'))('a packet leaves translated, and ip_tables tells every rule that it met', () => {
  const world = kernel.world('legacy', [HOST]);
  expect(world.warnings).toEqual([]);
  const { steps } = kernel.runCase(world, { net: { text4: RULES } }, [{ host: 'net', dev: 'vnet0', frame: FRAME }]);
  expect(steps[0]?.exits).toEqual([
    {
      host: 'net',
      dev: 'eth0',
      frame: '02000000090702000000010108004500001c000100003f11f91ec0a8015ac0a800071388138900080000',
    },
  ]);
  expect(steps[0]?.trace.map((event) => (event as LegacyEvent).prefix)).toEqual([
    'raw:PREROUTING:policy:1',
    'mangle:PREROUTING:policy:1',
    'nat:PREROUTING:policy:1',
    'mangle:FORWARD:policy:1',
    'filter:FORWARD:rule:1',
    'filter:FORWARD:rule:2',
    'mangle:POSTROUTING:policy:1',
    'nat:POSTROUTING:rule:1',
  ]);
});

test.skipIf(without('nft'))('the same through nf_tables, with rules by their place', () => {
  const world = kernel.world('nft', [HOST]);
  const { steps } = kernel.runCase(world, { net: { text4: RULES } }, [{ host: 'net', dev: 'vnet0', frame: FRAME }]);
  expect(steps[0]?.exits.map((exit) => exit.dev)).toEqual(['eth0']);
  const rules = steps[0]?.trace.filter((event): event is NftEvent => 'rule' in event);
  expect(rules?.map(({ table, chain, rule, verdict }) => [table, chain, rule, verdict])).toEqual([
    ['filter', 'FORWARD', 1, -1],
    ['filter', 'FORWARD', 2, 1],
    ['nat', 'POSTROUTING', 1, 1],
  ]);
});

test.each(probe.backends)(
  'on %s an answer may be called for after the next question, and more than once',
  (backend) => {
    const world = kernel.world(backend, [HOST]);
    const sent = kernel.beginCase(world, { net: { text4: RULES } }, [{ host: 'net', dev: 'vnet0', frame: FRAME }]);
    const loaded = kernel.beginCase(world, { net: {} }, []);
    expect(loaded().steps).toEqual([]);
    expect(sent().steps[0]?.exits).toHaveLength(1);
    expect(sent()).toEqual(sent());
  },
);

test.each(probe.backends)(
  'a ruleset that %s refuses is an answer, with its line, and the next one loads',
  (backend) => {
    const world = kernel.world(backend, [HOST]);
    const steps = [{ host: 'net', dev: 'vnet0', frame: FRAME }];
    expect(kernel.runCase(world, { net: { text4: RULES } }, steps).refused).toBeUndefined();
    const bad = kernel.runCase(
      world,
      { net: { text4: RULES.replace('-m state --state', '-m state --states') } },
      steps,
    );
    expect(bad.steps).toEqual([]);
    expect(bad.refused?.line).toBe(8);
    expect(kernel.runCase(world, { net: { text4: RULES } }, steps).steps[0]?.exits).toHaveLength(1);
  },
);

test.skipIf(without('legacy'))(
  'conntrack says what it made of each packet, and nothing while no rule has switched it on',
  () => {
    const world = kernel.world('legacy', [HOST]);
    const steps = [{ host: 'net', dev: 'vnet0', frame: FRAME }];
    expect(kernel.runCase(world, { net: { text4: RULES } }, steps).steps[0]?.states).toEqual([
      { host: 'net', hook: 'PREROUTING', state: 8 },
    ]);
    expect(kernel.runCase(world, { net: {} }, steps).steps[0]?.states).toEqual([{ host: 'net', hook: 'PREROUTING' }]);
  },
);

test.skipIf(without('legacy'))('what the host itself gets comes from behind the input hook', () => {
  const world = kernel.world('legacy', [HOST]);
  // To 10.10.10.1 instead.
  const frame = FRAME.replace('a6150a0a0a02c0a80007', '52ba0a0a0a020a0a0a01');
  const { steps } = kernel.runCase(world, { net: {} }, [{ host: 'net', dev: 'vnet0', frame }]);
  expect(steps[0]?.exits).toEqual([]);
  expect(steps[0]?.local).toEqual([{ host: 'net', packet: frame.slice(28), mark: 0, iif: 'br100', physin: 'vnet0' }]);
});

test.skipIf(without('legacy'))('a packet of the host itself that OUTPUT drops is EPERM, and else leaves', () => {
  const world = kernel.world('legacy', [HOST]);
  const local = '4500001c000100004011f01dc0a8015ac0a800071388138900080000';
  const drop = '*filter\n:OUTPUT DROP [0:0]\nCOMMIT\n';
  const dropped = kernel.runCase(world, { net: { text4: drop } }, [{ host: 'net', local }]).steps[0];
  expect([dropped?.errno, dropped?.exits]).toEqual(['EPERM', []]);
  const sent = kernel.runCase(world, { net: {} }, [{ host: 'net', local }]).steps[0];
  expect([sent?.errno, sent?.exits.map((exit) => exit.dev)]).toEqual([undefined, ['eth0']]);
});
