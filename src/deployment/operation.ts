/**
 * What an operation makes of nova's database: the deployment file after it. Addresses are given out as nova does: the first free one. What the services do
 * about it is nova/cloud.ts.
 */
import { addToAddress, familyOf, lastAddress, prefixContains, printAddress, type Address } from '../address/address.ts';
import { nearest } from '../diagnostic/nearest.ts';
import { quoteText } from '../diagnostic/quote.ts';
import type { Deployment, Instance, Network } from './deployment.ts';
import { hostNamed, isPlugged, membersOf, networkLabelled, tearsDown } from './placement.ts';
import { isSince } from './release.ts';
import type { DeploymentFile, Operation } from './schema.ts';

/** An operation that nova refuses: the message is for people. */
export class OperationError extends Error {}

const refuse = (message: string): never => {
  throw new OperationError(message);
};

type Files<K extends keyof DeploymentFile> = NonNullable<DeploymentFile[K]>;
type RuleFile = NonNullable<Files<'security_groups'>[string]>[number];
type FloatFile = Files<'floating_ips'>[number];

const known = <T>(found: T | undefined, kind: string, name: string, names: readonly string[]): T => {
  if (found !== undefined) return found;
  const near = nearest(name, names);
  return refuse(`there is no ${kind} ${quoteText(name)}${near === undefined ? '' : `: did you mean ${near}?`}`);
};

const instanceNamed = (deployment: Deployment, name: string): Instance =>
  known(
    deployment.instances.find((instance) => instance.name === name),
    'instance',
    name,
    deployment.instances.map((instance) => instance.name),
  );

const networkOf = (deployment: Deployment, label: string): Network =>
  known(
    networkLabelled(deployment, label),
    'network',
    label,
    deployment.networks.map((network) => network.label),
  );

