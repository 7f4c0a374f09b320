/** Mistakes in a large cloud with floating IPs, each of which must be found for exactly the packets that it breaks. */
import { POSTURES, type PacketsClaim } from '../src/claim/claim.ts';
import type { Deployment } from '../src/deployment/deployment.ts';
import { networkOf } from '../src/deployment/world.ts';
import { LAWS } from '../src/invariant/laws.ts';
import { hardenedRuleset } from '../src/judge/hardened.ts';
import { Prover } from '../src/judge/proof.ts';
import { Grounds, Proofs } from '../src/judge/prove.ts';
import type { Network } from '../src/network/network.ts';
import { rulesetTextFor } from '../src/nova/ruleset.ts';
import { printAddress } from '../src/address/address.ts';
import { readRuleset } from '../src/ruleset/parse.ts';
import type { Ruleset } from '../src/ruleset/rule.ts';
import { Ground } from '../src/space/ground.ts';
import { WaySpace } from '../src/space/way.ts';
import { fixedAddress, floatingAddress } from './clouds.ts';

export interface Mistake {
  readonly name: string;
  readonly law: string;
  readonly text: string;
  readonly network: Network;
  /** True of the instances, numbered from 0, whose claims it breaks, whole. */
  readonly breaks: (index: number) => boolean;
}

const FLOAT_SNAT = '-A nova-network-float-snat ';

/** None, and then mistakes about the floating IP in the middle, or about many; of the cloud of one host that cloudFile describes. */
export function floatMistakes(deployment: Deployment): readonly Mistake[] {
  const [host] = deployment.hosts;
  if (host === undefined) return [];
  const network = networkOf(deployment);
  const text = rulesetTextFor(deployment, host, 4);
  const middle = deployment.instances.length >> 1;
  const [fixed, float] = [printAddress(fixedAddress(middle)), printAddress(floatingAddress(middle))];
  const withLine = (from: string, to: string): string => {
    if (!text.includes(from)) throw new Error(`the rules have no ${from}`);
    return text.replace(from, to);
  };
  const [outbound, inbound] = ['floating-ip/outbound-appears-as-floating', 'floating-ip/round-trip'];
  return [
    { name: 'no mistake', law: inbound, text, network, breaks: () => false },
    {
      name: 'a missing SNAT',
      law: outbound,
      text: withLine(`${FLOAT_SNAT}-s ${fixed}/32 -j SNAT --to-source ${float}\n`, ''),
      network,
      breaks: (index) => index === middle,
    },
    {
      name: 'an SNAT of everything first',
      law: inbound,
      text: withLine(FLOAT_SNAT, `${FLOAT_SNAT}-j SNAT --to-source 192.0.2.1\n${FLOAT_SNAT}`),
      network,
      breaks: () => true,
    },
    {
      name: 'two floating IPs to one fixed',
      law: inbound,
      text: withLine(
        `-A nova-network-PREROUTING -d ${float}/32 -j DNAT --to-destination ${fixed}\n`,
        `-A nova-network-PREROUTING -d ${float}/32 -j DNAT --to-destination ${printAddress(fixedAddress(middle + 1))}\n`,
      ),
      network,
      breaks: (index) => index === middle,
    },
    {
      // Half of the instances are beyond the bridge's subnet, and what is for them goes to the default gateway. One has its broadcast address.
      name: 'a route too narrow',
      law: inbound,
      text,
      network: narrowed(network, lengthFor(middle)),
      breaks: (index) => fixedAddress(index) >= 0x0a000000 + 2 ** (32 - lengthFor(middle)) - 1,
    },
  ];
}

/** The longest prefix that holds so many addresses. */
const lengthFor = (addresses: number): number => 32 - Math.ceil(Math.log2(addresses));

const narrowed = (network: Network, length: number): Network => ({
  ...network,
  hosts: network.hosts.map((host) => ({
    ...host,
    interfaces: host.interfaces.map((device) =>
      device.name === 'br100'
        ? { ...device, addresses: device.addresses.map((own) => (own.length === 16 ? { ...own, length } : own)) }
        : device,
    ),
  })),
});

/** The claims of the mistake's law as they are judged when those that are alike are proved together, and each by itself. */
export function judgedTwice(
  deployment: Deployment,
  { law, text, network }: Mistake,
): { readonly joint: readonly unknown[]; readonly single: readonly unknown[] } {
  const applies = LAWS.find(({ id }) => id === law)?.claims({ deployment, network: networkOf(deployment) });
  const claims = applies?.kind === 'claims' ? applies.claims : [];
  const packets = claims.filter((claim): claim is PacketsClaim => claim.kind === 'packets');
  const ruleset = readRuleset(text, { path: 'a mistake', family: 4 });
  const closed = hardenedRuleset(ruleset);
  const by = (own: Ruleset): ReadonlyMap<string, readonly Ruleset[]> =>
    new Map(network.hosts.map(({ name }) => [name, [own]]));
  const rulesets = { 'as-given': by(ruleset), hardened: by(closed) };
  const judged = (expects: boolean): readonly unknown[] => {
    const proofs = new Proofs(new Grounds({ network, backend: 'nft', rulesets: [ruleset, closed] }), rulesets);
    if (expects) proofs.expect(packets);
    return POSTURES.flatMap((posture) => packets.map((claim) => proofs.judge(claim, posture)));
  };
  return { joint: judged(true), single: judged(false) };
}

/** The claims of the mistake's law that are judged otherwise than they should be: none, if it is found exactly. */
export function misjudged(deployment: Deployment, { law, text, network, breaks }: Mistake): readonly string[] {
  const applies = LAWS.find(({ id }) => id === law)?.claims({ deployment, network: networkOf(deployment) });
  const claims = applies?.kind === 'claims' ? applies.claims : [];
  const ruleset = readRuleset(text, { path: 'a mistake', family: 4 });
  const ground = new Ground({ family: 4, backend: 'nft', network, rulesets: [ruleset], joins: true });
  const rulesets = new Map(network.hosts.map(({ name }) => [name, [ruleset]]));
  const prover = new Prover(new WaySpace(ground, rulesets));
  const broken = new Set(
    deployment.instances.flatMap(({ vifs }, index) => (breaks(index) ? vifs.flatMap(({ fixedIps }) => fixedIps) : [])),
  );
  return claims
    .filter((claim): claim is PacketsClaim => claim.kind === 'packets')
    .flatMap((claim) => {
      const proof = prover.prove(claim);
      if (proof.kind === 'vacuous') return [];
      const { region } = prover.regionOf(claim);
      const isRight = broken.has(subjectOf(claim))
        ? proof.kind === 'broken' && proof.sure === region
        : proof.kind === 'holds';
      return isRight ? [] : [claim.says];
    });
}

/** The fixed address that a claim of these laws is about: where its packets end, or where they are from. */
function subjectOf({ ending, set }: PacketsClaim): number {
  const image = 'as' in ending ? ending.as.daddr : undefined;
  const address = typeof image === 'object' && 'is' in image ? image.is : set.boxes[0]?.saddr[0]?.from;
  return Number(address);
}
