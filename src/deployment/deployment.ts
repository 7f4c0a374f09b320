/**
 * A deployment, completed: what the file says with every default of its release filled in and every reference resolved.
 * The schema of the file itself is in `schema.ts`; names are nova's own.
 */
import type { Bug } from './bug.ts';
import type { Address, Family, Prefix } from '../address/address.ts';
import type { Mac } from '../address/mac.ts';
import type { InterfaceAddress, Route } from '../host/host.ts';
import type { DeploymentFile, Operation } from './schema.ts';

export type Release = 'essex' | 'folsom-2' | 'folsom' | 'folsom-2012.2.4' | 'grizzly' | 'havana' | 'rocky';
export type ServiceName = string;
export type ManagerName = 'FlatManager' | 'FlatDHCPManager' | 'VlanManager' | 'QuantumManager';

/** nova.conf as one host's services see it: the common flags, the host's own over them, the release's defaults under both. */
export interface Flags {
  /** Absent: each network's own CIDR, as Havana does and Grizzly can. */
  readonly fixed_range?: Prefix;
  readonly dmz_cidr: readonly Prefix[];
  readonly metadata_host: Address;
  readonly metadata_port: number;
  /** Absent: empty, nothing is translated by default. */
  readonly routing_source_ip?: Address;
  readonly vpn_ip: Address;
  readonly vlan_interface: string;
  readonly vlan_start: number;
  readonly vpn_start: number;
  readonly allow_same_net_traffic: boolean;
  readonly use_ipv6: boolean;
  readonly force_snat_range: readonly Prefix[];
  readonly forward_bridge_interface: readonly string[];
  readonly iptables_top_regex: string;
  readonly iptables_bottom_regex: string;
  readonly iptables_drop_action: string;
  readonly use_single_default_gateway: boolean;
  readonly share_dhcp_address: boolean;
  readonly auto_assign_floating_ip: boolean;
  readonly teardown_unused_network_gateway: boolean;
}

export interface Deployment {
  readonly path: string;
  readonly release: Release;
  /** What of nova’s history its rules are to have besides. */
  readonly bugs: readonly Bug[];
  readonly hosts: readonly DeploymentHost[];
  readonly networks: readonly Network[];
  readonly securityGroups: readonly SecurityGroup[];
  readonly instances: readonly Instance[];
  readonly floatingIps: readonly FloatingIp[];
  /** How it came to be so, where the file tells: what it was before, and what was asked of it then. */
  readonly past?: { readonly file: DeploymentFile; readonly operations: readonly Operation[] };
}

export interface DeploymentHost {
  readonly name: string;
  readonly myIp: Address;
  /** The device that the outside is behind: public_interface, and where that is empty the one of the default route, else of my_ip. */
  readonly publicInterface: string;
  /** What nova's SNAT rules ask for, in releases that ask: absent where public_interface is empty. */
  readonly snatInterface?: string;
  /** In the order in which they last applied their rules: the latest stands first in the built-in chains. */
  readonly services: readonly ServiceName[];
  readonly interfaces: readonly { readonly name: string; readonly addresses: readonly InterfaceAddress[] }[];
  readonly gateway?: Address;
  readonly routes: readonly Route[];
  readonly sysctl: ReadonlyMap<string, number>;
  readonly flags: Flags;
  readonly hairpin: boolean;
  /** iptables-save text that an operator had there before nova, per family. */
  readonly rules: ReadonlyMap<Family, string>;
}

export interface Network {
  readonly label: string;
  readonly manager: ManagerName;
  readonly cidr: Prefix;
  readonly cidrV6?: Prefix;
  /** The instances' gateway: the first host address unless given; absent when the file says null. */
  readonly gateway?: Address;
  readonly gatewayV6?: Address;
  readonly bridge: string;
  readonly bridgeInterface?: string;
  readonly vlan?: number;
  readonly projectId?: string;
  readonly multiHost: boolean;
  /** True when nova-network sets it up: bridge, gateway, DHCP. It leaves FlatManager's alone, and Quantum's since Folsom. */
  readonly isManaged: boolean;
  /** The server that single-host instances lease from: the gateway unless given. */
  readonly dhcpServer?: Address;
  /** multi_host: each host's own address, which is also its instances' gateway. */
  readonly dhcpServers: ReadonlyMap<string, Address>;
  readonly vpnPublicAddress?: Address;
  readonly vpnPublicPort?: number;
  readonly vpnPrivateAddress?: Address;
  /** The host that runs nova-network for it; absent for multi_host. */
  readonly host?: string;
}

export interface SecurityGroup {
  readonly name: string;
  readonly rules: readonly SecurityGroupRule[];
}

/** As the API stores it. `protocol` keeps its case; ports are icmp type and code for icmp. */
export interface SecurityGroupRule {
  readonly protocol?: string;
  readonly fromPort?: number;
  readonly toPort?: number;
  /** Exactly one of the two; neither means any address. */
  readonly cidr?: Prefix;
  readonly group?: string;
}

export interface Instance {
  /** The database id: its chain is BIN-inst-ID. */
  readonly id: number;
  readonly name: string;
  readonly host: string;
  readonly projectId?: string;
  readonly securityGroups: readonly string[];
  readonly vifs: readonly Vif[];
  /** It is not running, and may at any time. */
  readonly isStopped: boolean;
}

/** One interface of an instance: its bridge port, and its addresses, all of one network. */
export interface Vif {
  readonly port: string;
  readonly mac: Mac;
  readonly network: string;
  readonly fixedIps: readonly Address[];
}

export interface FloatingIp {
  readonly address: Address;
  readonly pool: string;
  /** The interface it is bound on, on the host that serves its fixed address. */
  readonly interface: string;
  /** Absent: associated with nobody. */
  readonly fixedIp?: Address;
  /** Who has allocated it; absent where nobody says so. */
  readonly projectId?: string;
}
