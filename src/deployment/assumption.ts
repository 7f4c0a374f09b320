/** What the file leaves open and the model takes as given: a report's head prints it. */
import { printAddress } from '../address/address.ts';
import { sysctlOf } from '../host/host.ts';
import type { Deployment } from './deployment.ts';
import { translates } from './placement.ts';
import { networkOf } from './world.ts';

/** The sysctls that decide what happens to a packet of nova's (deployment.md). */
const SYSCTLS = [
  'net.ipv4.ip_forward',
  'net.ipv4.conf.all.rp_filter',
  'net.ipv4.conf.all.route_localnet',
  'net.bridge.bridge-nf-call-iptables',
  'net.netfilter.nf_conntrack_tcp_loose',
];

/** A sentence each. */
export function assumptionsOf(deployment: Deployment): string[] {
  const network = networkOf(deployment);
  const sentences: string[] = [];
  for (const host of network.hosts) {
    const open = SYSCTLS.filter((name) => !host.sysctl.has(name)).map((name) => `${name} ${sysctlOf(host, name)}`);
    if (open.length > 0) sentences.push(`${host.name}: ${open.join(', ')}`);
  }
  for (const host of deployment.hosts) {
    if (host.snatInterface === undefined)
      sentences.push(`${host.name}: public_interface is empty, the outside is behind ${host.publicInterface}`);
    if (host.flags.routing_source_ip === undefined && translates(deployment, host))
      sentences.push(
        `${host.name}: routing_source_ip is empty, what leaves keeps its fixed address unless it has a floating IP, and nothing is claimed of it`,
      );
  }
  for (const host of deployment.hosts)
    if (host.gateway === undefined && !host.routes.some(({ to }) => to.length === 0))
      sentences.push(`${host.name}: the default route is on-link on ${host.publicInterface}`);
  sentences.push('neighbours always resolve, bridges have learnt every port');
  for (const link of network.links)
    if (link.outside) {
      const ends = link.attachments.map(({ host, interface: name }) => `${host} ${name}`).join(', ');
      sentences.push(`any client may be behind ${ends}`);
    }
  for (const station of network.stations)
    if (station.kind === 'outside')
      sentences.push(
        `${station.addresses.map(printAddress).join(', ')} (${station.name}) is a machine outside that routes back through the host`,
      );
  if (!deployment.hosts.some((host) => host.flags.use_ipv6))
    sentences.push('use_ipv6 is false: nova writes no ip6tables rules, IPv6 is unfiltered');
  return sentences;
}
