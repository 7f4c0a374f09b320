/** nova-network's rules (nova/network/linux_net.py, nova/network/manager.py FlatDHCPManager; folsom-2). */
import { printAddress, printPrefix } from '../address/address.ts';
import type { Deployment, DeploymentHost, FloatingIp, Network } from '../deployment/deployment.ts';
import { hostOfFloatingIp, serves } from '../deployment/placement.ts';
import { bridgeRules } from './bridge.ts';
import type { Memory } from './memory.ts';

/** Everything that nova-network of `host` asks for, in the order in which it starts. */
export function addNetworkRules(memory: Memory, deployment: Deployment, host: DeploymentHost): void {
  addStartUpRules(memory, host);
  addMetadataForward(memory, host);
  for (const network of deployment.networks) if (serves(host, network)) addNetwork(memory, network);
  for (const floatingIp of deployment.floatingIps)
    if (hostOfFloatingIp(deployment, floatingIp) === host) addFloatingIp(memory, floatingIp);
}

/** init_host and add_snat_rule: who leaves the fixed range takes routing_source_ip, except towards metadata_host, dmz_cidr and itself. */
function addStartUpRules(memory: Memory, host: DeploymentHost): void {
  const { flags } = host;
  const range = printPrefix(flags.fixed_range);
  memory.nat.addRule('snat', `-s ${range} -j SNAT --to-source ${printAddress(flags.routing_source_ip)}`);
  memory.nat.addRule('POSTROUTING', `-s ${range} -d ${printAddress(flags.metadata_host)}/32 -j ACCEPT`);
  for (const dmz of flags.dmz_cidr) memory.nat.addRule('POSTROUTING', `-s ${range} -d ${printPrefix(dmz)} -j ACCEPT`);
  memory.nat.addRule('POSTROUTING', `-s ${range} -d ${range} -m conntrack ! --ctstate DNAT -j ACCEPT`);
}

/** metadata_forward: only what comes in, from anywhere. */
function addMetadataForward(memory: Memory, host: DeploymentHost): void {
  const { metadata_host: server, metadata_port: port } = host.flags;
  memory.nat.addRule(
    'PREROUTING',
    `-s 0.0.0.0/0 -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination ${printAddress(server)}:${port}`,
  );
}

/** initialize_gateway, then update_dhcp and its _add_dnsmasq_accept_rules. */
function addNetwork(memory: Memory, network: Network): void {
  const filter = memory.filter[4];
  for (const rule of bridgeRules(network, network.gateway !== undefined)) filter.addRule('FORWARD', rule);
  for (const port of [67, 53])
    for (const protocol of ['udp', 'tcp'])
      filter.addRule('INPUT', `-i ${network.bridge} -p ${protocol} -m ${protocol} --dport ${port} -j ACCEPT`);
}

/** floating_forward_rules. */
function addFloatingIp(memory: Memory, { address, fixedIp }: FloatingIp): void {
  if (fixedIp === undefined) return;
  const [floating, fixed] = [printAddress(address), printAddress(fixedIp)];
  memory.nat.addRule('PREROUTING', `-d ${floating} -j DNAT --to ${fixed}`);
  memory.nat.addRule('OUTPUT', `-d ${floating} -j DNAT --to ${fixed}`);
  memory.nat.addRule('float-snat', `-s ${fixed} -j SNAT --to ${floating}`);
}
