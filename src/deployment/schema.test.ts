import { expect, test } from 'vitest';
import { z } from 'zod';
import { deploymentSchema } from './schema.ts';

test('the schema can be published: what a file may hold, and no other key', () => {
  const published = z.toJSONSchema(deploymentSchema, { io: 'input' });
  expect(published).toMatchObject({ type: 'object', additionalProperties: false, required: ['hosts'] });
  expect(Object.keys(published.properties ?? {})).toContain('floating_ips');
});
