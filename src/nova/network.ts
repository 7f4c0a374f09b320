/** nova-network's rules (nova/network/linux_net.py, nova/network/manager.py). */
import { isLoopback, printAddress, printPrefix, type Address, type Prefix } from '../address/address.ts';
import type { DeploymentHost, FloatingIp, Network } from '../deployment/deployment.ts';
import { dhcpServerFor, uplinkOf } from '../deployment/placement.ts';
import { bridgeRules } from './bridge.ts';
import type { Memory, MemoryTable } from './memory.ts';
import type { Profile } from './profile.ts';

/** init_host and metadata_forward: what nova-network asks for when it starts, before any network. */
export function addStartUpRules(memory: Memory, host: DeploymentHost, profile: Profile): void {
  const { fixed_range: range } = host.flags;
  if (range !== undefined) addTranslation(memory, host, range, false, profile);
  const { metadata_host: server, metadata_port: port } = host.flags;
  const target =
    isLoopback(server) && profile.loopbackMetadata === 'REDIRECT'
      ? `REDIRECT --to-ports ${port}`
      : `DNAT --to-destination ${printAddress(server)}:${port}`;
  // B8: it came before the chain that it is in.
  if (profile.bugs.has('B8')) return;
  memory.nat.addRule('PREROUTING', `-s 0.0.0.0/0 -d 169.254.169.254/32 -p tcp -m tcp --dport 80 -j ${target}`);
}

/** init_host and add_snat_rule: who leaves the range takes routing_source_ip if there is one, except towards metadata_host, dmz_cidr and the range itself. */
function addTranslation(
  memory: Memory,
  { flags, snatInterface }: DeploymentHost,
  prefix: Prefix,
  isExternal: boolean,
  profile: Profile,
): void {
  const range = printPrefix(prefix);
  const { routing_source_ip: source } = flags;
  const asks = profile.snatAsksForInterface && !isExternal && snatInterface !== undefined;
  const outward = asks ? ` -o ${snatInterface}` : '';
  const forced = flags.force_snat_range.map((destination) => ` -d ${printPrefix(destination)}`);
  const everywhere = profile.forcedSnat === 'for every network' && forced.length > 0 ? forced : [''];
  if (source !== undefined)
    for (const destination of isExternal ? forced : everywhere)
      memory.nat.addRule('snat', `-s ${range}${destination} -j SNAT --to-source ${printAddress(source)}${outward}`);
  // A1: the default came before floating IPs.
  if (profile.bugs.has('A1')) memory.nat.addRule('snat', '-j $float-snat');
  memory.nat.addRule('POSTROUTING', `-s ${range} -d ${printAddress(flags.metadata_host)}/32 -j ACCEPT`);
  for (const dmz of flags.dmz_cidr) memory.nat.addRule('POSTROUTING', `-s ${range} -d ${printPrefix(dmz)} -j ACCEPT`);
  memory.nat.addRule('POSTROUTING', `-s ${range} -d ${range}${exemption(profile)}`);
}

/** A2: also of what was sent to a floating IP; A22: of nothing, for want of a target. */
function exemption({ bugs }: Profile): string {
  if (bugs.has('A2')) return ' -j ACCEPT';
  return bugs.has('A22') ? ' -m conntrack ! --ctstate DNAT' : ' -m conntrack ! --ctstate DNAT -j ACCEPT';
}

/** Juno on: a gateway that is not the host's own address is somebody else's machine. */
const hasExternalGateway = ({ gateway, dhcpServer, multiHost }: Network): boolean =>
  !multiHost && gateway !== undefined && dhcpServer !== undefined && gateway !== dhcpServer;

type NetworkRule = readonly [table: 'filter' | 'mangle', chain: string, text: string, top?: boolean];

/** What a network has on its host: plug, and update_dhcp. `again`: dnsmasq runs already and is only sent a HUP. */
function rulesOf(network: Network, host: DeploymentHost, profile: Profile, again: boolean): NetworkRule[] {
  const { bridge } = network;
  const forwarded = bridgeRules(network, network.gateway !== undefined, host.flags, profile).map(
    (text): NetworkRule => ['filter', 'FORWARD', text],
  );
  if (dhcpServerFor(network, host.name) === undefined) return forwarded;
  // C1: what instances sent to dnsmasq nobody accepted.
  const accepts = !profile.bugs.has('C1') && (!again || profile.acceptsOnHup);
  // Taken for granted: /dev/vhost-net is there.
  const fills = profile.fillsChecksums === 'always' || (profile.fillsChecksums === 'multi_host' && network.multiHost);
  const isolates = profile.isolatesDhcp === 'by iptables' && host.flags.share_dhcp_address;
  return [
    ...forwarded,
    ...(accepts ? [67, 53] : []).flatMap((port) =>
      ['udp', 'tcp'].map((protocol): NetworkRule => [
        'filter',
        'INPUT',
        `-i ${bridge} -p ${protocol} -m ${protocol} --dport ${port} -j ACCEPT`,
      ]),
    ),
    ...(fills
      ? [['mangle', 'POSTROUTING', `-o ${bridge} -p udp -m udp --dport 68 -j CHECKSUM --checksum-fill`] as const]
      : []),
    ...(isolates ? isolationOf(network, host) : []),
  ];
}

