/** The FORWARD rules of a bridge, which nova-network and nova-compute both write. */
import type { Network } from '../deployment/deployment.ts';

/** nova/network/linux_net.py ensure_bridge: a bridge that is no gateway forwards nothing. */
export function bridgeRules(network: Network, gateway: boolean): string[] {
  const target = gateway ? 'ACCEPT' : 'DROP';
  return [`--in-interface ${network.bridge} -j ${target}`, `--out-interface ${network.bridge} -j ${target}`];
}
