/**
 * The deployment file: what YAML or JSON may hold. Names are nova's own wherever nova has one. What may be left out is
 * filled in by `complete.ts`.
 */
import { z } from 'zod';
import {
  address4Field,
  address6Field,
  addressField,
  hostNameField,
  interfaceAddressField,
  interfaceNameField,
  macField,
  nameField,
  prefix4Field,
  prefix6Field,
  prefixField,
  sysctlField,
} from '../diagnostic/field.ts';
import { BUGS } from './bug.ts';
import { FLAGS_WITHOUT_EFFECT } from './flag.ts';
import { DEFAULT_RELEASE, RELEASES } from './release.ts';
import { SERVICE_NAMES } from './service.ts';

const port = z.int().min(1).max(65535);

const publicInterface = z.union([interfaceNameField, z.literal('')]);

const flags = z.strictObject({
  fixed_range: z
    .union([prefix4Field, z.literal('')])
    .nullish()
    .describe("'': each network's own CIDR, since grizzly"),
  dmz_cidr: z.array(prefix4Field).nullish(),
  metadata_host: addressField.nullish().describe('IPv6 since rocky, on hosts where no nova-network redirects to it'),
  metadata_port: port.nullish(),
  routing_source_ip: z
    .union([address4Field, z.literal('')])
    .nullish()
    .describe("'': what leaves keeps its fixed address, since folsom"),
  vpn_ip: address4Field.nullish(),
  vlan_interface: interfaceNameField.nullish(),
  vlan_start: z.int().min(1).max(4094).nullish(),
  vpn_start: port.nullish(),
  allow_same_net_traffic: z.boolean().nullish(),
  use_ipv6: z.boolean().nullish(),
  force_snat_range: z.array(prefix4Field).nullish(),
  forward_bridge_interface: z.array(interfaceNameField).nullish(),
  iptables_top_regex: z.string().nullish(),
  iptables_bottom_regex: z.string().nullish(),
  iptables_drop_action: z.string().nullish(),
  use_single_default_gateway: z.boolean().nullish(),
  share_dhcp_address: z.boolean().nullish(),
  auto_assign_floating_ip: z.boolean().nullish(),
  teardown_unused_network_gateway: z
    .boolean()
    .nullish()
    .describe('VLAN networks with multi_host leave a host with their last instance there'),
  public_interface: publicInterface.nullish(),
  ...Object.fromEntries(FLAGS_WITHOUT_EFFECT.map((name) => [name, z.unknown().optional()])),
});

const host = z.strictObject({
  name: hostNameField,
  my_ip: address4Field.nullish().describe('default: the first IPv4 address of public_interface'),
  public_interface: publicInterface
    .nullish()
    .describe("default: the flag of that name, else eth0; '': SNAT asks for no interface"),
  services: z
    .array(z.enum(SERVICE_NAMES))
    .nullish()
    .describe('in the order in which they last applied their rules: the latest stands first in the built-in chains'),
  interfaces: z
    .array(z.strictObject({ name: interfaceNameField, addresses: z.array(interfaceAddressField).nullish() }))
    .nullish(),
  gateway: addressField.nullish().describe('without one the default route is on-link on public_interface'),
  routes: z
    .array(z.strictObject({ to: prefixField, via: addressField.nullish(), dev: interfaceNameField.nullish() }))
    .nullish(),
  sysctl: sysctlField.nullish(),
  flags: flags.nullish().describe('over the common ones'),
  hairpin: z.boolean().nullish().describe("hairpin_mode of the instances' bridge ports; default true, as nova sets it"),
  rules: z.string().nullish().describe('iptables-save text that an operator had there before nova'),
  rules_v6: z.string().nullish(),
});

const network = z.strictObject({
  label: nameField,
  manager: z.enum(['FlatManager', 'FlatDHCPManager', 'VlanManager', 'QuantumManager']).nullish(),
  cidr: prefix4Field,
  cidr_v6: prefix6Field.nullish(),
  gateway: address4Field.nullish().describe('default: the first host address; null: there is none'),
  gateway_v6: address6Field.nullish(),
  bridge: interfaceNameField.nullish().describe('default br100, with VlanManager brVLAN'),
  bridge_interface: interfaceNameField.nullish(),
  vlan: z.int().min(1).max(4094).nullish(),
  project_id: nameField.nullish(),
  multi_host: z.boolean().nullish(),
  dhcp_server: address4Field.nullish().describe('default: the gateway'),
  dhcp_servers: z.record(z.string(), address4Field).nullish().describe('multi_host: the address that each host took'),
  vpn_public_address: address4Field.nullish(),
  vpn_public_port: port.nullish(),
  vpn_private_address: address4Field.nullish(),
  host: hostNameField.nullish().describe('who runs nova-network for it; default the only one; null: nobody yet'),
});

const securityGroupRule = z.strictObject({
  protocol: nameField.nullish().describe('tcp, udp or icmp in any case; absent: any'),
  from_port: z.int().nullish().describe('the first port, or the icmp type'),
  to_port: z.int().nullish().describe('the last port, or the icmp code'),
  cidr: prefixField.nullish(),
  group: nameField.nullish().describe('the members of this group'),
});

