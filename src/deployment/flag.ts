/**
 * nova.conf: which flag which release knows, and what it is when nobody sets it (nova/flags.py, nova/network/manager.py,
 * nova/network/linux_net.py; nova-network.md section 6).
 */
import { parsePrefix, type Address, type Prefix } from '../address/address.ts';
import type { Flags, Release } from './deployment.ts';
import { isSince } from './release.ts';

interface Span {
  /** The first release that knows the flag; absent: all that are modelled. */
  readonly since?: Release;
  /** The first release that knows it no more. */
  readonly until?: Release;
}

const SPANS: Readonly<Record<keyof Flags, Span>> = {
  fixed_range: { until: 'havana' },
  dmz_cidr: {},
  metadata_host: {},
  metadata_port: {},
  routing_source_ip: {},
  vpn_ip: {},
  vlan_interface: {},
  vlan_start: {},
  vpn_start: {},
  allow_same_net_traffic: {},
  use_ipv6: {},
  force_snat_range: { since: 'grizzly' },
  forward_bridge_interface: { since: 'grizzly' },
  iptables_top_regex: { since: 'grizzly' },
  iptables_bottom_regex: { since: 'grizzly' },
  iptables_drop_action: { since: 'havana' },
  use_single_default_gateway: {},
  share_dhcp_address: { since: 'grizzly' },
  auto_assign_floating_ip: {},
  teardown_unused_network_gateway: { since: 'grizzly' },
};

/** Flags of nova.conf that are nova's own but touch nothing that the model looks at, or are said elsewhere in the file. */
export const FLAGS_WITHOUT_EFFECT = [
  'cnt_vpn_clients',
  'default_floating_pool',
  'defer_iptables_apply',
  'dhcp_domain',
  'dhcp_lease_time',
  'dhcpbridge',
  'dns_server',
  'dnsmasq_config_file',
  'enabled_apis',
  'firewall_driver',
  'fixed_ip_disassociate_timeout',
  'flat_injected',
  'flat_interface',
  'flat_network_bridge',
  'flat_network_dns',
  'force_dhcp_release',
  'gateway',
  'gateway_v6',
  'l3_lib',
  'libvirt_vif_driver',
  'linuxnet_interface_driver',
  'metadata_listen',
  'metadata_listen_port',
  'multi_host',
  'my_ip',
  'network_driver',
  'network_manager',
  'network_size',
  'num_networks',
  'security_group_handler',
  'send_arp_for_ha',
  'update_dns_entries',
] as const;

export const isFlag = (name: string): name is keyof Flags => Object.hasOwn(SPANS, name);

/** True when nova of `release` reads the flag. */
export function knowsFlag(release: Release, name: keyof Flags): boolean {
  const { since, until } = SPANS[name];
  return (since === undefined || isSince(release, since)) && (until === undefined || !isSince(release, until));
}

const prefix = (text: string): Prefix => {
  const read = parsePrefix(text);
  if (read === undefined) throw new Error(`${text} is no prefix`);
  return read;
};

/** nova's public_interface when nobody sets it. */
export const DEFAULT_PUBLIC_INTERFACE = 'eth0';

/** What `release` takes for each flag that nobody sets, on a host whose my_ip is `myIp`. */
export const defaultFlags = (release: Release, myIp: Address): Flags => ({
  ...(isSince(release, 'havana') ? {} : { fixed_range: prefix('10.0.0.0/8') }),
  // A string with a default until 268494769f (2012-04-15), then a list without one.
  dmz_cidr: release === 'essex' ? [prefix('10.128.0.0/24')] : [],
  metadata_host: myIp,
  metadata_port: 8775,
  routing_source_ip: myIp,
  vpn_ip: myIp,
  vlan_interface: 'eth0',
  vlan_start: 100,
  vpn_start: 1000,
  allow_same_net_traffic: true,
  use_ipv6: false,
  force_snat_range: [],
  forward_bridge_interface: ['all'],
  iptables_top_regex: '',
  iptables_bottom_regex: '',
  iptables_drop_action: 'DROP',
  use_single_default_gateway: false,
  share_dhcp_address: false,
  auto_assign_floating_ip: false,
  teardown_unused_network_gateway: false,
});
