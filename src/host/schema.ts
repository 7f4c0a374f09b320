/** The `--host` file: one Linux host, written by hand or by a snapshot, in YAML or JSON. */
import { z } from 'zod';
import {
  addressField,
  hostNameField,
  interfaceAddressField,
  interfaceNameField,
  macField,
  prefixField,
  sysctlField,
} from '../diagnostic/field.ts';

const port = z.strictObject({
  name: interfaceNameField,
  mac: macField.nullish(),
  hairpin: z.boolean().nullish().describe('hairpin_mode; default false'),
  uplink: z.boolean().nullish().describe('unknown machines are behind it; default false'),
});

export const hostSchema = z.strictObject({
  name: hostNameField,
  interfaces: z
    .array(
      z.strictObject({
        name: interfaceNameField,
        mac: macField.nullish(),
        addresses: z.array(interfaceAddressField).nullish(),
      }),
    )
    .nullish(),
  bridges: z
    .array(
      z.strictObject({
        name: interfaceNameField,
        ports: z.array(z.union([interfaceNameField, port])).nullish(),
        segments: z
          .array(z.strictObject({ prefix: prefixField, gateway: addressField.nullish() }))
          .nullish()
          .describe("the subnets of the machines on the bridge; default the bridge's own, with it as gateway"),
      }),
    )
    .nullish(),
  routes: z
    .array(
      z.strictObject({
        to: prefixField,
        via: addressField.nullish(),
        dev: interfaceNameField.nullish().describe('default: the device on whose subnet via is'),
        src: addressField.nullish(),
      }),
    )
    .nullish()
    .describe('beside those that follow from the addresses'),
  gateway: addressField.nullish().describe("the default route's"),
  neighbours: z
    .array(
      z.strictObject({
        address: addressField,
        mac: macField,
        dev: interfaceNameField,
        port: interfaceNameField.nullish().describe('the bridge port that it is behind'),
      }),
    )
    .nullish(),
  sysctl: sysctlField.nullish(),
});

/** A `--host` file as a person writes it. */
export type HostText = z.input<typeof hostSchema>;
/** The same, read. */
export type HostFile = z.output<typeof hostSchema>;
