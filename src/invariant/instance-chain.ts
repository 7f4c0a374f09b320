/** What the chain of an instance promises: who gets through to it, and who does not. */
import { printAddress, type Address, type Family } from '../address/address.ts';
import type { Breach, PacketsClaim, RulesetClaim } from '../claim/claim.ts';
import type { DeploymentHost } from '../deployment/deployment.ts';
import { hasRole } from '../deployment/service.ts';
import { calledBy } from '../ruleset/calls.ts';
import type { Match, Ruleset } from '../ruleset/rule.ts';
import type { Applies, Law, LawContext } from './law.ts';
import { fixedAddresses } from './vocabulary/addresses.ts';
import { prefixesOf } from './vocabulary/chain.ts';
import { breachAt, rulesOf } from './vocabulary/text.ts';
import {
  admittedExactly,
  establishedAdmitted,
  invalidDropped,
  sameForProcesses,
  strangersDropped,
} from './vocabulary/visit.ts';

const NO_COMPUTE = 'no instance lives on a host with nova-compute';
const ARTICLE = 'The article, "Chain and rules for each instance"';
const NOVA = 'nova/virt/firewall.py IptablesFirewallDriver.instance_rules';

const forIpv4 =
  (claims: (context: LawContext, family: Family) => readonly PacketsClaim[]) =>
  (context: LawContext): Applies =>
    guardedBy(context.deployment.hosts, context)
      ? { kind: 'claims', claims: claims(context, 4) }
      : { kind: 'not-applicable', because: NO_COMPUTE };

const guardedBy = (hosts: readonly DeploymentHost[], { deployment }: LawContext): boolean =>
  hosts.some(
    (host) => hasRole(host, 'compute') && deployment.instances.some((instance) => instance.host === host.name),
  );

const guardsEveryAddress: Law = {
  id: 'instance-chain/guards-every-address',
  kind: 'ruleset',
  severity: 'error',
  statement:
    'Each live address has exactly one jump, to its own instance’s chain, on the host where the instance lives; there is no jump for an address that is nobody’s.',
  source: `${ARTICLE}: "All traffic targeted to this instance [...] go into this instance's specific chain"; nova/virt/firewall.py add_filters_for_instance`,
  requires: 'instances on a host with nova-compute',
  brokenBy:
    'A rule of nova-compute-local deleted, doubled, or with another address or chain. Every release does so over time: removing inst-1 takes along the jumps of inst-10 to inst-19 (regression D14).',
  knownFailures: [],
  claims: (context) =>
    guardedBy(context.deployment.hosts, context)
      ? { kind: 'claims', claims: context.deployment.hosts.flatMap((host) => guardClaims(context, host)) }
      : { kind: 'not-applicable', because: NO_COMPUTE },
};

function guardClaims({ deployment }: LawContext, host: DeploymentHost): readonly RulesetClaim[] {
  const [prefix] = prefixesOf(host, 'compute');
  if (prefix === undefined) return [];
  const families: readonly Family[] = host.flags.use_ipv6 ? [4, 6] : [4];
  return families.map((family) => {
    const chains = new Map(
      fixedAddresses(deployment, family)
        .filter((fixed) => fixed.host === host)
        .map(({ address, instance }) => [address, `${prefix}-inst-${instance.id}`]),
    );
    return {
      kind: 'ruleset',
      says: `each ${family === 4 ? 'IPv4' : 'IPv6'} address of the instances on ${host.name} has one jump, to its own instance’s chain`,
      host: host.name,
      family,
      breaches: (ruleset) => guardBreaches(ruleset, prefix, chains),
    };
  });
}

function guardBreaches(ruleset: Ruleset, prefix: string, chains: ReadonlyMap<Address, string>): readonly Breach[] {
  const breaches: Breach[] = [];
  const guarded = new Set<Address>();
  for (const placed of rulesOf(ruleset, 'filter')) {
    const { rule } = placed;
    const called = calledBy(rule);
    if (called === undefined || !isInstanceChain(called, prefix)) continue;
    const breach = (message: string): void => {
      breaches.push(breachAt(placed, message));
    };
    const address = wholeDestination(rule.matches);
    if (address === undefined) {
      breach(`a jump to ${called} that is not for the packets to one address`);
      continue;
    }
    const own = chains.get(address);
    if (own === undefined)
      breach(`a jump to ${called} for ${printAddress(address)}, which is the address of no instance here`);
    else if (own !== called) breach(`a jump to ${called} for ${printAddress(address)}, whose chain is ${own}`);
    else if (guarded.has(address)) breach(`a second jump for ${printAddress(address)}`);
    else guarded.add(address);
  }
  for (const [address, chain] of chains)
    if (!guarded.has(address))
      breaches.push({
        message: `there is no jump to ${chain} for ${printAddress(address)}`,
        table: 'filter',
        chain: `${prefix}-local`,
      });
  return breaches;
}

