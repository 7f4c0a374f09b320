/** The shape of every JSON document, for those who read them: published in schemas/. */
import { z } from 'zod';

/** The head of each document of a kind: what made it, from which files, and what it takes as given. */
export const envelopeOf = <K extends string>(kind: K) => ({
  schema: z.literal(`nfverdict/${kind}-v1`),
  tool: z.strictObject({ name: z.string(), version: z.string() }),
  inputs: z.array(z.strictObject({ path: z.string(), sha256: z.string().regex(/^[0-9a-f]{64}$/) })),
  assumptions: z
    .array(z.string())
    .meta({ description: 'what the inputs leave open and is taken as given, a sentence each' }),
});

/** A packet in the packet notation. */
export const packetText = z.string().meta({ description: 'packet notation' });

/** A rule by its number from 1, as `iptables -L --line-numbers` counts; or what decided where no rule did. */
export const ruleNumber = z.union([z.int().min(1), z.literal('policy'), z.literal('end')]);
