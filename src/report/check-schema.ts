/** The shape of the documents of `check` and `invariants`. */
import { z } from 'zod';
import { envelopeOf, packetText, ruleNumber } from './document-schema.ts';
import { fateSchema, stepSchema } from './trace-schema.ts';

const count = z.int().min(0);

const locationSchema = z.strictObject({
  path: z.string(),
  line: z.int().min(1).optional(),
  table: z.string().optional(),
  chain: z.string().optional(),
  rule: ruleNumber.optional().meta({ description: 'absent: the chain lacks one' }),
});

const hopSchema = z.strictObject({
  host: z.string(),
  packet: packetText.optional(),
  fate: fateSchema,
  state: z.string().optional(),
  steps: z.array(stepSchema),
});

const tracesSchema = { trace: z.array(hopSchema), reply: z.array(hopSchema).optional() };

/** `nfverdict/check-v1`. */
export const checkSchema = z.strictObject({
  ...envelopeOf('check'),
  summary: z
    .strictObject({
      proved: count,
      tested: count,
      kernel: count,
      violated: count,
      undecided: count,
      vacuous: count,
      notApplicable: count,
    })
    .meta({ description: 'counts of laws' }),
  findings: z.array(
    z.strictObject({
      invariant: z.string(),
      severity: z.enum(['error', 'warning']),
      result: z.enum(['holds', 'violated', 'undecided', 'vacuous', 'not-applicable']),
      strength: z.enum(['proved', 'tested', 'kernel']).optional(),
      count: count.meta({ description: 'packets tried, or rulesets read' }),
      posture: z.enum(['as-given', 'hardened']).optional(),
      host: z.string().optional(),
      claim: z.string().optional(),
      location: locationSchema.optional(),
      nearly: z
        .array(locationSchema.extend({ but: z.string() }))
        .optional()
        .meta({ description: 'rules of the chain that keeps the promise which would have matched but for one thing' }),
      known: z.string().optional().meta({ description: 'why the release is known to break it' }),
      message: z.string(),
      set: z.string().optional().meta({ description: 'all packets that break the claim, in the SET notation' }),
      notAsked: count.optional().meta({ description: 'packets that Linux could not be asked about' }),
      kernel: z
        .strictObject({ word: z.enum(['confirmed', 'not-confirmed', 'not-asked']), because: z.string() })
        .optional()
        .meta({ description: 'with --kernel: what Linux says of the witness of a violated claim' }),
      witness: z
        .strictObject({
          packet: packetText,
          ...tracesSchema,
          model: z
            .strictObject(tracesSchema)
            .optional()
            .meta({ description: 'with --kernel, where the traces are what Linux did: what the model does' }),
        })
        .optional(),
    }),
  ),
  unusedRules: z
    .array(locationSchema)
    .meta({ description: 'rules that no claim depends on: every claim that holds would hold without any one of them' }),
});

/** `nfverdict/invariants-v1`. */
export const invariantsSchema = z.strictObject({
  ...envelopeOf('invariants'),
  invariants: z.array(
    z.strictObject({
      id: z.string(),
      kind: z.enum(['packets', 'ruleset', 'relation']),
      severity: z.enum(['error', 'warning']),
      statement: z.string(),
      source: z.string(),
      requires: z.string().optional(),
      brokenBy: z.string(),
      knownFailures: z.array(
        z.strictObject({ releases: z.union([z.literal('all'), z.array(z.string())]), because: z.string() }),
      ),
    }),
  ),
});