/** The file after the operation. Throws OperationError for what nova refuses. */
export function changedBy(file: DeploymentFile, deployment: Deployment, operation: Operation): DeploymentFile {
  const networks = file.networks ?? [];
  const instances = file.instances ?? [];
  const groups = file.security_groups ?? {};
  const floats = file.floating_ips ?? [];
  const ruleOf = ({
    secgroup,
    ...rule
  }: RuleFile & { secgroup: string }): { own: readonly RuleFile[]; rule: RuleFile } => {
    if (secgroup !== 'default') known(groups[secgroup], 'security group', secgroup, Object.keys(groups));
    return { own: groups[secgroup] ?? [], rule };
  };

  if (operation['network-create'] !== undefined)
    return { ...file, networks: [...networks, operation['network-create']] };

  if (operation['network-delete'] !== undefined) {
    const { label } = networkOf(deployment, operation['network-delete']);
    const user = deployment.instances.find(({ vifs }) => vifs.some(({ network }) => network === label));
    if (user !== undefined) return refuse(`network ${label} still has instances: ${user.name}`);
    return { ...file, networks: networks.filter((network) => network.label !== label) };
  }

  if (operation.boot !== undefined) return booted(file, deployment, operation.boot);

  if (operation.terminate !== undefined) {
    const { id, vifs } = instanceNamed(deployment, operation.terminate);
    const gone = vifs.flatMap(({ fixedIps }) => fixedIps);
    return {
      ...withoutUnused(file, deployment, id),
      instances: instances.filter((instance) => instance.id !== id),
      floating_ips: floats.map((float) =>
        float.fixed_ip != null && gone.includes(float.fixed_ip)
          ? freed(
              float,
              deployment.hosts.some(({ flags }) => flags.auto_assign_floating_ip),
            )
          : float,
      ),
    };
  }

  if (operation['add-fixed-ip'] !== undefined) {
    const { instance: name, network: label, address } = operation['add-fixed-ip'];
    const { id, vifs } = instanceNamed(deployment, name);
    if (!vifs.some(({ network }) => network === label)) return refuse(`${name} has no interface on network ${label}`);
    const given = address ?? firstFree(deployment, networkOf(deployment, label), []);
    return {
      ...file,
      instances: instances.map((instance) =>
        instance.id === id ? { ...instance, fixed_ips: [...(instance.fixed_ips ?? []), given] } : instance,
      ),
    };
  }

  if (operation['floating-create'] !== undefined) {
    const { range, pool, interface: device } = operation['floating-create'];
    const added: FloatFile[] = [];
    for (let address = addToAddress(range.address, 1); address !== undefined && address < lastAddress(range);)
      address = addFloat(added, { address, pool, interface: device });
    if (added.length === 0 || added.length > MOST_FLOATS)
      return refuse(`a range of 2 to ${MOST_FLOATS} host addresses was expected`);
    return { ...file, floating_ips: [...floats, ...added] };
  }

  if (operation['floating-allocate'] !== undefined) {
    const { pool, project_id: project } = operation['floating-allocate'];
    const free = floats.find((float) => isFree(float) && (float.pool ?? DEFAULT_POOL) === (pool ?? DEFAULT_POOL));
    if (free === undefined) return refuse(`there is no free floating IP in pool ${pool ?? DEFAULT_POOL}`);
    return replaced(file, free.address, { ...free, project_id: project ?? DEFAULT_PROJECT });
  }

  if (operation['floating-associate'] !== undefined) {
    const { address, instance: name, fixed_ip: wanted } = operation['floating-associate'];
    const float = floatAt(floats, address);
    if (float.project_id == null && float.fixed_ip == null)
      return refuse(`${printAddress(address)} is allocated to nobody: floating-allocate comes first`);
    if (float.fixed_ip != null && !isSince(deployment.release, 'folsom'))
      return refuse(`${printAddress(address)} is associated already: ${deployment.release} does not move it`);
    const fixed = wanted ?? fixedIpOf(instanceNamed(deployment, name));
    if (fixed === undefined) return refuse(`instance ${name} has no IPv4 address`);
    return replaced(file, address, { ...float, fixed_ip: fixed });
  }

  if (operation['floating-disassociate'] !== undefined) {
    const float = floatAt(floats, operation['floating-disassociate']);
    if (float.fixed_ip == null) return refuse(`${printAddress(float.address)} is associated with nobody`);
    return replaced(file, float.address, { ...float, fixed_ip: undefined });
  }

  if (operation['floating-release'] !== undefined) {
    const float = floatAt(floats, operation['floating-release']);
    return replaced(file, float.address, freed(float, true));
  }

  if (operation['secgroup-create'] !== undefined) {
    const name = operation['secgroup-create'];
    if (groups[name] !== undefined) return refuse(`security group ${quoteText(name)} exists`);
    return { ...file, security_groups: { ...groups, [name]: [] } };
  }

  if (operation['secgroup-delete'] !== undefined) return withoutGroup(file, deployment, operation['secgroup-delete']);

  if (operation['secgroup-add-rule'] !== undefined) {
    const { secgroup } = operation['secgroup-add-rule'];
    const { own, rule } = ruleOf(operation['secgroup-add-rule']);
    if (own.some((other) => isSameRule(other, rule))) return refuse(`group ${secgroup} has this rule already`);
    return { ...file, security_groups: { ...groups, [secgroup]: [...own, rule] } };
  }

  if (operation['secgroup-delete-rule'] !== undefined) {
    const { secgroup } = operation['secgroup-delete-rule'];
    const { own, rule } = ruleOf(operation['secgroup-delete-rule']);
    if (!own.some((other) => isSameRule(other, rule))) return refuse(`group ${secgroup} has no such rule`);
    return {
      ...file,
      security_groups: { ...groups, [secgroup]: own.filter((other) => !isSameRule(other, rule)) },
    };
  }

  if (operation['add-secgroup'] !== undefined) {
    const { instance, secgroup } = operation['add-secgroup'];
    const { id, securityGroups } = instanceNamed(deployment, instance);
    if (securityGroups.includes(secgroup)) return refuse(`${instance} is in group ${secgroup} already`);
    return withGroups(file, id, [...securityGroups, secgroup]);
  }

  if (operation['remove-secgroup'] !== undefined) {
    const { instance, secgroup } = operation['remove-secgroup'];
    const { id, securityGroups } = instanceNamed(deployment, instance);
    if (!securityGroups.includes(secgroup)) return refuse(`${instance} is not in group ${secgroup}`);
    return withGroups(
      file,
      id,
      securityGroups.filter((name) => name !== secgroup),
    );
  }

  if (operation.migrate !== undefined) {
    const { instance: name, host } = operation.migrate;
    const { id, host: from, isStopped } = instanceNamed(deployment, name);
    if (host === from) return refuse(`${name} is on ${host}`);
    if (isStopped) return refuse(`${name} is stopped`);
    return {
      ...withoutUnused(file, deployment, id),
      instances: instances.map((instance) => (instance.id === id ? { ...instance, host, vifs: undefined } : instance)),
    };
  }

  const { restart, refresh, stop, start, reboot } = operation;
  const switched = stop ?? start ?? reboot;
  if (switched !== undefined) {
    const { id, isStopped } = instanceNamed(deployment, switched);
    if (stop !== undefined && isStopped) return refuse(`${stop} is stopped already`);
    if (start !== undefined && !isStopped) return refuse(`${start} is running`);
    return {
      ...file,
      instances: instances.map((instance) =>
        instance.id === id ? { ...instance, stopped: stop === undefined ? undefined : true } : instance,
      ),
    };
  }
  if (restart !== undefined && hostNamed(deployment, restart.host)?.services.includes(restart.service) !== true)
    return refuse(`${restart.host} has no service ${restart.service}`);
  if (refresh?.instance != null) instanceNamed(deployment, refresh.instance);
  const host = refresh?.host ?? operation['operator-insert']?.host;
  if (host !== undefined)
    known(
      hostNamed(deployment, host),
      'host',
      host,
      deployment.hosts.map(({ name }) => name),
    );
  return file;
}

