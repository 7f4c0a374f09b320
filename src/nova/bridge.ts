/** The FORWARD rules of a bridge, which nova-network and nova-compute both write. */
import type { Flags, Network } from '../deployment/deployment.ts';
import type { Profile } from './profile.ts';

/**
 * nova/network/linux_net.py get_gateway_rules and LinuxBridgeInterfaceDriver.ensure_bridge: a bridge that is no gateway forwards nothing; one that is
 * forwards everything, or (forward_bridge_interface, since Grizzly) only within itself and to the listed interfaces.
 */
export function bridgeRules({ bridge }: Network, gateway: boolean, flags: Flags, { bugs }: Profile): string[] {
  const refused = flags.iptables_drop_action;
  const both = (target: string): string[] => [
    `--in-interface ${bridge} -j ${target}`,
    `--out-interface ${bridge} -j ${target}`,
  ];
  if (!gateway) return both(refused);
  // E4: the option was one, whatever it said.
  const interfaces = bugs.has('E4') ? flags.forward_bridge_interface.slice(0, 1) : flags.forward_bridge_interface;
  // E6: what a bridge without a gateway was given was looked for with another action, and stayed.
  if (interfaces.includes('all')) return [...(bugs.has('E6') ? both(refused) : []), ...both('ACCEPT')];
  return [
    ...interfaces.flatMap((name) => [
      `--in-interface ${bridge} --out-interface ${name} -j ACCEPT`,
      `--in-interface ${name} --out-interface ${bridge} -j ACCEPT`,
    ]),
    `--in-interface ${bridge} --out-interface ${bridge} -j ACCEPT`,
    ...both(refused),
  ];
}
