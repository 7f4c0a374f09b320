/** All laws, in the order of the book of laws. */
import { API_LAWS } from './api.ts';
import { APPLY_LAWS } from './apply.ts';
import { BRIDGE_LAWS } from './bridge.ts';
import { CHAIN_LAWS } from './chains.ts';
import { DHCP_LAWS } from './dhcp.ts';
import { DMZ_LAWS } from './dmz.ts';
import { DNS_LAWS } from './dns.ts';
import { FIXED_LAWS } from './fixed.ts';
import { FLOATING_IP_LAWS } from './floating-ip.ts';
import { HOST_LAWS } from './host.ts';
import { INSTANCE_CHAIN_LAWS } from './instance-chain.ts';
import { IPV6_LAWS } from './ipv6.ts';
import type { Law } from './law.ts';
import { METADATA_LAWS } from './metadata.ts';
import { OVER_TIME_LAWS } from './over-time.ts';
import { OUTSIDE_LAWS } from './outside.ts';
import { RULESET_LAWS } from './ruleset.ts';
import { SECURITY_GROUP_LAWS } from './security-group.ts';
import { SPOOF_LAWS } from './spoof.ts';
import { TENANT_LAWS } from './tenant.ts';
import { TRANSLATION_LAWS } from './translation.ts';

import { VINTAGE_LAWS } from './vintage.ts';

export const LAWS: readonly Law[] = [
  ...CHAIN_LAWS,
  ...INSTANCE_CHAIN_LAWS,
  ...SECURITY_GROUP_LAWS,
  ...TENANT_LAWS,
  ...METADATA_LAWS,
  ...FIXED_LAWS,
  ...DMZ_LAWS,
  ...OUTSIDE_LAWS,
  ...FLOATING_IP_LAWS,
  ...DHCP_LAWS,
  ...DNS_LAWS,
  ...BRIDGE_LAWS,
  ...API_LAWS,
  ...HOST_LAWS,
  ...SPOOF_LAWS,
  ...TRANSLATION_LAWS,
  ...IPV6_LAWS,
  ...APPLY_LAWS,
  ...RULESET_LAWS,
  ...VINTAGE_LAWS,
  ...OVER_TIME_LAWS,
];
