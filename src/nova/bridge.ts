/** The FORWARD rules of a bridge, which nova-network and nova-compute both write. */
import type { Flags, Network } from '../deployment/deployment.ts';

/**
 * nova/network/linux_net.py get_gateway_rules and LinuxBridgeInterfaceDriver.ensure_bridge: a bridge that is no gateway forwards nothing; one that is
 * forwards everything, or (forward_bridge_interface, since Grizzly) only within itself and to the listed interfaces.
 */
export function bridgeRules({ bridge }: Network, gateway: boolean, flags: Flags): string[] {
  const refused = flags.iptables_drop_action;
  const both = (target: string): string[] => [
    `--in-interface ${bridge} -j ${target}`,
    `--out-interface ${bridge} -j ${target}`,
  ];
  if (!gateway) return both(refused);
  const interfaces = flags.forward_bridge_interface;
  if (interfaces.includes('all')) return both('ACCEPT');
  return [
    ...interfaces.flatMap((name) => [
      `--in-interface ${bridge} --out-interface ${name} -j ACCEPT`,
      `--in-interface ${name} --out-interface ${bridge} -j ACCEPT`,
    ]),
    `--in-interface ${bridge} --out-interface ${bridge} -j ACCEPT`,
    ...both(refused),
  ];
}
