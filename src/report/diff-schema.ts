/** The shape of the documents of `diff`. */
import { z } from 'zod';
import { CHANGE_CLASSES } from '../space/table-difference.ts';
import { envelopeOf, packetText } from './document-schema.ts';
import { locationSchema } from './lint-schema.ts';
import { fateSchema } from './trace-schema.ts';

const CLASS = z.enum(CHANGE_CLASSES);

const placeSchema = z.strictObject({
  path: z.string(),
  line: z.int().min(1),
  table: z.enum(['raw', 'mangle', 'nat', 'filter', 'security']),
  chain: z.string(),
  rule: z.int().min(1),
});

const tableFate = z.strictObject({
  kind: z.enum(['accepted', 'dropped', 'rejected', 'undecided']),
  with: z.string().optional(),
  translation: z.string().optional(),
  target: z.string().optional(),
});

const confirmed = z.boolean().nullable().meta({
  description:
    'the witness was replayed, and does fare so; null where that depends on what is not modelled, or cannot be asked',
});

const dependsOn = z
  .array(z.strictObject({ path: z.string(), line: z.int().min(1) }))
  .optional()
  .meta({ description: 'where it could not be decided: rules that are not modelled' });

const decimal = z.string().regex(/^[0-9]+$/);

const size = z
  .strictObject({ sources: decimal, destinations: decimal })
  .meta({ description: 'how many addresses the packets are from, and to' });

const REGION = {
  classes: z.array(CLASS).min(1),
  packets: z.array(z.string()).meta({ description: 'exactly those that fare otherwise, in boxes of the SET notation' }),
  morePackets: z.literal(true).optional().meta({ description: 'there are more boxes than are listed' }),
  old: locationSchema.optional().meta({ description: 'the rule, or the policy, that decides about the witness' }),
  new: locationSchema.optional(),
};

const atTable = z.strictObject({
  ...REGION,
  hook: z.enum(['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING']),
  table: z.enum(['raw', 'mangle', 'nat', 'filter', 'security']),
  size,
  witness: z
    .strictObject({ packet: packetText, oldFate: tableFate, newFate: tableFate, confirmed, dependsOn })
    .optional(),
  removed: placeSchema.optional().meta({ description: 'the rule that the new ruleset has not' }),
  added: placeSchema.optional(),
});

const onHost = z.strictObject({
  ...REGION,
  host: z.string(),
  entry: z.string().meta({ description: 'the interface that they enter by, or `local`' }),
  state: z.string().optional().meta({ description: 'asserted of the packets' }),
  turns: z
    .array(z.enum(['packet', 'reply', 'later']))
    .min(2)
    .optional()
    .meta({
      description:
        'the conversation, begun by the packets, whose last one fares otherwise; absent where those do so themselves',
    }),
  alive: z
    .literal(true)
    .optional()
    .meta({ description: 'the flow was alive at the moment of the change: only the last packet meets the new rules' }),
  size,
  exposed: z
    .array(z.strictObject({ endpoints: z.array(z.string()), by: z.string().optional(), sources: z.array(z.string()) }))
    .optional()
    .meta({ description: 'who newly gets packets, as they look when they are there, and from whom' }),
  witness: z
    .strictObject({
      packet: packetText.optional(),
      conversation: z
        .array(z.string())
        .min(2)
        .optional()
        .meta({ description: 'lines of a packets file: the last packet fares otherwise' }),
      oldFate: fateSchema,
      newFate: fateSchema,
      confirmed,
      dependsOn,
      onLinux: z.string().optional().meta({ description: 'what Linux did, with --confirm' }),
    })
    .optional(),
});

/** `nfverdict/diff-v1`: what changed for packets, new exposures first. */
export const diffSchema = z.strictObject({
  ...envelopeOf('diff'),
  summary: z
    .partialRecord(z.enum([...CHANGE_CLASSES, 'unchangedRules']), z.int())
    .meta({ description: 'regions of each class; without a host also how many rules stand in both' }),
  missing: z.array(z.string()).optional().meta({ description: 'what could not be compared' }),
  regions: z.array(z.union([atTable, onHost])),
});