const instance = z.strictObject({
  id: z.int().min(1).describe('database id: the chain is inst-ID'),
  name: nameField.nullish(),
  host: hostNameField,
  fixed_ips: z.array(addressField).nullish(),
  vifs: z.array(interfaceNameField).nullish().describe('the bridge port of each network in the order of fixed_ips'),
  mac: macField.nullish(),
  security_groups: z.array(nameField).nullish().describe('default: default'),
  project_id: nameField.nullish(),
  network: nameField.nullish().describe('default: the network whose CIDR holds the fixed IP'),
  stopped: z.boolean().nullish().describe('it is not running: a nova-compute that starts leaves it alone'),
});

const floatingIp = z.strictObject({
  address: address4Field,
  pool: nameField.nullish(),
  interface: interfaceNameField.nullish().describe('default: the public_interface of the host that serves it'),
  fixed_ip: addressField.nullish().describe('absent: associated with nobody'),
  project_id: nameField.nullish().describe('who has allocated it: needed only by operations'),
});

const instanceAnd = <T extends z.ZodRawShape>(fields: T) => z.strictObject({ instance: nameField, ...fields });

/** What can be asked of a running cloud, by the names of nova's commands. An object has exactly one of these keys. */
const operation = z
  .strictObject({
    'network-create': network.optional(),
    'network-delete': nameField.optional().describe('the label of a network without instances'),
    boot: z
      .strictObject({
        id: z.int().min(1).nullish().describe('default: one more than the highest'),
        name: nameField.nullish(),
        host: hostNameField,
        networks: z.array(nameField).nullish().describe("default: its project's, and those that are nobody's"),
        fixed_ips: z.array(address4Field).nullish().describe('default: the first free one of each network'),
        security_groups: z.array(nameField).nullish(),
        project_id: nameField.nullish(),
      })
      .optional(),
    terminate: nameField.optional().describe("an instance's name"),
    'add-fixed-ip': instanceAnd({ network: nameField, address: address4Field.nullish() }).optional(),
    'floating-create': z
      .strictObject({ range: prefix4Field, pool: nameField.nullish(), interface: interfaceNameField.nullish() })
      .optional(),
    'floating-allocate': z.strictObject({ pool: nameField.nullish(), project_id: nameField.nullish() }).optional(),
    'floating-associate': instanceAnd({ address: address4Field, fixed_ip: address4Field.nullish() }).optional(),
    'floating-disassociate': address4Field.optional(),
    'floating-release': address4Field.optional(),
    'secgroup-create': nameField.optional(),
    'secgroup-delete': nameField.optional().describe('a group that no instance is in'),
    'secgroup-add-rule': securityGroupRule.extend({ secgroup: nameField }).optional(),
    'secgroup-delete-rule': securityGroupRule.extend({ secgroup: nameField }).optional(),
    'add-secgroup': instanceAnd({ secgroup: nameField }).optional(),
    'remove-secgroup': instanceAnd({ secgroup: nameField }).optional(),
    migrate: instanceAnd({ host: hostNameField }).optional(),
    stop: nameField.optional().describe("an instance's name"),
    start: nameField.optional().describe('a stopped instance; its chain is made anew, as in a hard reboot'),
    reboot: nameField
      .optional()
      .describe('softly: an instance that is stopped runs again, and nothing is done about its chain'),
    restart: z.strictObject({ host: hostNameField, service: z.enum(SERVICE_NAMES) }).optional(),
    refresh: z
      .strictObject({ host: hostNameField, instance: nameField.nullish() })
      .optional()
      .describe('nova-compute of the host makes the chain of an instance, or of all, anew'),
    'operator-insert': z
      .strictObject({
        host: hostNameField,
        table: z.enum(['filter', 'nat', 'mangle']).nullish(),
        rule: z
          .string()
          .regex(/^[^\r\n]+$/)
          .describe('CHAIN and what follows it, as after iptables -I: put first in the chain'),
      })
      .optional(),
  })
  .refine((value) => Object.keys(value).length === 1, { message: 'expected exactly one operation' });

export const deploymentSchema = z.strictObject({
  release: z.enum(RELEASES).nullish().describe(`default ${DEFAULT_RELEASE}`),
  bugs: z
    .array(z.enum(BUGS))
    .nullish()
    .describe('bugs of nova’s history that its rules are to have: ids of scenarios/regressions'),
  flags: flags.nullish(),
  hosts: z.array(host).min(1),
  networks: z.array(network).nullish(),
  security_groups: z.record(nameField, z.array(securityGroupRule).nullable()).nullish(),
  instances: z.array(instance).nullish(),
  floating_ips: z.array(floatingIp).nullish(),
  operations: z
    .array(operation)
    .nullish()
    .describe('steps over time, after the state above: each an object with one key'),
});

/** A deployment file as a person writes it: addresses are text. */
export type DeploymentText = z.input<typeof deploymentSchema>;
/** The same, read: addresses are addresses. */
export type DeploymentFile = z.output<typeof deploymentSchema>;
export type Operation = z.output<typeof operation>;
export type OperationText = z.input<typeof operation>;
export type FlagsFile = z.output<typeof flags>;