const DEFAULT_POOL = 'nova';
const DEFAULT_PROJECT = 'admin';
const MOST_FLOATS = 4096;

function addFloat(added: FloatFile[], float: FloatFile): Address | undefined {
  // One too many is enough to refuse the range.
  if (added.length <= MOST_FLOATS) added.push(float);
  return added.length > MOST_FLOATS ? undefined : addToAddress(float.address, 1);
}

const isFree = ({ fixed_ip: fixed, project_id: project }: FloatFile): boolean => fixed == null && project == null;

/** Without its instance, and without its project where it goes back to the pool. */
const freed = (float: FloatFile, released: boolean): FloatFile => ({
  ...float,
  fixed_ip: undefined,
  ...(released ? { project_id: undefined } : {}),
});

const floatAt = (floats: readonly FloatFile[], address: Address): FloatFile =>
  floats.find((float) => float.address === address) ?? refuse(`${printAddress(address)} is no floating IP`);

const replaced = (file: DeploymentFile, address: Address, float: FloatFile): DeploymentFile => ({
  ...file,
  floating_ips: (file.floating_ips ?? []).map((other) => (other.address === address ? float : other)),
});

const withGroups = (file: DeploymentFile, id: number, groups: string[]): DeploymentFile => ({
  ...file,
  instances: (file.instances ?? []).map((instance) =>
    instance.id === id ? { ...instance, security_groups: groups } : instance,
  ),
});

/** With the group go the rules of others that name it (nova/db/sqlalchemy/api.py security_group_destroy, security_group_in_use). */
function withoutGroup(file: DeploymentFile, deployment: Deployment, name: string): DeploymentFile {
  const { [name]: gone, ...others } = file.security_groups ?? {};
  if (name === 'default') return refuse('group default stays');
  known(gone, 'security group', name, Object.keys(file.security_groups ?? {}));
  const [member] = membersOf(deployment, name);
  // D24: nobody asked, and no chain was made anew.
  if (member !== undefined && !deployment.bugs.includes('D24'))
    return refuse(`security group ${name} is in use: ${member.name}`);
  return {
    ...file,
    security_groups: Object.fromEntries(
      Object.entries(others).map(([group, rules]) => [group, rules?.filter((rule) => rule.group !== name) ?? null]),
    ),
    instances: (file.instances ?? []).map((instance) => ({
      ...instance,
      ...(instance.security_groups == null
        ? {}
        : { security_groups: instance.security_groups.filter((group) => group !== name) }),
    })),
  };
}

