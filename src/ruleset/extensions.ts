/**
 * What iptables 1.8.9 knows by name: its matches, its targets and their options, as data. The source of each entry is the option list of
 * extensions/lib*_NAME.c (what `iptables -m NAME -h` prints), and for tables, hooks and protocols the xt_match and xt_target records
 * of the kernel's net/netfilter/xt_NAME.c and net/ipv[46]/netfilter.
 *
 * An option is written `[!]NAME[|ALIAS]...[VALUE]`: `!` if it can be negated, the name that iptables-save prints first, and for its value
 * `=` one word, `==` two words, `=?` one word that may be missing, `="` one text that iptables-save always quotes, `='` one that it quotes
 * when it must. A `*` at the end: may be given more than once.
 */
import type { Family } from '../address/address.ts';
import { DCCP, ICMP, ICMPV6, SCTP, TCP, UDP, UDPLITE } from '../packet/packet.ts';
import type { HookName, TableName } from './rule.ts';

export interface OptionSpec {
  /** As iptables-save prints it, without dashes. */
  readonly name: string;
  readonly names: readonly string[];
  readonly values: 0 | 1 | 2 | 'optional';
  readonly quoting: 'word' | 'text' | 'always';
  readonly negatable: boolean;
  readonly repeatable: boolean;
}

export interface Extension {
  readonly kind: 'match' | 'target';
  readonly name: string;
  readonly options: readonly OptionSpec[];
  /** Options that no list names: a module from outside of iptables, whose options are taken as they come. */
  readonly open: boolean;
  readonly families: readonly Family[];
  /** Where the kernel refuses it elsewhere. Absent: anywhere. */
  readonly tables?: readonly TableName[];
  readonly hooks?: readonly HookName[];
  /** The rule's `-p` must be one of these. Absent: any. */
  readonly protocols?: readonly number[];
  /** Options that it cannot be without, `A|B` for one of several. */
  readonly requires?: readonly string[];
  /** What single options demand of the rule, by `NAME`, or by `NAME VALUE` where only one value does. */
  readonly within?: Readonly<Record<string, Pick<Extension, 'hooks' | 'protocols'>>>;
}

type Limits = Partial<Pick<Extension, 'families' | 'tables' | 'hooks' | 'protocols' | 'requires' | 'within'>>;

