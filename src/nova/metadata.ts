/** nova-api's one rule (nova/network/linux_net.py metadata_accept, called by nova/api/manager.py MetadataManager.init_host). */
import { familyOf, isLoopback, printAddress } from '../address/address.ts';
import type { DeploymentHost } from '../deployment/deployment.ts';
import type { Memory } from './memory.ts';
import type { Profile } from './profile.ts';

/** Lets requests in to the metadata service, in the family of its address. */
export function addMetadataAccept(memory: Memory, host: DeploymentHost, profile: Profile): void {
  // B1: nobody accepted them.
  if (profile.bugs.has('B1')) return;
  const { metadata_host: server, metadata_port: port } = host.flags;
  const isLocal = profile.loopbackAccept === 'local' && isLoopback(server);
  memory.filter[familyOf(server)].addRule(
    'INPUT',
    isLocal
      ? `-p tcp -m tcp --dport ${port} -m addrtype --dst-type LOCAL -j ACCEPT`
      : `-d ${printAddress(server)} -p tcp -m tcp --dport ${port} -j ACCEPT`,
  );
}