/** Without the address that a host has of each network that is torn down there because this was its last instance. */
function withoutUnused(file: DeploymentFile, deployment: Deployment, id: number): DeploymentFile {
  const instance = deployment.instances.find((candidate) => candidate.id === id);
  const others = { ...deployment, instances: deployment.instances.filter((candidate) => candidate.id !== id) };
  const host = instance && hostNamed(deployment, instance.host);
  if (host === undefined) return file;
  return {
    ...file,
    networks: (file.networks ?? []).map((network) => {
      const known = networkLabelled(deployment, network.label);
      if (known === undefined || !tearsDown(host, known) || isPlugged(others, host.name, known.label)) return network;
      const { [host.name]: _gone, ...servers } = network.dhcp_servers ?? {};
      return { ...network, dhcp_servers: servers };
    }),
  };
}

const fixedIpOf = ({ vifs }: Instance): Address | undefined =>
  vifs.flatMap(({ fixedIps }) => fixedIps).find((address) => familyOf(address) === 4);

/** All five fields (ba21072a43). */
const isSameRule = (a: RuleFile, b: RuleFile): boolean =>
  (a.protocol ?? null) === (b.protocol ?? null) &&
  (a.from_port ?? null) === (b.from_port ?? null) &&
  (a.to_port ?? null) === (b.to_port ?? null) &&
  (a.group ?? null) === (b.group ?? null) &&
  (a.cidr?.address ?? null) === (b.cidr?.address ?? null) &&
  (a.cidr?.length ?? null) === (b.cidr?.length ?? null);

/**
 * The first address of a network that is nobody's: not reserved at the bottom (network and gateway, in VLAN mode the VPN's) or the top, nor taken
 * (nova/network/manager.py _create_fixed_ips, nova/db fixed_ip_associate_pool). A gateway elsewhere, which Essex gives out, counts as taken.
 */
function firstFree(deployment: Deployment, network: Network, besides: readonly Address[]): Address {
  const { cidr, gateway, dhcpServer, vpnPrivateAddress } = network;
  const taken = new Set<Address | undefined>([
    ...besides,
    gateway,
    dhcpServer,
    vpnPrivateAddress,
    ...network.dhcpServers.values(),
    ...deployment.instances.flatMap(({ vifs }) => vifs.flatMap(({ fixedIps }) => fixedIps)),
  ]);
  const first = vpnPrivateAddress === undefined ? 2 : 3;
  for (let address = addToAddress(cidr.address, first); address !== undefined; address = addToAddress(address, 1)) {
    if (!prefixContains(cidr, address) || address === lastAddress(cidr)) break;
    if (!taken.has(address)) return address;
  }
  return refuse(`network ${network.label} has no free address`);
}

/** An instance more, with an address of each network and, where the flag says so, a floating IP. */
function booted(file: DeploymentFile, deployment: Deployment, boot: NonNullable<Operation['boot']>): DeploymentFile {
  const { host, project_id: project } = boot;
  known(
    hostNamed(deployment, host),
    'host',
    host,
    deployment.hosts.map(({ name }) => name),
  );
  const networks =
    boot.networks?.map((label) => networkOf(deployment, label)) ??
    deployment.networks.filter(({ projectId }) => projectId === undefined || projectId === (project ?? undefined));
  const taken: Address[] = [];
  const fixedIps = boot.fixed_ips ?? networks.map((network) => firstFree(deployment, network, taken));
  const id = boot.id ?? Math.max(0, ...deployment.instances.map((instance) => instance.id)) + 1;
  const [first] = fixedIps;
  const flags = hostNamed(deployment, host)?.flags;
  const float =
    flags?.auto_assign_floating_ip === true && first !== undefined ? (file.floating_ips ?? []).find(isFree) : undefined;
  const grown: DeploymentFile = {
    ...file,
    instances: [
      ...(file.instances ?? []),
      {
        id,
        host,
        fixed_ips: fixedIps,
        ...(boot.name == null ? {} : { name: boot.name }),
        ...(boot.security_groups == null ? {} : { security_groups: boot.security_groups }),
        ...(project == null ? {} : { project_id: project }),
      },
    ],
  };
  if (float === undefined) return grown;
  return replaced(grown, float.address, { ...float, project_id: project ?? DEFAULT_PROJECT, fixed_ip: first });
}