const isInstanceChain = (chain: string, prefix: string): boolean =>
  chain.startsWith(`${prefix}-inst-`) && /^\d+$/.test(chain.slice(prefix.length + '-inst-'.length));

/** The address of `-d ADDRESS`, when that is all that a rule asks. */
function wholeDestination(matches: readonly Match[]): Address | undefined {
  const asked = matches.filter(({ kind }) => kind !== 'comment');
  const [only] = asked;
  if (only?.kind !== 'destination' || asked.length !== 1 || only.not) return undefined;
  const { address, mask } = only.value;
  const whole = typeof mask === 'number' ? mask === 0xffffffff : mask === (1n << 128n) - 1n;
  return whole ? address : undefined;
}

const dropsStrangers: Law = {
  id: 'instance-chain/drops-strangers',
  kind: 'packets',
  severity: 'error',
  statement:
    'A NEW unicast packet to an instance’s address that passes filter FORWARD or OUTPUT on the instance’s host, from outside all CIDRs of the instance’s networks and not admitted, is dropped; and so is an UNTRACKED one. Bridged frames only where bridge-nf-call-iptables is 1.',
  source: `${ARTICLE}: "All other traffic is dropped"; ${NOVA}`,
  requires: 'instances on a host with nova-compute',
  brokenBy:
    'The jump to the fallback removed from an instance’s chain, or the fallback’s DROP; an ACCEPT before nova-filter-top.',
  knownFailures: [],
  claims: forIpv4(strangersDropped),
};

const admitsExactly: Law = {
  id: 'instance-chain/admits-exactly',
  kind: 'packets',
  severity: 'error',
  statement:
    'The same packets as of instance-chain/drops-strangers, from any source: accepted if and only if from the DHCP server port 67 to port 68, or from the subnet while allow_same_net_traffic, or admitted.',
  source: `${ARTICLE}: "All traffic from IPs of the subnet that the instance resides in is allowed. All DHCP traffic from the specified DHCP server is allowed"; ${NOVA}`,
  requires: 'instances on a host with nova-compute',
  brokenBy: 'Any value of a group’s rule in an instance’s chain changed: an address, mask, protocol, port, icmp type.',
  knownFailures: [],
  claims: forIpv4(admittedExactly),
};

const admitsEstablished: Law = {
  id: 'instance-chain/admits-established',
  kind: 'packets',
  severity: 'error',
  statement: 'ESTABLISHED and RELATED packets to an instance’s address are accepted, whatever its groups say.',
  source: NOVA,
  requires: 'instances on a host with nova-compute',
  brokenBy: 'The rule "-m state --state RELATED,ESTABLISHED -j ACCEPT" removed from an instance’s chain.',
  knownFailures: [],
  claims: forIpv4(establishedAdmitted),
};

const dropsInvalid: Law = {
  id: 'instance-chain/drops-invalid',
  kind: 'packets',
  severity: 'error',
  statement: 'INVALID packets to an instance’s address are dropped.',
  source: NOVA,
  requires: 'instances on a host with nova-compute',
  brokenBy:
    'The rule "-m state --state INVALID -j DROP" removed from an instance’s chain, or moved behind the groups’ rules.',
  knownFailures: [],
  claims: forIpv4(invalidDropped),
};

const forwardedAndLocal: Law = {
  id: 'instance-chain/forwarded-and-local',
  kind: 'packets',
  severity: 'error',
  statement:
    'A forwarded packet and the same packet made by a process of the host get the same verdict from an instance’s chain.',
  source: `${ARTICLE}: "All traffic targeted to this instance, no matter whether it is forwarded or generated from local process, go into this instance's specific chain"`,
  requires: 'instances on a host with nova-compute',
  brokenBy: 'The jump from OUTPUT to nova-filter-top removed.',
  knownFailures: [],
  claims: forIpv4(sameForProcesses),
};

export const INSTANCE_CHAIN_LAWS: readonly Law[] = [
  guardsEveryAddress,
  dropsStrangers,
  admitsExactly,
  admitsEstablished,
  dropsInvalid,
  forwardedAndLocal,
];
