/** `npm run schemas`: publishes the schemas of the files that people write, and of the documents that commands write, as JSON Schema 2020-12, into schemas/. */
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { deploymentSchema } from '../deployment/schema.ts';
import { hostSchema } from '../host/schema.ts';
import { checkSchema, invariantsSchema } from '../report/check-schema.ts';
import { diffSchema } from '../report/diff-schema.ts';
import { expectSchema } from '../report/expect-schema.ts';
import { lintSchema } from '../report/lint-schema.ts';
import { traceSchema } from '../report/trace-schema.ts';
import { nodeIo } from './io.ts';

const SCHEMAS = {
  deployment: deploymentSchema,
  host: hostSchema,
  check: checkSchema,
  trace: traceSchema,
  invariants: invariantsSchema,
  diff: diffSchema,
  lint: lintSchema,
  expect: expectSchema,
};

/** The text of each published schema, by the name of its file. */
export const publishedSchemas = (): ReadonlyMap<string, string> =>
  new Map(
    Object.entries(SCHEMAS).map(([name, schema]) => [
      `${name}.schema.json`,
      `${JSON.stringify({ $id: `nfverdict/${name}-v1`, ...z.toJSONSchema(schema, { io: 'input' }) }, null, 2)}\n`,
    ]),
  );

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [file, text] of publishedSchemas())
    nodeIo.writeFile(fileURLToPath(new URL(`../../schemas/${file}`, import.meta.url)), text);
}
