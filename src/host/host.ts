/**
 * A Linux host as the packet path sees it: interfaces and their addresses, bridges and their ports, routes, neighbours, sysctls and
 * ipsets. No rules: those belong to `netfilter/`.
 */
import type { Address, Prefix } from '../address/address.ts';
import type { Mac } from '../address/mac.ts';
import type { IpSet } from '../ruleset/ipset.ts';
import { portsOf } from './own.ts';

export type { IpSet, IpSetEntry, IpSetField } from '../ruleset/ipset.ts';

export interface Host {
  readonly name: string;
  /** Devices of the IP layer: physical ones, bridges, `lo`. A bridge's ports are listed in its `Bridge`, not here. */
  readonly interfaces: readonly Interface[];
  readonly bridges: readonly Bridge[];
  /** Beside the connected routes, which follow from the addresses. The longest prefix wins, then the order given. */
  readonly routes: readonly Route[];
  /** Who is where on a link. An on-link address that is nobody's here still resolves (`neighbourMac`). */
  readonly neighbours: readonly Neighbour[];
  /** By sysctl name, as `sysctl` prints it: `net.ipv4.ip_forward`. What is missing has the default of `sysctlOf`. */
  readonly sysctl: ReadonlyMap<string, number>;
  readonly sets: ReadonlyMap<string, IpSet>;
}

export interface Interface {
  readonly name: string;
  readonly mac: Mac;
  /** In the order of `ip addr`: the first of a subnet is its primary. */
  readonly addresses: readonly InterfaceAddress[];
}

/** An address with the length of its subnet: host bits kept. */
export interface InterfaceAddress {
  readonly address: Address;
  readonly length: number;
  readonly scope?: 'global' | 'link' | 'host';
}

export interface Bridge {
  /** Also the name of an entry of `interfaces`. */
  readonly name: string;
  readonly ports: readonly BridgePort[];
  /** The subnets of the machines on the bridge: what they send directly, and to which gateway they send the rest. */
  readonly segments: readonly Segment[];
}

export interface BridgePort {
  readonly name: string;
  readonly mac: Mac;
  /** hairpin_mode: a frame may leave by the port that it came in by. */
  readonly hairpin: boolean;
  /** The port towards a physical network: machines that the host does not know are behind it. */
  readonly uplink: boolean;
}

export interface Segment {
  readonly prefix: Prefix;
  /** The machines' gateway; absent when they have none. */
  readonly gateway?: Address;
}

export interface Route {
  readonly to: Prefix;
  /** Absent: on-link. */
  readonly via?: Address;
  readonly dev: string;
  /** `src`: the source that the host's own packets take. */
  readonly src?: Address;
}

export interface Neighbour {
  readonly address: Address;
  readonly mac: Mac;
  /** The IP-layer device that it is reached by, and the bridge port where the bridge has learnt it. */
  readonly dev: string;
  readonly port?: string;
}

/** Defaults of sysctls that nobody set: what a completed deployment assumes (deployment.md). */
const SYSCTL_DEFAULTS: Readonly<Record<string, number>> = {
  'net.ipv4.ip_forward': 1,
  'net.ipv6.conf.all.forwarding': 1,
  'net.ipv4.conf.all.rp_filter': 0,
  'net.ipv4.conf.all.route_localnet': 0,
  'net.bridge.bridge-nf-call-iptables': 1,
  'net.bridge.bridge-nf-call-ip6tables': 1,
  'net.netfilter.nf_conntrack_tcp_loose': 1,
  'net.netfilter.nf_conntrack_tcp_be_liberal': 0,
};

/** The value of a sysctl on `host`, 0 for one that nobody knows. */
export const sysctlOf = (host: Host, name: string): number => host.sysctl.get(name) ?? SYSCTL_DEFAULTS[name] ?? 0;

/** rp_filter and the like: the kernel takes the larger (or either) of `all` and the device's own. */
export const interfaceSysctl = (host: Host, device: string, name: string): number =>
  Math.max(sysctlOf(host, `net.ipv4.conf.all.${name}`), sysctlOf(host, `net.ipv4.conf.${device}.${name}`));

export const interfaceOf = (host: Host, name: string): Interface | undefined =>
  host.interfaces.find((candidate) => candidate.name === name);

export const bridgeOf = (host: Host, name: string): Bridge | undefined =>
  host.bridges.find((candidate) => candidate.name === name);

/** The bridge that has a port of this name. */
export const bridgeOfPort = (host: Host, port: string): Bridge | undefined =>
  host.bridges.find((bridge) => portsOf(bridge).byName.has(port));
