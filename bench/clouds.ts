/** Clouds of any size, the same file for the same seed: one host with everything, a floating IP for each instance. */
import { printAddress } from '../src/address/address.ts';
import { randomFrom } from '../src/judge/random.ts';
import { between, groupRule, type GroupRule } from './rulesets.ts';

/** The n-th instance's fixed address, 10.0.0.2 and on, and its floating IP, 172.24.0.1 and on: every other one of a pool, so that no two of them make a range. */
export const fixedAddress = (index: number): number => 0x0a000002 + index;
export const floatingAddress = (index: number): number => 0xac180001 + 2 * index;

function ruleText({ source, protocol, ports }: GroupRule): string {
  const [from, to] = ports === undefined ? [-1, -1] : [ports.from, ports.to];
  const cidr = source === undefined ? '0.0.0.0/0' : `${printAddress(source.address)}/${source.length}`;
  return `    - { protocol: ${protocol}, from_port: ${from}, to_port: ${to}, cidr: ${cidr} }`;
}

/** A deployment file: so many instances in groups of random rules, one of which is for the members of another, each with a floating IP. */
export function cloudFile(count: number, seed: number): string {
  const random = randomFrom(seed);
  const groups = Array.from({ length: Math.ceil(count / 8) + 2 }, (_, index) => [
    `  g${index}:`,
    ...Array.from({ length: between(random, 1, 7) }, () => ruleText(groupRule(random))),
    ...(index % 8 === 1 ? [`    - { protocol: tcp, from_port: 3306, to_port: 3306, group: g${index - 1} }`] : []),
  ]);
  const instances = Array.from({ length: count }, (_, index) => {
    const own = Array.from({ length: between(random, 1, 3) }, () => `g${random() % groups.length}`);
    return `  - { id: ${index + 1}, host: host1, fixed_ips: [${printAddress(fixedAddress(index))}], security_groups: [${[...new Set(own)].join(', ')}] }`;
  });
  const floats = Array.from(
    { length: count },
    (_, index) =>
      `  - { address: ${printAddress(floatingAddress(index))}, fixed_ip: ${printAddress(fixedAddress(index))} }`,
  );
  return `release: folsom-2
flags:
  fixed_range: 10.0.0.0/8
hosts:
  - name: host1
    my_ip: 192.0.2.1
    public_interface: eth0
    services: [nova-api, nova-network, nova-compute]
    interfaces:
      - { name: eth0, addresses: [192.0.2.1/24] }
      - { name: eth1 }
    gateway: 192.0.2.254
    sysctl: { net.bridge.bridge-nf-call-iptables: 1 }
networks:
  - { label: net, manager: FlatDHCPManager, cidr: 10.0.0.0/16, bridge: br100, bridge_interface: eth1, host: host1 }
security_groups:
${groups.flat().join('\n')}
instances:
${instances.join('\n')}
floating_ips:
${floats.join('\n')}
`;
}
