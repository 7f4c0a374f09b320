/** The shape of the documents of `trace`, and of the journeys in other documents. */
import { z } from 'zod';
import { envelopeOf, packetText, ruleNumber } from './document-schema.ts';

export const fateSchema = z.strictObject({
  kind: z.enum(['delivered', 'forwarded', 'dropped', 'rejected', 'undecided']),
  oif: z.string().optional(),
  port: z.string().optional().meta({ description: 'the bridge port that it left by' }),
  packet: packetText.optional(),
  reason: z.string().optional(),
  line: z.int().min(1).optional().meta({ description: 'of the rule that decided, or that could not be decided' }),
});

const stateSchema = z.enum(['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED']);

export const stepSchema = z.strictObject({
  host: z.string().optional().meta({ description: 'only where a packet was followed over several hosts' }),
  hook: z.enum(['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING']),
  table: z.enum(['raw', 'mangle', 'nat', 'filter', 'security']),
  chain: z.string(),
  rule: ruleNumber,
  line: z.int().min(1).optional(),
  target: z.string().meta({ description: 'as written; empty for a rule without one' }),
  iif: z.string().optional(),
  oif: z.string().optional(),
  physin: z.string().optional(),
  physout: z.string().optional(),
  packet: packetText.meta({ description: 'as it is when the rule has been applied' }),
});

const JOURNEY = {
  packet: packetText,
  fate: fateSchema,
  state: stateSchema,
  steps: z.array(stepSchema),
  exits: z
    .array(z.strictObject({ oif: z.string(), port: z.string().optional(), packet: packetText }))
    .optional()
    .meta({ description: 'of a frame that left by several ports: every copy' }),
};

/** One packet's way through one host, and what the host made because of it. */
export const journeySchema = z.strictObject({
  ...JOURNEY,
  get consequences() {
    return CONSEQUENCES;
  },
});

const CONSEQUENCES: z.ZodOptional<z.ZodArray<z.ZodType>> = z
  .array(z.lazy(() => journeySchema))
  .optional()
  .meta({ description: 'packets that the host itself made because of this one' });

const WAY = {
  ...JOURNEY,
  consequences: CONSEQUENCES,
  hops: z
    .array(z.strictObject({ host: z.string(), ...JOURNEY, consequences: CONSEQUENCES }))
    .optional()
    .meta({ description: 'host by host, where a packet was followed over several' }),
};

/** What Linux did with the same packet. */
const kernelSchema = z
  .strictObject({
    word: z
      .enum(['agrees', 'differs', 'undecided', 'not-asked'])
      .meta({ description: 'undecided: the model does not know, so there is nothing to compare' }),
    because: z.string().optional().meta({ description: 'why Linux was not asked, or there is nothing to compare' }),
    linux: z.string().meta({ description: 'the version of the kernel' }),
    iptables: z.string(),
    packet: packetText.optional(),
    fate: fateSchema.optional(),
    state: stateSchema.optional(),
    steps: z.array(stepSchema).optional(),
    exits: JOURNEY.exits,
    consequences: CONSEQUENCES,
    hops: WAY.hops,
    differences: z
      .array(
        z.strictObject({
          host: z.string(),
          what: z.enum(['load', 'exits', 'deliveries', 'state', 'trace', 'fate']),
          model: z.array(z.string()),
          linux: z.array(z.string()),
        }),
      )
      .optional(),
  })
  .optional()
  .meta({ description: 'with --kernel: what Linux did, where somebody sends the packet' });

/** `nfverdict/trace-v1`: an entry for each packet line and each `reply` line. */
export const traceSchema = z.strictObject({
  ...envelopeOf('trace'),
  host: z.string().optional().meta({ description: 'the host, where only one was looked at' }),
  packets: z.array(
    z.strictObject({
      ...WAY,
      line: z.int().min(1),
      reply: z.strictObject({ ...WAY, kernel: kernelSchema }).optional(),
      kernel: kernelSchema,
      expected: z.string().optional(),
      asExpected: z.boolean().optional(),
    }),
  ),
});
