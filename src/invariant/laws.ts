/** All laws, in the order of the book of laws. */
import { API_LAWS } from './api.ts';
import { DHCP_LAWS } from './dhcp.ts';
import { DMZ_LAWS } from './dmz.ts';
import { DNS_LAWS } from './dns.ts';
import { FIXED_LAWS } from './fixed.ts';
import { FLOATING_IP_LAWS } from './floating-ip.ts';
import { HOST_LAWS } from './host.ts';
import { INSTANCE_CHAIN_LAWS } from './instance-chain.ts';
import type { Law } from './law.ts';
import { METADATA_LAWS } from './metadata.ts';
import { OUTSIDE_LAWS } from './outside.ts';
import { TRANSLATION_LAWS } from './translation.ts';

export const LAWS: readonly Law[] = [
  ...INSTANCE_CHAIN_LAWS,
  ...METADATA_LAWS,
  ...FIXED_LAWS,
  ...DMZ_LAWS,
  ...OUTSIDE_LAWS,
  ...FLOATING_IP_LAWS,
  ...DHCP_LAWS,
  ...DNS_LAWS,
  ...API_LAWS,
  ...HOST_LAWS,
  ...TRANSLATION_LAWS,
];
