/**
 * What tells the releases of nova apart: one record a release, each the one before it with its differences (nova-network's source at each release;
 * docs/releases.md shows what follows for the laws). Flags and their defaults are in deployment/flag.ts.
 */
import type { Bug } from '../deployment/bug.ts';
import type { Deployment, Release } from '../deployment/deployment.ts';

export interface Profile {
  /** IptablesManager: how tables in memory come into the kernel. */
  /** One save and one restore for each table, or one of each for all tables of a family (f0539d4927). */
  readonly restores: 'each table' | 'all tables';
  /** `-c`: counters of others survive (d141e64de9). */
  readonly keepsCounters: boolean;
  /** Rules that belong at the top are emitted before the others, whenever they were added (bug 1037137). */
  readonly topFirst: boolean;
  /** What happens to a rule that is added a second time (176c483cdf); `skipped` also leaves tables alone that nothing was done to. */
  readonly duplicates: 'kept' | 'skipped';
  /** Every process makes a chain in mangle (901a3dacb6). */
  readonly mangle: boolean;

  /** nova-network: translation. */
  /** SNAT only of what leaves by the public interface (959c93f6d3, bug 1048765). */
  readonly snatAsksForInterface: boolean;
  /** An instance that calls its own floating IP is seen with it. */
  readonly floatToItself: boolean;
  /** What was sent to a floating IP by another's instance is seen with that one's (314c419323, bug 1178745). */
  readonly floatToFloat: boolean;
  /** A floating IP's older rules are taken out before it is associated. */
  readonly purgesFloats: boolean;
  /** Migration takes the floating IPs along (df1fb2978c, bug 1053344). */
  readonly movesFloats: boolean;
  /** force_snat_range also restricts the destinations of default SNAT; with external gateways only there (59ac254bf1). */
  readonly forcedSnat: 'by ebtables only' | 'for every network' | 'for external gateways';
  /** metadata_host 127.0.0.1: DNAT to loopback is refused by the kernel (34cec1c5c8, bug 1015853). */
  readonly loopbackMetadata: 'DNAT' | 'REDIRECT';
  /** What nova-api accepts then: its address, which redirected requests do not have, or whatever is the host's own. */
  readonly loopbackAccept: 'address' | 'local';

  /** nova-network: networks. */
  /** dnsmasq's rules come back after a restart that only sends it a HUP (aa1e71d1b3, bug 1000853). */
  readonly acceptsOnHup: boolean;
  /** Filling in checksums of DHCP answers (bug 1029430, then a6dd0cdf0a, then bug 1335193). */
  readonly fillsChecksums: 'never' | 'multi_host' | 'always';
  /** A shared dhcp address is kept from other hosts by iptables, later by ebtables (1236b09076). */
  readonly isolatesDhcp: 'never' | 'by iptables' | 'by ebtables';
  /** Start-up writes once, at its end (249f0d5157, bug 1308390). */
  readonly startsAtOnce: boolean;

  /** nova-compute. */
  /** A chain of an administrator's DROPs, until Liberty (c5e2d4b6b4). */
  readonly provider: boolean;
  /** TCP is tcp (ff06c7c885, CVE-2012-2654). */
  readonly foldsProtocol: boolean;
  /** The rule for a DHCP server that there is not: `-s None`, which no restore takes. */
  readonly writesNone: boolean;
  /** Requests to DHCP are accepted by name. */
  readonly acceptsDhcpRequests: boolean;
  /** Start-up plugs interfaces in again, with the bridge's rules (c2e957ceb5, bug 1027105). */
  readonly plugsOnStart: boolean;
  /** A group's change rebuilds every instance of the hosts concerned, or the instances concerned. */
  readonly refreshes: 'hosts' | 'instances';

  /** What of nova's history the deployment asks for besides. */
  readonly bugs: ReadonlySet<Bug>;
}

const ESSEX: Profile = {
  restores: 'each table',
  keepsCounters: false,
  topFirst: false,
  duplicates: 'kept',
  mangle: false,
  snatAsksForInterface: false,
  floatToItself: false,
  floatToFloat: false,
  purgesFloats: false,
  movesFloats: false,
  forcedSnat: 'by ebtables only',
  loopbackMetadata: 'DNAT',
  loopbackAccept: 'address',
  acceptsOnHup: false,
  fillsChecksums: 'never',
  isolatesDhcp: 'never',
  startsAtOnce: false,
  provider: true,
  foldsProtocol: false,
  writesNone: true,
  acceptsDhcpRequests: false,
  plugsOnStart: false,
  refreshes: 'hosts',
  bugs: new Set(),
};

const FOLSOM_2: Profile = { ...ESSEX, acceptsOnHup: true, foldsProtocol: true, writesNone: false };

const FOLSOM: Profile = {
  ...FOLSOM_2,
  keepsCounters: true,
  topFirst: true,
  snatAsksForInterface: true,
  loopbackMetadata: 'REDIRECT',
  plugsOnStart: true,
  refreshes: 'instances',
};

const FOLSOM_2012_2_4: Profile = { ...FOLSOM, mangle: true, fillsChecksums: 'multi_host', acceptsDhcpRequests: true };

const GRIZZLY: Profile = {
  ...FOLSOM_2012_2_4,
  restores: 'all tables',
  floatToItself: true,
  purgesFloats: true,
  movesFloats: true,
  isolatesDhcp: 'by iptables',
};

const HAVANA: Profile = {
  ...GRIZZLY,
  duplicates: 'skipped',
  floatToFloat: true,
  forcedSnat: 'for every network',
  loopbackAccept: 'local',
};

const ROCKY: Profile = {
  ...HAVANA,
  forcedSnat: 'for external gateways',
  fillsChecksums: 'always',
  isolatesDhcp: 'by ebtables',
  startsAtOnce: true,
  provider: false,
};

const PROFILES: Readonly<Record<Release, Profile>> = {
  essex: ESSEX,
  'folsom-2': FOLSOM_2,
  folsom: FOLSOM,
  'folsom-2012.2.4': FOLSOM_2012_2_4,
  grizzly: GRIZZLY,
  havana: HAVANA,
  rocky: ROCKY,
};

export const profileOf = ({ release, bugs }: Pick<Deployment, 'release' | 'bugs'>): Profile => ({
  ...PROFILES[release],
  bugs: new Set(bugs),
});
