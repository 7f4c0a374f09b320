/** The shape of the documents of `lint`. */
import { z } from 'zod';
import { envelopeOf, ruleNumber } from './document-schema.ts';

/** A rule, a chain's policy, or without a rule the chain itself. */
export const locationSchema = z.strictObject({
  path: z.string(),
  line: z.int().min(1).optional(),
  table: z.enum(['raw', 'mangle', 'nat', 'filter', 'security']),
  chain: z.string(),
  rule: ruleNumber.optional().meta({ description: 'absent: the whole chain' }),
});

/** `nfverdict/lint-v1`: what does nothing, in the order of the text. */
export const lintSchema = z.strictObject({
  ...envelopeOf('lint'),
  summary: z.strictObject({
    rules: z.int(),
    chains: z.int(),
    neverMatches: z.int(),
    noEffect: z.int(),
    unusedChains: z.int(),
    unreachedChains: z.int(),
  }),
  findings: z.array(
    z.strictObject({
      kind: z.enum(['never-matches', 'no-effect', 'unused-chain', 'unreached-chain']),
      because: z
        .enum(['contradiction', 'covered', 'not-entered', 'empty', 'same-without', 'unused', 'unreached'])
        .meta({
          description:
            'contradiction: its matches exclude each other, or the hook; covered: `by` take its packets; not-entered: `by` call its chain, with none of its packets; ' +
            'empty: it calls `by`, which does nothing; same-without: `by` do the same; unused: no rule calls it; unreached: no packet meets `by`, which call it',
        }),
      location: locationSchema,
      text: z.string().optional().meta({ description: 'the line as written' }),
      by: z.array(locationSchema),
      more: z
        .literal(true)
        .optional()
        .meta({ description: 'there are more than `by` lists, or they were not looked for' }),
    }),
  ),
});
