/**
 * IP protocols by name and number, as iptables knows them: its own list (libxtables/xtables.c, xtables_chain_protos) together with
 * Debian's /etc/protocols, which it reads both for `-p NAME` and to print `-p NUMBER`. What the model reads and prints must not depend on
 * the machine it runs on, so the list is here.
 */

/** The first name of a number is the one that iptables-save prints. */
const NAMES: readonly (readonly [number, string])[] = [
  [0, 'all'],
  [0, 'ip'],
  [0, 'hopopt'],
  [1, 'icmp'],
  [2, 'igmp'],
  [3, 'ggp'],
  [4, 'ipencap'],
  [5, 'st'],
  [6, 'tcp'],
  [8, 'egp'],
  [9, 'igp'],
  [12, 'pup'],
  [17, 'udp'],
  [20, 'hmp'],
  [22, 'xns-idp'],
  [27, 'rdp'],
  [29, 'iso-tp4'],
  [33, 'dccp'],
  [36, 'xtp'],
  [37, 'ddp'],
  [38, 'idpr-cmtp'],
  [41, 'ipv6'],
  [43, 'ipv6-route'],
  [44, 'ipv6-frag'],
  [45, 'idrp'],
  [46, 'rsvp'],
  [47, 'gre'],
  [50, 'esp'],
  [51, 'ah'],
  [57, 'skip'],
  [58, 'ipv6-icmp'],
  [58, 'icmpv6'],
  [59, 'ipv6-nonxt'],
  [60, 'ipv6-opts'],
  [73, 'rspf'],
  [81, 'vmtp'],
  [88, 'eigrp'],
  [89, 'ospf'],
  [93, 'ax.25'],
  [94, 'ipip'],
  [97, 'etherip'],
  [98, 'encap'],
  [103, 'pim'],
  [108, 'ipcomp'],
  [112, 'vrrp'],
  [115, 'l2tp'],
  [124, 'isis'],
  [132, 'sctp'],
  [133, 'fc'],
  [135, 'mobility-header'],
  [135, 'ipv6-mh'],
  [135, 'mh'],
  [136, 'udplite'],
  [137, 'mpls-in-ip'],
  [138, 'manet'],
  [139, 'hip'],
  [140, 'shim6'],
  [141, 'wesp'],
  [142, 'rohc'],
  [143, 'ethernet'],
];

const BY_NAME: ReadonlyMap<string, number> = new Map(NAMES.map(([number, name]) => [name, number]));
const BY_NUMBER: ReadonlyMap<number, string> = new Map([...NAMES].reverse());

/** The number of a protocol's name in any case; undefined for a name that nobody knows. */
export const protocolNumber = (name: string): number | undefined => BY_NAME.get(name.toLowerCase());

/** The name that iptables-save prints for a protocol; the number itself where there is none. */
export const protocolName = (protocol: number): string => BY_NUMBER.get(protocol) ?? `${protocol}`;

export const PROTOCOL_NAMES: readonly string[] = NAMES.map(([, name]) => name);