/** initialize_network, initialize_gateway, update_dhcp with its _add_dnsmasq_accept_rules, and what VLAN mode adds. */
export function addNetwork(
  memory: Memory,
  network: Network,
  host: DeploymentHost,
  profile: Profile,
  options: { readonly again?: boolean } = {},
): void {
  if (host.flags.fixed_range === undefined) {
    const isExternal = profile.forcedSnat === 'for external gateways' && hasExternalGateway(network);
    addTranslation(memory, host, network.cidr, isExternal, profile);
  }
  for (const [table, chain, text, top] of rulesOf(network, host, profile, options.again === true))
    tableOf(memory, table)?.addRule(chain, text, top);
  if (network.manager === 'VlanManager') addVpn(memory, network, host);
}

/** kill_dhcp and remove_gateway: each rule once, though it may have been added several times; what translates stays. */
export function removeNetwork(memory: Memory, network: Network, host: DeploymentHost, profile: Profile): void {
  for (const [table, chain, text] of rulesOf(network, host, profile, false))
    tableOf(memory, table)?.removeRule(chain, text);
}

const tableOf = (memory: Memory, table: NetworkRule[0]): MemoryTable | undefined =>
  table === 'filter' ? memory.filter[4] : memory.mangle;

/** isolate_dhcp_address: hosts that share the dhcp address keep its packets from each other. */
function isolationOf(network: Network, host: DeploymentHost): NetworkRule[] {
  const [device, server] = [uplinkOf(network), dhcpServerFor(network, host.name)];
  if (device === undefined || server === undefined) return [];
  const dhcp = printAddress(server);
  return [
    `-m physdev --physdev-in ${device} -d 255.255.255.255 -p udp --dport 67 -j DROP`,
    `-m physdev --physdev-out ${device} -d 255.255.255.255 -p udp --dport 67 -j DROP`,
    `-m physdev --physdev-in ${device} -d ${dhcp} -j DROP`,
    `-m physdev --physdev-out ${device} -s ${dhcp} -j DROP`,
  ].map((text): NetworkRule => ['filter', 'FORWARD', text, true]);
}

/** ensure_vpn_forward: the way to a project's cloudpipe, on the host whose address it is; whether an instance has the address or not. */
function addVpn(memory: Memory, network: Network, host: DeploymentHost): void {
  const { vpnPublicAddress: front, vpnPublicPort: port, vpnPrivateAddress: inside } = network;
  if (front === undefined || port === undefined || inside === undefined || front !== host.flags.vpn_ip) return;
  const [to, vpn] = [printAddress(front), printAddress(inside)];
  memory.filter[4].addRule('FORWARD', `-d ${vpn} -p udp --dport 1194 -j ACCEPT`);
  for (const chain of ['PREROUTING', 'OUTPUT'])
    memory.nat.addRule(chain, `-d ${to} -p udp --dport ${port} -j DNAT --to ${vpn}:1194`);
}

/** floating_forward_rules: the chains and rules of an associated floating IP. */
function floatRules(
  { address, interface: device }: FloatingIp,
  fixedIp: Address,
  profile: Profile,
): readonly (readonly [chain: string, text: string])[] {
  const [floating, fixed] = [printAddress(address), printAddress(fixedIp)];
  const snat = `-s ${fixed} -j SNAT --to ${floating}`;
  return [
    ['PREROUTING', `-d ${floating} -j DNAT --to ${fixed}`],
    ['OUTPUT', `-d ${floating} -j DNAT --to ${fixed}`],
    ...(profile.floatToItself ? [['float-snat', `${snat} -d ${fixed}`] as const] : []),
    ['float-snat', profile.snatAsksForInterface ? `${snat} -o ${device}` : snat],
    ...(profile.floatToFloat
      ? [['POSTROUTING', `-s ${fixed} -m conntrack --ctstate DNAT -j SNAT --to-source ${floating}`] as const]
      : []),
  ];
}

/** add_floating_forward. */
export function addFloatingIp(memory: Memory, floatingIp: FloatingIp, profile: Profile): void {
  if (floatingIp.fixedIp === undefined) return;
  if (profile.purgesFloats) memory.nat.removeRulesNaming(printAddress(floatingIp.address));
  const rules = floatRules(floatingIp, floatingIp.fixedIp, profile);
  // A19: a misspelt name ended it after the first.
  for (const [chain, text] of profile.bugs.has('A19') ? rules.slice(0, 1) : rules) memory.nat.addRule(chain, text);
}

/** remove_floating_forward: by exact text. */
export function removeFloatingIp(memory: Memory, floatingIp: FloatingIp, profile: Profile): void {
  if (floatingIp.fixedIp === undefined) return;
  for (const [chain, text] of floatRules(floatingIp, floatingIp.fixedIp, profile)) memory.nat.removeRule(chain, text);
}
