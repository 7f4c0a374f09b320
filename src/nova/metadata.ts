/** nova-api's one rule (nova/network/linux_net.py metadata_accept, called by nova/api/manager.py MetadataManager.init_host). */
import { printAddress } from '../address/address.ts';
import type { DeploymentHost } from '../deployment/deployment.ts';
import type { Memory } from './memory.ts';

/** Lets requests in to the metadata service. */
export function addMetadataAccept(memory: Memory, host: DeploymentHost): void {
  const { metadata_host: server, metadata_port: port } = host.flags;
  memory.filter[4].addRule('INPUT', `-s 0.0.0.0/0 -d ${printAddress(server)} -p tcp -m tcp --dport ${port} -j ACCEPT`);
}
