/** nova's services, as far as they are named in a deployment file. */

/**
 * What a service does with iptables. `none`: its process never applies a rule. `fabric`: it applies the chains that every nova
 * process makes, and no rule of its own.
 */
export type ServiceRole = 'network' | 'compute' | 'metadata' | 'fabric' | 'none';

/**
 * By the name of the script that starts it, which is also the binary prefix of its chains. nova-api serves metadata unless
 * told otherwise (flag enabled_apis); the metadata manager is what applies rules (nova/api/manager.py MetadataManager).
 */
const ROLES = new Map<string, ServiceRole>([
  ['nova-network', 'network'],
  ['nova-compute', 'compute'],
  ['nova-api', 'metadata'],
  ['nova-api-metadata', 'metadata'],
  ['nova-api-ec2', 'fabric'],
  ['nova-api-os-compute', 'fabric'],
  ['nova-api-os-volume', 'fabric'],
  ['nova-cert', 'none'],
  ['nova-conductor', 'none'],
  ['nova-console', 'none'],
  ['nova-consoleauth', 'none'],
  ['nova-novncproxy', 'none'],
  ['nova-objectstore', 'none'],
  ['nova-scheduler', 'none'],
  ['nova-volume', 'none'],
  ['nova-xvpvncproxy', 'none'],
]);

export const SERVICE_NAMES: readonly string[] = [...ROLES.keys()];

export const roleOf = (service: string): ServiceRole => ROLES.get(service) ?? 'none';

/** True when one of the host's services plays `role`. */
export const hasRole = (host: { readonly services: readonly string[] }, role: ServiceRole): boolean =>
  host.services.some((service) => roleOf(service) === role);
