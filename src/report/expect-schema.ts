/** The shape of the documents of `expect`. */
import { z } from 'zod';
import { envelopeOf, packetText } from './document-schema.ts';
import { locationSchema } from './lint-schema.ts';
import { fateSchema, journeySchema } from './trace-schema.ts';

const RESULT = z.enum(['broken', 'undecided']);

const BREACH = {
  result: RESULT,
  packets: z.array(z.string()).meta({ description: 'exactly those that end otherwise, in boxes of the SET notation' }),
  morePackets: z.literal(true).optional(),
  decidedBy: locationSchema.optional().meta({ description: 'of the witness: the last rule, or the policy' }),
  unknown: z
    .strictObject({ path: z.string(), line: z.int().min(1) })
    .optional()
    .meta({ description: 'what is not modelled, and mattered' }),
};

const confirmed = z
  .boolean()
  .nullable()
  .meta({ description: 'the model says the same of this packet; null where it depends on what is not modelled' });

const atTables = z.strictObject({
  ...BREACH,
  hook: z.enum(['INPUT', 'FORWARD', 'OUTPUT']),
  witness: z
    .strictObject({
      packet: packetText,
      fate: z.strictObject({
        kind: z.enum(['accepted', 'dropped', 'rejected', 'undecided']),
        with: z.string().optional(),
        translation: z.string().optional(),
        target: z.string().optional(),
      }),
      trace: z.array(
        z.strictObject({
          table: z.literal('filter'),
          chain: z.string(),
          rule: z.union([z.int().min(1), z.literal('policy')]),
          line: z.int().min(1).optional(),
          target: z.string(),
        }),
      ),
      confirmed,
    })
    .optional(),
});

const onHost = z.strictObject({
  ...BREACH,
  entry: z.string().meta({ description: '`in INTERFACE` or `local`' }),
  state: z.string().optional(),
  witness: z.strictObject({ packet: packetText, fate: fateSchema, journey: journeySchema, confirmed }).optional(),
});

/** `nfverdict/expect-v1`: what became of each claim, in the order of the file. */
export const expectSchema = z.strictObject({
  ...envelopeOf('expect'),
  host: z.string().optional().meta({ description: 'absent: any host, at the table filter' }),
  summary: z.strictObject({ proved: z.int(), broken: z.int(), undecided: z.int(), vacuous: z.int() }),
  claims: z.array(
    z.strictObject({
      path: z.string(),
      line: z.int().min(1),
      claim: z.string(),
      result: z.enum(['proved', 'broken', 'undecided', 'vacuous']),
      hooks: z.array(z.string()).optional().meta({ description: 'where it has to hold; only where no host was given' }),
      breaches: z.array(z.union([atTables, onHost])),
    }),
  ),
});