function readSpec(text: string): OptionSpec {
  const [, not = '', names = '', value = '', repeated = ''] = /^(!?)([^=*]+)(=(?:[=?"'])?)?(\*?)$/.exec(text) ?? [];
  const all = names.split('|');
  return {
    name: all[0] ?? '',
    names: all,
    values: value === '' ? 0 : value === '==' ? 2 : value === '=?' ? 'optional' : 1,
    quoting: value === '="' ? 'always' : value === "='" ? 'text' : 'word',
    negatable: not === '!',
    repeatable: repeated === '*',
  };
}

const extension = (kind: Extension['kind'], name: string, options: string, limits: Limits = {}): Extension => ({
  kind,
  name,
  options: options.split(/\s+/).filter(Boolean).map(readSpec),
  open: false,
  families: [4, 6],
  ...limits,
});

const match = (name: string, options: string, limits?: Limits): Extension => extension('match', name, options, limits);
const target = (name: string, options: string, limits?: Limits): Extension =>
  extension('target', name, options, limits);

const PORTS = '!sport|source-port= !dport|destination-port=';
const V4: Limits = { families: [4] };
const V6: Limits = { families: [6] };
const TCP_ONLY: Limits = { protocols: [TCP] };
const BEFORE_ROUTING: Limits = { hooks: ['PREROUTING', 'INPUT'] };
const ARRIVING: Limits = { hooks: ['PREROUTING', 'INPUT', 'FORWARD'] };
const LEAVING: Limits = { hooks: ['FORWARD', 'OUTPUT', 'POSTROUTING'] };

/** Options that it cannot be without: each `A`, or `A|B` for one of several. */
const needs = (...requires: string[]): Limits => ({ requires });

const MATCHES: readonly Extension[] = [
  match('addrtype', '!src-type= !dst-type= limit-iface-in limit-iface-out', {
    ...needs('src-type|dst-type'),
    within: { 'limit-iface-in': ARRIVING, 'limit-iface-out': LEAVING },
  }),
  match('ah', '!ahspi=', { ...V4, protocols: [51] }),
  match('ah', '!ahspi= !ahlen= ahres', V6),
  match('bpf', 'bytecode=" object-pinned=', needs('bytecode|object-pinned')),
  match('cgroup', "!cgroup= !path='", { hooks: ['INPUT', 'OUTPUT', 'POSTROUTING'] }),
  match(
    'cluster',
    'cluster-total-nodes= !cluster-local-node= !cluster-local-nodemask= cluster-hash-seed=',
    needs('cluster-local-node|cluster-local-nodemask', 'cluster-total-nodes', 'cluster-hash-seed'),
  ),
  match('comment', "comment='", needs('comment')),
  match(
    'connbytes',
    '!connbytes= connbytes-mode= connbytes-dir=',
    needs('connbytes', 'connbytes-mode', 'connbytes-dir'),
  ),
  match('connlabel', '!label=" set', needs('label')),
  match(
    'connlimit',
    '!connlimit-upto= !connlimit-above= connlimit-mask= connlimit-saddr connlimit-daddr',
    needs('connlimit-upto|connlimit-above'),
  ),
  match('connmark', '!mark=', needs('mark')),
  match(
    'conntrack',
    '!ctstate= !ctproto= !ctorigsrc= !ctorigdst= !ctreplsrc= !ctrepldst= !ctorigsrcport= !ctorigdstport= ' +
      '!ctreplsrcport= !ctrepldstport= !ctstatus= !ctexpire= ctdir=',
  ),
  match('cpu', '!cpu=', needs('cpu')),
  match('dccp', `${PORTS} !dccp-types= !dccp-option=`, { protocols: [DCCP] }),
  match('devgroup', '!src-group= !dst-group=', {
    ...needs('src-group|dst-group'),
    within: { 'src-group': ARRIVING, 'dst-group': LEAVING },
  }),
  match('dscp', '!dscp= !dscp-class=', needs('dscp|dscp-class')),
  match('dst', '!dst-len= dst-opts= dst-not-strict', V6),
  match('ecn', '!ecn-tcp-cwr !ecn-tcp-ece !ecn-ip-ect=', {
    ...needs('ecn-tcp-cwr|ecn-tcp-ece|ecn-ip-ect'),
    within: { 'ecn-tcp-cwr': TCP_ONLY, 'ecn-tcp-ece': TCP_ONLY },
  }),
  match('esp', '!espspi=', { protocols: [50] }),
  match('eui64', '', { ...V6, ...ARRIVING }),
  match('frag', '!fragid= !fraglen= fragres fragfirst fragmore fraglast', V6),
  match(
    'hashlimit',
    "hashlimit-upto|hashlimit= !hashlimit-above= hashlimit-burst= hashlimit-mode= hashlimit-name=' hashlimit-htable-size= " +
      'hashlimit-htable-max= hashlimit-htable-gcinterval= hashlimit-htable-expire= hashlimit-srcmask= hashlimit-dstmask= ' +
      'hashlimit-rate-match hashlimit-rate-interval=',
    needs('hashlimit-upto|hashlimit-above'),
  ),
  match('hbh', '!hbh-len= hbh-opts= hbh-not-strict', V6),
  match('helper', "!helper='", needs('helper')),
  match('hl', '!hl-eq|hl= hl-lt= hl-gt=', { ...V6, ...needs('hl-eq|hl-lt|hl-gt') }),
  match('icmp', '!icmp-type=', { ...V4, ...needs('icmp-type'), protocols: [ICMP] }),
  match('icmp6', '!icmpv6-type|icmp6-type=', { ...V6, ...needs('icmpv6-type'), protocols: [ICMPV6] }),
  match('ipcomp', '!ipcompspi= compres', { protocols: [108] }),
  match('iprange', '!src-range= !dst-range=', needs('src-range|dst-range')),
  match('ipv6header', '!header= soft', { ...V6, ...needs('header') }),
  match('ipvs', '!ipvs !vproto= !vaddr= !vport= vdir= !vmethod= !vportctl='),
  match('length', '!length=', needs('length')),
  match('limit', 'limit= limit-burst='),
  match('mac', '!mac-source=', { ...ARRIVING, ...needs('mac-source') }),
  match('mark', '!mark=', needs('mark')),
  match('mh', '!mh-type=', { ...V6, protocols: [135] }),
  match('multiport', '!sports|source-ports= !dports|destination-ports= !ports=', {
    ...needs('sports|dports|ports'),
    protocols: [TCP, UDP, UDPLITE, SCTP, DCCP],
  }),
  match('nfacct', "nfacct-name='", needs('nfacct-name')),
  match('osf', "!genre=' ttl= log=", { ...V4, ...ARRIVING, ...TCP_ONLY, ...needs('genre') }),
  match('owner', '!uid-owner= !gid-owner= !socket-exists suppl-groups', {
    ...needs('uid-owner|gid-owner|socket-exists'),
    hooks: ['OUTPUT', 'POSTROUTING'],
  }),
  match('physdev', '!physdev-in= !physdev-out= !physdev-is-in !physdev-is-out !physdev-is-bridged'),
  match('pkttype', '!pkt-type=', needs('pkt-type')),
  match('policy', 'dir= pol= strict !reqid=* !spi=* !tunnel-src=* !tunnel-dst=* !proto=* !mode=* next*', {
    ...needs('dir'),
    within: { 'dir in': ARRIVING, 'dir out': LEAVING },
  }),
  match('quota', '!quota=', needs('quota')),
  match(
    'rateest',
    'rateest-delta rateest|rateest1= rateest-bps1=? rateest-pps1=? rateest2= rateest-bps2=? rateest-pps2=? ' +
      '!rateest-lt !rateest-gt !rateest-eq rateest-bps=? rateest-pps=?',
  ),
  match('realm', '!realm=', {
    ...V4,
    ...needs('realm'),
    hooks: ['INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'],
  }),
  match(
    'recent',
    "!set !rcheck !update !remove seconds= reap hitcount= rttl name=' mask= rsource rdest",
    needs('set|rcheck|update|remove'),
  ),
  match('rpfilter', 'loose validmark accept-local invert', { tables: ['raw', 'mangle'], hooks: ['PREROUTING'] }),
  match('rt', '!rt-type= !rt-segsleft= !rt-len= rt-0-res rt-0-addrs= rt-0-not-strict', V6),
  match('sctp', `${PORTS} !chunk-types==`, { protocols: [SCTP] }),
  match(
    'set',
    '!match-set|set== return-nomatch !update-counters !update-subcounters !packets-eq= packets-lt= packets-gt= ' +
      '!bytes-eq= bytes-lt= bytes-gt=',
    needs('match-set'),
  ),
  match('socket', 'transparent nowildcard restore-skmark', BEFORE_ROUTING),
  match(
    'srh',
    '!srh-next-hdr= !srh-hdr-len-eq= !srh-hdr-len-gt= !srh-hdr-len-lt= !srh-segs-left-eq= !srh-segs-left-gt= ' +
      '!srh-segs-left-lt= !srh-last-entry-eq= !srh-last-entry-gt= !srh-last-entry-lt= !srh-tag= !srh-psid= !srh-nsid= ' +
      '!srh-lsid=',
    V6,
  ),
  match('state', '!state=', needs('state')),
  match('statistic', 'mode= !probability= !every= packet=', needs('probability|every')),
  match('string', '!string=" !hex-string=" algo= from= to= icase', needs('string|hex-string', 'algo')),
  match('tcp', `${PORTS} !syn !tcp-flags== !tcp-option=`, TCP_ONLY),
  match('tcpmss', '!mss=', { ...TCP_ONLY, ...needs('mss') }),
  match('time', 'timestart= timestop= !monthdays= !weekdays= datestart= datestop= contiguous kerneltz utc localtz'),
  match('tos', '!tos=', needs('tos')),
  match('ttl', '!ttl-eq|ttl= ttl-lt= ttl-gt=', { ...V4, ...needs('ttl-eq|ttl-lt|ttl-gt') }),
  match('u32', '!u32="', needs('u32')),
  match('udp', PORTS, { protocols: [UDP] }),
];

const MANGLE: Limits = { tables: ['mangle'] };
const NAT: Limits = { tables: ['nat'] };
const RAW: Limits = { tables: ['raw'] };
const MARKS = 'set-xmark|set-mark|and-mark|or-mark|xor-mark';

const TARGETS: readonly Extension[] = [
  target('ACCEPT', ''),
  target('DROP', ''),
  target('RETURN', ''),
  target('QUEUE', ''),
  target('AUDIT', 'type=', needs('type')),
  target('CHECKSUM', 'checksum-fill', { ...MANGLE, ...needs('checksum-fill') }),
  target('CLASSIFY', 'set-class=', { ...LEAVING, ...needs('set-class') }),
  target('CLUSTERIP', 'new hashmode= clustermac= total-nodes= local-node= hash-init=', { ...V4, hooks: ['INPUT'] }),
  target(
    'CONNMARK',
    'set-xmark= set-mark= and-mark= or-mark= xor-mark= save-mark restore-mark left-shift-mark= right-shift-mark= ctmask= nfmask= mask=',
    needs(`${MARKS}|save-mark|restore-mark`),
  ),
  target('CONNSECMARK', 'save restore', { ...needs('save|restore'), tables: ['mangle', 'security'] }),
  target('CT', "notrack helper=' timeout=' ctevents= expevents= zone= zone-orig= zone-reply=", RAW),
  target('DNAT', 'to-destination= random persistent', {
    ...NAT,
    ...needs('to-destination'),
    hooks: ['PREROUTING', 'OUTPUT'],
  }),
  target('DNPT', 'src-pfx= dst-pfx=', {
    ...MANGLE,
    ...V6,
    ...needs('src-pfx', 'dst-pfx'),
    hooks: ['PREROUTING', 'OUTPUT'],
  }),
  target('DSCP', 'set-dscp= set-dscp-class=', { ...MANGLE, ...needs('set-dscp|set-dscp-class') }),
  target('ECN', 'ecn-tcp-remove ecn-tcp-cwr= ecn-tcp-ece= ecn-ip-ect=', {
    ...MANGLE,
    ...V4,
    ...needs('ecn-tcp-remove|ecn-tcp-cwr|ecn-tcp-ece|ecn-ip-ect'),
    within: { 'ecn-tcp-remove': TCP_ONLY, 'ecn-tcp-cwr': TCP_ONLY, 'ecn-tcp-ece': TCP_ONLY },
  }),
  target('HL', 'hl-set= hl-dec= hl-inc=', { ...MANGLE, ...V6, ...needs('hl-set|hl-dec|hl-inc') }),
  target(
    'HMARK',
    'hmark-tuple= hmark-mod= hmark-offset= hmark-rnd= hmark-src-prefix= hmark-dst-prefix= hmark-sport-mask= hmark-dport-mask= ' +
      'hmark-spi-mask= hmark-sport= hmark-dport= hmark-spi= hmark-proto-mask=',
    { ...MANGLE, ...needs('hmark-mod') },
  ),
  target('IDLETIMER', "timeout= label=' alarm", needs('timeout', 'label')),
  target('LED', 'led-trigger-id=" led-delay= led-always-blink', needs('led-trigger-id')),
  target('LOG', "log-prefix=' log-level= log-tcp-sequence log-tcp-options log-ip-options log-uid log-macdecode"),
  target('MARK', 'set-xmark= set-mark= and-mark= or-mark= xor-mark=', needs(MARKS)),
  target('MASQUERADE', 'to-ports= random random-fully', { ...NAT, hooks: ['POSTROUTING'] }),
  target('NETMAP', 'to=', {
    ...NAT,
    ...needs('to'),
    hooks: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
  }),
  target('NFLOG', "nflog-prefix=' nflog-group= nflog-range= nflog-size= nflog-threshold="),
  target('NFQUEUE', 'queue-num= queue-balance= queue-bypass queue-cpu-fanout'),
  target('NOTRACK', '', RAW),
  target(
    'RATEEST',
    "rateest-name=' rateest-interval= rateest-ewmalog=",
    needs('rateest-name', 'rateest-interval', 'rateest-ewmalog'),
  ),
  target('REDIRECT', 'to-ports= random', { ...NAT, hooks: ['PREROUTING', 'OUTPUT'] }),
  target('REJECT', 'reject-with=', { tables: ['filter'], hooks: ['INPUT', 'FORWARD', 'OUTPUT'] }),
  target('SECMARK', "selctx='", { ...needs('selctx'), tables: ['mangle', 'security'] }),
  target(
    'SET',
    'add-set== del-set== map-set== exist timeout= map-mark map-prio map-queue',
    needs('add-set|del-set|map-set'),
  ),
  target('SNAT', 'to-source= random random-fully persistent', {
    ...NAT,
    ...needs('to-source'),
    hooks: ['INPUT', 'POSTROUTING'],
  }),
  target('SNPT', 'src-pfx= dst-pfx=', {
    ...MANGLE,
    ...V6,
    ...needs('src-pfx', 'dst-pfx'),
    hooks: ['INPUT', 'POSTROUTING'],
  }),
  target('SYNPROXY', 'sack-perm timestamp wscale= mss= ecn', { ...TCP_ONLY, hooks: ['INPUT', 'FORWARD'] }),
  target('TCPMSS', 'set-mss= clamp-mss-to-pmtu', {
    ...TCP_ONLY,
    ...needs('set-mss|clamp-mss-to-pmtu'),
    within: { 'clamp-mss-to-pmtu': LEAVING },
  }),
  target('TCPOPTSTRIP', 'strip-options=', { ...MANGLE, ...TCP_ONLY }),
  target('TEE', 'gateway= oif=', needs('gateway')),
  target('TOS', 'set-tos= and-tos= or-tos= xor-tos=', { ...MANGLE, ...needs('set-tos|and-tos|or-tos|xor-tos') }),
  target('TPROXY', 'on-port= on-ip= tproxy-mark=', {
    ...MANGLE,
    ...needs('on-port'),
    hooks: ['PREROUTING'],
    protocols: [TCP, UDP],
  }),
  // The kernel's own TRACE is for table raw; iptables-nft has another one, for any table.
  target('TRACE', ''),
  target('TTL', 'ttl-set= ttl-dec= ttl-inc=', { ...MANGLE, ...V4, ...needs('ttl-set|ttl-dec|ttl-inc') }),
  target('ULOG', "ulog-nlgroup= ulog-cprange= ulog-qthreshold= ulog-prefix='", V4),
];

/** Targets of xtables-addons that rulesets in the wild have; their options are taken as they come. */
const ADDON_TARGETS = 'ACCOUNT CHAOS DELUDE DHCPMAC DNETMAP ECHO IPMARK LOGMARK PROTO RAWDNAT RAWSNAT SYSRQ TARPIT';

/** libxtables/xtables.c, xtables_find_match: other names of the icmpv6 match. */
const MATCH_ALIASES: ReadonlyMap<string, string> = new Map([
  ['icmpv6', 'icmp6'],
  ['ipv6-icmp', 'icmp6'],
]);

/** A module of which nothing is known but its name. */
export const unknownMatch = (name: string): Extension => ({
  kind: 'match',
  name,
  options: [],
  open: true,
  families: [4, 6],
});

const keyed = (extensions: readonly Extension[]): ReadonlyMap<string, Extension> =>
  new Map(extensions.flatMap((one) => one.families.map((family) => [`${family} ${one.name}`, one] as const)));

const MATCH_BY_NAME = keyed(MATCHES);
const TARGET_BY_NAME = keyed([
  ...TARGETS,
  ...ADDON_TARGETS.split(' ').map((name): Extension => ({ ...unknownMatch(name), kind: 'target' })),
]);

export const findMatch = (family: Family, name: string): Extension | undefined =>
  MATCH_BY_NAME.get(`${family} ${MATCH_ALIASES.get(name) ?? name}`);

export const findTarget = (family: Family, name: string): Extension | undefined =>
  TARGET_BY_NAME.get(`${family} ${name}`);

export const matchNames = (family: Family): readonly string[] =>
  MATCHES.filter((one) => one.families.includes(family)).map((one) => one.name);

export const targetNames = (family: Family): readonly string[] =>
  TARGETS.filter((one) => one.families.includes(family)).map((one) => one.name);

/** The families in which a match or target of this name exists. */
export const familiesOf = (kind: Extension['kind'], name: string): readonly Family[] =>
  (kind === 'match' ? MATCHES : TARGETS).filter((one) => one.name === name).flatMap((one) => one.families);

/** The matches of a family that have an option of this name, for the message about one that stands without its module. */
export const matchesWithOption = (family: Family, option: string): readonly string[] =>
  MATCHES.filter((one) => one.families.includes(family) && one.options.some((spec) => spec.names.includes(option))).map(
    (one) => one.name,
  );

/**
 * The match that `-p` loads by itself when one of its options follows: the one that has the protocol's name, as given or, for a number, as
 * the protocol list names it (iptables/xshared.c, find_proto).
 */
export const matchOfProtocol = (family: Family, name: string): Extension | undefined => findMatch(family, name);

/** The options that every command line has (iptables/xshared.c; their short forms are in `SHORT`). */
export const BASIC_OPTIONS: readonly OptionSpec[] = (
  'append= delete= check= insert= replace= list=? list-rules=? flush=? zero=? new-chain= delete-chain=? rename-chain= policy= ' +
  '!source|src= !destination|dst= !protocol= !in-interface= jump= table= match= numeric !out-interface= verbose wait=? wait-interval= exact ' +
  '!fragments version help=? line-numbers modprobe= set-counters= goto= ipv4 ipv6'
)
  .split(' ')
  .map(readSpec);

/** Short forms of the basic options: IPT_OPTSTRING of iptables/xshared.h. */
export const SHORT: ReadonlyMap<string, string> = new Map([
  ['A', 'append'],
  ['D', 'delete'],
  ['C', 'check'],
  ['I', 'insert'],
  ['R', 'replace'],
  ['L', 'list'],
  ['S', 'list-rules'],
  ['F', 'flush'],
  ['Z', 'zero'],
  ['N', 'new-chain'],
  ['X', 'delete-chain'],
  ['E', 'rename-chain'],
  ['P', 'policy'],
  ['s', 'source'],
  ['d', 'destination'],
  ['p', 'protocol'],
  ['i', 'in-interface'],
  ['j', 'jump'],
  ['t', 'table'],
  ['m', 'match'],
  ['n', 'numeric'],
  ['o', 'out-interface'],
  ['v', 'verbose'],
  ['w', 'wait'],
  ['W', 'wait-interval'],
  ['x', 'exact'],
  ['f', 'fragments'],
  ['V', 'version'],
  ['h', 'help'],
  ['M', 'modprobe'],
  ['c', 'set-counters'],
  ['g', 'goto'],
  ['4', 'ipv4'],
  ['6', 'ipv6'],
]);
